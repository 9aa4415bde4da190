/* cli/opt_value.h: the text of one option's value into its field of `struct settings`. Used by
 * opt.c. Errors: ERR_USAGE, naming the value and what is taken; the caller names the option. */
#pragma once

#include "cli/opt.h"

/* text NULL: the option was given without a value, which only rows that take none allow. */
CHECKED int opt_value_set(struct settings *settings, const struct opt *row, const char *text,
                          struct err *err);
/* Take a flag or switch back, as --no-NAME does. */
void opt_value_negate(struct settings *settings, const struct opt *row);
/* The value of a flag row. */
bool opt_value_flag(const struct settings *settings, const struct opt *row);
