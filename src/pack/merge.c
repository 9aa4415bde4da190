#include "pack/merge.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

/* ---- the packs ---- */

/* The members of a pack are in order, and so are their names. */
static int measure(const struct catalog_pack *of, struct merge_pack *pack, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    struct pack_member member;
    const uint32_t blocks = pack_block_count(of->pack);
    if (blocks == 0)
        return 0;
    struct pack_cursor *cursor = pack_cursor_new(of->pack);
    const char *keys = NULL;
    size_t len = 0;
    uint32_t count = 0;
    int got = pack_member_at(cursor, 0, 0, &member, err);
    if (got == 0 && catalog_name(of, &member, &name))
        buf_add(&pack->first, name.data, name.len);
    else
        pack->beyond = true;
    if (got == 0)
        got = pack_keys(cursor, blocks - 1, &keys, &len, &count, err);
    if (got == 0 && count != 0)
        got = pack_member_at(cursor, blocks - 1, count - 1, &member, err);
    if (got == 0 && catalog_name(of, &member, &name))
        buf_add(&pack->last, name.data, name.len);
    else
        pack->beyond = true;
    pack_cursor_free(cursor);
    return got < 0 ? err_at(err, "pack '%s'", of->key) : 0;
}

static int compare_age(const void *left, const void *right)
{
    const struct catalog_pack *const *a = left;
    const struct catalog_pack *const *b = right;
    return catalog_compare_age(*a, *b);
}

static int compare_key(const void *key, const void *pack)
{
    const struct catalog_pack *const *b = pack;
    return strcmp(key, (*b)->key);
}

static void set_ages(struct merge_set *set)
{
    const struct catalog *catalog = set->catalog;
    if (catalog->count == 0)
        return;
    struct catalog_pack **order = mem_copy(catalog->packs, catalog->count * sizeof *order);
    qsort(order, catalog->count, sizeof *order, compare_age);
    for (size_t i = 0; i < catalog->count; i++) {
        struct catalog_pack *const *at = bsearch(order[i]->key, catalog->packs, catalog->count,
                                                 sizeof(struct catalog_pack *), compare_key);
        set->packs[at - catalog->packs].age = (uint32_t)i;
    }
    mem_release(order);
}

int merge_set_open(struct merge_set *set, const struct catalog *catalog, struct err *err)
{
    struct merge_set made = { .catalog = catalog };
    made.packs = mem_alloc((catalog->count + 1) * sizeof *made.packs);
    for (size_t i = 0; i < catalog->count; i++)
        if (measure(catalog->packs[i], &made.packs[i], err) < 0) {
            merge_set_done(&made);
            return -1;
        }
    set_ages(&made);
    *set = made;
    return 0;
}

void merge_set_done(struct merge_set *set)
{
    for (size_t i = 0; set->packs != NULL && i < set->catalog->count; i++) {
        buf_done(&set->packs[i].first);
        buf_done(&set->packs[i].last);
    }
    mem_free(set->packs);
}

/* ---- the merge ---- */

struct source {
    uint32_t pack;
    struct pack_cursor *cursor; /* NULL: not opened; name is where it begins */
    struct pack_member member;
    struct buf name;
};

struct merge {
    const struct merge_set *set;
    char *from;
    struct source *heap; /* the least name first; of several with one name the newest pack */
    size_t count;
    struct buf text;
    struct buf others; /* of uint32_t */
    struct source given;
    bool has_given;
};

static bool before(const struct merge *merge, const struct source *a, const struct source *b)
{
    const int order = strcmp(buf_text(&a->name), buf_text(&b->name));
    if (order != 0)
        return order < 0;
    /* Who is not opened may turn out to begin later. */
    if ((a->cursor == NULL) != (b->cursor == NULL))
        return a->cursor == NULL;
    return merge->set->packs[a->pack].age > merge->set->packs[b->pack].age;
}

static void swap(struct source *a, struct source *b)
{
    const struct source kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct merge *merge, size_t at)
{
    while (at != 0 && before(merge, &merge->heap[at], &merge->heap[(at - 1) / 2])) {
        swap(&merge->heap[at], &merge->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct merge *merge)
{
    size_t at = 0;
    for (;;) {
        size_t least = 2 * at + 1;
        if (least >= merge->count)
            return;
        if (least + 1 < merge->count && before(merge, &merge->heap[least + 1], &merge->heap[least]))
            least++;
        if (!before(merge, &merge->heap[least], &merge->heap[at]))
            return;
        swap(&merge->heap[at], &merge->heap[least]);
        at = least;
    }
}

static void source_done(struct source *source)
{
    pack_cursor_free(source->cursor);
    source->cursor = NULL;
    buf_done(&source->name);
}

struct merge *merge_new(const struct merge_set *set, const char *from)
{
    struct merge *merge = mem_alloc(sizeof *merge);
    merge->set = set;
    merge->from = mem_string(from);
    merge->heap = mem_alloc((set->catalog->count + 1) * sizeof *merge->heap);
    for (size_t i = 0; i < set->catalog->count; i++) {
        const struct merge_pack *pack = &set->packs[i];
        if (pack_block_count(set->catalog->packs[i]->pack) == 0 ||
            (pack->last.len != 0 && strcmp(pack->last.data, from) < 0))
            continue;
        struct source *source = &merge->heap[merge->count++];
        *source = (struct source){ .pack = (uint32_t)i };
        const bool later = strcmp(buf_text(&pack->first), from) > 0;
        buf_add_text(&source->name, later ? buf_text(&pack->first) : from);
        sift_up(merge, merge->count - 1);
    }
    return merge;
}

void merge_free(struct merge *merge)
{
    if (merge == NULL)
        return;
    for (size_t i = 0; i < merge->count; i++)
        source_done(&merge->heap[i]);
    if (merge->has_given)
        source_done(&merge->given);
    mem_release(merge->heap);
    mem_release(merge->from);
    buf_done(&merge->text);
    buf_done(&merge->others);
    mem_release(merge);
}

/* 1: it has another name, 0: it has ended. */
static int step(const struct merge *merge, struct source *source, struct err *err)
{
    const struct catalog_pack *of = merge->set->catalog->packs[source->pack];
    int got;
    while ((got = pack_next(source->cursor, &source->member, err)) == 1)
        if (catalog_name(of, &source->member, &source->name) &&
            strcmp(source->name.data, merge->from) >= 0)
            return 1;
    return got < 0 ? err_at(err, "pack '%s'", of->key) : 0;
}

static int open_source(const struct merge *merge, struct source *source, struct err *err)
{
    const struct catalog_pack *of = merge->set->catalog->packs[source->pack];
    const size_t above = strlen(of->above);
    SCOPED(buf) struct buf key = { 0 };
    source->cursor = pack_cursor_new(of->pack);
    /* Where its names begin with the same as all of them, theirs begin behind it. */
    buf_add_text(&key, of->skipped);
    if (strncmp(merge->from, of->above, above) == 0)
        buf_add_text(&key, merge->from + above);
    if (pack_seek_from(source->cursor, buf_text(&key), key.len, err) < 0)
        return err_at(err, "pack '%s'", of->key);
    return step(merge, source, err);
}

/* The first of the heap has moved on, or (more == 0) is at its end. */
static void settle_first(struct merge *merge, int more)
{
    if (more == 0) {
        source_done(&merge->heap[0]);
        merge->heap[0] = merge->heap[--merge->count];
    }
    sift_down(merge);
}

/* Have an opened source at the front. 1, 0: nothing is left, -1. */
static int ready(struct merge *merge, struct err *err)
{
    while (merge->count != 0 && merge->heap[0].cursor == NULL) {
        const int more = open_source(merge, &merge->heap[0], err);
        if (more < 0)
            return -1;
        settle_first(merge, more);
    }
    return merge->count != 0;
}

/* Who gave the last answer goes back, one step on. */
static int take_back(struct merge *merge, struct err *err)
{
    if (!merge->has_given)
        return 0;
    const int more = step(merge, &merge->given, err);
    if (more < 0)
        return -1;
    merge->has_given = false;
    if (more == 0) {
        source_done(&merge->given);
        return 0;
    }
    merge->heap[merge->count++] = merge->given;
    sift_up(merge, merge->count - 1);
    return 0;
}

int merge_next(struct merge *merge, struct merge_name *ret_name, struct err *err)
{
    if (take_back(merge, err) < 0)
        return -1;
    int got = ready(merge, err);
    if (got != 1)
        return got;
    merge->given = merge->heap[0];
    merge->has_given = true;
    merge->heap[0] = merge->heap[--merge->count];
    sift_down(merge);
    buf_clear(&merge->text);
    buf_add(&merge->text, merge->given.name.data, merge->given.name.len);
    buf_clear(&merge->others);
    while ((got = ready(merge, err)) == 1 &&
           strcmp(merge->heap[0].name.data, merge->text.data) == 0) {
        buf_add(&merge->others, &merge->heap[0].pack, sizeof merge->heap[0].pack);
        const int more = step(merge, &merge->heap[0], err);
        if (more < 0)
            return -1;
        settle_first(merge, more);
    }
    if (got < 0)
        return -1;
    *ret_name = (struct merge_name){ .text = merge->text.data,
                                     .pack = merge->given.pack,
                                     .member = merge->given.member,
                                     .others = (const uint32_t *)(const void *)merge->others.data,
                                     .other_count = merge->others.len / sizeof(uint32_t) };
    return 1;
}
