#include "job/tally.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"
#include "recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct scratch scratch;
static struct job job;
static struct tally tally;

static int start(void **state)
{
    (void)state;
    SCOPED(buf) struct buf path = { 0 };
    scratch_open(&scratch);
    buf_printf(&path, "%s/job", scratch.path);
    recorded_job(&job, path.data, "/src", "file:/dest");
    return 0;
}

static int end(void **state)
{
    (void)state;
    tally_done(&tally);
    job_close(&job);
    scratch_close(&scratch);
    return 0;
}

static void read_tally(const struct history *history)
{
    struct err err = { 0 };
    if (tally_read(&tally, &job, 1, history, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_entries_are_counted_by_size_and_the_largest_named(void **state)
{
    (void)state;
    const struct recorded entries[] = {
        { .name = "a/", .kind = ENTRY_DIR, .action = PLAN_NEW, .status = RESULT_DONE },
        { .name = "a/empty", .kind = ENTRY_FILE, .action = PLAN_NEW, .status = RESULT_DONE },
        { .name = "a/k",
          .kind = ENTRY_FILE,
          .action = PLAN_NEW,
          .status = RESULT_DONE,
          .size_bytes = 1024 },
        { .name = "a/m",
          .kind = ENTRY_FILE,
          .action = PLAN_NEW,
          .status = RESULT_DONE,
          .size_bytes = 1 << 20 },
        { .name = "a/pipe", .kind = ENTRY_SPECIAL, .action = PLAN_SKIP },
    };
    const struct history history = { .slow_count = 1,
                                     .slow_total = 3,
                                     .slow = { { .segment = 1, .ordinal = 2, .span_ns = 5 } } };
    recorded_generation(&job, 1, entries, sizeof entries / sizeof *entries);
    read_tally(&history);
    assert_int_equal(tally.size_count[0], 1);
    assert_int_equal(tally.size_count[2], 1);
    assert_int_equal(tally.size_bytes[5], 1 << 20);
    assert_int_equal(tally.largest.total, 3);
    assert_string_equal(tally.largest.items[0].name, "a/m");
    assert_string_equal(tally.largest.items[2].name, "a/empty");
    assert_int_equal(tally.skipped.total, 1);
    assert_string_equal(tally.skipped.items[0].name, "a/pipe");
    assert_non_null(tally.skipped.items[0].why);
    assert_int_equal(tally.slow.count, 1);
    assert_int_equal(tally.slow.total, 3);
    assert_string_equal(tally.slow.items[0].name, "a/k");
    assert_int_equal(tally.batch_total, 1);
    assert_true(tally.batches[0].done);
    assert_int_equal(tally.batches[0].entries, 5);
    assert_int_equal(strlen(tally.proof.list_sha256), 64);
}

static void test_lists_are_bounded_and_count_the_rest(void **state)
{
    (void)state;
    enum { COUNT = 3 * TALLY_LIST };
    const struct history history = { 0 };
    struct recorded *entries = mem_alloc(COUNT * sizeof *entries);
    char names[COUNT][16];
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "f%04u", i);
        entries[i] = (struct recorded){ .name = names[i],
                                        .kind = ENTRY_FILE,
                                        .action = PLAN_NEW,
                                        .status = i % 2 == 0 ? RESULT_FAILED : RESULT_DONE,
                                        .size_bytes = (i * 7) % COUNT };
    }
    recorded_generation(&job, 1, entries, COUNT);
    mem_release(entries);
    read_tally(&history);
    assert_int_equal(tally.failed.total, COUNT / 2);
    assert_int_equal(tally.failed.count, TALLY_LIST);
    assert_string_equal(tally.failed.items[1].name, "f0002");
    assert_int_equal(tally.largest.count, TALLY_LARGEST);
    for (uint32_t i = 1; i < TALLY_LARGEST; i++)
        assert_true(tally.largest.items[i - 1].size_bytes > tally.largest.items[i].size_bytes);
}

static void test_classes_of_size_meet(void **state)
{
    (void)state;
    assert_int_equal(tally_size_limit(0), 1);
    assert_int_equal(tally_size_limit(1), 1024);
    assert_int_equal(tally_size_limit(2), 8192);
    assert_true(tally_size_limit(TALLY_SIZES - 1) == UINT64_MAX);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_entries_are_counted_by_size_and_the_largest_named),
        CASE(test_lists_are_bounded_and_count_the_rest),
        CASE(test_classes_of_size_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
