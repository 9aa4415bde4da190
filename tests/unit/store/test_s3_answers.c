/* What the driver makes of answers to copy() and commit(): a success may turn out to be none. */
#include "store/s3/s3.h"

#include "../http/server.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD_OF_SOURCE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"abc\"\r\n\r\n"
#define NOT_FOUND "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define PADDING 5000

static const struct {
    const char *body;
    bool is_padded; /* by blanks behind the declaration, as a store sends them to keep it waiting */
    enum err_kind kind;
} answers[] = {
    { XML "<Error><Code>InternalError</Code></Error>", false, ERR_SERVER },
    { XML "<Error><Code>InternalError</Code></Error>", true, ERR_SERVER },
    { XML "<Error><Code>SlowDown</Code><Message>less</Message></Error>", false, ERR_BUSY },
    { XML "<Error><Code>AccessDenied</Code></Error>", false, ERR_DENIED },
    { "\n  \n" XML "<Error><Code>AccessDenied</Code></Error>", false, ERR_DENIED },
    { XML "<html><head><title>Please log in</title></head></html>", false, ERR_SERVER },
    { XML "<Result><ETag>\"ab", false, ERR_SERVER },
    { "", false, ERR_SERVER },
    { XML "<Result><ETag>\"new\"</ETag></Result>", false, ERR_NONE },
    { XML "<Result><ETag>\"new\"</ETag></Result>", true, ERR_NONE },
    { "  \n" XML "<Result><ETag>\"new\"</ETag></Result>", false, ERR_NONE },
};
#define ANSWERS (sizeof answers / sizeof *answers)

static void write_answer(size_t number, struct buf *text)
{
    SCOPED(buf) struct buf body = { 0 };
    const size_t declared = answers[number].is_padded ? sizeof XML - 1 : 0;
    buf_add(&body, answers[number].body, declared);
    for (size_t i = 0; declared != 0 && i < PADDING; i++)
        buf_add_char(&body, ' ');
    buf_add_text(&body, answers[number].body + declared);
    buf_printf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", body.len, buf_text(&body));
}

static struct store *open_at(const struct server *server)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", server->port);
    const struct store_options options = { .access = { .endpoint_url = url, .region = "here" } };
    struct store *store = NULL;
    struct err err = { 0 };
    if (s3_driver.open(&store, "//bucket", &options, &err) < 0)
        fail_msg("open: %s", err.text);
    return store;
}

static void expect(const struct server *server, size_t number, const char *start)
{
    assert_true(number < server->served_count);
    const char *head = buf_text(&server->served[number].head);
    if (strncmp(head, start, strlen(start)) != 0)
        fail_msg("request %zu is not '%s' but %.80s", number, start, head);
}

static void test_copy_that_only_seems_to_succeed_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        SCOPED(buf) struct buf answer = { 0 };
        write_answer(i, &answer);
        const struct step steps[] = { { STEP_ANSWER, HEAD_OF_SOURCE },
                                      { STEP_ANSWER, answer.data } };
        struct server server;
        server_start(&server, 0, steps, 2);
        struct store *store = open_at(&server);
        const struct store_put put = { .key = "to", .tag = "t" };
        struct store_result result = { 0 };
        struct err err = { 0 };
        const int copied = s3_driver.copy(store, "from", &put, &result, &err);
        if (err.kind != answers[i].kind)
            fail_msg("answer %zu: %s", i, err.text);
        assert_int_equal(copied, answers[i].kind == ERR_NONE ? 0 : -1);
        assert_string_equal(result.etag, answers[i].kind == ERR_NONE ? "new" : "");
        s3_driver.close(store);
        server_stop(&server);
        expect(&server, 1, "PUT /bucket/to ");
        server_done(&server);
    }
}

/* ---- commit: whether it was carried out is seen by what is there ---- */

#define NONCE "0123456789abcdef"
#define HEAD_OF_OURS                                                                               \
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"ours\"\r\nx-amz-meta-lade-nonce: " NONCE      \
    "\r\n\r\n"
#define PARTS_THERE                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n<ListPartsResult></ListPartsResult>  "

static enum err_kind commit_at(const struct server *server, struct store_result *ret_result)
{
    struct store *store = open_at(server);
    const struct store_put put = { .key = "to", .tag = "t" };
    const struct store_part part = { .number = 1, .size_bytes = 4, .etag = "part" };
    struct err err = { 0 };
    const int done = s3_driver.commit(store, &put, "4:" NONCE ":id", &part, 1, ret_result, &err);
    assert_int_equal(done, err.kind == ERR_NONE ? 0 : -1);
    s3_driver.close(store);
    return err.kind;
}

static void test_commit_that_only_seems_to_succeed_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        SCOPED(buf) struct buf answer = { 0 };
        write_answer(i, &answer);
        const struct step steps[] = { { STEP_ANSWER, answer.data },
                                      { STEP_ANSWER, NOT_FOUND },
                                      { STEP_ANSWER, PARTS_THERE } };
        struct server server;
        server_start(&server, 0, steps, 3);
        struct store_result result = { 0 };
        const enum err_kind kind = commit_at(&server, &result);
        server_stop(&server);
        if (kind != answers[i].kind)
            fail_msg("answer %zu: kind %d", i, kind);
        assert_string_equal(result.etag, kind == ERR_NONE ? "new" : "");
        expect(&server, 0, "POST /bucket/to?uploadId=id ");
        if (kind != ERR_NONE)
            expect(&server, 1, "HEAD /bucket/to ");
        server_done(&server);
    }
}

static void test_commit_that_only_seems_to_fail_succeeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        if (answers[i].kind == ERR_NONE)
            continue;
        SCOPED(buf) struct buf answer = { 0 };
        write_answer(i, &answer);
        const struct step steps[] = { { STEP_ANSWER, answer.data }, { STEP_ANSWER, HEAD_OF_OURS } };
        struct server server;
        server_start(&server, 0, steps, 2);
        struct store_result result = { 0 };
        assert_int_equal(commit_at(&server, &result), ERR_NONE);
        server_stop(&server);
        assert_string_equal(result.etag, "ours");
        server_done(&server);
    }
}

/* Ceph 16 leaves the ETag of its first answer empty. */
static void test_commit_without_etag_asks_for_it(void **state)
{
    (void)state;
    const struct step steps[] = {
        { STEP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n<Result><ETag/></Result>" },
        { STEP_ANSWER, HEAD_OF_OURS }
    };
    struct server server;
    server_start(&server, 0, steps, 2);
    struct store_result result = { 0 };
    assert_int_equal(commit_at(&server, &result), ERR_NONE);
    server_done(&server);
    assert_string_equal(result.etag, "ours");
}

static enum err_kind make_bucket_at(const struct server *server)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", server->port);
    const struct store_options options = { .access = { .endpoint_url = url, .region = "here" },
                                           .make_bucket = true };
    struct store *store = NULL;
    struct err err = { 0 };
    if (s3_driver.open(&store, "//bucket", &options, &err) == 0)
        s3_driver.close(store);
    return err.kind;
}

static void add_conflict(struct buf *text, const char *code)
{
    SCOPED(buf) struct buf body = { 0 };
    buf_printf(&body, XML "<Error><Code>%s</Code></Error>", code);
    buf_printf(text, "HTTP/1.1 409 Conflict\r\nContent-Length: %zu\r\n\r\n%s", body.len, body.data);
}

/* Ceph says that the bucket is somebody's while an earlier request makes it. */
static void test_bucket_that_is_being_made_is_ours(void **state)
{
    (void)state;
    SCOPED(buf) struct buf somebodys = { 0 };
    SCOPED(buf) struct buf ours = { 0 };
    add_conflict(&somebodys, "BucketAlreadyExists");
    add_conflict(&ours, "BucketAlreadyOwnedByYou");
    const struct step steps[] = { { STEP_ANSWER, somebodys.data }, { STEP_ANSWER, ours.data } };
    struct server server;
    server_start(&server, 0, steps, 2);
    assert_int_equal(make_bucket_at(&server), ERR_NONE);
    assert_int_equal(server.served_count, 2);
    server_done(&server);
    const struct step never[] = { steps[0], steps[0], steps[0] };
    server_start(&server, 0, never, 3);
    assert_int_equal(make_bucket_at(&server), ERR_CONFLICT);
    assert_int_equal(server.served_count, 3);
    server_done(&server);
}

int main(void)
{
    /* What the environment says about proxies and accounts is not for this server. */
    setenv("no_proxy", "*", 1);
    setenv("AWS_ACCESS_KEY_ID", "AK", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_CA_BUNDLE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_that_only_seems_to_succeed_fails),
        cmocka_unit_test(test_commit_that_only_seems_to_succeed_fails),
        cmocka_unit_test(test_commit_that_only_seems_to_fail_succeeds),
        cmocka_unit_test(test_commit_without_etag_asks_for_it),
        cmocka_unit_test(test_bucket_that_is_being_made_is_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
