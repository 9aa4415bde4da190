/* base/pool.h: the one budget of data memory (--memory): 1 MiB slabs. A task takes all the slabs
 * that it needs at once, in order of arrival; nobody waits for memory while holding some.
 * Slabs are mapped when first used and kept for the next task, with what was left in them.
 * Threads: any. All slabs must be given back before pool_free(). */
#pragma once

#include "base/err.h"
#include "base/thread.h"

#include <stddef.h>
#include <stdint.h>

#define POOL_SLAB_BYTES ((size_t)1024 * 1024)

struct pool;
struct pool *pool_new(uint64_t budget_bytes);
void pool_free(struct pool *pool);
/* Fill slabs[0..count-1]. ERR_LIMIT: count is beyond the whole budget; ERR_STOPPED. */
CHECKED int pool_take(struct pool *pool, void **slabs, size_t count, const struct stop *stop,
                      struct err *err);
void pool_give(struct pool *pool, void **slabs, size_t count);
size_t pool_slab_count(const struct pool *pool); /* the whole budget, in slabs */
size_t pool_used_count(struct pool *pool);
