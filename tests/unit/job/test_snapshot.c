#include "job/snapshot.h"

#include "base/ban.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#define MIB (UINT64_C(1024) * 1024)

static void assert_near(double got, double want, double part)
{
    if (got < want * (1 - part) || got > want * (1 + part))
        fail_msg("%g is not near %g", got, want);
}

static void test_a_steady_rate_is_right_from_the_second_sample_on(void **state)
{
    (void)state;
    struct rate_meter meter = { 0 };
    for (int64_t i = 0; i <= INT64_C(18000); i++) {
        rate_meter_add(&meter, 1000 + i * NS_PER_S / 5, (double)i * 200);
        if (i > 0)
            assert_near(rate_meter_per_s(&meter), 1000, 0.001);
    }
}

static void test_a_change_of_rate_is_followed_within_the_meter_s_time(void **state)
{
    (void)state;
    struct rate_meter meter = { 0 };
    double total = 0;
    int64_t now_ns = 0;
    for (; now_ns < 100 * NS_PER_S; now_ns += NS_PER_S, total += 1000)
        rate_meter_add(&meter, now_ns, total);
    for (; now_ns < 110 * NS_PER_S; now_ns += NS_PER_S, total += 100)
        rate_meter_add(&meter, now_ns, total);
    assert_near(rate_meter_per_s(&meter), 100 + 900 * 0.4, 0.1);
    for (; now_ns < 200 * NS_PER_S; now_ns += NS_PER_S, total += 100)
        rate_meter_add(&meter, now_ns, total);
    assert_near(rate_meter_per_s(&meter), 100, 0.01);
}

static void test_uneven_samples_give_the_same_rate(void **state)
{
    (void)state;
    struct rate_meter meter = { 0 };
    const int64_t steps_ms[] = { 1, 700, 20, 5000, 200, 0, 333 };
    int64_t now_ns = 5;
    for (int i = 0; i < 70; i++) {
        rate_meter_add(&meter, now_ns, (double)now_ns / NS_PER_S * 42);
        now_ns += steps_ms[i % 7] * NS_PER_MS;
    }
    assert_near(rate_meter_per_s(&meter), 42, 0.001);
}

static void test_nothing_is_known_before_two_samples(void **state)
{
    (void)state;
    struct rate_meter meter = { 0 };
    assert_true(rate_meter_per_s(&meter) == 0);
    rate_meter_add(&meter, 7, 1000);
    rate_meter_add(&meter, 7, 2000);
    rate_meter_add(&meter, 3, 3000);
    assert_true(rate_meter_per_s(&meter) == 0);
}

/* A job of equal objects, `done` of them after each step. */
struct walk {
    struct snapshot snap;
    struct snapshot_meter meter;
    uint64_t object_bytes;
};

static void walk_to(struct walk *walk, int64_t elapsed_ns, uint64_t done_count,
                    uint64_t flight_bytes)
{
    struct snapshot *snap = &walk->snap;
    snap->elapsed_ns = elapsed_ns;
    snap->done.count = done_count;
    snap->done.bytes = done_count * walk->object_bytes;
    snap->flight_bytes = flight_bytes;
    snap->moved_bytes = snap->done.bytes + flight_bytes;
    snapshot_measure(snap, &walk->meter, 77 * NS_PER_S + elapsed_ns);
}

static struct walk walk_of(uint64_t count, uint64_t object_bytes)
{
    return (struct walk){ .object_bytes = object_bytes,
                          .snap = { .phase = SNAPSHOT_RUNNING,
                                    .totals_final = true,
                                    .planned = { count, count * object_bytes } } };
}

static void test_eta_of_large_objects_is_by_bytes_in_flight_too(void **state)
{
    (void)state;
    /* One object a minute at 1 GiB/s: what is settled alone would tell nothing for a minute. */
    const uint64_t object_bytes = UINT64_C(60) * 1024 * MIB;
    struct walk walk = walk_of(100, object_bytes);
    for (uint64_t second = 0; second <= 90; second++) {
        walk_to(&walk, (int64_t)second * NS_PER_S, second / 60, second % 60 * 1024 * MIB);
        if (second == 0)
            assert_int_equal(walk.snap.eta_ns, -1);
        else
            assert_near((double)walk.snap.eta_ns, (double)(6000 - second) * NS_PER_S, 0.01);
    }
    assert_near(walk.snap.rate_bytes_per_s, 1024 * MIB, 0.01);
}

static void test_eta_of_small_objects_is_by_their_number(void **state)
{
    (void)state;
    /* A large object goes by quickly, then a million small ones at 1,000 a second. */
    struct walk walk = walk_of(1000000, 1);
    walk.snap.planned.bytes += 100 * MIB;
    for (uint64_t second = 0; second <= 60; second++) {
        walk_to(&walk, (int64_t)second * NS_PER_S, second * 1000, 100 * MIB);
        if (second > 0)
            assert_near((double)walk.snap.eta_ns, (double)(1000 - second) * NS_PER_S, 0.02);
    }
    assert_near(walk.snap.rate_objects_per_s, 1000, 0.01);
}

static void test_eta_is_unknown_while_the_plan_grows_and_none_at_the_end(void **state)
{
    (void)state;
    struct walk walk = walk_of(100, MIB);
    walk.snap.phase = SNAPSHOT_PLANNING;
    walk.snap.totals_final = false;
    walk_to(&walk, NS_PER_S, 10, 0);
    walk_to(&walk, 2 * NS_PER_S, 20, 0);
    assert_int_equal(walk.snap.eta_ns, -1);
    walk.snap.totals_final = true;
    walk_to(&walk, 3 * NS_PER_S, 30, 0);
    assert_near((double)walk.snap.eta_ns, 7.0 * NS_PER_S, 0.02);
    walk.snap.phase = SNAPSHOT_ENDED;
    walk_to(&walk, 20 * NS_PER_S, 100, 0);
    assert_int_equal(walk.snap.eta_ns, 0);
    /* At the end the rates are those of the whole, without what was settled before the start. */
    assert_near(walk.snap.rate_bytes_per_s, 5 * MIB, 0.001);
    assert_near(walk.snap.rate_objects_per_s, 4.5, 0.001);
}

static void test_what_an_earlier_run_settled_is_no_speed(void **state)
{
    (void)state;
    struct walk walk = walk_of(20000, 0);
    for (uint64_t second = 0; second <= 60; second++)
        walk_to(&walk, (int64_t)second * NS_PER_S, 10000 + second * 10, 0);
    assert_near((double)walk.snap.eta_ns, 940.0 * NS_PER_S, 0.01);
}

static void test_eta_is_unknown_when_nothing_moves(void **state)
{
    (void)state;
    struct walk walk = walk_of(100, MIB);
    for (int64_t second = 0; second < 20; second++)
        walk_to(&walk, second * NS_PER_S, 0, 0);
    assert_int_equal(walk.snap.eta_ns, -1);
    walk = walk_of(100, 0);
    walk_to(&walk, 0, 0, 0);
    walk_to(&walk, NS_PER_S, 5, 0);
    assert_int_equal(walk.snap.eta_ns, -1);
    walk_to(&walk, 2 * NS_PER_S, 20, 0);
    assert_true(walk.snap.eta_ns > 0);
}

static void test_settled_is_all_that_has_ended(void **state)
{
    (void)state;
    const struct snapshot snap = { .done = { 1, 10 },
                                   .unchanged = { 2, 20 },
                                   .skipped = { 3, 30 },
                                   .failed = { 4, 40 },
                                   .conflict = { 4, 40 } };
    assert_int_equal(snapshot_settled(&snap).count, 10);
    assert_int_equal(snapshot_settled(&snap).bytes, 100);
}

static void test_the_newest_failures_are_kept(void **state)
{
    (void)state;
    static struct snapshot snap;
    for (int i = 0; i < SNAPSHOT_FAILURES + 2; i++) {
        char text[16];
        snprintf(text, sizeof(text), "failure %d", i);
        snapshot_add_failure(&snap, text);
    }
    assert_int_equal(snap.failures_count, SNAPSHOT_FAILURES);
    assert_string_equal(snap.failures[0], "failure 2");
    assert_string_equal(snap.failures[SNAPSHOT_FAILURES - 1], "failure 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_steady_rate_is_right_from_the_second_sample_on),
        cmocka_unit_test(test_a_change_of_rate_is_followed_within_the_meter_s_time),
        cmocka_unit_test(test_uneven_samples_give_the_same_rate),
        cmocka_unit_test(test_nothing_is_known_before_two_samples),
        cmocka_unit_test(test_eta_of_large_objects_is_by_bytes_in_flight_too),
        cmocka_unit_test(test_eta_of_small_objects_is_by_their_number),
        cmocka_unit_test(test_eta_is_unknown_while_the_plan_grows_and_none_at_the_end),
        cmocka_unit_test(test_what_an_earlier_run_settled_is_no_speed),
        cmocka_unit_test(test_eta_is_unknown_when_nothing_moves),
        cmocka_unit_test(test_settled_is_all_that_has_ended),
        cmocka_unit_test(test_the_newest_failures_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
