/* job/listing.h: a crawl written down, in one of the formats of docs/formats.md ("Listings").
 * Memory is flat in the number of entries; what is known only at the end (the sizes of directories)
 * waits in temporary files. Owner: the caller. Threads: one at a time. */
#pragma once

#include "base/err.h"
#include "job/crawl.h"

#include <stdint.h>
#include <sys/stat.h>

enum listing_format {
    LISTING_DESI,  /* find.json: nested arrays [name, type, size, children...] */
    LISTING_JSONL, /* an object a line */
    LISTING_CSV,   /* RFC 4180 */
    LISTING_NCDU,  /* what ncdu -f reads */
};
struct listing_options {
    enum listing_format format;
    int fd;               /* written to; stays the caller's */
    const char *top;      /* the directory as the user named it */
    const char *top_path; /* and absolute */
    struct stat top_stat;
    uint32_t depth_max;   /* deeper entries count, but are not written; 0: no limit */
    const char *temp_dir; /* NULL: $TMPDIR or /tmp */
    int64_t time_ns;      /* now */
};
struct listing;
CHECKED int listing_open(struct listing **ret_listing, const struct listing_options *options,
                         struct err *err);
/* Entries come in the order of a walk; ERR_CORRUPT when they do not. */
CHECKED int listing_add(struct listing *listing, const struct crawl_item *item, struct err *err);
/* Write what is left; the file is complete then. */
CHECKED int listing_finish(struct listing *listing, struct err *err);
void listing_close(struct listing *listing);

/* What an entry is called in listings: "file", "directory", "link", "fifo", "socket", "device",
 * "unreadable", "other". */
const char *listing_kind_name(const struct crawl_item *item);
