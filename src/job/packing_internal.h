/* job/packing_internal.h: what the parts of packing share: packing.c (the pack: begun, joined,
 * taken up again, ended), packing_chunk.c (its members: read, found still, made ready),
 * packing_store.c (what it asks of the store).
 */
#pragma once

#include "job/pack_note.h"
#include "job/packing_links.h"
#include "job/run_internal.h"
#include "pack/join.h"

#define CHUNK_SLABS 24u /* of the budget: a chunk, a file that is read for it, a part */

/* Members made ready, on their way into the pack. */
struct chunk {
    struct chunk *next;
    uint32_t sequence;
    struct pack_chunk *bytes;
    struct buf content; /* a file that is being read: its data, */
    struct buf extents; /* and of a sparse one where that is (struct pack_extent) */
    struct buf target;  /* of a hard link */
    struct buf xattrs;  /* of a file or directory */
    struct err why;     /* of attributes that could not be read */
    struct buf results; /* of its members, encoded */
    uint32_t result_count;
    uint32_t member_count;
    uint32_t through; /* all entries before this ordinal are in the pack, or in no chunk */
    /* A piece of a file. */
    struct buf name;
    struct identity identity;
    uint64_t piece_end; /* 0: whole files */
    uint64_t piece_crc64;
    uint64_t data_offset; /* of its data, over the extents */
    bool has_data;
    bool racy;
    void *slabs[CHUNK_SLABS];
    size_t slab_count;
};

struct packing {
    struct packing *next;    /* guarded by the dispatch lock, as is all before `join` */
    uint32_t segment, first; /* the first entry, by which the upload is known */
    char *name;
    uint32_t there; /* all entries before this ordinal were in it when it was taken up again */
    uint32_t handed_out, joined;
    bool closed, joining, ending;
    struct chunk *waiting; /* made, by sequence */
    uint32_t users;        /* workers that join and upload: it does not end meanwhile */
    struct store_part *parts;
    size_t part_count;
    struct err err;
    struct packing_links links;

    /* Of who is joining. */
    struct pack_join *join;
    struct buf key;
    char tag[STAGE_TAG_MAX];
    char token[STORE_TOKEN_MAX];
    bool begun, resumed, asked, is_again;
    int64_t created_ns, begun_ns;
    struct buf bytes; /* of the next part */
    uint64_t bytes_crc64;
    uint64_t offset_bytes;
    uint32_t part_number; /* of the last one */
    struct buf results;   /* of all members so far, encoded */
    uint32_t result_count;
    size_t noted;     /* of the results, those in notes of earlier parts */
    uint32_t through; /* see struct chunk */
    uint64_t piece_end, piece_crc64;
    struct identity piece; /* of the file that is in pieces now */
    atomic_uint retries;
};

/* A part that is to be uploaded. */
struct part {
    struct buf bytes;
    struct chunk *chunk; /* instead: its bytes */
    uint64_t crc64;      /* of its bytes */
    uint64_t offset_bytes;
    uint32_t number;
    struct buf note;
};

/* How large the part behind so many is. They grow, so that as many as a store takes are enough for
 * the largest object. */
uint64_t packing_part_bytes(const struct store_limits *limits, uint32_t number);
/* Read and add all that the work names. What cannot be is settled by itself; a pack that is lost
 * by it gets its error. */
void packing_make_chunk(struct worker *worker, struct chunk *chunk, const struct work *work);
/* The pack is lost already: what would come into it only gets a result. */
void packing_pass_over(struct chunk *chunk, const struct work *work);
/* The first error counts. With the dispatch's lock held. */
void packing_fail_locked(struct packing *packing, const struct err *err);

/* All that is joined and in no part yet becomes one; the upload is begun if it is not. By who is
 * joining. `packing_part_done` lets go of it. */
int packing_cut_part(struct worker *worker, struct packing *packing, struct part *part,
                     struct err *err);
int packing_upload_part(struct worker *worker, struct packing *packing, struct part *part,
                        struct err *err);
void packing_part_done(struct part *part);
/* Store what is left and the end, whole or as the last part, and commit: the pack is there. */
int packing_store(struct worker *worker, struct packing *packing, struct store_result *ret_stored,
                  struct err *err);
/* Its upload is not gone on with. */
void packing_abandon(struct run *run, struct packing *packing);
