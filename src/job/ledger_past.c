/* What is on disk of a generation's results, from earlier processes and from those beside this one;
 * and which segment this process takes. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/ledger_internal.h"

/* Journals of several processes are not read in the order of time: what was done once stays so. */
static bool is_known_better(const struct ledger_segment *segment, const struct result *result)
{
    return result->status == RESULT_FAILED && result->ordinal < segment->entries &&
           segment->status[result->ordinal] != RESULT_OPEN &&
           segment->status[result->ordinal] != RESULT_FAILED;
}

static void take_results(struct ledger *ledger, struct ledger_segment *segment, struct view view)
{
    while (view_left(&view) != 0) {
        const unsigned char *start = view.at;
        struct result result;
        if (result_decode(&view, &result) < 0)
            return;
        if (!is_known_better(segment, &result)) {
            ledger_enter(ledger, segment, &result);
            segment->at[result.ordinal] = (uint32_t)segment->encoded.len;
            buf_add(&segment->encoded, start, (size_t)(view.at - start));
        }
        result_done(&result);
    }
}

static struct ledger_upload *find_upload(struct ledger_segment *segment, uint32_t ordinal)
{
    for (size_t i = 0; i < segment->upload_count; i++)
        if (segment->uploads[i].upload.ordinal == ordinal)
            return &segment->uploads[i];
    return NULL;
}

void ledger_upload_done(struct ledger_upload *upload)
{
    for (size_t i = 0; upload->notes != NULL && i < upload->part_count; i++)
        buf_done(&upload->notes[i]);
    mem_free(upload->notes);
    mem_free(upload->parts);
    upload->part_count = 0;
}

static void forget_upload(struct ledger_segment *segment, uint32_t ordinal)
{
    struct ledger_upload *upload = find_upload(segment, ordinal);
    if (upload == NULL)
        return;
    ledger_upload_done(upload);
    *upload = segment->uploads[--segment->upload_count];
}

static void take_part(struct ledger_segment *segment, const struct journal_record *record)
{
    struct ledger_upload *upload = find_upload(segment, record->first);
    if (upload == NULL)
        return;
    const size_t count = upload->part_count + 1;
    upload->parts = mem_resize(upload->parts, count * sizeof *upload->parts);
    upload->notes = mem_resize(upload->notes, count * sizeof *upload->notes);
    upload->parts[count - 1] = record->part;
    upload->notes[count - 1] = (struct buf){ 0 };
    if (view_left(&record->note) != 0)
        buf_add(&upload->notes[count - 1], record->note.at, view_left(&record->note));
    upload->part_count = count;
}

static void take_record(struct ledger *ledger, uint32_t process,
                        const struct journal_record *record)
{
    if (record->segment == 0 || ledger_is_sealed(ledger, record->segment))
        return;
    struct ledger_segment *segment = ledger_find_or_add(ledger, record->segment);
    if (record->kind == JOURNAL_RESULTS) {
        take_results(ledger, segment, record->results);
    } else if (record->kind == JOURNAL_INTENT) {
        segment->intents =
            mem_resize(segment->intents, (segment->intent_count + 1) * sizeof *segment->intents);
        segment->intents[segment->intent_count++] =
            (struct intent){ record->first, record->last, process };
    } else if (record->kind == JOURNAL_BEGIN) {
        forget_upload(segment, record->first);
        segment->uploads =
            mem_resize(segment->uploads, (segment->upload_count + 1) * sizeof *segment->uploads);
        segment->uploads[segment->upload_count++] =
            (struct ledger_upload){ .upload = record->upload, .process = process };
    } else if (record->kind == JOURNAL_PART || record->kind == JOURNAL_PACK) {
        take_part(segment, record);
    } else if (record->kind == JOURNAL_DROP) {
        forget_upload(segment, record->first);
    }
}

/* Of one segment, or of all (0). */
static int read_journal(struct ledger *ledger, uint32_t process, uint32_t only, struct err *err)
{
    struct journal_reader reader;
    if (journal_read_open(&reader, ledger->generation->dir_fd, process, err) < 0)
        return -1;
    struct journal_record record;
    int got;
    while ((got = journal_read_next(&reader, &record, err)) == 1)
        if (only == 0 || record.segment == only)
            take_record(ledger, process, &record);
    ledger->damage += reader.damaged && only == 0;
    journal_read_done(&reader);
    return got;
}

static int read_journals(struct ledger *ledger, uint32_t only, struct err *err)
{
    uint32_t *processes = NULL;
    size_t count = 0;
    if (generation_journals(ledger->generation, &processes, &count, err) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++)
        result = read_journal(ledger, processes[i], only, err);
    if (only == 0 && count != 0)
        ledger->process = processes[count - 1];
    mem_release(processes);
    return result;
}

/* Sealed results, if they are there and whole: 1, 0, -1. */
static int open_sealed(struct ledger *ledger, uint32_t number, bool load,
                       struct result_file *ret_file, struct err *err)
{
    struct err why = { 0 };
    if (result_file_open(ret_file, ledger->generation->dir_fd, number, load, &why) == 0)
        return 1;
    if (why.kind == ERR_ABSENT)
        return 0;
    if (why.kind == ERR_CORRUPT) {
        ledger->damage += ledger->process == 0; /* told once; the journals still have them */
        return 0;
    }
    *err = why;
    return -1;
}

static void uncount_sealed(struct ledger *ledger, uint32_t number)
{
    struct ledger_sealed *sealed = &ledger->sealed[number];
    for (int i = 0; i < RESULT_STATUS_COUNT; i++) {
        ledger->counts.sum.count[i] -= sealed->sum.count[i];
        ledger->counts.sum.bytes[i] -= sealed->sum.bytes[i];
    }
    ledger->counts.sum.retries -= sealed->sum.retries;
    ledger->counts.segments_sealed--;
    sealed->known = false;
}

static void count_sealed(struct ledger *ledger, uint32_t number, const struct result_file *file)
{
    struct ledger_segment *segment = ledger_find(ledger, number);
    if (segment != NULL)
        ledger_forget(ledger, segment);
    if (ledger_is_sealed(ledger, number))
        uncount_sealed(ledger, number);
    ledger_mark_sealed(ledger, number, &file->sum, &file->rest, false);
    result_sum_merge(&ledger->counts.sum, &file->sum);
}

/* 1 and counted; 0 when it is not sealed; -1. */
static int take_sealed(struct ledger *ledger, uint32_t number, struct err *err)
{
    struct result_file file;
    const int there = open_sealed(ledger, number, false, &file, err);
    if (there == 1) {
        count_sealed(ledger, number, &file);
        result_file_done(&file);
    }
    return there;
}

int ledger_read_past(struct ledger *ledger, struct err *err)
{
    for (uint32_t number = 1; number <= ledger->generation->sealed; number++)
        if (take_sealed(ledger, number, err) < 0)
            return -1;
    return read_journals(ledger, 0, err);
}

bool ledger_adopt(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    struct err ignored = { 0 }; /* it is asked for again */
    return ledger_is_sealed(ledger, number) || take_sealed(ledger, number, &ignored) == 1;
}

/* ---- for the dispatcher ---- */

uint32_t ledger_open_count(struct ledger *ledger)
{
    SCOPED_LOCK(&ledger->lock);
    return ledger->open_count;
}

bool ledger_segment_sealed(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    return ledger_is_sealed(ledger, number);
}

/* Results of the plan itself are counted here; they are in no journal, since the plan has them. */
static int settle_by_plan_locked(struct ledger *ledger, struct ledger_segment *state,
                                 struct segment *segment, struct err *err)
{
    struct plan_entry entry;
    int got;
    while ((got = segment_next(segment, &entry, err)) == 1) {
        const enum result_status status = plan_entry_settled(&entry);
        if (status == RESULT_OPEN || state->status[entry.ordinal] != RESULT_OPEN)
            continue;
        const struct result result = { .ordinal = entry.ordinal,
                                       .status = status,
                                       .size_bytes = entry.size_bytes };
        ledger_enter(ledger, state, &result);
    }
    return got;
}

/* The packs of a segment that are stored, as some of their members are known to be in them. */
struct stored_packs {
    char **names;
    size_t count;
};

static void stored_packs_done(struct stored_packs *packs)
{
    for (size_t i = 0; i < packs->count; i++)
        mem_release(packs->names[i]);
    mem_free(packs->names);
}

static bool is_stored(const struct stored_packs *packs, const struct plan_entry *entry)
{
    /* Members of a pack are beside each other. */
    for (size_t i = packs->count; entry->pack != NULL && i > 0; i--)
        if (strcmp(packs->names[i - 1], entry->pack) == 0)
            return true;
    return false;
}

static int find_stored(const struct ledger_segment *state, struct segment *segment,
                       struct stored_packs *packs, struct err *err)
{
    struct plan_entry entry;
    int got = segment_seek_block(segment, 0, err);
    if (got < 0)
        return -1;
    while ((got = segment_next(segment, &entry, err)) == 1) {
        const uint8_t status = state->status[entry.ordinal];
        if (entry.pack == NULL || (status != RESULT_DONE && status != RESULT_REPLACED) ||
            is_stored(packs, &entry))
            continue;
        packs->names = mem_resize(packs->names, (packs->count + 1) * sizeof *packs->names);
        packs->names[packs->count++] = mem_string(entry.pack);
    }
    return got;
}

/* What failed is tried again, but for what should have come into a pack that is stored now: that is
 * for the next generation. */
static int reopen_failures(struct ledger *ledger, struct ledger_segment *state,
                           struct segment *segment, struct err *err)
{
    if (state->sum.count[RESULT_FAILED] == 0)
        return 0;
    SCOPED(stored_packs) struct stored_packs packs = { 0 };
    struct plan_entry entry;
    int got = find_stored(state, segment, &packs, err);
    if (got == 0)
        got = segment_seek_block(segment, 0, err);
    while (got == 0 && (got = segment_next(segment, &entry, err)) == 1) {
        got = 0;
        if (state->status[entry.ordinal] == RESULT_FAILED && !is_stored(&packs, &entry))
            ledger_reopen(ledger, state, entry.ordinal);
    }
    return got < 0 ? -1 : segment_seek_block(segment, 0, err);
}

/* Which entries still need a worker. */
static void open_entries(struct ledger *ledger, struct ledger_segment *state, uint8_t **ret_open,
                         uint64_t *ret_open_count)
{
    uint8_t *open = mem_alloc(state->entries);
    uint32_t open_count = 0;
    for (uint32_t i = 0; i < state->entries; i++) {
        open[i] = state->status[i] == RESULT_OPEN;
        open_count += open[i];
    }
    ledger->open_count += !state->open;
    state->open = true;
    state->remaining = open_count;
    *ret_open = open;
    *ret_open_count = open_count;
}

/* A sealed segment with failures is opened again: 1; 0: somebody else did that meanwhile. */
static int unseal(struct ledger *ledger, uint32_t number, struct err *err)
{
    struct result_file file;
    const uint32_t tries = ledger->sealed[number].rest.tries;
    const int there = open_sealed(ledger, number, true, &file, err);
    if (there < 0)
        return -1;
    const bool same = there == 1 && file.rest.tries == tries;
    if (there == 0 || same)
        uncount_sealed(ledger, number);
    if (there == 0)
        return 1;
    if (same) {
        struct ledger_segment *state = ledger_find_or_add(ledger, number);
        state->tries = tries;
        take_results(ledger, state, file.view);
    } else {
        count_sealed(ledger, number, &file);
    }
    result_file_done(&file);
    return same;
}

/* What the segment's state is, now that it is ours: 1; 0: it needs no work. */
static int renew(struct ledger *ledger, uint32_t number, uint32_t claim, bool retry,
                 struct err *err)
{
    if (retry && ledger_is_sealed(ledger, number)) {
        const int opened = unseal(ledger, number, err);
        if (opened != 1)
            return opened;
    } else {
        const int there = take_sealed(ledger, number, err);
        if (there != 0)
            return there < 0 ? -1 : 0;
    }
    if (claim == 1 && !retry)
        return 1;
    /* Another process had it: what it did since we looked is in its journal. And the journals know
     * the upload of what failed. */
    struct ledger_segment *state = ledger_find(ledger, number);
    if (state != NULL && !retry)
        ledger_forget(ledger, state);
    return read_journals(ledger, number, err) < 0 ? -1 : 1;
}

static int take_segment_locked(struct ledger *ledger, struct segment *segment, uint32_t claim,
                               bool retry, uint8_t **ret_open, uint64_t *ret_open_count,
                               struct err *err)
{
    const int needed = renew(ledger, segment->number, claim, retry, err);
    if (needed != 1)
        return needed;
    struct ledger_segment *state = ledger_find_or_add(ledger, segment->number);
    if (state->entries > segment->sum.entries)
        return err_set(err, ERR_CORRUPT, "the journal has results of entries that segment %u lacks",
                       segment->number);
    state->claim = claim;
    ledger_size_segment(state, (uint32_t)segment->sum.entries);
    if (reopen_failures(ledger, state, segment, err) < 0 ||
        settle_by_plan_locked(ledger, state, segment, err) < 0)
        return -1;
    open_entries(ledger, state, ret_open, ret_open_count);
    return 1;
}

int ledger_take_segment(struct ledger *ledger, struct segment *segment, bool retry,
                        uint8_t **ret_open, uint64_t *ret_open_count, struct err *err)
{
    const int dir_fd = ledger->generation->dir_fd;
    uint32_t claim = 0;
    const int won = claim_batch(ledger->options.claim, dir_fd, segment->number, &claim, err);
    if (won != 1)
        return won;
    lock_take(&ledger->lock);
    int result = take_segment_locked(ledger, segment, claim, retry, ret_open, ret_open_count, err);
    lock_give(&ledger->lock);
    if (result == 0)
        claim_batch_done(dir_fd, segment->number);
    if (result != 1)
        return result;
    if (segment->sum.entries != 0 && segment_seek_block(segment, 0, err) < 0) {
        mem_release(*ret_open);
        return -1;
    }
    /* An empty message makes the thread seal a segment that has nothing open. */
    if (*ret_open_count == 0)
        ledger_report(ledger, ledger_batch_new(segment->number, 0));
    return 1;
}

uint32_t ledger_next_retry(struct ledger *ledger, uint32_t after, uint32_t most_tries)
{
    SCOPED_LOCK(&ledger->lock);
    for (uint32_t number = after + 1; number < ledger->sealed_cap; number++) {
        const struct ledger_sealed *sealed = &ledger->sealed[number];
        /* What failed in another process may be possible in this one. */
        const uint32_t failed = sealed->ours ? sealed->rest.retryable : sealed->rest.failed;
        if (sealed->known && failed != 0 && sealed->rest.tries < most_tries)
            return number;
    }
    return 0;
}

uint32_t ledger_sealed_tries(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    return ledger_is_sealed(ledger, number) ? ledger->sealed[number].rest.tries : 0;
}

bool ledger_segment_ours(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    return ledger_is_sealed(ledger, number) && ledger->sealed[number].ours;
}

bool ledger_tries_again(struct ledger *ledger, uint32_t number, uint32_t most_tries)
{
    SCOPED_LOCK(&ledger->lock);
    const struct ledger_segment *segment = ledger_find(ledger, number);
    return segment != NULL && segment->tries + 1 < most_tries;
}

size_t ledger_leftovers(struct ledger *ledger, uint32_t number, uint32_t ordinal,
                        uint32_t *ret_processes, size_t cap)
{
    SCOPED_LOCK(&ledger->lock);
    const struct ledger_segment *segment = ledger_find(ledger, number);
    size_t count = 0;
    for (size_t i = 0; segment != NULL && i < segment->intent_count && count < cap; i++) {
        const struct intent *intent = &segment->intents[i];
        if (intent->first <= ordinal && ordinal <= intent->last)
            ret_processes[count++] = intent->process;
    }
    return count;
}

bool ledger_find_upload(struct ledger *ledger, uint32_t number, uint32_t ordinal,
                        struct ledger_upload *ret_upload)
{
    SCOPED_LOCK(&ledger->lock);
    struct ledger_segment *segment = ledger_find(ledger, number);
    struct ledger_upload *upload = segment != NULL ? find_upload(segment, ordinal) : NULL;
    if (upload == NULL)
        return false;
    *ret_upload = *upload;
    ret_upload->parts = mem_copy(upload->parts, upload->part_count * sizeof *upload->parts);
    upload->notes = NULL; /* they can be large, and are asked for once */
    return true;
}
