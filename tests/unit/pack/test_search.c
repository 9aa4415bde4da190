#include "pack/search.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A pack of empty files in memory: names with '-' in front are gone, with '@' links, with '/'
 * behind directories.
 */
struct little {
    struct buf object;
    struct catalog_pack pack;
};
#define LITTLE_MAX 4u
static struct little littles[LITTLE_MAX];
static struct catalog_pack *packs[LITTLE_MAX];
static struct catalog catalog;

static int read_little(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    (void)err;
    buf_add(out, ((struct little *)from)->object.data + offset, len);
    return 0;
}

static struct pack_member member_of(const char *name)
{
    struct pack_member member = { .path = name, .kind = PACK_FILE, .mode = 0644, .mtime_ns = 1000 };
    if (name[0] == '-') {
        member.path++;
        member.kind = PACK_GONE;
        member.was = PACK_FILE;
    }
    if (name[0] == '@') {
        member.path++;
        member.kind = PACK_LINK;
        member.target = "x";
        member.target_len = 1;
    }
    member.path_len = (uint32_t)strlen(member.path);
    if (member.path[member.path_len - 1] == '/') {
        member.path_len--;
        member.kind = PACK_DIR;
    }
    return member;
}

/* The next one, made later than those before. */
static void add_pack(const char *key, uint64_t generation, const char *const *names)
{
    struct little *little = &littles[catalog.count];
    struct err err = { 0 };
    const struct pack_options options = { .level = 1, .frame_bytes = 65536 };
    const struct pack_info info = { .name = key,
                                    .job_id = "0123456789abcdef",
                                    .generation = generation,
                                    .created_ns = (int64_t)catalog.count + 1,
                                    .level = 1 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    for (; *names != NULL; names++) {
        const struct pack_member member = member_of(*names);
        pack_chunk_add(chunk, &member, "", 0);
    }
    pack_chunk_seal(chunk);
    const struct buf *bytes = pack_chunk_bytes(chunk);
    buf_add(&little->object, bytes->data, bytes->len);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    assert_int_equal(pack_join_tail(join, &little->object, &err), 0);
    pack_join_free(join);
    pack_chunk_free(chunk);
    static char none[] = "";
    little->pack = (struct catalog_pack){ .key = mem_string(key), .above = none, .skipped = none };
    const struct pack_source source = { read_little, little, little->object.len };
    assert_int_equal(pack_open(&little->pack.pack, &source, &err), 0);
    packs[catalog.count++] = &little->pack;
    catalog.packs = packs;
}
#define ADD_PACK(key, generation, ...)                                                             \
    add_pack(key, generation, (const char *const[]){ __VA_ARGS__, NULL })

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < catalog.count; i++) {
        pack_free(littles[i].pack.pack);
        mem_release(littles[i].pack.key);
        buf_done(&littles[i].object);
    }
    catalog = (struct catalog){ 0 };
    memset(littles, 0, sizeof littles);
    return 0;
}

static struct inventory_row row_of(const char *key)
{
    return (struct inventory_row){
        .key = key, .key_len = strlen(key), .name = key, .name_len = strlen(key), .etag = "e"
    };
}

static void expect(const char *pattern, bool all, const char *const *objects, const char *wanted)
{
    const struct query_bounds bounds = { 0 };
    struct query *query = NULL;
    struct err err = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    assert_int_equal(query_new(&query, pattern, false, &bounds, &err), 0);
    struct search *search = search_new(query, all);
    for (; *objects != NULL; objects++) {
        const struct inventory_row row = row_of(*objects);
        search_object(search, &row);
    }
    search_packs(search, &catalog, NULL);
    search_settle(search, &catalog);
    const struct search_hit *hit;
    for (size_t i = 0; (hit = search_at(search, i)) != NULL; i++)
        buf_printf(&got, "%s%s%s\n", hit->key, hit->member != NULL ? SEARCH_INSIDE : "",
                   hit->member != NULL ? hit->member : "");
    assert_string_equal(buf_text(&got), wanted);
    search_free(search);
    query_free(query);
}
#define OBJECTS(...) ((const char *const[]){ __VA_ARGS__, NULL })
static const char *const no_objects[] = { NULL };

static void test_the_newest_word_counts(void **state)
{
    (void)state;
    ADD_PACK("a.tar.zst", 1, "d/", "d/gone", "d/name", "d/own", "d/same");
    ADD_PACK("b.tar.zst", 3, "-d/gone", "d/name");
    ADD_PACK("c.tar.zst", 2, "d/name", "e/back");
    expect("/d/", false, OBJECTS("d/own"), "a.tar.zst!/d/same\nb.tar.zst!/d/name\nd/own\n");
    expect("name", true, no_objects, "a.tar.zst!/d/name\nb.tar.zst!/d/name\nc.tar.zst!/d/name\n");
    expect("gone", false, no_objects, "");
    expect("gone", true, no_objects, "a.tar.zst!/d/gone\n");
    expect("d", false, no_objects,
           "a.tar.zst!/d/\na.tar.zst!/d/own\na.tar.zst!/d/same\nb.tar.zst!/d/name\n");
}

static void test_a_link_that_is_gone_may_be_called_a_file(void **state)
{
    (void)state;
    ADD_PACK("a.tar.zst", 1, "@d/l.fits", "d/m.fits");
    ADD_PACK("b.tar.zst", 2, "-d/l.fits.rclonelink");
    expect("*.fits", false, no_objects, "a.tar.zst!/d/m.fits\n");
    expect("*.fits", true, no_objects, "a.tar.zst!/d/l.fits\na.tar.zst!/d/m.fits\n");
}

static void test_names_stand_where_the_pack_lies(void **state)
{
    (void)state;
    ADD_PACK("run/p.tar.zst", 1, "cam/a.jpg", "cam/b.jpg", "day/c.jpg");
    static char above[] = "run/cam/";
    static char skipped[] = "cam/";
    littles[0].pack.above = above;
    littles[0].pack.skipped = skipped;
    expect("/run/cam/*.jpg", false, no_objects,
           "run/p.tar.zst!/cam/a.jpg\nrun/p.tar.zst!/cam/b.jpg\n");
    expect("cam/a", false, no_objects, "run/p.tar.zst!/cam/a.jpg\n");
    expect("day", false, no_objects, "");
}

static void test_packs_and_lists_are_told_apart(void **state)
{
    (void)state;
    ADD_PACK("p.tar.zst", 1, "f");
    const char *const objects[] = { "a", "a!", "a_ameta", "b_ameta", "p.tar.zst", NULL };
    expect("", false, objects, "a\na!\nb_ameta\np.tar.zst\np.tar.zst!/f\n");
}

/* Locations are in the order of their bytes, also where keys hold what is before '!' and '/'. */
static void test_the_order_is_that_of_locations(void **state)
{
    (void)state;
    ADD_PACK("p.tar.zst", 1, "f", "g");
    const char *const objects[] = { "p.tar.zst",    "p.tar.zst b", "p.tar.zst!",
                                    "p.tar.zst!.x", "p.tar.zst!0", NULL };
    expect("", false, objects,
           "p.tar.zst\np.tar.zst b\np.tar.zst!\np.tar.zst!.x\np.tar.zst!/f\np.tar.zst!/g\n"
           "p.tar.zst!0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_newest_word_counts, end),
        cmocka_unit_test_teardown(test_a_link_that_is_gone_may_be_called_a_file, end),
        cmocka_unit_test_teardown(test_names_stand_where_the_pack_lies, end),
        cmocka_unit_test_teardown(test_packs_and_lists_are_told_apart, end),
        cmocka_unit_test_teardown(test_the_order_is_that_of_locations, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
