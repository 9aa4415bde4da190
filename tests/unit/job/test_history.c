#include "job/history.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/scope.h"
#include "job/journal.h"
#include "recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct scratch scratch;
static struct job job;
static struct generation generation;

static int start(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(buf) struct buf path = { 0 };
    scratch_open(&scratch);
    buf_printf(&path, "%s/job", scratch.path);
    recorded_job(&job, path.data, "/src", "file:/dest");
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    generation_done(&generation);
    job_close(&job);
    scratch_close(&scratch);
    return 0;
}

/* `count` results of `bytes` each, from ordinal `first` on. */
static void add_results(struct journal *journal, uint32_t first, uint32_t count, uint64_t bytes)
{
    SCOPED(buf) struct buf encoded = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        const struct result result = { .ordinal = first + i,
                                       .status = RESULT_DONE,
                                       .size_bytes = bytes };
        result_encode(&encoded, &result);
    }
    journal_add_results(journal, 1, count, encoded.data, encoded.len);
}

static int64_t start_of(const struct journal *journal)
{
    return journal->timed_ns;
}

static void open_journal(struct journal *journal, uint32_t process)
{
    struct err err = { 0 };
    assert_int_equal(journal_create(journal, generation.dir_fd, process, &err), 0);
}

static void close_journal(struct journal *journal)
{
    struct err err = { 0 };
    assert_int_equal(journal_flush(journal, true, &err), 0);
    journal_done(journal);
}

static void read_history(struct history *history)
{
    struct err err = { 0 };
    if (history_read(history, &generation, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_no_journals_are_no_history(void **state)
{
    (void)state;
    struct history history;
    read_history(&history);
    assert_int_equal(history.run_count, 0);
    assert_int_equal(history.bin_count, 0);
    history_done(&history);
}

static void test_results_are_spread_over_the_time_before_them(void **state)
{
    (void)state;
    struct journal journal;
    struct history history;
    open_journal(&journal, 1);
    const int64_t start_ns = start_of(&journal);
    add_results(&journal, 0, 10, 100);
    journal_add_time(&journal, start_ns + 5 * NS_PER_S);
    add_results(&journal, 10, 30, 1000);
    journal_add_time(&journal, start_ns + 10 * NS_PER_S);
    close_journal(&journal);

    read_history(&history);
    assert_int_equal(history.run_count, 1);
    assert_int_equal(history.runs[0].settled, 40);
    assert_int_equal(history.runs[0].moved_bytes, 31000);
    assert_true(history.worked_ns >= 10 * NS_PER_S && history.worked_ns < 11 * NS_PER_S);
    assert_int_equal(history.bin_count, 10);
    double settled = 0;
    double bytes = 0;
    for (uint32_t i = 0; i < history.bin_count; i++) {
        settled += history.bins[i].settled;
        bytes += history.bins[i].moved_bytes;
    }
    assert_true(settled > 39.99 && settled < 40.01);
    assert_true(bytes > 30999 && bytes < 31001);
    assert_true(history.bins[0].settled > 1.9 && history.bins[0].settled < 2.2);
    assert_true(history.bins[9].settled > 5.5 && history.bins[9].settled < 6.7);
    history_done(&history);
}

static void test_a_large_object_is_counted_by_its_parts_and_once(void **state)
{
    (void)state;
    struct journal journal;
    struct history history;
    const struct journal_upload upload = { .segment = 1, .ordinal = 7, .token = "t" };
    const struct store_part part = { .number = 1, .size_bytes = 600 };
    open_journal(&journal, 1);
    journal_add_begin(&journal, &upload);
    journal_add_part(&journal, 1, 7, &part);
    close_journal(&journal);
    read_history(&history);
    assert_int_equal(history.open_bytes, 600);
    assert_int_equal(history.runs[0].moved_bytes, 600);
    history_done(&history);

    open_journal(&journal, 2);
    add_results(&journal, 7, 1, 1000);
    close_journal(&journal);
    read_history(&history);
    assert_int_equal(history.open_bytes, 0);
    assert_int_equal(history.runs[1].moved_bytes, 400);
    history_done(&history);
}

static void test_the_slowest_are_kept_in_order(void **state)
{
    (void)state;
    struct journal journal;
    struct history history;
    open_journal(&journal, 1);
    for (uint32_t i = 0; i < 100; i++)
        journal_add_slow(&journal, 1, i, (1 + (i * 37) % 100) * NS_PER_S);
    close_journal(&journal);
    read_history(&history);
    assert_int_equal(history.slow_total, 100);
    assert_int_equal(history.slow_count, HISTORY_SLOW);
    for (uint32_t i = 0; i < HISTORY_SLOW; i++)
        assert_true(history.slow[i].span_ns == (100 - i) * NS_PER_S);
    history_done(&history);
}

static void test_a_clock_that_was_set_back_does_no_harm(void **state)
{
    (void)state;
    struct journal journal;
    struct history history;
    open_journal(&journal, 1);
    const int64_t start_ns = start_of(&journal);
    add_results(&journal, 0, 1, 1);
    journal_add_time(&journal, start_ns - 100 * NS_PER_S); /* a clock that was set back */
    add_results(&journal, 1, 1, 1);
    journal_add_time(&journal, start_ns + 2 * NS_PER_S);
    close_journal(&journal);
    read_history(&history);
    assert_true(history_worked_at(&history, start_ns + NS_PER_S) == NS_PER_S);
    assert_true(history_worked_at(&history, start_ns - NS_PER_S) == 0);
    assert_true(history_worked_at(&history, INT64_MAX) == history.worked_ns);
    assert_int_equal(history.pause_count, 0);
    history_done(&history);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_no_journals_are_no_history),
        CASE(test_results_are_spread_over_the_time_before_them),
        CASE(test_a_large_object_is_counted_by_its_parts_and_once),
        CASE(test_the_slowest_are_kept_in_order),
        CASE(test_a_clock_that_was_set_back_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
