#include "base/pool.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <sys/mman.h>

/* A stop is noticed at least this often. */
#define STOP_STEP_NS (50 * NS_PER_MS)

/* A free slab holds the list of free slabs in itself, so that the last one given back, which is
 * still in cache, is the first to be taken. */
struct slab {
    struct slab *next;
};

/* Who waits, in order of arrival; lives on the stack of the waiting thread. */
struct waiter {
    struct waiter *next;
    struct cond turn;
};

struct pool {
    size_t slab_count; /* set at start */
    struct lock lock;
    size_t used_count;     /* guarded by lock; promised to takers */
    struct slab *free;     /* guarded by lock; mapped and not in use */
    struct waiter *first;  /* guarded by lock */
    struct waiter **after; /* guarded by lock; where the next one to wait is hung in */
};

struct pool *pool_new(uint64_t budget_bytes)
{
    struct pool *pool = mem_alloc(sizeof *pool);
    const uint64_t slabs = budget_bytes / POOL_SLAB_BYTES;
    pool->slab_count = slabs != 0 ? (size_t)slabs : 1;
    pool->after = &pool->first;
    lock_init(&pool->lock);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->used_count == 0 && pool->first == NULL);
    while (pool->free != NULL) {
        struct slab *slab = pool->free;
        pool->free = slab->next;
        munmap(slab, POOL_SLAB_BYTES);
    }
    lock_done(&pool->lock);
    mem_free(pool);
}

static bool fits_locked(const struct pool *pool, size_t count)
{
    return pool->slab_count - pool->used_count >= count;
}

static void wake_first_locked(struct pool *pool)
{
    if (pool->first != NULL)
        cond_wake_one(&pool->first->turn);
}

static void leave_queue_locked(struct pool *pool, struct waiter *me)
{
    struct waiter **link = &pool->first;
    while (*link != me)
        link = &(*link)->next;
    *link = me->next;
    if (pool->after == &me->next)
        pool->after = link;
    wake_first_locked(pool);
}

static int wait_turn_locked(struct pool *pool, size_t count, const struct stop *stop,
                            struct err *err)
{
    struct waiter me = { 0 };
    cond_init(&me.turn);
    *pool->after = &me;
    pool->after = &me.next;
    int result = 0;
    while (result == 0 && !(pool->first == &me && fits_locked(pool, count))) {
        cond_wait_for(&me.turn, &pool->lock, STOP_STEP_NS);
        result = stop_check(stop, err);
    }
    if (result == 0)
        pool->used_count += count;
    leave_queue_locked(pool, &me);
    cond_done(&me.turn);
    return result;
}

/* Promise `count` slabs and hand over those that are mapped; *ret_have of them are filled in. */
static int reserve(struct pool *pool, void **slabs, size_t count, const struct stop *stop,
                   size_t *ret_have, struct err *err)
{
    SCOPED_LOCK(&pool->lock);
    if (pool->first == NULL && fits_locked(pool, count))
        pool->used_count += count;
    else if (wait_turn_locked(pool, count, stop, err) < 0)
        return -1;
    size_t have = 0;
    for (; have < count && pool->free != NULL; have++) {
        slabs[have] = pool->free;
        pool->free = pool->free->next;
    }
    *ret_have = have;
    return 0;
}

/* Give back a promise of `count`, of which `have` are slabs. */
static void release(struct pool *pool, void **slabs, size_t have, size_t count)
{
    SCOPED_LOCK(&pool->lock);
    assert(pool->used_count >= count);
    for (size_t i = 0; i < have; i++) {
        struct slab *slab = slabs[i];
        slab->next = pool->free;
        pool->free = slab;
        slabs[i] = NULL;
    }
    pool->used_count -= count;
    wake_first_locked(pool);
}

int pool_take(struct pool *pool, void **slabs, size_t count, const struct stop *stop,
              struct err *err)
{
    if (count > pool->slab_count) {
        err_set(err, ERR_LIMIT, "%zu MiB of memory are needed at once, the limit is %zu MiB", count,
                pool->slab_count);
        return err_hint(err, "allow more with --memory");
    }
    size_t have = 0;
    if (stop_check(stop, err) < 0 || reserve(pool, slabs, count, stop, &have, err) < 0)
        return -1;
    /* Mapping is a system call, so it is done without the lock: the promise holds the place. */
    for (; have < count; have++) {
        void *slab =
            mmap(NULL, POOL_SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (slab == MAP_FAILED) {
            err_sys(err, ERR_LOCAL, "map %zu bytes of memory", POOL_SLAB_BYTES);
            release(pool, slabs, have, count);
            return -1;
        }
        slabs[have] = slab;
    }
    return 0;
}

void pool_give(struct pool *pool, void **slabs, size_t count)
{
    release(pool, slabs, count, count);
}

size_t pool_slab_count(const struct pool *pool)
{
    return pool->slab_count;
}

size_t pool_used_count(struct pool *pool)
{
    SCOPED_LOCK(&pool->lock);
    return pool->used_count;
}
