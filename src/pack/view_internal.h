/* pack/view_internal.h: what view.c (one name) and view_list.c (all of them) share. */
#pragma once

#include "base/thread.h"
#include "pack/view.h"

#define CURSORS_MAX 64u /* kept for the next get */

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

static inline struct pack_view *view_of_store(struct store *base)
{
    return (struct pack_view *)base;
}

/* The key of a name in the tree; one that the store could not hold is given as it is. */
void view_key(struct pack_view *view, const struct buf *name, struct buf *ret_key);
void view_name(struct pack_view *view, const char *key, struct buf *ret_name);
void view_set_key(struct object *object, const char *key);
/* All but the key: what an object is that this member shows as. */
void view_fill(const struct catalog_pack *pack, const struct pack_member *member,
               struct object *object);

/* view_list.c: the listing of store.h. */
int view_list_open(struct store_list **ret_list, struct store *base, const char *prefix,
                   const char *start_after, bool delimited, struct err *err);
int view_list_next(struct store_list *list, struct object *object, struct err *err);
void view_list_close(struct store_list *list);
