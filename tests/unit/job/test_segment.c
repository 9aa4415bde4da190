#include "job/segment.h"

#include "../scratch.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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

/* ---- entries that are the same for the same random state ---- */

static uint64_t random_number(uint64_t *random)
{
    /* Of any length. */
    return random_next(random) >> random_below(random, 64);
}

static void random_text(uint64_t *random, char *text, size_t cap)
{
    const size_t len = random_below(random, cap);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(1 + random_below(random, 255));
    text[len] = '\0';
}

static void random_record(uint64_t *random, struct record *record)
{
    record->known = true;
    record->racy = random_below(random, 2) != 0;
    record->crc64 = random_next(random);
    random_text(random, record->etag, sizeof record->etag);
    record->digests.kinds = (uint32_t)(random_below(random, 4) * DIGEST_SHA256);
    if (record->digests.kinds & DIGEST_SHA256)
        memset(record->digests.sha256, (int)random_below(random, 256), DIGEST_SHA256_BYTES);
    if (record->digests.kinds & DIGEST_MD5)
        memset(record->digests.md5, (int)random_below(random, 256), DIGEST_MD5_BYTES);
}

/* Runs of entries in one pack, with others between them, and packs that have the same name and
 * another etag. */
static struct {
    size_t pack, kept, etag;
} packs_now;

static void random_packs(uint64_t *random, struct plan_entry *entry)
{
    static const char *const names[] = { "p", "p.tar.zst", "a/very long name of a pack.tar",
                                         "\xff" };
    static const char *const etags[] = { "", "e", "\"0123456789abcdef0123456789abcdef-12345\"" };
    if (random_below(random, 20) == 0)
        packs_now.pack = random_below(random, 4);
    if (random_below(random, 20) == 0)
        packs_now.kept = random_below(random, 4);
    if (random_below(random, 20) == 0)
        packs_now.etag = random_below(random, 3);
    if (random_below(random, 3) != 0)
        entry->pack = names[packs_now.pack];
    if (random_below(random, 3) != 0) {
        entry->kept = names[packs_now.kept];
        entry->kept_etag = etags[packs_now.etag];
    }
}

/* The name grows from the one before, as in a sorted list: it shares some of its beginning. */
static void random_entry(uint64_t *random, struct buf *name, size_t name_max,
                         struct plan_entry *entry)
{
    *entry = (struct plan_entry){ 0 };
    buf_cut(name, random_below(random, name->len + 1));
    const size_t more = 1 + random_below(random, name_max - name->len);
    for (size_t i = 0; i < more && name->len < name_max; i++)
        buf_add_char(name, (char)(1 + random_below(random, 255)));
    entry->name = name->data;
    entry->name_len = (uint32_t)name->len;
    entry->kind = (enum entry_kind)(ENTRY_FILE + random_below(random, 6));
    entry->action = (enum plan_action)(PLAN_NEW + random_below(random, 6));
    entry->size_bytes = random_number(random);
    entry->mtime_ns = (int64_t)random_number(random) * (random_below(random, 2) != 0 ? 1 : -1);
    if (random_below(random, 3) == 0) {
        entry->mode = (uint32_t)random_below(random, 010000);
        entry->uid = (uint32_t)random_number(random);
        entry->gid = (uint32_t)random_number(random);
    } else {
        entry->mode = 0644;
    }
    if (random_below(random, 4) == 0) {
        entry->reason = (enum plan_reason)random_below(random, REASON_COUNT);
        entry->sys = (int)random_below(random, 134);
    }
    entry->empty = random_below(random, 5) == 0;
    if (random_below(random, 3) == 0)
        random_text(random, entry->etag, sizeof entry->etag);
    if (random_below(random, 3) == 0)
        random_record(random, &entry->record);
    if (random_below(random, 4) == 0)
        entry->bucket = 2 + (uint32_t)random_below(random, STORE_BUCKET_MAX - 1);
    random_packs(random, entry);
}

static void expect_same_record(const struct record *got, const struct record *want)
{
    assert_int_equal(got->known, want->known);
    assert_int_equal(got->racy, want->racy);
    if (!want->known)
        return;
    assert_true(got->crc64 == want->crc64);
    assert_string_equal(got->etag, want->etag);
    assert_int_equal(got->digests.kinds, want->digests.kinds);
    if (want->digests.kinds & DIGEST_SHA256)
        assert_memory_equal(got->digests.sha256, want->digests.sha256, DIGEST_SHA256_BYTES);
    if (want->digests.kinds & DIGEST_MD5)
        assert_memory_equal(got->digests.md5, want->digests.md5, DIGEST_MD5_BYTES);
}

static void expect_same_text(const char *got, const char *want)
{
    assert_int_equal(got == NULL, want == NULL);
    if (got != NULL)
        assert_string_equal(got, want);
}

static void expect_same(const struct plan_entry *got, const struct plan_entry *want)
{
    assert_int_equal(got->name_len, want->name_len);
    assert_memory_equal(got->name, want->name, want->name_len + 1);
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->action, want->action);
    assert_int_equal(got->reason, want->reason);
    assert_int_equal(got->sys, want->sys);
    assert_int_equal(got->empty, want->empty);
    assert_int_equal(got->bucket, want->bucket);
    assert_int_equal(got->mode, want->mode);
    assert_int_equal(got->uid, want->uid);
    assert_int_equal(got->gid, want->gid);
    assert_true(got->size_bytes == want->size_bytes);
    assert_true(got->mtime_ns == want->mtime_ns);
    assert_string_equal(got->etag, want->etag);
    expect_same_record(&got->record, &want->record);
    expect_same_text(got->pack, want->pack);
    expect_same_text(got->kept, want->kept);
    expect_same_text(got->kept_etag, want->kept_etag);
}

static void write_segment(uint32_t number, uint64_t seed, uint32_t count, size_t name_max,
                          struct segment_sum *ret_sum)
{
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(segment_writer) struct segment_writer writer;
    struct err err = { 0 };
    segment_writer_init(&writer, scratch.fd);
    assert_int_equal(segment_begin(&writer, number, &err), 0);
    buf_reserve(&name, 1);
    name.data[0] = '\0';
    *ret_sum = (struct segment_sum){ 0 };
    memset(&packs_now, 0, sizeof packs_now);
    for (uint32_t i = 0; i < count; i++) {
        struct plan_entry entry;
        random_entry(&seed, &name, name_max, &entry);
        assert_int_equal(segment_add(&writer, &entry, &err), 0);
        segment_sum_add(ret_sum, &entry);
    }
    assert_int_equal(segment_seal(&writer, "the last key", 12, &err), 0);
}

static void expect_segment(uint32_t number, uint64_t seed, uint32_t count, size_t name_max,
                           const struct segment_sum *sum)
{
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    assert_int_equal(segment_open(&segment, scratch.fd, number, &err), 0);
    assert_memory_equal(&segment.sum, sum, sizeof *sum);
    assert_int_equal(segment.sum.entries, count);
    assert_string_equal(buf_text(&segment.last_key), "the last key");
    buf_reserve(&name, 1);
    name.data[0] = '\0';
    memset(&packs_now, 0, sizeof packs_now);
    struct plan_entry got;
    for (uint32_t i = 0; i < count; i++) {
        struct plan_entry want;
        random_entry(&seed, &name, name_max, &want);
        assert_int_equal(segment_next(&segment, &got, &err), 1);
        assert_int_equal(got.ordinal, i);
        expect_same(&got, &want);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(segment_next(&segment, &got, &err), 0);
}

static void test_entries_come_back_with_all_fields(void **state)
{
    (void)state;
    struct segment_sum sum;
    write_segment(1, 100, 20000, 40, &sum);
    expect_segment(1, 100, 20000, 40, &sum);
    assert_int_equal(sum.entries, 20000);
    assert_true(sum.objects > 0 && sum.objects < 20000);
}

static void test_names_up_to_the_longest_come_back_across_blocks(void **state)
{
    (void)state;
    struct segment_sum sum;
    write_segment(2, 200, 300, 65000, &sum);
    expect_segment(2, 200, 300, 65000, &sum);
}

static void test_segment_without_entries(void **state)
{
    (void)state;
    struct segment_sum sum;
    write_segment(3, 1, 0, 10, &sum);
    expect_segment(3, 1, 0, 10, &sum);
}

static void test_writer_writes_one_segment_after_the_other(void **state)
{
    (void)state;
    SCOPED(segment_writer) struct segment_writer writer;
    struct err err = { 0 };
    segment_writer_init(&writer, scratch.fd);
    for (uint32_t number = 1; number <= 3; number++) {
        assert_int_equal(segment_begin(&writer, number, &err), 0);
        for (uint32_t i = 0; i < number; i++) {
            const struct plan_entry entry = { .name = "x",
                                              .name_len = 1,
                                              .kind = ENTRY_FILE,
                                              .action = PLAN_NEW,
                                              .mtime_ns = -1,
                                              .size_bytes = 10 };
            assert_int_equal(segment_add(&writer, &entry, &err), 0);
        }
        assert_int_equal(segment_seal(&writer, "x", 1, &err), 0);
        SCOPED(segment) struct segment segment;
        assert_int_equal(segment_open(&segment, scratch.fd, number, &err), 0);
        assert_int_equal(segment.sum.entries, number);
        assert_int_equal(segment.sum.objects_bytes, 10 * number);
        struct plan_entry entry;
        for (uint32_t i = 0; i < number; i++) {
            assert_int_equal(segment_next(&segment, &entry, &err), 1);
            assert_true(entry.mtime_ns == -1);
        }
        assert_int_equal(segment_next(&segment, &entry, &err), 0);
    }
}

static void test_any_block_can_be_read_by_itself(void **state)
{
    (void)state;
    struct segment_sum sum;
    write_segment(1, 300, 30000, 40, &sum);
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    assert_int_equal(segment_open(&segment, scratch.fd, 1, &err), 0);
    assert_true(segment.block_count >= 3);
    for (uint32_t block = segment.block_count; block-- > 0;) {
        assert_int_equal(segment_seek_block(&segment, block, &err), 0);
        struct plan_entry entry;
        for (uint32_t i = 0; i < segment.blocks[block].count; i++) {
            assert_int_equal(segment_next(&segment, &entry, &err), 1);
            assert_int_equal(entry.ordinal, segment.blocks[block].first + i);
        }
        const bool last = block + 1 == segment.block_count;
        assert_int_equal(segment_next(&segment, &entry, &err), last ? 0 : 1);
    }
}

/* Each block says its packs by itself. */
static void test_packs_are_known_in_any_block(void **state)
{
    (void)state;
    SCOPED(segment_writer) struct segment_writer writer;
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    char name[400];
    segment_writer_init(&writer, scratch.fd);
    assert_int_equal(segment_begin(&writer, 1, &err), 0);
    memset(name, 'n', sizeof name);
    for (uint32_t i = 0; i < 3000; i++) {
        const int len = snprintf(name, sizeof name, "%08u", i * 7919 % 100003);
        name[len] = 'x';
        name[sizeof name - 1] = '\0';
        const struct plan_entry entry = { .name = name,
                                          .name_len = sizeof name - 1,
                                          .kind = ENTRY_FILE,
                                          .action = PLAN_NEW,
                                          .pack = "the pack",
                                          .kept = "the other",
                                          .kept_etag = "etag" };
        assert_int_equal(segment_add(&writer, &entry, &err), 0);
    }
    assert_int_equal(segment_seal(&writer, "k", 1, &err), 0);
    assert_int_equal(segment_open(&segment, scratch.fd, 1, &err), 0);
    assert_true(segment.block_count >= 3);
    for (uint32_t block = segment.block_count; block-- > 0;) {
        struct plan_entry entry;
        assert_int_equal(segment_seek_block(&segment, block, &err), 0);
        assert_int_equal(segment_next(&segment, &entry, &err), 1);
        assert_string_equal(entry.pack, "the pack");
        assert_string_equal(entry.kept, "the other");
        assert_string_equal(entry.kept_etag, "etag");
    }
}

static void test_segment_is_not_there_before_it_is_sealed(void **state)
{
    (void)state;
    struct err err = { 0 };
    {
        SCOPED(segment_writer) struct segment_writer writer;
        segment_writer_init(&writer, scratch.fd);
        assert_int_equal(segment_begin(&writer, 1, &err), 0);
        SCOPED(segment) struct segment segment;
        assert_int_equal(segment_open(&segment, scratch.fd, 1, &err), -1);
        assert_int_equal(err.kind, ERR_ABSENT);
    }
    /* What a kill left is written over. */
    struct segment_sum sum;
    scratch_text(&scratch, "000001.new", "a long rest of what was there before, and more");
    write_segment(1, 5, 3, 10, &sum);
    expect_segment(1, 5, 3, 10, &sum);
    assert_true(faccessat(scratch.fd, "000001.new", F_OK, 0) < 0);
}

/* ---- damage ---- */

/* ERR_NONE: the segment could be read to its end and held what write_segment(1, 400, 6, 20) wrote;
 * other content fails the test. */
static enum err_kind read_damaged(void)
{
    uint64_t seed = 400;
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    if (segment_open(&segment, scratch.fd, 1, &err) < 0)
        return err.kind;
    buf_reserve(&name, 1);
    name.data[0] = '\0';
    memset(&packs_now, 0, sizeof packs_now);
    struct plan_entry got;
    uint32_t count = 0;
    int more;
    while ((more = segment_next(&segment, &got, &err)) == 1) {
        struct plan_entry want;
        random_entry(&seed, &name, 20, &want);
        expect_same(&got, &want);
        count++;
    }
    if (more < 0)
        return err.kind;
    assert_int_equal(count, 6);
    assert_int_equal(segment.sum.entries, 6);
    return ERR_NONE;
}

static void write_small(struct buf *ret_bytes)
{
    struct segment_sum sum;
    write_segment(1, 400, 6, 20, &sum);
    scratch_read(&scratch, "000001.seg", ret_bytes);
    assert_int_equal(read_damaged(), ERR_NONE);
}

static void test_each_flipped_bit_is_found(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    write_small(&bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        scratch_write(&scratch, "000001.seg", bytes.data, bytes.len);
        assert_int_equal(read_damaged(), ERR_CORRUPT);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
}

static void test_each_truncation_is_found(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    write_small(&bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        scratch_write(&scratch, "000001.seg", bytes.data, len);
        assert_int_equal(read_damaged(), ERR_CORRUPT);
    }
    buf_add_char(&bytes, '\0');
    scratch_write(&scratch, "000001.seg", bytes.data, bytes.len);
    assert_int_equal(read_damaged(), ERR_CORRUPT);
}

static void test_segment_of_another_number_is_corrupt(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    write_small(&bytes);
    assert_int_equal(renameat(scratch.fd, "000001.seg", scratch.fd, "000002.seg"), 0);
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    assert_int_equal(segment_open(&segment, scratch.fd, 2, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "000002.seg"));
}

/* A segment of one block with these bytes as its entries, whose checksums are right. */
static int read_block_of(const char *bytes, size_t len, uint32_t entries)
{
    SCOPED(buf) struct buf file = { 0 };
    SCOPED(buf) struct buf footer = { 0 };
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    buf_add(&file, "LADEPLN1\1\0\0\0\0\0\0\0", 16);
    zblock_compress(&zblock, bytes, len, &file);
    buf_add_varint(&footer, 1);
    buf_add_varint(&footer, 16);
    buf_add_varint(&footer, file.len - 16);
    buf_add_varint(&footer, len);
    buf_add_varint(&footer, entries);
    buf_add_u64(&footer, crc64nvme(0, file.data + 16, file.len - 16));
    buf_add_varint(&footer, entries);
    for (int i = 0; i < 2 + 2 * PLAN_ACTION_COUNT; i++)
        buf_add_varint(&footer, 0);
    buf_add_varint(&footer, 0);
    buf_add(&file, footer.data, footer.len);
    buf_add_u32(&file, (uint32_t)footer.len);
    buf_add_u64(&file, crc64nvme(0, footer.data, footer.len));
    buf_add_text(&file, "LADEEND1");
    scratch_write(&scratch, "000001.seg", file.data, file.len);
    assert_int_equal(segment_open(&segment, scratch.fd, 1, &err), 0);
    struct plan_entry entry;
    int got;
    while ((got = segment_next(&segment, &entry, &err)) == 1)
        assert_true(entry.pack == NULL || entry.pack[0] != '\0');
    if (got < 0)
        assert_int_equal(err.kind, ERR_CORRUPT);
    return got;
}
/* A new file "f" of no bytes, with more: packs. */
#define HEAD "\xc9\0\1f\0\0\x80"
#define READ(text, entries) read_block_of(text, sizeof text - 1, entries)

static void test_packs_that_nobody_writes_are_refused(void **state)
{
    (void)state;
    assert_int_equal(READ(HEAD "\3\1p", 1), 0);
    assert_int_equal(READ(HEAD "\3\1p" HEAD "\1", 2), 0); /* the same pack */
    assert_int_equal(READ(HEAD "\1", 1), -1);             /* the same as none */
    assert_int_equal(READ(HEAD "\3\0", 1), -1);           /* a pack without a name */
    assert_int_equal(READ(HEAD "\3\2p\0", 1), -1);        /* a NUL in it */
    assert_int_equal(READ(HEAD "\3\2p", 1), -1);          /* cut */
    assert_int_equal(READ(HEAD "\3\x81\x80\4p", 1), -1);  /* longer than a key can be */
    assert_int_equal(READ(HEAD "\x0c\1p\1e", 1), 0);      /* stays where it is */
    assert_int_equal(READ(HEAD "\4", 1), -1);             /* nowhere */
    assert_int_equal(READ(HEAD "\x0c\1p\2e\0", 1), -1);   /* a NUL in the etag */
    assert_int_equal(READ(HEAD "\x0c\1p", 1), -1);        /* no etag */
    assert_int_equal(READ(HEAD "\x13\1p", 1), -1);        /* a flag that is none */
    assert_int_equal(READ(HEAD "\2\1p", 1), -1);          /* a name of no pack */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_entries_come_back_with_all_fields),
        CASE(test_names_up_to_the_longest_come_back_across_blocks),
        CASE(test_segment_without_entries),
        CASE(test_writer_writes_one_segment_after_the_other),
        CASE(test_any_block_can_be_read_by_itself),
        CASE(test_packs_are_known_in_any_block),
        CASE(test_packs_that_nobody_writes_are_refused),
        CASE(test_segment_is_not_there_before_it_is_sealed),
        CASE(test_each_flipped_bit_is_found),
        CASE(test_each_truncation_is_found),
        CASE(test_segment_of_another_number_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
