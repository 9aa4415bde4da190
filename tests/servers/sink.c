/* An S3 server that verifies checksum headers, for tests and bench/: objects are digested and
 * forgotten (only small ones can be read). It knows put, parts, head, listing and delete, checks
 * signatures (access key "sink", secret "sink-secret") and x-amz-content-sha256, and
 * refuses a wrong x-amz-checksum-crc64nvme or -crc32c, in a header or behind a body in unsigned
 * chunks, with 400 BadDigest.
 *
 *   sink --cert PEM --key PEM --port-file FILE [--log FILE] [OPTION...]
 *
 * Listens with TLS on a free port of 127.0.0.1, which it writes to FILE, until it is killed.
 * --plain    no TLS
 * --ignore   checksum headers are not looked at, as by Ceph 16
 * --unknown  requests with checksum headers are refused, as by a server that never heard of them
 * --no-parts checksum headers are looked at with put, not with parts
 *            SIGUSR1 switches --ignore on and off, SIGUSR2 --unknown
 * --trailers HOW  of bodies with a trailer, as some servers do: `ignore` it is not looked at,
 *            `refuse` with 501, `hash` the payload is said to have another hash, `keep` objects
 * have the first frame, `encoding` objects are told to be aws-chunked, `no-parts` refused with
 * parts only
 * --damage N the first byte of each of the first N large bodies is another one when it is looked at
 * The log has a line for each request: METHOD PATH STATUS PAYLOAD CHECKSUM BYTES. */
#include "base/buf.h"
#include "base/crc64.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/scope.h"
#include "http/sigv4.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 65536
#define HEADERS_MAX 64
#define BODY_MAX ((uint64_t)1 << 31)
#define KEPT_MAX 65536   /* bytes of an object that can be read again */
#define DAMAGE_MIN 65536 /* smaller bodies are not damaged: those of probes */
#define PARTS_MAX 10001

static struct {
    const char *cert, *key, *port_file, *log;
    const char *trailers; /* NULL = they are verified */
    atomic_bool plain, ignore, unknown, no_parts;
    long damage; /* guarded by lock */
} options;

struct part {
    uint64_t size_bytes, crc64;
    bool there, is_encoded;
    struct buf content;
};
struct thing { /* an object, or an upload when id is set */
    struct thing *next;
    char *key; /* "/bucket/key", as it came */
    char id[24];
    bool has_algorithm;
    bool is_encoded; /* is told to be aws-chunked */
    struct buf meta; /* lines of headers */
    struct buf content;
    uint64_t size_bytes, crc64;
    struct part *parts;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct thing *objects, *uploads; /* guarded by lock; objects in the order of keys */
static uint64_t next_id = 1;            /* guarded by lock */
static FILE *log_file;                  /* guarded by lock */
static SSL_CTX *tls;

struct request {
    char method[16];
    char *path, *query;
    struct http_header headers[HEADERS_MAX]; /* names in lower case */
    size_t header_count;
    unsigned char *body; /* without the frames of signed chunks */
    uint64_t body_bytes;
    const char *trailer; /* "NAME:VALUE" behind the chunks, NULL = none */
};
struct peer {
    int fd;
    SSL *ssl;
    char head[HEAD_MAX];
    size_t have; /* bytes in head that were read */
};
struct answer {
    int status;
    struct buf headers, body;
    uint64_t length; /* what Content-Length says to HEAD */
};

/* ---- bytes ---- */

static long peer_read(struct peer *peer, void *to, size_t len)
{
    return peer->ssl != NULL ? SSL_read(peer->ssl, to, len > INT32_MAX ? INT32_MAX : (int)len)
                             : read(peer->fd, to, len);
}

static bool peer_write(struct peer *peer, const char *bytes, size_t len)
{
    while (len != 0) {
        const long done =
            peer->ssl != NULL ? SSL_write(peer->ssl, bytes, (int)len) : write(peer->fd, bytes, len);
        if (done <= 0)
            return false;
        bytes += done;
        len -= (size_t)done;
    }
    return true;
}

static const char *header(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

/* ---- reading a request ---- */

static bool parse_head(struct request *request, char *head)
{
    char *save = NULL;
    char *line = strtok_r(head, "\r\n", &save);
    char *space = line != NULL ? strchr(line, ' ') : NULL;
    char *end = space != NULL ? strrchr(line, ' ') : NULL;
    if (space == NULL || end == space)
        return false;
    *space = *end = '\0';
    snprintf(request->method, sizeof request->method, "%s", line);
    request->path = space + 1;
    request->query = strchr(request->path, '?');
    if (request->query != NULL)
        *request->query++ = '\0';
    else
        request->query = end;
    while ((line = strtok_r(NULL, "\r\n", &save)) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || request->header_count == HEADERS_MAX)
            return false;
        *colon = '\0';
        for (char *c = line; c < colon; c++)
            *c = (char)tolower((unsigned char)*c);
        const char *value = colon + 1 + strspn(colon + 1, " ");
        request->headers[request->header_count++] = (struct http_header){ line, value };
    }
    return true;
}

static bool does(const char *how)
{
    return options.trailers != NULL && strcmp(options.trailers, how) == 0;
}

static bool is_trailed(const struct request *request)
{
    const char *payload = header(request, "x-amz-content-sha256");
    return payload != NULL && strcmp(payload, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") == 0;
}

/* "NAME:VALUE CRLF CRLF" at the very end. */
static bool take_trailer(struct request *request, unsigned char *at, const unsigned char *end)
{
    unsigned char *line_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    if (line_end == NULL || line_end + 4 != end)
        return false;
    *line_end = '\0';
    request->trailer = (const char *)at;
    return true;
}

/* "SIZE;chunk-signature=…CRLF DATA CRLF", in place; what is not signed has no ";…", and a trailer
 * instead of the last CRLF. */
static bool take_chunks(struct request *request)
{
    unsigned char *at = request->body;
    const unsigned char *end = at + request->body_bytes;
    unsigned char *to = request->body;
    const char *decoded = header(request, "x-amz-decoded-content-length");
    const bool trailed = is_trailed(request);
    for (;;) {
        char *digits_end = NULL;
        const unsigned long long size = strtoull((const char *)at, &digits_end, 16);
        unsigned char *data = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (data == NULL || digits_end == (char *)at || *digits_end != (trailed ? '\r' : ';') ||
            size + 4 > (uint64_t)(end - data))
            return false;
        if (size == 0 && trailed && !take_trailer(request, data + 2, end))
            return false;
        if (size == 0 && !trailed && data + 4 != end)
            return false;
        if (size == 0)
            break;
        memmove(to, data + 2, size);
        to += size;
        at = data + 2 + size + 2;
        if (at[-2] != '\r' || at[-1] != '\n')
            return false;
    }
    request->body_bytes = (uint64_t)(to - request->body);
    return decoded != NULL && strtoull(decoded, NULL, 10) == request->body_bytes;
}

static bool read_body(struct peer *peer, struct request *request, size_t head_bytes)
{
    const char *length = header(request, "content-length");
    const char *expect = header(request, "expect");
    const uint64_t size = length != NULL ? strtoull(length, NULL, 10) : 0;
    if (size > BODY_MAX)
        return false;
    if (expect != NULL && !peer_write(peer, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return false;
    request->body = malloc(size + 1);
    if (request->body == NULL)
        abort();
    uint64_t have = peer->have - head_bytes;
    if (have > size)
        return false; /* no pipelining */
    memcpy(request->body, peer->head + head_bytes, have);
    while (have < size) {
        const long got = peer_read(peer, request->body + have, size - have);
        if (got <= 0)
            return false;
        have += (uint64_t)got;
    }
    request->body[size] = '\0';
    request->body_bytes = size;
    const char *payload = header(request, "x-amz-content-sha256");
    if (is_trailed(request) && (does("refuse") || does("hash")))
        return true;
    return payload == NULL || strncmp(payload, "STREAMING-", 10) != 0 || take_chunks(request);
}

static bool read_request(struct peer *peer, struct request *request)
{
    static const char blank[] = "\r\n\r\n";
    char *end = NULL;
    peer->have = 0;
    while (end == NULL) {
        if (peer->have + 1 >= HEAD_MAX)
            return false;
        const long got = peer_read(peer, peer->head + peer->have, HEAD_MAX - 1 - peer->have);
        if (got <= 0)
            return false;
        peer->have += (size_t)got;
        peer->head[peer->have] = '\0';
        end = memmem(peer->head, peer->have, blank, 4);
    }
    *end = '\0';
    return parse_head(request, peer->head) &&
           read_body(peer, request, (size_t)(end - peer->head) + 4);
}

/* ---- signatures and digests ---- */

static void refuse(struct answer *answer, int status, const char *code)
{
    answer->status = status;
    buf_clear(&answer->body);
    buf_printf(&answer->body, "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>", code);
}

/* Authorization: AWS4-HMAC-SHA256 Credential=KEY/DAY/REGION/s3/aws4_request, SignedHeaders=a;b,
 * Signature=HEX */
static bool is_signed(const struct request *request)
{
    char key[32];
    char day[9];
    char region[64];
    char names[2048];
    char signature[SIGV4_SIGNATURE_BYTES];
    const char *authorization = header(request, "authorization");
    const char *stamp = header(request, "x-amz-date");
    const char *payload = header(request, "x-amz-content-sha256");
    if (authorization == NULL || stamp == NULL || payload == NULL ||
        sscanf(authorization,
               "AWS4-HMAC-SHA256 Credential=%31[^/]/%8[0-9]/%63[^/]/s3/aws4_request, "
               "SignedHeaders=%2047[^,], Signature=%64[0-9a-f]",
               key, day, region, names, signature) != 5 ||
        strcmp(key, "sink") != 0)
        return false;
    const struct sigv4_scope scope = {
        .access_key = key, .secret_key = "sink-secret", .region = region, .service = "s3"
    };
    struct http_header headers[HEADERS_MAX];
    size_t count = 0;
    char *save = NULL;
    for (char *name = strtok_r(names, ";", &save); name != NULL && count < HEADERS_MAX;
         name = strtok_r(NULL, ";", &save)) {
        const char *value = header(request, name);
        if (value == NULL)
            return false;
        headers[count++] = (struct http_header){ name, value };
    }
    const struct sigv4_request ask = { .method = request->method,
                                       .path = request->path,
                                       .query = request->query,
                                       .headers = headers,
                                       .header_count = count,
                                       .payload = payload,
                                       .stamp = stamp };
    struct sigv4_key sign_key;
    char expected[SIGV4_SIGNATURE_BYTES];
    sigv4_key_make(&sign_key, &scope, day);
    sigv4_sign(&sign_key, &scope, &ask, expected);
    return strcmp(expected, signature) == 0;
}

static uint32_t crc32c(const unsigned char *bytes, uint64_t len)
{
    uint32_t crc = UINT32_MAX;
    for (uint64_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void base64(uint64_t value, size_t len, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < len ? (uint8_t)(value >> (8 * (len - 1 - i - k))) : 0);
        for (size_t k = 0; k < 4; k++)
            *to++ = i + k <= len ? digits[three >> (18 - 6 * k) & 63] : '=';
    }
    *to = '\0';
}

/* The CRC64NVME that a request has, in a header or behind its body; NULL without one. */
static const char *crc64_of(const struct request *request)
{
    static const char name[] = "x-amz-checksum-crc64nvme";
    const char *told = header(request, "x-amz-trailer");
    if (!is_trailed(request))
        return header(request, name);
    if (told == NULL || strcmp(told, name) != 0 || request->trailer == NULL ||
        strncmp(request->trailer, name, sizeof name - 1) != 0 ||
        request->trailer[sizeof name - 1] != ':')
        return NULL;
    return request->trailer + sizeof name;
}

/* What is not for trailers as such; false: `answer` is the refusal. */
static bool takes_trailer(const struct request *request, bool is_part, struct answer *answer)
{
    if (options.unknown || does("refuse") || (does("no-parts") && is_part))
        refuse(answer, 501, "NotImplemented");
    else if (does("hash"))
        refuse(answer, 400, "XAmzContentSHA256Mismatch");
    else if (crc64_of(request) == NULL)
        refuse(answer, 400, "MalformedTrailerError");
    else
        return true;
    return false;
}

static bool verify(const struct request *request, bool is_part, struct answer *answer,
                   uint64_t *ret_crc64)
{
    char text[16];
    const char *payload = header(request, "x-amz-content-sha256");
    const char *crc64 = crc64_of(request);
    const char *crc32 = header(request, "x-amz-checksum-crc32c");
    pthread_mutex_lock(&lock);
    const bool damages = request->body_bytes >= DAMAGE_MIN && options.damage > 0;
    options.damage -= damages;
    pthread_mutex_unlock(&lock);
    if (damages)
        request->body[0] ^= 1;
    *ret_crc64 = crc64nvme(0, request->body, request->body_bytes);
    if (strlen(payload) == 64) {
        char own[2 * DIGEST_SHA256_BYTES + 1];
        digest_sha256_hex(request->body, request->body_bytes, own);
        if (strcmp(own, payload) != 0) {
            refuse(answer, 400, "XAmzContentSHA256Mismatch");
            return false;
        }
    }
    if (options.unknown && (crc64 != NULL || crc32 != NULL)) {
        refuse(answer, 501, "NotImplemented");
        return false;
    }
    const bool trailed = is_trailed(request);
    if (trailed && !takes_trailer(request, is_part, answer))
        return false;
    if (trailed && does("ignore"))
        return true;
    if (options.ignore || (options.no_parts && is_part))
        return true;
    base64(*ret_crc64, 8, text);
    bool fits = crc64 == NULL || strcmp(crc64, text) == 0;
    if (crc32 != NULL) {
        base64(crc32c(request->body, request->body_bytes), 4, text);
        fits = fits && strcmp(crc32, text) == 0;
    }
    if (!fits)
        refuse(answer, 400, "BadDigest");
    return fits;
}

/* ---- things ---- */

static struct thing *find_object(const char *key)
{
    struct thing *thing = objects;
    while (thing != NULL && strcmp(thing->key, key) != 0)
        thing = thing->next;
    return thing;
}

static void thing_free(struct thing *thing)
{
    mem_release(thing->key);
    buf_done(&thing->meta);
    buf_done(&thing->content);
    for (size_t i = 0; thing->parts != NULL && i < PARTS_MAX; i++)
        buf_done(&thing->parts[i].content);
    free(thing->parts);
    free(thing);
}

static void remove_object(const char *key)
{
    for (struct thing **at = &objects; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->key, key) == 0) {
            struct thing *gone = *at;
            *at = gone->next;
            thing_free(gone);
            return;
        }
}

static void insert_object(struct thing *thing)
{
    remove_object(thing->key);
    struct thing **at = &objects;
    while (*at != NULL && strcmp((*at)->key, thing->key) < 0)
        at = &(*at)->next;
    thing->next = *at;
    *at = thing;
}

static struct thing *thing_new(const struct request *request)
{
    struct thing *thing = calloc(1, sizeof *thing);
    if (thing == NULL)
        abort();
    thing->key = mem_string(request->path);
    for (size_t i = 0; i < request->header_count; i++)
        if (strncmp(request->headers[i].name, "x-amz-meta-", 11) == 0 ||
            strcmp(request->headers[i].name, "content-type") == 0)
            buf_printf(&thing->meta, "%s: %s\r\n", request->headers[i].name,
                       request->headers[i].value);
    return thing;
}

static const char *parameter(const struct request *request, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = request->query; at != NULL && *at != '\0';) {
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            return at + len + 1;
        at = strchr(at, '&');
        at = at != NULL ? at + 1 : NULL;
    }
    return NULL;
}

static struct thing **find_upload(const char *id)
{
    struct thing **at = &uploads;
    while (*at != NULL && strncmp((*at)->id, id, strlen((*at)->id)) != 0)
        at = &(*at)->next;
    return at;
}

static void add_etag(struct answer *answer, uint64_t crc64)
{
    buf_printf(&answer->headers, "ETag: \"crc-%016llx\"\r\n", (unsigned long long)crc64);
}

/* What the body of a request becomes in the store. */
static void part_fill(struct part *part, const struct request *request, uint64_t crc64)
{
    const char *frame = does("keep") && is_trailed(request) ? "24\r\n" : "";
    buf_clear(&part->content);
    buf_add_text(&part->content, frame);
    if (request->body_bytes <= KEPT_MAX)
        buf_add(&part->content, request->body, request->body_bytes);
    part->size_bytes = strlen(frame) + request->body_bytes;
    part->crc64 = crc64;
    part->is_encoded = does("encoding") && is_trailed(request);
    part->there = true;
}

static void thing_add(struct thing *thing, const struct part *part)
{
    thing->crc64 = crc64nvme_combine(thing->crc64, part->crc64, part->size_bytes);
    thing->size_bytes += part->size_bytes;
    thing->is_encoded = thing->is_encoded || part->is_encoded;
    if (thing->size_bytes <= KEPT_MAX)
        buf_add(&thing->content, buf_text(&part->content), part->content.len);
}

/* ---- calls; all with the lock ---- */

static void put_object(const struct request *request, uint64_t crc64, struct answer *answer)
{
    if (header(request, "if-none-match") != NULL && find_object(request->path) != NULL) {
        refuse(answer, 412, "PreconditionFailed");
        return;
    }
    struct thing *thing = thing_new(request);
    struct part whole = { 0 };
    part_fill(&whole, request, crc64);
    thing_add(thing, &whole);
    buf_done(&whole.content);
    insert_object(thing);
    add_etag(answer, crc64);
}

static void put_part(const struct request *request, uint64_t crc64, struct answer *answer)
{
    struct thing *upload = *find_upload(parameter(request, "uploadId"));
    const unsigned long number = strtoul(parameter(request, "partNumber"), NULL, 10);
    const bool has_crc = crc64_of(request) != NULL;
    if (upload == NULL)
        refuse(answer, 404, "NoSuchUpload");
    else if (number == 0 || number >= PARTS_MAX)
        refuse(answer, 400, "InvalidArgument");
    else if (has_crc && !upload->has_algorithm && !options.ignore) /* as Amazon */
        refuse(answer, 400, "InvalidRequest");
    else {
        part_fill(&upload->parts[number], request, crc64);
        add_etag(answer, crc64);
    }
}

static void begin_upload(const struct request *request, struct answer *answer)
{
    struct thing *upload = thing_new(request);
    const char *algorithm = header(request, "x-amz-checksum-algorithm");
    if (algorithm != NULL && options.unknown) {
        thing_free(upload);
        refuse(answer, 501, "NotImplemented");
        return;
    }
    upload->has_algorithm = algorithm != NULL && strcmp(algorithm, "CRC64NVME") == 0;
    snprintf(upload->id, sizeof upload->id, "id%016llx", (unsigned long long)next_id++);
    upload->parts = calloc(PARTS_MAX, sizeof *upload->parts);
    upload->next = uploads;
    uploads = upload;
    buf_printf(&answer->body, "<R><UploadId>%s</UploadId></R>", upload->id);
}

static void end_upload(struct thing **at, bool commits, struct answer *answer)
{
    struct thing *upload = *at;
    if (upload == NULL) {
        refuse(answer, 404, "NoSuchUpload");
        return;
    }
    *at = upload->next;
    if (!commits) {
        answer->status = 204;
        thing_free(upload);
        return;
    }
    for (size_t i = 1; i < PARTS_MAX; i++)
        if (upload->parts[i].there)
            thing_add(upload, &upload->parts[i]);
    buf_printf(&answer->body, "<R><ETag>\"crc-%016llx\"</ETag></R>",
               (unsigned long long)upload->crc64);
    insert_object(upload);
}

/* Of the bucket: keys here need no encoding, so they are shown as the URL has them. */
static void list(const struct request *request, struct answer *answer)
{
    SCOPED(buf) struct buf root = { 0 };
    const bool of_uploads = parameter(request, "uploads") != NULL;
    const char *prefix = parameter(request, "prefix");
    const char *after = parameter(request, "start-after");
    size_t count = 0;
    const char *name = of_uploads ? "ListMultipartUploadsResult" : "ListBucketResult";
    buf_printf(&answer->body, "<%s><EncodingType>url</EncodingType>", name);
    buf_printf(&root, "%s/", request->path);
    for (const struct thing *at = of_uploads ? uploads : objects; at != NULL; at = at->next) {
        if (strncmp(at->key, root.data, root.len) != 0)
            continue;
        const char *key = at->key + root.len;
        SCOPED(buf) struct buf encoded = { 0 };
        sigv4_encode(&encoded, key, strlen(key), false);
        const size_t len = prefix != NULL ? strcspn(prefix, "&") : 0;
        const size_t after_len = after != NULL ? strcspn(after, "&") : 0;
        if (strncmp(encoded.data, prefix != NULL ? prefix : "", len) != 0 ||
            (after_len != 0 && strncmp(encoded.data, after, after_len) <= 0))
            continue;
        count++;
        buf_printf(&answer->body,
                   of_uploads ? "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>"
                              : "<Contents><Key>%s</Key><ETag>crc-%s",
                   encoded.data, of_uploads ? at->id : "");
        if (!of_uploads)
            buf_printf(&answer->body,
                       "%016llx</ETag><Size>%llu</Size><LastModified>2026-01-01T00:00:00.000Z"
                       "</LastModified></Contents>",
                       (unsigned long long)at->crc64, (unsigned long long)at->size_bytes);
    }
    buf_printf(&answer->body, "<KeyCount>%zu</KeyCount><IsTruncated>false</IsTruncated></%s>",
               count, name);
}

static void show(const struct request *request, struct answer *answer)
{
    const struct thing *thing = find_object(request->path);
    if (thing == NULL) {
        refuse(answer, 404, "NoSuchKey");
        return;
    }
    answer->length = thing->size_bytes;
    buf_add(&answer->headers, buf_text(&thing->meta), thing->meta.len);
    add_etag(answer, thing->crc64);
    if (thing->is_encoded)
        buf_add_text(&answer->headers, "Content-Encoding: aws-chunked\r\n");
    if (strcmp(request->method, "GET") == 0)
        buf_add(&answer->body, buf_text(&thing->content), thing->content.len);
}

static bool is_bucket(const char *path)
{
    return strchr(path + 1, '/') == NULL;
}

static void call(const struct request *request, uint64_t crc64, struct answer *answer)
{
    const char *method = request->method;
    const char *id = parameter(request, "uploadId");
    const bool is_get = strcmp(method, "GET") == 0;
    if (is_bucket(request->path)) {
        if (is_get)
            list(request, answer);
        else if (strcmp(method, "HEAD") != 0 && strcmp(method, "PUT") != 0)
            refuse(answer, 501, "NotImplemented");
    } else if (strcmp(method, "PUT") == 0) {
        if (id != NULL)
            put_part(request, crc64, answer);
        else
            put_object(request, crc64, answer);
    } else if (strcmp(method, "POST") == 0 && parameter(request, "uploads") != NULL) {
        begin_upload(request, answer);
    } else if (strcmp(method, "POST") == 0 && id != NULL) {
        end_upload(find_upload(id), true, answer);
    } else if (strcmp(method, "DELETE") == 0 && id != NULL) {
        end_upload(find_upload(id), false, answer);
    } else if (strcmp(method, "DELETE") == 0) {
        remove_object(request->path);
        answer->status = 204;
    } else if (id == NULL && (is_get || strcmp(method, "HEAD") == 0)) {
        show(request, answer);
    } else if (is_get) {
        buf_add_text(&answer->body, "<R></R>");
    } else {
        refuse(answer, 501, "NotImplemented");
    }
}

/* ---- serving ---- */

static void work(const struct request *request, struct answer *answer)
{
    const char *payload = header(request, "x-amz-content-sha256");
    const bool has_crc = crc64_of(request) != NULL;
    const bool is_part = parameter(request, "partNumber") != NULL;
    uint64_t crc64 = 0;
    answer->status = 200;
    bool good = is_signed(request);
    if (!good)
        refuse(answer, 403, "SignatureDoesNotMatch");
    else
        good = verify(request, is_part, answer, &crc64);
    pthread_mutex_lock(&lock);
    if (good)
        call(request, crc64, answer);
    if (log_file != NULL) {
        fprintf(log_file, "%s %s %d %s %s %llu\n", request->method, request->path, answer->status,
                payload == NULL         ? "none"
                : payload[0] == 'U'     ? "unsigned"
                : strlen(payload) == 64 ? "sha256"
                : is_trailed(request)   ? "trailer"
                                        : "chunks",
                has_crc ? "crc64nvme" : "none", (unsigned long long)request->body_bytes);
        fflush(log_file);
    }
    pthread_mutex_unlock(&lock);
}

static bool reply(struct peer *peer, const struct request *request, const struct answer *answer)
{
    SCOPED(buf) struct buf text = { 0 };
    const bool is_head = strcmp(request->method, "HEAD") == 0;
    char date[64];
    const time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    buf_printf(&text, "HTTP/1.1 %d X\r\nDate: %s\r\n%s", answer->status, date,
               buf_text(&answer->headers));
    if (answer->status != 204)
        buf_printf(&text, "Content-Length: %llu\r\n",
                   is_head && answer->status == 200 ? (unsigned long long)answer->length
                                                    : (unsigned long long)answer->body.len);
    buf_add_text(&text, "\r\n");
    if (!is_head)
        buf_add(&text, buf_text(&answer->body), answer->body.len);
    return peer_write(peer, text.data, text.len);
}

static void *serve(void *arg)
{
    struct peer *peer = arg;
    bool goes_on = true;
    if (!options.plain) {
        peer->ssl = SSL_new(tls);
        SSL_set_fd(peer->ssl, peer->fd);
        goes_on = SSL_accept(peer->ssl) == 1;
    }
    while (goes_on) {
        struct request request = { 0 };
        struct answer answer = { 0 };
        goes_on = read_request(peer, &request);
        if (goes_on) {
            work(&request, &answer);
            goes_on = reply(peer, &request, &answer);
        }
        free(request.body);
        buf_done(&answer.headers);
        buf_done(&answer.body);
    }
    SSL_free(peer->ssl);
    close(peer->fd);
    free(peer);
    return NULL;
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 256) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        perror("sink: listen");
        exit(1);
    }
    FILE *file = fopen(options.port_file, "we");
    if (file == NULL || fprintf(file, "%d\n", ntohs(address.sin_port)) < 0 || fclose(file) != 0) {
        perror(options.port_file);
        exit(1);
    }
    return fd;
}

static void read_options(int argc, char **argv)
{
    const struct {
        const char *name;
        const char **value;
        atomic_bool *flag;
    } known[] = {
        { "--cert", &options.cert, NULL },           { "--key", &options.key, NULL },
        { "--port-file", &options.port_file, NULL }, { "--log", &options.log, NULL },
        { "--plain", NULL, &options.plain },         { "--ignore", NULL, &options.ignore },
        { "--unknown", NULL, &options.unknown },     { "--no-parts", NULL, &options.no_parts },
        { "--trailers", &options.trailers, NULL },
    };
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        const size_t count = sizeof known / sizeof *known;
        while (k < count && strcmp(known[k].name, argv[i]) != 0)
            k++;
        const bool has_value = i + 1 < argc;
        if (k < count && known[k].flag != NULL)
            *known[k].flag = true;
        else if (k < count && has_value)
            *known[k].value = argv[++i];
        else if (strcmp(argv[i], "--damage") == 0 && has_value)
            options.damage = strtol(argv[++i], NULL, 10);
        else {
            fprintf(stderr, "sink: what is '%s'?\n", argv[i]);
            exit(2);
        }
    }
    if (options.port_file == NULL ||
        (!options.plain && (options.cert == NULL || options.key == NULL))) {
        fprintf(stderr, "usage: sink --cert PEM --key PEM --port-file FILE [OPTION...]\n");
        exit(2);
    }
}

/* What it does changes while uploads are under way. */
static void on_switch(int number)
{
    atomic_bool *flag = number == SIGUSR1 ? &options.ignore : &options.unknown;
    atomic_store(flag, !atomic_load(flag));
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, on_switch);
    signal(SIGUSR2, on_switch);
    if (options.log != NULL && (log_file = fopen(options.log, "ae")) == NULL) {
        perror(options.log);
        return 1;
    }
    if (!options.plain) {
        tls = SSL_CTX_new(TLS_server_method());
        if (tls == NULL || SSL_CTX_use_certificate_file(tls, options.cert, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls, options.key, SSL_FILETYPE_PEM) != 1) {
            fprintf(stderr, "sink: the certificate or its key cannot be used\n");
            return 1;
        }
    }
    const int fd = listen_anywhere();
    for (;;) {
        const int one = 1;
        struct peer *peer = calloc(1, sizeof *peer);
        pthread_t thread;
        if (peer == NULL)
            return 1;
        peer->fd = accept(fd, NULL, NULL);
        if (peer->fd < 0) {
            free(peer);
            continue;
        }
        setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, serve, peer) != 0)
            return 1;
        pthread_detach(thread);
    }
}
