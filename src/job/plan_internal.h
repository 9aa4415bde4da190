/* job/plan_internal.h: what the parts of the planner share: plan.c (the loop over the streams, and
 * batches), plan_decide.c (what happens to an entry), plan_show.c (a dry run, as text). */
#pragma once

#include "job/objects.h"
#include "job/plan.h"

#include <stdio.h>

/* A pack of an earlier generation: is it still what was put there? */
struct old_pack {
    char *key, *etag;
    bool is_there;
};

struct planner {
    const struct plan_options *options;
    struct stream *from;     /* what is to be moved */
    struct stream *there;    /* what is at the destination, by the same keys */
    struct stream *record;   /* NULL: none */
    struct store_room *room; /* put into several buckets, else NULL */
    struct buf mapped;       /* put: the key of the entry at hand, as the store has it */
    struct err why; /* the entry at hand: what its reason does not say; ERR_NONE: nothing */
    struct packer packer;
    struct old_pack *old_packs;
    size_t old_pack_count;
    struct store *packs; /* the destination as pack/view.h, once a recorded pack was not there */
    bool packs_known;
    struct buf pack_name;      /* of one found there */
    struct stream_item packed; /* stands for `there` of what is in a pack */
    struct buf unread;         /* a directory that could not be read: what is in it is not gone */

    struct segment_writer writer; /* plan_run() */
    struct generation *generation;
    bool writing; /* a segment is begun */
    struct buf last_key;

    FILE *out; /* plan_print() */
    bool json;

    struct plan_progress *progress;
    struct segment_sum sum;
    uint32_t untold;
};

/* plan_decide.c: what is to be done with `from`, as an entry of the plan. ret_packable: a pack may
 * take it. */
CHECKED int plan_decide(struct planner *planner, const struct stream_item *from,
                        struct plan_entry *ret_entry, bool *ret_packable, struct err *err);
/* Why it is not moved, as far as it can be said. */
void plan_explain(const struct planner *planner, const struct plan_entry *entry,
                  struct err *ret_why);

/* plan_show.c: a line of a dry run. */
void plan_show_entry(const struct planner *planner, const struct stream_item *from,
                     const struct plan_entry *entry);
void plan_show_excluded(const struct planner *planner, const struct stream_item *from);
