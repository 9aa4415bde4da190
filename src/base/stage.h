/* base/stage.h: a file that appears under its name whole, synced and with its attributes, or not at
 * all. It is written under a temporary name beside its target, `.lade-TAG.tmp`, then committed
 * together with others: data synced (one syncfs for many; fdatasync each where syncfs hides write
 * errors: before kernel 5.8, on network file systems, below another mount), renamed, directories
 * synced. A killed process leaves at most temporary names, which stage_discard() removes, since the
 * tag is known from the journal.
 * Threads: a stage belongs to one thread; what one stage wrote, another may commit when they share
 *          one stage_shared. */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/path.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#define STAGE_TAG_MAX 64
/* Is this (last component of a) name one of ours? Such a name is never listed nor stored. */
bool stage_is_temporary(const char *name);

/* What the stages of one root know together; zero at the start. */
struct stage_shared {
    atomic_uint_fast64_t made_count;   /* directories made by stages */
    atomic_uint_fast64_t synced_count; /* how many of them are durable */
    atomic_bool failed; /* a syncfs() reported an error, which it does once: no more trust in it */
};

struct stage {
    struct dir_cache dirs;
    struct stage_shared *shared; /* NULL: this stage is the only one of its root. set at start */
    bool syncfs_tells;           /* syncfs() of the root's file system reports write errors */
    mode_t file_mode; /* of new temporary files, less the umask; 0666. 0600 hides what gets its
                         mode by stage_set_attr() */
    int sync_fd;      /* of the root; its own, so that it sees every error once */
    dev_t root_dev;
    struct stage_shared own;
};
void stage_init(struct stage *stage, int root_fd);
void stage_done(struct stage *stage);

/* Create (or, with keep, open again: ERR_ABSENT when it is gone) the temporary file for `rel`;
 * *ret_fd is the caller's. */
CHECKED int stage_open(struct stage *stage, const char *rel, const char *tag, bool keep,
                       int *ret_fd, struct err *err);
/* A further name of the regular file `target`, below the same root, in place of a temporary file;
 * `targets` is the caller's, for finding directories. A name that the file has already must not be
 * `rel`. ERR_CONFLICT: the target is no file. */
CHECKED int stage_hard_link(struct stage *stage, struct dir_cache *targets, const char *rel,
                            const char *tag, const char *target, struct err *err);
/* Owner (when root, else only what chown allows), mode and mtime of an open file or directory. What
 * this user may not set (owner) is not an error, but then set-user-id bits are left out. */
CHECKED int stage_set_attr(int fd, const struct attr *attr, struct err *err);
/* The same for a symbolic link below dir_fd. */
CHECKED int stage_set_link_attr(int dir_fd, const char *name, const struct attr *attr,
                                struct err *err);
/* Create the temporary symbolic link for `rel`. attr may be NULL. */
CHECKED int stage_link(struct stage *stage, const char *rel, const char *tag, const char *target,
                       const struct attr *attr, struct err *err);
/* Make the directory `rel` and its parents; durable with the next stage_commit(). */
CHECKED int stage_make_dir(struct stage *stage, const char *rel, struct err *err);

struct stage_item {
    const char *rel; /* ending in '/': a directory that was made already, to be made durable */
    const char *tag;
    bool keep_existing; /* fail with ERR_CONFLICT instead of replacing something */
    struct err err;     /* out: kind ERR_NONE when it is there, durable */
};
/* Make all items visible and durable. Items whose err is set on entry are passed over. Items of one
 * directory cost least side by side. The temporary file of a conflict is removed, others stay. */
void stage_commit(struct stage *stage, struct stage_item *items, size_t count);
/* Remove the temporary file of `rel`; absent is fine. */
CHECKED int stage_discard(struct stage *stage, const char *rel, const char *tag, struct err *err);
