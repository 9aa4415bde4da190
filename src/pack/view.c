#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/view_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ZEROS_BYTES ((size_t)64 * 1024)

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

void view_key(struct pack_view *view, const struct buf *name, struct buf *ret_key)
{
    struct err refused = { 0 };
    buf_clear(ret_key);
    if (view->inner->driver->map_key(view->inner, buf_text(name), ret_key, &refused) < 0) {
        buf_clear(ret_key);
        buf_add(ret_key, buf_text(name), name->len);
    }
}

void view_name(struct pack_view *view, const char *key, struct buf *ret_name)
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

void view_fill(const struct catalog_pack *pack, const struct pack_member *member,
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

void view_set_key(struct object *object, const char *key)
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
    view_set_key(ret_object, key);
    view_fill(pack, &member, ret_object);
    fill_xattrs(&member, ret_object);
    *ret_pack = pack;
    cursor_give(view, pack, cursor);
    return 0;
}

/* Has this pack the word on the name of one of its members, which is not gone? Then its key. */
static int rules(struct pack_view *view, const struct shelf *shelf,
                 const struct pack_member *member, struct buf *ret_key, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    struct catalog_pack *pack = NULL;
    struct pack_cursor *cursor = NULL;
    struct pack_member found;
    if (!catalog_name(shelf->of, member, &name))
        return 0;
    view_key(view, &name, ret_key);
    const int got = find_member(view, buf_text(ret_key), &pack, &cursor, &found, err);
    if (got == 1)
        cursor_give(view, pack, cursor);
    return got == 1 ? pack == shelf->of : got;
}

static int links_of_shelf(struct pack_view *view, const struct shelf *shelf, view_link_fn take,
                          void *ctx, struct err *err)
{
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf target_key = { 0 };
    const char *skipped = shelf->of->skipped;
    struct pack_cursor *cursor = pack_cursor_new(shelf->of->pack);
    struct pack_member member;
    int got = pack_seek(cursor, skipped, strlen(skipped), err);
    while (got >= 0 && (got = pack_next(cursor, &member, err)) == 1) {
        if (member.kind != PACK_HARDLINK)
            continue;
        const struct pack_member target = { .kind = PACK_FILE,
                                            .path = member.target,
                                            .path_len = member.target_len };
        got = rules(view, shelf, &member, &key, err);
        if (got == 1)
            got = rules(view, shelf, &target, &target_key, err);
        if (got == 1)
            got = take(ctx, buf_text(&key), buf_text(&target_key), err);
    }
    pack_cursor_free(cursor);
    return got < 0 ? -1 : 0;
}

int view_hard_links(struct store *base, view_link_fn take, void *ctx, struct err *err)
{
    struct pack_view *view = view_of_store(base);
    for (size_t i = 0; i < view->catalog.count; i++)
        if (links_of_shelf(view, &view->shelves[i], take, ctx, err) < 0)
            return -1;
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
    view_set_key(ret_object, key);
    view_fill(pack, &member, ret_object);
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
        view_set_key(ret_object, key);
        view_fill(pack, &member, ret_object);
        fill_xattrs(&member, ret_object);
    }
    const int result = send_member(cursor, &member, offset_bytes, length_bytes, sink, err);
    cursor_give(view, pack, cursor);
    return result;
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
