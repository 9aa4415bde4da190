/* job/places.h: where data of this user was ever stored to or fetched from: a file of lines that is
 * only added to ($XDG_STATE_HOME/lade/places, docs/formats.md), each with a checksum, so that any
 * number of processes may do so at once. A line that is damaged is as if it were not there.
 * Owner: the caller; plain values. */
#pragma once

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

#define PLACES_MAX 10000u

struct place {
    char *location;                        /* absolute, with a scheme */
    char *endpoint_url, *profile, *region; /* "" = as the configuration says */
};
struct places {
    struct place *items; /* by location; none lies below another */
    size_t count;
};
/* What is known; nothing when there is no file. */
void places_read(struct places *ret_places);
void places_done(struct places *places);

/* The place that a location names, with what the environment says now of how to reach it. The text
 * is one that ask_absolute() made. */
void place_of(struct place *ret_place, const char *location, const struct store_access *access);
/* The same of all numbered buckets of this one (--bucket-objects), as a template: "LOCATION/{1+}".
 */
void place_of_numbered(struct place *ret_place, const char *location,
                       const struct store_access *access);
void place_done(struct place *place);
/* Its name among what is kept in the cache (docs/formats.md), appended. */
void place_listed_as(const struct place *place, struct buf *out);
struct store_access place_access(const struct place *place);
/* Is `place` the same as `outer` or below it? */
bool place_is_below(const struct place *place, const struct place *outer);
/* Write it down, or that it is gone. What cannot be written is forgotten: nothing depends on it. */
void places_note(const struct place *place, bool gone);
