/* job/repack.h: packs that are small or mostly stale become new ones, in the store where they are.
 *  - What has the word on a name is as pack/view.h has it, before, after and between: a new pack is
 *    stored whole and looked at before any old one goes, and old ones go oldest first.
 *  - What is gone, hidden, or an object of its own by now is left behind, unless a pack that stays
 *    knows its name.
 *  - The content of each member is verified as it is read. A pack with one that is damaged stays as
 *    it is, and so does all that hides something in it.
 *  - A kill loses nothing: what a repack has under way is written down first (docs/formats.md), and
 *    the next one of the same place by the same user cleans up.
 * Room is needed for all new packs beside the old ones.
 * Owner: the caller. Threads: repack_run() blocks; it calls `tell` from several threads, one at a
 * time. */
#pragma once

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define REPACK_NAME "repack-" /* names of new packs begin so */

enum repack_news {
    REPACK_REWRITE, /* an old pack: its live members go into new ones */
    REPACK_STORE,   /* a new pack, stored (a dry run: that would be) */
    REPACK_REMOVE,  /* an old pack, removed (a dry run: that would be) */
    REPACK_DAMAGED, /* a member, `name`, or a whole pack that cannot be read */
};
struct repack_event {
    enum repack_news news;
    const char *pack;
    const char *name;           /* DAMAGED: of the member, or NULL */
    uint64_t bytes, live_bytes; /* of the object; of content (REWRITE: that is live) */
    uint64_t content_bytes;     /* REWRITE: of all its files */
    uint64_t members;           /* REWRITE: that are live; STORE: in it */
    const struct err *err;      /* DAMAGED */
};
typedef void (*repack_tell_fn)(void *to, const struct repack_event *event);

struct repack_options {
    const char *location;
    const struct store_options *store; /* its stop ends the repack, too */
    uint64_t pack_bytes;               /* of content in a new pack; 0: by the size of all */
    uint32_t level;
    bool no_compress;
    uint32_t min_live_percent; /* of a pack's content: below, it is rewritten */
    uint32_t transfers;        /* new packs that are made at once; 0: a good number */
    uint64_t bwlimit_bytes_per_s;
    bool dry_run;
    repack_tell_fn tell;
    void *to;
};
struct repack_counts {
    uint64_t packs_before, packs_after;
    uint64_t bytes_before, bytes_after; /* of the objects that are packs */
    uint64_t rewritten, stored, removed, damaged;
};
/* ERR_CORRUPT: the index of a pack cannot be read, so nothing is known of what it hides. */
CHECKED int repack_run(const struct repack_options *options, struct repack_counts *ret_counts,
                       struct err *err);
