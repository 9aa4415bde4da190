/* pack/index.h: the index of a pack, byte for byte as docs/formats.md ("Packs") says: built from
 * members in order, and the parts that a reader takes from it. pack/join.h and pack/reader.h are
 * what others use.
 * Owner: one thread each. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/zblock.h"
#include "pack/join.h"
#include "pack/member.h"
#include "pack/xattr_sets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_KEYS_BYTES ((size_t)256 * 1024) /* a block is closed before its keys get longer */
#define INDEX_KEYS_MAX (INDEX_KEYS_BYTES + PACK_KEY_MAX) /* unless one key alone is */
#define INDEX_MEMBERS_MAX 8192u                          /* of a block */
#define INDEX_TARGETS_BYTES ((size_t)64 * 1024)          /* targets of a block; one may go beyond */
#define INDEX_XATTRS_BYTES ((size_t)256 * 1024)          /* sets of attributes, so too */
#define INDEX_NUMBERS_MAX ((size_t)32 * 1024 * 1024)
#define INDEX_BLOCKS_MAX (UINT32_C(1) << 20)
#define INDEX_TABLE_MAX ((size_t)64 * 1024 * 1024)
#define INDEX_HEAD_BYTES 8u
#define INDEX_FOOTER_BYTES 104u
#define INDEX_FRAME 0x184D2A5Cu /* the skippable frame that holds it */
#define SEEK_FRAME 0x184D2A5Eu
#define SEEK_MAGIC 0x8F92EAB1u
#define SEEK_FOOTER_BYTES 9u
#define SEEK_ENTRY_BYTES 8u

/* ---- writing ---- */

struct index_writer;
struct index_writer *index_writer_new(void);
void index_writer_free(struct index_writer *writer);
/* The frame that follows those before. ERR_LIMIT beyond FRAME_COUNT_MAX. */
CHECKED int index_writer_frame(struct index_writer *writer, const struct pack_frame *frame,
                               struct err *err);
/* The next member, of header_bytes and stored_bytes in the tar stream (0 and 0 of what is gone);
 * its frames have been given. ERR_CORRUPT unless its key is behind the last. */
CHECKED int index_writer_add(struct index_writer *writer, const struct pack_member *member,
                             uint32_t header_bytes, uint64_t stored_bytes, struct err *err);
/* Append the index and forget what is in it. Of info, what is counted is found here, but for
 * tar_bytes and data_bytes. seekable: as a frame, and the seek table behind it. ERR_LIMIT when it
 * does not fit a frame. */
CHECKED int index_writer_finish(struct index_writer *writer, const struct pack_info *info,
                                bool seekable, struct buf *out, struct err *err);

/* ---- reading ---- */

struct index_footer {
    uint64_t index_bytes;               /* from its magic to the end of the footer */
    uint64_t keys_offset, table_offset; /* in it */
    uint32_t table_packed, table_raw;
    uint64_t table_crc, seek_crc;
    uint64_t member_count, content_bytes, tar_bytes, data_bytes;
    uint32_t frame_count, block_count;
};
/* The footer at the end of an index. ERR_ABSENT: there is none. */
CHECKED int index_read_footer(const void *bytes, struct index_footer *ret_footer, struct err *err);

struct index_block {
    const char *first; /* every key of the block is at or behind this, all before it are before */
    uint32_t first_len;
    uint32_t count;
    uint64_t numbers_offset, keys_offset; /* in the index */
    uint32_t numbers_packed, numbers_raw, keys_packed, keys_raw;
    uint64_t numbers_crc, keys_crc;
};
struct index_table {
    struct index_footer footer;
    struct pack_info info;
    struct index_block *blocks;
    uint64_t end_crc; /* of the last frame */
    struct buf raw;   /* what `first` points to */
    struct buf text;  /* what info points to */
};
/* The table of blocks, from its bytes in the index. On failure nothing is to be released. */
CHECKED int index_read_table(struct index_table *ret_table, const struct index_footer *footer,
                             const void *packed, struct err *err);
void index_table_done(struct index_table *table);

/* A block, expanded and taken apart. Zero-initialised is empty. */
struct index_row {
    uint32_t key, key_len; /* in keys */
    uint32_t target, target_len;
    struct xattr_span xattrs; /* in numbers */
    uint8_t kind, was;
    bool racy, sparse;
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
    uint64_t size_bytes, crc64;
    uint64_t header_offset, offset_bytes, stored_bytes; /* in the tar stream */
};
struct index_frame {
    struct pack_frame frame;
    uint64_t packed_offset, raw_offset;
};
struct index_rows {
    struct zblock zblock;
    struct buf keys, numbers;
    struct index_row *rows;
    struct buf frames;        /* of struct index_frame: those that its members lie in */
    struct xattr_runs xattrs; /* while numbers are taken apart */
    uint32_t block, count, room, frame_count;
    bool has_keys, has_numbers;
};
/* Expand the keys: afterwards rows[].key and key_len are set, ascending. */
CHECKED int index_read_keys(struct index_rows *rows, const struct index_table *table,
                            uint32_t block, const void *packed, struct err *err);
/* The same without taking them apart: afterwards only `keys` is set. */
CHECKED int index_scan_keys(struct index_rows *rows, const struct index_table *table,
                            uint32_t block, const void *packed, struct err *err);
/* All else; after its keys. */
CHECKED int index_read_numbers(struct index_rows *rows, const struct index_table *table,
                               const void *packed, struct err *err);
static inline const struct index_frame *index_frames(const struct index_rows *rows)
{
    return (const struct index_frame *)(const void *)rows->frames.data;
}
/* The index of the frame that holds this position of the tar stream, or frame_count. */
uint32_t index_frame_at(const struct index_rows *rows, uint64_t raw_offset);
void index_rows_done(struct index_rows *rows);
