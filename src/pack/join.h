/* pack/join.h: chunks become a pack: the bytes of the chunks, one after the other, then what
 * pack_join_tail() gives. The join sees only what the chunks note of themselves; their bytes go
 * straight to the store.
 * Owner:  one thread. Memory: about 20 bytes a member and 16 a frame, compressed as it comes.
 * Errors: ERR_LIMIT: too many frames or members for one pack; ERR_CORRUPT: notes that do not fit
 *         what came before (replay), members out of order. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "pack/chunk.h"

#include <stddef.h>
#include <stdint.h>

/* What the index tells of the pack as a whole. Text is copied by pack_join_new(). */
struct pack_info {
    const char *name;   /* of the object, relative to the root of the member's paths */
    const char *job_id; /* "": none */
    const char *maker;  /* version of lade; NULL when writing: this one */
    const char *etag;   /* of the tar, in a sidecar; else "". Not set when writing */
    uint64_t generation;
    int64_t created_ns;
    uint64_t merged; /* 0: put; else made of other packs, and newer the higher it is */
    uint32_t level;  /* 0: plain tar, the index is a sidecar */
    /* counted: not set when writing */
    uint64_t member_count; /* records, those of what is gone too */
    uint64_t gone_count;
    uint64_t content_bytes; /* sum of the sizes of files */
    uint64_t tar_bytes;     /* of the tar stream, with its end */
    uint64_t data_bytes;    /* of the object before the index: frames, or the tar */
    uint32_t frame_count;
};

struct pack_join;
/* keep_notes: pack_join_delta() will be called; without, nothing is kept for it. */
struct pack_join *pack_join_new(const struct pack_info *info, bool keep_notes);
void pack_join_free(struct pack_join *join);
/* The next chunk, sealed; it can be reset afterwards. */
CHECKED int pack_join_add(struct pack_join *join, const struct pack_chunk *chunk, struct err *err);
/* The same from its notes alone. */
CHECKED int pack_join_add_notes(struct pack_join *join, const void *notes, size_t len,
                                struct err *err);
uint64_t pack_join_bytes(const struct pack_join *join); /* of the object so far */
uint64_t pack_join_tar_bytes(const struct pack_join *join);
uint64_t pack_join_members(const struct pack_join *join);

/* Append what was added since the last call, for a journal: 10 to 20 bytes a member. Nothing is
 * appended when nothing was added. */
void pack_join_delta(struct pack_join *join, struct buf *out);
/* In a new join, with what deltas gave, each in its order: it goes on exactly where the other was.
 */
CHECKED int pack_join_replay(struct pack_join *join, const void *delta, size_t len,
                             struct err *err);

/* Append the end of the object: the end of the tar stream, the index, the seek table; of a plain
 * tar only its end. The last member must be whole. Nothing can be added after; what the join held
 * of the index is given away (plain: by pack_join_sidecar()). */
CHECKED int pack_join_tail(struct pack_join *join, struct buf *out, struct err *err);
/* Plain tar, after its tail: the index, an object of its own, which names the ETag of the tar. */
CHECKED int pack_join_sidecar(struct pack_join *join, const char *etag, struct buf *out,
                              struct err *err);
