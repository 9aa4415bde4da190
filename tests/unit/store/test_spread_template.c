#include "store/spread/spread_template.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void parse(struct spread_template *template, const char *path)
{
    struct err err = { 0 };
    if (spread_template_parse(template, path, &err) < 0)
        fail_msg("%s: %s", path, err.text);
}

static void test_what_is_a_template(void **state)
{
    (void)state;
    static const char *const yes[] = { "//a-{1}/{2+}", "//b/{1+}", "//b/p/{1}/x", "//b{/x",
                                       "//b/x{12}y",   "//{x}/k",  "//b}/k",      "//b/{0}" };
    static const char *const no[] = { "//b",     "//b/p",  "//b/{x}", "//b/{", "//b/{}/x",
                                      "//b/{+}", "//b/{1", "/{1}",    "{1}",   "" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(spread_is_template(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(spread_is_template(no[i]));
}

static void test_bad_templates_say_why_and_show_a_good_one(void **state)
{
    (void)state;
    static const struct {
        const char *path, *why;
    } cases[] = {
        { "//cams-{1}", "must end in {N+}" },
        { "//cams-{1}/", "must end in {N+}" },
        { "//cams-{1}/x", "must end in {N+}" },
        { "//cams-{1}/{2}", "must end in {N+}" },
        { "//cams-{1}/{2+}/", "nothing can stand behind" },
        { "//cams-{1}/{2+}/x", "nothing can stand behind" },
        { "//cams-{1}//{2+}", "must end in {N+}" },
        { "//cams-{1}/{3+}", "{2} is missing" },
        { "//cams-{2}/{3+}", "{1} is missing" },
        { "//cams/{2+}", "{1} is missing" },
        { "//cams-{1}/{1+}", "stands there twice" },
        { "//cams-{2}/{1}/{2+}", "stands there twice" },
        { "//cams/{2}/{2+}", "stands there twice" },
        { "//cams-{1}-{2}/{3+}", "one component and no more" },
        { "//cams-{1+}/{2+}", "stands {N}" },
        { "//cams-{x}/{1+}", "stands {N}" },
        { "//cams-{/{1+}", "stands {N}" },
        { "//cams-{1}2/{2+}", "must not end in a digit" },
        { "//cams-{0}/{1+}", "counted from 1" },
        { "//cams-{65}/{66+}", "counted from 1" },
        { "//cams-{99999999999999999999}/{2+}", "counted from 1" },
        { "//cams/{0}/{1+}", "counted from 1" },
        { "//cams/x{1}/{2+}", "{N} alone" },
        { "//cams/{1}{2}/{3+}", "{N} alone" },
        { "//cams/{a}/{1+}", "{N} alone" },
        { "//cams/{2}/{1}/{3+}", "in their order" },
        { "//cams-{2}/{3}/{1}/{4+}", "in their order" },
        { "//ca\nms-{1}/{2+}", "control character" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(spread_template) struct spread_template template = { 0 };
        struct err err = { 0 };
        assert_int_equal(spread_template_parse(&template, cases[i].path, &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
        if (strstr(err.text, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].path, err.text);
        assert_non_null(strstr(err.hint, "s3://road-cameras-{1}/{2+}"));
    }
}

static void test_names_are_mapped(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name, *value, *lead, *key;
    } cases[] = {
        { "//cams-{1}/{2+}", "cam01/2026/x.jpg", "cam01", "", "2026/x.jpg" },
        { "//cams-{1}/{2+}", "cam01/d/", "cam01", "", "d/" },
        { "//cams-{1}/{2+}", "cam01//x", "cam01", "", "/x" },
        { "//cams-{1}/{1}/{2+}", "a/b", "a", "", "a/b" },
        { "//cams-{2}-x/a/b/{1}/lit/{3+}", "1/2/3/4", "2", "a/b/", "1/lit/3/4" },
        { "//cams-{2}/{2}/{1}/{3+}", "1/2/3", "2", "", "2/1/3" },
        { "//cams/p", "a/b", "", "p/", "a/b" },
        { "//cams", "a", "", "", "a" },
        { "//cams/p/{1+}", "a/b", "", "p/", "a/b" },
        { "//cams/{1}/all/{2+}", "a/b/c", "", "", "a/all/b/c" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(spread_template) struct spread_template template = { 0 };
        SCOPED(buf) struct buf value = { 0 };
        SCOPED(buf) struct buf key = { 0 };
        SCOPED(buf) struct buf name = { 0 };
        struct err err = { 0 };
        parse(&template, cases[i].path);
        assert_int_equal(spread_map(&template, cases[i].name, &value, &key, &err), 0);
        assert_string_equal(value.data, cases[i].value);
        assert_string_equal(template.lead, cases[i].lead);
        assert_string_equal(key.data, cases[i].key);
        assert_true(spread_unmap(&template, value.data, key.data, &name));
        assert_string_equal(name.data, cases[i].name);
    }
}

static void test_names_above_the_level_have_no_place(void **state)
{
    (void)state;
    static const char *const names[] = { "x", "cam01/", "cam01/a", "cam01/a/", "" };
    SCOPED(spread_template) struct spread_template template = { 0 };
    parse(&template, "//cams-{1}/{2}/{3+}");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        SCOPED(buf) struct buf value = { 0 };
        SCOPED(buf) struct buf key = { 0 };
        struct err err = { 0 };
        assert_int_equal(spread_map(&template, names[i], &value, &key, &err), -1);
        assert_int_equal(err.kind, ERR_LIMIT);
        assert_non_null(strstr(err.text, "fewer components than the 3"));
    }
}

static void test_keys_that_do_not_fit_have_no_name(void **state)
{
    (void)state;
    static const char *const keys[] = { "a", "a/lit", "a/lit/", "a/other/b", "/other/b", "" };
    SCOPED(spread_template) struct spread_template template = { 0 };
    SCOPED(buf) struct buf name = { 0 };
    parse(&template, "//cams/{1}/lit/{2+}");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_false(spread_unmap(&template, "", keys[i], &name));
    spread_template_done(&template);
    parse(&template, "//cams-{1}/{1}/{2+}");
    assert_false(spread_unmap(&template, "a", "b/c", &name));
    assert_true(spread_unmap(&template, "a", "a/c", &name));
}

/* ---- buckets ---- */

static void expect_bucket(const char *path, const char *value, uint32_t number, const char *bucket)
{
    SCOPED(spread_template) struct spread_template template = { 0 };
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    struct err err = { 0 };
    uint32_t told = 0;
    parse(&template, path);
    assert_int_equal(spread_bucket_name(&template, value, number, &name, &err), 0);
    assert_string_equal(name.data, bucket);
    assert_true(spread_read_bucket(&template, bucket, &again, &told));
    assert_string_equal(buf_text(&again), value);
    assert_int_equal(told, number);
}

static void test_buckets_are_numbered(void **state)
{
    (void)state;
    expect_bucket("//cams-{1}/{2+}", "a", 1, "cams-a");
    expect_bucket("//cams-{1}/{2+}", "a", 2, "cams-a--2");
    expect_bucket("//cams-{1}/{2+}", "a-2", 1, "cams-a-2");
    expect_bucket("//cams-{1}/{2+}", "a-2", 12, "cams-a-2--12");
    expect_bucket("//{1}-raw/{2+}", "a", 1, "a-raw");
    expect_bucket("//{1}-raw/{2+}", "a", 3, "a-raw-3");
    expect_bucket("//{1}-raw/{2+}", "a-raw-3", 3, "a-raw-3-raw-3");
    expect_bucket("//{1}/{2+}", "abc", 1000000, "abc--1000000");
    expect_bucket("//Cams_X/p", "", 1, "Cams_X");
    expect_bucket("//Cams_X/p", "", 2, "Cams_X-2");
    expect_bucket("//run-2", "", 2, "run-2-2");
    expect_bucket("//run-2", "", 1, "run-2");
}

static void test_other_buckets_are_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *path, *bucket;
    } cases[] = {
        { "//cams-{1}/{2+}", "cams-" },
        { "//cams-{1}/{2+}", "cam-a" },
        { "//cams-{1}/{2+}", "cams-A" },
        { "//cams-{1}/{2+}", "cams-a--1" },
        { "//cams-{1}/{2+}", "cams-a--02" },
        { "//cams-{1}/{2+}", "cams-a--1000001" },
        { "//cams-{1}/{2+}", "cams-a--99999999999" },
        { "//cams-{1}/{2+}", "cams-a_b" },
        { "//{1}-raw/{2+}", "a-rawx" },
        { "//{1}-raw/{2+}", "a-raw-1" },
        { "//{1}-raw/{2+}", "-raw" },
        { "//run", "run-1" },
        { "//run", "run-02" },
        { "//run", "run-x" },
        { "//run", "runs" },
        { "//run", "run--2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(spread_template) struct spread_template template = { 0 };
        SCOPED(buf) struct buf value = { 0 };
        uint32_t number = 0;
        parse(&template, cases[i].path);
        if (spread_read_bucket(&template, cases[i].bucket, &value, &number))
            fail_msg("%s has %s", cases[i].path, cases[i].bucket);
    }
}

static void test_rules_of_names_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value, *why;
    } cases[] = {
        { "//cams-{1}/{2+}", "CAM", "lower-case" },
        { "//cams-{1}/{2+}", "a b", "lower-case" },
        { "//cams-{1}/{2+}", "\xc3\xa4", "lower-case" },
        { "//cams-{1}/{2+}", "", "begin and end" },
        { "//cams-{1}/{2+}", "a.", "begin and end" },
        { "//{1}/{2+}", ".ab", "begin and end" },
        { "//{1}/{2+}", "ab", "3 to 63" },
        { "//{1}/{2+}", "a..b", "two dots" },
        { "//{1}/{2+}", "a--7", "as the number" },
        { "//{1}/{2+}", "a234567890123456789012345678901234567890123456789012345678901234",
          "3 to 63" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(spread_template) struct spread_template template = { 0 };
        SCOPED(buf) struct buf bucket = { 0 };
        struct err err = { 0 };
        parse(&template, cases[i].path);
        assert_int_equal(spread_bucket_name(&template, cases[i].value, 1, &bucket, &err), -1);
        assert_int_equal(err.kind, ERR_LIMIT);
        assert_non_null(strstr(err.text, cases[i].why));
        assert_non_null(strstr(err.text, cases[i].value));
    }
}

/* ---- properties, over random names ---- */

static const char *const templates[] = {
    "//b-{1}/{2+}", "//b-{2}-x/{1}/{3+}",   "//b-{2}/lit/{1}/{3+}", "//b/{1}/lit/{2}/{3+}",
    "//b/{1+}",     "//b-{1}/{1}/{2}/{3+}", "//b-{3}/{1}/{2}/{4+}", "//b-{2}/{2}/{1}/{1}/{3+}"
};
#define TEMPLATE_COUNT (sizeof templates / sizeof *templates)

static void random_name(unsigned *seed, char name[32])
{
    static const char letters[] = "ab-./";
    size_t len = 1 + (size_t)rand_r(seed) % 16;
    for (size_t i = 0; i < len; i++)
        name[i] = letters[(size_t)rand_r(seed) % (sizeof letters - 1)];
    name[len] = '\0';
}

/* A mapped name; its value is one of few, so that buckets have several. */
static bool map_random(const struct spread_template *template, unsigned *seed, char name[32],
                       struct buf *value, struct buf *key)
{
    struct err err = { 0 };
    random_name(seed, name);
    return name[0] != '/' && spread_map(template, name, value, key, &err) == 0;
}

static void test_names_are_told_back_from_buckets_and_keys(void **state)
{
    (void)state;
    unsigned seed = 20261121;
    size_t mapped = 0;
    for (size_t t = 0; t < TEMPLATE_COUNT; t++) {
        SCOPED(spread_template) struct spread_template template = { 0 };
        parse(&template, templates[t]);
        for (size_t i = 0; i < 20000; i++) {
            SCOPED(buf) struct buf value = { 0 };
            SCOPED(buf) struct buf key = { 0 };
            SCOPED(buf) struct buf back = { 0 };
            SCOPED(buf) struct buf bucket = { 0 };
            struct err err = { 0 };
            char name[32];
            if (!map_random(&template, &seed, name, &value, &key))
                continue;
            assert_true(spread_unmap(&template, value.data, key.data, &back));
            assert_string_equal(back.data, name);
            const uint32_t number = 1 + (uint32_t)rand_r(&seed) % 12;
            uint32_t told = 0;
            if (spread_bucket_name(&template, value.data, number, &bucket, &err) < 0)
                continue;
            assert_true(spread_read_bucket(&template, bucket.data, &back, &told));
            assert_string_equal(buf_text(&back), value.data);
            assert_int_equal(told, number);
            mapped++;
        }
    }
    assert_true(mapped > 20000);
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

/* Keys of one bucket ascend as names do, and starts and prefixes miss nothing. */
static void test_order_starts_and_prefixes(void **state)
{
    (void)state;
    unsigned seed = 20261122;
    size_t compared = 0;
    for (size_t t = 0; t < TEMPLATE_COUNT; t++) {
        SCOPED(spread_template) struct spread_template template = { 0 };
        parse(&template, templates[t]);
        for (size_t i = 0; i < 60000; i++) {
            SCOPED(buf) struct buf value = { 0 };
            SCOPED(buf) struct buf key = { 0 };
            SCOPED(buf) struct buf other_value = { 0 };
            SCOPED(buf) struct buf other_key = { 0 };
            SCOPED(buf) struct buf bound = { 0 };
            char name[32];
            char other[32];
            if (!map_random(&template, &seed, name, &value, &key))
                continue;
            /* Any text, also the beginning of the name. */
            if (rand_r(&seed) % 2 == 0)
                snprintf(other, sizeof other, "%.*s", rand_r(&seed) % (int)(strlen(name) + 1),
                         name);
            else
                random_name(&seed, other);
            spread_map_start(&template, value.data, other, &bound);
            if (strcmp(key.data, bound.data) <= 0)
                assert_true(strcmp(name, other) <= 0);
            if (strncmp(name, other, strlen(other)) == 0) {
                assert_true(spread_map_prefix(&template, value.data, other, &bound));
                assert_int_equal(strncmp(key.data, bound.data, bound.len), 0);
            }
            struct err err = { 0 };
            if (other[0] == '/' ||
                spread_map(&template, other, &other_value, &other_key, &err) < 0 ||
                strcmp(value.data, other_value.data) != 0)
                continue;
            assert_int_equal(sign(strcmp(name, other)), sign(strcmp(key.data, other_key.data)));
            compared++;
        }
    }
    assert_true(compared > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_template),
        cmocka_unit_test(test_bad_templates_say_why_and_show_a_good_one),
        cmocka_unit_test(test_names_are_mapped),
        cmocka_unit_test(test_names_above_the_level_have_no_place),
        cmocka_unit_test(test_keys_that_do_not_fit_have_no_name),
        cmocka_unit_test(test_buckets_are_numbered),
        cmocka_unit_test(test_other_buckets_are_passed_over),
        cmocka_unit_test(test_rules_of_names_are_told),
        cmocka_unit_test(test_names_are_told_back_from_buckets_and_keys),
        cmocka_unit_test(test_order_starts_and_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
