/* The listing of a view: the store's own objects and the members of all packs, merged by names. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "pack/view_internal.h"

#include <stdlib.h>
#include <string.h>

/* What one pack, or the store itself, has next. */
struct source {
    struct shelf *shelf; /* NULL: the store itself */
    struct pack_cursor *cursor;
    struct pack_member member;
    struct buf name; /* where it is; not opened: where it begins */
    bool opened, ended;
};

struct store_list {
    struct pack_view *view;
    char *prefix;
    bool delimited;
    char *start_after;
    struct buf after;       /* the name of this key */
    struct buf level;       /* delimited: the last one that was given */
    struct source *sources; /* the store first, then packs, newest first */
    size_t count;
    struct store_list *inner;
    struct object object; /* the next one of the store */
    struct buf name, key, scratch;
};

static int compare_first(const void *left, const void *right)
{
    const struct source *a = left;
    const struct source *b = right;
    return strcmp(buf_text(&a->name), buf_text(&b->name));
}

/* Does this object of the store show by itself? A pack and its index do not. */
static bool shows(const struct pack_view *view, const char *key)
{
    const size_t len = strlen(key);
    if (!path_ends_with(key, len, PACK_SUFFIX) && !path_ends_with(key, len, PACK_TAR_SUFFIX) &&
        !path_ends_with(key, len, PACK_TAR_SUFFIX PACK_INDEX_SUFFIX))
        return true;
    for (size_t i = 0; i < view->catalog.count; i++) {
        const struct catalog_pack *pack = view->catalog.packs[i];
        const size_t pack_len = strlen(pack->key);
        if (strncmp(key, pack->key, pack_len) == 0 &&
            (key[pack_len] == '\0' ||
             (pack->has_sidecar && strcmp(key + pack_len, PACK_INDEX_SUFFIX) == 0)))
            return false;
    }
    return true;
}

/* Step the store's own listing: 1, 0, -1. */
static int step_store(struct store_list *list, struct source *source, struct err *err)
{
    const struct store_driver *driver = list->view->inner->driver;
    int got;
    while ((got = driver->list_next(list->inner, &list->object, err)) == 1 &&
           !shows(list->view, list->object.key.data))
        ;
    if (got == 1)
        view_name(list->view, list->object.key.data, &source->name);
    return got;
}

static int step_pack(struct source *source, struct err *err)
{
    int got = 1;
    while ((got = pack_next(source->cursor, &source->member, err)) == 1 &&
           !catalog_name(source->shelf->of, &source->member, &source->name))
        ;
    return got;
}

static int step(struct store_list *list, struct source *source, struct err *err)
{
    const int got = source->shelf == NULL ? step_store(list, source, err) : step_pack(source, err);
    if (got == 0) {
        source->ended = true;
        pack_cursor_free(source->cursor);
        source->cursor = NULL;
    }
    return got < 0 ? -1 : 0;
}

/* Where a key and its name are still the same, which is before either; whole characters. */
static void add_common(const struct store_list *list, struct buf *ret_after)
{
    const char *name = buf_text(&list->after);
    size_t same = 0;
    while (list->start_after[same] != '\0' && list->start_after[same] == name[same])
        same++;
    if (list->start_after[same] != '\0' || name[same] != '\0')
        while (same != 0 && (unsigned char)list->start_after[same - 1] >= 0x80)
            same--;
    buf_add(ret_after, list->start_after, same);
}

/* Its first name is due: open it, at the first that is wanted. */
static int open_source(struct store_list *list, struct source *source, struct err *err)
{
    source->opened = true;
    if (source->shelf != NULL) {
        const char *skipped = source->shelf->of->skipped;
        source->cursor = pack_cursor_new(source->shelf->of->pack);
        if (pack_seek(source->cursor, skipped, strlen(skipped), err) < 0)
            return -1;
    } else {
        SCOPED(buf) struct buf after = { 0 };
        add_common(list, &after);
        if (list->view->inner->driver->list_open(&list->inner, list->view->inner, list->prefix,
                                                 buf_text(&after), false, err) < 0) {
            list->inner = NULL;
            return -1;
        }
    }
    return step(list, source, err);
}

int view_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                   const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    struct pack_view *view = view_of_store(base);
    struct store_list *list = mem_alloc(sizeof *list);
    list->view = view;
    list->start_after = mem_string(start_after);
    view_name(view, start_after, &list->after);
    list->prefix = mem_string(prefix);
    list->delimited = delimited;
    list->sources = mem_alloc((view->catalog.count + 1) * sizeof *list->sources);
    list->count = 1;
    list->sources[0].opened = list->sources[0].ended = view->alone;
    for (size_t i = 0; i < view->catalog.count; i++) {
        struct shelf *shelf = &view->shelves[i];
        /* A pack that ends before what is wanted need not be opened. */
        if (shelf->first.len == 0 ||
            (list->after.len != 0 && strcmp(shelf->last.data, list->after.data) <= 0))
            continue;
        list->sources[list->count] = (struct source){ .shelf = shelf };
        buf_add(&list->sources[list->count++].name, shelf->first.data, shelf->first.len);
    }
    qsort(list->sources + 1, list->count - 1, sizeof *list->sources, compare_first);
    *ret_list = list;
    return 0;
}

static void source_done(struct source *source)
{
    pack_cursor_free(source->cursor);
    buf_done(&source->name);
}

void view_list_close(struct store_list *list)
{
    if (list == NULL)
        return;
    if (list->inner != NULL)
        list->view->inner->driver->list_close(list->inner);
    for (size_t i = 0; i < list->count; i++)
        source_done(&list->sources[i]);
    mem_release(list->sources);
    object_done(&list->object);
    buf_done(&list->scratch);
    buf_done(&list->key);
    buf_done(&list->name);
    buf_done(&list->after);
    buf_done(&list->level);
    mem_release(list->start_after);
    mem_release(list->prefix);
    mem_release(list);
}

/* Drop packs that have nothing more, so that those under way are at the front. */
static void drop_ended(struct store_list *list)
{
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        if (list->sources[i].ended)
            source_done(&list->sources[i]);
        else
            list->sources[kept++] = list->sources[i];
    }
    list->count = kept;
}

/* The source with the least name, opened; of several with one name, the one whose word counts.
 * NULL: nothing is left. Packs that are not opened yet are behind those that are, by first name. */
static struct source *least(struct store_list *list, bool *ret_opening)
{
    struct source *best = NULL;
    *ret_opening = false;
    for (size_t i = 0; i < list->count; i++) {
        struct source *source = &list->sources[i];
        if (source->ended)
            continue;
        const int order =
            best == NULL ? -1 : strcmp(buf_text(&source->name), buf_text(&best->name));
        if (!source->opened) {
            if (order <= 0) {
                *ret_opening = true;
                return source;
            }
            if (i != 0)
                break;
            continue;
        }
        if (order < 0 || (order == 0 && best->shelf != NULL &&
                          catalog_compare_age(source->shelf->of, best->shelf->of) > 0))
            best = source;
    }
    return best;
}

static int pass(struct store_list *list, const char *name, struct err *err)
{
    bool any_ended = false;
    for (size_t i = 0; i < list->count; i++) {
        struct source *source = &list->sources[i];
        if (!source->opened && i != 0)
            break;
        while (source->opened && !source->ended) {
            const int order = strcmp(buf_text(&source->name), name);
            /* The store's own are in the order of keys: what is behind may have a lesser name. */
            if (order > 0 || (order < 0 && i == 0))
                break;
            if (step(list, source, err) < 0)
                return -1;
            any_ended = any_ended || (source->ended && i != 0);
        }
    }
    if (any_ended)
        drop_ended(list);
    return 0;
}

/* Is it behind where the listing is to go on? An object of the store is when it is by its name or
 * by its key, since a listing that ended there may have been before it by the other one. */
static bool is_behind(const struct store_list *list, const struct source *source)
{
    if (list->start_after[0] == '\0')
        return true;
    return strcmp(buf_text(&list->name), buf_text(&list->after)) > 0 ||
           (source->shelf == NULL && strcmp(buf_text(&list->key), list->start_after) > 0);
}

/* Is it wanted, and as what? "dir/" of what is below it, which is in scratch. */
static bool is_wanted(struct store_list *list, const struct source *source, bool *ret_is_prefix)
{
    const char *key = buf_text(&list->key);
    const size_t prefix = strlen(list->prefix);
    *ret_is_prefix = false;
    if (strncmp(key, list->prefix, prefix) != 0 || !is_behind(list, source))
        return false;
    /* An object of its own comes from the store's listing, which may have it elsewhere. */
    if (source->shelf != NULL &&
        (source->member.kind == PACK_GONE ||
         (!list->view->alone && catalog_has_other(&list->view->catalog, key))))
        return false;
    const char *slash = list->delimited ? strchr(key + prefix, '/') : NULL;
    if (slash == NULL)
        return true;
    *ret_is_prefix = slash[1] != '\0';
    buf_clear(&list->scratch);
    buf_add(&list->scratch, key, (size_t)(slash - key) + 1);
    if (strcmp(list->scratch.data, buf_text(&list->level)) == 0 ||
        (*ret_is_prefix && strncmp(list->scratch.data, list->start_after, list->scratch.len) == 0))
        return false;
    buf_clear(&list->level);
    buf_add(&list->level, list->scratch.data, list->scratch.len);
    return true;
}

static void give(struct store_list *list, const struct source *source, bool is_prefix,
                 struct object *object)
{
    if (is_prefix) {
        view_set_key(object, list->scratch.data);
        object->size_bytes = 0;
        object->attr = (struct attr){ .kind = ENTRY_DIR };
        object->etag[0] = '\0';
    } else if (source->shelf == NULL) {
        struct object swap = *object;
        *object = list->object;
        list->object = swap;
    } else {
        view_set_key(object, buf_text(&list->key));
        view_fill(source->shelf->of, &source->member, object);
    }
}

int view_list_next(struct store_list *list, struct object *object, struct err *err)
{
    for (;;) {
        bool opening = false;
        struct source *source = least(list, &opening);
        if (source == NULL)
            return 0;
        if (opening) {
            if (open_source(list, source, err) < 0)
                return -1;
            continue;
        }
        buf_clear(&list->name);
        buf_add(&list->name, buf_text(&source->name), source->name.len);
        if (source->shelf != NULL) {
            view_key(list->view, &list->name, &list->key);
        } else {
            buf_clear(&list->key);
            buf_add(&list->key, buf_text(&list->object.key), list->object.key.len);
        }
        bool is_prefix = false;
        const bool wanted = is_wanted(list, source, &is_prefix);
        if (wanted)
            give(list, source, is_prefix, object);
        if (pass(list, buf_text(&list->name), err) < 0)
            return -1;
        if (wanted)
            return 1;
    }
}
