/* pack/member.h: an entry in a pack, as it is written and as it is read.
 * Owner:  a plain value; path, target, xattrs and extents point into memory of whoever filled it
 * in: the writer's caller, or a cursor (valid until its next call). Order:  the members of a pack
 * come in ascending order of their keys, compared as bytes: the order of the planner. No two have
 * the same key. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_PATH_MAX 65536u   /* bytes of a path; of a key the suffix more */
#define PACK_TARGET_MAX 65536u /* bytes of the target of a link */
#define PACK_KEY_MAX (PACK_PATH_MAX + sizeof LINK_SUFFIX)

/* docs/formats.md: the numbers are written in indexes. */
enum pack_kind {
    PACK_FILE = 1,
    PACK_DIR = 2,
    PACK_LINK = 3,     /* symbolic */
    PACK_HARDLINK = 4, /* another name of a file that is a member before it in this pack */
    PACK_GONE = 5,     /* not there any more in this generation: a record without bytes */
    PACK_KIND_COUNT
};

/* A run of data in a sparse file; what is in none is zeros. */
struct pack_extent {
    uint64_t offset_bytes, len_bytes;
};

struct pack_member {
    const char *path; /* relative, '/' between, none at the end, no NUL inside; NUL behind it only
                         where a reader gives it */
    uint32_t path_len;
    enum pack_kind kind;
    enum pack_kind was; /* PACK_GONE: what it was, PACK_FILE, PACK_DIR or PACK_LINK */
    bool racy;          /* modified so shortly before it was read that a change may not show */
    uint32_t mode;      /* permission bits, 07777 */
    uint32_t uid, gid;
    int64_t mtime_ns;
    uint64_t size_bytes; /* of the content, holes included; 0 unless a file or hard link */
    uint64_t crc64;      /* CRC64NVME of these bytes; 0 unless a file or hard link */
    const char *target;  /* of a link as it is; of a hard link the path of the member */
    uint32_t target_len;
    const void *xattrs; /* a set of base/xattr.h; of what is gone, and of links, none */
    uint32_t xattrs_len;

    /* For a writer: the data of a sparse file, ascending, not adjacent, none empty, within
     * size_bytes. Only if `sparse`. */
    const struct pack_extent *extents;
    size_t extent_count;
    bool sparse;

    /* From a reader: where it is. */
    uint64_t offset_bytes;       /* of its content in the tar stream */
    uint64_t stored_bytes;       /* of its content there; not size_bytes if sparse */
    uint64_t frame_offset_bytes; /* in the object: the frame in which its content begins */
    uint64_t frame_skip_bytes;   /* and where in the expanded frame */
    uint32_t block, ordinal;     /* in the index: its block, its number there */
};

/* Append its key: path; path and '/' of a directory; path and LINK_SUFFIX of a symbolic link. */
void pack_member_key(const struct pack_member *member, struct buf *out);
/* What has attributes of its own: a file, under whichever name, and a directory. */
bool pack_member_can_have_xattrs(enum pack_kind kind);
/* The data bytes of a file: size_bytes, or the sum of its extents. */
uint64_t pack_member_data_bytes(const struct pack_member *member);
