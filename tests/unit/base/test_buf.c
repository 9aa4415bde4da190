#include "base/buf.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static void test_buf_is_text_after_each_change(void **state)
{
    (void)state;
    SCOPED(buf) struct buf buf = { 0 };
    assert_string_equal(buf_text(&buf), "");
    buf_add_text(&buf, "ab");
    buf_add_char(&buf, 'c');
    buf_add(&buf, "def", 2);
    buf_printf(&buf, "-%d-%s", 42, "x");
    assert_string_equal(buf_text(&buf), "abcde-42-x");
    buf_cut(&buf, 3);
    assert_string_equal(buf_text(&buf), "abc");
    buf_cut(&buf, 10);
    assert_int_equal(buf.len, 3);
    buf_clear(&buf);
    assert_string_equal(buf_text(&buf), "");
    assert_true(buf.cap > 0);
}

static void test_buf_keeps_all_bytes_while_it_grows(void **state)
{
    (void)state;
    SCOPED(buf) struct buf buf = { 0 };
    for (int i = 0; i < 100000; i++)
        buf_add_char(&buf, (char)(i % 256));
    assert_int_equal(buf.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal((unsigned char)buf.data[i], i % 256);
    assert_int_equal(buf.data[buf.len], 0);
    assert_true(buf.cap <= 4 * buf.len);
}

static void test_buf_printf_takes_any_length(void **state)
{
    (void)state;
    SCOPED(buf) struct buf buf = { 0 };
    for (int len = 1; len < 300; len++) {
        buf_clear(&buf);
        buf_printf(&buf, "%0*d", len, 7);
        assert_int_equal(buf.len, len);
        assert_int_equal(buf.data[len - 1], '7');
    }
    buf_clear(&buf);
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 0);
}

static void test_buf_take_hands_the_memory_over(void **state)
{
    (void)state;
    struct buf buf = { 0 };
    char *empty = buf_take(&buf);
    assert_string_equal(empty, "");
    mem_free(empty);
    buf_add_text(&buf, "mine");
    char *taken = buf_take(&buf);
    assert_string_equal(taken, "mine");
    assert_int_equal(buf.len, 0);
    assert_null(buf.data);
    mem_free(taken);
    buf_done(&buf);
    buf_done(&buf);
}

static void test_buf_numbers_are_little_endian(void **state)
{
    (void)state;
    SCOPED(buf) struct buf buf = { 0 };
    buf_add_u32(&buf, 0x04030201);
    buf_add_u64(&buf, UINT64_C(0x0c0b0a0908070605));
    const unsigned char want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    assert_int_equal(buf.len, sizeof want);
    assert_memory_equal(buf.data, want, sizeof want);
}

static void test_view_reads_what_buf_wrote(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0,     1,          127,       128,       16383,
                                       16384, UINT32_MAX, INT64_MAX, UINT64_MAX };
    SCOPED(buf) struct buf buf = { 0 };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        buf_add_varint(&buf, values[i]);
        buf_add_signed(&buf, (int64_t)values[i]);
        buf_add_signed(&buf, -(int64_t)(values[i] >> 1));
        buf_add_u64(&buf, values[i]);
        buf_add_u32(&buf, (uint32_t)values[i]);
    }
    buf_add_signed(&buf, INT64_MIN);
    struct view view = view_of(buf.data, buf.len);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_true(view_varint(&view) == values[i]);
        assert_true(view_signed(&view) == (int64_t)values[i]);
        assert_true(view_signed(&view) == -(int64_t)(values[i] >> 1));
        assert_true(view_u64(&view) == values[i]);
        assert_true(view_u32(&view) == (uint32_t)values[i]);
    }
    assert_true(view_signed(&view) == INT64_MIN);
    assert_int_equal(view_left(&view), 0);
    assert_false(view.bad);
}

static void test_view_fails_and_keeps_failing_beyond_the_end(void **state)
{
    (void)state;
    struct view view = view_of("\x01\x02\x03", 3);
    assert_int_equal(view_u32(&view), 0);
    assert_true(view.bad);
    assert_int_equal(view_u8(&view), 0);
    assert_null(view_bytes(&view, 1));
    assert_int_equal(view_varint(&view), 0);
    struct view none = view_of(NULL, 0);
    assert_int_equal(view_u8(&none), 0);
    assert_true(none.bad);
}

static void test_view_refuses_a_varint_that_is_cut_or_beyond_64_bits(void **state)
{
    (void)state;
    struct view cut = view_of("\x80\x80", 2);
    assert_int_equal(view_varint(&cut), 0);
    assert_true(cut.bad);
    struct view large = view_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    assert_int_equal(view_varint(&large), 0);
    assert_true(large.bad);
    struct view longer = view_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
    assert_int_equal(view_varint(&longer), 0);
    assert_true(longer.bad);
}

static void test_view_bytes_points_into_the_bytes(void **state)
{
    (void)state;
    const char bytes[] = "abcdef";
    struct view view = view_of(bytes, 6);
    assert_ptr_equal(view_bytes(&view, 2), bytes);
    assert_ptr_equal(view_bytes(&view, 4), bytes + 2);
    assert_non_null(view_bytes(&view, 0));
    assert_null(view_bytes(&view, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_is_text_after_each_change),
        cmocka_unit_test(test_buf_keeps_all_bytes_while_it_grows),
        cmocka_unit_test(test_buf_printf_takes_any_length),
        cmocka_unit_test(test_buf_take_hands_the_memory_over),
        cmocka_unit_test(test_buf_numbers_are_little_endian),
        cmocka_unit_test(test_view_reads_what_buf_wrote),
        cmocka_unit_test(test_view_fails_and_keeps_failing_beyond_the_end),
        cmocka_unit_test(test_view_refuses_a_varint_that_is_cut_or_beyond_64_bits),
        cmocka_unit_test(test_view_bytes_points_into_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
