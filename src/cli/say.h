/* cli/say.h: words for people on a terminal, from texts that may hold names from anywhere. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdio.h>

/* Append text with control bytes and what is not UTF-8 as \xHH: a name must not drive the terminal.
 * Unlike path_show() it leaves backslashes, since names in errors may have been through that
 * already. */
void say_escape(struct buf *out, const char *text);
/* "lade: TEXT", and "hint: HINT" below it when there is one. */
void say_error(FILE *to, const struct err *err);
/* Append words broken at 80 columns, all lines but the first indented; column: where the first
 * begins. */
void say_wrapped(struct buf *out, size_t column, size_t indent, const char *text);
