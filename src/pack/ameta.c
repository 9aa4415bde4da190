#include "pack/ameta.h"

#include "base/ban.h"
#include "base/clock.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#define FIELDS 8u /* before the name: mode links owner group size month day time */
#define HALF_A_DAY_S ((time_t)12 * 3600)

struct ameta ameta_of(const char *text, size_t len, int64_t now_ns)
{
    return (struct ameta){ .at = text, .end = text + len, .now_ns = now_ns };
}

struct text {
    const char *at;
    size_t len;
};

static bool begins_with(struct text line, const char *with)
{
    const size_t len = strlen(with);
    return line.len >= len && memcmp(line.at, with, len) == 0;
}

/* A line of the header, of any year. */
static bool is_header(struct text line)
{
    static const char *const words[] = {
        "user:",     "host:",        "host_name:",  "input:", "original_location:",
        "protocol:", "compression:", "encryption:", "Note:",  "sd_connect:",
        "sd-lock:",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins_with(line, words[i]))
            return true;
    return false;
}

static bool is_remark(struct text line)
{
    return begins_with(line, "Empty directory") || begins_with(line, "File listing skipped");
}

/* "-rw-r--r--", also with what ls puts behind it. */
static bool is_mode(struct text field)
{
    if (field.len < 10 || field.len > 11 || strchr("-lbcdps", field.at[0]) == NULL)
        return false;
    for (size_t i = 1; i < 10; i++)
        if (field.at[i] == '\0' || strchr("rwxsStT-", field.at[i]) == NULL)
            return false;
    return true;
}

static bool take_number(struct text field, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < field.len; i++) {
        const unsigned digit = (unsigned)((unsigned char)field.at[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return field.len != 0;
}

/* 1 to 12; 0: not an English month. */
static int month_of(struct text field)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (field.len == 3 && memcmp(field.at, months + (ptrdiff_t)3 * i, 3) == 0)
            return i + 1;
    return 0;
}

/* "08:36" of this year or the last, or "2021". */
static int64_t time_of(const struct text *fields, int64_t now_ns)
{
    struct tm tm = { .tm_isdst = -1, .tm_mon = month_of(fields[5]) - 1 };
    uint64_t day = 0;
    uint64_t year = 0;
    uint64_t hour = 0;
    uint64_t minute = 0;
    const struct text *last = &fields[7];
    if (tm.tm_mon < 0 || !take_number(fields[6], &day) || day < 1 || day > 31)
        return 0;
    tm.tm_mday = (int)day;
    if (take_number(*last, &year)) {
        if (year < 1970 || year > 2200)
            return 0;
        tm.tm_year = (int)year - 1900;
        return (int64_t)mktime(&tm) * NS_PER_S;
    }
    if (last->len != 5 || last->at[2] != ':' || !take_number((struct text){ last->at, 2 }, &hour) ||
        !take_number((struct text){ last->at + 3, 2 }, &minute) || hour > 23 || minute > 59)
        return 0;
    const time_t now = (time_t)(now_ns / NS_PER_S);
    struct tm today;
    if (localtime_r(&now, &today) == NULL)
        return 0;
    tm.tm_year = today.tm_year;
    tm.tm_hour = (int)hour;
    tm.tm_min = (int)minute;
    struct tm copy = tm;
    time_t then = mktime(&copy);
    if (then > now + HALF_A_DAY_S) { /* clocks and time zones differ */
        tm.tm_year--;
        then = mktime(&tm);
    }
    return (int64_t)then * NS_PER_S;
}

/* The fields before the name, and what is behind them; false: fewer. */
static bool split(struct text line, struct text fields[FIELDS], struct text *ret_rest)
{
    const char *at = line.at;
    const char *end = line.at + line.len;
    for (size_t i = 0; i < FIELDS; i++) {
        while (i != 0 && at < end && *at == ' ')
            at++;
        const char *from = at;
        while (at < end && *at != ' ')
            at++;
        fields[i] = (struct text){ from, (size_t)(at - from) };
        if (at == from)
            return false;
    }
    if (at == end)
        return false;
    at++; /* one blank; more are part of the name */
    *ret_rest = (struct text){ at, (size_t)(end - at) };
    return true;
}

/* As tar stores it, and as a path: false when nothing is left. */
static bool take_path(struct text name, struct ameta_file *file)
{
    const char *at = name.at;
    const char *end = name.at + name.len;
    for (const char *c = at; c + 1 < end; c++) {
        const bool component = c == at || c[-1] == '/';
        if (component && c[0] == '.' && c[1] == '.' && (c + 2 == end || c[2] == '/'))
            at = c + 2;
    }
    while (at < end && (*at == '/' || (end - at >= 2 && at[0] == '.' && at[1] == '/')))
        at++;
    while (end > at && end[-1] == '/')
        end--;
    file->path = at;
    file->path_len = (size_t)(end - at);
    return file->path_len != 0 && file->path_len <= AMETA_PATH_MAX &&
           memchr(at, '\0', file->path_len) == NULL;
}

static bool take_line(struct ameta *ameta, struct text line, struct ameta_file *file)
{
    struct text fields[FIELDS];
    struct text name;
    *file = (struct ameta_file){ 0 };
    if (!ameta->in_list && is_header(line))
        return false;
    ameta->in_list = true;
    if (is_remark(line))
        return false;
    if (!split(line, fields, &name) || !is_mode(fields[0]))
        return take_path(line, file); /* names only */
    const char kind = fields[0].at[0];
    if (kind != '-' && kind != 'l')
        return false;
    const char *arrow = memmem(name.at, name.len, " -> ", 4);
    file->is_link = kind == 'l';
    if (file->is_link && arrow != NULL)
        name.len = (size_t)(arrow - name.at);
    file->has_size = take_number(fields[4], &file->size_bytes);
    file->time_ns = time_of(fields, ameta->now_ns);
    return take_path(name, file);
}

bool ameta_next(struct ameta *ameta, struct ameta_file *ret_file)
{
    while (ameta->at < ameta->end) {
        const char *newline = memchr(ameta->at, '\n', (size_t)(ameta->end - ameta->at));
        const char *end = newline != NULL ? newline : ameta->end;
        const struct text line = { ameta->at, (size_t)(end - ameta->at) };
        ameta->at = newline != NULL ? newline + 1 : ameta->end;
        if (line.len != 0 && take_line(ameta, line, ret_file))
            return true;
    }
    return false;
}
