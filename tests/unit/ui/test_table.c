#include "ui/table.h"

#include "base/ban.h"
#include "base/scope.h"
#include "ui/cells.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static const struct table_column columns[] = {
    { .title = "SIZE", .cells = 8, .right = true },
    { .title = "STATE", .cells = 4 },
    { .title = "NAME" },
};
static const struct table table = { columns, 3 };

static void expect_row(const char *size, const char *what, const char *name, const char *want)
{
    const char *const texts[] = { size, what, name };
    SCOPED(buf) struct buf out = { 0 };
    table_row(&table, texts, &out);
    assert_string_equal(buf_text(&out), want);
}

static void test_titles_widen_their_columns(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    table_titles(&table, &out);
    assert_string_equal(buf_text(&out), "    SIZE  STATE  NAME\n");
}

static void test_numbers_are_right_and_texts_left(void **state)
{
    (void)state;
    expect_row("12 KiB", "done", "a/b", "  12 KiB  done   a/b\n");
    expect_row(NULL, NULL, "x", "                 x\n");
    expect_row("1", "", "", "       1         \n");
}

static void test_wide_cells_move_the_row_and_are_whole(void **state)
{
    (void)state;
    expect_row("123456789 GiB", "unchanged", "x", "123456789 GiB  unchanged  x\n");
}

static void test_cells_are_counted_in_columns_and_shown_harmless(void **state)
{
    (void)state;
    expect_row("1", "日本", "x", "       1  日本   x\n");
    expect_row("1", "a\tb", "\033c\xff", "       1  a\\x09b  \\x1bc\\xff\n");
}

static void test_width_of_characters(void **state)
{
    (void)state;
    assert_int_equal(cells_count("abc", 3), 3);
    assert_int_equal(cells_count("äöü", 6), 3);
    assert_int_equal(cells_count("日本", 6), 4);
    assert_int_equal(cells_count("e\u0301", 3), 1);
    assert_int_equal(cells_count("\U0001f600", 4), 2);
    assert_int_equal(cells_count("\xff\xfe", 2), 2);
    assert_int_equal(cells_fit("日本", 6, 3), 3);
    assert_int_equal(cells_fit("e\u0301x", 4, 1), 3);
    assert_int_equal(cells_fit("abc", 3, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_titles_widen_their_columns),
        cmocka_unit_test(test_numbers_are_right_and_texts_left),
        cmocka_unit_test(test_wide_cells_move_the_row_and_are_whole),
        cmocka_unit_test(test_cells_are_counted_in_columns_and_shown_harmless),
        cmocka_unit_test(test_width_of_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
