#include "base/mem.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <stdint.h>

static void test_mem_alloc_gives_zeros_even_for_nothing(void **state)
{
    (void)state;
    unsigned char *bytes = mem_alloc(1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], 0);
    mem_free(bytes);
    assert_null(bytes);
    void *none = mem_alloc(0);
    assert_non_null(none);
    mem_free(none);
    mem_free(none);
}

static void test_mem_resize_keeps_what_was_there(void **state)
{
    (void)state;
    char *text = mem_string("hello");
    text = mem_resize(text, 100000);
    assert_string_equal(text, "hello");
    text = mem_resize(text, 0);
    assert_non_null(text);
    mem_free(text);
}

static void test_mem_copy_is_a_copy(void **state)
{
    (void)state;
    const char from[3] = { 'a', '\0', 'b' };
    char *to = mem_copy(from, sizeof from);
    assert_ptr_not_equal(to, from);
    assert_memory_equal(to, from, sizeof from);
    mem_free(to);
    void *nothing = mem_copy(NULL, 0);
    assert_non_null(nothing);
    mem_free(nothing);
}

static void test_arena_pieces_do_not_overlap(void **state)
{
    (void)state;
    struct arena arena = { 0 };
    unsigned char *pieces[2000];
    for (size_t i = 0; i < 2000; i++) {
        pieces[i] = arena_take_bytes(&arena, i % 300);
        memset(pieces[i], (int)(i % 251), i % 300);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t b = 0; b < i % 300; b++)
            assert_int_equal(pieces[i][b], i % 251);
    arena_done(&arena);
    assert_int_equal(arena.total_bytes, 0);
    arena_done(&arena);
}

static void test_arena_take_is_aligned_also_after_odd_strings(void **state)
{
    (void)state;
    struct arena arena = { 0 };
    for (size_t i = 0; i < 1000; i++) {
        (void)arena_take_bytes(&arena, i % 13);
        uint64_t *number = arena_take(&arena, sizeof *number);
        assert_int_equal((uintptr_t)number % 8, 0);
        *number = i;
    }
    arena_done(&arena);
}

#define LARGE_BYTES ((size_t)1000 * 1000)

static void test_arena_gives_more_than_a_block(void **state)
{
    (void)state;
    struct arena arena = { 0 };
    unsigned char *small = arena_take(&arena, 10);
    memset(small, 1, 10);
    unsigned char *large = arena_take(&arena, LARGE_BYTES);
    memset(large, 2, LARGE_BYTES);
    unsigned char *after = arena_take(&arena, 10);
    memset(after, 3, 10);
    assert_int_equal(small[9], 1);
    assert_int_equal(large[LARGE_BYTES - 1], 2);
    assert_true(arena.total_bytes >= LARGE_BYTES);
    arena_done(&arena);
}

static void test_arena_starts_small(void **state)
{
    (void)state;
    struct arena arena = { 0 };
    (void)arena_take(&arena, 1);
    assert_true(arena.total_bytes <= 4096);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem_alloc_gives_zeros_even_for_nothing),
        cmocka_unit_test(test_mem_resize_keeps_what_was_there),
        cmocka_unit_test(test_mem_copy_is_a_copy),
        cmocka_unit_test(test_arena_pieces_do_not_overlap),
        cmocka_unit_test(test_arena_take_is_aligned_also_after_odd_strings),
        cmocka_unit_test(test_arena_gives_more_than_a_block),
        cmocka_unit_test(test_arena_starts_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
