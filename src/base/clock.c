#include "base/clock.h"

#include "base/ban.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>

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

static int refuse_moment(const char *text, struct err *err)
{
    err_set(err, ERR_USAGE, "'%s' is no time", text);
    return err_hint(err, "as 07:30, 2026-11-22T07:30, 90m or +2h");
}

/* "07:30", "07:30:15": 0, or -1. */
static int parse_time_of_day(struct tm *tm, const char *text)
{
    int used = 0;
    tm->tm_sec = 0;
    const int fields =
        sscanf(text, "%2d:%2d%n:%2d%n", &tm->tm_hour, &tm->tm_min, &used, &tm->tm_sec, &used);
    const bool whole = fields >= 2 && text[used] == '\0';
    return whole && tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 &&
                   tm->tm_sec >= 0 && tm->tm_sec < 61
               ? 0
               : -1;
}

int clock_parse_moment(int64_t *ret_ns, const char *text, int64_t now_ns, struct err *err)
{
    const time_t now = clock_to_timespec(now_ns).tv_sec;
    struct tm tm;
    int year = 0;
    int month = 0;
    int day = 0;
    char between[2];
    int used = 0;
    if (localtime_r(&now, &tm) == NULL)
        return refuse_moment(text, err);
    tm.tm_isdst = -1;
    if (sscanf(text, "%4d-%2d-%2d%1[T ]%n", &year, &month, &day, between, &used) == 4) {
        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        tm.tm_mday = day;
        if (parse_time_of_day(&tm, text + used) < 0)
            return refuse_moment(text, err);
        *ret_ns = (int64_t)mktime(&tm) * NS_PER_S;
        /* mktime() takes 30 February for 2 March. */
        return tm.tm_mon == month - 1 && tm.tm_mday == day ? 0 : refuse_moment(text, err);
    }
    if (parse_time_of_day(&tm, text) == 0) {
        time_t then = mktime(&tm);
        if (then <= now) {
            tm.tm_mday++;
            tm.tm_isdst = -1;
            then = mktime(&tm);
        }
        *ret_ns = (int64_t)then * NS_PER_S;
        return 0;
    }
    uint64_t seconds = 0;
    struct err ignored = { 0 };
    /* "7" could be an hour as well as seconds. */
    if (text[strspn(text, "0123456789")] == '\0' ||
        units_parse_span(&seconds, text + (text[0] == '+'), &ignored) < 0 ||
        seconds > (uint64_t)(INT64_MAX - now_ns) / NS_PER_S)
        return refuse_moment(text, err);
    *ret_ns = now_ns + (int64_t)seconds * NS_PER_S;
    return 0;
}
