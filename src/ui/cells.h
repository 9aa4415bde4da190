/* ui/cells.h: how wide text is on a terminal. Control characters have no width: only text that went
 * through utf8_show() can be counted. */
#pragma once

#include <stddef.h>

/* Columns: 2 for wide characters (East Asia, emoji), 0 for combining ones. */
size_t cells_count(const char *text, size_t len);
/* The longest beginning, in bytes, that is at most `cells` wide. */
size_t cells_fit(const char *text, size_t len, size_t cells);
