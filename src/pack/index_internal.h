/* pack/index_internal.h: the numbers of the index format, for index.c and index_read.c. */
#pragma once

#define HEAD_MAGIC "LADEPAK1"
#define FOOTER_MAGIC "LADEPKE1"
#define MAGIC_LEN 8u
#define FOOTER_CRC_AT 88u /* it covers what is before it */

/* Columns of the numbers of a block; docs/formats.md. A reader skips those that it does not know.
 */
enum index_column {
    COLUMN_BASE = 1,    /* where the block is in the tar stream, and its first frame */
    COLUMN_KIND = 2,    /* a byte each: kind, flags, what was */
    COLUMN_SIZE = 3,    /* of files and hard links */
    COLUMN_SECONDS = 4, /* signed, less those of the one before */
    COLUMN_NANOS = 5,   /* u32 each */
    COLUMN_MODE = 6,    /* signed, less that of the one before; */
    COLUMN_UID = 7,     /* so too */
    COLUMN_GID = 8,     /* and here */
    COLUMN_CRC = 9,     /* u64, of files and hard links */
    COLUMN_HEADER = 10, /* blocks of the header, of all but what is gone */
    COLUMN_STORED = 11, /* of sparse files */
    COLUMN_TARGET = 12, /* NUL-terminated, of links and hard links */
    COLUMN_FRAMES = 13, /* how many; packed sizes */
    COLUMN_RAW = 14,    /* their raw sizes */
    COLUMN_SUMS = 15,   /* their CRCs */
    COLUMN_XATTRS = 16, /* sets of attributes; no column where no member has any, */
    COLUMN_RUNS = 17,   /* nor this: which of them members have; pack/xattr_sets.h */
    COLUMN_COUNT
};
#define ROW_KIND 0x07u
#define ROW_RACY 0x08u
#define ROW_SPARSE 0x10u
#define ROW_WAS_SHIFT 5

/* Facts of the pack as a whole; a reader skips those that it does not know. */
enum index_fact {
    FACT_NAME = 1,
    FACT_JOB = 2,
    FACT_MAKER = 3,
    FACT_ETAG = 4,
    FACT_GENERATION = 5,
    FACT_CREATED = 6,
    FACT_LEVEL = 7,
    FACT_GONE = 8,
    FACT_END = 9, /* CRC of the last frame, which no block has; a u64 */
    FACT_MERGED = 10,
};
#define SECOND_NS INT64_C(1000000000)
