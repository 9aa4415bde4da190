/* The lists of entries of ui/report.h. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/units.h"
#include "ui/html.h"
#include "ui/report_internal.h"

#include <inttypes.h>

static void open_table(const char *const *titles, const bool *right, size_t count, struct buf *out)
{
    buf_add_text(out, "<div class=\"card scroll\"><table><thead><tr>");
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "<th scope=\"col\"%s>%s</th>", right[i] ? " class=\"n\"" : "", titles[i]);
    buf_add_text(out, "</tr></thead><tbody>\n");
}

static void close_table(uint64_t shown, uint64_t total, const char *where, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    buf_add_text(out, "</tbody></table>");
    if (total > shown)
        buf_printf(out, "<p class=\"more\">and %s more%s</p>", units_count(total - shown, text),
                   where);
    buf_add_text(out, "</div>\n");
}

static void add_name_cell(const struct tally_item *item, struct buf *out)
{
    buf_add_text(out, "<tr><td>");
    html_name(out, item->name);
    buf_add_text(out, "</td>");
}

static void add_reasons(const struct tally_list *list, const char *id, const char *title,
                        struct buf *out)
{
    static const char *const titles[] = { "Name", "Size", "Why" };
    static const bool right[] = { false, true, false };
    char size[UNITS_TEXT_MAX];
    if (list->total == 0)
        return;
    report_heading(out, id, title, NULL);
    open_table(titles, right, 3, out);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct tally_item *item = &list->items[i];
        add_name_cell(item, out);
        buf_printf(out, "<td class=\"n\">%s</td><td%s>", units_bytes(item->size_bytes, size),
                   item->status == RESULT_FAILED ? " class=\"why\"" : "");
        html_text(out, item->why != NULL ? item->why : "not known");
        if (item->hint != NULL && item->hint[0] != '\0') {
            buf_add_text(out, "<br><span class=\"hint\">");
            html_text(out, item->hint);
            buf_add_text(out, "</span>");
        }
        buf_add_text(out, "</td></tr>\n");
    }
    close_table(list->count, list->total, "; <code>lade status</code> names them", out);
}

static void add_slow(const struct report *report, struct buf *out)
{
    static const char *const titles[] = { "Name", "Size", "Time", "Rate", "Retries" };
    static const bool right[] = { false, true, true, true, true };
    const struct tally_list *list = &report->tally->slow;
    char text[UNITS_TEXT_MAX];
    report_heading(out, "slow", "What took longest", NULL);
    if (list->count == 0) {
        buf_add_text(out, "<p class=\"note\">No entry took a second or longer.</p>\n");
        return;
    }
    open_table(titles, right, 5, out);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct tally_item *item = &list->items[i];
        const double rate =
            (double)item->size_bytes * NS_PER_S / (double)item->span_ns; /* never 0: >= 1 s */
        add_name_cell(item, out);
        buf_printf(out, "<td class=\"n\">%s</td>", units_bytes(item->size_bytes, text));
        buf_printf(out, "<td class=\"n\">%s</td>", units_span(item->span_ns, text));
        buf_printf(out, "<td class=\"n\">%s</td>", units_rate(rate, text));
        buf_printf(out, "<td class=\"n\">%" PRIu32 "</td></tr>\n", item->retries);
    }
    close_table(list->count, list->total, " that took a second or longer", out);
}

static void add_digests(const struct record *record, struct buf *out)
{
    char hex[2 * DIGEST_SHA256_BYTES + 1];
    if (!record->known) {
        buf_add_text(out, "<span class=\"hint\">none recorded</span>");
        return;
    }
    buf_printf(out, "<code class=\"digest\">crc64nvme&nbsp;%016" PRIx64 "</code>", record->crc64);
    if ((record->digests.kinds & DIGEST_SHA256) != 0) {
        digest_hex(record->digests.sha256, sizeof record->digests.sha256, hex);
        buf_printf(out, "<br><code class=\"digest\">sha256&nbsp;%s</code>", hex);
    }
    if ((record->digests.kinds & DIGEST_MD5) != 0) {
        digest_hex(record->digests.md5, sizeof record->digests.md5, hex);
        buf_printf(out, "<br><code class=\"digest\">md5&nbsp;%s</code>", hex);
    }
}

static void add_largest(const struct report *report, struct buf *out)
{
    static const char *const titles[] = { "Name", "Size", "Digests" };
    static const bool right[] = { false, true, false };
    const struct tally_list *list = &report->tally->largest;
    char text[UNITS_TEXT_MAX];
    if (list->count == 0)
        return;
    report_heading(out, "largest", "The largest, with their digests", NULL);
    open_table(titles, right, 3, out);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct tally_item *item = &list->items[i];
        add_name_cell(item, out);
        buf_printf(out, "<td class=\"n\">%s</td><td>", units_bytes(item->size_bytes, text));
        add_digests(&item->record, out);
        buf_add_text(out, "</td></tr>\n");
    }
    close_table(list->count, list->total, "", out);
}

void report_items(const struct report *report, struct buf *out)
{
    add_reasons(&report->tally->failed, "failed", "What failed", out);
    add_reasons(&report->tally->skipped, "skipped", "What was skipped", out);
    add_slow(report, out);
    add_largest(report, out);
}
