#include "base/rate.h"

#include "base/ban.h"
#include "base/clock.h"

#define BURST_S 0.25

void rate_init(struct rate *rate, double per_s, int64_t now_ns)
{
    const double burst = per_s * BURST_S;
    *rate = (struct rate){ .per_s = per_s, .burst = burst, .balance = burst, .last_ns = now_ns };
    lock_init(&rate->lock);
}

void rate_done(struct rate *rate)
{
    lock_done(&rate->lock);
}

int64_t rate_take_ns(struct rate *rate, double amount, int64_t now_ns)
{
    if (rate->per_s <= 0)
        return 0;
    SCOPED_LOCK(&rate->lock);
    /* Another thread that read its clock later may have come first: time does not go back. */
    if (now_ns > rate->last_ns) {
        rate->balance += rate->per_s * ((double)(now_ns - rate->last_ns) / (double)NS_PER_S);
        if (rate->balance > rate->burst)
            rate->balance = rate->burst;
        rate->last_ns = now_ns;
    }
    rate->balance -= amount;
    if (rate->balance >= 0)
        return 0;
    const double wait_ns = -rate->balance / rate->per_s * (double)NS_PER_S;
    return wait_ns < 0x1p62 ? (int64_t)wait_ns + 1 : INT64_C(1) << 62;
}

int rate_wait(struct rate *rate, double amount, const struct stop *stop, struct err *err)
{
    if (rate == NULL || rate->per_s <= 0)
        return 0;
    const int64_t wait_ns = rate_take_ns(rate, amount, clock_monotonic_ns());
    return wait_ns > 0 ? stop_sleep(stop, wait_ns, err) : 0;
}
