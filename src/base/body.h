/* base/body.h: the two ends of a transfer. A body is what a driver sends; a sink is where it puts
 * what it received. Both digest the bytes while they are in cache, feed the meters, and obey
 * --bwlimit and the stop flag, so a driver only moves bytes. Neither owns its descriptor, slab or
 * digest. Threads: one at a time. */
#pragma once

#include "base/digest.h"
#include "base/err.h"
#include "base/rate.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What all bodies and sinks of a run share. */
struct flow {
    struct rate *rate;           /* --bwlimit, NULL = none */
    const struct stop *stop;     /* NULL = never */
    atomic_uint_fast64_t *moved; /* bytes moved, NULL = not counted */
};

/* How a body is made from something else, as the frames of a signed upload are from its bytes. */
struct body_maker {
    /* As body_next(); it must not give more than the size that was promised. */
    int (*next)(void *from, const void **ret_bytes, size_t *ret_len, struct err *err);
    void (*rewind)(void *from);
};

struct body {
    const struct flow *flow; /* may be NULL */
    struct digest *digest;   /* fed with each byte that body_next() gives; may be NULL */
    int fd;                  /* the source, or -1: the bytes are in `memory` */
    const unsigned char *memory;
    void *slab; /* for fd: where chunks are read to */
    size_t slab_bytes;
    uint64_t offset_bytes;          /* of the body in the source */
    uint64_t size_bytes;            /* of the body */
    uint64_t done_bytes;            /* how much body_next() gave */
    bool ended_early;               /* the source ended before size_bytes: it shrank */
    const struct body_maker *maker; /* NULL: from fd or memory */
    void *from;                     /* what the maker works on */
};
/* The bytes that body_next() gives of memory at once: they are digested while they are in cache,
 * and --bwlimit is no burst. */
#define BODY_MEMORY_BYTES ((size_t)512 * 1024)
struct body body_of_memory(const void *bytes, size_t len, struct digest *digest,
                           const struct flow *flow);
struct body body_of_fd(int fd, uint64_t offset_bytes, uint64_t size_bytes, void *slab,
                       size_t slab_bytes, struct digest *digest, const struct flow *flow);
/* A body made by `maker` from `from`; both outlive it. Digest and flow are those of what it is made
 * from, so that wrapping counts nothing twice. */
struct body body_of_maker(const struct body_maker *maker, void *from, uint64_t size_bytes);
/* The next bytes, valid until the next call; *ret_len 0 at the end. ERR_SOURCE when the source
 * cannot be read, ERR_CHANGED when it ends early, ERR_STOPPED. */
CHECKED int body_next(struct body *body, const void **ret_bytes, size_t *ret_len, struct err *err);
/* From the beginning again; the digest starts anew. */
void body_rewind(struct body *body);

struct sink {
    const struct flow *flow;
    struct digest *digest;
    int fd; /* written at offset_bytes + done_bytes with pwrite; -1 = not to a file */
    unsigned char *memory; /* fd == -1: kept here up to memory_bytes; NULL: digested and dropped */
    size_t memory_bytes;
    /* Takes the bytes in order, instead of a file and memory; NULL = none. */
    int (*take)(void *to, const void *bytes, size_t len, struct err *err);
    void *to;
    uint64_t offset_bytes;
    uint64_t done_bytes;
    bool keep_holes; /* zeros are not written; the caller sets the file's size */
};
CHECKED int sink_write(struct sink *sink, const void *bytes, size_t len, struct err *err);
void sink_rewind(struct sink *sink);
