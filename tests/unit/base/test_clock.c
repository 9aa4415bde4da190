#include "base/clock.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static void test_clock_monotonic_does_not_go_back(void **state)
{
    (void)state;
    int64_t last_ns = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        const int64_t now_ns = clock_monotonic_ns();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

static void test_clock_now_is_later_than_2020(void **state)
{
    (void)state;
    assert_true(clock_now_ns() > INT64_C(1577836800) * NS_PER_S);
}

static void test_clock_timespec_round_trips_also_before_1970(void **state)
{
    (void)state;
    static const int64_t times_ns[] = { 0,
                                        1,
                                        -1,
                                        999999999,
                                        -999999999,
                                        -NS_PER_S,
                                        INT64_C(1795253405123456789),
                                        INT64_MAX,
                                        INT64_MIN + 1 };
    for (size_t i = 0; i < sizeof times_ns / sizeof times_ns[0]; i++) {
        const struct timespec ts = clock_to_timespec(times_ns[i]);
        assert_in_range(ts.tv_nsec, 0, 999999999);
        if (times_ns[i] > INT64_MIN + NS_PER_S)
            assert_true(clock_from_timespec_ns(ts) == times_ns[i]);
    }
}

static void test_clock_times_beyond_64_bits_saturate(void **state)
{
    (void)state;
    const struct timespec late = { .tv_sec = INT64_MAX / 2, .tv_nsec = 5 };
    const struct timespec early = { .tv_sec = INT64_MIN / 2, .tv_nsec = 5 };
    assert_true(clock_from_timespec_ns(late) == INT64_MAX);
    assert_true(clock_from_timespec_ns(early) == INT64_MIN);
}

static void test_clock_text_utc_has_nine_digits(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_MAX];
    clock_text_utc(INT64_C(1795253405123456789), text);
    assert_string_equal(text, "2026-11-21T09:30:05.123456789Z");
    clock_text_utc(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
    clock_text_utc(INT64_MAX, text);
    assert_string_equal(text, "2262-04-11T23:47:16.854775807Z");
}

static void test_clock_text_local_follows_the_time_zone(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_MAX];
    assert_int_equal(setenv("TZ", "EET-2", 1), 0);
    tzset();
    clock_text_local(INT64_C(1795253405123456789), text);
    assert_string_equal(text, "2026-11-21 11:30:05");
}

static void expect_moment(const char *text, int64_t now_s, int64_t want_s)
{
    struct err err = { 0 };
    int64_t got = 0;
    assert_int_equal(clock_parse_moment(&got, text, now_s * NS_PER_S + 1, &err), 0);
    const int64_t exact = text[0] == '+' || strpbrk(text, "smhd") != NULL;
    assert_true(got == want_s * NS_PER_S + exact);
}

static void test_moments_that_people_name(void **state)
{
    (void)state;
    const int64_t day = 1795219200; /* 2026-11-21, 00:00 UTC */
    setenv("TZ", "UTC", 1);
    tzset();
    expect_moment("07:30", day, day + 27000);
    expect_moment("07:30:15", day, day + 27015);
    /* The next one: tomorrow when it is over today. */
    expect_moment("07:30", day + 40000, day + 86400 + 27000);
    expect_moment("07:30", day + 27000, day + 86400 + 27000);
    expect_moment("2026-11-22 07:30", day, day + 86400 + 27000);
    expect_moment("2026-11-22T07:30:01", day, day + 86400 + 27001);
    expect_moment("+2h", day, day + 7200);
    expect_moment("90m", day, day + 5400);
}

static void test_what_is_no_moment_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "",
                                         "tomorrow",
                                         "24:00",
                                         "12:60",
                                         "7",
                                         "7:",
                                         "2026-02-30 12:00",
                                         "2026-11-21",
                                         "07:30x",
                                         "+",
                                         "2026-11-21 25:00",
                                         "-5m" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err err = { 0 };
        int64_t got = 0;
        if (clock_parse_moment(&got, wrong[i], NS_PER_S, &err) != -1)
            print_message("'%s' is taken\n", wrong[i]);
        assert_int_equal(err.kind, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments_that_people_name),
        cmocka_unit_test(test_what_is_no_moment_is_refused),
        cmocka_unit_test(test_clock_monotonic_does_not_go_back),
        cmocka_unit_test(test_clock_now_is_later_than_2020),
        cmocka_unit_test(test_clock_timespec_round_trips_also_before_1970),
        cmocka_unit_test(test_clock_times_beyond_64_bits_saturate),
        cmocka_unit_test(test_clock_text_utc_has_nine_digits),
        cmocka_unit_test(test_clock_text_local_follows_the_time_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
