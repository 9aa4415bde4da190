#include "cli/opt_value.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/units.h"

#include <assert.h>
#include <strings.h>

static void *field(struct settings *settings, const struct opt *row)
{
    return (char *)settings + row->offset;
}

static int parse_flag(bool *ret_on, const char *text, struct err *err)
{
    static const char *const words[] = { "0", "1", "false", "true", "no", "yes", "off", "on" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *ret_on = i % 2 == 1;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "'%s' is neither true nor false", text);
}

/* "keep, follow or skip" */
static void add_choices(struct buf *out, const char *const *choices)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (i > 0)
            buf_add_text(out, choices[i + 1] == NULL ? " or " : ", ");
        buf_add_text(out, choices[i]);
    }
}

static int refuse_choice(const char *text, size_t len, const struct opt *row, struct err *err)
{
    SCOPED(buf) struct buf known = { 0 };
    add_choices(&known, row->choices);
    return err_set(err, ERR_USAGE, "'%.*s' is not one of %s", (int)len, text, buf_text(&known));
}

/* The index of the choice, or -1. */
static int choice_index(const struct opt *row, const char *text, size_t len)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (strlen(row->choices[i]) == len && memcmp(row->choices[i], text, len) == 0)
            return i;
    }
    return -1;
}

static int set_choice(int *ret_choice, const struct opt *row, const char *text, struct err *err)
{
    const int index = choice_index(row, text, strlen(text));
    if (index < 0)
        return refuse_choice(text, strlen(text), row, err);
    *ret_choice = index;
    return 0;
}

static int set_set(uint32_t *ret_set, const struct opt *row, const char *text, struct err *err)
{
    uint32_t set = 0;
    for (const char *at = text;;) {
        const size_t len = strcspn(at, ",");
        const int index = choice_index(row, at, len);
        if (index < 0)
            return refuse_choice(at, len, row, err);
        set |= UINT32_C(1) << index;
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    *ret_set = set;
    return 0;
}

static int set_string(const char **ret_text, const struct opt *row, const char *text,
                      struct err *err)
{
    if (*text == '\0')
        return err_set(err, ERR_USAGE, "the value is empty, a %s is needed", row->arg);
    if (row->choices != NULL && choice_index(row, text, strlen(text)) < 0)
        return refuse_choice(text, strlen(text), row, err);
    *ret_text = text;
    return 0;
}

static int set_bytes(uint64_t *ret_bytes, const struct opt *row, const char *text, struct err *err)
{
    uint64_t bytes = 0;
    if (units_parse_bytes(&bytes, text, err) < 0)
        return -1;
    char limit[UNITS_TEXT_MAX];
    if (bytes < row->min)
        return err_set(err, ERR_USAGE, "'%s' is too small, the least is %s", text,
                       units_bytes(row->min, limit));
    if (row->max != 0 && bytes > row->max)
        return err_set(err, ERR_USAGE, "'%s' is too large, the most is %s", text,
                       units_bytes(row->max, limit));
    *ret_bytes = bytes;
    return 0;
}

static int add_pair(struct setting_list *list, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return err_set(err, ERR_USAGE, "'%s' is not NAME=VALUE", text);
    list->items = mem_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = text;
    return 0;
}

static int add_rule(struct setting_rules *rules, const struct opt *row, const char *text,
                    struct err *err)
{
    if (*text == '\0')
        return err_set(err, ERR_USAGE, "the value is empty, a %s is needed", row->arg);
    rules->items = mem_resize(rules->items, (rules->count + 1) * sizeof *rules->items);
    rules->items[rules->count++] = (struct setting_rule){ .kind = row->rule, .text = text };
    return 0;
}

static int set_plain(struct settings *settings, const struct opt *row, const char *text,
                     struct err *err)
{
    void *at = field(settings, row);
    switch (row->type) {
    case OPT_COUNT:
        return units_parse_count(at, text, row->min, row->max, err);
    case OPT_BYTES:
        return set_bytes(at, row, text, err);
    case OPT_RATE:
        return units_parse_rate(at, text, err);
    case OPT_STRING:
    case OPT_PATH:
        return set_string(at, row, text, err);
    case OPT_CHOICE:
        return set_choice(at, row, text, err);
    case OPT_SET:
        return set_set(at, row, text, err);
    case OPT_PAIR:
        return add_pair(at, text, err);
    case OPT_RULE:
        return add_rule(at, row, text, err);
    default:
        assert(!"a row that takes no value");
        return -1;
    }
}

/* Rows that need no value may have one all the same: --json=false, LADE_VERBOSE=2. */
static int set_without_value(struct settings *settings, const struct opt *row, const char *text,
                             struct err *err)
{
    void *at = field(settings, row);
    if (row->type == OPT_TALLY) {
        uint64_t *tally = at;
        if (text != NULL)
            return units_parse_count(tally, text, 0, row->max, err);
        *tally += *tally < row->max ? 1 : 0;
        return 0;
    }

    bool on = true;
    if (text != NULL && parse_flag(&on, text, err) < 0)
        return -1;
    if (row->implied != NULL)
        return on ? set_plain(settings, row, row->implied, err) : 0;
    if (row->type == OPT_SWITCH)
        *(enum setting_switch *)at = on ? SETTING_ON : SETTING_OFF;
    else
        *(bool *)at = on;
    return 0;
}

int opt_value_set(struct settings *settings, const struct opt *row, const char *text,
                  struct err *err)
{
    if (!opt_takes_value(row))
        return set_without_value(settings, row, text, err);
    return set_plain(settings, row, text, err);
}

void opt_value_negate(struct settings *settings, const struct opt *row)
{
    assert(opt_negatable(row));
    if (row->type == OPT_SWITCH)
        *(enum setting_switch *)field(settings, row) = SETTING_OFF;
    else
        *(bool *)field(settings, row) = false;
}

bool opt_value_flag(const struct settings *settings, const struct opt *row)
{
    assert(row->type == OPT_FLAG);
    return *(const bool *)((const char *)settings + row->offset);
}
