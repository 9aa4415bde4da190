/* tests/unit/pack/made_archive.h: tars made by hand, and bytes in memory as the source of an
 * archive. */
#pragma once

#include "base/buf.h"
#include "pack/archive_in.h"

struct made_source {
    struct archive_source source;
    const struct buf *bytes;
    uint64_t fails_from; /* reading from here on is ERR_NET; UINT64_MAX: never */
};
/* Not to be moved after. */
void made_source_of(struct made_source *made, const struct buf *bytes);

/* A ustar member: type as in its header. */
void made_member(struct buf *tar, const char *name, char type, const char *data,
                 const char *target);
void made_end(struct buf *tar);
