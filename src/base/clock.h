/* base/clock.h: times and spans are int64_t nanoseconds. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t clock_now_ns(void);       /* since 1970 */
int64_t clock_monotonic_ns(void); /* for spans and waits */
int64_t clock_from_timespec_ns(struct timespec ts);
struct timespec clock_to_timespec(int64_t ns);
/* "2026-11-21 09:30:05" in local time, and "2026-11-21T09:30:05.123456789Z"; both end in NUL. */
#define CLOCK_TEXT_MAX 40
void clock_text_local(int64_t ns, char text[CLOCK_TEXT_MAX]);
void clock_text_utc(int64_t ns, char text[CLOCK_TEXT_MAX]);
/* A moment that people name: "+2h", "90m" (from now on), "07:30" (the next one, local time),
 * "2026-11-22 07:30", with or without seconds, "T" or a space between. ERR_USAGE otherwise. */
CHECKED int clock_parse_moment(int64_t *ret_ns, const char *text, int64_t now_ns, struct err *err);
