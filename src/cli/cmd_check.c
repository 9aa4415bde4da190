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

const struct command cmd_check = {
    .name = "check",
    .synopsis = { "SRC DEST", "JOB" },
    .summary = "prove that what was put is there",
    .operand_min = 1,
    .operand_max = 2,
    .tables = { rows_filter, rows_links, rows_check, rows_transfer, rows_json, rows_common },
    .examples = {
        { "Compare names, sizes and recorded digests", "lade check results file:/store/run7" },
        { "Trust nothing: read both sides again",
          "lade check --deep --download results file:/store/run7" },
        { "Store again what is not there",
          "lade check --missing left results file:/store/run7 ||\n"
          "lade put -0 --files-from left results file:/store/run7" },
    },
    .prose = "check.md",
    .run = run,
};
