#include "cli/command.h"

#include "base/ban.h"
#include "cli/drive.h"
#include "cli/rows.h"

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)operand_count;
    struct job job;
    if (job_open(&job, operands[0], err) < 0)
        return -1;
    const int status = drive_job(settings, &job, NULL, DRIVE_REST, err);
    job_close(&job);
    return status;
}

const struct command cmd_run = {
    .name = "run",
    .synopsis = { "JOB" },
    .summary = "run a job, or go on with it",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_detach, rows_batches, rows_transfer, rows_network, rows_progress, rows_json, rows_common },
    .examples = {
        { "Run a job that lade plan has made", "lade run run7.job" },
        { "Work on ten batches, then stop with exit status 5 if there are more",
          "lade run --max-batches 10 run7.job" },
    },
    .prose = "run.md",
    .run = run,
};
