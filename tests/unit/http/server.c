#include "server.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)

static void must(bool is_fine)
{
    if (!is_fine)
        abort();
}

/* Wait for input; false when the server is to stop or the time is over. */
static bool wait_input(const struct server *server, int fd, int ms)
{
    struct pollfd waits[] = { { .fd = server->quit[0], .events = POLLIN },
                              { .fd = fd, .events = POLLIN } };
    return poll(waits, 2, ms) > 0 && waits[0].revents == 0 && waits[1].revents != 0;
}

static void hang_up(struct server *server, bool is_reset)
{
    if (server->connection < 0)
        return;
    SSL_free(server->tls);
    server->tls = NULL;
    const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    if (is_reset)
        setsockopt(server->connection, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(server->connection);
    server->connection = -1;
}

static bool start_tls(struct server *server)
{
    server->tls = SSL_new(server->tls_context);
    must(server->tls != NULL && SSL_set_fd(server->tls, server->connection) == 1);
    return SSL_accept(server->tls) == 1;
}

static ssize_t take(const struct server *server, void *bytes, size_t most)
{
    if (server->tls != NULL)
        return SSL_read(server->tls, bytes, (int)most);
    return recv(server->connection, bytes, most, 0);
}

static ssize_t give(const struct server *server, const void *bytes, size_t len)
{
    if (server->tls != NULL)
        return SSL_write(server->tls, bytes, (int)len);
    return send(server->connection, bytes, len, MSG_NOSIGNAL);
}

/* The client has not closed the connection. */
static bool is_open(const struct server *server)
{
    char byte = 0;
    if (server->tls != NULL)
        return SSL_peek(server->tls, &byte, 1) == 1;
    return recv(server->connection, &byte, 1, MSG_PEEK) == 1;
}

/* Input on the connection, or, when it has none, on a new one that takes its place. */
static bool next_input(struct server *server)
{
    for (;;) {
        struct pollfd waits[] = { { .fd = server->quit[0], .events = POLLIN },
                                  { .fd = server->listener, .events = POLLIN },
                                  { .fd = server->connection, .events = POLLIN } };
        if (poll(waits, 3, -1) < 0 || waits[0].revents != 0)
            return false;
        if (waits[2].revents != 0)
            return true;
        hang_up(server, false);
        server->connection = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        must(server->connection >= 0);
        const int on = 1;
        setsockopt(server->connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        server->connections++;
        if (server->tls_context != NULL && !start_tls(server))
            hang_up(server, false);
    }
}

static bool read_some(const struct server *server, struct buf *out, size_t most)
{
    const bool is_there = server->tls != NULL && SSL_pending(server->tls) > 0;
    if (!is_there && !wait_input(server, server->connection, -1))
        return false;
    buf_reserve(out, READ_BYTES);
    const ssize_t got = take(server, out->data + out->len, most < READ_BYTES ? most : READ_BYTES);
    if (got <= 0)
        return false;
    out->len += (size_t)got;
    out->data[out->len] = '\0';
    return true;
}

static void send_text(const struct server *server, const char *text, size_t len)
{
    while (len != 0) {
        const ssize_t sent = give(server, text, len);
        if (sent <= 0)
            return;
        text += sent;
        len -= (size_t)sent;
    }
}

static bool read_head(const struct server *server, struct buf *head)
{
    while (head->len < 4 || memcmp(head->data + head->len - 4, "\r\n\r\n", 4) != 0)
        if (!read_some(server, head, 1))
            return false;
    return true;
}

static uint64_t length_in(const struct buf *head)
{
    const char *at = strcasestr(buf_text(head), "\r\nContent-Length:");
    return at != NULL ? strtoull(at + 17, NULL, 10) : 0;
}

static bool read_request(const struct server *server, const struct step *step,
                         struct served *served)
{
    if (!read_head(server, &served->head))
        return false;
    const uint64_t length = length_in(&served->head);
    uint64_t want = length;
    if (step->kind == STEP_EARLY)
        want = step->take_bytes < length ? step->take_bytes : length;
    if (want != 0 && !step->no_continue &&
        strcasestr(served->head.data, "\r\nExpect: 100-continue") != NULL)
        send_text(server, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    while (served->body.len < want)
        if (!read_some(server, &served->body, (size_t)want - served->body.len))
            return false;
    return true;
}

static void wait_until_gone(const struct server *server, bool trickles)
{
    char byte[256];
    for (;;) {
        if (wait_input(server, server->connection, trickles ? 10 : -1)) {
            if (take(server, byte, sizeof byte) <= 0)
                return;
        } else if (!trickles || wait_input(server, -1, 0)) {
            return;
        } else if (give(server, "x", 1) != 1) {
            return;
        }
    }
}

static void serve(struct server *server, const struct step *step)
{
    struct served *served = &server->served[server->served_count++];
    served->connection = server->connections;
    if (!read_request(server, step, served)) {
        hang_up(server, false);
        return;
    }
    if (step->delay_ms != 0)
        wait_input(server, server->quit[0], (int)step->delay_ms);
    if (step->answer != NULL)
        send_text(server, step->answer, strlen(step->answer));
    if (step->then_raise != NULL)
        stop_raise(step->then_raise);
    if (step->kind == STEP_HANG || step->kind == STEP_TRICKLE)
        wait_until_gone(server, step->kind == STEP_TRICKLE);
    if (step->kind != STEP_ANSWER)
        hang_up(server, step->kind == STEP_RESET || step->kind == STEP_EARLY);
}

static void *run(void *arg)
{
    struct server *server = arg;
    while (server->served_count < server->step_count && next_input(server)) {
        if (!is_open(server))
            hang_up(server, false);
        else
            serve(server, &server->steps[server->served_count]);
    }
    /* Until the end is told, so that a client that comes once too often is not refused. */
    while (next_input(server))
        hang_up(server, true);
    return NULL;
}

static int listen_on(unsigned port, unsigned *ret_port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    must(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 16) == 0);
    must(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void start_on(struct server *server, unsigned port, const struct step *steps, size_t count,
                     SSL_CTX *tls_context)
{
    *server = (struct server){ .connection = -1, .step_count = count, .tls_context = tls_context };
    must(count <= SERVER_STEPS_MAX);
    memcpy(server->steps, steps, count * sizeof *steps);
    server->listener = listen_on(port, &server->port);
    must(pipe(server->quit) == 0);
    struct err err = { 0 };
    must(thread_start(&server->thread, "server", run, server, &err) == 0);
}

void server_start(struct server *server, unsigned port, const struct step *steps, size_t count)
{
    start_on(server, port, steps, count, NULL);
}

/* Self-signed, for a day. */
static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *made = X509_new();
    must(made != NULL && X509_set_version(made, X509_VERSION_3) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 24L * 3600);
    X509_set_pubkey(made, key);
    X509_NAME *name = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"lade test", -1, -1,
                               0);
    X509_set_issuer_name(made, name);
    X509_EXTENSION *address = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    must(address != NULL && X509_add_ext(made, address, -1) == 1);
    X509_EXTENSION_free(address);
    must(X509_sign(made, key, EVP_sha256()) > 0);
    return made;
}

void server_start_tls(struct server *server, const struct step *steps, size_t count,
                      const char *ca_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(key != NULL);
    X509 *certificate = make_certificate(key);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    must(context != NULL && SSL_CTX_use_certificate(context, certificate) == 1 &&
         SSL_CTX_use_PrivateKey(context, key) == 1);
    FILE *file = fopen(ca_file, "w");
    must(file != NULL && PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
    start_on(server, 0, steps, count, context);
}

void server_stop(struct server *server)
{
    if (!server->thread.started)
        return;
    must(write(server->quit[1], "q", 1) == 1);
    thread_join(&server->thread);
    hang_up(server, false);
    SSL_CTX_free(server->tls_context);
    close(server->listener);
    close(server->quit[0]);
    close(server->quit[1]);
}

void server_done(struct server *server)
{
    server_stop(server);
    for (size_t i = 0; i < server->served_count; i++) {
        buf_done(&server->served[i].head);
        buf_done(&server->served[i].body);
    }
    server->served_count = 0;
}

unsigned server_free_port(void)
{
    unsigned port = 0;
    close(listen_on(0, &port));
    return port;
}
