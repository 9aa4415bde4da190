/* One entry of the source tree becomes an object. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/run_internal.h"
#include "job/xattrs.h"

struct put_job {
    struct worker *worker;
    struct store *store;
    const struct plan_entry *entry;
    struct store_put put;
    struct attr attr;
    struct result *result;
    void *slab;
    struct err why; /* of attributes that are not stored */
};

static void done(struct put_job *job, const struct store_result *stored)
{
    const bool is_new = job->entry->action == PLAN_NEW;
    job->result->status = is_new ? RESULT_DONE : RESULT_REPLACED;
    worker_fill_record(job->worker, &job->result->record, job->result->record.racy, stored->etag);
}

/* Read the file and send it; ERR_CHANGED when it did not hold still. */
static int put_file_once(struct put_job *job, struct err *err)
{
    struct source_file file;
    if (source_open(&file, &job->worker->dirs, job->entry->name, err) < 0)
        return -1;
    job->attr = (struct attr){ .kind = ENTRY_FILE,
                               .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                               .mode = file.mode,
                               .uid = file.uid,
                               .gid = file.gid,
                               .mtime_ns = file.mtime_ns };
    digest_reset(&job->worker->digest);
    struct body body = body_of_fd(file.fd, 0, file.size_bytes, job->slab, CHUNK_BYTES,
                                  &job->worker->digest, &job->worker->run->flow);
    SCOPED(buf) struct buf xattrs = { 0 };
    xattrs_read(&job->worker->run->job->spec, file.fd, &xattrs, &job->why);
    xattrs_left_out(&xattrs, &job->why);
    struct store_result stored;
    int result = 0;
    if (file.size_bytes > job->store->limits.max_put_bytes)
        result = err_set(err, ERR_CHANGED, "grew to %llu bytes since the plan was made",
                         (unsigned long long)file.size_bytes);
    else
        result = job->store->driver->put(job->store, &job->put, &body, &stored, err);
    /* Whatever the store says: a file that moved meanwhile is the better explanation, and one that
     * cannot be looked at any more was not stored as it is. */
    if (result == 0)
        result = source_check(&file, &job->worker->dirs, job->entry->name, err);
    if (result == 0) {
        job->result->size_bytes = file.size_bytes;
        job->result->mtime_ns = file.mtime_ns;
        job->result->record.racy = source_racy(&file);
        done(job, &stored);
    }
    source_close(&file);
    return result;
}

static void clean(struct put_job *job)
{
    struct err ignored = { 0 }; /* hidden, and cleaned again when the entry is tried again */
    (void)!job->store->driver->clean(job->store, job->put.key, job->put.tag, &ignored);
}

static int put_file(struct put_job *job, struct err *err)
{
    uint32_t changed = 0;
    for (uint32_t tries = 1;; tries++) {
        if (put_file_once(job, err) == 0)
            return 0;
        clean(job);
        if (err->kind == ERR_CHANGED && ++changed == CHANGED_TRIES)
            return -1;
        job->result->retries++;
        if (worker_wait_to_retry(job->worker, tries, err) < 0)
            return -1;
    }
}

static int put_memory(struct put_job *job, const void *bytes, size_t len, struct err *err)
{
    for (uint32_t tries = 1;; tries++) {
        digest_reset(&job->worker->digest);
        struct body body =
            body_of_memory(bytes, len, &job->worker->digest, &job->worker->run->flow);
        struct store_result stored;
        if (job->store->driver->put(job->store, &job->put, &body, &stored, err) == 0) {
            done(job, &stored);
            return 0;
        }
        clean(job);
        job->result->retries++;
        if (worker_wait_to_retry(job->worker, tries, err) < 0)
            return -1;
    }
}

static int put_link(struct put_job *job, struct err *err)
{
    struct buf *target = &job->worker->text;
    if (source_read_link(&job->worker->dirs, job->entry->name, target, err) < 0)
        return -1;
    job->result->size_bytes = target->len;
    return put_memory(job, buf_text(target), target->len, err);
}

/* The CRC of the source as it is now. */
static int digest_source(struct put_job *job, struct source_file *file, struct err *err)
{
    if (source_open(file, &job->worker->dirs, job->entry->name, err) < 0)
        return -1;
    digest_reset(&job->worker->digest);
    struct body body = body_of_fd(file->fd, 0, file->size_bytes, job->slab, CHUNK_BYTES,
                                  &job->worker->digest, &job->worker->run->read_flow);
    int result = 0;
    const void *bytes = NULL;
    size_t len = 1;
    while (result == 0 && len != 0)
        result = body_next(&body, &bytes, &len, err);
    if (result == 0)
        result = source_check(file, &job->worker->dirs, job->entry->name, err);
    source_close(file);
    return result;
}

/* What is stored: by the record, by what the store keeps with the object, else by reading it. */
static int digest_stored(struct put_job *job, uint64_t *ret_crc64, struct err *err)
{
    if (job->entry->record.known) {
        *ret_crc64 = job->entry->record.crc64;
        return 0;
    }
    struct object object = { 0 };
    int result = job->store->driver->head(job->store, job->put.key, &object, err);
    if (result == 0 && (object.attr.have & ATTR_CRC64) != 0) {
        *ret_crc64 = object.attr.crc64;
    } else if (result == 0) {
        struct digest digest;
        result = digest_init(&digest, 0, err);
        struct sink sink = { .flow = &job->worker->run->read_flow, .digest = &digest, .fd = -1 };
        if (result == 0)
            result = job->store->driver->get(job->store, job->put.key, 0, UINT64_MAX, object.etag,
                                             &sink, NULL, err);
        *ret_crc64 = digest.crc64;
        digest_done(&digest);
    }
    object_done(&object);
    return result;
}

/* Nothing asks for the content: size and time that are kept with the object will do. 1, 0, -1. */
static int compare_attr(struct put_job *job, struct err *err)
{
    struct object object = { 0 };
    if (job->store->driver->head(job->store, job->put.key, &object, err) < 0)
        return -1;
    const struct plan_entry *entry = job->entry;
    const bool same = (object.attr.have & ATTR_MTIME) != 0 &&
                      object.attr.mtime_ns == entry->mtime_ns &&
                      object.size_bytes == entry->size_bytes;
    if (same) {
        job->result->status = RESULT_UNCHANGED;
        job->result->record.known = (object.attr.have & ATTR_CRC64) != 0;
        job->result->record.crc64 = object.attr.crc64;
        memcpy(job->result->record.etag, object.etag, sizeof object.etag);
    }
    object_done(&object);
    return same;
}

/* 1: the content is the same; 0: it is not; -1. */
static int compare_content(struct put_job *job, struct err *err)
{
    uint64_t stored = 0;
    if (digest_stored(job, &stored, err) < 0)
        return -1;
    struct source_file file;
    if (digest_source(job, &file, err) < 0)
        return -1;
    if (job->worker->digest.crc64 != stored)
        return 0;
    job->result->status = RESULT_UNCHANGED;
    job->result->size_bytes = file.size_bytes;
    job->result->mtime_ns = file.mtime_ns;
    worker_fill_record(job->worker, &job->result->record, source_racy(&file),
                       job->entry->record.etag);
    return 1;
}

/* The CRC of what would be put, in worker->digest. */
static int digest_entry(struct put_job *job, struct err *err)
{
    if (job->entry->kind == ENTRY_FILE) {
        struct source_file file;
        return digest_source(job, &file, err);
    }
    struct buf *target = &job->worker->text;
    if (job->entry->kind != ENTRY_LINK ||
        source_read_link(&job->worker->dirs, job->entry->name, target, err) < 0)
        return -1;
    digest_reset(&job->worker->digest);
    digest_add(&job->worker->digest, buf_text(target), target->len);
    return 0;
}

bool put_brought(struct worker *worker, const struct plan_entry *entry, const char *key)
{
    struct run *run = worker->run;
    struct put_job job = { .worker = worker, .store = run->store, .entry = entry };
    struct object object = { 0 };
    struct err ignored = { 0 }; /* whatever it is, putting the entry finds it again */
    bool same = run->store->driver->head(run->store, key, &object, &ignored) == 0 &&
                (object.attr.have & ATTR_CRC64) != 0 && object.size_bytes == entry->size_bytes &&
                object.attr.mtime_ns == entry->mtime_ns;
    if (same && pool_take(run->pool, &job.slab, 1, run->stop, &ignored) == 0) {
        same = digest_entry(&job, &ignored) == 0 && worker->digest.crc64 == object.attr.crc64;
        pool_give(run->pool, &job.slab, 1);
    } else {
        same = false;
    }
    object_done(&object);
    return same;
}

/* 1: what is there is what would be put, and the result says so; 0: it is not, or cannot be told,
 * and putting it finds out why; -1. */
static int compare(struct put_job *job, struct err *err)
{
    const bool by_content = worker_compares_content(job->worker, job->entry);
    for (uint32_t tries = 1;; tries++) {
        const int same = by_content ? compare_content(job, err) : compare_attr(job, err);
        if (same >= 0)
            return same;
        if (err->kind == ERR_CHANGED || err->kind == ERR_ABSENT) {
            err_clear(err);
            return 0;
        }
        if (worker_wait_to_retry(job->worker, tries, err) < 0)
            return -1;
    }
}

int put_compare(struct worker *worker, const struct plan_entry *entry, const char *key,
                struct result *result, struct err *err)
{
    struct run *run = worker->run;
    struct put_job job = {
        .worker = worker, .store = run->store, .entry = entry, .put.key = key, .result = result
    };
    if (pool_take(run->pool, &job.slab, 1, run->stop, err) < 0)
        return -1;
    const int same = compare(&job, err);
    pool_give(run->pool, &job.slab, 1);
    return same;
}

static int put_dir(struct put_job *job, struct err *err)
{
    const struct run *run = job->worker->run;
    SCOPED(buf) struct buf xattrs = { 0 };
    xattrs_read_dir(&run->job->spec, &run->sources, job->entry->name, &xattrs, &job->why);
    xattrs_left_out(&xattrs, &job->why);
    return put_memory(job, "", 0, err);
}

static int put_one(struct put_job *job, struct err *err)
{
    if (job->entry->kind == ENTRY_LINK)
        return put_link(job, err);
    if (job->entry->kind == ENTRY_DIR)
        return put_dir(job, err);
    if (job->entry->action == PLAN_COMPARE) {
        const int same = compare(job, err);
        if (same != 0)
            return same < 0 ? -1 : 0;
    }
    return put_file(job, err);
}

void put_entry(struct worker *worker, const struct plan_entry *entry, const char *key,
               const char *tag, struct result *result, bool *ret_staged)
{
    struct run *run = worker->run;
    const struct job_spec *spec = &run->job->spec;
    struct put_job job = {
        .worker = worker,
        .store = run->store,
        .entry = entry,
        .attr = { .kind = entry->kind,
                  .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                  .mode = entry->mode,
                  .uid = entry->uid,
                  .gid = entry->gid,
                  .mtime_ns = entry->mtime_ns },
        .result = result,
    };
    job.put = (struct store_put){ .key = key,
                                  .tag = tag,
                                  .attr = &job.attr,
                                  .meta = spec->meta,
                                  .meta_count = spec->meta_count,
                                  .if_absent = spec->immutable && !worker->brought &&
                                               entry->kind != ENTRY_DIR };
    struct err err = { 0 };
    if (pool_take(run->pool, &job.slab, 1, run->stop, &err) == 0) {
        if (put_one(&job, &err) == 0) {
            *ret_staged = run->store->limits.is_staged && result->status != RESULT_UNCHANGED;
            xattrs_tell(&run->notes, entry->name, &job.why);
        }
        pool_give(run->pool, &job.slab, 1);
    }
    if (err.kind != ERR_NONE) {
        result->status = RESULT_FAILED;
        result->err = mem_copy(&err, sizeof err);
    }
}
