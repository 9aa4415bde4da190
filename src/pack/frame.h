/* pack/frame.h: the frames that a pack is made of: plain zstd frames with their content size in
 * front. What compresses is compressed; what does not is written as raw blocks, with runs of zeros
 * (tar headers, padding) as RLE blocks, without asking libzstd.
 * Owner: one thread. */
#pragma once

#include "base/buf.h"
#include "base/zblock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_BYTES_DEFAULT (UINT32_C(1) << 20)
#define FRAME_BYTES_MIN (UINT32_C(64) << 10)
#define FRAME_BYTES_MAX (UINT32_C(32) << 20)
/* Of a frame's content: a member that fits is not cut, up to a quarter more than the size. */
#define FRAME_RAW_MAX (FRAME_BYTES_MAX + FRAME_BYTES_MAX / 4)
/* Of its bytes in the object: blocks that do not compress cost little more than their content. */
#define FRAME_PACKED_MAX (FRAME_RAW_MAX + FRAME_RAW_MAX / 2)
#define FRAME_COUNT_MAX (UINT32_C(1) << 20) /* in a pack */
#define FRAME_SKIPPABLE 0x184D2A50u /* magic of a skippable frame; the low 4 bits are free */
#define FRAME_HEADER_BYTES 8u       /* of it: magic and length */

/* How a run of members is written. FRAME_ANY: as what is beside it. */
enum frame_class { FRAME_PACKED, FRAME_RAW, FRAME_ANY };

/* Choose by the name (known extensions of compressed data), then by the entropy of 1 KiB from the
 * middle of the content. Less than that may go with anything. */
struct frame_probe {
    uint32_t weight[1025]; /* c * log2(c), scaled */
};
void frame_probe_init(struct frame_probe *probe);
enum frame_class frame_probe_class(const struct frame_probe *probe, const char *path,
                                   size_t path_len, const void *bytes, size_t len);

/* Append one frame of these bytes, compressed. */
void frame_pack(struct zblock *zblock, int level, const void *bytes, size_t len, struct buf *out);

/* A frame of raw blocks under way, written straight to its place. */
struct frame_raw {
    size_t start;   /* in out */
    size_t block;   /* where the header of the last raw block is; 0: none to go on with */
    uint32_t bytes; /* of content so far */
};
void frame_raw_begin(struct frame_raw *frame, struct buf *out);
/* Content, as it is. Together at most FRAME_RAW_MAX bytes. */
void frame_raw_add(struct frame_raw *frame, const void *bytes, size_t len, struct buf *out);
/* The same where many of the bytes are zeros. */
void frame_raw_add_sparse(struct frame_raw *frame, const void *bytes, size_t len, struct buf *out);
void frame_raw_end(struct frame_raw *frame, struct buf *out);

/* Append a skippable frame's header: magic and length. */
void frame_skippable(struct buf *out, uint32_t magic, uint32_t len);
