/* pack/query.h: what `lade find` looks for: words, globs or a regular expression that paths are
 * compared with, and bounds of size, time and kind.
 * A pattern is terms with blanks between, and all of them must match: a term with one of * ? [ { is
 * a glob (base/pattern.h), any other a word that may be anywhere in the path, whatever the case of
 * its ASCII letters; a '/' in front of it is also the one that a path does not have in front. A
 * backslash takes the next character as it is. Threads: a query does not change; a matcher belongs
 * to one thread. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUERY_TEXT_MAX 4096u
#define QUERY_TERMS_MAX 64u

enum query_kind { QUERY_FILE, QUERY_DIR, QUERY_LINK, QUERY_PACK, QUERY_KIND_COUNT };

struct query_bounds {
    uint64_t size_min, size_max;
    bool has_size; /* then what has no size is none of it */
    int64_t newer_ns;
    bool has_newer;
    uint32_t kinds; /* bit of each enum query_kind; 0: all */
};
/* "+10M" more, "-10K" less, "10K..1M" from to, "10M" exactly. */
CHECKED int query_parse_size(struct query_bounds *bounds, const char *text, struct err *err);
/* "7d", "12h": so long ago; "2026-11-22", "2026-11-22 07:30"; "07:30": the last one. */
CHECKED int query_parse_newer(struct query_bounds *bounds, const char *text, int64_t now_ns,
                              struct err *err);

struct query;
/* regex: the text is one POSIX extended regular expression, looked for anywhere in the path. */
CHECKED int query_new(struct query **ret_query, const char *text, bool regex,
                      const struct query_bounds *bounds, struct err *err);
void query_free(struct query *query);
/* Is the thing, whose path matches, within the bounds? time 0: unknown. */
bool query_fits(const struct query *query, enum query_kind kind, bool has_size, uint64_t size_bytes,
                int64_t time_ns);

/* A text that is in every path that matches, behind `above` (which ends in '/' or is ""); len 0:
 * none is known. fold: in any case; it is in small letters then. */
struct query_needle {
    const char *text;
    size_t len;
    bool fold;
};
struct query_needle query_needle(const struct query *query, const char *above);

struct matcher;
struct matcher *matcher_new(const struct query *query); /* the query must outlive it */
void matcher_free(struct matcher *matcher);
bool matcher_takes(struct matcher *matcher, const char *path, size_t len);
/* Where in bytes[from … len-1] the needle is first, SIZE_MAX: nowhere. A first call has from 0; the
 * others are of the same bytes. */
size_t matcher_seek(struct matcher *matcher, const struct query_needle *needle, const char *bytes,
                    size_t from, size_t len);
