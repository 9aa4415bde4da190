/* job/plan.h: the planner: merges what is to be moved with what is at the destination and what the
 * last generation recorded, decides what happens to each entry, and seals it in segments (batches).
 * Where a batch ends depends on the entries alone, so the same tree gives the same plan.
 * Threads: plan_run() by one thread; the progress is read by any. */
#pragma once

#include "base/err.h"
#include "base/thread.h"
#include "job/job.h"
#include "job/notes.h"
#include "job/objects.h"
#include "job/packer.h"
#include "job/source.h"
#include "job/stream.h"

#include <stdio.h>

/* How far the planner is; the workers' source of sealed segments. */
struct plan_progress {
    struct lock lock;
    struct cond changed;
    uint32_t sealed;        /* guarded by lock; segments that can be worked on */
    bool ended;             /* guarded by lock; no more will come */
    struct err err;         /* guarded by lock; why it ended early, kind ERR_NONE if it did not */
    struct segment_sum sum; /* guarded by lock; of all entries planned, a moment ago */
    uint64_t excluded;      /* guarded by lock */
};
void plan_progress_init(struct plan_progress *progress);
void plan_progress_done(struct plan_progress *progress);

struct plan_options {
    const struct job_spec *spec;
    const struct source_set *sources; /* put: what is moved; get: the target directory */
    const struct object_set *objects; /* get: what is moved */
    struct store *store;              /* put: the destination */
    const struct filter *filter;      /* NULL: all */
    struct notes *notes;              /* told of what is skipped or refused; may be NULL */
    uint32_t crawlers;
    bool distrust; /* a record was lost: what looks unchanged is compared by content */
    bool verbose;  /* plan_print(): also what is excluded, and by which rule */
    const struct stop *stop;
};
/* Plan into the generation, going on behind what is sealed, with the record of generation
 * `recorded` (0: none), until the plan is closed. Progress is told all along, its end too. */
CHECKED int plan_run(const struct plan_options *options, const struct job *job,
                     struct generation *generation, uint32_t recorded,
                     struct plan_progress *progress, struct err *err);
/* The same without a job: each entry that would be moved is printed as
 * "(dryrun) upload: SRC to DEST"; keeps nothing. `out` NULL: only the progress. */
CHECKED int plan_print(const struct plan_options *options, FILE *out, bool json,
                       struct plan_progress *progress, struct err *err);
