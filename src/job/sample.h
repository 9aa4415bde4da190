/* job/sample.h: how far a job is that another process runs, as a snapshot, from its files. Costs as
 * much as reading its journals. Owner: the caller; plain values. Threads: one. */
#pragma once

#include "base/err.h"
#include "job/job.h"
#include "job/snapshot.h"
#include "job/status.h"

/* ret_status may be NULL. The rates of the snapshot are not filled: snapshot_measure(). */
CHECKED int sample_take(struct snapshot *ret_snapshot, struct status *ret_status,
                        const struct job *job, struct err *err);
