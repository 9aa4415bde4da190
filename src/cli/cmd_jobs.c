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

const struct command cmd_jobs = {
    .name = "jobs",
    .synopsis = { "" },
    .summary = "list the jobs of this user",
    .operand_min = 0,
    .operand_max = 0,
    .tables = { rows_json, rows_common },
    .examples = {
        { "All jobs and how far they have got", "lade jobs" },
    },
    .prose = "jobs.md",
    .run = run,
};
