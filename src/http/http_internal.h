/* http/http_internal.h: what http.c shares with http_head.c and http_fault.c. */
#pragma once

#include "http/http.h"

/* The head of an answer, line by line, as libcurl gives it. */
struct head {
    struct http_reply *reply;
    size_t total_bytes; /* of all heads of the request */
    int status;         /* of the head that is being read; 0 before the first */
    bool is_over;       /* the final head has ended: what comes now are trailers */
    bool has_continue;  /* "100 Continue" was among them */
};
#define HEAD_BYTES_MAX ((size_t)256 * 1024)
/* Take a line with its CR LF. A 1xx answer is forgotten when the next begins. ERR_NET when it is
 * too much. */
CHECKED int head_add_line(struct head *head, const char *line, size_t len, struct err *err);

/* HOST[:PORT] of a URL, for messages; without user and password. */
struct host {
    const char *text;
    int len;
};
struct host host_of_url(const char *url);

/* What went wrong, in words: a CURLcode, libcurl's own message, an errno (or 0). Returns -1. */
struct fault {
    int code;
    const char *message;
    int sys;
    const char *url;
    const char *ca_file;
    uint32_t connect_ms;
    bool is_sent;
};
int fault_tell(const struct fault *fault, struct err *err);

/* Addresses that did not answer lately: passed over while a name has others. Owned by the client;
 * used by many threads. */
struct peer {
    unsigned char address[128]; /* struct sockaddr */
    unsigned len;               /* 0 = no address */
};
#define PEERS_BAD_MAX 16
struct peers {
    struct lock lock;
    struct {
        struct peer peer;
        int64_t until_ns; /* monotonic */
    } bad[PEERS_BAD_MAX]; /* guarded by lock */
};
void peers_init(struct peers *peers);
void peers_done(struct peers *peers);
void peers_blame(struct peers *peers, const struct peer *peer, int64_t now_ns);
bool peers_is_bad(struct peers *peers, const struct peer *peer, int64_t now_ns);
/* The other end of a connected socket; false when it is not connected. */
bool peer_of_socket(struct peer *ret_peer, int fd);

struct http {
    struct lock lock;
    atomic_uint users; /* open and shared ones */
    struct line *idle; /* guarded by lock */
    struct peers peers;
    char *ca_file;           /* set at start */
    const struct stop *stop; /* set at start */
    uint32_t stall_ms, connect_ms;
    void *resolve;                     /* struct curl_slist; set at start */
    atomic_bool has_continue;          /* some server answered 100 Continue */
    atomic_uint_fast32_t no_continues; /* how often one took a body without */
};

/* An easy handle with the connections that it keeps. In use it belongs to one thread. */
#define LINE_OPENING_MAX 4
struct line {
    struct line *next; /* guarded by the client's lock */
    struct http *http;
    void *easy, *multi;        /* CURL, CURLM */
    struct exchange *exchange; /* under way */
    struct buf header_text;    /* of the request */
    void *nodes;               /* struct curl_slist that point into it */
    size_t node_cap;
    unsigned char *piece; /* what a sink is to get */
    size_t piece_bytes;
    struct {
        int fd; /* not connected yet; -1 = free */
        struct peer peer;
    } opening[LINE_OPENING_MAX];
    char message[256]; /* libcurl's */
};
#define PIECE_BYTES ((size_t)256 * 1024)

/* One request on a line. */
struct exchange {
    struct line *line;
    const struct http_request *request;
    struct http_reply *reply;
    struct err *cause; /* what a callback, the stop flag or the stall limit met */
    struct head head;
    struct body *body; /* that is read while it is sent; NULL: none, or sent from memory */
    const unsigned char *pending; /* of body_next(), not yet taken */
    size_t pending_bytes;
    int64_t away_ns;       /* spent in body_next() and sink_write() */
    int64_t last_out_ns;   /* when the request, or more of its body, was handed over */
    int64_t first_byte_ns; /* of the final answer; 0 = not yet */
    uint64_t received_bytes;
    int starts;      /* how often the request was begun on a connection */
    int passed_over; /* addresses not tried as they are bad */
    bool try_all;    /* try those too */
    bool is_paused;  /* something to read came while there was more to send */
    bool is_tls;
    bool is_expecting; /* 100-continue was asked for */
};
/* Set the options of a line that hold for all its requests. */
CHECKED int exchange_wire(struct line *line, struct err *err);
/* Send and receive once; a CURLcode. Nonzero with cause set: that is the error. */
int exchange_run(struct exchange *exchange);
