#include "http/sigv4.h"

#include "base/ban.h"
#include "base/scope.h"

#include <assert.h>

#define DAY_CHARS 8

static void hmac_text(const void *key, size_t key_len, const char *text, unsigned char *ret_bytes)
{
    digest_hmac_sha256(key, key_len, text, strlen(text), ret_bytes);
}

void sigv4_key_make(struct sigv4_key *key, const struct sigv4_scope *scope, const char day[9])
{
    SCOPED(buf) struct buf first = { 0 };
    buf_printf(&first, "AWS4%s", scope->secret_key);
    unsigned char *bytes = key->bytes;
    hmac_text(first.data, first.len, day, bytes);
    explicit_bzero(first.data, first.len);
    hmac_text(bytes, sizeof key->bytes, scope->region, bytes);
    hmac_text(bytes, sizeof key->bytes, scope->service, bytes);
    hmac_text(bytes, sizeof key->bytes, "aws4_request", bytes);
    memcpy(key->day, day, DAY_CHARS);
    key->day[DAY_CHARS] = '\0';
}

void sigv4_stamp(char ret_stamp[SIGV4_STAMP_BYTES], int64_t seconds)
{
    const time_t time = (time_t)seconds;
    struct tm tm = { 0 };
    gmtime_r(&time, &tm);
    strftime(ret_stamp, SIGV4_STAMP_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

static bool is_plain(unsigned char c, bool keep_slash)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
}

void sigv4_encode(struct buf *out, const char *bytes, size_t len, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_reserve(out, len);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (is_plain(c, keep_slash))
            buf_add_char(out, (char)c);
        else
            buf_add(out, (const char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
    }
}

/* Without spaces at both ends, and one where there were many. */
static void add_header_value(struct buf *out, const char *value)
{
    static const char blanks[] = " \t";
    value += strspn(value, blanks);
    while (*value != '\0') {
        const size_t len = strcspn(value, blanks);
        buf_add(out, value, len);
        value += len;
        value += strspn(value, blanks);
        if (*value != '\0')
            buf_add_char(out, ' ');
    }
}

static void add_signed_headers(struct buf *out, const struct sigv4_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (i != 0)
            buf_add_char(out, ';');
        buf_add_text(out, request->headers[i].name);
    }
}

static void add_canonical_request(struct buf *out, const struct sigv4_request *request)
{
    buf_add_text(out, request->method);
    buf_add_char(out, '\n');
    buf_add_text(out, request->path);
    buf_add_char(out, '\n');
    buf_add_text(out, request->query);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        assert(i == 0 || strcmp(request->headers[i - 1].name, header->name) < 0);
        buf_add_text(out, header->name);
        buf_add_char(out, ':');
        add_header_value(out, header->value);
        buf_add_char(out, '\n');
    }
    buf_add_char(out, '\n');
    add_signed_headers(out, request);
    buf_add_char(out, '\n');
    buf_add_text(out, request->payload);
}

void sigv4_sign(const struct sigv4_key *key, const struct sigv4_scope *scope,
                const struct sigv4_request *request, char ret_signature[SIGV4_SIGNATURE_BYTES])
{
    assert(memcmp(key->day, request->stamp, DAY_CHARS) == 0);
    SCOPED(buf) struct buf text = { 0 };
    buf_reserve(&text, 1024);
    add_canonical_request(&text, request);
    char hash[SIGV4_SIGNATURE_BYTES];
    digest_sha256_hex(text.data, text.len, hash);

    buf_clear(&text);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", request->stamp, key->day,
               scope->region, scope->service, hash);
    unsigned char signature[DIGEST_SHA256_BYTES];
    digest_hmac_sha256(key->bytes, sizeof key->bytes, text.data, text.len, signature);
    digest_hex(signature, sizeof signature, ret_signature);
}

void sigv4_authorize(const struct sigv4_key *key, const struct sigv4_scope *scope,
                     const struct sigv4_request *request, struct buf *ret_value,
                     char *ret_signature)
{
    char signature[SIGV4_SIGNATURE_BYTES];
    sigv4_sign(key, scope, request, signature);
    buf_printf(ret_value, "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=",
               scope->access_key, key->day, scope->region, scope->service);
    add_signed_headers(ret_value, request);
    buf_printf(ret_value, ", Signature=%s", signature);
    if (ret_signature != NULL)
        memcpy(ret_signature, signature, sizeof signature);
}
