#include "cli/command.h"

#include "base/ban.h"
#include "cli/drive.h"
#include "cli/rows.h"

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)operand_count;
    struct job job;
    if (settings->repeat && settings->max_batches == 0)
        return err_set(err, ERR_USAGE, "--repeat goes with --max-batches");
    if (job_open(&job, operands[0], err) < 0)
        return -1;
    int status = 0;
    do
        status = drive_job(settings, &job, NULL, DRIVE_REST, err);
    while (status == EXIT_LEFT && settings->repeat && !drive_is_late());
    job_close(&job);
    return status;
}

const struct command cmd_run = {
    .name = "run",
    .synopsis = { "JOB" },
    .summary = "run a job, or go on with it",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_detach, rows_batches, rows_repeat, rows_transfer, rows_network, rows_progress, rows_json, rows_common },
    .examples = {
        { "Run a job that lade plan has made", "lade run run7.job" },
        { "Work on ten batches, then stop with exit status 5 if there are more",
          "lade run --max-batches 10 run7.job" },
        { "Work until the morning; several such commands at once share the job",
          "lade run --until 07:30 run7.job" },
    },
    .prose = "run.md",
    .run = run,
};
