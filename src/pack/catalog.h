/* pack/catalog.h: the packs in a store, with their indexes: what `get` unpacks and `find` searches.
 * An object is a pack by what is at its end, not by its name alone; only names that a pack can have
 * are looked at. Owner: the caller; catalog_done(). Threads: not changed after it was opened, so
 * any may read it. */
#pragma once

#include "base/err.h"
#include "base/thread.h"
#include "pack/cache.h"
#include "pack/reader.h"
#include "pack/seen.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

#define PACK_SUFFIX ".tar.zst"
#define PACK_TAR_SUFFIX ".tar"
#define PACK_INDEX_SUFFIX ".index" /* behind the name of a tar: its index */

struct catalog_pack {
    struct store *store;
    const struct stop *stop;
    char *key; /* in the store */
    uint64_t size_bytes;
    int64_t stored_ns; /* 0 = unknown */
    char etag[STORE_ETAG_MAX];
    bool has_sidecar;
    /* A member stands in the store's tree under its path without the first skip_bytes and with
     * `above` in front; one whose path does not begin with `skipped` is not below this place. */
    char *above, *skipped;
    struct cache_entry kept; /* its index in the cache */
    struct pack *pack;       /* NULL: see err */
    struct err err;          /* ERR_CORRUPT and others: it looks like a pack and cannot be read */
};
struct catalog {
    struct catalog_pack **packs; /* by key */
    size_t count;
    struct cache *cache; /* of their indexes */
    uint64_t *others;    /* the CRC64NVME of the key of each other object, ascending */
    size_t other_count;
};
struct catalog_options {
    const char *only; /* the key of a single object; NULL: all of the store */
    /* What `only` was when it was seen last: neither that nor its index, which must be in the cache
     * (else ERR_LOCAL), is asked for. NULL: ask. */
    const struct seen *seen;
    const struct stop *stop;
};
/* List the store and read the index of each pack, several at once; from the user's cache where it
 * is there, and kept there. An error is that of the listing; what is wrong with one pack is in its
 * err. */
CHECKED int catalog_open(struct catalog *ret_catalog, struct store *store,
                         const struct catalog_options *options, struct err *err);
void catalog_done(struct catalog *catalog);
/* May the store have an object of this key that is no pack? False: it had none. */
bool catalog_has_other(const struct catalog *catalog, const char *key);

/* The parts of it, for who lists by himself: begin with an empty catalog, offer it every object in
 * order, then read the indexes. */
bool catalog_may_be_pack(const char *key); /* or the index of one: by its name */
void catalog_offer(struct catalog *catalog, struct store *store, const struct object *object,
                   const struct stop *stop);
CHECKED int catalog_read(struct catalog *catalog, const struct catalog_options *options,
                         struct err *err);
/* The same of what the cache alone holds, without a store: scheme is what its driver has. A pack
 * whose index is not there has ERR_LOCAL. */
CHECKED int catalog_read_offline(struct catalog *catalog, const char *scheme,
                                 const struct catalog_options *options, struct err *err);
/* An object whole, appended to out; again after a pause when that can help. */
CHECKED int catalog_fetch(struct store *store, const char *key, const char *etag,
                          uint64_t size_bytes, const struct stop *stop, struct buf *out,
                          struct err *err);

/* The pack with this key, NULL: none. */
const struct catalog_pack *catalog_find(const struct catalog *catalog, const char *key);
/* The name of a member in the tree of the store: false when it is not below this place. */
bool catalog_name(const struct catalog_pack *pack, const struct pack_member *member,
                  struct buf *ret_name);
/* Which pack has the newer word on a name: as strcmp(), greater is newer. */
int catalog_compare_age(const struct catalog_pack *a, const struct catalog_pack *b);
