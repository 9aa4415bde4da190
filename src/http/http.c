#include "http/http.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "http/http_internal.h"

#include <curl/curl.h>
#include <strings.h>

/* Up to here a body goes out together with the headers, in one segment. libcurl's own limit. */
#define SMALL_BODY_BYTES ((uint64_t)64 * 1024)
/* Beyond it the server is asked first whether it wants the body. */
#define EXPECT_BODY_BYTES ((uint64_t)1024 * 1024)
/* After so many bodies taken without a "100 Continue" it is no longer asked for. */
#define NO_CONTINUES_MAX 3

/* ---- the client and its lines ---- */

static void line_free(struct line *line)
{
    if (line == NULL)
        return;
    line->exchange = NULL;
    curl_easy_cleanup(line->easy);
    curl_multi_cleanup(line->multi);
    buf_done(&line->header_text);
    mem_free(line->nodes);
    mem_free(line->piece);
    mem_free(line);
}

static struct line *line_new(struct http *http, struct err *err)
{
    struct line *line = mem_alloc(sizeof *line);
    line->http = http;
    for (size_t i = 0; i < LINE_OPENING_MAX; i++)
        line->opening[i].fd = -1;
    line->easy = curl_easy_init();
    line->multi = curl_multi_init();
    if (line->easy != NULL && line->multi != NULL && exchange_wire(line, err) == 0)
        return line;
    if (err->kind == ERR_NONE)
        err_set(err, ERR_LOCAL, "libcurl gives no handle: out of memory or descriptors");
    line_free(line);
    return NULL;
}

/* The line used last: its connection is the least likely to be closed by the server. */
static struct line *line_take(struct http *http, struct err *err)
{
    lock_take(&http->lock);
    struct line *line = http->idle;
    if (line != NULL)
        http->idle = line->next;
    lock_give(&http->lock);
    return line != NULL ? line : line_new(http, err);
}

static void line_give(struct line *line)
{
    line->exchange = NULL;
    SCOPED_LOCK(&line->http->lock);
    line->next = line->http->idle;
    line->http->idle = line;
}

static int copy_resolve(struct http *http, const char *const *resolve, struct err *err)
{
    struct curl_slist *list = NULL;
    for (; resolve != NULL && *resolve != NULL; resolve++) {
        struct curl_slist *longer = curl_slist_append(list, *resolve);
        if (longer == NULL) {
            curl_slist_free_all(list);
            return err_set(err, ERR_LOCAL, "out of memory");
        }
        list = longer;
    }
    http->resolve = list;
    return 0;
}

int http_open(struct http **ret_http, const struct http_options *options, struct err *err)
{
    if (options->ca_file != NULL && access(options->ca_file, R_OK) != 0) {
        err_sys(err, ERR_CONFIG, "CA file '%s'", options->ca_file);
        err->kind = ERR_CONFIG;
        return err_hint(err, "AWS_CA_BUNDLE must name a PEM file of certificates");
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_LOCAL, "libcurl does not start");
    struct http *http = mem_alloc(sizeof *http);
    if (copy_resolve(http, options->resolve, err) < 0) {
        mem_free(http);
        return -1;
    }
    lock_init(&http->lock);
    atomic_init(&http->users, 1);
    peers_init(&http->peers);
    http->ca_file = options->ca_file != NULL ? mem_string(options->ca_file) : NULL;
    http->stop = options->stop;
    http->stall_ms = options->stall_ms != 0 ? options->stall_ms : 30 * 1000;
    http->connect_ms = options->connect_ms != 0 ? options->connect_ms : 15 * 1000;
    *ret_http = http;
    return 0;
}

struct http *http_share(struct http *http)
{
    atomic_fetch_add(&http->users, 1);
    return http;
}

void http_close(struct http *http)
{
    if (http == NULL || atomic_fetch_sub(&http->users, 1) != 1)
        return;
    while (http->idle != NULL) {
        struct line *line = http->idle;
        http->idle = line->next;
        line_free(line);
    }
    curl_slist_free_all(http->resolve);
    peers_done(&http->peers);
    lock_done(&http->lock);
    mem_free(http->ca_file);
    mem_free(http);
}

/* ---- the request ---- */

static bool is_name(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (*at <= ' ' || *at == ':' || *at == 0x7f)
            return false;
    return *text != '\0';
}

static bool is_value(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return false;
    return true;
}

/* A header as libcurl wants it: "name: value", "name;" for an empty one. */
static int add_header(struct buf *out, const struct http_header *header, struct err *err)
{
    if (!is_name(header->name) || !is_value(header->value))
        return err_set(err, ERR_CONFIG, "the header '%s' holds what a header cannot", header->name);
    buf_add_text(out, header->name);
    if (header->value[strspn(header->value, " \t")] == '\0') {
        buf_add_char(out, ';');
    } else {
        buf_add_text(out, ": ");
        buf_add_text(out, header->value);
    }
    buf_add_char(out, '\0');
    return 0;
}

static bool has_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return true;
    return false;
}

/* The lines of `text` as a list without an allocation per header. */
static struct curl_slist *list_headers(struct line *line, size_t count)
{
    if (line->node_cap < count) {
        line->nodes = mem_resize(line->nodes, count * sizeof(struct curl_slist));
        line->node_cap = count;
    }
    struct curl_slist *nodes = line->nodes;
    char *at = line->header_text.data;
    for (size_t i = 0; i < count; i++) {
        nodes[i].data = at;
        nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
        at += strlen(at) + 1;
    }
    return count != 0 ? nodes : NULL;
}

static void add_line(struct buf *out, const char *text)
{
    buf_add(out, text, strlen(text) + 1);
}

static int set_headers(struct exchange *exchange, bool is_post, struct err *err)
{
    struct line *line = exchange->line;
    const struct http_request *request = exchange->request;
    struct buf *out = &line->header_text;
    buf_clear(out);
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, "content-length") == 0)
            continue;
        if (add_header(out, &request->headers[i], err) < 0)
            return -1;
        count++;
    }
    /* What libcurl would add by itself. */
    if (is_post && !has_header(request, "content-type")) {
        add_line(out, "Content-Type:");
        count++;
    }
    if (exchange->body != NULL || is_post) {
        add_line(out, exchange->is_expecting ? "Expect: 100-continue" : "Expect:");
        count++;
    }
    curl_easy_setopt(line->easy, CURLOPT_HTTPHEADER, list_headers(line, count));
    return 0;
}

static bool wants_expect(struct http *http, uint64_t size_bytes)
{
    return size_bytes > EXPECT_BODY_BYTES &&
           (atomic_load_explicit(&http->has_continue, memory_order_relaxed) ||
            atomic_load_explicit(&http->no_continues, memory_order_relaxed) < NO_CONTINUES_MAX);
}

/* Take a small body out of its source at once; what is not given in one piece is streamed. */
static int take_small_body(struct exchange *exchange, const void **ret_bytes, struct err *err)
{
    struct body *body = exchange->request->body;
    if (body == NULL || body->size_bytes > SMALL_BODY_BYTES)
        return 0;
    const void *bytes = NULL;
    size_t len = 0;
    if (body_next(body, &bytes, &len, err) < 0)
        return -1;
    if (len == body->size_bytes) {
        *ret_bytes = bytes != NULL ? bytes : "";
        return 0;
    }
    exchange->body = body;
    exchange->pending = bytes;
    exchange->pending_bytes = len;
    return 0;
}

/* What differs from the request before: all of it, as a line serves many kinds. */
static int set_request(struct exchange *exchange, struct err *err)
{
    CURL *easy = exchange->line->easy;
    const struct http_request *request = exchange->request;
    struct body *body = request->body;
    exchange->is_tls = strncasecmp(request->url, "https:", 6) == 0;
    if (body != NULL && body->done_bytes != 0)
        body_rewind(body);
    const void *small = NULL;
    if (take_small_body(exchange, &small, err) < 0)
        return -1;
    const bool is_put_or_post =
        strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0;
    if (body == NULL && is_put_or_post)
        small = "";
    else if (body != NULL && small == NULL)
        exchange->body = body;
    exchange->is_expecting =
        exchange->body != NULL && wants_expect(exchange->line->http, body->size_bytes);

    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (small != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(body != NULL ? body->size_bytes : 0));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, small);
    } else if (exchange->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body->size_bytes);
    }
    return set_headers(exchange, small != NULL, err);
}

/* ---- the answer ---- */

static bool is_broken_connection(int code)
{
    return code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR;
}

static bool was_reused(const struct exchange *exchange)
{
    long made = 0;
    curl_easy_getinfo(exchange->line->easy, CURLINFO_NUM_CONNECTS, &made);
    return made == 0 && exchange->starts > 0;
}

/* The connection had been closed while it was idle. libcurl notices some of these by itself. */
static bool is_stale(const struct exchange *exchange, int code)
{
    return is_broken_connection(code) && exchange->cause->kind == ERR_NONE &&
           exchange->received_bytes == 0 && was_reused(exchange);
}

static int run_again(struct exchange *exchange)
{
    CURL *easy = exchange->line->easy;
    if (exchange->body != NULL) {
        body_rewind(exchange->body);
        exchange->pending_bytes = 0;
    }
    exchange->is_paused = false;
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    const int code = exchange_run(exchange);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 0L);
    return code;
}

static int run(struct exchange *exchange)
{
    int code = exchange_run(exchange);
    if (is_stale(exchange, code))
        code = run_again(exchange);
    if (code == CURLE_COULDNT_CONNECT && exchange->passed_over != 0) {
        exchange->try_all = true;
        code = run_again(exchange);
    }
    return code;
}

/* An answer came before the whole body was sent. */
static bool is_early(const struct exchange *exchange)
{
    curl_off_t sent = 0;
    curl_easy_getinfo(exchange->line->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return exchange->head.is_over && exchange->body != NULL &&
           (uint64_t)sent < exchange->body->size_bytes;
}

static void note_expect(const struct exchange *exchange)
{
    struct http *http = exchange->line->http;
    if (!exchange->is_expecting)
        return;
    if (exchange->head.has_continue)
        atomic_store_explicit(&http->has_continue, true, memory_order_relaxed);
    else if (exchange->head.status / 100 == 2)
        atomic_fetch_add_explicit(&http->no_continues, 1, memory_order_relaxed);
}

static void fill_reply(const struct exchange *exchange)
{
    struct http_reply *reply = exchange->reply;
    reply->status = exchange->head.status >= 200 ? exchange->head.status : 0;
    reply->is_sent = exchange->starts > 0;
    reply->is_resent = exchange->starts > 1;
    reply->is_early = is_early(exchange);
    if (exchange->first_byte_ns != 0)
        reply->round_trip_ns = exchange->first_byte_ns - exchange->last_out_ns;
    note_expect(exchange);
}

static int tell_fault(const struct exchange *exchange, int code, struct err *err)
{
    const struct line *line = exchange->line;
    long sys = 0;
    curl_easy_getinfo(line->easy, CURLINFO_OS_ERRNO, &sys);
    const struct fault fault = { .code = code,
                                 .message = line->message,
                                 .sys = (int)sys,
                                 .url = exchange->request->url,
                                 .ca_file = line->http->ca_file,
                                 .connect_ms = line->http->connect_ms,
                                 .is_sent = exchange->starts > 0 };
    return fault_tell(&fault, err);
}

static int settle(const struct exchange *exchange, int code, struct err *err)
{
    fill_reply(exchange);
    if (exchange->cause->kind != ERR_NONE) {
        *err = *exchange->cause;
        return -1;
    }
    /* A refusal that was followed by a reset is still a refusal. */
    const struct http_reply *reply = exchange->reply;
    const bool is_refused = reply->is_early && reply->status >= 300;
    /* libcurl takes a head that ends in the middle for a whole one. */
    if (code == CURLE_OK && !exchange->head.is_over)
        code = CURLE_PARTIAL_FILE;
    if (code == CURLE_OK && reply->is_early && !is_refused)
        return err_set(err, ERR_NET, "status %d came before the body was sent", reply->status);
    return code == CURLE_OK || is_refused ? 0 : tell_fault(exchange, code, err);
}

static void reply_begin(struct http_reply *reply)
{
    struct buf headers = reply->headers;
    struct buf body = reply->body;
    buf_clear(&headers);
    buf_clear(&body);
    *reply = (struct http_reply){ .headers = headers, .body = body };
}

int http_do(struct http *http, const struct http_request *request, struct http_reply *reply,
            struct err *err)
{
    reply_begin(reply);
    if (stop_check(http->stop, err) < 0)
        return -1;
    struct line *line = line_take(http, err);
    if (line == NULL)
        return -1;
    struct err cause = { 0 };
    struct exchange exchange = { .line = line,
                                 .request = request,
                                 .reply = reply,
                                 .cause = &cause,
                                 .head = { .reply = reply } };
    int result = set_request(&exchange, err);
    if (result == 0) {
        const bool was_free = thread_hold_pipe();
        const int code = run(&exchange);
        thread_free_pipe(was_free);
        result = settle(&exchange, code, err);
    }
    line_give(line);
    return result;
}
