#include "pack/ameta.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_NS (INT64_C(1700000000) * NS_PER_S) /* 2023-11-14 22:13:20 UTC */

static struct ameta ameta;
static struct ameta_file file;

static void begin(const char *text)
{
    setenv("TZ", "UTC", 1);
    ameta = ameta_of(text, strlen(text), NOW_NS);
}

static void expect(const char *path)
{
    assert_true(ameta_next(&ameta, &file));
    assert_int_equal(file.path_len, strlen(path));
    assert_memory_equal(file.path, path, file.path_len);
}

static void expect_end(void)
{
    assert_false(ameta_next(&ameta, &file));
    assert_false(ameta_next(&ameta, &file));
}

static void test_lines_of_ls(void **state)
{
    (void)state;
    begin("user: kk\nhost: n\nprotocol: S3 \nNote: a b c d e f g h i\n"
          "-rw-r--r-- 1 kk grp  6 Nov 10 08:36 data/a.txt\n"
          "-rw-r--r--. 1 kk grp 600000000000 Nov 21 2021 data/with  blanks\n"
          "-rw-r--r-- 1 kk grp 7 Dec 24 08:36 last\n"
          "lrwxrwxrwx 1 kk grp 3 xii 99 08:36 l -> target\n"
          "drwxr-xr-x 2 kk grp 3 Nov 21 08:36 data\n"
          "-rw-r--r-- 1 kk grp 3 Nov 21 08:36 end");
    expect("data/a.txt");
    assert_true(file.has_size && !file.is_link);
    assert_int_equal(file.size_bytes, 6);
    assert_int_equal(file.time_ns, INT64_C(1699605360) * NS_PER_S);
    expect("data/with  blanks");
    assert_int_equal(file.size_bytes, 600000000000);
    assert_int_equal(file.time_ns, INT64_C(1637452800) * NS_PER_S);
    expect("last"); /* of the year before */
    assert_int_equal(file.time_ns, INT64_C(1671870960) * NS_PER_S);
    expect("l");
    assert_true(file.is_link);
    assert_int_equal(file.time_ns, 0);
    expect("end");
    expect_end();
}

static void test_names_alone(void **state)
{
    (void)state;
    begin("user: kk\ninput: n\nn/a b\nn/c\n\nn/d/\n");
    expect("n/a b");
    assert_false(file.has_size);
    expect("n/c");
    expect("n/d");
    expect_end();
}

static void test_names_as_tar_has_them(void **state)
{
    (void)state;
    begin("/abs/a\n../../up/b\n./c\nx/..//.//d\n..\n/\na..b/c..\n");
    expect("abs/a");
    expect("up/b");
    expect("c");
    expect("d");
    expect("a..b/c..");
    expect_end();
}

static void test_what_holds_no_names(void **state)
{
    (void)state;
    begin("");
    expect_end();
    begin("user: kk\ncompression: none\nEmpty directory\n");
    expect_end();
    begin("input: x\nFile listing skipped with --skip-filelist option.\n");
    expect_end();
    /* Behind the header a name may look like one of its lines. */
    begin("user: kk\n-rw-r--r-- 1 k g 1 Nov 21 2021 a\ninput: b\n");
    expect("a");
    expect("input: b");
    expect_end();
}

static void test_odd_numbers(void **state)
{
    (void)state;
    begin("-rw-r--r-- 1 k g 99999999999999999999 Nov 32 2021 a\n"
          "-rw-r--r-- 1 k g -1 Nov 21 99999 b\n-rw-r--r-- 1 k g 1 Nov 21 24:00 c\n");
    expect("a");
    assert_false(file.has_size);
    assert_int_equal(file.time_ns, 0);
    expect("b");
    assert_false(file.has_size);
    assert_int_equal(file.time_ns, 0);
    expect("c");
    assert_int_equal(file.time_ns, 0);
    expect_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_ls),           cmocka_unit_test(test_names_alone),
        cmocka_unit_test(test_names_as_tar_has_them), cmocka_unit_test(test_what_holds_no_names),
        cmocka_unit_test(test_odd_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
