/* cli/jobfile.h: a put in one INI file, for `--file`: where from, where to, and any option of `lade
 * put` as a key. docs/man/run.md says what users may write. Errors: ERR_CONFIG, naming file, line
 * and the next step. Threads: main only (inih's settings are of the process). */
#pragma once

#include "base/err.h"
#include "cli/opt.h"

#include <stddef.h>

/* As opt_parse(), with the values of the file between those of the environment and of the command
 * line. `tables` are the verb's, `file_tables` those whose rows are keys of the file. Fills
 * settings->place. */
CHECKED int jobfile_parse(struct settings *settings, const char *path,
                          const struct opt *const *file_tables, const struct opt *const *tables,
                          char **args, size_t count, char *const *environment,
                          size_t *ret_operand_count, struct err *err);
