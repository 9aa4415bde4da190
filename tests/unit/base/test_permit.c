#include "base/permit.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <stdatomic.h>

#define TRIP_NS (100 * NS_PER_MS)

static void take(struct permit *permit, uint32_t count)
{
    struct err err = { 0 };
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(permit_take(permit, NULL, &err), 0);
}

static void give(struct permit *permit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        permit_give(permit);
}

/* One round trip with all permits in use, answered without complaint. */
static void good_round(struct permit *permit, int64_t *now_ns)
{
    const uint32_t limit = permit_limit(permit);
    take(permit, limit);
    *now_ns += TRIP_NS;
    for (uint32_t i = 0; i < limit; i++)
        permit_answered(permit, TRIP_NS, false, *now_ns);
    give(permit, limit);
}

static void test_permit_starts_at_the_ceiling(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 16);
    assert_int_equal(permit_limit(&permit), 16);
    SCOPED(permit) struct permit none;
    permit_init(&none, 0);
    assert_int_equal(permit_limit(&none), 1);
}

static void test_permit_is_halved_once_per_round_trip(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 16);
    take(&permit, 16);
    int64_t now_ns = NS_PER_S;
    for (int i = 0; i < 16; i++)
        permit_answered(&permit, TRIP_NS, true, now_ns + i);
    assert_int_equal(permit_limit(&permit), 8);

    now_ns += 2 * TRIP_NS;
    for (int i = 0; i < 8; i++)
        permit_answered(&permit, TRIP_NS, true, now_ns + i);
    assert_int_equal(permit_limit(&permit), 4);
    assert_int_equal(permit.asked_less, 2);
}

static void test_permit_ignores_complaints_about_what_was_sent_before_the_cut(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 16);
    take(&permit, 2);
    permit_answered(&permit, TRIP_NS, true, NS_PER_S);
    /* Sent long before the cut, answered long after it. */
    permit_answered(&permit, 60 * NS_PER_S, true, 50 * NS_PER_S);
    assert_int_equal(permit_limit(&permit), 8);
}

static void test_permit_never_falls_below_one(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 3);
    for (int i = 1; i <= 10; i++) {
        take(&permit, 1);
        permit_answered(&permit, TRIP_NS, true, i * NS_PER_S);
        give(&permit, 1);
    }
    assert_int_equal(permit_limit(&permit), 1);
    assert_int_equal(permit.asked_less, 10);
}

static void test_permit_grows_by_one_each_round_trip_up_to_the_ceiling(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 8);
    take(&permit, 1);
    int64_t now_ns = NS_PER_S;
    permit_answered(&permit, TRIP_NS, true, now_ns);
    give(&permit, 1);
    assert_int_equal(permit_limit(&permit), 4);
    for (uint32_t want = 5; want <= 8; want++) {
        good_round(&permit, &now_ns);
        assert_int_equal(permit_limit(&permit), want);
    }
    good_round(&permit, &now_ns);
    assert_int_equal(permit_limit(&permit), 8);
}

static void test_permit_does_not_grow_while_some_are_unused(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 8);
    take(&permit, 1);
    permit_answered(&permit, TRIP_NS, true, NS_PER_S);
    give(&permit, 1);
    for (int i = 0; i < 100; i++) {
        take(&permit, 1);
        permit_answered(&permit, TRIP_NS, false, (2 + i) * NS_PER_S);
        give(&permit, 1);
    }
    assert_int_equal(permit_limit(&permit), 4);
}

static void test_permit_take_ends_when_stopped(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 1);
    take(&permit, 1);
    struct stop stop = { 0 };
    stop_raise(&stop);
    struct err err = { 0 };
    assert_int_equal(permit_take(&permit, &stop, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
}

static void test_permit_yield_waits_only_where_too_many_are_in_flight(void **state)
{
    (void)state;
    SCOPED(permit) struct permit permit;
    permit_init(&permit, 4);
    take(&permit, 4);
    struct stop stop = { 0 };
    struct err err = { 0 };
    assert_int_equal(permit_yield(&permit, &stop, &err), 0);
    permit_answered(&permit, TRIP_NS, true, NS_PER_S); /* 2 are allowed now */
    stop_raise(&stop);
    assert_int_equal(permit_yield(&permit, &stop, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    assert_int_equal(permit.in_flight, 4);
    give(&permit, 2);
    assert_int_equal(permit_yield(&permit, NULL, &err), 0);
    assert_int_equal(permit.in_flight, 2);
}

struct crowd {
    struct permit permit;
    atomic_int inside, most;
};

static void *go_in_and_out(void *arg)
{
    struct crowd *crowd = arg;
    struct err err = { 0 };
    for (int i = 0; i < 500; i++) {
        if (permit_take(&crowd->permit, NULL, &err) < 0)
            break;
        const int inside = atomic_fetch_add(&crowd->inside, 1) + 1;
        int most = atomic_load(&crowd->most);
        while (most < inside && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
            ;
        atomic_fetch_sub(&crowd->inside, 1);
        permit_answered(&crowd->permit, 1000, i % 100 == 0, clock_monotonic_ns());
        if (permit_yield(&crowd->permit, NULL, &err) < 0)
            break;
        permit_give(&crowd->permit);
    }
    return NULL;
}

static void test_permit_is_never_exceeded_by_threads(void **state)
{
    (void)state;
    struct crowd crowd = { 0 };
    permit_init(&crowd.permit, 3);
    struct thread threads[8] = { 0 };
    struct err err = { 0 };
    for (int i = 0; i < 8; i++)
        assert_int_equal(thread_start(&threads[i], "crowd", go_in_and_out, &crowd, &err), 0);
    for (int i = 0; i < 8; i++)
        thread_join(&threads[i]);
    assert_in_range(crowd.most, 1, 3);
    assert_int_equal(crowd.permit.in_flight, 0);
    permit_done(&crowd.permit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permit_starts_at_the_ceiling),
        cmocka_unit_test(test_permit_is_halved_once_per_round_trip),
        cmocka_unit_test(test_permit_ignores_complaints_about_what_was_sent_before_the_cut),
        cmocka_unit_test(test_permit_never_falls_below_one),
        cmocka_unit_test(test_permit_grows_by_one_each_round_trip_up_to_the_ceiling),
        cmocka_unit_test(test_permit_does_not_grow_while_some_are_unused),
        cmocka_unit_test(test_permit_take_ends_when_stopped),
        cmocka_unit_test(test_permit_yield_waits_only_where_too_many_are_in_flight),
        cmocka_unit_test(test_permit_is_never_exceeded_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
