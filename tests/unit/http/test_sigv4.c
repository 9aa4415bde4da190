/* Vectors: AWS, "Signature Calculations for the Authorization Header" (S3 examples, 24 May 2013),
 * "Signature Version 4 Test Suite" and the IAM ListUsers example of "Signing AWS requests". */
#include "http/sigv4.h"

#include "base/ban.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#define S3_STAMP "20130524T000000Z"
static const struct sigv4_scope s3_scope = {
    .access_key = "AKIAIOSFODNN7EXAMPLE",
    .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "s3",
};
static const struct sigv4_scope suite_scope = {
    .access_key = "AKIDEXAMPLE",
    .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "service",
};

static void assert_signature(const struct sigv4_scope *scope, const struct sigv4_request *request,
                             const char *expected)
{
    char day[9] = { 0 };
    memcpy(day, request->stamp, 8);
    struct sigv4_key key;
    sigv4_key_make(&key, scope, day);
    assert_string_equal(key.day, day);
    char signature[SIGV4_SIGNATURE_BYTES];
    sigv4_sign(&key, scope, request, signature);
    assert_string_equal(signature, expected);
}

static void test_sigv4_key_is_that_of_the_published_derivation(void **state)
{
    (void)state;
    struct sigv4_scope scope = suite_scope;
    scope.service = "iam";
    struct sigv4_key key;
    sigv4_key_make(&key, &scope, "20150830");
    char text[SIGV4_SIGNATURE_BYTES];
    digest_hex(key.bytes, sizeof key.bytes, text);
    assert_string_equal(text, "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

static void test_sigv4_signs_a_get_of_a_range(void **state)
{
    (void)state;
    const struct http_header headers[] = { { "host", "examplebucket.s3.amazonaws.com" },
                                           { "range", "bytes=0-9" },
                                           { "x-amz-content-sha256", SIGV4_EMPTY },
                                           { "x-amz-date", S3_STAMP } };
    const struct sigv4_request request = { .method = "GET",
                                           .path = "/test.txt",
                                           .query = "",
                                           .headers = headers,
                                           .header_count = 4,
                                           .payload = SIGV4_EMPTY,
                                           .stamp = S3_STAMP };
    assert_signature(&s3_scope, &request,
                     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_sigv4_signs_a_put_with_a_storage_class(void **state)
{
    (void)state;
    char payload[SIGV4_SIGNATURE_BYTES];
    digest_sha256_hex("Welcome to Amazon S3.", 21, payload);
    const struct http_header headers[] = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
                                           { "host", "examplebucket.s3.amazonaws.com" },
                                           { "x-amz-content-sha256", payload },
                                           { "x-amz-date", S3_STAMP },
                                           { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
    SCOPED(buf) struct buf path = { 0 };
    sigv4_encode(&path, "/test$file.text", 15, true);
    const struct sigv4_request request = { .method = "PUT",
                                           .path = buf_text(&path),
                                           .query = "",
                                           .headers = headers,
                                           .header_count = 5,
                                           .payload = payload,
                                           .stamp = S3_STAMP };
    assert_signature(&s3_scope, &request,
                     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static const struct http_header bucket_headers[] = { { "host", "examplebucket.s3.amazonaws.com" },
                                                     { "x-amz-content-sha256", SIGV4_EMPTY },
                                                     { "x-amz-date", S3_STAMP } };

static void test_sigv4_signs_a_query_without_a_value(void **state)
{
    (void)state;
    const struct sigv4_request request = { .method = "GET",
                                           .path = "/",
                                           .query = "lifecycle=",
                                           .headers = bucket_headers,
                                           .header_count = 3,
                                           .payload = SIGV4_EMPTY,
                                           .stamp = S3_STAMP };
    assert_signature(&s3_scope, &request,
                     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static const struct sigv4_request list_request = { .method = "GET",
                                                   .path = "/",
                                                   .query = "max-keys=2&prefix=J",
                                                   .headers = bucket_headers,
                                                   .header_count = 3,
                                                   .payload = SIGV4_EMPTY,
                                                   .stamp = S3_STAMP };
#define LIST_SIGNATURE "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"

static void test_sigv4_signs_a_listing(void **state)
{
    (void)state;
    assert_signature(&s3_scope, &list_request, LIST_SIGNATURE);
}

static void test_sigv4_authorize_writes_the_header_and_gives_the_seed(void **state)
{
    (void)state;
    struct sigv4_key key;
    sigv4_key_make(&key, &s3_scope, "20130524");
    SCOPED(buf) struct buf value = { 0 };
    char seed[SIGV4_SIGNATURE_BYTES];
    sigv4_authorize(&key, &s3_scope, &list_request, &value, seed);
    assert_string_equal(seed, LIST_SIGNATURE);
    assert_string_equal(buf_text(&value),
                        "AWS4-HMAC-SHA256 "
                        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                        "Signature=" LIST_SIGNATURE);
    sigv4_authorize(&key, &s3_scope, &list_request, &value, NULL);
}

static void test_sigv4_signs_the_iam_example(void **state)
{
    (void)state;
    struct sigv4_scope scope = suite_scope;
    scope.service = "iam";
    const struct http_header headers[] = {
        { "content-type", "application/x-www-form-urlencoded; charset=utf-8" },
        { "host", "iam.amazonaws.com" },
        { "x-amz-date", "20150830T123600Z" },
    };
    const struct sigv4_request request = { .method = "GET",
                                           .path = "/",
                                           .query = "Action=ListUsers&Version=2010-05-08",
                                           .headers = headers,
                                           .header_count = 3,
                                           .payload = SIGV4_EMPTY,
                                           .stamp = "20150830T123600Z" };
    assert_signature(&scope, &request,
                     "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

/* The cases of the test suite that a request of ours can look like. */
static void test_sigv4_passes_the_test_suite(void **state)
{
    (void)state;
    static const struct http_header plain[] = { { "host", "example.amazonaws.com" },
                                                { "x-amz-date", "20150830T123600Z" } };
    static const struct http_header trim[] = { { "host", "example.amazonaws.com" },
                                               { "my-header1", " value1" },
                                               { "my-header2", " \"a   b   c\"" },
                                               { "x-amz-date", "20150830T123600Z" } };
    static const struct {
        const char *method, *path, *query;
        const struct http_header *headers;
        size_t header_count;
        const char *signature;
    } cases[] = {
        { "GET", "/", "", plain, 2, /* get-vanilla */
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "GET", "/", "Param1=value1&Param2=value2", plain,
          2, /* get-vanilla-query-order-key-case */
          "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
        { "GET", "/%E1%88%B4", "", plain, 2, /* get-utf8 */
          "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
        { "GET", "/", "%E1%88%B4=bar", plain, 2, /* get-vanilla-utf8-query */
          "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
        { "GET", "/", "", trim, 4, /* get-header-value-trim */
          "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
        { "POST", "/", "", plain, 2, /* post-vanilla */
          "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sigv4_request request = { .method = cases[i].method,
                                               .path = cases[i].path,
                                               .query = cases[i].query,
                                               .headers = cases[i].headers,
                                               .header_count = cases[i].header_count,
                                               .payload = SIGV4_EMPTY,
                                               .stamp = "20150830T123600Z" };
        assert_signature(&suite_scope, &request, cases[i].signature);
    }
}

static void test_sigv4_stamp_is_utc(void **state)
{
    (void)state;
    char stamp[SIGV4_STAMP_BYTES];
    sigv4_stamp(stamp, 1369353600);
    assert_string_equal(stamp, S3_STAMP);
    sigv4_stamp(stamp, 0);
    assert_string_equal(stamp, "19700101T000000Z");
    sigv4_stamp(stamp, INT64_C(253402300799));
    assert_string_equal(stamp, "99991231T235959Z");
}

static void test_sigv4_encode_leaves_only_the_unreserved(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    sigv4_encode(&out, "aZ09-._~/ +%*\xc3\xa4\0=&", 18, true);
    assert_string_equal(buf_text(&out), "aZ09-._~/%20%2B%25%2A%C3%A4%00%3D%26");
    buf_clear(&out);
    sigv4_encode(&out, "a/b", 3, false);
    assert_string_equal(buf_text(&out), "a%2Fb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigv4_key_is_that_of_the_published_derivation),
        cmocka_unit_test(test_sigv4_signs_a_get_of_a_range),
        cmocka_unit_test(test_sigv4_signs_a_put_with_a_storage_class),
        cmocka_unit_test(test_sigv4_signs_a_query_without_a_value),
        cmocka_unit_test(test_sigv4_signs_a_listing),
        cmocka_unit_test(test_sigv4_authorize_writes_the_header_and_gives_the_seed),
        cmocka_unit_test(test_sigv4_signs_the_iam_example),
        cmocka_unit_test(test_sigv4_passes_the_test_suite),
        cmocka_unit_test(test_sigv4_stamp_is_utc),
        cmocka_unit_test(test_sigv4_encode_leaves_only_the_unreserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
