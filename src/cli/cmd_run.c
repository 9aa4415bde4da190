#include "cli/command.h"

#include "base/ban.h"
#include "cli/ask.h"
#include "cli/drive.h"
#include "cli/rows.h"

/* As `lade put` does: plan and run what is new, go on with what is not finished. */
static int run_file(const struct settings *settings, struct err *err)
{
    int status = 0;
    do {
        struct job_spec spec;
        if (ask_put(&spec, settings, NULL, 0, err) < 0)
            return -1;
        status = drive_asked(settings, &spec, DRIVE_ALL, err);
    } while (status == EXIT_LEFT && settings->repeat && !drive_is_late());
    return status;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)operand_count;
    struct job job;
    if (settings->repeat && settings->max_batches == 0)
        return err_set(err, ERR_USAGE, "--repeat goes with --max-batches");
    if (settings->file != NULL)
        return run_file(settings, err);
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
    .synopsis = { "JOB", "--file FILE" },
    .summary = "run a job, or go on with it",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_file, rows_detach, rows_batches, rows_repeat, rows_transfer, rows_network, rows_progress, rows_json, rows_common },
    .examples = {
        { "Run a job that lade plan has made", "lade run run7.job" },
        { "Plan and run what a job file describes; again goes on, or looks for what is new",
          "lade run --file mirror.ini" },
        { "Work on ten batches, then stop with exit status 5 if there are more",
          "lade run --max-batches 10 run7.job" },
        { "Work until the morning; several such commands at once share the job",
          "lade run --until 07:30 run7.job" },
    },
    .prose = "run.md",
    .run = run,
};
