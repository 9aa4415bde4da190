/* Large objects in parts. A token is "SIZE:NONCE:ID", or "SIZEc:NONCE:ID" when each part carries
 * its CRC64NVME, which some servers want to know at the beginning (in a header or behind the part:
 * to the upload that is the same): the size promised to begin(), a
 * random number that is recorded with the object, so that HEAD can tell whether a commit whose
 * answer was lost was carried out, and the store's upload id. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#include <sys/random.h>

#define COMPLETE_REPLY_MAX (1u << 20)
#define ID_MAX (STORE_TOKEN_MAX - 48)

struct token {
    uint64_t size_bytes;
    bool by_crc64;
    char nonce[S3_NONCE_MAX];
    const char *id; /* in the token's text */
};

static int token_parse(struct token *ret_token, const char *text, struct err *err)
{
    char *end = NULL;
    const unsigned long long size = strtoull(text, &end, 10);
    const bool by_crc64 = *end == 'c';
    end += by_crc64;
    const char *colon = *end == ':' ? strchr(end + 1, ':') : NULL;
    if (colon == NULL || colon - end - 1 >= S3_NONCE_MAX || colon[1] == '\0')
        return err_set(err, ERR_CORRUPT, "'%s' is no token of an upload to S3", text);
    *ret_token = (struct token){ .size_bytes = size, .by_crc64 = by_crc64, .id = colon + 1 };
    memcpy(ret_token->nonce, end + 1, (size_t)(colon - end - 1));
    return 0;
}

static void add_upload_id(struct buf *query, const char *id)
{
    buf_printf(query, "%suploadId=", query->len != 0 ? "&" : "");
    sigv4_encode(query, id, strlen(id), false);
}

/* ---- begin ---- */

static struct s3_lost **find_lost(struct s3_store *store, const char *key)
{
    struct s3_lost **at = &store->lost;
    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static void note_lost(struct s3_store *store, const char *key, int64_t sent_ns)
{
    SCOPED_LOCK(&store->lock);
    if (*find_lost(store, key) != NULL)
        return;
    struct s3_lost *lost = mem_alloc(sizeof *lost);
    *lost = (struct s3_lost){ .next = store->lost, .key = mem_string(key), .sent_ns = sent_ns };
    store->lost = lost;
}

/* Once more, now that answers come again. is_over: nothing of this key is on its way any more. */
static void sweep_lost(struct s3_store *store, const char *key, const char *own_id, bool is_over)
{
    lock_take(&store->lock);
    struct s3_lost **at = find_lost(store, key);
    struct s3_lost *lost = *at;
    const int64_t sent_ns = lost != NULL ? lost->sent_ns : 0;
    if (lost != NULL && is_over) {
        *at = lost->next;
        mem_release(lost->key);
        mem_release(lost);
    }
    lock_give(&store->lock);
    if (sent_ns != 0)
        s3_uploads_sweep(store, key, sent_ns, clock_now_ns(), own_id);
}

void s3_lost_done(struct s3_store *store)
{
    while (store->lost != NULL) {
        struct s3_lost *next = store->lost->next;
        mem_release(store->lost->key);
        mem_release(store->lost);
        store->lost = next;
    }
}

static int make_nonce(char ret_nonce[S3_NONCE_MAX], struct err *err)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return err_sys(err, ERR_LOCAL, "ask for a random number");
    snprintf(ret_nonce, S3_NONCE_MAX, "%016llx", (unsigned long long)number);
    return 0;
}

static int check_absent(struct s3_store *store, const char *key, struct err *err)
{
    SCOPED(object) struct object object = { 0 };
    struct err why = { 0 };
    if (s3_head(&store->base, key, &object, &why) == 0)
        return err_set(err, ERR_CONFLICT, "'%s' is there already", key);
    if (why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return -1;
}

int s3_begin(struct store *base, const struct store_put *put, uint64_t size_bytes,
             char ret_token[STORE_TOKEN_MAX], struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    char nonce[S3_NONCE_MAX];
    SCOPED(s3_headers) struct s3_headers headers = { 0 };
    const bool has_crc = put->attr != NULL && (put->attr->have & ATTR_CRC64) != 0;
    if (make_nonce(nonce, err) < 0 ||
        s3_meta_headers(store, put, has_crc ? &put->attr->crc64 : NULL, nonce, &headers, err) < 0 ||
        (put->if_absent && check_absent(store, put->key, err) < 0))
        return -1;
    const bool by_crc64 = s3_proof(store) >= S3_PROOF_HEADER;
    /* Its type is then FULL_OBJECT: no checksums of parts in the commit. */
    if (by_crc64)
        s3_headers_add(&headers, "x-amz-checksum-algorithm", "CRC64NVME");
    if (size_bytes != STORE_GROWS) {
        char part_bytes[24];
        snprintf(part_bytes, sizeof part_bytes, "%llu",
                 (unsigned long long)store_part_bytes(&base->limits, size_bytes));
        s3_headers_add(&headers, S3_PART_HEADER, part_bytes);
    }
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    const struct s3_call call = { .method = "POST",
                                  .key = s3_whole_key(store, put->key, &whole),
                                  .query = "uploads=",
                                  .headers = headers.items,
                                  .header_count = headers.count };
    SCOPED(buf) struct buf id = { 0 };
    const int64_t sent_ns = clock_now_ns();
    int result = s3_do(store, &call, &reply, err);
    const bool may_be_there = result == 0 || err->http == 0 || err->http >= 500;
    if (result == 0)
        result = s3_xml_need(buf_text(&reply.body), reply.body.len, "UploadId", &id, err);
    if (result == 0 && (id.len == 0 || id.len > ID_MAX))
        result = err_set(err, ERR_SERVER, "the answer names no upload");
    if (result < 0) {
        if (may_be_there)
            note_lost(store, put->key, sent_ns);
        return by_crc64 && s3_doubts(store, S3_PROOF_HEADER, err) ? s3_error_as(err, ERR_SERVER)
                                                                  : -1;
    }
    /* Sent twice over a connection that broke: the first may have been carried out as well. */
    if (reply.is_resent)
        note_lost(store, put->key, sent_ns);
    sweep_lost(store, put->key, id.data, false);
    snprintf(ret_token, STORE_TOKEN_MAX, "%llu%s:%s:%s", (unsigned long long)size_bytes,
             by_crc64 ? "c" : "", nonce, id.data);
    return 0;
}

/* ---- parts ---- */

/* One part on its way. */
struct sending {
    const struct token *token;
    const char *key;
    uint32_t number;
    struct body *body;
    bool by_trailer; /* the body's digest is told behind it */
    bool streams;    /* it is read only once */
};

static int send_part(struct s3_store *store, const struct sending *sending,
                     const struct s3_load *load, struct http_reply *reply, struct err *err)
{
    SCOPED(buf) struct buf query = { 0 };
    SCOPED(buf) struct buf whole = { 0 };
    buf_printf(&query, "partNumber=%u", sending->number);
    add_upload_id(&query, sending->token->id);
    /* A bucket's policy may ask for the ACL with each part (Ceph). */
    struct http_header headers[2];
    size_t header_count = 0;
    if (store->acl != NULL)
        headers[header_count++] = (struct http_header){ "x-amz-acl", store->acl };
    if (sending->token->by_crc64 && !sending->by_trailer)
        headers[header_count++] = (struct http_header){ S3_CRC64_HEADER, load->crc64_text };
    const struct s3_call call = { .method = "PUT",
                                  .key = s3_whole_key(store, sending->key, &whole),
                                  .query = query.data,
                                  .headers = headers,
                                  .header_count = header_count,
                                  .body = load->body,
                                  .payload = load->sha256,
                                  .is_streamed = sending->streams,
                                  .trailer = sending->by_trailer ? sending->body->digest : NULL,
                                  .is_upload = true };
    return s3_do(store, &call, reply, err);
}

/* Read twice, or digested while it is sent; *ret_crc64 is of what was sent. */
static int load_and_send(struct s3_store *store, const struct sending *sending,
                         struct http_reply *reply, uint64_t *ret_crc64, struct err *err)
{
    struct body *const body = sending->body;
    /* An upload goes on as it was begun, with a CRC or without; where that proves nothing any more,
     * the part is signed too. */
    struct s3_load load = { .body = body,
                            .by_crc64 =
                                sending->token->by_crc64 && s3_proof(store) >= S3_PROOF_HEADER };
    if (!sending->streams && s3_load_body(&load, body, store->stop, err) < 0)
        return -1;
    struct digest own = { .kinds = DIGEST_CRC64NVME };
    struct digest *const given = body->digest;
    if (given == NULL)
        body->digest = &own;
    if (sending->streams)
        body_rewind(body);
    const int result = send_part(store, sending, &load, reply, err);
    *ret_crc64 = sending->streams ? body->digest->crc64 : load.crc64;
    body->digest = given;
    s3_load_end(&load, body);
    return result;
}

int s3_part(struct store *base, const struct store_put *put, const char *token_text,
            uint32_t number, uint64_t offset_bytes, struct body *body, struct store_part *ret_part,
            struct err *err)
{
    (void)offset_bytes;
    struct s3_store *store = s3_store_of(base);
    struct token token = { .id = "" };
    if (token_parse(&token, token_text, err) < 0)
        return -1;
    const bool is_long = s3_body_is_long(body);
    struct sending sending = { .token = &token, .key = put->key, .number = number, .body = body };
    sending.by_trailer = token.by_crc64 && is_long && s3_proof(store) == S3_PROOF_TRAILER;
    sending.streams = sending.by_trailer || (is_long && !token.by_crc64);
    SCOPED(http_reply) struct http_reply reply = { 0 };
    uint64_t crc64 = 0;
    int result = load_and_send(store, &sending, &reply, &crc64, err);
    if (result < 0 && sending.by_trailer && s3_doubts(store, S3_PROOF_TRAILER, err)) {
        err_clear(err);
        sending.by_trailer = sending.streams = false;
        result = load_and_send(store, &sending, &reply, &crc64, err);
    }
    /* What was promised to begin() cannot be kept: only another upload can do without. */
    if (result < 0)
        return token.by_crc64 && s3_doubts(store, S3_PROOF_HEADER, err)
                   ? s3_error_as(err, ERR_ABSENT)
                   : -1;
    const char *etag = http_reply_header(&reply, "etag");
    *ret_part =
        (struct store_part){ .number = number, .size_bytes = body->size_bytes, .crc64 = crc64 };
    s3_etag_copy(ret_part->etag, etag != NULL ? etag : "");
    if (ret_part->etag[0] == '\0')
        return err_set(err, ERR_SERVER, "the answer to a part has no ETag");
    return 0;
}

/* ---- commit ---- */

static int check_parts(const struct token *token, const struct store_part *parts, size_t count,
                       struct err *err)
{
    uint64_t total_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].number != i + 1)
            return err_set(err, ERR_CORRUPT, "part %zu is missing", i + 1);
        total_bytes += parts[i].size_bytes;
    }
    if (token->size_bytes != STORE_GROWS && total_bytes != token->size_bytes)
        return err_set(err, ERR_CORRUPT, "the parts have %llu bytes, the object %llu",
                       (unsigned long long)total_bytes, (unsigned long long)token->size_bytes);
    return 0;
}

static void write_parts(const struct store_part *parts, size_t count, struct buf *xml)
{
    buf_add_text(xml, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < count; i++) {
        buf_printf(xml, "<Part><PartNumber>%u</PartNumber><ETag>\"", parts[i].number);
        /* From a journal, so not said to be what XML can say. */
        if (!s3_xml_escape(xml, parts[i].etag))
            buf_add_char(xml, '?');
        buf_add_text(xml, "\"</ETag></Part>");
    }
    buf_add_text(xml, "</CompleteMultipartUpload>");
}

static int send_complete(struct s3_store *store, const struct store_put *put,
                         const struct token *token, const struct store_part *parts, size_t count,
                         struct store_result *ret_result, struct err *err)
{
    SCOPED(buf) struct buf xml = { 0 };
    SCOPED(buf) struct buf query = { 0 };
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(buf) struct buf etag = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    write_parts(parts, count, &xml);
    add_upload_id(&query, token->id);
    struct s3_load load = { 0 };
    struct body body = body_of_memory(xml.data, xml.len, NULL, NULL);
    if (s3_load_body(&load, &body, store->stop, err) < 0)
        return -1;
    const struct http_header headers[] = { { "content-type", "application/xml" },
                                           { "if-none-match", "*" } };
    const struct s3_call call = { .method = "POST",
                                  .key = s3_whole_key(store, put->key, &whole),
                                  .query = query.data,
                                  .headers = headers,
                                  .header_count = put->if_absent ? 2 : 1,
                                  .body = load.body,
                                  .payload = load.sha256,
                                  .reply_limit_bytes = COMPLETE_REPLY_MAX };
    if (s3_do(store, &call, &reply, err) < 0 ||
        s3_xml_need(buf_text(&reply.body), reply.body.len, "ETag", &etag, err) < 0)
        return -1;
    s3_etag_copy(ret_result->etag, buf_text(&etag));
    return 0;
}

/* The gateway calls the commit of an upload that is gone an error of its own. */
static bool is_gone(struct s3_store *store, const char *key, const struct token *token)
{
    SCOPED(buf) struct buf query = { 0 };
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    struct err why = { 0 };
    add_upload_id(&query, token->id);
    const struct s3_call call = { .method = "GET",
                                  .key = s3_whole_key(store, key, &whole),
                                  .query = query.data };
    return s3_do(store, &call, &reply, &why) < 0 && why.kind == ERR_ABSENT;
}

/* Is the object there, and is it the one of this upload? */
static bool is_committed(struct s3_store *store, const char *key, const struct token *token,
                         struct store_result *ret_result)
{
    char nonce[S3_NONCE_MAX];
    struct err ignored = { 0 }; /* what the commit said stands */
    SCOPED(object) struct object object = { 0 };
    if (s3_head_nonce(store, key, &object, nonce, &ignored) < 0 || nonce[0] == '\0' ||
        strcmp(nonce, token->nonce) != 0 ||
        (token->size_bytes != STORE_GROWS && object.size_bytes != token->size_bytes))
        return false;
    memcpy(ret_result->etag, object.etag, STORE_ETAG_MAX);
    return true;
}

static int commit(struct store *base, const struct store_put *put, const char *token_text,
                  const struct store_part *parts, size_t count, struct store_result *ret_result,
                  struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    struct token token = { .id = "" };
    if (token_parse(&token, token_text, err) < 0 || check_parts(&token, parts, count, err) < 0)
        return -1;
    if (put->if_absent && !is_committed(store, put->key, &token, ret_result) &&
        check_absent(store, put->key, err) < 0)
        return -1;
    *ret_result = (struct store_result){ 0 };
    if (send_complete(store, put, &token, parts, count, ret_result, err) == 0) {
        /* Ceph 16 leaves the ETag of its first answer empty. Without one: somebody was faster. */
        if (ret_result->etag[0] == '\0')
            (void)is_committed(store, put->key, &token, ret_result);
        return 0;
    }
    if (err->kind == ERR_STOPPED || !is_committed(store, put->key, &token, ret_result)) {
        if (err->http == 412) {
            err_clear(err);
            return err_set(err, ERR_CONFLICT, "'%s' is there already", put->key);
        }
        if (err->kind == ERR_SERVER && is_gone(store, put->key, &token)) {
            err_clear(err);
            return err_set(err, ERR_ABSENT, "the upload is not there any more");
        }
        return -1;
    }
    err_clear(err);
    return 0;
}

int s3_commit(struct store *base, const struct store_put *put, const char *token,
              const struct store_part *parts, size_t count, struct store_result *ret_result,
              struct err *err)
{
    if (commit(base, put, token, parts, count, ret_result, err) < 0)
        return -1;
    struct s3_store *store = s3_store_of(base);
    sweep_lost(store, put->key, "", true);
    if (put->attr != NULL && (put->attr->have & ATTR_CRC64) != 0 && ret_result->etag[0] != '\0')
        s3_tag_put(store, put->key, put->attr->crc64, ret_result->etag);
    return 0;
}

int s3_abort_one(struct s3_store *store, const char *key, const char *token_text, struct err *err)
{
    struct token token = { .id = "" };
    SCOPED(buf) struct buf query = { 0 };
    if (token_parse(&token, token_text, err) < 0)
        return -1;
    add_upload_id(&query, token.id);
    return s3_delete(store, key, query.data, err);
}

int s3_abort(struct store *base, const char *key, const char *token, struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    if (s3_abort_one(store, key, token, err) < 0)
        return -1;
    sweep_lost(store, key, "", true);
    return 0;
}
