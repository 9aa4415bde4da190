/* pack/merge.h: all names that the packs of a catalog know, in order, and who has the word on each:
 * the newest pack that knows it (catalog_compare_age()). What is gone counts as known. Objects of
 * their own are the caller's to ask for.
 * Owner:   the caller; a merge_set outlives its merges, the catalog outlives the set.
 * Threads: a set is not changed after it was opened; a merge belongs to one thread.
 * Memory:  a block of the index of each pack whose names span the present one. */
#pragma once

#include "pack/catalog.h"

struct merge_pack {
    struct buf first, last; /* names; empty: it has none below this place */
    bool beyond;            /* it has others, too: members that have no name here */
    uint32_t age;           /* greater is newer */
};
struct merge_set {
    const struct catalog *catalog; /* of packs that can all be read */
    struct merge_pack *packs;      /* as in the catalog */
};
CHECKED int merge_set_open(struct merge_set *set, const struct catalog *catalog, struct err *err);
void merge_set_done(struct merge_set *set);

/* A name. Valid until the next call. */
struct merge_name {
    const char *text;          /* in the tree of the store, as catalog_name() */
    uint32_t pack;             /* who has the word: its number in the catalog */
    struct pack_member member; /* what it says */
    const uint32_t *others;    /* the packs that know it too */
    size_t other_count;
};
struct merge;
/* From this name on ("": all). */
struct merge *merge_new(const struct merge_set *set, const char *from);
void merge_free(struct merge *merge);
/* 1, 0 behind the last, -1. */
CHECKED int merge_next(struct merge *merge, struct merge_name *ret_name, struct err *err);
