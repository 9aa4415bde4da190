#include "cli/command.h"

#include "base/ban.h"
#include "base/scope.h"
#include "cli/help.h"
#include "cli/rows.h"

static int show_command(struct buf *out, const char *name, struct err *err)
{
    const struct command *command = NULL;
    if (command_find(&command, name, err) < 0)
        return -1;
    help_command(out, command);
    return 0;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)settings;
    SCOPED(buf) struct buf out = { 0 };
    if (operand_count == 0)
        help_overview(&out);
    else if (show_command(&out, operands[0], err) < 0)
        return -1;
    fputs(buf_text(&out), stdout);
    return EXIT_DONE;
}

const struct command cmd_help = {
    .name = "help",
    .synopsis = { "[VERB]", "--man VERB [FILE]", "--completion SHELL", "--json" },
    .summary = "tell about the verbs and their options",
    .operand_max = 1,
    .tables = { rows_help, rows_common },
    .examples = {
        { "The options of put", "lade help put" },
        { "Completion for this bash", "source <(lade help --completion bash)" },
    },
    .prose = "help.md",
    .run = run,
};
