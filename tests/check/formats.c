/* Are the examples in docs/formats.md what the code writes? Usage: formats DOCS/formats.md
 * An example is a block that begins with "```example NAME". In a hex example each line is bytes,
 * then two spaces and what they are. */
#include "../unit/scratch.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/stage.h"
#include "base/xattr.h"
#include "job/buckets.h"
#include "job/claim.h"
#include "job/job.h"
#include "job/journal.h"
#include "job/outcome.h"
#include "job/pack_note.h"
#include "job/places.h"
#include "pack/index.h"
#include "pack/inventory.h"
#include "pack/join.h"
#include "pack/tar.h"
#include "store/s3/s3_facts.h"
#include "store/store.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static const char *doc_path;
static struct scratch scratch;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

/* ---- the page ---- */

static void read_example(const char *name, struct buf *ret_text)
{
    SCOPED(buf) struct buf page = { 0 };
    SCOPED(buf) struct buf fence = { 0 };
    struct err err = { 0 };
    assert_int_equal(file_read(AT_FDCWD, doc_path, 1 << 20, &page, &err), 0);
    buf_printf(&fence, "\n```example %s\n", name);
    const char *from = strstr(page.data, fence.data);
    if (from == NULL)
        print_error("no example '%s'\n", name);
    assert_non_null(from);
    from += fence.len;
    const char *to = strstr(from, "```\n");
    assert_non_null(to);
    buf_clear(ret_text);
    buf_add(ret_text, from, (size_t)(to - from));
}

static void read_hex(const char *name, struct buf *ret_bytes)
{
    SCOPED(buf) struct buf text = { 0 };
    read_example(name, &text);
    buf_clear(ret_bytes);
    for (char *line = text.data; line < text.data + text.len;) {
        char *newline = strchr(line, '\n');
        *newline = '\0';
        while (isxdigit((unsigned char)line[0]) && isxdigit((unsigned char)line[1])) {
            const char pair[3] = { line[0], line[1], '\0' };
            buf_add_char(ret_bytes, (char)strtoul(pair, NULL, 16));
            line += 2;
            if (line[0] == ' ' && line[1] != ' ')
                line++;
        }
        line = newline + 1;
    }
}

static void expect_hex(const char *name, const void *bytes, size_t len)
{
    SCOPED(buf) struct buf want = { 0 };
    read_hex(name, &want);
    if (want.len != len || memcmp(want.data, bytes, len) != 0) {
        print_error("'%s' is written as", name);
        for (size_t i = 0; i < len; i++)
            print_error(" %02x", ((const unsigned char *)bytes)[i]);
        print_error("\n");
    }
    assert_int_equal(len, want.len);
    assert_memory_equal(bytes, want.data, len);
}

static void expect_text(const char *name, const char *text)
{
    SCOPED(buf) struct buf want = { 0 };
    read_example(name, &want);
    assert_string_equal(text, buf_text(&want));
}

static void expect_file(const char *example, const char *rel)
{
    SCOPED(buf) struct buf bytes = { 0 };
    scratch_read(&scratch, rel, &bytes);
    expect_hex(example, bytes.data, bytes.len);
}

/* ---- the job directory ---- */

static void test_job_file(void **state)
{
    (void)state;
    SCOPED(buf) struct buf text = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    struct job job;
    struct err err = { 0 };
    read_example("job.ini", &text);
    scratch_write(&scratch, "job/job.ini", text.data, text.len);
    assert_int_equal(job_open(&job, scratch_path(&scratch, "job"), &err), 0);
    assert_string_equal(job.id, "0123456789abcdef");
    SCOPED(job_spec) struct job_spec spec = { 0 };
    job_spec_copy(&spec, &job.spec);
    assert_int_equal(spec.source_count, 2);
    assert_string_equal(spec.sources[1], "/data/run 2");
    assert_int_equal(unlinkat(job.dir_fd, "job.ini", 0), 0);
    assert_int_equal(job_set_spec(&job, &spec, &err), 0);
    scratch_read(&scratch, "job/job.ini", &again);
    assert_string_equal(again.data, text.data);
    job_close(&job);
}

static void test_generation(void **state)
{
    (void)state;
    struct generation generation = { .dir_fd = scratch.fd, .sealed = 2 };
    struct err err = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    assert_int_equal(generation_close_plan(&generation, &err), 0);
    scratch_read(&scratch, "end", &text);
    expect_text("end", text.data);
    assert_int_equal(generation_finish(&generation, &err), 0);
    scratch_read(&scratch, "finished", &text);
    expect_text("finished", text.data);
}

static void test_buckets(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(buf) struct buf example = { 0 };
    SCOPED(buf) struct buf counted = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    read_example("buckets", &example);
    scratch_write(&scratch, "buckets", example.data, example.len);
    assert_int_equal(buckets_read(scratch.fd, &counted, &err), 0);
    assert_int_equal(unlinkat(scratch.fd, "buckets", 0), 0);
    assert_int_equal(buckets_write(scratch.fd, &counted, &err), 0);
    scratch_read(&scratch, "buckets", &again);
    assert_string_equal(again.data, example.data);
}

static void test_segment(void **state)
{
    (void)state;
    const struct plan_entry entries[] = {
        { .name = "a/",
          .name_len = 2,
          .kind = ENTRY_DIR,
          .action = PLAN_NEW,
          .mode = 0755,
          .uid = 1000,
          .gid = 1000 },
        { .name = "a/b",
          .name_len = 3,
          .kind = ENTRY_FILE,
          .action = PLAN_COMPARE,
          .mode = 0644,
          .uid = 1000,
          .gid = 1000,
          .size_bytes = 300,
          .mtime_ns = 64,
          .record = { .known = true, .crc64 = UINT64_C(0x0123456789abcdef), .etag = "e1" } },
        { .name = "a/c",
          .name_len = 3,
          .kind = ENTRY_UNREADABLE,
          .action = PLAN_FAIL,
          .reason = REASON_UNREADABLE,
          .sys = EACCES,
          .mode = 0644,
          .uid = 1000,
          .gid = 1000 },
    };
    SCOPED(segment_writer) struct segment_writer writer;
    struct err err = { 0 };
    segment_writer_init(&writer, scratch.fd);
    assert_int_equal(segment_begin(&writer, 1, &err), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(segment_add(&writer, &entries[i], &err), 0);
    expect_hex("entries", writer.raw.data, writer.raw.len);
    assert_int_equal(segment_seal(&writer, "a/c", 3, &err), 0);
    expect_file("segment", "000001.seg");
}

static void test_entries_in_packs(void **state)
{
    (void)state;
    const struct plan_entry entries[] = {
        { .name = "a",
          .name_len = 1,
          .kind = ENTRY_FILE,
          .action = PLAN_NEW,
          .size_bytes = 5,
          .pack = "p.tar.zst" },
        { .name = "b",
          .name_len = 1,
          .kind = ENTRY_FILE,
          .action = PLAN_UNCHANGED,
          .size_bytes = 6,
          .kept = "o.tar",
          .kept_etag = "e1" },
        { .name = "c",
          .name_len = 1,
          .kind = ENTRY_GONE,
          .action = PLAN_REPLACE,
          .pack = "p.tar.zst" },
    };
    SCOPED(segment_writer) struct segment_writer writer;
    struct err err = { 0 };
    segment_writer_init(&writer, scratch.fd);
    assert_int_equal(segment_begin(&writer, 1, &err), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(segment_add(&writer, &entries[i], &err), 0);
    expect_hex("entries in packs", writer.raw.data, writer.raw.len);
}

static void test_what_a_part_holds(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    const struct pack_note note = {
        .through = 3,
        .piece_end = 8 << 20,
        .piece_crc64 = 1,
        .piece = { .ordinal = 3, .ino = 77, .size_bytes = 40 << 20, .mtime_ns = 1, .ctime_ns = 1 },
        .results = view_of("\1\2\5\0", 4)
    };
    pack_note_encode(&note, &bytes);
    expect_hex("what a part holds", bytes.data, bytes.len);
}

static void test_results(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    struct err why = { 0 };
    struct err err = { 0 };
    struct result_sum sum = { 0 };
    const struct result_rest rest = { .tries = 1, .failed = 1, .retryable = 1 };
    err_set(&why, ERR_NET, "cut");
    const struct result results[] = {
        { .ordinal = 0,
          .status = RESULT_DONE,
          .size_bytes = 5,
          .mtime_ns = -1,
          .record = { .known = true, .racy = true, .crc64 = 1, .etag = "e1" } },
        { .ordinal = 2, .status = RESULT_FAILED, .retries = 3, .err = &why },
    };
    for (size_t i = 0; i < 2; i++) {
        result_encode(&bytes, &results[i]);
        result_sum_add(&sum, results[i].status, results[i].size_bytes, results[i].retries);
    }
    expect_hex("results", bytes.data, bytes.len);
    assert_int_equal(result_file_seal(scratch.fd, 1, &bytes, 2, &sum, &rest, &err), 0);
    expect_file("sealed results", "000001.res");
}

static void test_journal(void **state)
{
    (void)state;
    struct journal journal = { .fd = -1 };
    const struct journal_upload upload = { .segment = 1,
                                           .ordinal = 2,
                                           .part_bytes = 8,
                                           .size_bytes = 10,
                                           .mtime_ns = 1,
                                           .ctime_ns = 1,
                                           .ino = 77,
                                           .token = "tok" };
    const struct store_part part = { .number = 1, .size_bytes = 8, .crc64 = 1, .etag = "p1" };
    journal_add_results(&journal, 1, 1, "\1\0\5\0", 4);
    journal_add_begin(&journal, &upload);
    journal_add_part(&journal, 1, 2, &part);
    journal_add_drop(&journal, 1, 2);
    journal_add_intent(&journal, 1, 0, 255);
    journal_add_slow(&journal, 1, 2, 1500 * NS_PER_MS);
    journal_add_time(&journal, NS_PER_S);
    journal_add_pack(&journal, 1, 2, &part, "note", 4);
    expect_hex("journal records", journal.pending.data, journal.pending.len);
    journal_done(&journal);

    struct err err = { 0 };
    SCOPED(buf) struct buf bytes = { 0 };
    SCOPED(buf) struct buf want = { 0 };
    assert_int_equal(journal_create(&journal, scratch.fd, 3, &err), 0);
    journal_done(&journal);
    scratch_read(&scratch, "journal-000003.log", &bytes);
    read_hex("journal head", &want);
    assert_true(bytes.len > want.len);
    assert_memory_equal(bytes.data, want.data, want.len);
}

static void test_outcome(void **state)
{
    (void)state;
    const struct job job = { .dir_fd = scratch.fd };
    struct outcome outcome;
    struct err err = { 0 };
    SCOPED(buf) struct buf example = { 0 };
    SCOPED(buf) struct buf ours = { 0 };
    read_example("outcome", &example);
    scratch_write(&scratch, "outcome", example.data, example.len);
    assert_int_equal(outcome_read(&outcome, &job, &err), 0);
    assert_int_equal(outcome.pid, 4711);
    assert_string_equal(outcome.host, "node1");
    assert_true(outcome.ended_ns - outcome.started_ns == 60 * NS_PER_S);
    assert_int_equal(outcome.exit_status, 1);
    assert_string_equal(outcome.text, "some entries failed");
    assert_int_equal(outcome_write(&outcome, &job, &err), 0);
    scratch_read(&scratch, "outcome", &ours);
    assert_string_equal(ours.data, example.data);
}

/* The keys of its lines, in order. */
static void line_keys(const struct buf *text, struct buf *ret_keys)
{
    const char *line = text->data;
    while (*line != '\0') {
        buf_add(ret_keys, line, strcspn(line, " "));
        buf_add_char(ret_keys, '\n');
        line = strchr(line, '\n') + 1;
    }
}

static void test_claim(void **state)
{
    (void)state;
    struct claim claim;
    struct claim_owner owner;
    struct err err = { 0 };
    SCOPED(buf) struct buf example = { 0 };
    SCOPED(buf) struct buf ours = { 0 };
    SCOPED(buf) struct buf want = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    read_example("claim", &example);
    scratch_write(&scratch, "claims/run.g7", example.data, example.len);
    assert_int_equal(claim_read(&owner, scratch.fd, &err), 0);
    assert_int_equal(owner.number, 7);
    assert_int_equal(owner.pid, 4711);
    assert_int_equal(owner.start_ticks, 123456);
    assert_string_equal(owner.boot, "5a0a1b2c-0000-4000-8000-0123456789ab:4026531836");
    assert_string_equal(owner.host, "node1");
    assert_true(owner.released);
    assert_int_equal(owner.beats, 12);
    assert_int_equal(claim_take(&claim, scratch.fd, NULL, &err), 0);
    scratch_read(&scratch, "claims/run.g8", &ours);
    claim_release(&claim);
    line_keys(&example, &want);
    line_keys(&ours, &got);
    assert_string_equal(got.data, want.data);
}

/* ---- what a directory holds ---- */

static void expect_attribute(int fd, const char *name)
{
    char value[128] = "";
    SCOPED(buf) struct buf line = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    if (fgetxattr(fd, name, value, sizeof value - 1) < 0 && errno == EOPNOTSUPP)
        skip();
    buf_printf(&line, "%s = %s\n", name, value);
    read_example("attributes", &text);
    if (strstr(text.data, line.data) == NULL)
        print_error("'%s' is written as '%s'\n", name, value);
    assert_non_null(strstr(text.data, line.data));
}

static void put_link(struct store *store)
{
    struct err err = { 0 };
    const struct attr attr = { .kind = ENTRY_LINK,
                               .have = ATTR_MTIME,
                               .mtime_ns = 1500 * 1000000 * NS_PER_S };
    static const struct store_meta meta = { .name = "project", .value = "2001234" };
    const struct store_put put = {
        .key = "a.rclonelink", .tag = "tag", .attr = &attr, .meta = &meta, .meta_count = 1
    };
    struct store_result result;
    struct digest digest;
    assert_int_equal(digest_init(&digest, DIGEST_CRC64NVME, &err), 0);
    struct body body = body_of_memory("123456789", 9, &digest, NULL);
    if (store->driver->put(store, &put, &body, &result, &err) < 0) {
        assert_int_equal(err.kind, ERR_LIMIT); /* no extended attributes here */
        skip();
    }
    digest_done(&digest);
    struct store_staged staged = { .key = "a.rclonelink", .tag = "tag" };
    store->driver->commit_batch(store, &staged, 1);
    assert_int_equal(staged.err.kind, ERR_NONE);
}

static void test_extended_attributes(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct err err = { 0 };
    const struct store_options options = { .create = true };
    const struct store_driver *driver = store_driver_by_scheme("file");
    assert_int_equal(driver->open(&store, scratch_path(&scratch, "dest"), &options, &err), 0);
    put_link(store);
    SCOPED_FD int fd = openat(scratch.fd, "dest/a.rclonelink", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    expect_attribute(fd, "user.lade.kind");
    expect_attribute(fd, "user.lade.crc64nvme");
    expect_attribute(fd, "user.lade.meta.project");
    driver->close(store);
}

static void test_temporary_names(void **state)
{
    (void)state;
    SCOPED(buf) struct buf name = { 0 };
    read_example("temporary name", &name);
    buf_cut(&name, name.len - 1);
    assert_true(stage_is_temporary(name.data));
    SCOPED(stage) struct stage stage;
    struct err err = { 0 };
    int fd = -1;
    stage_init(&stage, scratch.fd);
    assert_int_equal(stage_open(&stage, "file", "0123456789abcdef-1-3-2-ff", false, &fd, &err), 0);
    close(fd);
    assert_int_equal(faccessat(scratch.fd, name.data, F_OK, 0), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

/* ---- the cache ---- */

static void test_facts(void **state)
{
    (void)state;
    SCOPED(buf) struct buf want = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    struct s3_facts facts = { .probed_ns = 1500000000 * NS_PER_S,
                              .seen = { S3_YES, S3_YES, S3_YES, S3_IGNORED, S3_UNSEEN, S3_NO, S3_NO,
                                        S3_YES, S3_YES } };
    struct s3_facts again;
    read_example("facts", &want);
    s3_facts_write(&facts, "https://a3s.fi", "run7", &text);
    assert_string_equal(text.data, want.data);
    assert_true(s3_facts_read(&again, want.data, want.len, "https://a3s.fi", "run7"));
    assert_memory_equal(again.seen, facts.seen, sizeof facts.seen);
}

/* ---- packs ---- */

static void add_members(struct pack_chunk *chunk)
{
    struct pack_member dir = {
        .path = "a", .path_len = 1, .kind = PACK_DIR, .mode = 0755, .uid = 1000, .gid = 1000
    };
    struct pack_member file = { .path = "a/b",
                                .path_len = 3,
                                .kind = PACK_FILE,
                                .racy = true,
                                .mode = 0644,
                                .uid = 1000,
                                .gid = 1000,
                                .mtime_ns = INT64_C(1500000000000000001),
                                .size_bytes = 5,
                                .crc64 = UINT64_C(0x0123456789abcdef) };
    struct pack_member link = { .path = "a/c",
                                .path_len = 3,
                                .kind = PACK_LINK,
                                .mode = 0777,
                                .uid = 1000,
                                .gid = 1000,
                                .target = "b",
                                .target_len = 1 };
    struct pack_member gone = { .path = "a/d", .path_len = 3, .kind = PACK_GONE, .was = PACK_FILE };
    pack_chunk_add(chunk, &dir, NULL, 0);
    pack_chunk_add(chunk, &file, "12345", 5);
    pack_chunk_add(chunk, &link, NULL, 0);
    pack_chunk_add(chunk, &gone, NULL, 0);
}

static void expect_block(const struct buf *index)
{
    struct index_footer footer;
    struct index_table table;
    struct err err = { 0 };
    SCOPED(index_rows) struct index_rows rows = { 0 };
    const size_t at = index->len - INDEX_FOOTER_BYTES;
    assert_int_equal(index_read_footer(index->data + at, &footer, &err), 0);
    assert_int_equal(index_read_table(&table, &footer, index->data + footer.table_offset, &err), 0);
    expect_hex("pack table", table.raw.data, table.raw.len);
    assert_int_equal(table.footer.block_count, 1);
    const struct index_block *block = &table.blocks[0];
    assert_int_equal(index_read_keys(&rows, &table, 0, index->data + block->keys_offset, &err), 0);
    assert_int_equal(index_read_numbers(&rows, &table, index->data + block->numbers_offset, &err),
                     0);
    expect_hex("pack keys", rows.keys.data, rows.keys.len);
    expect_hex("pack numbers", rows.numbers.data, rows.numbers.len);
    expect_hex("pack footer", index->data + at, INDEX_FOOTER_BYTES);
    index_table_done(&table);
}

static void test_pack(void **state)
{
    (void)state;
    /* Plain, so that no bytes depend on the version of libzstd but those that an index holds. */
    const struct pack_options options = { .level = 0 };
    const struct pack_info info = { .name = "p.tar",
                                    .job_id = "0123456789abcdef",
                                    .maker = "0.1.0",
                                    .generation = 1,
                                    .created_ns = INT64_C(1500000000000000000) };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    struct err err = { 0 };
    SCOPED(buf) struct buf tail = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    add_members(chunk);
    pack_chunk_seal(chunk);
    const struct buf *notes = pack_chunk_notes(chunk);
    expect_hex("pack notes", notes->data, notes->len);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    assert_int_equal(pack_join_tail(join, &tail, &err), 0);
    assert_int_equal(tail.len, TAR_END_BYTES);
    assert_int_equal(pack_join_sidecar(join, "e1", &index, &err), 0);
    expect_block(&index);
    pack_chunk_free(chunk);
    pack_join_free(join);
}

static void test_pack_xattrs(void **state)
{
    (void)state;
    const struct pack_options options = { .level = 0 };
    const struct pack_info info = { .name = "p.tar" };
    const struct xattr xattr = { .name = "user.a", .name_len = 6, .value = "1", .value_len = 1 };
    SCOPED(buf) struct buf set = { 0 };
    xattr_add(&set, &xattr);
    const struct pack_member none = { .path = "a", .path_len = 1, .kind = PACK_FILE };
    const struct pack_member dir = { .path = "b",
                                     .path_len = 1,
                                     .kind = PACK_DIR,
                                     .xattrs = set.data,
                                     .xattrs_len = (uint32_t)set.len };
    const struct pack_member file = { .path = "b/c",
                                      .path_len = 3,
                                      .kind = PACK_FILE,
                                      .xattrs = set.data,
                                      .xattrs_len = (uint32_t)set.len };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    struct err err = { 0 };
    SCOPED(buf) struct buf tail = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    pack_chunk_add(chunk, &none, NULL, 0);
    pack_chunk_add(chunk, &dir, NULL, 0);
    pack_chunk_add(chunk, &file, NULL, 0);
    pack_chunk_seal(chunk);
    const struct buf *notes = pack_chunk_notes(chunk);
    expect_hex("pack notes with attributes", notes->data, notes->len);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    assert_int_equal(pack_join_tail(join, &tail, &err), 0);
    assert_int_equal(pack_join_sidecar(join, "e1", &index, &err), 0);
    struct index_footer footer;
    struct index_table table;
    SCOPED(index_rows) struct index_rows rows = { 0 };
    const size_t at = index.len - INDEX_FOOTER_BYTES;
    assert_int_equal(index_read_footer(index.data + at, &footer, &err), 0);
    assert_int_equal(index_read_table(&table, &footer, index.data + footer.table_offset, &err), 0);
    assert_int_equal(
        index_read_keys(&rows, &table, 0, index.data + table.blocks[0].keys_offset, &err), 0);
    assert_int_equal(
        index_read_numbers(&rows, &table, index.data + table.blocks[0].numbers_offset, &err), 0);
    /* The last two columns are what is new. */
    const size_t columns = 2 + 1 + set.len + 2 + 4;
    expect_hex("pack attributes", rows.numbers.data + rows.numbers.len - columns, columns);
    index_table_done(&table);
    pack_chunk_free(chunk);
    pack_join_free(join);
}

static void test_cache(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", scratch_path(&scratch, "cache"), 1);
    struct cache cache;
    cache_open(&cache);
    const struct cache_key key = { CACHE_INDEX, "s3", "p.tar.zst", "etag", 1000 };
    cache_keep(&cache, &key, "index", 5);
    struct cache_entry entry;
    assert_true(cache_find(&cache, &key, &entry));
    SCOPED(buf) struct buf path = { 0 };
    buf_printf(&path, "cache/lade/indexes/%s", entry.name);
    expect_file("kept", path.data);

    struct inventory_writer writer;
    inventory_begin(&writer, &cache, "s3", "s3://run7", false, 1);
    const struct inventory_row rows[] = {
        { "a/b", 3, "a/b", 3, INVENTORY_FILE, 5, 1000, 1000, "" },
        { "a/p.tar.zst", 11, "a/p.tar.zst", 11, INVENTORY_FILE, 1000, 0, 2, "etag" },
    };
    for (size_t i = 0; i < 2; i++)
        inventory_add(&writer, &rows[i]);
    expect_hex("listing rows", writer.block.data, writer.block.len);
    inventory_done(&writer);
    cache_close(&cache);
}

static void test_places(void **state)
{
    (void)state;
    setenv("XDG_STATE_HOME", scratch_path(&scratch, "state"), 1);
    const struct store_access access = { .endpoint_url = "https://a3s.fi", .profile = "me" };
    struct place place;
    SCOPED(buf) struct buf text = { 0 };
    place_of(&place, "s3://run7/b\xff", &access);
    places_note(&place, false);
    places_note(&place, false);
    place_done(&place);
    scratch_read(&scratch, "state/lade/places", &text);
    expect_text("places", text.data);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DOCS/formats.md\n", argv[0]);
        return 2;
    }
    doc_path = argv[1];
    const struct CMUnitTest tests[] = {
        CASE(test_job_file),
        CASE(test_generation),
        CASE(test_segment),
        CASE(test_entries_in_packs),
        CASE(test_what_a_part_holds),
        CASE(test_results),
        CASE(test_journal),
        CASE(test_claim),
        CASE(test_outcome),
        CASE(test_extended_attributes),
        CASE(test_temporary_names),
        CASE(test_facts),
        CASE(test_cache),
        CASE(test_places),
        CASE(test_pack),
        CASE(test_pack_xattrs),
        CASE(test_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
