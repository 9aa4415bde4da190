/* job/pack_note.h: what a part of a pack holds, as the journal keeps it with the part
 * (docs/formats.md, "What a part of a pack holds"): enough for another process to go on behind it.
 * A plain value; what it points to belongs to whoever gave the bytes. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* A file that goes in pieces, as it was when the first was read. */
struct identity {
    uint32_t ordinal;
    uint64_t ino, size_bytes;
    int64_t mtime_ns, ctime_ns;
    uint64_t map_crc64; /* of its extents; 0: it is written without holes */
};
bool identity_same(const struct identity *a, const struct identity *b);

struct pack_note {
    uint32_t through;   /* all entries before this ordinal are in the pack, or in no part */
    uint64_t piece_end; /* of the file `piece`, the one at `through`, so much is in: 0: none is */
    uint64_t piece_crc64;
    struct identity piece;
    struct view results; /* of the members that end in this part, encoded */
    uint32_t result_count;
    struct view delta; /* see pack_join_delta(); of an encoder the caller adds it behind */
};
void pack_note_encode(const struct pack_note *note, struct buf *out);
/* -1: none of ours. The delta is not looked into. */
CHECKED int pack_note_decode(struct pack_note *ret_note, const void *bytes, size_t len);
