/* base/zblock.h: a block of bytes as one zstd frame, for our own files. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

/* Contexts, reused from block to block. Owner: one thread; zero-initialised is ready. */
struct zblock {
    void *compressor, *expander;
};
/* Append the frame of the bytes to out. */
void zblock_compress(struct zblock *zblock, const void *bytes, size_t len, struct buf *out);
/* The same at another level of zstd: 1 to 19. */
void zblock_compress_at(struct zblock *zblock, int level, const void *bytes, size_t len,
                        struct buf *out);
/* Replace *ret_bytes by the content of one frame; ERR_CORRUPT unless it is exactly raw_len bytes.
 * The caller bounds raw_len, which comes from a file. */
CHECKED int zblock_expand(struct zblock *zblock, const void *frame, size_t frame_len,
                          size_t raw_len, struct buf *ret_bytes, struct err *err);
void zblock_done(struct zblock *zblock);
