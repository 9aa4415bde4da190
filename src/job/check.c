#include "job/check.h"

#include "base/ban.h"
#include "base/body.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/queue.h"
#include "base/scope.h"
#include "job/etag.h"
#include "job/filter.h"
#include "job/objects.h"
#include "job/source.h"
#include "job/stream.h"

#include <stdatomic.h>

#define READERS_MAX 1024u
#define QUEUE_CAP 256u
#define CHUNK_BYTES ((size_t)256 * 1024)

/* An entry whose content has to be looked at. */
struct task {
    char *name; /* local, in the tree of the source */
    char *key;
    struct buf stored; /* the key in its store */
    uint32_t bucket;   /* see struct object */
    enum entry_kind kind;
    uint64_t size_bytes;
    struct record record; /* valid for the object as it is now */
    bool local_as_recorded;
};

struct reader {
    struct check *check;
    struct thread thread;
    struct source_dirs dirs;
    struct digest digest;
    struct buf text;
};

struct check {
    struct check_options options;
    bool is_get;
    struct filter *filter;
    struct source_set sources; /* the local side */
    struct object_set objects; /* get */
    struct store *store;
    struct pool *pool;
    struct rate rate; /* of bytes */
    struct rate request_rate;
    struct flow flow;
    atomic_uint_fast64_t moved;
    struct queue tasks, findings;
    struct thread walker;
    struct reader *readers;
    uint32_t reader_count;
    atomic_uint left; /* threads that can still bring findings */
    struct lock lock;
    struct check_counts counts; /* guarded by lock */
    struct err err;             /* guarded by lock */
};

/* ---- findings ---- */

static void count(struct check *check, enum check_verdict verdict, uint64_t bytes)
{
    SCOPED_LOCK(&check->lock);
    check->counts.by_verdict[verdict]++;
    if (verdict < CHECK_DIRECTORY)
        check->counts.bytes += bytes;
}

static void find(struct check *check, enum check_verdict verdict, const char *name, const char *why)
{
    count(check, verdict, 0);
    struct check_finding *finding = mem_alloc(sizeof *finding);
    finding->verdict = verdict;
    finding->name = mem_string(name);
    finding->why = mem_string(why);
    if (!queue_put(&check->findings, finding))
        check_finding_free(finding);
}

void check_finding_free(struct check_finding *finding)
{
    if (finding == NULL)
        return;
    mem_release(finding->name);
    mem_release(finding->why);
    mem_release(finding);
}

/* The last thread that can find something closes the queue. */
static void thread_ends(struct check *check, const struct err *err)
{
    if (err != NULL && err->kind != ERR_NONE) {
        SCOPED_LOCK(&check->lock);
        if (check->err.kind == ERR_NONE)
            check->err = *err;
    }
    if (atomic_fetch_sub(&check->left, 1) == 1)
        queue_close(&check->findings);
}

/* ---- content ---- */

/* `etag` (may be NULL) is fed with it, too. */
static int read_file(struct reader *reader, const struct task *task, void *slab, struct etag *etag,
                     struct err *err)
{
    struct source_file file;
    if (source_open(&file, &reader->dirs, task->name, err) < 0)
        return -1;
    struct body body = body_of_fd(file.fd, 0, file.size_bytes, slab, CHUNK_BYTES, &reader->digest,
                                  &reader->check->flow);
    const void *bytes = NULL;
    size_t len = 1;
    int result = 0;
    while (result == 0 && len != 0) {
        result = body_next(&body, &bytes, &len, err);
        if (result == 0 && etag != NULL)
            etag_add(etag, bytes, len);
    }
    if (result == 0)
        result = source_check(&file, &reader->dirs, task->name, err);
    source_close(&file);
    return result;
}

static int digest_local(struct reader *reader, const struct task *task, struct etag *etag,
                        uint64_t *ret_crc64, struct err *err)
{
    digest_reset(&reader->digest);
    if (task->kind == ENTRY_LINK) {
        if (source_read_link(&reader->dirs, task->name, &reader->text, err) < 0)
            return -1;
        digest_add(&reader->digest, buf_text(&reader->text), reader->text.len);
        if (etag != NULL)
            etag_add(etag, buf_text(&reader->text), reader->text.len);
    } else {
        void *slab = NULL;
        if (pool_take(reader->check->pool, &slab, 1, reader->check->options.stop, err) < 0)
            return -1;
        const int result = read_file(reader, task, slab, etag, err);
        pool_give(reader->check->pool, &slab, 1);
        if (result < 0)
            return -1;
    }
    *ret_crc64 = reader->digest.crc64;
    return 0;
}

static int download(struct reader *reader, struct store *store, const char *key,
                    uint64_t *ret_crc64, struct err *err)
{
    digest_reset(&reader->digest);
    struct sink sink = { .flow = &reader->check->flow, .digest = &reader->digest, .fd = -1 };
    if (store->driver->get(store, key, 0, UINT64_MAX, "", &sink, NULL, err) < 0)
        return -1;
    *ret_crc64 = reader->digest.crc64;
    return 0;
}

static struct store *store_of(struct check *check, struct task *task, const char **ret_key)
{
    struct store *store = check->store;
    const char *key = task->key;
    if (check->is_get)
        store = object_set_find(&check->objects, task->key, &key)->store;
    store_bucket_key(task->bucket, key, &task->stored);
    *ret_key = task->stored.data;
    return store;
}

/* What is known of the stored content. */
struct stored {
    struct store *store;
    const char *key; /* the task's */
    uint64_t crc64;
    bool rotten;               /* read, and not what it was recorded to be */
    char etag[STORE_ETAG_MAX]; /* not "": all that there is; crc64 is not known */
};

/* The digest of what is stored: recorded, told by the store, or read now. */
static int digest_stored(struct reader *reader, struct task *task, struct stored *stored,
                         struct err *err)
{
    const bool downloads = reader->check->options.download;
    bool known = task->record.known;
    stored->store = store_of(reader->check, task, &stored->key);
    stored->crc64 = task->record.crc64;
    if (!known) {
        SCOPED(object) struct object object = { 0 };
        if (store_head_patiently(stored->store, stored->key, reader->check->options.stop, &object,
                                 err) < 0)
            return -1;
        known = (object.attr.have & ATTR_CRC64) != 0;
        stored->crc64 = object.attr.crc64;
        if (!known && !downloads && stored->store->limits.has_md5 && object.etag[0] != '\0') {
            memcpy(stored->etag, object.etag, STORE_ETAG_MAX);
            return 0;
        }
    }
    if (known && !downloads)
        return 0;
    const uint64_t expected = stored->crc64;
    if (download(reader, stored->store, stored->key, &stored->crc64, err) < 0)
        return -1;
    stored->rotten = known && stored->crc64 != expected;
    return 0;
}

/* 1: *ret_verdict says it; 0: both CRCs are known now. */
static int compare_etag(struct reader *reader, const struct task *task, struct stored *stored,
                        uint64_t *ret_local, enum check_verdict *ret_verdict, struct err *err)
{
    SCOPED(etag) struct etag etag;
    const uint64_t own_bytes = store_part_bytes(&stored->store->limits, task->size_bytes);
    const int usable = etag_open(&etag, stored->etag, task->size_bytes, own_bytes, err);
    if (usable < 0)
        return -1;
    *ret_verdict = etag.part_count != 0 ? CHECK_SIZE_PARTS : CHECK_SIZE_ETAG;
    if (usable == 0)
        return 1;
    if (digest_local(reader, task, &etag, ret_local, err) < 0)
        return -1;
    if (etag_fits(&etag)) {
        *ret_verdict = CHECK_SAME_READ;
        return 1;
    }
    if (etag.part_count != 0)
        return 1;
    /* Other content, or encrypted: to be sure. */
    return download(reader, stored->store, stored->key, &stored->crc64, err);
}

/* 1: *ret_verdict says it; 0: `stored` and *ret_local do. */
static int look_at(struct reader *reader, struct task *task, struct stored *stored,
                   uint64_t *ret_local, enum check_verdict *ret_verdict, struct err *err)
{
    const bool read_local =
        reader->check->options.deep || !task->record.known || !task->local_as_recorded;
    *ret_local = task->record.crc64;
    if (digest_stored(reader, task, stored, err) < 0)
        return -1;
    if (stored->etag[0] != '\0')
        return compare_etag(reader, task, stored, ret_local, ret_verdict, err);
    return read_local ? digest_local(reader, task, NULL, ret_local, err) : 0;
}

static void compare(struct reader *reader, struct task *task)
{
    struct check *check = reader->check;
    struct err err = { 0 };
    struct stored stored = { 0 };
    uint64_t local = 0;
    enum check_verdict verdict = CHECK_SAME_READ;
    const int looked = look_at(reader, task, &stored, &local, &verdict, &err);
    if (looked < 0) {
        if (err.kind == ERR_STOPPED)
            return;
        find(check, err.kind == ERR_CHANGED ? CHECK_DIFFERENT : CHECK_UNREADABLE, task->name,
             err.text);
        return;
    }
    char why[160];
    if (looked == 0 && stored.rotten)
        snprintf(why, sizeof why, "the stored bytes are not those that were stored (%016llx)",
                 (unsigned long long)stored.crc64);
    else if (looked == 0 && local != stored.crc64)
        snprintf(why, sizeof why, "content: CRC64NVME %016llx here, %016llx stored",
                 (unsigned long long)local, (unsigned long long)stored.crc64);
    else {
        count(check, verdict, task->size_bytes);
        return;
    }
    find(check, CHECK_DIFFERENT, task->name, why);
}

static void *reader_main(void *arg)
{
    struct reader *reader = arg;
    struct task *task;
    while ((task = queue_take(&reader->check->tasks, -1)) != NULL) {
        if (!stop_raised(reader->check->options.stop))
            compare(reader, task);
        mem_release(task->name);
        mem_release(task->key);
        buf_done(&task->stored);
        mem_release(task);
    }
    thread_ends(reader->check, NULL);
    return NULL;
}

/* ---- the walk ---- */

static bool etag_as_recorded(const struct stream_item *object, const struct stream_item *record)
{
    if (object->size_bytes != record->size_bytes)
        return false;
    if (object->etag[0] != '\0' && record->record.etag[0] != '\0')
        return strcmp(object->etag, record->record.etag) == 0;
    return object->has_attr && object->mtime_ns == record->mtime_ns;
}

static void check_content(struct check *check, const struct stream_item *local,
                          const struct stream_item *object, const struct stream_item *record)
{
    const bool deep = check->options.deep || check->options.download;
    const bool recorded =
        record != NULL && record->record.known && etag_as_recorded(object, record);
    const bool same_time = object->has_attr && local->mtime_ns == object->mtime_ns;
    const bool local_as_recorded = recorded && !record->record.racy &&
                                   local->size_bytes == record->size_bytes &&
                                   local->mtime_ns == record->mtime_ns;
    if (!deep && local->kind == ENTRY_FILE && local_as_recorded) {
        count(check, CHECK_SAME_RECORDED, local->size_bytes);
        return;
    }
    if (!deep && local->kind == ENTRY_FILE && record == NULL && same_time) {
        count(check, CHECK_SAME_TIME, local->size_bytes);
        return;
    }
    struct task *task = mem_alloc(sizeof *task);
    task->name = mem_copy(local->name, local->name_len + 1);
    task->key = mem_string(object->key);
    task->bucket = object->bucket;
    task->kind = local->kind;
    task->size_bytes = local->size_bytes;
    task->local_as_recorded = local_as_recorded;
    if (recorded)
        task->record = record->record;
    (void)!queue_put(&check->tasks, task);
}

static bool must_be_there(const struct check *check, const struct stream_item *item)
{
    if (item->kind != ENTRY_DIR || check->is_get)
        return true;
    return check->store->limits.is_tree || item->empty;
}

static void check_item(struct check *check, const struct stream_item *from,
                       const struct stream_item *there, const struct stream_item *record)
{
    if (from->reason != REASON_NONE) {
        struct plan_entry entry = { .reason = from->reason, .sys = from->sys };
        struct err why;
        plan_entry_explain(&entry, &why);
        if (from->reason == REASON_UNREADABLE || from->reason == REASON_DANGLING ||
            from->reason == REASON_COLLISION)
            find(check, CHECK_UNREADABLE, from->name, why.text);
        else
            count(check, CHECK_SKIPPED, 0);
        return;
    }
    if (there == NULL) {
        if (must_be_there(check, from))
            find(check, CHECK_MISSING, from->name, "is missing");
        return;
    }
    const struct stream_item *local = check->is_get ? there : from;
    const struct stream_item *object = check->is_get ? from : there;
    char why[160];
    if (from->kind != there->kind) {
        snprintf(why, sizeof why, "is a %s here and a %s there", entry_kind_name(local->kind),
                 entry_kind_name(object->kind));
        find(check, CHECK_DIFFERENT, from->name, why);
    } else if (from->kind == ENTRY_DIR) {
        count(check, CHECK_DIRECTORY, 0);
    } else if (from->size_bytes != there->size_bytes) {
        snprintf(why, sizeof why, "size: %llu bytes here, %llu stored",
                 (unsigned long long)local->size_bytes, (unsigned long long)object->size_bytes);
        find(check, CHECK_DIFFERENT, from->name, why);
    } else {
        check_content(check, local, object, record);
    }
}

static int open_streams(struct check *check, struct stream *streams[3], struct err *err)
{
    const struct job_spec *spec = check->options.spec;
    const struct crawl_options crawl = {
        .sources = &check->sources,
        .filter = check->is_get ? NULL : check->filter,
        .links = check->is_get ? LINKS_KEEP : spec->links,
        .one_file_system = spec->one_file_system,
        .crawlers = check->options.crawlers,
        .files_from = check->is_get ? NULL : spec->files_from,
        .files_from_nul = spec->files_from_nul,
        .is_listing = !check->is_get && spec->from_listing,
        .look_again = true,
        .stop = check->options.stop,
    };
    if (stream_of_crawl(&streams[check->is_get ? 1 : 0], &crawl, err) < 0)
        return -1;
    if (check->is_get) {
        if (stream_of_objects(&streams[0], &check->objects, check->filter, NULL, err) < 0)
            return -1;
    } else if (stream_of_store(&streams[1], check->store, NULL, err) < 0) {
        return -1;
    }
    uint32_t newest = 0;
    uint32_t finished = 0;
    if (check->options.job == NULL)
        return 0;
    if (job_generations(check->options.job, &newest, &finished, err) < 0)
        return -1;
    return finished != 0 ? stream_of_record(&streams[2], check->options.job, finished, NULL, err)
                         : 0;
}

static int walk(struct check *check, struct stream *streams[3], struct err *err)
{
    if (open_streams(check, streams, err) < 0)
        return -1;
    struct stream_item from;
    int got;
    while ((got = stream_next(streams[0], &from, err)) == 1) {
        struct stream_item *there = NULL;
        struct stream_item *record = NULL;
        const int got_there = check->is_get ? stream_seek_target(streams[1], &check->objects,
                                                                 from.name, from.kind, &there, err)
                                            : stream_seek(streams[1], from.key, &there, err);
        if (got_there < 0)
            return -1;
        if (streams[2] != NULL && stream_seek(streams[2], from.key, &record, err) < 0)
            return -1;
        check_item(check, &from, there, record);
    }
    return got;
}

static void *walker_main(void *arg)
{
    struct check *check = arg;
    struct stream *streams[3] = { NULL };
    struct err err = { 0 };
    (void)!walk(check, streams, &err);
    for (size_t i = 0; i < 3; i++)
        stream_close(streams[i]);
    queue_close(&check->tasks);
    thread_ends(check, &err);
    return NULL;
}

/* ---- the whole ---- */

static int open_filter(struct check *check, struct err *err)
{
    if (check->options.spec->filter[0] == '\0')
        return 0;
    return filter_from_text(&check->filter, check->options.spec->filter, err);
}

static int open_ends(struct check *check, struct err *err)
{
    const struct job_spec *spec = check->options.spec;
    if (check->is_get) {
        char *const target[] = { spec->dest };
        const struct source_options source = { 0 };
        const struct object_set_options objects = { .keep_name = spec->keep_name,
                                                    .one_name = spec->one_name,
                                                    .stop = check->options.stop,
                                                    .request_rate = &check->request_rate,
                                                    .stall_s = check->options.stall_s,
                                                    .bucket_objects = spec->bucket_objects,
                                                    .access = spec->access,
                                                    .keep_packs = spec->keep_packs };
        if (source_set_open(&check->sources, target, 1, &source, err) < 0)
            return -1;
        return object_set_open(&check->objects, spec->sources, spec->source_count, &objects, err);
    }
    const struct source_options source = { .keep_name = spec->keep_name,
                                           .follow = spec->links == LINKS_FOLLOW,
                                           .one_name = spec->one_name,
                                           .base = spec->base,
                                           .fallback = spec->fallback_root };
    if (source_set_open(&check->sources, spec->sources, spec->source_count, &source, err) < 0)
        return -1;
    const struct store_options opening = { .stop = check->options.stop,
                                           .request_rate = &check->request_rate,
                                           .stall_s = check->options.stall_s,
                                           .bucket_objects = spec->bucket_objects,
                                           .access = spec->access };
    if (store_open_location(&check->store, spec->dest, &opening, err) < 0)
        return -1;
    if (!check->store->limits.keeps_data)
        return err_set(err, ERR_USAGE, "'%s' keeps nothing that could be checked", spec->dest);
    return store_show_members(&check->store, NULL, check->options.stop, err) < 0 ? -1 : 0;
}

static int start_threads(struct check *check, struct err *err)
{
    const struct store *store = check->is_get ? check->objects.roots[0].store : check->store;
    uint32_t wanted =
        check->options.transfers != 0 ? check->options.transfers : store->limits.transfers;
    wanted = wanted == 0 ? 1 : wanted > READERS_MAX ? READERS_MAX : wanted;
    check->readers = mem_alloc(wanted * sizeof *check->readers);
    /* The walker is counted first: readers that end at once must not close the findings. */
    atomic_store(&check->left, 1);
    for (uint32_t i = 0; i < wanted; i++) {
        struct reader *reader = &check->readers[i];
        reader->check = check;
        source_dirs_init(&reader->dirs, &check->sources);
        if (digest_init(&reader->digest, 0, err) < 0)
            return -1;
        atomic_fetch_add(&check->left, 1);
        check->reader_count++;
        if (thread_start(&reader->thread, "lade-check", reader_main, reader, err) < 0)
            return -1;
    }
    return thread_start(&check->walker, "lade-walk", walker_main, check, err);
}

int check_start(struct check **ret_check, const struct check_options *options, struct err *err)
{
    struct check *check = mem_alloc(sizeof *check);
    check->options = *options;
    check->is_get = options->spec->direction == JOB_GET;
    lock_init(&check->lock);
    queue_init(&check->tasks, QUEUE_CAP);
    queue_init(&check->findings, QUEUE_CAP);
    rate_init(&check->rate, (double)options->bwlimit_bytes_per_s, clock_monotonic_ns());
    rate_init(&check->request_rate, (double)options->requests_per_s, clock_monotonic_ns());
    check->flow = (struct flow){ .rate = options->bwlimit_bytes_per_s != 0 ? &check->rate : NULL,
                                 .stop = options->stop,
                                 .moved = &check->moved };
    check->pool = pool_new(options->memory_bytes);
    if (open_filter(check, err) < 0 || open_ends(check, err) < 0 || start_threads(check, err) < 0) {
        struct err ignored = { 0 };
        queue_close(&check->tasks);
        queue_close(&check->findings);
        (void)!check_end(check, &ignored);
        return -1;
    }
    *ret_check = check;
    return 0;
}

struct check_finding *check_next(struct check *check, int64_t span_ns)
{
    return queue_take(&check->findings, span_ns);
}

bool check_ended(struct check *check)
{
    return queue_ended(&check->findings);
}

void check_counts(struct check *check, struct check_counts *ret_counts)
{
    SCOPED_LOCK(&check->lock);
    *ret_counts = check->counts;
    ret_counts->bytes_read = atomic_load(&check->moved);
}

int check_end(struct check *check, struct err *err)
{
    queue_close(&check->findings);
    thread_join(&check->walker);
    for (uint32_t i = 0; i < check->reader_count; i++) {
        struct reader *reader = &check->readers[i];
        thread_join(&reader->thread);
        source_dirs_done(&reader->dirs);
        digest_done(&reader->digest);
        buf_done(&reader->text);
    }
    for (struct check_finding *finding; (finding = queue_take(&check->findings, 0)) != NULL;)
        check_finding_free(finding);
    const struct err failed = check->err;
    mem_release(check->readers);
    if (check->store != NULL)
        check->store->driver->close(check->store);
    object_set_done(&check->objects);
    source_set_done(&check->sources);
    filter_free(check->filter);
    pool_free(check->pool);
    rate_done(&check->rate);
    rate_done(&check->request_rate);
    queue_done(&check->tasks);
    queue_done(&check->findings);
    lock_done(&check->lock);
    mem_release(check);
    if (failed.kind == ERR_NONE)
        return 0;
    *err = failed;
    return -1;
}
