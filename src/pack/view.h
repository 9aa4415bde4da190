/* pack/view.h: a store as it was before it was packed: the members of its packs are objects under
 * their names, beside those of their own; packs themselves do not show. Reading only: head, list
 * and get are those of store.h, and an object says the kind, attributes and CRC64NVME of its
 * member. The newest pack that knows a name has the word on it; an object of its own comes before
 * all. */
#pragma once

#include "pack/catalog.h"

/* `inner` and the catalog, which is of it, become the view's on success, and are released by its
 * close(). `alone`: nothing shows but the members. ERR_CORRUPT and others: a pack that cannot be
 * read (the first one). */
CHECKED int view_open(struct store **ret_view, struct store *inner, struct catalog *catalog,
                      bool alone, struct err *err);
/* Its close() leaves the inner store open: it stays the caller's. */
void view_lend(struct store *base);
/* head(), of what is in a pack, and in which: *ret_pack is valid as long as the view. ERR_ABSENT:
 * no pack has it, or there is an object of its own. */
CHECKED int view_find(struct store *base, const char *key, struct object *ret_object,
                      const struct catalog_pack **ret_pack, struct err *err);
/* Called with the keys of a hard link and of the file that it is another name of, both as the view
 * shows them. Returns 0, or -1 with err to end it. */
typedef int (*view_link_fn)(void *ctx, const char *key, const char *target, struct err *err);
/* All hard links within packs; those of one pack in its order. */
CHECKED int view_hard_links(struct store *base, view_link_fn take, void *ctx, struct err *err);
/* Is this store a view? */
bool view_is(const struct store *store);
