#include "base/pool.h"

#include "base/ban.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MIB (UINT64_C(1024) * 1024)

static void test_pool_budget_is_counted_in_slabs(void **state)
{
    (void)state;
    struct pool *pool = pool_new(5 * MIB + 17);
    assert_int_equal(pool_slab_count(pool), 5);
    assert_int_equal(pool_used_count(pool), 0);
    pool_free(pool);
    pool_free(NULL);
    struct pool *least = pool_new(0);
    assert_int_equal(pool_slab_count(least), 1);
    pool_free(least);
}

static void test_pool_gives_whole_writable_slabs(void **state)
{
    (void)state;
    struct pool *pool = pool_new(4 * MIB);
    struct err err = { 0 };
    void *slabs[4] = { 0 };
    assert_int_equal(pool_take(pool, slabs, 4, NULL, &err), 0);
    for (int i = 0; i < 4; i++)
        memset(slabs[i], i + 1, POOL_SLAB_BYTES);
    for (int i = 0; i < 4; i++)
        assert_int_equal(((unsigned char *)slabs[i])[POOL_SLAB_BYTES - 1], i + 1);
    assert_int_equal(pool_used_count(pool), 4);
    pool_give(pool, slabs, 4);
    assert_int_equal(pool_used_count(pool), 0);
    pool_free(pool);
}

static void test_pool_keeps_slabs_for_the_next_task(void **state)
{
    (void)state;
    struct pool *pool = pool_new(4 * MIB);
    struct err err = { 0 };
    void *first = NULL;
    void *second = NULL;
    assert_int_equal(pool_take(pool, &first, 1, NULL, &err), 0);
    const void *was = first;
    pool_give(pool, &first, 1);
    assert_int_equal(pool_take(pool, &second, 1, NULL, &err), 0);
    assert_ptr_equal(second, was);
    pool_give(pool, &second, 1);
    pool_free(pool);
}

static void test_pool_refuses_more_than_the_whole_budget(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2 * MIB);
    struct err err = { 0 };
    void *slabs[3] = { 0 };
    assert_int_equal(pool_take(pool, slabs, 3, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.hint, "allow more with --memory");
    pool_free(pool);
}

static void test_pool_take_of_none_is_no_wait(void **state)
{
    (void)state;
    struct pool *pool = pool_new(MIB);
    struct err err = { 0 };
    void *slab = NULL;
    assert_int_equal(pool_take(pool, &slab, 1, NULL, &err), 0);
    assert_int_equal(pool_take(pool, NULL, 0, NULL, &err), 0);
    pool_give(pool, NULL, 0);
    pool_give(pool, &slab, 1);
    pool_free(pool);
}

/* A thread that takes, tells its place in the order, and gives back. */
struct taker {
    struct pool *pool;
    struct stop *stop;
    size_t count;
    atomic_int *order;
    int place;
    int result;
    atomic_bool started;
    struct err err;
    struct thread thread;
};

static void *take_and_give(void *arg)
{
    struct taker *taker = arg;
    void *slabs[8];
    atomic_store(&taker->started, true);
    taker->result = pool_take(taker->pool, slabs, taker->count, taker->stop, &taker->err);
    if (taker->result == 0) {
        taker->place = atomic_fetch_add(taker->order, 1);
        pool_give(taker->pool, slabs, taker->count);
    }
    return NULL;
}

/* Start it and let it come to its wait. There is no event for "waits now", so it is given some
 * time; a slow machine can make the test weaker, never fail it. */
static void start(struct taker *taker)
{
    struct err err = { 0 };
    assert_int_equal(thread_start(&taker->thread, "taker", take_and_give, taker, &err), 0);
    while (!atomic_load(&taker->started))
        sched_yield();
    assert_int_equal(stop_sleep(NULL, 20 * NS_PER_MS, &err), 0);
}

static void test_pool_serves_a_large_task_before_a_small_one_that_came_later(void **state)
{
    (void)state;
    struct pool *pool = pool_new(4 * MIB);
    struct err err = { 0 };
    void *held[3];
    atomic_int order = 0;
    assert_int_equal(pool_take(pool, held, 3, NULL, &err), 0);
    struct taker large = { .pool = pool, .count = 4, .order = &order };
    struct taker small = { .pool = pool, .count = 1, .order = &order };
    start(&large);
    start(&small); /* one slab is free, yet it is not its turn */
    assert_int_equal(pool_used_count(pool), 3);
    assert_int_equal(atomic_load(&order), 0);
    pool_give(pool, held, 3);
    thread_join(&large.thread);
    thread_join(&small.thread);
    assert_int_equal(large.place, 0);
    assert_int_equal(small.place, 1);
    pool_free(pool);
}

static void test_pool_take_ends_soon_after_a_stop_and_lets_the_next_one_pass(void **state)
{
    (void)state;
    struct pool *pool = pool_new(4 * MIB);
    struct err err = { 0 };
    void *held[3];
    atomic_int order = 0;
    struct stop stop = { 0 };
    assert_int_equal(pool_take(pool, held, 3, NULL, &err), 0);
    struct taker large = { .pool = pool, .stop = &stop, .count = 4, .order = &order };
    struct taker small = { .pool = pool, .count = 1, .order = &order };
    start(&large);
    start(&small);
    stop_raise(&stop);
    thread_join(&large.thread);
    assert_int_equal(large.result, -1);
    assert_int_equal(large.err.kind, ERR_STOPPED);
    thread_join(&small.thread);
    assert_int_equal(small.result, 0);
    pool_give(pool, held, 3);
    pool_free(pool);
}

static void *take_often(void *arg)
{
    struct taker *taker = arg;
    for (size_t i = 0; i < 2000 && taker->result == 0; i++) {
        void *slabs[8];
        const size_t count = (i * 7 + taker->count) % 8 + 1;
        taker->result = pool_take(taker->pool, slabs, count, NULL, &taker->err);
        for (size_t s = 0; taker->result == 0 && s < count; s++)
            *(struct taker **)slabs[s] = taker;
        for (size_t s = 0; taker->result == 0 && s < count; s++)
            if (*(struct taker **)slabs[s] != taker)
                taker->place++; /* someone else has it too */
        if (taker->result == 0)
            pool_give(taker->pool, slabs, count);
    }
    return NULL;
}

static void test_pool_slabs_belong_to_one_thread_at_a_time(void **state)
{
    (void)state;
    struct pool *pool = pool_new(9 * MIB);
    struct taker takers[4];
    struct err err = { 0 };
    for (size_t i = 0; i < 4; i++) {
        takers[i] = (struct taker){ .pool = pool, .count = i };
        assert_int_equal(thread_start(&takers[i].thread, "taker", take_often, &takers[i], &err), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&takers[i].thread);
        assert_int_equal(takers[i].result, 0);
        assert_int_equal(takers[i].place, 0);
    }
    assert_int_equal(pool_used_count(pool), 0);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_budget_is_counted_in_slabs),
        cmocka_unit_test(test_pool_gives_whole_writable_slabs),
        cmocka_unit_test(test_pool_keeps_slabs_for_the_next_task),
        cmocka_unit_test(test_pool_refuses_more_than_the_whole_budget),
        cmocka_unit_test(test_pool_take_of_none_is_no_wait),
        cmocka_unit_test(test_pool_serves_a_large_task_before_a_small_one_that_came_later),
        cmocka_unit_test(test_pool_take_ends_soon_after_a_stop_and_lets_the_next_one_pass),
        cmocka_unit_test(test_pool_slabs_belong_to_one_thread_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
