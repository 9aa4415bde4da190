/* store/spread/spread.h: one store over many buckets, on top of a driver that has buckets: names go
 * to buckets by a template (spread_template.h), and a bucket that is full is followed by numbered
 * ones. Bucket n >= 2 of BUCKET is BUCKET-n, or BUCKET--n where its name ends in a component.
 * Keys are names as the inner driver maps them; store_bucket_key() says which numbered bucket is
 * meant. Without a number put() goes to the first, head() and get() look into all.
 * Threads: as any store; a listing or a room belongs to one. */
#pragma once

#include "store/store.h"

/* Does the place need this, by its path or its options? */
bool spread_is_wanted(const char *path, const struct store_options *options);
/* A store of the driver's buckets, as store_driver.open. First buckets are made only with
 * make_bucket, when something is put into them; numbered ones always. ERR_USAGE: the template, or a
 * driver that has no buckets. ERR_CONFIG: a literal bucket is missing and may not be made. */
CHECKED int spread_open(struct store **ret_store, const struct store_driver *driver,
                        const char *path, const struct store_options *options, struct err *err);
/* Is the store spread over the buckets of a template, and not the numbered ones of one bucket? */
bool spread_by_template(const struct store *store);
