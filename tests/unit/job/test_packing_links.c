#include "job/packing_links.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct source_file file_of(uint64_t dev, uint64_t ino)
{
    return (
        struct source_file){ .fd = -1, .dev = dev, .ino = ino, .size_bytes = ino, .mtime_ns = 1 };
}

static void test_only_what_comes_before_and_is_the_same_is_found(void **state)
{
    (void)state;
    struct packing_links links = { 0 };
    struct source_file file = file_of(1, 7);
    assert_null(packing_links_find(&links, &file, 9));
    packing_links_add(&links, &file, 5, "a", 77);
    assert_null(packing_links_find(&links, &file, 5));
    assert_string_equal(packing_links_find(&links, &file, 6)->path, "a");
    assert_int_equal(packing_links_find(&links, &file, 6)->crc64, 77);
    const struct source_file elsewhere = file_of(2, 7);
    assert_null(packing_links_find(&links, &elsewhere, 6));
    file.ctime_ns++;
    assert_null(packing_links_find(&links, &file, 6));
    packing_links_done(&links);
}

static void test_the_first_in_order_stays_and_a_changed_file_takes_its_place(void **state)
{
    (void)state;
    struct packing_links links = { 0 };
    struct source_file file = file_of(1, 7);
    packing_links_add(&links, &file, 5, "e", 1);
    packing_links_add(&links, &file, 8, "h", 1);
    assert_string_equal(packing_links_find(&links, &file, 9)->path, "e");
    packing_links_add(&links, &file, 2, "b", 1);
    assert_string_equal(packing_links_find(&links, &file, 9)->path, "b");
    file.mtime_ns++;
    packing_links_add(&links, &file, 6, "f", 2);
    assert_string_equal(packing_links_find(&links, &file, 9)->path, "f");
    packing_links_done(&links);
}

static void test_many_are_found_and_no_more_than_the_limit_are_kept(void **state)
{
    (void)state;
    struct packing_links links = { 0 };
    char path[32];
    for (uint32_t i = 0; i < LINKS_MAX + 10; i++) {
        const struct source_file file = file_of(i % 3, i);
        snprintf(path, sizeof path, "f%u", i);
        packing_links_add(&links, &file, i, path, i);
    }
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        const struct source_file file = file_of(i % 3, i);
        const struct packing_link *link = packing_links_find(&links, &file, UINT32_MAX);
        assert_non_null(link);
        assert_int_equal(link->crc64, i);
    }
    const struct source_file beyond = file_of((LINKS_MAX + 1) % 3, LINKS_MAX + 1);
    assert_null(packing_links_find(&links, &beyond, UINT32_MAX));
    packing_links_done(&links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_comes_before_and_is_the_same_is_found),
        cmocka_unit_test(test_the_first_in_order_stays_and_a_changed_file_takes_its_place),
        cmocka_unit_test(test_many_are_found_and_no_more_than_the_limit_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
