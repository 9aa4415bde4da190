/* ui/chart.h: drawings for a report, as SVG in HTML. Colours are classes of the page's style sheet.
 * Pure functions of their arguments; nothing to release. */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* How a value is told: "12.4 MiB/s", "310/s". */
#define CHART_TEXT_MAX 32
typedef const char *(*chart_tell_fn)(double value, char text[CHART_TEXT_MAX]);

struct chart_rate {
    const char *title; /* for who cannot see it */
    const double *values;
    size_t count; /* values, one after the other, each over bin_ns */
    int64_t bin_ns, span_ns;
    double mean;
    unsigned base; /* of the units: 1000 or 1024 */
    chart_tell_fn tell;
    const int64_t *marks_ns; /* where the time was interrupted */
    size_t mark_count;
};
/* A value over time, as an area with axes and its mean. */
void chart_rate(const struct chart_rate *chart, struct buf *out);

struct chart_part {
    const char *class; /* of the style sheet */
    uint64_t value;
};
/* One bar of parts that add up to its width; parts that are there are seen, however small. */
void chart_parts(const char *title, const struct chart_part *parts, size_t count, struct buf *out);
/* A small bar, for a cell of a table: `value` of `most`. */
void chart_bar(double value, double most, const char *class, struct buf *out);

/* A round number, so that at most `count` of them cover `span`: 1, 2 or 5 times a power of ten, or
 * of two between the units of base 1024. */
double chart_step(double span, unsigned count, unsigned base);
/* The same for seconds: 1, 2, 5, 10, 15, 30 s, and so on to days. */
int64_t chart_step_s(int64_t span_s, unsigned count);
