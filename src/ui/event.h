/* ui/event.h: what happens, as JSON: one object a line, for programs. docs/events.md has the
 * shapes. Each function appends one whole line; time_ns is clock_now_ns(). Pure; nothing to
 * release. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "job/result.h"
#include "job/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The plan is complete: "plan". */
void event_plan(struct buf *out, int64_t time_ns, const struct snapshot *snap);
/* "progress": all numbers of the snapshot. */
void event_progress(struct buf *out, int64_t time_ns, const struct snapshot *snap);
/* "item": one that failed, was skipped, or is there with a loss (NOTE_WARNING), and why (err may be
 * NULL). */
void event_item(struct buf *out, int64_t time_ns, enum result_status status, const char *name,
                size_t len, const struct err *err);
/* "batch": one is done, and what became of its entries. */
void event_batch(struct buf *out, int64_t time_ns, uint32_t number, const struct result_sum *sum);
/* "summary": the last line; exit_status is that of the process. */
void event_summary(struct buf *out, int64_t time_ns, const struct snapshot *snap, int exit_status);
/* "error": what ended the run. */
void event_error(struct buf *out, int64_t time_ns, const struct err *err);
/* "detached": the run goes on in the background. */
void event_detached(struct buf *out, int64_t time_ns, const char *job, int64_t pid);

/* What a plan will take. */
struct event_estimate {
    uint64_t objects, bytes, requests, looks, largest_bytes;
    int64_t span_ns;      /* 0: no rate was given */
    const char *currency; /* NULL: no prices were given */
    double price_once, price_month;
    bool exceeds_quota, exceeds_bucket;
};
/* "estimate": behind "plan", by lade plan. */
void event_estimate(struct buf *out, int64_t time_ns, const struct event_estimate *estimate);
