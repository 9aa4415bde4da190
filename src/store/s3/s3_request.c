/* Sign, send, and learn from the answer. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#include <assert.h>

#define TRIES_MOST 4    /* of one request: each after something was learnt */
#define SKEW_TOLD_S 300 /* S3 takes 15 minutes */
#define SKEW_SAME_S 60
#define RENEW_BEFORE_NS (60 * NS_PER_S)
#define MD5_TEXT 25 /* base64, with the NUL */
#define OWN_HEADERS 8
#define HIDDEN_ERROR_MAX 4096 /* bytes in an <Error> that comes with status 200 */
#define CHUNK_BYTES                                                                                \
    ((size_t)128 * 1024) /* divides a slab; stays in cache between digest and send */
/* As AWS's own clients have them: nothing is gained by larger ones. */
#define UNSIGNED_CHUNK_BYTES ((size_t)1024 * 1024)

/* ---- signing ---- */

/* What one request was signed with, to see later whether something newer is known. */
struct signed_with {
    char region[S3_REGION_MAX];
    uint64_t credentials_hash; /* of the access key and the token: to compare, no secret */
    int64_t skew_s;
    bool is_expired; /* by the expiry that the credentials came with */
};

/* The parts of a request that must live while it is on its way. */
struct outgoing {
    struct buf host, path, url, token, authorization;
    char stamp[SIGV4_STAMP_BYTES];
    struct http_header *headers;
    size_t header_count;
    struct signed_with with;
    struct sigv4_key key;       /* of a streamed body: outlives a change of the store's */
    struct sigv4_chunks chunks; /* the same */
    struct body framed;
    char inner_size[24];
};

static void outgoing_done(struct outgoing *out)
{
    sigv4_chunks_done(&out->chunks);
    explicit_bzero(&out->key, sizeof out->key);
    buf_done(&out->host);
    buf_done(&out->path);
    buf_done(&out->url);
    buf_done(&out->token);
    buf_done(&out->authorization);
    mem_release(out->headers);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash * 31 + 1;
}

static uint64_t credentials_hash(const struct s3_credentials *credentials)
{
    return hash_text(hash_text(hash_text(UINT64_C(0xcbf29ce484222325), credentials->access_key),
                               credentials->secret_key),
                     credentials->session_token);
}

static int compare_headers(const void *a, const void *b)
{
    return strcmp(((const struct http_header *)a)->name, ((const struct http_header *)b)->name);
}

static void add_header(struct outgoing *out, const char *name, const char *value)
{
    out->headers[out->header_count++] = (struct http_header){ name, value };
}

static void gather_headers(const struct s3_call *call, const char *payload, struct outgoing *out)
{
    out->headers = mem_alloc((call->header_count + OWN_HEADERS) * sizeof *out->headers);
    for (size_t i = 0; i < call->header_count; i++)
        out->headers[out->header_count++] = call->headers[i];
    add_header(out, "host", out->host.data);
    add_header(out, "x-amz-content-sha256", payload);
    add_header(out, "x-amz-date", out->stamp);
    if (out->token.len != 0)
        add_header(out, "x-amz-security-token", out->token.data);
    if (call->is_streamed) {
        snprintf(out->inner_size, sizeof out->inner_size, "%llu",
                 (unsigned long long)call->body->size_bytes);
        add_header(out, "content-encoding", "aws-chunked");
        add_header(out, "x-amz-decoded-content-length", out->inner_size);
        if (call->trailer != NULL)
            add_header(out, "x-amz-trailer", SIGV4_CRC64_TRAILER);
    }
    qsort(out->headers, out->header_count, sizeof *out->headers, compare_headers);
}

/* The same server without a bucket, for what is asked of the account; the strings are the store's.
 */
static struct s3_place place_of(const struct s3_store *store, const struct s3_call *call)
{
    static char none[] = "";
    struct s3_place place = store->place;
    if (call->of_account) {
        place.bucket = none;
        place.in_host = false;
    }
    return place;
}

static void sign_locked(struct s3_store *store, const struct s3_call *call, const char *payload,
                        struct outgoing *out)
{
    const struct s3_credentials *credentials = &store->credentials;
    const struct sigv4_scope scope = { .access_key = credentials->access_key,
                                       .secret_key = credentials->secret_key,
                                       .session_token = credentials->session_token,
                                       .region =
                                           store->region[0] != '\0' ? store->region : "us-east-1",
                                       .service = "s3" };
    const int64_t now_ns = clock_now_ns();
    out->with.skew_s = atomic_load(&store->skew_s);
    out->with.credentials_hash = credentials_hash(credentials);
    out->with.is_expired = credentials->expires_ns != 0 &&
                           now_ns + out->with.skew_s * NS_PER_S > credentials->expires_ns;
    memcpy(out->with.region, store->region, S3_REGION_MAX);
    sigv4_stamp(out->stamp, now_ns / NS_PER_S + out->with.skew_s);
    char day[9];
    snprintf(day, sizeof day, "%.8s", out->stamp);
    if (strcmp(store->key.day, day) != 0)
        sigv4_key_make(&store->key, &scope, day);
    if (credentials->session_token != NULL)
        buf_add_text(&out->token, credentials->session_token);
    const struct s3_place place = place_of(store, call);
    s3_place_host(&place, store->region, &out->host);
    gather_headers(call, payload, out);
    const struct sigv4_request request = { .method = call->method,
                                           .path = out->path.data,
                                           .query = call->query != NULL ? call->query : "",
                                           .headers = out->headers,
                                           .header_count = out->header_count,
                                           .payload = payload,
                                           .stamp = out->stamp };
    char seed[SIGV4_SIGNATURE_BYTES];
    sigv4_authorize(&store->key, &scope, &request, &out->authorization, seed);
    if (!call->is_streamed)
        return;
    if (call->trailer != NULL) {
        sigv4_chunks_init_unsigned(&out->chunks, call->body, UNSIGNED_CHUNK_BYTES, call->trailer);
    } else {
        out->key = store->key;
        sigv4_chunks_init(&out->chunks, call->body, CHUNK_BYTES, &out->key, &scope, out->stamp);
        sigv4_chunks_seed(&out->chunks, seed);
    }
    out->framed = sigv4_chunks_body(&out->chunks);
}

/* What is said of the body in x-amz-content-sha256. */
static const char *payload_of(const struct s3_call *call)
{
    if (call->is_streamed)
        return call->trailer != NULL ? SIGV4_UNSIGNED_TRAILER : SIGV4_STREAMING;
    return call->payload != NULL ? call->payload : SIGV4_EMPTY;
}

static void make_outgoing(struct s3_store *store, const struct s3_call *call, struct outgoing *out)
{
    const struct s3_place place = place_of(store, call);
    s3_place_path(&place, call->key, &out->path);
    {
        SCOPED_LOCK(&store->lock);
        sign_locked(store, call, payload_of(call), out);
    }
    add_header(out, "authorization", out->authorization.data);
    buf_printf(&out->url, "%s://%s%s", store->place.scheme, out->host.data, out->path.data);
    if (call->query != NULL)
        buf_printf(&out->url, "?%s", call->query);
}

static int send_once(struct s3_store *store, const struct s3_call *call, struct http_reply *reply,
                     struct signed_with *ret_with, struct err *err)
{
    if (rate_wait(store->request_rate, 1, store->stop, err) < 0)
        return -1;
    SCOPED(outgoing) struct outgoing out = { 0 };
    make_outgoing(store, call, &out);
    const bool is_range = call->sink != NULL && call->header_count != 0 &&
                          strcmp(call->headers[0].name, "range") == 0;
    const struct http_request request = { .method = call->method,
                                          .url = out.url.data,
                                          .headers = out.headers,
                                          .header_count = out.header_count,
                                          .body = call->is_streamed ? &out.framed : call->body,
                                          .sink = call->sink,
                                          .sink_status = is_range ? 206 : 0,
                                          .reply_limit_bytes = call->reply_limit_bytes };
    *ret_with = out.with;
    return http_do(store->http, &request, reply, err);
}

/* ---- learning ---- */

static bool learn_region(struct s3_store *store, const struct http_reply *reply,
                         const struct s3_error *error, const struct signed_with *with)
{
    const char *region = http_reply_header(reply, "x-amz-bucket-region");
    if (region == NULL || region[0] == '\0')
        region = error->region;
    const size_t len = strlen(region);
    /* It becomes a part of the host's name. */
    if (len == 0 || len >= S3_REGION_MAX ||
        strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != len ||
        strcmp(region, with->region) == 0)
        return false;
    SCOPED_LOCK(&store->lock);
    snprintf(store->region, sizeof store->region, "%s", region);
    store->key.day[0] = '\0';
    return true;
}

static bool learn_clock(struct s3_store *store, const struct http_reply *reply,
                        const struct s3_error *error, const struct signed_with *with)
{
    const int64_t date = http_reply_date(reply);
    if (date < 0 || (reply->status != 403 && strcmp(error->code, "RequestTimeTooSkewed") != 0))
        return false;
    const int64_t skew_s = date - clock_now_ns() / NS_PER_S;
    const int64_t off_s = skew_s - with->skew_s;
    const bool is_far = off_s > SKEW_TOLD_S || off_s < -SKEW_TOLD_S;
    const bool is_named = strcmp(error->code, "RequestTimeTooSkewed") == 0 &&
                          (off_s > SKEW_SAME_S || off_s < -SKEW_SAME_S);
    if (!is_far && !is_named)
        return false;
    atomic_store(&store->skew_s, skew_s);
    /* Once, however many stores are open. */
    static atomic_bool is_told;
    if (!atomic_exchange(&is_told, true))
        log_line(LOG_WARN, "s3", store->place.bucket,
                 "this machine's clock is %lld seconds %s the server's; its time is used",
                 (long long)(skew_s < 0 ? -skew_s : skew_s), skew_s < 0 ? "ahead of" : "behind");
    return true;
}

/* Look again where the credentials came from: a file may have been written anew. */
static bool renew(struct s3_store *store, const struct signed_with *with)
{
    struct s3_credentials fresh = { 0 };
    struct err ignored = { 0 }; /* what the server says of the old ones is the better explanation */
    if (store->credentials.refresh(&fresh, store->profile, &ignored) < 0)
        return false;
    struct s3_credentials old = { 0 };
    bool changed = false;
    {
        SCOPED_LOCK(&store->lock);
        /* Another thread may have been faster. */
        changed = credentials_hash(&store->credentials) != with->credentials_hash;
        if (!changed && credentials_hash(&fresh) != with->credentials_hash) {
            old = store->credentials;
            store->credentials = fresh;
            fresh = (struct s3_credentials){ 0 };
            store->key.day[0] = '\0';
            changed = true;
        }
    }
    s3_credentials_done(&old);
    s3_credentials_done(&fresh);
    return changed;
}

static bool learn_credentials(struct s3_store *store, const struct s3_error *error,
                              const struct signed_with *with)
{
    static const char *const codes[] = { "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
                                         "InvalidAccessKeyId" };
    bool is_refused = with->is_expired;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        is_refused |= strcmp(error->code, codes[i]) == 0;
    return is_refused && renew(store, with);
}

/* ---- answers ---- */

static bool is_done(const struct s3_call *call, const struct http_reply *reply,
                    struct s3_error *ret_error)
{
    *ret_error = (struct s3_error){ 0 };
    const bool good = reply->status >= 200 && reply->status < 300;
    /* Amazon says it of a few requests only, but a proxy in between may say it of any. */
    if (!good || (call->sink == NULL && reply->body.len < HIDDEN_ERROR_MAX))
        s3_xml_error(buf_text(&reply->body), reply->body.len, ret_error);
    return good && ret_error->code[0] == '\0';
}

/* The answer to HEAD has no body, so nothing says why. The same as GET does. */
static void explain_head(struct s3_store *store, const struct s3_call *call,
                         struct s3_error *ret_error)
{
    static const struct http_header one_byte = { "range", "bytes=0-0" };
    const struct s3_call ask = {
        .method = "GET", .key = call->key, .headers = &one_byte, .header_count = 1
    };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    struct signed_with with;
    struct err ignored = { 0 };
    if (send_once(store, &ask, &reply, &with, &ignored) == 0 && reply.status >= 300)
        s3_xml_error(buf_text(&reply.body), reply.body.len, ret_error);
}

static int refused(struct s3_store *store, const struct s3_call *call,
                   const struct http_reply *reply, const struct s3_error *error,
                   const struct signed_with *with, struct err *err)
{
    const struct s3_answer answer = { .status = reply->status,
                                      .error = error,
                                      .retry_after_ms = http_reply_retry_after_ms(reply),
                                      .is_upload = call->is_upload,
                                      .bucket = store->place.bucket };
    /* The gateway says AccessDenied to a session that has ended. */
    if (with->is_expired && reply->status == 403) {
        err_set(err, ERR_AUTH, "the credentials have expired");
        return err_hint(err, "get new ones; the same command goes on");
    }
    /* So a store says that the bytes of a chunk are not those that were signed: the request began
     * with a good signature, since without one no upload would be there. */
    if (call->is_streamed && call->trailer == NULL &&
        strcmp(error->code, "SignatureDoesNotMatch") == 0) {
        err_set(err, ERR_CORRUPT, "the store got other bytes than were sent");
        err->http = reply->status;
        return -1;
    }
    s3_error_set(err, &answer);
    /* No digest of the payload was named: the store takes the name of the way for one. */
    if (call->trailer != NULL && strcmp(error->code, "XAmzContentSHA256Mismatch") == 0)
        err->kind = ERR_SERVER;
    if (reply->status == 301 || reply->status == 307)
        err_hint(err, "name the bucket's region with --region, or its endpoint");
    return -1;
}

int s3_do(struct s3_store *store, const struct s3_call *call, struct http_reply *reply,
          struct err *err)
{
    for (int tries = 1;; tries++) {
        struct signed_with with;
        struct s3_error error;
        if (tries > 1 && call->body != NULL)
            body_rewind(call->body);
        if (send_once(store, call, reply, &with, err) < 0)
            return -1;
        const int64_t date = http_reply_date(reply);
        if (date >= 0)
            atomic_store(&store->ahead_s, date - clock_now_ns() / NS_PER_S);
        if (is_done(call, reply, &error))
            return 0;
        if (strcmp(call->method, "HEAD") == 0 && (reply->status == 403 || reply->status == 400))
            explain_head(store, call, &error);
        const bool learnt = learn_region(store, reply, &error, &with) ||
                            learn_clock(store, reply, &error, &with) ||
                            learn_credentials(store, &error, &with);
        if (!learnt || tries == TRIES_MOST)
            return refused(store, call, reply, &error, &with, err);
    }
}

int s3_do_patiently(struct s3_store *store, const struct s3_call *call, struct http_reply *reply,
                    struct err *err)
{
    for (uint32_t tries = 1; s3_do(store, call, reply, err) < 0; tries++)
        if (store_wait_patiently(tries, store->stop, err) < 0)
            return -1;
    return 0;
}

int s3_send_xml(struct s3_store *store, const char *method, const char *key, const char *query,
                const struct buf *xml, uint64_t reply_limit_bytes, struct http_reply *reply,
                struct err *err)
{
    struct digest digest;
    struct digest_value value;
    char sha256[2 * DIGEST_SHA256_BYTES + 1];
    if (digest_init(&digest, DIGEST_MD5 | DIGEST_SHA256, err) < 0)
        return -1;
    digest_add(&digest, xml->data, xml->len);
    digest_value(&digest, &value);
    digest_done(&digest);
    digest_hex(value.sha256, sizeof value.sha256, sha256);
    char md5[MD5_TEXT];
    digest_base64(value.md5, sizeof value.md5, md5);
    const struct http_header headers[] = { { "content-md5", md5 },
                                           { "content-type", "application/xml" } };
    struct body body = body_of_memory(xml->data, xml->len, NULL, NULL);
    const struct s3_call call = { .method = method,
                                  .key = key,
                                  .query = query,
                                  .headers = headers,
                                  .header_count = 2,
                                  .body = &body,
                                  .payload = sha256,
                                  .reply_limit_bytes = reply_limit_bytes };
    return s3_do_patiently(store, &call, reply, err);
}
