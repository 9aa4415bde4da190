/* job/ledger_internal.h: what the parts of the ledger share: ledger.c (the thread, and what is
 * handed to it), ledger_state.c (what is known of each segment), ledger_past.c (what is on disk).
 */
#pragma once

#include "base/queue.h"
#include "job/ledger.h"

#include <stdatomic.h>

#define AT_NONE UINT32_MAX

struct intent {
    uint32_t first, last, process;
};

/* A segment that is not sealed: its results so far, encoded. */
struct ledger_segment {
    struct ledger_segment *next;
    uint32_t number;
    bool open;      /* its plan was read: entries, status and remaining are known */
    uint32_t claim; /* the number of our claim on it */
    uint32_t tries; /* it was worked on to its end so often */
    uint32_t entries;
    uint32_t remaining; /* entries without a result */
    uint8_t *status;    /* enum result_status of each */
    uint32_t *at;       /* of each in `encoded`, AT_NONE: settled by the plan, or open */
    uint64_t *bytes;    /* size of each, for the sums */
    struct buf encoded;
    struct result_sum sum;
    struct intent *intents;
    size_t intent_count;
    struct ledger_upload *uploads;
    size_t upload_count;
};

/* A segment that has all its results. */
struct ledger_sealed {
    bool known;
    bool ours; /* sealed by this process */
    struct result_sum sum;
    struct result_rest rest;
};

struct ledger {
    struct ledger_options options;
    struct generation *generation;
    struct journal journal; /* ledger thread only, once started */
    uint32_t process;       /* set at start */
    struct queue queue;
    struct thread thread;
    struct lock lock;
    struct cond written;
    struct ledger_segment *segments; /* guarded by lock */
    struct ledger_sealed *sealed;    /* guarded by lock; by number */
    uint32_t sealed_cap;
    uint32_t open_count;         /* guarded by lock; segments in work, not sealed yet */
    struct ledger_counts counts; /* guarded by lock */
    struct err err;              /* guarded by lock; the first of the thread */
    uint32_t damage;
    bool ended;         /* guarded by lock */
    struct buf scratch; /* ledger thread only */
    uint32_t unsynced_results;
    int64_t oldest_ns; /* of what is not durable yet; 0: all is */
    int64_t beat_ns, check_ns;
};

/* ledger_state.c; all with the lock held */
struct ledger_segment *ledger_find(struct ledger *ledger, uint32_t number);
struct ledger_segment *ledger_find_or_add(struct ledger *ledger, uint32_t number);
/* Forget what is known of an unsealed segment. */
void ledger_forget(struct ledger *ledger, struct ledger_segment *segment);
/* The same, when its results are counted on as sealed ones. */
void ledger_remove(struct ledger *ledger, struct ledger_segment *segment);
bool ledger_is_sealed(const struct ledger *ledger, uint32_t number);
void ledger_mark_sealed(struct ledger *ledger, uint32_t number, const struct result_sum *sum,
                        const struct result_rest *rest, bool ours);
/* Room for the results of `entries` entries; what came before the plan was read is kept. */
void ledger_size_segment(struct ledger_segment *segment, uint32_t entries);
/* Enter a result. A later one replaces an earlier one of the same entry (a retry of what failed).
 */
void ledger_enter(struct ledger *ledger, struct ledger_segment *segment,
                  const struct result *result);

/* It has no result any more. Only before the segment is in work. */
void ledger_reopen(struct ledger *ledger, struct ledger_segment *segment, uint32_t ordinal);

/* ledger_past.c */
/* All that is on disk, at the start. */
CHECKED int ledger_read_past(struct ledger *ledger, struct err *err);
