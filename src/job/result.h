/* job/result.h: how results are written, in journals and in the sealed NNNNNN.res beside each
 * finished segment. docs/formats.md has every byte. */
#pragma once

#include "base/buf.h"
#include "base/zblock.h"
#include "job/entry.h"

#include <stdint.h>

struct result_sum {
    uint64_t count[RESULT_STATUS_COUNT];
    uint64_t bytes[RESULT_STATUS_COUNT];
    uint64_t retries;
};
void result_sum_add(struct result_sum *sum, enum result_status status, uint64_t bytes,
                    uint32_t retries);
void result_sum_merge(struct result_sum *sum, const struct result_sum *other);

void result_encode(struct buf *out, const struct result *result);
/* -1 when the bytes are none of ours. ret_result->err is on the heap: result_done(). */
CHECKED int result_decode(struct view *view, struct result *ret_result);
/* Pass over one; *ret_ordinal says whose. */
CHECKED int result_skip(struct view *view, uint32_t *ret_ordinal, enum result_status *ret_status);
void result_done(struct result *result);

/* What is left of a finished segment: its failures, without those of the plan. */
struct result_rest {
    uint32_t tries;     /* how often the segment was worked on to its end */
    uint32_t failed;    /* entries */
    uint32_t retryable; /* of these: by a cause that can go away by itself */
};

/* Write NNNNNN.res: encoded results in ascending order of ordinals; entries that the plan settles
 * itself are not in it. `sum` covers all entries of the segment. */
CHECKED int result_file_seal(int dir_fd, uint32_t number, const struct buf *encoded, uint32_t count,
                             const struct result_sum *sum, const struct result_rest *rest,
                             struct err *err);

struct result_file {
    struct buf raw;
    struct view view;
    uint32_t count;
    struct result_sum sum;
    struct result_rest rest;
    bool loaded; /* results, not only the sum */
};
/* ERR_ABSENT when the segment has no sealed results yet, ERR_CORRUPT when they are damaged. Without
 * `load` only the sum is read. */
CHECKED int result_file_open(struct result_file *file, int dir_fd, uint32_t number, bool load,
                             struct err *err);
/* 1 and the next result, 0 at the end, -1 ERR_CORRUPT. */
CHECKED int result_file_next(struct result_file *file, struct result *ret_result, struct err *err);
void result_file_done(struct result_file *file);
