/* A server on loopback that answers requests as a script says, step by step, and keeps what it was
 * sent. One thread, one connection at a time; a new connection takes the place of the one before.
 */
#pragma once

#include "base/buf.h"
#include "base/thread.h"

#include <stdint.h>

enum step_kind {
    STEP_ANSWER, /* read the request whole, answer, keep the connection */
    STEP_CLOSE,  /* ... and close it */
    STEP_RESET,  /* ... and reset it */
    STEP_EARLY,  /* read the head and take_bytes of the body, answer, reset */
    STEP_HANG, /* read the request whole, answer (a part of it), then silence until the client goes
                */
    STEP_TRICKLE, /* ... a byte every 10 ms until the client goes */
};
struct step {
    enum step_kind kind;
    const char *answer;      /* NULL: none */
    uint64_t take_bytes;     /* STEP_EARLY */
    unsigned delay_ms;       /* before the answer */
    bool no_continue;        /* "Expect: 100-continue" is ignored */
    struct stop *then_raise; /* when the answer, or nothing, was sent */
};
#define SERVER_STEPS_MAX 64
struct served {
    struct buf head, body; /* as they came */
    int connection;        /* counted from 1 */
};
struct server {
    struct step steps[SERVER_STEPS_MAX];
    size_t step_count;
    struct served served[SERVER_STEPS_MAX]; /* read them after server_stop() */
    size_t served_count;
    int listener, quit[2], connection;
    int connections;
    unsigned port;
    void *tls_context, *tls; /* SSL_CTX, SSL; NULL: plain */
    struct thread thread;
};
/* On 127.0.0.1, any port (0) or that one. Dies by itself with the test when the system refuses. */
void server_start(struct server *server, unsigned port, const struct step *steps, size_t count);
/* The same over TLS, with a certificate of its own for 127.0.0.1 that is written to ca_file. */
void server_start_tls(struct server *server, const struct step *steps, size_t count,
                      const char *ca_file);
/* Wait for the thread; what was served stays. */
void server_stop(struct server *server);
void server_done(struct server *server);
/* A port that nobody listens on. */
unsigned server_free_port(void);
