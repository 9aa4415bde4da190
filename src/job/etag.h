/* job/etag.h: is this the content that an ETag of S3 stands for? The ETag of an object that was put
 * at once is its MD5. Of one put in parts it is the MD5 of the MD5s of its parts, then "-" and
 * their number. How large the parts were is told nowhere, so all sizes that programs use and that
 * give this number are computed side by side: 1.6 s/GB each.
 * With server-side encryption the ETag can look the same and be no digest of the content: equal is
 * a proof, different is none.
 * Owner: the caller; etag_done() releases, also after etag_open() said no. Threads: one at a time.
 */
#pragma once

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETAG_GUESSES_MAX 8

struct etag_guess {
    uint64_t part_bytes;
    uint64_t left_bytes; /* of the part that is being read */
    struct digest part, parts;
};
struct etag {
    uint32_t part_count; /* 0: put at once */
    unsigned char value[DIGEST_MD5_BYTES];
    size_t count; /* 0: no usual size of parts gives their number */
    struct etag_guess guesses[ETAG_GUESSES_MAX];
};
/* 1: feed it the content; 0: the ETag is no MD5, or of parts of no usual size (part_count tells);
 * -1: ERR_LOCAL. `own_part_bytes`: what lade would take for this size. */
CHECKED int etag_open(struct etag *etag, const char *text, uint64_t size_bytes,
                      uint64_t own_part_bytes, struct err *err);
void etag_add(struct etag *etag, const void *bytes, size_t len);
/* After all size_bytes: is it this content? */
bool etag_fits(struct etag *etag);
void etag_done(struct etag *etag);

/* The sizes of parts to try, likely ones first. Pure. */
size_t etag_part_sizes(uint64_t size_bytes, uint32_t part_count, uint64_t own_part_bytes,
                       uint64_t ret_sizes[ETAG_GUESSES_MAX]);
