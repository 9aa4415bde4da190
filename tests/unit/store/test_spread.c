/* On top of a driver whose buckets are in memory, so that what is listed, opened and made is seen.
 */
#include "store/spread/spread.h"

#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a driver ---- */

#define MOST 4096

static struct thing {
    char *bucket, *key; /* key NULL: the bucket itself */
} things[MOST];
static size_t thing_count;
static int lists_open, lists_most, lists_opened, stores_open, buckets_made;
static bool may_not_list;

struct fake {
    struct store base;
    char *bucket, *prefix;
};
struct store_list {
    struct fake *fake;
    char *prefix, *after;
    bool delimited;
};

static bool has(const char *bucket, const char *key)
{
    for (size_t i = 0; i < thing_count; i++)
        if (strcmp(things[i].bucket, bucket) == 0 && (key == NULL) == (things[i].key == NULL) &&
            (key == NULL || strcmp(things[i].key, key) == 0))
            return true;
    return false;
}

static void add(const char *bucket, const char *key)
{
    assert_true(thing_count < MOST);
    if (!has(bucket, key))
        things[thing_count++] =
            (struct thing){ mem_string(bucket), key != NULL ? mem_string(key) : NULL };
}

static size_t held(const char *bucket)
{
    size_t count = 0;
    for (size_t i = 0; i < thing_count; i++)
        count += things[i].key != NULL && strcmp(things[i].bucket, bucket) == 0;
    return count;
}

static int fake_open(struct store **ret_store, const char *path,
                     const struct store_options *options, struct err *err);

static void fake_close(struct store *base)
{
    struct fake *fake = (struct fake *)base;
    mem_release(fake->bucket);
    mem_release(fake->prefix);
    mem_release(fake);
    stores_open--;
}

static int fake_map_key(struct store *store, const char *rel, struct buf *ret_key, struct err *err)
{
    (void)err;
    buf_clear(ret_key);
    buf_add_text(ret_key, rel);
    assert_true(ret_key->len <= store->limits.max_key_bytes);
    return 0;
}

static int fake_unmap_key(struct store *store, const char *key, struct buf *ret_rel,
                          struct err *err)
{
    return fake_map_key(store, key, ret_rel, err);
}

static int missing(const char *bucket, struct err *err)
{
    err_set(err, ERR_CONFIG, "there is no bucket '%s'", bucket);
    err->http = 404;
    return -1;
}

static int fake_head(struct store *base, const char *key, struct object *ret_object,
                     struct err *err)
{
    const struct fake *fake = (struct fake *)base;
    SCOPED(buf) struct buf whole = { 0 };
    buf_printf(&whole, "%s%s", fake->prefix, key);
    if (!has(fake->bucket, NULL))
        return missing(fake->bucket, err);
    if (!has(fake->bucket, whole.data))
        return err_set(err, ERR_ABSENT, "there is no '%s'", key);
    buf_clear(&ret_object->key);
    buf_add_text(&ret_object->key, key);
    return 0;
}

static int fake_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                          const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    struct store_list *list = mem_alloc(sizeof *list);
    *list = (struct store_list){ (struct fake *)base, mem_string(prefix), mem_string(start_after),
                                 delimited };
    *ret_list = list;
    lists_opened++;
    if (++lists_open > lists_most)
        lists_most = lists_open;
    return 0;
}

/* The next key behind list->after; slow, and simple. */
static int fake_list_next(struct store_list *list, struct object *object, struct err *err)
{
    const struct fake *fake = list->fake;
    const size_t root = strlen(fake->prefix);
    const size_t after = strlen(list->after);
    SCOPED(buf) struct buf best = { 0 };
    if (!has(fake->bucket, NULL))
        return missing(fake->bucket, err);
    for (size_t i = 0; i < thing_count; i++) {
        if (things[i].key == NULL || strcmp(things[i].bucket, fake->bucket) != 0 ||
            strncmp(things[i].key, fake->prefix, root) != 0)
            continue;
        const char *key = things[i].key + root;
        if (strncmp(key, list->prefix, strlen(list->prefix)) != 0)
            continue;
        const char *slash = list->delimited ? strchr(key + strlen(list->prefix), '/') : NULL;
        SCOPED(buf) struct buf shown = { 0 };
        buf_add(&shown, key, slash != NULL ? (size_t)(slash - key) + 1 : strlen(key));
        if (strcmp(shown.data, list->after) <= 0 ||
            (list->delimited && after > strlen(list->prefix) && list->after[after - 1] == '/' &&
             strncmp(shown.data, list->after, after) == 0))
            continue;
        if (best.len == 0 || strcmp(shown.data, best.data) < 0) {
            buf_clear(&best);
            buf_add_text(&best, shown.data);
        }
    }
    if (best.len == 0)
        return 0;
    mem_release(list->after);
    list->after = mem_string(best.data);
    buf_clear(&object->key);
    buf_add_text(&object->key, best.data);
    object->size_bytes = best.len;
    return 1;
}

static void fake_list_close(struct store_list *list)
{
    mem_release(list->prefix);
    mem_release(list->after);
    mem_release(list);
    lists_open--;
}

static int fake_put(struct store *base, const struct store_put *put, struct body *body,
                    struct store_result *ret_result, struct err *err)
{
    const struct fake *fake = (struct fake *)base;
    (void)body;
    SCOPED(buf) struct buf whole = { 0 };
    buf_printf(&whole, "%s%s", fake->prefix, put->key);
    if (!has(fake->bucket, NULL))
        return missing(fake->bucket, err);
    add(fake->bucket, whole.data);
    *ret_result = (struct store_result){ 0 };
    return 0;
}

static int fake_remove(struct store *base, const char *const *keys, size_t count, struct err *errs,
                       struct err *err)
{
    const struct fake *fake = (struct fake *)base;
    if (!has(fake->bucket, NULL))
        return missing(fake->bucket, err);
    for (size_t k = 0; k < count; k++) {
        SCOPED(buf) struct buf whole = { 0 };
        buf_printf(&whole, "%s%s", fake->prefix, keys[k]);
        err_clear(&errs[k]);
        for (size_t i = 0; i < thing_count; i++)
            if (things[i].key != NULL && strcmp(things[i].bucket, fake->bucket) == 0 &&
                strcmp(things[i].key, whole.data) == 0) {
                mem_release(things[i].bucket);
                mem_release(things[i].key);
                things[i--] = things[--thing_count];
            }
    }
    return 0;
}

static int fake_probe(struct store *base, struct err *err)
{
    const struct fake *fake = (struct fake *)base;
    return has(fake->bucket, NULL) ? 0 : missing(fake->bucket, err);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int fake_list_buckets(struct store *store, const char *prefix, struct buf *ret_names,
                             struct err *err)
{
    (void)store;
    const char *names[MOST];
    size_t count = 0;
    if (may_not_list)
        return err_set(err, ERR_DENIED, "no");
    for (size_t i = 0; i < thing_count; i++)
        if (things[i].key == NULL && strncmp(things[i].bucket, prefix, strlen(prefix)) == 0)
            names[count++] = things[i].bucket;
    qsort(names, count, sizeof *names, compare_texts);
    buf_clear(ret_names);
    for (size_t i = 0; i < count; i++)
        buf_add(ret_names, names[i], strlen(names[i]) + 1);
    return 0;
}

static const struct store_driver fake_driver = {
    .scheme = "fake",
    .open = fake_open,
    .close = fake_close,
    .map_key = fake_map_key,
    .unmap_key = fake_unmap_key,
    .head = fake_head,
    .list_open = fake_list_open,
    .list_next = fake_list_next,
    .list_close = fake_list_close,
    .put = fake_put,
    .remove = fake_remove,
    .probe = fake_probe,
    .list_buckets = fake_list_buckets,
};

static int fake_open(struct store **ret_store, const char *path,
                     const struct store_options *options, struct err *err)
{
    (void)err;
    struct fake *fake = mem_alloc(sizeof *fake);
    const size_t len = strcspn(path + 2, "/");
    SCOPED(buf) struct buf bucket = { 0 };
    buf_add(&bucket, path + 2, len);
    fake->base = (struct store){ .driver = &fake_driver, .limits = { .max_key_bytes = 1000 } };
    fake->bucket = mem_string(bucket.data);
    fake->prefix = mem_string(path[2 + len] == '/' ? path + 3 + len : "");
    assert_true(fake->prefix[0] == '\0' || fake->prefix[strlen(fake->prefix) - 1] == '/');
    if (options->make_bucket) {
        buckets_made++;
        add(fake->bucket, NULL);
    }
    stores_open++;
    *ret_store = &fake->base;
    return 0;
}

/* ---- helpers ---- */

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < thing_count; i++) {
        mem_release(things[i].bucket);
        mem_release(things[i].key);
    }
    thing_count = 0;
    assert_int_equal(lists_open, 0);
    assert_int_equal(stores_open, 0);
    lists_most = lists_opened = buckets_made = 0;
    may_not_list = false;
    return 0;
}

static struct store *open_spread(const char *path, uint64_t limit, bool make)
{
    const struct store_options options = { .bucket_objects = limit, .make_bucket = make };
    struct err err = { 0 };
    struct store *store = NULL;
    if (spread_open(&store, &fake_driver, path, &options, &err) < 0)
        fail_msg("%s: %s", path, err.text);
    return store;
}

static void list_into(struct store *store, const char *prefix, const char *after, bool delimited,
                      bool numbers, struct buf *ret_text)
{
    struct err err = { 0 };
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    int got;
    assert_int_equal(store->driver->list_open(&list, store, prefix, after, delimited, &err), 0);
    while ((got = store->driver->list_next(list, &object, &err)) == 1) {
        if (numbers)
            buf_printf(ret_text, "%u:", object.bucket);
        buf_printf(ret_text, "%s\n", object.key.data);
    }
    if (got < 0)
        fail_msg("%s", err.text);
    store->driver->list_close(list);
}

static void expect_list(struct store *store, const char *prefix, const char *after, bool delimited,
                        const char *want)
{
    SCOPED(buf) struct buf got = { 0 };
    list_into(store, prefix, after, delimited, true, &got);
    assert_string_equal(buf_text(&got), want);
}

static enum err_kind put(struct store *store, const char *key)
{
    struct err err = { 0 };
    struct store_result result;
    struct body body = body_of_memory("", 0, NULL, NULL);
    const struct store_put order = { .key = key, .tag = "t" };
    store->driver->put(store, &order, &body, &result, &err);
    return err.kind;
}

/* ---- listing ---- */

static void test_buckets_are_merged_in_the_order_of_names(void **state)
{
    (void)state;
    add("c-a", NULL);
    add("c-a-1", NULL);
    add("c-a--2", NULL);
    add("c-b", NULL);
    add("other", NULL);
    add("c-a", "x");
    add("c-a", "z/1");
    add("c-a", "m/"); /* an empty directory */
    add("c-a-1", "k");
    add("c-a--2", "y");
    add("c-a--2", "z/0");
    add("c-b", "q");
    add("other", "q");
    struct store *store = open_spread("//c-{1}/{2+}", 0, false);
    expect_list(store, "", "", false, "1:a-1/k\n1:a/m/\n1:a/x\n2:a/y\n2:a/z/0\n1:a/z/1\n1:b/q\n");
    expect_list(store, "a/", "", false, "1:a/m/\n1:a/x\n2:a/y\n2:a/z/0\n1:a/z/1\n");
    expect_list(store, "a", "a/y", false, "2:a/z/0\n1:a/z/1\n");
    expect_list(store, "", "", true, "1:a-1/\n1:a/\n1:b/\n");
    expect_list(store, "", "a/", true, "1:b/\n");
    expect_list(store, "a/", "", true, "1:a/m/\n1:a/x\n2:a/y\n1:a/z/\n");
    expect_list(store, "a/", "a/x", true, "2:a/y\n1:a/z/\n");
    expect_list(store, "c", "", true, "");
    store->driver->close(store);
}

static void test_few_listings_are_open_at_a_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char bucket[16];
        snprintf(bucket, sizeof bucket, "c-%03u", i);
        add(bucket, NULL);
        add(bucket, "1");
        add(bucket, "2");
    }
    struct store *store = open_spread("//c-{1}/{2+}", 0, false);
    SCOPED(buf) struct buf got = { 0 };
    list_into(store, "", "", false, false, &got);
    assert_int_equal(got.len, 200 * 6);
    assert_in_range(lists_most, 1, 2);
    lists_opened = 0;
    buf_clear(&got);
    list_into(store, "", "098/1", false, false, &got);
    assert_string_equal(got.data, "098/2\n099/1\n099/2\n");
    assert_int_equal(lists_opened, 2);
    store->driver->close(store);
}

/* The first level of names, from a sorted list of them. */
static void fold(const char *names, const char *prefix, const char *after, bool delimited,
                 struct buf *ret_text)
{
    SCOPED(buf) struct buf last = { 0 };
    while (*names != '\0') {
        const size_t len = strcspn(names, "\n");
        SCOPED(buf) struct buf name = { 0 };
        buf_add(&name, names, len);
        names += len + 1;
        if (strncmp(name.data, prefix, strlen(prefix)) != 0)
            continue;
        const char *slash = delimited ? strchr(name.data + strlen(prefix), '/') : NULL;
        if (slash != NULL)
            buf_cut(&name, (size_t)(slash - name.data) + 1);
        if (strcmp(name.data, after) <= 0 || (last.len != 0 && strcmp(name.data, last.data) == 0))
            continue;
        buf_printf(ret_text, "%s\n", name.data);
        buf_clear(&last);
        buf_add_text(&last, name.data);
    }
}

static void random_name(unsigned *seed, char name[24])
{
    static const char letters[] = "ab-/.";
    const size_t len = 5 + (size_t)rand_r(seed) % 12;
    for (size_t i = 0; i < len; i++)
        name[i] = letters[(size_t)rand_r(seed) % (sizeof letters - 1)];
    name[len] = '\0';
}

/* Whatever the template, a listing is the sorted list of all names. */
static void test_any_listing_is_that_of_the_sorted_names(void **state)
{
    (void)state;
    static const char *const paths[] = { "//run-{1}-x/{2+}", "//run-{2}-x/p/{1}/{3+}",
                                         "//run/{1}/lit/{2}/{3+}", "//run/p" };
    unsigned seed = 20261123;
    for (size_t p = 0; p < 4; p++) {
        struct store *store = open_spread(paths[p], 1000, true);
        const char *names[200];
        size_t count = 0;
        while (count < 150) {
            struct err err = { 0 };
            char name[24];
            SCOPED(buf) struct buf key = { 0 };
            SCOPED(buf) struct buf numbered = { 0 };
            random_name(&seed, name);
            if (name[0] == '/' || store->driver->map_key(store, name, &key, &err) < 0)
                continue;
            SCOPED(object) struct object object = { 0 };
            if (store->driver->head(store, name, &object, &err) == 0)
                continue;
            store_bucket_key(1 + (uint32_t)rand_r(&seed) % 3, name, &numbered);
            assert_int_equal(put(store, numbered.data), ERR_NONE);
            names[count++] = mem_string(name);
        }
        store->driver->close(store);
        store = open_spread(paths[p], 1000, true);
        SCOPED(buf) struct buf all = { 0 };
        qsort(names, count, sizeof *names, compare_texts);
        for (size_t i = 0; i < count; i++)
            buf_printf(&all, "%s\n", names[i]);
        for (size_t i = 0; i < 400; i++) {
            SCOPED(buf) struct buf want = { 0 };
            SCOPED(buf) struct buf got = { 0 };
            const char *one = names[(size_t)rand_r(&seed) % count];
            const char *other = names[(size_t)rand_r(&seed) % count];
            char prefix[24];
            char after[24];
            snprintf(prefix, sizeof prefix, "%.*s", rand_r(&seed) % 8, one);
            snprintf(after, sizeof after, "%.*s", i % 3 == 0 ? 0 : rand_r(&seed) % 24, other);
            const bool delimited = i % 2 == 0;
            fold(all.data, prefix, delimited ? "" : after, delimited, &want);
            list_into(store, prefix, delimited ? "" : after, delimited, false, &got);
            assert_string_equal(buf_text(&got), buf_text(&want));
            if (!delimited || want.len == 0)
                continue;
            /* From each entry on, as who lists page by page. */
            const size_t first = strcspn(want.data, "\n");
            want.data[first] = '\0';
            buf_clear(&got);
            list_into(store, prefix, want.data, true, false, &got);
            assert_string_equal(buf_text(&got), want.data + first + 1);
        }
        store->driver->close(store);
        for (size_t i = 0; i < count; i++)
            mem_release(names[i]);
    }
}

/* ---- objects ---- */

static void test_keys_name_buckets(void **state)
{
    (void)state;
    add("run", NULL);
    struct store *store = open_spread("//run/p", 5, false);
    assert_int_equal(put(store, "a"), ERR_NONE);
    assert_int_equal(put(store, "//2/b"), ERR_NONE);
    assert_int_equal(put(store, "//3//c"), ERR_NONE);
    assert_true(has("run", "p/a") && has("run-2", "p/b") && has("run-3", "p//c"));
    assert_int_equal(buckets_made, 2);
    struct err err = { 0 };
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(store->driver->head(store, "b", &object, &err), 0);
    assert_int_equal(object.bucket, 2);
    assert_string_equal(object.key.data, "b");
    assert_int_equal(store->driver->head(store, "//1/b", &object, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    assert_int_equal(store->driver->head(store, "//9/b", &object, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    const char *const keys[] = { "a", "//2/b", "//7/x", "//3//c", "a" };
    struct err errs[5] = { 0 };
    assert_int_equal(store->driver->remove(store, keys, 5, errs, &err), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(errs[i].kind, ERR_NONE);
    assert_int_equal(held("run") + held("run-2") + held("run-3"), 0);
    SCOPED(buf) struct buf text = { 0 };
    assert_true(store->driver->locate(store, "//2/a/b", &text));
    assert_string_equal(text.data, "fake://run-2/p/a/b");
    store->driver->close(store);
}

static void test_first_buckets_are_made_only_when_asked(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct store *store = open_spread("//c-{1}/{2+}", 0, false);
    assert_int_equal(put(store, "new/x"), ERR_CONFIG);
    assert_int_equal(buckets_made, 0);
    /* Somebody else may have made it meanwhile. */
    add("c-new", NULL);
    assert_int_equal(put(store, "new/x"), ERR_NONE);
    store->driver->close(store);
    store = open_spread("//c-{1}/{2+}", 0, true);
    assert_int_equal(put(store, "newer/x"), ERR_NONE);
    assert_int_equal(put(store, "newer/y"), ERR_NONE);
    assert_int_equal(buckets_made, 1);
    store->driver->close(store);
    const struct store_options options = { .bucket_objects = 1 };
    assert_int_equal(spread_open(&store, &fake_driver, "//none", &options, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.hint, "--make-bucket"));
}

static void test_numbers_need_no_list_of_buckets(void **state)
{
    (void)state;
    may_not_list = true;
    add("run", NULL);
    add("run-2", NULL);
    add("run-4", NULL);
    add("run", "a");
    add("run-2", "b");
    add("run-4", "d");
    struct store *store = open_spread("//run", 5, false);
    expect_list(store, "", "", false, "1:a\n2:b\n");
    store->driver->close(store);
    const struct store_options options = { 0 };
    struct err err = { 0 };
    assert_int_equal(spread_open(&store, &fake_driver, "//c-{1}/{2+}", &options, &err), -1);
    assert_int_equal(err.kind, ERR_DENIED);
}

static void test_other_drivers_are_refused(void **state)
{
    (void)state;
    const struct store_options plain = { 0 };
    const struct store_options numbered = { .bucket_objects = 1 };
    struct store_driver none = fake_driver;
    none.list_buckets = NULL;
    struct store *store = NULL;
    struct err err = { 0 };
    assert_int_equal(spread_open(&store, &none, "//c-{1}/{2+}", &plain, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    err_clear(&err);
    assert_int_equal(spread_open(&store, &none, "//c", &numbered, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, "--bucket-objects"));
}

/* ---- room ---- */

static uint32_t take(struct store *store, struct store_room *room, const char *key, uint32_t bucket)
{
    struct err err = { 0 };
    if (store->driver->room_take(room, key, &bucket, &err) < 0)
        fail_msg("%s: %s", key, err.text);
    return bucket;
}

static void test_room_is_what_was_there_and_what_was_planned(void **state)
{
    (void)state;
    add("c-a", NULL);
    add("c-a--2", NULL);
    add("c-a--3", NULL);
    add("c-b", NULL);
    add("c-a", "1");
    add("c-a", "of-others/2");
    add("c-a", "3");
    add("c-a--2", "4");
    add("c-a--2", "5");
    struct store *store = open_spread("//c-{1}/{2+}", 3, false);
    struct store_room *room = NULL;
    struct err err = { 0 };
    SCOPED(buf) struct buf told = { 0 };
    assert_int_equal(store->driver->room_open(&room, store, NULL, &err), 0);
    assert_true(store->driver->room_tell(room, &told));
    assert_string_equal(told.data, "3 c-a\n2 c-a--2\n0 c-a--3\n0 c-b\n");
    assert_int_equal(take(store, room, "a/n1", 0), 2);
    assert_int_equal(take(store, room, "b/n1", 0), 1);
    assert_int_equal(take(store, room, "a/n2", 0), 3);
    store->driver->room_close(room);
    /* Goes on from what was told, whatever came meanwhile; but a bucket that came is seen. */
    add("c-late", NULL);
    add("c-a--2", "n1");
    add("c-a--3", "n2");
    assert_int_equal(store->driver->room_open(&room, store, &told, &err), 0);
    assert_int_equal(take(store, room, "a/n1", 2), 2);
    assert_int_equal(take(store, room, "b/n1", 1), 1);
    assert_int_equal(take(store, room, "a/n2", 3), 3);
    assert_int_equal(take(store, room, "a/n3", 0), 3);
    assert_int_equal(take(store, room, "a/n4", 0), 3);
    assert_int_equal(take(store, room, "a/n5", 0), 4);
    assert_int_equal(take(store, room, "b/n2", 0), 1);
    assert_int_equal(take(store, room, "late/n1", 0), 1);
    uint32_t bucket = 0;
    assert_int_equal(store->driver->room_take(room, "none/x", &bucket, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.text, "c-none"));
    store->driver->room_close(room);
    store->driver->close(store);
}

static void test_a_bucket_without_a_number_left_is_told(void **state)
{
    (void)state;
    const char *value = "a23456789012345678901234567890123456789012345678901234567890123";
    SCOPED(buf) struct buf key = { 0 };
    add(value, NULL);
    add(value, "x");
    struct store *store = open_spread("//{1}/{2+}", 1, false);
    struct store_room *room = NULL;
    struct err err = { 0 };
    uint32_t bucket = 0;
    assert_int_equal(store->driver->room_open(&room, store, NULL, &err), 0);
    buf_printf(&key, "%s/y", value);
    assert_int_equal(store->driver->room_take(room, key.data, &bucket, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(bucket, 0);
    store->driver->room_close(room);
    store->driver->close(store);
}

static void test_damaged_counts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "1 c-a",      "x c-a\n", "1\n",     "1 other\n",
                                         "1 c-a--1\n", " \n",     "1  c-a\n" };
    struct store *store = open_spread("//c-{1}/{2+}", 3, false);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        SCOPED(buf) struct buf text = { 0 };
        struct store_room *room = NULL;
        struct err err = { 0 };
        buf_add_text(&text, texts[i]);
        assert_int_equal(store->driver->room_open(&room, store, &text, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
    store->driver->close(store);
}

static void test_long_keys_are_measured_in_their_bucket(void **state)
{
    (void)state;
    struct store *store = open_spread("//c-{1}/{2+}", 0, false);
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    struct err err = { 0 };
    buf_add_text(&name, "cam/");
    for (size_t i = 0; i < 1000; i++)
        buf_add_char(&name, 'x');
    assert_int_equal(store->driver->map_key(store, name.data, &key, &err), 0);
    assert_string_equal(key.data, name.data);
    buf_add_char(&name, 'x');
    assert_int_equal(store->driver->map_key(store, name.data, &key, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    store->driver->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_buckets_are_merged_in_the_order_of_names, end),
        cmocka_unit_test_teardown(test_few_listings_are_open_at_a_time, end),
        cmocka_unit_test_teardown(test_any_listing_is_that_of_the_sorted_names, end),
        cmocka_unit_test_teardown(test_keys_name_buckets, end),
        cmocka_unit_test_teardown(test_first_buckets_are_made_only_when_asked, end),
        cmocka_unit_test_teardown(test_numbers_need_no_list_of_buckets, end),
        cmocka_unit_test_teardown(test_other_drivers_are_refused, end),
        cmocka_unit_test_teardown(test_room_is_what_was_there_and_what_was_planned, end),
        cmocka_unit_test_teardown(test_a_bucket_without_a_number_left_is_told, end),
        cmocka_unit_test_teardown(test_damaged_counts_are_refused, end),
        cmocka_unit_test_teardown(test_long_keys_are_measured_in_their_bucket, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
