/* Who does what next: works are handed out in the order of the plan, parts of begun objects first.
 * A worker asks and decodes the next entries itself under the lock; there is no thread for it. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "job/run_internal.h"

#define OPEN_SEGMENTS_MAX 16u
#define LOOK_NS                                                                                    \
    (20 * NS_PER_MS) /* how often a waiting worker looks for new segments and the stop */

void dispatch_init(struct run *run)
{
    run->dispatch = (struct dispatch){ .segment = { .fd = -1 } };
    lock_init(&run->dispatch.lock);
    cond_init(&run->dispatch.changed);
}

void dispatch_done(struct run *run)
{
    struct dispatch *dispatch = &run->dispatch;
    large_free_all(run);
    segment_done(&dispatch->segment);
    mem_free(dispatch->open);
    buf_done(&dispatch->entry_name);
    lock_done(&dispatch->lock);
    cond_done(&dispatch->changed);
}

/* ---- parts ---- */

/* A worker that brings a part back takes the next one of the same object, so no one need wait for
 * `most` to be undercut. */
static bool take_part_locked(struct dispatch *dispatch, uint32_t most, struct work *work)
{
    struct large **link = &dispatch->larges;
    while (*link != NULL) {
        struct large *large = *link;
        if (most != 0 && large->in_flight >= most && large->err.kind == ERR_NONE) {
            link = &large->next;
            continue;
        }
        while (large->next_part < large->part_count && large->parts[large->next_part].number != 0)
            large->next_part++;
        if (large->err.kind == ERR_NONE && large->next_part < large->part_count) {
            work->kind = WORK_PART;
            work->segment = large->segment;
            work->large = large;
            work->part = large->next_part++;
            large->in_flight++;
            return true;
        }
        *link = large->next; /* all handed out: its last part settles it */
    }
    return false;
}

void dispatch_add_large(struct run *run, struct large *large)
{
    SCOPED_LOCK(&run->dispatch.lock);
    struct large **link = &run->dispatch.larges;
    while (*link != NULL)
        link = &(*link)->next;
    large->next = NULL;
    *link = large;
    cond_wake_all(&run->dispatch.changed);
}

bool dispatch_part_done(struct run *run, struct large *large, const struct err *failure)
{
    SCOPED_LOCK(&run->dispatch.lock);
    large->in_flight--;
    if (failure == NULL)
        large->parts_left--;
    else if (large->err.kind == ERR_NONE)
        large->err = *failure;
    if (large->in_flight != 0)
        return false;
    if (large->err.kind == ERR_NONE && large->parts_left != 0)
        return false;
    /* Failed with parts not handed out: nobody must find it any more. */
    struct large **link = &run->dispatch.larges;
    while (*link != NULL && *link != large)
        link = &(*link)->next;
    if (*link != NULL)
        *link = large->next;
    return true;
}

void dispatch_large_settled(struct run *run)
{
    SCOPED_LOCK(&run->dispatch.lock);
    run->dispatch.large_count--;
    cond_wake_all(&run->dispatch.changed);
}

/* ---- entries ---- */

static bool is_large(const struct run *run, const struct plan_entry *entry)
{
    return entry->kind == ENTRY_FILE && entry->size_bytes >= run->large_bytes;
}

static void add_entry(struct work *work, const struct plan_entry *entry)
{
    work->entries[work->count] = *entry;
    /* Offsets until all names are there, since the buf may move. */
    work->entries[work->count].name = (const char *)work->names.len;
    buf_add(&work->names, entry->name, entry->name_len + 1);
    work->count++;
}

static void fix_names(struct work *work)
{
    for (uint32_t i = 0; i < work->count; i++)
        work->entries[i].name = work->names.data + (size_t)work->entries[i].name;
}

/* The next entry that needs a worker: 1, 0 at the end of the segment, -1. */
static int next_open_locked(struct dispatch *dispatch, struct err *err)
{
    if (dispatch->held) {
        dispatch->held = false;
        return 1;
    }
    for (;;) {
        const int got = segment_next(&dispatch->segment, &dispatch->entry, err);
        if (got <= 0)
            return got;
        if (dispatch->open[dispatch->entry.ordinal])
            return 1;
    }
}

static void hold_locked(struct dispatch *dispatch)
{
    buf_clear(&dispatch->entry_name);
    buf_add(&dispatch->entry_name, dispatch->entry.name, dispatch->entry.name_len);
    dispatch->entry.name = buf_text(&dispatch->entry_name);
    dispatch->held = true;
}

static void close_segment_locked(struct dispatch *dispatch)
{
    segment_done(&dispatch->segment);
    mem_free(dispatch->open);
    dispatch->is_open = false;
}

/* Fill a work from the open segment: 1, 0 when the segment had nothing more, -1. */
static int take_entries_locked(struct run *run, struct work *work, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    uint64_t bytes = 0;
    work->kind = WORK_ENTRIES;
    work->segment = dispatch->segment.number;
    work->count = 0;
    buf_clear(&work->names);
    while (work->count < dispatch->entries_max && bytes < RUN_BYTES) {
        const int got = next_open_locked(dispatch, err);
        if (got < 0)
            return -1;
        if (got == 0) {
            close_segment_locked(dispatch);
            break;
        }
        const bool large = is_large(run, &dispatch->entry);
        if (large && work->count != 0) {
            hold_locked(dispatch);
            break;
        }
        add_entry(work, &dispatch->entry);
        bytes += dispatch->entry.size_bytes;
        if (large) {
            work->kind = WORK_LARGE;
            dispatch->large_count++;
            break;
        }
    }
    fix_names(work);
    return work->count != 0;
}

/* 1: a segment is open now; 0: none at the moment, *ret_ended tells whether for good; -1. */
static int open_segment_locked(struct run *run, bool *ret_ended, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    lock_take(&run->progress.lock);
    const uint32_t sealed = run->progress.sealed;
    const bool ended = run->progress.ended;
    lock_give(&run->progress.lock);

    *ret_ended = ended;
    while (dispatch->number < sealed) {
        if (ledger_segment_sealed(run->ledger, dispatch->number + 1)) {
            dispatch->number++;
            continue;
        }
        /* One entry that hangs must not make all others' results wait in memory. */
        if (ledger_open_count(run->ledger) >= OPEN_SEGMENTS_MAX) {
            *ret_ended = false;
            return 0;
        }
        /* Failures that are tried again are no new batch: else they would be all that ever is. */
        const bool tried = ledger_segment_tried(run->ledger, dispatch->number + 1);
        if (run->options.max_batches != 0 && dispatch->batches == run->options.max_batches &&
            !tried) {
            dispatch->left = true;
            *ret_ended = true;
            return 0;
        }
        const uint32_t number = dispatch->number + 1;
        uint64_t open_count = 0;
        if (segment_open(&dispatch->segment, run->generation.dir_fd, number, err) < 0)
            return -1;
        if (ledger_open_segment(run->ledger, &dispatch->segment, &dispatch->open, &open_count,
                                err) < 0) {
            segment_done(&dispatch->segment);
            return -1;
        }
        dispatch->number = number;
        dispatch->is_open = true;
        dispatch->batches += !tried;
        /* Small segments are spread over all workers. */
        uint64_t most = open_count / (2 * (uint64_t)run->worker_count) + 1;
        const uint32_t cap =
            run_is_get(run) || run->store->limits.is_staged ? RUN_ENTRIES_MAX : RUN_UNSTAGED_MAX;
        dispatch->entries_max = most > cap ? cap : (uint32_t)most;
        return 1;
    }
    return 0;
}

static int next_locked(struct run *run, struct work *work, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    const uint32_t most_parts = run_is_get(run) ? 0 : run->store->limits.parts_at_once;
    for (;;) {
        if (stop_raised(run->stop) || dispatch->err.kind != ERR_NONE)
            return 0;
        if (take_part_locked(dispatch, most_parts, work))
            return 1;
        bool ended = false;
        int got = dispatch->is_open ? 1 : open_segment_locked(run, &ended, err);
        if (got == 1) {
            got = take_entries_locked(run, work, err);
            if (got == 0)
                continue;
        }
        if (got != 0) {
            if (got < 0)
                dispatch->err = *err;
            return got;
        }
        /* A large object may still bring parts for everybody. */
        if (ended && dispatch->large_count == 0)
            return 0;
        cond_wait_for(&dispatch->changed, &dispatch->lock, LOOK_NS);
    }
}

int dispatch_next(struct run *run, struct work *work, struct err *err)
{
    SCOPED_LOCK(&run->dispatch.lock);
    return next_locked(run, work, err);
}

void dispatch_end(struct run *run)
{
    SCOPED_LOCK(&run->dispatch.lock);
    if (run->dispatch.err.kind != ERR_NONE)
        stop_raise(run->stop);
}
