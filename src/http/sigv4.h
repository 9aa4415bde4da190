/* http/sigv4.h: AWS Signature Version 4. Pure: time and keys are arguments.
 * Source: AWS, "Authenticating Requests: Using the Authorization Header (Signature Version 4)";
 * for S3 the path is encoded once and not normalized. */
#pragma once

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "http/http.h"

#include <stddef.h>
#include <stdint.h>

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_STREAMING "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define SIGV4_UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#define SIGV4_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_SIGNATURE_BYTES 65 /* hexadecimal, with the NUL */
#define SIGV4_STAMP_BYTES 17     /* YYYYMMDDTHHMMSSZ, with the NUL */

struct sigv4_scope {
    const char *access_key, *secret_key;
    const char *session_token; /* NULL = none; the caller puts it in the headers */
    const char *region, *service;
};
/* The key of one day, region and service; remake it when the day or the credentials change. */
struct sigv4_key {
    char day[9]; /* YYYYMMDD, "" = not made */
    unsigned char bytes[DIGEST_SHA256_BYTES];
};
void sigv4_key_make(struct sigv4_key *key, const struct sigv4_scope *scope, const char day[9]);

/* "YYYYMMDDTHHMMSSZ" of a time in seconds since 1970, 0 <= seconds < the year 10000. */
void sigv4_stamp(char ret_stamp[SIGV4_STAMP_BYTES], int64_t seconds);
/* Percent-encode for a path (keep_slash) or a query component: all but A-Z a-z 0-9 - . _ ~. */
void sigv4_encode(struct buf *out, const char *bytes, size_t len, bool keep_slash);

struct sigv4_request {
    const char *method;
    const char *path;                  /* encoded */
    const char *query;                 /* encoded, sorted by name: "a=1&b="; "" = none */
    const struct http_header *headers; /* names in lower case, sorted; all are signed */
    size_t header_count;
    const char *payload; /* hex SHA-256 of the body, or SIGV4_UNSIGNED or a STREAMING-… literal */
    const char *stamp;
};
/* The signature of a request as 64 hexadecimal digits and a NUL. `key` is that of the stamp's day.
 */
void sigv4_sign(const struct sigv4_key *key, const struct sigv4_scope *scope,
                const struct sigv4_request *request, char ret_signature[SIGV4_SIGNATURE_BYTES]);
/* The same as the value of the Authorization header, added to `ret_value`; `ret_signature` (may be
 * NULL) is the seed for chunk signatures. */
void sigv4_authorize(const struct sigv4_key *key, const struct sigv4_scope *scope,
                     const struct sigv4_request *request, struct buf *ret_value,
                     char *ret_signature);
