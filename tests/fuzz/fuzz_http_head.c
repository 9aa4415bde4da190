/* The head of an answer: lines that end in LF, whatever they hold. What is read out of it keeps its
 * promises. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "http/http_internal.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* Names and values in turn, each with its NUL. */
static void walk(const struct http_reply *reply)
{
    size_t strings = 0;
    for (size_t at = 0; at < reply->headers.len; strings++) {
        const char *text = reply->headers.data + at;
        if (strings % 2 == 0)
            require(http_reply_header(reply, text) != NULL);
        require(strpbrk(text, "\n") == NULL);
        at += strlen(text) + 1;
        require(at <= reply->headers.len);
    }
    require(strings % 2 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply reply = { 0 };
    struct head head = { .reply = &reply };
    struct err err = { 0 };
    const char *at = (const char *)data;
    const char *end = at + size;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const size_t len = (size_t)((line_end != NULL ? line_end + 1 : end) - at);
        if (head_add_line(&head, at, len, &err) < 0) {
            require(err.kind == ERR_NET && head.total_bytes > HEAD_BYTES_MAX);
            break;
        }
        at += len;
    }
    require(head.status == 0 || (head.status >= 100 && head.status <= 999));
    require(!head.is_over || head.status >= 200);
    walk(&reply);
    require(http_reply_retry_after_ms(&reply) <= 3600 * 1000);
    require(http_reply_date(&reply) >= -1);
    http_reply_done(&reply);
    return 0;
}
