#include "base/permit.h"

#include "base/ban.h"
#include "base/clock.h"

#include <assert.h>

/* A stop is noticed at least this often. */
#define STOP_STEP_NS (50 * NS_PER_MS)

void permit_init(struct permit *permit, uint32_t ceiling)
{
    if (ceiling == 0)
        ceiling = 1;
    *permit = (struct permit){ .limit = ceiling, .ceiling = ceiling };
    lock_init(&permit->lock);
    cond_init(&permit->freed);
}

void permit_done(struct permit *permit)
{
    cond_done(&permit->freed);
    lock_done(&permit->lock);
}

static int wait_locked(struct permit *permit, const struct stop *stop, struct err *err)
{
    for (;;) {
        if (stop_check(stop, err) < 0)
            return -1;
        if (permit->in_flight < (uint32_t)permit->limit)
            return 0;
        cond_wait_for(&permit->freed, &permit->lock, STOP_STEP_NS);
    }
}

int permit_take(struct permit *permit, const struct stop *stop, struct err *err)
{
    SCOPED_LOCK(&permit->lock);
    if (wait_locked(permit, stop, err) < 0)
        return -1;
    permit->in_flight++;
    return 0;
}

static void smooth_round_trip_locked(struct permit *permit, int64_t span_ns)
{
    if (permit->round_trip_ns == 0)
        permit->round_trip_ns = span_ns;
    else
        permit->round_trip_ns += (span_ns - permit->round_trip_ns) / 8;
}

/* What was sent before the last cut, or comes back within a round trip of it, complains about the
 * load that the cut has dealt with. */
static void cut_locked(struct permit *permit, int64_t span_ns, int64_t now_ns)
{
    permit->since_change = 0;
    const bool cut_before = permit->asked_less != 0;
    if (cut_before && (now_ns - span_ns < permit->last_cut_ns ||
                       now_ns - permit->last_cut_ns < permit->round_trip_ns))
        return;
    permit->limit = permit->limit / 2 > 1 ? permit->limit / 2 : 1;
    permit->last_cut_ns = now_ns;
    permit->asked_less++;
}

/* When the present limit was not reached, a higher one changes nothing. */
static bool grow_locked(struct permit *permit)
{
    permit->since_change++;
    if (permit->limit >= permit->ceiling || permit->in_flight < (uint32_t)permit->limit ||
        permit->since_change < (uint32_t)permit->limit)
        return false;
    permit->since_change = 0;
    permit->limit++;
    return true;
}

void permit_give(struct permit *permit)
{
    SCOPED_LOCK(&permit->lock);
    assert(permit->in_flight > 0);
    permit->in_flight--;
    cond_wake_one(&permit->freed);
}

int permit_yield(struct permit *permit, const struct stop *stop, struct err *err)
{
    SCOPED_LOCK(&permit->lock);
    if (permit->in_flight <= (uint32_t)permit->limit)
        return 0;
    permit->in_flight--;
    const int result = wait_locked(permit, stop, err);
    permit->in_flight++;
    return result;
}

void permit_answered(struct permit *permit, int64_t span_ns, bool busy, int64_t now_ns)
{
    SCOPED_LOCK(&permit->lock);
    smooth_round_trip_locked(permit, span_ns);
    if (busy)
        cut_locked(permit, span_ns, now_ns);
    else if (grow_locked(permit))
        cond_wake_one(&permit->freed);
}

uint32_t permit_limit(struct permit *permit)
{
    SCOPED_LOCK(&permit->lock);
    return (uint32_t)permit->limit;
}
