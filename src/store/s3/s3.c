#include "store/s3/s3.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"
#include "store/s3/s3_key.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define OWN_META_MAX 192 /* what s3_meta.c adds to --metadata, at most */
#define MAKE_TRIES 3u
#define MAKE_PAUSE_NS (500 * NS_PER_MS)

/* Amazon's rules, and Ceph's: 10,000 parts of 5 MiB to 5 GiB. */
static const struct store_limits s3_limits = {
    .max_object_bytes = UINT64_C(5) * 1024 * GIB,
    .max_put_bytes = UINT64_C(5) * GIB,
    .min_part_bytes = UINT64_C(5) * MIB,
    .part_bytes = UINT64_C(8) * MIB,
    .max_part_bytes = UINT64_C(5) * GIB,
    .max_parts = 10000,
    .max_key_bytes = S3_KEY_MAX,
    .max_meta_bytes = S3_META_MAX - OWN_META_MAX,
    .max_delete_count = S3_PAGE_MAX,
    .transfers = 32,
    .has_md5 = true,
    .keeps_data = true,
};

/* ---- lifetime ---- */

static void s3_close(struct store *base)
{
    if (base == NULL)
        return;
    struct s3_store *store = s3_store_of(base);
    http_close(store->http);
    s3_place_done(&store->place);
    s3_credentials_done(&store->credentials);
    explicit_bzero(&store->key, sizeof store->key);
    mem_release(store->profile);
    mem_release(store->acl);
    mem_release(store->storage_class);
    s3_lost_done(store);
    lock_done(&store->lock);
    mem_release(store);
}

static char *copy_of(const char *text)
{
    return text != NULL ? mem_string(text) : NULL;
}

/* Its connections, and what it knows of the server's clock. */
static void share(struct s3_store *store, struct s3_store *with)
{
    store->http = http_share(with->http);
    atomic_store(&store->skew_s, atomic_load(&with->skew_s));
    atomic_store(&store->ahead_s, atomic_load(&with->ahead_s));
}

static int fill(struct s3_store *store, struct s3_config *config, const char *path,
                const struct store_options *options, struct err *err)
{
    if (config->region != NULL && strlen(config->region) >= S3_REGION_MAX)
        return err_set(err, ERR_CONFIG, "'%s' is no region", config->region);
    if (s3_place_parse(&store->place, path, config->endpoint_url, config->addressing, err) < 0)
        return -1;
    const struct store_access *access = &options->access;
    const struct http_options http = { .ca_file = config->ca_file,
                                       .stop = store->stop,
                                       .stall_ms = options->stall_s * 1000 };
    if (options->share != NULL)
        share(store, s3_store_of(options->share));
    else if (http_open(&store->http, &http, err) < 0)
        return -1;
    snprintf(store->region, sizeof store->region, "%s",
             config->region != NULL ? config->region : "");
    store->profile = copy_of(config->profile);
    store->acl = copy_of(access->acl);
    store->storage_class = copy_of(access->storage_class);
    store->credentials = config->credentials;
    config->credentials = (struct s3_credentials){ 0 };
    store->base.limits.max_key_bytes -= (uint32_t)strlen(store->place.prefix);
    s3_proof_recall(store);
    return 0;
}

/* 1: it is somebody's, and may be ours: that of a request which is not over yet, of another process
 * or one that was killed, is told like this by Ceph. */
static int ask_for_bucket(struct s3_store *store, const struct s3_call *call, struct err *err)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (s3_do_patiently(store, call, &reply, err) == 0)
        return 0;
    if (err->http == 409 && strstr(err->text, "BucketAlreadyExists") != NULL)
        return 1;
    if (err->http != 409 || strstr(err->text, "BucketAlreadyOwnedByYou") == NULL)
        return -1;
    err_clear(err);
    return 0;
}

static int make_bucket(struct s3_store *store, struct err *err)
{
    SCOPED(buf) struct buf xml = { 0 };
    /* Amazon's first region must not be named; Ceph takes "default" and nothing. */
    const bool named = store->region[0] != '\0' && strcmp(store->region, "us-east-1") != 0 &&
                       store->place.host == NULL;
    if (named)
        buf_printf(&xml,
                   "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint>"
                   "</CreateBucketConfiguration>",
                   store->region);
    struct s3_load load = { 0 };
    struct body body = body_of_memory(buf_text(&xml), xml.len, NULL, NULL);
    if (s3_load_body(&load, &body, store->stop, err) < 0)
        return -1;
    const struct s3_call call = { .method = "PUT", .body = load.body, .payload = load.sha256 };
    for (unsigned tries = 1;; tries++) {
        const int made = ask_for_bucket(store, &call, err);
        if (made != 1 || tries == MAKE_TRIES)
            return made == 0 ? 0 : -1;
        err_clear(err);
        if (stop_sleep(store->stop, MAKE_PAUSE_NS, err) < 0)
            return -1;
    }
}

static int s3_open(struct store **ret_store, const char *path, const struct store_options *options,
                   struct err *err)
{
    static const struct store_options none = { 0 };
    const struct store_options *given = options != NULL ? options : &none;
    struct s3_config config = { 0 };
    if (s3_config_load(&config, &given->access, err) < 0)
        return -1;
    struct s3_store *store = mem_alloc(sizeof *store);
    store->base = (struct store){ .driver = &s3_driver, .limits = s3_limits };
    store->stop = given->stop;
    store->request_rate = given->request_rate;
    lock_init(&store->lock);
    int result = fill(store, &config, path, given, err);
    s3_config_done(&config);
    if (result == 0 && given->make_bucket && !given->dry)
        result = make_bucket(store, err);
    if (result < 0) {
        s3_close(&store->base);
        return -1;
    }
    *ret_store = &store->base;
    return 0;
}

/* ---- the small calls ---- */

static int s3_map_key(struct store *store, const char *rel, struct buf *ret_key, struct err *err)
{
    return s3_key_map(rel, store->limits.max_key_bytes, ret_key, err);
}

static int s3_unmap_key(struct store *store, const char *key, struct buf *ret_rel, struct err *err)
{
    (void)store, (void)err;
    s3_key_unmap(key, ret_rel);
    return 0;
}

/* put() and commit() do it all; what failed before stays as it is. */
static void s3_commit_batch(struct store *store, struct store_staged *items, size_t count)
{
    (void)store, (void)items, (void)count;
}

/* A put that was cut leaves nothing. An upload that was begun is found by the token that begin()
 * gave; without it nobody can tell whose it is: the store keeps no tag with it, and another program
 * may be sending the same key. `lade uploads` shows such ones. */
static int s3_clean(struct store *store, const char *key, const char *tag, struct err *err)
{
    (void)store, (void)key, (void)tag, (void)err;
    return 0;
}

static void s3_clean_begun(struct store *base, const char *key, int64_t first_ns, int64_t last_ns)
{
    s3_uploads_sweep(s3_store_of(base), key, first_ns, last_ns, "");
}

static int s3_probe(struct store *base, struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    SCOPED(http_reply) struct http_reply reply = { 0 };
    SCOPED(buf) struct buf query = { 0 };
    buf_add_text(&query, "list-type=2&max-keys=1&prefix=");
    sigv4_encode(&query, store->place.prefix, strlen(store->place.prefix), false);
    const struct s3_call call = { .method = "GET", .query = query.data };
    return s3_do_patiently(store, &call, &reply, err);
}

const struct store_driver s3_driver = {
    .scheme = "s3",
    .help = "s3://BUCKET/PREFIX  objects in Amazon S3, Ceph and what speaks the same",
    .open = s3_open,
    .close = s3_close,
    .map_key = s3_map_key,
    .unmap_key = s3_unmap_key,
    .head = s3_head,
    .list_open = s3_list_open,
    .list_next = s3_list_next,
    .list_close = s3_list_close,
    .get = s3_get,
    .put = s3_put,
    .begin = s3_begin,
    .part = s3_part,
    .commit = s3_commit,
    .abort = s3_abort,
    .commit_batch = s3_commit_batch,
    .clean = s3_clean,
    .clean_begun = s3_clean_begun,
    .set_attr = s3_set_attr,
    .copy = s3_copy,
    .remove = s3_remove,
    .probe = s3_probe,
    .diagnose = s3_diagnose,
    .uploads_open = s3_uploads_open,
    .uploads_next = s3_uploads_next,
    .uploads_close = s3_uploads_close,
    .list_buckets = s3_list_buckets,
};
