/* Deleting many keys in one request, as far as XML can name them. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_internal.h"

#define BATCH_REPLY_MAX (4u << 20)

int s3_delete(struct s3_store *store, const char *key, const char *query, struct err *err)
{
    SCOPED(buf) struct buf whole = { 0 };
    SCOPED(http_reply) struct http_reply reply = { 0 };
    const struct s3_call call = { .method = "DELETE",
                                  .key = s3_whole_key(store, key, &whole),
                                  .query = query };
    if (s3_do_patiently(store, &call, &reply, err) == 0)
        return 0;
    if (err->kind != ERR_ABSENT)
        return -1;
    err_clear(err);
    return 0;
}

/* ---- many ---- */

struct batch {
    struct buf xml;
    size_t *indexes; /* of the keys that are in it */
    size_t count;
};

static void batch_done(struct batch *batch)
{
    buf_done(&batch->xml);
    mem_release(batch->indexes);
}

static bool batch_add(struct batch *batch, const struct s3_store *store, const char *key,
                      size_t index)
{
    SCOPED(buf) struct buf whole = { 0 };
    const size_t before = batch->xml.len;
    buf_add_text(&batch->xml, "<Object><Key>");
    if (!s3_xml_escape(&batch->xml, s3_whole_key(store, key, &whole))) {
        buf_cut(&batch->xml, before);
        return false;
    }
    buf_add_text(&batch->xml, "</Key></Object>");
    batch->indexes[batch->count++] = index;
    return true;
}

/* The answer names the keys that were refused. */
static int take_refusals(const struct s3_store *store, const struct batch *batch,
                         const char *const *keys, const struct s3_refusals *refusals,
                         struct err *errs, struct err *err)
{
    const size_t prefix = strlen(store->place.prefix);
    for (size_t r = 0; r < refusals->count; r++) {
        const struct s3_refused *refused = &refusals->items[r];
        const char *key = refused->key != NULL ? refused->key : "";
        bool known = false;
        for (size_t i = 0; i < batch->count && !known; i++) {
            const size_t index = batch->indexes[i];
            known = strlen(key) >= prefix && strcmp(key + prefix, keys[index]) == 0;
            if (known && errs[index].kind == ERR_NONE &&
                strcmp(refused->code != NULL ? refused->code : "", "NoSuchKey") != 0)
                s3_error_set_code(&errs[index], refused->code, refused->message);
        }
        if (!known)
            return err_set(err, ERR_SERVER, "the store refuses to delete '%s', unasked", key);
    }
    return 0;
}

static int remove_batch(struct s3_store *store, struct batch *batch, const char *const *keys,
                        struct err *errs, struct err *err)
{
    SCOPED(http_reply) struct http_reply reply = { 0 };
    SCOPED(s3_refusals) struct s3_refusals refusals = { 0 };
    buf_add_text(&batch->xml, "</Delete>");
    if (s3_send_xml(store, "POST", NULL, "delete=", &batch->xml, BATCH_REPLY_MAX, &reply, err) <
            0 ||
        s3_xml_refusals(buf_text(&reply.body), reply.body.len, &refusals, err) < 0)
        return -1;
    return take_refusals(store, batch, keys, &refusals, errs, err);
}

int s3_remove(struct store *base, const char *const *keys, size_t count, struct err *errs,
              struct err *err)
{
    struct s3_store *store = s3_store_of(base);
    SCOPED(batch) struct batch batch = { .indexes = mem_alloc((count + 1) * sizeof(size_t)) };
    buf_add_text(&batch.xml, "<Delete><Quiet>true</Quiet>");
    for (size_t i = 0; i < count; i++) {
        errs[i] = (struct err){ 0 };
        if (count > 1 && batch_add(&batch, store, keys[i], i))
            continue;
        if (s3_delete(store, keys[i], NULL, &errs[i]) < 0 && err_trait(errs[i].kind)->ends_run) {
            *err = errs[i];
            return -1;
        }
    }
    return batch.count != 0 ? remove_batch(store, &batch, keys, errs, err) : 0;
}
