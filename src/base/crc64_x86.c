#include "base/crc64_internal.h"

#include "base/ban.h"

/* Folding, after Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ"
 * (Intel, 2009): an accumulator of 16 bytes stands for a message that has the same remainder as all
 * bytes so far. Moved n bits forward, its first half is multiplied by x^(n + 64) and its second by
 * x^n, both modulo P. The product of two reflected factors comes out one bit short, hence x^(n +
 * 63) and x^(n - 1) below. The last 16 bytes are reduced by the tables: simpler than Barrett, once
 * per call. */
#if defined(__x86_64__)

#include <immintrin.h>

struct fold {
    uint64_t first, second;
};
static const struct fold by_128 = { 0xeadc41fd2ba3d420, 0x21e9761e252621ac };
static const struct fold by_512 = { 0x0c32cdb31e18a84a, 0x62242240ace5045a };
static const struct fold by_2048 = { 0x37ccd3e14069cabc, 0xa043808c0f782663 };

#define TARGET_PCLMUL __attribute__((target("sse4.1,pclmul")))
#define TARGET_AVX512 __attribute__((target("avx512f,vpclmulqdq,pclmul")))

TARGET_PCLMUL static inline __m128i load(const unsigned char *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

TARGET_PCLMUL static inline __m128i constants(struct fold fold)
{
    return _mm_set_epi64x((long long)fold.second, (long long)fold.first);
}

TARGET_PCLMUL static inline __m128i fold_onto(__m128i acc, __m128i by, __m128i next)
{
    const __m128i first = _mm_clmulepi64_si128(acc, by, 0x00);
    const __m128i second = _mm_clmulepi64_si128(acc, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(first, second), next);
}

/* The register after the message that `acc` stands for and `len` more bytes. */
TARGET_PCLMUL static inline uint64_t finish(__m128i acc, const unsigned char *bytes, size_t len)
{
    const __m128i by = constants(by_128);
    for (; len >= 16; bytes += 16, len -= 16)
        acc = fold_onto(acc, by, load(bytes));
    unsigned char rest[16];
    _mm_storeu_si128((__m128i *)(void *)rest, acc);
    const uint64_t raw = crc64_raw_portable(0, rest, sizeof rest);
    return crc64_raw_portable(raw, bytes, len);
}

TARGET_PCLMUL uint64_t crc64_raw_pclmul(uint64_t raw, const unsigned char *bytes, size_t len)
{
    if (len < 16)
        return crc64_raw_portable(raw, bytes, len);
    const __m128i start = _mm_cvtsi64_si128((long long)raw);
    __m128i a = _mm_xor_si128(load(bytes), start);
    if (len < 128)
        return finish(a, bytes + 16, len - 16);

    /* Four accumulators, since a product takes longer than the next one waits to start. */
    __m128i b = load(bytes + 16);
    __m128i c = load(bytes + 32);
    __m128i d = load(bytes + 48);
    const __m128i far = constants(by_512);
    for (bytes += 64, len -= 64; len >= 64; bytes += 64, len -= 64) {
        a = fold_onto(a, far, load(bytes));
        b = fold_onto(b, far, load(bytes + 16));
        c = fold_onto(c, far, load(bytes + 32));
        d = fold_onto(d, far, load(bytes + 48));
    }
    const __m128i near = constants(by_128);
    b = fold_onto(a, near, b);
    c = fold_onto(b, near, c);
    d = fold_onto(c, near, d);
    return finish(d, bytes, len);
}

TARGET_AVX512 static inline __m512i load_wide(const unsigned char *bytes)
{
    return _mm512_loadu_si512((const void *)bytes);
}

TARGET_AVX512 static inline __m512i constants_wide(struct fold fold)
{
    return _mm512_broadcast_i32x4(constants(fold));
}

TARGET_AVX512 static inline __m512i fold_wide(__m512i acc, __m512i by, __m512i next)
{
    const __m512i first = _mm512_clmulepi64_epi128(acc, by, 0x00);
    const __m512i second = _mm512_clmulepi64_epi128(acc, by, 0x11);
    return _mm512_ternarylogic_epi64(first, second, next, 0x96); /* 0x96: exclusive or of three */
}

TARGET_AVX512 static inline uint64_t finish_wide(__m512i acc, const unsigned char *bytes,
                                                 size_t len)
{
    const __m512i far = constants_wide(by_512);
    for (; len >= 64; bytes += 64, len -= 64)
        acc = fold_wide(acc, far, load_wide(bytes));
    const __m128i near = constants(by_128);
    __m128i sum = _mm512_castsi512_si128(acc);
    sum = fold_onto(sum, near, _mm512_extracti32x4_epi32(acc, 1));
    sum = fold_onto(sum, near, _mm512_extracti32x4_epi32(acc, 2));
    sum = fold_onto(sum, near, _mm512_extracti32x4_epi32(acc, 3));
    return finish(sum, bytes, len);
}

TARGET_AVX512 uint64_t crc64_raw_avx512(uint64_t raw, const unsigned char *bytes, size_t len)
{
    if (len < 256)
        return crc64_raw_pclmul(raw, bytes, len);
    const __m128i start = _mm_cvtsi64_si128((long long)raw);
    __m512i a = _mm512_xor_si512(load_wide(bytes), _mm512_zextsi128_si512(start));
    __m512i b = load_wide(bytes + 64);
    __m512i c = load_wide(bytes + 128);
    __m512i d = load_wide(bytes + 192);
    const __m512i far = constants_wide(by_2048);
    for (bytes += 256, len -= 256; len >= 256; bytes += 256, len -= 256) {
        a = fold_wide(a, far, load_wide(bytes));
        b = fold_wide(b, far, load_wide(bytes + 64));
        c = fold_wide(c, far, load_wide(bytes + 128));
        d = fold_wide(d, far, load_wide(bytes + 192));
    }
    const __m512i near = constants_wide(by_512);
    b = fold_wide(a, near, b);
    c = fold_wide(b, near, c);
    d = fold_wide(c, near, d);
    return finish_wide(d, bytes, len);
}

#endif
