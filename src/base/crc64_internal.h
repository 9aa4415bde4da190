/* base/crc64_internal.h: what the variants of crc64nvme() share.
 * "Raw" is the register between bytes: the complement of the CRC that crc64nvme() gives. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint64_t (*crc64_raw_fn)(uint64_t raw, const unsigned char *bytes, size_t len);

uint64_t crc64_raw_portable(uint64_t raw, const unsigned char *bytes, size_t len);
#if defined(__x86_64__)
uint64_t crc64_raw_pclmul(uint64_t raw, const unsigned char *bytes, size_t len);
uint64_t crc64_raw_avx512(uint64_t raw, const unsigned char *bytes, size_t len);
#endif
