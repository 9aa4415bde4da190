#include "base/crc64.h"

#include "base/ban.h"
#include "base/crc64_internal.h"

#include <assert.h>
#include <endian.h>

/* Reflected: bit 63 is the coefficient of x^0, bit 0 that of x^63. */
#define POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5)
#define ONE (UINT64_C(1) << 63)

/* Both are written once, before main(), and only read afterwards: a call pays for no lock.
 * table[k][b]: what byte b, followed by k zero bytes, adds to the register. */
static uint64_t table[8][256];
static crc64_raw_fn fastest = crc64_raw_portable;

static uint64_t times_x(uint64_t a)
{
    return (a >> 1) ^ ((a & 1) != 0 ? POLYNOMIAL : 0);
}

static void fill_table(void)
{
    for (unsigned b = 0; b < 256; b++) {
        uint64_t value = b;
        for (int bit = 0; bit < 8; bit++)
            value = times_x(value);
        table[0][b] = value;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
}

static crc64_raw_fn raw_of(enum crc64_variant variant)
{
    switch (variant) {
#if defined(__x86_64__)
    case CRC64_PCLMUL:
        return crc64_raw_pclmul;
    case CRC64_AVX512:
        return crc64_raw_avx512;
#endif
    default:
        return crc64_raw_portable;
    }
}

__attribute__((constructor)) static void prepare(void)
{
    fill_table();
    for (int variant = 0; variant < CRC64_VARIANT_COUNT; variant++)
        if (crc64_variant_usable((enum crc64_variant)variant))
            fastest = raw_of((enum crc64_variant)variant);
}

uint64_t crc64_raw_portable(uint64_t raw, const unsigned char *bytes, size_t len)
{
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word = 0;
        memcpy(&word, bytes, sizeof word);
        raw ^= le64toh(word);
        raw = table[7][raw & 0xff] ^ table[6][(raw >> 8) & 0xff] ^ table[5][(raw >> 16) & 0xff] ^
              table[4][(raw >> 24) & 0xff] ^ table[3][(raw >> 32) & 0xff] ^
              table[2][(raw >> 40) & 0xff] ^ table[1][(raw >> 48) & 0xff] ^ table[0][raw >> 56];
    }
    for (; len != 0; bytes++, len--)
        raw = (raw >> 8) ^ table[0][(raw ^ *bytes) & 0xff];
    return raw;
}

uint64_t crc64nvme(uint64_t crc, const void *bytes, size_t len)
{
    return ~fastest(~crc, bytes, len);
}

const char *crc64_variant_name(enum crc64_variant variant)
{
    static const char *const names[] = { "portable", "pclmul", "avx512" };
    static_assert(sizeof names / sizeof names[0] == CRC64_VARIANT_COUNT, "a name for each");
    return names[variant];
}

int crc64_variant_usable(enum crc64_variant variant)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (variant == CRC64_PCLMUL)
        return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    if (variant == CRC64_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq") &&
               __builtin_cpu_supports("pclmul");
#endif
    return variant == CRC64_PORTABLE;
}

uint64_t crc64nvme_by(enum crc64_variant variant, uint64_t crc, const void *bytes, size_t len)
{
    assert(crc64_variant_usable(variant));
    return ~raw_of(variant)(~crc, bytes, len);
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (; a != 0; a <<= 1) {
        if ((a & ONE) != 0)
            product ^= b;
        b = times_x(b);
    }
    return product;
}

uint64_t crc64nvme_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
    /* A is followed by len_b bytes, so it is multiplied by x^(8 * len_b); the complements at the
     * start and the end cancel. Squaring goes through the bits of len_b, so 8 * len_b cannot
     * overflow. */
    uint64_t power = ONE >> 8;
    for (; len_b != 0; len_b >>= 1) {
        if ((len_b & 1) != 0)
            crc_a = multiply(crc_a, power);
        power = multiply(power, power);
    }
    return crc_a ^ crc_b;
}
