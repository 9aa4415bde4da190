/* cli/jobs.h: the jobs of this user in the usual place. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct job_name {
    char *name, *path;
    int64_t worked_ns; /* when somebody last claimed it or moved its heartbeat */
};
/* Newest last. None is no error. The caller's: jobs_free(). */
CHECKED int jobs_list(struct job_name **ret_names, size_t *ret_count, struct err *err);
void jobs_free(struct job_name *names, size_t count);
/* The path of the job that was worked on last; ERR_ABSENT when there is none. Caller frees. */
CHECKED int jobs_newest(char **ret_path, struct err *err);
struct job;
/* Open the job at `path`, or the newest when that is NULL. */
CHECKED int jobs_open(struct job *job, const char *path, struct err *err);
