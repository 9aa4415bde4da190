/* http/http.h: one HTTP/1.1 request at a time, blocking, on libcurl. A client keeps idle
 * connections and hands one to each request; the request belongs to the caller's thread until it is
 * answered. No redirects, no cookies, no retries after an answer: they need a new signature, so
 * whoever signs does them. Proxies are those of the environment (http_proxy, https_proxy,
 * no_proxy). Owner:   the caller opens and closes the client and releases the reply with
 * http_reply_done(). Threads: a client is used by many at once. A request obeys the stop flag and
 * the stall limit. Errors:  ERR_NET (no connection, reset, stalled, closed early; hint where it is
 * a setting), ERR_CONFIG (a URL, header, CA file or scheme that cannot be used; a certificate that
 * does not verify), ERR_STOPPED, and those of body_next() and sink_write() as they came. An answer
 * of any status is no error here. Memory:  a connection in use holds about 64 KiB, 512 KiB more
 * while it sends a large body, and 256 KiB once it received into a sink; there are as many as
 * requests at the same time. */
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
    const struct stop *stop; /* may be NULL; must outlive the client */
    uint32_t stall_ms;       /* fewer than 1 KiB/s for so long ends a request; 0 = 30 s */
    uint32_t connect_ms;     /* name, connection and TLS together; 0 = 15 s */
    /* "HOST:PORT:ADDRESS[,ADDRESS]..." is used instead of asking for the name; NULL-terminated, may
     * be NULL */
    const char *const *resolve;
};
struct http;
CHECKED int http_open(struct http **ret_http, const struct http_options *options, struct err *err);
/* The same client once more: closed as often as it was opened and shared. */
struct http *http_share(struct http *http);
void http_close(struct http *http); /* no request may be under way; NULL is a no-op */

struct http_header {
    const char *name, *value; /* a value "" is sent as an empty header */
};
struct http_request {
    const char *method;
    const char *url; /* encoded already; the path is sent as it is, `..` included */
    const struct http_header *headers; /* "content-length" is left out, the body's is sent */
    size_t header_count;
    struct body *body; /* NULL: none, and Content-Length: 0 for PUT and POST */
    struct sink *sink; /* where a 2xx answer's body goes; NULL: to reply->body */
    int sink_status;   /* of the answer that may go to the sink (206 for a range); 0 = any 2xx */
    uint64_t reply_limit_bytes; /* of reply->body; 0 = 1 MiB. More is ERR_NET ("answer too long") */
    uint32_t stall_ms;          /* for what takes the server long; 0 = that of the client */
};
struct http_reply {
    int status;     /* 0: no answer came */
    bool is_sent;   /* part of the request may have left this machine, so it may be carried out */
    bool is_resent; /* sent again on a fresh connection, as the kept one broke before any answer:
                     * it may have been carried out before the answered one was */
    bool is_early;  /* refused (300 and above) before the body was sent whole: reply->body may be
                     * cut. Over TLS such an answer is lost if the server resets at once: ERR_NET */
    int64_t round_trip_ns; /* from handing over the last of the request to the first answer byte */
    struct buf headers;    /* name NUL value NUL ..., names in lower case, of the final answer */
    struct buf body;       /* errors, and everything without a sink; NUL-terminated */
};
/* 0 when an answer was read whole, or is_early; `reply` is filled over, also on failure as far as
 * it came, and keeps its memory for the next request. A body that was begun is rewound first. The
 * time that body_next() and sink_write() take does not count as a stall. */
CHECKED int http_do(struct http *http, const struct http_request *request, struct http_reply *reply,
                    struct err *err);
/* The value of a header (name in lower case) of the reply, NULL when it is not there. */
const char *http_reply_header(const struct http_reply *reply, const char *name);
/* Seconds since the epoch by the Date header, -1 without one. */
int64_t http_reply_date(const struct http_reply *reply);
/* What Retry-After asks for (seconds, or a date seen from the answer's own Date), in ms; 0 without
 * one, at most an hour. */
uint32_t http_reply_retry_after_ms(const struct http_reply *reply);
void http_reply_done(struct http_reply *reply);

/* The same for any text: "Sun, 06 Nov 1994 08:49:37 GMT" as seconds since the epoch, -1 for
 * everything else. */
int64_t http_parse_date(const char *text);
