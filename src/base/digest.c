#include "base/digest.h"

#include "base/ban.h"
#include "base/crc64.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>

/* Looking an algorithm up costs more than digesting a small file, so each is fetched once per
 * process and never given back. Written under pthread_once, only read afterwards. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *fetched_sha256;
static EVP_MD *fetched_md5;

static void fetch_all(void)
{
    fetched_sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    fetched_md5 = EVP_MD_fetch(NULL, "MD5", NULL); /* NULL where a FIPS provider forbids it */
}

static void must(int result)
{
    assert(result == 1);
    (void)result;
}

static int start(void **ret_context, const EVP_MD *md, const char *name, struct err *err)
{
    EVP_MD_CTX *context = md != NULL ? EVP_MD_CTX_new() : NULL;
    if (context == NULL || EVP_DigestInit_ex2(context, md, NULL) != 1) {
        EVP_MD_CTX_free(context);
        return err_set(err, ERR_LOCAL, "the OpenSSL library of this system gives no %s", name);
    }
    *ret_context = context;
    return 0;
}

int digest_init(struct digest *digest, uint32_t kinds, struct err *err)
{
    struct digest fresh = { .kinds = kinds | DIGEST_CRC64NVME };
    pthread_once(&fetch_once, fetch_all);
    if ((kinds & DIGEST_SHA256) != 0 && start(&fresh.sha256, fetched_sha256, "sha256", err) < 0)
        return -1;
    if ((kinds & DIGEST_MD5) != 0 && start(&fresh.md5, fetched_md5, "md5", err) < 0) {
        digest_done(&fresh);
        return -1;
    }
    *digest = fresh;
    return 0;
}

void digest_reset(struct digest *digest)
{
    digest->crc64 = 0;
    if (digest->sha256 != NULL)
        must(EVP_DigestInit_ex2(digest->sha256, fetched_sha256, NULL));
    if (digest->md5 != NULL)
        must(EVP_DigestInit_ex2(digest->md5, fetched_md5, NULL));
}

/* All digests go over a piece of this size while it is in the first-level cache. */
#define PIECE_BYTES ((size_t)16 * 1024)

void digest_add(struct digest *digest, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    while (len != 0) {
        const size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        digest->crc64 = crc64nvme(digest->crc64, at, piece);
        if (digest->sha256 != NULL)
            must(EVP_DigestUpdate(digest->sha256, at, piece));
        if (digest->md5 != NULL)
            must(EVP_DigestUpdate(digest->md5, at, piece));
        at += piece;
        len -= piece;
    }
}

/* Works on a copy, so the digest may go on. */
static void read_value(const EVP_MD_CTX *context, unsigned char *ret_bytes)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(copy != NULL && EVP_MD_CTX_copy_ex(copy, context));
    must(EVP_DigestFinal_ex(copy, ret_bytes, NULL));
    EVP_MD_CTX_free(copy);
}

void digest_value(const struct digest *digest, struct digest_value *ret_value)
{
    *ret_value = (struct digest_value){ .kinds = digest->kinds, .crc64 = digest->crc64 };
    if (digest->sha256 != NULL)
        read_value(digest->sha256, ret_value->sha256);
    if (digest->md5 != NULL)
        read_value(digest->md5, ret_value->md5);
}

void digest_done(struct digest *digest)
{
    EVP_MD_CTX_free(digest->sha256);
    EVP_MD_CTX_free(digest->md5);
    *digest = (struct digest){ 0 };
}

static EVP_MD_CTX *sha256_context(void)
{
    pthread_once(&fetch_once, fetch_all);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context != NULL && fetched_sha256 != NULL);
    return context;
}

/* The digest of two runs of bytes, one after the other. */
static void sha256_of_two(EVP_MD_CTX *context, const void *first, size_t first_len,
                          const void *second, size_t second_len, unsigned char *ret_bytes)
{
    must(EVP_DigestInit_ex2(context, fetched_sha256, NULL));
    must(EVP_DigestUpdate(context, first, first_len));
    must(EVP_DigestUpdate(context, second, second_len));
    must(EVP_DigestFinal_ex(context, ret_bytes, NULL));
}

void digest_sha256(const void *bytes, size_t len, unsigned char ret_bytes[DIGEST_SHA256_BYTES])
{
    EVP_MD_CTX *context = sha256_context();
    sha256_of_two(context, bytes, len, NULL, 0, ret_bytes);
    EVP_MD_CTX_free(context);
}

void digest_sha256_hex(const void *bytes, size_t len, char ret_text[2 * DIGEST_SHA256_BYTES + 1])
{
    unsigned char value[DIGEST_SHA256_BYTES];
    digest_sha256(bytes, len, value);
    digest_hex(value, sizeof value, ret_text);
}

#define HMAC_BLOCK_BYTES 64

void digest_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                        unsigned char ret_bytes[DIGEST_SHA256_BYTES])
{
    unsigned char inner[HMAC_BLOCK_BYTES] = { 0 };
    if (key_len > sizeof inner)
        digest_sha256(key, key_len, inner);
    else if (key_len != 0)
        memcpy(inner, key, key_len);
    unsigned char outer[HMAC_BLOCK_BYTES];
    for (size_t i = 0; i < sizeof inner; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    EVP_MD_CTX *context = sha256_context();
    unsigned char value[DIGEST_SHA256_BYTES];
    sha256_of_two(context, inner, sizeof inner, bytes, len, value);
    sha256_of_two(context, outer, sizeof outer, value, sizeof value, ret_bytes);
    EVP_MD_CTX_free(context);
    explicit_bzero(inner, sizeof inner);
    explicit_bzero(outer, sizeof outer);
}

static uint32_t kind_of(const char *name, size_t len)
{
    static const struct {
        const char *name;
        uint32_t kind;
    } names[] = {
        { "crc64nvme", DIGEST_CRC64NVME },
        { "sha256", DIGEST_SHA256 },
        { "md5", DIGEST_MD5 },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0)
            return names[i].kind;
    return 0;
}

int digest_parse_list(uint32_t *ret_kinds, const char *list, struct err *err)
{
    uint32_t kinds = 0;
    for (const char *at = list;; at++) {
        const size_t len = strcspn(at, ",");
        const uint32_t kind = kind_of(at, len);
        if (kind == 0)
            return err_set(err, ERR_USAGE,
                           "unknown digest '%.*s' (there are crc64nvme, sha256 and md5)", (int)len,
                           at);
        kinds |= kind;
        at += len;
        if (*at == '\0')
            break;
    }
    *ret_kinds = kinds;
    return 0;
}

bool digest_equal(const struct digest_value *a, const struct digest_value *b, uint32_t *ret_common)
{
    const uint32_t common = a->kinds & b->kinds;
    *ret_common = common;
    if (common == 0)
        return false;
    if ((common & DIGEST_CRC64NVME) != 0 && a->crc64 != b->crc64)
        return false;
    if ((common & DIGEST_SHA256) != 0 && memcmp(a->sha256, b->sha256, sizeof a->sha256) != 0)
        return false;
    return (common & DIGEST_MD5) == 0 || memcmp(a->md5, b->md5, sizeof a->md5) == 0;
}

void digest_hex(const void *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    for (size_t i = 0; i < len; i++) {
        *ret_text++ = digits[from[i] >> 4];
        *ret_text++ = digits[from[i] & 15];
    }
    *ret_text = '\0';
}

void digest_base64(const void *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = bytes;
    for (size_t i = 0; i < len; i += 3) {
        const size_t have = len - i < 3 ? len - i : 3;
        const uint32_t three = (uint32_t)from[i] << 16 |
                               (have > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                               (have > 2 ? from[i + 2] : 0);
        *ret_text++ = digits[three >> 18];
        *ret_text++ = digits[three >> 12 & 63];
        *ret_text++ = have > 1 ? digits[three >> 6 & 63] : '=';
        *ret_text++ = have > 2 ? digits[three & 63] : '=';
    }
    *ret_text = '\0';
}

void digest_crc64_base64(uint64_t crc64, char ret_text[DIGEST_CRC64_TEXT])
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(crc64 >> (56 - 8 * i));
    digest_base64(bytes, sizeof bytes, ret_text);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int digest_unhex(const char *text, void *ret_bytes, size_t len)
{
    if (strlen(text) != 2 * len)
        return -1;
    for (size_t i = 0; i < 2 * len; i++)
        if (digit_value(text[i]) < 0)
            return -1;
    unsigned char *to = ret_bytes;
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)(digit_value(text[2 * i]) * 16 + digit_value(text[2 * i + 1]));
    return 0;
}
