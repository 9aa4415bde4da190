#include "base/json.h"

#include "base/ban.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <math.h>

static void test_json_writes_a_line_of_members(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    json_object(&json, NULL);
    json_text(&json, "event", "done");
    json_u64(&json, "bytes", UINT64_MAX);
    json_i64(&json, "mtime_ns", INT64_MIN);
    json_bool(&json, "ok", true);
    json_bool(&json, "packed", false);
    json_null(&json, "etag");
    json_text(&json, "error", NULL);
    json_object_end(&json);
    json_line_end(&json);
    assert_string_equal(buf_text(&out),
                        "{\"event\":\"done\",\"bytes\":18446744073709551615,"
                        "\"mtime_ns\":-9223372036854775808,\"ok\":true,\"packed\":false,"
                        "\"etag\":null,\"error\":null}\n");
}

static void test_json_nests_objects_and_arrays(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    json_object(&json, NULL);
    json_array(&json, "parts");
    json_u64(&json, NULL, 1);
    json_array(&json, NULL);
    json_array_end(&json);
    json_object(&json, NULL);
    json_object_end(&json);
    json_object(&json, NULL);
    json_null(&json, "a");
    json_object_end(&json);
    json_text(&json, NULL, "x");
    json_array_end(&json);
    json_object(&json, "empty");
    json_object_end(&json);
    json_u64(&json, "last", 0);
    json_object_end(&json);
    assert_string_equal(buf_text(&out),
                        "{\"parts\":[1,[],{},{\"a\":null},\"x\"],\"empty\":{},\"last\":0}");
}

static void test_json_writes_one_value_a_line(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    for (uint64_t i = 0; i < 2; i++) {
        json_object(&json, NULL);
        json_u64(&json, "n", i);
        json_object_end(&json);
        json_line_end(&json);
    }
    json_text(&json, NULL, "alone");
    json_line_end(&json);
    assert_string_equal(buf_text(&out), "{\"n\":0}\n{\"n\":1}\n\"alone\"\n");
}

static void test_json_goes_to_the_deepest_level(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_array(&json, NULL);
    json_u64(&json, NULL, 1);
    json_u64(&json, NULL, 2);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_array_end(&json);
    json_line_end(&json);
    assert_int_equal(out.len, 2 * JSON_DEPTH_MAX + 4);
}

static void check_bytes(const char *bytes, size_t len, const char *want)
{
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    json_bytes(&json, NULL, bytes, len);
    assert_string_equal(buf_text(&out), want);
}

static void check(const char *text, const char *want)
{
    check_bytes(text, strlen(text), want);
}

static void test_json_escapes_quotes_and_control_characters(void **state)
{
    (void)state;
    check("", "\"\"");
    check("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    check("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
    check("\x01\x1b[31m\x1f\x7f", "\"\\u0001\\u001b[31m\\u001f\\u007f\"");
    check("\xc2\x80\xc2\x9b\xc2\xa0", "\"\\u0080\\u009b\xc2\xa0\"");
    check_bytes("a\0b", 3, "\"a\\u0000b\"");
}

static void test_json_keeps_valid_utf8(void **state)
{
    (void)state;
    check("ä€😀", "\"ä€😀\"");
    check("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\"");
    check("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
}

static void test_json_writes_invalid_bytes_as_lone_surrogates(void **state)
{
    (void)state;
    check("\xff", "\"\\udcff\"");
    check("a\x80z", "\"a\\udc80z\"");
    check("\xc3", "\"\\udcc3\"");                                  /* cut off */
    check("\xe2\x82", "\"\\udce2\\udc82\"");                       /* cut off */
    check("\xc0\xaf", "\"\\udcc0\\udcaf\"");                       /* longer than needed */
    check("\xe0\x80\x80", "\"\\udce0\\udc80\\udc80\"");            /* longer than needed */
    check("\xed\xb2\x80", "\"\\udced\\udcb2\\udc80\"");            /* an encoded surrogate */
    check("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\""); /* beyond U+10FFFF */
    check("\xf5\x80", "\"\\udcf5\\udc80\"");
    check("\xc3\xc3\xa4", "\"\\udcc3\xc3\xa4\"");
}

static void test_json_escapes_keys_too(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    json_object(&json, NULL);
    json_u64(&json, "a\"\xff", 1);
    json_object_end(&json);
    assert_string_equal(buf_text(&out), "{\"a\\\"\\udcff\":1}");
}

static void check_double(double value, const char *want)
{
    SCOPED(buf) struct buf out = { 0 };
    struct json json = json_into(&out);
    json_double(&json, NULL, value);
    assert_string_equal(buf_text(&out), want);
}

static void test_json_doubles_are_short_and_exact(void **state)
{
    (void)state;
    check_double(0, "0");
    check_double(-1.5, "-1.5");
    check_double(0.1, "0.1");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(1e300, "1e+300");
    check_double(5e-324, "4.94065645841247e-324");
}

static void test_json_has_no_word_for_what_is_not_finite(void **state)
{
    (void)state;
    check_double((double)NAN, "null");
    check_double((double)INFINITY, "null");
    check_double((double)-INFINITY, "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_writes_a_line_of_members),
        cmocka_unit_test(test_json_nests_objects_and_arrays),
        cmocka_unit_test(test_json_writes_one_value_a_line),
        cmocka_unit_test(test_json_goes_to_the_deepest_level),
        cmocka_unit_test(test_json_escapes_quotes_and_control_characters),
        cmocka_unit_test(test_json_keeps_valid_utf8),
        cmocka_unit_test(test_json_writes_invalid_bytes_as_lone_surrogates),
        cmocka_unit_test(test_json_escapes_keys_too),
        cmocka_unit_test(test_json_doubles_are_short_and_exact),
        cmocka_unit_test(test_json_has_no_word_for_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
