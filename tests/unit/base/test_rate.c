#include "base/rate.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static void test_rate_keeps_long_term_average_over_an_hour(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1e6, 0);
    const int64_t hour_ns = 3600 * NS_PER_S;
    double taken = 0;
    /* One taker that asks for pieces of any size and waits as it is told. */
    for (int64_t now_ns = 0; now_ns < hour_ns;) {
        const double amount = (double)(1 + now_ns / 977 % 65536);
        now_ns += rate_take_ns(&rate, amount, now_ns);
        taken += amount;
    }
    assert_true(taken > 0.9999 * 1e6 * 3600);
    assert_true(taken < 1.0001 * 1e6 * 3600);
}

static void test_rate_is_shared_by_many_takers_over_an_hour(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1e6, 0);
    int64_t ready_ns[8] = { 0 };
    double taken = 0;
    for (;;) {
        size_t next = 0;
        for (size_t i = 1; i < 8; i++)
            if (ready_ns[i] < ready_ns[next])
                next = i;
        if (ready_ns[next] >= 3600 * NS_PER_S)
            break;
        ready_ns[next] += rate_take_ns(&rate, 1 << 20, ready_ns[next]);
        taken += 1 << 20;
    }
    assert_true(taken > 0.99 * 1e6 * 3600);
    assert_true(taken < 1.01 * 1e6 * 3600);
}

static void test_rate_allows_a_quarter_second_after_any_pause(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1000, 0);
    const int64_t later_ns = 3600 * NS_PER_S;
    assert_int_equal(rate_take_ns(&rate, 250, later_ns), 0);
    const int64_t wait_ns = rate_take_ns(&rate, 100, later_ns);
    assert_in_range(wait_ns, 100 * NS_PER_MS, 100 * NS_PER_MS + 10);
}

static void test_rate_takes_more_than_the_burst_as_debt(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1000, 0);
    const int64_t first_ns = rate_take_ns(&rate, 10250, 0);
    assert_in_range(first_ns, 10 * NS_PER_S, 10 * NS_PER_S + 10);
    /* Who comes later waits for the debt too. */
    const int64_t second_ns = rate_take_ns(&rate, 1000, NS_PER_S);
    assert_in_range(second_ns, 10 * NS_PER_S - 10, 10 * NS_PER_S + 10);
}

static void test_rate_below_one_a_second_lets_requests_through(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 0.5, 0);
    int64_t now_ns = 0;
    for (int i = 0; i < 1800; i++)
        now_ns += rate_take_ns(&rate, 1, now_ns);
    assert_in_range(now_ns, 3599 * NS_PER_S, 3600 * NS_PER_S);
}

static void test_rate_does_not_go_back_in_time(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1000, 0);
    assert_int_equal(rate_take_ns(&rate, 250, NS_PER_S), 0);
    const int64_t wait_ns = rate_take_ns(&rate, 100, NS_PER_S / 2);
    assert_in_range(wait_ns, 100 * NS_PER_MS, 100 * NS_PER_MS + 10);
    assert_true(rate_take_ns(&rate, 0, NS_PER_S) >= 100 * NS_PER_MS);
}

static void test_rate_zero_is_no_limit(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 0, 0);
    struct err err = { 0 };
    assert_int_equal(rate_take_ns(&rate, 1e18, 0), 0);
    assert_int_equal(rate_wait(&rate, 1e18, NULL, &err), 0);
    assert_int_equal(rate_wait(NULL, 1e18, NULL, &err), 0);
}

static void test_rate_wait_ends_when_stopped(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1, clock_monotonic_ns());
    struct stop stop = { 0 };
    stop_raise(&stop);
    struct err err = { 0 };
    assert_int_equal(rate_wait(&rate, 1e9, &stop, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
}

static void test_rate_wait_waits(void **state)
{
    (void)state;
    SCOPED(rate) struct rate rate;
    rate_init(&rate, 1000, clock_monotonic_ns());
    struct err err = { 0 };
    const int64_t start_ns = clock_monotonic_ns();
    assert_int_equal(rate_wait(&rate, 300, NULL, &err), 0);
    assert_true(clock_monotonic_ns() - start_ns >= 45 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_keeps_long_term_average_over_an_hour),
        cmocka_unit_test(test_rate_is_shared_by_many_takers_over_an_hour),
        cmocka_unit_test(test_rate_allows_a_quarter_second_after_any_pause),
        cmocka_unit_test(test_rate_takes_more_than_the_burst_as_debt),
        cmocka_unit_test(test_rate_below_one_a_second_lets_requests_through),
        cmocka_unit_test(test_rate_does_not_go_back_in_time),
        cmocka_unit_test(test_rate_zero_is_no_limit),
        cmocka_unit_test(test_rate_wait_ends_when_stopped),
        cmocka_unit_test(test_rate_wait_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
