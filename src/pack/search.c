#include "pack/search.h"

#include "base/attr.h"
#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 64u

/* From where a hit is; the order is that of whose word counts. */
enum finding { FOUND_OBJECT, FOUND_MEMBER, FOUND_LISTED };

struct found {
    struct search_hit hit;
    const char *name; /* in the tree of the place, as catalog_name() has it; NULL: of no tree */
    const struct catalog_pack *pack; /* FOUND_MEMBER */
    enum finding by;
    bool gone;
};

/* What one thread found. */
struct finds {
    struct found *items;
    size_t count, room;
    struct arena arena; /* of names */
};

struct search {
    const struct query *query;
    bool all;
    struct finds finds;
    struct arena *arenas; /* of what other threads found */
    size_t arena_count;
    struct search_list *lists;
    size_t list_count, list_room;
    struct matcher *matcher; /* of the caller's thread */
    struct buf path;
    struct buf last_key; /* of the objects, and the lengths of those that it begins with */
    size_t *begun;
    size_t begun_count, begun_room;
};

struct search *search_new(const struct query *query, bool all)
{
    struct search *search = mem_alloc(sizeof *search);
    search->query = query;
    search->all = all;
    search->matcher = matcher_new(query);
    return search;
}

void search_free(struct search *search)
{
    if (search == NULL)
        return;
    mem_release(search->finds.items);
    arena_done(&search->finds.arena);
    for (size_t i = 0; i < search->arena_count; i++)
        arena_done(&search->arenas[i]);
    mem_release(search->arenas);
    for (size_t i = 0; i < search->list_count; i++)
        mem_release(search->lists[i].key);
    mem_release(search->lists);
    matcher_free(search->matcher);
    buf_done(&search->path);
    buf_done(&search->last_key);
    mem_release(search->begun);
    mem_release(search);
}

/* ---- what was found ---- */

static struct found *finds_add(struct finds *finds)
{
    if (finds->count == finds->room) {
        finds->room = finds->room * 2 + 64;
        finds->items = mem_resize(finds->items, finds->room * sizeof *finds->items);
    }
    struct found *found = &finds->items[finds->count++];
    *found = (struct found){ 0 };
    return found;
}

static const char *finds_text(struct finds *finds, const char *text, size_t len)
{
    char *copy = arena_take_bytes(&finds->arena, len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

/* ---- objects ---- */

/* Which keys before this one begin it: all between such a one and this one begin with it too, since
 * keys come in order. True when `len` of its bytes are one. */
static bool step_keys(struct search *search, const struct inventory_row *row, size_t len)
{
    struct buf *last = &search->last_key;
    const size_t most = last->len < row->key_len ? last->len : row->key_len;
    size_t shared = 0;
    while (shared < most && last->data[shared] == row->key[shared])
        shared++;
    while (search->begun_count != 0 && search->begun[search->begun_count - 1] > shared)
        search->begun_count--;
    bool found = false;
    for (size_t i = 0; i < search->begun_count; i++)
        found = found || search->begun[i] == len;
    if (search->begun_count == search->begun_room) {
        search->begun_room = search->begun_room * 2 + 16;
        search->begun = mem_resize(search->begun, search->begun_room * sizeof *search->begun);
    }
    search->begun[search->begun_count++] = row->key_len;
    buf_clear(last);
    buf_add(last, row->key, row->key_len);
    return found;
}

static void remember_list(struct search *search, const struct inventory_row *row, size_t len)
{
    if (search->list_count == search->list_room) {
        search->list_room = search->list_room * 2 + 16;
        search->lists = mem_resize(search->lists, search->list_room * sizeof *search->lists);
    }
    struct search_list *list = &search->lists[search->list_count++];
    *list = (struct search_list){ .key = mem_copy(row->key, row->key_len + 1),
                                  .size_bytes = row->size_bytes,
                                  .bucket = row->bucket };
    list->key[len] = '\0';
    snprintf(list->etag, sizeof list->etag, "%s", row->etag);
}

const struct search_list *search_lists(const struct search *search, size_t *ret_count)
{
    *ret_count = search->list_count;
    return search->lists;
}

/* The path of a name in the tree: without what marks a directory or a link. */
static size_t path_len_of(const char *name, size_t len, enum query_kind kind)
{
    if (kind == QUERY_DIR && len != 0 && name[len - 1] == '/')
        return len - 1;
    if (kind == QUERY_LINK && path_ends_with(name, len, LINK_SUFFIX))
        return len - (sizeof LINK_SUFFIX - 1);
    return len;
}

void search_object(struct search *search, const struct inventory_row *row)
{
    if (row->key_len == 0)
        return;
    const size_t suffix = sizeof AMETA_SUFFIX - 1;
    const bool is_list = path_ends_with(row->key, row->key_len, AMETA_SUFFIX);
    if (step_keys(search, row, is_list ? row->key_len - suffix : SIZE_MAX)) {
        remember_list(search, row, row->key_len - suffix); /* part of what it is about */
        return;
    }
    enum query_kind kind = QUERY_FILE;
    if (row->kind == INVENTORY_DIR || row->key[row->key_len - 1] == '/')
        kind = QUERY_DIR;
    else if (row->kind == INVENTORY_LINK || path_ends_with(row->name, row->name_len, LINK_SUFFIX))
        kind = QUERY_LINK;
    if (!matcher_takes(search->matcher, row->name, path_len_of(row->name, row->name_len, kind)))
        return;
    struct found *found = finds_add(&search->finds);
    found->by = FOUND_OBJECT;
    found->name = finds_text(&search->finds, row->name, row->name_len);
    found->hit = (struct search_hit){ .key = finds_text(&search->finds, row->key, row->key_len),
                                      .kind = kind,
                                      .has_size = kind != QUERY_DIR,
                                      .size_bytes = row->size_bytes,
                                      .time_ns = row->time_ns,
                                      .bucket = row->bucket };
}

/* ---- lists beside archives ---- */

/* Is it an archive, also an encrypted one? A single file may have a list as well. */
static bool is_archive(const char *key)
{
    static const char *const crypts[] = { ".gpg", ".c4gh" };
    static const char *const tars[] = { ".tar", ".tar.zst", ".tar.gz" };
    size_t len = strlen(key);
    for (size_t i = 0; i < sizeof crypts / sizeof *crypts; i++)
        if (path_ends_with(key, len, crypts[i]))
            len -= strlen(crypts[i]);
    for (size_t i = 0; i < sizeof tars / sizeof *tars; i++)
        if (path_ends_with(key, len, tars[i]))
            return true;
    return false;
}

void search_ameta(struct search *search, const struct search_list *list, const char *text,
                  size_t len, int64_t now_ns)
{
    if (!is_archive(list->key))
        return; /* the file is the object, which was looked at */
    struct ameta ameta = ameta_of(text, len, now_ns);
    struct ameta_file file;
    const char *slash = strrchr(list->key, '/');
    const size_t above = slash != NULL ? (size_t)(slash + 1 - list->key) : 0;
    const char *key = NULL;
    while (ameta_next(&ameta, &file)) {
        buf_clear(&search->path);
        buf_add(&search->path, list->key, above);
        buf_add(&search->path, file.path, file.path_len);
        if (!matcher_takes(search->matcher, search->path.data, search->path.len))
            continue;
        if (key == NULL)
            key = finds_text(&search->finds, list->key, strlen(list->key));
        struct found *found = finds_add(&search->finds);
        found->by = FOUND_LISTED;
        found->hit =
            (struct search_hit){ .key = key,
                                 .member = finds_text(&search->finds, file.path, file.path_len),
                                 .kind = file.is_link ? QUERY_LINK : QUERY_FILE,
                                 .has_size = file.has_size,
                                 .size_bytes = file.size_bytes,
                                 .time_ns = file.time_ns,
                                 .bucket = list->bucket };
    }
}

/* ---- packs ---- */

struct scan {
    const struct search *search;
    struct catalog *catalog;
    const struct stop *stop;
    uint32_t *first; /* of each pack: how many blocks are before it */
    struct query_needle *needles;
    uint32_t block_count;
    atomic_uint next; /* block */
    struct lock lock; /* of the packs' err */
};

/* What a thread has at hand. */
struct scanner {
    struct scan *scan;
    struct finds finds;
    struct matcher *matcher;
    struct pack_cursor *cursor; /* of `pack` */
    size_t pack;
    struct buf name;
};

static enum query_kind kind_of(const struct pack_member *member)
{
    switch (member->kind == PACK_GONE ? member->was : member->kind) {
    case PACK_DIR:
        return QUERY_DIR;
    case PACK_LINK:
        return QUERY_LINK;
    default:
        return QUERY_FILE;
    }
}

/* What is gone may say that a link was a file: it is the word on both. */
static bool takes_name(struct scanner *scanner, const struct pack_member *member,
                       enum query_kind kind)
{
    const struct buf *name = &scanner->name;
    const size_t len = path_len_of(name->data, name->len, kind);
    if (matcher_takes(scanner->matcher, name->data, len))
        return true;
    const size_t link_len = path_len_of(name->data, name->len, QUERY_LINK);
    return member->kind == PACK_GONE && link_len != len &&
           matcher_takes(scanner->matcher, name->data, link_len);
}

static void take_member(struct scanner *scanner, const struct catalog_pack *pack,
                        const struct pack_member *member)
{
    const enum query_kind kind = kind_of(member);
    if (!catalog_name(pack, member, &scanner->name) || !takes_name(scanner, member, kind))
        return;
    struct found *found = finds_add(&scanner->finds);
    found->by = FOUND_MEMBER;
    found->pack = pack;
    found->gone = member->kind == PACK_GONE;
    found->name = finds_text(&scanner->finds, scanner->name.data, scanner->name.len);
    found->hit = (struct search_hit){
        .key = pack->key,
        .kind = kind,
        .has_size = kind != QUERY_DIR,
        .size_bytes = member->kind == PACK_LINK ? member->target_len : member->size_bytes,
        .time_ns = member->mtime_ns,
    };
    char *path = arena_take_bytes(&scanner->finds.arena, (size_t)member->path_len + 2);
    memcpy(path, member->path, member->path_len);
    path[member->path_len] = '\0';
    if (kind == QUERY_DIR)
        memcpy(path + member->path_len, "/", 2);
    found->hit.member = path;
}

static int take_ordinal(struct scanner *scanner, const struct catalog_pack *pack, uint32_t block,
                        uint32_t ordinal, struct err *err)
{
    struct pack_member member;
    if (pack_member_at(scanner->cursor, block, ordinal, &member, err) < 0)
        return -1;
    take_member(scanner, pack, &member);
    return 0;
}

static int scan_all(struct scanner *scanner, const struct catalog_pack *pack, uint32_t block,
                    struct err *err)
{
    const char *keys = NULL;
    size_t len = 0;
    uint32_t count = 0;
    if (pack_keys(scanner->cursor, block, &keys, &len, &count, err) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (take_ordinal(scanner, pack, block, i, err) < 0)
            return -1;
    return 0;
}

/* Which of the keys hold the needle: a bit each, and false when there is none. */
static bool mark_keys(struct scanner *scanner, const struct query_needle *needle, const char *keys,
                      size_t len, struct buf *ret_ordinals)
{
    uint32_t ordinal = 0;
    size_t at = 0; /* where the key of this ordinal begins */
    for (size_t hit = 0; hit < len;) {
        hit = matcher_seek(scanner->matcher, needle, keys, hit, len);
        if (hit == SIZE_MAX)
            break;
        const char *end;
        while ((end = memchr(keys + at, '\0', len - at)) != NULL && end < keys + hit) {
            at = (size_t)(end + 1 - keys);
            ordinal++;
        }
        if (end == NULL)
            break;
        buf_add_u32(ret_ordinals, ordinal++);
        hit = at = (size_t)(end + 1 - keys);
    }
    return ret_ordinals->len != 0;
}

static int scan_block(struct scanner *scanner, const struct catalog_pack *pack,
                      const struct query_needle *needle, uint32_t block, struct err *err)
{
    if (needle->len == 0)
        return scan_all(scanner, pack, block, err);
    SCOPED(buf) struct buf ordinals = { 0 };
    const char *keys = NULL;
    size_t len = 0;
    if (pack_scan(scanner->cursor, block, &keys, &len, err) < 0)
        return -1;
    if (!mark_keys(scanner, needle, keys, len, &ordinals))
        return 0;
    /* Now with all that a pack from outside is looked at for. */
    uint32_t count = 0;
    if (pack_keys(scanner->cursor, block, &keys, &len, &count, err) < 0)
        return -1;
    struct view view = view_of(ordinals.data, ordinals.len);
    while (view_left(&view) != 0) {
        const uint32_t ordinal = view_u32(&view);
        if (ordinal < count && take_ordinal(scanner, pack, block, ordinal, err) < 0)
            return -1;
    }
    return 0;
}

/* The pack that a block is of: the last that does not begin behind it. */
static size_t pack_of(const struct scan *scan, uint32_t block)
{
    size_t low = 0;
    size_t high = scan->catalog->count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (scan->first[middle] <= block)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void *scanner_main(void *arg)
{
    struct scanner *scanner = arg;
    struct scan *scan = scanner->scan;
    scanner->matcher = matcher_new(scan->search->query);
    uint32_t block;
    while ((block = atomic_fetch_add(&scan->next, 1)) < scan->block_count &&
           !stop_raised(scan->stop)) {
        const size_t at = pack_of(scan, block);
        struct catalog_pack *pack = scan->catalog->packs[at];
        if (scanner->cursor == NULL || scanner->pack != at) {
            pack_cursor_free(scanner->cursor);
            scanner->cursor = pack_cursor_new(pack->pack);
            scanner->pack = at;
        }
        struct err err = { 0 };
        if (scan_block(scanner, pack, &scan->needles[at], block - scan->first[at], &err) == 0)
            continue;
        SCOPED_LOCK(&scan->lock);
        if (pack->err.kind == ERR_NONE)
            pack->err = err;
    }
    pack_cursor_free(scanner->cursor);
    matcher_free(scanner->matcher);
    buf_done(&scanner->name);
    return NULL;
}

/* The texts stay where they are: only who owns them changes. */
static void take_over(struct search *search, struct finds *finds)
{
    for (size_t i = 0; i < finds->count; i++)
        *finds_add(&search->finds) = finds->items[i];
    mem_free(finds->items);
    search->arenas = mem_resize(search->arenas, (search->arena_count + 1) * sizeof *search->arenas);
    search->arenas[search->arena_count++] = finds->arena;
}

static void run_scan(struct search *search, struct scan *scan)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t count = cores < 1 ? 1 : cores > (long)THREADS_MAX ? THREADS_MAX : (uint32_t)cores;
    if (count > scan->block_count)
        count = scan->block_count;
    struct scanner *scanners = mem_alloc(count * sizeof *scanners);
    struct thread threads[THREADS_MAX] = { 0 };
    for (uint32_t i = 0; i < count; i++)
        scanners[i].scan = scan;
    for (uint32_t i = 1; i < count; i++) {
        struct err ignored = { 0 }; /* fewer will do */
        if (thread_start(&threads[i], "lade-search", scanner_main, &scanners[i], &ignored) < 0)
            break;
    }
    if (count != 0)
        (void)scanner_main(&scanners[0]);
    for (uint32_t i = 1; i < count; i++)
        thread_join(&threads[i]);
    for (uint32_t i = 0; i < count; i++)
        take_over(search, &scanners[i].finds);
    mem_release(scanners);
}

void search_packs(struct search *search, struct catalog *catalog, const struct stop *stop)
{
    struct scan scan = { .search = search, .catalog = catalog, .stop = stop };
    if (catalog->count == 0)
        return;
    scan.first = mem_alloc(catalog->count * sizeof *scan.first);
    scan.needles = mem_alloc(catalog->count * sizeof *scan.needles);
    for (size_t i = 0; i < catalog->count; i++) {
        const struct catalog_pack *pack = catalog->packs[i];
        scan.first[i] = scan.block_count;
        if (pack->pack == NULL)
            continue;
        scan.needles[i] = query_needle(search->query, pack->above);
        scan.block_count += pack_block_count(pack->pack);
    }
    lock_init(&scan.lock);
    run_scan(search, &scan);
    lock_done(&scan.lock);
    mem_release(scan.first);
    mem_release(scan.needles);
}

/* ---- sorting it out ---- */

/* By name; of one name first what counts. */
static int compare_words(const void *left, const void *right)
{
    const struct found *a = left;
    const struct found *b = right;
    if (a->name == NULL || b->name == NULL)
        return (a->name == NULL) - (b->name == NULL);
    const int order = strcmp(a->name, b->name);
    if (order != 0)
        return order;
    if (a->by != b->by)
        return a->by < b->by ? -1 : 1;
    return a->by == FOUND_MEMBER ? -catalog_compare_age(a->pack, b->pack) : 0;
}

/* Key and member as one text, byte by byte. */
struct spelling {
    const char *at, *parts[2];
};

static int next_byte(struct spelling *spelling)
{
    while (*spelling->at == '\0' && spelling->parts[0] != NULL) {
        spelling->at = spelling->parts[0];
        spelling->parts[0] = spelling->parts[1];
        spelling->parts[1] = NULL;
    }
    return *spelling->at != '\0' ? (unsigned char)*spelling->at++ : -1;
}

static struct spelling spell(const struct search_hit *hit)
{
    return (struct spelling){
        .at = hit->key, .parts = { hit->member != NULL ? SEARCH_INSIDE : NULL, hit->member }
    };
}

static int compare_locations(const void *left, const void *right)
{
    const struct search_hit *a = &((const struct found *)left)->hit;
    const struct search_hit *b = &((const struct found *)right)->hit;
    if (a->key == b->key && a->member != NULL && b->member != NULL)
        return strcmp(a->member, b->member);
    struct spelling left_bytes = spell(a);
    struct spelling right_bytes = spell(b);
    for (;;) {
        const int one = next_byte(&left_bytes);
        const int other = next_byte(&right_bytes);
        if (one != other)
            return one < other ? -1 : 1;
        if (one < 0)
            return 0;
    }
}

/* The index beside a plain tar is part of it. */
static bool is_sidecar(const struct catalog *catalog, const char *key)
{
    const size_t len = strlen(key);
    if (!path_ends_with(key, len, PACK_TAR_SUFFIX PACK_INDEX_SUFFIX))
        return false;
    char *of = mem_string(key);
    of[len - (sizeof PACK_INDEX_SUFFIX - 1)] = '\0';
    const struct catalog_pack *pack = catalog_find(catalog, of);
    mem_release(of);
    return pack != NULL && pack->has_sidecar;
}

static bool shows(const struct search *search, const struct catalog *catalog, struct found *found)
{
    if (found->by == FOUND_OBJECT) {
        const struct catalog_pack *pack = catalog_find(catalog, found->hit.key);
        if (pack != NULL && found->hit.kind == QUERY_FILE)
            found->hit.kind = QUERY_PACK;
        if (is_sidecar(catalog, found->hit.key))
            return false;
    }
    return !found->gone && query_fits(search->query, found->hit.kind, found->hit.has_size,
                                      found->hit.size_bytes, found->hit.time_ns);
}

void search_settle(struct search *search, const struct catalog *catalog)
{
    struct finds *finds = &search->finds;
    if (finds->count == 0)
        return;
    if (!search->all)
        qsort(finds->items, finds->count, sizeof *finds->items, compare_words);
    size_t kept = 0;
    const char *last = NULL;
    for (size_t i = 0; i < finds->count; i++) {
        struct found *found = &finds->items[i];
        const bool old =
            !search->all && found->name != NULL && last != NULL && strcmp(found->name, last) == 0;
        last = found->name;
        if (!old && shows(search, catalog, found))
            finds->items[kept++] = *found;
    }
    finds->count = kept;
    if (kept != 0)
        qsort(finds->items, kept, sizeof *finds->items, compare_locations);
}

const struct search_hit *search_at(const struct search *search, size_t index)
{
    return index < search->finds.count ? &search->finds.items[index].hit : NULL;
}
