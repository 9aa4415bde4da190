/* job/batches.h: the batches of a plan as a list of paths, as tools before lade keep them
 * (docs/formats.md, "batch.json"). Reads the plan and its sealed results; memory is flat.
 * Threads: one. */
#pragma once

#include "base/err.h"
#include "job/job.h"

#include <stdio.h>

/* {"completed": [...], "queued": [...], "failed": [...]}: for each batch the paths of the largest
 * directories that lie in it as a whole, and of the other entries. The same tree gives the same
 * bytes. */
CHECKED int batches_export(const struct job *job, uint32_t generation, FILE *out, struct err *err);
