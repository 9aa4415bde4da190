#include "base/ban.h"
#include "base/mem.h"
#include "pack/archive_in.h"

#include "made_archive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct archive_limits limits = { .members = 100,
                                              .ratio = 1000,
                                              .free_bytes = 1 << 20 };

static int rel_of(const char *path, size_t len, struct buf *ret_rel, struct err *err)
{
    struct buf name = { 0 };
    buf_add(&name, path, len);
    const int result = archive_path_rel(&name, ret_rel, err);
    buf_done(&name);
    return result;
}

static void test_paths_are_cleaned(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "a", "a" },       { "./a//b/", "a/b" },     { "././", "" },
        { "a/./b", "a/b" }, { "..a/b..", "..a/b.." }, { "...", "..." }
    };
    struct buf rel = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        assert_int_equal(rel_of(cases[i][0], strlen(cases[i][0]), &rel, &err), 0);
        assert_string_equal(buf_text(&rel), cases[i][1]);
    }
    buf_done(&rel);
}

static void test_paths_that_lead_out_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = { "", "/", "/a", "..", "../a", "a/..", "a/../b", "./../a" };
    struct buf rel = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        assert_int_equal(rel_of(cases[i], strlen(cases[i]), &rel, &err), -1);
        assert_int_equal(err.kind, ERR_LIMIT);
    }
    struct err err = { 0 };
    assert_int_equal(rel_of("a\0b", 3, &rel, &err), -1);
    char *longest = mem_alloc(ARCHIVE_NAME_MAX + 1);
    memset(longest, 'x', ARCHIVE_NAME_MAX + 1);
    err_clear(&err);
    assert_int_equal(rel_of(longest, ARCHIVE_NAME_MAX, &rel, &err), 0);
    assert_int_equal(rel_of(longest, ARCHIVE_NAME_MAX + 1, &rel, &err), -1);
    mem_release(longest);
    buf_done(&rel);
}

/* The kind of error that reading all of it ends in. */
static enum err_kind read_all(const struct buf *bytes, uint64_t *ret_members, uint64_t *ret_bytes)
{
    struct made_source made;
    struct err err = { 0 };
    struct archive_in *in = NULL;
    struct archive_member member = { 0 };
    struct archive_piece piece;
    made_source_of(&made, bytes);
    *ret_members = *ret_bytes = 0;
    int got = archive_in_open(&in, &made.source, &limits, "", &err);
    while (got == 0 && (got = archive_in_next(in, &member, &err)) == 1) {
        ++*ret_members;
        while ((got = archive_in_data(in, &piece, &err)) == 1)
            *ret_bytes += piece.len;
    }
    archive_in_close(in);
    archive_member_done(&member);
    return err.kind;
}

static void test_a_tar_is_read_to_its_end(void **state)
{
    (void)state;
    struct buf tar = { 0 };
    uint64_t members = 0;
    uint64_t bytes = 0;
    made_member(&tar, "a", '0', "12345", "");
    made_member(&tar, "d/", '5', "", "");
    made_member(&tar, "l", '2', "", "a");
    made_end(&tar);
    assert_int_equal(read_all(&tar, &members, &bytes), ERR_NONE);
    assert_int_equal(members, 3);
    assert_int_equal(bytes, 5);
    buf_done(&tar);
}

/* Cut anywhere before its end mark, it is not whole. */
static void test_each_cut_is_seen(void **state)
{
    (void)state;
    struct buf tar = { 0 };
    made_member(&tar, "a", '0', "12345", "");
    made_member(&tar, "b", '0', "6789", "");
    const size_t len = tar.len;
    made_end(&tar);
    for (size_t cut = 0; cut <= len; cut += 64) {
        struct buf part = { 0 };
        uint64_t members = 0;
        uint64_t bytes = 0;
        buf_add(&part, tar.data, cut);
        assert_int_equal(read_all(&part, &members, &bytes), ERR_CORRUPT);
        buf_done(&part);
    }
    buf_done(&tar);
}

static void test_limits_hold(void **state)
{
    (void)state;
    struct buf tar = { 0 };
    uint64_t members = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 100; i++)
        made_member(&tar, "a", '0', "", "");
    struct buf more = { 0 };
    buf_add(&more, tar.data, tar.len);
    made_member(&more, "a", '0', "", "");
    made_end(&tar);
    made_end(&more);
    assert_int_equal(read_all(&tar, &members, &bytes), ERR_NONE);
    assert_int_equal(members, 100);
    assert_int_equal(read_all(&more, &members, &bytes), ERR_LIMIT);
    assert_int_equal(members, 100);
    buf_done(&tar);
    buf_done(&more);
}

static void test_what_the_source_says_is_told(void **state)
{
    (void)state;
    struct buf tar = { 0 };
    made_member(&tar, "a", '0', "12345", "");
    made_end(&tar);
    struct made_source made;
    struct err err = { 0 };
    struct archive_in *in = NULL;
    made_source_of(&made, &tar);
    made.fails_from = 0;
    assert_int_equal(archive_in_open(&in, &made.source, &limits, "", &err), -1);
    assert_int_equal(err.kind, ERR_NET);
    buf_done(&tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_cleaned),
        cmocka_unit_test(test_paths_that_lead_out_are_refused),
        cmocka_unit_test(test_a_tar_is_read_to_its_end),
        cmocka_unit_test(test_each_cut_is_seen),
        cmocka_unit_test(test_limits_hold),
        cmocka_unit_test(test_what_the_source_says_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
