/* pack/cache.h: what was learnt of stores and can be thrown away: indexes of packs, lists of
 * archives, listings. One file each in $XDG_CACHE_HOME/lade/indexes (docs/formats.md), named from
 * what it is of, written under a temporary name and renamed, with a checksum. What is not whole, or
 * is of something else, is as if it were not there. Nothing here fails: a cache that cannot be used
 * holds nothing.
 * Threads: a cache is not changed after it was opened; any may use it, and so may other processes.
 * A writer belongs to one thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_BYTES_MAX (UINT64_C(2) << 30)
#define CACHE_AGE_MAX_NS (INT64_C(90) * 24 * 3600 * 1000000000)

/* The letters are in the files. */
enum cache_kind { CACHE_INDEX = 'i', CACHE_AMETA = 'a', CACHE_LISTING = 'l', CACHE_SEEN = 's' };

/* What a file is of. Two that differ in anything have different files. */
struct cache_key {
    enum cache_kind kind;
    const char *scheme; /* of the store */
    const char *name;   /* the last component of the object's key; all of the place, of a listing
                           and of what was seen */
    const char *etag;   /* "": nothing of it is kept, unless it is of these two */
    uint64_t size_bytes;
};

struct cache {
    int dir_fd; /* -1: there is none */
    atomic_bool written;
};
/* Makes the directory, for this user alone. */
void cache_open(struct cache *cache);
void cache_close(struct cache *cache);

struct cache_entry {
    const struct cache *cache;
    char name[24];
    uint64_t offset_bytes; /* of the content in the file */
    uint64_t size_bytes;   /* of the content */
};
/* Is it there and whole? Reads all of it once. */
bool cache_find(const struct cache *cache, const struct cache_key *key,
                struct cache_entry *ret_entry);
/* Append bytes of the content. Opens the file anew: it may have been thrown away meanwhile. */
CHECKED int cache_read(const struct cache_entry *entry, uint64_t offset, size_t len,
                       struct buf *out, struct err *err);

/* A file as it comes. */
struct cache_writer {
    struct cache *cache;
    int fd; /* -1: it came to nothing */
    uint64_t crc;
    char name[24];
    char temp[48];
};
void cache_begin(struct cache_writer *writer, struct cache *cache, const struct cache_key *key);
void cache_add(struct cache_writer *writer, const void *bytes, size_t len);
void cache_commit(struct cache_writer *writer);
void cache_abandon(struct cache_writer *writer); /* also after a commit */
/* All at once. */
void cache_keep(struct cache *cache, const struct cache_key *key, const void *bytes, size_t len);

/* If something was written: throw away what was not used for long, and what is too much. */
void cache_prune(struct cache *cache, uint64_t bytes_max, int64_t now_ns);
