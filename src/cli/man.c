#include "cli/man.h"

#include "base/ban.h"
#include "base/scope.h"
#include "cli/roff.h"

#include <assert.h>
#include <ctype.h>

/* When the pages last changed much; manual pages bear a date. */
#define MAN_DATE "2026-11-21"

struct man_status {
    int status;
    const char *meaning;
};
static const struct man_status statuses[] = {
    { EXIT_DONE, "Everything that was asked for is there." },
    { EXIT_SOME_FAILED, "Some items failed or are missing; each of them is named." },
    { EXIT_USAGE, "The command line is wrong. Nothing was done." },
    { EXIT_SETUP, "Configuration, credentials, endpoint or the local system do not allow it." },
    { EXIT_DIFFERS, "Content differs from what was recorded or stored." },
    { EXIT_LEFT, "It stopped early, as asked for, and can be continued." },
    { EXIT_INTERRUPTED, "It was interrupted by SIGINT and can be continued." },
    { EXIT_TERMINATED, "It was ended by SIGTERM and can be continued." },
};
#define STATUS_COUNT (sizeof statuses / sizeof *statuses)

static void add_upper(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_add_char(out, (char)toupper((unsigned char)*text));
}

static void add_text(struct buf *out, const char *text)
{
    roff_add(out, text, strlen(text));
}

static void add_head(struct buf *out, const struct command *command)
{
    buf_add_text(out,
                 ".\\\" made by lade help --man from the option tables and docs/man\n.TH LADE");
    if (command != NULL) {
        buf_add_text(out, "\\-");
        add_upper(out, command->name);
    }
    buf_add_text(out, " 1 " MAN_DATE " \"lade " LADE_VERSION "\" \"lade manual\"\n.SH NAME\n");
    if (command != NULL) {
        buf_printf(out, "lade\\-%s \\- ", command->name);
        add_text(out, command->summary);
        buf_add_char(out, '\n');
    } else {
        buf_add_text(out, "lade \\- move research data between file systems and object stores\n");
    }
}

/* Words in capitals are what the user fills in; the rest of an operand text is literal. */
static void add_operands(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t len = 0;
        while (isupper((unsigned char)text[len]))
            len++;
        if (len > 0)
            buf_printf(out, "\\fI%.*s\\fR", (int)len, text);
        else
            roff_add(out, text, ++len);
        text += len;
    }
}

static void add_synopsis(struct buf *out, const struct command *command)
{
    buf_add_text(out, ".SH SYNOPSIS\n");
    if (command == NULL) {
        buf_add_text(out, "\\fBlade\\fR \\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIOPERAND\\fR...]\n"
                          ".br\n\\fBlade help\\fR [\\fIVERB\\fR]\n.br\n\\fBlade version\\fR\n");
        return;
    }
    for (size_t i = 0; command->synopsis[i] != NULL; i++) {
        buf_printf(out, "%s\\fBlade %s\\fR [\\fIOPTION\\fR...]", i != 0 ? ".br\n" : "",
                   command->name);
        if (command->synopsis[i][0] != '\0')
            buf_add_char(out, ' ');
        add_operands(out, command->synopsis[i]);
        buf_add_char(out, '\n');
    }
}

/* "-n, --dry-run, --dryrun" */
static void add_option_names(struct buf *out, const struct opt *row)
{
    if (row->letter != '\0')
        buf_printf(out, "\\fB\\-%c\\fR, ", row->letter);
    buf_add_text(out, "\\fB\\-\\-");
    add_text(out, row->name);
    buf_add_text(out, "\\fR");
    if (row->bare != NULL) {
        buf_add_text(out, "[=");
        add_operands(out, row->arg);
        buf_add_char(out, ']');
    } else if (opt_takes_value(row)) {
        buf_add_char(out, ' ');
        add_operands(out, row->arg);
    }
    for (size_t i = 0; row->aliases[i] != NULL; i++) {
        buf_add_text(out, ", \\fB\\-\\-");
        add_text(out, row->aliases[i]);
        buf_add_text(out, "\\fR");
    }
    buf_add_char(out, '\n');
}

static void add_option(struct buf *out, const struct opt *row)
{
    buf_add_text(out, ".TP\n");
    add_option_names(out, row);
    SCOPED(buf) struct buf text = { 0 };
    buf_add_text(&text, row->doc);
    if (row->not_with != NULL)
        buf_printf(&text, " It cannot be given together with --%s.", row->not_with);
    if (opt_repeatable(row))
        buf_add_text(&text, " It may be given more than once.");
    if (row->fallback != NULL)
        buf_printf(&text, " The default is %s.", row->fallback);
    roff_paragraph(out, buf_text(&text));
}

static void add_options(struct buf *out, const struct command *command)
{
    buf_add_text(out, ".SH OPTIONS\n");
    roff_paragraph(out,
                   "Options may stand before, between and behind operands; -- ends them. A value "
                   "follows its option as the next argument or behind an equals sign. Of an "
                   "option that is given twice the last one counts, unless it says otherwise. "
                   "An option without value is taken back by the same name with no- in front, "
                   "as in --no-quiet.");
    for (int group = 0; group < OPT_GROUP_COUNT; group++) {
        bool titled = false;
        const struct opt *row;
        for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++) {
            if (row->group != (enum opt_group)group)
                continue;
            if (!titled)
                buf_printf(out, ".SS %s\n", opt_group_title((enum opt_group)group));
            titled = true;
            add_option(out, row);
        }
    }
}

static void add_environment(struct buf *out)
{
    buf_add_text(out, ".SH ENVIRONMENT\n.TP\n\\fBLADE_\\fR\\fIOPTION\\fR\n");
    roff_paragraph(out, "The default of an option: its name in upper case with underscores, as in "
                        "LADE_TRANSFERS=64 or LADE_ONE_FILE_SYSTEM=1. What the command line says "
                        "counts more; rules and metadata of the command line come behind. Options "
                        "that only make sense for a single command have no variable.");
    buf_add_text(out, ".TP\n\\fBXDG_STATE_HOME\\fR\n");
    roff_paragraph(out, "Jobs are kept in lade/jobs below it, by default in ~/.local/state.");
}

/* The kinds of errors that end a run with this status: "(absent, source)". */
static void add_kinds(struct buf *text, int status)
{
    bool any = false;
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        const struct err_trait *trait = err_trait((enum err_kind)kind);
        if (trait->exit_status != status)
            continue;
        buf_printf(text, "%s%s", any ? ", " : " Kinds of errors: ", trait->name);
        any = true;
    }
    if (any)
        buf_add_char(text, '.');
}

static bool status_is_known(int status)
{
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (statuses[i].status == status)
            return true;
    }
    return false;
}

static void add_exit_statuses(struct buf *out)
{
    for (int kind = 0; kind < ERR_KIND_COUNT; kind++)
        assert(status_is_known(err_trait((enum err_kind)kind)->exit_status));
    buf_add_text(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        SCOPED(buf) struct buf text = { 0 };
        buf_add_text(&text, statuses[i].meaning);
        add_kinds(&text, statuses[i].status);
        buf_printf(out, ".TP\n\\fB%d\\fR\n", statuses[i].status);
        roff_paragraph(out, buf_text(&text));
    }
}

static void add_examples(struct buf *out, const struct command *command)
{
    if (command->examples[0].what == NULL)
        return;
    buf_add_text(out, ".SH EXAMPLES\n");
    for (const struct command_example *at = command->examples; at->what != NULL; at++) {
        SCOPED(buf) struct buf what = { 0 };
        buf_printf(&what, "%s:", at->what);
        if (at != command->examples)
            buf_add_text(out, ".PP\n");
        roff_paragraph(out, buf_text(&what));
        buf_add_text(out, ".PP\n.RS 4\n");
        roff_verbatim(out, at->line);
        buf_add_text(out, ".RE\n");
    }
}

static void add_verbs(struct buf *out)
{
    buf_add_text(out, ".SH VERBS\n");
    const struct command *verb;
    for (size_t i = 0; (verb = command_at(i)) != NULL; i++) {
        buf_printf(out, ".TP\n\\fBlade\\-%s\\fR(1)\n", verb->name);
        SCOPED(buf) struct buf text = { 0 };
        buf_printf(&text, "%c%s.", toupper((unsigned char)verb->summary[0]), verb->summary + 1);
        roff_paragraph(out, buf_text(&text));
    }
}

static void add_see_also(struct buf *out, const struct command *command)
{
    buf_add_text(out, ".SH SEE ALSO\n");
    if (command != NULL)
        buf_add_text(out, ".BR lade (1)");
    const struct command *verb;
    for (size_t i = 0; (verb = command_at(i)) != NULL; i++) {
        if (verb == command)
            continue;
        if (command != NULL || i != 0)
            buf_add_text(out, ",\n");
        buf_printf(out, ".BR lade\\-%s (1)", verb->name);
    }
    buf_add_char(out, '\n');
}

void man_page(struct buf *out, const struct command *command, const char *prose)
{
    add_head(out, command);
    add_synopsis(out, command);
    if (*prose != '\0') {
        buf_add_text(out, ".SH DESCRIPTION\n");
        roff_markdown(out, prose);
    }
    if (command != NULL)
        add_options(out, command);
    else
        add_verbs(out);
    add_environment(out);
    add_exit_statuses(out);
    if (command != NULL)
        add_examples(out, command);
    add_see_also(out, command);
}
