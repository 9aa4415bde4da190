#include "pack/join.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FRAME 65536u
#define MEMBERS 60

static const struct made_options plain_options = {
    .pack = { .level = 1, .frame_bytes = FRAME },
    .cuts = 3,
    .chunk_bytes = 100000,
    .pieces = true,
};

static void expect_same(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    if (a->len != 0)
        assert_memory_equal(a->data, b->data, a->len);
}

static void test_a_kill_at_every_delta_gives_the_same_object(void **state)
{
    (void)state;
    for (int level = 0; level < 2; level++) {
        struct made made = { 0 };
        struct made_pack whole;
        struct made_options options = plain_options;
        options.pack.level = level;
        made_random(&made, 11, MEMBERS, FRAME);
        made_pack(&made, &options, &whole);
        assert_true(whole.chunk_count > 20);
        for (size_t at = 1; at <= whole.chunk_count; at++) {
            struct made_pack again;
            options.replay_at = at;
            made_pack(&made, &options, &again);
            expect_same(&whole.object, &again.object);
            expect_same(&whole.sidecar, &again.sidecar);
            made_pack_done(&again);
        }
        made_pack_done(&whole);
        made_done(&made);
    }
}

/* The index of a plain tar depends on nothing but its members; so does the tar. */
static void test_cuts_do_not_show_in_a_plain_tar(void **state)
{
    (void)state;
    struct made made = { 0 };
    struct made_pack one;
    struct made_pack two;
    const struct made_options whole = { .pack = { .frame_bytes = FRAME } };
    struct made_options cut = plain_options;
    cut.pack.level = 0;
    made_random(&made, 12, MEMBERS, FRAME);
    made_pack(&made, &whole, &one);
    made_pack(&made, &cut, &two);
    assert_int_equal(one.chunk_count, 1);
    assert_true(two.chunk_count > 20);
    expect_same(&one.object, &two.object);
    expect_same(&one.sidecar, &two.sidecar);
    made_pack_done(&one);
    made_pack_done(&two);
    made_done(&made);
}

static void test_the_same_cuts_give_the_same_bytes(void **state)
{
    (void)state;
    struct made made = { 0 };
    struct made_pack one;
    struct made_pack two;
    made_random(&made, 13, MEMBERS, FRAME);
    made_pack(&made, &plain_options, &one);
    made_pack(&made, &plain_options, &two);
    expect_same(&one.object, &two.object);
    made_pack_done(&one);
    made_pack_done(&two);
    made_done(&made);
}

static struct pack_member file_of(const char *path)
{
    return (struct pack_member){ .path = path,
                                 .path_len = (uint32_t)strlen(path),
                                 .kind = PACK_FILE,
                                 .mode = 0644,
                                 .size_bytes = 4 };
}

static int add_all(const char *const *paths, size_t count, struct err *err)
{
    const struct pack_options options = { .level = 1 };
    const struct pack_info info = { .name = "p", .level = 1 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    for (size_t i = 0; i < count; i++) {
        const struct pack_member member = file_of(paths[i]);
        pack_chunk_add(chunk, &member, "data", 4);
    }
    pack_chunk_seal(chunk);
    const int got = pack_join_add(join, chunk, err);
    pack_chunk_free(chunk);
    pack_join_free(join);
    return got;
}

static void test_members_out_of_order_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "b", "b.c", "b/c" };
    static const char *const swapped[] = { "a", "c", "b" };
    static const char *const twice[] = { "a", "a" };
    struct err err = { 0 };
    assert_int_equal(add_all(good, 4, &err), 0);
    assert_int_equal(add_all(swapped, 3, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    err_clear(&err);
    assert_int_equal(add_all(twice, 2, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
}

static void test_a_file_that_is_not_whole_is_no_end(void **state)
{
    (void)state;
    const struct pack_options options = { .level = 1 };
    const struct pack_info info = { .name = "p", .level = 1 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, false);
    const struct pack_member member = file_of("a");
    SCOPED(buf) struct buf tail = { 0 };
    struct err err = { 0 };
    pack_chunk_piece(chunk, &member, 0, "da", 2);
    pack_chunk_seal(chunk);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    assert_int_equal(pack_join_tail(join, &tail, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_int_equal(tail.len, 0);
    pack_chunk_free(chunk);
    pack_join_free(join);
}

/* Whatever a journal holds, a join takes it or names it, and never more than is there. */
static void test_damaged_deltas_are_named(void **state)
{
    (void)state;
    struct made made = { 0 };
    SCOPED(buf) struct buf delta = { 0 };
    const struct pack_options options = { .level = 1, .frame_bytes = FRAME };
    const struct pack_info info = { .name = "p", .level = 1 };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, true);
    struct err err = { 0 };
    made_random(&made, 14, MEMBERS, FRAME);
    for (size_t i = 0; i < made.count; i++)
        pack_chunk_add(chunk, &made.members[i].member, buf_text(&made.members[i].data),
                       made.members[i].data.len);
    pack_chunk_seal(chunk);
    assert_int_equal(pack_join_add(join, chunk, &err), 0);
    pack_join_delta(join, &delta);
    const size_t len = delta.len;
    pack_join_delta(join, &delta);
    assert_int_equal(delta.len, len); /* nothing is new */
    for (size_t i = 1; i < len; i++) {
        struct pack_join *again = pack_join_new(&info, false);
        assert_int_equal(pack_join_replay(again, delta.data, i, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
        err_clear(&err);
        pack_join_free(again);
    }
    const struct buf *notes = pack_chunk_notes(chunk);
    size_t refused = 0;
    for (size_t i = 0; i < notes->len; i++) {
        struct pack_join *again = pack_join_new(&info, false);
        notes->data[i] ^= 0x55;
        if (pack_join_add_notes(again, notes->data, notes->len, &err) < 0) {
            assert_int_equal(err.kind, ERR_CORRUPT);
            refused++;
        }
        notes->data[i] ^= 0x55;
        err_clear(&err);
        pack_join_free(again);
    }
    assert_true(refused > made.count); /* bytes of names, times and CRCs fit as well */
    pack_chunk_free(chunk);
    pack_join_free(join);
    made_done(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kill_at_every_delta_gives_the_same_object),
        cmocka_unit_test(test_cuts_do_not_show_in_a_plain_tar),
        cmocka_unit_test(test_the_same_cuts_give_the_same_bytes),
        cmocka_unit_test(test_members_out_of_order_are_refused),
        cmocka_unit_test(test_a_file_that_is_not_whole_is_no_end),
        cmocka_unit_test(test_damaged_deltas_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
