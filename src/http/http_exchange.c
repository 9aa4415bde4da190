#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "http/http_internal.h"

#include <curl/curl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long a silent connection is waited for before the stop flag is looked at again. */
#define WATCH_MS 100
#define STALL_BYTES_PER_S 1024
/* What is sent over TLS between two looks for an early answer: after a failure it cannot be read
 * any more, as it can from a plain socket. */
#define TLS_PIECE_BYTES ((size_t)128 * 1024)
#define SALVAGE_BYTES_MAX ((size_t)64 * 1024)
#define REPLY_BYTES_MAX ((uint64_t)1024 * 1024)

static int socket_of(const struct exchange *exchange)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(exchange->line->easy, CURLINFO_ACTIVESOCKET, &fd);
    return (int)fd;
}

static bool has_input(const struct exchange *exchange)
{
    struct pollfd wait = { .fd = socket_of(exchange), .events = POLLIN };
    return wait.fd >= 0 && poll(&wait, 1, 0) == 1;
}

/* ---- the callbacks; each gets the line or finds its exchange by it ---- */

/* The next bytes of the body, when those before were taken. */
static int refill(struct exchange *exchange)
{
    const int64_t start_ns = clock_monotonic_ns();
    const void *bytes = NULL;
    size_t len = 0;
    const int result = body_next(exchange->body, &bytes, &len, exchange->cause);
    exchange->pending = bytes;
    exchange->pending_bytes = result == 0 ? len : 0;
    exchange->away_ns += clock_monotonic_ns() - start_ns;
    return result;
}

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = ((struct line *)arg)->exchange;
    size_t room = size * count;
    if (exchange->is_tls && room > TLS_PIECE_BYTES)
        room = TLS_PIECE_BYTES;
    size_t done = 0;
    while (done < room) {
        if (exchange->pending_bytes == 0 && refill(exchange) < 0)
            return CURL_READFUNC_ABORT;
        if (exchange->pending_bytes == 0)
            break;
        /* An answer before the end is a refusal: a send into a closed connection would lose it. So
         * what came is read first, and exchange_run() lets the sending go on. */
        if (done == 0 && has_input(exchange)) {
            exchange->is_paused = true;
            return CURL_READFUNC_PAUSE;
        }
        const size_t left = room - done;
        const size_t len = exchange->pending_bytes < left ? exchange->pending_bytes : left;
        memcpy(out + done, exchange->pending, len);
        exchange->pending += len;
        exchange->pending_bytes -= len;
        done += len;
    }
    exchange->last_out_ns = clock_monotonic_ns();
    return done;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct exchange *exchange = ((struct line *)arg)->exchange;
    if (offset != 0 || origin != SEEK_SET || exchange->body == NULL)
        return CURL_SEEKFUNC_FAIL;
    body_rewind(exchange->body);
    exchange->pending_bytes = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = ((struct line *)arg)->exchange;
    const size_t len = size * count;
    exchange->received_bytes += len;
    if (head_add_line(&exchange->head, line, len, exchange->cause) < 0)
        return 0;
    if (exchange->first_byte_ns == 0 && exchange->head.status >= 200)
        exchange->first_byte_ns = clock_monotonic_ns();
    return len;
}

static bool goes_to_sink(const struct exchange *exchange)
{
    const int status = exchange->head.status;
    const int wanted = exchange->request->sink_status;
    return exchange->request->sink != NULL && status / 100 == 2 &&
           (wanted == 0 || wanted == status);
}

static int flush_piece(struct exchange *exchange)
{
    struct line *line = exchange->line;
    const size_t len = line->piece_bytes;
    line->piece_bytes = 0;
    if (len == 0)
        return 0;
    const int64_t start_ns = clock_monotonic_ns();
    const int result = sink_write(exchange->request->sink, line->piece, len, exchange->cause);
    exchange->away_ns += clock_monotonic_ns() - start_ns;
    return result;
}

/* libcurl gives at most 16 KiB at once: too little for a write to a parallel file system. */
static int keep_for_sink(struct exchange *exchange, const char *bytes, size_t len)
{
    struct line *line = exchange->line;
    if (line->piece == NULL)
        line->piece = mem_alloc(PIECE_BYTES);
    while (len != 0) {
        const size_t room = PIECE_BYTES - line->piece_bytes;
        const size_t take = len < room ? len : room;
        memcpy(line->piece + line->piece_bytes, bytes, take);
        line->piece_bytes += take;
        bytes += take;
        len -= take;
        if (line->piece_bytes == PIECE_BYTES && flush_piece(exchange) < 0)
            return -1;
    }
    return 0;
}

static int keep_in_reply(struct exchange *exchange, const char *bytes, size_t len)
{
    struct buf *out = &exchange->reply->body;
    const uint64_t asked = exchange->request->reply_limit_bytes;
    const uint64_t limit = asked != 0 ? asked : REPLY_BYTES_MAX;
    if (len > limit - out->len)
        return err_set(exchange->cause, ERR_NET,
                       "answer too long: more than %llu bytes (status %d)",
                       (unsigned long long)limit, exchange->head.status);
    buf_add(out, bytes, len);
    return 0;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = ((struct line *)arg)->exchange;
    const size_t len = size * count;
    exchange->received_bytes += len;
    const int result = goes_to_sink(exchange) ? keep_for_sink(exchange, bytes, len)
                                              : keep_in_reply(exchange, bytes, len);
    return result == 0 ? len : CURL_WRITEFUNC_ERROR;
}

/* libcurl's type. NOLINTBEGIN(readability-non-const-parameter) */
/* Right before a request is sent; libcurl comes here again when it starts over by itself. */
static int on_start(void *arg, char *to_address, char *from_address, int to_port, int from_port)
{
    (void)to_address;
    (void)from_address;
    (void)to_port;
    (void)from_port;
    struct line *line = arg;
    struct exchange *exchange = line->exchange;
    exchange->starts++;
    exchange->last_out_ns = clock_monotonic_ns();
    /* libcurl 7.88 does not always rewind when it starts over (seen with TLS). */
    if (exchange->starts > 1 && exchange->body != NULL) {
        body_rewind(exchange->body);
        exchange->pending_bytes = 0;
    }
    for (size_t i = 0; i < LINE_OPENING_MAX; i++)
        line->opening[i].fd = -1;
    return CURL_PREREQFUNC_OK;
}
/* NOLINTEND(readability-non-const-parameter) */

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct line *line = arg;
    struct exchange *exchange = line->exchange;
    struct peer peer = { .len = address->addrlen };
    if (peer.len > sizeof peer.address)
        return CURL_SOCKET_BAD;
    memcpy(peer.address, &address->addr, peer.len);
    if (!exchange->try_all && peers_is_bad(&line->http->peers, &peer, clock_monotonic_ns())) {
        exchange->passed_over++;
        return CURL_SOCKET_BAD;
    }
    const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    for (size_t i = 0; fd >= 0 && i < LINE_OPENING_MAX; i++) {
        if (line->opening[i].fd >= 0)
            continue;
        line->opening[i].fd = fd;
        line->opening[i].peer = peer;
        break;
    }
    return fd;
}

/* What the other end said before it reset the connection still waits in a plain socket, though
 * sending into it failed: a refusal is not to be lost. */
static void salvage_answer(struct exchange *exchange, int fd)
{
    char bytes[4096];
    SCOPED(buf) struct buf text = { 0 };
    ssize_t got = 0;
    while (text.len < SALVAGE_BYTES_MAX && (got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buf_add(&text, bytes, (size_t)got);
    const char *at = buf_text(&text);
    const char *end = at + text.len;
    while (!exchange->head.is_over) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        struct err ignored = { 0 };
        if (line_end == NULL ||
            head_add_line(&exchange->head, at, (size_t)(line_end + 1 - at), &ignored) < 0)
            return;
        at = line_end + 1;
    }
    exchange->received_bytes += text.len;
    exchange->first_byte_ns = clock_monotonic_ns();
    if (http_reply_header(exchange->reply, "transfer-encoding") == NULL)
        buf_add(&exchange->reply->body, at, (size_t)(end - at));
}

/* Sending a body broke off, and no answer was read that would say why. */
static bool may_hold_answer(const struct exchange *exchange)
{
    return exchange != NULL && exchange->body != NULL && exchange->starts > 0 &&
           exchange->head.status < 200 && exchange->cause->kind == ERR_NONE && !exchange->is_tls;
}

/* A socket that is closed before it was connected belongs to an address that does not answer. */
static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct line *line = arg;
    if (may_hold_answer(line->exchange))
        salvage_answer(line->exchange, fd);
    for (size_t i = 0; i < LINE_OPENING_MAX; i++) {
        if (line->opening[i].fd != fd)
            continue;
        struct peer connected;
        if (!peer_of_socket(&connected, fd))
            peers_blame(&line->http->peers, &line->opening[i].peer, clock_monotonic_ns());
        line->opening[i].fd = -1;
    }
    return close(fd);
}

int exchange_wire(struct line *line, struct err *err)
{
    CURL *easy = line->easy;
    const struct http *http = line->http;
    int wrong = 0;
#define SET(option, value) (wrong |= (int)curl_easy_setopt(easy, CURLOPT_##option, value))
    SET(NOSIGNAL, 1L);
    SET(ERRORBUFFER, line->message);
    SET(PROTOCOLS_STR, "http,https");
    SET(DISALLOW_USERNAME_IN_URL, 1L);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(PATH_AS_IS, 1L);
    SET(FOLLOWLOCATION, 0L);
    SET(SUPPRESS_CONNECT_HEADERS, 1L);
    SET(USERAGENT, "lade/" LADE_VERSION);
    SET(TCP_NODELAY, 1L);
    SET(TCP_KEEPALIVE, 1L);
    SET(DNS_SHUFFLE_ADDRESSES, 1L);
    SET(CONNECTTIMEOUT_MS, (long)http->connect_ms);
    /* Servers close what was idle for a minute; a request sent into that has to be sent again. */
    SET(MAXAGE_CONN, 50L);
    SET(EXPECT_100_TIMEOUT_MS, 500L);
    /* The default of 64 KiB costs 1.7 times the CPU time; it is allocated only for an upload. */
    SET(UPLOAD_BUFFERSIZE, 512L * 1024);
    if (http->ca_file != NULL)
        SET(CAINFO, http->ca_file);
    if (http->resolve != NULL)
        SET(RESOLVE, http->resolve);
    SET(READFUNCTION, on_read);
    SET(READDATA, line);
    SET(SEEKFUNCTION, on_seek);
    SET(SEEKDATA, line);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, line);
    SET(WRITEFUNCTION, on_write);
    SET(WRITEDATA, line);
    SET(PREREQFUNCTION, on_start);
    SET(PREREQDATA, line);
    SET(OPENSOCKETFUNCTION, on_open_socket);
    SET(OPENSOCKETDATA, line);
    SET(CLOSESOCKETFUNCTION, on_close_socket);
    SET(CLOSESOCKETDATA, line);
#undef SET
    return wrong == 0 ? 0 : err_set(err, ERR_LOCAL, "libcurl refuses an option that lade needs");
}

/* ---- waiting ---- */

/* How far the network got in a window of time; begun anew whenever it moved enough. */
struct watch {
    int64_t last_ns, away_ns; /* when it was looked at last */
    int64_t span_ns;          /* of the window, without the time spent away */
    int64_t moved_bytes;      /* at its beginning */
    int64_t limit_ns;
};

/* What the other end took and gave. Sent bytes that wait in the kernel do not count, so a slow
 * connection that drains them is not taken for a stalled one. */
static int64_t moved_by(const struct exchange *exchange)
{
    curl_off_t sent = 0;
    curl_easy_getinfo(exchange->line->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    int waiting = 0;
    const int fd = socket_of(exchange);
    if (fd < 0 || ioctl(fd, SIOCOUTQ, &waiting) != 0)
        waiting = 0;
    return (int64_t)sent - waiting + (int64_t)exchange->received_bytes;
}

/* True when too little moved for too long. Connecting has its own limit. */
static bool is_stalled(struct watch *watch, const struct exchange *exchange)
{
    const int64_t now_ns = clock_monotonic_ns();
    const int64_t away_ns = exchange->away_ns;
    const int64_t passed_ns = now_ns - watch->last_ns - (away_ns - watch->away_ns);
    if (now_ns - watch->last_ns < WATCH_MS / 2 * NS_PER_MS)
        return false;
    watch->last_ns = now_ns;
    watch->away_ns = away_ns;
    const int64_t moved_bytes = moved_by(exchange);
    const int64_t enough = watch->limit_ns / NS_PER_MS * STALL_BYTES_PER_S / 1000;
    /* libcurl starts over by itself when a kept connection was closed: the count then goes back. */
    const bool is_new = exchange->starts == 0 || moved_bytes < watch->moved_bytes;
    if (is_new || moved_bytes - watch->moved_bytes >= enough) {
        watch->span_ns = 0;
        watch->moved_bytes = moved_bytes;
        return false;
    }
    watch->span_ns += passed_ns;
    return watch->span_ns >= watch->limit_ns;
}

static int stop_waiting(struct exchange *exchange, struct watch *watch)
{
    const struct http *http = exchange->line->http;
    if (stop_check(http->stop, exchange->cause) < 0)
        return -1;
    if (!is_stalled(watch, exchange))
        return 0;
    struct peer peer;
    if (peer_of_socket(&peer, socket_of(exchange)))
        peers_blame(&exchange->line->http->peers, &peer, clock_monotonic_ns());
    const struct host host = host_of_url(exchange->request->url);
    return err_set(exchange->cause, ERR_NET, "'%.*s' stalled: fewer than 1 KiB/s for %g s",
                   host.len, host.text, (double)watch->limit_ns / (double)NS_PER_S);
}

/* Until the transfer is over, or is not to be waited for. */
static int wait_for_end(struct exchange *exchange)
{
    const struct line *line = exchange->line;
    const uint32_t asked_ms = exchange->request->stall_ms;
    struct watch watch = { .last_ns = clock_monotonic_ns(), .away_ns = exchange->away_ns };
    watch.limit_ns = NS_PER_MS * (asked_ms != 0 ? asked_ms : line->http->stall_ms);
    for (;;) {
        int running = 0;
        if (curl_multi_perform(line->multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        if (running == 0)
            break;
        if (stop_waiting(exchange, &watch) < 0)
            return CURLE_ABORTED_BY_CALLBACK;
        if (exchange->is_paused && !has_input(exchange)) {
            exchange->is_paused = false;
            curl_easy_pause(line->easy, CURLPAUSE_CONT);
            continue;
        }
        curl_multi_poll(line->multi, NULL, 0, WATCH_MS, NULL);
    }
    int left = 0;
    const CURLMsg *message = curl_multi_info_read(line->multi, &left);
    return message != NULL ? (int)message->data.result : (int)CURLE_OUT_OF_MEMORY;
}

int exchange_run(struct exchange *exchange)
{
    struct line *line = exchange->line;
    line->exchange = exchange;
    line->piece_bytes = 0;
    line->message[0] = '\0';
    if (curl_multi_add_handle(line->multi, line->easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    int code = wait_for_end(exchange);
    curl_multi_remove_handle(line->multi, line->easy);
    if (code == CURLE_OK && flush_piece(exchange) < 0)
        code = CURLE_WRITE_ERROR;
    return code;
}
