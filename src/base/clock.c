#include "base/clock.h"

#include "base/ban.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return clock_from_timespec_ns(ts);
}

int64_t clock_now_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_from_timespec_ns(struct timespec ts)
{
    int64_t ns = 0;
    /* A time stamp that a file system made up can lie beyond 2262: it saturates. */
    if (__builtin_mul_overflow((int64_t)ts.tv_sec, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, (int64_t)ts.tv_nsec, &ns))
        return ts.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

struct timespec clock_to_timespec(int64_t ns)
{
    int64_t seconds = ns / NS_PER_S;
    int64_t rest = ns % NS_PER_S;
    if (rest < 0) {
        rest += NS_PER_S;
        seconds--;
    }
    return (struct timespec){ .tv_sec = seconds, .tv_nsec = rest };
}

void clock_text_local(int64_t ns, char text[CLOCK_TEXT_MAX])
{
    const struct timespec ts = clock_to_timespec(ns);
    struct tm tm;
    if (localtime_r(&ts.tv_sec, &tm) == NULL ||
        strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(text, CLOCK_TEXT_MAX, "?");
}

void clock_text_utc(int64_t ns, char text[CLOCK_TEXT_MAX])
{
    const struct timespec ts = clock_to_timespec(ns);
    struct tm tm;
    char seconds[24];
    if (gmtime_r(&ts.tv_sec, &tm) == NULL ||
        strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        snprintf(text, CLOCK_TEXT_MAX, "?");
        return;
    }
    snprintf(text, CLOCK_TEXT_MAX, "%s.%09ldZ", seconds, (long)ts.tv_nsec);
}
