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

const struct command cmd_ls = {
    .name = "ls",
    .synopsis = { "[LOC...]" },
    .summary = "list keys",
    .operand_min = 0,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_recursive, rows_long, rows_json, rows_common },
    .examples = {
        { "One level, with sizes and dates", "lade ls -l file:/store/run7/" },
        { "All keys as JSON", "lade ls --recursive --json file:/store/run7" },
    },
    .prose = "ls.md",
    .run = run,
};
