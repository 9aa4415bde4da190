#include "base/thread.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <signal.h>

struct box {
    struct lock lock;
    struct cond filled;
    int value;
    bool signals_blocked;
};

static void *fill_box(void *arg)
{
    struct box *box = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    SCOPED_LOCK(&box->lock);
    box->signals_blocked = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1;
    box->value = 42;
    cond_wake_one(&box->filled);
    return NULL;
}

static void test_thread_wakes_who_waits_for_a_condition(void **state)
{
    (void)state;
    struct box box = { 0 };
    struct thread thread = { 0 };
    struct err err = { 0 };
    lock_init(&box.lock);
    cond_init(&box.filled);
    assert_int_equal(thread_start(&thread, "fill", fill_box, &box, &err), 0);
    {
        SCOPED_LOCK(&box.lock);
        while (box.value == 0)
            cond_wait(&box.filled, &box.lock);
    }
    thread_join(&thread);
    assert_int_equal(box.value, 42);
    assert_true(box.signals_blocked);
    cond_done(&box.filled);
    lock_done(&box.lock);
}

/* The test would die of the signal. */
static void test_thread_hold_pipe_keeps_a_broken_pipe_from_killing(void **state)
{
    (void)state;
    int ends[2];
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    const bool was_free = thread_hold_pipe();
    assert_true(was_free);
    assert_int_equal(write(ends[1], "x", 1), -1);
    const bool again = thread_hold_pipe();
    assert_false(again);
    thread_free_pipe(again);
    thread_free_pipe(was_free);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGPIPE), 0);
    close(ends[1]);
}

static void test_thread_leaves_the_signals_of_its_starter_alone(void **state)
{
    (void)state;
    struct box box = { 0 };
    struct thread thread = { 0 };
    struct err err = { 0 };
    lock_init(&box.lock);
    cond_init(&box.filled);
    assert_int_equal(thread_start(&thread, "fill", fill_box, &box, &err), 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGINT), 0);
    thread_join(&thread);
    cond_done(&box.filled);
    lock_done(&box.lock);
}

static void test_thread_join_of_what_never_started_is_nothing(void **state)
{
    (void)state;
    struct thread thread = { 0 };
    thread_join(&thread);
    assert_false(thread.started);
}

struct counter {
    struct lock lock;
    long count;
};

static void *count_up(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < 10000; i++) {
        SCOPED_LOCK(&counter->lock);
        counter->count++;
    }
    return NULL;
}

static void test_lock_lets_one_thread_in_at_a_time(void **state)
{
    (void)state;
    struct counter counter = { 0 };
    struct thread threads[4] = { 0 };
    struct err err = { 0 };
    lock_init(&counter.lock);
    for (int i = 0; i < 4; i++)
        assert_int_equal(thread_start(&threads[i], "count", count_up, &counter, &err), 0);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    assert_int_equal(counter.count, 40000);
    lock_done(&counter.lock);
}

static void test_cond_wait_for_tells_when_the_time_ran_out(void **state)
{
    (void)state;
    struct lock lock;
    struct cond cond;
    lock_init(&lock);
    cond_init(&cond);
    const int64_t start_ns = clock_monotonic_ns();
    {
        SCOPED_LOCK(&lock);
        while (cond_wait_for(&cond, &lock, 10 * NS_PER_MS))
            ;
    }
    assert_true(clock_monotonic_ns() - start_ns >= 10 * NS_PER_MS);
    cond_done(&cond);
    lock_done(&lock);
}

static void test_stop_is_never_raised_when_there_is_none(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_false(stop_raised(NULL));
    assert_int_equal(stop_check(NULL, &err), 0);
    assert_int_equal(stop_sleep(NULL, NS_PER_MS, &err), 0);
}

static void test_stop_check_fails_once_raised(void **state)
{
    (void)state;
    struct stop stop = { 0 };
    struct err err = { 0 };
    assert_int_equal(stop_check(&stop, &err), 0);
    stop_raise(&stop);
    assert_int_equal(stop_check(&stop, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
}

static void test_stop_sleep_sleeps_its_span(void **state)
{
    (void)state;
    struct stop stop = { 0 };
    struct err err = { 0 };
    const int64_t start_ns = clock_monotonic_ns();
    assert_int_equal(stop_sleep(&stop, 30 * NS_PER_MS, &err), 0);
    assert_true(clock_monotonic_ns() - start_ns >= 30 * NS_PER_MS);
    assert_int_equal(stop_sleep(&stop, -1, &err), 0);
}

struct sleeper {
    struct stop stop;
    struct err err;
    int result;
};

static void *sleep_an_hour(void *arg)
{
    struct sleeper *sleeper = arg;
    sleeper->result = stop_sleep(&sleeper->stop, 3600 * NS_PER_S, &sleeper->err);
    return NULL;
}

static void test_stop_sleep_ends_when_raised(void **state)
{
    (void)state;
    struct sleeper sleeper = { 0 };
    struct thread thread = { 0 };
    struct err err = { 0 };
    assert_int_equal(thread_start(&thread, "sleep", sleep_an_hour, &sleeper, &err), 0);
    stop_raise(&sleeper.stop);
    thread_join(&thread);
    assert_int_equal(sleeper.result, -1);
    assert_int_equal(sleeper.err.kind, ERR_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread_wakes_who_waits_for_a_condition),
        cmocka_unit_test(test_thread_hold_pipe_keeps_a_broken_pipe_from_killing),
        cmocka_unit_test(test_thread_leaves_the_signals_of_its_starter_alone),
        cmocka_unit_test(test_thread_join_of_what_never_started_is_nothing),
        cmocka_unit_test(test_lock_lets_one_thread_in_at_a_time),
        cmocka_unit_test(test_cond_wait_for_tells_when_the_time_ran_out),
        cmocka_unit_test(test_stop_is_never_raised_when_there_is_none),
        cmocka_unit_test(test_stop_check_fails_once_raised),
        cmocka_unit_test(test_stop_sleep_sleeps_its_span),
        cmocka_unit_test(test_stop_sleep_ends_when_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
