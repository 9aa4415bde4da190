/* pack/record.h: what a chunk notes of itself for the join: its frames, and its members in order.
 * The same bytes go in journals (pack_join_delta()), so docs/formats.md describes them, and a
 * reader trusts none of them.
 * Owner: one thread each. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "pack/chunk.h"
#include "pack/member.h"

#include <stdbool.h>
#include <stdint.h>

/* What a chunk holds of a file that is written in pieces. */
struct record_piece {
    bool first, last;
    uint32_t header_bytes; /* first: of its header */
    uint64_t stored_bytes; /* in the tar stream: data, and the map of a sparse file */
    uint64_t size_bytes;   /* of the content, holes included */
    uint64_t crc64;        /* of these */
};

/* A note: a member that is whole, or (piece) a part of one. A member whose last piece this is
 * follows its piece, with `pieced`. */
struct record {
    bool piece, pieced;
    struct record_piece part;
    struct pack_member
        member; /* extents and what a reader finds out are not set, but stored_bytes */
    uint32_t header_bytes;
};

/* Values of the member before, to which the next refers. */
struct record_state {
    struct buf path;
    int64_t mtime_ns;
    uint32_t mode, uid, gid;
    struct buf xattrs; /* of the last one that has any */
};
void record_state_reset(struct record_state *state);
void record_state_done(struct record_state *state);

/* header_bytes, stored_bytes: of its tar header, of its content in the stream. */
void record_add(struct buf *out, struct record_state *state, const struct pack_member *member,
                uint32_t header_bytes, uint64_t stored_bytes, bool pieced);
void record_add_piece(struct buf *out, const struct record_piece *piece);
/* The next; view is not at its end. Path, target and attributes are valid until the next call. */
CHECKED int record_next(struct view *view, struct record_state *state, struct record *ret_record,
                        struct err *err);

/* The beginning of a chunk's notes. */
struct record_head {
    uint64_t raw_bytes, packed_bytes;
    uint32_t frame_count;
};
void record_add_head(struct buf *out, const struct record_head *head,
                     const struct pack_frame *frames);
/* Behind the head are so many frames. */
CHECKED int record_read_head(struct view *view, struct record_head *ret_head, struct err *err);
CHECKED int record_read_frame(struct view *view, struct pack_frame *ret_frame, struct err *err);
