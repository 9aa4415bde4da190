#include "ui/table.h"

#include "base/ban.h"
#include "base/utf8.h"
#include "ui/cells.h"

#define GAP_CELLS 2

static void add_blanks(struct buf *out, size_t count)
{
    for (; count > 0; count--)
        buf_add_char(out, ' ');
}

static size_t column_cells(const struct table_column *column)
{
    const size_t title = cells_count(column->title, strlen(column->title));
    return title > column->cells ? title : column->cells;
}

static void add_cell(const struct table *table, size_t at, const char *text, struct buf *out)
{
    const struct table_column *column = &table->columns[at];
    const bool last = at + 1 == table->count;
    const size_t start = out->len;
    const size_t wide = column_cells(column);

    utf8_show(out, text, strlen(text));
    const size_t cells = cells_count(out->data + start, out->len - start);
    const size_t blanks = wide > cells ? wide - cells : 0;
    if (column->right) {
        buf_cut(out, start);
        add_blanks(out, blanks);
        utf8_show(out, text, strlen(text));
    } else if (!last) {
        add_blanks(out, blanks);
    }
    if (!last)
        add_blanks(out, GAP_CELLS);
}

void table_titles(const struct table *table, struct buf *out)
{
    for (size_t i = 0; i < table->count; i++)
        add_cell(table, i, table->columns[i].title, out);
    buf_add_char(out, '\n');
}

void table_row(const struct table *table, const char *const *texts, struct buf *out)
{
    for (size_t i = 0; i < table->count; i++)
        add_cell(table, i, texts[i] != NULL ? texts[i] : "", out);
    buf_add_char(out, '\n');
}
