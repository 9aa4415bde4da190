#include "pack/reader.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FRAME 65536u

static void expect_pack(uint64_t seed, size_t count, const struct made_options *options)
{
    struct made made = { 0 };
    struct made_pack pack;
    made_random(&made, seed, count, options->pack.frame_bytes);
    made_pack(&made, options, &pack);
    struct pack *opened = made_open(&pack);
    made_expect(&made, opened);
    pack_free(opened);
    made_pack_done(&pack);
    made_done(&made);
}

static void test_random_packs_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const struct made_options options = {
            .pack = { .level = seed % 4 == 0 ? 0 : 1 + (int)(seed % 3), .frame_bytes = FRAME },
            .cuts = seed * 7,
            .chunk_bytes = seed % 5 == 0 ? 0 : 1000u << (seed % 10),
            .pieces = seed % 2 == 0,
        };
        expect_pack(seed, seed < 4 ? seed - 1 : 20 + seed * 5, &options);
    }
}

/* ---- damage ---- */

/* By name; nothing that is damaged may pass. */
static void expect_refused(struct made_pack *made)
{
    struct err err = { 0 };
    struct pack *pack = NULL;
    made->source.size_bytes = made->object.len;
    const int got = made->sidecar.len != 0 ? pack_open_index(&pack, made->sidecar.data,
                                                             made->sidecar.len, &made->source, &err)
                                           : pack_open(&pack, &made->source, &err);
    if (got == 0) {
        assert_int_equal(pack_verify(pack, &err), -1);
        assert_int_not_equal(err.kind, ERR_ABSENT);
        pack_free(pack);
    }
    assert_true(err.kind == ERR_CORRUPT || err.kind == ERR_DAMAGED || err.kind == ERR_ABSENT);
    assert_true(err.text[0] != '\0');
}

static void damage_all(int level)
{
    struct made made = { 0 };
    struct made_pack pack;
    const struct made_options options = { .pack = { .level = level, .frame_bytes = FRAME },
                                          .chunk_bytes = 3000 };
    made_add_file(&made, "a.txt", "some text, some text, some text", 31);
    made_add_file(&made, "b", "", 0);
    static char bytes[1100];
    uint64_t random = 5;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)random_next(&random);
    made_add_file(&made, "c", bytes, sizeof bytes);
    made_pack(&made, &options, &pack);
    pack_free(made_open(&pack));
    struct buf *const parts[] = { &pack.object, &pack.sidecar };
    for (size_t part = 0; part < 2; part++) {
        struct buf *at = parts[part];
        for (size_t i = 0; i < at->len * 8; i += level == 0 ? 3 : 1) {
            /* Without frames, what is neither content nor index is not ours to look at. */
            if (level == 0 && part == 0)
                break;
            at->data[i / 8] = (char)(at->data[i / 8] ^ 1 << (i % 8));
            expect_refused(&pack);
            at->data[i / 8] = (char)(at->data[i / 8] ^ 1 << (i % 8));
        }
        for (size_t len = at->len; len-- > 1;) {
            const size_t whole = at->len;
            at->len = len;
            expect_refused(&pack);
            at->len = whole;
        }
    }
    made_pack_done(&pack);
    made_done(&made);
}

static void test_every_flipped_bit_and_every_cut_is_named(void **state)
{
    (void)state;
    damage_all(1);
    damage_all(0);
}

static int take_none(void *ctx, const struct pack_member *member, uint64_t offset,
                     const void *bytes, size_t len, struct err *err)
{
    (void)ctx;
    (void)member;
    (void)offset;
    (void)bytes;
    (void)len;
    (void)err;
    return 0;
}

/* A visitor that takes what is good and counts what is not. */
struct tally {
    size_t good, bad;
};

static int count_end(void *ctx, const struct pack_member *member, bool crc_ok, struct err *err)
{
    struct tally *tally = ctx;
    (void)member;
    (void)err;
    *(crc_ok ? &tally->good : &tally->bad) += 1;
    return 0;
}

static void test_a_damaged_frame_costs_only_its_members(void **state)
{
    (void)state;
    struct made made = { 0 };
    struct made_pack pack;
    struct err err = { 0 };
    static char bytes[FRAME];
    const struct made_options options = { .pack = { .level = 1, .frame_bytes = FRAME } };
    made_add_file(&made, "a", bytes, sizeof bytes);
    made_add_file(&made, "b", bytes, sizeof bytes);
    made_add_file(&made, "c", bytes, sizeof bytes);
    made_pack(&made, &options, &pack);
    struct pack *opened = made_open(&pack);
    struct pack_cursor *cursor = pack_cursor_new(opened);
    struct pack_member member;
    assert_int_equal(pack_find(cursor, "b", 1, &member, &err), 1);
    pack.object.data[member.frame_offset_bytes + 20] ^= 1;
    assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_DAMAGED);
    assert_non_null(strstr(err.text, "'b'"));
    err_clear(&err);
    struct tally tally = { 0 };
    const struct pack_visitor visitor = { .take = take_none, .end = count_end, .ctx = &tally };
    assert_int_equal(pack_visit(cursor, 0, &visitor, &err), 0);
    assert_int_equal(tally.good, 2);
    assert_int_equal(tally.bad, 1);
    pack_cursor_free(cursor);
    pack_free(opened);
    made_pack_done(&pack);
    made_done(&made);
}

static void test_what_goes_wrong_on_the_way_is_read_once_more(void **state)
{
    (void)state;
    struct made made = { 0 };
    static char bytes[FRAME];
    made_add_file(&made, "a", bytes, sizeof bytes);
    for (int level = 0; level < 2; level++) {
        const struct made_options options = { .pack = { .level = level, .frame_bytes = FRAME } };
        struct made_pack pack;
        struct err err = { 0 };
        made_pack(&made, &options, &pack);
        struct pack *opened = made_open(&pack);
        struct pack_cursor *cursor = pack_cursor_new(opened);
        struct pack_member member;
        assert_int_equal(pack_find(cursor, "a", 1, &member, &err), 1);
        /* A plain tar has a checksum of the content alone, which is given before that is known. */
        pack.spoilt = 1;
        assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err),
                         level == 0 ? -1 : 0);
        assert_int_equal(err.kind, level == 0 ? ERR_CORRUPT : ERR_NONE);
        err_clear(&err);
        assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err), 0);
        pack_cursor_free(cursor);
        /* Wrong in two ways: who can wait may try again. */
        cursor = pack_cursor_new(opened);
        assert_int_equal(pack_find(cursor, "a", 1, &member, &err), 1);
        pack.spoilt = 2;
        assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        err_clear(&err);
        pack.object.data[member.frame_offset_bytes + (level == 0 ? 600 : 20)] ^= 1;
        assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err), -1);
        assert_int_equal(err.kind, ERR_DAMAGED);
        pack_cursor_free(cursor);
        pack_free(opened);
        made_pack_done(&pack);
    }
    made_done(&made);
}

static void test_what_is_no_pack_is_absent(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 112, 113, 5000, 300000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct made_pack pack = { 0 };
        struct err err = { 0 };
        struct pack *opened = NULL;
        struct made empty = { 0 };
        const struct made_options options = { .pack = { .level = 1 } };
        made_pack(&empty, &options, &pack); /* for its source */
        pack_free(made_open(&pack));
        buf_clear(&pack.object);
        buf_reserve(&pack.object, sizes[i]);
        memset(pack.object.data, 'x', sizes[i]);
        pack.object.len = sizes[i];
        pack.source.size_bytes = sizes[i];
        assert_int_equal(pack_open(&opened, &pack.source, &err), -1);
        assert_int_equal(err.kind, ERR_ABSENT);
        made_pack_done(&pack);
    }
}

/* ---- requests ---- */

static void test_a_member_of_a_large_pack_needs_three_reads(void **state)
{
    (void)state;
    struct made made = { 0 };
    struct made_pack pack;
    struct err err = { 0 };
    static char bytes[10000];
    char path[64];
    uint64_t random = 1;
    const struct made_options options = { .pack = { .level = 1 } };
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + random_below(&random, 20));
    for (int i = 0; i < 100000; i++) {
        snprintf(path, sizeof path, "run7/site-%03d/camera-%d/2024-03-%05d.csv", i / 1000,
                 i / 500 % 2, i);
        made_add_file(&made, path, bytes, 20 + random_below(&random, 600));
    }
    made_pack(&made, &options, &pack);
    for (int i = 0; i < 20; i++) {
        pack.reads = pack.read_bytes = 0;
        struct pack *opened = made_open(&pack);
        struct pack_cursor *cursor = pack_cursor_new(opened);
        struct pack_member member;
        const struct made_member *one = &made.members[random_below(&random, made.count)];
        assert_int_equal(pack_find(cursor, one->path.data, one->path.len, &member, &err), 1);
        assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err), 0);
        assert_true(pack.reads <= 3);
        assert_true(pack.read_bytes <= (size_t)2560 * 1024);
        /* One with the index at hand. */
        assert_int_equal(pack_hold_index(opened, &err), 0);
        pack_cursor_free(cursor);
        cursor = pack_cursor_new(opened);
        pack.reads = 0;
        assert_int_equal(pack_find(cursor, one->path.data, one->path.len, &member, &err), 1);
        assert_int_equal(pack_read(cursor, &member, 0, UINT64_MAX, take_none, NULL, &err), 0);
        assert_int_equal(pack.reads, 1);
        pack_cursor_free(cursor);
        pack_free(opened);
    }
    made_pack_done(&pack);
    made_done(&made);
}

static void test_an_index_from_a_cache_is_as_good(void **state)
{
    (void)state;
    struct made made = { 0 };
    struct made_pack pack;
    struct err err = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    const struct made_options options = { .pack = { .level = 1, .frame_bytes = FRAME } };
    made_random(&made, 21, 50, FRAME);
    made_pack(&made, &options, &pack);
    struct pack *opened = made_open(&pack);
    assert_int_equal(pack_index_bytes(opened, &index, &err), 0);
    pack_free(opened);
    pack.reads = 0;
    assert_int_equal(pack_open_index(&opened, index.data, index.len, &pack.source, &err), 0);
    assert_int_equal(pack.reads, 0);
    made_expect(&made, opened);
    pack_free(opened);
    /* Without the object: names only. */
    const struct pack_source none = { 0 };
    assert_int_equal(pack_open_index(&opened, index.data, index.len, &none, &err), 0);
    assert_int_equal(pack_info(opened)->member_count, made.count);
    pack_free(opened);
    pack.source.size_bytes++;
    assert_int_equal(pack_open_index(&opened, index.data, index.len, &pack.source, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    made_pack_done(&pack);
    made_done(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_packs_come_back),
        cmocka_unit_test(test_every_flipped_bit_and_every_cut_is_named),
        cmocka_unit_test(test_a_damaged_frame_costs_only_its_members),
        cmocka_unit_test(test_what_goes_wrong_on_the_way_is_read_once_more),
        cmocka_unit_test(test_what_is_no_pack_is_absent),
        cmocka_unit_test(test_a_member_of_a_large_pack_needs_three_reads),
        cmocka_unit_test(test_an_index_from_a_cache_is_as_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
