#include "base/scope.h"
#include "store/s3/s3_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "scheme://host/path" of a key, or the kind of the error. */
static enum err_kind url_of(const char *path, const char *endpoint, enum s3_addressing addressing,
                            const char *region, const char *key, char url[512])
{
    struct err err = { 0 };
    SCOPED(s3_place) struct s3_place place = { 0 };
    if (s3_place_parse(&place, path, endpoint, addressing, &err) < 0)
        return err.kind;
    SCOPED(buf) struct buf host = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    s3_place_host(&place, region, &host);
    s3_place_path(&place, key, &text);
    snprintf(url, 512, "%s://%s%s", place.scheme, host.data, text.data);
    return ERR_NONE;
}

static void test_requests_go_where_the_bucket_is(void **state)
{
    (void)state;
    static const struct {
        const char *path, *endpoint;
        enum s3_addressing addressing;
        const char *region, *key, *url;
    } cases[] = {
        { "//b-1", NULL, S3_ADDRESS_AUTO, "", "k", "https://b-1.s3.us-east-1.amazonaws.com/k" },
        { "//b-1", NULL, S3_ADDRESS_AUTO, "eu-north-1", NULL,
          "https://b-1.s3.eu-north-1.amazonaws.com/" },
        { "//b-1", NULL, S3_ADDRESS_AUTO, "cn-north-1", "k",
          "https://b-1.s3.cn-north-1.amazonaws.com.cn/k" },
        { "//b-1", NULL, S3_ADDRESS_PATH, "", "k", "https://s3.us-east-1.amazonaws.com/b-1/k" },
        { "//b.1", NULL, S3_ADDRESS_AUTO, "", "k", "https://s3.us-east-1.amazonaws.com/b.1/k" },
        { "//Upper_case", NULL, S3_ADDRESS_AUTO, "", "k",
          "https://s3.us-east-1.amazonaws.com/Upper_case/k" },
        { "//b-1", "https://a3s.fi", S3_ADDRESS_AUTO, "", "a b/../%+",
          "https://a3s.fi/b-1/a%20b/../%25%2B" },
        { "//b-1", "https://a3s.fi:443/", S3_ADDRESS_AUTO, "", NULL, "https://a3s.fi/b-1" },
        { "//b-1", "http://[::1]:8080/base/", S3_ADDRESS_AUTO, "", "k",
          "http://[::1]:8080/base/b-1/k" },
        { "//b.1", "http://h:80", S3_ADDRESS_VIRTUAL, "", "k", "http://b.1.h/k" },
        { "//b.1", "https://h:80", S3_ADDRESS_VIRTUAL, "", "k", "https://h:80/b.1/k" },
        { "//bucket?", "http://h", S3_ADDRESS_VIRTUAL, "", "k", "http://h/bucket%3F/k" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char url[512] = "";
        assert_int_equal(url_of(cases[i].path, cases[i].endpoint, cases[i].addressing,
                                cases[i].region, cases[i].key, url),
                         ERR_NONE);
        assert_string_equal(url, cases[i].url);
    }
}

static void test_prefix_ends_in_a_slash(void **state)
{
    (void)state;
    static const struct {
        const char *path, *prefix;
    } cases[] = { { "//b", "" },      { "//b/", "" },       { "//b/a", "a/" },
                  { "//b/a/", "a/" }, { "//b/a//", "a//" }, { "//b//a", "/a/" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        SCOPED(s3_place) struct s3_place place = { 0 };
        assert_int_equal(s3_place_parse(&place, cases[i].path, NULL, S3_ADDRESS_AUTO, &err), 0);
        assert_string_equal(place.prefix, cases[i].prefix);
        assert_string_equal(place.bucket, "b");
    }
}

static void test_what_is_no_place_is_refused(void **state)
{
    (void)state;
    char url[512];
    static const char *const paths[] = { "", "/", "//", "b/k", "///k" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(url_of(paths[i], NULL, S3_ADDRESS_AUTO, "", "k", url), ERR_USAGE);
    static const char *const endpoints[] = { "a3s.fi",       "ftp://a3s.fi",    "https://",
                                             "https:///b",   "http://a b",      "http://u:p@h",
                                             "http://h?x=1", "http://h\r\nX: y" };
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
        assert_int_equal(url_of("//b", endpoints[i], S3_ADDRESS_AUTO, "", "k", url), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_go_where_the_bucket_is),
        cmocka_unit_test(test_prefix_ends_in_a_slash),
        cmocka_unit_test(test_what_is_no_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
