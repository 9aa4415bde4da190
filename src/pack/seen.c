#include "pack/seen.h"

#include "base/ban.h"
#include "base/scope.h"

#include <string.h>

#define HEAD_BYTES 16u

static struct cache_key key_of(const char *scheme, const char *place)
{
    return (struct cache_key){ .kind = CACHE_SEEN, .scheme = scheme, .name = place, .etag = "" };
}

void seen_keep(struct cache *cache, const char *scheme, const char *place, uint64_t size_bytes,
               int64_t stored_ns, const char *etag)
{
    const struct cache_key key = key_of(scheme, place);
    SCOPED(buf) struct buf content = { 0 };
    if (etag[0] == '\0')
        return;
    buf_add_u64(&content, size_bytes);
    buf_add_u64(&content, (uint64_t)stored_ns);
    buf_add_text(&content, etag);
    cache_keep(cache, &key, content.data, content.len);
}

bool seen_find(const struct cache *cache, const char *scheme, const char *place,
               struct seen *ret_seen)
{
    const struct cache_key key = key_of(scheme, place);
    struct cache_entry entry;
    struct err ignored = { 0 };
    SCOPED(buf) struct buf content = { 0 };
    if (!cache_find(cache, &key, &entry) || entry.size_bytes <= HEAD_BYTES ||
        entry.size_bytes - HEAD_BYTES >= sizeof ret_seen->etag ||
        cache_read(&entry, 0, (size_t)entry.size_bytes, &content, &ignored) < 0)
        return false;
    struct view view = view_of(content.data, content.len);
    ret_seen->size_bytes = view_u64(&view);
    ret_seen->stored_ns = (int64_t)view_u64(&view);
    snprintf(ret_seen->etag, sizeof ret_seen->etag, "%s", content.data + HEAD_BYTES);
    return true;
}
