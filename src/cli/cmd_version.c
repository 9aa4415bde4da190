#include "cli/command.h"

#include "base/ban.h"
#include "cli/rows.h"

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)operands;
    (void)operand_count;
    (void)err;
    if (settings->json)
        puts("{\"name\":\"lade\",\"version\":\"" LADE_VERSION "\"}");
    else
        puts("lade " LADE_VERSION);
    return EXIT_DONE;
}

const struct command cmd_version = {
    .name = "version",
    .synopsis = { "" },
    .summary = "tell the version",
    .operand_max = 0,
    .tables = { rows_json, rows_common },
    .examples = { { "The version, for a program", "lade version --json" } },
    .prose = "version.md",
    .run = run,
};
