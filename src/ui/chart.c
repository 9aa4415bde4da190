#include "ui/chart.h"

#include "base/ban.h"
#include "base/clock.h"
#include "ui/html.h"

#include <math.h>

/* The place of the drawing in its box, in units of the box. */
#define WIDE 760
#define HIGH 230
#define LEFT 84
#define RIGHT 14
#define TOP 18
#define BOTTOM 30
#define PLOT_WIDE (WIDE - LEFT - RIGHT)
#define PLOT_HIGH (HIGH - TOP - BOTTOM)
#define TICKS_UP 5
#define TICKS_ALONG 8

double chart_step(double span, unsigned count, unsigned base)
{
    static const double factors[] = { 1, 2, 5, 10 };
    double unit = 1;
    if (!(span > 0) || count == 0)
        return 1;
    const double least = span / count;
    while (base == 1024 && unit * base <= least)
        unit *= base;
    const double power = unit * pow(10, floor(log10(least / unit)));
    double step = power;
    for (size_t i = 0; i < sizeof factors / sizeof *factors && step < least; i++)
        step = power * factors[i];
    /* 1000 KiB is better called 1 MiB. */
    return base == 1024 && step > 500.5 * unit ? unit * base : step;
}

int64_t chart_step_s(int64_t span_s, unsigned count)
{
    static const int64_t steps[] = { 1,     2,     5,     10,    15,     30,    60,
                                     120,   300,   600,   900,   1800,   3600,  7200,
                                     10800, 21600, 43200, 86400, 172800, 604800 };
    const size_t steps_count = sizeof steps / sizeof *steps;
    for (size_t i = 0; i < steps_count; i++)
        if (span_s / steps[i] <= count)
            return steps[i];
    return span_s / count / 604800 * 604800 + 604800;
}

static void tell_time(int64_t s, char text[CHART_TEXT_MAX])
{
    if (s == 0)
        snprintf(text, CHART_TEXT_MAX, "0");
    else if (s % 86400 == 0)
        snprintf(text, CHART_TEXT_MAX, "%lldd", (long long)s / 86400);
    else if (s >= 86400)
        snprintf(text, CHART_TEXT_MAX, "%lldd%02lldh", (long long)s / 86400,
                 (long long)s % 86400 / 3600);
    else if (s % 3600 == 0)
        snprintf(text, CHART_TEXT_MAX, "%lldh", (long long)s / 3600);
    else if (s >= 3600)
        snprintf(text, CHART_TEXT_MAX, "%lldh%02lldm", (long long)s / 3600,
                 (long long)s % 3600 / 60);
    else if (s % 60 == 0)
        snprintf(text, CHART_TEXT_MAX, "%lldm", (long long)s / 60);
    else if (s >= 60)
        snprintf(text, CHART_TEXT_MAX, "%lldm%02llds", (long long)s / 60, (long long)s % 60);
    else
        snprintf(text, CHART_TEXT_MAX, "%llds", (long long)s);
}

struct scale {
    double top; /* the value at the upper edge */
    double step;
};

static struct scale scale_of(const struct chart_rate *chart)
{
    double most = 0;
    for (size_t i = 0; i < chart->count; i++)
        most = fmax(most, chart->values[i]);
    const double step = chart_step(most, TICKS_UP, chart->base);
    return (struct scale){ .step = step, .top = step * fmax(1, ceil(most / step - 1e-9)) };
}

static double y_of(const struct scale *scale, double value)
{
    return TOP + PLOT_HIGH * (1 - value / scale->top);
}

static double x_of(const struct chart_rate *chart, double time_ns)
{
    const double share = chart->span_ns > 0 ? time_ns / (double)chart->span_ns : 0;
    return LEFT + PLOT_WIDE * fmin(share, 1);
}

static void add_values_axis(const struct chart_rate *chart, const struct scale *scale,
                            struct buf *out)
{
    char text[CHART_TEXT_MAX];
    for (int i = 0; i * scale->step <= scale->top * 1.0001; i++) {
        const double y = y_of(scale, i * scale->step);
        buf_printf(out,
                   "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                   "<text class=\"tick end\" x=\"%d\" y=\"%.1f\">%s</text>\n",
                   LEFT, WIDE - RIGHT, y, y, LEFT - 8, y + 4,
                   i == 0 ? "0" : chart->tell(i * scale->step, text));
    }
}

static void add_time_axis(const struct chart_rate *chart, struct buf *out)
{
    char text[CHART_TEXT_MAX];
    const int64_t span_s = chart->span_ns / NS_PER_S;
    const int64_t step_s = chart_step_s(span_s, TICKS_ALONG);
    for (int64_t s = 0; s <= span_s; s += step_s) {
        tell_time(s, text);
        const double x = x_of(chart, (double)s * NS_PER_S);
        buf_printf(out,
                   "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                   "<text class=\"tick %s\" x=\"%.1f\" y=\"%d\">%s</text>\n",
                   x, x, TOP + PLOT_HIGH, TOP + PLOT_HIGH + 4,
                   x > WIDE - RIGHT - 20 ? "end" : "middle",
                   x > WIDE - RIGHT - 20 ? (double)(WIDE - RIGHT) : x, TOP + PLOT_HIGH + 19, text);
    }
}

/* Steps, since each value is the mean of its time and nothing is known between. */
static void add_area(const struct chart_rate *chart, const struct scale *scale, struct buf *out)
{
    struct buf path = { 0 };
    for (size_t i = 0; i < chart->count; i++) {
        const double y = y_of(scale, chart->values[i]);
        if (i == 0)
            buf_printf(&path, "M%d %.1f", LEFT, y);
        else
            buf_printf(&path, "V%.1f", y);
        buf_printf(&path, "H%.1f", x_of(chart, (double)(i + 1) * (double)chart->bin_ns));
    }
    buf_printf(out, "<path class=\"area\" d=\"%sV%dH%dZ\"/>", buf_text(&path), TOP + PLOT_HIGH,
               LEFT);
    buf_printf(out, "<path class=\"line\" d=\"%s\"/>\n", buf_text(&path));
    buf_done(&path);
}

static void add_mean(const struct chart_rate *chart, const struct scale *scale, struct buf *out)
{
    char text[CHART_TEXT_MAX];
    const double y = y_of(scale, fmin(chart->mean, scale->top));
    buf_printf(out,
               "<line class=\"mean\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
               "<text class=\"note end\" x=\"%d\" y=\"%.1f\">mean %s</text>\n",
               LEFT, WIDE - RIGHT, y, y, WIDE - RIGHT - 4, y > TOP + 16 ? y - 5 : y + 14,
               chart->tell(chart->mean, text));
}

static void open_svg(const char *title, int wide, int high, const char *class, struct buf *out)
{
    buf_printf(out, "<svg class=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", class,
               wide, high);
    html_text(out, title);
    buf_add_text(out, "\">\n");
}

void chart_rate(const struct chart_rate *chart, struct buf *out)
{
    const struct scale scale = scale_of(chart);
    open_svg(chart->title, WIDE, HIGH, "chart", out);
    add_values_axis(chart, &scale, out);
    add_area(chart, &scale, out);
    for (size_t i = 0; i < chart->mark_count; i++) {
        const double x = x_of(chart, (double)chart->marks_ns[i]);
        buf_printf(out, "<line class=\"pause\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x,
                   TOP, TOP + PLOT_HIGH);
    }
    add_mean(chart, &scale, out);
    add_time_axis(chart, out);
    buf_add_text(out, "</svg>\n");
}

#define PARTS_WIDE 1000
#define PART_LEAST 4.0

void chart_parts(const char *title, const struct chart_part *parts, size_t count, struct buf *out)
{
    double sum = 0;
    double need = 0;
    double x = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)parts[i].value;
        need += parts[i].value != 0 ? PART_LEAST : 0;
    }
    buf_printf(out,
               "<svg class=\"parts\" viewBox=\"0 0 %d 14\" preserveAspectRatio=\"none\" "
               "role=\"img\" aria-label=\"",
               PARTS_WIDE);
    html_text(out, title);
    buf_add_text(out, "\">");
    for (size_t i = 0; i < count; i++) {
        if (parts[i].value == 0)
            continue;
        const double wide = PART_LEAST + (PARTS_WIDE - need) * ((double)parts[i].value / sum);
        buf_printf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"14\"/>",
                   parts[i].class, x, wide);
        x += wide;
    }
    buf_add_text(out, "</svg>\n");
}

void chart_bar(double value, double most, const char *class, struct buf *out)
{
    const double wide = most > 0 ? 120 * value / most : 0;
    buf_printf(out,
               "<svg class=\"bar\" viewBox=\"0 0 120 10\" aria-hidden=\"true\"><rect class=\"%s\" "
               "x=\"0\" y=\"0\" width=\"%.1f\" height=\"10\" rx=\"2\"/></svg>",
               class, value > 0 ? fmax(wide, 1) : 0);
}
