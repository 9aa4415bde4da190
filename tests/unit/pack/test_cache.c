#include "pack/cache.h"
#include "pack/inventory.h"
#include "pack/seen.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/scope.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define DAY_NS (INT64_C(24) * 3600 * NS_PER_S)

static struct scratch scratch;
static struct cache cache;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    setenv("XDG_CACHE_HOME", scratch_path(&scratch, "cache"), 1);
    cache_open(&cache);
    return cache.dir_fd < 0;
}

static int end(void **state)
{
    (void)state;
    cache_close(&cache);
    scratch_close(&scratch);
    return 0;
}

static struct cache_key key_of(const char *name, const char *etag)
{
    return (struct cache_key){
        .kind = CACHE_INDEX, .scheme = "s3", .name = name, .etag = etag, .size_bytes = 10
    };
}

static bool has(const struct cache_key *key, const char *text)
{
    struct cache_entry entry;
    struct err err = { 0 };
    SCOPED(buf) struct buf bytes = { 0 };
    if (!cache_find(&cache, key, &entry))
        return false;
    assert_int_equal(entry.size_bytes, strlen(text));
    assert_int_equal(cache_read(&entry, 0, (size_t)entry.size_bytes, &bytes, &err), 0);
    assert_memory_equal(buf_text(&bytes), text, strlen(text));
    return true;
}

static void test_what_is_kept_comes_back(void **state)
{
    (void)state;
    const struct cache_key key = key_of("p.tar.zst", "etag");
    assert_false(has(&key, ""));
    cache_keep(&cache, &key, "bytes", 5);
    assert_true(has(&key, "bytes"));
    cache_keep(&cache, &key, "", 0);
    assert_true(has(&key, ""));
}

static void test_another_key_is_another_file(void **state)
{
    (void)state;
    const struct cache_key key = key_of("p.tar.zst", "etag");
    cache_keep(&cache, &key, "bytes", 5);
    struct cache_key others[] = { key, key, key, key, key };
    others[0].kind = CACHE_AMETA;
    others[1].scheme = "swift";
    others[2].name = "q.tar.zst";
    others[3].etag = "etag2";
    others[4].size_bytes = 11;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(has(&others[i], "bytes"));
    const struct cache_key nothing = key_of("p.tar.zst", "");
    cache_keep(&cache, &nothing, "bytes", 5);
    assert_false(has(&nothing, "bytes"));
}

static const char *path_of(const struct cache_key *key)
{
    struct cache_entry entry;
    static char path[128];
    assert_true(cache_find(&cache, key, &entry));
    snprintf(path, sizeof path, "cache/lade/indexes/%s", entry.name);
    return path;
}

static void test_any_changed_byte_makes_it_unknown(void **state)
{
    (void)state;
    const struct cache_key key = key_of("p.tar.zst", "etag");
    SCOPED(buf) struct buf good = { 0 };
    cache_keep(&cache, &key, "some bytes", 10);
    const char *path = path_of(&key);
    scratch_read(&scratch, path, &good);
    for (size_t i = 0; i < good.len; i++) {
        good.data[i] ^= 4;
        scratch_write(&scratch, path, good.data, good.len);
        assert_false(has(&key, ""));
        good.data[i] ^= 4;
        scratch_write(&scratch, path, good.data, i);
        assert_false(has(&key, ""));
    }
    scratch_write(&scratch, path, good.data, good.len);
    assert_true(has(&key, "some bytes"));
}

static void test_reading_beyond_its_end_is_refused(void **state)
{
    (void)state;
    const struct cache_key key = key_of("p.tar.zst", "etag");
    struct cache_entry entry;
    struct err err = { 0 };
    SCOPED(buf) struct buf bytes = { 0 };
    cache_keep(&cache, &key, "bytes", 5);
    assert_true(cache_find(&cache, &key, &entry));
    assert_int_equal(cache_read(&entry, 3, 3, &bytes, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    err_clear(&err);
    assert_int_equal(cache_read(&entry, UINT64_MAX, 1, &bytes, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
}

static void test_what_was_seen_is_found_by_its_place(void **state)
{
    (void)state;
    struct seen seen;
    const struct cache_key odd = { .kind = CACHE_SEEN, .scheme = "s3", .name = "b", .etag = "" };
    char longer[SEEN_ETAG_MAX + 16];
    assert_false(seen_find(&cache, "s3", "a", &seen));
    seen_keep(&cache, "s3", "a", 7, 9, "one");
    seen_keep(&cache, "s3", "a", 1000, 2000, "\"two\"");
    assert_false(seen_find(&cache, "s3", "b", &seen));
    assert_false(seen_find(&cache, "file", "a", &seen));
    assert_true(seen_find(&cache, "s3", "a", &seen));
    assert_int_equal(seen.size_bytes, 1000);
    assert_int_equal(seen.stored_ns, 2000);
    assert_string_equal(seen.etag, "\"two\"");
    /* What has no ETag cannot be asked for by it. */
    seen_keep(&cache, "s3", "b", 1, 1, "");
    assert_false(seen_find(&cache, "s3", "b", &seen));
    memset(longer, 'e', sizeof longer);
    cache_keep(&cache, &odd, longer, 16);
    assert_false(seen_find(&cache, "s3", "b", &seen));
    cache_keep(&cache, &odd, longer, sizeof longer);
    assert_false(seen_find(&cache, "s3", "b", &seen));
    cache_keep(&cache, &odd, longer, sizeof longer - 1);
    assert_true(seen_find(&cache, "s3", "b", &seen));
}

static void test_an_abandoned_file_leaves_nothing(void **state)
{
    (void)state;
    const struct cache_key key = key_of("p.tar.zst", "gone");
    struct cache_writer writer;
    cache_begin(&writer, &cache, &key);
    assert_true(writer.fd >= 0);
    cache_add(&writer, "bytes", 5);
    char temp[sizeof writer.temp];
    memcpy(temp, writer.temp, sizeof temp);
    assert_int_equal(faccessat(cache.dir_fd, temp, F_OK, 0), 0);
    cache_abandon(&writer);
    assert_int_equal(faccessat(cache.dir_fd, temp, F_OK, 0), -1);
    assert_false(has(&key, "bytes"));
}

static void make_older(const struct cache_key *key, int64_t by_ns)
{
    scratch_mtime(&scratch, path_of(key), clock_now_ns() - by_ns);
}

static void test_the_oldest_go_first(void **state)
{
    (void)state;
    static const char zeros[1000];
    const struct cache_key keys[] = { key_of("a", "1"), key_of("b", "2"), key_of("c", "3") };
    for (size_t i = 0; i < 3; i++)
        cache_keep(&cache, &keys[i], zeros, sizeof zeros);
    make_older(&keys[1], DAY_NS / 2);
    cache_prune(&cache, 2500, clock_now_ns());
    struct cache_entry entry;
    assert_true(cache_find(&cache, &keys[0], &entry));
    assert_false(cache_find(&cache, &keys[1], &entry));
    assert_true(cache_find(&cache, &keys[2], &entry));
    /* Nothing was written since: nothing is looked at. */
    cache_prune(&cache, 0, clock_now_ns());
    assert_true(cache_find(&cache, &keys[0], &entry));
    cache_keep(&cache, &keys[0], zeros, 10);
    cache_prune(&cache, UINT64_MAX, clock_now_ns() + CACHE_AGE_MAX_NS + DAY_NS);
    assert_false(cache_find(&cache, &keys[0], &entry));
}

/* ---- listings ---- */

static void expect_row(struct inventory *inventory, const struct inventory_row *wanted)
{
    struct inventory_row row;
    struct err err = { 0 };
    assert_int_equal(inventory_next(inventory, &row, &err), 1);
    assert_string_equal(row.key, wanted->key);
    assert_int_equal(row.key_len, wanted->key_len);
    assert_string_equal(row.name, wanted->name);
    assert_string_equal(row.etag, wanted->etag);
    assert_int_equal(row.kind, wanted->kind);
    assert_int_equal(row.size_bytes, wanted->size_bytes);
    assert_int_equal(row.time_ns, wanted->time_ns);
    assert_int_equal(row.stored_ns, wanted->stored_ns);
    assert_int_equal(row.bucket, wanted->bucket);
}

static struct inventory_row row_of(unsigned i, char text[64], char name[64])
{
    snprintf(text, 64, "dir%03u/key\xff\n%06u", i / 100, i);
    snprintf(name, 64, "%s%s", text, i % 7 == 0 ? "\xe2" : "");
    return (struct inventory_row){ .key = text,
                                   .key_len = strlen(text),
                                   .name = name,
                                   .name_len = strlen(name),
                                   .kind = (enum inventory_kind)(i % 3),
                                   .size_bytes = (uint64_t)i << (i % 40),
                                   .time_ns = i % 5 == 0 ? 0 : (int64_t)i * -1000,
                                   .stored_ns = i % 2 == 0 ? (int64_t)i : (int64_t)i * -1000,
                                   .etag = i % 11 == 0 ? "\"etag\"" : "",
                                   .bucket = i % 13 == 0 ? i + 2 : 0 };
}

static void test_a_listing_comes_back(void **state)
{
    (void)state;
    static const unsigned counts[] = { 0, 1, 30000 };
    char text[64];
    char name[64];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct inventory_writer writer;
        inventory_begin(&writer, &cache, "s3", "s3://b", c == 1, 77);
        for (unsigned i = 0; i < counts[c]; i++) {
            const struct inventory_row row = row_of(i, text, name);
            inventory_add(&writer, &row);
        }
        inventory_commit(&writer);
        inventory_done(&writer);
        struct inventory inventory;
        struct inventory_row row;
        struct err err = { 0 };
        assert_false(inventory_open(&inventory, &cache, "s3", "s3://other"));
        assert_true(inventory_open(&inventory, &cache, "s3", "s3://b"));
        assert_int_equal(inventory.listed_ns, 77);
        assert_int_equal(inventory.alone, c == 1);
        for (unsigned i = 0; i < counts[c]; i++) {
            const struct inventory_row wanted = row_of(i, text, name);
            expect_row(&inventory, &wanted);
        }
        assert_int_equal(inventory_next(&inventory, &row, &err), 0);
        inventory_close(&inventory);
    }
}

static void test_a_listing_without_a_commit_is_none(void **state)
{
    (void)state;
    struct inventory_writer writer;
    struct inventory inventory;
    inventory_begin(&writer, &cache, "s3", "s3://new", false, 77);
    inventory_done(&writer);
    assert_false(inventory_open(&inventory, &cache, "s3", "s3://new"));
}

/* What a listing of all of it says of a place: keys and names, and whether it is one object. */
static void narrowed(const char *below, struct buf *ret_rows)
{
    struct inventory inventory;
    struct inventory_row row;
    struct err err = { 0 };
    buf_clear(ret_rows);
    assert_true(inventory_open(&inventory, &cache, "s3", "s3://all"));
    inventory_narrow(&inventory, below);
    while (inventory_next(&inventory, &row, &err) == 1) {
        assert_int_equal(strlen(row.key), row.key_len);
        assert_int_equal(strlen(row.name), row.name_len);
        buf_printf(ret_rows, "%s %s;", row.key, row.name);
    }
    assert_int_equal(err.kind, ERR_NONE);
    buf_add_text(ret_rows, inventory.alone ? "alone" : "");
    inventory_close(&inventory);
}

static void test_a_part_of_a_listing_is_a_listing_of_the_part(void **state)
{
    (void)state;
    static const struct {
        const char *key, *name;
        enum inventory_kind kind;
    } all[] = {
        { "a", "a", INVENTORY_FILE },
        { "d", "d", INVENTORY_DIR },
        { "d!", "d!", INVENTORY_FILE },
        { "d/%41/x", "d/A/x", INVENTORY_FILE },
        { "d/p.tar", "d/p.tar", INVENTORY_FILE },
        { "d/p.tar.index", "d/p.tar.index", INVENTORY_FILE },
        { "d/q", "d/q", INVENTORY_FILE },
        { "d/q.index", "d/q.index", INVENTORY_FILE },
        { "e/", "e/", INVENTORY_DIR },
        { "e/f", "e/f", INVENTORY_FILE },
    };
    static const struct {
        const char *below, *rows;
    } parts[] = {
        { "a", "a a;alone" },
        { "d", "%41/x A/x;p.tar p.tar;p.tar.index p.tar.index;q q;q.index q.index;" },
        { "d/%41", "x x;" },
        { "d/%41/x", "x x;alone" },
        { "d/p.tar", "p.tar p.tar;p.tar.index p.tar.index;alone" },
        { "d/q", "q q;alone" },
        { "e", "f f;" },
        { "e/f/g", "" },
        { "z", "" },
    };
    struct inventory_writer writer;
    SCOPED(buf) struct buf rows = { 0 };
    inventory_begin(&writer, &cache, "s3", "s3://all", false, 77);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct inventory_row row = { .key = all[i].key,
                                           .key_len = strlen(all[i].key),
                                           .name = all[i].name,
                                           .name_len = strlen(all[i].name),
                                           .kind = all[i].kind,
                                           .etag = "" };
        inventory_add(&writer, &row);
    }
    inventory_commit(&writer);
    inventory_done(&writer);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        narrowed(parts[i].below, &rows);
        assert_string_equal(rows.data, parts[i].rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_kept_comes_back, start, end),
        cmocka_unit_test_setup_teardown(test_another_key_is_another_file, start, end),
        cmocka_unit_test_setup_teardown(test_any_changed_byte_makes_it_unknown, start, end),
        cmocka_unit_test_setup_teardown(test_reading_beyond_its_end_is_refused, start, end),
        cmocka_unit_test_setup_teardown(test_what_was_seen_is_found_by_its_place, start, end),
        cmocka_unit_test_setup_teardown(test_an_abandoned_file_leaves_nothing, start, end),
        cmocka_unit_test_setup_teardown(test_the_oldest_go_first, start, end),
        cmocka_unit_test_setup_teardown(test_a_listing_comes_back, start, end),
        cmocka_unit_test_setup_teardown(test_a_listing_without_a_commit_is_none, start, end),
        cmocka_unit_test_setup_teardown(test_a_part_of_a_listing_is_a_listing_of_the_part, start,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
