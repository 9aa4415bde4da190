#include "cli/opt.h"

#include "base/ban.h"
#include "base/buf.h"
#include "cli/nearest.h"
#include "cli/opt_value.h"

#include <assert.h>
#include <ctype.h>

const char *opt_group_title(enum opt_group group)
{
    static const char *const titles[OPT_GROUP_COUNT] = {
        [OPT_GROUP_NAMES] = "Names",
        [OPT_GROUP_ENTRIES] = "Which entries",
        [OPT_GROUP_ACTION] = "What is done",
        [OPT_GROUP_PROOF] = "Proof",
        [OPT_GROUP_JOB] = "Job",
        [OPT_GROUP_LIMITS] = "Limits",
        [OPT_GROUP_ACCESS] = "Access to the store",
        [OPT_GROUP_OUTPUT] = "Output",
    };
    assert((unsigned)group < OPT_GROUP_COUNT);
    return titles[group];
}

const struct opt *opt_at(const struct opt *const *tables, size_t index)
{
    for (; *tables != NULL; tables++) {
        for (const struct opt *row = *tables; row->name != NULL; row++) {
            if (index-- == 0)
                return row;
        }
    }
    return NULL;
}

bool opt_takes_value(const struct opt *row)
{
    return row->implied == NULL && row->type != OPT_FLAG && row->type != OPT_SWITCH &&
           row->type != OPT_TALLY;
}

bool opt_negatable(const struct opt *row)
{
    return row->implied == NULL && (row->type == OPT_FLAG || row->type == OPT_SWITCH);
}

bool opt_repeatable(const struct opt *row)
{
    return row->type == OPT_TALLY || row->type == OPT_PAIR || row->type == OPT_RULE;
}

void opt_env_name(const struct opt *row, char text[OPT_ENV_MAX])
{
    const int len = snprintf(text, OPT_ENV_MAX, "LADE_%s", row->name);
    assert(len < OPT_ENV_MAX);
    for (int i = 0; i < len; i++)
        text[i] = text[i] == '-' ? '_' : (char)toupper((unsigned char)text[i]);
}

/* What a parse works with. */
struct parse {
    struct settings *settings;
    const struct opt *const *tables;
    char **args;
    size_t count;
    size_t next; /* the first argument that was not looked at */
};

static bool name_is(const char *name, const char *text, size_t len)
{
    return strlen(name) == len && memcmp(name, text, len) == 0;
}

static bool row_is_named(const struct opt *row, const char *text, size_t len)
{
    if (name_is(row->name, text, len))
        return true;
    for (size_t i = 0; row->aliases[i] != NULL; i++) {
        if (name_is(row->aliases[i], text, len))
            return true;
    }
    return false;
}

static const struct opt *find_name(const struct opt *const *tables, const char *text, size_t len)
{
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(tables, i)) != NULL; i++) {
        if (row_is_named(row, text, len))
            return row;
    }
    return NULL;
}

static const struct opt *find_letter(const struct opt *const *tables, char letter)
{
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(tables, i)) != NULL; i++) {
        if (row->letter == letter)
            return row;
    }
    return NULL;
}

static int refuse_name(const struct parse *parse, const char *text, size_t len, struct err *err)
{
    const bool negated = len > 3 && memcmp(text, "no-", 3) == 0;
    struct nearest nearest = nearest_to(text, len);
    struct nearest negative = nearest_to(text + 3, negated ? len - 3 : 0);
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(parse->tables, i)) != NULL; i++) {
        nearest_offer(&nearest, row->name);
        if (opt_negatable(row))
            nearest_offer(&negative, row->name);
    }
    err_set(err, ERR_USAGE, "unknown option '--%.*s'", (int)len, text);
    if (nearest.best != NULL)
        err_hint(err, "did you mean --%s?", nearest.best);
    else if (negative.best != NULL)
        err_hint(err, "did you mean --no-%s?", negative.best);
    return -1;
}

/* The value behind the option: the next argument, whatever it looks like. */
static int take_next(struct parse *parse, const struct opt *row, const char **ret_value,
                     struct err *err)
{
    if (parse->next == parse->count)
        return err_set(err, ERR_USAGE, "a value is missing: %s", row->arg);
    *ret_value = parse->args[parse->next++];
    return 0;
}

static int set_option(struct parse *parse, const struct opt *row, const char *value,
                      struct err *err)
{
    if (value == NULL && row->bare != NULL)
        value = row->bare;
    if (value == NULL && opt_takes_value(row) && take_next(parse, row, &value, err) < 0)
        return -1;
    return opt_value_set(parse->settings, row, value, err);
}

/* `--no-NAME`; NULL when it is not the negation of anything. */
static const struct opt *find_negated(const struct parse *parse, const char *name, size_t len)
{
    if (len <= 3 || memcmp(name, "no-", 3) != 0)
        return NULL;
    const struct opt *row = find_name(parse->tables, name + 3, len - 3);
    return row != NULL && opt_negatable(row) ? row : NULL;
}

/* `text` is what follows "--". */
static int parse_long(struct parse *parse, const char *text, struct err *err)
{
    const size_t len = strcspn(text, "=");
    const char *value = text[len] == '=' ? text + len + 1 : NULL;
    const struct opt *row = find_name(parse->tables, text, len);
    if (row != NULL) {
        if (set_option(parse, row, value, err) < 0)
            return err_at(err, "option '--%.*s'", (int)len, text);
        return 0;
    }
    row = find_negated(parse, text, len);
    if (row == NULL)
        return refuse_name(parse, text, len, err);
    if (value != NULL)
        return err_set(err, ERR_USAGE, "option '--%.*s': it takes no value, '%s' is given",
                       (int)len, text, value);
    opt_value_negate(parse->settings, row);
    return 0;
}

/* `text` is what follows "-": letters, the last of which may have its value behind it. */
static int parse_letters(struct parse *parse, const char *text, struct err *err)
{
    for (const char *at = text; *at != '\0'; at++) {
        const struct opt *row = find_letter(parse->tables, *at);
        if (row == NULL && text[1] == '\0')
            return err_set(err, ERR_USAGE, "unknown option '-%c'", *at);
        if (row == NULL)
            return err_set(err, ERR_USAGE, "unknown option '-%c' in '-%s'", *at, text);
        const bool ends = opt_takes_value(row);
        const char *value = ends && at[1] != '\0' ? at + 1 : NULL;
        if (set_option(parse, row, value, err) < 0)
            return err_at(err, "option '-%c'", *at);
        if (ends)
            break;
    }
    return 0;
}

static int parse_args(struct parse *parse, size_t *ret_operand_count, struct err *err)
{
    size_t operands = 0;
    bool options_ended = false;
    while (parse->next < parse->count) {
        char *arg = parse->args[parse->next++];
        if (options_ended || arg[0] != '-' || arg[1] == '\0') {
            parse->args[operands++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            options_ended = true;
        } else if (arg[1] == '-') {
            if (parse_long(parse, arg + 2, err) < 0)
                return -1;
        } else if (parse_letters(parse, arg + 1, err) < 0) {
            return -1;
        }
    }
    *ret_operand_count = operands;
    return 0;
}

/* The value of a variable, NULL when it is not set or empty. */
static const char *find_variable(char *const *environment, const char *name)
{
    const size_t len = strlen(name);
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return (*environment)[len + 1] != '\0' ? *environment + len + 1 : NULL;
    }
    return NULL;
}

static int set_from_environment(struct settings *settings, const struct opt *const *tables,
                                char *const *environment, struct err *err)
{
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(tables, i)) != NULL; i++) {
        char name[OPT_ENV_MAX];
        opt_env_name(row, name);
        const char *value = row->no_env ? NULL : find_variable(environment, name);
        if (value != NULL && opt_value_set(settings, row, value, err) < 0)
            return err_at(err, "environment variable '%s'", name);
    }
    return 0;
}

static void set_defaults(struct settings *settings, const struct opt *const *tables)
{
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(tables, i)) != NULL; i++) {
        struct err err = { 0 };
        if (row->fallback != NULL && opt_value_set(settings, row, row->fallback, &err) < 0)
            assert(!"the default of a row is not what its parser takes");
    }
}

const struct opt *opt_find(const struct opt *const *tables, const char *name)
{
    return find_name(tables, name, strlen(name));
}

int opt_start(struct settings *settings, const struct opt *const *tables, char *const *environment,
              struct err *err)
{
    set_defaults(settings, tables);
    return environment != NULL ? set_from_environment(settings, tables, environment, err) : 0;
}

int opt_take(struct settings *settings, const struct opt *const *tables, char **args, size_t count,
             size_t *ret_operand_count, struct err *err)
{
    struct parse parse = { .settings = settings, .tables = tables, .args = args, .count = count };
    return parse_args(&parse, ret_operand_count, err);
}

int opt_check(const struct settings *settings, const struct opt *const *tables, struct err *err)
{
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(tables, i)) != NULL; i++) {
        if (row->not_with == NULL || !opt_value_flag(settings, row))
            continue;
        const struct opt *other = opt_find(tables, row->not_with);
        if (other != NULL && opt_value_flag(settings, other))
            return err_set(err, ERR_USAGE, "'--%s' and '--%s' contradict each other", row->name,
                           other->name);
    }
    return 0;
}

int opt_parse(struct settings *settings, const struct opt *const *tables, char **args, size_t count,
              char *const *environment, size_t *ret_operand_count, struct err *err)
{
    size_t operands = 0;
    if (opt_start(settings, tables, environment, err) < 0 ||
        opt_take(settings, tables, args, count, &operands, err) < 0 ||
        opt_check(settings, tables, err) < 0)
        return -1;
    *ret_operand_count = operands;
    return 0;
}
