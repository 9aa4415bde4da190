#include "cli/help.h"

#include "base/ban.h"
#include "base/scope.h"
#include "cli/say.h"

/* Where the help lines of options begin. */
#define HELP_COLUMN 26

void help_overview(struct buf *out)
{
    buf_add_text(out, "lade moves research data between file systems and object stores.\n\n"
                      "usage: lade VERB [OPTION...] [OPERAND...]\n\nVerbs:\n");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        buf_printf(out, "  %-10s %s\n", command->name, command->summary);
    buf_add_text(out, "\n'lade help VERB' or 'lade VERB --help' tells about a verb, and so does "
                      "'man lade-VERB'.\n");
}

/* "  -x, --name ARG" */
static void add_option_name(struct buf *out, const struct opt *row)
{
    if (row->letter != '\0')
        buf_printf(out, "  -%c, --%s", row->letter, row->name);
    else
        buf_printf(out, "      --%s", row->name);
    if (row->bare != NULL)
        buf_printf(out, "[=%s]", row->arg);
    else if (opt_takes_value(row))
        buf_printf(out, " %s", row->arg);
}

static void add_option(struct buf *out, const struct opt *row)
{
    const size_t start = out->len;
    add_option_name(out, row);
    size_t column = out->len - start;
    if (column + 2 > HELP_COLUMN) {
        buf_add_char(out, '\n');
        column = 0;
    }
    buf_printf(out, "%*s", (int)(HELP_COLUMN - column), "");

    SCOPED(buf) struct buf text = { 0 };
    buf_add_text(&text, row->help);
    if (row->fallback != NULL)
        buf_printf(&text, " (default %s)", row->fallback);
    say_wrapped(out, HELP_COLUMN, HELP_COLUMN, buf_text(&text));
}

static void add_group(struct buf *out, const struct opt *const *tables, enum opt_group group)
{
    bool titled = false;
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(tables, i)) != NULL; i++) {
        if (row->group != group)
            continue;
        if (!titled)
            buf_printf(out, "\n%s:\n", opt_group_title(group));
        titled = true;
        add_option(out, row);
    }
}

/* Lines of an example that is longer than one are shown below each other. */
static void add_example(struct buf *out, const struct command_example *example)
{
    buf_printf(out, "  # %s\n", example->what);
    for (const char *at = example->line; *at != '\0';) {
        const size_t len = strcspn(at, "\n");
        buf_printf(out, "  %.*s\n", (int)len, at);
        at += len + (at[len] == '\n' ? 1 : 0);
    }
}

void help_command(struct buf *out, const struct command *command)
{
    buf_printf(out, "lade %s: %s\n\n", command->name, command->summary);
    for (size_t i = 0; command->synopsis[i] != NULL; i++)
        buf_printf(out, "%s lade %s [OPTION...]%s%s\n", i == 0 ? "usage:" : "   or:", command->name,
                   command->synopsis[i][0] != '\0' ? " " : "", command->synopsis[i]);
    for (int group = 0; group < OPT_GROUP_COUNT; group++)
        add_group(out, command->tables, (enum opt_group)group);
    if (command->examples[0].what != NULL)
        buf_add_text(out, "\nExamples:\n");
    for (const struct command_example *at = command->examples; at->what != NULL; at++)
        add_example(out, at);
}
