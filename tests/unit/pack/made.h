/* tests/unit/pack/made.h: random members and the packs made of them. The same seed gives the same.
 */
#pragma once

#include "../scratch.h"
#include "base/buf.h"
#include "pack/join.h"
#include "pack/member.h"
#include "pack/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct made_member {
    struct pack_member member;
    struct buf path, target, extents, key, xattrs;
    struct buf data;    /* what is stored: of a sparse file its extents */
    struct buf content; /* holes included */
};
struct made {
    struct made_member *members; /* in order */
    size_t count;
};
/* names of all bytes, all kinds, sizes around blocks and frames of frame_bytes. */
void made_random(struct made *made, uint64_t seed, size_t count, uint32_t frame_bytes);
/* One more file, behind all others, where there are no random members. */
void made_add_file(struct made *made, const char *path, const void *bytes, size_t len);
void made_done(struct made *made);

struct made_options {
    struct pack_options pack;
    uint64_t cuts;      /* seed of where chunks are cut */
    size_t chunk_bytes; /* about so many bytes of the stream in a chunk; 0: one chunk */
    bool pieces;        /* files in random pieces, across chunks too */
    size_t replay_at;   /* go on in a new join after so many chunks; 0: never */
};
struct made_pack {
    struct buf object, sidecar;
    struct pack_source source;
    size_t chunk_count, delta_bytes;
    size_t reads, read_bytes; /* by way of source */
    size_t spoilt;            /* in so many of the next reads a bit is wrong */
};
/* pack is filled in place, since its source points to it. */
void made_pack(const struct made *made, const struct made_options *options, struct made_pack *pack);
void made_pack_done(struct made_pack *pack);
/* Opens it, with its sidecar where it is plain. */
struct pack *made_open(struct made_pack *pack);

/* Everything is there and as it was made, by every way of reading. */
void made_expect(const struct made *made, const struct pack *pack);
