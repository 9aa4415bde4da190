#include "ui/report.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "base/units.h"
#include "ui/chart.h"
#include "ui/html.h"
#include "ui/report_internal.h"

#include <inttypes.h>

#define RUNS_SHOWN 30u
#define FILTER_SHOWN 4000u /* bytes of its rules */

void report_heading(struct buf *out, const char *id, const char *title, const char *note)
{
    buf_printf(out, "<h2 id=\"%s\">%s</h2>\n", id, title);
    if (note != NULL)
        buf_printf(out, "<p class=\"note\">%s</p>\n", note);
}

void report_fact(struct buf *out, const char *what, const char *value)
{
    buf_printf(out, "<tr><th scope=\"row\">%s</th><td>", what);
    html_text(out, value);
    buf_add_text(out, "</td></tr>\n");
}

static void name_fact(struct buf *out, const char *what, const char *name)
{
    buf_printf(out, "<tr><th scope=\"row\">%s</th><td>", what);
    html_name(out, name);
    buf_add_text(out, "</td></tr>\n");
}

void report_time(struct buf *out, int64_t time_ns)
{
    char local[CLOCK_TEXT_MAX];
    char utc[CLOCK_TEXT_MAX];
    clock_text_local(time_ns, local);
    clock_text_utc(time_ns, utc);
    buf_printf(out, "<time datetime=\"%s\">%s</time>", utc, local);
}

static void time_fact(struct buf *out, const char *what, int64_t time_ns)
{
    buf_printf(out, "<tr><th scope=\"row\">%s</th><td>", what);
    report_time(out, time_ns);
    buf_add_text(out, "</td></tr>\n");
}

/* ---- the head ---- */

static const char *verb_of(const struct job *job)
{
    return job->spec.direction == JOB_GET ? "get" : "put";
}

static const char *badge_of(const struct status *status)
{
    switch (status->state) {
    case STATUS_FINISHED:
        return "good";
    case STATUS_FAILURES:
        return "bad";
    case STATUS_RUNNING:
        return "busy";
    case STATUS_EMPTY:
    case STATUS_STOPPED:
        break;
    }
    return "";
}

static void add_sources(const struct job *job, struct buf *out)
{
    html_name(out, job->spec.source_count != 0 ? job->spec.sources[0] : "?");
    if (job->spec.source_count > 1)
        buf_printf(out, " and %zu more", job->spec.source_count - 1);
}

static void add_head(const struct report *report, struct buf *out)
{
    const struct job *job = report->job;
    buf_add_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<link rel=\"icon\" href=\"data:,\">\n<title>lade ");
    buf_printf(out, "%s: ", verb_of(job));
    html_text(out, job->spec.source_count != 0 ? job->spec.sources[0] : "?");
    buf_add_text(out, " to ");
    html_text(out, job->spec.dest);
    buf_printf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<header>\n",
               report_style);
    buf_printf(out, "<p><span class=\"badge %s\">%s</span></p>\n<h1>%s ", badge_of(report->status),
               status_state_name(report->status->state), verb_of(job));
    add_sources(job, out);
    buf_add_text(out, " <span class=\"arrow\">to</span> ");
    html_name(out, job->spec.dest);
    buf_add_text(out, "</h1>\n</header>\n");
}

static void add_tile(struct buf *out, const char *value, const char *what)
{
    buf_printf(out, "<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, what);
}

static void add_tiles(const struct report *report, struct buf *out)
{
    const struct history *history = report->history;
    const struct result_sum *sum = &report->status->settled;
    const uint64_t done = sum->count[RESULT_DONE] + sum->count[RESULT_REPLACED];
    uint64_t moved = 0;
    char text[UNITS_TEXT_MAX];
    for (size_t i = 0; i < history->run_count; i++)
        moved += history->runs[i].moved_bytes;
    buf_add_text(out, "<div class=\"tiles\">\n");
    add_tile(out, units_count(done + sum->count[RESULT_UNCHANGED], text), "entries are there");
    add_tile(out, units_bytes(moved, text), "moved");
    add_tile(out, units_span(history->worked_ns, text), "worked on it");
    const double rate =
        history->worked_ns > 0 ? (double)moved * NS_PER_S / (double)history->worked_ns : 0;
    add_tile(out, units_rate(rate, text), "mean rate");
    buf_add_text(out, "</div>\n");
}

/* ---- what was asked for ---- */

static void add_flag(struct buf *options, bool is_on, const char *name)
{
    if (is_on)
        buf_printf(options, "%s%s", options->len != 0 ? " " : "", name);
}

static void add_value(struct buf *options, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        buf_printf(options, "%s%s %s", options->len != 0 ? " " : "", name, value);
}

static void add_options(const struct job_spec *spec, struct buf *out)
{
    SCOPED(buf) struct buf options = { 0 };
    add_flag(&options, spec->keep_name, "--keep-name");
    add_value(&options, "--to", spec->one_name);
    add_value(&options, "--files-from", spec->files_from);
    add_flag(&options, spec->files_from_nul, "--null");
    add_flag(&options, spec->one_file_system, "--one-file-system");
    add_flag(&options, spec->glob, "--glob");
    add_flag(&options, spec->links == LINKS_FOLLOW, "--links follow");
    add_flag(&options, spec->links == LINKS_SKIP, "--links skip");
    add_flag(&options, spec->checksum, "--checksum");
    add_flag(&options, spec->immutable, "--immutable");
    add_flag(&options, spec->overwrite, "--overwrite");
    add_flag(&options, (spec->digests & DIGEST_SHA256) != 0, "--digest sha256");
    add_flag(&options, (spec->digests & DIGEST_MD5) != 0, "--digest md5");
    for (size_t i = 0; i < spec->meta_count; i++)
        buf_printf(&options, "%s--metadata %s=%s", options.len != 0 ? " " : "", spec->meta[i].name,
                   spec->meta[i].value);
    add_value(&options, "--endpoint-url", spec->access.endpoint_url);
    add_value(&options, "--profile", spec->access.profile);
    add_value(&options, "--region", spec->access.region);
    add_value(&options, "--storage-class", spec->access.storage_class);
    add_value(&options, "--acl", spec->access.acl);
    name_fact(out, "Options", options.len != 0 ? options.data : "none");
    if (spec->filter == NULL || spec->filter[0] == '\0')
        return;
    const size_t len = strlen(spec->filter);
    buf_add_text(out, "<tr><th scope=\"row\">Filter rules</th><td>");
    /* Line by line: line feeds would be shown as what they are. */
    for (const char *line = spec->filter; line < spec->filter + len;) {
        const size_t bytes = strcspn(line, "\n");
        buf_add_text(out, "<code>");
        html_bytes(out, line, bytes);
        buf_add_text(out, "</code><br>");
        line += bytes + (line[bytes] != '\0');
        if ((size_t)(line - spec->filter) > FILTER_SHOWN && line < spec->filter + len) {
            buf_add_text(out, "<span class=\"more\">and more</span>");
            break;
        }
    }
    buf_add_text(out, "</td></tr>\n");
}

static void add_job(const struct report *report, struct buf *out)
{
    const struct job *job = report->job;
    const struct history *history = report->history;
    char number[24];
    report_heading(out, "job", "The job", NULL);
    buf_add_text(out, "<div class=\"card\"><table class=\"facts\"><tbody>\n");
    for (size_t i = 0; i < job->spec.source_count && i < TALLY_LIST; i++)
        name_fact(out, i == 0 ? "From" : "", job->spec.sources[i]);
    name_fact(out, "To", job->spec.dest);
    add_options(&job->spec, out);
    name_fact(out, "Directory", job->path);
    time_fact(out, "Made", job->created_ns);
    if (history->run_count != 0) {
        time_fact(out, "Begun", history->runs[0].start_ns);
        time_fact(out, "Last work", history->runs[history->run_count - 1].end_ns);
    }
    snprintf(number, sizeof number, "%u", report->status->generation);
    report_fact(out, "Generation", number);
    if (report->outcome != NULL) {
        SCOPED(buf) struct buf text = { 0 };
        buf_printf(&text, "exit status %d: %s", report->outcome->exit_status,
                   report->outcome->text);
        report_fact(out, "Last run", text.data);
    }
    buf_add_text(out, "</tbody></table></div>\n");
}

/* ---- what became of it ---- */

struct part {
    const char *class, *title;
    uint64_t count, bytes;
};

static void add_part_row(const struct part *part, struct buf *out)
{
    char count[UNITS_TEXT_MAX];
    char bytes[UNITS_TEXT_MAX];
    buf_printf(out,
               "<tr><th scope=\"row\"><span class=\"dot %s\"></span>%s</th><td class=\"n\">%s</td>"
               "<td class=\"n\">%s</td></tr>\n",
               part->class, part->title, units_count(part->count, count),
               units_bytes(part->bytes, bytes));
}

static void add_totals(const struct report *report, struct buf *out)
{
    const struct status *status = report->status;
    const struct result_sum *sum = &status->settled;
    const struct part parts[] = {
        { "done", "new", sum->count[RESULT_DONE], sum->bytes[RESULT_DONE] },
        { "done", "replaced", sum->count[RESULT_REPLACED], sum->bytes[RESULT_REPLACED] },
        { "kept", "unchanged", sum->count[RESULT_UNCHANGED], sum->bytes[RESULT_UNCHANGED] },
        { "skip", "skipped", sum->count[RESULT_SKIPPED], sum->bytes[RESULT_SKIPPED] },
        { "fail", "failed", sum->count[RESULT_FAILED], sum->bytes[RESULT_FAILED] },
        { "left", "left", status->left_count, status->left_bytes },
    };
    enum { COUNT = sizeof parts / sizeof *parts };
    struct chart_part drawn[COUNT];
    struct part all = { "", "all", 0, 0 };
    for (size_t i = 0; i < COUNT; i++) {
        drawn[i] = (struct chart_part){ parts[i].class, parts[i].count };
        all.count += parts[i].count;
        all.bytes += parts[i].bytes;
    }
    report_heading(out, "totals", "What became of it", NULL);
    buf_add_text(out, "<div class=\"card\">\n");
    if (all.count != 0)
        chart_parts("entries by what became of them; the table below has the numbers", drawn, COUNT,
                    out);
    buf_add_text(out, "<table><thead><tr><th scope=\"col\"></th><th scope=\"col\" class=\"n\">"
                      "Entries</th><th scope=\"col\" class=\"n\">Bytes</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < COUNT; i++)
        if (parts[i].count != 0 || i == 0 || i == 4)
            add_part_row(&parts[i], out);
    add_part_row(&all, out);
    buf_add_text(out, "</tbody></table></div>\n");
}

/* ---- proof ---- */

static const char *proof_text(const struct job *job)
{
    if (job->spec.direction == JOB_GET)
        return "A file counts as done when the bytes that arrived had the digest that was recorded "
               "when they were stored, where there is one, and were durable under their name.";
    if (strncmp(job->spec.dest, "file:", 5) == 0)
        return "An object counts as done when the file held still while it was read, the bytes "
               "that "
               "were read were written and synced, and the object renamed to its name with its "
               "directory synced.";
    return "An object counts as done when the file held still while it was read and the server "
           "vouched for the bytes that were read: by a checksum that it was seen to refuse when it "
           "is wrong, or by the SHA-256 that the request was signed with.";
}

static void count_fact(struct buf *out, const char *what, uint64_t count)
{
    char text[UNITS_TEXT_MAX];
    if (count != 0)
        report_fact(out, what, units_count(count, text));
}

static void add_proof(const struct report *report, struct buf *out)
{
    const struct tally_proof *proof = &report->tally->proof;
    report_heading(out, "proof", "Proof", proof_text(report->job));
    buf_add_text(out, "<div class=\"card\"><table class=\"facts\"><tbody>\n");
    count_fact(out, "Moved, CRC64NVME", proof->crc64);
    count_fact(out, "and SHA-256", proof->sha256);
    count_fact(out, "and MD5", proof->md5);
    count_fact(out, "Unchanged, digest recorded", proof->kept_known);
    count_fact(out, "Unchanged by size and time", proof->kept_unknown);
    count_fact(out, "Without content", proof->without);
    buf_printf(out,
               "<tr><th scope=\"row\">Digest of the list</th><td><code>sha256&nbsp;%s</code><br>"
               "<span class=\"hint\">of one line for each of %" PRIu64
               " files and links: CRC64NVME, size, name. Two reports with the same one are of the "
               "same content under the same names.</span></td></tr>\n",
               proof->list_sha256, proof->listed);
    buf_add_text(out, "</tbody></table></div>\n");
}

/* ---- batches and runs ---- */

static void add_batch(const struct tally_batch *batch, struct buf *out)
{
    const struct result_sum *sum = &batch->sum;
    char text[UNITS_TEXT_MAX];
    buf_printf(out, "<tr><th scope=\"row\" class=\"n\">%u</th>", batch->number);
    buf_printf(out, "<td class=\"n\">%s</td>", units_count(batch->entries, text));
    buf_printf(out, "<td class=\"n\">%s</td>",
               units_count(sum->count[RESULT_DONE] + sum->count[RESULT_REPLACED], text));
    buf_printf(out, "<td class=\"n\">%s</td>",
               units_bytes(sum->bytes[RESULT_DONE] + sum->bytes[RESULT_REPLACED], text));
    buf_printf(out, "<td class=\"n\">%s</td>", units_count(sum->count[RESULT_UNCHANGED], text));
    buf_printf(out, "<td class=\"n\">%s</td>", units_count(sum->count[RESULT_FAILED], text));
    buf_printf(out, "<td class=\"n\">%s</td>", units_count(sum->retries, text));
    buf_printf(out, "<td>%s</td></tr>\n", batch->done ? "done" : "open");
}

static void add_batches(const struct report *report, struct buf *out)
{
    const struct tally *tally = report->tally;
    report_heading(out, "batches", "Batches", NULL);
    buf_add_text(out, "<div class=\"card scroll\"><table><thead><tr><th scope=\"col\" class=\"n\">"
                      "Batch</th><th scope=\"col\" class=\"n\">Entries</th><th scope=\"col\" "
                      "class=\"n\">Moved</th><th scope=\"col\" class=\"n\">Bytes</th>"
                      "<th scope=\"col\" class=\"n\">Unchanged</th><th scope=\"col\" class=\"n\">"
                      "Failed</th><th scope=\"col\" class=\"n\">Retries</th>"
                      "<th scope=\"col\">State</th></tr></thead><tbody>\n");
    for (uint32_t i = 0; i < tally->batch_count; i++)
        add_batch(&tally->batches[i], out);
    buf_add_text(out, "</tbody></table>");
    if (tally->batch_total > tally->batch_count)
        buf_printf(out, "<p class=\"more\">and %u more</p>",
                   tally->batch_total - tally->batch_count);
    buf_add_text(out, "</div>\n");
}

static void add_run(const struct history_run *run, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    buf_printf(out, "<tr><th scope=\"row\" class=\"n\">%u</th><td>", run->process);
    html_text(out, run->host);
    buf_add_text(out, "</td><td>");
    report_time(out, run->start_ns);
    buf_printf(out, "</td><td class=\"n\">%s</td>", units_span(run->end_ns - run->start_ns, text));
    buf_printf(out, "<td class=\"n\">%s</td>", units_count(run->settled, text));
    buf_printf(out, "<td class=\"n\">%s</td></tr>\n", units_bytes(run->moved_bytes, text));
}

static void add_runs(const struct report *report, struct buf *out)
{
    const struct history *history = report->history;
    const size_t hidden = history->run_count > RUNS_SHOWN ? history->run_count - RUNS_SHOWN : 0;
    report_heading(out, "runs", "Runs", NULL);
    buf_add_text(out, "<div class=\"card scroll\"><table><thead><tr><th scope=\"col\" class=\"n\">"
                      "Run</th><th scope=\"col\">Host</th><th scope=\"col\">Begun</th>"
                      "<th scope=\"col\" class=\"n\">Worked</th><th scope=\"col\" class=\"n\">"
                      "Settled</th><th scope=\"col\" class=\"n\">Moved</th></tr></thead><tbody>\n");
    for (size_t i = hidden; i < history->run_count; i++)
        add_run(&history->runs[i], out);
    buf_add_text(out, "</tbody></table>");
    if (hidden != 0)
        buf_printf(out, "<p class=\"more\">and %zu more before them</p>", hidden);
    buf_add_text(out, "</div>\n");
}

void report_page(const struct report *report, struct buf *out)
{
    add_head(report, out);
    add_tiles(report, out);
    add_totals(report, out);
    report_rates(report, out);
    report_items(report, out);
    report_sizes(report, out);
    add_proof(report, out);
    add_job(report, out);
    add_batches(report, out);
    add_runs(report, out);
    buf_add_text(out, "<footer>Written ");
    report_time(out, report->now_ns);
    buf_add_text(out, " by lade " LADE_VERSION ". Times are local.</footer>\n</main>\n</body>\n"
                      "</html>\n");
}
