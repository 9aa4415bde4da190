/* A worker takes works until there are none, and does each from top to bottom with blocking calls.
 */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/run_internal.h"

#define RETRY_FIRST_NS (200 * NS_PER_MS)
#define RETRY_MOST_NS (20 * NS_PER_S)
#define LEFTOVERS_MAX 64u
#define ON_ITS_WAY_NS (60 * NS_PER_S) /* longer than a request takes */

/* ---- what several kinds of work need ---- */

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void worker_answered(struct worker *worker, bool busy)
{
    const int64_t now_ns = clock_monotonic_ns();
    permit_answered(&worker->run->permit, now_ns - worker->asked_ns, busy, now_ns);
    worker->asked_ns = now_ns;
}

int worker_wait_to_retry(struct worker *worker, uint32_t tries, struct err *err)
{
    struct run *run = worker->run;
    if (!err_trait(err->kind)->retry || tries > run->options.retries)
        return -1;
    int64_t span_ns = RETRY_FIRST_NS << (tries < 8 ? tries - 1 : 7);
    if (span_ns > RETRY_MOST_NS)
        span_ns = RETRY_MOST_NS;
    /* Half fixed, half random, so that workers that failed together do not come back together. */
    span_ns = span_ns / 2 + (int64_t)(random_next(&worker->random) % (uint64_t)(span_ns / 2));
    if ((int64_t)err->retry_after_ms * NS_PER_MS > span_ns)
        span_ns = (int64_t)err->retry_after_ms * NS_PER_MS;

    if (err->kind == ERR_BUSY)
        worker_answered(worker, true);
    permit_give(&run->permit);
    struct err stopped = { 0 };
    const int slept = stop_sleep(run->stop, span_ns, &stopped);
    /* Taken in any case, for whoever gives it back after the work. */
    (void)!permit_take(&run->permit, NULL, &stopped);
    worker->asked_ns = clock_monotonic_ns();
    if (slept < 0) {
        *err = stopped; /* no failure: the entry stays open */
        return -1;
    }
    atomic_fetch_add(&run->retries, 1);
    err_clear(err);
    return 0;
}

void worker_tag(const struct worker *worker, uint32_t process, uint32_t segment, uint32_t ordinal,
                char tag[STAGE_TAG_MAX])
{
    const struct run *run = worker->run;
    snprintf(tag, STAGE_TAG_MAX, "%s-%x-%x-%x-%x", run->job->id, run->generation.number, process,
             segment, ordinal);
}

int worker_key(struct worker *worker, const struct plan_entry *entry, struct buf *ret_key,
               struct err *err)
{
    return plan_entry_key(worker->run->store, entry, ret_key, err);
}

bool worker_compares_content(const struct worker *worker, const struct plan_entry *entry)
{
    const struct run *run = worker->run;
    return run->job->spec.checksum || run->distrust || entry->record.known;
}

void worker_fill_record(struct worker *worker, struct record *record, bool racy, const char *etag)
{
    struct digest_value value;
    digest_value(&worker->digest, &value);
    *record = (struct record){ .known = true, .racy = racy, .crc64 = value.crc64 };
    record->digests = value;
    record->digests.kinds &= ~(uint32_t)DIGEST_CRC64NVME;
    snprintf(record->etag, sizeof record->etag, "%s", etag);
}

void worker_report_one(struct worker *worker, uint32_t segment, const struct result *result)
{
    struct ledger_batch *batch = ledger_batch_new(segment, 1);
    batch->results[0] = *result;
    ledger_report(worker->run->ledger, batch);
}

/* ---- a run of entries ---- */

/* One entry between being put and being committed. */
struct pending {
    bool staged;
    bool again;   /* an earlier commit failed, or its answer did not come */
    bool brought; /* what is there is what an earlier try brought: it may be replaced */
    char *key;    /* put: its key; get: its path */
    char tag[STAGE_TAG_MAX];
};

bool worker_was_begun(const struct worker *worker, uint32_t segment, uint32_t ordinal)
{
    uint32_t process = 0;
    return ledger_leftovers(worker->run->ledger, segment, ordinal, &process, 1) != 0;
}

void worker_clean_leftovers(struct worker *worker, uint32_t segment, uint32_t ordinal,
                            const char *name)
{
    struct run *run = worker->run;
    uint32_t processes[LEFTOVERS_MAX];
    const size_t count = ledger_leftovers(run->ledger, segment, ordinal, processes, LEFTOVERS_MAX);
    for (size_t i = 0; i < count; i++) {
        char tag[STAGE_TAG_MAX];
        worker_tag(worker, processes[i], segment, ordinal, tag);
        struct err ignored = { 0 }; /* it is hidden, and only takes room */
        if (run_is_get(run))
            (void)!stage_discard(&worker->stage, name, tag, &ignored);
        else
            (void)!run->store->driver->clean(run->store, name, tag, &ignored);
    }
}

/* A process was killed after it had begun an upload and before it could write down which. It was on
 * its way at the end of its journal, or shortly before or after it. */
void worker_clean_begun(struct worker *worker, uint32_t segment, uint32_t ordinal, const char *key)
{
    struct run *run = worker->run;
    uint32_t processes[LEFTOVERS_MAX];
    if (run_is_get(run) || run->store->driver->clean_begun == NULL)
        return;
    const size_t count = ledger_leftovers(run->ledger, segment, ordinal, processes, LEFTOVERS_MAX);
    for (size_t i = 0; i < count; i++) {
        int64_t first_ns = 0;
        int64_t last_ns = 0;
        if (!journal_times(run->generation.dir_fd, processes[i], &first_ns, &last_ns))
            continue;
        if (first_ns < last_ns - ON_ITS_WAY_NS)
            first_ns = last_ns - ON_ITS_WAY_NS;
        run->store->driver->clean_begun(run->store, key, first_ns, last_ns + ON_ITS_WAY_NS);
    }
}

static void fail_result(struct result *result, const struct err *err)
{
    result->status = RESULT_FAILED;
    result->err = mem_copy(err, sizeof *err);
}

static void do_entry(struct worker *worker, uint32_t segment, const struct plan_entry *entry,
                     struct result *result, struct pending *pending)
{
    struct run *run = worker->run;
    struct err err = { 0 };
    result->ordinal = entry->ordinal;
    result->size_bytes = entry->size_bytes;
    result->mtime_ns = entry->mtime_ns;
    worker_tag(worker, run->process, segment, entry->ordinal, pending->tag);
    const struct object_root *root = NULL;
    const char *key = NULL;
    if (run_is_get(run)) {
        if (object_set_local(&run->objects, entry->name, entry->kind, &root, &key, &worker->key,
                             &err) < 0) {
            fail_result(result, &err);
            return;
        }
        worker_clean_leftovers(worker, segment, entry->ordinal, buf_text(&worker->key));
        SCOPED(buf) struct buf stored = { 0 };
        store_bucket_key(entry->bucket, key, &stored);
        get_entry(worker, entry, root, stored.data, buf_text(&worker->key), pending->tag, result,
                  &pending->staged);
    } else {
        if (worker_key(worker, entry, &worker->key, &err) < 0) {
            fail_result(result, &err);
            return;
        }
        worker_clean_leftovers(worker, segment, entry->ordinal, buf_text(&worker->key));
        worker->brought = run->job->spec.immutable &&
                          (pending->again || worker_was_begun(worker, segment, entry->ordinal)) &&
                          put_brought(worker, entry, buf_text(&worker->key));
        pending->brought = worker->brought;
        put_entry(worker, entry, buf_text(&worker->key), pending->tag, result, &pending->staged);
    }
    if (pending->staged)
        pending->key = mem_string(buf_text(&worker->key));
}

static void commit_put(struct run *run, struct result *results, struct pending *pending,
                       uint32_t entries)
{
    struct store_staged *items = mem_alloc(entries * sizeof *items);
    uint32_t *of = mem_alloc(entries * sizeof *of);
    size_t count = 0;
    for (uint32_t i = 0; i < entries; i++) {
        if (!pending[i].staged)
            continue;
        of[count] = i;
        items[count++] =
            (struct store_staged){ .key = pending[i].key,
                                   .tag = pending[i].tag,
                                   .if_absent = run->job->spec.immutable && !pending[i].brought };
    }
    if (count != 0)
        run->store->driver->commit_batch(run->store, items, count);
    for (size_t i = 0; i < count; i++) {
        if (items[i].err.kind == ERR_NONE)
            continue;
        struct err ignored = { 0 };
        (void)!run->store->driver->clean(run->store, items[i].key, items[i].tag, &ignored);
        fail_result(&results[of[i]], &items[i].err);
    }
    mem_release(items);
    mem_release(of);
}

/* An entry whose commit failed is put once more from its beginning: whether what was staged is
 * still there, or at its place already, nobody knows. */
static void put_again(struct worker *worker, uint32_t segment, const struct plan_entry *entry,
                      struct result *result, struct pending *pending)
{
    for (uint32_t tries = 1; pending->staged && result->status == RESULT_FAILED; tries++) {
        struct err err = *result->err;
        if (worker_wait_to_retry(worker, tries, &err) < 0)
            return;
        const uint32_t retries = result->retries + 1;
        result_done(result);
        *result = (struct result){ .retries = retries };
        mem_release(pending->key);
        *pending = (struct pending){ .again = true };
        do_entry(worker, segment, entry, result, pending);
        commit_put(worker->run, result, pending, 1);
    }
}

static void commit_get(struct worker *worker, struct ledger_batch *batch, struct pending *pending)
{
    struct stage_item *items = mem_alloc(batch->count * sizeof *items);
    uint32_t *of = mem_alloc(batch->count * sizeof *of);
    size_t count = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!pending[i].staged)
            continue;
        of[count] = i;
        const struct result *result = &batch->results[i];
        /* What appeared since the plan was made must not be lost either. */
        const bool keep = result->status == RESULT_DONE && !worker->run->job->spec.overwrite &&
                          !get_brought(worker, pending[i].key, result);
        items[count++] = (struct stage_item){ .rel = pending[i].key,
                                              .tag = pending[i].tag,
                                              .keep_existing = keep };
    }
    if (count != 0)
        stage_commit(&worker->stage, items, count);
    for (size_t i = 0; i < count; i++) {
        if (items[i].err.kind == ERR_NONE)
            continue;
        struct err ignored = { 0 };
        (void)!stage_discard(&worker->stage, items[i].rel, items[i].tag, &ignored);
        fail_result(&batch->results[of[i]], &items[i].err);
    }
    mem_release(items);
    mem_release(of);
}

/* An answer that ends the run (disk full, credentials) leaves the entry open, for the next time. */
static uint32_t drop_open(struct worker *worker, struct ledger_batch *batch)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct result *result = &batch->results[i];
        const bool ends = result->status == RESULT_OPEN ||
                          (result->err != NULL && err_trait(result->err->kind)->ends_run);
        if (!ends) {
            batch->results[kept++] = *result;
            continue;
        }
        if (result->err != NULL && result->err->kind != ERR_STOPPED) {
            err_at(result->err, "'%s'", worker->work.entries[i].name);
            struct dispatch *dispatch = &worker->run->dispatch;
            lock_take(&dispatch->lock);
            if (dispatch->err.kind == ERR_NONE)
                dispatch->err = *result->err;
            lock_give(&dispatch->lock);
        }
        result_done(result);
    }
    return kept;
}

static void note_failures(struct run *run, const struct work *work,
                          const struct ledger_batch *batch)
{
    bool asked = false;
    for (uint32_t i = 0; i < work->count; i++) {
        const struct result *result = &batch->results[i];
        if (result->status != RESULT_FAILED || err_trait(result->err->kind)->ends_run)
            continue;
        if (!asked && !ledger_is_ours(run->ledger))
            return;
        asked = true;
        notes_add(&run->notes, RESULT_FAILED, work->entries[i].name, result->err);
    }
}

void worker_do_entries(struct worker *worker, struct work *work)
{
    struct run *run = worker->run;
    struct err err = { 0 };
    const bool staged = run_is_get(run) || run->store->limits.is_staged;
    if (staged && ledger_intent(run->ledger, work->segment, work->entries[0].ordinal,
                                work->entries[work->count - 1].ordinal, &err) < 0)
        return; /* the ledger has raised the stop */

    struct ledger_batch *batch = ledger_batch_new(work->segment, work->count);
    struct pending *pending = mem_alloc(work->count * sizeof *pending);
    for (uint32_t i = 0; i < work->count && !stop_raised(run->stop); i++) {
        const int64_t start_ns = clock_monotonic_ns();
        do_entry(worker, work->segment, &work->entries[i], &batch->results[i], &pending[i]);
        batch->results[i].span_ns = clock_monotonic_ns() - start_ns;
        worker_answered(worker, false);
        if (permit_yield(&run->permit, run->stop, &err) < 0)
            break;
    }
    if (run_is_get(run))
        commit_get(worker, batch, pending);
    else
        commit_put(run, batch->results, pending, work->count);
    for (uint32_t i = 0; i < work->count; i++) {
        if (!run_is_get(run))
            put_again(worker, work->segment, &work->entries[i], &batch->results[i], &pending[i]);
        mem_release(pending[i].key);
    }
    mem_release(pending);
    if (!work->is_again)
        note_failures(run, work, batch);
    batch->count = drop_open(worker, batch);
    ledger_report(run->ledger, batch);
}

/* ---- the thread ---- */

static void do_work(struct worker *worker)
{
    struct run *run = worker->run;
    struct err err = { 0 };
    if (permit_take(&run->permit, run->stop, &err) < 0)
        return;
    worker->asked_ns = clock_monotonic_ns();
    atomic_fetch_add(&run->active_count, 1);
    switch (worker->work.kind) {
    case WORK_ENTRIES:
        worker_do_entries(worker, &worker->work);
        break;
    case WORK_LARGE:
        large_begin(worker, &worker->work);
        break;
    case WORK_PART:
        large_part(worker, &worker->work);
        worker_answered(worker, false);
        break;
    case WORK_CHUNK:
        packing_chunk(worker, &worker->work);
        worker_answered(worker, false);
        break;
    case WORK_PACKED:
        packing_end(worker, &worker->work);
        break;
    }
    atomic_fetch_sub(&run->active_count, 1);
    permit_give(&run->permit);
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct run *run = worker->run;
    for (;;) {
        struct err err = { 0 };
        if (dispatch_next(run, &worker->work, &err) != 1)
            break;
        do_work(worker);
    }
    if (atomic_fetch_sub(&run->workers_left, 1) == 1) {
        dispatch_end(run);
        SCOPED_LOCK(&run->end_lock);
        cond_wake_all(&run->ended);
    }
    return NULL;
}
