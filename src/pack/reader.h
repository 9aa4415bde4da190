/* pack/reader.h: packs, read: find a member, list them, search their names, read one, read all.
 * Owner:   struct pack is not changed after it was opened, so threads may share it (and its source
 *          must allow that); a struct pack_cursor belongs to one thread.
 * Errors:  ERR_ABSENT: not one of ours. ERR_CORRUPT: damaged; the text says what. ERR_DAMAGED: the
 *          same, read twice. Those of the source come through. A pack is from outside: nothing in
 * it is trusted. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "pack/join.h"
#include "pack/member.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the bytes come from: a range of an object. */
struct pack_source {
    /* Append exactly len bytes from offset to out (fewer are an error). */
    int (*read)(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err);
    void *from;
    uint64_t size_bytes; /* of the object */
};
#define PACK_TAIL_BYTES ((size_t)256 * 1024) /* what pack_open() reads */

struct pack;
/* Reads the end of the object. */
CHECKED int pack_open(struct pack **ret_pack, const struct pack_source *source, struct err *err);
/* From an index that is held (pack_index_bytes(), a sidecar); it is copied. source: the pack or the
 * tar; its `read` may be NULL when no content is wanted. */
CHECKED int pack_open_index(struct pack **ret_pack, const void *index, size_t len,
                            const struct pack_source *source, struct err *err);
/* From an index that lies apart, such as in a cache, and is read block by block. What cannot be
 * read there any more is read in the source. */
CHECKED int pack_open_apart(struct pack **ret_pack, const struct pack_source *index,
                            const struct pack_source *source, struct err *err);
void pack_free(struct pack *pack);

const struct pack_info *pack_info(const struct pack *pack); /* the pack's */
/* The index as one piece, for a cache: appended to out; one read, or none. */
CHECKED int pack_index_bytes(const struct pack *pack, struct buf *out, struct err *err);
/* Read the whole index now, so that no block of it needs a read by itself: before going through
 * all of a pack. Before other threads use it. */
CHECKED int pack_hold_index(struct pack *pack, struct err *err);

/* ---- members ---- */

struct pack_cursor;
struct pack_cursor *pack_cursor_new(const struct pack *pack); /* the pack must outlive it */
void pack_cursor_free(struct pack_cursor *cursor);
/* By its path: 1 and the member, 0 when there is none. What is gone is found too. */
CHECKED int pack_find(struct pack_cursor *cursor, const char *path, size_t path_len,
                      struct pack_member *ret_member, struct err *err);
/* Go to the first member whose key begins with prefix ("": all), then members one by one: 1, or 0
 * behind the last that begins so. The prefix is copied. */
CHECKED int pack_seek(struct pack_cursor *cursor, const char *prefix, size_t prefix_len,
                      struct err *err);
/* Go to the first member whose key is not before this one, then all behind it. */
CHECKED int pack_seek_from(struct pack_cursor *cursor, const char *key, size_t key_len,
                           struct err *err);
CHECKED int pack_next(struct pack_cursor *cursor, struct pack_member *ret_member, struct err *err);

/* ---- content ---- */

/* Takes bytes of a member, from offset on; offsets ascend, and what is left out is a hole: zeros.
 * Returns 0, or -1 with err to end it. */
typedef int (*pack_take_fn)(void *ctx, const struct pack_member *member, uint64_t offset_bytes,
                            const void *bytes, size_t len, struct err *err);
/* Content of a file from offset, len bytes or up to its end (UINT64_MAX). Frames are checked by
 * their CRC, and the content by its own when all of it is read: what was taken before an error is
 * worth nothing. The member is one that a cursor of this pack gave; the cursor may be another. A
 * hard link's content is that of its target: find that. */
CHECKED int pack_read(struct pack_cursor *cursor, const struct pack_member *member,
                      uint64_t offset_bytes, uint64_t len, pack_take_fn take, void *ctx,
                      struct err *err);

/* Where the data of a sparse file is; the extents are the cursor's, until its next call. Also what
 * pack_read() of all of it has left there. */
CHECKED int pack_read_map(struct pack_cursor *cursor, const struct pack_member *member,
                          const struct pack_extent **ret_extents, size_t *ret_count,
                          struct err *err);

/* Many members at once, in order: for unpacking. The unit is a block of the index (some thousand
 * members), so that threads share a pack, a block each. */
struct pack_visitor {
    /* Is it wanted? Called for each member of the block, in order. Frames that hold nothing wanted
     * are not read. NULL: all are. */
    bool (*want)(void *ctx, const struct pack_member *member);
    pack_take_fn take; /* content of a file */
    /* All of it was taken and its CRC is right (also of what has no content). crc_ok false: the
     * content is damaged; return 0 to go on with the next, or -1 with err set. */
    int (*end)(void *ctx, const struct pack_member *member, bool crc_ok, struct err *err);
    void *ctx;
};
uint32_t pack_block_count(const struct pack *pack);
CHECKED int pack_visit(struct pack_cursor *cursor, uint32_t block,
                       const struct pack_visitor *visitor, struct err *err);

/* ---- names ---- */

/* The keys of a block, expanded: `len` bytes, a NUL behind each key, *ret_count of them. Valid
 * until the cursor's next call. A key that ends in '/' is a directory. */
CHECKED int pack_keys(struct pack_cursor *cursor, uint32_t block, const char **ret_keys,
                      size_t *ret_len, uint32_t *ret_count, struct err *err);
/* The same, and no key was looked at: only the bytes of the whole are known to be good. */
CHECKED int pack_scan(struct pack_cursor *cursor, uint32_t block, const char **ret_keys,
                      size_t *ret_len, struct err *err);
/* The member `ordinal` of a block: for what was found among its keys. */
CHECKED int pack_member_at(struct pack_cursor *cursor, uint32_t block, uint32_t ordinal,
                           struct pack_member *ret_member, struct err *err);

/* Is the pack as it was written? Reads it all: frames, content, index, seek table. */
CHECKED int pack_verify(const struct pack *pack, struct err *err);
