/* job/packed.h: places in lade's own packs: `PACK!/dir/file`, read by their index. Those in
 * archives of others are job/archived.h's. */
#pragma once

#include "base/err.h"
#include "store/store.h"

/* Is the location in a pack? 1: *ret_store, the caller's, shows what is there and nothing else, and
 * *ret_key is the key of the one member that is meant, or NULL: all that shows (mem_release());
 * 0: it is not; -1: ERR_ABSENT when the pack has nothing of this name. `whole`: the name of a pack
 * alone means all of it. */
CHECKED int packed_open(struct store **ret_store, char **ret_key, const char *location, bool whole,
                        const struct store_options *options, struct err *err);
/* The same of one member, by what the cache knows of the pack: nothing is asked. Whoever reads its
 * content gets ERR_CHANGED or ERR_ABSENT when the pack is another one by now. False: open it. */
bool packed_recall(struct store **ret_store, char **ret_key, const char *location,
                   const struct store_options *options);
/* Is it in a pack? 1, 0, -1 as above. */
CHECKED int packed_is(const char *location, const struct store_options *options, struct err *err);
