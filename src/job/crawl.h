/* job/crawl.h: the entries of the source tree, in the order in which S3 lists keys (or, for people,
 * directories first), whatever the threads did. Directories are read ahead by crawl threads within
 * a memory budget; the caller (the planner) reads a directory itself when no thread has come to it,
 * so it never waits for a thread that waits for memory. A directory comes before its content.
 * Memory is flat in the number of files. Owner: the caller. Threads: crawl_next() by one thread. */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/thread.h"
#include "job/entry.h"
#include "job/filter.h"
#include "job/source.h"

#include <stdbool.h>
#include <stdint.h>

enum link_mode { LINKS_KEEP, LINKS_FOLLOW, LINKS_SKIP };

#define CRAWLERS_MAX 128u

struct crawl_options {
    const struct source_set *sources;
    const struct filter *filter; /* NULL: everything */
    enum link_mode links;
    bool one_file_system;
    uint32_t crawlers;        /* threads, at most CRAWLERS_MAX; 0: adapt */
    const char *start_after;  /* skip what has a key up to this one; NULL: nothing */
    size_t list_memory_bytes; /* beyond it a directory is sorted outside memory; 0: dirlist's own */
    const char *temp_dir;     /* where a huge directory is sorted; NULL: $TMPDIR */
    const char *files_from;   /* a file with paths below the one source; NULL: the whole tree */
    bool files_from_nul;      /* they end in NUL, not in newline */
    bool is_listing;          /* files_from is a listing (job/listing.h): what it says is taken */
    bool look_again;          /* of a listing only the names are taken */
    bool tell_excluded;       /* give what the filter leaves out too, with REASON_EXCLUDED */
    bool dirs_first; /* instead of the order of keys: in each directory, directories come first */
    const struct stop *stop;
};
struct crawl_item {
    const char *name; /* valid until the next call; '/' ends a directory */
    uint32_t name_len;
    const char *key; /* the same, with LINK_SUFFIX behind a link that is kept */
    enum entry_kind kind;
    enum plan_reason reason; /* REASON_NONE: to be moved */
    const char *rule; /* REASON_EXCLUDED: the rule that did it; the filter's, NULL: none matched */
    int sys;
    bool empty;
    bool no_attr; /* mode, owner and time are not known: from a listing that does not tell them */
    uint32_t mode, uid, gid;
    uint32_t nlink;
    uint64_t dev, ino;
    uint64_t size_bytes;
    uint64_t disk_bytes; /* allocated; of directories too */
    int64_t mtime_ns;
};
struct crawl;
CHECKED int crawl_open(struct crawl **ret_crawl, const struct crawl_options *options,
                       struct err *err);
/* 1 and an item, 0 at the end, -1. */
CHECKED int crawl_next(struct crawl *crawl, struct crawl_item *ret_item, struct err *err);
uint64_t
crawl_excluded_count(const struct crawl *crawl); /* entries that the filter left out so far */
void crawl_close(struct crawl *crawl);
