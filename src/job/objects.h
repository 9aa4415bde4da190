/* job/objects.h: the locations that a get reads from, seen as one tree of names: the mirror of
 * job/source.h. A single prefix is the tree itself; otherwise each location stands in it under its
 * name. Owner: the caller; set at start, then read by any thread. */
#pragma once

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

struct object_root {
    struct store *store;
    char *location; /* as given */
    char *name;     /* in the tree; "" when the location is the tree itself */
    char *key;      /* of a single object; NULL for a prefix */
};
struct object_set {
    struct object_root *roots; /* sorted by name */
    size_t count;
};
struct object_set_options {
    bool keep_name;
    const char *one_name; /* --to: a single object is to have this name */
    const struct stop *stop;
    struct rate *request_rate; /* --tpslimit, NULL = none */
    uint32_t stall_s;
    uint64_t bucket_objects; /* --bucket-objects: numbered buckets are looked into */
    struct store_access access;
    bool keep_packs; /* a pack is an object like others; else what is in it shows */
};
/* ERR_ABSENT when a location holds nothing, ERR_USAGE when two have the same name. */
CHECKED int object_set_open(struct object_set *set, char *const *locations, size_t count,
                            const struct object_set_options *options, struct err *err);
void object_set_done(struct object_set *set);
/* Where `name` of the tree is: the root and the key in its store. */
const struct object_root *object_set_find(const struct object_set *set, const char *name,
                                          const char **ret_key);
/* The same, and below the target directory: the path of what `name` becomes there, without the
 * suffix of a link. ERR_LIMIT when it is no path that can be made. */
CHECKED int object_set_local(const struct object_set *set, const char *name, enum entry_kind kind,
                             const struct object_root **ret_root, const char **ret_key,
                             struct buf *ret_rel, struct err *err);

/* Open the place that a location names as a store: its root is the location itself. */
CHECKED int store_open_location(struct store **ret_store, const char *location,
                                const struct store_options *options, struct err *err);
/* From now on what is in the packs of the store shows instead of them (pack/view.h): 1; 0: it has
 * none; -1. `only`: the key of a single object, of which nothing else shows then; NULL: all. */
CHECKED int store_show_members(struct store **store, const char *only, const struct stop *stop,
                               struct err *err);
/* Open the place above it, and say its last component: for a single object. */
CHECKED int store_open_parent(struct store **ret_store, const char *location,
                              const struct store_options *options, char **ret_name,
                              struct err *err);
