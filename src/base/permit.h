/* base/permit.h: how many requests may be in flight to one endpoint. Starts at the ceiling and
 * adapts (AIMD): halved, at most once per round trip and only for requests sent after the last cut,
 * when the store asks for less; one more for each full round trip without complaint, as long as all
 * permits are in use. A worker that waits to retry gives its permit back first.
 * Threads: any. Time is an argument of the pure part. */
#pragma once

#include "base/err.h"
#include "base/thread.h"

#include <stdint.h>

struct permit {
    struct lock lock;
    struct cond freed;
    double limit;          /* guarded by lock; in flight at most floor(limit), never below 1 */
    uint32_t ceiling;      /* set at start: --transfers */
    uint32_t in_flight;    /* guarded by lock */
    int64_t round_trip_ns; /* guarded by lock; smoothed */
    int64_t last_cut_ns;   /* guarded by lock */
    uint64_t asked_less;   /* guarded by lock; how often it was halved */
    uint32_t since_change; /* guarded by lock; answers without complaint since the last change */
};
void permit_init(struct permit *permit, uint32_t ceiling);
void permit_done(struct permit *permit);
/* Wait for a permit; fails only with ERR_STOPPED. */
CHECKED int permit_take(struct permit *permit, const struct stop *stop, struct err *err);
void permit_give(struct permit *permit);
/* Where more are in flight than are allowed now: give ours back and wait for it again. Afterwards
 * it is held in any case, also when ERR_STOPPED ended the wait. */
CHECKED int permit_yield(struct permit *permit, const struct stop *stop, struct err *err);
/* Somebody who has a permit got an answer after span_ns; busy: the store asked for less (503). */
void permit_answered(struct permit *permit, int64_t span_ns, bool busy, int64_t now_ns);
uint32_t permit_limit(struct permit *permit);
