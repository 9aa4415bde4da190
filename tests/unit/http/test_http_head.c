#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "http/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

/* A reply with the head `text`, whose lines end in CR LF. */
static struct http_reply reply_of(const char *text)
{
    struct http_reply reply = { 0 };
    struct head head = { .reply = &reply };
    struct err err = { 0 };
    while (*text != '\0') {
        const size_t len = strcspn(text, "\n") + 1;
        assert_int_equal(head_add_line(&head, text, len, &err), 0);
        text += len;
    }
    return reply;
}

static void test_http_parse_date_reads_what_servers_send(void **state)
{
    (void)state;
    assert_int_equal(http_parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(http_parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(http_parse_date("Thu, 29 Feb 2024 23:59:59 GMT"), 1709251199);
    assert_int_equal(http_parse_date("Fri, 31 Dec 9999 23:59:59 GMT"), 253402300799);
}

static void test_http_parse_date_refuses_all_else(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37 GM",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 anF 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "2026-11-21T09:30:05.123456Z..",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(http_parse_date(bad[i]), -1);
}

static void assert_retry_after(const char *head, uint32_t expected_ms)
{
    struct http_reply reply = reply_of(head);
    assert_int_equal(http_reply_retry_after_ms(&reply), expected_ms);
    http_reply_done(&reply);
}

static void test_http_retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
#define BUSY "HTTP/1.1 503 Slow Down\r\n"
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert_retry_after(BUSY "\r\n", 0);
    assert_retry_after(BUSY "Retry-After: 7\r\n\r\n", 7000);
    assert_retry_after(BUSY "Retry-After: 0\r\n\r\n", 0);
    assert_retry_after(BUSY "Retry-After: 3600\r\n\r\n", 3600 * 1000);
    assert_retry_after(BUSY "Retry-After: 99999999999999999999\r\n\r\n", 3600 * 1000);
    assert_retry_after(BUSY "Retry-After: -1\r\n\r\n", 0);
    assert_retry_after(BUSY "Retry-After: 1.5\r\n\r\n", 0);
    assert_retry_after(BUSY "Retry-After:\r\n\r\n", 0);
    assert_retry_after(BUSY DATE "Retry-After: Sun, 06 Nov 1994 08:51:38 GMT\r\n\r\n", 121 * 1000);
    assert_retry_after(BUSY DATE "Retry-After: Sun, 06 Nov 1994 08:49:00 GMT\r\n\r\n", 0);
    assert_retry_after(BUSY DATE "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\n", 3600 * 1000);
    /* Without a Date, by our clock. */
    assert_retry_after(BUSY "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 0);
    assert_retry_after(BUSY "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\n", 3600 * 1000);
}

static void test_http_reply_date_is_the_servers_clock(void **state)
{
    (void)state;
    struct http_reply reply = reply_of("HTTP/1.1 200 OK\r\n" DATE "\r\n");
    assert_int_equal(http_reply_date(&reply), 784111777);
    http_reply_done(&reply);
    reply = reply_of("HTTP/1.1 200 OK\r\nDate: today\r\n\r\n");
    assert_int_equal(http_reply_date(&reply), -1);
    http_reply_done(&reply);
    reply = (struct http_reply){ 0 };
    assert_int_equal(http_reply_date(&reply), -1);
    assert_null(http_reply_header(&reply, "date"));
}

static void test_head_takes_lines_as_they_come(void **state)
{
    (void)state;
    struct http_reply reply = reply_of("HTTP/1.1 200\r\n"
                                       "ETag:\"a\"\r\n"
                                       "X-Amz-Meta-Name :  two  words\t\r\n"
                                       "X-Empty:\r\n"
                                       "X-Folded: one\r\n"
                                       "\t two\r\n"
                                       "no colon\r\n"
                                       ": no name\r\n"
                                       "etag: \"b\"\n"
                                       "\r\n"
                                       "X-Trailer: 1\r\n"
                                       "HTTP/1.1 500 not a head any more\r\n");
    assert_string_equal(http_reply_header(&reply, "etag"), "\"a\"");
    assert_string_equal(http_reply_header(&reply, "x-amz-meta-name"), "two  words");
    assert_string_equal(http_reply_header(&reply, "x-empty"), "");
    assert_string_equal(http_reply_header(&reply, "x-folded"), "one two");
    assert_null(http_reply_header(&reply, "x-trailer"));
    assert_null(http_reply_header(&reply, ""));
    /* The value of one is not the name of another. */
    assert_null(http_reply_header(&reply, "two  words"));
    http_reply_done(&reply);
}

static void test_head_forgets_an_interim_one(void **state)
{
    (void)state;
    struct http_reply reply = { 0 };
    struct head head = { .reply = &reply };
    struct err err = { 0 };
    static const char *const lines[] = { "HTTP/1.1 100 Continue\r\n", "X-Interim: 1\r\n", "\r\n",
                                         "HTTP/1.1 204 None\r\n", "X-Final: 1\r\n" };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(head_add_line(&head, lines[i], strlen(lines[i]), &err), 0);
    assert_int_equal(head.status, 204);
    assert_true(head.has_continue);
    assert_false(head.is_over);
    assert_int_equal(head_add_line(&head, "\r\n", 2, &err), 0);
    assert_true(head.is_over);
    assert_null(http_reply_header(&reply, "x-interim"));
    assert_string_equal(http_reply_header(&reply, "x-final"), "1");
    http_reply_done(&reply);
}

static void test_head_has_an_end(void **state)
{
    (void)state;
    struct http_reply reply = { 0 };
    struct head head = { .reply = &reply };
    struct err err = { 0 };
    static const char line[] = "HTTP/1.1 100 Continue\r\n";
    size_t lines = 0;
    while (head_add_line(&head, line, sizeof line - 1, &err) == 0)
        lines++;
    assert_int_equal(err.kind, ERR_NET);
    assert_int_equal(lines, HEAD_BYTES_MAX / (sizeof line - 1));
    http_reply_done(&reply);
}

static void test_host_of_url_leaves_secrets_out(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
    } cases[] = {
        { "https://a3s.fi/bucket/key", "a3s.fi" },
        { "http://127.0.0.1:9000", "127.0.0.1:9000" },
        { "http://u:p@h:1/x@y", "h:1" },
        { "https://[::1]:8443/?a=b@c", "[::1]:8443" },
        { "h/x", "h" },
        { "http://h?x=http://y", "h" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct host host = host_of_url(cases[i].url);
        char text[64];
        snprintf(text, sizeof text, "%.*s", host.len, host.text);
        assert_string_equal(text, cases[i].host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_parse_date_reads_what_servers_send),
        cmocka_unit_test(test_http_parse_date_refuses_all_else),
        cmocka_unit_test(test_http_retry_after_is_seconds_or_a_date),
        cmocka_unit_test(test_http_reply_date_is_the_servers_clock),
        cmocka_unit_test(test_head_takes_lines_as_they_come),
        cmocka_unit_test(test_head_forgets_an_interim_one),
        cmocka_unit_test(test_head_has_an_end),
        cmocka_unit_test(test_host_of_url_leaves_secrets_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
