/* Listing: the listings of all buckets merged in the order of names. A bucket's is opened when the
 * names have come as far as its first one can be, and closed at its end. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/spread/spread_internal.h"

#define LAST_CHARACTER "\xf4\x8f\xbf\xbf" /* U+10FFFF: behind all that a key can go on with */

/* The listing of one bucket. */
struct cursor {
    struct spread_bucket *bucket;
    char *bound; /* all its names begin with it, or with "" */
    struct store *inner;
    struct store_list *list; /* NULL: not opened yet, or at its end */
    struct object ahead;
    struct buf name; /* of `ahead` */
};

struct store_list {
    struct spread_store *store;
    char *prefix;
    struct buf after;       /* names up to this were shown, or are not asked for */
    bool delimited;         /* by the buckets themselves */
    bool folded;            /* by us: the prefix ends before the names of one bucket begin */
    struct cursor *cursors; /* by bound */
    size_t count, opened;
    size_t *live; /* those with a name ahead */
    size_t live_count;
    struct buf shown; /* the last directory, which several buckets may have */
};

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- one bucket ---- */

static void cursor_end(struct cursor *cursor)
{
    if (cursor->list != NULL)
        cursor->inner->driver->list_close(cursor->list);
    cursor->list = NULL;
}

static int cursor_begin(struct store_list *list, struct cursor *cursor, struct err *err)
{
    SCOPED(buf) struct buf prefix = { 0 };
    SCOPED(buf) struct buf start = { 0 };
    const struct spread_template *template = &list->store->template;
    const char *value = cursor->bucket->value;
    if (!spread_map_prefix(template, value, list->prefix, &prefix))
        return 0;
    if (list->after.len != 0)
        spread_map_start(template, value, list->after.data, &start);
    if (spread_inner(list->store, cursor->bucket, &cursor->inner, err) < 0)
        return -1;
    return cursor->inner->driver->list_open(&cursor->list, cursor->inner, buf_text(&prefix),
                                            buf_text(&start), list->delimited, err);
}

static bool is_directory(const struct object *object)
{
    return object->key.len != 0 && object->key.data[object->key.len - 1] == '/';
}

/* The next name that is asked for: 1, 0 at the end, -1. What does not fit the template is passed
 * over: somebody else put it there. */
static int cursor_next(struct store_list *list, struct cursor *cursor, struct err *err)
{
    const struct spread_template *template = &list->store->template;
    for (;;) {
        if (cursor->list == NULL)
            return 0;
        if (cursor->inner->driver->list_next(cursor->list, &cursor->ahead, err) == 0) {
            cursor_end(cursor);
            return 0;
        }
        if (err->kind != ERR_NONE)
            return err_at(err, "bucket '%s'", cursor->bucket->name);
        if (!spread_unmap(template, cursor->bucket->value, cursor->ahead.key.data, &cursor->name))
            continue;
        const char *name = cursor->name.data;
        if (begins_with(name, list->prefix) &&
            (list->after.len == 0 || strcmp(name, list->after.data) > 0))
            return 1;
    }
}

/* ---- which buckets ---- */

/* Can names that begin so be asked for? */
static bool is_asked_for(const struct store_list *list, const char *bound)
{
    if (!begins_with(bound, list->prefix) && !begins_with(list->prefix, bound))
        return false;
    return list->after.len == 0 || strcmp(bound, list->after.data) > 0 ||
           begins_with(list->after.data, bound);
}

static int compare_cursors(const void *left, const void *right)
{
    const struct cursor *a = left;
    const struct cursor *b = right;
    const int order = strcmp(a->bound, b->bound);
    if (order != 0)
        return order;
    return a->bucket->number < b->bucket->number ? -1 : a->bucket->number > b->bucket->number;
}

static void add_cursors(struct store_list *list)
{
    struct spread_bucket **known = NULL;
    const size_t count = spread_known_buckets(list->store, NULL, &known);
    list->cursors = mem_alloc((count + 1) * sizeof *list->cursors);
    list->live = mem_alloc((count + 1) * sizeof *list->live);
    for (size_t i = 0; i < count; i++) {
        struct buf bound = { 0 };
        buf_add_text(&bound, "");
        if (list->store->template.bucket_component == 1)
            buf_printf(&bound, "%s/", known[i]->value);
        if (is_asked_for(list, bound.data))
            list->cursors[list->count++] =
                (struct cursor){ .bucket = known[i], .bound = buf_take(&bound) };
        buf_done(&bound);
    }
    mem_release(known);
    if (list->count != 0)
        qsort(list->cursors, list->count, sizeof *list->cursors, compare_cursors);
}

int spread_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                     const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    struct store_list *list = mem_alloc(sizeof *list);
    list->store = spread_store_of(base);
    list->prefix = mem_string(prefix);
    buf_add_text(&list->after, start_after);
    list->delimited = delimited && spread_reaches_rest(&list->store->template, prefix);
    list->folded = delimited && !list->delimited;
    /* What was shown last may be a directory, and all below it is behind that. */
    if (list->folded && list->after.len > strlen(prefix) &&
        list->after.data[list->after.len - 1] == '/')
        buf_add_text(&list->after, LAST_CHARACTER);
    add_cursors(list);
    *ret_list = list;
    return 0;
}

void spread_list_close(struct store_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++) {
        struct cursor *cursor = &list->cursors[i];
        cursor_end(cursor);
        object_done(&cursor->ahead);
        buf_done(&cursor->name);
        mem_release(cursor->bound);
    }
    mem_release(list->cursors);
    mem_release(list->live);
    mem_release(list->prefix);
    buf_done(&list->after);
    buf_done(&list->shown);
    mem_release(list);
}

/* ---- the merge ---- */

/* The place in live[] of the first name; of equal ones the lowest number. live_count when none. */
static size_t first_live(const struct store_list *list)
{
    size_t first = 0;
    for (size_t i = 1; i < list->live_count; i++) {
        const struct cursor *best = &list->cursors[list->live[first]];
        const struct cursor *cursor = &list->cursors[list->live[i]];
        const int order = strcmp(cursor->name.data, best->name.data);
        if (order < 0 || (order == 0 && cursor->bucket->number < best->bucket->number))
            first = i;
    }
    return first;
}

static void drop_live(struct store_list *list, size_t i)
{
    struct cursor *cursor = &list->cursors[list->live[i]];
    cursor_end(cursor);
    object_done(&cursor->ahead);
    list->live[i] = list->live[--list->live_count];
}

static int advance(struct store_list *list, size_t i, struct err *err)
{
    const int got = cursor_next(list, &list->cursors[list->live[i]], err);
    if (got == 0)
        drop_live(list, i);
    return got < 0 ? -1 : 0;
}

/* Open all whose names may come before the first one that is known. */
static int open_due(struct store_list *list, struct err *err)
{
    while (list->opened < list->count) {
        struct cursor *cursor = &list->cursors[list->opened];
        if (list->live_count != 0 &&
            strcmp(cursor->bound, list->cursors[list->live[first_live(list)]].name.data) > 0)
            return 0;
        if (is_asked_for(list, cursor->bound)) {
            if (cursor_begin(list, cursor, err) < 0)
                return -1;
            const int got = cursor_next(list, cursor, err);
            if (got < 0)
                return -1;
            if (got == 1)
                list->live[list->live_count++] = list->opened;
        }
        list->opened++;
    }
    return 0;
}

/* All below a directory that was shown is passed over, without reading it where that can be. */
static int pass_directory(struct store_list *list, const char *dir, struct err *err)
{
    buf_clear(&list->after);
    buf_printf(&list->after, "%s" LAST_CHARACTER, dir);
    for (size_t i = list->live_count; i-- > 0;) {
        struct cursor *cursor = &list->cursors[list->live[i]];
        if (!begins_with(cursor->name.data, dir))
            continue;
        if (cursor->bound[0] != '\0' && begins_with(cursor->bound, dir)) {
            drop_live(list, i);
            continue;
        }
        cursor_end(cursor);
        if (cursor_begin(list, cursor, err) < 0 || advance(list, i, err) < 0)
            return -1;
    }
    return 0;
}

static void show_directory(const char *name, size_t len, uint32_t number, struct object *object)
{
    buf_clear(&object->key);
    buf_add(&object->key, name, len);
    object->size_bytes = 0;
    object->stored_ns = 0;
    object->etag[0] = '\0';
    object->md5_part_bytes = 0;
    object->attr = (struct attr){ .kind = ENTRY_DIR };
    object->bucket = number;
}

static void show(const struct cursor *cursor, struct object *object)
{
    struct buf key = object->key;
    buf_clear(&key);
    buf_add(&key, cursor->name.data, cursor->name.len);
    *object = cursor->ahead;
    object->key = key;
    object->bucket = cursor->bucket->number;
}

/* Where the first level below the prefix ends in a name, behind its '/'; 0: it is on that level. */
static size_t level_len(const struct store_list *list, const char *name)
{
    const char *slash = strchr(name + strlen(list->prefix), '/');
    return slash != NULL ? (size_t)(slash - name) + 1 : 0;
}

int spread_list_next(struct store_list *list, struct object *object, struct err *err)
{
    for (;;) {
        if (open_due(list, err) < 0)
            return -1;
        if (list->live_count == 0)
            return 0;
        const size_t first = first_live(list);
        const struct cursor *cursor = &list->cursors[list->live[first]];
        const size_t dir_len = list->folded ? level_len(list, cursor->name.data) : 0;
        if (dir_len != 0) {
            show_directory(cursor->name.data, dir_len, cursor->bucket->number, object);
            return pass_directory(list, object->key.data, err) < 0 ? -1 : 1;
        }
        show(cursor, object);
        if (advance(list, first, err) < 0)
            return -1;
        if (!list->delimited || !is_directory(object))
            return 1;
        if (list->shown.len != 0 && strcmp(list->shown.data, object->key.data) == 0)
            continue;
        buf_clear(&list->shown);
        buf_add_text(&list->shown, object->key.data);
        return 1;
    }
}
