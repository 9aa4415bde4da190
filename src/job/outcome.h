/* job/outcome.h: how the last run of a job ended, in the file `outcome` of the job: for whoever
 * watches it from another process. Only told, never relied on: what is done is in the journals. A
 * run that was killed leaves none. Owner: the caller; a plain value. */
#pragma once

#include "base/err.h"
#include "job/job.h"

#include <stdint.h>

struct outcome {
    long pid; /* of the run */
    char host[64];
    int64_t started_ns, ended_ns;
    int exit_status;
    char text[336]; /* in words; control bytes are shown as \xHH */
};
/* How this process ended its run. */
void outcome_of(struct outcome *ret_outcome, int64_t started_ns, int exit_status, const char *text);
CHECKED int outcome_write(const struct outcome *outcome, const struct job *job, struct err *err);
/* ERR_ABSENT when no run ended yet, ERR_CORRUPT when the file is none of ours. */
CHECKED int outcome_read(struct outcome *ret_outcome, const struct job *job, struct err *err);
