/* pack/gunzip.h: gzip, verified: CRC and length of each of its members. Zeros behind the last one
 * are padding, anything else is an error.
 * Owner: the caller, gunzip_close(). Threads: one at a time. Errors: ERR_CORRUPT, and the source's.
 */
#pragma once

#include "pack/archive_in.h"

struct gunzip;
CHECKED int gunzip_open(struct gunzip **ret_gunzip, const struct archive_source *source,
                        struct err *err);
void gunzip_close(struct gunzip *gunzip);
/* The next bytes, valid until the next call: 1, 0 at the verified end, -1. */
CHECKED int gunzip_next(struct gunzip *gunzip, const void **ret_bytes, size_t *ret_len,
                        struct err *err);
