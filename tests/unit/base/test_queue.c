#include "base/queue.h"

#include "base/clock.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CAP 4
#define THREADS 4
#define ITEMS 5000

static unsigned numbers[THREADS][ITEMS];

static void test_items_come_out_in_order(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, CAP);
    int items[3 * CAP];
    for (int round = 0; round < 3; round++) { /* around the ring */
        for (int i = 0; i < CAP - 1; i++)
            assert_true(queue_put(&queue, &items[i]));
        for (int i = 0; i < CAP - 1; i++)
            assert_ptr_equal(queue_take(&queue, -1), &items[i]);
    }
    queue_done(&queue);
}

static void test_take_gives_up_when_the_time_is_over(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, CAP);
    const int64_t start_ns = clock_monotonic_ns();
    assert_null(queue_take(&queue, 5 * NS_PER_MS));
    assert_true(clock_monotonic_ns() - start_ns >= 5 * NS_PER_MS);
    assert_null(queue_take(&queue, 0));
    assert_false(queue_ended(&queue));
    queue_done(&queue);
}

static void test_close_leaves_what_is_in_it_to_the_takers(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, CAP);
    int item = 0;
    int late = 0;
    assert_true(queue_put(&queue, &item));
    queue_close(&queue);
    queue_close(&queue);
    assert_false(queue_put(&queue, &late));
    assert_false(queue_ended(&queue));
    assert_ptr_equal(queue_take(&queue, -1), &item);
    assert_true(queue_ended(&queue));
    assert_null(queue_take(&queue, -1));
    queue_done(&queue);
    queue_done(&queue);
}

struct putter {
    struct queue *queue;
    atomic_uint put_count;
    bool refused;
};

static void *put_until_refused(void *arg)
{
    struct putter *putter = arg;
    static int item;
    while (queue_put(putter->queue, &item))
        atomic_fetch_add(&putter->put_count, 1);
    putter->refused = true;
    return NULL;
}

static void test_no_more_than_its_size_is_in_it_and_close_wakes_who_waits(void **state)
{
    (void)state;
    struct queue queue;
    struct err err = { 0 };
    struct thread thread = { 0 };
    queue_init(&queue, CAP);
    struct putter putter = { .queue = &queue };
    assert_int_equal(thread_start(&thread, "put", put_until_refused, &putter, &err), 0);
    for (unsigned taken = 0; taken < 10000; taken++) {
        assert_true(atomic_load(&putter.put_count) <= taken + CAP);
        assert_non_null(queue_take(&queue, -1));
    }
    queue_close(&queue);
    thread_join(&thread);
    assert_true(putter.refused);
    unsigned left = 0;
    while (queue_take(&queue, -1) != NULL)
        left++;
    assert_int_equal(atomic_load(&putter.put_count), 10000 + left);
    assert_true(left <= CAP);
    queue_done(&queue);
}

static void *take_one(void *arg)
{
    return queue_take(arg, -1);
}

static void test_close_wakes_all_takers(void **state)
{
    (void)state;
    struct queue queue;
    struct err err = { 0 };
    struct thread threads[THREADS] = { 0 };
    queue_init(&queue, CAP);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start(&threads[i], "take", take_one, &queue, &err), 0);
    queue_close(&queue);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    queue_done(&queue);
}

struct side {
    struct queue *queue;
    unsigned number;
    unsigned seen[THREADS][ITEMS]; /* takers: how often each item came */
    bool disorder;
};
static struct side putters[THREADS];
static struct side takers[THREADS];

static void *put_all(void *arg)
{
    const struct side *side = arg;
    for (unsigned i = 0; i < ITEMS; i++) {
        numbers[side->number][i] = i;
        if (!queue_put(side->queue, &numbers[side->number][i]))
            break;
    }
    return NULL;
}

static void *take_all(void *arg)
{
    struct side *side = arg;
    int last[THREADS];
    memset(last, -1, sizeof last);
    for (const unsigned *item; (item = queue_take(side->queue, -1)) != NULL;) {
        const size_t at = (size_t)(item - &numbers[0][0]);
        const size_t from = at / ITEMS;
        side->seen[from][at % ITEMS]++;
        side->disorder = side->disorder || (int)*item <= last[from];
        last[from] = (int)*item;
    }
    return NULL;
}

static void test_each_item_reaches_one_of_many_takers_once(void **state)
{
    (void)state;
    struct queue queue;
    struct err err = { 0 };
    struct thread put_threads[THREADS] = { 0 };
    struct thread take_threads[THREADS] = { 0 };
    queue_init(&queue, CAP);
    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct side){ .queue = &queue, .number = i };
        takers[i] = (struct side){ .queue = &queue, .number = i };
        assert_int_equal(thread_start(&take_threads[i], "take", take_all, &takers[i], &err), 0);
        assert_int_equal(thread_start(&put_threads[i], "put", put_all, &putters[i], &err), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(&put_threads[i]);
    queue_close(&queue);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(&take_threads[i]);
    for (unsigned from = 0; from < THREADS; from++) {
        assert_false(takers[from].disorder);
        for (unsigned i = 0; i < ITEMS; i++) {
            unsigned seen = 0;
            for (unsigned taker = 0; taker < THREADS; taker++)
                seen += takers[taker].seen[from][i];
            assert_int_equal(seen, 1);
        }
    }
    queue_done(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_out_in_order),
        cmocka_unit_test(test_take_gives_up_when_the_time_is_over),
        cmocka_unit_test(test_close_leaves_what_is_in_it_to_the_takers),
        cmocka_unit_test(test_no_more_than_its_size_is_in_it_and_close_wakes_who_waits),
        cmocka_unit_test(test_close_wakes_all_takers),
        cmocka_unit_test(test_each_item_reaches_one_of_many_takers_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
