#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/jobs.h"
#include "cli/rows.h"
#include "cli/say.h"
#include "job/status.h"
#include "ui/table.h"

static const struct table_column columns[] = {
    { .title = "job", .cells = 40 },
    { .title = "state", .cells = 10 },
    { .title = "done", .cells = 7, .right = true },
    { .title = "entries", .cells = 13, .right = true },
    { .title = "what" },
};
static const struct table table = { columns, sizeof columns / sizeof *columns };

static uint64_t settled_count(const struct status *status)
{
    uint64_t count = 0;
    for (int i = RESULT_OPEN + 1; i < RESULT_STATUS_COUNT; i++)
        count += status->settled.count[i];
    return count;
}

static void show_text(const char *name, const struct job *job, const struct status *status,
                      struct buf *line)
{
    char done[UNITS_TEXT_MAX];
    char entries[UNITS_TEXT_MAX];
    SCOPED(buf) struct buf what = { 0 };
    const uint64_t all = status->planned.entries;
    snprintf(done, sizeof done, "%.0f %%",
             all != 0 ? 100.0 * (double)settled_count(status) / (double)all : 100.0);
    buf_printf(&what, "%s %s to %s", job->spec.direction == JOB_GET ? "get" : "put",
               job->spec.sources[0], job->spec.dest);
    const char *texts[] = { name, status_state_name(status->state), done, units_count(all, entries),
                            what.data };
    table_row(&table, texts, line);
}

static void show_json(const struct job *job, const struct status *status, struct buf *line)
{
    struct json json = json_into(line);
    json_object(&json, NULL);
    json_bytes(&json, "job", job->path, strlen(job->path));
    json_text(&json, "state", status_state_name(status->state));
    json_text(&json, "direction", job->spec.direction == JOB_GET ? "get" : "put");
    json_array(&json, "sources");
    for (size_t i = 0; i < job->spec.source_count; i++)
        json_bytes(&json, NULL, job->spec.sources[i], strlen(job->spec.sources[i]));
    json_array_end(&json);
    json_bytes(&json, "destination", job->spec.dest, strlen(job->spec.dest));
    json_u64(&json, "entries", status->planned.entries);
    json_u64(&json, "settled", settled_count(status));
    json_u64(&json, "failed", status->settled.count[RESULT_FAILED]);
    json_object_end(&json);
    json_line_end(&json);
}

/* One that cannot be read is told, and the others are shown all the same. */
static bool show_job(const struct settings *settings, const char *name, const char *path)
{
    struct job job;
    struct status status;
    struct err err = { 0 };
    SCOPED(buf) struct buf line = { 0 };
    if (job_open(&job, path, &err) < 0) {
        say_error(stderr, &err);
        return false;
    }
    const bool read = status_read(&status, &job, &err) == 0;
    if (!read)
        say_error(stderr, &err);
    else if (settings->json)
        show_json(&job, &status, &line);
    else
        show_text(name, &job, &status, &line);
    fwrite(buf_text(&line), 1, line.len, stdout);
    job_close(&job);
    return read;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    (void)operands;
    (void)operand_count;
    struct job_name *names = NULL;
    size_t count = 0;
    if (jobs_list(&names, &count, err) < 0)
        return -1;
    if (count != 0 && !settings->json) {
        SCOPED(buf) struct buf line = { 0 };
        table_titles(&table, &line);
        fputs(buf_text(&line), stdout);
    }
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all = show_job(settings, names[i].name, names[i].path) && all;
    jobs_free(names, count);
    return all ? EXIT_DONE : EXIT_SOME_FAILED;
}

const struct command cmd_jobs = {
    .name = "jobs",
    .synopsis = { "" },
    .summary = "list the jobs of this user",
    .operand_min = 0,
    .operand_max = 0,
    .tables = { rows_json, rows_common },
    .examples = {
        { "All jobs and how far they have got", "lade jobs" },
    },
    .prose = "jobs.md",
    .run = run,
};
