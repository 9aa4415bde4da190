/* Whole objects: head, get, put, copy. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

/* ---- head ---- */

static int ask_head(struct s3_store *store, const char *key, const char *if_match,
                    struct http_reply *reply, struct err *err)
{
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(buf) struct buf quoted = { 0 };
    buf_printf(&quoted, "\"%s\"", if_match);
    const struct http_header header = { "if-match", quoted.data };
    const struct s3_call call = { .method = "HEAD",
                                  .key = s3_whole_key(store, key, &whole),
                                  .headers = &header,
                                  .header_count = if_match[0] != '\0' };
    return s3_do(store, &call, reply, err);
}

int s3_head_nonce(struct s3_store *store, const char *key, struct object *ret_object,
                  char ret_nonce[S3_NONCE_MAX], struct err *err)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (store->place.prefix[0] == '\0' && key[0] == '\0')
        return err_set(err, ERR_ABSENT, "a bucket is no object");
    if (ask_head(store, key, "", &reply, err) < 0)
        return -1;
    const char *nonce = http_reply_header(&reply, S3_NONCE_HEADER);
    snprintf(ret_nonce, S3_NONCE_MAX, "%s", nonce != NULL ? nonce : "");
    return s3_meta_object(&reply, key, ret_object, err);
}

int s3_head(struct store *base, const char *key, struct object *ret_object, struct err *err)
{
    char nonce[S3_NONCE_MAX];
    struct s3_store *store = s3_store_of(base);
    if (s3_head_nonce(store, key, ret_object, nonce, err) < 0)
        return -1;
    /* Went in parts: the metadata, which was fixed before, has no CRC. */
    if ((ret_object->attr.have & ATTR_CRC64) == 0 && strchr(ret_object->etag, '-') != NULL &&
        s3_tag_get(store, key, ret_object->etag, &ret_object->attr.crc64))
        ret_object->attr.have |= ATTR_CRC64;
    return 0;
}

/* ---- get ---- */

static int changed(const char *key, struct err *err)
{
    err_clear(err);
    return err_set(err, ERR_CHANGED, "'%s' is another one now", key);
}

/* Nothing of it is wanted, or there is nothing that far: only what head() says. */
static int get_nothing(struct s3_store *store, const char *key, const char *if_match,
                       struct object *ret_object, struct err *err)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (ask_head(store, key, if_match, &reply, err) < 0)
        return err->http == 412 ? changed(key, err) : -1;
    return ret_object != NULL ? s3_meta_object(&reply, key, ret_object, err) : 0;
}

static void add_range(struct s3_headers *headers, uint64_t offset_bytes, uint64_t length_bytes)
{
    char text[64];
    if (length_bytes == UINT64_MAX)
        snprintf(text, sizeof text, "bytes=%llu-", (unsigned long long)offset_bytes);
    else
        snprintf(text, sizeof text, "bytes=%llu-%llu", (unsigned long long)offset_bytes,
                 (unsigned long long)offset_bytes + length_bytes - 1);
    s3_headers_add(headers, "range", text);
}

/* As many bytes as the object has there, no less. */
static int check_length(const struct http_reply *reply, uint64_t offset_bytes,
                        uint64_t length_bytes, uint64_t got_bytes, const char *key, struct err *err)
{
    struct object object = { 0 };
    const int result = s3_meta_object(reply, key, &object, err);
    const uint64_t size = object.size_bytes;
    object_done(&object);
    if (result < 0)
        return -1;
    const uint64_t behind = offset_bytes < size ? size - offset_bytes : 0;
    const uint64_t want = length_bytes < behind ? length_bytes : behind;
    return got_bytes == want ? 0
                             : err_set(err, ERR_NET, "%llu bytes came of %llu",
                                       (unsigned long long)got_bytes, (unsigned long long)want);
}

int s3_get(struct store *base, const char *key, uint64_t offset_bytes, uint64_t length_bytes,
           const char *if_match, struct sink *sink, struct object *ret_object, struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    const char *match = if_match != NULL ? if_match : "";
    if (length_bytes == 0)
        return get_nothing(store, key, match, ret_object, err);
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(s3_headers) struct s3_headers headers = { 0 };
    if (offset_bytes != 0 || length_bytes != UINT64_MAX)
        add_range(&headers, offset_bytes, length_bytes);
    if (match[0] != '\0') {
        SCOPED(buf) struct buf quoted = { 0 };
        buf_printf(&quoted, "\"%s\"", match);
        s3_headers_add(&headers, "if-match", quoted.data);
    }
    const struct s3_call call = { .method = "GET",
                                  .key = s3_whole_key(store, key, &whole),
                                  .headers = headers.items,
                                  .header_count = headers.count,
                                  .sink = sink };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    const uint64_t before = sink->done_bytes;
    if (s3_do(store, &call, &reply, err) < 0) {
        if (err->http == 412)
            return changed(key, err);
        if (err->http != 416)
            return -1;
        err_clear(err);
        return get_nothing(store, key, match, ret_object, err);
    }
    /* What says 200 to everything is no store; its page is no object. */
    if (http_reply_header(&reply, "etag") == NULL)
        return err_set(err, ERR_SERVER, "the answer has no ETag");
    if (check_length(&reply, offset_bytes, length_bytes, sink->done_bytes - before, key, err) < 0)
        return -1;
    return ret_object != NULL ? s3_meta_object(&reply, key, ret_object, err) : 0;
}

/* ---- put ---- */

static int conflict(const char *key, struct err *err)
{
    err_clear(err);
    return err_set(err, ERR_CONFLICT, "'%s' is there already", key);
}

/* Ours after all, when the answer to an earlier try was lost? The nonce is the tag's. */
static bool is_ours(struct s3_store *store, const struct store_put *put, const char *nonce,
                    const struct s3_load *load, struct store_result *ret_result)
{
    char found[S3_NONCE_MAX];
    struct err ignored = { 0 };
    SCOPED(object) struct object object = { 0 };
    if (s3_head_nonce(store, put->key, &object, found, &ignored) < 0 || strcmp(found, nonce) != 0 ||
        object.size_bytes != load->body->size_bytes || (object.attr.have & ATTR_CRC64) == 0 ||
        object.attr.crc64 != load->crc64)
        return false;
    memcpy(ret_result->etag, object.etag, STORE_ETAG_MAX);
    return true;
}

/* 1: there is one, and it is ours. */
static int check_absent(struct s3_store *store, const struct store_put *put, const char *nonce,
                        const struct s3_load *load, struct store_result *ret_result,
                        struct err *err)
{
    SCOPED(object) struct object object = { 0 };
    struct err why = { 0 };
    char found[S3_NONCE_MAX];
    if (s3_head_nonce(store, put->key, &object, found, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        *err = why;
        return -1;
    }
    return is_ours(store, put, nonce, load, ret_result) ? 1 : conflict(put->key, err);
}

/* The same for each try to put this entry, and for nobody else. */
static void nonce_of_tag(const char *tag, char ret_nonce[S3_NONCE_MAX])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = tag; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    snprintf(ret_nonce, S3_NONCE_MAX, "%016llx", (unsigned long long)hash);
}

static void take_etag(const struct http_reply *reply, struct store_result *ret_result)
{
    const char *etag = http_reply_header(reply, "etag");
    s3_etag_copy(ret_result->etag, etag != NULL ? etag : "");
}

/* 1: it is there already, from an earlier try. */
static int send_put(struct s3_store *store, const struct store_put *put, struct s3_load *load,
                    const char *nonce, struct store_result *ret_result, struct err *err)
{
    SCOPED(s3_headers) struct s3_headers headers = { 0 };
    SCOPED(buf) struct buf whole = { 0 };
    if (s3_meta_headers(store, put, &load->crc64, put->if_absent ? nonce : NULL, &headers, err) < 0)
        return -1;
    if (put->if_absent)
        s3_headers_add(&headers, "if-none-match", "*");
    if (load->by_crc64)
        s3_headers_add(&headers, S3_CRC64_HEADER, load->crc64_text);
    const struct s3_call call = { .method = "PUT",
                                  .key = s3_whole_key(store, put->key, &whole),
                                  .headers = headers.items,
                                  .header_count = headers.count,
                                  .body = load->body,
                                  .payload = load->sha256,
                                  .is_upload = true };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (s3_do(store, &call, &reply, err) < 0) {
        if (!put->if_absent || err->http != 412)
            /* The worker tries it again, without the header then. */
            return load->by_crc64 && s3_doubts(store, S3_PROOF_HEADER, err)
                       ? s3_error_as(err, ERR_SERVER)
                       : -1;
        if (!is_ours(store, put, nonce, load, ret_result))
            return conflict(put->key, err);
        err_clear(err);
        return 1;
    }
    take_etag(&reply, ret_result);
    if (ret_result->etag[0] == '\0')
        return err_set(err, ERR_SERVER, "the answer has no ETag");
    return 0;
}

/* Nothing has to be sent, but the caller's digest wants its bytes. */
static int digest_only(struct body *body, struct err *err)
{
    const void *bytes = NULL;
    size_t len = 1;
    body_rewind(body);
    while (len != 0)
        if (body_next(body, &bytes, &len, err) < 0)
            return -1;
    return 0;
}

int s3_put(struct store *base, const struct store_put *put, struct body *body,
           struct store_result *ret_result, struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    /* In the metadata, too, is the CRC: it must be known beforehand, so a trailer gains nothing. */
    struct s3_load load = { .by_crc64 =
                                body->size_bytes != 0 && s3_proof(store) >= S3_PROOF_HEADER };
    char nonce[S3_NONCE_MAX];
    if (s3_load_body(&load, body, store->stop, err) < 0)
        return -1;
    nonce_of_tag(put->tag, nonce);
    *ret_result = (struct store_result){ 0 };
    int result = 0;
    /* Before the body goes: a store that does not know If-None-Match would replace. */
    if (put->if_absent)
        result = check_absent(store, put, nonce, &load, ret_result, err);
    if (result == 0)
        result = send_put(store, put, &load, nonce, ret_result, err);
    if (result > 0)
        result = digest_only(load.body, err);
    s3_load_end(&load, body);
    return result < 0 ? -1 : 0;
}

/* ---- copy ---- */

static int send_copy(struct s3_store *store, const char *from_key, const char *to_key,
                     struct s3_headers *headers, const char *directive,
                     struct store_result *ret_result, struct err *err)
{
    SCOPED(buf) struct buf from = { 0 };
    SCOPED(buf) struct buf source = { 0 };
    SCOPED(buf) struct buf to = { 0 };
    s3_whole_key(store, from_key, &from);
    buf_add_char(&source, '/');
    sigv4_encode(&source, store->place.bucket, strlen(store->place.bucket), false);
    buf_add_char(&source, '/');
    sigv4_encode(&source, from.data, from.len, true);
    s3_headers_add(headers, "x-amz-copy-source", source.data);
    s3_headers_add(headers, "x-amz-metadata-directive", directive);
    const struct s3_call call = { .method = "PUT",
                                  .key = s3_whole_key(store, to_key, &to),
                                  .headers = headers->items,
                                  .header_count = headers->count };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (s3_do(store, &call, &reply, err) < 0)
        return -1;
    SCOPED(buf) struct buf etag = { 0 };
    if (s3_xml_need(buf_text(&reply.body), reply.body.len, "ETag", &etag, err) < 0)
        return -1;
    s3_etag_copy(ret_result->etag, buf_text(&etag));
    return 0;
}

int s3_copy(struct store *base, const char *from_key, const struct store_put *put,
            struct store_result *ret_result, struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    SCOPED(object) struct object from = { 0 };
    if (s3_head(base, from_key, &from, err) < 0)
        return -1;
    SCOPED(s3_headers) struct s3_headers headers = { 0 };
    const bool replaces = put->attr != NULL || put->meta_count != 0;
    const bool has_crc = (from.attr.have & ATTR_CRC64) != 0;
    if (s3_meta_headers(store, put, replaces && has_crc ? &from.attr.crc64 : NULL, NULL, &headers,
                        err) < 0)
        return -1;
    if (put->if_absent) {
        SCOPED(object) struct object there = { 0 };
        struct err absent = { 0 };
        if (s3_head(base, put->key, &there, &absent) == 0)
            return conflict(put->key, err);
    }
    return send_copy(store, from_key, put->key, &headers, replaces ? "REPLACE" : "COPY", ret_result,
                     err);
}

/* What is recorded can only be changed by copying the object onto itself; what was recorded beside
 * the attributes comes along. */
int s3_set_attr(struct store *base, const char *key, const struct attr *attr, struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (ask_head(store, key, "", &reply, err) < 0)
        return -1;
    const struct store_put put = { .key = key, .tag = "", .attr = attr };
    SCOPED(s3_headers) struct s3_headers headers = { 0 };
    if (s3_meta_headers(store, &put, NULL, NULL, &headers, err) < 0)
        return -1;
    const char *at = reply.headers.data;
    const char *end = at + reply.headers.len;
    while (at != NULL && at < end) {
        const char *value = at + strlen(at) + 1;
        const bool is_meta = strncmp(at, "x-amz-meta-", sizeof "x-amz-meta-" - 1) == 0;
        if (is_meta && !s3_headers_have(&headers, at))
            s3_headers_add(&headers, at, value);
        at = value + strlen(value) + 1;
    }
    struct store_result result;
    return send_copy(store, key, key, &headers, "REPLACE", &result, err);
}
