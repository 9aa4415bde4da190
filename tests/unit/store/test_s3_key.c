#include "store/s3/s3_key.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define Q "\xe2\x80\x9b" /* what rclone quotes with */
#define FULL_STOP "\xef\xbc\x8e"

static void expect(const char *rel, const char *want)
{
    struct err err = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf back = { 0 };
    assert_int_equal(s3_key_map(rel, 1024, &key, &err), 0);
    assert_string_equal(key.data, want);
    s3_key_unmap(key.data, &back);
    assert_string_equal(back.data, rel);
}

static void test_names_are_written_as_rclone_writes_them(void **state)
{
    (void)state;
    expect("", "");
    expect("a/b", "a/b");
    expect("dir/", "dir/");
    expect("\xc3\xa4\xe6\x97\xa5", "\xc3\xa4\xe6\x97\xa5");
    expect("new\nline\x01\x7f", "new\nline\x01\x7f");
    expect("\xff\xfe x", Q "FF" Q "FE x");
    expect("\xc3/\xa4", Q "C3/" Q "A4");
    expect(Q "FF", Q Q "FF");
    expect(Q, Q Q);
    expect(Q Q, Q Q Q Q);
    expect(".", FULL_STOP);
    expect("a/../b", "a/" FULL_STOP FULL_STOP "/b");
    expect(FULL_STOP, Q FULL_STOP);
    expect(FULL_STOP FULL_STOP "/", Q FULL_STOP Q FULL_STOP "/");
    expect(Q FULL_STOP, Q Q FULL_STOP);
    expect("...", "...");
    expect("..a", "..a");
    expect("a" FULL_STOP, "a" FULL_STOP);
    expect("//a//", "//a//");
}

static void test_keys_of_others_hide_no_slash(void **state)
{
    (void)state;
    static const struct {
        const char *key, *rel;
    } cases[] = { { Q "2F", Q "2F" }, { Q "41", Q "41" }, { Q "ff", Q "ff" }, { Q "F", Q "F" },
                  { Q "x", Q "x" },   { Q, Q },           { Q "E2", "\xe2" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(buf) struct buf rel = { 0 };
        s3_key_unmap(cases[i].key, &rel);
        assert_string_equal(rel.data, cases[i].rel);
    }
}

static void test_any_bytes_come_back(void **state)
{
    (void)state;
    static const char *const pieces[] = { "a",    "/",       ".",    "..",   "\xff",
                                          "\xe2", "\x80",    "\x9b", Q,      "F",
                                          "E2",   FULL_STOP, "\xef", "\x01", "\xf0\x9f\x98\x80" };
    unsigned seed = 7;
    for (int i = 0; i < 20000; i++) {
        SCOPED(buf) struct buf rel = { 0 };
        SCOPED(buf) struct buf key = { 0 };
        SCOPED(buf) struct buf back = { 0 };
        struct err err = { 0 };
        for (int n = 1 + rand_r(&seed) % 8; n > 0; n--)
            buf_add_text(&rel, pieces[(size_t)rand_r(&seed) % (sizeof pieces / sizeof *pieces)]);
        assert_int_equal(s3_key_map(rel.data, 1024, &key, &err), 0);
        s3_key_unmap(key.data, &back);
        assert_string_equal(back.data, rel.data);
    }
}

static void test_length_is_that_of_the_key(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    assert_int_equal(s3_key_map("abc\xff", 8, &key, &err), 0);
    assert_int_equal(key.len, 8);
    assert_int_equal(s3_key_map("abc\xff", 7, &key, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_written_as_rclone_writes_them),
        cmocka_unit_test(test_keys_of_others_hide_no_slash),
        cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_length_is_that_of_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
