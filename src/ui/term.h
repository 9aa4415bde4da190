/* ui/term.h: the one writer of the terminal: log lines, and below them a status block that is drawn
 * again and again. Where standard error is no terminal (or TERM=dumb), the status is a plain line
 * now and then.
 *
 *     while (!run_wait(run, TERM_FRAME_NS)) {
 *         run_snapshot(run, &snap);
 *         term_draw(&term, &snap, clock_monotonic_ns());
 *     }
 *
 * Owner:   the caller; term_done() leaves the cursor behind the last log line.
 * Threads: the display's alone. Others log through base/log.h, see term_take_log().
 * Errors:  none: a terminal that is gone does not stop a transfer. */
#pragma once

#include "base/buf.h"
#include "job/snapshot.h"
#include "ui/status.h"

#include <stdbool.h>
#include <stdint.h>

#define TERM_FRAME_NS (INT64_C(200) * 1000 * 1000)
#define TERM_LINE_NS (INT64_C(30) * 1000 * 1000 * 1000)

enum term_progress {
    TERM_AUTO = 0, /* a block on a terminal, lines elsewhere */
    TERM_LINES,    /* lines everywhere */
    TERM_NONE,     /* log lines and the summary only */
};
struct term {
    int fd;
    bool drawing; /* a block, not lines */
    bool stamped; /* lines have the local time in front; the owner's, after term_init() */
    struct status_style style;
    enum term_progress progress;
    int64_t interval_ns; /* between two frames, or two lines */
    int64_t next_ns;     /* not before; INT64_MIN: at once */
    struct buf frame;    /* what is written next */
    /* The block that is there: how wide each line is, since a narrower window folds them. */
    unsigned drawn_lines;
    unsigned drawn_cells[STATUS_LINES_MAX];
};
/* line_interval_ns: between plain lines, 0 for TERM_LINE_NS. */
void term_init(struct term *term, int fd, enum term_progress progress, int64_t line_interval_ns);
void term_done(struct term *term);

/* Show the snapshot if it is time to. The first plain line comes after one interval. */
void term_draw(struct term *term, const struct snapshot *snap, int64_t now_ns);
/* A line above the block. Control bytes in it are shown as \xHH. */
void term_log(struct term *term, const char *line);
/* The lines that other threads logged (log_hold()). */
void term_take_log(struct term *term);
/* Take the block away: before something else writes to the terminal, and at the end. */
void term_erase(struct term *term);
/* Erase, then the summary. */
void term_summary(struct term *term, const struct snapshot *snap);
