/* cli/ask.h: from operands and options to what a job is to do.
 * Errors: ERR_USAGE names the operand or option. */
#pragma once

#include "base/err.h"
#include "cli/settings.h"
#include "job/job.h"

#include <stddef.h>

/* SRC... DEST of put and plan. The spec is the caller's: job_spec_done(). */
CHECKED int ask_put(struct job_spec *ret_spec, const struct settings *settings, char **operands,
                    size_t count, struct err *err);
/* LOC... DIR, or --to FILE LOC, of get. */
CHECKED int ask_get(struct job_spec *ret_spec, const struct settings *settings, char **operands,
                    size_t count, struct err *err);
/* The filter rules of the settings, sealed, NULL when there are none; the caller's. */
struct filter;
CHECKED int ask_filter(struct filter **ret_filter, const struct settings *settings,
                       struct err *err);
/* A location in the form that names the same place from any directory; caller frees. */
CHECKED int ask_absolute(char **ret_location, const char *text, struct err *err);
/* What an archive may hold. */
struct archive_limits;
struct archive_limits ask_limits(const struct settings *settings);
