/* pack/xattr_sets.h: the sets of extended attributes (base/xattr.h) in a block of an index, each
 * once, however many members have it; and which member has which, in runs. docs/formats.md has the
 * bytes.
 * Owner: one thread; zero-initialised is empty. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- writing ---- */

struct xattr_sets {
    struct buf sets;  /* column: text of each; empty as long as no member has any */
    struct buf runs;  /* column; without the run under way */
    struct buf spans; /* where each of them is in `sets` */
    uint32_t *slots;  /* hash table of their numbers, 0 = free; NULL: none was added */
    uint32_t count;
    uint32_t last, last_count; /* the run under way: of this set, so many members */
};
void xattr_sets_done(struct xattr_sets *sets);
/* The next member that can have attributes has this set; len 0: none. */
void xattr_sets_add(struct xattr_sets *sets, const void *set, size_t len);
/* Append the columns (nothing where no member has any), and begin anew. */
void xattr_sets_end(struct xattr_sets *sets, struct buf *out_sets, struct buf *out_runs);

/* ---- reading ---- */

/* In the bytes that the columns are in. */
struct xattr_span {
    uint32_t at, len;
};
struct xattr_runs {
    struct buf spans; /* of struct xattr_span */
    uint64_t left;    /* members of the run under way */
    struct xattr_span span;
};
void xattr_runs_done(struct xattr_runs *runs);
/* Begin with the column of sets, which is in the bytes at `base`. False: it is none. */
bool xattr_runs_begin(struct xattr_runs *runs, struct view *sets, const void *base);
/* What the next member has, by the column of runs. False: that is none. */
bool xattr_runs_next(struct xattr_runs *runs, struct view *column, struct xattr_span *ret_span);
/* Do the runs end here? */
bool xattr_runs_ended(const struct xattr_runs *runs);
