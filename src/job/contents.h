/* job/contents.h: what is in an archive, as a listing of a store tells objects: below a place in
 * it, one level or all. In the order of the archive.
 * Owner: the caller, contents_close(). Threads: one at a time. */
#pragma once

#include "job/archived.h"

struct contents_options {
    struct store_options opening;
    struct archive_limits limits;
    bool recursive;
};
struct contents;
CHECKED int contents_open(struct contents **ret_contents, const struct archived_place *place,
                          const struct contents_options *options, struct err *err);
/* 1 and *object (filled over, caller releases it once at the end), 0 at the end, -1. ERR_ABSENT:
 * the archive has no such place. */
CHECKED int contents_next(struct contents *contents, struct object *object, struct err *err);
void contents_close(struct contents *contents);
