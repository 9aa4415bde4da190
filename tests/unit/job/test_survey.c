#include "job/survey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void add(struct survey *survey, enum entry_kind kind, const char *name, uint64_t bytes)
{
    const struct crawl_item item = { .name = name,
                                     .name_len = (uint32_t)strlen(name),
                                     .kind = kind,
                                     .nlink = 1,
                                     .size_bytes = bytes };
    survey_add(survey, &item);
}

static void test_survey_counts(void **state)
{
    (void)state;
    struct survey survey = { 0 };
    add(&survey, ENTRY_DIR, "a/", 0);
    add(&survey, ENTRY_DIR, "a/b/", 0);
    add(&survey, ENTRY_FILE, "a/b/c", 100);
    add(&survey, ENTRY_FILE, "a/d", 5000);
    add(&survey, ENTRY_DIR, "e/", 0);
    add(&survey, ENTRY_FILE, "f", 0);
    add(&survey, ENTRY_LINK, "g", 3);
    add(&survey, ENTRY_SPECIAL, "h", 0);
    survey_finish(&survey);
    assert_int_equal(survey.files.count, 3);
    assert_int_equal(survey.files.bytes, 5100);
    assert_int_equal(survey.directories, 3);
    assert_int_equal(survey.links, 1);
    assert_int_equal(survey.others, 1);
    assert_int_equal(survey.depth_max, 3);
    assert_int_equal(survey.classes[0].count, 1);
    assert_int_equal(survey.classes[1].bytes, 100);
    assert_int_equal(survey.classes[2].bytes, 5000);
    assert_int_equal(survey.largest_count, 2);
    assert_string_equal(survey.largest[0].name, "a/");
    assert_int_equal(survey.largest[0].sum.bytes, 5100);
    assert_string_equal(survey.largest[1].name, "a/b/");
    assert_string_equal(survey.fullest.name, "");
    assert_int_equal(survey.fullest.sum.count, 5);
    assert_int_equal(survey.care[CARE_EMPTY_DIR].sum.count, 1);
    assert_string_equal(survey.care[CARE_EMPTY_DIR].examples[0], "e/");
    survey_done(&survey);
}

static void test_survey_keeps_the_largest(void **state)
{
    (void)state;
    struct survey survey = { 0 };
    char name[32];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%02u/", i);
        add(&survey, ENTRY_DIR, name, 0);
        snprintf(name, sizeof name, "%02u/f", i);
        add(&survey, ENTRY_FILE, name, (uint64_t)(i * 37 % 100) + 1);
    }
    survey_finish(&survey);
    assert_int_equal(survey.largest_count, SURVEY_LARGEST);
    for (size_t i = 0; i < SURVEY_LARGEST; i++)
        assert_int_equal(survey.largest[i].sum.bytes, 100 - i);
    survey_done(&survey);
}

static void expect_care(enum survey_care care, const char *name, uint64_t bytes)
{
    struct survey survey = { 0 };
    add(&survey, ENTRY_FILE, name, bytes);
    survey_finish(&survey);
    for (int other = 0; other < CARE_COUNT; other++)
        assert_int_equal(survey.care[other].sum.count, other == (int)care);
    survey_done(&survey);
}

static void test_survey_finds_what_needs_care(void **state)
{
    (void)state;
    expect_care(CARE_COUNT, "plain.txt", 5);
    expect_care(CARE_COUNT, "\xc3\xa4.txt", 5);
    expect_care(CARE_NOT_UTF8, "a\xff", 5);
    expect_care(CARE_CONTROL, "a\nb", 5);
    expect_care(CARE_CONTROL, "a\xc2\x85", 5);
    expect_care(CARE_BLANK, " a", 5);
    expect_care(CARE_BLANK, "a.", 5);
    expect_care(CARE_ENCODED, "\xe2\x80\x9b", 5);
    expect_care(CARE_ENCODED, "\xef\xbc\x8e", 5);
    expect_care(CARE_LINK_SUFFIX, "a.rclonelink", 5);
    expect_care(CARE_COUNT, "a", UINT64_C(5) << 30);
    expect_care(CARE_MULTIPART, "a", (UINT64_C(5) << 30) + 1);
    expect_care(CARE_TOO_LARGE, "a", (UINT64_C(5) << 40) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_survey_counts),
        cmocka_unit_test(test_survey_keeps_the_largest),
        cmocka_unit_test(test_survey_finds_what_needs_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
