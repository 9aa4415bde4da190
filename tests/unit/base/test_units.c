#include "base/units.h"

#include "base/ban.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static uint64_t bytes_of(const char *text)
{
    struct err err = { 0 };
    uint64_t bytes = 0;
    if (units_parse_bytes(&bytes, text, &err) < 0)
        fail_msg("'%s': %s", text, err.text);
    return bytes;
}

static uint64_t rate_of(const char *text)
{
    struct err err = { 0 };
    uint64_t bytes_per_s = 0;
    if (units_parse_rate(&bytes_per_s, text, &err) < 0)
        fail_msg("'%s': %s", text, err.text);
    return bytes_per_s;
}

static void test_units_parse_bytes_takes_powers_of_1024_and_of_1000(void **state)
{
    (void)state;
    assert_int_equal(bytes_of("0"), 0);
    assert_int_equal(bytes_of("10"), 10);
    assert_int_equal(bytes_of("100B"), 100);
    assert_int_equal(bytes_of("64K"), 65536);
    assert_int_equal(bytes_of("64k"), 65536);
    assert_int_equal(bytes_of("64Ki"), 65536);
    assert_int_equal(bytes_of("64KiB"), 65536);
    assert_int_equal(bytes_of("64KB"), 64000);
    assert_int_equal(bytes_of("3M"), 3 << 20);
    assert_int_equal(bytes_of("2GB"), UINT64_C(2000000000));
    assert_int_equal(bytes_of("1T"), UINT64_C(1) << 40);
    assert_int_equal(bytes_of("1TB"), UINT64_C(1000000000000));
    assert_int_equal(bytes_of("1PiB"), UINT64_C(1) << 50);
    assert_int_equal(bytes_of("18446744073709551615"), UINT64_MAX);
}

static void test_units_parse_bytes_takes_fractions_of_a_unit(void **state)
{
    (void)state;
    assert_int_equal(bytes_of("1.5GiB"), UINT64_C(3) << 29);
    assert_int_equal(bytes_of("1.5 GiB"), UINT64_C(3) << 29);
    assert_int_equal(bytes_of("0.5K"), 512);
    assert_int_equal(bytes_of("1.25MB"), 1250000);
    assert_int_equal(bytes_of("0.000000000000000001P"), 0);
}

static void test_units_parse_bytes_refuses_what_is_not_a_size(void **state)
{
    (void)state;
    static const char *const bad[] = { "",       "K",         "-1",
                                       "+1",     " 1",        "1 ",
                                       "1.5",    "1.5B",      "1.",
                                       ".5K",    "1X",        "1KK",
                                       "1KiBB",  "1e3",       "0x10",
                                       "1,5M",   "1M ",       "inf",
                                       "1 M ",   "1E",        "18446744073709551616",
                                       "16384P", "99999999T", "1.0000000000000000000K" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = { 0 };
        uint64_t bytes = 77;
        if (units_parse_bytes(&bytes, bad[i], &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_int_equal(bytes, 77);
    }
}

static void test_units_parse_bytes_names_the_text_and_says_what_is_taken(void **state)
{
    (void)state;
    struct err err = { 0 };
    uint64_t bytes = 0;
    assert_int_equal(units_parse_bytes(&bytes, "many", &err), -1);
    assert_string_equal(err.text, "'many' is not a size");
    assert_non_null(strstr(err.hint, "1.5GiB"));
}

static void test_units_parse_rate_takes_sizes_a_second_and_off(void **state)
{
    (void)state;
    assert_int_equal(rate_of("10M"), 10 << 20);
    assert_int_equal(rate_of("10M/s"), 10 << 20);
    assert_int_equal(rate_of("1.5MB/s"), 1500000);
    assert_int_equal(rate_of("off"), 0);
    assert_int_equal(rate_of("0"), 0);
    static const char *const bad[] = {
        "", "/s", "fast", "10M/h", "off/s", "00000000000000000000000000000000000000001"
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = { 0 };
        uint64_t bytes_per_s = 77;
        assert_int_equal(units_parse_rate(&bytes_per_s, bad[i], &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_int_equal(bytes_per_s, 77);
    }
}

static void test_units_parse_count_keeps_to_its_limits(void **state)
{
    (void)state;
    struct err err = { 0 };
    uint64_t count = 0;
    assert_int_equal(units_parse_count(&count, "64", 1, 64, &err), 0);
    assert_int_equal(count, 64);
    assert_int_equal(units_parse_count(&count, "1", 1, 64, &err), 0);
    assert_int_equal(count, 1);
    static const char *const bad[] = { "0", "65", "", "x", "1x", "-1", "18446744073709551617" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err refused = { 0 };
        assert_int_equal(units_parse_count(&count, bad[i], 1, 64, &refused), -1);
        assert_int_equal(refused.kind, ERR_USAGE);
    }
    assert_int_equal(units_parse_count(&count, "65", 1, 64, &err), -1);
    assert_string_equal(err.text, "'65' is not a number from 1 to 64");
}

static void test_units_bytes_shows_three_digits(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    assert_string_equal(units_bytes(0, text), "0 B");
    assert_string_equal(units_bytes(917, text), "917 B");
    assert_string_equal(units_bytes(1023, text), "1023 B");
    assert_string_equal(units_bytes(1024, text), "1.00 KiB");
    assert_string_equal(units_bytes(UINT64_C(1320702444), text), "1.23 GiB");
    assert_string_equal(units_bytes(13002342, text), "12.4 MiB");
    assert_string_equal(units_bytes(UINT64_C(500) << 40, text), "500 TiB");
    assert_string_equal(units_bytes(UINT64_MAX, text), "16.0 EiB");
}

static void test_units_bytes_rounds_up_into_the_next_unit(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    assert_string_equal(units_bytes(1024 * 1024 - 1, text), "1.00 MiB");
    assert_string_equal(units_bytes(1023 * UINT64_C(1024), text), "1023 KiB");
    assert_string_equal(units_bytes(10239, text), "10.0 KiB");
    assert_string_equal(units_bytes(102399, text), "100 KiB");
}

static void test_units_rate_survives_senseless_numbers(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    assert_string_equal(units_rate(13002342, text), "12.4 MiB/s");
    assert_string_equal(units_rate(0.0, text), "0 B/s");
    assert_string_equal(units_rate(-5, text), "0 B/s");
    assert_string_equal(units_rate(__builtin_nan(""), text), "0 B/s");
    assert_string_equal(units_rate(1e300, text), "16.0 EiB/s");
}

static void test_units_count_groups_by_thousands(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    assert_string_equal(units_count(0, text), "0");
    assert_string_equal(units_count(999, text), "999");
    assert_string_equal(units_count(1000, text), "1,000");
    assert_string_equal(units_count(1234567, text), "1,234,567");
    assert_string_equal(units_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

static void test_units_span_shows_two_units(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    assert_string_equal(units_span(0, text), "0.0s");
    assert_string_equal(units_span(-1, text), "0.0s");
    assert_string_equal(units_span(450 * NS_PER_MS, text), "0.4s");
    assert_string_equal(units_span(9999 * NS_PER_MS, text), "9.9s");
    assert_string_equal(units_span(42 * NS_PER_S, text), "42s");
    assert_string_equal(units_span(192 * NS_PER_S, text), "3m12s");
    assert_string_equal(units_span(7500 * NS_PER_S, text), "2h05m");
    assert_string_equal(units_span((INT64_C(4) * 24 + 3) * 3600 * NS_PER_S, text), "4d03h");
    assert_string_equal(units_span(INT64_MAX, text), "106751d23h");
}

static void test_spans_are_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seconds;
    } good[] = { { "90", 90 },     { "90s", 90 },    { "30m", 1800 },
                 { "12h", 43200 }, { "7d", 604800 }, { "2w", 1209600 } };
    static const char *const bad[] = { "", "d", "-1d", "1x", "1dd", " 1d", "99999999999d" };
    struct err err = { 0 };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t seconds = 0;
        assert_int_equal(units_parse_span(&seconds, good[i].text, &err), 0);
        assert_int_equal(seconds, good[i].seconds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t seconds = 0;
        err_clear(&err);
        assert_int_equal(units_parse_span(&seconds, bad[i], &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans_are_seconds),
        cmocka_unit_test(test_units_parse_bytes_takes_powers_of_1024_and_of_1000),
        cmocka_unit_test(test_units_parse_bytes_takes_fractions_of_a_unit),
        cmocka_unit_test(test_units_parse_bytes_refuses_what_is_not_a_size),
        cmocka_unit_test(test_units_parse_bytes_names_the_text_and_says_what_is_taken),
        cmocka_unit_test(test_units_parse_rate_takes_sizes_a_second_and_off),
        cmocka_unit_test(test_units_parse_count_keeps_to_its_limits),
        cmocka_unit_test(test_units_bytes_shows_three_digits),
        cmocka_unit_test(test_units_bytes_rounds_up_into_the_next_unit),
        cmocka_unit_test(test_units_rate_survives_senseless_numbers),
        cmocka_unit_test(test_units_count_groups_by_thousands),
        cmocka_unit_test(test_units_span_shows_two_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
