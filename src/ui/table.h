/* ui/table.h: aligned columns, one row after the other: the widths are fixed in advance, so a
 * million rows need no memory and nothing moves. A cell that is wider than its column is not cut;
 * the rest of its row moves to the right. Cells are shown with control bytes as \xHH.
 *
 * Owner: the caller; nothing to release. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct table_column {
    const char *title;
    unsigned
        cells;  /* the least width; the title widens it. The last column, when left, is as it is */
    bool right; /* numbers */
};
struct table {
    const struct table_column *columns;
    size_t count;
};
/* The titles as a row. */
void table_titles(const struct table *table, struct buf *out);
/* One row of table->count texts, NULL is empty. */
void table_row(const struct table *table, const char *const *texts, struct buf *out);
