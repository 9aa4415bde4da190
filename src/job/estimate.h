/* job/estimate.h: what a plan will cost, counted from its segments. Memory is flat.
 * Threads: one. */
#pragma once

#include "base/err.h"
#include "job/job.h"
#include "store/store.h"

struct estimate {
    uint64_t objects, bytes;         /* that are to be moved */
    uint64_t compares;               /* entries that are asked for by name first */
    uint64_t requests;               /* that write: objects, and what one in parts takes */
    uint64_t all_objects, all_bytes; /* that will be there: moved, compared and unchanged */
    uint64_t most_objects;           /* of all_objects, in one bucket */
    uint64_t largest_bytes;          /* of an object that is moved */
    uint64_t refused;
};
/* Of generation `number`, for the store that it is a plan of. An object in parts takes a request
 * for each part, and three more: begin, commit, and the tag that holds its CRC. */
CHECKED int estimate_read(struct estimate *ret_estimate, const struct job *job, uint32_t number,
                          struct store *store, struct err *err);
