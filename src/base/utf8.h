/* base/utf8.h: bytes as characters, for bytes that need not be UTF-8. */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* The code of a byte b that is no part of UTF-8 is UTF8_BYTE + b, behind the last of Unicode. */
#define UTF8_BYTE UINT32_C(0x110000)
#define UTF8_CODE_MAX (UTF8_BYTE + 255)

/* The character at *at, which is before `end`, as a number; *at moves behind it. */
uint32_t utf8_decode(const unsigned char **at, const unsigned char *end);

/* Append text with control characters and what is not UTF-8 as \xHH: a name must not drive the
 * terminal. Unlike path_show() it leaves backslashes, since names in errors have been through that.
 */
void utf8_show(struct buf *out, const void *text, size_t len);
