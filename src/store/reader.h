/* store/reader.h: one object read as if it were a file: in order, with jumps. A thread reads ahead
 * into a ring. What is read in order comes by few requests (64 KiB, 512 KiB, 4 MiB, 32 MiB, then
 * all that is left); after a jump it begins small again, so that a look at some bytes costs little.
 * A request that the network broke goes on where it was, of the same content (if-match). Owner: the
 * caller, reader_close(). Threads: one. */
#pragma once

#include "store/store.h"

#include <stdint.h>

struct reader;
struct reader_options {
    const struct flow *flow; /* what is read counts here; may be NULL */
    const struct stop *stop; /* may be NULL */
};
CHECKED int reader_open(struct reader **ret_reader, struct store *store, const char *key,
                        const struct reader_options *options, struct err *err);
void reader_close(struct reader *reader);
/* As it was at reader_open(): all that is read is of this. */
const struct object *reader_object(const struct reader *reader);
/* Some of the bytes from this offset on, at least one; *ret_len 0: it is the end. */
CHECKED int reader_read(struct reader *reader, uint64_t offset_bytes, void *bytes, size_t len,
                        size_t *ret_len, struct err *err);
