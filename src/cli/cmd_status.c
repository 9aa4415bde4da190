#include "cli/command.h"

#include "base/ban.h"
#include "cli/rows.h"

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)settings;
    (void)operands;
    (void)operand_count;
    return err_set(err, ERR_USAGE, "not there yet");
}

const struct command cmd_status = {
    .name = "status",
    .synopsis = { "[JOB]" },
    .summary = "tell how far a job has got",
    .operand_min = 0,
    .operand_max = 1,
    .tables = { rows_json, rows_common },
    .examples = {
        { "The job that was worked on last", "lade status" },
        { "A certain job, for a program", "lade status --json run7.job" },
    },
    .prose = "status.md",
    .run = run,
};
