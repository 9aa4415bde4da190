#include "cli/dump.h"

#include "base/ban.h"
#include "base/json.h"
#include "cli/command.h"

static void add_array(struct json *json, const char *key, const char *const *items)
{
    json_array(json, key);
    for (size_t i = 0; items[i] != NULL; i++)
        json_text(json, NULL, items[i]);
    json_array_end(json);
}

/* A member that is left out where there is none. */
static void add_if_any(struct json *json, const char *key, const char *text)
{
    if (text != NULL)
        json_text(json, key, text);
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

static void add_option(struct json *json, const struct opt *row)
{
    json_object(json, NULL);
    json_text(json, "name", row->name);
    if (row->letter != '\0')
        json_bytes(json, "letter", &row->letter, 1);
    add_array(json, "aliases", row->aliases);
    json_text(json, "type", type_name(row->type));
    add_if_any(json, "arg", opt_takes_value(row) ? row->arg : NULL);
    add_if_any(json, "default", row->fallback);
    if (row->choices != NULL)
        add_array(json, "choices", row->choices);
    char variable[OPT_ENV_MAX];
    opt_env_name(row, variable);
    add_if_any(json, "environment", row->no_env ? NULL : variable);
    json_bool(json, "negatable", opt_negatable(row));
    json_bool(json, "repeatable", opt_repeatable(row));
    json_text(json, "group", opt_group_title(row->group));
    json_text(json, "help", row->help);
    json_text(json, "doc", row->doc);
    json_object_end(json);
}

static void add_verb(struct json *json, const struct command *command)
{
    json_object(json, NULL);
    json_text(json, "name", command->name);
    json_text(json, "summary", command->summary);
    add_array(json, "synopsis", command->synopsis);
    json_text(json, "prose", command->prose);
    json_array(json, "options");
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++)
        add_option(json, row);
    json_array_end(json);
    json_object_end(json);
}

void dump_json(struct buf *out)
{
    struct json json = json_into(out);
    json_object(&json, NULL);
    json_text(&json, "version", LADE_VERSION);
    json_array(&json, "verbs");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        add_verb(&json, command);
    json_array_end(&json);
    json_object_end(&json);
    json_line_end(&json);
}
