#include "job/etag.h"

#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

static unsigned char *content(size_t len)
{
    unsigned char *bytes = mem_alloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 4096);
    return bytes;
}

static void md5(const void *bytes, size_t len, unsigned char ret_md5[DIGEST_MD5_BYTES])
{
    struct digest digest;
    struct digest_value value;
    struct err err = { 0 };
    assert_int_equal(digest_init(&digest, DIGEST_MD5, &err), 0);
    digest_add(&digest, bytes, len);
    digest_value(&digest, &value);
    digest_done(&digest);
    memcpy(ret_md5, value.md5, DIGEST_MD5_BYTES);
}

/* part_bytes 0: at once. */
static void make_etag(const unsigned char *bytes, size_t len, size_t part_bytes, char text[64])
{
    unsigned char parts[64][DIGEST_MD5_BYTES];
    unsigned char whole[DIGEST_MD5_BYTES];
    size_t count = 0;
    for (size_t at = 0; part_bytes != 0 && at < len; at += part_bytes)
        md5(bytes + at, len - at < part_bytes ? len - at : part_bytes, parts[count++]);
    if (part_bytes == 0)
        md5(bytes, len, whole);
    else
        md5(parts, count * DIGEST_MD5_BYTES, whole);
    digest_hex(whole, sizeof whole, text);
    if (part_bytes != 0)
        snprintf(text + 2 * sizeof whole, 32, "-%zu", count);
}

/* Fed in steps of an odd size; -1: it could not be used. */
static int fits(const char *text, const unsigned char *bytes, size_t len)
{
    SCOPED(etag) struct etag etag;
    struct err err = { 0 };
    const int usable = etag_open(&etag, text, len, 8 * MIB, &err);
    assert_int_not_equal(usable, -1);
    if (usable == 0)
        return -1;
    const size_t step = 1000003;
    for (size_t at = 0; at < len; at += step)
        etag_add(&etag, bytes + at, len - at < step ? len - at : step);
    return etag_fits(&etag);
}

static void test_plain_md5(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 1000003, 3 * MIB };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *bytes = content(sizes[i]);
        char text[64];
        make_etag(bytes, sizes[i], 0, text);
        assert_int_equal(fits(text, bytes, sizes[i]), 1);
        if (sizes[i] != 0) {
            bytes[sizes[i] - 1] ^= 1;
            assert_int_equal(fits(text, bytes, sizes[i]), 0);
        }
        mem_release(bytes);
    }
}

static void test_known_value(void **state)
{
    (void)state;
    assert_int_equal(fits("900150983cd24fb0d6963f7d28e17f72", (const unsigned char *)"abc", 3), 1);
}

static void test_usual_parts(void **state)
{
    (void)state;
    static const size_t mib[] = { 5, 8, 15, 16, 25, 50 };
    const size_t len = 66 * MIB + 12345;
    unsigned char *bytes = content(len);
    for (size_t i = 0; i < sizeof mib / sizeof *mib; i++) {
        char text[64];
        make_etag(bytes, len, mib[i] * MIB, text);
        assert_int_equal(fits(text, bytes, len), 1);
        bytes[len / 2] ^= 1;
        assert_int_equal(fits(text, bytes, len), 0);
        bytes[len / 2] ^= 1;
    }
    mem_release(bytes);
}

static void test_parts_that_end_with_the_content(void **state)
{
    (void)state;
    const size_t len = 16 * MIB;
    unsigned char *bytes = content(len);
    char text[64];
    make_etag(bytes, len, 8 * MIB, text);
    assert_int_equal(fits(text, bytes, len), 1);
    make_etag(bytes, len, 16 * MIB, text);
    assert_int_equal(fits(text, bytes, len), 1); /* one part */
    mem_release(bytes);
}

static void test_unusual_parts_do_not_fit(void **state)
{
    (void)state;
    const size_t len = 20 * MIB;
    unsigned char *bytes = content(len);
    char text[64];
    make_etag(bytes, len, 5 * MIB + 1234567, text);
    assert_int_equal(fits(text, bytes, len), 0);
    mem_release(bytes);
}

static void test_what_is_no_md5(void **state)
{
    (void)state;
    static const char *const texts[] = { "",
                                         "abc",
                                         "900150983cd24fb0d6963f7d28e17f7",
                                         "900150983cd24fb0d6963f7d28e17f7g",
                                         "900150983cd24fb0d6963f7d28e17f72-",
                                         "900150983cd24fb0d6963f7d28e17f72-0",
                                         "900150983cd24fb0d6963f7d28e17f72-x",
                                         "900150983cd24fb0d6963f7d28e17f72-2x",
                                         "900150983cd24fb0d6963f7d28e17f72-999999",
                                         "900150983cd24fb0d6963f7d28e17f720" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(fits(texts[i], (const unsigned char *)"abc", 3), -1);
}

static bool has(uint64_t size_bytes, uint32_t parts, uint64_t part_bytes)
{
    uint64_t sizes[ETAG_GUESSES_MAX];
    const size_t count = etag_part_sizes(size_bytes, parts, 8 * MIB, sizes);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal((size_bytes + sizes[i] - 1) / sizes[i], parts);
        found |= sizes[i] == part_bytes;
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(sizes[i], sizes[k]);
    }
    return found;
}

static void test_sizes(void **state)
{
    (void)state;
    static const uint64_t mib[] = { 5, 8, 15, 16, 25, 50, 64, 100, 128, 256, 512 };
    const uint64_t size = UINT64_C(3) << 40; /* 3 TiB, and around it */
    for (size_t i = 0; i < sizeof mib / sizeof *mib; i++)
        for (uint64_t parts = 2; parts <= 10000; parts = parts * 3 - 1) {
            const uint64_t whole = parts * mib[i] * MIB;
            assert_true(has(whole, (uint32_t)parts, mib[i] * MIB));
            assert_true(has(whole - 1, (uint32_t)parts, mib[i] * MIB));
        }
    /* rclone's least whole MiB for 10,000 parts; an even split. */
    assert_true(has(size, (uint32_t)((size + 315 * MIB - 1) / (315 * MIB)), 315 * MIB));
    assert_true(has(100 * MIB + 1, 3, 34 * MIB));
    assert_true(has(1000, 1, 1000));
    assert_false(has(100, 2, 8 * MIB));
    uint64_t sizes[ETAG_GUESSES_MAX];
    assert_int_equal(etag_part_sizes(size, 10001, 8 * MIB, sizes), 0);
    assert_int_equal(etag_part_sizes(0, 1, 8 * MIB, sizes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_md5),
        cmocka_unit_test(test_known_value),
        cmocka_unit_test(test_usual_parts),
        cmocka_unit_test(test_parts_that_end_with_the_content),
        cmocka_unit_test(test_unusual_parts_do_not_fit),
        cmocka_unit_test(test_what_is_no_md5),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
