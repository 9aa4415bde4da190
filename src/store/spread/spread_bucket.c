/* Which buckets there are, and their stores, opened when they are needed. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/spread/spread_internal.h"

static int compare(const struct spread_bucket *bucket, const char *value, uint32_t number)
{
    const int order = strcmp(bucket->value, value);
    if (order != 0)
        return order;
    return bucket->number < number ? -1 : bucket->number > number;
}

/* Where it is, or would be. */
static size_t place_of_locked(const struct spread_store *store, const char *value, uint32_t number)
{
    size_t low = 0;
    size_t high = store->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(store->buckets[middle], value, number) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct spread_bucket *add_locked(struct spread_store *store, size_t at, const char *name,
                                        const char *value, uint32_t number)
{
    struct spread_bucket *bucket = mem_alloc(sizeof *bucket);
    *bucket = (struct spread_bucket){ .name = mem_string(name),
                                      .value = mem_string(value),
                                      .number = number };
    store->buckets = mem_resize(store->buckets, (store->count + 1) * sizeof *store->buckets);
    memmove(store->buckets + at + 1, store->buckets + at,
            (store->count - at) * sizeof *store->buckets);
    store->buckets[at] = bucket;
    store->count++;
    return bucket;
}

int spread_bucket_of(struct spread_store *store, const char *value, uint32_t number,
                     struct spread_bucket **ret_bucket, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    if (spread_bucket_name(&store->template, value, number, &name, err) < 0)
        return -1;
    SCOPED_LOCK(&store->lock);
    const size_t at = place_of_locked(store, value, number);
    *ret_bucket = at < store->count && compare(store->buckets[at], value, number) == 0
                      ? store->buckets[at]
                      : add_locked(store, at, name.data, value, number);
    return 0;
}

size_t spread_known_buckets(struct spread_store *store, const char *value,
                            struct spread_bucket ***ret_buckets)
{
    SCOPED_LOCK(&store->lock);
    struct spread_bucket **known = mem_alloc((store->count + 1) * sizeof *known);
    size_t count = 0;
    for (size_t i = value != NULL ? place_of_locked(store, value, 0) : 0; i < store->count; i++) {
        struct spread_bucket *bucket = store->buckets[i];
        if (value != NULL && strcmp(bucket->value, value) != 0)
            break;
        if (atomic_load(&bucket->exists))
            known[count++] = bucket;
    }
    *ret_buckets = known;
    return count;
}

/* ---- inner stores ---- */

static int open_at(struct spread_store *store, const char *bucket, const char *lead, bool make,
                   struct store **ret_inner, struct err *err)
{
    SCOPED(buf) struct buf path = { 0 };
    struct store_options options = store->options;
    options.share = store->account;
    options.make_bucket = make;
    buf_printf(&path, "//%s%s%s", bucket, lead[0] != '\0' ? "/" : "", lead);
    return store->driver->open(ret_inner, path.data, &options, err);
}

int spread_inner(struct spread_store *store, struct spread_bucket *bucket, struct store **ret_inner,
                 struct err *err)
{
    {
        SCOPED_LOCK(&store->lock);
        *ret_inner = bucket->store;
    }
    if (*ret_inner != NULL)
        return 0;
    struct store *opened = NULL;
    if (open_at(store, bucket->name, store->template.lead, false, &opened, err) < 0)
        return err_at(err, "bucket '%s'", bucket->name);
    {
        SCOPED_LOCK(&store->lock);
        if (bucket->store == NULL) {
            bucket->store = opened;
            opened = NULL;
        }
        *ret_inner = bucket->store;
    }
    if (opened != NULL) /* another thread was faster */
        opened->driver->close(opened);
    return 0;
}

int spread_open_whole(struct spread_store *store, const struct spread_bucket *bucket,
                      struct store **ret_inner, struct err *err)
{
    return open_at(store, bucket->name, "", false, ret_inner, err);
}

/* ---- are they there ---- */

int spread_missing(const struct spread_bucket *bucket, struct err *err)
{
    err_set(err, ERR_CONFIG, "there is no bucket '%s' of yours", bucket->name);
    return err_hint(err, "make it with 'lade mb s3://%.63s', or let --make-bucket do it",
                    bucket->name);
}

/* 1, 0, -1. */
static int is_there(struct spread_store *store, struct spread_bucket *bucket, struct err *err)
{
    struct store *whole = NULL;
    struct err why = { 0 };
    int result = spread_open_whole(store, bucket, &whole, &why);
    if (result == 0) {
        result = store->driver->probe(whole, &why);
        store->driver->close(whole);
    }
    if (result < 0 && spread_says_missing(&why))
        return 0;
    if (result < 0) {
        *err = why;
        return err_at(err, "look for the bucket '%s'", bucket->name);
    }
    atomic_store(&bucket->exists, true);
    return 1;
}

/* NAME, NAME-2 and so on, until there is none: needs no right to list the account's buckets. */
static int find_numbered(struct spread_store *store, struct err *err)
{
    for (uint32_t number = 1; number <= STORE_BUCKET_MAX; number++) {
        struct spread_bucket *bucket = NULL;
        if (spread_bucket_of(store, "", number, &bucket, err) < 0)
            return -1;
        const int there = is_there(store, bucket, err);
        if (there < 0)
            return -1;
        if (there == 0 && number == 1 && !store->may_make)
            return spread_missing(bucket, err);
        if (there == 0)
            return 0;
    }
    return 0;
}

static int find_listed(struct spread_store *store, struct err *err)
{
    SCOPED(buf) struct buf names = { 0 };
    SCOPED(buf) struct buf value = { 0 };
    if (store->driver->list_buckets(store->account, store->template.before, &names, err) < 0)
        return -1;
    for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1) {
        uint32_t number = 0;
        struct spread_bucket *bucket = NULL;
        if (!spread_read_bucket(&store->template, names.data + at, &value, &number))
            continue;
        if (spread_bucket_of(store, buf_text(&value), number, &bucket, err) < 0)
            return -1;
        atomic_store(&bucket->exists, true);
    }
    return 0;
}

int spread_find_buckets(struct spread_store *store, struct err *err)
{
    return store->template.bucket_component != 0 ? find_listed(store, err)
                                                 : find_numbered(store, err);
}

int spread_ensure(struct spread_store *store, struct spread_bucket *bucket, struct err *err)
{
    if (atomic_load(&bucket->exists))
        return 0;
    if (bucket->number <= 1 && !store->may_make) {
        const int there = is_there(store, bucket, err);
        return there < 0 ? -1 : there == 1 ? 0 : spread_missing(bucket, err);
    }
    struct store *made = NULL;
    if (open_at(store, bucket->name, "", true, &made, err) < 0) {
        /* Of somebody else, or not allowed: all that is to go there would fail in the same way. */
        if (err->kind == ERR_CONFLICT || err->kind == ERR_DENIED || err->kind == ERR_LIMIT)
            err->kind = ERR_CONFIG;
        return err_at(err, "make the bucket '%s'", bucket->name);
    }
    store->driver->close(made);
    atomic_store(&bucket->exists, true);
    return 0;
}

void spread_buckets_done(struct spread_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        struct spread_bucket *bucket = store->buckets[i];
        if (bucket->store != NULL)
            bucket->store->driver->close(bucket->store);
        mem_release(bucket->name);
        mem_release(bucket->value);
        mem_release(bucket);
    }
    mem_free(store->buckets);
    store->count = 0;
}
