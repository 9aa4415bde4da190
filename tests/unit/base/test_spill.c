#include "base/spill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void write_and_read(size_t memory_bytes, size_t count, bool in_file)
{
    struct spill spill;
    struct err err = { 0 };
    spill_init(&spill, NULL, memory_bytes);
    struct buf all = { 0 };
    for (size_t i = 0; i < count; i++) {
        char text[32];
        const int len = snprintf(text, sizeof text, "%zu,", i);
        buf_add(&all, text, (size_t)len);
        assert_int_equal(spill_add(&spill, text, (size_t)len, &err), 0);
    }
    assert_int_equal(spill.fd >= 0, in_file);
    const char *bytes = NULL;
    size_t len = 0;
    size_t at = 0;
    int got;
    while ((got = spill_next(&spill, &bytes, &len, &err)) == 1) {
        assert_true(at + len <= all.len);
        assert_memory_equal(bytes, all.data + at, len);
        at += len;
    }
    assert_int_equal(got, 0);
    assert_int_equal(at, all.len);
    buf_done(&all);
    spill_done(&spill);
}

static void test_spill_keeps_little_in_memory(void **state)
{
    (void)state;
    write_and_read(1000, 0, false);
    write_and_read(1000, 10, false);
}

static void test_spill_gives_back_what_went_to_a_file(void **state)
{
    (void)state;
    write_and_read(100, 1000, true);
    write_and_read(1000, 200000, true);
}

static void test_spill_says_where_it_cannot_write(void **state)
{
    (void)state;
    struct spill spill;
    struct err err = { 0 };
    spill_init(&spill, "/nowhere", 1);
    assert_int_equal(spill_add(&spill, "abc", 3, &err), -1);
    assert_non_null(strstr(err.text, "/nowhere"));
    spill_done(&spill);
}

/* Set in any order, also long after their turn. */
static void test_spill_numbers_come_in_order(void **state)
{
    (void)state;
    const uint64_t count = 3 * SPILL_WINDOW + 5;
    struct spill_numbers numbers;
    struct err err = { 0 };
    spill_numbers_init(&numbers, NULL);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t index = 0;
        assert_int_equal(spill_numbers_add(&numbers, &index, &err), 0);
        assert_int_equal(index, i);
        if (i % 3 == 0)
            assert_int_equal(spill_numbers_set(&numbers, i, i * 7, &err), 0);
    }
    for (uint64_t i = count; i-- > 0;)
        if (i % 3 == 1)
            assert_int_equal(spill_numbers_set(&numbers, i, i * 7, &err), 0);
    assert_int_equal(spill_numbers_finish(&numbers, &err), 0);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value = 1;
        assert_int_equal(spill_numbers_get(&numbers, i, &value, &err), 0);
        assert_int_equal(value, i % 3 == 2 ? 0 : i * 7);
    }
    spill_numbers_done(&numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spill_keeps_little_in_memory),
        cmocka_unit_test(test_spill_gives_back_what_went_to_a_file),
        cmocka_unit_test(test_spill_says_where_it_cannot_write),
        cmocka_unit_test(test_spill_numbers_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
