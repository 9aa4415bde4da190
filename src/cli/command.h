/* cli/command.h: a verb of the program as data. Each verb's file cmd_<verb>.c exports one.
 * Owner: constant data. */
#pragma once

#include "base/err.h"
#include "cli/opt.h"

#include <stddef.h>

#define COMMAND_TABLES_MAX 32
#define COMMAND_OPERANDS_ANY ((size_t)-1)

struct command_example {
    const char *what; /* NULL ends the list */
    const char *line;
};

struct command {
    const char *name;
    const char *synopsis[5]; /* the operands, one way each: "SRC... DEST"; NULL-ended */
    const char *summary;     /* one line, lower case, no full stop */
    size_t operand_min, operand_max;
    const struct opt *tables[COMMAND_TABLES_MAX]; /* NULL-ended; from cli/rows.h */
    struct command_example examples[8];
    const char *prose; /* file in docs/man for the man page */
    /* The exit status, or -1 with err set, which main prints and turns into the exit status of its
     * kind. The number of operands was checked. */
    int (*run)(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err);
};

extern const struct command cmd_attach;
extern const struct command cmd_cat;
extern const struct command cmd_check;
extern const struct command cmd_crawl;
extern const struct command cmd_doctor;
extern const struct command cmd_find;
extern const struct command cmd_get;
extern const struct command cmd_help;
extern const struct command cmd_jobs;
extern const struct command cmd_ls;
extern const struct command cmd_mb;
extern const struct command cmd_plan;
extern const struct command cmd_put;
extern const struct command cmd_repack;
extern const struct command cmd_report;
extern const struct command cmd_rm;
extern const struct command cmd_run;
extern const struct command cmd_status;
extern const struct command cmd_stop;
extern const struct command cmd_uploads;
extern const struct command cmd_version;

/* All verbs in the order of the overview; NULL at the end. */
const struct command *command_at(size_t index);
/* ERR_USAGE with the nearest verb as hint when there is none of that name. */
CHECKED int command_find(const struct command **ret_command, const char *name, struct err *err);
/* ERR_USAGE when the verb does not take that many operands. */
CHECKED int command_check_operands(const struct command *command, char *const *operands,
                                   size_t operand_count, struct err *err);
