#include "pack/catalog.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define OPENERS 16u /* indexes that are read at once */
#define INDEX_BYTES_MAX (UINT64_C(4) << 30)
#define CATALOG_FETCH_MAX (UINT64_C(256) << 20)

/* ---- bytes of a pack ---- */

/* One range, again after a pause when that can help. */
static int read_object(struct store *store, const char *key, const char *etag, uint64_t offset,
                       size_t len, const struct stop *stop, struct buf *out, struct err *err)
{
    const size_t start = out->len;
    buf_reserve(out, len);
    for (uint32_t tries = 1;; tries++) {
        struct flow flow = { .stop = stop };
        struct sink sink = { .flow = &flow,
                             .fd = -1,
                             .memory = (unsigned char *)out->data + start,
                             .memory_bytes = len };
        if (store->driver->get(store, key, offset, len, etag, &sink, NULL, err) == 0) {
            out->len = start + (size_t)sink.done_bytes;
            out->data[out->len] = '\0';
            return sink.done_bytes == len ? 0
                                          : err_set(err, ERR_CORRUPT, "%llu bytes came of %zu",
                                                    (unsigned long long)sink.done_bytes, len);
        }
        if (store_wait_patiently(tries, stop, err) < 0)
            return -1;
    }
}

int catalog_fetch(struct store *store, const char *key, const char *etag, uint64_t size_bytes,
                  const struct stop *stop, struct buf *out, struct err *err)
{
    if (size_bytes > CATALOG_FETCH_MAX)
        return err_set(err, ERR_LIMIT, "it has %llu bytes", (unsigned long long)size_bytes);
    return read_object(store, key, etag, 0, (size_t)size_bytes, stop, out, err);
}

static int read_pack(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    const struct catalog_pack *pack = from;
    return read_object(pack->store, pack->key, pack->etag, offset, len, pack->stop, out, err);
}

static int read_kept(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    const struct catalog_pack *pack = from;
    return cache_read(&pack->kept, offset, len, out, err);
}

/* ---- opening ---- */

/* Is the index that of this very object? */
static int check_etag(struct catalog_pack *pack, struct err *err)
{
    const char *etag = pack_info(pack->pack)->etag;
    if (etag[0] == '\0' || pack->etag[0] == '\0' || strcmp(etag, pack->etag) == 0)
        return 0;
    pack_free(pack->pack);
    pack->pack = NULL;
    return err_set(err, ERR_ABSENT, "its index is of another object");
}

static int open_plain(struct catalog_pack *pack, const struct pack_source *source, struct err *err)
{
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    SCOPED(object) struct object object = { 0 };
    buf_printf(&key, "%s" PACK_INDEX_SUFFIX, pack->key);
    if (store_head_patiently(pack->store, key.data, pack->stop, &object, err) < 0)
        return -1;
    if (object.size_bytes > INDEX_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "an index of %llu bytes",
                       (unsigned long long)object.size_bytes);
    if (read_object(pack->store, key.data, object.etag, 0, (size_t)object.size_bytes, pack->stop,
                    &index, err) < 0 ||
        pack_open_index(&pack->pack, index.data, index.len, source, err) < 0)
        return -1;
    return check_etag(pack, err);
}

/* ---- the cache ---- */

static struct cache_key key_of(const struct catalog_pack *pack, const char *scheme)
{
    const char *slash = strrchr(pack->key, '/');
    return (struct cache_key){ .kind = CACHE_INDEX,
                               .scheme = scheme,
                               .name = slash != NULL ? slash + 1 : pack->key,
                               .etag = pack->etag,
                               .size_bytes = pack->size_bytes };
}

/* Its index as it was kept; false: there is none, or none that fits. One without bytes says that
 * the object is no pack. */
static bool open_kept(struct catalog_pack *pack, const struct cache *cache, const char *scheme,
                      const struct pack_source *source)
{
    const struct cache_key key = key_of(pack, scheme);
    struct err ignored = { 0 };
    if (!cache_find(cache, &key, &pack->kept))
        return false;
    if (pack->kept.size_bytes == 0) {
        err_set(&pack->err, ERR_ABSENT, "is no pack of lade");
        return true;
    }
    const struct pack_source index = { .read = read_kept,
                                       .from = pack,
                                       .size_bytes = pack->kept.size_bytes };
    return pack_open_apart(&pack->pack, &index, source, &ignored) == 0 &&
           check_etag(pack, &ignored) == 0;
}

/* Into the cache, and then it is read from there: what was read of it need not be held. */
static void keep(struct catalog_pack *pack, struct cache *cache, const struct pack_source *source)
{
    const char *scheme = pack->store->driver->scheme;
    const struct cache_key key = key_of(pack, scheme);
    SCOPED(buf) struct buf index = { 0 };
    struct err ignored = { 0 }; /* who reads the pack meets it again */
    if (cache->dir_fd < 0 || pack->etag[0] == '\0' ||
        pack_index_bytes(pack->pack, &index, &ignored) < 0)
        return;
    cache_keep(cache, &key, index.data, index.len);
    struct pack *direct = pack->pack;
    pack->pack = NULL;
    if (open_kept(pack, cache, scheme, source) && pack->pack != NULL)
        pack_free(direct);
    else
        pack->pack = direct;
}

/* Where its members stand: the pack says what its own name is in the tree that they are of. */
static void place(struct catalog_pack *pack, bool alone)
{
    const char *name = pack_info(pack->pack)->name;
    const size_t name_len = strlen(name);
    const size_t key_len = strlen(pack->key);
    SCOPED(buf) struct buf above = { 0 };
    SCOPED(buf) struct buf skipped = { 0 };
    if (alone)
        ; /* by itself: as tar would */
    else if (key_len >= name_len && strcmp(pack->key + key_len - name_len, name) == 0)
        buf_add(&above, pack->key, key_len - name_len);
    else if (path_ends_with(name, name_len, pack->key) && name[name_len - key_len - 1] == '/')
        buf_add(&skipped, name, name_len - key_len);
    else if (strrchr(pack->key, '/') != NULL) /* it was renamed */
        buf_add(&above, pack->key, (size_t)(strrchr(pack->key, '/') + 1 - pack->key));
    pack->above = mem_string(buf_text(&above));
    pack->skipped = mem_string(buf_text(&skipped));
}

static int open_direct(struct catalog_pack *pack, struct cache *cache,
                       const struct pack_source *source)
{
    if (pack->has_sidecar ? open_plain(pack, source, &pack->err) == 0
                          : pack_open(&pack->pack, source, &pack->err) == 0) {
        keep(pack, cache, source);
        return 0;
    }
    pack->pack = NULL;
    /* The object was there, and is none of ours: it need not be looked at again. */
    if (!pack->has_sidecar && pack->err.kind == ERR_ABSENT && pack->err.http == 0 &&
        pack->err.sys == 0) {
        const struct cache_key key = key_of(pack, pack->store->driver->scheme);
        cache_keep(cache, &key, "", 0);
    }
    return -1;
}

static void not_kept(struct catalog_pack *pack)
{
    err_set(&pack->err, ERR_LOCAL, "its index is not in the cache");
}

static void open_pack(struct catalog_pack *pack, struct cache *cache,
                      const struct catalog_options *options)
{
    const struct pack_source source = { .read = read_pack,
                                        .from = pack,
                                        .size_bytes = pack->size_bytes };
    if (open_kept(pack, cache, pack->store->driver->scheme, &source))
        ;
    else if (options->seen != NULL)
        not_kept(pack);
    else if (open_direct(pack, cache, &source) < 0)
        return;
    if (pack->pack != NULL)
        place(pack, options->only != NULL);
}

static void open_offline(struct catalog_pack *pack, const struct cache *cache, const char *scheme,
                         const struct catalog_options *options)
{
    const struct pack_source nowhere = { .size_bytes = pack->size_bytes };
    if (!open_kept(pack, cache, scheme, &nowhere))
        not_kept(pack);
    else if (pack->pack != NULL)
        place(pack, options->only != NULL);
}

struct openers {
    struct catalog *catalog;
    const struct catalog_options *options;
    const char *scheme; /* NULL: the store is there to be asked */
    atomic_size_t next;
};

static void *opener_main(void *arg)
{
    struct openers *openers = arg;
    size_t i;
    while ((i = atomic_fetch_add(&openers->next, 1)) < openers->catalog->count &&
           !stop_raised(openers->options->stop)) {
        struct catalog_pack *pack = openers->catalog->packs[i];
        if (pack->err.kind != ERR_NONE)
            continue;
        if (openers->scheme != NULL)
            open_offline(pack, openers->catalog->cache, openers->scheme, openers->options);
        else
            open_pack(pack, openers->catalog->cache, openers->options);
    }
    return NULL;
}

static void open_all(struct catalog *catalog, const char *scheme,
                     const struct catalog_options *options)
{
    struct openers openers = { .catalog = catalog, .options = options, .scheme = scheme };
    struct thread threads[OPENERS] = { 0 };
    for (size_t i = 1; i < OPENERS && i < catalog->count; i++) {
        struct err ignored = { 0 }; /* fewer will do */
        if (thread_start(&threads[i], "lade-index", opener_main, &openers, &ignored) < 0)
            break;
    }
    (void)opener_main(&openers);
    for (size_t i = 0; i < OPENERS; i++)
        thread_join(&threads[i]);
}

/* ---- listing ---- */

static void pack_done(struct catalog_pack *pack)
{
    pack_free(pack->pack);
    mem_release(pack->key);
    mem_release(pack->above);
    mem_release(pack->skipped);
    mem_release(pack);
}

static void add_object(struct catalog *catalog, struct store *store, const struct object *object,
                       const struct stop *stop)
{
    if ((catalog->count & (catalog->count + 1)) == 0) /* room for the next power of two */
        catalog->packs =
            mem_resize(catalog->packs, (catalog->count + 1) * 2 * sizeof *catalog->packs);
    struct catalog_pack *pack = mem_alloc(sizeof *pack);
    catalog->packs[catalog->count++] = pack;
    *pack = (struct catalog_pack){ .store = store,
                                   .stop = stop,
                                   .key = mem_string(object->key.data),
                                   .size_bytes = object->size_bytes,
                                   .stored_ns = object->stored_ns };
    memcpy(pack->etag, object->etag, sizeof pack->etag);
}

static void add_other(struct catalog *catalog, const struct object *object)
{
    if ((catalog->other_count & (catalog->other_count - 1)) == 0)
        catalog->others =
            mem_resize(catalog->others, (2 * catalog->other_count + 1) * sizeof *catalog->others);
    catalog->others[catalog->other_count++] = crc64nvme(0, object->key.data, object->key.len);
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

bool catalog_has_other(const struct catalog *catalog, const char *key)
{
    const uint64_t number = crc64nvme(0, key, strlen(key));
    return catalog->other_count != 0 && bsearch(&number, catalog->others, catalog->other_count,
                                                sizeof number, compare_numbers) != NULL;
}

bool catalog_may_be_pack(const char *key)
{
    return path_ends_with(key, strlen(key), PACK_SUFFIX) ||
           path_ends_with(key, strlen(key), PACK_TAR_SUFFIX) ||
           path_ends_with(key, strlen(key), PACK_TAR_SUFFIX PACK_INDEX_SUFFIX);
}

void catalog_offer(struct catalog *catalog, struct store *store, const struct object *object,
                   const struct stop *stop)
{
    if (object->key.len == 0)
        return;
    const char *key = object->key.data;
    if (object->size_bytes == 0) {
        add_other(catalog, object);
        return;
    }
    if (path_ends_with(key, strlen(key), PACK_SUFFIX) ||
        path_ends_with(key, strlen(key), PACK_TAR_SUFFIX)) {
        add_object(catalog, store, object, stop);
    } else if (path_ends_with(key, strlen(key), PACK_TAR_SUFFIX PACK_INDEX_SUFFIX)) {
        /* "a.tar" comes before "a.tar.index", but not always right before it. */
        for (size_t i = catalog->count; i > 0; i--) {
            struct catalog_pack *pack = catalog->packs[i - 1];
            const size_t len = strlen(pack->key);
            if (strncmp(pack->key, key, len) == 0 && strcmp(key + len, PACK_INDEX_SUFFIX) == 0) {
                pack->has_sidecar = true;
                return;
            }
        }
        add_other(catalog, object);
    } else {
        add_other(catalog, object);
    }
}

static int list_packs(struct catalog *catalog, struct store *store,
                      const struct catalog_options *options, struct err *err)
{
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    if (store->driver->list_open(&list, store, "", "", false, err) < 0)
        return -1;
    int got;
    while ((got = store->driver->list_next(list, &object, err)) == 1 &&
           (got = stop_check(options->stop, err)) == 0)
        catalog_offer(catalog, store, &object, options->stop);
    store->driver->list_close(list);
    return got;
}

/* What it is, by its first byte: a head would ask for more of an object in parts, its tags. */
static int look_at(struct store *store, const struct catalog_options *options,
                   struct object *object, struct err *err)
{
    unsigned char first;
    struct flow flow = { .stop = options->stop };
    struct sink sink = { .flow = &flow, .fd = -1, .memory = &first, .memory_bytes = 1 };
    struct err ignored = { 0 }; /* the head says it again */
    if (store->driver->get(store, options->only, 0, 1, "", &sink, object, &ignored) == 0)
        return 0;
    return store_head_patiently(store, options->only, options->stop, object, err);
}

static int look_at_one(struct catalog *catalog, struct store *store,
                       const struct catalog_options *options, struct err *err)
{
    SCOPED(object) struct object object = { 0 };
    if (options->seen != NULL) {
        buf_add_text(&object.key, options->only);
        object.size_bytes = options->seen->size_bytes;
        object.stored_ns = options->seen->stored_ns;
        snprintf(object.etag, sizeof object.etag, "%s", options->seen->etag);
    } else if (look_at(store, options, &object, err) < 0) {
        return -1;
    }
    catalog_offer(catalog, store, &object, options->stop);
    if (catalog->count != 0 &&
        path_ends_with(options->only, strlen(options->only), PACK_TAR_SUFFIX))
        catalog->packs[0]->has_sidecar = true;
    return 0;
}

/* What has the name of a pack and is none is an object like others. */
static void drop_others(struct catalog *catalog)
{
    size_t kept = 0;
    for (size_t i = 0; i < catalog->count; i++) {
        struct catalog_pack *pack = catalog->packs[i];
        if (pack->pack == NULL && pack->err.kind == ERR_ABSENT)
            pack_done(pack);
        else
            catalog->packs[kept++] = pack;
    }
    catalog->count = kept;
    if (catalog->count == 0)
        mem_free(catalog->others);
    if (catalog->others == NULL)
        catalog->other_count = 0;
}

static int read_all(struct catalog *catalog, const char *scheme,
                    const struct catalog_options *options, struct err *err)
{
    /* A tar without an index is one of somebody else. */
    for (size_t i = 0; i < catalog->count; i++)
        if (!catalog->packs[i]->has_sidecar &&
            !path_ends_with(catalog->packs[i]->key, strlen(catalog->packs[i]->key), PACK_SUFFIX))
            err_set(&catalog->packs[i]->err, ERR_ABSENT, "no index");
    if (catalog->count != 0) {
        catalog->cache = mem_alloc(sizeof *catalog->cache);
        cache_open(catalog->cache);
        open_all(catalog, scheme, options);
        cache_prune(catalog->cache, CACHE_BYTES_MAX, clock_now_ns());
    }
    if (stop_check(options->stop, err) < 0)
        return -1;
    drop_others(catalog);
    return 0;
}

int catalog_read(struct catalog *catalog, const struct catalog_options *options, struct err *err)
{
    return read_all(catalog, NULL, options, err);
}

int catalog_read_offline(struct catalog *catalog, const char *scheme,
                         const struct catalog_options *options, struct err *err)
{
    return read_all(catalog, scheme, options, err);
}

int catalog_open(struct catalog *ret_catalog, struct store *store,
                 const struct catalog_options *options, struct err *err)
{
    struct catalog catalog = { 0 };
    int result = options->only != NULL ? look_at_one(&catalog, store, options, err)
                                       : list_packs(&catalog, store, options, err);
    if (result == 0)
        result = catalog_read(&catalog, options, err);
    if (result < 0) {
        catalog_done(&catalog);
        return -1;
    }
    if (catalog.other_count != 0)
        qsort(catalog.others, catalog.other_count, sizeof *catalog.others, compare_numbers);
    *ret_catalog = catalog;
    return 0;
}

void catalog_done(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        pack_done(catalog->packs[i]);
    mem_free(catalog->packs);
    if (catalog->cache != NULL)
        cache_close(catalog->cache);
    mem_free(catalog->cache);
    mem_free(catalog->others);
    catalog->count = catalog->other_count = 0;
}

/* ---- names ---- */

static int compare_key(const void *key, const void *item)
{
    return strcmp(key, (*(struct catalog_pack *const *)item)->key);
}

const struct catalog_pack *catalog_find(const struct catalog *catalog, const char *key)
{
    if (catalog->count == 0)
        return NULL;
    struct catalog_pack **at =
        bsearch(key, catalog->packs, catalog->count, sizeof *catalog->packs, compare_key);
    return at != NULL ? *at : NULL;
}

bool catalog_name(const struct catalog_pack *pack, const struct pack_member *member,
                  struct buf *ret_name)
{
    const size_t skip = strlen(pack->skipped);
    buf_clear(ret_name);
    if (member->path_len <= skip || memcmp(member->path, pack->skipped, skip) != 0)
        return false;
    buf_add_text(ret_name, pack->above);
    buf_add(ret_name, member->path + skip, member->path_len - skip);
    const enum pack_kind kind = member->kind == PACK_GONE ? member->was : member->kind;
    if (kind == PACK_DIR)
        buf_add_char(ret_name, '/');
    else if (kind == PACK_LINK)
        buf_add_text(ret_name, LINK_SUFFIX);
    return true;
}

/* What a generation puts is newer than what was merged up to it: a put that goes on during a repack
 * must have the word. Of two merged ones the later saw the earlier. */
static bool merged_before(uint64_t left, uint64_t right)
{
    return left == 0 ? false : right == 0 || left < right;
}

int catalog_compare_age(const struct catalog_pack *a, const struct catalog_pack *b)
{
    const struct pack_info *left = pack_info(a->pack);
    const struct pack_info *right = pack_info(b->pack);
    if (strcmp(left->job_id, right->job_id) == 0 && left->generation != right->generation)
        return left->generation < right->generation ? -1 : 1;
    if (strcmp(left->job_id, right->job_id) == 0 && left->merged != right->merged)
        return merged_before(left->merged, right->merged) ? -1 : 1;
    if (left->created_ns != right->created_ns)
        return left->created_ns < right->created_ns ? -1 : 1;
    return strcmp(a->key, b->key);
}
