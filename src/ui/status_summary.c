#include "base/ban.h"
#include "base/units.h"
#include "ui/status.h"

#define RED "\033[31m"
#define PLAIN "\033[0m"
#define ROWS 4

struct row {
    const char *name;
    char count[UNITS_TEXT_MAX], bytes[UNITS_TEXT_MAX];
    bool one;       /* object */
    char note[128]; /* behind it */
};

static const char *done_name(enum snapshot_work work)
{
    static const char *const names[] = { "stored", "fetched", "copied", "checked" };
    return names[work];
}

static struct row row_of(const char *name, const struct snapshot_sum *sum)
{
    struct row row = { .name = name, .one = sum->count == 1 };
    units_count(sum->count, row.count);
    units_bytes(sum->bytes, row.bytes);
    return row;
}

/* What went into packs is counted by itself; how many packs that makes is said beside. None at all
 * may be a surprise: a level that no directory has. */
static void note_packs(const struct snapshot *snap, struct row *row)
{
    char count[UNITS_TEXT_MAX];
    const size_t len = strlen(row->note);
    if (snap->packs != 0)
        snprintf(row->note + len, sizeof(row->note) - len, "%s%s pack%s", len != 0 ? ", " : "",
                 units_count(snap->packs, count), snap->packs == 1 ? "" : "s");
    else if (snap->packing && snap->done.count != 0)
        snprintf(row->note + len, sizeof(row->note) - len, "%sin no pack", len != 0 ? ", " : "");
}

static void note_done(const struct snapshot *snap, struct row *row)
{
    char new_count[UNITS_TEXT_MAX];
    char replaced_count[UNITS_TEXT_MAX];
    units_count(snap->new_count, new_count);
    units_count(snap->replaced_count, replaced_count);
    if (snap->replaced_count != 0)
        snprintf(row->note, sizeof(row->note), "%s new, %s replaced", new_count, replaced_count);
    else if (snap->new_count != 0)
        snprintf(row->note, sizeof(row->note), "all new");
    note_packs(snap, row);
}

static void note_failed(const struct snapshot *snap, struct row *row)
{
    char count[UNITS_TEXT_MAX];
    if (snap->conflict.count != 0)
        snprintf(row->note, sizeof(row->note), "%s changed by another writer",
                 units_count(snap->conflict.count, count));
}

static int widest(const struct row *rows, size_t count, bool bytes)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t len = strlen(bytes ? rows[i].bytes : rows[i].count);
        most = len > most ? len : most;
    }
    return (int)most;
}

static void add_rows(const struct row *rows, size_t count, bool color, struct buf *out)
{
    const int count_cells = widest(rows, count, false);
    const int bytes_cells = widest(rows, count, true);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        const bool red = color && strcmp(row->name, "failed") == 0;
        buf_printf(out, "%s%-9s  %*s %s  %*s%s", red ? RED : "", row->name, count_cells, row->count,
                   row->one ? "object " : "objects", bytes_cells, row->bytes, red ? PLAIN : "");
        if (row->note[0] != '\0')
            buf_printf(out, "  (%s)", row->note);
        buf_add_char(out, '\n');
    }
}

static void add_moved(const struct snapshot *snap, struct buf *out)
{
    char moved[UNITS_TEXT_MAX];
    char span[UNITS_TEXT_MAX];
    char rate[UNITS_TEXT_MAX];
    char retries[UNITS_TEXT_MAX];
    buf_printf(out, "%-9s  %s in %s, %s", "moved", units_bytes(snap->moved_bytes, moved),
               units_span(snap->elapsed_ns, span), units_rate(snap->rate_bytes_per_s, rate));
    if (snap->retries != 0)
        buf_printf(out, ", %s %s", units_count(snap->retries, retries),
                   snap->retries == 1 ? "retry" : "retries");
    buf_add_char(out, '\n');
}

static void add_fallback(const struct snapshot *snap, struct buf *out)
{
    char count[UNITS_TEXT_MAX];
    if (snap->fallback_count != 0)
        buf_printf(out, "%-9s  %s %s read below the fallback root\n", "fallback",
                   units_count(snap->fallback_count, count),
                   snap->fallback_count == 1 ? "file or directory" : "files and directories");
}

static void add_warned(const struct snapshot *snap, struct buf *out)
{
    char count[UNITS_TEXT_MAX];
    if (snap->warned_count != 0)
        buf_printf(out, "%-9s  %s %s extended attributes\n", "warned",
                   units_count(snap->warned_count, count),
                   snap->warned_count == 1 ? "entry without all its" : "entries without all their");
}

void status_summary(const struct snapshot *snap, const struct status_style *style, struct buf *out)
{
    struct row rows[ROWS];
    size_t count = 0;
    rows[count] = row_of(done_name(snap->work), &snap->done);
    note_done(snap, &rows[count++]);
    if (snap->unchanged.count != 0)
        rows[count++] = row_of("unchanged", &snap->unchanged);
    if (snap->skipped.count != 0)
        rows[count++] = row_of("skipped", &snap->skipped);
    if (snap->failed.count != 0) {
        rows[count] = row_of("failed", &snap->failed);
        note_failed(snap, &rows[count++]);
    }
    add_rows(rows, count, style->color, out);
    add_moved(snap, out);
    add_fallback(snap, out);
    add_warned(snap, out);
}
