/* base/spill.h: bytes written once and read once, in order, of any amount: the beginning goes to a
 * temporary file without a name when there are more than fit in memory.
 * Owner: the caller; spill_init() and spill_done(). Threads: one at a time. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct spill {
    const char *temp_dir; /* NULL: $TMPDIR or /tmp; the caller's */
    size_t memory_bytes;
    int fd;              /* -1 = all is in `tail` */
    uint64_t file_bytes; /* in the file */
    uint64_t read_bytes; /* of them */
    struct buf tail;     /* what comes behind the file; once it is read, a piece of it */
    bool tail_given;
};
void spill_init(struct spill *spill, const char *temp_dir, size_t memory_bytes);
void spill_done(struct spill *spill);
CHECKED int spill_add(struct spill *spill, const void *bytes, size_t len, struct err *err);
/* The next piece, valid until the next call: 1, 0 at the end, -1. Nothing is added after the first.
 */
CHECKED int spill_next(struct spill *spill, const char **ret_bytes, size_t *ret_len,
                       struct err *err);

/* Numbers that are known in another order than the one in which they are needed. Those set late
 * cost a write each, those near the newest none. */
#define SPILL_WINDOW 8192u
struct spill_numbers {
    const char *temp_dir;
    int fd;
    uint64_t base; /* the first number in the window; all before it are in the file */
    uint64_t count;
    uint64_t *window;
};
void spill_numbers_init(struct spill_numbers *numbers, const char *temp_dir);
void spill_numbers_done(struct spill_numbers *numbers);
/* Make room for one more, 0 until it is set; its index. */
CHECKED int spill_numbers_add(struct spill_numbers *numbers, uint64_t *ret_index, struct err *err);
CHECKED int spill_numbers_set(struct spill_numbers *numbers, uint64_t index, uint64_t value,
                              struct err *err);
/* No more is set; then all are had in order, by ascending index. */
CHECKED int spill_numbers_finish(struct spill_numbers *numbers, struct err *err);
CHECKED int spill_numbers_get(struct spill_numbers *numbers, uint64_t index, uint64_t *ret_value,
                              struct err *err);
