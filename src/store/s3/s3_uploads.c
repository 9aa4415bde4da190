/* Unfinished uploads, as ListMultipartUploads tells them, and what they hold by ListParts. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#define PAGE_REPLY_MAX (16u << 20)
#define CLOCKS_DIFFER_NS (2 * NS_PER_S) /* a Date has no fractions */

struct store_uploads {
    struct s3_store *store;
    char *prefix; /* whole */
    struct s3_page page;
    size_t next;
    bool started;
    struct s3_page parts; /* of one upload: kept for its memory */
};

int s3_uploads_open(struct store_uploads **ret_uploads, struct store *base, const char *prefix,
                    struct err *err)
{
    (void)err;
    struct store_uploads *uploads = mem_alloc(sizeof *uploads);
    struct buf whole = { 0 };
    uploads->store = s3_store_of(base);
    s3_whole_key(uploads->store, prefix, &whole);
    uploads->prefix = buf_take(&whole);
    *ret_uploads = uploads;
    return 0;
}

void s3_uploads_close(struct store_uploads *uploads)
{
    if (uploads == NULL)
        return;
    s3_page_done(&uploads->page);
    s3_page_done(&uploads->parts);
    mem_release(uploads->prefix);
    mem_release(uploads);
}

static void add_parameter(struct buf *query, const char *name, const char *value)
{
    buf_printf(query, "&%s=", name);
    sigv4_encode(query, value, strlen(value), false);
}

static int ask_page(struct s3_store *store, const char *key, const struct buf *query,
                    struct s3_page *page, struct err *err)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    const struct s3_call call = {
        .method = "GET", .key = key, .query = query->data, .reply_limit_bytes = PAGE_REPLY_MAX
    };
    if (s3_do_patiently(store, &call, &reply, err) < 0 ||
        s3_xml_page(buf_text(&reply.body), reply.body.len, page, err) < 0)
        return -1;
    return 0;
}

static int fetch_page(struct store_uploads *uploads, struct err *err)
{
    SCOPED(buf) struct buf query = { 0 };
    buf_add_text(&query, "encoding-type=url");
    if (uploads->started)
        add_parameter(&query, "key-marker", buf_text(&uploads->page.next));
    add_parameter(&query, "prefix", uploads->prefix);
    if (uploads->started)
        add_parameter(&query, "upload-id-marker", buf_text(&uploads->page.next_id));
    buf_add_text(&query, "&uploads=");
    const bool was_started = uploads->started;
    SCOPED(buf) struct buf key_before = { 0 };
    SCOPED(buf) struct buf id_before = { 0 };
    buf_add_text(&key_before, buf_text(&uploads->page.next));
    buf_add_text(&id_before, buf_text(&uploads->page.next_id));
    if (ask_page(uploads->store, NULL, &query, &uploads->page, err) < 0)
        return -1;
    uploads->started = true;
    uploads->next = 0;
    if (was_started && uploads->page.truncated &&
        strcmp(key_before.data, buf_text(&uploads->page.next)) == 0 &&
        strcmp(id_before.data, buf_text(&uploads->page.next_id)) == 0)
        return err_set(err, ERR_SERVER, "the list of uploads does not go on");
    return 0;
}

/* How much of it is there. An upload that ended meanwhile has nothing. */
static int measure(struct store_uploads *uploads, const char *key, struct store_upload *upload,
                   struct err *err)
{
    SCOPED(buf) struct buf marker = { 0 };
    upload->size_bytes = 0;
    upload->parts = 0;
    for (;;) {
        SCOPED(buf) struct buf query = { 0 };
        if (marker.len != 0)
            buf_printf(&query, "part-number-marker=%s&", marker.data);
        buf_add_text(&query, "uploadId=");
        sigv4_encode(&query, upload->id, strlen(upload->id), false);
        struct err why = { 0 };
        struct s3_page *page = &uploads->parts;
        if (ask_page(uploads->store, key, &query, page, &why) < 0) {
            if (why.kind == ERR_ABSENT)
                return 0;
            *err = why;
            return -1;
        }
        for (size_t i = 0; i < page->item_count; i++)
            upload->size_bytes += page->items[i].size_bytes;
        upload->parts += (uint32_t)page->item_count;
        if (!page->truncated || page->next.len == 0 ||
            strspn(page->next.data, "0123456789") != page->next.len ||
            strcmp(page->next.data, buf_text(&marker)) == 0)
            return 0;
        buf_clear(&marker);
        buf_add(&marker, page->next.data, page->next.len);
    }
}

int s3_uploads_next(struct store_uploads *uploads, struct store_upload *upload, struct err *err)
{
    const size_t root = strlen(uploads->store->place.prefix);
    for (;;) {
        const struct s3_page *page = &uploads->page;
        if (uploads->next == page->item_count) {
            if (uploads->started && !page->truncated)
                return 0;
            if (fetch_page(uploads, err) < 0)
                return -1;
            continue;
        }
        const struct s3_item *item = &page->items[uploads->next++];
        const char *whole = s3_page_text(page, item->key_at);
        const char *id = s3_page_text(page, item->id_at);
        if (strncmp(whole, uploads->prefix, strlen(uploads->prefix)) != 0 ||
            strlen(id) >= STORE_TOKEN_MAX - 8)
            continue;
        buf_clear(&upload->key);
        buf_add_text(&upload->key, whole + root);
        snprintf(upload->id, sizeof upload->id, "%s", id);
        snprintf(upload->token, sizeof upload->token, "0::%s", id);
        upload->begun_ns = item->time_ns;
        return measure(uploads, whole, upload, err) < 0 ? -1 : 1;
    }
}

/* Nothing in a listing tells whose an upload is. Without a part, of this key and begun in the very
 * moment when our own request was lost, it is ours. */
void s3_uploads_sweep(struct s3_store *store, const char *key, int64_t first_ns, int64_t last_ns,
                      const char *own_id)
{
    struct store *base = &store->base;
    struct store_uploads *uploads = NULL;
    struct store_upload upload = { 0 };
    struct err ignored = { 0 }; /* it takes no room; `lade uploads` shows it */
    if (s3_uploads_open(&uploads, base, key, &ignored) < 0)
        return;
    while (s3_uploads_next(uploads, &upload, &ignored) == 1) {
        const int64_t begun_ns = upload.begun_ns - atomic_load(&store->ahead_s) * NS_PER_S;
        if (strcmp(upload.key.data, key) != 0 || upload.parts != 0 ||
            begun_ns < first_ns - CLOCKS_DIFFER_NS || begun_ns > last_ns + CLOCKS_DIFFER_NS ||
            strcmp(upload.id, own_id) == 0)
            continue;
        struct err why = { 0 };
        (void)!s3_abort_one(store, key, upload.token, &why);
    }
    s3_uploads_close(uploads);
    store_upload_done(&upload);
}
