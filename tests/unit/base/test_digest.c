#include "base/digest.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static const char *hex(const void *bytes, size_t len)
{
    static char text[2 * DIGEST_SHA256_BYTES + 1];
    digest_hex(bytes, len, text);
    return text;
}

static void test_digest_gives_the_published_values_of_abc(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, DIGEST_SHA256 | DIGEST_MD5, &err), 0);
    digest_add(&digest, "abc", 3);
    struct digest_value value;
    digest_value(&digest, &value);
    assert_int_equal(value.kinds, DIGEST_CRC64NVME | DIGEST_SHA256 | DIGEST_MD5);
    assert_true(value.crc64 == crc64nvme(0, "abc", 3));
    assert_string_equal(hex(value.sha256, sizeof value.sha256),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(hex(value.md5, sizeof value.md5), "900150983cd24fb0d6963f7d28e17f72");
}

static void test_digest_of_nothing(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, DIGEST_SHA256 | DIGEST_MD5, &err), 0);
    struct digest_value value;
    digest_value(&digest, &value);
    assert_true(value.crc64 == 0);
    assert_string_equal(hex(value.sha256, sizeof value.sha256),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(hex(value.md5, sizeof value.md5), "d41d8cd98f00b204e9800998ecf8427e");
}

static void test_digest_computes_only_what_was_asked_for(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    digest_add(&digest, "123456789", 9);
    struct digest_value value;
    digest_value(&digest, &value);
    assert_int_equal(value.kinds, DIGEST_CRC64NVME);
    assert_true(value.crc64 == UINT64_C(0xae8b14860a799888));
    assert_null(digest.sha256);
    assert_null(digest.md5);
}

static void test_digest_goes_on_after_its_value_was_read(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest pieces;
    SCOPED(digest) struct digest whole;
    assert_int_equal(digest_init(&pieces, DIGEST_SHA256 | DIGEST_MD5, &err), 0);
    assert_int_equal(digest_init(&whole, DIGEST_SHA256 | DIGEST_MD5, &err), 0);
    const size_t len = 100 * 1000 + 7;
    unsigned char *bytes = mem_alloc(len);
    memset(bytes, 'x', len);
    digest_add(&whole, bytes, len);

    struct digest_value early;
    digest_add(&pieces, bytes, 70000);
    digest_value(&pieces, &early);
    digest_add(&pieces, bytes + 70000, len - 70000);
    struct digest_value a;
    struct digest_value b;
    uint32_t common = 0;
    digest_value(&pieces, &a);
    digest_value(&whole, &b);
    assert_true(digest_equal(&a, &b, &common));
    assert_false(digest_equal(&early, &b, &common));
    mem_free(bytes);
}

static void test_digest_reset_starts_anew_with_the_same_contexts(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, DIGEST_SHA256 | DIGEST_MD5, &err), 0);
    const void *sha256 = digest.sha256;
    digest_add(&digest, "what was before", 15);
    digest_reset(&digest);
    digest_add(&digest, "abc", 3);
    struct digest_value value;
    digest_value(&digest, &value);
    assert_ptr_equal(digest.sha256, sha256);
    assert_true(value.crc64 == crc64nvme(0, "abc", 3));
    assert_string_equal(hex(value.md5, sizeof value.md5), "900150983cd24fb0d6963f7d28e17f72");
}

static void test_digest_done_twice_is_harmless(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct digest digest;
    assert_int_equal(digest_init(&digest, DIGEST_MD5, &err), 0);
    digest_done(&digest);
    digest_done(&digest);
}

static void test_digest_parse_list_knows_its_names(void **state)
{
    (void)state;
    struct err err = { 0 };
    uint32_t kinds = 0;
    assert_int_equal(digest_parse_list(&kinds, "sha256,md5", &err), 0);
    assert_int_equal(kinds, DIGEST_SHA256 | DIGEST_MD5);
    assert_int_equal(digest_parse_list(&kinds, "crc64nvme", &err), 0);
    assert_int_equal(kinds, DIGEST_CRC64NVME);
}

static void test_digest_parse_list_names_what_it_does_not_know(void **state)
{
    (void)state;
    static const char *const bad[] = { "sha1", "md5,sha1", "", "md5,", ",md5", "md", "md55" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = { 0 };
        uint32_t kinds = 77;
        assert_int_equal(digest_parse_list(&kinds, bad[i], &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_int_equal(kinds, 77);
    }
    struct err err = { 0 };
    uint32_t kinds = 0;
    assert_int_equal(digest_parse_list(&kinds, "md5,sha1", &err), -1);
    assert_non_null(strstr(err.text, "'sha1'"));
}

static void test_digest_equal_needs_a_kind_in_common(void **state)
{
    (void)state;
    const struct digest_value crc = { .kinds = DIGEST_CRC64NVME, .crc64 = 5 };
    const struct digest_value other = { .kinds = DIGEST_CRC64NVME | DIGEST_MD5, .crc64 = 5 };
    const struct digest_value sha = { .kinds = DIGEST_SHA256 };
    uint32_t common = 0;
    assert_true(digest_equal(&crc, &other, &common));
    assert_int_equal(common, DIGEST_CRC64NVME);
    assert_false(digest_equal(&crc, &sha, &common));
    assert_int_equal(common, 0);
}

static void test_digest_equal_compares_all_kinds_in_common(void **state)
{
    (void)state;
    const uint32_t all = DIGEST_CRC64NVME | DIGEST_SHA256 | DIGEST_MD5;
    const struct digest_value a = { .kinds = all, .crc64 = 5 };
    uint32_t common = 0;
    struct digest_value b = a;
    assert_true(digest_equal(&a, &b, &common));
    assert_int_equal(common, all);
    b.sha256[31] = 1;
    assert_false(digest_equal(&a, &b, &common));
    b = a;
    b.md5[0] = 1;
    assert_false(digest_equal(&a, &b, &common));
    b = a;
    b.crc64 = 6;
    assert_false(digest_equal(&a, &b, &common));
}

static void test_digest_unhex_is_the_reverse_of_hex(void **state)
{
    (void)state;
    const unsigned char bytes[] = { 0x00, 0x0f, 0xa5, 0xff };
    char text[2 * sizeof bytes + 1];
    digest_hex(bytes, sizeof bytes, text);
    assert_string_equal(text, "000fa5ff");
    unsigned char back[sizeof bytes] = { 0 };
    assert_int_equal(digest_unhex(text, back, sizeof back), 0);
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_int_equal(digest_unhex("000FA5FF", back, sizeof back), 0);
    assert_memory_equal(back, bytes, sizeof bytes);
}

static void test_digest_unhex_refuses_what_is_not_exactly_hex(void **state)
{
    (void)state;
    unsigned char back[2] = { 1, 2 };
    assert_int_equal(digest_unhex("000", back, 2), -1);
    assert_int_equal(digest_unhex("00000", back, 2), -1);
    assert_int_equal(digest_unhex("00g0", back, 2), -1);
    assert_int_equal(digest_unhex(" 000", back, 2), -1);
    assert_int_equal(back[0], 1);
    assert_int_equal(digest_unhex("", back, 0), 0);
}

static void assert_hmac(const void *key, size_t key_len, const char *text, const char *expected)
{
    unsigned char value[DIGEST_SHA256_BYTES];
    digest_hmac_sha256(key, key_len, text, strlen(text), value);
    assert_string_equal(hex(value, sizeof value), expected);
}

static void test_digest_hmac_gives_the_values_of_rfc_4231(void **state)
{
    (void)state;
    unsigned char key[131];
    memset(key, 0x0b, 20);
    assert_hmac(key, 20, "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_hmac("Jefe", 4, "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_hmac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_digest_sha256_of_bytes_that_are_there(void **state)
{
    (void)state;
    char text[2 * DIGEST_SHA256_BYTES + 1];
    digest_sha256_hex("abc", 3, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256_hex(NULL, 0, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4648, and the CRC of AWS's SDK for Go. */
static void test_digest_base64_gives_the_published_values(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        { "", "" },        { "f", "Zg==" },        { "fo", "Zm8=" },
        { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "\xfb\xff", "+/8=" }
    };
    char text[DIGEST_CRC64_TEXT];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        digest_base64(texts[i][0], strlen(texts[i][0]), text);
        assert_string_equal(text, texts[i][1]);
    }
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    digest_add(&digest, "hello world", 11);
    digest_crc64_base64(digest.crc64, text);
    assert_string_equal(text, "jSnVw/bqjr4=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_gives_the_published_values_of_abc),
        cmocka_unit_test(test_digest_of_nothing),
        cmocka_unit_test(test_digest_computes_only_what_was_asked_for),
        cmocka_unit_test(test_digest_goes_on_after_its_value_was_read),
        cmocka_unit_test(test_digest_reset_starts_anew_with_the_same_contexts),
        cmocka_unit_test(test_digest_done_twice_is_harmless),
        cmocka_unit_test(test_digest_parse_list_knows_its_names),
        cmocka_unit_test(test_digest_parse_list_names_what_it_does_not_know),
        cmocka_unit_test(test_digest_equal_needs_a_kind_in_common),
        cmocka_unit_test(test_digest_equal_compares_all_kinds_in_common),
        cmocka_unit_test(test_digest_unhex_is_the_reverse_of_hex),
        cmocka_unit_test(test_digest_unhex_refuses_what_is_not_exactly_hex),
        cmocka_unit_test(test_digest_base64_gives_the_published_values),
        cmocka_unit_test(test_digest_hmac_gives_the_values_of_rfc_4231),
        cmocka_unit_test(test_digest_sha256_of_bytes_that_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
