#include "ui/status.h"

#include "base/ban.h"
#include "base/scope.h"
#include "base/units.h"
#include "base/utf8.h"
#include "ui/cells.h"

#define BAR_CELLS_MIN 8
#define BAR_CELLS_MAX 40
#define GAP_CELLS 2

#define RED "\033[31m"
#define GREEN "\033[32m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

/* ---- a line that is never wider than the window ---- */

struct line {
    struct buf *out;
    const struct status_style *style;
    size_t left; /* cells */
    bool begun, full;
};

static struct line line_begin(struct buf *out, const struct status_style *style)
{
    /* The last column stays free: writing it folds the line on some terminals. */
    const unsigned width = style->width > STATUS_WIDTH_MIN ? style->width : STATUS_WIDTH_MIN;
    return (struct line){ .out = out, .style = style, .left = width - 1 };
}

static void add_colored(const struct line *line, const char *color, const char *text, size_t len)
{
    const bool colored = color != NULL && line->style->color;
    if (colored)
        buf_add_text(line->out, color);
    buf_add(line->out, text, len);
    if (colored)
        buf_add_text(line->out, PLAIN);
}

/* One thing on the line: whole, or not and nothing behind it, because half a number is another one.
 */
static void line_add(struct line *line, const char *color, const char *text)
{
    const size_t len = strlen(text);
    const size_t gap = line->begun ? GAP_CELLS : 0;
    const size_t cells = cells_count(text, len) + gap;
    if (len == 0 || line->full)
        return;
    line->full = cells > line->left;
    if (line->full)
        return;
    buf_add(line->out, "  ", gap);
    add_colored(line, color, text, len);
    line->left -= cells;
    line->begun = true;
}

/* The same for text that may be cut. */
static void line_add_cut(struct line *line, const char *color, const char *text)
{
    SCOPED(buf) struct buf shown = { 0 };
    utf8_show(&shown, text, strlen(text));
    const size_t fit = cells_fit(buf_text(&shown), shown.len, line->left);
    add_colored(line, color, buf_text(&shown), fit);
}

static void line_end(const struct line *line)
{
    buf_add_char(line->out, '\n');
}

/* ---- the parts ---- */

static uint64_t progress_bytes(const struct snapshot *snap)
{
    const uint64_t bytes = snapshot_settled(snap).bytes + snap->flight_bytes;
    return bytes < snap->planned.bytes ? bytes : snap->planned.bytes;
}

/* 0 to 1000; 1000 only when all is settled. By objects where there are no bytes. */
static unsigned permille(const struct snapshot *snap)
{
    const struct snapshot_sum settled = snapshot_settled(snap);
    double part = 0;
    if (settled.count >= snap->planned.count)
        return 1000;
    if (snap->planned.bytes > 0)
        part = (double)progress_bytes(snap) / (double)snap->planned.bytes;
    else
        part = (double)settled.count / (double)snap->planned.count;
    return part < 0.999 ? (unsigned)(part * 1000) : 999;
}

struct text { /* one part of a line */
    char of[96];
};

static struct text text_percent(const struct snapshot *snap)
{
    struct text text;
    if (snap->totals_final)
        snprintf(text.of, sizeof(text.of), "%3u%%", permille(snap) / 10);
    else
        snprintf(text.of, sizeof(text.of), "planning");
    return text;
}

static struct text text_bytes(const struct snapshot *snap, const char *between)
{
    struct text text;
    char done[UNITS_TEXT_MAX];
    char planned[UNITS_TEXT_MAX];
    snprintf(text.of, sizeof(text.of), "%s%s%s%s", units_bytes(progress_bytes(snap), done), between,
             units_bytes(snap->planned.bytes, planned), snap->totals_final ? "" : " so far");
    return text;
}

static struct text text_objects(const struct snapshot *snap, const char *between)
{
    struct text text;
    char done[UNITS_TEXT_MAX];
    char planned[UNITS_TEXT_MAX];
    snprintf(text.of, sizeof(text.of), "%s%s%s objects",
             units_count(snapshot_settled(snap).count, done), between,
             units_count(snap->planned.count, planned));
    return text;
}

static struct text text_rate(const struct snapshot *snap)
{
    struct text text;
    units_rate(snap->rate_bytes_per_s, text.of);
    return text;
}

/* "25m13s" behind or before a word, "" when it is not known. */
static struct text text_eta(const struct snapshot *snap, const char *before, const char *behind)
{
    struct text text = { "" };
    char span[UNITS_TEXT_MAX];
    if (snap->eta_ns >= 0)
        snprintf(text.of, sizeof(text.of), "%s%s%s", before, units_span(snap->eta_ns, span),
                 behind);
    return text;
}

/* "12 failed", "" for none. */
static struct text text_some(uint64_t count, const char *what)
{
    struct text text = { "" };
    char number[UNITS_TEXT_MAX];
    if (count != 0)
        snprintf(text.of, sizeof(text.of), "%s %s", units_count(count, number), what);
    return text;
}

static struct text text_batches(const struct snapshot *snap)
{
    struct text text = { "" };
    char done[UNITS_TEXT_MAX];
    char total[UNITS_TEXT_MAX];
    if (snap->batches_total > 1)
        snprintf(text.of, sizeof(text.of), "batch %s/%s", units_count(snap->batches_done, done),
                 units_count(snap->batches_total, total));
    return text;
}

/* ---- the block ---- */

static void add_bar(struct line *line, const struct snapshot *snap, size_t cells)
{
    const char *const full = line->style->unicode ? "━" : "=";
    const char *const rest = line->style->unicode ? "─" : "-";
    const size_t done = cells * permille(snap) / 1000;
    SCOPED(buf) struct buf bar = { 0 };
    for (size_t i = 0; i < done; i++)
        buf_add_text(&bar, full);
    buf_add(line->out, "  ", GAP_CELLS);
    add_colored(line, GREEN, buf_text(&bar), bar.len);
    buf_clear(&bar);
    for (size_t i = done; i < cells; i++)
        buf_add_text(&bar, rest);
    add_colored(line, DIM, buf_text(&bar), bar.len);
    line->left -= cells + GAP_CELLS;
}

/* Percent, bar, bytes, rate, end; the bar takes what the others leave. */
static void add_first_line(const struct snapshot *snap, const struct status_style *style,
                           struct buf *out)
{
    struct line line = line_begin(out, style);
    const struct text parts[] = { text_bytes(snap, " / "), text_rate(snap),
                                  text_eta(snap, "ETA ", "") };
    const size_t count = sizeof(parts) / sizeof(parts[0]);
    line_add(&line, NULL, text_percent(snap).of);
    size_t need = GAP_CELLS;
    for (size_t i = 0; i < count; i++)
        need += parts[i].of[0] != '\0' ? strlen(parts[i].of) + GAP_CELLS : 0;
    if (snap->totals_final && line.left >= need + BAR_CELLS_MIN) {
        const size_t room = line.left - need;
        add_bar(&line, snap, room < BAR_CELLS_MAX ? room : BAR_CELLS_MAX);
    }
    for (size_t i = 0; i < count; i++)
        line_add(&line, NULL, parts[i].of);
    line_end(&line);
}

static void add_second_line(const struct snapshot *snap, const struct status_style *style,
                            struct buf *out)
{
    struct line line = line_begin(out, style);
    char elapsed[UNITS_TEXT_MAX];
    line_add(&line, NULL, text_objects(snap, " / ").of);
    line_add(&line, RED, text_some(snap->failed.count, "failed").of);
    line_add(&line, NULL, text_some(snap->unchanged.count, "unchanged").of);
    line_add(&line, NULL, text_some(snap->skipped.count, "skipped").of);
    line_add(&line, NULL, text_some(snap->active_count, "active").of);
    line_add(&line, NULL, text_batches(snap).of);
    line_add(&line, NULL, text_some(snap->retries, "retries").of);
    line_add(&line, NULL, units_span(snap->elapsed_ns, elapsed));
    line_end(&line);
}

void status_block(const struct snapshot *snap, const struct status_style *style, struct buf *out)
{
    add_first_line(snap, style, out);
    add_second_line(snap, style, out);
    if (snap->failures_count == 0)
        return;
    struct line line = line_begin(out, style);
    line_add(&line, RED, "failed:");
    line.left -= 1;
    buf_add_char(out, ' ');
    line_add_cut(&line, NULL, snap->failures[snap->failures_count - 1]);
    line_end(&line);
}

/* ---- the line ---- */

static void add_part(struct buf *out, const char *text)
{
    if (text[0] == '\0')
        return;
    buf_add_text(out, ", ");
    buf_add_text(out, text);
}

void status_line(const struct snapshot *snap, struct buf *out)
{
    char elapsed[UNITS_TEXT_MAX];
    buf_printf(out, "%s: ", snapshot_work_name(snap->work));
    if (snap->totals_final)
        buf_printf(out, "%u%%", permille(snap) / 10);
    else
        buf_add_text(out, "planning");
    buf_printf(out, " after %s", units_span(snap->elapsed_ns, elapsed));
    add_part(out, text_bytes(snap, " of ").of);
    add_part(out, text_objects(snap, " of ").of);
    add_part(out, text_rate(snap).of);
    add_part(out, text_eta(snap, "", " left").of);
    add_part(out, text_some(snap->unchanged.count, "unchanged").of);
    add_part(out, text_some(snap->skipped.count, "skipped").of);
    add_part(out, text_some(snap->failed.count, "failed").of);
    add_part(out, text_some(snap->retries, "retries").of);
}
