/* base/rate.h: hard budgets (--bwlimit, --tpslimit): a token bucket. The state is a pure function
 * of the times that it is given, so a test can walk through an hour of it; rate_wait() is the
 * blocking face. */
#pragma once

#include "base/err.h"
#include "base/thread.h"

#include <stdint.h>

struct rate {
    double per_s; /* units a second; 0 = no limit. set at start */
    double burst; /* units that may be taken at once after a pause. set at start */
    struct lock lock;
    double balance;  /* guarded by lock; negative: owed */
    int64_t last_ns; /* guarded by lock */
};
/* The burst is a quarter of a second's worth. */
void rate_init(struct rate *rate, double per_s, int64_t now_ns);
void rate_done(struct rate *rate);
/* Take `amount` now; returns how long to wait before going on (0 = not at all). Amounts beyond the
 * burst are taken as debt, so their cost is waited for, and order of arrival is kept. */
int64_t rate_take_ns(struct rate *rate, double amount, int64_t now_ns);
/* Take and wait; fails only with ERR_STOPPED. `rate` may be NULL. */
CHECKED int rate_wait(struct rate *rate, double amount, const struct stop *stop, struct err *err);
