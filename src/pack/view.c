#include "pack/view.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CURSORS_MAX 64u /* kept for the next get */
#define ZEROS_BYTES ((size_t)64 * 1024)

/* A pack, with what names it speaks of. */
struct shelf {
    struct catalog_pack *of;
    struct buf first, last; /* names, in the order of members, which is not that of the keys where
                               the store writes names in another way; empty when no member is below
                               this place */
};

/* Packs of one generation, whose names do not overlap. */
struct floor {
    struct shelf *shelves; /* by first name */
    size_t count;
};

struct view_cursor {
    const struct catalog_pack *of;
    pthread_t user; /* who had it last: what it holds is near to what comes next */
    uint64_t used;
    struct pack_cursor *cursor;
};

struct pack_view {
    struct store base;
    struct store *inner;
    bool lent;  /* the inner store is not ours */
    bool alone; /* the store's own objects do not show */
    struct catalog catalog;
    struct shelf *shelves; /* all */
    struct floor *floors;  /* newest first */
    size_t floor_count;
    struct lock lock;
    struct view_cursor cursors[CURSORS_MAX]; /* guarded by lock; those that nobody has */
    size_t cursor_count;                     /* guarded by lock */
    uint64_t clock;                          /* guarded by lock */
};

static struct pack_view *view_of_store(struct store *base)
{
    return (struct pack_view *)base;
}

/* ---- cursors ---- */

static struct pack_cursor *cursor_take(struct pack_view *view, const struct catalog_pack *pack)
{
    SCOPED_LOCK(&view->lock);
    struct view_cursor *best = NULL;
    for (size_t i = 0; i < view->cursor_count; i++) {
        struct view_cursor *cursor = &view->cursors[i];
        if (cursor->of != pack)
            continue;
        const bool mine = pthread_equal(cursor->user, pthread_self()) != 0;
        if (best == NULL || mine)
            best = cursor;
        if (mine)
            break;
    }
    if (best == NULL)
        return pack_cursor_new(pack->pack);
    struct pack_cursor *cursor = best->cursor;
    *best = view->cursors[--view->cursor_count];
    return cursor;
}

static void cursor_give(struct pack_view *view, const struct catalog_pack *pack,
                        struct pack_cursor *cursor)
{
    struct pack_cursor *oldest = NULL;
    lock_take(&view->lock);
    if (view->cursor_count == CURSORS_MAX) {
        size_t at = 0;
        for (size_t i = 1; i < view->cursor_count; i++)
            if (view->cursors[i].used < view->cursors[at].used)
                at = i;
        oldest = view->cursors[at].cursor;
        view->cursors[at] = view->cursors[--view->cursor_count];
    }
    view->cursors[view->cursor_count++] = (struct view_cursor){
        .of = pack, .user = pthread_self(), .used = ++view->clock, .cursor = cursor
    };
    lock_give(&view->lock);
    pack_cursor_free(oldest);
}

/* ---- opening ---- */

static int compare_shelves(const void *left, const void *right)
{
    const struct shelf *a = left;
    const struct shelf *b = right;
    const struct pack_info *info_a = pack_info(a->of->pack);
    const struct pack_info *info_b = pack_info(b->of->pack);
    /* Newest first; those of one generation by their names. */
    if (strcmp(info_a->job_id, info_b->job_id) == 0 && info_a->generation == info_b->generation &&
        info_a->merged == info_b->merged)
        return strcmp(buf_text(&a->first), buf_text(&b->first));
    return -catalog_compare_age(a->of, b->of);
}

static bool same_floor(const struct shelf *before, const struct shelf *shelf)
{
    const struct pack_info *a = pack_info(before->of->pack);
    const struct pack_info *b = pack_info(shelf->of->pack);
    return a->job_id[0] != '\0' && strcmp(a->job_id, b->job_id) == 0 &&
           a->generation == b->generation && a->merged == b->merged &&
           strcmp(buf_text(&before->last), buf_text(&shelf->first)) < 0;
}

/* A name that the store could not hold is given as it is. */
static void key_of(struct pack_view *view, const struct buf *name, struct buf *ret_key)
{
    struct err refused = { 0 };
    buf_clear(ret_key);
    if (view->inner->driver->map_key(view->inner, buf_text(name), ret_key, &refused) < 0) {
        buf_clear(ret_key);
        buf_add(ret_key, buf_text(name), name->len);
    }
}

static void name_of(struct pack_view *view, const char *key, struct buf *ret_name)
{
    struct err refused = { 0 };
    buf_clear(ret_name);
    if (view->inner->driver->unmap_key(view->inner, key, ret_name, &refused) < 0) {
        buf_clear(ret_name);
        buf_add_text(ret_name, key);
    }
}

/* The first and the last name: the members of a pack are in order, and so are their names. */
static int measure(struct shelf *shelf, struct err *err)
{
    const struct pack *pack = shelf->of->pack;
    struct pack_cursor *cursor = pack_cursor_new(pack);
    struct pack_member member;
    bool here = false;
    const char *skipped = shelf->of->skipped;
    int got = pack_seek(cursor, skipped, strlen(skipped), err);
    while (got >= 0 && (got = pack_next(cursor, &member, err)) == 1 && !here)
        here = catalog_name(shelf->of, &member, &shelf->first);
    const uint32_t blocks = pack_block_count(pack);
    if (got >= 0 && here && blocks != 0 && skipped[0] == '\0') {
        const char *keys = NULL;
        size_t len = 0;
        uint32_t count = 0;
        got = pack_keys(cursor, blocks - 1, &keys, &len, &count, err);
        if (got >= 0 && count != 0)
            got = pack_member_at(cursor, blocks - 1, count - 1, &member, err);
        if (got >= 0)
            (void)catalog_name(shelf->of, &member, &shelf->last);
    } else if (got >= 0 && here) {
        buf_add_text(&shelf->last, "\xff"); /* behind all names that a pack can have */
    }
    pack_cursor_free(cursor);
    return got < 0 ? -1 : 0;
}

static void build_floors(struct pack_view *view)
{
    qsort(view->shelves, view->catalog.count, sizeof *view->shelves, compare_shelves);
    view->floors = mem_alloc((view->catalog.count + 1) * sizeof *view->floors);
    struct floor *last = NULL;
    for (size_t i = 0; i < view->catalog.count; i++) {
        if (view->shelves[i].first.len == 0)
            continue;
        if (last != NULL && same_floor(&last->shelves[last->count - 1], &view->shelves[i]) &&
            last->shelves + last->count == &view->shelves[i])
            last->count++;
        else {
            last = &view->floors[view->floor_count++];
            *last = (struct floor){ .shelves = &view->shelves[i], .count = 1 };
        }
    }
}

static void view_close(struct store *base)
{
    if (base == NULL)
        return;
    struct pack_view *view = view_of_store(base);
    for (size_t i = 0; i < view->cursor_count; i++)
        pack_cursor_free(view->cursors[i].cursor);
    for (size_t i = 0; view->shelves != NULL && i < view->catalog.count; i++) {
        buf_done(&view->shelves[i].first);
        buf_done(&view->shelves[i].last);
    }
    mem_release(view->shelves);
    mem_release(view->floors);
    catalog_done(&view->catalog);
    if (view->inner != NULL && !view->lent)
        view->inner->driver->close(view->inner);
    lock_done(&view->lock);
    mem_release(view);
}

/* ---- looking one name up ---- */

static struct shelf *find_shelf(const struct floor *floor, const char *name)
{
    size_t low = 0;
    size_t high = floor->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(buf_text(&floor->shelves[middle].first), name) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct shelf *shelf = low != 0 ? &floor->shelves[low - 1] : NULL;
    return shelf != NULL && strcmp(name, buf_text(&shelf->last)) <= 0 ? shelf : NULL;
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    const size_t end_len = strlen(end);
    return len > end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* By the name in the tree, which is the member's key: 1, 0, -1. */
static int find_in(const struct catalog_pack *pack, struct pack_cursor *cursor, const char *name,
                   struct pack_member *member, struct err *err)
{
    SCOPED(buf) struct buf wanted = { 0 };
    SCOPED(buf) struct buf found = { 0 };
    const size_t above = strlen(pack->above);
    if (strncmp(name, pack->above, above) != 0)
        return 0;
    buf_add_text(&wanted, pack->skipped);
    buf_add_text(&wanted, name + above);
    int got = pack_seek(cursor, buf_text(&wanted), wanted.len, err);
    if (got >= 0)
        got = pack_next(cursor, member, err);
    if (got != 1)
        return got;
    pack_member_key(member, &found);
    return found.len == wanted.len && memcmp(found.data, wanted.data, wanted.len) == 0;
}

/* What the newest pack that knows it says. 1: *ret_pack, *ret_cursor (the caller's) and the member,
 * whose strings belong to the cursor; 0: nothing, or it is gone; -1. */
static int find_member(struct pack_view *view, const char *key, struct catalog_pack **ret_pack,
                       struct pack_cursor **ret_cursor, struct pack_member *member, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    struct err odd = { 0 };
    if (catalog_has_other(&view->catalog, key))
        return 0;
    if (view->inner->driver->unmap_key(view->inner, key, &name, &odd) < 0)
        return 0;
    for (size_t i = 0; i < view->floor_count; i++) {
        const struct shelf *shelf = find_shelf(&view->floors[i], buf_text(&name));
        if (shelf == NULL)
            continue;
        struct pack_cursor *cursor = cursor_take(view, shelf->of);
        const int got = find_in(shelf->of, cursor, buf_text(&name), member, err);
        if (got == 1 && member->kind != PACK_GONE) {
            *ret_pack = shelf->of;
            *ret_cursor = cursor;
            return 1;
        }
        cursor_give(view, shelf->of, cursor);
        if (got != 0)
            return got < 0 ? -1 : 0;
    }
    return 0;
}

static enum entry_kind entry_kind_of(const struct pack_member *member)
{
    switch (member->kind) {
    case PACK_DIR:
        return ENTRY_DIR;
    case PACK_LINK:
        return ENTRY_LINK;
    default:
        return ENTRY_FILE;
    }
}

static void fill_object(const struct catalog_pack *pack, const struct pack_member *member,
                        struct object *object)
{
    object->size_bytes = member->kind == PACK_LINK ? member->target_len : member->size_bytes;
    object->attr = (struct attr){ .kind = entry_kind_of(member),
                                  .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                                  .mode = member->mode,
                                  .uid = member->uid,
                                  .gid = member->gid,
                                  .mtime_ns = member->mtime_ns,
                                  .crc64 = member->crc64 };
    if (member->kind == PACK_LINK)
        object->attr.crc64 = crc64nvme(0, member->target, member->target_len);
    if (member->kind != PACK_DIR)
        object->attr.have |= ATTR_CRC64;
    object->stored_ns = pack->stored_ns;
    object->etag[0] = '\0';
    object->md5_part_bytes = 0;
}

static void fill_xattrs(const struct pack_member *member, struct object *object)
{
    object->has_xattrs = true;
    buf_clear(&object->xattrs);
    buf_add(&object->xattrs, member->xattrs, member->xattrs_len);
}

static void set_key(struct object *object, const char *key)
{
    buf_clear(&object->key);
    buf_add_text(&object->key, key);
}

int view_find(struct store *base, const char *key, struct object *ret_object,
              const struct catalog_pack **ret_pack, struct err *err)
{
    struct pack_view *view = view_of_store(base);
    struct catalog_pack *pack = NULL;
    struct pack_cursor *cursor = NULL;
    struct pack_member member;
    const int got = find_member(view, key, &pack, &cursor, &member, err);
    if (got <= 0)
        return got < 0 ? -1 : err_set(err, ERR_ABSENT, "'%s' is in no pack", key);
    set_key(ret_object, key);
    fill_object(pack, &member, ret_object);
    fill_xattrs(&member, ret_object);
    *ret_pack = pack;
    cursor_give(view, pack, cursor);
    return 0;
}

static int view_head(struct store *base, const char *key, struct object *ret_object,
                     struct err *err)
{
    struct pack_view *view = view_of_store(base);
    struct catalog_pack *pack = NULL;
    struct pack_cursor *cursor = NULL;
    struct pack_member member;
    const int got = find_member(view, key, &pack, &cursor, &member, err);
    if (got < 0)
        return -1;
    if (got == 0 && view->alone)
        return err_set(err, ERR_ABSENT, "'%s' is not in the pack", key);
    ret_object->has_xattrs = false;
    if (got == 0)
        return view->inner->driver->head(view->inner, key, ret_object, err);
    set_key(ret_object, key);
    fill_object(pack, &member, ret_object);
    fill_xattrs(&member, ret_object);
    cursor_give(view, pack, cursor);
    return 0;
}

/* ---- content ---- */

struct taking {
    struct sink *sink;
    uint64_t at; /* of the member: the next byte */
};

static int write_zeros(struct taking *taking, uint64_t to, struct err *err)
{
    static const char zeros[ZEROS_BYTES];
    while (taking->at < to) {
        const uint64_t left = to - taking->at;
        const size_t len = left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES;
        if (sink_write(taking->sink, zeros, len, err) < 0)
            return -1;
        taking->at += len;
    }
    return 0;
}

static int take_bytes(void *ctx, const struct pack_member *member, uint64_t offset_bytes,
                      const void *bytes, size_t len, struct err *err)
{
    (void)member;
    struct taking *taking = ctx;
    if (write_zeros(taking, offset_bytes, err) < 0 || sink_write(taking->sink, bytes, len, err) < 0)
        return -1;
    taking->at += len;
    return 0;
}

static int send_memory(struct sink *sink, const char *bytes, size_t size, uint64_t offset,
                       uint64_t length, struct err *err)
{
    if (offset >= size)
        return 0;
    const uint64_t left = size - offset;
    return sink_write(sink, bytes + offset, (size_t)(left < length ? left : length), err);
}

static int send_member(struct pack_cursor *cursor, const struct pack_member *member,
                       uint64_t offset, uint64_t length, struct sink *sink, struct err *err)
{
    if (member->kind == PACK_DIR)
        return 0;
    if (member->kind == PACK_LINK)
        return send_memory(sink, member->target, member->target_len, offset, length, err);
    struct pack_member target = *member;
    if (member->kind == PACK_HARDLINK) {
        SCOPED(buf) struct buf path = { 0 };
        buf_add(&path, member->target, member->target_len);
        const int got = pack_find(cursor, path.data, path.len, &target, err);
        if (got <= 0)
            return got < 0 ? -1
                           : err_set(err, ERR_CORRUPT, "the pack lacks what it is a hard link of");
    }
    if (offset >= target.size_bytes)
        return 0;
    const uint64_t left = target.size_bytes - offset;
    const uint64_t end = offset + (left < length ? left : length);
    struct taking taking = { .sink = sink, .at = offset };
    if (pack_read(cursor, &target, offset, length, take_bytes, &taking, err) < 0)
        return -1;
    return write_zeros(&taking, end, err);
}

static int view_get(struct store *base, const char *key, uint64_t offset_bytes,
                    uint64_t length_bytes, const char *if_match, struct sink *sink,
                    struct object *ret_object, struct err *err)
{
    struct pack_view *view = view_of_store(base);
    struct catalog_pack *pack = NULL;
    struct pack_cursor *cursor = NULL;
    struct pack_member member;
    /* An etag is that of an object of its own. */
    const int got = if_match[0] != '\0' ? 0 : find_member(view, key, &pack, &cursor, &member, err);
    if (got < 0)
        return -1;
    if (got == 0 && view->alone)
        return err_set(err, ERR_ABSENT, "'%s' is not in the pack", key);
    if (ret_object != NULL)
        ret_object->has_xattrs = false;
    if (got == 0)
        return view->inner->driver->get(view->inner, key, offset_bytes, length_bytes, if_match,
                                        sink, ret_object, err);
    if (ret_object != NULL) {
        set_key(ret_object, key);
        fill_object(pack, &member, ret_object);
        fill_xattrs(&member, ret_object);
    }
    const int result = send_member(cursor, &member, offset_bytes, length_bytes, sink, err);
    cursor_give(view, pack, cursor);
    return result;
}

/* ---- listing ---- */

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
    if (!ends_with(key, len, PACK_SUFFIX) && !ends_with(key, len, PACK_TAR_SUFFIX) &&
        !ends_with(key, len, PACK_TAR_SUFFIX PACK_INDEX_SUFFIX))
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
        name_of(list->view, list->object.key.data, &source->name);
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

static int view_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                          const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    struct pack_view *view = view_of_store(base);
    struct store_list *list = mem_alloc(sizeof *list);
    list->view = view;
    list->start_after = mem_string(start_after);
    name_of(view, start_after, &list->after);
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

static void view_list_close(struct store_list *list)
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
        set_key(object, list->scratch.data);
        object->size_bytes = 0;
        object->attr = (struct attr){ .kind = ENTRY_DIR };
        object->etag[0] = '\0';
    } else if (source->shelf == NULL) {
        struct object swap = *object;
        *object = list->object;
        list->object = swap;
    } else {
        set_key(object, buf_text(&list->key));
        fill_object(source->shelf->of, &source->member, object);
    }
}

static int view_list_next(struct store_list *list, struct object *object, struct err *err)
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
            key_of(list->view, &list->name, &list->key);
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

/* ---- the rest ---- */

static int view_map_key(struct store *base, const char *rel, struct buf *ret_key, struct err *err)
{
    struct pack_view *view = view_of_store(base);
    return view->inner->driver->map_key(view->inner, rel, ret_key, err);
}

static int view_unmap_key(struct store *base, const char *key, struct buf *ret_rel, struct err *err)
{
    struct pack_view *view = view_of_store(base);
    return view->inner->driver->unmap_key(view->inner, key, ret_rel, err);
}

static int view_probe(struct store *base, struct err *err)
{
    struct pack_view *view = view_of_store(base);
    return view->inner->driver->probe(view->inner, err);
}

static const struct store_driver view_driver = {
    .scheme = "packs",
    .help = "what is in the packs of another store",
    .close = view_close,
    .map_key = view_map_key,
    .unmap_key = view_unmap_key,
    .head = view_head,
    .list_open = view_list_open,
    .list_next = view_list_next,
    .list_close = view_list_close,
    .get = view_get,
    .probe = view_probe,
};

void view_lend(struct store *base)
{
    view_of_store(base)->lent = true;
}

bool view_is(const struct store *store)
{
    return store->driver == &view_driver;
}

int view_open(struct store **ret_view, struct store *inner, struct catalog *catalog, bool alone,
              struct err *err)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (catalog->packs[i]->pack == NULL) {
            *err = catalog->packs[i]->err;
            return err_at(err, "pack '%s'", catalog->packs[i]->key);
        }
    struct pack_view *view = mem_alloc(sizeof *view);
    view->base = (struct store){ .driver = &view_driver, .limits = inner->limits };
    view->inner = inner;
    view->alone = alone;
    view->catalog = *catalog;
    lock_init(&view->lock);
    view->shelves = mem_alloc((catalog->count + 1) * sizeof *view->shelves);
    int result = 0;
    for (size_t i = 0; result == 0 && i < catalog->count; i++) {
        view->shelves[i].of = catalog->packs[i];
        result = measure(&view->shelves[i], err);
    }
    if (result < 0) {
        view->inner = NULL;
        view->catalog = (struct catalog){ 0 };
        for (size_t i = 0; i < catalog->count; i++) {
            buf_done(&view->shelves[i].first);
            buf_done(&view->shelves[i].last);
        }
        mem_free(view->shelves);
        view_close(&view->base);
        return -1;
    }
    *catalog = (struct catalog){ 0 };
    build_floors(view);
    *ret_view = &view->base;
    return 0;
}
