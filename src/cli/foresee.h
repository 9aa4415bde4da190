/* cli/foresee.h: what a plan will take, before a byte moves: requests, time, price, and the limits
 * of the place. Main thread only. */
#pragma once

#include "base/err.h"
#include "cli/settings.h"
#include "job/job.h"

/* Of the newest generation of the job, by --site and --rate. */
CHECKED int foresee(const struct settings *settings, const struct job *job, struct err *err);
