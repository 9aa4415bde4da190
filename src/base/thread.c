#include "base/thread.h"

#include "base/ban.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>

#define STACK_BYTES ((size_t)256 * 1024)
#define STOP_STEP_NS (20 * NS_PER_MS)

static void must(int result)
{
    assert(result == 0);
    (void)result;
}

void lock_init(struct lock *lock)
{
    must(pthread_mutex_init(&lock->mutex, NULL));
}

void lock_done(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
    must(pthread_mutex_lock(&lock->mutex));
}

void lock_give(struct lock *lock)
{
    must(pthread_mutex_unlock(&lock->mutex));
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr));
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    must(pthread_cond_init(&cond->cond, &attr));
    pthread_condattr_destroy(&attr);
}

void cond_done(struct cond *cond)
{
    pthread_cond_destroy(&cond->cond);
}

void cond_wait(struct cond *cond, struct lock *lock)
{
    must(pthread_cond_wait(&cond->cond, &lock->mutex));
}

bool cond_wait_for(struct cond *cond, struct lock *lock, int64_t span_ns)
{
    const struct timespec until = clock_to_timespec(clock_monotonic_ns() + span_ns);
    return pthread_cond_timedwait(&cond->cond, &lock->mutex, &until) != ETIMEDOUT;
}

void cond_wake_one(struct cond *cond)
{
    must(pthread_cond_signal(&cond->cond));
}

void cond_wake_all(struct cond *cond)
{
    must(pthread_cond_broadcast(&cond->cond));
}

int thread_start(struct thread *thread, const char *name, thread_main_fn run, void *arg,
                 struct err *err)
{
    pthread_attr_t attr;
    must(pthread_attr_init(&attr));
    must(pthread_attr_setstacksize(&attr, STACK_BYTES));

    /* Signals belong to the main thread. */
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &old));
    const int result = pthread_create(&thread->id, &attr, run, arg);
    must(pthread_sigmask(SIG_SETMASK, &old, NULL));
    pthread_attr_destroy(&attr);
    if (result != 0) {
        errno = result;
        return err_sys(err, ERR_LOCAL, "start thread '%s'", name);
    }
    pthread_setname_np(thread->id, name);
    thread->started = true;
    return 0;
}

void thread_join(struct thread *thread)
{
    if (!thread->started)
        return;
    must(pthread_join(thread->id, NULL));
    thread->started = false;
}

static sigset_t pipe_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

bool thread_hold_pipe(void)
{
    const sigset_t set = pipe_set();
    sigset_t old;
    must(pthread_sigmask(SIG_BLOCK, &set, &old));
    return sigismember(&old, SIGPIPE) == 0;
}

void thread_free_pipe(bool was_free)
{
    if (!was_free)
        return;
    /* What came in the meantime would be delivered now: take it away first. */
    const sigset_t set = pipe_set();
    const struct timespec now = { 0 };
    while (sigtimedwait(&set, NULL, &now) == SIGPIPE)
        continue;
    must(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
}

void stop_raise(struct stop *stop)
{
    atomic_store(&stop->raised, true);
}

int stop_check(const struct stop *stop, struct err *err)
{
    return stop_raised(stop) ? err_set(err, ERR_STOPPED, "stopped") : 0;
}

int stop_sleep(const struct stop *stop, int64_t span_ns, struct err *err)
{
    const int64_t end_ns = clock_monotonic_ns() + span_ns;
    for (;;) {
        if (stop_check(stop, err) < 0)
            return -1;
        int64_t left_ns = end_ns - clock_monotonic_ns();
        if (left_ns <= 0)
            return 0;
        if (left_ns > STOP_STEP_NS)
            left_ns = STOP_STEP_NS;
        const struct timespec step = clock_to_timespec(left_ns);
        nanosleep(&step, NULL);
    }
}
