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

const struct command cmd_rm = {
    .name = "rm",
    .synopsis = { "LOC..." },
    .summary = "remove objects",
    .operand_min = 1,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_remove, rows_dry_run, rows_json, rows_common },
    .examples = {
        { "Remove one object", "lade rm file:/store/run7/a.fits" },
        { "See what would go, then remove all below a key",
          "lade rm --recursive --dry-run file:/store/run7 &&\n"
          "lade rm --recursive file:/store/run7" },
    },
    .prose = "rm.md",
    .run = run,
};
