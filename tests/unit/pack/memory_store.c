#include "memory_store.h"

#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAPPED "\xe2\x90\x81"

static struct memory_store *memory_of(struct store *base)
{
    return (struct memory_store *)base;
}

static void memory_close(struct store *base)
{
    memory_of(base)->closed = true;
}

static int memory_map_key(struct store *base, const char *rel, struct buf *ret_key, struct err *err)
{
    (void)err;
    buf_clear(ret_key);
    for (; *rel != '\0'; rel++)
        if (*rel == 1 && memory_of(base)->maps)
            buf_add_text(ret_key, MAPPED);
        else
            buf_add_char(ret_key, *rel);
    return 0;
}

static int memory_unmap_key(struct store *base, const char *key, struct buf *ret_rel,
                            struct err *err)
{
    (void)err;
    buf_clear(ret_rel);
    while (*key != '\0')
        if (memory_of(base)->maps && strncmp(key, MAPPED, 3) == 0) {
            buf_add_char(ret_rel, 1);
            key += 3;
        } else {
            buf_add_char(ret_rel, *key++);
        }
    return 0;
}

/* The place of the first object that is not less. */
static size_t find(const struct memory_store *store, const char *key)
{
    size_t at = 0;
    while (at < store->count && strcmp(store->objects[at].key, key) < 0)
        at++;
    return at;
}

static const struct memory_object *get_object(struct memory_store *store, const char *key,
                                              struct err *err)
{
    const size_t at = find(store, key);
    if (at < store->count && strcmp(store->objects[at].key, key) == 0)
        return &store->objects[at];
    err_set(err, ERR_ABSENT, "no '%s'", key);
    return NULL;
}

static void tell(const struct memory_object *from, struct object *ret_object)
{
    buf_clear(&ret_object->key);
    buf_add_text(&ret_object->key, from->key);
    ret_object->size_bytes = from->bytes.len;
    ret_object->attr = (struct attr){ 0 };
    ret_object->stored_ns = 1;
    memcpy(ret_object->etag, from->etag, sizeof ret_object->etag);
}

static int memory_head(struct store *base, const char *key, struct object *ret_object,
                       struct err *err)
{
    struct memory_store *store = memory_of(base);
    const struct memory_object *object = get_object(store, key, err);
    store->heads++;
    if (object == NULL)
        return -1;
    tell(object, ret_object);
    return 0;
}

static int memory_get(struct store *base, const char *key, uint64_t offset_bytes,
                      uint64_t length_bytes, const char *if_match, struct sink *sink,
                      struct object *ret_object, struct err *err)
{
    struct memory_store *store = memory_of(base);
    const struct memory_object *object = get_object(store, key, err);
    store->gets++;
    if (object == NULL)
        return -1;
    if (if_match[0] != '\0' && strcmp(if_match, object->etag) != 0)
        return err_set(err, ERR_CHANGED, "'%s' is another one", key);
    if (ret_object != NULL)
        tell(object, ret_object);
    if (offset_bytes >= object->bytes.len)
        return 0;
    const uint64_t left = object->bytes.len - offset_bytes;
    const size_t len = (size_t)(left < length_bytes ? left : length_bytes);
    store->get_bytes += len;
    return sink_write(sink, object->bytes.data + offset_bytes, len, err);
}

struct store_list {
    struct memory_store *store;
    char *prefix;
    size_t at;
};

static int memory_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                            const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    (void)delimited; /* nobody asks for it */
    struct store_list *list = mem_alloc(sizeof *list);
    list->store = memory_of(base);
    list->prefix = mem_string(prefix);
    list->at = find(list->store, start_after);
    if (list->at < list->store->count &&
        strcmp(list->store->objects[list->at].key, start_after) == 0)
        list->at++;
    *ret_list = list;
    return 0;
}

static int memory_list_next(struct store_list *list, struct object *object, struct err *err)
{
    (void)err;
    while (list->at < list->store->count) {
        const struct memory_object *from = &list->store->objects[list->at++];
        if (strncmp(from->key, list->prefix, strlen(list->prefix)) != 0)
            continue;
        tell(from, object);
        return 1;
    }
    return 0;
}

static void memory_list_close(struct store_list *list)
{
    mem_release(list->prefix);
    mem_release(list);
}

static const struct store_driver memory_driver = {
    .scheme = "memory",
    .close = memory_close,
    .map_key = memory_map_key,
    .unmap_key = memory_unmap_key,
    .head = memory_head,
    .get = memory_get,
    .list_open = memory_list_open,
    .list_next = memory_list_next,
    .list_close = memory_list_close,
};

void memory_store_init(struct memory_store *store, bool maps)
{
    /* What it holds is of this process alone: nothing is to be kept of it. */
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    *store = (struct memory_store){ .base = { .driver = &memory_driver }, .maps = maps };
}

static void object_free(struct memory_object *object)
{
    mem_release(object->key);
    buf_done(&object->bytes);
}

void memory_store_done(struct memory_store *store)
{
    for (size_t i = 0; i < store->count; i++)
        object_free(&store->objects[i]);
    mem_free(store->objects);
    store->count = 0;
}

struct memory_object *memory_store_put(struct memory_store *store, const char *name,
                                       const void *bytes, size_t len)
{
    static unsigned etags;
    SCOPED(buf) struct buf key = { 0 };
    struct err err = { 0 };
    assert_int_equal(memory_map_key(&store->base, name, &key, &err), 0);
    const size_t at = find(store, buf_text(&key));
    if (at == store->count || strcmp(store->objects[at].key, key.data) != 0) {
        store->objects = mem_resize(store->objects, (store->count + 1) * sizeof *store->objects);
        memmove(store->objects + at + 1, store->objects + at,
                (store->count - at) * sizeof *store->objects);
        store->count++;
        store->objects[at] = (struct memory_object){ .key = mem_string(key.data) };
    }
    struct memory_object *object = &store->objects[at];
    buf_clear(&object->bytes);
    buf_add(&object->bytes, bytes, len);
    snprintf(object->etag, sizeof object->etag, "etag-%u", ++etags);
    return object;
}

void memory_store_remove(struct memory_store *store, const char *name)
{
    SCOPED(buf) struct buf key = { 0 };
    struct err err = { 0 };
    assert_int_equal(memory_map_key(&store->base, name, &key, &err), 0);
    const size_t at = find(store, buf_text(&key));
    assert_true(at < store->count && strcmp(store->objects[at].key, key.data) == 0);
    object_free(&store->objects[at]);
    store->count--;
    memmove(store->objects + at, store->objects + at + 1,
            (store->count - at) * sizeof *store->objects);
}
