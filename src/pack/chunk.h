/* pack/chunk.h: a run of members as frames, made by one thread and independent of its place: chunks
 * are built in parallel and joined in order (pack/join.h).
 * Owner:  one thread at a time; may be handed over. Keeps its memory and compression contexts over
 *         pack_chunk_reset().
 * Errors: none; a member that breaks the rules of pack/member.h is a bug (assert). */
#pragma once

#include "base/buf.h"
#include "pack/frame.h"
#include "pack/member.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack_options {
    int level;            /* of zstd, 1 to 19; 0: a plain tar stream without frames */
    uint32_t frame_bytes; /* of content in a frame: a power of two from FRAME_BYTES_MIN to _MAX;
                             0: the default. For a huge pack, pack_frame_bytes(). */
};
/* A frame size that keeps a pack of so many bytes of content below FRAME_COUNT_MAX frames. */
uint32_t pack_frame_bytes(uint64_t content_bytes);

struct pack_frame {
    uint32_t packed_bytes, raw_bytes;
    uint64_t crc64; /* CRC64NVME of the packed bytes */
};

struct pack_chunk;
struct pack_chunk *pack_chunk_new(const struct pack_options *options);
void pack_chunk_reset(struct pack_chunk *chunk);
void pack_chunk_free(struct pack_chunk *chunk);

/* A member that is whole in memory: `len` bytes of content, of a sparse file the data of its
 * extents one after the other; 0 bytes if it is no file. The caller has set crc64. */
void pack_chunk_add(struct pack_chunk *chunk, const struct pack_member *member, const void *bytes,
                    size_t len);
/* A piece of a file: its data from `offset_bytes` on (of a sparse file counted over its extents).
 * Pieces come in order, several in a chunk or in several chunks, and nothing comes between those of
 * one file. The one at 0 writes the header, the one that ends the data the padding and the record.
 * A file without data is one piece of 0 bytes. member is the same in each call; its crc64 is
 * not looked at: that of the pieces is computed and combined. */
void pack_chunk_piece(struct pack_chunk *chunk, const struct pack_member *member,
                      uint64_t offset_bytes, const void *bytes, size_t len);
/* How much would be in pack_chunk_bytes() by now, about: for deciding when a chunk is full. */
size_t pack_chunk_size(const struct pack_chunk *chunk);
/* End the last frame. Nothing is added after. */
void pack_chunk_seal(struct pack_chunk *chunk);

/* Of a sealed chunk; valid until its reset. */
const struct buf *pack_chunk_bytes(const struct pack_chunk *chunk);
uint64_t pack_chunk_crc64(const struct pack_chunk *chunk);     /* CRC64NVME of these bytes */
uint64_t pack_chunk_raw_bytes(const struct pack_chunk *chunk); /* of the tar stream */
uint32_t pack_chunk_records(const struct pack_chunk *chunk);   /* members that end in it */
const struct pack_frame *pack_chunk_frames(const struct pack_chunk *chunk, uint32_t *ret_count);
/* What pack_join_add() takes: frames and records, encoded; see pack/record.h. */
const struct buf *pack_chunk_notes(const struct pack_chunk *chunk);
