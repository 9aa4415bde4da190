/* job/listing_internal.h: what the formats share; only job/listing*.c include it. */
#pragma once

#include "base/buf.h"
#include "base/spill.h"
#include "job/listing.h"
#include "job/trail.h"

/* How one format writes, into listing->out. Any may be NULL. `step` is written, so is the item. */
struct listing_writer {
    void (*begin)(struct listing *listing); /* the top directory is entered then */
    void (*add)(struct listing *listing, const struct crawl_item *item, const char *name,
                size_t name_len); /* name: the last component, without '/' */
    int (*leave)(struct listing *listing, const struct trail_step *step, struct err *err);
    int (*end)(struct listing *listing, struct err *err);
};
extern const struct listing_writer listing_desi, listing_jsonl, listing_csv, listing_ncdu;

struct listing {
    struct listing_options options;
    const struct listing_writer *writer;
    struct trail trail;
    struct buf out;

    struct spill text;          /* desi: with SIZE_LATER where the size of a directory goes */
    struct spill_numbers sizes; /* desi */
};
/* Is a directory entered, so that entries below it follow? */
static inline bool listing_enters(const struct crawl_item *item)
{
    return item->kind == ENTRY_DIR && item->reason != REASON_LOOP;
}
CHECKED int listing_flush(struct listing *listing, struct err *err);
/* "1700000000.123456789" */
void listing_add_time(struct buf *out, int64_t time_ns);
