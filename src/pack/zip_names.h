/* pack/zip_names.h: the names in a zip as the bytes that they are, from its directory at the end.
 * libarchive gives them composed (NFC), or not at all. The order is libarchive's: by the place of
 * the members in the archive, of several at one place the first.
 * Owner: the caller, zip_names_done(). Threads: one at a time. */
#pragma once

#include "pack/archive_in.h"

struct zip_name {
    uint64_t offset_bytes;      /* of the member's own header */
    uint32_t index;             /* in the directory */
    const unsigned char *bytes; /* behind the fixed part of its record in the directory */
    size_t len;
    size_t record_bytes;
};
struct zip_names {
    struct buf directory;
    struct zip_name *items;
    size_t count;
};
/* ERR_CORRUPT, ERR_LIMIT beyond ARCHIVE_DIRECTORY_MAX. */
CHECKED int zip_names_read(struct zip_names *names, const struct archive_source *source,
                           struct err *err);
/* Keep only those at `inside` and below, and add a directory of them, as it would be at
 * offset_bytes of the archive, with its end. */
void zip_names_reduce(struct zip_names *names, const char *inside, uint64_t offset_bytes,
                      struct buf *ret_directory);
void zip_names_done(struct zip_names *names);
