/* pack/seen.h: what an object was when it was looked at last, in the user's cache. With that and
 * its index in the cache, content of a pack is asked for at once: the store refuses it when the
 * object has another ETag by now. */
#pragma once

#include "pack/cache.h"

#define SEEN_ETAG_MAX 72u

struct seen {
    uint64_t size_bytes;
    int64_t stored_ns; /* 0 = unknown */
    char etag[SEEN_ETAG_MAX];
};

/* `place` names the object as listings in the cache are named (docs/formats.md). */
void seen_keep(struct cache *cache, const char *scheme, const char *place, uint64_t size_bytes,
               int64_t stored_ns, const char *etag);
/* False: nothing is known. */
bool seen_find(const struct cache *cache, const char *scheme, const char *place,
               struct seen *ret_seen);
