/* ui/report_internal.h: the parts of the page. */
#pragma once

#include "ui/report.h"

extern const char report_style[];
/* "<h2>…", with what is told in one sentence below it; note may be NULL. */
void report_heading(struct buf *out, const char *id, const char *title, const char *note);
/* A row of a list of facts; the value is text. */
void report_fact(struct buf *out, const char *what, const char *value);
/* Local time, with the zone's name. */
void report_time(struct buf *out, int64_t time_ns);

void report_items(const struct report *report, struct buf *out); /* failed, skipped, slow, large */
void report_rates(const struct report *report, struct buf *out);
void report_sizes(const struct report *report, struct buf *out);
