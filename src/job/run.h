/* job/run.h: does a job: plans what is not planned yet, moves what is not moved yet, with all
 * threads, and says how far it is. The caller (the main thread) only waits, shows and stops. Owner:
 * the caller. Threads: run_* by the main thread. */
#pragma once

#include "base/err.h"
#include "job/claim.h"
#include "job/job.h"
#include "job/notes.h"
#include "job/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

struct run_options {
    uint32_t transfers; /* workers; 0: the store's own number */
    uint32_t crawlers;  /* 0: adapt */
    uint32_t retries;   /* tries after the first */
    uint32_t stall_s;   /* of one request; 0: the default */
    uint64_t memory_bytes;
    uint64_t bwlimit_bytes_per_s; /* 0: none */
    uint64_t requests_per_s;      /* the same */
    uint64_t max_batches;         /* 0: all */
    int64_t until_ns;             /* since 1970: nothing is begun any more then; 0: never */
    bool join;                    /* help the process that has the job, if there is one */
    bool again; /* a finished job gets a new generation (put, get); else only its failures */
    bool plan_only;
    const struct job_spec *spec; /* what is asked for now; NULL: as the job says */
    struct stop *stop;
};

struct run;
/* Claim the job, find or make the generation, start all threads. ERR_USAGE when the spec differs
 * from an unfinished job's. */
CHECKED int run_start(struct run **ret_run, struct job *job, const struct run_options *options,
                      struct err *err);
/* Wait at most span_ns for the end; true when it came. */
bool run_wait(struct run *run, int64_t span_ns);
void run_snapshot(struct run *run, struct snapshot *ret_snapshot);
/* What the plan holds so far, and what the filter left out of it. */
void run_plan_sum(struct run *run, struct segment_sum *ret_sum, uint64_t *ret_excluded);
/* What happened to single items. */
struct notes *run_notes(struct run *run);

enum run_end {
    RUN_DONE, /* all there */
    RUN_SOME_FAILED,
    RUN_DIFFERS, /* done, but something read back was not what was recorded */
    RUN_LEFT,    /* --max-batches, --until */
    RUN_INTERRUPTED,
};
/* After run_wait(): finish directories and the generation, release the claim; free the run.
 * *ret_last is how it ended, also when -1 says that the run itself failed. */
CHECKED int run_end(struct run *run, enum run_end *ret_end, struct snapshot *ret_last,
                    struct err *err);
/* After a stop: make the journal durable within span_ns; joins and frees nothing, the process must
 * exit. */
bool run_abandon(struct run *run, int64_t span_ns);
/* Plans made anew because the old one was damaged, journals with a damaged end: a line for people,
 * or "". */
const char *run_remark(const struct run *run);
