/* store/spread/spread_template.h: which bucket a name goes to, and under which key:
 * "//road-cameras-{1}/{2+}" puts `cam01/2026/x.jpg` into the bucket road-cameras-cam01 under
 * `2026/x.jpg`. {N} is the Nth component of the name, {N+} that and all behind it. Names can be
 * told back from bucket and key, and the keys of one bucket ascend as their names do. Pure. Owner:
 * the caller; spread_template_done(). Errors: ERR_USAGE (a template that cannot be used, with a
 * valid one as hint), ERR_LIMIT (a name that it gives no place). */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPREAD_COMPONENT_MAX 64 /* the highest N */
#define SPREAD_PARTS_MAX 64     /* components of the key part */

struct spread_part {
    char *literal;      /* NULL: a component of the name */
    uint32_t component; /* from 1 */
};
struct spread_template {
    char *before, *after;      /* of the bucket's name: around the component, or all of it and "" */
    uint32_t bucket_component; /* 0: the bucket's name is literal */
    char *lead;                /* of keys: literal components in front, "" or ending in '/' */
    struct spread_part *parts; /* between these and the rest */
    size_t part_count;
    uint32_t rest; /* the M of {M+} */
};

/* Does the path behind "s3:" hold {N} or {N+}, or a brace in the bucket's name, which no bucket
 * has? Any other brace is part of a key. */
bool spread_is_template(const char *path);
/* A path that is none ("//BUCKET/PREFIX") stands for "//BUCKET/PREFIX/{1+}". */
CHECKED int spread_template_parse(struct spread_template *ret_template, const char *path,
                                  struct err *err);
void spread_template_done(struct spread_template *template);

/* The component that is in the bucket's name ("" when it is literal), and the key behind the lead.
 */
CHECKED int spread_map(const struct spread_template *template, const char *name,
                       struct buf *ret_value, struct buf *ret_key, struct err *err);
/* The reverse; false when the key does not fit. */
bool spread_unmap(const struct spread_template *template, const char *value, const char *key,
                  struct buf *ret_name);
/* The beginning of a name as the beginning of keys in one bucket. False: its names do not begin so.
 */
bool spread_map_prefix(const struct spread_template *template, const char *value,
                       const char *prefix, struct buf *ret_key);
/* A key such that all keys up to it, in this bucket, are of names up to `name`; the farther the
 * better, "" for none. */
void spread_map_start(const struct spread_template *template, const char *value, const char *name,
                      struct buf *ret_key);
/* Where a name is, in bucket `number` (0: the first), as "//BUCKET/KEY"; of the beginning of names
 * the beginning of keys. False: it has no place. */
bool spread_path_of(const struct spread_template *template, const char *name, uint32_t number,
                    struct buf *ret_path);
/* Has the name all components before {M+} whole? */
bool spread_reaches_rest(const struct spread_template *template, const char *name);
/* The component of the bucket's name in a name, if the name is long enough to have it whole. */
bool spread_value_of(const struct spread_template *template, const char *name,
                     struct buf *ret_value);

/* The name of bucket `number`, from 1, of a value. ERR_LIMIT names the rule that it breaks. */
CHECKED int spread_bucket_name(const struct spread_template *template, const char *value,
                               uint32_t number, struct buf *ret_bucket, struct err *err);
/* The reverse; false when it is no bucket of this template. */
bool spread_read_bucket(const struct spread_template *template, const char *bucket,
                        struct buf *ret_value, uint32_t *ret_number);
