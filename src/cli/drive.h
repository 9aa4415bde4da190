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
/* Exactly what put, plan and get do with a spec: the dry run, or the job. The spec is taken over.
 * The exit status, or -1. */
int drive_asked(const struct settings *settings, struct job_spec *spec, enum drive_what what,
                struct err *err);
/* Find or make the job of a spec: --job, or where it is by default. The caller closes it. */
int drive_open(struct job *job, const struct settings *settings, const struct job_spec *spec,
               struct err *err);
/* Run a job that exists; `spec` (may be NULL) is what is asked for now. */
int drive_job(const struct settings *settings, struct job *job, const struct job_spec *spec,
              enum drive_what what, struct err *err);
/* Is the moment of --until over? */
bool drive_is_late(void);
