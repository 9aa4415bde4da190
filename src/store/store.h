/* store/store.h: the driver contract. A store is one opened place (a bucket or a directory) that
 * holds objects under keys. Every driver passes tests/unit/store/contract.c, which is the
 * definition; limits are data, so nobody asks "is this S3?". Keys are bytes without NUL. Listing
 * order is that of memcmp on whole keys, as S3 lists. Owner:   the caller opens and closes; all
 * strings passed in stay the caller's. Threads: a store may be used by many threads at once; every
 * call is blocking and ends by itself (stall limit, stop flag). Errors:  ERR_ABSENT, ERR_DENIED,
 * ERR_AUTH, ERR_CONFLICT (if_absent), ERR_CHANGED (the body did not hold still, or if_match),
 * ERR_CORRUPT, ERR_LIMIT, ERR_NET/ERR_BUSY/ERR_SERVER (trying again can help), ERR_LOCAL,
 * ERR_STOPPED. */
#pragma once

#include "base/attr.h"
#include "base/body.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ETAG_MAX 72 /* S3: 32 hexadecimal digits, "-", 5 digits, quotes; with room */
#define STORE_TOKEN_MAX 512
#define STORE_GROWS UINT64_MAX
#define STORE_KEY_MAX                                                                              \
    65536 /* bytes in a key, any driver; a driver's own limit is in store_limits */

struct store_limits {
    uint64_t max_object_bytes;
    uint64_t max_put_bytes;  /* larger objects go in parts */
    uint64_t min_part_bytes; /* all but the last; 0 = no parts at all */
    uint64_t part_bytes;     /* the size to prefer */
    uint64_t max_part_bytes;
    uint32_t max_parts; /* S3 caps parts at 10,000 */
    uint32_t max_key_bytes;
    uint32_t max_component_bytes; /* of one path component; 0 = no limit */
    uint32_t max_meta_bytes;      /* user metadata: names and values together (S3: 2,048) */
    uint32_t max_delete_count;    /* keys in one delete call */
    uint32_t transfers;           /* a good number of requests at once */
    uint32_t parts_at_once;       /* of these, parts of one object; 0 = no limit */
    bool is_tree;    /* keys are paths: no `a` beside `a/b`; directories exist by themselves and
                        keep mode and times */
    bool lists_attr; /* a listing carries kind, mode, owner and mtime as they were put */
    bool is_staged;  /* put() and commit() become visible and durable only with commit_batch() */
    bool has_md5;    /* an etag can be the MD5 of the content, or that of the MD5s of its parts */
    bool keeps_data; /* false for null: what was put cannot be read */
};

struct store_meta { /* --metadata k=v */
    const char *name, *value;
};

/* How to reach an object store, from the command line; NULL = as the environment and the store's
 * own configuration files say. Drivers of a file system pass it over. */
struct store_access {
    const char *endpoint_url;  /* --endpoint-url */
    const char *profile;       /* --profile */
    const char *region;        /* --region */
    const char *storage_class; /* --storage-class, of what is put */
    const char *acl;           /* --acl, of what is put: a canned one */
};
struct store_options {
    const struct stop *stop;   /* may be NULL */
    bool create;               /* make the root directory when it is missing; never a bucket */
    bool make_bucket;          /* make the bucket when it is missing */
    uint32_t stall_s;          /* a request that stands still this long is given up; 0 = 30 s */
    struct rate *request_rate; /* --tpslimit; outlives the store; NULL = none */
    struct store_access access;
    /* --bucket-objects, at most so many in one bucket; the next go to further ones: store/spread.
     */
    uint64_t bucket_objects;
    bool dry; /* nothing is made, whatever else is asked for */
    /* One of the same driver and endpoint, whose connections are used too; may be closed before. */
    struct store *share;
};

/* An object as head() and list() tell it. */
struct object {
    struct buf key;
    uint64_t size_bytes;
    struct attr attr;          /* what is recorded with it; kind ENTRY_UNKNOWN when nothing is */
    int64_t stored_ns;         /* when the store got it, 0 = unknown */
    char etag[STORE_ETAG_MAX]; /* the store's identity of this content, "" = none */
    /* head(): the etag begins with the MD5, in hexadecimal, of the MD5s of all parts of this size;
     * 0: it says nothing of the content */
    uint64_t md5_part_bytes;
    uint32_t bucket; /* of several that are numbered: which; 0 or 1 = the first */
    /* head() and get(), of what is in a pack: its extended attributes (base/xattr.h). */
    struct buf xattrs;
    bool has_xattrs; /* they are known; also that there are none */
};
void object_done(struct object *object);

struct store_put {
    const char *key; /* ending in '/': a directory; its body is empty */
    const char *tag; /* unique for this entry of this process; names what a kill leaves behind */
    const struct attr *attr; /* recorded with the object; for parts given to begin() */
    const struct store_meta *meta;
    size_t meta_count;
    bool if_absent; /* ERR_CONFLICT instead of replacing */
};
struct store_result {
    char etag[STORE_ETAG_MAX];
};
struct store_part {  /* a finished part; the journal keeps these */
    uint32_t number; /* from 1 */
    uint64_t size_bytes;
    uint64_t crc64;
    char etag[STORE_ETAG_MAX];
};
struct store_staged { /* one object to be made visible by commit_batch() */
    const char *key, *tag;
    bool if_absent;
    struct err err; /* out; an item whose err is set on entry is passed over */
};

/* What diagnose() finds, a line for each thing that it looked at. */
enum store_health { STORE_OK, STORE_WARN, STORE_BAD }; /* BAD: the place cannot be used */
struct store_finding {
    const char *name; /* "clock": constant, one word */
    enum store_health health;
    char *text; /* how it is */
    char *todo; /* what the user can do about it, "" = nothing needs to be done */
};
struct store_findings {
    struct store_finding *items;
    size_t count;
    int64_t probed_ns; /* some of it was learnt then (since 1970) and kept; 0 = all is of now */
};
void store_findings_done(struct store_findings *findings);
void store_findings_add(struct store_findings *findings, const char *name, enum store_health health,
                        const char *todo, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* How an error is told: BAD, with its hint, or what to do in any case. */
void store_findings_add_err(struct store_findings *findings, const char *name,
                            const struct err *err, const char *todo);

struct store;
struct store_list;    /* a listing in progress; owned by the caller, belongs to one thread */
struct store_uploads; /* the same of unfinished uploads */
struct store_upload;

struct store_room; /* how full numbered buckets are; belongs to one thread */

struct store_driver {
    const char *scheme; /* "file" */
    const char *help;   /* "file:/DIR" and one line of what it is */

    /* `path` is the location behind "scheme:"; what it names becomes the root of all keys. */
    int (*open)(struct store **ret_store, const char *path, const struct store_options *options,
                struct err *err);
    void (*close)(struct store *store);

    /* The key under which the relative path `rel` (source bytes, '/' between components, one at the
     * end of directories) is stored. ERR_LIMIT names the rule that refuses it. */
    int (*map_key)(struct store *store, const char *rel, struct buf *ret_key, struct err *err);
    /* The reverse, for get: the relative path of a key. */
    int (*unmap_key)(struct store *store, const char *key, struct buf *ret_rel, struct err *err);

    int (*head)(struct store *store, const char *key, struct object *ret_object, struct err *err);
    /* Keys that begin with `prefix` and are greater than `start_after` ("" = from the first). With
     * `delimited`, what lies below the next '/' behind the prefix is one entry, "dir/". */
    int (*list_open)(struct store_list **ret_list, struct store *store, const char *prefix,
                     const char *start_after, bool delimited, struct err *err);
    /* 1 and *object (filled over, caller releases it once at the end), 0 at the end, -1. */
    int (*list_next)(struct store_list *list, struct object *object, struct err *err);
    void (*list_close)(struct store_list *list);

    /* Bytes offset … offset+length-1 into the sink (length UINT64_MAX: to the end). if_match: an
     * etag, or
     * "" for any; ERR_CHANGED when it is another one now. ret_object (may be NULL; filled over, the
     * caller releases it) is what head() would say of the very object that the bytes are from. */
    int (*get)(struct store *store, const char *key, uint64_t offset_bytes, uint64_t length_bytes,
               const char *if_match, struct sink *sink, struct object *ret_object, struct err *err);

    int (*put)(struct store *store, const struct store_put *put, struct body *body,
               struct store_result *ret_result, struct err *err);
    /* A large object: begin gives a token that the journal keeps, so that any later process can add
     * parts, commit or abort. Parts may come in any order and at the same time; one that succeeded
     * is durable. commit gets all parts, by number, and the CRC of the whole in attr. STORE_GROWS
     * as the size: it shows as the parts come, and they may be of any size. */
    int (*begin)(struct store *store, const struct store_put *put, uint64_t size_bytes,
                 char ret_token[STORE_TOKEN_MAX], struct err *err);
    int (*part)(struct store *store, const struct store_put *put, const char *token,
                uint32_t number, uint64_t offset_bytes, struct body *body,
                struct store_part *ret_part, struct err *err);
    int (*commit)(struct store *store, const struct store_put *put, const char *token,
                  const struct store_part *parts, size_t count, struct store_result *ret_result,
                  struct err *err);
    int (*abort)(struct store *store, const char *key, const char *token, struct err *err);

    /* Make staged objects visible and durable, many at once (and, for catalogues, registered).
     * Errors are in the items. A no-op for drivers whose put() does it all. */
    void (*commit_batch)(struct store *store, struct store_staged *items, size_t count);
    /* Remove what put() with this key and tag, or begin() without commit, left when the process was
     * killed. Nothing there is success. */
    int (*clean)(struct store *store, const char *key, const char *tag, struct err *err);
    /* End what begin() began for this key between two moments of our clock, when nobody got to know
     * the token: uploads that hold nothing. NULL: clean() does it. */
    void (*clean_begun)(struct store *store, const char *key, int64_t first_ns, int64_t last_ns);
    /* Set mode, owner and times of an existing object (is_tree: directories, after their content).
     */
    int (*set_attr)(struct store *store, const char *key, const struct attr *attr, struct err *err);

    int (*copy)(struct store *store, const char *from_key, const struct store_put *put,
                struct store_result *ret_result, struct err *err);
    /* Absent keys count as deleted. errs[i].kind ERR_NONE when keys[i] is gone. */
    int (*remove)(struct store *store, const char *const *keys, size_t count, struct err *errs,
                  struct err *err);
    /* Is the place there and usable? Leaves nothing behind. */
    int (*probe)(struct store *store, struct err *err);
    /* Look at the place that open() would open, from the credentials to what it can do. What is
     * wrong is a finding, never an error. Leaves nothing behind: what a kill left is removed by the
     * next call. `again`: whatever was learnt earlier is not believed. */
    void (*diagnose)(const char *path, const struct store_options *options, bool again,
                     struct store_findings *findings);

    /* Large objects that were begun under keys with this prefix and neither committed nor aborted,
     * whoever began them. All three NULL: the store does not tell. */
    int (*uploads_open)(struct store_uploads **ret_uploads, struct store *store, const char *prefix,
                        struct err *err);
    /* 1 and *upload (filled over, caller releases it once at the end), 0 at the end, -1. */
    int (*uploads_next)(struct store_uploads *uploads, struct store_upload *upload,
                        struct err *err);
    void (*uploads_close)(struct store_uploads *uploads);

    /* The buckets of the account that begin with `prefix`, sorted, each with a NUL behind it. NULL:
     * the driver has no buckets, and cannot be spread over several. */
    int (*list_buckets)(struct store *store, const char *prefix, struct buf *ret_names,
                        struct err *err);

    /* ---- only where keys are spread over several buckets (store/spread), else NULL ---- */

    /* Where a key is, as a location of the bucket that holds it. False: no key that has a place. */
    bool (*locate)(struct store *store, const char *key, struct buf *ret_location);
    /* Which bucket a new object goes to. `counted`: what room_tell() wrote when the plan began,
     * NULL: count now what is there. ERR_CORRUPT when it is not what room_tell() writes. */
    int (*room_open)(struct store_room **ret_room, struct store *store, const struct buf *counted,
                     struct err *err);
    /* Lines of text; false: there is nothing to keep, since no bucket has a limit. */
    bool (*room_tell)(const struct store_room *room, struct buf *ret_text);
    /* *bucket 0: the first with room for a new object of this key. Else it was taken there before,
     * and is only counted. ERR_LIMIT when this object cannot have a place; ERR_CONFIG when the
     * bucket is missing and may not be made. */
    int (*room_take)(struct store_room *room, const char *key, uint32_t *bucket, struct err *err);
    void (*room_close)(struct store_room *room);
};

/* An unfinished large object, as uploads_next() tells it. */
struct store_upload {
    struct buf key;
    char id[STORE_TOKEN_MAX];    /* the store's own name for it */
    char token[STORE_TOKEN_MAX]; /* for abort() */
    int64_t begun_ns;            /* since 1970, 0 = unknown */
    uint64_t size_bytes;         /* in parts that are there */
    uint32_t parts;
};
void store_upload_done(struct store_upload *upload);

/* The key for all calls of an object whose mapped name and bucket number are known: "//N/NAME" for
 * N >= 2 and for a NAME that begins with '/', else the name. ret_key is filled over. */
#define STORE_BUCKET_MAX 1000000u
void store_bucket_key(uint32_t bucket, const char *name, struct buf *ret_key);

/* Every store begins with this. */
struct store {
    const struct store_driver *driver;
    struct store_limits limits;
};

/* For what no worker repeats: a pause after a try that failed, if another one can help; then err is
 * clear. */
CHECKED int store_wait_patiently(uint32_t tries, const struct stop *stop, struct err *err);
CHECKED int store_head_patiently(struct store *store, const char *key, const struct stop *stop,
                                 struct object *ret_object, struct err *err);

/* The driver for a scheme, NULL if there is none; and all of them, ended by NULL. */
const struct store_driver *store_driver_by_scheme(const char *scheme);
const struct store_driver *const *store_drivers(void);

/* max(8 MiB, size / 9,000, the store's minimum), or the store's preferred size when that is larger.
 */
uint64_t store_part_bytes(const struct store_limits *limits, uint64_t size_bytes);
/* From this size on an object goes in parts; UINT64_MAX: never. */
uint64_t store_large_bytes(const struct store_limits *limits);
