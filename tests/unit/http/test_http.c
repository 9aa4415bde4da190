#include "http/http.h"

#include "../scratch.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define FORBIDDEN "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied"

/* A server, a client of it, and the last answer. */
struct pair {
    struct server server;
    struct http *http;
    struct http_reply reply;
    struct err err;
    char url[128];
};

static void pair_open(struct pair *pair, const struct step *steps, size_t count,
                      const struct http_options *options)
{
    *pair = (struct pair){ 0 };
    server_start(&pair->server, 0, steps, count);
    const struct http_options none = { 0 };
    assert_int_equal(http_open(&pair->http, options != NULL ? options : &none, &pair->err), 0);
}

static void pair_done(struct pair *pair)
{
    http_reply_done(&pair->reply);
    http_close(pair->http);
    server_done(&pair->server);
}

static int send_request(struct pair *pair, struct http_request request, const char *path)
{
    snprintf(pair->url, sizeof pair->url, "http://127.0.0.1:%u%s", pair->server.port, path);
    request.url = pair->url;
    err_clear(&pair->err);
    return http_do(pair->http, &request, &pair->reply, &pair->err);
}

static int send_plain(struct pair *pair, const char *method)
{
    return send_request(pair, (struct http_request){ .method = method }, "/");
}

static int send_memory(struct pair *pair, const char *method, const void *bytes, size_t len)
{
    struct body body = body_of_memory(bytes, len, NULL, NULL);
    return send_request(pair, (struct http_request){ .method = method, .body = &body }, "/");
}

static bool was_sent(const struct pair *pair, size_t number, const char *text)
{
    return strstr(buf_text(&pair->server.served[number].head), text) != NULL;
}

/* ---- what is sent ---- */

static void test_http_sends_the_path_as_it_is(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                                                 "X-Mixed-Case:  some value \r\n\r\nhello" } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, NULL);
    const struct http_header headers[] = { { "x-amz-date", "20130524T000000Z" },
                                           { "x-empty", "" },
                                           { "content-length", "77" } };
    const struct http_request request = { .method = "GET", .headers = headers, .header_count = 3 };
    assert_int_equal(send_request(&pair, request, "/a/../b//./c%20d%2F?x=1&y="), 0);
    assert_int_equal(pair.reply.status, 200);
    assert_string_equal(buf_text(&pair.reply.body), "hello");
    assert_string_equal(http_reply_header(&pair.reply, "x-mixed-case"), "some value");
    assert_null(http_reply_header(&pair.reply, "x-mixed"));
    assert_true(pair.reply.is_sent);
    assert_false(pair.reply.is_resent);
    assert_false(pair.reply.is_early);
    assert_in_range(pair.reply.round_trip_ns, 1, 5 * NS_PER_S);

    server_stop(&pair.server);
    assert_true(was_sent(&pair, 0, "GET /a/../b//./c%20d%2F?x=1&y= HTTP/1.1\r\n"));
    assert_true(was_sent(&pair, 0, "\r\nHost: 127.0.0.1:"));
    assert_true(was_sent(&pair, 0, "\r\nx-amz-date: 20130524T000000Z\r\n"));
    assert_true(was_sent(&pair, 0, "\r\nx-empty:\r\n"));
    assert_true(was_sent(&pair, 0, "\r\nUser-Agent: lade/"));
    assert_false(was_sent(&pair, 0, "ontent-"));
    assert_false(was_sent(&pair, 0, "Accept-Encoding"));
}

static void test_http_sends_every_method(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" },
        { STEP_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n" },
        { STEP_ANSWER, OK_EMPTY },
        { STEP_ANSWER, OK_EMPTY },
        { STEP_ANSWER, OK_EMPTY },
        { STEP_ANSWER, OK_EMPTY },
        { STEP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 7, NULL);
    assert_int_equal(send_plain(&pair, "HEAD"), 0);
    assert_string_equal(http_reply_header(&pair.reply, "content-length"), "5000");
    assert_int_equal(pair.reply.body.len, 0);
    assert_int_equal(send_plain(&pair, "DELETE"), 0);
    assert_int_equal(pair.reply.status, 204);
    assert_int_equal(send_plain(&pair, "PUT"), 0);
    assert_int_equal(send_memory(&pair, "POST", "", 0), 0);
    assert_int_equal(send_memory(&pair, "PUT", "content", 7), 0);
    assert_int_equal(send_memory(&pair, "DELETE", "why", 3), 0);
    assert_int_equal(send_plain(&pair, "GET"), 0);
    assert_string_equal(buf_text(&pair.reply.body), "x");

    server_stop(&pair.server);
    assert_true(was_sent(&pair, 0, "HEAD / HTTP/1.1\r\n"));
    assert_true(was_sent(&pair, 1, "DELETE / HTTP/1.1\r\n"));
    assert_false(was_sent(&pair, 1, "Content-Length"));
    assert_true(was_sent(&pair, 2, "PUT / HTTP/1.1\r\n"));
    assert_true(was_sent(&pair, 2, "\r\nContent-Length: 0\r\n"));
    assert_true(was_sent(&pair, 3, "POST / HTTP/1.1\r\n"));
    assert_true(was_sent(&pair, 3, "\r\nContent-Length: 0\r\n"));
    assert_true(was_sent(&pair, 4, "\r\nContent-Length: 7\r\n"));
    assert_string_equal(buf_text(&pair.server.served[4].body), "content");
    assert_true(was_sent(&pair, 5, "DELETE / HTTP/1.1\r\n"));
    assert_string_equal(buf_text(&pair.server.served[5].body), "why");
    assert_true(was_sent(&pair, 6, "GET / HTTP/1.1\r\n"));
    assert_false(was_sent(&pair, 6, "Content-Length"));
    for (size_t i = 0; i < 7; i++) {
        assert_false(was_sent(&pair, i, "Content-Type"));
        assert_false(was_sent(&pair, i, "Expect"));
        assert_false(was_sent(&pair, i, "Transfer-Encoding"));
        assert_int_equal(pair.server.served[i].connection, 1);
    }
}

static void test_http_refuses_headers_that_would_be_more_than_one(void **state)
{
    (void)state;
    static const struct http_header bad[] = { { "x-amz-meta-a", "1\r\nx-evil: 2" },
                                              { "x-amz-meta-a", "1\n" },
                                              { "x: y", "1" },
                                              { "x y", "1" },
                                              { "", "1" },
                                              { "x-a", "\x7f" } };
    SCOPED(pair) struct pair pair;
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY } };
    pair_open(&pair, steps, 1, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct http_request request = { .method = "GET",
                                              .headers = &bad[i],
                                              .header_count = 1 };
        assert_int_equal(send_request(&pair, request, "/"), -1);
        assert_int_equal(pair.err.kind, ERR_CONFIG);
        assert_false(pair.reply.is_sent);
    }
    server_stop(&pair.server);
    assert_int_equal(pair.server.connections, 0);
}

static char *some_bytes(size_t len)
{
    char *bytes = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + i % 23 + i / 4096 % 3);
    return bytes;
}

static void test_http_streams_bodies_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1,      65535,           65536,           65537,
                                    524288, 1024 * 1024 - 1, 1024 * 1024 + 1, 5000000 };
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    struct step steps[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        steps[i] = (struct step){ STEP_ANSWER, OK_EMPTY };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, COUNT, NULL);
    char *bytes = some_bytes(5000000);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(send_memory(&pair, "PUT", bytes, sizes[i]), 0);
        assert_false(pair.reply.is_early);
    }
    server_stop(&pair.server);
    for (size_t i = 0; i < COUNT; i++) {
        const struct buf *got = &pair.server.served[i].body;
        assert_int_equal(got->len, sizes[i]);
        assert_memory_equal(got->data, bytes, sizes[i]);
        assert_int_equal(was_sent(&pair, i, "Expect: 100-continue"), sizes[i] > 1024 * 1024);
        assert_int_equal(pair.server.served[i].connection, 1);
    }
    mem_free(bytes);
}

static void test_http_sends_a_file_in_pieces_and_rewinds_what_was_begun(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY }, { STEP_ANSWER, OK_EMPTY } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 2, NULL);
    char *bytes = some_bytes(300000);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, 300000, file), 300000);
    assert_int_equal(fflush(file), 0);
    char slab[7777];
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct body body = body_of_fd(fileno(file), 5, 299000, slab, sizeof slab, &digest, NULL);
    const struct http_request request = { .method = "PUT", .body = &body };
    assert_int_equal(send_request(&pair, request, "/"), 0);
    const uint64_t crc64 = digest.crc64;
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_true(digest.crc64 == crc64 && crc64 != 0);
    server_stop(&pair.server);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pair.server.served[i].body.len, 299000);
        assert_memory_equal(pair.server.served[i].body.data, bytes + 5, 299000);
    }
    fclose(file);
    mem_free(bytes);
}

static void test_http_stops_asking_servers_that_know_no_continue(void **state)
{
    (void)state;
    struct step steps[5];
    for (size_t i = 0; i < 5; i++)
        steps[i] = (struct step){ .kind = STEP_ANSWER, .answer = OK_EMPTY, .no_continue = true };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 5, NULL);
    char *bytes = some_bytes(2000000);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(send_memory(&pair, "PUT", bytes, 2000000), 0);
    server_stop(&pair.server);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(was_sent(&pair, i, "Expect: 100-continue"), i < 3);
    mem_free(bytes);
}

/* A maker that is slow, or fails in the middle. */
struct source {
    uint64_t given_bytes, fails_at;
    int64_t nap_ns;
};
static char zeros[10000];

static int next_of_source(void *from, const void **ret_bytes, size_t *ret_len, struct err *err)
{
    struct source *source = from;
    if (source->given_bytes == source->fails_at)
        return err_set(err, ERR_CHANGED, "it changed");
    if (source->nap_ns != 0 && stop_sleep(NULL, source->nap_ns, err) < 0)
        return -1;
    *ret_bytes = zeros;
    *ret_len = sizeof zeros;
    source->given_bytes += sizeof zeros;
    return 0;
}

static void rewind_source(void *from)
{
    ((struct source *)from)->given_bytes = 0;
}

static const struct body_maker maker = { next_of_source, rewind_source };

static void test_http_passes_on_that_the_body_failed(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY }, { STEP_ANSWER, OK_EMPTY } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 2, NULL);
    struct source source = { .fails_at = 300000 };
    struct body body = body_of_maker(&maker, &source, 900000);
    const struct http_request request = { .method = "PUT", .body = &body };
    assert_int_equal(send_request(&pair, request, "/"), -1);
    assert_int_equal(pair.err.kind, ERR_CHANGED);
    assert_string_equal(pair.err.text, "it changed");
    assert_int_equal(pair.reply.status, 0);
    assert_true(pair.reply.is_sent);
    /* One that fails at once is not even begun; the client goes on to work. */
    source = (struct source){ .fails_at = 0 };
    body = body_of_maker(&maker, &source, 10000);
    assert_int_equal(send_request(&pair, request, "/"), -1);
    assert_int_equal(pair.err.kind, ERR_CHANGED);
    assert_false(pair.reply.is_sent);
    assert_int_equal(send_plain(&pair, "GET"), 0);
    server_stop(&pair.server);
    assert_in_range(pair.server.served[0].body.len, 0, 300000);
    assert_true(was_sent(&pair, 1, "GET / "));
}

/* ---- what is answered ---- */

static void test_http_gives_a_success_to_the_sink_and_a_refusal_to_the_reply(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_ANSWER, "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello" },
        { STEP_ANSWER, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone" },
        { STEP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole" },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 3, NULL);
    unsigned char memory[16] = { 0 };
    struct sink sink = { .fd = -1, .memory = memory, .memory_bytes = sizeof memory };
    const struct http_request request = { .method = "GET", .sink = &sink, .sink_status = 206 };
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_int_equal(sink.done_bytes, 5);
    assert_memory_equal(memory, "hello", 5);
    assert_int_equal(pair.reply.body.len, 0);
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_int_equal(pair.reply.status, 404);
    assert_string_equal(buf_text(&pair.reply.body), "gone");
    /* The whole was sent where a range was asked for. */
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_int_equal(pair.reply.status, 200);
    assert_string_equal(buf_text(&pair.reply.body), "whole");
    assert_int_equal(sink.done_bytes, 5);
}

static void test_http_writes_a_large_answer_whole(void **state)
{
    (void)state;
    const size_t size = 1000003;
    char *answer = mem_alloc(size + 200);
    const int head = snprintf(answer, 200, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    char *content = some_bytes(size);
    memcpy(answer + head, content, size);
    const struct step steps[] = { { STEP_ANSWER, answer }, { STEP_ANSWER, answer } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 2, NULL);
    unsigned char *memory = mem_alloc(size);
    struct sink sink = { .fd = -1, .memory = memory, .memory_bytes = size };
    const struct http_request request = { .method = "GET", .sink = &sink };
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_int_equal(sink.done_bytes, size);
    assert_memory_equal(memory, content, size);
    /* A sink that takes less. */
    sink_rewind(&sink);
    sink.memory_bytes = size - 1;
    assert_int_equal(send_request(&pair, request, "/"), -1);
    assert_int_equal(pair.err.kind, ERR_LIMIT);
    assert_int_equal(pair.reply.status, 200);
    mem_free(memory);
    mem_free(content);
    server_stop(&pair.server);
    mem_free(answer);
}

static void test_http_reads_chunked_answers_and_skips_interim_ones(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_ANSWER, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Real: 1\r\n\r\n"
                       "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n" },
        { STEP_ANSWER, OK_EMPTY },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 2, NULL);
    assert_int_equal(send_plain(&pair, "GET"), 0);
    assert_int_equal(pair.reply.status, 200);
    assert_string_equal(buf_text(&pair.reply.body), "abcdefg");
    assert_string_equal(http_reply_header(&pair.reply, "x-real"), "1");
    assert_null(http_reply_header(&pair.reply, "link"));
    assert_null(http_reply_header(&pair.reply, "x-trailer"));
    assert_int_equal(send_plain(&pair, "GET"), 0);
    assert_null(http_reply_header(&pair.reply, "x-real"));
    assert_int_equal(pair.reply.body.len, 0);
    server_stop(&pair.server);
    assert_int_equal(pair.server.connections, 1);
}

static void test_http_does_not_follow_a_redirect(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_ANSWER, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\n"
                       "Content-Length: 0\r\n\r\n" },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, NULL);
    assert_int_equal(send_plain(&pair, "GET"), 0);
    assert_int_equal(pair.reply.status, 307);
    assert_string_equal(http_reply_header(&pair.reply, "location"), "http://127.0.0.1:1/");
}

static void test_http_gives_an_answer_that_came_before_the_body_was_sent(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    struct step steps[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        steps[i] = (struct step){ .kind = STEP_EARLY,
                                  .answer = FORBIDDEN,
                                  .take_bytes = i % 2 != 0 ? 1000000 : 0,
                                  .no_continue = i % 10 == 0 };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, COUNT, NULL);
    const size_t size = 24 * 1024 * 1024;
    char *bytes = some_bytes(size);
    for (size_t i = 0; i < COUNT; i++) {
        const int result = send_memory(&pair, "PUT", bytes, size);
        if (result < 0)
            print_error("round %zu: %s\n", i, pair.err.text);
        assert_int_equal(result, 0);
        assert_int_equal(pair.reply.status, 403);
        assert_string_equal(buf_text(&pair.reply.body), "denied");
        assert_true(pair.reply.is_early);
    }
    mem_free(bytes);
}

static void test_http_does_not_believe_a_success_that_came_too_early(void **state)
{
    (void)state;
    const struct step steps[] = { { .kind = STEP_EARLY, .answer = OK_EMPTY, .no_continue = true } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, NULL);
    const size_t size = 24 * 1024 * 1024;
    char *bytes = some_bytes(size);
    assert_int_equal(send_memory(&pair, "PUT", bytes, size), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    mem_free(bytes);
}

static void test_http_finds_that_an_answer_was_cut_off(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this" },
        { STEP_CLOSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n" },
        { STEP_CLOSE, "HTTP/1.1 200 OK\r\nContent-Le" },
        { STEP_CLOSE, "HTTP/1.1 503 Slow Down\r\nContent-Length: 100\r\n\r\nonly this" },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 4, NULL);
    for (size_t i = 0; i < 4; i++) {
        struct sink sink = { .fd = -1 };
        const struct http_request request = { .method = "GET", .sink = &sink };
        assert_int_equal(send_request(&pair, request, "/"), -1);
        assert_int_equal(pair.err.kind, ERR_NET);
        assert_non_null(strstr(pair.err.text, "'127.0.0.1:"));
        assert_int_equal(pair.reply.status, i == 3 ? 503 : 200);
    }
}

static void test_http_refuses_what_is_too_long(void **state)
{
    (void)state;
    char *headers = mem_alloc(400000);
    size_t at = (size_t)snprintf(headers, 100, "HTTP/1.1 200 OK\r\n");
    while (at < 390000)
        at += (size_t)snprintf(headers + at, 100, "X-%zu: %060d\r\n", at, 0);
    snprintf(headers + at, 100, "Content-Length: 0\r\n\r\n");
    const struct step steps[] = {
        { STEP_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world" },
        { STEP_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world" },
        { STEP_CLOSE, headers },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 3, NULL);
    struct http_request request = { .method = "GET", .reply_limit_bytes = 11 };
    assert_int_equal(send_request(&pair, request, "/"), 0);
    request.reply_limit_bytes = 10;
    assert_int_equal(send_request(&pair, request, "/"), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_non_null(strstr(pair.err.text, "too long"));
    assert_int_equal(send_plain(&pair, "GET"), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_non_null(strstr(pair.err.text, "headers"));
    server_stop(&pair.server);
    mem_free(headers);
}

static void test_http_refuses_what_is_not_http(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_CLOSE, "220 ftp.example.org ready\r\n" } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, NULL);
    assert_int_equal(send_plain(&pair, "GET"), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_true(pair.reply.is_sent);
}

/* ---- connections ---- */

static void test_http_keeps_connections(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_ANSWER, OK_EMPTY },
        { STEP_ANSWER, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" },
        { STEP_CLOSE, OK_EMPTY },
        { STEP_ANSWER, OK_EMPTY },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 4, NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(send_plain(&pair, "GET"), 0);
    server_stop(&pair.server);
    static const int expected[] = { 1, 1, 2, 3 };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pair.server.served[i].connection, expected[i]);
}

static void test_http_sends_again_when_a_kept_connection_had_been_closed(void **state)
{
    (void)state;
    static const enum step_kind ends[] = { STEP_CLOSE, STEP_RESET, STEP_EARLY };
    static const size_t sizes[] = { 0, 7, 900000, 24 * 1024 * 1024 };
    char *bytes = some_bytes(sizes[3]);
    for (size_t end = 0; end < 3; end++) {
        for (size_t i = 0; i < 4; i++) {
            const struct step steps[] = { { STEP_ANSWER, OK_EMPTY },
                                          { .kind = ends[end], .no_continue = true },
                                          { STEP_ANSWER, OK_EMPTY } };
            SCOPED(pair) struct pair pair;
            pair_open(&pair, steps, 3, NULL);
            assert_int_equal(send_plain(&pair, "GET"), 0);
            assert_int_equal(send_memory(&pair, "PUT", bytes, sizes[i]), 0);
            assert_int_equal(pair.reply.status, 200);
            assert_true(pair.reply.is_resent);
            assert_false(pair.reply.is_early);
            server_stop(&pair.server);
            assert_int_equal(pair.server.served_count, 3);
            assert_int_equal(pair.server.served[1].connection, 1);
            assert_int_equal(pair.server.served[2].connection, 2);
            assert_int_equal(pair.server.served[2].body.len, sizes[i]);
            if (sizes[i] != 0)
                assert_memory_equal(pair.server.served[2].body.data, bytes, sizes[i]);
        }
    }
    mem_free(bytes);
}

static void test_http_does_not_send_again_what_broke_on_a_fresh_connection(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_CLOSE }, { STEP_RESET }, { STEP_ANSWER, OK_EMPTY } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 3, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(send_memory(&pair, "PUT", "content", 7), -1);
        assert_int_equal(pair.err.kind, ERR_NET);
        assert_true(pair.reply.is_sent);
        assert_false(pair.reply.is_resent);
        assert_int_equal(pair.reply.status, 0);
    }
    server_stop(&pair.server);
    assert_int_equal(pair.server.served_count, 2);
}

static void test_http_does_not_send_again_what_the_server_had_asked_for(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY }, { STEP_CLOSE } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 2, NULL);
    char *bytes = some_bytes(2000000);
    assert_int_equal(send_plain(&pair, "GET"), 0);
    assert_int_equal(send_memory(&pair, "PUT", bytes, 2000000), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_false(pair.reply.is_resent);
    mem_free(bytes);
}

static void test_http_does_not_send_again_after_a_part_of_an_answer(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY },
                                  { STEP_RESET, "HTTP/1.1 200 OK\r\n" },
                                  { STEP_ANSWER, OK_EMPTY } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 3, NULL);
    assert_int_equal(send_plain(&pair, "GET"), 0);
    assert_int_equal(send_plain(&pair, "POST"), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_true(pair.reply.is_sent);
    server_stop(&pair.server);
    assert_int_equal(pair.server.served_count, 2);
}

static void test_http_tells_that_a_connection_was_refused(void **state)
{
    (void)state;
    struct http *http = NULL;
    struct err err = { 0 };
    struct http_reply reply = { 0 };
    assert_int_equal(http_open(&http, &(struct http_options){ 0 }, &err), 0);
    char url[64];
    const unsigned port = server_free_port();
    snprintf(url, sizeof url, "http://127.0.0.1:%u/x", port);
    const struct http_request request = { .method = "GET", .url = url };
    /* Twice: an address known to be bad is tried when there is no other. */
    for (int i = 0; i < 2; i++) {
        err_clear(&err);
        assert_int_equal(http_do(http, &request, &reply, &err), -1);
        assert_int_equal(err.kind, ERR_NET);
        assert_int_equal(err.sys, ECONNREFUSED);
        assert_non_null(strstr(err.text, "refused"));
        assert_false(reply.is_sent);
    }
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY } };
    struct server server;
    server_start(&server, port, steps, 1);
    err_clear(&err);
    assert_int_equal(http_do(http, &request, &reply, &err), 0);
    server_done(&server);
    http_reply_done(&reply);
    http_close(http);
}

static void test_http_passes_over_an_address_that_does_not_answer(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_CLOSE, OK_EMPTY }, { STEP_CLOSE, OK_EMPTY } };
    struct server server;
    server_start(&server, 0, steps, 2);
    char resolve[64];
    char url[64];
    snprintf(resolve, sizeof resolve, "two.example:%u:127.0.0.2,127.0.0.1", server.port);
    snprintf(url, sizeof url, "http://two.example:%u/", server.port);
    const char *const list[] = { resolve, NULL };
    struct http *http = NULL;
    struct err err = { 0 };
    struct http_reply reply = { 0 };
    assert_int_equal(http_open(&http, &(struct http_options){ .resolve = list }, &err), 0);
    const struct http_request request = { .method = "GET", .url = url };
    assert_int_equal(http_do(http, &request, &reply, &err), 0);
    assert_int_equal(http_do(http, &request, &reply, &err), 0);
    server_stop(&server);
    assert_int_equal(server.connections, 2);
    server_done(&server);
    http_reply_done(&reply);
    http_close(http);
}

static void test_http_tells_what_cannot_be_a_url(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum err_kind kind;
    } cases[] = {
        { "ftp://127.0.0.1/x", ERR_CONFIG },
        { "file:///etc/passwd", ERR_CONFIG },
        { "http://", ERR_CONFIG },
        { "http://a b/", ERR_CONFIG },
        { "http://u:p@127.0.0.1:1/", ERR_CONFIG },
        { "http://name.invalid/", ERR_NET },
    };
    struct http *http = NULL;
    struct err err = { 0 };
    struct http_reply reply = { 0 };
    assert_int_equal(http_open(&http, &(struct http_options){ 0 }, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct http_request request = { .method = "GET", .url = cases[i].url };
        err_clear(&err);
        assert_int_equal(http_do(http, &request, &reply, &err), -1);
        assert_int_equal(err.kind, cases[i].kind);
        assert_null(strstr(err.text, "u:p"));
        assert_false(reply.is_sent);
    }
    http_reply_done(&reply);
    http_close(http);
}

static void test_http_open_wants_a_ca_file_that_is_there(void **state)
{
    (void)state;
    struct http *http = NULL;
    struct err err = { 0 };
    const struct http_options options = { .ca_file = "/nonexistent/ca.pem" };
    assert_int_equal(http_open(&http, &options, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.hint, "AWS_CA_BUNDLE"));
    assert_null(http);
    http_close(NULL);
}

/* ---- TLS ---- */

static int send_tls(struct pair *pair, const void *bytes, size_t len)
{
    snprintf(pair->url, sizeof pair->url, "https://127.0.0.1:%u/", pair->server.port);
    struct body body = body_of_memory(bytes, len, NULL, NULL);
    const struct http_request request = { .method = "PUT", .url = pair->url, .body = &body };
    err_clear(&pair->err);
    return http_do(pair->http, &request, &pair->reply, &pair->err);
}

static void pair_open_tls(struct pair *pair, const struct step *steps, size_t count,
                          const char *ca_file, bool is_trusted)
{
    *pair = (struct pair){ 0 };
    server_start_tls(&pair->server, steps, count, ca_file);
    const struct http_options options = { .ca_file = is_trusted ? ca_file : NULL };
    assert_int_equal(http_open(&pair->http, &options, &pair->err), 0);
}

static void test_http_believes_only_certificates_that_verify(void **state)
{
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY } };
    SCOPED(pair) struct pair pair;
    const char *ca_file = scratch_path(*state, "ca.pem");
    pair_open_tls(&pair, steps, 1, ca_file, false);
    assert_int_equal(send_tls(&pair, "content", 7), -1);
    assert_int_equal(pair.err.kind, ERR_CONFIG);
    assert_non_null(strstr(pair.err.text, "does not verify"));
    assert_non_null(strstr(pair.err.hint, "AWS_CA_BUNDLE"));
    assert_false(pair.reply.is_sent);
    server_stop(&pair.server);
    assert_int_equal(pair.server.served_count, 0);
}

static void test_http_sends_over_tls_and_again_when_a_kept_connection_had_been_closed(void **state)
{
    static const enum step_kind ends[] = { STEP_CLOSE, STEP_RESET, STEP_EARLY };
    const char *ca_file = scratch_path(*state, "ca.pem");
    const size_t size = 900000;
    char *bytes = some_bytes(size);
    for (size_t end = 0; end < 3; end++) {
        const struct step steps[] = { { STEP_ANSWER, OK_EMPTY },
                                      { STEP_ANSWER, OK_EMPTY },
                                      { ends[end] },
                                      { STEP_ANSWER, OK_EMPTY } };
        SCOPED(pair) struct pair pair;
        pair_open_tls(&pair, steps, 4, ca_file, true);
        assert_int_equal(send_tls(&pair, bytes, size), 0);
        assert_int_equal(send_tls(&pair, "content", 7), 0);
        assert_false(pair.reply.is_resent);
        assert_int_equal(send_tls(&pair, bytes, size), 0);
        assert_true(pair.reply.is_resent);
        server_stop(&pair.server);
        assert_int_equal(pair.server.connections, 2);
        assert_memory_equal(pair.server.served[0].body.data, bytes, size);
        assert_string_equal(buf_text(&pair.server.served[1].body), "content");
        assert_int_equal(pair.server.served[3].body.len, size);
        assert_memory_equal(pair.server.served[3].body.data, bytes, size);
    }
    mem_free(bytes);
}

static void test_http_ends_a_handshake_that_hangs(void **state)
{
    (void)state;
    const struct step steps[] = { { STEP_HANG } };
    const struct http_options options = { .connect_ms = 300 };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, &options);
    assert_int_equal(send_tls(&pair, "content", 7), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_non_null(strstr(pair.err.text, "no connection to '127.0.0.1:"));
    assert_false(pair.reply.is_sent);
}

/* ---- time ---- */

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_monotonic_ns() - start_ns) / (double)NS_PER_S;
}

static void assert_stalls(const struct step *step, struct http_request request)
{
    const struct http_options options = { .stall_ms = 300 };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, step, 1, &options);
    const int64_t start_ns = clock_monotonic_ns();
    assert_int_equal(send_request(&pair, request, "/"), -1);
    assert_int_equal(pair.err.kind, ERR_NET);
    assert_non_null(strstr(pair.err.text, "stalled"));
    assert_true(seconds_since(start_ns) >= 0.29);
    assert_true(seconds_since(start_ns) < 5);
    assert_true(pair.reply.is_sent);
}

static void test_http_ends_what_stalls(void **state)
{
    (void)state;
    const struct http_request get = { .method = "GET" };
    assert_stalls(&(struct step){ STEP_HANG }, get);
    assert_stalls(&(struct step){ STEP_HANG, "HTTP/1.1 200 OK\r\nContent-Le" }, get);
    assert_stalls(&(struct step){ STEP_HANG, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx" },
                  get);
    /* 100 bytes a second are too few. */
    assert_stalls(
        &(struct step){ STEP_TRICKLE, "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" }, get);
    /* A server that takes the head and then nothing: the kernel's buffers fill. */
    char *bytes = some_bytes(24 * 1024 * 1024);
    struct body body = body_of_memory(bytes, 24 * 1024 * 1024, NULL, NULL);
    const struct http_request put = { .method = "PUT", .body = &body };
    assert_stalls(&(struct step){ .kind = STEP_EARLY, .delay_ms = 4000, .take_bytes = 1000 }, put);
    mem_free(bytes);
}

static void test_http_does_not_take_a_slow_source_for_a_stall(void **state)
{
    (void)state;
    const struct http_options options = { .stall_ms = 200 };
    const struct step steps[] = { { STEP_ANSWER, OK_EMPTY } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, &options);
    struct source source = { .fails_at = UINT64_MAX, .nap_ns = 350 * NS_PER_MS };
    /* Beyond what is sent with the headers: three naps in libcurl's read callback. */
    struct body body = body_of_maker(&maker, &source, 70000);
    source.given_bytes = 40000;
    body.done_bytes = 40000;
    const struct http_request request = { .method = "PUT", .body = &body };
    rewind_source(&source);
    const int64_t start_ns = clock_monotonic_ns();
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_true(seconds_since(start_ns) >= 1.0);
    server_stop(&pair.server);
    assert_int_equal(pair.server.served[0].body.len, 70000);
}

static void test_http_does_not_take_a_slow_sink_for_a_stall(void **state)
{
    (void)state;
    char *answer = mem_alloc(800100);
    const int head = snprintf(answer, 100, "HTTP/1.1 200 OK\r\nContent-Length: 800000\r\n\r\n");
    memset(answer + head, 'x', 800000);
    const struct http_options options = { .stall_ms = 200 };
    const struct step steps[] = { { STEP_ANSWER, answer } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, &options);
    struct rate rate;
    rate_init(&rate, 800000, clock_monotonic_ns());
    const struct flow flow = { .rate = &rate };
    struct sink sink = { .flow = &flow, .fd = -1 };
    const struct http_request request = { .method = "GET", .sink = &sink };
    const int64_t start_ns = clock_monotonic_ns();
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_true(seconds_since(start_ns) >= 0.5);
    assert_int_equal(sink.done_bytes, 800000);
    rate_done(&rate);
    server_stop(&pair.server);
    mem_free(answer);
}

static void test_http_waits_longer_where_the_request_says_so(void **state)
{
    (void)state;
    const struct http_options options = { .stall_ms = 200 };
    const struct step steps[] = {
        { .kind = STEP_ANSWER, .answer = OK_EMPTY, .delay_ms = 600 },
    };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, &options);
    const struct http_request request = { .method = "POST", .stall_ms = 20000 };
    assert_int_equal(send_request(&pair, request, "/"), 0);
    assert_in_range(pair.reply.round_trip_ns, 500 * NS_PER_MS, 19 * NS_PER_S);
}

static void test_http_stop_ends_a_request_that_hangs(void **state)
{
    (void)state;
    struct stop stop = { 0 };
    const struct http_options options = { .stop = &stop };
    const struct step steps[] = { { .kind = STEP_HANG, .then_raise = &stop } };
    SCOPED(pair) struct pair pair;
    pair_open(&pair, steps, 1, &options);
    const int64_t start_ns = clock_monotonic_ns();
    assert_int_equal(send_plain(&pair, "GET"), -1);
    assert_int_equal(pair.err.kind, ERR_STOPPED);
    assert_true(seconds_since(start_ns) < 5);
    assert_true(pair.reply.is_sent);
    /* And does not begin another. */
    assert_int_equal(send_plain(&pair, "GET"), -1);
    assert_int_equal(pair.err.kind, ERR_STOPPED);
    assert_false(pair.reply.is_sent);
}

/* ---- many at once ---- */

struct crowd {
    struct http *http;
    const char *url;
    atomic_uint answered;
};

static void *ask(void *arg)
{
    struct crowd *crowd = arg;
    const struct http_request request = { .method = "GET", .url = crowd->url };
    struct http_reply reply = { 0 };
    struct err err = { 0 };
    if (http_do(crowd->http, &request, &reply, &err) == 0 && reply.status == 200)
        atomic_fetch_add(&crowd->answered, 1);
    http_reply_done(&reply);
    return NULL;
}

static void test_http_serves_threads_with_a_connection_each(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    struct server servers[COUNT];
    struct thread threads[COUNT] = { 0 };
    struct crowd crowds[COUNT];
    char urls[COUNT][64];
    struct http *http = NULL;
    struct err err = { 0 };
    assert_int_equal(http_open(&http, &(struct http_options){ 0 }, &err), 0);
    const struct step step = { .kind = STEP_ANSWER, .answer = OK_EMPTY, .delay_ms = 50 };
    for (size_t i = 0; i < COUNT; i++) {
        server_start(&servers[i], 0, &step, 1);
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%u/", servers[i].port);
        crowds[i] = (struct crowd){ .http = http, .url = urls[i] };
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(thread_start(&threads[i], "ask", ask, &crowds[i], &err), 0);
    for (size_t i = 0; i < COUNT; i++) {
        thread_join(&threads[i]);
        assert_int_equal(atomic_load(&crowds[i].answered), 1);
        server_done(&servers[i]);
    }
    http_close(http);
}

int main(void)
{
    /* What the environment says about proxies is not for this server. */
    setenv("no_proxy", "*", 1);
    struct scratch scratch;
    scratch_open(&scratch);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_sends_the_path_as_it_is),
        cmocka_unit_test(test_http_sends_every_method),
        cmocka_unit_test(test_http_refuses_headers_that_would_be_more_than_one),
        cmocka_unit_test(test_http_streams_bodies_of_all_sizes),
        cmocka_unit_test(test_http_sends_a_file_in_pieces_and_rewinds_what_was_begun),
        cmocka_unit_test(test_http_stops_asking_servers_that_know_no_continue),
        cmocka_unit_test(test_http_passes_on_that_the_body_failed),
        cmocka_unit_test(test_http_gives_a_success_to_the_sink_and_a_refusal_to_the_reply),
        cmocka_unit_test(test_http_writes_a_large_answer_whole),
        cmocka_unit_test(test_http_reads_chunked_answers_and_skips_interim_ones),
        cmocka_unit_test(test_http_does_not_follow_a_redirect),
        cmocka_unit_test(test_http_gives_an_answer_that_came_before_the_body_was_sent),
        cmocka_unit_test(test_http_does_not_believe_a_success_that_came_too_early),
        cmocka_unit_test(test_http_finds_that_an_answer_was_cut_off),
        cmocka_unit_test(test_http_refuses_what_is_too_long),
        cmocka_unit_test(test_http_refuses_what_is_not_http),
        cmocka_unit_test(test_http_keeps_connections),
        cmocka_unit_test(test_http_sends_again_when_a_kept_connection_had_been_closed),
        cmocka_unit_test(test_http_does_not_send_again_what_broke_on_a_fresh_connection),
        cmocka_unit_test(test_http_does_not_send_again_what_the_server_had_asked_for),
        cmocka_unit_test(test_http_does_not_send_again_after_a_part_of_an_answer),
        cmocka_unit_test(test_http_tells_that_a_connection_was_refused),
        cmocka_unit_test(test_http_passes_over_an_address_that_does_not_answer),
        cmocka_unit_test(test_http_tells_what_cannot_be_a_url),
        cmocka_unit_test(test_http_open_wants_a_ca_file_that_is_there),
        cmocka_unit_test_prestate(test_http_believes_only_certificates_that_verify, &scratch),
        cmocka_unit_test_prestate(
            test_http_sends_over_tls_and_again_when_a_kept_connection_had_been_closed, &scratch),
        cmocka_unit_test(test_http_ends_a_handshake_that_hangs),
        cmocka_unit_test(test_http_ends_what_stalls),
        cmocka_unit_test(test_http_does_not_take_a_slow_source_for_a_stall),
        cmocka_unit_test(test_http_does_not_take_a_slow_sink_for_a_stall),
        cmocka_unit_test(test_http_waits_longer_where_the_request_says_so),
        cmocka_unit_test(test_http_stop_ends_a_request_that_hangs),
        cmocka_unit_test(test_http_serves_threads_with_a_connection_each),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&scratch);
    return failed;
}
