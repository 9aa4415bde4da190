#include "store/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void expect(const char *text, const char *scheme, const char *path, bool slash)
{
    struct err err = { 0 };
    struct location location = { 0 };
    assert_int_equal(location_parse(&location, text, &err), 0);
    assert_string_equal(location.text, text);
    assert_string_equal(location.scheme, scheme);
    assert_string_equal(location.path, path);
    assert_int_equal(location.ends_in_slash, slash);
    assert_int_equal(location_is_local(&location), strcmp(scheme, "null") != 0);
    location_done(&location);
    location_done(&location);
}

static void test_paths_and_schemes_are_told_apart(void **state)
{
    (void)state;
    expect("/a/b", "path", "/a/b", false);
    expect("/a//b/../c/", "path", "/a/c", true);
    expect("/a:b", "path", "/a:b", false);
    expect("file:/data/x", "file", "/data/x", false);
    expect("file:///data/x/", "file", "/data/x", true);
    expect("null:", "null", "", false);
}

static void test_relative_paths_become_absolute(void **state)
{
    (void)state;
    char *here = getcwd(NULL, 0);
    char want[4200];
    snprintf(want, sizeof want, "%s/x:y", strcmp(here, "/") == 0 ? "" : here);
    expect("./x:y", "path", want, false);
    free(here);
}

static void expect_refused(const char *text, const char *part)
{
    struct err err = { 0 };
    struct location location = { 0 };
    assert_int_equal(location_parse(&location, text, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, part));
}

static void test_unknown_schemes_are_refused(void **state)
{
    (void)state;
    expect_refused("gopher:/x", "file:, s3:, null:");
    expect_refused("", "empty");
    expect_refused("file:", "no directory");
    expect_refused(":x", "no kind");
    unsetenv("LADE_FAULTS");
    expect_refused("fault:x", "no kind");
}

static void test_part_size_grows_with_the_object(void **state)
{
    (void)state;
    const uint64_t mib = UINT64_C(1) << 20;
    struct store_limits limits = { .max_parts = 10000, .max_part_bytes = 5000 * mib };
    assert_int_equal(store_part_bytes(&limits, 1), 8 * mib);
    assert_int_equal(store_part_bytes(&limits, 9000 * 10 * mib), 10 * mib);
    limits.min_part_bytes = 16 * mib;
    assert_int_equal(store_part_bytes(&limits, 1), 16 * mib);
    limits.part_bytes = 64 * mib;
    assert_int_equal(store_part_bytes(&limits, 1), 64 * mib);
    limits.max_parts = 1000;
    assert_int_equal(store_part_bytes(&limits, 100000 * mib), 100 * mib);
    assert_int_equal(store_part_bytes(&limits, UINT64_MAX / 4), 5000 * mib);
}

static void test_drivers_are_found_by_scheme(void **state)
{
    (void)state;
    assert_string_equal(store_driver_by_scheme("file")->scheme, "file");
    assert_null(store_driver_by_scheme("path"));
    assert_null(store_driver_by_scheme(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_and_schemes_are_told_apart),
        cmocka_unit_test(test_relative_paths_become_absolute),
        cmocka_unit_test(test_unknown_schemes_are_refused),
        cmocka_unit_test(test_part_size_grows_with_the_object),
        cmocka_unit_test(test_drivers_are_found_by_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
