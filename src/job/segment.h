/* job/segment.h: a sealed part of a plan, one file: entries in front-coded varint blocks of 256
 * KiB, each a zstd frame with a CRC, then a footer that finds them. docs/formats.md has every byte.
 * A segment is written under a temporary name and renamed when it is complete, so what has the name
 * NNNNNN.seg is whole; damage shows as ERR_CORRUPT.
 * Owner: one thread each. */
#pragma once

#include "base/buf.h"
#include "base/zblock.h"
#include "job/entry.h"

#include <stdint.h>

#define SEGMENT_ENTRIES_MAX (1u << 24) /* a batch has many only when a pack has */
#define SEGMENT_NAME_MAX 24            /* "000001.seg" with room */

/* What a footer says of the whole segment. */
struct segment_sum {
    uint64_t entries;
    uint64_t objects; /* what a worker has to see to */
    uint64_t objects_bytes;
    uint64_t by_action[PLAN_ACTION_COUNT]; /* entries */
    uint64_t bytes_by_action[PLAN_ACTION_COUNT];
};
void segment_sum_add(struct segment_sum *sum, const struct plan_entry *entry);
void segment_sum_merge(struct segment_sum *sum, const struct segment_sum *other);

struct segment_writer {
    int dir_fd; /* of the generation, not owned */
    int fd;
    uint32_t number;
    struct buf raw;    /* the block being filled */
    struct buf packed; /* scratch */
    struct buf footer; /* block table so far */
    struct zblock zblock;
    uint32_t block_count, block_first;
    uint64_t offset_bytes;
    struct segment_sum sum;
    struct buf last_name; /* of the block, for front coding */
    int64_t last_mtime_ns;
    uint32_t last_mode, last_uid, last_gid;
    struct buf last_pack, last_kept, last_kept_etag; /* of the block */
};
void segment_writer_init(struct segment_writer *writer, int dir_fd);
/* Start file `number`; only one at a time. */
CHECKED int segment_begin(struct segment_writer *writer, uint32_t number, struct err *err);
/* Append; the ordinal is the count of entries before. */
CHECKED int segment_add(struct segment_writer *writer, const struct plan_entry *entry,
                        struct err *err);
/* Write the footer, sync, rename. `key` is the last key, from which a killed crawl goes on. */
CHECKED int segment_seal(struct segment_writer *writer, const char *key, size_t key_len,
                         struct err *err);
void segment_writer_done(
    struct segment_writer *writer); /* an unsealed file stays behind, unnamed */

struct segment_block {
    uint64_t offset_bytes;
    uint32_t packed_bytes, raw_bytes, first, count;
    uint64_t crc64;
};
struct segment {
    int fd;
    uint32_t number;
    struct segment_sum sum;
    struct segment_block *blocks;
    uint32_t block_count;
    struct buf last_key;
    /* the cursor */
    uint32_t next_block, ordinal;
    struct buf packed, raw;
    struct zblock zblock;
    struct view view;
    struct buf name;
    int64_t mtime_ns;
    uint32_t mode, uid, gid;
    struct buf pack, kept, kept_etag;
};
CHECKED int segment_open(struct segment *segment, int dir_fd, uint32_t number, struct err *err);
/* 1 and the next entry (its name is valid until the next call), 0 at the end, -1. */
CHECKED int segment_next(struct segment *segment, struct plan_entry *ret_entry, struct err *err);
/* Are all blocks as they were written? Reads them, and decodes nothing. */
CHECKED int segment_check(struct segment *segment, struct err *err);
/* Start a block again: entries of one block from its first; for walking backwards. */
CHECKED int segment_seek_block(struct segment *segment, uint32_t block, struct err *err);
void segment_done(struct segment *segment);

const char *segment_file_name(uint32_t number, const char *suffix, char text[SEGMENT_NAME_MAX]);
