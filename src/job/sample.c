#include "job/sample.h"

#include "base/ban.h"
#include "base/clock.h"
#include "job/history.h"

static struct snapshot_sum sum_of(const struct result_sum *sum, enum result_status status)
{
    return (struct snapshot_sum){ sum->count[status], sum->bytes[status] };
}

static void fill(struct snapshot *snap, const struct job *job, const struct status *status)
{
    const struct result_sum *sum = &status->settled;
    *snap = (struct snapshot){
        .work = job->spec.direction == JOB_GET ? SNAPSHOT_GET : SNAPSHOT_PUT,
        .phase = status->plan_closed ? SNAPSHOT_RUNNING : SNAPSHOT_PLANNING,
        .totals_final = status->plan_closed,
        .planned = { .count = status->planned.entries },
        .unchanged = sum_of(sum, RESULT_UNCHANGED),
        .skipped = sum_of(sum, RESULT_SKIPPED),
        .failed = sum_of(sum, RESULT_FAILED),
        .new_count = sum->count[RESULT_DONE],
        .replaced_count = sum->count[RESULT_REPLACED],
        .retries = sum->retries,
        .batches_done = status->batches_done,
        .batches_total = status->batches,
    };
    for (int i = 0; i < PLAN_ACTION_COUNT; i++)
        snap->planned.bytes += status->planned.bytes_by_action[i];
    snap->done.count = snap->new_count + snap->replaced_count;
    snap->done.bytes = sum->bytes[RESULT_DONE] + sum->bytes[RESULT_REPLACED];
    snap->moved_bytes = snap->done.bytes;
}

/* What the present run adds: since when it runs, and parts of large objects. */
static int add_history(struct snapshot *snap, const struct job *job, const struct status *status,
                       struct err *err)
{
    struct generation generation;
    struct history history;
    if (generation_open(&generation, job, status->generation, err) < 0)
        return -1;
    const int result = history_read(&history, &generation, err);
    generation_done(&generation);
    if (result < 0)
        return -1;
    if (history.run_count != 0) {
        const struct history_run *run = &history.runs[history.run_count - 1];
        const int64_t until_ns = status->state == STATUS_RUNNING ? clock_now_ns() : run->end_ns;
        snap->elapsed_ns = until_ns > run->start_ns ? until_ns - run->start_ns : 0;
    }
    snap->flight_bytes = history.open_bytes;
    snap->moved_bytes += history.open_bytes;
    history_done(&history);
    return 0;
}

int sample_take(struct snapshot *ret_snapshot, struct status *ret_status, const struct job *job,
                struct err *err)
{
    struct status status;
    if (status_read(&status, job, err) < 0)
        return -1;
    fill(ret_snapshot, job, &status);
    if (status.generation != 0 && add_history(ret_snapshot, job, &status, err) < 0)
        return -1;
    if (ret_status != NULL)
        *ret_status = status;
    return 0;
}
