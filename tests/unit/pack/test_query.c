#include "pack/query.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_NS (INT64_C(1700000000) * NS_PER_S)

static bool matches(const char *pattern, bool regex, const char *path)
{
    const struct query_bounds bounds = { 0 };
    struct query *query = NULL;
    struct err err = { 0 };
    assert_int_equal(query_new(&query, pattern, regex, &bounds, &err), 0);
    struct matcher *matcher = matcher_new(query);
    const bool result = matcher_takes(matcher, path, strlen(path));
    matcher_free(matcher);
    query_free(query);
    return result;
}

static void test_words_match_anywhere_in_any_case(void **state)
{
    (void)state;
    assert_true(matches("", false, "a"));
    assert_true(matches("NIGHT", false, "run/night1/a"));
    assert_true(matches("night  fits", false, "Night/x.FITS"));
    assert_false(matches("night fits", false, "Night/x.jpg"));
    assert_true(matches("my\\ file", false, "d/my file"));
    assert_false(matches("my\\ file", false, "d/my_file"));
    assert_true(matches("/run", false, "Run/a"));
    assert_true(matches("/run", false, "x/run"));
    assert_false(matches("/run", false, "xrun"));
    assert_true(matches("\\*", false, "a*b"));
    assert_false(matches("\\*", false, "ab"));
}

static void test_globs_and_regular_expressions(void **state)
{
    (void)state;
    assert_true(matches("*.fits", false, "a/b.fits"));
    assert_false(matches("*.fits", false, "a/b.FITS"));
    assert_false(matches("a*", false, "a/b"));
    assert_true(matches("a/*", false, "x/a/b"));
    assert_false(matches("/a/*", false, "x/a/b"));
    assert_true(matches("*.fits run", false, "Run/b.fits"));
    assert_true(matches("^a[0-9]+$", true, "a12"));
    assert_false(matches("^a[0-9]+$", true, "ba12"));
    assert_true(matches("b/c", true, "a/b/cd"));
}

static void test_what_is_no_pattern_is_refused(void **state)
{
    (void)state;
    const struct query_bounds bounds = { 0 };
    struct query *query = NULL;
    char words[2 * QUERY_TERMS_MAX + 3];
    char longest[QUERY_TEXT_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < sizeof words; i++)
        words[i] = i % 2 == 0 ? 'a' : ' ';
    words[sizeof words - 1] = '\0';
    const struct {
        const char *text;
        bool regex;
        enum err_kind kind;
    } cases[] = { { "a(", true, ERR_USAGE },
                  { "[", false, ERR_USAGE },
                  { words, false, ERR_LIMIT },
                  { longest, false, ERR_LIMIT } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        assert_int_equal(query_new(&query, cases[i].text, cases[i].regex, &bounds, &err), -1);
        assert_int_equal(err.kind, cases[i].kind);
    }
}

/* Whatever matches holds the needle behind what is above; else things would not be found. */
static void test_a_needle_is_in_all_that_matches(void **state)
{
    (void)state;
    static const char *const patterns[] = { "ab",   "a/b",  "b/",   "/a",     "A/B a", "*a/b*",
                                            "a*b",  "/a/b", "b/*",  "[a]b",   "**b",   "a/",
                                            "?b/a", "/",    "ab/a", "{a,b}b", "b a",   "a/b/" };
    static const char *const aboves[] = { "", "a/", "b/a/", "ab/", "a/b/" };
    const struct query_bounds bounds = { 0 };
    uint64_t random = 5;
    size_t matched = 0;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        struct query *query = NULL;
        struct err err = { 0 };
        assert_int_equal(query_new(&query, patterns[p], false, &bounds, &err), 0);
        struct matcher *matcher = matcher_new(query);
        for (size_t round = 0; round < 3000; round++) {
            SCOPED(buf) struct buf path = { 0 };
            const char *above = aboves[random_below(&random, 5)];
            buf_add_text(&path, above);
            const size_t len = 1 + random_below(&random, 7);
            for (size_t i = 0; i < len; i++)
                buf_add_char(&path, "abAB/x"[random_below(&random, 6)]);
            if (!matcher_takes(matcher, path.data, path.len))
                continue;
            matched++;
            const struct query_needle needle = query_needle(query, above);
            const char *key = path.data + strlen(above);
            if (needle.len != 0)
                assert_int_not_equal(matcher_seek(matcher, &needle, key, 0, strlen(key)), SIZE_MAX);
        }
        matcher_free(matcher);
        query_free(query);
    }
    assert_true(matched > 1000);
}

static void test_a_needle_is_known_where_there_is_one(void **state)
{
    (void)state;
    const struct query_bounds bounds = { 0 };
    struct query *query = NULL;
    struct err err = { 0 };
    assert_int_equal(query_new(&query, "Night1/Cam ab", false, &bounds, &err), 0);
    struct query_needle needle = query_needle(query, "");
    assert_int_equal(needle.len, strlen("night1/cam"));
    assert_memory_equal(needle.text, "night1/cam", needle.len);
    needle = query_needle(query, "run/");
    assert_memory_equal(needle.text, "cam", 3);
    assert_int_equal(needle.len, 3);
    assert_true(needle.fold);
    query_free(query);
}

static bool fits_size(const char *text, uint64_t size)
{
    struct query_bounds bounds = { 0 };
    struct query *query = NULL;
    struct err err = { 0 };
    assert_int_equal(query_parse_size(&bounds, text, &err), 0);
    assert_int_equal(query_new(&query, "", false, &bounds, &err), 0);
    const bool fits = query_fits(query, QUERY_FILE, true, size, 0);
    assert_false(query_fits(query, QUERY_DIR, true, size, 0));
    assert_false(query_fits(query, QUERY_FILE, false, size, 0));
    query_free(query);
    return fits;
}

static void test_sizes(void **state)
{
    (void)state;
    assert_true(fits_size("+1K", 1025) && !fits_size("+1K", 1024));
    assert_true(fits_size("-1K", 1023) && !fits_size("-1K", 1024));
    assert_true(fits_size("1K", 1024) && !fits_size("1K", 1025));
    assert_true(fits_size("1K..2K", 1024) && fits_size("1K..2K", 2048));
    assert_true(!fits_size("1K..2K", 1023) && !fits_size("1K..2K", 2049));
    assert_true(fits_size("..5", 0) && !fits_size("..5", 6) && fits_size("5..", UINT64_MAX));
    static const char *const bad[] = { "", "+", "-", "x", "5..4", "-0", "1..x", "x..1", "+-1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct query_bounds bounds = { 0 };
        struct err err = { 0 };
        assert_int_equal(query_parse_size(&bounds, bad[i], &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
    }
}

static int64_t newer(const char *text)
{
    struct query_bounds bounds = { 0 };
    struct err err = { 0 };
    return query_parse_newer(&bounds, text, NOW_NS, &err) == 0 ? bounds.newer_ns : -1;
}

static void test_moments(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    assert_int_equal(newer("2h"), NOW_NS - 7200 * NS_PER_S);
    assert_int_equal(newer("1970-01-02"), 86400 * NS_PER_S);
    assert_int_equal(newer("1970-01-02 00:01"), 86460 * NS_PER_S);
    /* 2023-11-14 22:13:20 is now. */
    assert_int_equal(newer("22:13"), NOW_NS - 20 * NS_PER_S);
    assert_int_equal(newer("22:14"), NOW_NS + 40 * NS_PER_S - 86400 * NS_PER_S);
    static const char *const bad[] = { "", "7", "soon", "+2h", "2023-02-30", "25:00" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(newer(bad[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_match_anywhere_in_any_case),
        cmocka_unit_test(test_globs_and_regular_expressions),
        cmocka_unit_test(test_what_is_no_pattern_is_refused),
        cmocka_unit_test(test_a_needle_is_in_all_that_matches),
        cmocka_unit_test(test_a_needle_is_known_where_there_is_one),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
