/* pack/tar.h: the bytes of a tar stream beside the content: ustar headers, with pax records before
 * them where ustar cannot say it (names, ns and negative times, large sizes and owners, sparse
 * files, extended attributes and ACLs). GNU tar and bsdtar give every name back byte for byte.
 * docs/formats.md says which field is written how. Threads: any; no state. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "pack/member.h"

#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512u
#define TAR_END_BYTES ((size_t)1024) /* zeros at the end of a stream */

/* Append the header of a member (not PACK_GONE): a multiple of TAR_BLOCK. Of a sparse file the map
 * is no part of the header but the beginning of its stored content: see tar_map(). */
void tar_header(const struct pack_member *member, struct buf *out);
/* Append the map of a sparse file (GNU format 1.0), a multiple of TAR_BLOCK. */
void tar_map(const struct pack_member *member, struct buf *out);
size_t tar_map_bytes(const struct pack_member *member);
/* Bytes of its content in the stream, without padding. */
uint64_t tar_stored_bytes(const struct pack_member *member);
/* Zeros behind so much content. */
static inline size_t tar_padding(uint64_t stored_bytes)
{
    return (size_t)(-stored_bytes & (TAR_BLOCK - 1));
}

/* Read a map that begins the `len` stored bytes at `bytes`. 1: *ret_extents (an array of struct
 * pack_extent) is it, *ret_map_bytes its length; 0: more bytes are needed; ERR_CORRUPT. The map
 * must lie in size_bytes and come to data_bytes where they are not fewer than stored_bytes less the
 * map. */
CHECKED int tar_read_map(const void *bytes, size_t len, uint64_t size_bytes, uint64_t stored_bytes,
                         struct buf *ret_extents, size_t *ret_map_bytes, struct err *err);
