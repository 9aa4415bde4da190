/* pack/archive_in.h: an archive read member by member, whoever made it. What it is, its content
 * says.
 *
 *     while ((got = archive_in_next(in, &member, err)) == 1)
 *         while ((got = archive_in_data(in, &piece, err)) == 1)
 *             write piece.bytes at piece.offset_bytes
 *
 * Members come in the order of the archive, the data of the last one only until the next call of
 * archive_in_next(). That says 0 only after the archive was read to its end and found whole; a
 * reader that wants less stops earlier.
 * Owner:   the caller, archive_in_close().
 * Threads: one at a time.
 * Errors:  ERR_CORRUPT names the member (truncated, damaged, a checksum that differs), ERR_LIMIT
 *          (more than the limits allow), and what the source says. After an error nothing more is
 *          to be had. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_NAME_MAX ((size_t)64 * 1024) /* of a member's path, and of a link's target */
/* Of zip: its directory is held in memory, so it is read no further than this. */
#define ARCHIVE_DIRECTORY_MAX (UINT64_C(256) << 20)

/* Where the bytes of an archive come from. */
struct archive_source {
    void *from;
    uint64_t size_bytes;
    /* Some of the bytes from this offset on, at least one; *ret_len 0 at the end. */
    int (*read)(void *from, uint64_t offset_bytes, void *bytes, size_t len, size_t *ret_len,
                struct err *err);
};

/* An archive may hold more than anybody has room for, and be small. It gives at most `ratio` times
 * its own size, but `free_bytes` in any case; 0 = no limit. */
struct archive_limits {
    uint64_t members;
    uint64_t ratio;
    uint64_t free_bytes;
};
#define ARCHIVE_MEMBERS_DEFAULT 10000000
#define ARCHIVE_RATIO_DEFAULT 1000
#define ARCHIVE_FREE_BYTES (UINT64_C(1) << 30)

struct archive_member {
    struct buf path;     /* bytes as in the archive, never trusted */
    struct buf target;   /* of a link, also of a hard one: the path of another member */
    bool is_hard_link;   /* attr.kind is ENTRY_FILE then, and it has no data of its own */
    struct attr attr;    /* kind; mode with set-user-id bits, owner, time as far as recorded */
    uint64_t size_bytes; /* what it says; the data may be another length in a damaged archive */
};
void archive_member_done(struct archive_member *member);

struct archive_piece {
    uint64_t offset_bytes; /* what lies between two pieces, and behind the last, is zeros */
    const void *bytes;
    size_t len;
};

struct archive_in;
/* What reads one kind of archive. */
struct archive_format {
    int (*next)(struct archive_in *in, struct archive_member *member, struct err *err);
    int (*data)(struct archive_in *in, struct archive_piece *ret_piece, struct err *err);
    void (*close)(struct archive_in *in);
};
/* Every reader begins with this. */
struct archive_in {
    const struct archive_format *format;
    struct archive_limits limits;
    uint64_t most_bytes; /* by the limits; UINT64_MAX: any */
    uint64_t member_count, given_bytes;
    struct buf name;       /* of the last member, for errors */
    bool is_random_access; /* members are proven one by one: no need to read to the end */
};

/* The source and `inside` outlive it. inside: "" = all; else only members at this path and below it
 * are asked for. A reader that can go to them gives no others, one that cannot gives them all. */
CHECKED int archive_in_open(struct archive_in **ret_in, const struct archive_source *source,
                            const struct archive_limits *limits, const char *inside,
                            struct err *err);
void archive_in_close(struct archive_in *in);
/* The next member (filled over, the caller releases it once at the end): 1, 0 at the end, -1. */
CHECKED int archive_in_next(struct archive_in *in, struct archive_member *member, struct err *err);
/* The next piece of its data, valid until the next call: 1, 0 at its end, -1. */
CHECKED int archive_in_data(struct archive_in *in, struct archive_piece *ret_piece,
                            struct err *err);

/* The path of a member as one below a root: without "./", doubled and closing slashes. ERR_LIMIT
 * says what is wrong with it: absolute, "..", too long. Empty: the root itself ("./"). */
CHECKED int archive_path_rel(const struct buf *path, struct buf *ret_rel, struct err *err);

/* Is the member at this path (as archive_path_rel() made it) the place `inside` ("dir/" or
 * "dir/file"), or below it? *ret_rest: its path below, "" for the place itself. */
bool archive_is_inside(const char *rel, const char *inside, const char **ret_rest);
