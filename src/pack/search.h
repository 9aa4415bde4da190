/* pack/search.h: one place searched: the objects that are listed, the members of its packs, and the
 * lists that the a-commands put beside archives. What is found is sorted by where it is.
 * Of several packs that know a name the newest has the word on it, an object of its own comes
 * before all, and what is gone is not found, as in pack/view.h.
 * Owner: one thread; it lends work to others. */
#pragma once

#include "pack/ameta.h"
#include "pack/catalog.h"
#include "pack/inventory.h"
#include "pack/query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEARCH_INSIDE "!/" /* between an object and what is in it */

struct search_hit {
    const char *key;    /* of the object in the store: itself, or that which holds it */
    const char *member; /* its path in there, NULL: the object itself; a directory ends in '/' */
    enum query_kind kind;
    bool has_size;
    uint64_t size_bytes;
    int64_t time_ns; /* 0: unknown */
    uint32_t bucket; /* of the object: see struct inventory_row */
};

/* KEY_ameta, beside the object KEY. */
struct search_list {
    char *key; /* of the object that it is about */
    char etag[STORE_ETAG_MAX];
    uint64_t size_bytes;
    uint32_t bucket;
};

struct search;
/* all: older versions of members too. The query must outlive it. */
struct search *search_new(const struct query *query, bool all);
void search_free(struct search *search);
/* Every object of the place, in order. */
void search_object(struct search *search, const struct inventory_row *row);
/* The lists that were seen; to be given to search_ameta() with their text, unless they are about a
 * pack of ours. */
const struct search_list *search_lists(const struct search *search, size_t *ret_count);
void search_ameta(struct search *search, const struct search_list *list, const char *text,
                  size_t len, int64_t now_ns);
/* The members of all packs, on several threads. What is wrong with one pack is in its err. The
 * catalog must outlive the search. */
void search_packs(struct search *search, struct catalog *catalog, const struct stop *stop);
/* Once, at the end: sort it out. */
void search_settle(struct search *search, const struct catalog *catalog);
/* What was found, by location. */
const struct search_hit *search_at(const struct search *search, size_t index);
