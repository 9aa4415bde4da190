/* base/log.h: the one log sink of the process: "LEVEL module: item: message".
 * Below `job` nothing logs above debug; a function logs or returns an error, never both; there is
 * no line for each file above debug. Lines are written at once to the descriptor, each with one
 * write(). While a display owns the terminal they are held instead, and its thread takes them.
 * Threads: log_line() by any; the rest by the main thread, log_take() by the display's. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#define LOG_LINE_MAX 2048
#define LOG_HELD_MAX 1000

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };
const char *log_level_name(enum log_level level); /* "error", "warn", … */
/* -1 when it is none of the names. */
CHECKED int log_level_parse(enum log_level *ret_level, const char *name);

/* Before the first call lines of LOG_WARN and LOG_ERROR go to standard error. */
void log_open(enum log_level level, int fd);
/* For what is expensive to say. */
bool log_wants(enum log_level level);
/* item: what it is about, or NULL. Control bytes are shown as \xHH. errno stays as it is. */
void log_line(enum log_level level, const char *module, const char *item, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* true: hold lines for log_take(), at most LOG_HELD_MAX, those beyond are counted; false: write
 * what is held, and then each at once. */
void log_hold(bool hold);
/* The oldest line that is held, without newline, or NULL; the caller releases it. */
char *log_take(void);
