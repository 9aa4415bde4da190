/* store/s3/s3_ini.h: one value of AWS's configuration files. Sections in brackets, "name = value",
 * one level of nesting by indentation ("s3 =", then "  addressing_style = path"), lines of any
 * length, comments in lines that begin with '#' or ';'. Pure. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* The value of `name` in `section` (as it stands between the brackets, runs of blanks and quotes
 * apart), below `parent` (NULL: not nested); the last one counts. false when there is none, and
 * ret_value is as it was. */
bool s3_ini_find(const char *text, const char *section, const char *parent, const char *name,
                 struct buf *ret_value);
/* Is there such a section at all? */
bool s3_ini_has(const char *text, const char *section);
