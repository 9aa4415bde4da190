/* job/crawl_internal.h: what crawl.c (a tree, by its directories) and crawl_listed.c (names that
 * somebody else collected) share. */
#pragma once

#include "base/dirlist.h"
#include "job/crawl.h"

/* A directory of a listing that is given once something in it is. */
struct waiting {
    struct crawl_item item;
    bool given;
};

struct crawl {
    struct crawl_options options;
    struct dirlist_options list_options;
    const struct stop *stop;
    struct lock lock;
    struct cond changed;        /* there is something to read ahead, or room */
    struct cond ready;          /* `awaited` is read */
    struct node *open_head;     /* guarded by lock; in the order of the walk */
    size_t ahead_bytes;         /* guarded by lock */
    uint32_t ahead_nodes;       /* guarded by lock */
    bool closing;               /* guarded by lock */
    const struct node *awaited; /* guarded by lock; by the planner */
    uint32_t idle_count; /* guarded by lock; threads that found nothing to read, or no room */
    struct thread threads[CRAWLERS_MAX];
    uint32_t thread_count; /* guarded by lock */
    uint32_t thread_most;
    int64_t slept_ns, cpu_ns; /* guarded by lock; of reading, since the last adaptation */

    struct frame *frames; /* planner only, from here on */
    size_t depth, frames_cap;
    struct buf name, key;
    uint64_t excluded;
    bool giving;            /* the directories on the way here are wanted: give those pending */
    struct crawl_item held; /* an item that waits for its directories to be given first */
    bool holding;
    uint64_t root_dev;
    struct dirlist *names; /* files-from, instead of frames */
    struct buf last_name;  /* files-from: to drop doubles */

    struct dirlist_entry ahead; /* listing: the next entry, when has_ahead */
    bool has_ahead;
    struct waiting *waiting; /* listing with a filter: the directories that lead here */
    size_t waiting_count, waiting_cap;
    struct buf waiting_name; /* of the one given last */
};

/* What an entry is, all but its names, and whether it can be moved. */
void crawl_item_of(const struct crawl *crawl, const struct dirlist_entry *entry,
                   struct crawl_item *item);
/* Would the key of a kept link be that of another entry? `dir` ends in '/' or is "". */
bool crawl_link_collides(const struct crawl *crawl, const char *dir, const char *name);
/* From crawl->name, and the key that goes with it. */
void crawl_set_names(struct crawl *crawl, struct crawl_item *item);
/* By the filter; what it leaves out is counted. */
bool crawl_wants(struct crawl *crawl, struct crawl_item *item);

/* crawl_listed.c: --files-from, and listings (job/listing.h) */
CHECKED int crawl_read_list(struct crawl *crawl, struct err *err);
CHECKED int crawl_next_in_list(struct crawl *crawl, struct crawl_item *ret_item, struct err *err);
CHECKED int crawl_read_listing(struct crawl *crawl, struct err *err);
CHECKED int crawl_next_in_listing(struct crawl *crawl, struct crawl_item *ret_item,
                                  struct err *err);
