#include "job/status.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/ledger.h"

const char *status_state_name(enum status_state state)
{
    switch (state) {
    case STATUS_EMPTY:
        return "empty";
    case STATUS_RUNNING:
        return "running";
    case STATUS_STOPPED:
        return "stopped";
    case STATUS_FINISHED:
        return "finished";
    case STATUS_FAILURES:
        return "finished with failures";
    }
    return "?";
}

/* What the plan itself settles in a segment that no worker has opened yet. */
static void add_planned(struct result_sum *sum, const struct segment_sum *planned)
{
    static const struct {
        enum plan_action action;
        enum result_status status;
    } settled[] = { { PLAN_UNCHANGED, RESULT_UNCHANGED },
                    { PLAN_SKIP, RESULT_SKIPPED },
                    { PLAN_FAIL, RESULT_FAILED } };
    for (size_t i = 0; i < sizeof settled / sizeof *settled; i++) {
        sum->count[settled[i].status] += planned->by_action[settled[i].action];
        sum->bytes[settled[i].status] += planned->bytes_by_action[settled[i].action];
    }
}

static int add_segments(struct status *status, struct generation *generation, struct ledger *ledger,
                        struct err *err)
{
    for (uint32_t number = 1; number <= generation->sealed; number++) {
        struct segment segment;
        if (segment_open(&segment, generation->dir_fd, number, err) < 0)
            return -1;
        segment_sum_merge(&status->planned, &segment.sum);
        if (ledger_segment_sealed(ledger, number))
            status->batches_done++;
        else
            add_planned(&status->settled, &segment.sum);
        segment_done(&segment);
    }
    status->batches = generation->sealed;
    return 0;
}

static enum status_state state_of(const struct status *status, bool finished)
{
    if (status->owner.number != 0 && !status->owner.released &&
        claim_owner_lives_here(&status->owner))
        return STATUS_RUNNING;
    if (!finished)
        return STATUS_STOPPED;
    return status->settled.count[RESULT_FAILED] != 0 ? STATUS_FAILURES : STATUS_FINISHED;
}

static int read_generation(struct status *status, const struct job *job, struct err *err)
{
    struct generation generation;
    if (generation_open(&generation, job, status->generation, err) < 0)
        return -1;
    struct ledger *ledger = NULL;
    int result = ledger_read(&ledger, &generation, err);
    if (result == 0) {
        struct ledger_counts counts;
        ledger_counts(ledger, &counts);
        status->settled = counts.sum;
        status->damage = ledger_damage_count(ledger);
        result = add_segments(status, &generation, ledger, err);
    }
    status->plan_closed = generation.closed;
    status->state = state_of(status, generation.finished);
    ledger_free(ledger);
    generation_done(&generation);
    return result;
}

int status_read(struct status *ret_status, const struct job *job, struct err *err)
{
    *ret_status = (struct status){ .state = STATUS_EMPTY };
    uint32_t finished = 0;
    if (job_generations(job, &ret_status->generation, &finished, err) < 0 ||
        claim_read(&ret_status->owner, job->dir_fd, err) < 0)
        return -1;
    if (ret_status->generation == 0)
        return 0;
    if (read_generation(ret_status, job, err) < 0)
        return -1;
    uint64_t settled = 0;
    uint64_t settled_bytes = 0;
    for (int i = RESULT_OPEN + 1; i < RESULT_STATUS_COUNT; i++) {
        settled += ret_status->settled.count[i];
        settled_bytes += ret_status->settled.bytes[i];
    }
    uint64_t planned_bytes = 0;
    for (int i = 0; i < PLAN_ACTION_COUNT; i++)
        planned_bytes += ret_status->planned.bytes_by_action[i];
    /* A file can have another size when it is moved than when it was planned. */
    if (ret_status->planned.entries > settled)
        ret_status->left_count = ret_status->planned.entries - settled;
    if (ret_status->left_count != 0 && planned_bytes > settled_bytes)
        ret_status->left_bytes = planned_bytes - settled_bytes;
    return 0;
}

/* ---- failures ---- */

struct failure_list {
    struct status_failure *items;
    size_t count, cap;
    bool more;
};

static void add_failure(struct failure_list *list, const char *name, const struct err *err,
                        bool skipped)
{
    if (list->count == list->cap) {
        list->more = true;
        return;
    }
    list->items = mem_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] =
        (struct status_failure){ .name = mem_string(name), .err = *err, .skipped = skipped };
}

static bool is_told(enum result_status status)
{
    return status == RESULT_FAILED || status == RESULT_SKIPPED;
}

/* The status of each entry by the results in `view`, and its error. */
static int collect_results(struct view view, enum result_status *status, struct err **errs,
                           uint32_t entries)
{
    while (view_left(&view) != 0) {
        struct result result;
        if (result_decode(&view, &result) < 0)
            return -1;
        if (result.ordinal < entries) {
            mem_release(errs[result.ordinal]);
            status[result.ordinal] = result.status;
            errs[result.ordinal] = result.err;
            result.err = NULL;
        }
        result_done(&result);
    }
    return 0;
}

static int collect_entries(struct failure_list *list, struct segment *segment,
                           const enum result_status *status, struct err *const *errs,
                           struct err *err)
{
    struct plan_entry entry;
    int got;
    while ((got = segment_next(segment, &entry, err)) == 1) {
        const enum result_status by_plan = plan_entry_settled(&entry);
        if (is_told(by_plan)) {
            struct err why;
            plan_entry_explain(&entry, &why);
            add_failure(list, entry.name, &why, by_plan == RESULT_SKIPPED);
        } else if (is_told(status[entry.ordinal]) && errs[entry.ordinal] != NULL) {
            add_failure(list, entry.name, errs[entry.ordinal],
                        status[entry.ordinal] == RESULT_SKIPPED);
        }
    }
    return got;
}

static int collect_segment(struct failure_list *list, struct generation *generation,
                           struct ledger *ledger, uint32_t number, struct err *err)
{
    struct segment segment;
    if (segment_open(&segment, generation->dir_fd, number, err) < 0)
        return -1;
    struct err why = { 0 };
    struct result_file file = { 0 };
    const bool sealed = result_file_open(&file, generation->dir_fd, number, true, &why) == 0;
    const bool nothing =
        sealed && file.sum.count[RESULT_FAILED] == 0 && file.sum.count[RESULT_SKIPPED] == 0;
    int result = 0;
    if (!nothing) {
        const uint32_t entries = (uint32_t)segment.sum.entries;
        enum result_status *status = mem_alloc(entries * sizeof *status);
        struct err **errs = mem_alloc(entries * sizeof *errs);
        const struct view view = sealed ? file.view : ledger_unsealed(ledger, number);
        if (collect_results(view, status, errs, entries) < 0)
            result = err_set(err, ERR_CORRUPT, "results of batch %u cannot be read", number);
        else
            result = collect_entries(list, &segment, status, errs, err);
        for (uint32_t i = 0; i < entries; i++)
            mem_release(errs[i]);
        mem_release(errs);
        mem_release(status);
    }
    result_file_done(&file);
    segment_done(&segment);
    return result;
}

int status_failures(struct status_failure **ret_failures, size_t *ret_count, size_t cap,
                    bool *ret_more, const struct job *job, uint32_t number, struct err *err)
{
    struct generation generation;
    if (generation_open(&generation, job, number, err) < 0)
        return -1;
    struct failure_list list = { .cap = cap };
    struct ledger *ledger = NULL;
    int result = ledger_read(&ledger, &generation, err);
    for (uint32_t i = 1; result == 0 && i <= generation.sealed; i++)
        result = collect_segment(&list, &generation, ledger, i, err);
    ledger_free(ledger);
    generation_done(&generation);
    if (result < 0) {
        status_failures_free(list.items, list.count);
        return -1;
    }
    *ret_failures = list.items;
    *ret_count = list.count;
    *ret_more = list.more;
    return 0;
}

void status_failures_free(struct status_failure *failures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_release(failures[i].name);
    mem_release(failures);
}
