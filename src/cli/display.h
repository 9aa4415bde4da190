/* cli/display.h: shows a run to people (terminal or lines on standard error) and to programs (JSON
 * lines on standard output). Main thread only. */
#pragma once

#include "cli/settings.h"
#include "job/job.h"
#include "job/run.h"
#include "job/snapshot.h"

struct display;
/* stamped: lines of a log, each with its time in front. */
struct display *display_start(const struct settings *settings, const struct job *job,
                              const char *remark, bool plan_only, bool stamped);
/* Show what is new: call a few times a second. */
void display_step(struct display *display, struct run *run);
void display_summary(struct display *display, struct snapshot *last, enum run_end end,
                     int exit_status);
void display_interrupted(struct display *display, bool flushed);
void display_failed(struct display *display); /* the caller tells the error */
/* What ended a run that nobody sees. */
void display_error(struct display *display, const struct err *err);
void display_free(struct display *display);

/* Where a run in the background works, and how to watch and stop it. */
void display_detached(const struct settings *settings, const struct job *job, long pid);

/* What a plan holds, on standard output. */
void display_plan_totals(const struct settings *settings, const struct segment_sum *sum,
                         uint64_t excluded);
