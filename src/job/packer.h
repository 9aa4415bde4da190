/* job/packer.h: which pack each entry of a put goes into (--pack). The planner asks in the order of
 * the plan, and one pack is open at a time: what it holds lies together there, but for entries
 * between that are objects of their own. A batch holds whole packs. What is decided depends on the
 * entries alone, so the same tree gives the same packs. Threads: the planner's. */
#pragma once

#include "base/buf.h"
#include "job/job.h"

#define PACK_BELOW_BYTES (UINT64_C(8) << 20)
#define PACK_LEAST_BYTES (UINT64_C(64) << 20)
#define PACK_MOST_BYTES (UINT64_C(1) << 30)
#define PACK_ENTRIES_MAX (256u << 10) /* but for a pack of a whole directory */

struct packer {
    const struct job_spec *spec;
    const char *id;      /* of the job */
    uint32_t generation; /* 0: of a dry run */
    uint32_t depth;      /* JOB_PACK_LEVEL: components of the directories that become packs */
    bool is_open;
    struct buf name;      /* of the open pack: its key */
    struct buf directory; /* JOB_PACK_LEVEL: what it holds, "" or with '/' at its end */
    uint64_t bytes;
    uint32_t entries;
    uint32_t number;            /* JOB_PACK_AUTO: of the open pack, in its batch */
    struct buf parent, *others; /* keys that look like packs, in the directory `parent` */
    size_t other_count;
};
/* The job's id is read until packer_done(). */
void packer_init(struct packer *packer, const struct job_spec *spec, const char *id,
                 uint32_t generation);
void packer_done(struct packer *packer);
/* Is an entry of this name, kind and size one for a pack? */
bool packer_wants(const struct packer *packer, const char *name, enum entry_kind kind,
                  uint64_t size_bytes);
/* Would the batch, which has so much, be left with a pack that is not whole, if it ended before
 * this entry? `total` bytes are planned so far. */
bool packer_holds(const struct packer *packer, const struct plan_entry *entry,
                  const struct segment_sum *batch, uint64_t total);
/* Set entry->pack, which is valid until the next call; a pack is closed and another begun where
 * that is due. For every entry of the plan; `batch` is the number of that which it goes into. Not
 * packable is what is at the destination as an object of its own: it is replaced there, so such an
 * object is never older than what a pack has under its name. ERR_LIMIT: too many entries for one
 * pack. */
CHECKED int packer_place(struct packer *packer, struct plan_entry *entry, bool packable,
                         uint32_t batch, uint64_t total, struct err *err);
/* The batch ends: the next pack is another one. */
void packer_end_batch(struct packer *packer);
