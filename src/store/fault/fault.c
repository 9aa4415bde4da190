#include "store/fault/fault.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/fault/fault_internal.h"
#include "store/location.h"

struct fault_store {
    struct store base;
    struct store *inner;
    const struct stop *stop;
    struct fault_rules rules;
};

struct store_list {
    struct store *inner;
    struct store_list *list;
};

static struct fault_store *fault_of(struct store *store)
{
    return (struct fault_store *)store;
}

static const struct store_driver *inner_driver(struct store *store)
{
    return fault_of(store)->inner->driver;
}

/* ---- what happens before and after a call ---- */

static int obey_before(struct fault_store *store, const struct fault_action *action,
                       struct err *err)
{
    if (action->delay_ns != 0 && stop_sleep(store->stop, action->delay_ns, err) < 0)
        return -1;
    while (action->hang)
        if (stop_sleep(store->stop, NS_PER_S, err) < 0)
            return -1;
    if (action->fail == ERR_NONE)
        return 0;
    err_set(err, action->fail, "a fault was asked for");
    err->retry_after_ms = action->retry_after_ms;
    return -1;
}

static int before(struct store *base, enum fault_call call, const char *key, uint32_t number,
                  struct fault_action *ret_action, struct err *err)
{
    struct fault_store *store = fault_of(base);
    *ret_action = fault_judge(&store->rules, call, key, number);
    return obey_before(store, ret_action, err);
}

/* `result` of the call, unless its answer is lost. */
static int after(const struct fault_action *action, int result, struct err *err)
{
    if (result < 0 || !action->lose)
        return result;
    return err_set(err, ERR_NET, "the answer was lost, a fault that was asked for");
}

static void lie_etag(const struct fault_action *action, char etag[STORE_ETAG_MAX])
{
    if (action->etag)
        snprintf(etag, STORE_ETAG_MAX, "another-etag");
}

static void lie_object(const struct fault_action *action, struct object *object)
{
    lie_etag(action, object->etag);
    if (action->size)
        object->size_bytes++;
}

/* ---- lifetime ---- */

static int open_inner(struct fault_store *store, const char *text,
                      const struct store_options *options, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, text, err) < 0)
        return -1;
    const char *scheme = location_is_local(&location) ? "file" : location.scheme;
    return store_driver_by_scheme(scheme)->open(&store->inner, location.path, options, err);
}

static int fault_open(struct store **ret_store, const char *path,
                      const struct store_options *options, struct err *err)
{
    const char *plus = strchr(path, '+');
    if (plus == NULL)
        return err_set(err, ERR_USAGE, "'fault:%s' is not fault:RULES+LOCATION", path);
    SCOPED(buf) struct buf rules = { 0 };
    buf_add(&rules, path, (size_t)(plus - path));
    struct fault_store *store = mem_alloc(sizeof *store);
    if (fault_rules_read(&store->rules, rules.data, err) < 0) {
        mem_release(store);
        return -1;
    }
    if (open_inner(store, plus + 1, options, err) < 0) {
        fault_rules_done(&store->rules);
        mem_release(store);
        return -1;
    }
    store->base = (struct store){ .driver = &fault_driver, .limits = store->inner->limits };
    store->stop = options != NULL ? options->stop : NULL;
    *ret_store = &store->base;
    return 0;
}

static void fault_close(struct store *base)
{
    if (base == NULL)
        return;
    struct fault_store *store = fault_of(base);
    store->inner->driver->close(store->inner);
    fault_rules_done(&store->rules);
    mem_release(store);
}

/* ---- calls ---- */

static int fault_map_key(struct store *base, const char *rel, struct buf *ret_key, struct err *err)
{
    return inner_driver(base)->map_key(fault_of(base)->inner, rel, ret_key, err);
}

static int fault_unmap_key(struct store *base, const char *key, struct buf *ret_rel,
                           struct err *err)
{
    return inner_driver(base)->unmap_key(fault_of(base)->inner, key, ret_rel, err);
}

static int fault_head(struct store *base, const char *key, struct object *ret_object,
                      struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_HEAD, key, 0, &action, err) < 0 ||
        inner_driver(base)->head(fault_of(base)->inner, key, ret_object, err) < 0)
        return -1;
    lie_object(&action, ret_object);
    return after(&action, 0, err);
}

static int fault_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                           const char *start_after, bool delimited, struct err *err)
{
    struct fault_action action;
    struct store_list *list = NULL;
    if (before(base, CALL_LIST, prefix, 0, &action, err) < 0 || after(&action, 0, err) < 0 ||
        inner_driver(base)->list_open(&list, fault_of(base)->inner, prefix, start_after, delimited,
                                      err) < 0)
        return -1;
    struct store_list *outer = mem_alloc(sizeof *outer);
    *outer = (struct store_list){ .inner = fault_of(base)->inner, .list = list };
    *ret_list = outer;
    return 0;
}

static int fault_list_next(struct store_list *list, struct object *object, struct err *err)
{
    return list->inner->driver->list_next(list->list, object, err);
}

static void fault_list_close(struct store_list *list)
{
    if (list == NULL)
        return;
    list->inner->driver->list_close(list->list);
    mem_release(list);
}

/* What a get asks for. */
struct wish {
    struct store *inner;
    const char *key, *if_match;
    struct sink *sink;
    struct object *ret_object;
};

static int get_range(const struct wish *wish, uint64_t offset, uint64_t length, struct err *err)
{
    return wish->inner->driver->get(wish->inner, wish->key, offset, length, wish->if_match,
                                    wish->sink, wish->ret_object, err);
}

/* One byte of the object, wrong. */
static int get_flipped(const struct wish *wish, uint64_t at, struct err *err)
{
    unsigned char byte = 0;
    struct sink one = { .fd = -1, .memory = &byte, .memory_bytes = 1 };
    const struct wish single = { wish->inner, wish->key, wish->if_match, &one, NULL };
    if (get_range(&single, at, 1, err) < 0)
        return -1;
    byte ^= 0x10;
    return sink_write(wish->sink, &byte, (size_t)one.done_bytes, err);
}

/* What is before the flipped byte, that byte, and what is behind it. */
static int get_lying(const struct wish *wish, uint64_t flip_at, uint64_t offset, uint64_t length,
                     struct err *err)
{
    if (flip_at < offset || flip_at - offset >= length)
        return get_range(wish, offset, length, err);
    const uint64_t lead = flip_at - offset;
    const uint64_t rest = length == UINT64_MAX ? length : length - lead - 1;
    if (get_range(wish, offset, lead, err) < 0 || get_flipped(wish, flip_at, err) < 0)
        return -1;
    return get_range(wish, flip_at + 1, rest, err);
}

static int fault_get(struct store *base, const char *key, uint64_t offset_bytes,
                     uint64_t length_bytes, const char *if_match, struct sink *sink,
                     struct object *ret_object, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_GET, key, 0, &action, err) < 0)
        return -1;
    const struct wish wish = { fault_of(base)->inner, key, if_match, sink, ret_object };
    const int result = action.flip
                           ? get_lying(&wish, action.flip_at, offset_bytes, length_bytes, err)
                           : get_range(&wish, offset_bytes, length_bytes, err);
    if (result < 0)
        return -1;
    if (ret_object != NULL)
        lie_object(&action, ret_object);
    return after(&action, 0, err);
}

static int fault_put(struct store *base, const struct store_put *put, struct body *body,
                     struct store_result *ret_result, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_PUT, put->key, 0, &action, err) < 0 ||
        inner_driver(base)->put(fault_of(base)->inner, put, body, ret_result, err) < 0)
        return -1;
    lie_etag(&action, ret_result->etag);
    return after(&action, 0, err);
}

static int fault_begin(struct store *base, const struct store_put *put, uint64_t size_bytes,
                       char ret_token[STORE_TOKEN_MAX], struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_BEGIN, put->key, 0, &action, err) < 0)
        return -1;
    return after(&action,
                 inner_driver(base)->begin(fault_of(base)->inner, put, size_bytes, ret_token, err),
                 err);
}

static int fault_part(struct store *base, const struct store_put *put, const char *token,
                      uint32_t number, uint64_t offset_bytes, struct body *body,
                      struct store_part *ret_part, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_PART, put->key, number, &action, err) < 0 ||
        inner_driver(base)->part(fault_of(base)->inner, put, token, number, offset_bytes, body,
                                 ret_part, err) < 0)
        return -1;
    lie_etag(&action, ret_part->etag);
    return after(&action, 0, err);
}

static int fault_commit(struct store *base, const struct store_put *put, const char *token,
                        const struct store_part *parts, size_t count,
                        struct store_result *ret_result, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_COMMIT, put->key, 0, &action, err) < 0 ||
        inner_driver(base)->commit(fault_of(base)->inner, put, token, parts, count, ret_result,
                                   err) < 0)
        return -1;
    lie_etag(&action, ret_result->etag);
    return after(&action, 0, err);
}

static int fault_abort(struct store *base, const char *key, const char *token, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_ABORT, key, 0, &action, err) < 0)
        return -1;
    return after(&action, inner_driver(base)->abort(fault_of(base)->inner, key, token, err), err);
}

static void fault_commit_batch(struct store *base, struct store_staged *items, size_t count)
{
    struct fault_action *actions = mem_alloc(count * sizeof *actions);
    for (size_t i = 0; i < count; i++)
        if (items[i].err.kind == ERR_NONE)
            (void)before(base, CALL_COMMIT_BATCH, items[i].key, 0, &actions[i], &items[i].err);
    inner_driver(base)->commit_batch(fault_of(base)->inner, items, count);
    for (size_t i = 0; i < count; i++)
        if (items[i].err.kind == ERR_NONE)
            (void)after(&actions[i], 0, &items[i].err);
    mem_release(actions);
}

static int fault_clean(struct store *base, const char *key, const char *tag, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_CLEAN, key, 0, &action, err) < 0)
        return -1;
    return after(&action, inner_driver(base)->clean(fault_of(base)->inner, key, tag, err), err);
}

static int fault_set_attr(struct store *base, const char *key, const struct attr *attr,
                          struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_SET_ATTR, key, 0, &action, err) < 0)
        return -1;
    return after(&action, inner_driver(base)->set_attr(fault_of(base)->inner, key, attr, err), err);
}

static int fault_copy(struct store *base, const char *from_key, const struct store_put *put,
                      struct store_result *ret_result, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_COPY, put->key, 0, &action, err) < 0 ||
        inner_driver(base)->copy(fault_of(base)->inner, from_key, put, ret_result, err) < 0)
        return -1;
    lie_etag(&action, ret_result->etag);
    return after(&action, 0, err);
}

static int fault_remove(struct store *base, const char *const *keys, size_t count, struct err *errs,
                        struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct fault_action action;
        err_clear(&errs[i]);
        if (before(base, CALL_REMOVE, keys[i], 0, &action, &errs[i]) < 0)
            continue;
        if (inner_driver(base)->remove(fault_of(base)->inner, &keys[i], 1, &errs[i], err) < 0)
            return -1;
        if (errs[i].kind == ERR_NONE)
            (void)after(&action, 0, &errs[i]);
    }
    return 0;
}

static int fault_probe(struct store *base, struct err *err)
{
    struct fault_action action;
    if (before(base, CALL_PROBE, "", 0, &action, err) < 0)
        return -1;
    return after(&action, inner_driver(base)->probe(fault_of(base)->inner, err), err);
}

/* What lies behind; the faults are of calls. */
static void fault_diagnose(const char *path, const struct store_options *options, bool again,
                           struct store_findings *findings)
{
    SCOPED(location) struct location location = { 0 };
    struct err err = { 0 };
    const char *plus = strchr(path, '+');
    if (location_parse(&location, plus != NULL ? plus + 1 : path, &err) < 0) {
        store_findings_add_err(findings, "location", &err, "write fault:RULES+LOCATION");
        return;
    }
    const char *scheme = location_is_local(&location) ? "file" : location.scheme;
    store_driver_by_scheme(scheme)->diagnose(location.path, options, again, findings);
}

const struct store_driver fault_driver = {
    .scheme = "fault",
    .help = "fault:RULES+LOCATION  a store that misbehaves, for tests",
    .open = fault_open,
    .close = fault_close,
    .map_key = fault_map_key,
    .unmap_key = fault_unmap_key,
    .head = fault_head,
    .list_open = fault_list_open,
    .list_next = fault_list_next,
    .list_close = fault_list_close,
    .get = fault_get,
    .put = fault_put,
    .begin = fault_begin,
    .part = fault_part,
    .commit = fault_commit,
    .abort = fault_abort,
    .commit_batch = fault_commit_batch,
    .clean = fault_clean,
    .set_attr = fault_set_attr,
    .copy = fault_copy,
    .remove = fault_remove,
    .probe = fault_probe,
    .diagnose = fault_diagnose,
};
