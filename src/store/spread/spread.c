#include "store/spread/spread.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/spread/spread_internal.h"

#include <stdlib.h>

/* ---- lifetime ---- */

bool spread_is_wanted(const char *path, const struct store_options *options)
{
    return options->bucket_objects != 0 || spread_is_template(path);
}

static char *copy_of(const char *text)
{
    return text != NULL ? mem_string(text) : NULL;
}

static void spread_close(struct store *base)
{
    if (base == NULL)
        return;
    struct spread_store *store = spread_store_of(base);
    spread_buckets_done(store);
    if (store->account != NULL)
        store->account->driver->close(store->account);
    spread_template_done(&store->template);
    const struct store_access *access = &store->options.access;
    mem_release(access->endpoint_url);
    mem_release(access->profile);
    mem_release(access->region);
    mem_release(access->storage_class);
    mem_release(access->acl);
    lock_done(&store->lock);
    mem_release(store);
}

static void take_options(struct spread_store *store, const struct store_options *options)
{
    const struct store_access *access = &options->access;
    store->options = *options;
    store->options.access =
        (struct store_access){ copy_of(access->endpoint_url), copy_of(access->profile),
                               copy_of(access->region), copy_of(access->storage_class),
                               copy_of(access->acl) };
    store->options.bucket_objects = 0;
    store->options.make_bucket = false;
    store->may_make = options->make_bucket;
    store->limit = options->bucket_objects;
}

static const struct store_driver spread_driver;

/* A bucket is not needed to ask of the account, nor to map names: its name is never sent. */
static int open_account(struct spread_store *store, struct err *err)
{
    SCOPED(buf) struct buf path = { 0 };
    const struct spread_template *template = &store->template;
    buf_printf(&path, "//%s%s%s/%s", template->before, template->bucket_component != 0 ? "{}" : "",
               template->after, template->lead);
    if (store->driver->open(&store->account, path.data, &store->options, err) < 0)
        return -1;
    store->base = (struct store){ .driver = &spread_driver, .limits = store->account->limits };
    /* What is in the bucket's name is not in the key: map_key() looks itself how long that is. */
    store->account->limits.max_key_bytes = STORE_KEY_MAX;
    return 0;
}

static int refuse_driver(const struct store_driver *driver, const char *path,
                         const struct store_options *options, struct err *err)
{
    if (options->bucket_objects != 0)
        err_set(err, ERR_USAGE, "--bucket-objects is for stores with buckets, and '%s:' has none",
                driver->scheme);
    else
        err_set(err, ERR_USAGE, "'%.200s' is a template, and '%s:' has no buckets to choose from",
                path, driver->scheme);
    return -1;
}

int spread_open(struct store **ret_store, const struct store_driver *driver, const char *path,
                const struct store_options *options, struct err *err)
{
    if (driver->list_buckets == NULL)
        return refuse_driver(driver, path, options, err);
    struct spread_store *store = mem_alloc(sizeof *store);
    store->driver = driver;
    lock_init(&store->lock);
    take_options(store, options);
    if (spread_template_parse(&store->template, path, err) < 0 || open_account(store, err) < 0 ||
        spread_find_buckets(store, err) < 0) {
        spread_close(&store->base);
        return -1;
    }
    *ret_store = &store->base;
    return 0;
}

bool spread_by_template(const struct store *store)
{
    return store->driver == &spread_driver &&
           ((const struct spread_store *)store)->template.bucket_component != 0;
}

/* ---- keys ---- */

const char *spread_split_key(const char *key, uint32_t *ret_number)
{
    *ret_number = 0;
    if (strncmp(key, "//", 2) != 0 || key[2] < '1' || key[2] > '9')
        return key;
    char *end = NULL;
    const unsigned long number = strtoul(key + 2, &end, 10);
    if (*end != '/' || number > STORE_BUCKET_MAX)
        return key;
    *ret_number = (uint32_t)number;
    return end + 1;
}

/* Where a key is. */
struct place {
    struct spread_bucket *bucket;
    struct store *inner;
    const char *name; /* in the key that was asked for */
    uint32_t number;  /* 0: none was named, and it is the first */
    struct buf value, key;
};

static void place_done(struct place *place)
{
    buf_done(&place->value);
    buf_done(&place->key);
}

static int find(struct spread_store *store, const char *key, struct place *place, struct err *err)
{
    place->name = spread_split_key(key, &place->number);
    if (spread_map(&store->template, place->name, &place->value, &place->key, err) < 0)
        return -1;
    const uint32_t number = place->number == 0 ? 1 : place->number;
    return spread_bucket_of(store, place->value.data, number, &place->bucket, err) < 0
               ? -1
               : spread_inner(store, place->bucket, &place->inner, err);
}

/* What has no place is not there. */
static int find_absent(struct spread_store *store, const char *key, struct place *place,
                       struct err *err)
{
    const int result = find(store, key, place, err);
    if (result < 0 && err->kind == ERR_LIMIT)
        err->kind = ERR_ABSENT;
    return result;
}

static int spread_map_key(struct store *base, const char *rel, struct buf *ret_key, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(buf) struct buf value = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf bucket = { 0 };
    if (store->driver->map_key(store->account, rel, ret_key, err) < 0 ||
        spread_map(&store->template, ret_key->data, &value, &key, err) < 0 ||
        spread_bucket_name(&store->template, value.data, 1, &bucket, err) < 0)
        return -1;
    if (key.len > base->limits.max_key_bytes)
        return err_set(err, ERR_LIMIT, "its key would have %zu bytes; %u is the most", key.len,
                       base->limits.max_key_bytes);
    return 0;
}

static int spread_unmap_key(struct store *base, const char *key, struct buf *ret_rel,
                            struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    uint32_t number = 0;
    return store->driver->unmap_key(store->account, spread_split_key(key, &number), ret_rel, err);
}

static bool spread_locate(struct store *base, const char *key, struct buf *ret_location)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(buf) struct buf path = { 0 };
    uint32_t number = 0;
    const char *name = spread_split_key(key, &number);
    /* A directory of a listing may be shorter than any name. */
    if (!spread_path_of(&store->template, name, number, &path))
        return false;
    buf_clear(ret_location);
    buf_printf(ret_location, "%s:%s", store->driver->scheme, path.data);
    return true;
}

/* ---- objects ---- */

static void tell_object(const struct place *place, uint32_t number, struct object *object)
{
    buf_clear(&object->key);
    buf_add_text(&object->key, place->name);
    object->bucket = number;
}

/* Try the bucket of the key, and, if none was named, the others where it may be: `try` gives 0, or
 * -1 and ERR_ABSENT to go on. */
typedef int (*try_fn)(struct store *inner, const char *key, void *arg, struct err *err);

static int try_others(struct spread_store *store, struct place *place, try_fn try, void *arg,
                      uint32_t *ret_number, struct err *err)
{
    struct spread_bucket **known = NULL;
    const size_t count = spread_known_buckets(store, place->value.data, &known);
    int result = -1;
    for (size_t i = 0; i < count && result < 0 && err->kind == ERR_ABSENT; i++) {
        struct err why = { 0 };
        struct store *inner = NULL;
        if (known[i]->number <= 1)
            continue;
        result = spread_inner(store, known[i], &inner, &why);
        if (result == 0)
            result = try(inner, place->key.data, arg, &why);
        *ret_number = known[i]->number;
        if (result == 0 || why.kind != ERR_ABSENT)
            *err = why;
    }
    mem_release(known);
    return result;
}

static int try_all(struct spread_store *store, struct place *place, try_fn try, void *arg,
                   uint32_t *ret_number, struct err *err)
{
    *ret_number = place->number == 0 ? 1 : place->number;
    if (try(place->inner, place->key.data, arg, err) == 0)
        return 0;
    if (err->http == 404 && err->kind == ERR_CONFIG)
        err->kind = ERR_ABSENT; /* without the bucket there is no object */
    if (err->kind != ERR_ABSENT || place->number != 0)
        return -1;
    return try_others(store, place, try, arg, ret_number, err);
}

static int try_head(struct store *inner, const char *key, void *arg, struct err *err)
{
    return inner->driver->head(inner, key, arg, err);
}

static int spread_head(struct store *base, const char *key, struct object *ret_object,
                       struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    uint32_t number = 0;
    if (find_absent(store, key, &place, err) < 0 ||
        try_all(store, &place, try_head, ret_object, &number, err) < 0)
        return -1;
    tell_object(&place, number, ret_object);
    return 0;
}

struct wish {
    uint64_t offset_bytes, length_bytes;
    const char *if_match;
    struct sink *sink;
    struct object *object;
};

static int try_get(struct store *inner, const char *key, void *arg, struct err *err)
{
    const struct wish *wish = arg;
    return inner->driver->get(inner, key, wish->offset_bytes, wish->length_bytes, wish->if_match,
                              wish->sink, wish->object, err);
}

static int spread_get(struct store *base, const char *key, uint64_t offset_bytes,
                      uint64_t length_bytes, const char *if_match, struct sink *sink,
                      struct object *ret_object, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    struct wish wish = { offset_bytes, length_bytes, if_match, sink, ret_object };
    uint32_t number = 0;
    if (find_absent(store, key, &place, err) < 0 ||
        try_all(store, &place, try_get, &wish, &number, err) < 0)
        return -1;
    if (ret_object != NULL)
        tell_object(&place, number, ret_object);
    return 0;
}

static struct store_put inner_put(const struct store_put *put, const struct place *place)
{
    struct store_put inner = *put;
    inner.key = place->key.data;
    return inner;
}

static int spread_put(struct store *base, const struct store_put *put, struct body *body,
                      struct store_result *ret_result, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find(store, put->key, &place, err) < 0 || spread_ensure(store, place.bucket, err) < 0)
        return -1;
    const struct store_put inner = inner_put(put, &place);
    return store->driver->put(place.inner, &inner, body, ret_result, err);
}

static int spread_begin(struct store *base, const struct store_put *put, uint64_t size_bytes,
                        char ret_token[STORE_TOKEN_MAX], struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find(store, put->key, &place, err) < 0 || spread_ensure(store, place.bucket, err) < 0)
        return -1;
    const struct store_put inner = inner_put(put, &place);
    return store->driver->begin(place.inner, &inner, size_bytes, ret_token, err);
}

static int spread_part(struct store *base, const struct store_put *put, const char *token,
                       uint32_t number, uint64_t offset_bytes, struct body *body,
                       struct store_part *ret_part, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find(store, put->key, &place, err) < 0)
        return -1;
    const struct store_put inner = inner_put(put, &place);
    return store->driver->part(place.inner, &inner, token, number, offset_bytes, body, ret_part,
                               err);
}

static int spread_commit(struct store *base, const struct store_put *put, const char *token,
                         const struct store_part *parts, size_t count,
                         struct store_result *ret_result, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find(store, put->key, &place, err) < 0)
        return -1;
    const struct store_put inner = inner_put(put, &place);
    return store->driver->commit(place.inner, &inner, token, parts, count, ret_result, err);
}

static int spread_abort(struct store *base, const char *key, const char *token, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find(store, key, &place, err) < 0)
        return -1;
    return store->driver->abort(place.inner, place.key.data, token, err);
}

static int spread_clean(struct store *base, const char *key, const char *tag, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find(store, key, &place, err) < 0)
        return -1;
    return store->driver->clean(place.inner, place.key.data, tag, err);
}

static void spread_clean_begun(struct store *base, const char *key, int64_t first_ns,
                               int64_t last_ns)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    struct err ignored = { 0 };
    if (store->driver->clean_begun != NULL && find(store, key, &place, &ignored) == 0)
        store->driver->clean_begun(place.inner, place.key.data, first_ns, last_ns);
}

static int spread_set_attr(struct store *base, const char *key, const struct attr *attr,
                           struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place place = { 0 };
    if (find_absent(store, key, &place, err) < 0)
        return -1;
    return store->driver->set_attr(place.inner, place.key.data, attr, err);
}

static int spread_copy(struct store *base, const char *from_key, const struct store_put *put,
                       struct store_result *ret_result, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(place) struct place from = { 0 };
    SCOPED(place) struct place to = { 0 };
    if (find_absent(store, from_key, &from, err) < 0 || find(store, put->key, &to, err) < 0)
        return -1;
    if (from.bucket != to.bucket)
        return err_set(err, ERR_LIMIT, "nothing is copied from one bucket to another");
    const struct store_put inner = inner_put(put, &to);
    return store->driver->copy(to.inner, from.key.data, &inner, ret_result, err);
}

/* ---- many at once ---- */

/* Places of many keys; those of one bucket are done together. */
struct places {
    struct place *items;
    bool *open; /* not done yet */
    size_t count;
};

static void places_done(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        place_done(&places->items[i]);
    mem_release(places->items);
    mem_release(places->open);
}

static void places_init(struct places *places, size_t count)
{
    *places = (struct places){ .items = mem_alloc((count + 1) * sizeof *places->items),
                               .open = mem_alloc(count + 1),
                               .count = count };
}

/* The next ones that are in one bucket, into of[]; 0: all are done. */
static size_t places_next(struct places *places, size_t *of)
{
    size_t count = 0;
    for (size_t i = 0; i < places->count; i++) {
        if (!places->open[i] ||
            (count != 0 && places->items[i].bucket != places->items[of[0]].bucket))
            continue;
        places->open[i] = false;
        of[count++] = i;
    }
    return count;
}

static void spread_commit_batch(struct store *base, struct store_staged *items, size_t count)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(places) struct places places;
    places_init(&places, count);
    for (size_t i = 0; i < count; i++)
        places.open[i] = items[i].err.kind == ERR_NONE && items[i].key != NULL &&
                         find(store, items[i].key, &places.items[i], &items[i].err) == 0;
    size_t *of = mem_alloc((count + 1) * sizeof *of);
    struct store_staged *inner = mem_alloc((count + 1) * sizeof *inner);
    for (size_t n; (n = places_next(&places, of)) != 0;) {
        for (size_t i = 0; i < n; i++) {
            inner[i] = items[of[i]];
            inner[i].key = places.items[of[i]].key.data;
        }
        store->driver->commit_batch(places.items[of[0]].inner, inner, n);
        for (size_t i = 0; i < n; i++)
            items[of[i]].err = inner[i].err;
    }
    mem_release(inner);
    mem_release(of);
}

static int remove_in_one(struct spread_store *store, const struct places *places, const size_t *of,
                         size_t count, struct err *errs, struct err *err)
{
    const char **keys = mem_alloc(count * sizeof *keys);
    struct err *inner = mem_alloc(count * sizeof *inner);
    struct err why = { 0 };
    for (size_t i = 0; i < count; i++)
        keys[i] = places->items[of[i]].key.data;
    int result = store->driver->remove(places->items[of[0]].inner, keys, count, inner, &why);
    for (size_t i = 0; result == 0 && i < count; i++)
        errs[of[i]] = inner[i];
    if (result < 0 && spread_says_missing(&why))
        result = 0; /* without the bucket they are gone */
    if (result < 0)
        *err = why;
    mem_release(inner);
    mem_release(keys);
    return result;
}

static int spread_remove(struct store *base, const char *const *keys, size_t count,
                         struct err *errs, struct err *err)
{
    struct spread_store *store = spread_store_of(base);
    SCOPED(places) struct places places;
    places_init(&places, count);
    for (size_t i = 0; i < count; i++) {
        err_clear(&errs[i]);
        places.open[i] = find_absent(store, keys[i], &places.items[i], &errs[i]) == 0;
        if (errs[i].kind == ERR_ABSENT)
            err_clear(&errs[i]);
    }
    size_t *of = mem_alloc((count + 1) * sizeof *of);
    int result = 0;
    for (size_t n; result == 0 && (n = places_next(&places, of)) != 0;)
        result = remove_in_one(store, &places, of, n, errs, err);
    mem_release(of);
    return result;
}

/* ---- the place ---- */

/* What there is was looked at when the store was opened. */
static int spread_probe(struct store *base, struct err *err)
{
    (void)base, (void)err;
    return 0;
}

static const struct store_driver spread_driver = {
    .scheme = "spread",
    .help = "several buckets as one store",
    .close = spread_close,
    .map_key = spread_map_key,
    .unmap_key = spread_unmap_key,
    .head = spread_head,
    .list_open = spread_list_open,
    .list_next = spread_list_next,
    .list_close = spread_list_close,
    .get = spread_get,
    .put = spread_put,
    .begin = spread_begin,
    .part = spread_part,
    .commit = spread_commit,
    .abort = spread_abort,
    .commit_batch = spread_commit_batch,
    .clean = spread_clean,
    .clean_begun = spread_clean_begun,
    .set_attr = spread_set_attr,
    .copy = spread_copy,
    .remove = spread_remove,
    .probe = spread_probe,
    .locate = spread_locate,
    .room_open = spread_room_open,
    .room_tell = spread_room_tell,
    .room_take = spread_room_take,
    .room_close = spread_room_close,
};
