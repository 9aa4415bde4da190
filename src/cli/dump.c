#include "cli/dump.h"

#include "base/ban.h"
#include "cli/command.h"

/* All text is ours: ASCII, with quotes, backslashes and newlines at most. */
static void add_string(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_add_char(out, '\\');
        if (*text == '\n')
            buf_add_text(out, "\\n");
        else
            buf_add_char(out, *text);
    }
    buf_add_char(out, '"');
}

/* A member that is not the first one of its object. */
static void add_member(struct buf *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    buf_printf(out, ",\"%s\":", name);
    add_string(out, text);
}

static void add_array(struct buf *out, const char *name, const char *const *items)
{
    buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; items[i] != NULL; i++) {
        if (i != 0)
            buf_add_char(out, ',');
        add_string(out, items[i]);
    }
    buf_add_char(out, ']');
}

static const char *type_name(enum opt_type type)
{
    static const char *const names[] = {
        [OPT_FLAG] = "flag",     [OPT_SWITCH] = "switch", [OPT_TALLY] = "tally",
        [OPT_COUNT] = "count",   [OPT_BYTES] = "bytes",   [OPT_RATE] = "rate",
        [OPT_STRING] = "string", [OPT_PATH] = "path",     [OPT_CHOICE] = "choice",
        [OPT_SET] = "set",       [OPT_PAIR] = "pair",     [OPT_RULE] = "rule",
    };
    return names[type];
}

static void add_option(struct buf *out, const struct opt *row)
{
    buf_add_text(out, "{\"name\":");
    add_string(out, row->name);
    if (row->letter != '\0')
        add_member(out, "letter", (char[]){ row->letter, '\0' });
    add_array(out, "aliases", row->aliases);
    add_member(out, "type", type_name(row->type));
    add_member(out, "arg", opt_takes_value(row) ? row->arg : NULL);
    add_member(out, "default", row->fallback);
    if (row->choices != NULL)
        add_array(out, "choices", row->choices);
    char variable[OPT_ENV_MAX];
    opt_env_name(row, variable);
    add_member(out, "environment", row->no_env ? NULL : variable);
    buf_printf(out, ",\"negatable\":%s,\"repeatable\":%s", opt_negatable(row) ? "true" : "false",
               opt_repeatable(row) ? "true" : "false");
    add_member(out, "group", opt_group_title(row->group));
    add_member(out, "help", row->help);
    add_member(out, "doc", row->doc);
    buf_add_char(out, '}');
}

static void add_verb(struct buf *out, const struct command *command)
{
    buf_add_text(out, "{\"name\":");
    add_string(out, command->name);
    add_member(out, "summary", command->summary);
    add_array(out, "synopsis", command->synopsis);
    add_member(out, "prose", command->prose);
    buf_add_text(out, ",\"options\":[");
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++) {
        if (i != 0)
            buf_add_char(out, ',');
        add_option(out, row);
    }
    buf_add_text(out, "]}");
}

void dump_json(struct buf *out)
{
    buf_add_text(out, "{\"version\":\"" LADE_VERSION "\",\"verbs\":[");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (i != 0)
            buf_add_char(out, ',');
        add_verb(out, command);
    }
    buf_add_text(out, "]}\n");
}
