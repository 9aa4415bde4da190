#include "base/crc64.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#define BYTES_MAX 8192

static void fill(unsigned char *bytes, size_t len)
{
    uint64_t state = 88172645463325252U;
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (unsigned char)(state >> 32);
    }
}

/* One bit at a time: the definition. */
static uint64_t by_definition(const unsigned char *bytes, size_t len)
{
    uint64_t raw = ~UINT64_C(0);
    for (size_t i = 0; i < len; i++) {
        raw ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            raw = (raw >> 1) ^ ((raw & 1) != 0 ? UINT64_C(0x9a6c9329ac4bc9b5) : 0);
    }
    return ~raw;
}

static void test_crc64_gives_the_check_value_by_every_variant(void **state)
{
    (void)state;
    for (int v = 0; v < CRC64_VARIANT_COUNT; v++)
        if (crc64_variant_usable((enum crc64_variant)v))
            assert_true(crc64nvme_by((enum crc64_variant)v, 0, "123456789", 9) ==
                        UINT64_C(0xae8b14860a799888));
    assert_true(crc64nvme(0, "123456789", 9) == UINT64_C(0xae8b14860a799888));
}

static void test_crc64_of_nothing_is_the_start_value(void **state)
{
    (void)state;
    assert_true(crc64nvme(0, NULL, 0) == 0);
    assert_true(crc64nvme(UINT64_C(0x1234), "", 0) == UINT64_C(0x1234));
}

static void test_crc64_variants_agree_with_the_definition(void **state)
{
    (void)state;
    static unsigned char bytes[BYTES_MAX + 64];
    fill(bytes, sizeof bytes);
    for (size_t len = 0; len <= BYTES_MAX; len += len < 1200 ? 1 : 61) {
        const unsigned char *from = bytes + len % 64;
        const uint64_t want = by_definition(from, len);
        for (int v = 0; v < CRC64_VARIANT_COUNT; v++)
            if (crc64_variant_usable((enum crc64_variant)v))
                assert_true(crc64nvme_by((enum crc64_variant)v, 0, from, len) == want);
    }
}

static void test_crc64_goes_on_across_any_cut(void **state)
{
    (void)state;
    static unsigned char bytes[1500];
    fill(bytes, sizeof bytes);
    const uint64_t want = by_definition(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        const uint64_t crc = crc64nvme(0, bytes, cut);
        assert_true(crc64nvme(crc, bytes + cut, sizeof bytes - cut) == want);
    }
}

static void test_crc64_combine_equals_direct_computing(void **state)
{
    (void)state;
    static unsigned char bytes[BYTES_MAX];
    fill(bytes, sizeof bytes);
    const uint64_t want = crc64nvme(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += cut < 300 ? 1 : 41) {
        const uint64_t a = crc64nvme(0, bytes, cut);
        const uint64_t b = crc64nvme(0, bytes + cut, sizeof bytes - cut);
        assert_true(crc64nvme_combine(a, b, sizeof bytes - cut) == want);
    }
    assert_true(crc64nvme_combine(want, 0, 0) == want);
    assert_true(crc64nvme_combine(0, want, sizeof bytes) == want);
}

static void test_crc64_combine_of_more_than_4_gib(void **state)
{
    (void)state;
    /* 6 GiB of one block again and again, once by reading all of it and once by doubling. */
    static unsigned char block[1024 * 1024];
    fill(block, sizeof block);
    uint64_t read = 0;
    for (int i = 0; i < 6 * 1024; i++)
        read = crc64nvme(read, block, sizeof block);

    uint64_t crc = crc64nvme(0, block, sizeof block);
    uint64_t len = sizeof block;
    while (len < UINT64_C(2) << 30) {
        crc = crc64nvme_combine(crc, crc, len);
        len *= 2;
    }
    const uint64_t four = crc64nvme_combine(crc, crc, len);
    assert_true(crc64nvme_combine(four, crc, len) == read);
    assert_true(crc64nvme_combine(crc, four, 2 * len) == read);
}

static void test_crc64_combine_is_associative_for_the_longest_lengths(void **state)
{
    (void)state;
    const uint64_t a = 1;
    const uint64_t b = UINT64_C(0xdeadbeefcafef00d);
    const uint64_t c = UINT64_C(0x0123456789abcdef);
    const uint64_t len_b = UINT64_C(3) << 61;
    const uint64_t len_c = UINT64_C(5) << 58;
    const uint64_t left = crc64nvme_combine(crc64nvme_combine(a, b, len_b), c, len_c);
    const uint64_t right = crc64nvme_combine(a, crc64nvme_combine(b, c, len_c), len_b + len_c);
    assert_true(left == right);
}

static void test_crc64_portable_is_always_usable(void **state)
{
    (void)state;
    assert_true(crc64_variant_usable(CRC64_PORTABLE));
    assert_string_equal(crc64_variant_name(CRC64_PORTABLE), "portable");
    assert_string_equal(crc64_variant_name(CRC64_AVX512), "avx512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc64_gives_the_check_value_by_every_variant),
        cmocka_unit_test(test_crc64_of_nothing_is_the_start_value),
        cmocka_unit_test(test_crc64_variants_agree_with_the_definition),
        cmocka_unit_test(test_crc64_goes_on_across_any_cut),
        cmocka_unit_test(test_crc64_combine_equals_direct_computing),
        cmocka_unit_test(test_crc64_combine_of_more_than_4_gib),
        cmocka_unit_test(test_crc64_combine_is_associative_for_the_longest_lengths),
        cmocka_unit_test(test_crc64_portable_is_always_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
