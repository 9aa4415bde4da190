/* base/digest.h: digests of a stream of bytes. CRC64NVME is always there; others when asked for.
 * Owner: the caller; digest_done() releases. Threads: one at a time. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Bits of a set; the numbers are written in journals. */
enum digest_kind {
    DIGEST_CRC64NVME = 1,
    DIGEST_SHA256 = 2,
    DIGEST_MD5 = 4,
};
#define DIGEST_SHA256_BYTES 32
#define DIGEST_MD5_BYTES 16

/* Values; `kinds` says which are there. */
struct digest_value {
    uint32_t kinds;
    uint64_t crc64;
    unsigned char sha256[DIGEST_SHA256_BYTES];
    unsigned char md5[DIGEST_MD5_BYTES];
};

struct digest {
    uint32_t kinds;
    uint64_t crc64;
    void *sha256; /* EVP_MD_CTX, NULL when not asked for; kept over digest_reset() */
    void *md5;
};
/* Start with the set `kinds` (CRC64NVME is always added). */
CHECKED int digest_init(struct digest *digest, uint32_t kinds, struct err *err);
void digest_reset(struct digest *digest); /* from the beginning, keeps the contexts */
void digest_add(struct digest *digest, const void *bytes, size_t len);
/* The value of all bytes so far; more may be added after. */
void digest_value(const struct digest *digest, struct digest_value *ret_value);
void digest_done(struct digest *digest);

/* "sha256,md5" to a set; names what it does not know. */
CHECKED int digest_parse_list(uint32_t *ret_kinds, const char *list, struct err *err);
/* True when both hold a kind in common and all common kinds are equal. *ret_common: that set. */
bool digest_equal(const struct digest_value *a, const struct digest_value *b, uint32_t *ret_common);
/* Of bytes that are all there. Abort where OpenSSL has no SHA-256. */
void digest_sha256(const void *bytes, size_t len, unsigned char ret_bytes[DIGEST_SHA256_BYTES]);
void digest_sha256_hex(const void *bytes, size_t len, char ret_text[2 * DIGEST_SHA256_BYTES + 1]);
/* RFC 2104; the result may overwrite the key. */
void digest_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                        unsigned char ret_bytes[DIGEST_SHA256_BYTES]);

/* Lower-case hexadecimal, with a NUL: 2 * len + 1 bytes. */
void digest_hex(const void *bytes, size_t len, char *ret_text);
/* The same in base64, as S3 wants it: 4 * ((len + 2) / 3) + 1 bytes. */
void digest_base64(const void *bytes, size_t len, char *ret_text);
/* A CRC64NVME so, its highest byte first. */
#define DIGEST_CRC64_TEXT 13
void digest_crc64_base64(uint64_t crc64, char ret_text[DIGEST_CRC64_TEXT]);
/* Hexadecimal back; -1 unless text is exactly 2 * len hexadecimal digits. */
CHECKED int digest_unhex(const char *text, void *ret_bytes, size_t len);
