/* pack/reader_internal.h: what reader.c (the index) and reader_content.c share. */
#pragma once

#include "pack/index.h"
#include "pack/reader.h"

struct pack {
    struct pack_source source;
    struct pack_source apart; /* read NULL: the index is in the source, or held */
    struct index_table table;
    uint64_t index_offset; /* of the index in the object */
    struct buf held;       /* the index from held_from on */
    uint64_t held_from;
};

struct pack_cursor {
    const struct pack *pack;
    struct index_rows rows; /* the block that was looked at last */
    struct buf scratch;     /* what was read of the index */
    struct buf path;        /* of the member that was given last, where its key is not its path */
    struct buf prefix;
    uint32_t next_block, next_ordinal;

    /* Content. */
    struct zblock zblock;
    struct buf need;   /* a byte for each frame of the block: is it wanted */
    struct buf window; /* packed bytes, from window_offset in the object */
    uint64_t window_offset;
    struct buf raw;          /* a frame, expanded: */
    uint64_t raw_frame;      /* 1 and where it begins in the object; 0: none */
    const char *content;     /* its content, in raw or in the window */
    struct buf map, extents; /* of a sparse file */
    bool damaged;            /* the error is that of bytes, not of the source or the caller */
};

/* Bytes of the index: held, or read to scratch. */
CHECKED int pack_index_at(const struct pack *pack, uint64_t offset, size_t len, struct buf *scratch,
                          const void **ret_bytes, struct err *err);
CHECKED int cursor_load_keys(struct pack_cursor *cursor, uint32_t block, struct err *err);
CHECKED int cursor_load(struct pack_cursor *cursor, uint32_t block, struct err *err);
/* A member of the block that is loaded. */
void cursor_member(struct pack_cursor *cursor, uint32_t ordinal, struct pack_member *ret_member);
/* Is all that the loaded block is made of as it was written: headers and padding too? */
CHECKED int cursor_check(struct pack_cursor *cursor, struct err *err);
