/* store/s3/s3_key.h: names are bytes, keys are UTF-8. What a key cannot be is written as rclone
 * writes it for S3 (its encoding Slash,InvalidUtf8,Dot), so that rclone shows the same names:
 * a byte that is no part of UTF-8 as "‛XX", "‛" itself doubled, a component that is "." or ".." in
 * full width (U+FF0E), and one that is that already with "‛" in front of each character. Control
 * characters stay as they are: keys hold them, only XML cannot. Pure. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

/* ERR_LIMIT when the key would have more than max_bytes. ret_key is filled over. */
CHECKED int s3_key_map(const char *rel, size_t max_bytes, struct buf *ret_key, struct err *err);
/* The reverse, of any key: "‛" that begins nothing of the above stays, and so does "‛XX" of a byte
 * below 0x80: a key must not hide a slash. */
void s3_key_unmap(const char *key, struct buf *ret_rel);
