/* base/thread.h: threads, locks, conditions and the stop flag; all pthread calls live in base/.
 * A lock is a leaf: private to one .c, never held over a system call that can block. */
#pragma once

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct lock {
    pthread_mutex_t mutex;
};
struct cond {
    pthread_cond_t cond; /* waits on the monotonic clock */
};
void lock_init(struct lock *lock);
void lock_done(struct lock *lock);
void lock_take(struct lock *lock);
void lock_give(struct lock *lock);
void cond_init(struct cond *cond);
void cond_done(struct cond *cond);
void cond_wait(struct cond *cond, struct lock *lock);
/* Wait at most span_ns; false when the time ran out. */
bool cond_wait_for(struct cond *cond, struct lock *lock, int64_t span_ns);
void cond_wake_one(struct cond *cond);
void cond_wake_all(struct cond *cond);

static inline void scope_give_lock(struct lock **lock)
{
    lock_give(*lock);
}
static inline struct lock *lock_taken(struct lock *lock)
{
    lock_take(lock);
    return lock;
}
#define SCOPED_LOCK(which)                                                                         \
    __attribute__((cleanup(scope_give_lock), unused)) struct lock *scoped_lock_ = lock_taken(which)

/* A thread with a 256 KiB stack and all signals blocked. */
struct thread {
    pthread_t id;
    bool started;
};
typedef void *(*thread_main_fn)(void *arg);
CHECKED int thread_start(struct thread *thread, const char *name, thread_main_fn run, void *arg,
                         struct err *err);
void thread_join(struct thread *thread); /* no-op when not started */
/* Keep SIGPIPE from this thread while a library writes to a connection that the other end may have
 * closed. Returns whether it was free to come before; hand that to thread_free_pipe(). */
bool thread_hold_pipe(void);
void thread_free_pipe(bool was_free);

/* The request to stop: raised once (from main, on a signal or a fatal error), seen by every wait.
 */
struct stop {
    atomic_bool raised;
};
static inline bool stop_raised(const struct stop *stop)
{
    return stop != NULL && atomic_load_explicit(&stop->raised, memory_order_relaxed);
}
void stop_raise(struct stop *stop);
/* Sleep, in steps of at most 20 ms, until span_ns are over (0) or the stop is raised (-1,
 * ERR_STOPPED). */
CHECKED int stop_sleep(const struct stop *stop, int64_t span_ns, struct err *err);
CHECKED int stop_check(const struct stop *stop, struct err *err);
