/* store/s3/s3_internal.h: what the files of this driver share. */
#pragma once

#include "base/thread.h"
#include "http/http.h"
#include "http/sigv4_chunks.h"
#include "store/s3/s3.h"
#include "store/s3/s3_config.h"
#include "store/s3/s3_facts.h"
#include "store/s3/s3_xml.h"

#include <stdatomic.h>
#include <string.h>

#define S3_KEY_MAX 1024
#define S3_META_MAX 2048 /* user metadata: names and values */
#define S3_REGION_MAX 64
#define S3_NONCE_MAX 17

/* Where the bucket is. Set at start. */
struct s3_place {
    char *bucket; /* as typed */
    char *prefix; /* "" or ends in '/' */
    char *scheme; /* "http" or "https" */
    char *host;   /* with a port that is not the scheme's own; NULL: Amazon's, by region */
    char *base;   /* path in front of the bucket, "" or "/…" */
    bool in_host; /* the bucket is in the host's name, else in the path */
};
CHECKED int s3_place_parse(struct s3_place *ret_place, const char *path, const char *endpoint_url,
                           enum s3_addressing addressing, struct err *err);
void s3_place_done(struct s3_place *place);
/* The Host of a request, and the encoded path of a key (NULL: of the bucket). */
void s3_place_host(const struct s3_place *place, const char *region, struct buf *out);
void s3_place_path(const struct s3_place *place, const char *key, struct buf *out);

/* An upload may have been begun whose id nobody told us. */
struct s3_lost {
    struct s3_lost *next;
    char *key;
    int64_t sent_ns; /* by our clock, when it was asked for first */
};

struct s3_store {
    struct store base;
    const struct stop *stop;
    struct rate *request_rate;
    struct http *http;
    struct s3_place place;
    char *profile;               /* the argument of refresh; NULL = none was named */
    char *acl, *storage_class;   /* NULL = not asked for */
    atomic_int_fast64_t skew_s;  /* what to add to our clock to have the server's */
    atomic_int_fast64_t ahead_s; /* the server's clock, by its last answer: not used for signing */
    atomic_int proof;            /* enum s3_proof, or S3_PROOF_ASKING */
    struct lock lock;
    struct sigv4_key key;              /* guarded by lock */
    char region[S3_REGION_MAX];        /* guarded by lock */
    struct s3_credentials credentials; /* guarded by lock */
    struct s3_lost *lost;              /* guarded by lock */
};
static inline struct s3_store *s3_store_of(struct store *base)
{
    return (struct s3_store *)base;
}

static inline bool s3_is_tls(const struct s3_store *store)
{
    return strcmp(store->place.scheme, "https") == 0;
}

/* ---- one request ---- */

struct s3_call {
    const char *method;
    const char *key;                   /* whole, with the store's prefix; NULL: the bucket itself */
    const char *query;                 /* encoded, sorted by name; NULL = none */
    const struct http_header *headers; /* names in lower case; beside those of every request */
    size_t header_count;
    struct body *body;            /* rewound when it is sent again */
    const char *payload;          /* hexadecimal SHA-256 of the body; NULL: of nothing */
    bool is_streamed;             /* the body goes in chunks, no payload: it is read only once */
    const struct digest *trailer; /* streamed: the chunks are not signed, and behind them comes the
                                   * CRC that this has when the body was read. NULL: signed */
    struct sink *sink;
    uint64_t reply_limit_bytes;
    bool of_account; /* no bucket at all: key is NULL */
    bool is_upload;  /* NoSuchKey is the gateway's word for a body that was cut: ERR_NET */
};
/* Sign and send; what the answer teaches (region, clock, new credentials) is learnt and the request
 * sent again. 0 for an answer of 2xx only; else err has the kind that its code stands for, and
 * err->http its status. reply is filled over; the caller's http_reply_done(). */
CHECKED int s3_do(struct s3_store *store, const struct s3_call *call, struct http_reply *reply,
                  struct err *err);
/* The same, and again after a pause when that can help, a few times: for what no worker repeats. */
CHECKED int s3_do_patiently(struct s3_store *store, const struct s3_call *call,
                            struct http_reply *reply, struct err *err);

/* A small XML body, with the MD5 that Amazon demands whatever else is signed; patiently. key NULL:
 * the bucket. */
CHECKED int s3_send_xml(struct s3_store *store, const char *method, const char *key,
                        const char *query, const struct buf *xml, uint64_t reply_limit_bytes,
                        struct http_reply *reply, struct err *err);

/* s3_remove.c: patiently; absent is deleted. query: encoded, NULL = none. */
CHECKED int s3_delete(struct s3_store *store, const char *key, const char *query, struct err *err);

/* s3_tag.c: the CRC of an object that went in parts, kept in a tag beside the ETag that it is of.
 */
void s3_tag_put(struct s3_store *store, const char *key, uint64_t crc64, const char *etag);
/* False: there is none, or of another object, or it may not be seen. */
bool s3_tag_get(struct s3_store *store, const char *key, const char *etag, uint64_t *ret_crc64);

/* s3_error.c: what an error answer means. */
struct s3_answer {
    int status;
    const struct s3_error *error;
    uint32_t retry_after_ms;
    bool is_upload;
    const char *bucket;
};
int s3_error_set(struct err *err, const struct s3_answer *answer);
/* Of one key in a DeleteObjects answer. */
int s3_error_set_code(struct err *err, const char *code, const char *message);
/* The same words as an error of another kind. Returns -1. */
int s3_error_as(struct err *err, enum err_kind kind);

/* The whole key of a key of the store. */
static inline const char *s3_whole_key(const struct s3_store *store, const char *key,
                                       struct buf *whole)
{
    buf_clear(whole);
    buf_printf(whole, "%s%s", store->place.prefix, key);
    return whole->data;
}

/* ---- metadata ---- */

struct s3_headers {
    struct http_header *items; /* names and values are owned */
    size_t count;
};
void s3_headers_done(struct s3_headers *headers);
bool s3_headers_have(const struct s3_headers *headers, const char *name);
/* A copy is kept of both. */
void s3_headers_add(struct s3_headers *headers, const char *name, const char *value);
/* What begin() and put() record: attributes, --metadata, ACL, storage class, and our nonce (NULL:
 * none). ERR_LIMIT beyond S3_META_MAX and for what a header cannot say. */
CHECKED int s3_meta_headers(const struct s3_store *store, const struct store_put *put,
                            const uint64_t *crc64, const char *nonce, struct s3_headers *headers,
                            struct err *err);
/* What an answer says of an object; object->key is filled from `key`. */
CHECKED int s3_meta_object(const struct http_reply *reply, const char *key, struct object *object,
                           struct err *err);
#define S3_PART_HEADER "x-amz-meta-lade-part"
#define S3_NONCE_HEADER "x-amz-meta-lade-nonce"
/* What the key alone tells of the kind. */
enum entry_kind s3_kind_of_key(const char *key);
bool s3_key_is_link(const char *key);

/* ---- bodies ---- */

/* A body that is about to be sent: its digests are known, and what fits in its slab is in memory.
 */
struct s3_load {
    bool by_crc64;     /* set by the caller: the CRC in a header is the proof, no SHA-256 is made */
    struct body *body; /* to send: the caller's, or `memory` */
    struct body memory;
    char sha256[2 * DIGEST_SHA256_BYTES + 1]; /* what is signed; by_crc64: SIGV4_UNSIGNED */
    uint64_t crc64;                           /* of what is to be sent */
    char crc64_text[DIGEST_CRC64_TEXT];       /* the same for S3_CRC64_HEADER */
};
#define S3_CRC64_HEADER "x-amz-checksum-crc64nvme"
/* Reads the body once; ERR_SOURCE, ERR_CHANGED, ERR_STOPPED. */
CHECKED int s3_load_body(struct s3_load *load, struct body *body, const struct stop *stop,
                         struct err *err);
/* After it was sent: the caller's body knows how far it came. */
void s3_load_end(const struct s3_load *load, struct body *body);
/* Would s3_load_body() have to read a file twice? */
static inline bool s3_body_is_long(const struct body *body)
{
    return body->fd >= 0 && body->size_bytes > body->slab_bytes;
}

/* ---- what the server does ---- */

/* s3_proof.c. What the server is known to verify, each with those before it. */
enum s3_proof {
    S3_PROOF_UNKNOWN, /* never an answer */
    S3_PROOF_ASKING,  /* the same */
    S3_PROOF_SHA256,  /* that of the signature */
    S3_PROOF_HEADER,  /* the CRC64NVME in a header */
    S3_PROOF_TRAILER, /* the CRC64NVME behind the body */
};
/* The first call for an endpoint that is not in the cache tries it out. S3_PROOF_SHA256 for those
 * who come meanwhile, and over plain http, where only a signed digest shows that the bytes came
 * unchanged from us. */
enum s3_proof s3_proof(struct s3_store *store);
/* What these facts allow over TLS. */
enum s3_proof s3_proof_of(const struct s3_facts *facts);
/* At the start: what the cache says. */
void s3_proof_recall(struct s3_store *store);
/* A request that was proven so was refused: true when this may be because of the proof and not of
 * wrong bytes. Then the next is proven as one would without it. */
bool s3_doubts(struct s3_store *store, enum s3_proof proof, const struct err *err);
/* "https://HOST/BASE", by which facts are kept; the caller's. */
char *s3_place_endpoint(const struct s3_place *place);

/* The beginning of the keys of all probes, below the store's prefix. */
#define S3_PROBE_PREFIX ".lade-probe-"
/* Fill in all that can be seen; what cannot be stays unseen. The first error of a kind that says
 * that nothing can be written is kept in *ret_refusal. */
void s3_probe_all(struct s3_store *store, struct s3_facts *facts, struct err *ret_refusal);
/* Only what a put wants to know; what is refused for lack of rights says nothing. */
void s3_probe_crc64(struct s3_store *store, struct s3_facts *facts, struct err *ret_refusal);
/* Remove what killed probes left. */
CHECKED int s3_probe_clean(struct s3_store *store, struct err *err);
/* An object to try things with: made, read back, removed. Each err is filled with what failed. */
struct s3_access {
    struct err write, read, remove;
};
void s3_probe_access(struct s3_store *store, struct s3_access *ret_access);
void s3_diagnose(const char *path, const struct store_options *options, bool again,
                 struct store_findings *findings);

/* ---- the calls ---- */

int s3_head(struct store *base, const char *key, struct object *ret_object, struct err *err);
/* With the nonce that is recorded, "" when none is. */
int s3_head_nonce(struct s3_store *store, const char *key, struct object *ret_object,
                  char ret_nonce[S3_NONCE_MAX], struct err *err);
int s3_get(struct store *base, const char *key, uint64_t offset_bytes, uint64_t length_bytes,
           const char *if_match, struct sink *sink, struct object *ret_object, struct err *err);
int s3_put(struct store *base, const struct store_put *put, struct body *body,
           struct store_result *ret_result, struct err *err);
int s3_copy(struct store *base, const char *from_key, const struct store_put *put,
            struct store_result *ret_result, struct err *err);
int s3_set_attr(struct store *base, const char *key, const struct attr *attr, struct err *err);
int s3_remove(struct store *base, const char *const *keys, size_t count, struct err *errs,
              struct err *err);
int s3_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                 const char *start_after, bool delimited, struct err *err);
int s3_list_next(struct store_list *list, struct object *object, struct err *err);
void s3_list_close(struct store_list *list);
int s3_list_buckets(struct store *base, const char *prefix, struct buf *ret_names, struct err *err);
void s3_lost_done(struct s3_store *store);
int s3_begin(struct store *base, const struct store_put *put, uint64_t size_bytes,
             char ret_token[STORE_TOKEN_MAX], struct err *err);
int s3_part(struct store *base, const struct store_put *put, const char *token, uint32_t number,
            uint64_t offset_bytes, struct body *body, struct store_part *ret_part, struct err *err);
int s3_commit(struct store *base, const struct store_put *put, const char *token,
              const struct store_part *parts, size_t count, struct store_result *ret_result,
              struct err *err);
int s3_abort_one(struct s3_store *store, const char *key, const char *token, struct err *err);
int s3_abort(struct store *base, const char *key, const char *token, struct err *err);
/* Abort uploads of this key that hold nothing and were begun in that time, by our clock. own_id:
 * not this one. */
void s3_uploads_sweep(struct s3_store *store, const char *key, int64_t first_ns, int64_t last_ns,
                      const char *own_id);
int s3_uploads_open(struct store_uploads **ret_uploads, struct store *base, const char *prefix,
                    struct err *err);
int s3_uploads_next(struct store_uploads *uploads, struct store_upload *upload, struct err *err);
void s3_uploads_close(struct store_uploads *uploads);
