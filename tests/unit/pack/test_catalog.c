#include "pack/catalog.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"
#include "memory_store.h"
#include "pack/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct memory_store store;

static int start(void **state)
{
    (void)state;
    memory_store_init(&store, false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    memory_store_done(&store);
    return 0;
}

/* A pack of one file, `path`, that says it is `name`, under `key`. index_key: its sidecar. */
static void put_pack(const char *key, const char *name, const char *path, const char *index_key)
{
    const struct pack_options options = { .level = index_key != NULL ? 0 : 1 };
    const struct pack_info info = {
        .name = name, .job_id = "job", .generation = 1, .level = (uint32_t)options.level
    };
    const struct pack_member member = { .path = path,
                                        .path_len = (uint32_t)strlen(path),
                                        .kind = PACK_FILE };
    SCOPED(buf) struct buf bytes = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    struct err err = { 0 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    pack_chunk_add(chunk, &member, NULL, 0);
    pack_chunk_seal(chunk);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    buf_add(&bytes, pack_chunk_bytes(chunk)->data, pack_chunk_bytes(chunk)->len);
    assert_int_equal(pack_join_tail(join, &bytes, &err), 0);
    const struct memory_object *object = memory_store_put(&store, key, bytes.data, bytes.len);
    if (index_key != NULL) {
        assert_int_equal(pack_join_sidecar(join, object->etag, &index, &err), 0);
        (void)memory_store_put(&store, index_key, index.data, index.len);
    }
    pack_join_free(join);
    pack_chunk_free(chunk);
}

static void open_catalog(struct catalog *catalog, const char *only)
{
    struct err err = { 0 };
    const struct catalog_options options = { .only = only };
    assert_int_equal(catalog_open(catalog, &store.base, &options, &err), 0);
}

/* The one member of a pack, by its name in the tree of the store; NULL: it is not below it. */
static void expect_name(const struct catalog_pack *pack, const char *want)
{
    struct err err = { 0 };
    struct pack_member member;
    SCOPED(buf) struct buf name = { 0 };
    assert_non_null(pack->pack);
    struct pack_cursor *cursor = pack_cursor_new(pack->pack);
    assert_int_equal(pack_seek(cursor, "", 0, &err), 0);
    assert_int_equal(pack_next(cursor, &member, &err), 1);
    assert_int_equal(catalog_name(pack, &member, &name), want != NULL);
    if (want != NULL)
        assert_string_equal(buf_text(&name), want);
    pack_cursor_free(cursor);
}

/* name in the pack, key in the store, path of its member, and where that stands then. */
static const struct {
    const char *name, *key, *path, *want;
} places[] = {
    { "d.tar.zst", "d.tar.zst", "d/f", "d/f" },
    { "d.tar.zst", "copy/d.tar.zst", "d/f", "copy/d/f" }, /* moved down */
    { "a/d.tar.zst", "a/d.tar.zst", "a/d/f", "a/d/f" },
    { "a/d.tar.zst", "x/a/d.tar.zst", "a/d/f", "x/a/d/f" },
    { "a/d.tar.zst", "d.tar.zst", "a/d/f", "d/f" }, /* looked at from below */
    { "a/b/d.tar.zst", "d.tar.zst", "a/b/d/f", "d/f" },
    { "a/d.tar.zst", "d.tar.zst", "b/f", NULL },    /* elsewhere then */
    { "d.tar.zst", "e.tar.zst", "d/f", "d/f" },     /* renamed */
    { "d.tar.zst", "x/e.tar.zst", "d/f", "x/d/f" }, /* renamed and moved */
    { "ad.tar.zst", "d.tar.zst", "d/f", "d/f" },    /* an end, and no component */
};

static void test_members_stand_where_their_pack_was_put(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct catalog catalog;
        memory_store_done(&store);
        memory_store_init(&store, false);
        put_pack(places[i].key, places[i].name, places[i].path, NULL);
        open_catalog(&catalog, NULL);
        assert_int_equal(catalog.count, 1);
        expect_name(catalog.packs[0], places[i].want);
        catalog_done(&catalog);
    }
}

/* One that is asked for by itself is as tar would unpack it, wherever it lies. */
static void test_pack_by_itself_has_its_own_paths(void **state)
{
    (void)state;
    struct catalog catalog;
    put_pack("x/y.tar.zst", "d.tar.zst", "d/f", NULL);
    put_pack("other.tar.zst", "other.tar.zst", "f", NULL);
    open_catalog(&catalog, "x/y.tar.zst");
    assert_int_equal(catalog.count, 1);
    expect_name(catalog.packs[0], "d/f");
    assert_int_equal(store.heads, 0);
    assert_in_range(store.gets, 1, 2); /* its first byte, and its end where no cache has that */
    catalog_done(&catalog);
    struct err err = { 0 };
    const struct catalog_options absent = { .only = "none.tar.zst" };
    assert_int_equal(catalog_open(&catalog, &store.base, &absent, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
}

static void test_names_of_all_kinds(void **state)
{
    (void)state;
    static char above[] = "up/";
    static char skipped[] = "d/";
    const struct catalog_pack pack = { .above = above, .skipped = skipped };
    static const struct {
        const char *path;
        enum pack_kind kind, was;
        const char *want;
    } rows[] = {
        { "d/f", PACK_FILE, 0, "up/f" },
        { "d/f", PACK_HARDLINK, 0, "up/f" },
        { "d/e", PACK_DIR, 0, "up/e/" },
        { "d/l", PACK_LINK, 0, "up/l" LINK_SUFFIX },
        { "d/f", PACK_GONE, PACK_FILE, "up/f" },
        { "d/e", PACK_GONE, PACK_DIR, "up/e/" },
        { "d/l", PACK_GONE, PACK_LINK, "up/l" LINK_SUFFIX },
        { "d", PACK_DIR, 0, NULL },
        { "e/f", PACK_FILE, 0, NULL },
    };
    SCOPED(buf) struct buf name = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct pack_member member = { .path = rows[i].path,
                                            .path_len = (uint32_t)strlen(rows[i].path),
                                            .kind = rows[i].kind,
                                            .was = rows[i].was };
        assert_int_equal(catalog_name(&pack, &member, &name), rows[i].want != NULL);
        if (rows[i].want != NULL)
            assert_string_equal(buf_text(&name), rows[i].want);
    }
}

static void test_tar_is_ours_only_with_its_index(void **state)
{
    (void)state;
    struct catalog catalog;
    put_pack("a.tar", "a.tar", "a/f", "a.tar.index");
    put_pack("alone.tar", "alone.tar", "x", "elsewhere");
    put_pack("b.tar", "b.tar", "b/f", "b.tar.index");
    put_pack("b.tar-x", "b.tar", "b/f", "b.tar-y"); /* comes between b.tar and its index */
    put_pack("other.tar", "other.tar", "x", "other.tar.index");
    (void)memory_store_put(&store, "other.tar", "another tar", 11); /* of somebody else since */
    open_catalog(&catalog, NULL);
    assert_int_equal(catalog.count, 2);
    assert_string_equal(catalog.packs[0]->key, "a.tar");
    assert_true(catalog.packs[0]->has_sidecar);
    expect_name(catalog.packs[0], "a/f");
    expect_name(catalog.packs[1], "b/f");
    catalog_done(&catalog);
    open_catalog(&catalog, "a.tar");
    assert_int_equal(catalog.count, 1);
    expect_name(catalog.packs[0], "a/f");
    catalog_done(&catalog);
    open_catalog(&catalog, "other.tar");
    assert_int_equal(catalog.count, 0);
    catalog_done(&catalog);
}

static void test_what_is_no_pack_is_an_object_like_others(void **state)
{
    (void)state;
    struct catalog catalog;
    struct catalog nothing;
    SCOPED(buf) struct buf zeros = { 0 };
    open_catalog(&nothing, NULL);
    assert_int_equal(nothing.count, 0);
    assert_false(catalog_has_other(&nothing, "a"));
    catalog_done(&nothing);
    for (int i = 0; i < 1000; i++)
        buf_add_char(&zeros, '\0');
    (void)memory_store_put(&store, "theirs.tar.zst", zeros.data, zeros.len);
    (void)memory_store_put(&store, "empty.tar.zst", "", 0);
    (void)memory_store_put(&store, ".tar.zst", "x", 1);
    (void)memory_store_put(&store, "file", "text", 4);
    put_pack("a.tar.zst", "a.tar.zst", "a/f", NULL);
    put_pack("b", "b", "b/f", NULL); /* nobody looks into what has not the name of one */
    open_catalog(&catalog, NULL);
    assert_int_equal(catalog.count, 1);
    assert_string_equal(catalog.packs[0]->key, "a.tar.zst");
    assert_true(catalog_has_other(&catalog, "file"));
    assert_true(catalog_has_other(&catalog, "b"));
    assert_true(catalog_has_other(&catalog, "empty.tar.zst"));
    assert_false(catalog_has_other(&catalog, "fil"));
    assert_false(catalog_has_other(&catalog, "a.tar.zst"));
    catalog_done(&catalog);
    catalog_done(&catalog);
}

static void test_damage_is_told_of_the_pack_that_has_it(void **state)
{
    (void)state;
    struct catalog catalog;
    put_pack("a.tar.zst", "a.tar.zst", "a/f", NULL);
    put_pack("b.tar.zst", "b.tar.zst", "b/f", NULL);
    put_pack("c.tar", "c.tar", "c/f", "c.tar.index");
    struct memory_object *pack = &store.objects[1];
    assert_string_equal(pack->key, "b.tar.zst");
    pack->bytes.data[pack->bytes.len - 40] ^= 1; /* of its index */
    struct memory_object *index = &store.objects[3];
    assert_string_equal(index->key, "c.tar.index");
    index->bytes.data[index->bytes.len / 2] ^= 1;
    open_catalog(&catalog, NULL);
    assert_int_equal(catalog.count, 3);
    assert_non_null(catalog.packs[0]->pack);
    for (int i = 1; i < 3; i++) {
        assert_null(catalog.packs[i]->pack);
        assert_int_equal(catalog.packs[i]->err.kind, ERR_CORRUPT);
    }
    catalog_done(&catalog);
}

static void test_many_packs_are_opened_and_in_order(void **state)
{
    (void)state;
    struct catalog catalog;
    char key[32];
    char path[32];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "p%02d.tar.zst", i);
        snprintf(path, sizeof path, "p%02d/f", i);
        put_pack(key, key, path, NULL);
    }
    open_catalog(&catalog, NULL);
    assert_int_equal(catalog.count, 100);
    for (size_t i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "p%02zu/f", i);
        expect_name(catalog.packs[i], path);
    }
    catalog_done(&catalog);
}

static void test_stop_ends_it(void **state)
{
    (void)state;
    struct catalog catalog;
    struct err err = { 0 };
    struct stop stop = { 0 };
    const struct catalog_options options = { .stop = &stop };
    put_pack("a.tar.zst", "a.tar.zst", "a/f", NULL);
    stop_raise(&stop);
    assert_int_equal(catalog_open(&catalog, &store.base, &options, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_members_stand_where_their_pack_was_put),
        CASE(test_pack_by_itself_has_its_own_paths),
        CASE(test_names_of_all_kinds),
        CASE(test_tar_is_ours_only_with_its_index),
        CASE(test_what_is_no_pack_is_an_object_like_others),
        CASE(test_damage_is_told_of_the_pack_that_has_it),
        CASE(test_many_packs_are_opened_and_in_order),
        CASE(test_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
