/* job/status.h: what a job has done, from its files alone, also while another process runs it.
 * Owner: the caller. Threads: one. */
#pragma once

#include "base/err.h"
#include "job/claim.h"
#include "job/job.h"
#include "job/result.h"

#include <stdbool.h>
#include <stdint.h>

enum status_state {
    STATUS_EMPTY,   /* nothing is planned yet */
    STATUS_RUNNING, /* a living process works on it (on this host; elsewhere it cannot be told) */
    STATUS_STOPPED, /* there is something left */
    STATUS_FINISHED,
    STATUS_FAILURES, /* finished, but some entries failed */
};
const char *status_state_name(enum status_state state);

struct status {
    enum status_state state;
    uint32_t generation;
    bool plan_closed;
    struct segment_sum planned;
    struct result_sum settled; /* with what the plan settles itself */
    uint64_t left_count, left_bytes;
    uint64_t batches, batches_done;
    struct claim_owner owner;
    uint32_t damage;
};
CHECKED int status_read(struct status *ret_status, const struct job *job, struct err *err);

struct status_failure {
    char *name;
    struct err err;
    bool skipped; /* not a failure, but not moved */
};
/* The entries that failed, and those that were skipped, up to `cap` of them; *ret_more: there are
 * others. Caller: status_failures_free(). */
CHECKED int status_failures(struct status_failure **ret_failures, size_t *ret_count, size_t cap,
                            bool *ret_more, const struct job *job, uint32_t generation,
                            struct err *err);
void status_failures_free(struct status_failure *failures, size_t count);
