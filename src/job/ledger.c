#include "job/ledger.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/ledger_internal.h"

#include <assert.h>
#include <errno.h>

#define GROUP_RESULTS 1000u
#define GROUP_NS (50 * NS_PER_MS)
#define QUEUE_CAP 32u /* messages; one holds the results of a whole work */
#define CHECK_NS NS_PER_S

enum message_kind {
    MESSAGE_RESULTS,
    MESSAGE_ENCODED,
    MESSAGE_INTENT,
    MESSAGE_BEGIN,
    MESSAGE_PART,
    MESSAGE_PACK,
    MESSAGE_DROP,
    MESSAGE_FLUSH,
    MESSAGE_RELEASE
};

struct message {
    enum message_kind kind;
    struct ledger_batch *batch;
    uint32_t segment, first, last;
    struct buf bytes; /* results, or the note of a part */
    struct journal_upload upload;
    struct store_part part;
    bool wait, sync;
    bool done; /* guarded by the ledger's lock */
    int result;
    struct err err;
};

/* ---- the thread ---- */

/* What can be tried again: not what the file is, but what happened. */
static bool may_go_away(const struct err *err)
{
    return err != NULL && (err_trait(err->kind)->retry || err->kind == ERR_CHANGED);
}

static int seal_segment(struct ledger *ledger, struct ledger_segment *segment,
                        struct result_rest *ret_rest, struct err *err)
{
    SCOPED(buf) struct buf ordered = { 0 };
    buf_reserve(&ordered, segment->encoded.len);
    *ret_rest = (struct result_rest){ .tries = segment->tries + 1 };
    uint32_t count = 0;
    for (uint32_t i = 0; i < segment->entries; i++) {
        if (segment->at[i] == AT_NONE)
            continue;
        struct view view =
            view_of(segment->encoded.data + segment->at[i], segment->encoded.len - segment->at[i]);
        const unsigned char *start = view.at;
        struct result result;
        if (result_decode(&view, &result) < 0)
            return err_set(err, ERR_CORRUPT, "results of segment %u in memory", segment->number);
        ret_rest->failed += result.status == RESULT_FAILED;
        ret_rest->retryable += result.status == RESULT_FAILED && may_go_away(result.err);
        result_done(&result);
        buf_add(&ordered, start, (size_t)(view.at - start));
        count++;
    }
    return result_file_seal(ledger->generation->dir_fd, segment->number, &ordered, count,
                            &segment->sum, ret_rest, err);
}

/* Only this thread removes segments that are in work, so it may use one outside the lock. */
static int seal_if_whole(struct ledger *ledger, uint32_t number, struct err *err)
{
    lock_take(&ledger->lock);
    struct ledger_segment *segment = ledger_find(ledger, number);
    const bool whole = segment != NULL && segment->open && segment->remaining == 0;
    lock_give(&ledger->lock);
    if (!whole)
        return 0;
    /* What is sealed must not be newer than what is durable at the destination: results come only
     * after that, so this holds. */
    struct result_rest rest;
    if (seal_segment(ledger, segment, &rest, err) < 0)
        return -1;
    claim_batch_done(ledger->generation->dir_fd, number);
    SCOPED_LOCK(&ledger->lock);
    ledger_mark_sealed(ledger, number, &segment->sum, &rest, true);
    ledger_remove(ledger, segment);
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
    struct ledger_segment *segment = ledger_find(ledger, batch->segment);
    for (uint32_t i = 0; segment != NULL && i < batch->count; i++) {
        struct result *result = &batch->results[i];
        const size_t start = ledger->scratch.len;
        result_encode(&ledger->scratch, result);
        journal_add_slow(&ledger->journal, batch->segment, result->ordinal, result->span_ns);
        ledger_enter(ledger, segment, result);
        segment->at[result->ordinal] = (uint32_t)segment->encoded.len;
        buf_add(&segment->encoded, ledger->scratch.data + start, ledger->scratch.len - start);
    }
    lock_give(&ledger->lock);
    if (segment != NULL && batch->count != 0)
        journal_add_results(&ledger->journal, batch->segment, batch->count, ledger->scratch.data,
                            ledger->scratch.len);
    ledger->unsynced_results += batch->count;
    return seal_if_whole(ledger, batch->segment, err);
}

static int take_encoded(struct ledger *ledger, const struct message *message, struct err *err)
{
    lock_take(&ledger->lock);
    struct ledger_segment *segment = ledger_find(ledger, message->segment);
    struct view view = view_of(message->bytes.data, message->bytes.len);
    while (segment != NULL && view_left(&view) != 0) {
        const unsigned char *start = view.at;
        struct result result;
        if (result_decode(&view, &result) < 0)
            break;
        ledger_enter(ledger, segment, &result);
        segment->at[result.ordinal] = (uint32_t)segment->encoded.len;
        buf_add(&segment->encoded, start, (size_t)(view.at - start));
        result_done(&result);
    }
    lock_give(&ledger->lock);
    journal_add_results(&ledger->journal, message->segment, message->first, message->bytes.data,
                        message->bytes.len);
    ledger->unsynced_results += message->first;
    return seal_if_whole(ledger, message->segment, err);
}

static int take_message(struct ledger *ledger, struct message *message, struct err *err)
{
    switch (message->kind) {
    case MESSAGE_RESULTS:
        return take_batch(ledger, message->batch, err);
    case MESSAGE_ENCODED:
        return take_encoded(ledger, message, err);
    case MESSAGE_INTENT:
        journal_add_intent(&ledger->journal, message->segment, message->first, message->last);
        return 0;
    case MESSAGE_BEGIN:
        journal_add_begin(&ledger->journal, &message->upload);
        return 0;
    case MESSAGE_PART:
        journal_add_part(&ledger->journal, message->segment, message->first, &message->part);
        return 0;
    case MESSAGE_PACK:
        journal_add_pack(&ledger->journal, message->segment, message->first, &message->part,
                         message->bytes.data, message->bytes.len);
        return 0;
    case MESSAGE_DROP:
        /* Written at once: the next try of this run reads it from the file. */
        journal_add_drop(&ledger->journal, message->segment, message->first);
        return journal_flush(&ledger->journal, false, err);
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

/* Has another process taken a batch over, because this one stood still? */
static int check_batches(struct ledger *ledger, struct err *err)
{
    SCOPED_LOCK(&ledger->lock);
    for (const struct ledger_segment *at = ledger->segments; at != NULL; at = at->next)
        if (at->open && !claim_batch_holds(ledger->generation->dir_fd, at->number, at->claim))
            return err_set(err, ERR_CONFIG, "another lade took batch %u over", at->number);
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
        return claim_check(ledger->options.claim, err) < 0 || check_batches(ledger, err) < 0 ? -1
                                                                                             : 0;
    }
    return 0;
}

static void answer(struct ledger *ledger, struct message *message, int result,
                   const struct err *err)
{
    batch_free(message->batch);
    buf_done(&message->bytes);
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
    /* First: a process that was stopped for long writes nothing that is not its own any more. */
    if (look_after_claim(ledger, now_ns, err) < 0)
        return -1;
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
    return due ? flush(ledger, true, err) : 0;
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

/* The next number that no journal has; several processes may look for theirs. */
static int create_journal(struct ledger *ledger, struct err *err)
{
    for (;;) {
        ledger->process++;
        if (journal_create(&ledger->journal, ledger->generation->dir_fd, ledger->process, err) == 0)
            return 0;
        if (err->sys != EEXIST)
            return -1;
        err_clear(err);
    }
}

int ledger_start(struct ledger **ret_ledger, const struct ledger_options *options, struct err *err)
{
    struct ledger *ledger = ledger_new(options);
    if (ledger_read_past(ledger, err) < 0 || create_journal(ledger, err) < 0 ||
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
    if (ledger_read_past(ledger, err) < 0) {
        ledger_free(ledger);
        return -1;
    }
    *ret_ledger = ledger;
    return 0;
}

struct view ledger_unsealed(struct ledger *ledger, uint32_t number)
{
    SCOPED_LOCK(&ledger->lock);
    const struct ledger_segment *segment = ledger_find(ledger, number);
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
        buf_done(&copy->bytes);
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

void ledger_report_encoded(struct ledger *ledger, uint32_t segment, uint32_t count,
                           struct buf *encoded)
{
    send(ledger,
         &(struct message){
             .kind = MESSAGE_ENCODED, .segment = segment, .first = count, .bytes = *encoded });
    *encoded = (struct buf){ 0 };
}

int ledger_intent(struct ledger *ledger, uint32_t segment, uint32_t first, uint32_t last,
                  struct err *err)
{
    struct message message = {
        .kind = MESSAGE_INTENT, .segment = segment, .first = first, .last = last
    };
    return send_and_wait(ledger, &message, err);
}

bool ledger_is_ours(struct ledger *ledger)
{
    struct message message = { .kind = MESSAGE_FLUSH };
    struct err ignored = { 0 };
    return send_and_wait(ledger, &message, &ignored) == 0;
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

void ledger_pack_part(struct ledger *ledger, uint32_t segment, uint32_t ordinal,
                      const struct store_part *part, struct buf *note)
{
    send(ledger, &(struct message){ .kind = MESSAGE_PACK,
                                    .segment = segment,
                                    .first = ordinal,
                                    .part = *part,
                                    .bytes = *note });
    *note = (struct buf){ 0 };
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
        ledger_remove(ledger, ledger->segments);
    journal_done(&ledger->journal);
    queue_done(&ledger->queue);
    lock_done(&ledger->lock);
    cond_done(&ledger->written);
    buf_done(&ledger->scratch);
    mem_release(ledger->sealed);
    mem_release(ledger);
}
