/* Trying out what a server does, with small objects named ".lade-probe-HOST-PID-WHAT" below the
 * store's prefix. Amazon's rules of checksum headers: "Checking object integrity in Amazon S3". */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define KEY_BYTES 96
#define OTHERS_AGE_NS (3600 * NS_PER_S) /* a probe takes seconds: older ones were killed */
#define CONTENT "lade tries out what this store does\n"
#define CONTENT_BYTES (sizeof CONTENT - 1)
#define VERSION_MAX 256
#define ID_MAX 1024
#define MD5_TEXT 25 /* base64, with the NUL */

/* ---- names ---- */

static uint32_t host_number(void)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    return (uint32_t)crc64nvme(0, host, strlen(host));
}

static void probe_key(const char *what, char ret_key[KEY_BYTES])
{
    snprintf(ret_key, KEY_BYTES, S3_PROBE_PREFIX "%08x-%d-%s", host_number(), (int)getpid(), what);
}

/* Does no process work with it any more? Of other machines only the age tells. */
static bool is_left(const char *key, int64_t made_ns)
{
    const char *at = key + strlen(S3_PROBE_PREFIX);
    char *end = NULL;
    const unsigned long host = strtoul(at, &end, 16);
    const long pid = *end == '-' ? strtol(end + 1, &end, 10) : 0;
    if (host == host_number() && pid > 0 && pid <= INT32_MAX && *end == '-' &&
        (pid == getpid() || (kill((pid_t)pid, 0) < 0 && errno == ESRCH)))
        return true;
    return made_ns != 0 && clock_now_ns() - made_ns > OTHERS_AGE_NS;
}

/* ---- cleaning ---- */

static int clean_objects(struct s3_store *store, struct err *err)
{
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    if (s3_list_open(&list, &store->base, S3_PROBE_PREFIX, "", false, err) < 0)
        return -1;
    int got = 0;
    while ((got = s3_list_next(list, &object, err)) == 1) {
        const char *key = object.key.data;
        struct err ignored = { 0 }; /* the probe of removing tells */
        if (is_left(key, object.stored_ns))
            (void)s3_remove(&store->base, &key, 1, &(struct err){ 0 }, &ignored);
    }
    s3_list_close(list);
    return got;
}

static int clean_uploads(struct s3_store *store, struct err *err)
{
    struct store_uploads *uploads = NULL;
    SCOPED(store_upload) struct store_upload upload = { 0 };
    if (s3_uploads_open(&uploads, &store->base, S3_PROBE_PREFIX, err) < 0)
        return -1;
    int got = 0;
    while ((got = s3_uploads_next(uploads, &upload, err)) == 1) {
        struct err ignored = { 0 };
        if (is_left(upload.key.data, upload.begun_ns))
            (void)s3_abort(&store->base, upload.key.data, upload.token, &ignored);
    }
    s3_uploads_close(uploads);
    return got;
}

int s3_probe_clean(struct s3_store *store, struct err *err)
{
    return clean_objects(store, err) < 0 || clean_uploads(store, err) < 0 ? -1 : 0;
}

/* ---- requests ---- */

struct attempt {
    const char *method;
    char key[KEY_BYTES];
    const char *query;
    const struct http_header *header; /* NULL = none */
    const void *bytes;                /* NULL = no body */
    size_t len;
    const char *payload; /* NULL: signed, as it is */
    enum { NO_TRAILER, RIGHT_TRAILER, WRONG_TRAILER } trailer;
    struct http_reply reply; /* of the last try */
    struct err err;
};

static void attempt_done(struct attempt *attempt)
{
    http_reply_done(&attempt->reply);
}

/* The status of the answer; 0 without one. */
static int ask(struct s3_store *store, struct attempt *attempt)
{
    SCOPED(buf) struct buf whole = { 0 };
    char own[2 * DIGEST_SHA256_BYTES + 1];
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    const struct digest wrong = { .crc64 = crc64nvme(0, CONTENT, CONTENT_BYTES) ^ 1 };
    const struct digest *const trailers[] = {
        [NO_TRAILER] = NULL, [RIGHT_TRAILER] = &digest, [WRONG_TRAILER] = &wrong
    };
    struct body body = body_of_memory(attempt->bytes, attempt->len, &digest, NULL);
    digest_sha256_hex(attempt->bytes != NULL ? attempt->bytes : "", attempt->len, own);
    const struct s3_call call = { .method = attempt->method,
                                  .key = s3_whole_key(store, attempt->key, &whole),
                                  .query = attempt->query,
                                  .headers = attempt->header,
                                  .header_count = attempt->header != NULL,
                                  .body = attempt->bytes != NULL ? &body : NULL,
                                  .payload = attempt->payload != NULL ? attempt->payload : own,
                                  .is_streamed = attempt->trailer != NO_TRAILER,
                                  .trailer = trailers[attempt->trailer] };
    err_clear(&attempt->err);
    if (s3_do(store, &call, &attempt->reply, &attempt->err) == 0)
        return attempt->reply.status;
    return attempt->err.http;
}

static bool is_good(int status)
{
    return status >= 200 && status < 300;
}

/* Of a versioned bucket, so that not even a marker of deletion stays. */
static void keep_version(const struct attempt *attempt, char ret_version[VERSION_MAX])
{
    const char *version = http_reply_header(&attempt->reply, "x-amz-version-id");
    snprintf(ret_version, VERSION_MAX, "%s",
             version != NULL && strcmp(version, "null") != 0 ? version : "");
}

static int forget(struct s3_store *store, const char *key, const char *version, struct err *err)
{
    SCOPED(buf) struct buf query = { 0 };
    if (version[0] != '\0') {
        buf_add_text(&query, "versionId=");
        sigv4_encode(&query, version, strlen(version), false);
    }
    return s3_delete(store, key, query.data, err);
}

static bool is_content(struct s3_store *store, struct attempt *attempt)
{
    attempt->method = "GET";
    attempt->query = NULL;
    attempt->header = NULL;
    attempt->bytes = NULL;
    attempt->len = 0;
    attempt->trailer = NO_TRAILER;
    if (!is_good(ask(store, attempt)))
        return false;
    const struct buf *body = &attempt->reply.body;
    if (body->len == CONTENT_BYTES && memcmp(body->data, CONTENT, CONTENT_BYTES) == 0)
        return true;
    err_set(&attempt->err, ERR_CORRUPT, "what came back is not what was stored");
    return false;
}

/* Put it; when that goes well it is removed at once. */
static int try_put(struct s3_store *store, const char *what, const struct http_header *header,
                   const char *payload, struct err *ret_refusal)
{
    SCOPED(attempt)
    struct attempt attempt = { .method = "PUT",
                               .header = header,
                               .bytes = CONTENT,
                               .len = CONTENT_BYTES,
                               .payload = payload };
    probe_key(what, attempt.key);
    const int status = ask(store, &attempt);
    /* An answer that was lost may have left it, too. */
    if (is_good(status) || status == 0) {
        char version[VERSION_MAX];
        struct err ignored = { 0 };
        keep_version(&attempt, version);
        (void)forget(store, attempt.key, version, &ignored);
    }
    if (ret_refusal != NULL)
        *ret_refusal = attempt.err;
    return status;
}

/* What a request that should be refused and one that should not came to. */
static enum s3_fact judge(int wrong, int right)
{
    if (is_good(wrong))
        return S3_IGNORED;
    if (wrong == 400 || wrong == 412 || wrong == 422)
        return is_good(right) ? S3_YES : right == 400 || right == 501 ? S3_NO : S3_UNSEEN;
    return wrong == 501 ? S3_NO : S3_UNSEEN;
}

/* ---- checksums ---- */

/* RFC 3720, appendix B.4. */
static uint32_t crc32c(const char *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0x82f63b78) & (0 - (crc & 1)));
    }
    return ~crc;
}

static void crc32c_text(uint32_t crc, char ret_text[DIGEST_CRC64_TEXT])
{
    unsigned char bytes[4];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(crc >> (24 - 8 * i));
    digest_base64(bytes, sizeof bytes, ret_text);
}

static enum s3_fact try_header(struct s3_store *store, const char *name, const char *wrong,
                               const char *right, const char *payload, struct err *ret_refusal)
{
    const struct http_header bad = { name, wrong };
    const struct http_header good = { name, right };
    const int refused = try_put(store, "checksum", &bad, payload, ret_refusal);
    if (is_good(refused))
        return S3_IGNORED;
    return judge(refused, try_put(store, "checksum", &good, payload, ret_refusal));
}

/* As put() sends it. */
static enum s3_fact try_crc64(struct s3_store *store, struct err *ret_refusal)
{
    const uint64_t crc = crc64nvme(0, CONTENT, CONTENT_BYTES);
    char wrong[DIGEST_CRC64_TEXT];
    char right[DIGEST_CRC64_TEXT];
    digest_crc64_base64(crc ^ 1, wrong);
    digest_crc64_base64(crc, right);
    return try_header(store, S3_CRC64_HEADER, wrong, right,
                      s3_is_tls(store) ? SIGV4_UNSIGNED : NULL, ret_refusal);
}

static enum s3_fact try_crc32c(struct s3_store *store)
{
    const uint32_t crc = crc32c(CONTENT, CONTENT_BYTES);
    char wrong[DIGEST_CRC64_TEXT];
    char right[DIGEST_CRC64_TEXT];
    struct err ignored;
    crc32c_text(crc ^ 1, wrong);
    crc32c_text(crc, right);
    return try_header(store, "x-amz-checksum-crc32c", wrong, right, NULL, &ignored);
}

static enum s3_fact try_md5(struct s3_store *store)
{
    struct err ignored = { 0 };
    struct digest digest;
    struct digest_value value;
    if (digest_init(&digest, DIGEST_MD5, &ignored) < 0)
        return S3_UNSEEN;
    digest_add(&digest, CONTENT, CONTENT_BYTES);
    digest_value(&digest, &value);
    digest_done(&digest);
    char right[MD5_TEXT];
    char wrong[MD5_TEXT];
    digest_base64(value.md5, sizeof value.md5, right);
    value.md5[0] ^= 1;
    digest_base64(value.md5, sizeof value.md5, wrong);
    return try_header(store, "content-md5", wrong, right, NULL, &ignored);
}

static enum s3_fact try_sha256(struct s3_store *store)
{
    struct err ignored;
    return judge(try_put(store, "checksum", NULL, SIGV4_EMPTY, &ignored),
                 try_put(store, "checksum", NULL, NULL, &ignored));
}

/* ---- uploads in parts ---- */

struct upload {
    struct s3_store *store;
    char key[KEY_BYTES];
    char id[ID_MAX]; /* encoded, "" = not begun */
    char version[VERSION_MAX];
    char etag[STORE_ETAG_MAX];
    bool is_made;
};

static void upload_done(struct upload *upload)
{
    struct err ignored = { 0 };
    char query[ID_MAX + 16];
    if (upload->is_made)
        (void)forget(upload->store, upload->key, upload->version, &ignored);
    if (upload->is_made || upload->id[0] == '\0')
        return;
    SCOPED(attempt) struct attempt attempt = { .method = "DELETE" };
    snprintf(query, sizeof query, "uploadId=%s", upload->id);
    memcpy(attempt.key, upload->key, KEY_BYTES);
    attempt.query = query;
    (void)ask(upload->store, &attempt);
}

static int upload_begin(struct upload *upload, const struct http_header *header)
{
    SCOPED(attempt)
    struct attempt attempt = { .method = "POST", .query = "uploads=", .header = header };
    SCOPED(buf) struct buf id = { 0 };
    SCOPED(buf) struct buf encoded = { 0 };
    struct err ignored = { 0 };
    memcpy(attempt.key, upload->key, KEY_BYTES);
    const int status = ask(upload->store, &attempt);
    if (!is_good(status) || s3_xml_value(buf_text(&attempt.reply.body), attempt.reply.body.len,
                                         "UploadId", &id, &ignored) < 0)
        return is_good(status) ? 0 : status;
    sigv4_encode(&encoded, buf_text(&id), id.len, false);
    if (encoded.len == 0 || encoded.len >= ID_MAX)
        return 0;
    snprintf(upload->id, ID_MAX, "%s", encoded.data);
    return status;
}

/* `attempt`: how the content is sent. */
static int upload_attempt(struct upload *upload, struct attempt *attempt)
{
    char query[ID_MAX + 32];
    snprintf(query, sizeof query, "partNumber=1&uploadId=%s", upload->id);
    attempt->method = "PUT";
    attempt->query = query;
    attempt->bytes = CONTENT;
    attempt->len = CONTENT_BYTES;
    memcpy(attempt->key, upload->key, KEY_BYTES);
    const int status = ask(upload->store, attempt);
    attempt->query = NULL;
    const char *etag = is_good(status) ? http_reply_header(&attempt->reply, "etag") : NULL;
    if (etag != NULL)
        s3_etag_copy(upload->etag, etag);
    return status;
}

static int upload_part(struct upload *upload, const struct http_header *header, const char *payload)
{
    SCOPED(attempt) struct attempt attempt = { .header = header, .payload = payload };
    return upload_attempt(upload, &attempt);
}

static int upload_commit(struct upload *upload)
{
    char query[ID_MAX + 16];
    snprintf(query, sizeof query, "uploadId=%s", upload->id);
    SCOPED(buf) struct buf xml = { 0 };
    buf_add_text(&xml, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"");
    if (!s3_xml_escape(&xml, upload->etag))
        return 0;
    buf_add_text(&xml, "\"</ETag></Part></CompleteMultipartUpload>");
    static const struct http_header type = { "content-type", "application/xml" };
    SCOPED(attempt)
    struct attempt attempt = {
        .method = "POST", .query = query, .header = &type, .bytes = xml.data, .len = xml.len
    };
    memcpy(attempt.key, upload->key, KEY_BYTES);
    const int status = ask(upload->store, &attempt);
    upload->is_made = is_good(status);
    keep_version(&attempt, upload->version);
    return status;
}

static enum s3_fact try_multipart(struct s3_store *store)
{
    SCOPED(upload) struct upload upload = { .store = store };
    probe_key("parts", upload.key);
    const int begun = upload_begin(&upload, NULL);
    if (!is_good(begun))
        return begun == 400 || begun == 405 || begun == 501 ? S3_NO : S3_UNSEEN;
    return is_good(upload_part(&upload, NULL, NULL)) && is_good(upload_commit(&upload)) ? S3_YES
                                                                                        : S3_UNSEEN;
}

static const struct http_header algorithm = { "x-amz-checksum-algorithm", "CRC64NVME" };

/* As begin(), part() and commit() do it: only when all of it works is it of use. */
static enum s3_fact try_crc64_part(struct s3_store *store)
{
    const char *payload = s3_is_tls(store) ? SIGV4_UNSIGNED : NULL;
    const uint64_t crc = crc64nvme(0, CONTENT, CONTENT_BYTES);
    char wrong[DIGEST_CRC64_TEXT];
    char right[DIGEST_CRC64_TEXT];
    digest_crc64_base64(crc ^ 1, wrong);
    digest_crc64_base64(crc, right);
    const struct http_header bad = { S3_CRC64_HEADER, wrong };
    const struct http_header good = { S3_CRC64_HEADER, right };
    SCOPED(upload) struct upload upload = { .store = store };
    probe_key("parts", upload.key);
    const int begun = upload_begin(&upload, &algorithm);
    if (!is_good(begun))
        return begun == 400 || begun == 501 ? S3_NO : S3_UNSEEN;
    const int refused = upload_part(&upload, &bad, payload);
    if (is_good(refused))
        return S3_IGNORED;
    const enum s3_fact fact = judge(refused, upload_part(&upload, &good, payload));
    if (fact != S3_YES)
        return fact;
    const int committed = upload_commit(&upload);
    return is_good(committed) ? S3_YES : committed == 400 || committed == 501 ? S3_NO : S3_UNSEEN;
}

/* ---- trailers ---- */

/* Does the object at the key of `attempt` have the bytes that were in the chunks, and is it not
 * said to be in chunks still? */
static enum s3_fact judge_unframed(struct s3_store *store, struct attempt *attempt)
{
    const bool is_same = is_content(store, attempt);
    if (!is_same && attempt->err.kind != ERR_CORRUPT)
        return S3_UNSEEN;
    const char *encoding = http_reply_header(&attempt->reply, "content-encoding");
    return is_same && (encoding == NULL || strstr(encoding, "aws-chunked") == NULL) ? S3_YES
                                                                                    : S3_NO;
}

static bool is_refusal(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

/* As judge(). What does not know chunks has many words for it, that the signature is wrong among
 * them; that one may write was seen before. */
static enum s3_fact judge_trailer(int wrong, int right)
{
    return is_refusal(wrong) && is_refusal(right) ? S3_NO : judge(wrong, right);
}

static enum s3_fact try_trailer_put(struct s3_store *store)
{
    SCOPED(attempt)
    struct attempt attempt = {
        .method = "PUT", .bytes = CONTENT, .len = CONTENT_BYTES, .trailer = WRONG_TRAILER
    };
    probe_key("trailer", attempt.key);
    const int refused = ask(store, &attempt);
    int status = refused;
    enum s3_fact fact = S3_IGNORED;
    if (!is_good(refused)) {
        attempt.trailer = RIGHT_TRAILER;
        status = ask(store, &attempt);
        fact = judge_trailer(refused, status);
    }
    char version[VERSION_MAX];
    struct err ignored = { 0 };
    keep_version(&attempt, version);
    if (fact == S3_YES)
        fact = judge_unframed(store, &attempt);
    /* An answer that was lost may have left it, too. */
    if (is_good(status) || status == 0 || refused == 0)
        (void)forget(store, attempt.key, version, &ignored);
    return fact;
}

static enum s3_fact try_trailer_part(struct s3_store *store)
{
    SCOPED(upload) struct upload upload = { .store = store };
    probe_key("trailer", upload.key);
    const int begun = upload_begin(&upload, &algorithm);
    if (!is_good(begun))
        return begun == 400 || begun == 501 ? S3_NO : S3_UNSEEN;
    SCOPED(attempt) struct attempt attempt = { .trailer = WRONG_TRAILER };
    const int refused = upload_attempt(&upload, &attempt);
    if (is_good(refused))
        return S3_IGNORED;
    attempt.trailer = RIGHT_TRAILER;
    const enum s3_fact fact = judge_trailer(refused, upload_attempt(&upload, &attempt));
    if (fact != S3_YES)
        return fact;
    const int committed = upload_commit(&upload);
    if (!is_good(committed))
        return committed == 400 || committed == 501 ? S3_NO : S3_UNSEEN;
    return judge_unframed(store, &attempt);
}

/* Made use of over TLS only: without a signature over the body nothing else shows that it came from
 * us. */
static enum s3_fact try_trailer(struct s3_store *store)
{
    const enum s3_fact fact = try_trailer_put(store);
    return fact == S3_YES ? try_trailer_part(store) : fact;
}

/* ---- the rest ---- */

static enum s3_fact try_list(struct s3_store *store)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    SCOPED(buf) struct buf count = { 0 };
    struct err ignored = { 0 };
    const struct s3_call call = { .method = "GET", .query = "list-type=2&max-keys=1" };
    if (s3_do(store, &call, &reply, &ignored) < 0)
        return S3_UNSEEN;
    /* The first version of listing does not count. */
    if (s3_xml_value(buf_text(&reply.body), reply.body.len, "KeyCount", &count, &ignored) < 0)
        return S3_UNSEEN;
    return count.len != 0 ? S3_YES : S3_IGNORED;
}

static enum s3_fact try_if_none_match(struct s3_store *store)
{
    static const struct http_header any = { "if-none-match", "*" };
    SCOPED(attempt)
    struct attempt first = {
        .method = "PUT", .bytes = CONTENT, .len = CONTENT_BYTES, .header = &any
    };
    probe_key("absent", first.key);
    const int made = ask(store, &first);
    enum s3_fact fact = made == 400 || made == 501 ? S3_NO : S3_UNSEEN;
    char version[VERSION_MAX];
    struct err ignored = { 0 };
    keep_version(&first, version);
    if (is_good(made))
        fact = judge(try_put(store, "absent", &any, NULL, &ignored), made);
    err_clear(&ignored);
    if (is_good(made) || made == 0)
        (void)forget(store, first.key, version, &ignored);
    return fact;
}

void s3_probe_crc64(struct s3_store *store, struct s3_facts *facts, struct err *ret_refusal)
{
    facts->probed_ns = clock_now_ns();
    facts->seen[S3_FACT_CRC64NVME] = try_crc64(store, ret_refusal);
    if (facts->seen[S3_FACT_CRC64NVME] == S3_YES)
        facts->seen[S3_FACT_CRC64NVME_PART] = try_crc64_part(store);
    if (facts->seen[S3_FACT_CRC64NVME_PART] == S3_YES)
        facts->seen[S3_FACT_TRAILER] = try_trailer(store);
}

void s3_probe_all(struct s3_store *store, struct s3_facts *facts, struct err *ret_refusal)
{
    *facts = (struct s3_facts){ 0 };
    facts->seen[S3_FACT_LIST_V2] = try_list(store);
    s3_probe_crc64(store, facts, ret_refusal);
    if (facts->seen[S3_FACT_CRC64NVME] != S3_YES)
        facts->seen[S3_FACT_CRC64NVME_PART] = try_crc64_part(store);
    if (facts->seen[S3_FACT_TRAILER] == S3_UNSEEN)
        facts->seen[S3_FACT_TRAILER] = try_trailer(store);
    facts->seen[S3_FACT_CRC32C] = try_crc32c(store);
    facts->seen[S3_FACT_CONTENT_MD5] = try_md5(store);
    facts->seen[S3_FACT_SHA256] = try_sha256(store);
    facts->seen[S3_FACT_MULTIPART] = try_multipart(store);
    facts->seen[S3_FACT_IF_NONE_MATCH] = try_if_none_match(store);
}

void s3_probe_access(struct s3_store *store, struct s3_access *ret_access)
{
    struct s3_access access = { 0 };
    char version[VERSION_MAX];
    SCOPED(attempt)
    struct attempt attempt = { .method = "PUT", .bytes = CONTENT, .len = CONTENT_BYTES };
    probe_key("access", attempt.key);
    const int status = ask(store, &attempt);
    keep_version(&attempt, version);
    access.write = attempt.err;
    if (is_good(status)) {
        if (!is_content(store, &attempt))
            access.read = attempt.err;
        (void)forget(store, attempt.key, version, &access.remove);
    }
    *ret_access = access;
}
