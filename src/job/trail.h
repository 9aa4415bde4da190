/* job/trail.h: the directories that lead to an entry, for whoever gets entries in the order of a
 * walk (a directory, then all that is below it) and sums up what is below each.
 * Owner: the caller; zero is empty. Threads: one at a time. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trail_step {
    size_t name_len; /* of the directory in trail.path, with its '/'; 0: the top */
    uint64_t bytes;  /* of files below, at any depth */
    uint64_t files;
    uint64_t entries; /* directly in it */
    uint64_t index;   /* the user's */
    bool written;     /* the user's */
};
struct trail {
    struct buf path; /* of the deepest directory */
    struct trail_step *steps;
    size_t depth, cap;
};
void trail_done(struct trail *trail);
struct trail_step *trail_enter(struct trail *trail, const char *name, size_t name_len);
/* Is the entry `name` not below the deepest directory, so that this one is to be left? Never of the
 * top. */
bool trail_passed(const struct trail *trail, const char *name, size_t name_len);
static inline struct trail_step *trail_last(const struct trail *trail)
{
    return &trail->steps[trail->depth - 1];
}
/* Leave the deepest directory: the one above takes over its sums. */
void trail_leave(struct trail *trail);
