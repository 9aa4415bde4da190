/* job/packing_links.h: files with several names that are in a pack already, by their inode: the
 * further names become hard links of the first. Only those with more than one link are kept, and
 * of them at most LINKS_MAX in a pack; names beyond become copies.
 * Owner: a packing. Threads: the caller has its lock. */
#pragma once

#include "job/source.h"

#include <stddef.h>
#include <stdint.h>

#define LINKS_MAX (1u << 16)

struct packing_link {
    uint64_t dev, ino, size_bytes;
    int64_t mtime_ns, ctime_ns;
    uint64_t crc64;
    uint32_t ordinal; /* of the entry that is the file */
    char *path;       /* NULL: the slot is free */
};
struct packing_links {
    struct packing_link *slots;
    size_t cap, count;
};
/* The file, if it is in the pack before the entry `ordinal` and is as it was; else NULL. Valid
 * until the next call. */
const struct packing_link *packing_links_find(const struct packing_links *links,
                                              const struct source_file *file, uint32_t ordinal);
/* The entry is in the pack, with content. */
void packing_links_add(struct packing_links *links, const struct source_file *file,
                       uint32_t ordinal, const char *path, uint64_t crc64);
void packing_links_done(struct packing_links *links);
