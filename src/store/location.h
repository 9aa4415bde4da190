/* store/location.h: where data is, as the user types it: a path, `file:/dir`, `null:`, later
 * `s3://…`. Locations are literal: no wildcards. Owner: the caller, location_done(). */
#pragma once

#include "store/store.h"

struct location {
    char *text;   /* as typed, for messages */
    char *scheme; /* "path" for a plain path, else the driver's */
    char *path;   /* behind the scheme; absolute for path and file */
    bool ends_in_slash;
};
/* ERR_USAGE for an unknown scheme (names those there are). A name with ':' that has a '/' before
 * it, or begins with "./", is a path. */
CHECKED int location_parse(struct location *ret_location, const char *text, struct err *err);
void location_done(struct location *location);
/* A plain path or file:, so on this machine. */
bool location_is_local(const struct location *location);
