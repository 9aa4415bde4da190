/* A view against a simple model: random trees packed in several generations, as runs would leave
 * them, with what is gone, and with objects of their own. */
#include "pack/view.h"

#include "../scratch.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/thread.h"
#include "memory_store.h"
#include "pack/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAME_BYTES FRAME_BYTES_MIN

/* ---- the model ---- */

struct thing {
    char key[80]; /* its name: what its object would be called in a store that maps none */
    enum pack_kind kind;
    bool is_there, is_packed; /* in a pack, or an object of its own */
    bool is_changed;          /* in this generation, for a pack */
    struct buf content;       /* holes included; of a link its target */
    bool is_sparse;
    const struct thing *same; /* a hard link to it in the same pack */
    uint32_t mode;
    int64_t mtime_ns;
};
struct model {
    struct memory_store store;
    struct thing *things; /* by key */
    size_t count;
    uint64_t random;
    bool overlaps; /* packs of one generation share ranges of names */
};

static int compare_things(const void *left, const void *right)
{
    const struct thing *a = left;
    const struct thing *b = right;
    return strcmp(a->key, b->key);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text);
    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static void random_key(uint64_t *random, char key[80])
{
    static const char *const words[] = { "a",  "b",        "ab", "a-b", "\1",   "a\1",
                                         "a!", "\xc3\xa4", "z",  "a.b", "\xff", "0" };
    static const char *const ends[] = { "", "", "", "/", LINK_SUFFIX };
    key[0] = '\0';
    const size_t depth = 1 + random_below(random, 3);
    for (size_t i = 0; i < depth; i++) {
        const char *word = words[random_below(random, sizeof words / sizeof *words)];
        snprintf(key + strlen(key), 80 - strlen(key), "%s%s", i != 0 ? "/" : "", word);
    }
    snprintf(key + strlen(key), 80 - strlen(key), "%s", ends[random_below(random, 5)]);
}

static void model_init(struct model *model, uint64_t seed, size_t count, bool maps)
{
    *model = (struct model){ .random = seed };
    memory_store_init(&model->store, maps);
    model->things = mem_alloc(count * sizeof *model->things);
    while (model->count < count) {
        struct thing thing = { 0 };
        bool double_one = false;
        random_key(&model->random, thing.key);
        for (size_t i = 0; i < model->count; i++)
            double_one = double_one || strcmp(model->things[i].key, thing.key) == 0;
        if (double_one)
            continue;
        thing.kind = ends_with(thing.key, "/")           ? PACK_DIR
                     : ends_with(thing.key, LINK_SUFFIX) ? PACK_LINK
                                                         : PACK_FILE;
        model->things[model->count++] = thing;
    }
    qsort(model->things, model->count, sizeof *model->things, compare_things);
    model->overlaps = random_below(&model->random, 2) != 0;
}

static void model_done(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        buf_done(&model->things[i].content);
    mem_free(model->things);
    memory_store_done(&model->store);
}

/* Sparse ones have data in the second quarter only. */
static void change_content(struct model *model, struct thing *thing)
{
    const size_t len =
        thing->kind == PACK_LINK
            ? 1 + random_below(&model->random, 30)
            : random_below(&model->random,
                           random_below(&model->random, 8) == 0 ? 3 * FRAME_BYTES : 3000);
    buf_clear(&thing->content);
    thing->is_sparse = thing->kind == PACK_FILE && len >= 8 && random_below(&model->random, 4) == 0;
    for (size_t i = 0; i < len && thing->kind != PACK_DIR; i++) {
        const bool hole = thing->is_sparse && (i < len / 4 || i >= len / 2);
        buf_add_char(&thing->content, hole ? '\0' : (char)(1 + random_below(&model->random, 255)));
    }
    thing->mode = (uint32_t)random_below(&model->random, 010000);
    thing->mtime_ns = (int64_t)random_below(&model->random, 1000000000) * 1000;
    thing->same = NULL;
    thing->is_there = true;
}

/* What happens between two runs. */
static void change_some(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        struct thing *thing = &model->things[i];
        const size_t what = random_below(&model->random, 10);
        thing->is_changed = false;
        if (what > 5 || (thing->is_there && !thing->is_packed && what > 2))
            continue;
        const bool own = thing->is_there && !thing->is_packed;
        if (what == 5 && thing->is_there) { /* gone; an object of its own stays */
            thing->is_there = false;
            thing->is_changed = true;
            continue;
        }
        change_content(model, thing);
        thing->is_packed = !own && what != 4;
        thing->is_changed = thing->is_packed;
        if (!thing->is_packed)
            (void)memory_store_put(&model->store, thing->key, buf_text(&thing->content),
                                   thing->content.len);
    }
}

/* ---- packs ---- */

static struct pack_member member_of(const struct thing *thing)
{
    size_t len = strlen(thing->key);
    if (thing->kind == PACK_DIR)
        len--;
    if (thing->kind == PACK_LINK)
        len -= strlen(LINK_SUFFIX);
    struct pack_member member = { .path = thing->key,
                                  .path_len = (uint32_t)len,
                                  .kind = thing->kind,
                                  .mode = thing->mode & 07777,
                                  .mtime_ns = thing->mtime_ns };
    if (!thing->is_there) {
        member.kind = PACK_GONE;
        member.was = thing->kind;
    } else if (thing->kind == PACK_LINK) {
        member.target = buf_text(&thing->content);
        member.target_len = (uint32_t)thing->content.len;
    } else if (thing->kind == PACK_FILE) {
        member.size_bytes = thing->content.len;
        member.crc64 = crc64nvme(0, buf_text(&thing->content), thing->content.len);
    }
    if (thing->is_there && thing->same != NULL) {
        member.kind = PACK_HARDLINK;
        member.target = thing->same->key;
        member.target_len = (uint32_t)strlen(thing->same->key);
    }
    return member;
}

static void add_thing(struct pack_chunk *chunk, const struct thing *thing)
{
    struct pack_member member = member_of(thing);
    const size_t len = thing->content.len;
    const char *bytes = buf_text(&thing->content);
    struct pack_extent extent = { .offset_bytes = len / 4, .len_bytes = len / 2 - len / 4 };
    if (member.kind != PACK_FILE) {
        pack_chunk_add(chunk, &member, NULL, 0);
    } else if (thing->is_sparse) {
        member.sparse = true;
        member.extents = &extent;
        member.extent_count = 1;
        pack_chunk_add(chunk, &member, bytes + len / 4, (size_t)extent.len_bytes);
    } else {
        pack_chunk_add(chunk, &member, bytes, len);
    }
}

static void store_pack(struct model *model, const struct thing *const *things, size_t count,
                       uint32_t generation, size_t number)
{
    char name[80];
    const bool plain = random_below(&model->random, 4) == 0;
    snprintf(name, sizeof name, "%spack-%u-%zu%s", number % 2 != 0 ? "a/" : "", generation, number,
             plain ? ".tar" : ".tar.zst");
    const struct pack_options options = { .level = plain ? 0 : 1, .frame_bytes = FRAME_BYTES };
    const struct pack_info info = { .name = name,
                                    .job_id = "job",
                                    .generation = generation,
                                    .created_ns = 1000 - generation, /* which is not asked */
                                    .level = plain ? 0 : 1 };
    SCOPED(buf) struct buf bytes = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    struct err err = { 0 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    for (size_t i = 0; i < count; i++)
        add_thing(chunk, things[i]);
    pack_chunk_seal(chunk);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    buf_add(&bytes, pack_chunk_bytes(chunk)->data, pack_chunk_bytes(chunk)->len);
    assert_int_equal(pack_join_tail(join, &bytes, &err), 0);
    const struct memory_object *object =
        memory_store_put(&model->store, name, bytes.data, bytes.len);
    if (plain) {
        assert_int_equal(pack_join_sidecar(join, object->etag, &index, &err), 0);
        snprintf(name + strlen(name), sizeof name - strlen(name), ".index");
        (void)memory_store_put(&model->store, name, index.data, index.len);
    }
    pack_join_free(join);
    pack_chunk_free(chunk);
}

/* Some files are hard links of one before them in the same pack. */
static void link_some(struct model *model, struct thing **things, size_t count)
{
    struct thing *last = NULL;
    for (size_t i = 0; i < count; i++) {
        if (things[i]->kind != PACK_FILE || !things[i]->is_there)
            continue;
        if (last != NULL && random_below(&model->random, 6) == 0) {
            buf_clear(&things[i]->content);
            buf_add(&things[i]->content, buf_text(&last->content), last->content.len);
            things[i]->same = last;
        } else {
            last = things[i];
        }
    }
}

static void pack_changed(struct model *model, uint32_t generation)
{
    const size_t packs = 1 + random_below(&model->random, 4);
    struct thing **chosen = mem_alloc((model->count + 1) * sizeof(struct thing *));
    for (size_t number = 0; number < packs; number++) {
        size_t count = 0;
        for (size_t i = 0; i < model->count; i++)
            if (model->things[i].is_changed &&
                number == (model->overlaps ? i % packs : i * packs / model->count))
                chosen[count++] = &model->things[i];
        link_some(model, chosen, count);
        if (count != 0)
            store_pack(model, (const struct thing *const *)chosen, count, generation, number);
    }
    mem_release(chosen);
}

static struct store *open_view(struct model *model)
{
    struct catalog catalog;
    struct store *view = NULL;
    struct err err = { 0 };
    const struct catalog_options options = { 0 };
    assert_int_equal(catalog_open(&catalog, &model->store.base, &options, &err), 0);
    assert_int_equal(view_open(&view, &model->store.base, &catalog, false, &err), 0);
    return view;
}

/* ---- what the view must show ---- */

static void key_of(struct model *model, const struct thing *thing, struct buf *ret_key)
{
    struct err err = { 0 };
    assert_int_equal(
        model->store.base.driver->map_key(&model->store.base, thing->key, ret_key, &err), 0);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

struct texts {
    char **items;
    size_t count;
};

static void texts_add(struct texts *texts, const char *text)
{
    texts->items = mem_resize(texts->items, (texts->count + 1) * sizeof *texts->items);
    texts->items[texts->count++] = mem_string(text);
}

static void texts_done(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        mem_release(texts->items[i]);
    mem_free(texts->items);
    texts->count = 0;
}

static void list_view(struct store *view, const char *prefix, const char *after, bool delimited,
                      struct texts *ret_keys)
{
    struct store_list *list = NULL;
    struct err err = { 0 };
    SCOPED(object) struct object object = { 0 };
    int got;
    assert_int_equal(view->driver->list_open(&list, view, prefix, after, delimited, &err), 0);
    while ((got = view->driver->list_next(list, &object, &err)) == 1)
        texts_add(ret_keys, object.key.data);
    assert_int_equal(got, 0);
    view->driver->list_close(list);
}

/* One level: what lies below the next '/' is one entry. */
static void list_model(struct model *model, const char *prefix, const char *after, bool delimited,
                       struct texts *ret_keys)
{
    SCOPED(buf) struct buf key = { 0 };
    for (size_t i = 0; i < model->count; i++) {
        if (!model->things[i].is_there)
            continue;
        key_of(model, &model->things[i], &key);
        if (strncmp(key.data, prefix, strlen(prefix)) != 0)
            continue;
        char *slash = delimited ? strchr(key.data + strlen(prefix), '/') : NULL;
        if (slash != NULL)
            slash[1] = '\0';
        const bool again =
            ret_keys->count != 0 && strcmp(ret_keys->items[ret_keys->count - 1], key.data) == 0;
        if (strcmp(key.data, after) > 0 && !again)
            texts_add(ret_keys, key.data);
    }
}

static void expect_list(struct model *model, struct store *view, const char *prefix,
                        const char *after, bool delimited)
{
    SCOPED(texts) struct texts got = { 0 };
    SCOPED(texts) struct texts want = { 0 };
    list_view(view, prefix, after, delimited, &got);
    list_model(model, prefix, after, delimited, &want);
    /* Names that the store writes in another way may be in their own order. */
    if (model->store.maps && got.count != 0)
        qsort(got.items, got.count, sizeof *got.items, compare_texts);
    if (model->store.maps && want.count != 0)
        qsort(want.items, want.count, sizeof *want.items, compare_texts);
    for (size_t i = 0; i < got.count && i < want.count; i++)
        assert_string_equal(got.items[i], want.items[i]);
    assert_int_equal(got.count, want.count);
}

static void expect_lists(struct model *model, struct store *view)
{
    SCOPED(texts) struct texts all = { 0 };
    expect_list(model, view, "", "", false);
    expect_list(model, view, "nothing", "", false);
    if (model->store.maps)
        return;
    expect_list(model, view, "", "", true);
    list_model(model, "", "", true, &all);
    for (size_t i = 0; i < all.count; i++) {
        expect_list(model, view, all.items[i], "", false);
        expect_list(model, view, all.items[i], "", true);
        expect_list(model, view, "", all.items[i], true);
    }
    for (size_t i = 0; i < model->count; i += 3) {
        char cut[80];
        snprintf(cut, sizeof cut, "%s", model->things[i].key);
        expect_list(model, view, "", cut, false);
        cut[strlen(cut) / 2] = '\0';
        expect_list(model, view, cut, "", false);
        expect_list(model, view, cut, model->things[i].key, false);
        expect_list(model, view, "", cut, false);
    }
}

static void expect_range(struct store *view, const char *key, const struct thing *thing,
                         uint64_t offset, uint64_t length)
{
    struct err err = { 0 };
    const size_t size = thing->content.len;
    const size_t from = offset < size ? (size_t)offset : size;
    const size_t want = length < size - from ? (size_t)length : size - from;
    unsigned char *bytes = mem_alloc(size + 1);
    struct sink sink = { .fd = -1, .memory = bytes, .memory_bytes = size + 1 };
    assert_int_equal(view->driver->get(view, key, offset, length, "", &sink, NULL, &err), 0);
    assert_int_equal(sink.done_bytes, want);
    assert_memory_equal(bytes, buf_text(&thing->content) + from, want);
    mem_release(bytes);
}

static void expect_packed(const struct thing *thing, const struct object *object)
{
    assert_int_equal(object->attr.kind, thing->kind == PACK_DIR    ? ENTRY_DIR
                                        : thing->kind == PACK_LINK ? ENTRY_LINK
                                                                   : ENTRY_FILE);
    assert_int_equal(object->attr.have & (ATTR_MODE | ATTR_OWNER | ATTR_MTIME),
                     ATTR_MODE | ATTR_OWNER | ATTR_MTIME);
    assert_int_equal((object->attr.have & ATTR_CRC64) != 0, thing->kind != PACK_DIR);
    if (thing->kind != PACK_DIR)
        assert_true(object->attr.crc64 ==
                    crc64nvme(0, buf_text(&thing->content), thing->content.len));
    if (thing->same == NULL) { /* a hard link has those of its target, or its own */
        assert_int_equal(object->attr.mode, thing->mode & 07777);
        assert_true(object->attr.mtime_ns == thing->mtime_ns);
    }
    assert_string_equal(object->etag, "");
}

static void expect_thing(struct model *model, struct store *view, struct thing *thing)
{
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(object) struct object object = { 0 };
    struct err err = { 0 };
    key_of(model, thing, &key);
    const int got = view->driver->head(view, key.data, &object, &err);
    assert_int_equal(got, thing->is_there ? 0 : -1);
    if (got < 0) {
        struct sink sink = { .fd = -1 };
        assert_int_equal(err.kind, ERR_ABSENT);
        err_clear(&err);
        assert_int_equal(view->driver->get(view, key.data, 0, UINT64_MAX, "", &sink, NULL, &err),
                         -1);
        assert_int_equal(err.kind, ERR_ABSENT);
        return;
    }
    assert_string_equal(object.key.data, key.data);
    assert_int_equal(object.size_bytes, thing->content.len);
    if (thing->is_packed)
        expect_packed(thing, &object);
    const uint64_t size = thing->content.len;
    expect_range(view, key.data, thing, 0, UINT64_MAX);
    expect_range(view, key.data, thing, size, UINT64_MAX);
    expect_range(view, key.data, thing, size + 1, 5);
    for (int i = 0; i < 3; i++)
        expect_range(view, key.data, thing, random_below(&model->random, (size_t)size + 1),
                     random_below(&model->random, (size_t)size + 10));
}

static void run_model(uint64_t seed, size_t count, bool maps)
{
    struct model model;
    model_init(&model, seed, count, maps);
    const uint32_t generations = 1 + (uint32_t)random_below(&model.random, 5);
    for (uint32_t generation = 1; generation <= generations; generation++) {
        change_some(&model);
        pack_changed(&model, generation);
    }
    struct store *view = open_view(&model);
    assert_true(view_is(view) && !view_is(&model.store.base));
    expect_lists(&model, view);
    for (size_t i = 0; i < model.count; i++)
        expect_thing(&model, view, &model.things[i]);
    view->driver->close(view);
    assert_true(model.store.closed);
    model_done(&model);
}

static void test_random_packs_are_the_tree_that_they_are_of(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_model(seed, 1 + seed % 90, false);
}

static void test_names_that_the_store_writes_in_another_way(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1060; seed++)
        run_model(seed, 1 + seed % 90, true);
}

/* ---- by example ---- */

static void store_one(struct model *model, const char *name, uint32_t generation,
                      int64_t created_ns, const char *job_id, struct thing *thing)
{
    const struct pack_options options = { .level = 1 };
    const struct pack_info info = { .name = name,
                                    .job_id = job_id,
                                    .generation = generation,
                                    .created_ns = created_ns,
                                    .level = 1 };
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    add_thing(chunk, thing);
    pack_chunk_seal(chunk);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    buf_add(&bytes, pack_chunk_bytes(chunk)->data, pack_chunk_bytes(chunk)->len);
    assert_int_equal(pack_join_tail(join, &bytes, &err), 0);
    (void)memory_store_put(&model->store, name, bytes.data, bytes.len);
    pack_join_free(join);
    pack_chunk_free(chunk);
}

static struct thing text_thing(const char *text)
{
    struct thing thing = { .key = "f", .kind = PACK_FILE, .is_there = true, .is_packed = true };
    buf_add_text(&thing.content, text);
    return thing;
}

/* The generation counts in one job, the time between jobs, and an object of its own before all. */
static void test_newest_word_counts(void **state)
{
    (void)state;
    struct model model = { 0 };
    memory_store_init(&model.store, false);
    struct thing old = text_thing("old");
    struct thing new = text_thing("new");
    struct thing other = text_thing("other");
    struct thing own = text_thing("own");
    store_one(&model, "a.tar.zst", 2, 100, "job", &new);
    store_one(&model, "b.tar.zst", 1, 200, "job", &old);
    struct store *view = open_view(&model);
    expect_range(view, "f", &new, 0, UINT64_MAX);
    view->driver->close(view);
    store_one(&model, "c.tar.zst", 1, 300, "another", &other);
    view = open_view(&model);
    expect_range(view, "f", &other, 0, UINT64_MAX);
    view->driver->close(view);
    (void)memory_store_put(&model.store, "f", "own", 3);
    view = open_view(&model);
    expect_range(view, "f", &own, 0, UINT64_MAX);
    SCOPED(texts) struct texts keys = { 0 };
    list_view(view, "", "", false, &keys);
    assert_int_equal(keys.count, 1);
    assert_string_equal(keys.items[0], "f");
    view->driver->close(view);
    memory_store_done(&model.store);
    struct thing *all[] = { &old, &new, &other, &own };
    for (size_t i = 0; i < 4; i++)
        buf_done(&all[i]->content);
}

static void test_etag_is_that_of_an_object_of_its_own(void **state)
{
    (void)state;
    struct model model = { 0 };
    struct err err = { 0 };
    struct sink sink = { .fd = -1 };
    memory_store_init(&model.store, false);
    struct thing thing = text_thing("text");
    store_one(&model, "a.tar.zst", 1, 1, "job", &thing);
    struct store *view = open_view(&model);
    assert_int_equal(view->driver->get(view, "f", 0, 4, "etag", &sink, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    view->driver->close(view);
    memory_store_done(&model.store);
    buf_done(&thing.content);
}

static void test_damaged_content_is_never_given_as_good(void **state)
{
    (void)state;
    struct model model = { 0 };
    memory_store_init(&model.store, false);
    struct thing thing = text_thing("");
    for (int i = 0; i < 1000000; i++)
        buf_add_char(&thing.content, (char)(((unsigned)i * 2654435761u) >> 24));
    store_one(&model, "a.tar.zst", 1, 1, "job", &thing);
    struct memory_object *object = &model.store.objects[0];
    object->bytes.data[1000] = (char)(object->bytes.data[1000] ^ 1);
    struct store *view = open_view(&model);
    struct err err = { 0 };
    struct sink sink = { .fd = -1 };
    assert_int_equal(view->driver->get(view, "f", 0, UINT64_MAX, "", &sink, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_DAMAGED);
    /* A pack that was replaced meanwhile is not read as if it were the same. */
    err_clear(&err);
    view->driver->close(view);
    object->bytes.data[1000] = (char)(object->bytes.data[1000] ^ 1);
    view = open_view(&model);
    snprintf(object->etag, sizeof object->etag, "another");
    assert_int_equal(view->driver->get(view, "f", 0, UINT64_MAX, "", &sink, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_CHANGED);
    view->driver->close(view);
    memory_store_done(&model.store);
    buf_done(&thing.content);
}

static void test_pack_that_cannot_be_read_is_named_and_nothing_is_taken_over(void **state)
{
    (void)state;
    struct model model = { 0 };
    struct catalog catalog;
    struct store *view = NULL;
    struct err err = { 0 };
    const struct catalog_options options = { 0 };
    memory_store_init(&model.store, false);
    struct thing thing = text_thing("text");
    store_one(&model, "good.tar.zst", 1, 1, "job", &thing);
    store_one(&model, "wrong.tar.zst", 1, 1, "job", &thing);
    struct memory_object *object = &model.store.objects[1];
    object->bytes.data[object->bytes.len - 40] ^= 1;
    assert_int_equal(catalog_open(&catalog, &model.store.base, &options, &err), 0);
    assert_int_equal(view_open(&view, &model.store.base, &catalog, false, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "wrong.tar.zst"));
    assert_int_equal(catalog.count, 2);
    catalog_done(&catalog);
    assert_false(model.store.closed);
    memory_store_done(&model.store);
    buf_done(&thing.content);
}

/* ---- in which pack ---- */

static void expect_in_pack(struct store *view, const char *key, const char *pack_key)
{
    struct err err = { 0 };
    SCOPED(object) struct object object = { 0 };
    SCOPED(object) struct object same = { 0 };
    const struct catalog_pack *pack = NULL;
    if (pack_key == NULL) {
        assert_int_equal(view_find(view, key, &object, &pack, &err), -1);
        assert_int_equal(err.kind, ERR_ABSENT);
        assert_null(pack);
        return;
    }
    assert_int_equal(view_find(view, key, &object, &pack, &err), 0);
    assert_string_equal(pack->key, pack_key);
    assert_int_equal(view->driver->head(view, key, &same, &err), 0);
    assert_string_equal(object.key.data, key);
    assert_true(object.size_bytes == same.size_bytes && object.attr.crc64 == same.attr.crc64 &&
                object.attr.kind == same.attr.kind && object.attr.have == same.attr.have);
}

static void test_find_tells_the_pack_that_has_the_word(void **state)
{
    (void)state;
    struct model model = { 0 };
    struct err err = { 0 };
    memory_store_init(&model.store, true);
    struct thing file = text_thing("text");
    struct thing other = text_thing("other");
    struct thing gone = text_thing("");
    struct thing odd = text_thing("odd");
    struct thing link = { .key = "l" LINK_SUFFIX, .kind = PACK_LINK, .is_there = true };
    buf_add_text(&link.content, "target");
    snprintf(other.key, sizeof other.key, "g");
    snprintf(gone.key, sizeof gone.key, "gone");
    snprintf(odd.key, sizeof odd.key, "a\1");
    store_one(&model, "a.tar.zst", 2, 1, "job", &file);
    store_one(&model, "b.tar.zst", 1, 2, "job", &file);
    store_one(&model, "c.tar.zst", 1, 2, "job", &other);
    store_one(&model, "e.tar.zst", 1, 2, "job", &gone);
    store_one(&model, "l.tar.zst", 1, 2, "job", &link);
    store_one(&model, "m.tar.zst", 1, 2, "job", &odd);
    struct store *view = open_view(&model);
    expect_in_pack(view, "gone", "e.tar.zst");
    view->driver->close(view);
    gone.is_there = false;
    store_one(&model, "d.tar.zst", 2, 2, "job", &gone);
    (void)memory_store_put(&model.store, "g", "own", 3);
    view = open_view(&model);
    assert_true(view_is(view));
    assert_false(view_is(&model.store.base));
    expect_in_pack(view, "f", "a.tar.zst");
    expect_in_pack(view, "l" LINK_SUFFIX, "l.tar.zst");
    expect_in_pack(view, "a\xe2\x90\x81", "m.tar.zst"); /* as the store writes it */
    expect_in_pack(view, "g", NULL);                    /* an object of its own */
    expect_in_pack(view, "gone", NULL);
    expect_in_pack(view, "l", NULL);
    expect_in_pack(view, "f/", NULL);
    expect_in_pack(view, "nothing", NULL);
    expect_in_pack(view, "a.tar.zst", NULL);
    SCOPED(object) struct object own = { 0 };
    assert_int_equal(view->driver->head(view, "g", &own, &err), 0);
    assert_int_equal(own.size_bytes, 3);
    view->driver->close(view);
    memory_store_done(&model.store);
    struct thing *all[] = { &file, &other, &gone, &odd, &link };
    for (size_t i = 0; i < 5; i++)
        buf_done(&all[i]->content);
}

/* ---- many threads ---- */

struct reader {
    struct thread thread;
    struct model *model;
    struct store *view;
    size_t first;
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    struct err err = { 0 };
    for (size_t i = 0; i < 4 * reader->model->count; i++) {
        const struct thing *thing =
            &reader->model->things[(reader->first + i * 7) % reader->model->count];
        if (!thing->is_there)
            continue;
        SCOPED(buf) struct buf bytes = { 0 };
        buf_reserve(&bytes, thing->content.len);
        struct sink sink = { .fd = -1,
                             .memory = (unsigned char *)bytes.data,
                             .memory_bytes = thing->content.len };
        if (reader->view->driver->get(reader->view, thing->key, 0, UINT64_MAX, "", &sink, NULL,
                                      &err) < 0 ||
            sink.done_bytes != thing->content.len ||
            memcmp(bytes.data, buf_text(&thing->content), thing->content.len) != 0)
            return "wrong";
    }
    return NULL;
}

#define READERS 6u

static void *read_and_note(void *arg)
{
    struct reader *reader = arg;
    if (read_all(reader) != NULL)
        reader->first = SIZE_MAX;
    return NULL;
}

static void test_many_threads_read_the_same_view(void **state)
{
    (void)state;
    struct model model;
    struct err err = { 0 };
    model_init(&model, 77, 90, false);
    for (uint32_t generation = 1; generation <= 3; generation++) {
        change_some(&model);
        pack_changed(&model, generation);
    }
    struct store *view = open_view(&model);
    struct reader readers[READERS] = { 0 };
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .model = &model, .view = view, .first = 13 * i };
        assert_int_equal(thread_start(&readers[i].thread, "read", read_and_note, &readers[i], &err),
                         0);
    }
    for (size_t i = 0; i < READERS; i++)
        thread_join(&readers[i].thread);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(readers[i].first, 13 * i);
    view->driver->close(view);
    model_done(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_packs_are_the_tree_that_they_are_of),
        cmocka_unit_test(test_names_that_the_store_writes_in_another_way),
        cmocka_unit_test(test_newest_word_counts),
        cmocka_unit_test(test_etag_is_that_of_an_object_of_its_own),
        cmocka_unit_test(test_damaged_content_is_never_given_as_good),
        cmocka_unit_test(test_pack_that_cannot_be_read_is_named_and_nothing_is_taken_over),
        cmocka_unit_test(test_find_tells_the_pack_that_has_the_word),
        cmocka_unit_test(test_many_threads_read_the_same_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
