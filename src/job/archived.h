/* job/archived.h: an archive that lies at a location, and places in it: `ARCHIVE!/dir/file`. An
 * object whose own name holds "!/" is that object: it is looked for first. Then each "!/", from the
 * last to the first, is tried as the end of an archive's name.
 * What is read in order from the first byte to the last is proven by what is recorded with the
 * object, as a get does it: its CRC, or the MD5 of parts of known size.
 * Owner: the caller, archived_done(). Threads: one at a time. */
#pragma once

#include "base/digest.h"
#include "job/etag.h"
#include "pack/archive_in.h"
#include "store/reader.h"

struct archived_place {
    char *archive; /* location of the archive, NULL: it is no place in one */
    char *inside;  /* behind "!/": "" = all of it */
};
void archived_place_done(struct archived_place *place);
/* Is the location in an archive? *ret_place says it. Nothing there at all is no error here. */
CHECKED int archived_find(struct archived_place *ret_place, const char *location,
                          const struct store_options *options, struct err *err);

struct archived {
    struct store *store;
    struct reader *reader;
    struct archive_source source;
    struct archive_in *in;
    struct digest digest;
    struct etag etag;
    bool has_etag;
    uint64_t digested_bytes; /* from the first on, in order */
    uint64_t wanted_bytes;   /* offset of what was read last; how far it is */
};
/* Strings outlive it. inside: as archive_in_open() has it. */
CHECKED int archived_open(struct archived *archived, const char *location,
                          const struct store_options *opening, const struct flow *flow,
                          const struct archive_limits *limits, const char *inside, struct err *err);
void archived_done(struct archived *archived);
/* After archive_in_next() said 0: read what is left, and compare with what is recorded.
 * ERR_CORRUPT. Nothing is said of what was read with jumps. */
CHECKED int archived_verify(struct archived *archived, struct err *err);
