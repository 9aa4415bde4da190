/* base/buf.h: bytes that grow, and the little-endian numbers and varints that our files are made
 * of. Owner:   the caller; zero-initialised is empty, released by buf_done(). A buf always has a
 * NUL behind its last byte once something was added, so `data` can be used as text. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;
    size_t len, cap;
};

void buf_done(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_reserve(struct buf *buf, size_t more);
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_add_decimal(struct buf *buf, uint64_t value); /* as text */
void buf_cut(struct buf *buf, size_t len);             /* shorten to len */
/* The text of a buf, "" when nothing was added. */
const char *buf_text(const struct buf *buf);
/* Hand the memory over to the caller (mem_release); never NULL. */
char *buf_take(struct buf *buf);

void buf_add_u32(struct buf *buf, uint32_t value); /* little endian */
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_varint(struct buf *buf, uint64_t value); /* LEB128, at most 10 bytes */
void buf_add_signed(struct buf *buf, int64_t value);  /* zigzag varint */

/* A reader over bytes from outside; every get fails, and keeps failing, beyond the end. */
struct view {
    const unsigned char *at, *end;
    bool bad;
};
struct view view_of(const void *bytes, size_t len);
static inline size_t view_left(const struct view *view)
{
    return (size_t)(view->end - view->at);
}
uint8_t view_u8(struct view *view);
uint32_t view_u32(struct view *view);
uint64_t view_u64(struct view *view);
uint64_t view_varint(struct view *view);
int64_t view_signed(struct view *view);
const void *view_bytes(struct view *view, size_t len); /* NULL and bad beyond the end */
