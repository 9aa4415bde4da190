/* store/spread/spread_internal.h: what the files of this store share. */
#pragma once

#include "base/buf.h"
#include "base/thread.h"
#include "store/spread/spread.h"
#include "store/spread/spread_template.h"

#include <stdatomic.h>
#include <string.h>

/* A bucket that exists, or is about to. Never moved or freed before the store is closed. */
struct spread_bucket {
    char *name;
    char *value; /* the component of its name, "" */
    uint32_t number;
    struct store *store; /* guarded by the store's lock; NULL: not opened yet */
    atomic_bool exists;  /* as far as we know */
};

struct spread_store {
    struct store base;
    const struct store_driver *driver;
    struct spread_template template;
    struct store_options options; /* of inner stores; the strings are ours */
    bool may_make;                /* first buckets */
    uint64_t limit;               /* objects in one bucket, 0: none */
    struct store *account;        /* maps names, lists buckets, lends its connections */
    struct lock lock;
    struct spread_bucket **buckets; /* guarded by lock; by value, then number */
    size_t count;                   /* guarded by lock */
};
static inline struct spread_store *spread_store_of(struct store *base)
{
    return (struct spread_store *)base;
}

/* ---- spread_bucket.c ---- */

/* Look which buckets there are. */
CHECKED int spread_find_buckets(struct spread_store *store, struct err *err);
/* The bucket of a value and number, whether it exists or not. */
CHECKED int spread_bucket_of(struct spread_store *store, const char *value, uint32_t number,
                             struct spread_bucket **ret_bucket, struct err *err);
/* Those that exist, by value and number; of one value, NULL: all. Caller frees the array. */
size_t spread_known_buckets(struct spread_store *store, const char *value,
                            struct spread_bucket ***ret_buckets);
/* Its keys, behind the template's lead. */
CHECKED int spread_inner(struct spread_store *store, struct spread_bucket *bucket,
                         struct store **ret_inner, struct err *err);
/* The whole bucket as a store; the caller closes it. */
CHECKED int spread_open_whole(struct spread_store *store, const struct spread_bucket *bucket,
                              struct store **ret_inner, struct err *err);
/* Before something is put: make it if it is missing and may be made. */
CHECKED int spread_ensure(struct spread_store *store, struct spread_bucket *bucket,
                          struct err *err);
int spread_missing(const struct spread_bucket *bucket, struct err *err);
void spread_buckets_done(struct spread_store *store);

/* What an error says of a bucket as a whole. */
static inline bool spread_says_missing(const struct err *err)
{
    return err->kind == ERR_ABSENT || (err->kind == ERR_CONFIG && err->http == 404);
}

/* ---- spread.c ---- */

/* The number in a key (0: none is there), and the name. */
const char *spread_split_key(const char *key, uint32_t *ret_number);

/* ---- spread_list.c ---- */

int spread_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                     const char *start_after, bool delimited, struct err *err);
int spread_list_next(struct store_list *list, struct object *object, struct err *err);
void spread_list_close(struct store_list *list);

/* ---- spread_room.c ---- */

int spread_room_open(struct store_room **ret_room, struct store *base, const struct buf *counted,
                     struct err *err);
bool spread_room_tell(const struct store_room *room, struct buf *ret_text);
int spread_room_take(struct store_room *room, const char *key, uint32_t *bucket, struct err *err);
void spread_room_close(struct store_room *room);
