#include "base/zblock.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void fill(char *bytes, size_t len, uint64_t *random)
{
    const bool text = random_below(random, 2) == 0;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(text ? 'a' + random_below(random, 3) : random_next(random));
}

static void test_blocks_of_all_sizes_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 2, 100, 65536, 256 * 1024, 1000000, 3 };
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf frames = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    char *bytes = mem_alloc(1000000);
    uint64_t random = 5;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct err err = { 0 };
        fill(bytes, sizes[i], &random);
        const size_t at = frames.len; /* appended to what is there */
        zblock_compress(&zblock, bytes, sizes[i], &frames);
        assert_true(frames.len > at);
        assert_int_equal(
            zblock_expand(&zblock, frames.data + at, frames.len - at, sizes[i], &got, &err), 0);
        assert_int_equal(got.len, sizes[i]);
        if (sizes[i] != 0)
            assert_memory_equal(got.data, bytes, sizes[i]);
        assert_int_equal(got.data[got.len], '\0');
    }
    mem_release(bytes);
}

static void test_same_bytes_give_the_same_frame(void **state)
{
    (void)state;
    SCOPED(zblock) struct zblock one = { 0 };
    SCOPED(zblock) struct zblock two = { 0 };
    SCOPED(buf) struct buf a = { 0 };
    SCOPED(buf) struct buf b = { 0 };
    static char bytes[50000];
    uint64_t random = 8;
    fill(bytes, sizeof bytes, &random);
    zblock_compress(&one, "something before", 16, &b);
    buf_clear(&b);
    zblock_compress(&one, bytes, sizeof bytes, &a);
    zblock_compress(&two, bytes, sizeof bytes, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
}

static enum err_kind expand(const void *frame, size_t len, size_t raw_len)
{
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    struct err err = { 0 };
    return zblock_expand(&zblock, frame, len, raw_len, &got, &err) < 0 ? err.kind : ERR_NONE;
}

static void test_other_sizes_than_recorded_are_corrupt(void **state)
{
    (void)state;
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf frame = { 0 };
    zblock_compress(&zblock, "some bytes", 10, &frame);
    assert_int_equal(expand(frame.data, frame.len, 10), ERR_NONE);
    assert_int_equal(expand(frame.data, frame.len, 9), ERR_CORRUPT);
    assert_int_equal(expand(frame.data, frame.len, 11), ERR_CORRUPT);
    assert_int_equal(expand(frame.data, frame.len, 0), ERR_CORRUPT);
    for (size_t len = 0; len < frame.len; len++)
        assert_int_equal(expand(frame.data, len, 10), ERR_CORRUPT);
    assert_int_equal(expand("no frame at all", 15, 10), ERR_CORRUPT);
}

static void test_context_is_usable_after_a_damaged_frame(void **state)
{
    (void)state;
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf frame = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    struct err err = { 0 };
    zblock_compress(&zblock, "some bytes", 10, &frame);
    assert_int_equal(zblock_expand(&zblock, "garbage", 7, 10, &got, &err), -1);
    err_clear(&err);
    assert_int_equal(zblock_expand(&zblock, frame.data, frame.len, 10, &got, &err), 0);
    assert_string_equal(got.data, "some bytes");
    zblock_done(&zblock);
    zblock_done(&zblock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_all_sizes_come_back),
        cmocka_unit_test(test_same_bytes_give_the_same_frame),
        cmocka_unit_test(test_other_sizes_than_recorded_are_corrupt),
        cmocka_unit_test(test_context_is_usable_after_a_damaged_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
