#include "ui/chart.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static void expect_step(double span, unsigned base, double want)
{
    const double step = chart_step(span, 5, base);
    assert_true(step > want * 0.999 && step < want * 1.001);
}

static void test_steps_of_values_are_round(void **state)
{
    (void)state;
    expect_step(5, 1000, 1);
    expect_step(6, 1000, 2);
    expect_step(24, 1000, 5);
    expect_step(0.3, 1000, 0.1);
    expect_step(123456, 1000, 50000);
    expect_step(100 * 1024.0, 1024, 20 * 1024.0);
    expect_step(4 * 1024.0, 1024, 1024);
    expect_step(1.5 * 1024 * 1024 * 1024, 1024, 500.0 * 1024 * 1024);
    expect_step(0, 1000, 1);
}

static void test_at_most_so_many_steps_cover_the_span(void **state)
{
    (void)state;
    double span = 0.001;
    for (unsigned i = 0; i < 150; i++) {
        span *= 1.37;
        assert_true(span / chart_step(span, 5, 1000) <= 5.001);
        assert_true(span / chart_step(span, 5, 1024) <= 5.001);
    }
    for (int64_t span_s = 1; span_s < INT64_C(10000000000); span_s += 1 + span_s / 3)
        assert_true(span_s / chart_step_s(span_s, 8) <= 8);
    assert_int_equal(chart_step_s(7, 8), 1);
    assert_int_equal(chart_step_s(3600, 8), 600);
    assert_int_equal(chart_step_s(INT64_C(20) * 86400, 8), 604800);
}

static const char *tell(double value, char text[CHART_TEXT_MAX])
{
    snprintf(text, CHART_TEXT_MAX, "%g", value);
    return text;
}

static void test_a_rate_is_drawn_within_its_box(void **state)
{
    (void)state;
    const double values[] = { 0, 10, 5 };
    const int64_t mark_ns = 2 * NS_PER_S;
    const struct chart_rate chart = { .title = "<rate>",
                                      .values = values,
                                      .count = 3,
                                      .bin_ns = NS_PER_S,
                                      .span_ns = 3 * NS_PER_S,
                                      .mean = 5,
                                      .base = 1000,
                                      .tell = tell,
                                      .marks_ns = &mark_ns,
                                      .mark_count = 1 };
    SCOPED(buf) struct buf out = { 0 };
    chart_rate(&chart, &out);
    assert_non_null(strstr(out.data, "aria-label=\"&lt;rate&gt;\""));
    assert_non_null(strstr(out.data, "d=\"M84 200.0H304.7V18.0H525.3V109.0H746.0\""));
    assert_non_null(strstr(out.data, "mean 5"));
    assert_non_null(strstr(out.data, "class=\"pause\" x1=\"525.3\""));
    assert_null(strstr(out.data, "nan"));
}

static void test_nothing_moved_is_drawn_too(void **state)
{
    (void)state;
    const double values[] = { 0 };
    const struct chart_rate chart = {
        .title = "", .values = values, .count = 1, .base = 1024, .tell = tell
    };
    SCOPED(buf) struct buf out = { 0 };
    chart_rate(&chart, &out);
    chart_bar(0, 0, "plain", &out);
    chart_parts("", NULL, 0, &out);
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf"));
}

static void test_small_parts_are_seen_and_all_fit(void **state)
{
    (void)state;
    const struct chart_part parts[] = { { "a", 1000000 }, { "b", 0 }, { "c", 1 } };
    SCOPED(buf) struct buf out = { 0 };
    chart_parts("parts", parts, 3, &out);
    assert_non_null(strstr(out.data, "class=\"a\" x=\"0.0\" y=\"0\" width=\"996.0\""));
    assert_non_null(strstr(out.data, "class=\"c\" x=\"996.0\" y=\"0\" width=\"4.0\""));
    assert_null(strstr(out.data, "class=\"b\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_of_values_are_round),
        cmocka_unit_test(test_at_most_so_many_steps_cover_the_span),
        cmocka_unit_test(test_a_rate_is_drawn_within_its_box),
        cmocka_unit_test(test_nothing_moved_is_drawn_too),
        cmocka_unit_test(test_small_parts_are_seen_and_all_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
