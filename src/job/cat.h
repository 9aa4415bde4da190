/* job/cat.h: an object, or a member of an archive, as bytes. They are given as they come, and only
 * known to be good at the end: ERR_CORRUPT says that they are not.
 * What proves an object is what is recorded with it: its CRC, or an ETag that is an MD5. An ETag of
 * an encrypted object only looks like one: where it does not fit, the object is read once more, and
 * must be the same. A member is proven by its archive (pack/archive_in.h, job/archived.h), so for
 * one of a tar all of that is read. */
#pragma once

#include "pack/archive_in.h"
#include "store/store.h"

struct cat_options {
    int fd; /* where to: written in order */
    const struct flow *flow;
    const struct archive_limits *limits;
    struct store_options opening;
};
/* ERR_USAGE for what has no bytes: a directory, a link in an archive. */
CHECKED int cat_location(const char *location, const struct cat_options *options, struct err *err);
