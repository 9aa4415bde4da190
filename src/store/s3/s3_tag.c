/* The CRC of an object that went in parts. Metadata is fixed when an upload begins, and then nobody
 * knows the CRC yet; an object's tags can be set when it is there. The tag names the ETag beside
 * the CRC, so it is not believed of what somebody else put in its place. Whoever may not set tags,
 * or is killed before, leaves an object that is proven by its ETag instead, which costs an MD5. */
#include "base/ban.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#include <inttypes.h>

#define TAG_NAME "lade-crc64nvme"
#define TAG_REPLY_MAX ((uint64_t)64 * 1024) /* S3 allows 10 tags of 128 and 256 characters */

static void tag_value(uint64_t crc64, const char *etag, char ret_text[STORE_ETAG_MAX + 20])
{
    snprintf(ret_text, STORE_ETAG_MAX + 20, "%016" PRIx64 ":%s", crc64, etag);
}

/* The tags as XML: 0, or -1 when the server has no such thing, or does not show them to us. One
 * that does not know the query would take a PUT with it for a new object, so it is asked before
 * each. */
static int ask_tags(struct s3_store *store, const char *key, struct http_reply *reply)
{
    SCOPED(buf) struct buf whole = { 0 };
    const struct s3_call call = { .method = "GET",
                                  .key = s3_whole_key(store, key, &whole),
                                  .query = "tagging=",
                                  .reply_limit_bytes = TAG_REPLY_MAX };
    struct err ignored = { 0 };
    if (s3_do(store, &call, reply, &ignored) < 0)
        return -1;
    return strstr(buf_text(&reply->body), "<Tagging") != NULL ? 0 : -1;
}

void s3_tag_put(struct s3_store *store, const char *key, uint64_t crc64, const char *etag)
{
    char value[STORE_ETAG_MAX + 20];
    SCOPED(http_reply) struct http_reply known = { 0 };
    if (ask_tags(store, key, &known) < 0)
        return;
    tag_value(crc64, etag, value);
    SCOPED(buf) struct buf xml = { 0 };
    buf_printf(
        &xml,
        "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>%s</Key>"
        "<Value>%s</Value></Tag></TagSet></Tagging>",
        TAG_NAME, value);
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    struct err ignored = { 0 }; /* the object is whole without it */
    (void)!s3_send_xml(store, "PUT", s3_whole_key(store, key, &whole), "tagging=", &xml, 0, &reply,
                       &ignored);
}

bool s3_tag_get(struct s3_store *store, const char *key, const char *etag, uint64_t *ret_crc64)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (ask_tags(store, key, &reply) < 0)
        return false;
    /* Its own text, in which nothing needs escaping, between the two tags around it. */
    const char *at = strstr(buf_text(&reply.body), "<Key>" TAG_NAME "</Key><Value>");
    if (at == NULL)
        return false;
    at += strlen("<Key>" TAG_NAME "</Key><Value>");
    char expected[STORE_ETAG_MAX + 20];
    unsigned char crc[8];
    if (strnlen(at, 17) < 17 || at[16] != ':')
        return false;
    char digits[17];
    memcpy(digits, at, 16);
    digits[16] = '\0';
    if (digest_unhex(digits, crc, sizeof crc) < 0)
        return false;
    uint64_t crc64 = 0;
    for (size_t i = 0; i < sizeof crc; i++)
        crc64 = crc64 << 8 | crc[i];
    tag_value(crc64, etag, expected);
    const size_t len = strlen(expected);
    if (strncmp(at, expected, len) != 0 || at[len] != '<')
        return false;
    *ret_crc64 = crc64;
    return true;
}
