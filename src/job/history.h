/* job/history.h: when a generation was worked on, and what was moved meanwhile, from the times in
 * its journals. Its memory is fixed but for a few words a process and a large object under way.
 * Owner: the caller; history_done(). Threads: one. */
#pragma once

#include "base/err.h"
#include "job/job.h"

#include <stddef.h>
#include <stdint.h>

#define HISTORY_BINS 160u
#define HISTORY_SLOW 20u

struct history_run { /* one process */
    uint32_t process;
    char host[64];
    int64_t start_ns, end_ns;
    uint64_t settled; /* entries */
    uint64_t moved_bytes;
};
struct history_bin {
    double moved_bytes, settled;
};
struct history_slow {
    uint32_t segment, ordinal;
    int64_t span_ns;
};
struct history {
    struct history_run *runs;     /* in order of their numbers */
    struct history_run *by_start; /* the same, in order of their starts */
    size_t run_count;
    /* The time during which somebody worked, without the pauses between, in bins of the same width.
     */
    int64_t worked_ns, bin_ns;
    uint32_t bin_count;
    struct history_bin bins[HISTORY_BINS];
    int64_t *pauses_ns; /* where in that time a pause was left out; ascending */
    size_t pause_count;
    /* The entries that took longest, longest first; what was quick is not known. */
    struct history_slow slow[HISTORY_SLOW];
    uint32_t slow_count;
    uint64_t slow_total;
    uint64_t open_bytes; /* parts of large objects that are not settled yet */
};
CHECKED int history_read(struct history *ret_history, const struct generation *generation,
                         struct err *err);
/* Where in the time worked this moment is. */
int64_t history_worked_at(const struct history *history, int64_t time_ns);
void history_done(struct history *history);
