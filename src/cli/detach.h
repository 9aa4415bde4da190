/* cli/detach.h: a run that goes on after logout. The parent stays until the run has begun, or says
 * why it did not; the run is a child of nobody, in a session of its own, with the job's `log` as
 * standard output and error. Before any thread is made. Main thread only. */
#pragma once

#include "base/err.h"
#include "job/job.h"

#include <stdbool.h>

#define DETACH_LOG "log"

struct detach {
    int to_parent; /* the child's until it told how it began; -1: none */
    long pid;      /* of the child, once it began; the parent's */
    bool is_child;
};
#define DETACH_NONE                                                                                \
    {                                                                                              \
        .to_parent = -1                                                                            \
    }

/* Returns in both: in the child (is_child) at once, in the parent when the child called
 * detach_begun() or detach_failed(), whose error it returns. */
CHECKED int detach_start(struct detach *detach, const struct job *job, struct err *err);
/* Tell the parent that the work is under way. Nothing when not detached. */
void detach_begun(struct detach *detach);
/* Tell the parent why it is not, and end. Returns when there is none that waits. */
void detach_failed(struct detach *detach, const struct err *err);
