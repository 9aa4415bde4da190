/* job/stream.h: the sorted streams that a plan is made of, all alike: what a crawl finds, what a
 * store lists, and what the last generation recorded. In each, keys ascend as memcmp orders them.
 * Owner: the caller; each belongs to one thread. */
#pragma once

#include "base/err.h"
#include "job/crawl.h"
#include "job/entry.h"
#include "job/job.h"
#include "job/objects.h"

struct stream_item {
    const char *key;  /* what is compared; valid until the next item */
    const char *name; /* what the plan keeps */
    uint32_t name_len;
    enum entry_kind kind;
    enum plan_reason reason;
    const char *rule; /* REASON_EXCLUDED */
    int sys;
    bool empty;
    uint32_t mode, uid, gid;
    uint64_t size_bytes;
    int64_t mtime_ns;
    uint32_t bucket;      /* see struct object */
    bool has_attr;        /* mode, owner and mtime are those of the entry */
    const char *etag;     /* "" = none */
    struct record record; /* record streams only */
    const char *pack;     /* the same: the key of the pack that it is in, NULL: none */
    const char *pack_etag;
};
struct stream;
CHECKED int stream_of_crawl(struct stream **ret_stream, const struct crawl_options *options,
                            struct err *err);
/* The objects of all roots, by name, that the filter (may be NULL) lets pass. */
CHECKED int stream_of_objects(struct stream **ret_stream, const struct object_set *objects,
                              const struct filter *filter, const char *start_after,
                              struct err *err);
/* All keys of a store behind start_after. */
CHECKED int stream_of_store(struct stream **ret_stream, struct store *store,
                            const char *start_after, struct err *err);
/* What a finished generation has done or found unchanged. */
CHECKED int stream_of_record(struct stream **ret_stream, const struct job *job, uint32_t generation,
                             const char *start_after, struct err *err);
/* 1 and an item, 0 at the end, -1. */
CHECKED int stream_next(struct stream *stream, struct stream_item *ret_item, struct err *err);
/* The item with exactly this key, passing over those before it: 1, 0 there is none, -1. Keys asked
 * for must ascend. */
CHECKED int stream_seek(struct stream *stream, const char *key, struct stream_item **ret_item,
                        struct err *err);
/* From now on be told of each item that stream_seek() passes over without being asked for it: -1
 * with err ends the seek. */
typedef int (*stream_passed_fn)(void *ctx, const struct stream_item *item, struct err *err);
void stream_tell_passed(struct stream *stream, stream_passed_fn passed, void *ctx);
/* Pass over all that is left. */
CHECKED int stream_drain(struct stream *stream, struct err *err);
/* The same in the crawl of a get's target directory, by the name of an object: a store may write
 * names in another way, and then the file is at another place of the crawl than its key. */
CHECKED int stream_seek_target(struct stream *stream, const struct object_set *objects,
                               const char *name, enum entry_kind kind,
                               struct stream_item **ret_item, struct err *err);
uint64_t stream_excluded_count(const struct stream *stream);
void stream_close(struct stream *stream);
