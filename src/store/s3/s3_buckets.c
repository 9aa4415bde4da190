/* The buckets of the account: ListBuckets. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#define BUCKETS_REPLY_MAX (16u << 20) /* Ceph's gateway 16 tells all at once */
#define PAGES_MAX 1000                /* of 1,000; a server that never ends is no server */

static int fetch_page(struct s3_store *store, struct buf *names, struct buf *token, struct err *err)
{
    SCOPED(buf) struct buf query = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    if (token->len != 0) {
        buf_add_text(&query, "continuation-token=");
        sigv4_encode(&query, token->data, token->len, false);
        buf_add_char(&query, '&');
    }
    /* Amazon pages only for those who ask for it, and tells at most 10,000 to the others. */
    buf_printf(&query, "max-buckets=%d", S3_PAGE_MAX);
    const struct s3_call call = { .method = "GET",
                                  .query = query.data,
                                  .of_account = true,
                                  .reply_limit_bytes = BUCKETS_REPLY_MAX };
    if (s3_do_patiently(store, &call, &reply, err) < 0)
        return -1;
    return s3_xml_buckets(buf_text(&reply.body), reply.body.len, names, token, err);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Those that begin with the prefix, sorted. */
static void choose(const struct buf *names, const char *prefix, struct buf *ret_names)
{
    const char **chosen = NULL;
    size_t count = 0;
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1)
        if (strncmp(names->data + at, prefix, strlen(prefix)) == 0) {
            chosen = mem_resize(chosen, (count + 1) * sizeof *chosen);
            chosen[count++] = names->data + at;
        }
    if (count != 0)
        qsort(chosen, count, sizeof *chosen, compare_names);
    buf_clear(ret_names);
    for (size_t i = 0; i < count; i++)
        buf_add(ret_names, chosen[i], strlen(chosen[i]) + 1);
    mem_release(chosen);
}

int s3_list_buckets(struct store *base, const char *prefix, struct buf *ret_names, struct err *err)
{
    SCOPED(buf) struct buf names = { 0 };
    SCOPED(buf) struct buf token = { 0 };
    for (int page = 0; page == 0 || token.len != 0; page++) {
        if (page == PAGES_MAX)
            return err_set(err, ERR_SERVER, "the list of buckets has no end");
        if (fetch_page(s3_store_of(base), &names, &token, err) < 0)
            return err_at(err, "list the buckets of the account");
    }
    choose(&names, prefix, ret_names);
    return 0;
}
