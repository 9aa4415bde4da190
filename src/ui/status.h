/* ui/status.h: a snapshot as text for people: a block for a terminal, a line for a log, a summary
 * for the end. Pure functions of their arguments. */
#pragma once

#include "base/buf.h"
#include "job/snapshot.h"

#include <stdbool.h>

#define STATUS_LINES_MAX 3
#define STATUS_WIDTH_MIN 20

struct status_style {
    unsigned width; /* cells of a line at most */
    bool color;
    bool unicode; /* the bar may be drawn with what is not ASCII */
};

/* Two lines, and a third with the newest failure; each ends in '\n' and is cut to the width. */
void status_block(const struct snapshot *snap, const struct status_style *style, struct buf *out);
/* All that matters in one line without an end, as words: for where nothing can be drawn. */
void status_line(const struct snapshot *snap, struct buf *out);
/* What became of the job, in aligned lines. */
void status_summary(const struct snapshot *snap, const struct status_style *style, struct buf *out);
