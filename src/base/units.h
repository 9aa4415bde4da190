/* base/units.h: sizes, rates, counts and spans as people write and read them.
 * K M G T P are powers of 1024 (also Ki, KiB …); KB MB GB TB PB are powers of 1000. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* "10", "64K", "1.5GiB", "2GB", "100B" to bytes, in any case, with a space before the unit or none.
 * ERR_USAGE names the text, the hint says what is taken. */
CHECKED int units_parse_bytes(uint64_t *ret_bytes, const char *text, struct err *err);
/* Bytes per second: a size with an optional "/s". "off" and "0" are 0 = no limit. */
CHECKED int units_parse_rate(uint64_t *ret_bytes_per_s, const char *text, struct err *err);
CHECKED int units_parse_count(uint64_t *ret_count, const char *text, uint64_t min, uint64_t max,
                              struct err *err);
/* "90", "90s", "30m", "12h", "7d", "2w" to seconds. */
CHECKED int units_parse_span(uint64_t *ret_seconds, const char *text, struct err *err);
#define UNITS_TEXT_MAX 32
/* "1.23 GiB", "917 B"; "12.4 MiB/s"; "1,234,567"; "3m12s", "2h05m", "4d03h". They return text. */
const char *units_bytes(uint64_t bytes, char text[UNITS_TEXT_MAX]);
const char *units_rate(double bytes_per_s, char text[UNITS_TEXT_MAX]);
const char *units_count(uint64_t count, char text[UNITS_TEXT_MAX]);
const char *units_span(int64_t span_ns, char text[UNITS_TEXT_MAX]);
