#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/jobs.h"
#include "cli/rows.h"
#include "cli/watch.h"
#include "job/status.h"

#define FAILURES_MOST 1000u

static void show_sum(const char *title, uint64_t count, uint64_t bytes)
{
    char counted[UNITS_TEXT_MAX];
    char sized[UNITS_TEXT_MAX];
    printf("%-10s %14s entries  %12s\n", title, units_count(count, counted),
           units_bytes(bytes, sized));
}

static void show_ends(const struct job *job)
{
    SCOPED(buf) struct buf line = { 0 };
    for (size_t i = 0; i < job->spec.source_count; i++) {
        buf_add_text(&line, i != 0 ? ", " : "");
        path_show(&line, job->spec.sources[i]);
    }
    buf_add_text(&line, " to ");
    path_show(&line, job->spec.dest);
    printf("job        %s\n%-10s %s\n", job->path, job->spec.direction == JOB_GET ? "get" : "put",
           buf_text(&line));
}

static void show_text(const struct job *job, const struct status *status)
{
    const struct result_sum *sum = &status->settled;
    uint64_t planned_bytes = 0;
    for (int i = 0; i < PLAN_ACTION_COUNT; i++)
        planned_bytes += status->planned.bytes_by_action[i];
    show_ends(job);
    printf("state      %s", status_state_name(status->state));
    if (status->state == STATUS_RUNNING)
        printf(", by process %ld on %s", status->owner.pid, status->owner.host);
    printf("\n");
    show_sum(status->plan_closed ? "planned" : "planned so far", status->planned.entries,
             planned_bytes);
    show_sum("done", sum->count[RESULT_DONE] + sum->count[RESULT_REPLACED],
             sum->bytes[RESULT_DONE] + sum->bytes[RESULT_REPLACED]);
    show_sum("unchanged", sum->count[RESULT_UNCHANGED], sum->bytes[RESULT_UNCHANGED]);
    show_sum("skipped", sum->count[RESULT_SKIPPED], sum->bytes[RESULT_SKIPPED]);
    show_sum("failed", sum->count[RESULT_FAILED], sum->bytes[RESULT_FAILED]);
    show_sum("left", status->left_count, status->left_bytes);
    printf("batches    %llu of %llu%s\n", (unsigned long long)status->batches_done,
           (unsigned long long)status->batches, status->plan_closed ? "" : " so far");
    if (status->damage != 0)
        printf("damage     %u records cannot be read; what they say is done again\n",
               status->damage);
}

static void show_failure(const struct status_failure *failure)
{
    SCOPED(buf) struct buf line = { 0 };
    path_show(&line, failure->name);
    printf("%s: %s: %s", failure->skipped ? "skipped" : "failed", buf_text(&line),
           failure->err.text);
    if (failure->err.hint[0] != '\0')
        printf(" (%s)", failure->err.hint);
    printf("\n");
}

static void add_sum(struct json *json, const char *key, uint64_t count, uint64_t bytes)
{
    json_object(json, key);
    json_u64(json, "entries", count);
    json_u64(json, "bytes", bytes);
    json_object_end(json);
}

static void show_json(const struct job *job, const struct status *status,
                      const struct status_failure *failures, size_t count, bool more)
{
    const struct result_sum *sum = &status->settled;
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_bytes(&json, "job", job->path, strlen(job->path));
    json_text(&json, "state", status_state_name(status->state));
    json_bool(&json, "plan_closed", status->plan_closed);
    json_u64(&json, "planned", status->planned.entries);
    add_sum(&json, "done", sum->count[RESULT_DONE] + sum->count[RESULT_REPLACED],
            sum->bytes[RESULT_DONE] + sum->bytes[RESULT_REPLACED]);
    add_sum(&json, "unchanged", sum->count[RESULT_UNCHANGED], sum->bytes[RESULT_UNCHANGED]);
    add_sum(&json, "skipped", sum->count[RESULT_SKIPPED], sum->bytes[RESULT_SKIPPED]);
    add_sum(&json, "failed", sum->count[RESULT_FAILED], sum->bytes[RESULT_FAILED]);
    add_sum(&json, "left", status->left_count, status->left_bytes);
    json_u64(&json, "batches", status->batches);
    json_u64(&json, "batches_done", status->batches_done);
    json_array(&json, "failures");
    for (size_t i = 0; i < count; i++) {
        json_object(&json, NULL);
        json_bytes(&json, "name", failures[i].name, strlen(failures[i].name));
        json_text(&json, "status", failures[i].skipped ? "skipped" : "failed");
        json_text(&json, "reason", failures[i].err.text);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_bool(&json, "more_failures", more);
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, stdout);
}

static int show(const struct settings *settings, const struct job *job, struct err *err)
{
    struct status status;
    if (status_read(&status, job, err) < 0)
        return -1;
    struct status_failure *failures = NULL;
    size_t count = 0;
    bool more = false;
    if (status.generation != 0 &&
        status_failures(&failures, &count, FAILURES_MOST, &more, job, status.generation, err) < 0)
        return -1;
    if (settings->json) {
        show_json(job, &status, failures, count, more);
    } else {
        show_text(job, &status);
        for (size_t i = 0; i < count; i++)
            show_failure(&failures[i]);
        if (more)
            printf("and more: lade status --json tells no more than these either\n");
    }
    status_failures_free(failures, count);
    return EXIT_DONE;
}

/* Until it ends; interrupted, the status is told all the same. */
static int watch(const struct settings *settings, const struct job *job, struct err *err)
{
    const struct watch_options options = { .failures = false };
    enum watch_end end = WATCH_IDLE;
    return watch_job(&end, settings, job, &options, err);
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct job job;
    if (jobs_open(&job, operand_count != 0 ? operands[0] : NULL, err) < 0)
        return -1;
    int status = settings->watch ? watch(settings, &job, err) : 0;
    if (status == 0)
        status = show(settings, &job, err);
    job_close(&job);
    return status;
}

const struct command cmd_status = {
    .name = "status",
    .synopsis = { "[JOB]" },
    .summary = "tell how far a job has got",
    .operand_min = 0,
    .operand_max = 1,
    .tables = { rows_watch, rows_json, rows_common },
    .examples = {
        { "The job that was worked on last", "lade status" },
        { "Tell again and again until it ends", "lade status --watch" },
        { "A certain job, for a program", "lade status --json run7.job" },
    },
    .prose = "status.md",
    .run = run,
};
