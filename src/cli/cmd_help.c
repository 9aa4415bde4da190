#include "cli/command.h"

#include "base/ban.h"
#include "base/file.h"
#include "base/scope.h"
#include "cli/complete.h"
#include "cli/dump.h"
#include "cli/help.h"
#include "cli/man.h"
#include "cli/rows.h"

#include <fcntl.h>

#define PROSE_BYTES_MAX ((size_t)1024 * 1024)

static int show_command(struct buf *out, const char *name, struct err *err)
{
    const struct command *command = NULL;
    if (command_find(&command, name, err) < 0)
        return -1;
    help_command(out, command);
    return 0;
}

/* name: a verb or "lade"; file: its prose, or NULL. */
static int show_man(struct buf *out, const char *name, const char *file, struct err *err)
{
    const struct command *command = NULL;
    if (strcmp(name, "lade") != 0 && command_find(&command, name, err) < 0)
        return -1;
    SCOPED(buf) struct buf prose = { 0 };
    if (file != NULL && file_read(AT_FDCWD, file, PROSE_BYTES_MAX, &prose, err) < 0)
        return -1;
    man_page(out, command, buf_text(&prose));
    return 0;
}

static int show(struct buf *out, const struct settings *settings, const char *operand,
                struct err *err)
{
    if (settings->man != NULL)
        return show_man(out, settings->man, operand, err);
    if (operand != NULL)
        return show_command(out, operand, err);
    if (settings->completion != NULL)
        complete_script(out, settings->completion);
    else if (settings->json)
        dump_json(out);
    else
        help_overview(out);
    return 0;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    SCOPED(buf) struct buf out = { 0 };
    if (show(&out, settings, operand_count != 0 ? operands[0] : NULL, err) < 0)
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
