#include "cli/command.h"

#include "base/ban.h"
#include "cli/ask.h"
#include "cli/rows.h"
#include "job/cat.h"

#include <unistd.h>

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    const struct archive_limits limits = ask_limits(settings);
    const struct cat_options options = { .fd = STDOUT_FILENO,
                                         .limits = &limits,
                                         .opening = { .stall_s = (uint32_t)settings->stall_s,
                                                      .access = settings->access } };
    for (size_t i = 0; i < operand_count; i++)
        if (cat_location(operands[i], &options, err) < 0)
            return -1;
    return EXIT_DONE;
}

const struct command cmd_cat = {
    .name = "cat",
    .synopsis = { "LOC..." },
    .summary = "write an object, or a member of an archive, to standard output",
    .operand_min = 1,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_archive, rows_access, rows_network, rows_common },
    .examples = {
        { "Look into an object", "lade cat s3://bucket/run7/log | less" },
        { "Take one file out of an archive", "lade cat 's3://bucket/run7.tar.zst!/log' > log" },
    },
    .prose = "cat.md",
    .run = run,
};
