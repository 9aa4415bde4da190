#include "job/ledger.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/scope.h"

#include <assert.h>
#include <stdatomic.h>

#define GROUP_RESULTS 1000u
#define GROUP_NS (50 * NS_PER_MS)
#define QUEUE_CAP 32u /* messages; one holds the results of a whole work */
#define CHECK_NS NS_PER_S
#define AT_NONE UINT32_MAX

struct intent {
    uint32_t first, last, process;
};

/* A segment that is not sealed: its results so far, encoded. */
struct ledger_segment {
    struct ledger_segment *next;
    uint32_t number;
    bool open;  /* its plan was read: entries, status and remaining are known */
    bool tried; /* it was sealed before, with failures */
    uint32_t entries;
    uint32_t remaining; /* entries without a result */
    uint8_t *status;    /* enum result_status of each */
    uint32_t *at;       /* of each in `encoded`, AT_NONE: settled by the plan, or open */
    uint64_t *bytes;    /* size of each, for the sums */
    struct buf encoded;
    struct result_sum sum;
    struct intent *intents;
    size_t intent_count;
    struct ledger_upload *uploads;
    size_t upload_count;
};

enum message_kind {
    MESSAGE_RESULTS,
    MESSAGE_INTENT,
    MESSAGE_BEGIN,
    MESSAGE_PART,
    MESSAGE_DROP,
    MESSAGE_FLUSH,
    MESSAGE_RELEASE
};

struct message {
    enum message_kind kind;
    struct ledger_batch *batch;
    uint32_t segment, first, last;
    struct journal_upload upload;
    struct store_part part;
    bool wait, sync;
    bool done; /* guarded by the ledger's lock */
    int result;
    struct err err;
};

struct ledger {
    struct ledger_options options;
    struct generation *generation;
    struct journal journal; /* ledger thread only, once started */
    uint32_t process;       /* set at start */
    struct queue queue;
    struct thread thread;
    struct lock lock;
    struct cond written;
    struct ledger_segment *segments; /* guarded by lock */
    uint8_t *sealed;                 /* guarded by lock; by number, 1 = has all results */
    uint32_t sealed_cap;
    uint32_t open_count;         /* guarded by lock; segments in work, not sealed yet */
    struct ledger_counts counts; /* guarded by lock */
    struct err err;              /* guarded by lock; the first of the thread */
    uint32_t damage;
    bool ended;         /* guarded by lock */
    struct buf scratch; /* ledger thread only */
    uint32_t unsynced_results;
    int64_t oldest_ns; /* of what is not durable yet; 0: all is */
    int64_t beat_ns, check_ns;
};

/* ---- segments ---- */

static struct ledger_segment *find_locked(struct ledger *ledger, uint32_t number)
{
    for (struct ledger_segment *at = ledger->segments; at != NULL; at = at->next)
        if (at->number == number)
            return at;
    return NULL;
}

static struct ledger_segment *find_or_add_locked(struct ledger *ledger, uint32_t number)
{
    struct ledger_segment *segment = find_locked(ledger, number);
    if (segment != NULL)
        return segment;
    segment = mem_alloc(sizeof *segment);
    segment->number = number;
    segment->next = ledger->segments;
    ledger->segments = segment;
    return segment;
}

static void segment_free(struct ledger_segment *segment)
{
    for (size_t i = 0; i < segment->upload_count; i++)
        mem_release(segment->uploads[i].parts);
    mem_release(segment->uploads);
    mem_release(segment->intents);
    mem_release(segment->status);
    mem_release(segment->at);
    mem_release(segment->bytes);
    buf_done(&segment->encoded);
    mem_release(segment);
}

static void remove_locked(struct ledger *ledger, struct ledger_segment *segment)
{
    struct ledger_segment **link = &ledger->segments;
    while (*link != segment)
        link = &(*link)->next;
    *link = segment->next;
    ledger->open_count -= segment->open;
    segment_free(segment);
}

static bool is_sealed_locked(const struct ledger *ledger, uint32_t number)
{
    return number < ledger->sealed_cap && ledger->sealed[number] != 0;
}

static void mark_sealed_locked(struct ledger *ledger, uint32_t number)
{
    if (number >= ledger->sealed_cap) {
        const uint32_t cap = number + 1024;
        ledger->sealed = mem_resize(ledger->sealed, cap);
        memset(ledger->sealed + ledger->sealed_cap, 0, cap - ledger->sealed_cap);
        ledger->sealed_cap = cap;
    }
    ledger->sealed[number] = 1;
}

/* Room for the results of `entries` entries; what came before the plan was read is kept. */
static void size_segment(struct ledger_segment *segment, uint32_t entries)
{
    if (segment->entries >= entries)
        return;
    segment->status = mem_resize(segment->status, entries);
    segment->at = mem_resize(segment->at, entries * sizeof *segment->at);
    segment->bytes = mem_resize(segment->bytes, entries * sizeof *segment->bytes);
    for (uint32_t i = segment->entries; i < entries; i++) {
        segment->status[i] = RESULT_OPEN;
        segment->at[i] = AT_NONE;
        segment->bytes[i] = 0;
    }
    segment->entries = entries;
}

/* Enter a result. A later one replaces an earlier one of the same entry (a retry of what failed).
 */
static void enter_locked(struct ledger *ledger, struct ledger_segment *segment,
                         const struct result *result)
{
    if (result->ordinal >= segment->entries)
        size_segment(segment, result->ordinal + 1);
    const enum result_status old = segment->status[result->ordinal];
    if (old != RESULT_OPEN) {
        segment->sum.count[old]--;
        segment->sum.bytes[old] -= segment->bytes[result->ordinal];
        ledger->counts.sum.count[old]--;
        ledger->counts.sum.bytes[old] -= segment->bytes[result->ordinal];
    } else if (segment->open) {
        segment->remaining--;
    }
    segment->status[result->ordinal] = (uint8_t)result->status;
    segment->bytes[result->ordinal] = result->size_bytes;
    result_sum_add(&segment->sum, result->status, result->size_bytes, result->retries);
    result_sum_add(&ledger->counts.sum, result->status, result->size_bytes, result->retries);
}

/* ---- what earlier processes left ---- */

static bool to_be_retried(const struct ledger *ledger, enum result_status status)
{
    return ledger->options.retry_failed && status == RESULT_FAILED;
}

static void take_results(struct ledger *ledger, struct ledger_segment *segment, struct view view)
{
    while (view_left(&view) != 0) {
        const unsigned char *start = view.at;
        struct result result;
        if (result_decode(&view, &result) < 0)
            return;
        if (!to_be_retried(ledger, result.status)) {
            enter_locked(ledger, segment, &result);
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

static void forget_upload(struct ledger_segment *segment, uint32_t ordinal)
{
    struct ledger_upload *upload = find_upload(segment, ordinal);
    if (upload == NULL)
        return;
    mem_release(upload->parts);
    *upload = segment->uploads[--segment->upload_count];
}

static void take_record(struct ledger *ledger, uint32_t process,
                        const struct journal_record *record)
{
    if (record->segment == 0 || is_sealed_locked(ledger, record->segment))
        return;
    struct ledger_segment *segment = find_or_add_locked(ledger, record->segment);
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
    } else if (record->kind == JOURNAL_PART) {
        struct ledger_upload *upload = find_upload(segment, record->first);
        if (upload == NULL)
            return;
        upload->parts = mem_resize(upload->parts, (upload->part_count + 1) * sizeof *upload->parts);
        upload->parts[upload->part_count++] = record->part;
    } else if (record->kind == JOURNAL_DROP) {
        forget_upload(segment, record->first);
    }
}

static int read_journal(struct ledger *ledger, uint32_t process, struct err *err)
{
    struct journal_reader reader;
    if (journal_read_open(&reader, ledger->generation->dir_fd, process, err) < 0)
        return -1;
    struct journal_record record;
    int got;
    while ((got = journal_read_next(&reader, &record, err)) == 1)
        take_record(ledger, process, &record);
    ledger->damage += reader.damaged;
    journal_read_done(&reader);
    return got;
}

/* Sealed results count, unless there is something in them to try again. */
static int read_sealed(struct ledger *ledger, uint32_t number, struct err *err)
{
    struct err why = { 0 };
    struct result_file file;
    if (result_file_open(&file, ledger->generation->dir_fd, number, false, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        if (why.kind != ERR_CORRUPT) {
            *err = why;
            return -1;
        }
        ledger->damage++; /* the journals still have them */
        return 0;
    }
    if (to_be_retried(ledger, RESULT_FAILED) && file.sum.count[RESULT_FAILED] != 0) {
        result_file_done(&file);
        if (result_file_open(&file, ledger->generation->dir_fd, number, true, err) < 0)
            return -1;
        struct ledger_segment *segment = find_or_add_locked(ledger, number);
        segment->tried = true;
        take_results(ledger, segment, file.view);
    } else {
        mark_sealed_locked(ledger, number);
        result_sum_merge(&ledger->counts.sum, &file.sum);
        ledger->counts.segments_sealed++;
    }
    result_file_done(&file);
    return 0;
}

static int read_past(struct ledger *ledger, struct err *err)
{
    for (uint32_t number = 1; number <= ledger->generation->sealed; number++)
        if (read_sealed(ledger, number, err) < 0)
            return -1;
    uint32_t *processes = NULL;
    size_t count = 0;
    if (generation_journals(ledger->generation, &processes, &count, err) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++)
        result = read_journal(ledger, processes[i], err);
    /* Claims that were deleted begin again at 1; journals that are there keep their numbers. */
    if (count != 0 && processes[count - 1] >= ledger->process)
        ledger->process = processes[count - 1] + 1;
    mem_release(processes);
    return result;
}

/* ---- the thread ---- */

static int seal_segment(struct ledger *ledger, struct ledger_segment *segment, struct err *err)
{
    SCOPED(buf) struct buf ordered = { 0 };
    buf_reserve(&ordered, segment->encoded.len);
    uint32_t count = 0;
    for (uint32_t i = 0; i < segment->entries; i++) {
        if (segment->at[i] == AT_NONE)
            continue;
        struct view view =
            view_of(segment->encoded.data + segment->at[i], segment->encoded.len - segment->at[i]);
        const unsigned char *start = view.at;
        uint32_t ordinal = 0;
        enum result_status status = RESULT_OPEN;
        if (result_skip(&view, &ordinal, &status) < 0)
            return err_set(err, ERR_CORRUPT, "results of segment %u in memory", segment->number);
        buf_add(&ordered, start, (size_t)(view.at - start));
        count++;
    }
    return result_file_seal(ledger->generation->dir_fd, segment->number, &ordered, count,
                            &segment->sum, err);
}

/* Only this thread removes segments, so it may use one outside the lock. */
static int seal_if_whole(struct ledger *ledger, uint32_t number, struct err *err)
{
    lock_take(&ledger->lock);
    struct ledger_segment *segment = find_locked(ledger, number);
    const bool whole = segment != NULL && segment->open && segment->remaining == 0;
    lock_give(&ledger->lock);
    if (!whole)
        return 0;
    /* What is sealed must not be newer than what is durable at the destination: results come only
     * after that, so this holds. */
    if (seal_segment(ledger, segment, err) < 0)
        return -1;
    SCOPED_LOCK(&ledger->lock);
    mark_sealed_locked(ledger, number);
    ledger->counts.segments_sealed++;
    ledger->counts.segments_sealed_now++;
    remove_locked(ledger, segment);
    return 0;
}

static void batch_free(struct ledger_batch *batch)
{
    for (uint32_t i = 0; batch != NULL && i < batch->count; i++)
        result_done(&batch->results[i]);
    mem_release(batch);
}

static int take_batch(struct ledger *ledger, struct ledger_batch *batch, struct err *err)
{
    buf_clear(&ledger->scratch);
    lock_take(&ledger->lock);
    struct ledger_segment *segment = find_locked(ledger, batch->segment);
    for (uint32_t i = 0; segment != NULL && i < batch->count; i++) {
        struct result *result = &batch->results[i];
        const size_t start = ledger->scratch.len;
        result_encode(&ledger->scratch, result);
        journal_add_slow(&ledger->journal, batch->segment, result->ordinal, result->span_ns);
        enter_locked(ledger, segment, result);
        segment->at[result->ordinal] = (uint32_t)segment->encoded.len;
        buf_add(&segment->encoded, ledger->scratch.data + start, ledger->scratch.len - start);
    }
    lock_give(&ledger->lock);
    if (segment != NULL && batch->count != 0)
        journal_add_results(&ledger->journal, batch->segment, batch->count, ledger->scratch.data,
                            ledger->scratch.len);
    ledger->unsynced_results += batch->count;
    const int result = seal_if_whole(ledger, batch->segment, err);
    batch_free(batch);
    return result;
}

static int take_message(struct ledger *ledger, struct message *message, struct err *err)
{
    switch (message->kind) {
    case MESSAGE_RESULTS:
        return take_batch(ledger, message->batch, err);
    case MESSAGE_INTENT:
        journal_add_intent(&ledger->journal, message->segment, message->first, message->last);
        return 0;
    case MESSAGE_BEGIN:
        journal_add_begin(&ledger->journal, &message->upload);
        return 0;
    case MESSAGE_PART:
        journal_add_part(&ledger->journal, message->segment, message->first, &message->part);
        return 0;
    case MESSAGE_DROP:
        journal_add_drop(&ledger->journal, message->segment, message->first);
        return 0;
    case MESSAGE_FLUSH:
    case MESSAGE_RELEASE:
        return 0;
    }
    return 0;
}

static int flush(struct ledger *ledger, bool sync, struct err *err)
{
    journal_add_time(&ledger->journal, clock_now_ns());
    if (journal_flush(&ledger->journal, sync, err) < 0)
        return -1;
    if (sync) {
        ledger->unsynced_results = 0;
        ledger->oldest_ns = 0;
    }
    return 0;
}

static int look_after_claim(struct ledger *ledger, int64_t now_ns, struct err *err)
{
    if (now_ns - ledger->beat_ns >= CLAIM_BEAT_NS) {
        ledger->beat_ns = now_ns;
        if (claim_beat(ledger->options.claim, err) < 0)
            return -1;
    }
    if (now_ns - ledger->check_ns >= CHECK_NS) {
        ledger->check_ns = now_ns;
        return claim_check(ledger->options.claim, err);
    }
    return 0;
}

static void answer(struct ledger *ledger, struct message *message, int result,
                   const struct err *err)
{
    if (!message->wait) {
        mem_release(message);
        return;
    }
    SCOPED_LOCK(&ledger->lock);
    message->result = result;
    message->err = *err;
    message->done = true;
    cond_wake_all(&ledger->written);
}

static void fail(struct ledger *ledger, const struct err *err)
{
    SCOPED_LOCK(&ledger->lock);
    if (ledger->err.kind == ERR_NONE)
        ledger->err = *err;
    stop_raise(ledger->options.stop);
}

static int serve(struct ledger *ledger, struct message *message, struct err *err)
{
    const int64_t now_ns = clock_monotonic_ns();
    if (message != NULL) {
        if (take_message(ledger, message, err) < 0)
            return -1;
        if (ledger->oldest_ns == 0)
            ledger->oldest_ns = now_ns;
        if (message->wait && flush(ledger, message->sync, err) < 0)
            return -1;
    }
    const bool due = ledger->oldest_ns != 0 && (ledger->unsynced_results >= GROUP_RESULTS ||
                                                now_ns - ledger->oldest_ns >= GROUP_NS);
    if (due && flush(ledger, true, err) < 0)
        return -1;
    return look_after_claim(ledger, now_ns, err);
}

static void *ledger_main(void *arg)
{
    struct ledger *ledger = arg;
    struct err failed = { 0 };
    while (!queue_ended(&ledger->queue)) {
        struct message *message = queue_take(&ledger->queue, GROUP_NS);
        struct err err = { 0 };
        /* After a failure nothing is written any more, but everybody still gets an answer. */
        const bool dropped = failed.kind != ERR_NONE;
        if (dropped && message != NULL)
            batch_free(message->batch);
        const int result = dropped ? -1 : serve(ledger, message, &err);
        if (result < 0 && failed.kind == ERR_NONE) {
            failed = err;
            fail(ledger, &err);
        }
        const bool last = message != NULL && message->kind == MESSAGE_RELEASE && result == 0;
        if (last)
            claim_release(ledger->options.claim);
        if (message != NULL)
            answer(ledger, message, result, &failed);
        if (last)
            err_set(&failed, ERR_STOPPED, "the job was given up");
    }
    struct err err = { 0 };
    if (failed.kind == ERR_NONE && flush(ledger, true, &err) < 0)
        fail(ledger, &err);
    SCOPED_LOCK(&ledger->lock);
    ledger->ended = true;
    cond_wake_all(&ledger->written);
    return NULL;
}

static struct ledger *ledger_new(const struct ledger_options *options)
{
    struct ledger *ledger = mem_alloc(sizeof *ledger);
    ledger->options = *options;
    ledger->generation = options->generation;
    ledger->journal.fd = -1;
    lock_init(&ledger->lock);
    cond_init(&ledger->written);
    queue_init(&ledger->queue, QUEUE_CAP);
    return ledger;
}

int ledger_start(struct ledger **ret_ledger, const struct ledger_options *options, struct err *err)
{
    struct ledger *ledger = ledger_new(options);
    ledger->process = options->claim->number;
    if (read_past(ledger, err) < 0 ||
        journal_create(&ledger->journal, options->generation->dir_fd, ledger->process, err) < 0 ||
        thread_start(&ledger->thread, "lade-journal", ledger_main, ledger, err) < 0) {
        ledger_free(ledger);
        return -1;
    }
    *ret_ledger = ledger;
    return 0;
}

int ledger_read(struct ledger **ret_ledger, struct generation *generation, struct err *err)
{
    struct ledger *ledger = ledger_new(&(struct ledger_options){ .generation = generation });
    if (read_past(ledger, err) < 0) {
        ledger_free(ledger);
        return -1;
    }
    *ret_ledger = ledger;
    return 0;
}

struct view ledger_unsealed(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    const struct ledger_segment *segment = find_locked(ledger, number);
    return segment != NULL ? view_of(segment->encoded.data, segment->encoded.len)
                           : view_of(NULL, 0);
}

uint32_t ledger_process(const struct ledger *ledger)
{
    return ledger->process;
}

uint32_t ledger_damage_count(const struct ledger *ledger)
{
    return ledger->damage;
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
    return is_sealed_locked(ledger, number);
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
        enter_locked(ledger, state, &result);
    }
    return got;
}

int ledger_open_segment(struct ledger *ledger, struct segment *segment, uint8_t **ret_open,
                        uint64_t *ret_open_count, struct err *err)
{
    lock_take(&ledger->lock);
    struct ledger_segment *state = find_or_add_locked(ledger, segment->number);
    if (state->entries > segment->sum.entries) {
        lock_give(&ledger->lock);
        return err_set(err, ERR_CORRUPT, "the journal has results of entries that segment %u lacks",
                       segment->number);
    }
    size_segment(state, (uint32_t)segment->sum.entries);
    int result = settle_by_plan_locked(ledger, state, segment, err);
    uint8_t *open = mem_alloc(state->entries);
    uint32_t open_count = 0;
    for (uint32_t i = 0; i < state->entries; i++) {
        open[i] = state->status[i] == RESULT_OPEN;
        open_count += open[i];
    }
    ledger->open_count += !state->open;
    state->open = true;
    state->remaining = open_count;
    lock_give(&ledger->lock);

    if (result == 0 && segment->sum.entries != 0)
        result = segment_seek_block(segment, 0, err);
    if (result < 0) {
        mem_release(open);
        return -1;
    }
    /* An empty message makes the thread seal a segment that has nothing open. */
    if (open_count == 0)
        ledger_report(ledger, ledger_batch_new(segment->number, 0));
    *ret_open = open;
    *ret_open_count = open_count;
    return 0;
}

bool ledger_segment_tried(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    const struct ledger_segment *segment = find_locked(ledger, number);
    return segment != NULL && segment->tried;
}

size_t ledger_leftovers(struct ledger *ledger, uint32_t number, uint32_t ordinal,
                        uint32_t *ret_processes, size_t cap)
{
    SCOPED_LOCK(&ledger->lock);
    const struct ledger_segment *segment = find_locked(ledger, number);
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
    struct ledger_segment *segment = find_locked(ledger, number);
    const struct ledger_upload *upload = segment != NULL ? find_upload(segment, ordinal) : NULL;
    if (upload == NULL)
        return false;
    *ret_upload = *upload;
    ret_upload->parts = mem_copy(upload->parts, upload->part_count * sizeof *upload->parts);
    return true;
}

/* ---- for the workers ---- */

struct ledger_batch *ledger_batch_new(uint32_t segment, uint32_t count)
{
    struct ledger_batch *batch = mem_alloc(sizeof *batch + count * sizeof batch->results[0]);
    batch->segment = segment;
    batch->count = count;
    return batch;
}

static void send(struct ledger *ledger, const struct message *message)
{
    struct message *copy = mem_copy(message, sizeof *message);
    if (!queue_put(&ledger->queue, copy)) {
        batch_free(copy->batch);
        mem_release(copy);
    }
}

static int send_and_wait(struct ledger *ledger, struct message *message, struct err *err)
{
    message->wait = true;
    if (!queue_put(&ledger->queue, message))
        return err_set(err, ERR_STOPPED, "stopped");
    SCOPED_LOCK(&ledger->lock);
    while (!message->done)
        cond_wait(&ledger->written, &ledger->lock);
    if (message->result < 0)
        *err = message->err;
    return message->result;
}

void ledger_report(struct ledger *ledger, struct ledger_batch *batch)
{
    send(ledger, &(struct message){ .kind = MESSAGE_RESULTS, .batch = batch });
}

int ledger_intent(struct ledger *ledger, uint32_t segment, uint32_t first, uint32_t last,
                  struct err *err)
{
    struct message message = {
        .kind = MESSAGE_INTENT, .segment = segment, .first = first, .last = last
    };
    return send_and_wait(ledger, &message, err);
}

int ledger_begin(struct ledger *ledger, const struct journal_upload *upload, struct err *err)
{
    struct message message = { .kind = MESSAGE_BEGIN, .upload = *upload, .sync = true };
    return send_and_wait(ledger, &message, err);
}

void ledger_part(struct ledger *ledger, uint32_t segment, uint32_t ordinal,
                 const struct store_part *part)
{
    send(ledger, &(struct message){
                     .kind = MESSAGE_PART, .segment = segment, .first = ordinal, .part = *part });
}

void ledger_drop(struct ledger *ledger, uint32_t segment, uint32_t ordinal)
{
    send(ledger, &(struct message){ .kind = MESSAGE_DROP, .segment = segment, .first = ordinal });
}

/* ---- for the display, and the end ---- */

void ledger_counts(struct ledger *ledger, struct ledger_counts *ret_counts)
{
    SCOPED_LOCK(&ledger->lock);
    *ret_counts = ledger->counts;
}

static bool send_and_wait_for(struct ledger *ledger, enum message_kind kind, int64_t span_ns)
{
    /* On the heap and never freed when the time runs out: the thread may still answer it. */
    struct message *message = mem_alloc(sizeof *message);
    *message = (struct message){ .kind = kind, .wait = true, .sync = true };
    const int64_t end_ns = clock_monotonic_ns() + span_ns;
    if (!queue_put_for(&ledger->queue, message, span_ns)) {
        mem_release(message);
        return queue_ended(&ledger->queue);
    }
    lock_take(&ledger->lock);
    while (!message->done && clock_monotonic_ns() < end_ns)
        cond_wait_for(&ledger->written, &ledger->lock, end_ns - clock_monotonic_ns());
    const bool done = message->done;
    const bool good = done && message->result == 0;
    lock_give(&ledger->lock);
    if (done)
        mem_release(message);
    return good;
}

bool ledger_flush(struct ledger *ledger, int64_t span_ns)
{
    return send_and_wait_for(ledger, MESSAGE_FLUSH, span_ns);
}

bool ledger_release(struct ledger *ledger, int64_t span_ns)
{
    return send_and_wait_for(ledger, MESSAGE_RELEASE, span_ns);
}

int ledger_stop(struct ledger *ledger, struct err *err)
{
    queue_close(&ledger->queue);
    thread_join(&ledger->thread);
    if (ledger->err.kind == ERR_NONE)
        return 0;
    *err = ledger->err;
    return -1;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    queue_close(&ledger->queue);
    thread_join(&ledger->thread);
    while (ledger->segments != NULL)
        remove_locked(ledger, ledger->segments);
    journal_done(&ledger->journal);
    queue_done(&ledger->queue);
    lock_done(&ledger->lock);
    cond_done(&ledger->written);
    buf_done(&ledger->scratch);
    mem_release(ledger->sealed);
    mem_release(ledger);
}
