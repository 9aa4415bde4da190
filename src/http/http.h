/* http/http.h: one HTTP request at a time, blocking, on libcurl. A client keeps idle connections
 * (one easy handle each) and hands one to each request; the request belongs to the caller's thread
 * until it is answered. No redirects, no retries here: both need a new signature, so whoever signs
 * does them.
 * Owner:   the caller opens and closes the client and releases the reply with http_reply_done().
 * Threads: a client is used by many at once. A request obeys the stop flag and the stall limit.
 * Errors:  ERR_NET (no connection, reset, stalled, closed early; hint where it is a setting),
 *          ERR_CONFIG (a URL, CA file or scheme that cannot be used; a certificate that does not
 *          verify), ERR_STOPPED, and those of body_next() and sink_write(). An answer of any status
 *          is no error here. */
#pragma once

#include "base/body.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_options {
    const char *ca_file;     /* PEM bundle, NULL = the system's */
    const struct stop *stop; /* may be NULL */
    uint32_t stall_ms;       /* fewer than 1 KiB/s for so long ends a request; 0 = 30 s */
    uint32_t connect_ms;     /* 0 = 15 s */
};
struct http;
CHECKED int http_open(struct http **ret_http, const struct http_options *options, struct err *err);
void http_close(struct http *http);

struct http_header {
    const char *name, *value; /* a value "" is sent as an empty header */
};
struct http_request {
    const char *method;
    const char *url; /* encoded already; the path is sent as it is, `..` included */
    const struct http_header *headers;
    size_t header_count;
    struct body *body; /* NULL: none. Its whole size is sent as Content-Length (also 0) */
    struct sink *sink; /* where a 2xx answer's body goes; NULL: to reply->body */
    uint64_t reply_limit_bytes; /* of reply->body; 0 = 1 MiB. More is ERR_NET ("answer too long") */
};
struct http_reply {
    int status;          /* 0: no answer came */
    bool is_sent;        /* part of the request left this machine: it may have been carried out */
    struct buf headers;  /* name NUL value NUL …, names in lower case, of the final answer */
    struct buf body;     /* errors, and everything without a sink; NUL-terminated */
    int64_t round_trip_ns; /* from the last request byte to the first answer byte */
};
/* 0 when an answer was read whole; reply is filled over (also on failure as far as it came). */
CHECKED int http_do(struct http *http, const struct http_request *request, struct http_reply *reply,
                    struct err *err);
/* The value of a header (name in lower case) of the reply, NULL when it is not there. */
const char *http_reply_header(const struct http_reply *reply, const char *name);
/* Seconds since the epoch by the Date header, -1 without one. */
int64_t http_reply_date(const struct http_reply *reply);
/* What Retry-After asks for (seconds or a date), in ms, 0 without one. */
uint32_t http_reply_retry_after_ms(const struct http_reply *reply);
void http_reply_done(struct http_reply *reply);
