#include "pack/frame.h"

#include "../scratch.h"
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static enum frame_class class_of(const char *path, const void *bytes, size_t len)
{
    struct frame_probe probe;
    frame_probe_init(&probe);
    return frame_probe_class(&probe, path, strlen(path), bytes, len);
}

static void test_what_does_not_compress_is_known(void **state)
{
    (void)state;
    static char text[20000];
    static char noise[20000];
    uint64_t random = 3;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = "0123456789,.\n -"[random_below(&random, 15)];
        noise[i] = (char)(random_next(&random) >> 32);
    }
    assert_int_equal(class_of("a/b.csv", text, sizeof text), FRAME_PACKED);
    assert_int_equal(class_of("a/b.csv", noise, sizeof noise), FRAME_RAW);
    assert_int_equal(class_of("a/b", noise, 1024), FRAME_RAW);
    assert_int_equal(class_of("a/b", noise, 1023), FRAME_ANY);
    assert_int_equal(class_of("a/b", NULL, 0), FRAME_ANY);
    assert_int_equal(class_of("a/b.jpg", text, sizeof text), FRAME_RAW);
    assert_int_equal(class_of("a/b.tar.GZ", text, sizeof text), FRAME_RAW);
    assert_int_equal(class_of("a/b.woff2", text, sizeof text), FRAME_RAW);
    assert_int_equal(class_of("a.jpg/b", text, sizeof text), FRAME_PACKED);
    assert_int_equal(class_of("jpg", text, sizeof text), FRAME_PACKED);
    assert_int_equal(class_of("a.", text, sizeof text), FRAME_PACKED);
    assert_int_equal(class_of("a.extension-too-long", text, sizeof text), FRAME_PACKED);
    /* Only the middle counts. */
    memset(noise + sizeof noise / 2 - 512, 'x', 1024);
    assert_int_equal(class_of("a/b", noise, sizeof noise), FRAME_PACKED);
}

/* Content of runs: of zeros, and of what is not. */
static void fill_runs(struct buf *bytes, size_t len, uint64_t *random)
{
    while (bytes->len < len) {
        const size_t run = 1 + random_below(random, random_below(random, 4) == 0 ? 300000 : 600);
        const bool zeros = random_below(random, 2) == 0;
        for (size_t i = 0; i < run && bytes->len < len; i++)
            buf_add_char(bytes, zeros ? '\0' : (char)(1 + random_below(random, 255)));
    }
}

static void test_raw_frames_of_all_shapes_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 31, 512, 1536, 131071, 131072, 131073, 400000, 1500000 };
    uint64_t random = 9;
    SCOPED(zblock) struct zblock zblock = { 0 };
    for (size_t i = 0; i < 10 * sizeof sizes / sizeof *sizes; i++) {
        SCOPED(buf) struct buf bytes = { 0 };
        SCOPED(buf) struct buf out = { 0 };
        SCOPED(buf) struct buf got = { 0 };
        struct frame_raw frame;
        struct err err = { 0 };
        const size_t len = sizes[i / 10];
        fill_runs(&bytes, len, &random);
        buf_add_text(&out, "before");
        frame_raw_begin(&frame, &out);
        for (size_t at = 0; at < len;) {
            const size_t take = 1 + random_below(&random, len - at);
            if (random_below(&random, 2) == 0)
                frame_raw_add(&frame, bytes.data + at, take, &out);
            else
                frame_raw_add_sparse(&frame, bytes.data + at, take, &out);
            at += take;
        }
        frame_raw_end(&frame, &out);
        assert_int_equal(frame.bytes, len);
        assert_int_equal(zblock_expand(&zblock, out.data + 6, out.len - 6, len, &got, &err), 0);
        assert_memory_equal(got.data, buf_text(&bytes), len);
    }
}

static void test_zeros_cost_little_in_a_raw_frame(void **state)
{
    (void)state;
    static char block[512] = "name";
    SCOPED(buf) struct buf out = { 0 };
    struct frame_raw frame;
    frame_raw_begin(&frame, &out);
    for (int i = 0; i < 100; i++)
        frame_raw_add_sparse(&frame, block, sizeof block, &out);
    frame_raw_end(&frame, &out);
    assert_true(out.len < 100 * 20);
}

static void test_frame_sizes_follow_the_content(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    SCOPED(zblock) struct zblock zblock = { 0 };
    static char bytes[100000];
    struct err err = { 0 };
    for (int level = 1; level <= 19; level += 6) {
        buf_clear(&out);
        frame_pack(&zblock, level, bytes, sizeof bytes, &out);
        assert_int_equal(zblock_expand(&zblock, out.data, out.len, sizeof bytes, &got, &err), 0);
        assert_true(out.len < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_compress_is_known),
        cmocka_unit_test(test_raw_frames_of_all_shapes_come_back),
        cmocka_unit_test(test_zeros_cost_little_in_a_raw_frame),
        cmocka_unit_test(test_frame_sizes_follow_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
