/* job/find.h: places searched, one after the other: each is listed, indexes that the cache does not
 * hold are read, and what is learnt is kept (pack/cache.h), so that a place that cannot be reached,
 * or is not to be, is searched as it was.
 * Owner: the caller. Threads: one calls; it lends work to others. */
#pragma once

#include "job/places.h"
#include "pack/search.h"

#include <stdbool.h>
#include <stdint.h>

struct find_options {
    const struct query *query;
    bool all;     /* older versions of members too */
    bool offline; /* ask nobody: what the cache holds */
    uint32_t stall_s;
    const struct stop *stop;
    /* Something was found: in order. */
    int (*take)(void *ctx, const struct place *place, const struct search_hit *hit,
                const char *location, struct err *err);
    /* Something could not be looked at; what is known of it from before was. */
    void (*warn)(void *ctx, const struct place *place, const struct err *err);
    void *ctx;
};
struct find_counts {
    uint64_t found;
    uint32_t unreached; /* places of which not all was seen */
    bool gone;          /* the last place is not there: what was known of it was not searched */
};
/* An error is that of take, or a stop. */
CHECKED int find_in(const struct place *place, const struct find_options *options,
                    struct find_counts *counts, struct err *err);
