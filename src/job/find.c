#include "job/find.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "job/objects.h"
#include "pack/seen.h"
#include "store/location.h"
#include "store/spread/spread_template.h"

#include <string.h>

#define SEEN_MAX 100u /* packs of hits whose ETags are kept */

/* A search under way. */
struct finding {
    const struct place *place;
    const struct find_options *options;
    struct store *store; /* NULL: offline */
    const char *scheme;
    char *only;      /* the place is this one object */
    char *base;      /* a location of the store's root, ending in '/' or ':' */
    char *listed_as; /* of the listing in the cache */
    struct cache cache;
    struct catalog catalog;
    struct search *search;
    struct find_counts *counts;
    struct spread_template *template; /* NULL: the place is none */
    bool partial;
};

static void finding_done(struct finding *finding)
{
    search_free(finding->search);
    catalog_done(&finding->catalog);
    if (finding->store != NULL)
        finding->store->driver->close(finding->store);
    mem_release(finding->only);
    mem_release(finding->base);
    mem_release(finding->listed_as);
    if (finding->template != NULL)
        spread_template_done(finding->template);
    mem_release(finding->template);
    cache_prune(&finding->cache, CACHE_BYTES_MAX, clock_now_ns());
    cache_close(&finding->cache);
}

static void warn(struct finding *finding, const struct err *err)
{
    finding->partial = true;
    finding->options->warn(finding->options->ctx, finding->place, err);
}

/* ---- where ---- */

static void set_base(struct finding *finding, bool parent)
{
    SCOPED(buf) struct buf base = { 0 };
    buf_add_text(&base, finding->place->location);
    if (parent) {
        while (base.len > 1 && base.data[base.len - 1] != '/' && base.data[base.len - 1] != ':')
            buf_cut(&base, base.len - 1);
    } else if (base.data[base.len - 1] != '/') {
        buf_add_char(&base, '/');
    }
    finding->base = buf_take(&base);
}

/* Is the location one object? Then its parent is the store. 1, 0, -1. */
static int try_object(struct finding *finding, const struct store_options *opening, struct err *err)
{
    struct err why = { 0 };
    char *name = NULL;
    SCOPED(object) struct object object = { 0 };
    if (store_open_parent(&finding->store, finding->place->location, opening, &name, &why) < 0) {
        finding->store = NULL;
        return 0; /* opening the location itself says what is wrong */
    }
    if (store_head_patiently(finding->store, name, opening->stop, &object, &why) == 0) {
        finding->only = name;
        return 1;
    }
    mem_release(name);
    finding->store->driver->close(finding->store);
    finding->store = NULL;
    if (why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return -1;
}

static int open_store(struct finding *finding, struct err *err)
{
    const struct store_options opening = { .stop = finding->options->stop,
                                           .stall_s = finding->options->stall_s,
                                           .access = place_access(finding->place) };
    const int found = try_object(finding, &opening, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (store_open_location(&finding->store, finding->place->location, &opening, err) == 0)
        return 0;
    finding->store = NULL;
    return -1;
}

/* ---- listing ---- */

static enum inventory_kind kind_of(const struct object *object)
{
    const bool slash = object->key.len != 0 && object->key.data[object->key.len - 1] == '/';
    if (object->attr.kind == ENTRY_DIR || slash)
        return INVENTORY_DIR;
    return object->attr.kind == ENTRY_LINK ? INVENTORY_LINK : INVENTORY_FILE;
}

static void take_object(struct finding *finding, struct inventory_writer *writer,
                        const struct object *object, struct buf *name)
{
    struct err odd = { 0 };
    buf_clear(name);
    if (finding->store->driver->unmap_key(finding->store, object->key.data, name, &odd) < 0) {
        buf_clear(name); /* a name that is none is shown as it is */
        buf_add(name, object->key.data, object->key.len);
    }
    const bool may_be_pack = catalog_may_be_pack(object->key.data);
    const bool opened =
        may_be_pack || path_ends_with(object->key.data, object->key.len, AMETA_SUFFIX);
    const bool has_mtime = (object->attr.have & ATTR_MTIME) != 0;
    const struct inventory_row row = {
        .key = object->key.data,
        .key_len = object->key.len,
        .name = buf_text(name),
        .name_len = name->len,
        .kind = kind_of(object),
        .size_bytes = object->size_bytes,
        .time_ns = has_mtime ? object->attr.mtime_ns : object->stored_ns,
        .stored_ns = object->stored_ns,
        .etag = opened ? object->etag : "",
        .bucket = object->bucket,
    };
    inventory_add(writer, &row);
    search_object(finding->search, &row);
    if (may_be_pack)
        catalog_offer(&finding->catalog, finding->store, object, finding->options->stop);
}

/* The object alone, and the index beside it if it is a tar. */
static int list_only(struct finding *finding, struct inventory_writer *writer, struct err *err)
{
    SCOPED(object) struct object object = { 0 };
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    const struct stop *stop = finding->options->stop;
    if (store_head_patiently(finding->store, finding->only, stop, &object, err) < 0)
        return -1;
    buf_clear(&object.key);
    buf_add_text(&object.key, finding->only);
    take_object(finding, writer, &object, &name);
    if (finding->catalog.count == 0)
        return 0;
    struct err absent = { 0 };
    buf_printf(&index, "%s" PACK_INDEX_SUFFIX, finding->only);
    if (store_head_patiently(finding->store, index.data, stop, &object, &absent) == 0) {
        buf_clear(&object.key);
        buf_add(&object.key, index.data, index.len);
        take_object(finding, writer, &object, &name);
    }
    return 0;
}

static int list_all(struct finding *finding, struct inventory_writer *writer, struct err *err)
{
    const struct store_driver *driver = finding->store->driver;
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    SCOPED(buf) struct buf name = { 0 };
    if (driver->list_open(&list, finding->store, "", "", false, err) < 0)
        return -1;
    int got;
    while ((got = driver->list_next(list, &object, err)) == 1 &&
           (got = stop_check(finding->options->stop, err)) == 0)
        take_object(finding, writer, &object, &name);
    driver->list_close(list);
    return got;
}

static int list_online(struct finding *finding, struct err *err)
{
    struct inventory_writer writer;
    inventory_begin(&writer, &finding->cache, finding->scheme, finding->listed_as,
                    finding->only != NULL, clock_now_ns());
    const int result =
        finding->only != NULL ? list_only(finding, &writer, err) : list_all(finding, &writer, err);
    if (result == 0)
        inventory_commit(&writer);
    inventory_done(&writer);
    return result;
}

/* What the listing of a place is called; of one around it: the first so many bytes of its location.
 */
static char *listing_name(const struct place *place, size_t len)
{
    SCOPED(buf) struct buf location = { 0 };
    SCOPED(buf) struct buf text = { 0 };
    struct place around = *place;
    buf_add(&location, place->location, len);
    around.location = location.data;
    place_listed_as(&around, &text);
    return buf_take(&text);
}

/* Take this listing if it is the newest so far. */
static void offer_listing(const struct finding *finding, size_t len, struct inventory *newest)
{
    const char *location = finding->place->location;
    struct inventory other;
    char *name = listing_name(finding->place, len);
    const bool known = inventory_open(&other, &finding->cache, finding->scheme, name);
    mem_release(name);
    const bool outer = location[len] != '\0';
    if (known && (newest->listed_ns >= other.listed_ns || (outer && other.alone))) {
        inventory_close(&other);
    } else if (known) {
        inventory_close(newest);
        *newest = other;
        if (outer)
            inventory_narrow(newest, location + len + 1);
    }
}

/* The last listing of the place, or of one in which it lies. */
static bool open_listing(const struct finding *finding, struct inventory *ret_inventory)
{
    const char *location = finding->place->location;
    struct inventory newest = { .listed_ns = INT64_MIN };
    size_t len = strlen(location);
    offer_listing(finding, len, &newest);
    /* In a template a component less is no place around it. */
    while (finding->template == NULL && len != 0) {
        if (location[--len] != '/')
            continue;
        if (len == 0 || location[len - 1] == '/' || location[len - 1] == ':')
            break;
        offer_listing(finding, len, &newest);
    }
    if (newest.listed_ns == INT64_MIN)
        return false;
    *ret_inventory = newest;
    return true;
}

/* What it held when it was listed last. */
static int list_offline(struct finding *finding, struct err *err)
{
    struct inventory inventory;
    if (!open_listing(finding, &inventory)) {
        err_set(err, ERR_ABSENT, "it was never searched from here, so nothing is known of it");
        return err_hint(err, "search it once without --offline");
    }
    struct inventory_row row;
    struct object object = { 0 };
    int got;
    while ((got = inventory_next(&inventory, &row, err)) == 1) {
        search_object(finding->search, &row);
        buf_clear(&object.key);
        buf_add(&object.key, row.key, row.key_len);
        object.size_bytes = row.size_bytes;
        object.stored_ns = row.stored_ns;
        snprintf(object.etag, sizeof object.etag, "%s", row.etag);
        if (catalog_may_be_pack(row.key))
            catalog_offer(&finding->catalog, NULL, &object, finding->options->stop);
    }
    if (inventory.alone)
        finding->only = path_base(finding->place->location);
    object_done(&object);
    inventory_close(&inventory);
    return got;
}

/* ---- packs and lists ---- */

static int read_packs(struct finding *finding, struct err *err)
{
    const struct catalog_options options = { .only = finding->only,
                                             .stop = finding->options->stop };
    if ((finding->store != NULL
             ? catalog_read(&finding->catalog, &options, err)
             : catalog_read_offline(&finding->catalog, finding->scheme, &options, err)) < 0)
        return -1;
    search_packs(finding->search, &finding->catalog, finding->options->stop);
    for (size_t i = 0; i < finding->catalog.count; i++) {
        const struct catalog_pack *pack = finding->catalog.packs[i];
        if (pack->err.kind == ERR_NONE)
            continue;
        struct err err_here = pack->err;
        err_at(&err_here, "pack '%s'", pack->key);
        warn(finding, &err_here);
    }
    return stop_check(finding->options->stop, err);
}

static bool is_pack(const struct finding *finding, const char *key)
{
    const struct catalog_pack *pack = catalog_find(&finding->catalog, key);
    return pack != NULL && pack->pack != NULL;
}

/* Its text, from the cache or the store. */
static int read_list(struct finding *finding, const struct search_list *list, struct buf *text,
                     struct err *err)
{
    const char *slash = strrchr(list->key, '/');
    const struct cache_key key = { .kind = CACHE_AMETA,
                                   .scheme = finding->scheme,
                                   .name = slash != NULL ? slash + 1 : list->key,
                                   .etag = list->etag,
                                   .size_bytes = list->size_bytes };
    struct cache_entry entry;
    buf_clear(text);
    if (list->size_bytes > AMETA_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "it has %llu bytes", (unsigned long long)list->size_bytes);
    if (cache_find(&finding->cache, &key, &entry) && entry.size_bytes == list->size_bytes)
        return cache_read(&entry, 0, (size_t)entry.size_bytes, text, err);
    if (finding->store == NULL)
        return err_set(err, ERR_LOCAL, "it is not in the cache");
    SCOPED(buf) struct buf name = { 0 };
    buf_printf(&name, "%s" AMETA_SUFFIX, list->key);
    if (catalog_fetch(finding->store, name.data, list->etag, list->size_bytes,
                      finding->options->stop, text, err) < 0)
        return -1;
    cache_keep(&finding->cache, &key, buf_text(text), text->len);
    return 0;
}

static int read_lists(struct finding *finding, struct err *err)
{
    size_t count = 0;
    const struct search_list *lists = search_lists(finding->search, &count);
    SCOPED(buf) struct buf text = { 0 };
    for (size_t i = 0; i < count; i++) {
        struct err here = { 0 };
        if (stop_check(finding->options->stop, err) < 0)
            return -1;
        if (is_pack(finding, lists[i].key))
            continue;
        if (read_list(finding, &lists[i], &text, &here) < 0) {
            err_at(&here, "'%s" AMETA_SUFFIX "'", lists[i].key);
            warn(finding, &here);
            continue;
        }
        search_ameta(finding->search, &lists[i], buf_text(&text), text.len, clock_now_ns());
    }
    return 0;
}

/* ---- all of it ---- */

/* Where an object is, as get and cat take it. */
static void locate(const struct finding *finding, const struct search_hit *hit, struct buf *out)
{
    SCOPED(buf) struct buf path = { 0 };
    buf_clear(out);
    if (finding->template != NULL &&
        spread_path_of(finding->template, hit->key, hit->bucket, &path)) {
        buf_printf(out, "%s:%s", finding->scheme, path.data);
        return;
    }
    buf_add_text(out, finding->base);
    buf_add_text(out, hit->key);
}

/* Its pack need not be looked at by the `cat` that comes next. */
static void keep_seen(struct finding *finding, const struct search_hit *hit, const char *location)
{
    SCOPED(buf) struct buf listed_as = { 0 };
    const struct catalog_pack *pack = catalog_find(&finding->catalog, hit->key);
    if (pack == NULL || finding->store == NULL || finding->store->limits.is_tree)
        return;
    struct place place = *finding->place;
    place.location = mem_string(location);
    place_listed_as(&place, &listed_as);
    mem_release(place.location);
    seen_keep(&finding->cache, finding->scheme, listed_as.data, pack->size_bytes, pack->stored_ns,
              pack->etag);
}

static int give(struct finding *finding, struct err *err)
{
    SCOPED(buf) struct buf location = { 0 };
    const char *last = "";
    size_t seen = 0;
    const struct search_hit *hit;
    for (size_t i = 0; (hit = search_at(finding->search, i)) != NULL; i++) {
        locate(finding, hit, &location);
        if (hit->member != NULL) {
            if (strcmp(last, hit->key) != 0 && seen++ < SEEN_MAX)
                keep_seen(finding, hit, location.data);
            last = hit->key;
            buf_add_text(&location, SEARCH_INSIDE);
            buf_add_text(&location, hit->member);
        }
        if (finding->options->take(finding->options->ctx, finding->place, hit, location.data, err) <
            0)
            return -1;
        finding->counts->found++;
    }
    return 0;
}

static void search_again(struct finding *finding)
{
    search_free(finding->search);
    catalog_done(&finding->catalog);
    finding->catalog = (struct catalog){ 0 };
    finding->search = search_new(finding->options->query, finding->options->all);
}

/* The store says that there is no such place. A directory may be on a disk that is not mounted now.
 */
static bool is_gone(const struct finding *finding, const struct err *why)
{
    const bool absent =
        why->kind == ERR_ABSENT || (why->kind == ERR_CONFIG && why->http == 404); /* a bucket */
    return absent && strcmp(finding->scheme, "file") != 0;
}

/* Ask the store; what is wrong with it is a warning, and then the cache has the word. */
static int list(struct finding *finding, struct err *err)
{
    struct err why = { 0 };
    if (!finding->options->offline && open_store(finding, &why) == 0 &&
        list_online(finding, &why) == 0)
        return 0;
    if (why.kind == ERR_STOPPED) {
        *err = why;
        return -1;
    }
    finding->counts->gone = is_gone(finding, &why);
    if (finding->counts->gone)
        why.hint[0] = '\0'; /* to make it would not help to find anything */
    if (why.kind != ERR_NONE)
        warn(finding, &why);
    if (finding->counts->gone)
        return 0;
    if (finding->store != NULL)
        finding->store->driver->close(finding->store);
    finding->store = NULL;
    mem_free(finding->only);
    search_again(finding);
    struct err known = { 0 };
    if (list_offline(finding, &known) < 0 && (why.kind == ERR_NONE || known.kind != ERR_ABSENT))
        warn(finding, &known);
    return 0;
}

static int search_place(struct finding *finding, struct err *err)
{
    if (list(finding, err) < 0 || finding->counts->gone)
        return finding->counts->gone ? 0 : -1;
    set_base(finding, finding->only != NULL);
    if (read_packs(finding, err) < 0 || read_lists(finding, err) < 0)
        return -1;
    search_settle(finding->search, &finding->catalog);
    return give(finding, err);
}

/* What is wrong with it, opening the store says. */
static struct spread_template *template_of(const char *path)
{
    struct err ignored = { 0 };
    struct spread_template template;
    if (!spread_is_template(path) || spread_template_parse(&template, path, &ignored) < 0)
        return NULL;
    return mem_copy(&template, sizeof template);
}

int find_in(const struct place *place, const struct find_options *options,
            struct find_counts *counts, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    counts->gone = false;
    if (location_parse(&location, place->location, err) < 0)
        return -1;
    struct finding finding = { .place = place, .options = options, .counts = counts };
    finding.scheme = strcmp(location.scheme, "path") == 0 ? "file" : location.scheme;
    finding.listed_as = listing_name(place, strlen(place->location));
    finding.template = template_of(location.path);
    finding.search = search_new(options->query, options->all);
    cache_open(&finding.cache);
    const int result = search_place(&finding, err);
    if (finding.partial)
        counts->unreached++;
    finding_done(&finding);
    return result;
}
