#include "base/json.h"

#include "base/ban.h"

#include <assert.h>
#include <math.h>

struct json json_into(struct buf *out)
{
    return (struct json){ .out = out };
}

/* How many bytes at `at` are one valid UTF-8 character (RFC 3629); 0 = none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    const unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    const size_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than needed, a surrogate, or beyond U+10FFFF. */
    const unsigned char second = at[1];
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f))
        return 0;
    return len;
}

static void add_escape(struct buf *out, unsigned code)
{
    static const char digits[] = "0123456789abcdef";
    const char text[6] = { '\\',
                           'u',
                           digits[code >> 12 & 15],
                           digits[code >> 8 & 15],
                           digits[code >> 4 & 15],
                           digits[code & 15] };
    buf_add(out, text, sizeof text);
}

/* The letter of a short escape, 0 = none. */
static char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Write the character at `at`, which is not plain; returns its length. */
static size_t add_special(struct buf *out, const unsigned char *at, size_t left)
{
    const size_t len = utf8_length(at, left);
    if (len == 0) {
        add_escape(out, 0xdc00U | at[0]);
        return 1;
    }
    if (len == 1) {
        const char letter = short_escape(at[0]);
        if (letter != 0)
            buf_add(out, (const char[]){ '\\', letter }, 2);
        else
            add_escape(out, at[0]);
        return 1;
    }
    if (len == 2 && at[0] == 0xc2 && at[1] < 0xa0)
        add_escape(out, at[1]); /* U+0080 to U+009F */
    else
        buf_add(out, at, len);
    return len;
}

void json_string(struct buf *out, const void *bytes, size_t len)
{
    size_t left = len;
    const unsigned char *at = bytes;
    buf_reserve(out, len + 2);
    buf_add_char(out, '"');
    while (left != 0) {
        size_t count = 0;
        while (count < left && is_plain(at[count]))
            count++;
        if (count != 0)
            buf_add(out, at, count);
        else
            count = add_special(out, at, left);
        at += count;
        left -= count;
    }
    buf_add_char(out, '"');
}

/* What stands before a value: the comma and the key. */
static void before_value(struct json *json, const char *key)
{
    const uint32_t bit = json->depth != 0 ? UINT32_C(1) << (json->depth - 1) : 0;
    assert(((json->objects & bit) != 0) == (key != NULL));
    if ((json->filled & bit) != 0)
        buf_add_char(json->out, ',');
    json->filled |= bit;
    if (key != NULL) {
        json_string(json->out, (const unsigned char *)key, strlen(key));
        buf_add_char(json->out, ':');
    }
}

static void open_level(struct json *json, const char *key, bool object)
{
    assert(json->depth < JSON_DEPTH_MAX);
    before_value(json, key);
    const uint32_t bit = UINT32_C(1) << json->depth++;
    json->filled &= ~bit;
    json->objects = object ? json->objects | bit : json->objects & ~bit;
    buf_add_char(json->out, object ? '{' : '[');
}

static void close_level(struct json *json, bool object)
{
    assert(json->depth > 0);
    const uint32_t bit = UINT32_C(1) << --json->depth;
    assert(((json->objects & bit) != 0) == object);
    (void)bit;
    buf_add_char(json->out, object ? '}' : ']');
}

void json_object(struct json *json, const char *key)
{
    open_level(json, key, true);
}

void json_object_end(struct json *json)
{
    close_level(json, true);
}

void json_array(struct json *json, const char *key)
{
    open_level(json, key, false);
}

void json_array_end(struct json *json)
{
    close_level(json, false);
}

static void add_word(struct json *json, const char *key, const char *word)
{
    before_value(json, key);
    buf_add_text(json->out, word);
}

void json_text(struct json *json, const char *key, const char *text)
{
    if (text == NULL)
        json_null(json, key);
    else
        json_bytes(json, key, text, strlen(text));
}

void json_bytes(struct json *json, const char *key, const void *bytes, size_t len)
{
    before_value(json, key);
    json_string(json->out, bytes, len);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
    before_value(json, key);
    buf_printf(json->out, "%llu", (unsigned long long)value);
}

void json_i64(struct json *json, const char *key, int64_t value)
{
    before_value(json, key);
    buf_printf(json->out, "%lld", (long long)value);
}

void json_double(struct json *json, const char *key, double value)
{
    if (!isfinite(value)) {
        json_null(json, key); /* JSON has no word for it */
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char *comma = strchr(text, ','); /* some locales write one */
    if (comma != NULL)
        *comma = '.';
    add_word(json, key, text);
}

void json_bool(struct json *json, const char *key, bool value)
{
    add_word(json, key, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
    add_word(json, key, "null");
}

void json_line_end(struct json *json)
{
    assert(json->depth == 0);
    json->filled = 0;
    buf_add_char(json->out, '\n');
}
