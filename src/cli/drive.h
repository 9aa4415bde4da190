/* cli/drive.h: does a job for a verb: finds or makes its directory, runs it, shows how far it is,
 * and ends it on signals. Main thread only. */
#pragma once

#include "base/err.h"
#include "cli/settings.h"
#include "job/job.h"

#include <stdbool.h>

enum drive_what {
    DRIVE_ALL,  /* put, get: plan and run; a finished job gets a new generation */
    DRIVE_PLAN, /* only plan */
    DRIVE_REST, /* run: what is left of it, and what failed */
};
/* The exit status, or -1. `spec` is what is asked for now. */
int drive_spec(const struct settings *settings, const struct job_spec *spec, enum drive_what what,
               struct err *err);
/* The same for a job that exists. */
int drive_job(const struct settings *settings, struct job *job, const struct job_spec *spec,
              enum drive_what what, struct err *err);
/* The plan, printed; keeps nothing. */
int drive_dry_run(const struct settings *settings, const struct job_spec *spec, struct err *err);
