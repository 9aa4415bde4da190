/* job/repack_internal.h: what the parts of a repack share: repack.c (which packs, and the end),
 * repack_make.c (one new pack), repack_trace.c (what a kill would leave). */
#pragma once

#include "base/thread.h"
#include "job/repack.h"
#include "pack/merge.h"

#include <stdatomic.h>

/* ---- the trace: a small file that names what is under way ---- */

struct repack_trace {
    int fd;
};
/* Clean up what an earlier repack of this place left, and begin anew. ERR_CONFLICT: one is at work
 * now. */
CHECKED int repack_trace_open(struct repack_trace *trace, const char *location, struct store *store,
                              struct err *err);
void repack_trace_close(struct repack_trace *trace);
/* Each is durable on return. Begin: before anything of a new pack is stored. */
CHECKED int repack_trace_begin(struct repack_trace *trace, const char *tag, const char *key,
                               struct err *err);
CHECKED int repack_trace_token(struct repack_trace *trace, const char *tag, const char *token,
                               struct err *err);
/* A plain tar is about to be removed: its index goes with it. */
CHECKED int repack_trace_drop(struct repack_trace *trace, const char *key, struct err *err);
/* All new packs are there, to stay. */
CHECKED int repack_trace_done(struct repack_trace *trace, struct err *err);
/* Remove all that was begun since: the new packs are not to stay. What cannot be removed now the
 * next repack removes. */
void repack_trace_undo(struct repack_trace *trace, struct store *store);

/* ---- a round: from one look at the store to the next ---- */

struct repack_source { /* a pack that is there; by its number in the catalog */
    uint64_t live_bytes, live_members;
    bool rewrite;
    uint32_t family; /* those of one job */
};
struct repack_family {
    const char *job_id;
    uint64_t generation, merged; /* of its new packs */
    int64_t created_ns;
    uint32_t output; /* the one that is being cut, and 1; 0: none */
};
struct repack_output {
    uint32_t family;
    char *key;
    char *first, *last; /* names */
    uint64_t content_bytes, members;
    uint64_t bytes; /* once it is stored */
};
struct repack {
    const struct repack_options *options;
    const struct stop *stop;
    struct store *store;
    struct flow flow;
    struct rate rate;
    struct catalog catalog;
    struct merge_set set;
    struct repack_source *sources;
    struct repack_family *families;
    size_t family_count;
    struct repack_output *outputs;
    size_t output_count;
    struct repack_trace trace;
    char nonce[9];
    atomic_uint next; /* output that nobody has */
    struct lock lock;
    struct err err; /* guarded by lock: what ends it all */
    char **damaged; /* guarded by lock: keys of packs that stay as they are; over all rounds */
    size_t damaged_count;         /* guarded by lock */
    atomic_bool looking;          /* something is damaged: nothing more is stored in this round */
    struct repack_counts *counts; /* guarded by lock while threads run */
};

/* Does this name go into a new pack? 1, 0, -1: the store cannot be asked. */
CHECKED int repack_wants(const struct repack *repack, const struct merge_name *name,
                         struct err *err);
/* Is there an object of its own of this name? 1, 0, -1. */
CHECKED int repack_is_object(const struct repack *repack, const char *name, struct err *err);
void repack_tell(struct repack *repack, const struct repack_event *event);
/* Its pack stays. */
void repack_note_damage(struct repack *repack, uint32_t pack, const char *name,
                        const struct err *err);
/* Make the new pack, store it and look at it. */
CHECKED int repack_make(struct repack *repack, struct repack_output *output, struct err *err);
