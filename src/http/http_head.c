#include "base/ban.h"
#include "base/clock.h"
#include "http/http_internal.h"

#include <strings.h>

/* "HTTP/1.1 200 OK": the status, 0 when it is none. */
static int parse_status(const char *line, size_t len)
{
    if (len < 12 || memcmp(line, "HTTP/", 5) != 0)
        return 0;
    const char *at = memchr(line, ' ', len);
    if (at == NULL || line + len - at < 4)
        return 0;
    int status = 0;
    for (int i = 1; i <= 3; i++) {
        if (at[i] < '0' || at[i] > '9')
            return 0;
        status = 10 * status + (at[i] - '0');
    }
    const bool is_longer = at + 4 < line + len && at[4] >= '0' && at[4] <= '9';
    return status >= 100 && !is_longer ? status : 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void add_text(struct buf *out, const char *text, size_t len, bool to_lower)
{
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        /* A NUL would end the value: whoever sends one does not get further with it. */
        buf_add_char(out, to_lower && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a')
                          : c != '\0'                      ? c
                                                           : ' ');
    }
}

static void add_header(struct buf *out, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || colon == line)
        return;
    const char *name_end = colon;
    while (name_end > line && is_blank(name_end[-1]))
        name_end--;
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    add_text(out, line, (size_t)(name_end - line), true);
    buf_add_char(out, '\0');
    add_text(out, value, (size_t)(end - value), false);
    buf_add_char(out, '\0');
}

/* The obsolete way to go on with a value on the next line. */
static void continue_header(struct buf *out, const char *line, size_t len)
{
    if (out->len == 0)
        return;
    while (len != 0 && is_blank(*line)) {
        line++;
        len--;
    }
    buf_cut(out, out->len - 1);
    buf_add_char(out, ' ');
    add_text(out, line, len, false);
    buf_add_char(out, '\0');
}

int head_add_line(struct head *head, const char *line, size_t len, struct err *err)
{
    head->total_bytes += len;
    if (head->total_bytes > HEAD_BYTES_MAX)
        return err_set(err, ERR_NET, "an answer with more than %zu bytes of headers",
                       HEAD_BYTES_MAX);
    if (head->is_over)
        return 0;
    while (len != 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    struct buf *headers = &head->reply->headers;
    const int status = parse_status(line, len);
    if (status != 0) {
        buf_clear(headers);
        head->status = status;
        head->has_continue = head->has_continue || status == 100;
    } else if (len == 0) {
        head->is_over = head->status >= 200;
    } else if (is_blank(*line)) {
        continue_header(headers, line, len);
    } else {
        add_header(headers, line, len);
    }
    return 0;
}

const char *http_reply_header(const struct http_reply *reply, const char *name)
{
    const char *at = reply->headers.data;
    const char *end = at + reply->headers.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

/* Two (or four) digits at `text`, -1 when they are none. */
static int digits_at(const char *text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = 10 * value + (text[i] - '0');
    }
    return value;
}

static int month_at(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int month = 0; month < 12; month++)
        if (memcmp(names + (size_t)3 * (size_t)month, text, 3) == 0)
            return month;
    return -1;
}

int64_t http_parse_date(const char *text)
{
    static const char form[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    if (strlen(text) != sizeof form - 1)
        return -1;
    /* All that is no digit of the form and no name must be the same. */
    static const unsigned char fixed[] = { 3, 4, 7, 11, 16, 19, 22, 25, 26, 27, 28 };
    for (size_t i = 0; i < sizeof fixed; i++)
        if (text[fixed[i]] != form[fixed[i]])
            return -1;
    struct tm tm = { .tm_mday = digits_at(text + 5, 2),
                     .tm_mon = month_at(text + 8),
                     .tm_year = digits_at(text + 12, 4) - 1900,
                     .tm_hour = digits_at(text + 17, 2),
                     .tm_min = digits_at(text + 20, 2),
                     .tm_sec = digits_at(text + 23, 2) };
    if (tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_mon < 0 || tm.tm_year < 70 || tm.tm_hour < 0 ||
        tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
        return -1;
    return (int64_t)timegm(&tm);
}

int64_t http_reply_date(const struct http_reply *reply)
{
    const char *text = http_reply_header(reply, "date");
    return text != NULL ? http_parse_date(text) : -1;
}

#define RETRY_AFTER_S_MAX INT64_C(3600)

/* Digits only; beyond the maximum it is the maximum. */
static int64_t parse_seconds(const char *text)
{
    int64_t value = 0;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = 10 * value + (*text - '0');
        if (value > RETRY_AFTER_S_MAX)
            value = RETRY_AFTER_S_MAX;
    }
    return value;
}

uint32_t http_reply_retry_after_ms(const struct http_reply *reply)
{
    const char *text = http_reply_header(reply, "retry-after");
    if (text == NULL)
        return 0;
    int64_t span_s = parse_seconds(text);
    if (span_s < 0) {
        const int64_t until_s = http_parse_date(text);
        const int64_t date_s = http_reply_date(reply);
        if (until_s < 0)
            return 0;
        span_s = until_s - (date_s >= 0 ? date_s : clock_now_ns() / NS_PER_S);
    }
    if (span_s <= 0)
        return 0;
    return (uint32_t)(1000 * (span_s < RETRY_AFTER_S_MAX ? span_s : RETRY_AFTER_S_MAX));
}

void http_reply_done(struct http_reply *reply)
{
    buf_done(&reply->headers);
    buf_done(&reply->body);
}
