#include "store/null/null.h"

#include "base/ban.h"
#include "base/mem.h"

#define GIB (UINT64_C(1) << 30)

static const struct store_limits null_limits = {
    .max_object_bytes = INT64_MAX,
    .max_put_bytes = INT64_MAX,
    .min_part_bytes = 1,
    .part_bytes = GIB / 16,
    .max_part_bytes = INT64_MAX,
    .max_parts = 1000000,
    .max_key_bytes = STORE_KEY_MAX,
    .max_meta_bytes = UINT32_MAX,
    .max_delete_count = 1000,
    .transfers = 8,
};

struct store_list {
    char unused;
};

static int null_open(struct store **ret_store, const char *path,
                     const struct store_options *options, struct err *err)
{
    (void)path;
    (void)options;
    (void)err;
    struct store *store = mem_alloc(sizeof *store);
    *store = (struct store){ .driver = &null_driver, .limits = null_limits };
    *ret_store = store;
    return 0;
}

static void null_close(struct store *store)
{
    mem_release(store);
}

static int copy_name(struct store *store, const char *from, struct buf *ret_to, struct err *err)
{
    const size_t len = strlen(from);
    if (len > store->limits.max_key_bytes)
        return err_set(err, ERR_LIMIT, "a name of %zu bytes", len);
    buf_clear(ret_to);
    buf_add(ret_to, from, len);
    return 0;
}

static int null_head(struct store *store, const char *key, struct object *ret_object,
                     struct err *err)
{
    (void)store;
    (void)ret_object;
    return err_set(err, ERR_ABSENT, "'%s' is not in null:", key);
}

static int null_list_open(struct store_list **ret_list, struct store *store, const char *prefix,
                          const char *start_after, bool delimited, struct err *err)
{
    (void)store;
    (void)prefix;
    (void)start_after;
    (void)delimited;
    (void)err;
    *ret_list = mem_alloc(sizeof **ret_list);
    return 0;
}

static int null_list_next(struct store_list *list, struct object *object, struct err *err)
{
    (void)list;
    (void)object;
    (void)err;
    return 0;
}

static void null_list_close(struct store_list *list)
{
    mem_release(list);
}

static int null_get(struct store *store, const char *key, uint64_t offset_bytes,
                    uint64_t length_bytes, const char *if_match, struct sink *sink,
                    struct object *ret_object, struct err *err)
{
    (void)store;
    (void)offset_bytes;
    (void)length_bytes;
    (void)if_match;
    (void)sink;
    (void)ret_object;
    return err_set(err, ERR_ABSENT, "'%s' is not in null:", key);
}

/* Read to the end, so that the body is digested. */
static int drain(struct body *body, struct err *err)
{
    const void *bytes = NULL;
    size_t len = 0;
    do {
        if (body_next(body, &bytes, &len, err) < 0)
            return -1;
    } while (len != 0);
    return 0;
}

static int null_put(struct store *store, const struct store_put *put, struct body *body,
                    struct store_result *ret_result, struct err *err)
{
    (void)store;
    (void)put;
    if (drain(body, err) < 0)
        return -1;
    *ret_result = (struct store_result){ 0 };
    return 0;
}

static int null_begin(struct store *store, const struct store_put *put, uint64_t size_bytes,
                      char ret_token[STORE_TOKEN_MAX], struct err *err)
{
    (void)store;
    (void)size_bytes;
    (void)err;
    snprintf(ret_token, STORE_TOKEN_MAX, "%s", put->tag);
    return 0;
}

static int null_part(struct store *store, const struct store_put *put, const char *token,
                     uint32_t number, uint64_t offset_bytes, struct body *body,
                     struct store_part *ret_part, struct err *err)
{
    (void)store;
    (void)put;
    (void)token;
    (void)offset_bytes;
    if (drain(body, err) < 0)
        return -1;
    struct digest_value value = { 0 };
    if (body->digest != NULL)
        digest_value(body->digest, &value);
    *ret_part = (struct store_part){ .number = number,
                                     .size_bytes = body->size_bytes,
                                     .crc64 = value.crc64 };
    return 0;
}

static int null_commit(struct store *store, const struct store_put *put, const char *token,
                       const struct store_part *parts, size_t count,
                       struct store_result *ret_result, struct err *err)
{
    (void)store;
    (void)put;
    (void)token;
    (void)parts;
    (void)count;
    (void)err;
    *ret_result = (struct store_result){ 0 };
    return 0;
}

/* Abort and clean: there is nothing. */
static int forget(struct store *store, const char *key, const char *name, struct err *err)
{
    (void)store;
    (void)key;
    (void)name;
    (void)err;
    return 0;
}

static void null_commit_batch(struct store *store, struct store_staged *items, size_t count)
{
    (void)store;
    (void)items;
    (void)count;
}

static int null_set_attr(struct store *store, const char *key, const struct attr *attr,
                         struct err *err)
{
    (void)store;
    (void)key;
    (void)attr;
    (void)err;
    return 0;
}

static int null_copy(struct store *store, const char *from_key, const struct store_put *put,
                     struct store_result *ret_result, struct err *err)
{
    (void)store;
    (void)put;
    (void)ret_result;
    return err_set(err, ERR_ABSENT, "'%s' is not in null:", from_key);
}

static int null_remove(struct store *store, const char *const *keys, size_t count, struct err *errs,
                       struct err *err)
{
    (void)store;
    (void)keys;
    (void)err;
    for (size_t i = 0; i < count; i++)
        err_clear(&errs[i]);
    return 0;
}

static int null_probe(struct store *store, struct err *err)
{
    (void)store;
    (void)err;
    return 0;
}

static void null_diagnose(const char *path, const struct store_options *options, bool again,
                          struct store_findings *findings)
{
    (void)path, (void)options, (void)again;
    store_findings_add(findings, "write", STORE_OK, "",
                       "it takes everything, keeps nothing, and proves nothing");
}

const struct store_driver null_driver = {
    .scheme = "null",
    .help = "null:  takes everything and stores nothing",
    .open = null_open,
    .close = null_close,
    .map_key = copy_name,
    .unmap_key = copy_name,
    .head = null_head,
    .list_open = null_list_open,
    .list_next = null_list_next,
    .list_close = null_list_close,
    .get = null_get,
    .put = null_put,
    .begin = null_begin,
    .part = null_part,
    .commit = null_commit,
    .abort = forget,
    .commit_batch = null_commit_batch,
    .clean = forget,
    .set_attr = null_set_attr,
    .copy = null_copy,
    .remove = null_remove,
    .probe = null_probe,
    .diagnose = null_diagnose,
};
