#include "job/job.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct scratch scratch;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    setenv("XDG_STATE_HOME", scratch_path(&scratch, "state"), 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

/* Constant texts, so it is not released. */
static char *const odd_sources[] = { "/a b", "/\xff\x01\n\t%41=\\\"'#;[x]", "/" };
static struct store_meta odd_meta[] = { { "name", "" }, { "x=y\n", "100%\r\n" } };
static struct job_spec odd_spec(void)
{
    return (struct job_spec){ .direction = JOB_PUT,
                              .sources = (char **)odd_sources,
                              .source_count = 3,
                              .base = "/",
                              .fallback_root = "/other\n",
                              .dest = "file:/to/\xc3\xa4\n",
                              .one_name = "n=\x7f",
                              .filter = "- *.o\n+ *\n",
                              .files_from = "/list\n",
                              .list_crc = "ae8b14860a799888",
                              .files_from_nul = true,
                              .checksum = true,
                              .bucket_objects = UINT64_C(5000000000),
                              .make_bucket = true,
                              .overwrite = true,
                              .links = LINKS_SKIP,
                              .digests = DIGEST_SHA256 | DIGEST_MD5,
                              .meta = odd_meta,
                              .meta_count = 2 };
}

static struct job_spec plain_spec(void)
{
    static char *sources[] = { "/data/run1" };
    return (struct job_spec){
        .direction = JOB_GET, .sources = sources, .source_count = 1, .dest = "/to", .filter = ""
    };
}

static void expect_same_spec(const struct job_spec *got, const struct job_spec *want)
{
    assert_null(job_spec_difference(got, want));
    assert_int_equal(got->direction, want->direction);
    assert_int_equal(got->source_count, want->source_count);
    for (size_t i = 0; i < want->source_count; i++)
        assert_string_equal(got->sources[i], want->sources[i]);
    assert_string_equal(got->dest, want->dest);
    assert_true(job_spec_same_late(got, want));
    assert_int_equal(got->one_name == NULL, want->one_name == NULL);
    if (want->one_name != NULL)
        assert_string_equal(got->one_name, want->one_name);
    assert_string_equal(got->filter, want->filter);
    assert_int_equal(got->files_from == NULL, want->files_from == NULL);
    if (want->files_from != NULL)
        assert_string_equal(got->files_from, want->files_from);
    assert_int_equal(got->list_crc == NULL, want->list_crc == NULL);
    if (want->list_crc != NULL)
        assert_string_equal(got->list_crc, want->list_crc);
    assert_int_equal(got->files_from_nul, want->files_from_nul);
    assert_int_equal(got->checksum, want->checksum);
    assert_int_equal(got->links, want->links);
    assert_int_equal(got->digests, want->digests);
    assert_int_equal(got->batch_min_bytes, want->batch_min_bytes);
    assert_int_equal(got->batch_max_bytes, want->batch_max_bytes);
    assert_int_equal(got->batch_objects, want->batch_objects);
    assert_int_equal(got->bucket_objects, want->bucket_objects);
    assert_int_equal(got->make_bucket, want->make_bucket);
    assert_int_equal(got->meta_count, want->meta_count);
    for (size_t i = 0; i < want->meta_count; i++) {
        assert_string_equal(got->meta[i].name, want->meta[i].name);
        assert_string_equal(got->meta[i].value, want->meta[i].value);
    }
}

/* ---- the spec ---- */

static void test_spec_with_odd_bytes_comes_back(void **state)
{
    (void)state;
    const struct job_spec specs[] = { odd_spec(), plain_spec() };
    for (size_t i = 0; i < 2; i++) {
        SCOPED(buf) struct buf text = { 0 };
        SCOPED(job_spec) struct job_spec got = { 0 };
        struct err err = { 0 };
        job_spec_write(&specs[i], &text);
        for (size_t at = 0; at < text.len; at++) /* text, whatever the names are */
            assert_true(text.data[at] == '\n' || (text.data[at] >= ' ' && text.data[at] < 0x7f));
        assert_int_equal(job_spec_parse(&got, text.data, text.len, &err), 0);
        expect_same_spec(&got, &specs[i]);
        SCOPED(job_spec) struct job_spec copy = { 0 };
        job_spec_copy(&copy, &got);
        expect_same_spec(&copy, &specs[i]);
        job_spec_done(&copy);
    }
}

static void test_all_bytes_of_a_name_come_back(void **state)
{
    (void)state;
    char name[257] = "/";
    for (int c = 1; c < 256; c++)
        name[c] = (char)c;
    struct job_spec spec = plain_spec();
    spec.dest = name;
    SCOPED(job_spec) struct job_spec copy = { 0 };
    job_spec_copy(&copy, &spec);
    assert_string_equal(copy.dest, name);
}

static const char *difference_after(void (*change)(struct job_spec *spec))
{
    const struct job_spec before = odd_spec();
    struct job_spec after = odd_spec();
    change(&after);
    return job_spec_difference(&before, &after);
}

#define CHANGE(name, code)                                                                         \
    static void name(struct job_spec *spec)                                                        \
    {                                                                                              \
        code;                                                                                      \
    }
CHANGE(change_nothing, (void)spec)
CHANGE(change_direction, spec->direction = JOB_GET)
CHANGE(change_count, spec->source_count--)
CHANGE(change_source, spec->sources++; spec->source_count--)
CHANGE(change_base, spec->base = NULL)
CHANGE(change_fallback, spec->fallback_root = NULL)
CHANGE(change_dest, spec->dest = "/other")
CHANGE(change_name, spec->one_name = NULL)
CHANGE(change_filter, spec->filter = "")
CHANGE(change_from, spec->files_from = "/l")
CHANGE(change_nul, spec->files_from_nul = false)
CHANGE(change_keep, spec->keep_name = true)
CHANGE(change_device, spec->one_file_system = true)
CHANGE(change_sum, spec->checksum = false)
CHANGE(change_immutable, spec->immutable = true)
CHANGE(change_overwrite, spec->overwrite = false)
CHANGE(change_glob, spec->glob = true)
CHANGE(change_links, spec->links = LINKS_FOLLOW)
CHANGE(change_digests, spec->digests = 0)
CHANGE(change_meta, spec->meta_count--)

static void test_differences_are_named(void **state)
{
    (void)state;
    assert_null(difference_after(change_nothing));
    assert_string_equal(difference_after(change_direction), "the direction");
    assert_string_equal(difference_after(change_count), "the sources");
    assert_string_equal(difference_after(change_source), "the sources");
    assert_string_equal(difference_after(change_dest), "the destination");
    assert_string_equal(difference_after(change_name), "the destination's name");
    assert_string_equal(difference_after(change_filter), "the filter rules");
    assert_string_equal(difference_after(change_from), "--files-from");
    assert_string_equal(difference_after(change_base), "the root directory");
    assert_null(difference_after(change_fallback));
    assert_string_equal(difference_after(change_nul), "--null");
    assert_string_equal(difference_after(change_keep), "--keep-name");
    assert_string_equal(difference_after(change_device), "--one-file-system");
    assert_string_equal(difference_after(change_sum), "--checksum");
    assert_string_equal(difference_after(change_immutable), "--immutable");
    assert_string_equal(difference_after(change_overwrite), "--overwrite");
    assert_string_equal(difference_after(change_glob), "--glob");
    assert_string_equal(difference_after(change_links), "--links");
    assert_string_equal(difference_after(change_digests), "--digest");
    assert_string_equal(difference_after(change_meta), "--metadata");
}

static void expect_no_spec(const char *text, size_t len)
{
    struct job_spec spec;
    struct err err = { 0 };
    /* Exactly as large as it is, so that a sanitizer sees the first byte too many. */
    char *copy = mem_copy(text, len);
    assert_int_equal(job_spec_parse(&spec, copy, len, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    mem_release(copy);
}
#define NO_SPEC(text) expect_no_spec(text, sizeof(text) - 1)

static void test_lines_that_nobody_writes_are_refused(void **state)
{
    (void)state;
    NO_SPEC("");
    NO_SPEC("source=/a\n");
    NO_SPEC("dest=/a\n");
    NO_SPEC("source=/a\ndest=/b\nno-such-key=1\n");
    NO_SPEC("source=/a\ndest=/b\nkey\n");
    NO_SPEC("source=/a\ndest=/b%4\n");
    NO_SPEC("source=/a\ndest=/b%0a\n");
    NO_SPEC("source=/a\ndest=/b%00\n");
    NO_SPEC("source=/a\ndest=/b\0\n");
    NO_SPEC("source=/a\ndest=/b\nlinks=3\n");
    NO_SPEC("source=/a\ndest=/b\nmeta-value=x\n");
    NO_SPEC("source=/a\ndest=/b\nmeta-name=x\n");
    NO_SPEC("source=/a\ndest=/b\nmeta-name=x\nmeta-value=y\nmeta-value=z\n");
    NO_SPEC("direction=up\nsource=/a\ndest=/b\n");
    NO_SPEC("source=/a\ndest=/b\nkey");
    struct job_spec spec;
    struct err err = { 0 };
    char *bare = mem_copy("source=/a\ndest=/b", 17);
    assert_int_equal(job_spec_parse(&spec, bare, 17, &err), 0);
    assert_string_equal(spec.dest, "/b");
    job_spec_done(&spec);
    mem_release(bare);
}

/* ---- where jobs are ---- */

static void test_default_path_is_stable_and_tells_jobs_apart(void **state)
{
    (void)state;
    struct job_spec spec = odd_spec();
    char *one = job_default_path(&spec);
    spec.checksum = false; /* an option makes no other job */
    char *same = job_default_path(&spec);
    assert_string_equal(one, same);
    static char *moved[] = { "/a b", "/other", "/" };
    spec.sources = moved;
    char *other = job_default_path(&spec);
    assert_string_not_equal(one, other);
    /* Stable from version to version: what is running must be found again. */
    setenv("XDG_STATE_HOME", "/state", 1);
    struct job_spec plain = plain_spec();
    char *known = job_default_path(&plain);
    assert_string_equal(known, "/state/lade/jobs/get-run1-to-to-ffc26d68");
    setenv("XDG_STATE_HOME", "relative", 1);
    setenv("HOME", "/home/me", 1);
    char *home = jobs_home();
    assert_string_equal(home, "/home/me/.local/state/lade/jobs");
    mem_release(home);
    mem_release(known);
    mem_release(other);
    mem_release(same);
    mem_release(one);
}

/* ---- the job file ---- */

static void test_job_is_made_and_found_again(void **state)
{
    (void)state;
    const struct job_spec spec = odd_spec();
    struct job made;
    struct job job;
    struct err err = { 0 };
    const char *path = scratch_path(&scratch, "some/new/place");
    assert_int_equal(job_open(&job, path, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    assert_int_equal(job_create(&made, path, &spec, &err), 0);
    assert_int_equal(strlen(made.id), 16);
    assert_int_equal(job_open(&job, path, &err), 0);
    assert_string_equal(job.id, made.id);
    assert_string_equal(job.path, path);
    assert_true(job.created_ns == made.created_ns);
    expect_same_spec(&job.spec, &spec);

    const struct job_spec other = plain_spec();
    assert_int_equal(job_set_spec(&made, &other, &err), 0);
    job_close(&job);
    job_close(&job);
    assert_int_equal(job_open(&job, path, &err), 0);
    expect_same_spec(&job.spec, &other);
    assert_string_equal(job.id, made.id);
    job_close(&job);
    job_close(&made);
}

static void test_bare_name_is_looked_up_among_the_jobs(void **state)
{
    (void)state;
    const struct job_spec spec = plain_spec();
    struct job job;
    struct err err = { 0 };
    char *path = job_default_path(&spec);
    assert_int_equal(job_create(&job, path, &spec, &err), 0);
    job_close(&job);
    assert_int_equal(job_open(&job, strrchr(path, '/') + 1, &err), 0);
    assert_string_equal(job.path, path);
    job_close(&job);
    mem_release(path);
}

static void test_directory_with_something_else_is_no_place_for_a_job(void **state)
{
    (void)state;
    const struct job_spec spec = plain_spec();
    struct job job;
    struct err err = { 0 };
    scratch_text(&scratch, "mine/thesis.tex", "text");
    assert_int_equal(job_create(&job, scratch_path(&scratch, "mine"), &spec, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    err_clear(&err);
    /* What a killed job_create() left is as good as nothing. */
    scratch_text(&scratch, "half/.job-0123456789abcdef", "lade-job=1");
    scratch_text(&scratch, "half/.job-0123456789abcdef.tmp", "lade-j");
    assert_int_equal(job_create(&job, scratch_path(&scratch, "half"), &spec, &err), 0);
    job_close(&job);
    assert_int_equal(job_create(&job, scratch_path(&scratch, "half"), &spec, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    err_clear(&err);
    /* A job that lost its file is none that could be made anew. */
    assert_int_equal(unlinkat(scratch.fd, "half/job.ini", 0), 0);
    scratch_dir(&scratch, "half/claims");
    assert_int_equal(job_create(&job, scratch_path(&scratch, "half"), &spec, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    err_clear(&err);
    assert_int_equal(job_create(&job, scratch_path(&scratch, "mine/thesis.tex"), &spec, &err), -1);
}

static enum err_kind open_kind(void)
{
    struct job job;
    struct err err = { 0 };
    if (job_open(&job, scratch_path(&scratch, "job"), &err) < 0)
        return err.kind;
    job_close(&job);
    return ERR_NONE;
}

static void test_each_damage_of_the_job_file_is_found(void **state)
{
    (void)state;
    const struct job_spec spec = odd_spec();
    SCOPED(buf) struct buf bytes = { 0 };
    struct job job;
    struct err err = { 0 };
    assert_int_equal(job_create(&job, scratch_path(&scratch, "job"), &spec, &err), 0);
    job_close(&job);
    scratch_read(&scratch, "job/job.ini", &bytes);
    assert_int_equal(open_kind(), ERR_NONE);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        scratch_write(&scratch, "job/job.ini", bytes.data, bytes.len);
        assert_int_equal(open_kind(), ERR_CONFIG);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        scratch_write(&scratch, "job/job.ini", bytes.data, len);
        assert_int_equal(open_kind(), ERR_CONFIG);
    }
}

/* ---- generations ---- */

static void make_job(struct job *job)
{
    const struct job_spec spec = plain_spec();
    struct err err = { 0 };
    assert_int_equal(job_create(job, scratch_path(&scratch, "job"), &spec, &err), 0);
}

static void expect_generations(const struct job *job, uint32_t newest, uint32_t finished)
{
    struct err err = { 0 };
    uint32_t got_newest = 99;
    uint32_t got_finished = 99;
    assert_int_equal(job_generations(job, &got_newest, &got_finished, &err), 0);
    assert_int_equal(got_newest, newest);
    assert_int_equal(got_finished, finished);
}

static void add_segment(const struct generation *generation, uint32_t number)
{
    SCOPED(segment_writer) struct segment_writer writer;
    struct err err = { 0 };
    const struct plan_entry entry = {
        .name = "a", .name_len = 1, .kind = ENTRY_FILE, .action = PLAN_NEW, .size_bytes = 100
    };
    segment_writer_init(&writer, generation->dir_fd);
    assert_int_equal(segment_begin(&writer, number, &err), 0);
    assert_int_equal(segment_add(&writer, &entry, &err), 0);
    assert_int_equal(segment_seal(&writer, "a", 1, &err), 0);
}

static void test_generations_are_made_finished_and_deleted(void **state)
{
    (void)state;
    struct job job;
    struct generation generation;
    struct err err = { 0 };
    make_job(&job);
    expect_generations(&job, 0, 0);
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    expect_generations(&job, 1, 0);
    assert_false(generation.closed || generation.finished);
    assert_int_equal(generation_close_plan(&generation, &err), 0);
    assert_int_equal(generation_finish(&generation, &err), 0);
    assert_true(generation.closed && generation.finished);
    generation_done(&generation);
    generation_done(&generation);
    expect_generations(&job, 1, 1);

    assert_int_equal(generation_create(&generation, &job, 2, &err), 0);
    scratch_text(&scratch, "job/g000002/journal-000003.log", "x");
    generation_done(&generation);
    expect_generations(&job, 2, 1);
    assert_int_equal(generation_create(&generation, &job, 2, &err), -1);
    err_clear(&err);
    assert_int_equal(generation_delete(&job, 2, &err), 0);
    expect_generations(&job, 1, 1);
    assert_int_equal(generation_delete(&job, 2, &err), -1);
    err_clear(&err);
    assert_int_equal(generation_open(&generation, &job, 2, &err), -1);
    job_close(&job);
}

static void test_other_names_are_no_generations(void **state)
{
    (void)state;
    struct job job;
    make_job(&job);
    scratch_dir(&scratch, "job/gx");
    scratch_dir(&scratch, "job/g");
    scratch_dir(&scratch, "job/g000007.old");
    scratch_dir(&scratch, "job/g-1");
    scratch_dir(&scratch, "job/g99999999999999999999");
    expect_generations(&job, 0, 0);
    job_close(&job);
}

static void test_sealed_segments_are_counted_and_the_end_must_fit(void **state)
{
    (void)state;
    struct job job;
    struct generation generation;
    struct generation again;
    struct err err = { 0 };
    make_job(&job);
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    add_segment(&generation, 1);
    add_segment(&generation, 2);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    assert_int_equal(generation.sealed, 2);
    assert_int_equal(generation_sum(&generation, &err), 0);
    assert_int_equal(generation.sum.entries, 2);
    assert_int_equal(generation.sum.objects_bytes, 200);
    assert_int_equal(generation_close_plan(&generation, &err), 0);
    assert_int_equal(generation_open(&again, &job, 1, &err), 0);
    assert_true(again.closed);
    assert_int_equal(again.sealed, 2);
    generation_done(&again);
    /* One of them is gone. */
    assert_int_equal(unlinkat(generation.dir_fd, "000002.seg", 0), 0);
    assert_int_equal(generation_open(&again, &job, 1, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    err_clear(&err);
    add_segment(&generation, 2);
    add_segment(&generation, 3);
    assert_int_equal(generation_open(&again, &job, 1, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    generation_done(&generation);
    job_close(&job);
}

static void test_each_damage_of_the_end_is_found(void **state)
{
    (void)state;
    struct job job;
    struct generation generation;
    struct err err = { 0 };
    SCOPED(buf) struct buf bytes = { 0 };
    make_job(&job);
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    assert_int_equal(generation_close_plan(&generation, &err), 0);
    scratch_read(&scratch, "job/g000001/end", &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        scratch_write(&scratch, "job/g000001/end", bytes.data, bytes.len);
        assert_int_equal(generation_refresh(&generation, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        err_clear(&err);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        scratch_write(&scratch, "job/g000001/end", bytes.data, len);
        assert_int_equal(generation_refresh(&generation, &err), -1);
        err_clear(&err);
    }
    generation_done(&generation);
    job_close(&job);
}

static void test_journals_are_found_in_order(void **state)
{
    (void)state;
    struct job job;
    struct generation generation;
    struct err err = { 0 };
    uint32_t *numbers = NULL;
    size_t count = 0;
    make_job(&job);
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    assert_int_equal(generation_journals(&generation, &numbers, &count, &err), 0);
    assert_int_equal(count, 0);
    mem_release(numbers);
    static const uint32_t made[] = { 12, 3, 1000000, 7 };
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "job/g000001/journal-%06u.log", made[i]);
        scratch_text(&scratch, name, "");
    }
    scratch_text(&scratch, "job/g000001/journal-000001.log.old", "");
    scratch_text(&scratch, "job/g000001/journal-.log", "");
    assert_int_equal(generation_journals(&generation, &numbers, &count, &err), 0);
    assert_int_equal(count, 4);
    assert_int_equal(numbers[0], 3);
    assert_int_equal(numbers[1], 7);
    assert_int_equal(numbers[2], 12);
    assert_int_equal(numbers[3], 1000000);
    mem_release(numbers);
    generation_done(&generation);
    job_close(&job);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_spec_with_odd_bytes_comes_back),
        CASE(test_all_bytes_of_a_name_come_back),
        CASE(test_differences_are_named),
        CASE(test_lines_that_nobody_writes_are_refused),
        CASE(test_default_path_is_stable_and_tells_jobs_apart),
        CASE(test_job_is_made_and_found_again),
        CASE(test_bare_name_is_looked_up_among_the_jobs),
        CASE(test_directory_with_something_else_is_no_place_for_a_job),
        CASE(test_each_damage_of_the_job_file_is_found),
        CASE(test_generations_are_made_finished_and_deleted),
        CASE(test_other_names_are_no_generations),
        CASE(test_sealed_segments_are_counted_and_the_end_must_fit),
        CASE(test_each_damage_of_the_end_is_found),
        CASE(test_journals_are_found_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
