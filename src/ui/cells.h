/* ui/cells.h: how wide text is on a terminal. Only text from cells_show() can be counted: control
 * bytes have no width. */
#pragma once

#include "base/buf.h"

#include <stddef.h>

/* Append text with control characters and what is not UTF-8 as \xHH: a name must not drive the
 * terminal. Unlike path_show() it leaves backslashes. */
void cells_show(struct buf *out, const void *text, size_t len);
/* Columns: 2 for wide characters (East Asia, emoji), 0 for combining ones. */
size_t cells_count(const char *text, size_t len);
/* The longest beginning, in bytes, that is at most `cells` wide. */
size_t cells_fit(const char *text, size_t len, size_t cells);
