/* A large object goes in parts, and parts are works like any other, so one object keeps all workers
 * busy. The worker that begins it opens the file and the upload; each part is read, digested, sent
 * and journalled by whoever takes it; whoever brings the last one settles the object. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/run_internal.h"
#include "job/xattrs.h"

#include <unistd.h>

static struct large *large_new(struct run *run)
{
    struct large *large = mem_alloc(sizeof *large);
    SCOPED_LOCK(&run->dispatch.lock);
    large->alive_next = run->dispatch.alive;
    large->alive_link = &run->dispatch.alive;
    if (large->alive_next != NULL)
        large->alive_next->alive_link = &large->alive_next;
    run->dispatch.alive = large;
    return large;
}

static void large_free(struct run *run, struct large *large)
{
    lock_take(&run->dispatch.lock);
    *large->alive_link = large->alive_next;
    if (large->alive_next != NULL)
        large->alive_next->alive_link = large->alive_link;
    lock_give(&run->dispatch.lock);
    source_close(&large->file);
    if (large->fd >= 0)
        close(large->fd);
    mem_release(large->name);
    mem_release(large->key);
    mem_release(large->stored_key);
    mem_release(large->parts);
    buf_done(&large->xattrs);
    mem_release(large);
}

void large_free_all(struct run *run)
{
    while (run->dispatch.alive != NULL)
        large_free(run, run->dispatch.alive);
}

static struct store *large_store(const struct run *run, const struct large *large)
{
    return run_is_get(run) ? large->root->store : run->store;
}

static struct store_put large_put(const struct run *run, const struct large *large)
{
    const struct job_spec *spec = &run->job->spec;
    return (struct store_put){ .key = large->key,
                               .tag = large->tag,
                               .attr = &large->attr,
                               .meta = spec->meta,
                               .meta_count = spec->meta_count,
                               .if_absent = spec->immutable && !large->brought };
}

static void report(struct worker *worker, struct large *large, struct result *result)
{
    struct run *run = worker->run;
    result->ordinal = large->entry.ordinal;
    result->retries = large->retries;
    result->span_ns = clock_monotonic_ns() - large->begun_ns;
    if (result->status == RESULT_FAILED && !large->is_again)
        notes_add(&run->notes, RESULT_FAILED, large->name, result->err);
    worker_report_one(worker, large->segment, result);
    large_free(run, large);
    dispatch_large_settled(run);
}

static void report_failure(struct worker *worker, struct large *large, const struct err *err)
{
    struct run *run = worker->run;
    if (err_trait(err->kind)->ends_run) {
        /* The entry stays open, and its parts are there for the next time. */
        lock_take(&run->dispatch.lock);
        if (run->dispatch.err.kind == ERR_NONE && err->kind != ERR_STOPPED)
            run->dispatch.err = *err;
        lock_give(&run->dispatch.lock);
        large_free(run, large);
        dispatch_large_settled(run);
        return;
    }
    struct result result = { .status = RESULT_FAILED,
                             .size_bytes = large->entry.size_bytes,
                             .mtime_ns = large->entry.mtime_ns,
                             .err = mem_copy(err, sizeof *err) };
    report(worker, large, &result);
}

/* ---- begin ---- */

static void make_parts(struct large *large)
{
    large->part_count = 1;
    if (large->size_bytes > large->part_bytes)
        large->part_count =
            (uint32_t)((large->size_bytes + large->part_bytes - 1) / large->part_bytes);
    mem_release(large->parts);
    large->parts = mem_alloc(large->part_count * sizeof *large->parts);
    large->parts_left = large->part_count;
    large->next_part = 0;
}

static uint64_t part_size(const struct large *large, uint32_t part)
{
    const uint64_t start = (uint64_t)part * large->part_bytes;
    const uint64_t left = large->size_bytes - start;
    return left < large->part_bytes ? left : large->part_bytes;
}

/* Take over the parts that an earlier process finished. */
static void take_parts(struct large *large, const struct ledger_upload *upload)
{
    for (size_t i = 0; i < upload->part_count; i++) {
        const struct store_part *part = &upload->parts[i];
        if (part->number == 0 || part->number > large->part_count ||
            part->size_bytes != part_size(large, part->number - 1) ||
            large->parts[part->number - 1].number != 0)
            continue;
        large->parts[part->number - 1] = *part;
        large->parts_left--;
    }
}

static void abort_upload(struct worker *worker, const struct large *large, const char *tag,
                         const char *token)
{
    struct run *run = worker->run;
    struct err ignored = { 0 }; /* it is hidden; `lade` of a later day finds it by its token */
    if (run_is_get(run))
        (void)!stage_discard(&worker->stage, large->key, tag, &ignored);
    else
        (void)!run->store->driver->abort(run->store, large->key, token, &ignored);
    ledger_drop(run->ledger, large->segment, large->entry.ordinal);
}

static int open_put(struct worker *worker, struct large *large, struct err *err)
{
    source_close(&large->file);
    if (source_open(&large->file, &worker->dirs, large->name, err) < 0)
        return -1;
    const struct source_file *file = &large->file;
    large->size_bytes = file->size_bytes;
    large->attr = (struct attr){ .kind = ENTRY_FILE,
                                 .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                                 .mode = file->mode,
                                 .uid = file->uid,
                                 .gid = file->gid,
                                 .mtime_ns = file->mtime_ns };
    const struct store_limits *limits = &worker->run->store->limits;
    if (large->size_bytes > limits->max_object_bytes)
        return err_set(err, ERR_LIMIT, "%s", plan_reason_text(REASON_TOO_LARGE));
    large->part_bytes = store_part_bytes(limits, large->size_bytes);
    return 0;
}

static int open_get(struct large *large, struct err *err)
{
    struct object object = { 0 };
    struct store *store = large->root->store;
    if (store->driver->head(store, large->stored_key, &object, err) < 0)
        return -1;
    large->size_bytes = object.size_bytes;
    large->attr = object.attr;
    large->has_xattrs = object.has_xattrs;
    buf_clear(&large->xattrs);
    buf_add(&large->xattrs, buf_text(&object.xattrs), object.xattrs.len);
    snprintf(large->etag, sizeof large->etag, "%s", object.etag);
    large->part_bytes = store_part_bytes(&store->limits, large->size_bytes);
    large->by_md5 = (object.attr.have & ATTR_CRC64) == 0 && object.md5_part_bytes != 0;
    if (large->by_md5)
        large->part_bytes = object.md5_part_bytes;
    object_done(&object);
    return 0;
}

/* What the source is, so that a later process knows whether the parts still fit. */
static struct journal_upload identity(const struct run *run, const struct large *large)
{
    struct journal_upload upload = { .segment = large->segment,
                                     .ordinal = large->entry.ordinal,
                                     .part_bytes = large->part_bytes,
                                     .size_bytes = large->size_bytes };
    if (run_is_get(run)) {
        upload.ino = crc64nvme(0, large->etag, strlen(large->etag));
        upload.mtime_ns = large->attr.mtime_ns;
    } else {
        upload.ino = large->file.ino;
        upload.mtime_ns = large->file.mtime_ns;
        upload.ctime_ns = large->file.ctime_ns;
    }
    return upload;
}

static bool same_source(const struct journal_upload *a, const struct journal_upload *b)
{
    return a->size_bytes == b->size_bytes && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns && a->ino == b->ino;
}

static int open_temporary(struct worker *worker, struct large *large, bool keep, struct err *err)
{
    if (large->fd >= 0)
        close(large->fd);
    large->fd = -1;
    return stage_open(&worker->stage, large->key, large->tag, keep, &large->fd, err);
}

/* Go on where an earlier process stopped; false: nothing fits. */
static bool resume(struct worker *worker, struct large *large)
{
    struct run *run = worker->run;
    struct ledger_upload upload;
    if (!ledger_find_upload(run->ledger, large->segment, large->entry.ordinal, &upload))
        return false;
    const struct journal_upload now = identity(run, large);
    char tag[STAGE_TAG_MAX];
    worker_tag(worker, upload.process, large->segment, large->entry.ordinal, tag);
    bool fits =
        large->attempts == 1 && same_source(&upload.upload, &now) && upload.upload.part_bytes != 0;
    if (fits) {
        memcpy(large->tag, tag, sizeof tag);
        memcpy(large->token, upload.upload.token, sizeof large->token);
        large->resumed = true;
        large->part_bytes = upload.upload.part_bytes;
        make_parts(large);
        take_parts(large, &upload);
        struct err gone = { 0 };
        if (run_is_get(run) && open_temporary(worker, large, true, &gone) < 0)
            fits = false;
    }
    if (!fits)
        abort_upload(worker, large, tag, upload.upload.token);
    ledger_upload_done(&upload);
    return fits;
}

static int begin_anew(struct worker *worker, struct large *large, struct err *err)
{
    struct run *run = worker->run;
    worker_tag(worker, run->process, large->segment, large->entry.ordinal, large->tag);
    large->resumed = false;
    make_parts(large);
    if (run_is_get(run)) {
        snprintf(large->token, sizeof large->token, "%s", large->tag);
        if (open_temporary(worker, large, false, err) < 0)
            return -1;
    } else {
        const struct store_put put = large_put(run, large);
        if (run->store->driver->begin(run->store, &put, large->size_bytes, large->token, err) < 0)
            return -1;
    }
    struct journal_upload upload = identity(run, large);
    memcpy(upload.token, large->token, sizeof upload.token);
    return ledger_begin(run->ledger, &upload, err);
}

static int begin_once(struct worker *worker, struct large *large, struct err *err)
{
    if ((run_is_get(worker->run) ? open_get(large, err) : open_put(worker, large, err)) < 0)
        return -1;
    if (resume(worker, large))
        return 0;
    if (large->attempts == 1) {
        worker_clean_leftovers(worker, large->segment, large->entry.ordinal, large->key);
        worker_clean_begun(worker, large->segment, large->entry.ordinal, large->key);
    }
    return begin_anew(worker, large, err);
}

static void settle(struct worker *worker, struct large *large);

/* Open everything and hand the parts out. */
static void begin(struct worker *worker, struct large *large)
{
    struct err err = { 0 };
    large->attempts++;
    for (uint32_t tries = 1; begin_once(worker, large, &err) < 0; tries++) {
        large->retries++;
        if (worker_wait_to_retry(worker, tries, &err) < 0) {
            report_failure(worker, large, &err);
            return;
        }
    }
    if (large->parts_left == 0)
        settle(worker, large);
    else
        dispatch_add_large(worker->run, large);
}

static int compare(struct worker *worker, struct large *large, struct result *result,
                   struct err *err)
{
    return run_is_get(worker->run) ? get_compare(worker, &large->entry, large->root,
                                                 large->stored_key, large->key, result, err)
                                   : put_compare(worker, &large->entry, large->key, result, err);
}

void large_begin(struct worker *worker, struct work *work)
{
    struct run *run = worker->run;
    struct large *large = large_new(run);
    large->segment = work->segment;
    large->is_again = work->is_again;
    large->entry = work->entries[0];
    large->begun_ns = clock_monotonic_ns();
    large->name = mem_string(large->entry.name);
    large->entry.name = large->name;
    large->file.fd = large->fd = -1;

    struct err err = { 0 };
    const char *key = NULL;
    const int named = run_is_get(run)
                          ? object_set_local(&run->objects, large->entry.name, large->entry.kind,
                                             &large->root, &key, &worker->key, &err)
                          : worker_key(worker, &large->entry, &worker->key, &err);
    large->key = mem_string(buf_text(&worker->key));
    if (key != NULL) {
        struct buf stored = { 0 };
        store_bucket_key(large->entry.bucket, key, &stored);
        large->stored_key = buf_take(&stored);
    }
    struct result result = { .size_bytes = large->entry.size_bytes,
                             .mtime_ns = large->entry.mtime_ns };
    const int same = named == 0 && large->entry.action == PLAN_COMPARE
                         ? compare(worker, large, &result, &err)
                         : 0;
    if (same == 1) {
        report(worker, large, &result);
        return;
    }
    if (named == 0 && same == 0 &&
        ledger_intent(run->ledger, large->segment, large->entry.ordinal, large->entry.ordinal,
                      &err) == 0) {
        large->brought = !run_is_get(run) && run->job->spec.immutable &&
                         worker_was_begun(worker, large->segment, large->entry.ordinal) &&
                         put_brought(worker, &large->entry, large->key);
        begin(worker, large);
    } else {
        report_failure(worker, large, &err);
    }
}

/* ---- parts ---- */

static int put_part(struct worker *worker, struct large *large, uint32_t part, void *slab,
                    struct store_part *ret_part, struct err *err)
{
    struct run *run = worker->run;
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    struct body body = body_of_fd(large->file.fd, (uint64_t)part * large->part_bytes,
                                  part_size(large, part), slab, CHUNK_BYTES, &digest, &run->flow);
    const struct store_put put = large_put(run, large);
    if (run->store->driver->part(run->store, &put, large->token, part + 1,
                                 (uint64_t)part * large->part_bytes, &body, ret_part, err) < 0)
        return -1;
    ret_part->crc64 = digest.crc64;
    return 0;
}

static int get_part(struct worker *worker, struct large *large, uint32_t part, bool fresh,
                    struct store_part *ret_part, struct err *err)
{
    struct run *run = worker->run;
    SCOPED(digest) struct digest digest = { .kinds = DIGEST_CRC64NVME };
    if (large->by_md5 && digest_init(&digest, DIGEST_CRC64NVME | DIGEST_MD5, err) < 0)
        return -1;
    const uint64_t offset = (uint64_t)part * large->part_bytes;
    const uint64_t size = part_size(large, part);
    struct sink sink = { .flow = &run->flow,
                         .digest = &digest,
                         .fd = large->fd,
                         .offset_bytes = offset,
                         /* A hole would keep what an earlier try left there. */
                         .keep_holes = fresh };
    struct store *store = large_store(run, large);
    if (store->driver->get(store, large->stored_key, offset, size, large->etag, &sink, NULL, err) <
        0)
        return -1;
    if (sink.done_bytes != size)
        return err_set(err, ERR_CORRUPT, "%llu bytes came of %llu",
                       (unsigned long long)sink.done_bytes, (unsigned long long)size);
    /* What the journal will say is there must survive a power failure. */
    if (fdatasync(large->fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync");
    *ret_part =
        (struct store_part){ .number = part + 1, .size_bytes = size, .crc64 = digest.crc64 };
    if (large->by_md5) {
        struct digest_value value;
        digest_value(&digest, &value);
        digest_hex(value.md5, sizeof value.md5, ret_part->etag);
    }
    return 0;
}

static int do_part(struct worker *worker, struct large *large, uint32_t part, struct err *err)
{
    struct run *run = worker->run;
    void *slab = NULL;
    if (pool_take(run->pool, &slab, 1, run->stop, err) < 0)
        return -1;
    int result = 0;
    for (uint32_t tries = 1;; tries++) {
        struct store_part stored = { 0 };
        result = run_is_get(run)
                     ? get_part(worker, large, part, tries == 1 && !large->resumed, &stored, err)
                     : put_part(worker, large, part, slab, &stored, err);
        if (result == 0) {
            stored.number = part + 1;
            stored.size_bytes = part_size(large, part);
            large->parts[part] = stored;
            ledger_part(run->ledger, large->segment, large->entry.ordinal, &stored);
            break;
        }
        /* A source that moves under the parts spoils all of them, not this one. */
        if (err->kind == ERR_CHANGED || worker_wait_to_retry(worker, tries, err) < 0)
            break;
        atomic_fetch_add(&large->retries, 1);
    }
    pool_give(run->pool, &slab, 1);
    return result;
}

void large_part(struct worker *worker, struct work *work)
{
    struct large *large = work->large;
    struct err err = { 0 };
    const int result = do_part(worker, large, work->part, &err);
    if (result < 0)
        err_at(&err, "part %u", work->part + 1);
    if (dispatch_part_done(worker->run, large, result < 0 ? &err : NULL))
        settle(worker, large);
}

/* ---- the end ---- */

static uint64_t combined_crc(const struct large *large)
{
    uint64_t crc = 0;
    for (uint32_t i = 0; i < large->part_count; i++)
        crc = crc64nvme_combine(crc, large->parts[i].crc64, part_size(large, i));
    return crc;
}

/* Digests of the whole that do not combine from parts are made by reading it once more. */
static int digest_whole(struct worker *worker, const struct large *large, uint64_t crc64,
                        struct err *err)
{
    struct run *run = worker->run;
    digest_reset(&worker->digest);
    worker->digest.crc64 = crc64;
    if ((worker->digest.kinds & ~(uint32_t)DIGEST_CRC64NVME) == 0)
        return 0;
    digest_reset(&worker->digest);
    void *slab = NULL;
    if (pool_take(run->pool, &slab, 1, run->stop, err) < 0)
        return -1;
    struct body body = body_of_fd(run_is_get(run) ? large->fd : large->file.fd, 0,
                                  large->size_bytes, slab, CHUNK_BYTES, &worker->digest, NULL);
    const void *bytes = NULL;
    size_t len = 1;
    int result = 0;
    while (result == 0 && len != 0 && (result = stop_check(run->stop, err)) == 0)
        result = body_next(&body, &bytes, &len, err);
    pool_give(run->pool, &slab, 1);
    if (result == 0 && worker->digest.crc64 != crc64)
        return err_set(err, ERR_CHANGED, "changed while it was read: read twice, it differs");
    return result;
}

static int commit_put(struct worker *worker, struct large *large, char etag[STORE_ETAG_MAX],
                      struct err *ret_why, struct err *err)
{
    struct run *run = worker->run;
    SCOPED(buf) struct buf xattrs = { 0 };
    xattrs_read(&run->job->spec, large->file.fd, &xattrs, ret_why);
    xattrs_left_out(&xattrs, ret_why);
    const struct store_driver *driver = run->store->driver;
    large->attr.crc64 = combined_crc(large);
    large->attr.have |= ATTR_CRC64;
    if (digest_whole(worker, large, large->attr.crc64, err) < 0 ||
        source_check(&large->file, &worker->dirs, large->name, err) < 0)
        return -1;
    const struct store_put put = large_put(run, large);
    for (uint32_t tries = 1;; tries++) {
        struct store_result stored = { 0 };
        struct store_staged staged = { .key = large->key,
                                       .tag = large->tag,
                                       .if_absent = put.if_absent };
        if (driver->commit(run->store, &put, large->token, large->parts, large->part_count, &stored,
                           err) == 0) {
            driver->commit_batch(run->store, &staged, 1);
            memcpy(etag, stored.etag, STORE_ETAG_MAX);
            *err = staged.err;
            if (err->kind == ERR_NONE)
                return 0;
        }
        large->retries++;
        if (worker_wait_to_retry(worker, tries, err) < 0)
            return -1;
    }
}

/* For what was stored without a CRC of the whole: the etag is made of the parts' MD5s. */
static int check_etag(const struct large *large, struct err *err)
{
    SCOPED(digest) struct digest digest = { 0 };
    if (digest_init(&digest, DIGEST_MD5, err) < 0)
        return -1;
    for (uint32_t i = 0; i < large->part_count; i++) {
        unsigned char md5[DIGEST_MD5_BYTES];
        const char *hex = large->parts[i].etag;
        if (strlen(hex) != 2 * sizeof md5)
            return 0; /* fetched by a lade that did not look */
        for (size_t at = 0; at < sizeof md5; at++) {
            const char pair[] = { hex[2 * at], hex[2 * at + 1], '\0' };
            md5[at] = (unsigned char)strtoul(pair, NULL, 16);
        }
        digest_add(&digest, md5, sizeof md5);
    }
    struct digest_value value;
    char whole[2 * DIGEST_MD5_BYTES + 1];
    digest_value(&digest, &value);
    digest_hex(value.md5, sizeof value.md5, whole);
    if (strncmp(whole, large->etag, sizeof whole - 1) == 0)
        return 0;
    return err_set(err, ERR_CORRUPT, "its content is not what was stored: ETag %s, stored %s",
                   whole, large->etag);
}

static int commit_get(struct worker *worker, struct large *large, char etag[STORE_ETAG_MAX],
                      struct err *ret_why, struct err *err)
{
    const uint64_t crc64 = combined_crc(large);
    if ((large->attr.have & ATTR_CRC64) != 0 && large->attr.crc64 != crc64)
        return err_set(err, ERR_CORRUPT,
                       "its content is not what was stored: CRC64NVME %016llx, recorded %016llx",
                       (unsigned long long)crc64, (unsigned long long)large->attr.crc64);
    if ((large->by_md5 && check_etag(large, err) < 0) ||
        digest_whole(worker, large, crc64, err) < 0)
        return -1;
    if (file_set_size(large->fd, large->size_bytes, err) < 0 ||
        xattrs_set(&worker->run->job->spec, large->fd, &large->attr,
                   large->has_xattrs ? &large->xattrs : NULL, true, ret_why, err) < 0)
        return -1;
    const struct result found = { .size_bytes = large->size_bytes,
                                  .mtime_ns = large->attr.mtime_ns,
                                  .record.crc64 = crc64 };
    const bool keep = large->entry.action == PLAN_NEW && !worker->run->job->spec.overwrite &&
                      !get_brought(worker, large->key, &found);
    struct stage_item item = { .rel = large->key, .tag = large->tag, .keep_existing = keep };
    stage_commit(&worker->stage, &item, 1);
    *err = item.err;
    memcpy(etag, large->etag, STORE_ETAG_MAX);
    return err->kind == ERR_NONE ? 0 : -1;
}

static void settle(struct worker *worker, struct large *large)
{
    struct run *run = worker->run;
    struct err err = large->err;
    struct result result = { .size_bytes = large->size_bytes };
    struct err why = { 0 };
    char etag[STORE_ETAG_MAX] = "";
    if (err.kind == ERR_NONE &&
        (run_is_get(run) ? commit_get(worker, large, etag, &why, &err)
                         : commit_put(worker, large, etag, &why, &err)) == 0) {
        xattrs_tell(&run->notes, large->name, &why);
        const bool is_new = large->entry.action == PLAN_NEW;
        result.status = is_new ? RESULT_DONE : RESULT_REPLACED;
        result.mtime_ns = run_is_get(run) ? large->attr.mtime_ns : large->file.mtime_ns;
        /* What an earlier process read, it read at a time that is not known any more. */
        const bool racy = !run_is_get(run) && (large->resumed || source_racy(&large->file));
        worker_fill_record(worker, &result.record, racy, etag);
        report(worker, large, &result);
        return;
    }
    if (err_trait(err.kind)->ends_run) {
        report_failure(worker, large, &err);
        return;
    }
    /* Absent is the upload: a killed process had committed it, or the answer to our commit was
     * lost. */
    const bool is_spoilt =
        err.kind == ERR_CHANGED || err.kind == ERR_CORRUPT || err.kind == ERR_ABSENT;
    /* What the network broke is tried again at the end, from its first missing part. */
    const bool is_kept = !is_spoilt && err_trait(err.kind)->retry &&
                         ledger_tries_again(run->ledger, large->segment, BATCH_TRIES);
    if (!is_kept)
        abort_upload(worker, large, large->tag, large->token);
    const bool again = is_spoilt && large->attempts < CHANGED_TRIES;
    if (!again) {
        report_failure(worker, large, &err);
        return;
    }
    large->retries++;
    atomic_fetch_add(&run->retries, 1);
    large->err = (struct err){ 0 };
    large->brought = !run_is_get(run) && run->job->spec.immutable &&
                     put_brought(worker, &large->entry, large->key);
    begin(worker, large);
}
