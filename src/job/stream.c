#include "job/stream.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/dirlist.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/thread.h"
#include "job/result.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define SKIP_AFTER 2000u /* two pages of S3 */

enum stream_kind { STREAM_CRAWL, STREAM_OBJECTS, STREAM_RECORD };

struct stream {
    enum stream_kind kind;
    char *start_after;

    struct crawl *crawl;
    struct dir_cache dirs; /* STREAM_CRAWL: of the first source, to look at one name */

    const struct object_set *objects; /* STREAM_OBJECTS */
    struct object_set own;            /* stream_of_store(): a set of one */
    struct object_root own_root;
    const struct filter *filter;
    size_t root; /* the one being listed */
    struct store_list *list;
    struct object object;
    struct buf name;
    struct buf last; /* of several buckets: the key that was given last */
    uint64_t excluded;

    struct generation generation; /* STREAM_RECORD */
    uint32_t number;              /* of the open segment */
    bool is_put;
    bool open;
    bool has_result;
    struct segment segment;
    struct result_file results;
    struct result result;       /* the next one, when has_result */
    struct buf pack, pack_etag; /* that the entries at hand were put into */

    bool seeking; /* `ahead` holds an item that stream_seek() has not passed yet */
    bool asked;   /* and that somebody asked for */
    bool ended;
    stream_passed_fn passed;
    void *passed_ctx;
    struct stream_item ahead;
    struct buf mapped;    /* stream_of_store(): the key that was asked for, as the store has it */
    struct object sought; /* found by it */
    struct stream_item sought_item;
};

static struct stream *stream_new(enum stream_kind kind, const char *start_after)
{
    struct stream *stream = mem_alloc(sizeof *stream);
    stream->kind = kind;
    stream->start_after = start_after != NULL ? mem_string(start_after) : NULL;
    return stream;
}

/* ---- a crawl ---- */

int stream_of_crawl(struct stream **ret_stream, const struct crawl_options *options,
                    struct err *err)
{
    struct stream *stream = stream_new(STREAM_CRAWL, options->start_after);
    dir_cache_init(&stream->dirs, options->sources->roots[0].dir_fd, false);
    if (crawl_open(&stream->crawl, options, err) < 0) {
        stream_close(stream);
        return -1;
    }
    *ret_stream = stream;
    return 0;
}

static int next_crawled(struct stream *stream, struct stream_item *ret_item, struct err *err)
{
    struct crawl_item item;
    const int got = crawl_next(stream->crawl, &item, err);
    if (got <= 0)
        return got;
    *ret_item = (struct stream_item){ .key = item.key,
                                      .name = item.name,
                                      .name_len = item.name_len,
                                      .kind = item.kind,
                                      .reason = item.reason,
                                      .rule = item.rule,
                                      .sys = item.sys,
                                      .empty = item.empty,
                                      .mode = item.mode,
                                      .uid = item.uid,
                                      .gid = item.gid,
                                      .size_bytes = item.size_bytes,
                                      .mtime_ns = item.mtime_ns,
                                      .has_attr = !item.no_attr,
                                      .etag = "" };
    return 1;
}

/* ---- objects ---- */

int stream_of_objects(struct stream **ret_stream, const struct object_set *objects,
                      const struct filter *filter, const char *start_after, struct err *err)
{
    (void)err;
    struct stream *stream = stream_new(STREAM_OBJECTS, start_after);
    stream->objects = objects;
    stream->filter = filter;
    *ret_stream = stream;
    return 0;
}

/* A name that the store writes in another way is at another place in its listing: begin where both
 * are still the same, which is before either. */
static void safe_start(struct store *store, const char *start_after, struct buf *ret_after)
{
    SCOPED(buf) struct buf mapped = { 0 };
    struct err refused = { 0 };
    if (start_after == NULL)
        return;
    if (store->driver->map_key(store, start_after, &mapped, &refused) < 0)
        buf_clear(&mapped);
    size_t same = 0;
    while (same < mapped.len && start_after[same] == mapped.data[same])
        same++;
    /* Whole characters, unless all of it is the same. */
    if (start_after[same] != '\0')
        while (same != 0 && (unsigned char)start_after[same - 1] >= 0x80)
            same--;
    buf_add(ret_after, start_after, same);
}

int stream_of_store(struct stream **ret_stream, struct store *store, const char *start_after,
                    struct err *err)
{
    (void)err;
    SCOPED(buf) struct buf after = { 0 };
    safe_start(store, start_after, &after);
    struct stream *stream =
        stream_new(STREAM_OBJECTS, start_after != NULL ? buf_text(&after) : NULL);
    static char none[] = "";
    stream->own_root = (struct object_root){ .store = store, .name = none, .location = none };
    stream->own = (struct object_set){ .roots = &stream->own_root, .count = 1 };
    stream->objects = &stream->own;
    *ret_stream = stream;
    return 0;
}

static enum entry_kind kind_of_object(const struct object *object)
{
    if (object->attr.kind != ENTRY_UNKNOWN)
        return object->attr.kind;
    const char *key = buf_text(&object->key);
    if (path_ends_with(key, object->key.len, "/"))
        return ENTRY_DIR;
    return path_ends_with(key, object->key.len, LINK_SUFFIX) ? ENTRY_LINK : ENTRY_FILE;
}

static void item_of(const struct object *object, struct stream_item *item)
{
    *item = (struct stream_item){ .kind = kind_of_object(object),
                                  .mode = object->attr.mode,
                                  .uid = object->attr.uid,
                                  .gid = object->attr.gid,
                                  .size_bytes = object->size_bytes,
                                  .mtime_ns = object->attr.mtime_ns,
                                  .bucket = object->bucket,
                                  .has_attr = (object->attr.have & ATTR_MTIME) != 0,
                                  .etag = object->etag };
    if (item->kind == ENTRY_DIR)
        item->size_bytes = 0;
}

static void item_from_object(struct stream *stream, const struct object_root *root,
                             struct stream_item *item)
{
    const struct object *object = &stream->object;
    buf_clear(&stream->name);
    buf_add_text(&stream->name, root->name);
    if (root->name[0] != '\0' && root->key == NULL)
        buf_add_char(&stream->name, '/');
    if (root->key == NULL)
        buf_add(&stream->name, buf_text(&object->key), object->key.len);
    item_of(object, item);
    item->key = item->name = buf_text(&stream->name);
    item->name_len = (uint32_t)stream->name.len;
}

/* Where to start in a root, when the tree is to be continued behind start_after; false: all passed.
 */
static bool start_in_root(const struct stream *stream, const struct object_root *root,
                          const char **ret_after)
{
    *ret_after = "";
    if (stream->start_after == NULL)
        return true;
    const size_t len = strlen(root->name);
    if (len == 0) {
        *ret_after = stream->start_after;
        return true;
    }
    if (strncmp(stream->start_after, root->name, len) == 0 && stream->start_after[len] == '/') {
        *ret_after = stream->start_after + len + 1;
        return true;
    }
    return dirlist_compare(root->name, len, root->key == NULL ? "/" : "", stream->start_after,
                           strlen(stream->start_after), "") > 0;
}

/* The next object of the root at hand: 1, 0 when it has no more, -1. */
static int next_in_root(struct stream *stream, const struct object_root *root, struct err *err)
{
    const struct store_driver *driver = root->store->driver;
    const char *after = NULL;
    if (stream->list == NULL && !start_in_root(stream, root, &after))
        return 0;
    if (root->key != NULL) {
        if (stream->open)
            return 0;
        stream->open = true;
        return store_head_patiently(root->store, root->key, NULL, &stream->object, err) < 0 ? -1
                                                                                            : 1;
    }
    if (stream->list == NULL &&
        driver->list_open(&stream->list, root->store, "", after, false, err) < 0) {
        stream->list = NULL;
        return -1;
    }
    return driver->list_next(stream->list, &stream->object, err);
}

/* A name can be in two numbered buckets when somebody else put it there: the first one counts. */
static bool is_double(struct stream *stream, const struct object_root *root)
{
    const struct buf *key = &stream->object.key;
    if (stream->object.bucket == 0 || root->key != NULL)
        return false;
    if (stream->last.len == key->len && memcmp(buf_text(&stream->last), key->data, key->len) == 0)
        return true;
    buf_clear(&stream->last);
    buf_add(&stream->last, key->data, key->len);
    return false;
}

static int next_object(struct stream *stream, struct stream_item *ret_item, struct err *err)
{
    while (stream->root < stream->objects->count) {
        const struct object_root *root = &stream->objects->roots[stream->root];
        const int got = next_in_root(stream, root, err);
        if (got < 0)
            return root->location[0] != '\0' ? err_at(err, "list '%s'", root->location)
                                             : err_at(err, "list the destination");
        if (got == 0) {
            if (stream->list != NULL)
                root->store->driver->list_close(stream->list);
            stream->list = NULL;
            stream->open = false;
            buf_clear(&stream->last);
            stream->root++;
            continue;
        }
        if (is_double(stream, root))
            continue;
        item_from_object(stream, root, ret_item);
        if (stream->filter == NULL ||
            filter_path(stream->filter, ret_item->name, ret_item->name_len, NULL))
            return 1;
        stream->excluded++;
    }
    return 0;
}

/* ---- the record ---- */

int stream_of_record(struct stream **ret_stream, const struct job *job, uint32_t generation,
                     const char *start_after, struct err *err)
{
    struct stream *stream = stream_new(STREAM_RECORD, start_after);
    stream->generation.dir_fd = -1;
    stream->is_put = job->spec.direction == JOB_PUT;
    if (generation_open(&stream->generation, job, generation, err) < 0) {
        stream_close(stream);
        return -1;
    }
    *ret_stream = stream;
    return 0;
}

static int next_result(struct stream *stream, struct err *err)
{
    result_done(&stream->result);
    const int got = result_file_next(&stream->results, &stream->result, err);
    stream->has_result = got == 1;
    return got < 0 ? -1 : 0;
}

/* Open the next segment that is not passed already: 1, 0 at the end, -1. */
static int open_segment(struct stream *stream, struct err *err)
{
    while (stream->number < stream->generation.sealed) {
        stream->number++;
        if (segment_open(&stream->segment, stream->generation.dir_fd, stream->number, err) < 0)
            return -1;
        if (stream->start_after != NULL &&
            strcmp(buf_text(&stream->segment.last_key), stream->start_after) <= 0) {
            segment_done(&stream->segment);
            continue;
        }
        if (result_file_open(&stream->results, stream->generation.dir_fd, stream->number, true,
                             err) < 0) {
            segment_done(&stream->segment);
            return -1;
        }
        stream->open = true;
        return next_result(stream, err) < 0 ? -1 : 1;
    }
    return 0;
}

static void close_segment(struct stream *stream)
{
    segment_done(&stream->segment);
    result_file_done(&stream->results);
    result_done(&stream->result);
    stream->has_result = false;
    stream->open = false;
}

static void item_from_record(struct stream *stream, const struct plan_entry *entry,
                             struct stream_item *item)
{
    *item = (struct stream_item){ .name = entry->name,
                                  .name_len = entry->name_len,
                                  .kind = entry->kind,
                                  .mode = entry->mode,
                                  .uid = entry->uid,
                                  .gid = entry->gid,
                                  .size_bytes = entry->size_bytes,
                                  .mtime_ns = entry->mtime_ns,
                                  .has_attr = true,
                                  .record = entry->record };
    buf_clear(&stream->name);
    buf_add(&stream->name, entry->name, entry->name_len);
    /* In a put the name is the link's own, whatever it ends in; in a get it is the key. */
    if (entry->kind == ENTRY_LINK && stream->is_put)
        buf_add_text(&stream->name, LINK_SUFFIX);
    item->key = buf_text(&stream->name);
}

/* The ETag of a pack is recorded with the first member that came into it. */
static void pack_of(struct stream *stream, const struct plan_entry *entry,
                    const struct result *result, struct stream_item *item)
{
    if (strcmp(entry->pack, buf_text(&stream->pack)) != 0) {
        buf_clear(&stream->pack);
        buf_add_text(&stream->pack, entry->pack);
        buf_clear(&stream->pack_etag);
    }
    if (result->record.etag[0] != '\0') {
        buf_clear(&stream->pack_etag);
        buf_add_text(&stream->pack_etag, result->record.etag);
    }
    item->pack = buf_text(&stream->pack);
    item->pack_etag = buf_text(&stream->pack_etag);
}

/* Join an entry with its result. False: there is nothing recorded of it. */
static bool join(struct stream *stream, const struct plan_entry *entry, struct stream_item *item)
{
    if (entry->kind == ENTRY_GONE)
        return false;
    item_from_record(stream, entry, item);
    item->pack = entry->kept;
    item->pack_etag = entry->kept_etag;
    if (!stream->has_result || stream->result.ordinal != entry->ordinal)
        return plan_entry_settled(entry) == RESULT_UNCHANGED;
    const struct result *result = &stream->result;
    if (result->status != RESULT_DONE && result->status != RESULT_REPLACED &&
        result->status != RESULT_UNCHANGED)
        return false;
    item->size_bytes = result->size_bytes;
    item->mtime_ns = result->mtime_ns;
    item->record = result->record;
    if (result->status != RESULT_UNCHANGED)
        item->pack = item->pack_etag = NULL;
    if (result->status != RESULT_UNCHANGED && entry->pack != NULL)
        pack_of(stream, entry, result, item);
    return true;
}

static int next_recorded(struct stream *stream, struct stream_item *ret_item, struct err *err)
{
    for (;;) {
        if (!stream->open) {
            const int got = open_segment(stream, err);
            if (got <= 0)
                return got;
        }
        struct plan_entry entry;
        const int got = segment_next(&stream->segment, &entry, err);
        if (got < 0)
            return -1;
        if (got == 0) {
            close_segment(stream);
            continue;
        }
        while (stream->has_result && stream->result.ordinal < entry.ordinal)
            if (next_result(stream, err) < 0)
                return -1;
        if (join(stream, &entry, ret_item))
            return 1;
    }
}

/* ---- all ---- */

int stream_next(struct stream *stream, struct stream_item *ret_item, struct err *err)
{
    switch (stream->kind) {
    case STREAM_CRAWL:
        return next_crawled(stream, ret_item, err);
    case STREAM_OBJECTS:
        return next_object(stream, ret_item, err);
    default: {
        const int got = next_recorded(stream, ret_item, err);
        return got < 0 ? err_at(err, "what the last run recorded") : got;
    }
    }
}

/* A store may write a name in another way, and then it is listed at another place than where the
 * crawl has it. Such names are few: each is asked for by itself. 1 when the key is one of them. */
static bool is_mapped(struct stream *stream, const char *key)
{
    struct store *store = stream->own_root.store;
    struct err refused = { 0 }; /* a key that the store cannot have is not in the listing either */
    return stream->kind == STREAM_OBJECTS && store != NULL &&
           store->driver->map_key(store, key, &stream->mapped, &refused) == 0 &&
           strcmp(stream->mapped.data, key) != 0;
}

/* An object whose name the store writes in another way: it is at another place of the listing than
 * its name, and asked for by itself. */
static bool is_aside(struct stream *stream)
{
    struct store *store = stream->own_root.store;
    struct err odd = { 0 };
    return stream->kind == STREAM_OBJECTS && store != NULL &&
           store->driver->unmap_key(store, stream->ahead.key, &stream->mapped, &odd) == 0 &&
           strcmp(buf_text(&stream->mapped), stream->ahead.key) != 0;
}

static int seek_mapped(struct stream *stream, struct stream_item **ret_item, struct err *err)
{
    struct store *store = stream->own_root.store;
    struct err why = { 0 };
    if (store_head_patiently(store, stream->mapped.data, NULL, &stream->sought, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        *err = why;
        return -1;
    }
    item_of(&stream->sought, &stream->sought_item);
    stream->sought_item.key = stream->sought_item.name = stream->mapped.data;
    stream->sought_item.name_len = (uint32_t)stream->mapped.len;
    *ret_item = &stream->sought_item;
    return 1;
}

/* Much that is not asked for lies before `key`, such as other data of the bucket: the listing goes
 * on shortly before it. What is listed anew ascends from there, so nothing is given twice. */
static void skip_listed(struct stream *stream, const char *key)
{
    if (stream->objects != &stream->own || stream->list == NULL || key[0] == '\0')
        return;
    SCOPED(buf) struct buf before = { 0 };
    SCOPED(buf) struct buf after = { 0 };
    buf_add(&before, key, strlen(key) - 1);
    safe_start(stream->own_root.store, buf_text(&before), &after);
    if (strcmp(buf_text(&after), stream->ahead.key) <= 0)
        return;
    stream->own_root.store->driver->list_close(stream->list);
    stream->list = NULL;
    mem_release(stream->start_after);
    stream->start_after = buf_take(&after);
}

void stream_tell_passed(struct stream *stream, stream_passed_fn passed, void *ctx)
{
    stream->passed = passed;
    stream->passed_ctx = ctx;
}

static int pass(struct stream *stream, struct err *err)
{
    stream->seeking = false;
    if (stream->passed != NULL && !stream->asked)
        return stream->passed(stream->passed_ctx, &stream->ahead, err);
    stream->asked = false;
    return 0;
}

int stream_drain(struct stream *stream, struct err *err)
{
    int got = stream->seeking ? pass(stream, err) : 0;
    while (got == 0 && !stream->ended && (got = stream_next(stream, &stream->ahead, err)) == 1)
        got = pass(stream, err);
    return got;
}

int stream_seek(struct stream *stream, const char *key, struct stream_item **ret_item,
                struct err *err)
{
    uint32_t passed = 0;
    if (is_mapped(stream, key))
        return seek_mapped(stream, ret_item, err);
    for (;;) {
        if (!stream->seeking) {
            if (stream->ended)
                return 0;
            const int got = stream_next(stream, &stream->ahead, err);
            if (got < 0)
                return -1;
            stream->ended = got == 0;
            stream->seeking = got == 1 && !is_aside(stream);
            continue;
        }
        const int order = strcmp(stream->ahead.key, key);
        if (order > 0)
            return 0;
        if (order == 0) {
            *ret_item = &stream->ahead;
            stream->asked = true;
            return 1;
        }
        if (++passed % SKIP_AFTER == 0)
            skip_listed(stream, key);
        if (pass(stream, err) < 0)
            return -1;
    }
}

static enum entry_kind kind_of_mode(mode_t mode)
{
    if (S_ISREG(mode))
        return ENTRY_FILE;
    if (S_ISDIR(mode))
        return ENTRY_DIR;
    return S_ISLNK(mode) ? ENTRY_LINK : ENTRY_SPECIAL;
}

/* 1, 0 there is nothing, -1. */
static int look_at(struct stream *stream, char *rel, struct stream_item **ret_item, struct err *err)
{
    const size_t len = strlen(rel);
    if (len != 0 && rel[len - 1] == '/')
        rel[len - 1] = '\0';
    int dir_fd = -1;
    const char *name = NULL;
    struct stat st;
    struct err why = { 0 };
    if (dir_cache_at(&stream->dirs, rel, false, &dir_fd, &name, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        *err = why;
        return -1;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, ERR_LOCAL, "look at '%s'", rel);
    stream->sought_item =
        (struct stream_item){ .key = rel,
                              .name = rel,
                              .name_len = (uint32_t)strlen(rel),
                              .kind = kind_of_mode(st.st_mode),
                              .mode = st.st_mode & 07777,
                              .uid = st.st_uid,
                              .gid = st.st_gid,
                              .size_bytes = S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size,
                              .mtime_ns = clock_from_timespec_ns(st.st_mtim),
                              .has_attr = true,
                              .etag = "" };
    *ret_item = &stream->sought_item;
    return 1;
}

int stream_seek_target(struct stream *stream, const struct object_set *objects, const char *name,
                       enum entry_kind kind, struct stream_item **ret_item, struct err *err)
{
    const struct object_root *root = NULL;
    const char *key = NULL;
    struct err ignored = { 0 }; /* a name that cannot be made here is not here */
    if (object_set_local(objects, name, kind, &root, &key, &stream->mapped, &ignored) < 0)
        return 0;
    /* A link is in the crawl under its object's key, as it is here but for the suffix. */
    if (strncmp(name, stream->mapped.data, stream->mapped.len) == 0)
        return stream_seek(stream, name, ret_item, err);
    return look_at(stream, stream->mapped.data, ret_item, err);
}

uint64_t stream_excluded_count(const struct stream *stream)
{
    return stream->crawl != NULL ? crawl_excluded_count(stream->crawl) : stream->excluded;
}

void stream_close(struct stream *stream)
{
    if (stream == NULL)
        return;
    crawl_close(stream->crawl);
    if (stream->kind == STREAM_CRAWL)
        dir_cache_done(&stream->dirs);
    if (stream->list != NULL)
        stream->objects->roots[stream->root].store->driver->list_close(stream->list);
    object_done(&stream->object);
    object_done(&stream->sought);
    buf_done(&stream->mapped);
    buf_done(&stream->name);
    buf_done(&stream->last);
    buf_done(&stream->pack);
    buf_done(&stream->pack_etag);
    if (stream->kind == STREAM_RECORD) {
        if (stream->open)
            close_segment(stream);
        generation_done(&stream->generation);
    }
    mem_release(stream->start_after);
    mem_release(stream);
}
