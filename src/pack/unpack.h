/* pack/unpack.h: members of an archive become files below a directory, and nothing else does. The
 * archive is nobody's friend:
 *  - Names that are absolute, empty, have ".." or NUL in them, or are too long or too deep are
 *    refused and named. All is done by descriptors below the root that follow no link, so a member
 *    whose way leads through a link, whether the archive has it or it was there, is refused too.
 *  - Links are made last, so nothing can be written through them, and they may point anywhere:
 *    making one touches nothing.
 *  - A hard link leads only to a regular file that this archive brought, below the root.
 *  - Devices, FIFOs and sockets are skipped and named.
 *  - Set-user-id and set-group-id bits are only set on request.
 *  - The root itself keeps its mode and time.
 * A file is written under a temporary name, and renamed when it is whole. What is there already
 * stays when it is the same (size and time, else content), and is a conflict when it is not, unless
 * `overwrite`. Of several members with one name the last counts. Modes and times of directories
 * come at the end.
 * After a kill the temporary files that are left are removed where the next run comes by: those
 * with the same `tag` of a process of this host that is no more.
 * Memory: 16 to 32 bytes a member (the names that the archive brought, as keyed hashes); links and
 * directories wait in files beyond some MiB.
 * Owner:   the caller; unpack_done().
 * Threads: one at a time.
 * Errors:  what is wrong with one member is told by `tell`; what a function returns ends all. */
#pragma once

#include "base/stage.h"
#include "pack/archive_in.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNPACK_DEPTH_MAX 1024 /* components of a name */
#define UNPACK_SEED_BYTES 16

enum unpack_outcome {
    UNPACK_NEW,
    UNPACK_REPLACED,
    UNPACK_UNCHANGED,
    UNPACK_SKIPPED,
    UNPACK_FAILED,
    UNPACK_OUTCOME_COUNT
};
/* What became of one member, `rel` below the root (where it has no such name: as it is in the
 * archive). err is NULL unless skipped or failed. */
typedef void (*unpack_tell_fn)(void *to, enum unpack_outcome outcome, const char *rel,
                               uint64_t size_bytes, const struct err *err);

struct unpack_options {
    int root_fd;     /* the caller's; outlives */
    const char *tag; /* at most UNPACK_TAG_MAX letters: the same for the same archive */
    bool overwrite;
    bool checksum; /* equal size and time prove nothing */
    bool keep_setid;
    unsigned char seed[UNPACK_SEED_BYTES]; /* random: so that no archive can foresee a hash */
    unpack_tell_fn tell;
    void *to;
};
#define UNPACK_TAG_MAX 16

struct unpack;
CHECKED int unpack_new(struct unpack **ret_unpack, const struct unpack_options *options,
                       struct err *err);
/* Bring the member that archive_in_next() gave last to `rel`, which archive_path_rel() made. */
CHECKED int unpack_member(struct unpack *unpack, struct archive_in *in,
                          const struct archive_member *member, const char *rel, struct err *err);
/* A hard link names another member by its path in the archive: what that is below the root. */
CHECKED int unpack_hard_link(struct unpack *unpack, const struct archive_member *member,
                             const char *rel, const char *target_rel, struct err *err);
/* Tell that a member is refused. */
void unpack_refuse(struct unpack *unpack, const char *rel, const struct err *err);
/* Make durable what was brought, then links, then what directories are to be. Also after an error
 * of the archive: what came whole is whole. */
CHECKED int unpack_finish(struct unpack *unpack, struct err *err);
void unpack_free(struct unpack *unpack);
