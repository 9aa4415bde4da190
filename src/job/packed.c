#include "job/packed.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "job/objects.h"
#include "job/places.h"
#include "pack/view.h"

#include <assert.h>

#define MARK "!/"

static bool may_be_pack(const char *name, size_t len)
{
    return path_ends_with(name, len, PACK_SUFFIX) || path_ends_with(name, len, PACK_TAR_SUFFIX);
}

static void seen_as(struct buf *ret_place, const char *name, const struct store_options *options)
{
    struct place place;
    place_of(&place, name, &options->access);
    place_listed_as(&place, ret_place);
    place_done(&place);
}

/* For packed_recall(). Where nothing goes through a network there is nothing to spare. */
static void keep_seen(const struct store *store, const struct catalog_pack *pack, const char *name,
                      const struct store_options *options)
{
    SCOPED(buf) struct buf place = { 0 };
    struct cache cache;
    if (store->limits.is_tree)
        return;
    seen_as(&place, name, options);
    cache_open(&cache);
    seen_keep(&cache, store->driver->scheme, place.data, pack->size_bytes, pack->stored_ns,
              pack->etag);
    cache_close(&cache);
}

static bool find_seen(const struct store *store, const char *name,
                      const struct store_options *options, struct seen *ret_seen)
{
    SCOPED(buf) struct buf place = { 0 };
    struct cache cache;
    seen_as(&place, name, options);
    cache_open(&cache);
    const bool found = seen_find(&cache, store->driver->scheme, place.data, ret_seen);
    cache_close(&cache);
    return found;
}

/* The pack alone: 1, 0: there is none of this name, -1. */
static int open_pack(struct store **ret_store, struct catalog *ret_catalog, const char *name,
                     const struct store_options *options, struct err *err)
{
    char *key = NULL;
    struct err why = { 0 };
    if (store_open_parent(ret_store, name, options, &key, &why) < 0)
        return 0; /* what else it may be says what is wrong */
    const struct catalog_options looking = { .only = key, .stop = options->stop };
    const int result = catalog_open(ret_catalog, *ret_store, &looking, &why);
    mem_release(key);
    if (result == 0 && ret_catalog->count == 1 && ret_catalog->packs[0]->pack != NULL) {
        keep_seen(*ret_store, ret_catalog->packs[0], name, options);
        return 1;
    }
    if (result == 0 && ret_catalog->count == 1)
        why = ret_catalog->packs[0]->err;
    catalog_done(ret_catalog);
    (*ret_store)->driver->close(*ret_store);
    if (why.kind == ERR_NONE || why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return err_at(err, "'%s'", name);
}

/* One member, whose key is *ret_key then, or what is below a directory. */
static int find_inside(struct catalog_pack *pack, const char *inside, struct buf *ret_name,
                       struct err *err)
{
    size_t len = strlen(inside);
    const bool is_dir = len != 0 && inside[len - 1] == '/';
    while (len != 0 && inside[len - 1] == '/')
        len--;
    if (len == 0)
        return 0;
    struct pack_member member;
    struct pack_cursor *cursor = pack_cursor_new(pack->pack);
    const int got = is_dir ? 0 : pack_find(cursor, inside, len, &member, err);
    if (got == 1 && member.kind != PACK_DIR && member.kind != PACK_GONE)
        (void)catalog_name(pack, &member, ret_name);
    pack_cursor_free(cursor);
    if (got < 0 || ret_name->len != 0)
        return got < 0 ? -1 : 0;
    struct buf skipped = { 0 };
    buf_add(&skipped, inside, len);
    buf_add_char(&skipped, '/');
    mem_release(pack->skipped);
    pack->skipped = buf_take(&skipped);
    return 0;
}

/* A directory that nothing is in, and a name that is not there, look the same. */
static int check_any(struct store *store, const char *inside, struct err *err)
{
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    int got = store->driver->list_open(&list, store, "", "", false, err);
    if (got == 0) {
        got = store->driver->list_next(list, &object, err);
        store->driver->list_close(list);
    }
    return got == 0 ? err_set(err, ERR_ABSENT, "the pack has no '%s'", inside) : got < 0 ? -1 : 0;
}

static int show(struct store **ret_store, char **ret_key, struct store *inner,
                struct catalog *catalog, const char *inside, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    if (find_inside(catalog->packs[0], inside, &name, err) < 0 ||
        (name.len != 0 && inner->driver->map_key(inner, name.data, &key, err) < 0) ||
        view_open(ret_store, inner, catalog, true, err) < 0)
        return -1;
    *ret_key = name.len != 0 ? buf_take(&key) : NULL;
    if (*ret_key != NULL || inside[0] == '\0' || check_any(*ret_store, inside, err) == 0)
        return 0;
    (*ret_store)->driver->close(*ret_store);
    return 1; /* and err is set: nothing is the caller's any more */
}

static int open_at(struct store **ret_store, char **ret_key, const char *location, size_t len,
                   const struct store_options *options, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    struct store *inner = NULL;
    struct catalog catalog = { 0 };
    buf_add(&name, location, len);
    const int found = open_pack(&inner, &catalog, name.data, options, err);
    if (found != 1)
        return found;
    const char *inside = location[len] != '\0' ? location + len + strlen(MARK) : "";
    const int shown = show(ret_store, ret_key, inner, &catalog, inside, err);
    if (shown == 0)
        return 1;
    if (shown < 0) {
        catalog_done(&catalog);
        inner->driver->close(inner);
    }
    return err_at(err, "'%s'", location);
}

int packed_open(struct store **ret_store, char **ret_key, const char *location, bool whole,
                const struct store_options *options, struct err *err)
{
    static const struct store_options none = { 0 };
    const struct store_options *given = options != NULL ? options : &none;
    const size_t len = strlen(location);
    int got = 0;
    if (whole && may_be_pack(location, len))
        got = open_at(ret_store, ret_key, location, len, given, err);
    /* From the last mark to the first, since a pack's own name may hold one. */
    for (size_t at = len; got == 0 && at-- > 0;)
        if (strncmp(location + at, MARK, strlen(MARK)) == 0 && may_be_pack(location, at))
            got = open_at(ret_store, ret_key, location, at, given, err);
    return got;
}

/* The pack as it was seen last, from the cache alone. */
static bool recall_pack(struct store **ret_store, struct catalog *ret_catalog, const char *name,
                        const struct store_options *options)
{
    char *key = NULL;
    struct err ignored = { 0 };
    struct seen seen;
    if (store_open_parent(ret_store, name, options, &key, &ignored) < 0)
        return false;
    const struct catalog_options looking = { .only = key, .stop = options->stop, .seen = &seen };
    bool found = !(*ret_store)->limits.is_tree && find_seen(*ret_store, name, options, &seen) &&
                 catalog_open(ret_catalog, *ret_store, &looking, &ignored) == 0;
    mem_release(key);
    if (found && (ret_catalog->count != 1 || ret_catalog->packs[0]->pack == NULL)) {
        catalog_done(ret_catalog);
        found = false;
    }
    if (!found)
        (*ret_store)->driver->close(*ret_store);
    return found;
}

/* Reading it asks the store; all else is in the index. */
static bool is_content(struct store *store, const char *key)
{
    SCOPED(object) struct object object = { 0 };
    struct err ignored = { 0 };
    return store->driver->head(store, key, &object, &ignored) == 0 &&
           object.attr.kind == ENTRY_FILE && object.size_bytes != 0;
}

bool packed_recall(struct store **ret_store, char **ret_key, const char *location,
                   const struct store_options *options)
{
    struct err ignored = { 0 };
    for (size_t at = strlen(location); at-- > 0;) {
        SCOPED(buf) struct buf name = { 0 };
        struct store *inner = NULL;
        struct catalog catalog = { 0 };
        buf_add(&name, location, at);
        if (strncmp(location + at, MARK, strlen(MARK)) != 0 || !may_be_pack(location, at) ||
            !recall_pack(&inner, &catalog, name.data, options))
            continue;
        const int shown =
            show(ret_store, ret_key, inner, &catalog, location + at + strlen(MARK), &ignored);
        if (shown == 0 && *ret_key != NULL && is_content(*ret_store, *ret_key))
            return true;
        if (shown == 0) {
            (*ret_store)->driver->close(*ret_store);
            mem_free(*ret_key);
        } else if (shown < 0) {
            catalog_done(&catalog);
            inner->driver->close(inner);
        }
        return false;
    }
    return false;
}

int packed_is(const char *location, const struct store_options *options, struct err *err)
{
    struct store *store = NULL;
    char *key = NULL;
    const int packed = packed_open(&store, &key, location, false, options, err);
    if (packed == 1 && store != NULL)
        store->driver->close(store);
    mem_release(key);
    return packed;
}
