/* tests/unit/pack/memory_store.h: a store whose objects are in memory, for reading only: what a
 * catalog and a view need of one. What goes wrong fails the test. */
#pragma once

#include "store/store.h"

#include <stdatomic.h>

struct memory_object {
    char *key;
    struct buf bytes;
    char etag[STORE_ETAG_MAX];
};
struct memory_store {
    struct store base;
    struct memory_object *objects; /* by key */
    size_t count;
    atomic_size_t gets, heads, get_bytes;
    bool maps;   /* byte 1 of a name is U+2401 in its key, as in S3 */
    bool closed; /* by its close(); the memory stays the test's */
};
void memory_store_init(struct memory_store *store, bool maps);
void memory_store_done(struct memory_store *store);
/* By the name that it is to have. Replaces; each time with another etag. */
struct memory_object *memory_store_put(struct memory_store *store, const char *name,
                                       const void *bytes, size_t len);
void memory_store_remove(struct memory_store *store, const char *name);
