#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/caught.h"
#include "cli/rows.h"
#include "job/check.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define STEP_NS (200 * NS_PER_MS)

static struct stop stop;

static const char *const verdict_names[CHECK_VERDICT_COUNT] = {
    [CHECK_MISSING] = "missing",
    [CHECK_DIFFERENT] = "different",
    [CHECK_UNREADABLE] = "unreadable",
};

static void show_finding(const struct settings *settings, const struct check_finding *finding)
{
    SCOPED(buf) struct buf line = { 0 };
    if (settings->json) {
        struct json json = json_into(&line);
        json_object(&json, NULL);
        json_text(&json, "event", verdict_names[finding->verdict]);
        json_bytes(&json, "name", finding->name, strlen(finding->name));
        json_text(&json, "reason", finding->why);
        json_object_end(&json);
        json_line_end(&json);
    } else {
        buf_printf(&line, "%s: ", verdict_names[finding->verdict]);
        path_show(&line, finding->name);
        if (finding->verdict != CHECK_MISSING)
            buf_printf(&line, ": %s", finding->why);
        buf_add_char(&line, '\n');
    }
    fwrite(line.data, 1, line.len, stdout);
}

static void show_json(const struct check_counts *counts, int status)
{
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_text(&json, "event", "summary");
    json_u64(&json, "same_by_reading", counts->by_verdict[CHECK_SAME_READ]);
    json_u64(&json, "same_by_record", counts->by_verdict[CHECK_SAME_RECORDED]);
    json_u64(&json, "same_by_size_and_time", counts->by_verdict[CHECK_SAME_TIME]);
    json_u64(&json, "same_by_size_only",
             counts->by_verdict[CHECK_SIZE_PARTS] + counts->by_verdict[CHECK_SIZE_ETAG]);
    json_u64(&json, "directories", counts->by_verdict[CHECK_DIRECTORY]);
    json_u64(&json, "skipped", counts->by_verdict[CHECK_SKIPPED]);
    json_u64(&json, "missing", counts->by_verdict[CHECK_MISSING]);
    json_u64(&json, "different", counts->by_verdict[CHECK_DIFFERENT]);
    json_u64(&json, "unreadable", counts->by_verdict[CHECK_UNREADABLE]);
    json_u64(&json, "bytes_read", counts->bytes_read);
    json_i64(&json, "exit_status", status);
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, stdout);
}

static void show_counts(const struct check_counts *counts)
{
    static const struct {
        enum check_verdict verdict;
        const char *text;
    } rows[] = {
        { CHECK_SAME_READ, "the same, content compared now" },
        { CHECK_SAME_RECORDED, "the same, as recorded with their digests" },
        { CHECK_SAME_TIME, "the same in size and time; nothing is recorded of their content "
                           "(--deep reads it)" },
        { CHECK_SIZE_PARTS,
          "compared by size only: stored in parts of no usual size, so their ETag "
          "cannot be computed (--download reads them)" },
        { CHECK_SIZE_ETAG, "compared by size only: their ETag is no digest of the content "
                           "(--download reads them)" },
        { CHECK_DIRECTORY, "directories, there" },
        { CHECK_SKIPPED, "skipped: never moved (FIFOs, sockets, devices)" },
        { CHECK_MISSING, "missing" },
        { CHECK_DIFFERENT, "different" },
        { CHECK_UNREADABLE, "could not be read" },
    };
    char number[UNITS_TEXT_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (counts->by_verdict[rows[i].verdict] != 0 || rows[i].verdict == CHECK_MISSING)
            fprintf(stderr, "%12s %s\n", units_count(counts->by_verdict[rows[i].verdict], number),
                    rows[i].text);
    if (counts->bytes_read != 0)
        fprintf(stderr, "%12s read for it\n", units_bytes(counts->bytes_read, number));
}

static int exit_of(const struct check_counts *counts)
{
    if (counts->by_verdict[CHECK_DIFFERENT] != 0)
        return EXIT_DIFFERS;
    return counts->by_verdict[CHECK_MISSING] != 0 || counts->by_verdict[CHECK_UNREADABLE] != 0
               ? EXIT_SOME_FAILED
               : EXIT_DONE;
}

/* What has to be put again: what is missing or different. */
static int watch(const struct settings *settings, struct check *check, struct buf *missing)
{
    while (!check_ended(check)) {
        struct check_finding *finding = check_next(check, STEP_NS);
        if (caught_signal() != 0) {
            stop_raise(&stop);
            _exit(128 + caught_signal());
        }
        if (finding == NULL)
            continue;
        if (!settings->quiet)
            show_finding(settings, finding);
        if (finding->verdict != CHECK_UNREADABLE)
            buf_add(missing, finding->name, strlen(finding->name) + 1);
        check_finding_free(finding);
    }
    return 0;
}

static int write_missing(const char *path, const struct buf *missing, struct err *err)
{
    char *absolute = path_absolute(path);
    char *slash = strrchr(absolute, '/');
    *slash = '\0';
    SCOPED_FD int dir =
        open(slash == absolute ? "/" : absolute, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = dir < 0 ? err_sys(err, ERR_LOCAL, "open '%s'", absolute)
                         : file_replace(dir, slash + 1, buf_text(missing), missing->len, err);
    mem_release(absolute);
    return result < 0 ? err_at(err, "--missing") : 0;
}

static int check_spec(const struct settings *settings, const struct job_spec *spec,
                      const struct job *job, struct err *err)
{
    caught_start(true);
    const struct check_options options = { .spec = spec,
                                           .job = job,
                                           .deep = settings->deep,
                                           .download = settings->download,
                                           .transfers = (uint32_t)settings->transfers,
                                           .stall_s = (uint32_t)settings->stall_s,
                                           .memory_bytes = settings->memory_bytes,
                                           .bwlimit_bytes_per_s = settings->bwlimit_bytes_per_s,
                                           .requests_per_s = settings->requests_per_s,
                                           .stop = &stop };
    struct check *check = NULL;
    if (check_start(&check, &options, err) < 0)
        return -1;
    SCOPED(buf) struct buf missing = { 0 };
    struct check_counts counts;
    (void)!watch(settings, check, &missing);
    check_counts(check, &counts);
    if (check_end(check, err) < 0)
        return -1;
    if (settings->missing != NULL && write_missing(settings->missing, &missing, err) < 0)
        return -1;
    const int status = exit_of(&counts);
    fflush(stdout);
    if (settings->json)
        show_json(&counts, status);
    else if (!settings->quiet)
        show_counts(&counts);
    return status;
}

/* SRC DEST, or what a job file says: the record of the job that put it, if there is one, is of use.
 */
static int check_ends(const struct settings *settings, char **operands, struct err *err)
{
    struct job_spec spec;
    if (ask_put(&spec, settings, operands, 2, err) < 0)
        return -1;
    char *path = settings->job != NULL ? path_absolute(settings->job) : job_default_path(&spec);
    struct job job;
    struct err why = { 0 };
    const bool known = job_open(&job, path, &why) == 0;
    mem_release(path);
    const int status = check_spec(settings, &spec, known ? &job : NULL, err);
    if (known)
        job_close(&job);
    job_spec_done(&spec);
    return status;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    if (operand_count == 2 || settings->file != NULL)
        return check_ends(settings, operands, err);
    struct job job;
    if (job_open(&job, operands[0], err) < 0)
        return -1;
    const int status = check_spec(settings, &job.spec, &job, err);
    job_close(&job);
    return status;
}

const struct command cmd_check = {
    .name = "check",
    .synopsis = { "SRC DEST", "JOB", "--file FILE" },
    .summary = "prove that what was put is there",
    .operand_min = 1,
    .operand_max = 2,
    .tables = { rows_file, rows_filter, rows_fallback, rows_links, rows_check, rows_transfer, rows_buckets, rows_access, rows_network, rows_json, rows_common },
    .examples = {
        { "Compare names, sizes and recorded digests", "lade check results file:/store/run7" },
        { "Trust nothing: read both sides again",
          "lade check --deep --download results file:/store/run7" },
        { "Store again what is not there",
          "lade check --missing left results file:/store/run7 ||\n"
          "lade put -0 --files-from left results file:/store/run7" },
    },
    .prose = "check.md",
    .run = run,
};
