/* tests/unit/scratch.h: a fresh directory for a test, things to put in it, and random numbers that
 * are the same in each run. What goes wrong fails the test. */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct scratch {
    char path[64];
    int fd;
};
void scratch_open(struct scratch *scratch);
/* With all that is in it, also what was made unreadable. */
void scratch_close(struct scratch *scratch);

/* Paths are below the directory; parents are made. */
void scratch_write(const struct scratch *scratch, const char *rel, const void *bytes, size_t len);
void scratch_text(const struct scratch *scratch, const char *rel, const char *text);
void scratch_dir(const struct scratch *scratch, const char *rel);
void scratch_link(const struct scratch *scratch, const char *rel, const char *target);
void scratch_fifo(const struct scratch *scratch, const char *rel);
void scratch_mtime(const struct scratch *scratch, const char *rel, int64_t mtime_ns);
void scratch_read(const struct scratch *scratch, const char *rel, struct buf *ret_bytes);
/* The absolute path, in memory that a later call may use again (there are four). */
const char *scratch_path(const struct scratch *scratch, const char *rel);

uint64_t random_next(uint64_t *state);
size_t random_below(uint64_t *state, size_t limit);
