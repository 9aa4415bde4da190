/* A request names the digest of its body before the first byte of it, unless it goes in chunks. So
 * a body is read twice: once to digest it, once to send it; what fits in its slab is kept in
 * between. The server compares what came with the digest, so the second reading cannot differ
 * unnoticed. */
#include "base/ban.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

/* *ret_bytes: all of it, if it came in one piece. Not counted as moved, and not held back by
 * --bwlimit. */
static int digest_all(struct body *body, const struct stop *stop, const void **ret_bytes,
                      size_t *ret_len, struct err *err)
{
    const void *bytes = NULL;
    size_t len = 1;
    while (len != 0) {
        if (stop_check(stop, err) < 0 || body_next(body, &bytes, &len, err) < 0)
            return -1;
        if (len == body->size_bytes) {
            *ret_bytes = bytes;
            *ret_len = len;
        }
    }
    return 0;
}

int s3_load_body(struct s3_load *load, struct body *body, const struct stop *stop, struct err *err)
{
    struct digest digest;
    if (digest_init(&digest, load->by_crc64 ? 0 : DIGEST_SHA256, err) < 0)
        return -1;
    struct body reading = *body;
    reading.flow = NULL;
    reading.digest = &digest;
    body_rewind(&reading);
    const void *whole = NULL;
    size_t len = 0;
    const int result = digest_all(&reading, stop, &whole, &len, err);
    body->ended_early = reading.ended_early;
    struct digest_value value;
    digest_value(&digest, &value);
    digest_done(&digest);
    if (result < 0)
        return -1;
    if (load->by_crc64)
        snprintf(load->sha256, sizeof load->sha256, "%s", SIGV4_UNSIGNED);
    else
        digest_hex(value.sha256, sizeof value.sha256, load->sha256);
    load->crc64 = value.crc64;
    digest_crc64_base64(value.crc64, load->crc64_text);
    body_rewind(body);
    load->body = body;
    if (len != body->size_bytes || body->fd < 0)
        return 0;
    load->memory = body_of_memory(whole, len, body->digest, body->flow);
    load->body = &load->memory;
    return 0;
}

void s3_load_end(const struct s3_load *load, struct body *body)
{
    body->done_bytes = load->body->done_bytes;
}
