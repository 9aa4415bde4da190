/* base/crc64.h: CRC-64/NVME (reflected polynomial 0x9a6c9329ac4bc9b5, check value
 * ae8b14860a799888), the checksum that S3 calls CRC64NVME. The fastest variant that the processor
 * has is chosen at run time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 at the start) over `len` bytes. */
uint64_t crc64nvme(uint64_t crc, const void *bytes, size_t len);
/* The CRC of A followed by B, from the CRC of each and the length of B. */
uint64_t crc64nvme_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b);

/* The variants by themselves, for tests and benchmarks. */
enum crc64_variant { CRC64_PORTABLE, CRC64_PCLMUL, CRC64_AVX512, CRC64_VARIANT_COUNT };
const char *crc64_variant_name(enum crc64_variant variant);
int crc64_variant_usable(enum crc64_variant variant); /* does this processor have it */
uint64_t crc64nvme_by(enum crc64_variant variant, uint64_t crc, const void *bytes, size_t len);
