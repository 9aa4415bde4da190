/* cli/watch.h: shows on the terminal how a job goes on that another process runs. Main thread only.
 */
#pragma once

#include "base/err.h"
#include "cli/settings.h"
#include "job/job.h"

#include <stdbool.h>

enum watch_end {
    WATCH_IDLE,        /* nobody worked on it from the start */
    WATCH_ENDED,       /* nobody works on it any more */
    WATCH_INTERRUPTED, /* Ctrl-C: the job goes on */
};
struct watch_options {
    bool failures; /* also what the job's log says of failures, and a summary at the end */
};
CHECKED int watch_job(enum watch_end *ret_end, const struct settings *settings,
                      const struct job *job, const struct watch_options *options, struct err *err);
