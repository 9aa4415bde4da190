#include "job/snapshot.h"

#include "base/ban.h"
#include "base/clock.h"

#include <math.h>

/* Before this many objects are settled their rate says too little to tell an end from. */
#define ETA_OBJECTS_MIN 10

const char *snapshot_work_name(enum snapshot_work work)
{
    static const char *const names[] = { "put", "get", "copy", "check" };
    return names[work];
}

const char *snapshot_phase_name(enum snapshot_phase phase)
{
    static const char *const names[] = { "planning", "running", "ended" };
    return names[phase];
}

struct snapshot_sum snapshot_settled(const struct snapshot *snap)
{
    return (struct snapshot_sum){
        .count =
            snap->done.count + snap->unchanged.count + snap->skipped.count + snap->failed.count,
        .bytes =
            snap->done.bytes + snap->unchanged.bytes + snap->skipped.bytes + snap->failed.bytes,
    };
}

void snapshot_add_failure(struct snapshot *snap, const char *text)
{
    if (snap->failures_count == SNAPSHOT_FAILURES) {
        memmove(snap->failures[0], snap->failures[1],
                sizeof(snap->failures) - sizeof(snap->failures[0]));
        snap->failures_count--;
    }
    snprintf(snap->failures[snap->failures_count++], SNAPSHOT_FAILURE_MAX, "%s", text);
}

void rate_meter_add(struct rate_meter *meter, int64_t now_ns, double total)
{
    if (!meter->started) {
        *meter = (struct rate_meter){ .started = true,
                                      .first_ns = now_ns,
                                      .last_ns = now_ns,
                                      .first_total = total,
                                      .last_total = total };
        return;
    }
    if (now_ns <= meter->last_ns)
        return;
    const double span_ns = (double)(now_ns - meter->last_ns);
    const double now_per_s = (total - meter->last_total) / (span_ns / NS_PER_S);
    const double keep = exp(-span_ns / RATE_METER_NS);
    meter->mean_per_s = meter->mean_per_s * keep + now_per_s * (1 - keep);
    meter->last_ns = now_ns;
    meter->last_total = total;
}

double rate_meter_per_s(const struct rate_meter *meter)
{
    /* The mean starts at zero: what that zero still weighs is taken out again. */
    const double zero_weight = exp(-(double)(meter->last_ns - meter->first_ns) / RATE_METER_NS);
    return zero_weight < 1 ? meter->mean_per_s / (1 - zero_weight) : 0;
}

/* Small objects cost by their number, large ones by their bytes. While large objects move, few get
 * settled in the meter's time, so the mean since the start counts when that is the better rate. */
static double objects_span_s(const struct snapshot *snap, const struct rate_meter *settled)
{
    /* What an earlier run of the job settled took none of our time. */
    const double now_count = settled->last_total - settled->first_total;
    const double objects_left = (double)snap->planned.count - settled->last_total;
    if (objects_left <= 0 || now_count < ETA_OBJECTS_MIN || snap->elapsed_ns <= 0)
        return 0;
    const double mean_per_s = now_count * NS_PER_S / (double)snap->elapsed_ns;
    return objects_left / fmax(mean_per_s, snap->rate_objects_per_s);
}

static int64_t eta(const struct snapshot *snap, const struct snapshot_meter *meter)
{
    const double bytes_left = (double)snap->planned.bytes - meter->progress_bytes.last_total;
    const double bytes_per_s = rate_meter_per_s(&meter->progress_bytes);
    const double ten_years_s = 10.0 * 365 * 86400;

    if (snap->phase == SNAPSHOT_ENDED)
        return 0;
    if (!snap->totals_final)
        return -1;
    if (bytes_left > 0 && bytes_per_s <= 0)
        return -1;
    const double bytes_s = bytes_left > 0 ? bytes_left / bytes_per_s : 0;
    const double span_s = fmax(bytes_s, objects_span_s(snap, &meter->settled_count));
    if (span_s == 0 && meter->settled_count.last_total < (double)snap->planned.count)
        return -1; /* only empty objects are left, and too few are settled to tell */
    return span_s < ten_years_s ? (int64_t)(span_s * NS_PER_S) : -1;
}

void snapshot_measure(struct snapshot *snap, struct snapshot_meter *meter, int64_t now_ns)
{
    const struct snapshot_sum settled = snapshot_settled(snap);
    const uint64_t progress_bytes = settled.bytes + snap->flight_bytes;

    rate_meter_add(&meter->moved, now_ns, (double)snap->moved_bytes);
    rate_meter_add(&meter->progress_bytes, now_ns, (double)progress_bytes);
    rate_meter_add(&meter->settled_count, now_ns, (double)settled.count);
    snap->rate_bytes_per_s = rate_meter_per_s(&meter->moved);
    snap->rate_objects_per_s = rate_meter_per_s(&meter->settled_count);
    if (snap->phase == SNAPSHOT_ENDED && snap->elapsed_ns > 0) {
        const double elapsed_s = (double)snap->elapsed_ns / NS_PER_S;
        snap->rate_bytes_per_s = (double)snap->moved_bytes / elapsed_s;
        snap->rate_objects_per_s =
            ((double)settled.count - meter->settled_count.first_total) / elapsed_s;
    }
    snap->eta_ns = eta(snap, meter);
}
