#include "ui/event.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/json.h"
#include "job/notes.h"

#include <math.h>

static struct json begin(struct buf *out, const char *event, int64_t time_ns)
{
    char time[CLOCK_TEXT_MAX];
    struct json json = json_into(out);
    clock_text_utc(time_ns, time);
    json_object(&json, NULL);
    json_text(&json, "event", event);
    json_text(&json, "time", time);
    return json;
}

static void end(struct json *json)
{
    json_object_end(json);
    json_line_end(json);
}

static void add_sum(struct json *json, const char *key, const struct snapshot_sum *sum)
{
    json_object(json, key);
    json_u64(json, "count", sum->count);
    json_u64(json, "bytes", sum->bytes);
    json_object_end(json);
}

/* With milliseconds. */
static void add_seconds(struct json *json, const char *key, int64_t span_ns)
{
    if (span_ns < 0)
        json_null(json, key);
    else
        json_double(json, key, round((double)span_ns / NS_PER_MS) / 1000);
}

static void add_outcome(struct json *json, const struct snapshot *snap)
{
    add_sum(json, "done", &snap->done);
    json_u64(json, "new", snap->new_count);
    json_u64(json, "replaced", snap->replaced_count);
    add_sum(json, "unchanged", &snap->unchanged);
    add_sum(json, "skipped", &snap->skipped);
    add_sum(json, "failed", &snap->failed);
    json_u64(json, "conflicts", snap->conflict.count);
    json_u64(json, "moved_bytes", snap->moved_bytes);
    json_u64(json, "retries", snap->retries);
    if (snap->fallback_count != 0)
        json_u64(json, "fallback", snap->fallback_count);
    if (snap->warned_count != 0)
        json_u64(json, "warned", snap->warned_count);
    add_seconds(json, "elapsed_s", snap->elapsed_ns);
    json_double(json, "bytes_per_s", snap->rate_bytes_per_s);
    json_double(json, "objects_per_s", snap->rate_objects_per_s);
}

static void add_error(struct json *json, const struct err *err)
{
    json_text(json, "kind", err_trait(err->kind)->name);
    json_text(json, "error", err->text);
    if (err->hint[0] != '\0')
        json_text(json, "hint", err->hint);
    if (err->http != 0)
        json_i64(json, "http", err->http);
}

void event_plan(struct buf *out, int64_t time_ns, const struct snapshot *snap)
{
    struct json json = begin(out, "plan", time_ns);
    json_text(&json, "work", snapshot_work_name(snap->work));
    add_sum(&json, "planned", &snap->planned);
    json_u64(&json, "batches", snap->batches_total);
    end(&json);
}

void event_progress(struct buf *out, int64_t time_ns, const struct snapshot *snap)
{
    struct json json = begin(out, "progress", time_ns);
    json_text(&json, "phase", snapshot_phase_name(snap->phase));
    json_bool(&json, "totals_final", snap->totals_final);
    add_sum(&json, "planned", &snap->planned);
    add_outcome(&json, snap);
    json_u64(&json, "flight_bytes", snap->flight_bytes);
    json_u64(&json, "active", snap->active_count);
    json_u64(&json, "batches_done", snap->batches_done);
    json_u64(&json, "batches", snap->batches_total);
    add_seconds(&json, "eta_s", snap->eta_ns);
    end(&json);
}

static const char *status_name(enum result_status status)
{
    switch (status) {
    case RESULT_UNCHANGED:
        return "unchanged";
    case RESULT_SKIPPED:
        return "skipped";
    case RESULT_FAILED:
        return "failed";
    case RESULT_REPLACED:
        return "replaced";
    case RESULT_DONE:
        return "new";
    default:
        return "open";
    }
}

void event_item(struct buf *out, int64_t time_ns, enum result_status status, const char *name,
                size_t len, const struct err *err)
{
    struct json json = begin(out, "item", time_ns);
    json_text(&json, "status", status == NOTE_WARNING ? "warning" : status_name(status));
    json_bytes(&json, "name", name, len);
    if (err != NULL && err->kind != ERR_NONE)
        add_error(&json, err);
    end(&json);
}

void event_batch(struct buf *out, int64_t time_ns, uint32_t number, const struct result_sum *sum)
{
    struct json json = begin(out, "batch", time_ns);
    json_u64(&json, "number", number);
    for (int status = RESULT_DONE; status < RESULT_STATUS_COUNT; status++) {
        const struct snapshot_sum one = { sum->count[status], sum->bytes[status] };
        add_sum(&json, status_name((enum result_status)status), &one);
    }
    json_u64(&json, "retries", sum->retries);
    end(&json);
}

void event_summary(struct buf *out, int64_t time_ns, const struct snapshot *snap, int exit_status)
{
    struct json json = begin(out, "summary", time_ns);
    json_text(&json, "work", snapshot_work_name(snap->work));
    add_sum(&json, "planned", &snap->planned);
    add_outcome(&json, snap);
    json_i64(&json, "exit_status", exit_status);
    end(&json);
}

void event_error(struct buf *out, int64_t time_ns, const struct err *err)
{
    struct json json = begin(out, "error", time_ns);
    add_error(&json, err);
    end(&json);
}

void event_detached(struct buf *out, int64_t time_ns, const char *job, int64_t pid)
{
    struct json json = begin(out, "detached", time_ns);
    json_bytes(&json, "job", job, strlen(job));
    json_i64(&json, "pid", pid);
    end(&json);
}

void event_estimate(struct buf *out, int64_t time_ns, const struct event_estimate *estimate)
{
    struct json json = begin(out, "estimate", time_ns);
    json_u64(&json, "objects", estimate->objects);
    json_u64(&json, "bytes", estimate->bytes);
    json_u64(&json, "requests", estimate->requests);
    json_u64(&json, "looks", estimate->looks);
    json_u64(&json, "largest_bytes", estimate->largest_bytes);
    add_seconds(&json, "time_s", estimate->span_ns != 0 ? estimate->span_ns : -1);
    json_text(&json, "currency", estimate->currency);
    if (estimate->currency != NULL) {
        json_double(&json, "price_once", estimate->price_once);
        json_double(&json, "price_month", estimate->price_month);
    }
    json_bool(&json, "exceeds_quota", estimate->exceeds_quota);
    json_bool(&json, "exceeds_bucket", estimate->exceeds_bucket);
    end(&json);
}
