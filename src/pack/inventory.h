/* pack/inventory.h: what a place held when it was listed last: a row for each object, in order, in
 * compressed blocks (docs/formats.md). It is written while the store is listed, and read one row
 * after the other: neither takes memory for the number of rows.
 * Owner: one thread each. */
#pragma once

#include "base/zblock.h"
#include "pack/cache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INVENTORY_ETAG_MAX 72u

/* The numbers are in the files. */
enum inventory_kind { INVENTORY_FILE = 0, INVENTORY_DIR = 1, INVENTORY_LINK = 2 };

struct inventory_row {
    const char *key; /* in the store */
    size_t key_len;
    const char *name; /* in the tree; the same as the key unless the store encodes names */
    size_t name_len;
    enum inventory_kind kind;
    uint64_t size_bytes;
    int64_t time_ns;   /* since 1970; 0: unknown */
    int64_t stored_ns; /* the same */
    const char *etag;  /* only of what is opened by it; "" = none */
    uint32_t bucket;   /* of several that are numbered, as in struct object */
};

struct inventory_writer {
    struct cache_writer file;
    struct zblock zblock;
    struct buf block, packed, last;
};
void inventory_begin(struct inventory_writer *writer, struct cache *cache, const char *scheme,
                     const char *place, bool alone, int64_t listed_ns);
void inventory_add(struct inventory_writer *writer, const struct inventory_row *row);
void inventory_commit(struct inventory_writer *writer);
void inventory_done(struct inventory_writer *writer); /* without a commit: nothing happened */

struct inventory {
    struct cache_entry file;
    int64_t listed_ns;
    bool alone;  /* the place is one object, which is the first row */
    uint64_t at; /* of the next block */
    struct zblock zblock;
    struct buf block, packed, key, name, etag;
    size_t block_at;
    bool ended;
    char *below; /* see inventory_narrow() */
};
/* Nothing to release when false: nothing is known of this place. */
bool inventory_open(struct inventory *inventory, const struct cache *cache, const char *scheme,
                    const char *place);
/* Before the first row: give the rows as a listing of the place behind this key has them. When the
 * key is that of an object, it is `alone` from then on, with the index beside it. */
void inventory_narrow(struct inventory *inventory, const char *below);
/* 1 and the row, whose strings are good until the next call; 0 at the end; -1 (ERR_CORRUPT). */
CHECKED int inventory_next(struct inventory *inventory, struct inventory_row *ret_row,
                           struct err *err);
void inventory_close(struct inventory *inventory);
