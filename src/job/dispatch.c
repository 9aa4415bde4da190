/* Who does what next: works are handed out in the order of the plan, parts of begun objects first.
 * A worker asks and decodes the next entries itself under the lock; there is no thread for it. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "job/run_internal.h"

#define OPEN_SEGMENTS_MAX 16u
#define LOOK_NS                                                                                    \
    (20 * NS_PER_MS) /* how often a waiting worker looks for new segments and the stop */
#define FOREIGN_NS (250 * NS_PER_MS) /* the same for what other processes have */

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
    packing_free_all(run);
    segment_done(&dispatch->segment);
    mem_free(dispatch->open);
    mem_free(dispatch->foreign);
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
    dispatch->held = true;
    if (dispatch->entry.name == dispatch->entry_name.data)
        return; /* once more */
    buf_clear(&dispatch->entry_name);
    buf_add(&dispatch->entry_name, dispatch->entry.name, dispatch->entry.name_len);
    dispatch->entry.name = buf_text(&dispatch->entry_name);
}

/* The open pack gets no more: *ret_work is what ends it, when nobody else will. */
static bool close_pack_locked(struct dispatch *dispatch, struct work *ret_work)
{
    struct packing *packing = dispatch->packing;
    dispatch->packing = NULL;
    if (packing == NULL || !packing_close_locked(packing))
        return false;
    ret_work->kind = WORK_PACKED;
    ret_work->packing = packing;
    ret_work->count = 0;
    return true;
}

/* A part of a file that does not fit one chunk. */
static void take_piece_locked(struct dispatch *dispatch, struct work *work)
{
    const uint64_t left = dispatch->entry.size_bytes - dispatch->piece_offset;
    work->piece_offset = dispatch->piece_offset;
    work->piece_bytes = left < CHUNK_CONTENT_BYTES ? left : CHUNK_CONTENT_BYTES;
    dispatch->piece_offset += work->piece_bytes;
    if (dispatch->piece_offset < dispatch->entry.size_bytes)
        hold_locked(dispatch);
    else
        dispatch->piece_offset = 0;
}

enum taken { TAKEN_ON, TAKEN_FULL };

/* An entry that goes into a pack. TAKEN_ON: more may come; TAKEN_FULL: the work is complete, or is
 * to be done before the entry, which is held. */
static enum taken take_packed_locked(struct run *run, struct work *work, uint64_t *bytes)
{
    struct dispatch *dispatch = &run->dispatch;
    struct plan_entry *entry = &dispatch->entry;
    const bool other =
        dispatch->packing == NULL || strcmp(packing_name(dispatch->packing), entry->pack) != 0;
    if (work->count != 0 && (work->packing == NULL || other)) {
        hold_locked(dispatch);
        return TAKEN_FULL;
    }
    if (other && close_pack_locked(dispatch, work)) {
        hold_locked(dispatch);
        return TAKEN_FULL;
    }
    struct packing *packing = packing_of_locked(run, entry);
    if (packing == NULL)
        return TAKEN_ON;
    dispatch->packing = packing;
    const bool pieces = entry->kind == ENTRY_FILE && entry->size_bytes > 2 * CHUNK_CONTENT_BYTES;
    if (pieces && work->count != 0) {
        hold_locked(dispatch);
        return TAKEN_FULL;
    }
    work->kind = WORK_CHUNK;
    work->packing = packing;
    add_entry(work, entry);
    *bytes += entry->size_bytes;
    if (pieces) {
        if (dispatch->piece_offset == 0)
            dispatch->piece_offset = packing_piece_done(packing, entry->ordinal);
        take_piece_locked(dispatch, work);
        return TAKEN_FULL;
    }
    return work->count == CHUNK_ENTRIES_MAX || *bytes >= CHUNK_CONTENT_BYTES ? TAKEN_FULL
                                                                             : TAKEN_ON;
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
    work->is_again = dispatch->is_again;
    work->count = 0;
    work->packing = NULL;
    work->piece_bytes = work->piece_offset = 0;
    buf_clear(&work->names);
    while (work->packing != NULL || (work->count < dispatch->entries_max && bytes < RUN_BYTES)) {
        const int got = next_open_locked(dispatch, err);
        if (got < 0)
            return -1;
        if (got == 0) {
            /* What ends the pack is the next work. */
            if (work->count == 0 && close_pack_locked(dispatch, work))
                return 1;
            if (work->count == 0 || dispatch->packing == NULL)
                close_segment_locked(dispatch);
            break;
        }
        if (dispatch->entry.pack != NULL) {
            if (take_packed_locked(run, work, &bytes) == TAKEN_FULL)
                break;
            continue;
        }
        if (work->packing != NULL) {
            hold_locked(dispatch);
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
    if (work->kind == WORK_CHUNK) {
        work->sequence = packing_hand_out_locked(work->packing);
        dispatch->chunk_count++;
    }
    fix_names(work);
    return work->count != 0 || work->kind == WORK_PACKED;
}

/* 1: the segment is open now; 0: another process has it, or it needs no work; -1. */
static int try_segment_locked(struct run *run, uint32_t number, bool retry, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    const bool is_again = ledger_segment_ours(run->ledger, number);
    uint64_t open_count = 0;
    if (segment_open(&dispatch->segment, run->generation.dir_fd, number, err) < 0)
        return -1;
    const int taken = ledger_take_segment(run->ledger, &dispatch->segment, retry, &dispatch->open,
                                          &open_count, err);
    if (taken != 1) {
        segment_done(&dispatch->segment);
        return taken;
    }
    dispatch->is_open = true;
    dispatch->is_again = is_again;
    /* Failures that are tried again are no new batch: else they would be all that ever is. */
    dispatch->batches += !retry;
    /* Small segments are spread over all workers. */
    const uint64_t most = open_count / (2 * (uint64_t)run->worker_count) + 1;
    const uint32_t cap =
        run_is_get(run) || run->store->limits.is_staged ? RUN_ENTRIES_MAX : RUN_UNSTAGED_MAX;
    dispatch->entries_max = most > cap ? cap : (uint32_t)most;
    return 1;
}

/* One that waits must not be forgotten: it may come back when its process dies. */
static void add_foreign_locked(struct dispatch *dispatch, uint32_t number, bool is_retry)
{
    dispatch->foreign =
        mem_resize(dispatch->foreign, (dispatch->foreign_count + 1) * sizeof *dispatch->foreign);
    dispatch->foreign[dispatch->foreign_count++] = (struct foreign){ number, is_retry };
}

/* Is it over with what another process had? Or is it open now (1)? */
static int look_at_foreign_locked(struct run *run, struct foreign *foreign, bool *ret_over,
                                  struct err *err)
{
    const uint32_t tries = ledger_sealed_tries(run->ledger, foreign->number);
    *ret_over = !foreign->is_retry && ledger_adopt(run->ledger, foreign->number);
    if (*ret_over)
        return 0;
    const int opened = try_segment_locked(run, foreign->number, foreign->is_retry, err);
    *ret_over = opened == 1 ||
                (foreign->is_retry ? ledger_sealed_tries(run->ledger, foreign->number) != tries
                                   : ledger_segment_sealed(run->ledger, foreign->number));
    return opened;
}

static int open_foreign_locked(struct run *run, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    const int64_t now_ns = clock_monotonic_ns();
    if (dispatch->foreign_count == 0 || now_ns - dispatch->foreign_ns < FOREIGN_NS)
        return 0;
    dispatch->foreign_ns = now_ns;
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < dispatch->foreign_count;) {
        bool over = false;
        result = look_at_foreign_locked(run, &dispatch->foreign[i], &over, err);
        if (over)
            dispatch->foreign[i] = dispatch->foreign[--dispatch->foreign_count];
        else
            i++;
    }
    return result;
}

/* The next one of the plan: 1, 0, -1. */
static int open_next_locked(struct run *run, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    lock_take(&run->progress.lock);
    const uint32_t sealed = run->progress.sealed;
    lock_give(&run->progress.lock);
    while (dispatch->number < sealed) {
        const uint32_t number = dispatch->number + 1;
        if (!ledger_adopt(run->ledger, number)) {
            if (run->options.max_batches != 0 && dispatch->batches == run->options.max_batches) {
                dispatch->left = true;
                return 0;
            }
            const int opened = try_segment_locked(run, number, false, err);
            if (opened < 0)
                return -1;
            if (opened == 0 && !ledger_segment_sealed(run->ledger, number))
                add_foreign_locked(dispatch, number, false);
            dispatch->number = number;
            if (opened == 1)
                return 1;
        }
        dispatch->number = number;
    }
    return 0;
}

/* All has been worked on: what failed is tried again, in rounds. *ret_ended when nothing is left.
 */
static int open_retry_locked(struct run *run, bool *ret_ended, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    for (;;) {
        const uint32_t number =
            ledger_next_retry(run->ledger, dispatch->retried, dispatch->most_tries);
        if (number == 0)
            break;
        dispatch->retried = number;
        const int opened = try_segment_locked(run, number, true, err);
        if (opened != 0)
            return opened;
        add_foreign_locked(dispatch, number, true);
    }
    *ret_ended = dispatch->retried == 0;
    dispatch->retried = 0;
    dispatch->most_tries = BATCH_TRIES;
    return 0;
}

/* 1: a segment is open now; 0: none at the moment, *ret_ended tells whether for good; -1. */
static int open_segment_locked(struct run *run, bool *ret_ended, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    lock_take(&run->progress.lock);
    const bool planned = run->progress.ended;
    lock_give(&run->progress.lock);

    *ret_ended = false;
    /* One entry that hangs must not make all others' results wait in memory. */
    const uint32_t open_count = ledger_open_count(run->ledger);
    if (open_count >= OPEN_SEGMENTS_MAX)
        return 0;
    int opened = open_next_locked(run, err);
    if (opened == 0 && !dispatch->left)
        opened = open_foreign_locked(run, err);
    if (opened != 0)
        return opened;
    if (dispatch->left) {
        *ret_ended = true;
        return 0;
    }
    if (!planned || dispatch->foreign_count != 0 || open_count != 0 || dispatch->large_count != 0)
        return 0;
    return open_retry_locked(run, ret_ended, err);
}

static bool is_late_locked(struct run *run)
{
    if (run->options.until_ns == 0 || clock_now_ns() < run->options.until_ns)
        return false;
    run->dispatch.left = true;
    stop_raise(&run->plan_stop);
    return true;
}

static int next_locked(struct run *run, struct work *work, struct err *err)
{
    struct dispatch *dispatch = &run->dispatch;
    const uint32_t most_parts = run_is_get(run) ? 0 : run->store->limits.parts_at_once;
    for (;;) {
        if (stop_raised(run->stop) || dispatch->err.kind != ERR_NONE || is_late_locked(run))
            return 0;
        if (take_part_locked(dispatch, most_parts, work))
            return 1;
        bool ended = false;
        if (dispatch->packing != NULL && dispatch->chunk_count >= packing_window(run)) {
            cond_wait_for(&dispatch->changed, &dispatch->lock, LOOK_NS);
            continue;
        }
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
