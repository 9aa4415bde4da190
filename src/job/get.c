/* One object becomes an entry of the target directory. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/run_internal.h"
#include "job/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

struct get_job {
    struct worker *worker;
    struct store *store;
    const struct plan_entry *entry;
    const char *key, *rel, *tag;
    struct result *result;
    struct err why; /* of attributes that could not be set */
};

/* Is what came what was stored? */
static int verify(const struct get_job *job, const struct sink *sink, const struct object *object,
                  struct err *err)
{
    if (sink->done_bytes != object->size_bytes)
        return err_set(err, ERR_CORRUPT, "%llu bytes came of %llu",
                       (unsigned long long)sink->done_bytes,
                       (unsigned long long)object->size_bytes);
    if ((object->attr.have & ATTR_CRC64) != 0 && object->attr.crc64 != job->worker->digest.crc64)
        return err_set(err, ERR_CORRUPT,
                       "its content is not what was stored: CRC64NVME %016llx, recorded %016llx",
                       (unsigned long long)job->worker->digest.crc64,
                       (unsigned long long)object->attr.crc64);
    return 0;
}

static void done(struct get_job *job, const struct object *object)
{
    const bool is_new = job->entry->action == PLAN_NEW;
    job->result->status = is_new ? RESULT_DONE : RESULT_REPLACED;
    job->result->size_bytes = object->size_bytes;
    job->result->mtime_ns = object->attr.mtime_ns;
    worker_fill_record(job->worker, &job->result->record, false, object->etag);
}

/* Fetch into the sink, whole and verified. */
static int fetch(struct get_job *job, struct sink *sink, struct object *object, struct err *err)
{
    digest_reset(&job->worker->digest);
    sink->done_bytes = 0;
    const struct store_driver *driver = job->store->driver;
    if (driver->get(job->store, job->key, 0, UINT64_MAX, "", sink, object, err) < 0)
        return -1;
    return verify(job, sink, object, err);
}

static int get_file_once(struct get_job *job, struct object *object, struct err *err)
{
    SCOPED_FD int fd = -1;
    if (stage_open(&job->worker->stage, job->rel, job->tag, false, &fd, err) < 0)
        return -1;
    struct sink sink = { .flow = &job->worker->run->flow,
                         .digest = &job->worker->digest,
                         .fd = fd,
                         .keep_holes = true };
    if (fetch(job, &sink, object, err) < 0)
        return -1;
    if (file_set_size(fd, object->size_bytes, err) < 0)
        return -1;
    return xattrs_set(&job->worker->run->job->spec, fd, &object->attr,
                      object->has_xattrs ? &object->xattrs : NULL, true, &job->why, err);
}

static int get_link_once(struct get_job *job, struct object *object, struct err *err)
{
    char target[PATH_MAX + 1];
    struct sink sink = { .flow = &job->worker->run->flow,
                         .digest = &job->worker->digest,
                         .fd = -1,
                         .memory = (unsigned char *)target,
                         .memory_bytes = PATH_MAX };
    if (fetch(job, &sink, object, err) < 0)
        return -1;
    target[sink.done_bytes] = '\0';
    if (strlen(target) != sink.done_bytes || sink.done_bytes == 0)
        return err_set(err, ERR_CORRUPT, "is not the target of a link");
    return stage_link(&job->worker->stage, job->rel, job->tag, target, &object->attr, err);
}

static int get_with_retries(struct get_job *job, struct err *err)
{
    struct object object = { 0 };
    int result = -1;
    for (uint32_t tries = 1;; tries++) {
        result = job->entry->kind == ENTRY_LINK ? get_link_once(job, &object, err)
                                                : get_file_once(job, &object, err);
        if (result == 0)
            break;
        struct err ignored = { 0 };
        (void)!stage_discard(&job->worker->stage, job->rel, job->tag, &ignored);
        job->result->retries++;
        if (worker_wait_to_retry(job->worker, tries, err) < 0)
            break;
    }
    if (result == 0) {
        done(job, &object);
        xattrs_tell(&job->worker->run->notes, job->entry->name, &job->why);
    }
    object_done(&object);
    return result;
}

/* Made so that it can be filled; its own mode comes when everything is in it. */
static int make_directory(struct get_job *job, struct err *err)
{
    SCOPED(buf) struct buf rel = { 0 };
    buf_add_text(&rel, job->rel);
    while (rel.len != 0 && rel.data[rel.len - 1] == '/')
        buf_cut(&rel, rel.len - 1);
    const int root_fd = job->worker->run->sources.roots[0].dir_fd;
    if (stage_make_dir(&job->worker->stage, buf_text(&rel), err) < 0)
        return -1;
    SCOPED_FD int fd =
        path_open(root_fd, buf_text(&rel), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
    /* Without permission to look into it the owner still can give it to itself, by its parent. */
    if (fd < 0 && errno != EACCES)
        return err_sys(err, ERR_LOCAL, "make the directory");
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
        (void)!fchmod(fd, (st.st_mode & 07777) | 0700);
    job->result->status = job->entry->action == PLAN_NEW ? RESULT_DONE : RESULT_REPLACED;
    job->result->record.known = true;
    return 0;
}

/* Of the file open as fd; its bytes do not count as moved. */
static int digest_local(struct worker *worker, int fd, uint64_t size_bytes, struct digest *digest,
                        struct err *err)
{
    void *slab = NULL;
    if (pool_take(worker->run->pool, &slab, 1, worker->run->stop, err) < 0)
        return -1;
    digest_reset(digest);
    struct body body =
        body_of_fd(fd, 0, size_bytes, slab, CHUNK_BYTES, digest, &worker->run->read_flow);
    const void *bytes = NULL;
    size_t len = 1;
    int result = 0;
    while (result == 0 && len != 0)
        result = body_next(&body, &bytes, &len, err);
    pool_give(worker->run->pool, &slab, 1);
    return result;
}

/* Nothing asks for the content: are size and time what is kept with the object? */
static bool same_by_attr(const struct object *object, const struct stat *st)
{
    return (object->attr.have & ATTR_MTIME) != 0 &&
           object->attr.mtime_ns == clock_from_timespec_ns(st->st_mtim) &&
           object->size_bytes == (uint64_t)st->st_size;
}

static bool same_link(int dir_fd, const char *name, const struct result *result)
{
    char target[PATH_MAX];
    const ssize_t len = readlinkat(dir_fd, name, target, sizeof target);
    return len >= 0 && (uint64_t)len == result->size_bytes &&
           crc64nvme(0, target, (size_t)len) == result->record.crc64;
}

bool get_brought(struct worker *worker, const char *rel, const struct result *result)
{
    int dir_fd = -1;
    const char *name = NULL;
    struct stat st;
    struct err ignored = { 0 }; /* whatever it is, the commit finds it again */
    if (dir_cache_at(&worker->stage.dirs, rel, false, &dir_fd, &name, &ignored) < 0 ||
        fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (result->mtime_ns != 0 && clock_from_timespec_ns(st.st_mtim) != result->mtime_ns))
        return false;
    if (S_ISLNK(st.st_mode))
        return same_link(dir_fd, name, result);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != result->size_bytes)
        return false;
    SCOPED_FD int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    return fd >= 0 && digest_local(worker, fd, result->size_bytes, &digest, &ignored) == 0 &&
           digest.crc64 == result->record.crc64;
}

/* Nothing is recorded with the object: read it. */
static int digest_stored(struct get_job *job, uint64_t *ret_crc64, struct err *err)
{
    digest_reset(&job->worker->digest);
    struct sink sink = { .flow = &job->worker->run->read_flow,
                         .digest = &job->worker->digest,
                         .fd = -1 };
    if (job->store->driver->get(job->store, job->key, 0, UINT64_MAX, "", &sink, NULL, err) < 0)
        return -1;
    *ret_crc64 = job->worker->digest.crc64;
    return 0;
}

static int same_content(struct get_job *job, const struct object *object, int dir_fd,
                        const char *name, const struct stat *st, struct err *err)
{
    struct digest *digest = &job->worker->digest;
    uint64_t stored = object->attr.crc64;
    if ((object->attr.have & ATTR_CRC64) == 0 && digest_stored(job, &stored, err) < 0)
        return -1;
    if (S_ISLNK(st->st_mode)) {
        const struct result expected = { .size_bytes = object->size_bytes, .record.crc64 = stored };
        if (!same_link(dir_fd, name, &expected))
            return 0;
        digest->crc64 = stored;
        return 1;
    }
    SCOPED_FD int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s'", name);
    if (digest_local(job->worker, fd, object->size_bytes, digest, err) < 0)
        return -1;
    return digest->crc64 == stored;
}

static int compare_with(struct get_job *job, const struct object *object, struct err *err)
{
    int dir_fd = -1;
    const char *name = NULL;
    struct stat st;
    if (dir_cache_at(&job->worker->stage.dirs, job->rel, false, &dir_fd, &name, err) < 0)
        return -1;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, ERR_ABSENT, "look at '%s'", job->rel);
    const bool is_link = job->entry->kind == ENTRY_LINK;
    if ((is_link ? !S_ISLNK(st.st_mode) : !S_ISREG(st.st_mode)) ||
        (uint64_t)st.st_size != object->size_bytes)
        return 0;
    if (!worker_compares_content(job->worker, job->entry) && same_by_attr(object, &st)) {
        job->result->record.known = (object->attr.have & ATTR_CRC64) != 0;
        job->result->record.crc64 = object->attr.crc64;
        snprintf(job->result->record.etag, STORE_ETAG_MAX, "%s", object->etag);
        job->result->size_bytes = object->size_bytes;
    } else {
        const int same = same_content(job, object, dir_fd, name, &st, err);
        if (same != 1)
            return same;
        done(job, object);
    }
    job->result->mtime_ns = clock_from_timespec_ns(st.st_mtim);
    job->result->status = RESULT_UNCHANGED;
    return 1;
}

/* 1: what is here is what is stored, and the result says so; 0: it is not; -1. */
static int compare(struct get_job *job, struct err *err)
{
    struct object object = { 0 };
    int same = -1;
    for (uint32_t tries = 1;; tries++) {
        if (job->store->driver->head(job->store, job->key, &object, err) == 0)
            same = compare_with(job, &object, err);
        if (same >= 0 || worker_wait_to_retry(job->worker, tries, err) < 0)
            break;
    }
    object_done(&object);
    /* Gone meanwhile here: then there is nothing to lose. Gone there: fetching it says so. */
    if (same < 0 && err->kind == ERR_ABSENT) {
        err_clear(err);
        return 0;
    }
    if (same != 0 || job->worker->run->job->spec.overwrite)
        return same;
    err_set(err, ERR_CONFLICT, "%s", plan_reason_text(REASON_EXISTS));
    return err_hint(err, "use --overwrite to replace it");
}

int get_compare(struct worker *worker, const struct plan_entry *entry,
                const struct object_root *root, const char *key, const char *rel,
                struct result *result, struct err *err)
{
    struct get_job job = { .worker = worker,
                           .store = root->store,
                           .entry = entry,
                           .key = key,
                           .rel = rel,
                           .result = result };
    return compare(&job, err);
}

static int get_one(struct get_job *job, bool *ret_staged, struct err *err)
{
    if (job->entry->kind == ENTRY_DIR) {
        *ret_staged = true;
        return make_directory(job, err);
    }
    if (job->entry->action == PLAN_COMPARE) {
        const int same = compare(job, err);
        if (same != 0)
            return same < 0 ? -1 : 0;
    }
    if (get_with_retries(job, err) < 0)
        return -1;
    *ret_staged = true;
    return 0;
}

void get_entry(struct worker *worker, const struct plan_entry *entry,
               const struct object_root *root, const char *key, const char *rel, const char *tag,
               struct result *result, bool *ret_staged)
{
    struct get_job job = { .worker = worker,
                           .store = root->store,
                           .entry = entry,
                           .key = key,
                           .rel = rel,
                           .tag = tag,
                           .result = result };
    struct err err = { 0 };
    if (get_one(&job, ret_staged, &err) == 0)
        return;
    *ret_staged = false;
    result->status = RESULT_FAILED;
    result->err = mem_copy(&err, sizeof err);
}
