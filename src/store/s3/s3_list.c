/* Listing: ListObjectsV2, a page of 1,000 keys in memory at a time. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#define PAGE_REPLY_MAX (16u << 20)
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf" /* U+10FFFF: behind all that a key can go on with */
#define LINK_MOST_BYTES 4096              /* PATH_MAX: a larger object is no link's */

struct store_list {
    struct s3_store *store;
    char *prefix;           /* whole, with the store's */
    struct buf start_after; /* whole; what was shown last */
    bool delimited;
    bool started, ended;
    struct buf token; /* of the next page; empty: begin behind start_after */
    struct s3_page page;
    size_t next_item, next_prefix;
};

int s3_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                 const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    struct s3_store *store = s3_store_of(base);
    struct store_list *list = mem_alloc(sizeof *list);
    struct buf whole = { 0 };
    list->store = store;
    list->delimited = delimited;
    s3_whole_key(store, prefix, &whole);
    list->prefix = buf_take(&whole);
    if (start_after[0] != '\0')
        s3_whole_key(store, start_after, &list->start_after);
    *ret_list = list;
    return 0;
}

void s3_list_close(struct store_list *list)
{
    if (list == NULL)
        return;
    s3_page_done(&list->page);
    buf_done(&list->token);
    buf_done(&list->start_after);
    mem_release(list->prefix);
    mem_release(list);
}

static void add_parameter(struct buf *query, const char *name, const char *value, size_t len)
{
    buf_printf(query, "%s%s=", query->len != 0 ? "&" : "", name);
    sigv4_encode(query, value, len, false);
}

/* Where the server begins. What was shown last may be "dir/", and all below it is behind that. */
static void add_start(const struct store_list *list, struct buf *query)
{
    SCOPED(buf) struct buf start = { 0 };
    buf_add(&start, buf_text(&list->start_after), list->start_after.len);
    if (start.len == 0)
        return;
    if (list->delimited && start.data[start.len - 1] == '/' && start.len > strlen(list->prefix))
        buf_add_text(&start, LAST_CHARACTER);
    add_parameter(query, "start-after", start.data, start.len);
}

static int fetch_page(struct store_list *list, struct err *err)
{
    SCOPED(buf) struct buf query = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (list->token.len != 0)
        add_parameter(&query, "continuation-token", list->token.data, list->token.len);
    if (list->delimited)
        add_parameter(&query, "delimiter", "/", 1);
    buf_printf(&query, "%sencoding-type=url&list-type=2", query.len != 0 ? "&" : "");
    add_parameter(&query, "prefix", list->prefix, strlen(list->prefix));
    if (list->token.len == 0)
        add_start(list, &query);
    const struct s3_call call = { .method = "GET",
                                  .query = query.data,
                                  .reply_limit_bytes = PAGE_REPLY_MAX };
    if (s3_do_patiently(list->store, &call, &reply, err) < 0 ||
        s3_xml_page(buf_text(&reply.body), reply.body.len, &list->page, err) < 0)
        return -1;
    list->started = true;
    list->next_item = list->next_prefix = 0;
    list->ended = !list->page.truncated;
    buf_clear(&list->token);
    /* A token that did not survive is no token; start-after does the same. */
    if (!list->page.mended)
        buf_add(&list->token, buf_text(&list->page.next), list->page.next.len);
    if (!list->ended && list->page.item_count + list->page.prefix_count == 0 &&
        list->token.len == 0)
        return err_set(err, ERR_SERVER, "the store says that there is more, and shows nothing");
    return 0;
}

/* Objects and directories come apart, each sorted; together they are in order again. */
static const struct s3_item *next_of_page(struct store_list *list, bool *ret_is_prefix)
{
    const struct s3_page *page = &list->page;
    const struct s3_item *item =
        list->next_item < page->item_count ? &page->items[list->next_item] : NULL;
    const struct s3_item *prefix =
        list->next_prefix < page->prefix_count ? &page->prefixes[list->next_prefix] : NULL;
    *ret_is_prefix =
        item == NULL || (prefix != NULL && strcmp(s3_page_text(page, prefix->key_at),
                                                  s3_page_text(page, item->key_at)) < 0);
    if (*ret_is_prefix) {
        list->next_prefix += prefix != NULL;
        return prefix;
    }
    list->next_item++;
    return item;
}

/* Two pages may show the same "dir/"; a server may begin earlier than it was asked to. */
static bool is_news(const struct store_list *list, const char *key)
{
    return strncmp(key, list->prefix, strlen(list->prefix)) == 0 &&
           (list->start_after.len == 0 || strcmp(key, list->start_after.data) > 0);
}

/* Only keys of this form need a look at what is recorded: a file may have such a name, too. */
static int fill_kind(const struct store_list *list, const struct s3_item *item, const char *key,
                     struct attr *attr, struct err *err)
{
    *attr = (struct attr){ .kind = s3_kind_of_key(key) };
    if (attr->kind != ENTRY_LINK)
        return 0;
    if (item->size_bytes > LINK_MOST_BYTES || item->size_bytes == 0) {
        attr->kind = ENTRY_FILE;
        return 0;
    }
    SCOPED(object) struct object object = { 0 };
    struct err why = { 0 };
    if (store_head_patiently(&list->store->base, key, list->store->stop, &object, &why) == 0) {
        *attr = object.attr;
        return 0;
    }
    if (why.kind == ERR_ABSENT || why.kind == ERR_DENIED)
        return 0;
    *err = why;
    return -1;
}

int s3_list_next(struct store_list *list, struct object *object, struct err *err)
{
    const size_t root = strlen(list->store->place.prefix);
    for (;;) {
        bool is_prefix = false;
        const struct s3_item *item = next_of_page(list, &is_prefix);
        if (item == NULL && list->started && list->ended)
            return 0;
        if (item == NULL) {
            if (fetch_page(list, err) < 0)
                return -1;
            continue;
        }
        const char *whole = s3_page_text(&list->page, item->key_at);
        /* The prefix itself, as others' tools make directories, has no name below it. */
        if (!is_news(list, whole) || whole[root] == '\0')
            continue;
        buf_clear(&list->start_after);
        buf_add_text(&list->start_after, whole);
        buf_clear(&object->key);
        buf_add_text(&object->key, whole + root);
        object->size_bytes = item->size_bytes;
        object->stored_ns = item->time_ns;
        memcpy(object->etag, item->etag, STORE_ETAG_MAX);
        if (is_prefix)
            object->attr = (struct attr){ .kind = ENTRY_DIR };
        else if (fill_kind(list, item, whole + root, &object->attr, err) < 0)
            return -1;
        return 1;
    }
}
