#include "base/buf.h"

#include "base/ban.h"
#include "base/mem.h"

#include <stdarg.h>

void buf_done(struct buf *buf)
{
    mem_release(buf->data);
    *buf = (struct buf){ 0 };
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void buf_reserve(struct buf *buf, size_t more)
{
    const size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return;
    size_t cap = buf->cap < 32 ? 64 : buf->cap * 2;
    if (cap < need)
        cap = need;
    buf->data = mem_resize(buf->data, cap);
    buf->cap = cap;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    buf_reserve(buf, len);
    if (len != 0)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);
    const int need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need > 0) {
        buf_reserve(buf, (size_t)need);
        vsnprintf(buf->data + buf->len, (size_t)need + 1, fmt, again);
        buf->len += (size_t)need;
    }
    va_end(again);
}

void buf_add_decimal(struct buf *buf, uint64_t value)
{
    char text[20];
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    buf_add(buf, text + at, sizeof text - at);
}

void buf_cut(struct buf *buf, size_t len)
{
    if (len < buf->len) {
        buf->len = len;
        buf->data[len] = '\0';
    }
}

const char *buf_text(const struct buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
    if (buf->data == NULL)
        return mem_string("");
    char *taken = buf->data;
    *buf = (struct buf){ 0 };
    return taken;
}

void buf_add_u32(struct buf *buf, uint32_t value)
{
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    buf_add(buf, bytes, sizeof bytes);
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    buf_add(buf, bytes, sizeof bytes);
}

void buf_add_varint(struct buf *buf, uint64_t value)
{
    unsigned char bytes[10];
    size_t n = 0;
    while (value >= 0x80) {
        bytes[n++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (unsigned char)value;
    buf_add(buf, bytes, n);
}

void buf_add_signed(struct buf *buf, int64_t value)
{
    buf_add_varint(buf, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

struct view view_of(const void *bytes, size_t len)
{
    static const unsigned char none[1];
    const unsigned char *at = bytes != NULL ? bytes : none;
    return (struct view){ .at = at, .end = at + len };
}

const void *view_bytes(struct view *view, size_t len)
{
    if (view->bad || view_left(view) < len) {
        view->bad = true;
        return NULL;
    }
    const void *at = view->at;
    view->at += len;
    return at;
}

uint8_t view_u8(struct view *view)
{
    const unsigned char *at = view_bytes(view, 1);
    return at != NULL ? *at : 0;
}

static uint64_t little_endian(struct view *view, size_t bytes)
{
    const unsigned char *at = view_bytes(view, bytes);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint32_t view_u32(struct view *view)
{
    return (uint32_t)little_endian(view, 4);
}

uint64_t view_u64(struct view *view)
{
    return little_endian(view, 8);
}

uint64_t view_varint(struct view *view)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t byte = view_u8(view);
        if (view->bad || (shift == 63 && byte > 1))
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
    view->bad = true;
    return 0;
}

int64_t view_signed(struct view *view)
{
    const uint64_t value = view_varint(view);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}
