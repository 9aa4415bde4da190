#include "base/units.h"

#include "base/ban.h"
#include "base/clock.h"

#include <errno.h>
#include <strings.h>

/* Digits behind the point that are looked at; 10^18 fits 64 bits. */
#define FRACTION_MAX 18

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits at *at, moved behind them; false without one or beyond 64 bits. */
static bool parse_digits(const char **at, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); ++*at)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            return false;
    *ret_value = value;
    return true;
}

/* "", "B", "K", "Ki", "KiB", "KB" and so on to P, in any case; 0 = none of them. */
static uint64_t parse_suffix(const char *suffix)
{
    static const char letters[] = "KMGTP";
    if (suffix[0] == '\0' || strcasecmp(suffix, "B") == 0)
        return 1;
    uint64_t binary = 1;
    uint64_t decimal = 1;
    for (const char *letter = letters; *letter != '\0'; letter++) {
        binary *= 1024;
        decimal *= 1000;
        if ((suffix[0] & ~0x20) != *letter)
            continue;
        const char *rest = suffix + 1;
        if (strcasecmp(rest, "B") == 0)
            return decimal;
        return *rest == '\0' || strcasecmp(rest, "i") == 0 || strcasecmp(rest, "iB") == 0 ? binary
                                                                                          : 0;
    }
    return 0;
}

static bool parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t whole = 0;
    if (!parse_digits(&text, &whole))
        return false;

    uint64_t fraction = 0;
    uint64_t divisor = 1;
    const bool has_point = *text == '.';
    if (has_point) {
        const char *start = ++text;
        if (!parse_digits(&text, &fraction) || text - start > FRACTION_MAX)
            return false;
        for (; start < text; start++)
            divisor *= 10;
    }
    if (*text == ' ' && text[1] != '\0') /* as units_bytes() writes it */
        text++;
    const uint64_t unit = parse_suffix(text);
    if (unit == 0 || (has_point && unit == 1))
        return false;
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(whole, unit, &bytes))
        return false;
    const uint64_t part = (uint64_t)((unsigned __int128)fraction * unit / divisor);
    return !__builtin_add_overflow(bytes, part, ret_bytes);
}

int units_parse_bytes(uint64_t *ret_bytes, const char *text, struct err *err)
{
    uint64_t bytes = 0;
    if (!parse_size(text, &bytes)) {
        err_set(err, ERR_USAGE, "'%s' is not a size", text);
        return err_hint(err, "write a size like 64M, 1.5GiB (powers of 1024) or 2GB (of 1000)");
    }
    *ret_bytes = bytes;
    return 0;
}

int units_parse_rate(uint64_t *ret_bytes_per_s, const char *text, struct err *err)
{
    if (strcmp(text, "off") == 0) {
        *ret_bytes_per_s = 0;
        return 0;
    }
    char size[UNITS_TEXT_MAX];
    size_t len = strlen(text);
    if (len > 2 && strcmp(text + len - 2, "/s") == 0)
        len -= 2;
    uint64_t bytes = 0;
    const bool fits = len < sizeof size;
    snprintf(size, sizeof size, "%.*s", fits ? (int)len : 0, text);
    if (!fits || !parse_size(size, &bytes)) {
        err_set(err, ERR_USAGE, "'%s' is not a rate", text);
        return err_hint(err, "write a rate like 50M or 1.5MB/s, or off");
    }
    *ret_bytes_per_s = bytes;
    return 0;
}

int units_parse_span(uint64_t *ret_seconds, const char *text, struct err *err)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    uint64_t unit = *end == '\0' ? 1 : 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (end[0] == units[i].letter && end[1] == '\0')
            unit = units[i].seconds;
    if (text[0] < '0' || text[0] > '9' || errno != 0 || unit == 0 || number > UINT32_MAX) {
        err_set(err, ERR_USAGE, "'%s' is no span of time", text);
        return err_hint(err, "write a number with s, m, h, d or w behind it, such as 7d");
    }
    *ret_seconds = number * unit;
    return 0;
}

int units_parse_count(uint64_t *ret_count, const char *text, uint64_t min, uint64_t max,
                      struct err *err)
{
    uint64_t count = 0;
    const char *at = text;
    if (!parse_digits(&at, &count) || *at != '\0' || count < min || count > max)
        return err_set(err, ERR_USAGE, "'%s' is not a number from %llu to %llu", text,
                       (unsigned long long)min, (unsigned long long)max);
    *ret_count = count;
    return 0;
}

/* Three digits, and never "1024" of a unit: that is 1 of the next. */
static void write_scaled(double value, const char *tail, char text[UNITS_TEXT_MAX])
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1024;
        unit++;
    }
    int digits = 2;
    if (unit == 0 || value >= 99.95)
        digits = 0;
    else if (value >= 9.995)
        digits = 1;
    snprintf(text, UNITS_TEXT_MAX, "%.*f %s%s", digits, value, names[unit], tail);
}

const char *units_bytes(uint64_t bytes, char text[UNITS_TEXT_MAX])
{
    write_scaled((double)bytes, "", text);
    return text;
}

const char *units_rate(double bytes_per_s, char text[UNITS_TEXT_MAX])
{
    if (!(bytes_per_s > 0)) /* also what is not a number */
        bytes_per_s = 0;
    if (bytes_per_s > 0x1p64)
        bytes_per_s = 0x1p64;
    write_scaled(bytes_per_s, "/s", text);
    return text;
}

const char *units_count(uint64_t count, char text[UNITS_TEXT_MAX])
{
    char digits[24];
    const int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *to = text;
    for (int i = 0; i < len; i++) {
        if (i != 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

const char *units_span(int64_t span_ns, char text[UNITS_TEXT_MAX])
{
    if (span_ns < 0)
        span_ns = 0;
    const int64_t tenths = span_ns / (NS_PER_S / 10);
    const long long s = (long long)(span_ns / NS_PER_S);
    if (s < 10)
        snprintf(text, UNITS_TEXT_MAX, "%lld.%llds", s, (long long)(tenths % 10));
    else if (s < 60)
        snprintf(text, UNITS_TEXT_MAX, "%llds", s);
    else if (s < 60LL * 60)
        snprintf(text, UNITS_TEXT_MAX, "%lldm%02llds", s / 60, s % 60);
    else if (s < 24LL * 60 * 60)
        snprintf(text, UNITS_TEXT_MAX, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, UNITS_TEXT_MAX, "%lldd%02lldh", s / 86400, s / 3600 % 24);
    return text;
}
