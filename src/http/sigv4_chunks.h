/* http/sigv4_chunks.h: a body in chunks, so that it is read only once although something about it
 * is only known at its end. The request carries content-encoding: aws-chunked and
 * x-amz-decoded-content-length: the size of the inner body. There are two kinds.
 * Signed (STREAMING-AWS4-HMAC-SHA256-PAYLOAD): each byte is covered by the signature. Source: AWS,
 * "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks".
 * Its x-amz-content-sha256 is SIGV4_STREAMING.
 * Unsigned (STREAMING-UNSIGNED-PAYLOAD-TRAILER): the CRC64NVME of the bytes comes behind the last,
 * for TLS only. Source: AWS, "Checking object integrity in Amazon S3", trailing checksums. Its
 * x-amz-content-sha256 is SIGV4_UNSIGNED_TRAILER, its x-amz-trailer SIGV4_CRC64_TRAILER.
 * Owner:   the caller; sigv4_chunks_done() releases. It borrows what the init is given.
 * Threads: one at a time. Errors: those of the inner body. */
#pragma once

#include "base/body.h"
#include "http/sigv4.h"

#include <stddef.h>
#include <stdint.h>

#define SIGV4_CHUNK_BYTES_MIN ((size_t)8 * 1024) /* S3's limit; the last chunk may be shorter */
#define SIGV4_CRC64_TRAILER "x-amz-checksum-crc64nvme"

struct sigv4_chunks {
    struct body *inner;           /* digest and flow work there */
    const struct sigv4_key *key;  /* NULL: unsigned */
    const struct digest *trailer; /* unsigned: told at the end */
    size_t chunk_bytes;
    char stamp[SIGV4_STAMP_BYTES];
    char seed[SIGV4_SIGNATURE_BYTES];      /* signature of the request */
    char signature[SIGV4_SIGNATURE_BYTES]; /* of the chunk before */
    char *scope;                           /* day/region/service/aws4_request */
    unsigned char *chunk;       /* a chunk put together from pieces; NULL = not needed yet */
    const unsigned char *piece; /* of the inner body, not yet in a chunk */
    size_t piece_bytes;
    const unsigned char *data; /* of the chunk whose head was given */
    size_t data_bytes;         /* unsigned: what is still to come of it */
    uint64_t left_bytes;       /* of the inner body that no chunk covers yet */
    char head[128];            /* what stands between the data of two chunks, or behind the last */
    enum { SIGV4_CHUNKS_HEAD, SIGV4_CHUNKS_DATA, SIGV4_CHUNKS_OVER } next;
    bool is_first;
};
/* How long `inner_bytes` are in chunks of chunk_bytes: the Content-Length. */
uint64_t sigv4_chunks_size(uint64_t inner_bytes, size_t chunk_bytes);
uint64_t sigv4_chunks_unsigned_size(uint64_t inner_bytes, size_t chunk_bytes);
/* `stamp` is that of the request, chunk_bytes at least SIGV4_CHUNK_BYTES_MIN; a size that divides
 * what body_next() of `inner` gives is copied least. The seed comes with sigv4_chunks_seed(): the
 * request is signed after its length is known. */
void sigv4_chunks_init(struct sigv4_chunks *chunks, struct body *inner, size_t chunk_bytes,
                       const struct sigv4_key *key, const struct sigv4_scope *scope,
                       const char *stamp);
/* Unsigned; ready to be sent. Nothing is copied, whatever the sizes. `trailer`: its CRC is told as
 * it is when the inner body was read, so it is usually the digest that body feeds. */
void sigv4_chunks_init_unsigned(struct sigv4_chunks *chunks, struct body *inner, size_t chunk_bytes,
                                const struct digest *trailer);
/* `seed`: what sigv4_authorize() gave. */
void sigv4_chunks_seed(struct sigv4_chunks *chunks, const char *seed);
/* The body to send; it is valid as long as `chunks`. */
struct body sigv4_chunks_body(struct sigv4_chunks *chunks);
void sigv4_chunks_done(struct sigv4_chunks *chunks);
