/* cli/opt.h: one table is the truth about options: parser, environment, --help, man pages,
 * completion and the JSON dump are all made from rows of `struct opt`. Owner:   rows are constant
 * data; lists in `struct settings` are released by settings_done(). Threads: main only. Errors:
 * ERR_USAGE, naming the option, the value and what is taken. */
#pragma once

#include "base/err.h"
#include "cli/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of the value and of the field of `struct settings` at `offset`. */
enum opt_type {
    OPT_FLAG,   /* bool; --no-NAME takes it back */
    OPT_SWITCH, /* enum setting_switch; --no-NAME turns it off */
    OPT_TALLY,  /* uint64_t: how often it was given */
    OPT_COUNT,  /* uint64_t, min to max */
    OPT_BYTES,  /* uint64_t, at least min */
    OPT_RATE,   /* uint64_t, bytes a second, 0 = no limit */
    OPT_STRING, /* const char *, not empty; one of choices where there are any */
    OPT_PATH,   /* const char *, not empty; completed as a file name */
    OPT_CHOICE, /* an enum: the index in choices */
    OPT_SET,    /* uint32_t: comma-separated choices; bit i is choice i */
    OPT_PAIR,   /* struct setting_list of NAME=VALUE; may be repeated */
    OPT_RULE,   /* struct setting_rules, of kind `rule`; may be repeated, order is kept */
};

enum opt_group {
    OPT_GROUP_NAMES,
    OPT_GROUP_ENTRIES,
    OPT_GROUP_ACTION,
    OPT_GROUP_PROOF,
    OPT_GROUP_JOB,
    OPT_GROUP_LIMITS,
    OPT_GROUP_ACCESS,
    OPT_GROUP_OUTPUT,
    OPT_GROUP_COUNT
};
const char *opt_group_title(enum opt_group group);

struct opt {
    const char *name;       /* without "--"; NULL ends a table */
    const char *aliases[3]; /* other names; NULL-ended */
    char letter;            /* without '-'; 0 = none */
    bool no_env;            /* not to be set by an environment variable */
    enum opt_type type;
    size_t offset;        /* in struct settings */
    const char *fallback; /* the default, as the parser takes it; NULL = zero */
    uint64_t min, max;
    const char *const *choices;  /* NULL-ended */
    enum setting_rule_kind rule; /* OPT_RULE */
    enum opt_group group;
    const char *implied;  /* takes no value: it stands for this one */
    const char *bare;     /* what it stands for without a value, which comes behind '=' then */
    const char *not_with; /* the flag that this flag contradicts */
    const char *arg;      /* what the value is called, for people */
    const char *help;     /* one line, for --help */
    const char *doc;      /* some sentences, for the man page */
};

/* Tables are lists of rows: `tables` is a NULL-ended array of them. Row `index` of all, NULL at the
 * end. */
const struct opt *opt_at(const struct opt *const *tables, size_t index);
bool opt_takes_value(const struct opt *row);
/* Can --no-NAME be said? */
bool opt_negatable(const struct opt *row);
/* Can it be given more than once, each adding something? */
bool opt_repeatable(const struct opt *row);
/* "LADE_DRY_RUN" of "dry-run". */
#define OPT_ENV_MAX 64
void opt_env_name(const struct opt *row, char text[OPT_ENV_MAX]);

/* Fill *settings (zero before) with the defaults of the rows, then from environment (NULL-ended
 * NAME=VALUE strings, may be NULL), then from args[0..count-1]. Options may come behind operands;
 * "--" ends them. The operands are moved to the front of args. The lists of *settings are to be
 * released also after an error. */
CHECKED int opt_parse(struct settings *settings, const struct opt *const *tables, char **args,
                      size_t count, char *const *environment, size_t *ret_operand_count,
                      struct err *err);
/* The parts of it, for values that come between: defaults and environment; the arguments; whether
 * options contradict each other. */
CHECKED int opt_start(struct settings *settings, const struct opt *const *tables,
                      char *const *environment, struct err *err);
CHECKED int opt_take(struct settings *settings, const struct opt *const *tables, char **args,
                     size_t count, size_t *ret_operand_count, struct err *err);
CHECKED int opt_check(const struct settings *settings, const struct opt *const *tables,
                      struct err *err);
/* The row with this name or alias, NULL when there is none. */
const struct opt *opt_find(const struct opt *const *tables, const char *name);
