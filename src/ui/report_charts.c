/* The drawn parts of ui/report.h. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/units.h"
#include "ui/chart.h"
#include "ui/report_internal.h"

#include <math.h>

/* Below this there is nothing to be seen: the journal's times are a second apart. */
#define DRAWN_NS (3 * NS_PER_S)

static const char *tell_bytes(double value, char text[CHART_TEXT_MAX])
{
    return units_rate(value, text);
}

static const char *tell_count(double value, char text[CHART_TEXT_MAX])
{
    if (value >= 1e6)
        snprintf(text, CHART_TEXT_MAX, "%.3gM/s", value / 1e6);
    else if (value >= 1e4)
        snprintf(text, CHART_TEXT_MAX, "%.3gk/s", value / 1e3);
    else
        snprintf(text, CHART_TEXT_MAX, "%.3g/s", value);
    return text;
}

static void add_rate(const struct history *history, bool bytes, struct buf *out)
{
    double values[HISTORY_BINS];
    double sum = 0;
    for (uint32_t i = 0; i < history->bin_count; i++) {
        const struct history_bin *bin = &history->bins[i];
        const double amount = bytes ? bin->moved_bytes : bin->settled;
        const int64_t begun_ns = i * history->bin_ns;
        const int64_t left_ns = history->worked_ns - begun_ns;
        const int64_t span_ns = left_ns < history->bin_ns ? left_ns : history->bin_ns;
        values[i] = span_ns > 0 ? amount * NS_PER_S / (double)span_ns : 0;
        sum += amount;
    }
    const struct chart_rate chart = {
        .title = bytes ? "bytes moved each second, over the time worked"
                       : "entries settled each second, over the time worked",
        .values = values,
        .count = history->bin_count,
        .bin_ns = history->bin_ns,
        .span_ns = history->worked_ns,
        .mean = sum * NS_PER_S / (double)history->worked_ns,
        .base = bytes ? 1024 : 1000,
        .tell = bytes ? tell_bytes : tell_count,
        .marks_ns = history->pauses_ns,
        .mark_count = history->pause_count,
    };
    buf_printf(out, "<h3>%s</h3>\n", bytes ? "Bytes a second" : "Entries a second");
    chart_rate(&chart, out);
}

void report_rates(const struct report *report, struct buf *out)
{
    const struct history *history = report->history;
    char span[UNITS_TEXT_MAX];
    report_heading(out, "rates", "Rate", NULL);
    if (history->worked_ns < DRAWN_NS) {
        buf_printf(out, "<p class=\"note\">All was done within %s: too short to draw.</p>\n",
                   units_span(history->worked_ns, span));
        return;
    }
    buf_add_text(out, "<div class=\"card\">\n");
    add_rate(history, true, out);
    add_rate(history, false, out);
    char bin[UNITS_TEXT_MAX];
    buf_printf(
        out,
        "<p class=\"note\">Over the %s during which somebody worked on it%s. Each step is the "
        "mean of %s.</p>\n</div>\n",
        units_span(history->worked_ns, span),
        history->pause_count != 0 ? "; dotted lines are where it was stopped for a while" : "",
        units_span(history->bin_ns, bin));
}

static void add_size_title(uint32_t i, struct buf *out)
{
    char from[UNITS_TEXT_MAX];
    char to[UNITS_TEXT_MAX];
    if (i == 0)
        buf_add_text(out, "empty");
    else if (i == 1)
        buf_printf(out, "below %s", units_bytes(tally_size_limit(i), to));
    else if (i + 1 == TALLY_SIZES)
        buf_printf(out, "%s and more", units_bytes(tally_size_limit(i - 1), from));
    else
        buf_printf(out, "%s to %s", units_bytes(tally_size_limit(i - 1), from),
                   units_bytes(tally_size_limit(i), to));
}

void report_sizes(const struct report *report, struct buf *out)
{
    const struct tally *tally = report->tally;
    char text[UNITS_TEXT_MAX];
    uint64_t most_count = 0;
    uint64_t most_bytes = 0;
    uint32_t first = TALLY_SIZES;
    uint32_t last = 0;
    for (uint32_t i = 0; i < TALLY_SIZES; i++) {
        most_count = tally->size_count[i] > most_count ? tally->size_count[i] : most_count;
        most_bytes = tally->size_bytes[i] > most_bytes ? tally->size_bytes[i] : most_bytes;
        if (tally->size_count[i] == 0)
            continue;
        first = first < i ? first : i;
        last = i;
    }
    if (first == TALLY_SIZES)
        return;
    report_heading(out, "sizes", "Sizes of files", NULL);
    buf_add_text(out, "<div class=\"card scroll\"><table><thead><tr><th scope=\"col\">Size</th>"
                      "<th scope=\"col\" class=\"n\">Files</th><th class=\"wide\"></th>"
                      "<th scope=\"col\" class=\"n\">Bytes</th><th class=\"wide\"></th>"
                      "</tr></thead><tbody>\n");
    for (uint32_t i = first; i <= last; i++) {
        buf_add_text(out, "<tr><th scope=\"row\">");
        add_size_title(i, out);
        buf_printf(out, "</th><td class=\"n\">%s</td><td class=\"wide\">",
                   units_count(tally->size_count[i], text));
        chart_bar((double)tally->size_count[i], (double)most_count, "plain", out);
        buf_printf(out, "</td><td class=\"n\">%s</td><td class=\"wide\">",
                   units_bytes(tally->size_bytes[i], text));
        chart_bar((double)tally->size_bytes[i], (double)most_bytes, "kept", out);
        buf_add_text(out, "</td></tr>\n");
    }
    buf_add_text(out, "</tbody></table></div>\n");
}
