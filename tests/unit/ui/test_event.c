#include "ui/event.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "job/notes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#define TIME "\"time\":\"2026-11-21T09:30:05.250000000Z\""
static const int64_t time_ns = INT64_C(1795253405) * NS_PER_S + 250 * NS_PER_MS;

static const struct snapshot snap = { .work = SNAPSHOT_GET,
                                      .phase = SNAPSHOT_RUNNING,
                                      .totals_final = true,
                                      .planned = { 10, 1000 },
                                      .done = { 3, 300 },
                                      .unchanged = { 2, 20 },
                                      .skipped = { 1, 0 },
                                      .failed = { 2, 5 },
                                      .conflict = { 1, 5 },
                                      .new_count = 2,
                                      .replaced_count = 1,
                                      .moved_bytes = 333,
                                      .flight_bytes = 33,
                                      .retries = 7,
                                      .active_count = 4,
                                      .batches_done = 1,
                                      .batches_total = 2,
                                      .elapsed_ns = 1500 * NS_PER_MS,
                                      .rate_bytes_per_s = 222.5,
                                      .rate_objects_per_s = 2,
                                      .eta_ns = -1 };
#define OUTCOME                                                                                    \
    "\"done\":{\"count\":3,\"bytes\":300},\"new\":2,\"replaced\":1,"                               \
    "\"unchanged\":{\"count\":2,\"bytes\":20},\"skipped\":{\"count\":1,\"bytes\":0},"              \
    "\"failed\":{\"count\":2,\"bytes\":5},\"conflicts\":1,\"moved_bytes\":333,\"retries\":7,"      \
    "\"elapsed_s\":1.5,\"bytes_per_s\":222.5,\"objects_per_s\":2"

static void test_plan_tells_the_totals(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    event_plan(&out, time_ns, &snap);
    assert_string_equal(buf_text(&out), "{\"event\":\"plan\"," TIME ",\"work\":\"get\","
                                        "\"planned\":{\"count\":10,\"bytes\":1000},"
                                        "\"batches\":2}\n");
}

static void test_progress_tells_every_number(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    event_progress(&out, time_ns, &snap);
    assert_string_equal(buf_text(&out),
                        "{\"event\":\"progress\"," TIME
                        ",\"phase\":\"running\",\"totals_final\":true,"
                        "\"planned\":{\"count\":10,\"bytes\":1000}," OUTCOME
                        ",\"flight_bytes\":33,\"active\":4,\"batches_done\":1,\"batches\":2,"
                        "\"eta_s\":null}\n");
}

static void test_item_tells_why_and_keeps_the_bytes_of_a_name(void **state)
{
    (void)state;
    struct err err = { 0 };
    err_set(&err, ERR_DENIED, "open 'x': permission denied");
    err_hint(&err, "ask the owner");
    err.http = 403;
    SCOPED(buf) struct buf out = { 0 };
    event_item(&out, time_ns, RESULT_FAILED, "a\xff\"b\nc", 6, &err);
    assert_string_equal(buf_text(&out), "{\"event\":\"item\"," TIME ",\"status\":\"failed\","
                                        "\"name\":\"a\\udcff\\\"b\\nc\",\"kind\":\"denied\","
                                        "\"error\":\"open 'x': permission denied\","
                                        "\"hint\":\"ask the owner\",\"http\":403}\n");
    buf_clear(&out);
    event_item(&out, time_ns, RESULT_SKIPPED, "fifo", 4, NULL);
    assert_string_equal(buf_text(&out),
                        "{\"event\":\"item\"," TIME ",\"status\":\"skipped\",\"name\":\"fifo\"}\n");
    buf_clear(&out);
    event_item(&out, time_ns, NOTE_WARNING, "a", 1, NULL);
    assert_string_equal(buf_text(&out),
                        "{\"event\":\"item\"," TIME ",\"status\":\"warning\",\"name\":\"a\"}\n");
}

static void test_batch_tells_what_became_of_its_entries(void **state)
{
    (void)state;
    struct result_sum sum = { .retries = 2 };
    sum.count[RESULT_DONE] = 5;
    sum.bytes[RESULT_DONE] = 50;
    sum.count[RESULT_FAILED] = 1;
    SCOPED(buf) struct buf out = { 0 };
    event_batch(&out, time_ns, 17, &sum);
    assert_string_equal(buf_text(&out), "{\"event\":\"batch\"," TIME ",\"number\":17,"
                                        "\"new\":{\"count\":5,\"bytes\":50},"
                                        "\"unchanged\":{\"count\":0,\"bytes\":0},"
                                        "\"skipped\":{\"count\":0,\"bytes\":0},"
                                        "\"failed\":{\"count\":1,\"bytes\":0},"
                                        "\"replaced\":{\"count\":0,\"bytes\":0},\"retries\":2}\n");
}

static void test_summary_and_error_end_the_stream(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    event_summary(&out, time_ns, &snap, EXIT_SOME_FAILED);
    assert_string_equal(buf_text(&out), "{\"event\":\"summary\"," TIME ",\"work\":\"get\","
                                        "\"planned\":{\"count\":10,\"bytes\":1000}," OUTCOME
                                        ",\"exit_status\":1}\n");
    buf_clear(&out);
    struct err err = { 0 };
    err_set(&err, ERR_CONFIG, "no such remote");
    event_error(&out, time_ns, &err);
    assert_string_equal(buf_text(&out), "{\"event\":\"error\"," TIME ",\"kind\":\"config\","
                                        "\"error\":\"no such remote\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_tells_the_totals),
        cmocka_unit_test(test_progress_tells_every_number),
        cmocka_unit_test(test_item_tells_why_and_keeps_the_bytes_of_a_name),
        cmocka_unit_test(test_batch_tells_what_became_of_its_entries),
        cmocka_unit_test(test_summary_and_error_end_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
