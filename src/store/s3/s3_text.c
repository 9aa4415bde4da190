/* The small forms of text that S3's XML and headers are made of. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "store/s3/s3_xml.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void s3_percent_decode(const char *text, size_t len, struct buf *out)
{
    buf_reserve(out, len + 1);
    for (size_t i = 0; i < len; i++) {
        const int high = text[i] == '%' && len - i > 2 ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0 && high * 16 + low != 0) {
            buf_add_char(out, (char)(high * 16 + low));
            i += 2;
        } else {
            buf_add_char(out, text[i] == '+' ? ' ' : text[i]);
        }
    }
}

/* `len` digits, -1 when there are others. */
static int64_t number(const char *text, int len)
{
    int64_t value = 0;
    for (int i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

int64_t s3_time_parse(const char *text)
{
    if (strlen(text) < sizeof "2026-11-21T09:30:05" - 1)
        return 0;
    const int64_t year = number(text, 4);
    const int64_t month = number(text + 5, 2);
    const int64_t day = number(text + 8, 2);
    const int64_t hour = number(text + 11, 2);
    const int64_t minute = number(text + 14, 2);
    const int64_t second = number(text + 17, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return 0;
    struct tm tm = { .tm_year = (int)year - 1900,
                     .tm_mon = (int)month - 1,
                     .tm_mday = (int)day,
                     .tm_hour = (int)hour,
                     .tm_min = (int)minute,
                     .tm_sec = (int)second };
    int64_t ns = 0;
    if (text[19] == '.') {
        int64_t unit = NS_PER_S / 10;
        for (const char *digit = text + 20; *digit >= '0' && *digit <= '9'; digit++, unit /= 10)
            ns += (*digit - '0') * unit;
    }
    const int64_t seconds = timegm(&tm);
    return seconds > INT64_MAX / NS_PER_S - 1 ? 0 : seconds * NS_PER_S + ns;
}

void s3_etag_copy(char ret_etag[STORE_ETAG_MAX], const char *text)
{
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    ret_etag[0] = '\0';
    if (len >= STORE_ETAG_MAX)
        return;
    memcpy(ret_etag, text, len);
    ret_etag[len] = '\0';
}

bool s3_xml_escape(struct buf *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + strlen(text);
    while (at < end) {
        const unsigned char *start = at;
        const uint32_t code = utf8_decode(&at, end);
        const bool needs_reference = code < 0x20 || code == '<' || code == '>' || code == '&';
        if (code >= UTF8_BYTE || code == 0xfffe || code == 0xffff ||
            (code < 0x20 && code != '\t' && code != '\n' && code != '\r'))
            return false;
        if (needs_reference)
            buf_printf(out, "&#%u;", code);
        else
            buf_add(out, start, (size_t)(at - start));
    }
    return true;
}
