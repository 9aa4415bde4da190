#include "base/utf8.h"

#include "base/ban.h"

/* Length of the UTF-8 character that the first byte announces; 0 when it cannot be a first byte. */
static size_t announced_len(unsigned char first)
{
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

static uint32_t decode_long(const unsigned char **at, const unsigned char *end)
{
    static const uint32_t first_bits[] = { 0, 0, 0x1f, 0x0f, 0x07 };
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *bytes = *at;
    const size_t len = announced_len(bytes[0]);
    const uint32_t as_byte = UTF8_BYTE + bytes[0];

    *at = bytes + 1;
    if (len == 0 || len > (size_t)(end - bytes))
        return as_byte;
    uint32_t code = bytes[0] & first_bits[len];
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return as_byte;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return as_byte;
    *at = bytes + len;
    return code;
}

uint32_t utf8_decode(const unsigned char **at, const unsigned char *end)
{
    if (**at < 0x80)
        return *(*at)++;
    return decode_long(at, end);
}

void utf8_show(struct buf *out, const void *text, size_t len)
{
    const unsigned char *at = text;
    const unsigned char *end = at + len;
    while (at < end) {
        const unsigned char *start = at;
        const uint32_t code = utf8_decode(&at, end);
        const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        if (!control && code < UTF8_BYTE)
            buf_add(out, start, (size_t)(at - start));
        for (; (control || code >= UTF8_BYTE) && start < at; start++)
            buf_printf(out, "\\x%02x", *start);
    }
}
