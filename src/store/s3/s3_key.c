#include "store/s3/s3_key.h"

#include "base/ban.h"
#include "base/utf8.h"

#include <stdbool.h>

#define QUOTE "\xe2\x80\x9b" /* U+201B, as in rclone */
#define QUOTE_CODE UINT32_C(0x201b)
#define FULL_STOP "\xef\xbc\x8e" /* U+FF0E */
#define MARK_BYTES 3             /* of each of the two */

/* Components that are written in another way as a whole. */
static const struct {
    const char *name, *key;
} dots[] = {
    { ".", FULL_STOP },
    { "..", FULL_STOP FULL_STOP },
    { FULL_STOP, QUOTE FULL_STOP },
    { FULL_STOP FULL_STOP, QUOTE FULL_STOP QUOTE FULL_STOP },
};
#define DOTS_COUNT (sizeof dots / sizeof *dots)

static bool is_text(const char *bytes, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(bytes, text, len) == 0;
}

static void map_component(const char *name, size_t len, struct buf *key)
{
    for (size_t i = 0; i < DOTS_COUNT; i++)
        if (is_text(name, len, dots[i].name)) {
            buf_add_text(key, dots[i].key);
            return;
        }
    const unsigned char *at = (const unsigned char *)name;
    const unsigned char *end = at + len;
    while (at < end) {
        const unsigned char *start = at;
        const uint32_t code = utf8_decode(&at, end);
        if (code >= UTF8_BYTE) {
            buf_printf(key, QUOTE "%02X", code - UTF8_BYTE);
            continue;
        }
        if (code == QUOTE_CODE)
            buf_add_text(key, QUOTE);
        buf_add(key, start, (size_t)(at - start));
    }
}

int s3_key_map(const char *rel, size_t max_bytes, struct buf *ret_key, struct err *err)
{
    buf_clear(ret_key);
    buf_reserve(ret_key, strlen(rel) + 1);
    for (const char *at = rel; *at != '\0';) {
        const char *slash = strchrnul(at, '/');
        map_component(at, (size_t)(slash - at), ret_key);
        if (*slash == '/')
            buf_add_char(ret_key, '/');
        at = *slash == '/' ? slash + 1 : slash;
    }
    if (ret_key->len == 0)
        buf_add_text(ret_key, "");
    if (ret_key->len > max_bytes)
        return err_set(err, ERR_LIMIT, "its key would have %zu bytes; %zu is the most",
                       ret_key->len, max_bytes);
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Behind a quote at `at` with `left` bytes: how many bytes stand for *ret_byte, 0 for none. */
static size_t quoted_byte(const char *at, size_t left, unsigned char *ret_byte)
{
    if (left < 2)
        return 0;
    const int high = hex_value(at[0]);
    const int low = hex_value(at[1]);
    if (high < 8 || low < 0)
        return 0;
    *ret_byte = (unsigned char)(high * 16 + low);
    return 2;
}

static void unmap_component(const char *key, size_t len, struct buf *rel)
{
    for (size_t i = 0; i < DOTS_COUNT; i++)
        if (is_text(key, len, dots[i].key)) {
            buf_add_text(rel, dots[i].name);
            return;
        }
    for (size_t at = 0; at < len;) {
        const bool quote = len - at >= MARK_BYTES && memcmp(key + at, QUOTE, MARK_BYTES) == 0;
        if (!quote) {
            buf_add_char(rel, key[at++]);
            continue;
        }
        const char *behind = key + at + MARK_BYTES;
        const size_t left = len - at - MARK_BYTES;
        unsigned char byte = 0;
        const size_t digits = quoted_byte(behind, left, &byte);
        if (digits != 0)
            buf_add_char(rel, (char)byte);
        else
            buf_add_text(rel, QUOTE);
        const bool doubled = left >= MARK_BYTES && memcmp(behind, QUOTE, MARK_BYTES) == 0;
        at += MARK_BYTES + (doubled ? MARK_BYTES : digits);
    }
}

void s3_key_unmap(const char *key, struct buf *ret_rel)
{
    buf_clear(ret_rel);
    buf_add_text(ret_rel, "");
    for (const char *at = key; *at != '\0';) {
        const char *slash = strchrnul(at, '/');
        unmap_component(at, (size_t)(slash - at), ret_rel);
        if (*slash == '/')
            buf_add_char(ret_rel, '/');
        at = *slash == '/' ? slash + 1 : slash;
    }
}
