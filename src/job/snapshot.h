/* job/snapshot.h: how far a job is, as plain values. One sampler fills it from the meters;
 * terminal, events, report and status page only render it, so they cannot disagree. Threads: a
 * value; belongs to whoever holds it. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum snapshot_work { SNAPSHOT_PUT = 0, SNAPSHOT_GET, SNAPSHOT_COPY, SNAPSHOT_CHECK };
enum snapshot_phase {
    SNAPSHOT_PLANNING = 0, /* the crawl still runs; batches may be under way already */
    SNAPSHOT_RUNNING,
    SNAPSHOT_ENDED,
};
const char *snapshot_work_name(enum snapshot_work work);    /* "put", … */
const char *snapshot_phase_name(enum snapshot_phase phase); /* "planning", … */

struct snapshot_sum {
    uint64_t count, bytes;
};
#define SNAPSHOT_FAILURES 4
#define SNAPSHOT_FAILURE_MAX 512

struct snapshot {
    enum snapshot_work work;
    enum snapshot_phase phase;
    bool totals_final;           /* `planned` will not grow any more */
    struct snapshot_sum planned; /* all entries of the plan so far */
    /* What became of them; together they are `planned` at the end. */
    struct snapshot_sum done, unchanged, skipped, failed;
    struct snapshot_sum conflict;       /* those of `failed` that another writer changed */
    uint64_t new_count, replaced_count; /* of `done` */
    uint64_t moved_bytes;               /* over the wire, with what was sent twice */
    uint64_t flight_bytes;              /* moved already of objects that are not settled yet */
    uint64_t retries;
    uint64_t packs;          /* stored by this run; what is in them counts as objects */
    bool packing;            /* they were asked for */
    uint64_t fallback_count; /* files and directories read below the fallback root */
    uint64_t warned_count;   /* entries of this run without all their extended attributes */
    uint32_t active_count;   /* transfers under way */
    uint64_t batches_done, batches_total;
    int64_t elapsed_ns;
    /* Filled by snapshot_measure(). */
    double rate_bytes_per_s;   /* of moved bytes, smoothed; at the end the mean */
    double rate_objects_per_s; /* settled */
    int64_t eta_ns;            /* -1 = not known (yet) */
    /* The newest failures, oldest first, as text for people: "KEY: why". */
    uint32_t failures_count; /* used of failures[] */
    char failures[SNAPSHOT_FAILURES][SNAPSHOT_FAILURE_MAX];
};
/* What is settled: done, unchanged, skipped and failed together. */
struct snapshot_sum snapshot_settled(const struct snapshot *snap);
/* Keep the text as newest failure; cut when it is too long. */
void snapshot_add_failure(struct snapshot *snap, const char *text);

/* A rate, smoothed exponentially over time: what happened RATE_METER_NS ago weighs 1/e. A pure
 * function of the times and totals given; zero-initialised is new. */
#define RATE_METER_NS (INT64_C(10) * 1000 * 1000 * 1000)
struct rate_meter {
    bool started;
    int64_t first_ns, last_ns;
    double first_total, last_total;
    double
        mean_per_s; /* weighted from the first sample on, not yet corrected for the short start */
};
/* The total at this time; times that do not advance are passed over. */
void rate_meter_add(struct rate_meter *meter, int64_t now_ns, double total);
double rate_meter_per_s(const struct rate_meter *meter);

/* The sampler's memory between snapshots. */
struct snapshot_meter {
    struct rate_meter moved, progress_bytes, settled_count;
};
/* Sample the counts of `snap` at now_ns and fill its rates and its ETA: the later of "bytes left at
 * the rate that bytes get settled" and "objects left at the rate that objects do". */
void snapshot_measure(struct snapshot *snap, struct snapshot_meter *meter, int64_t now_ns);
