/* job/source.h: the local places that a put reads from, seen as one tree of names; and one file
 * being read, with the proof that it held still. A single directory is the tree itself; otherwise
 * each source stands in it under its own name, or, below a base, under its path from there. What
 * cannot be read may be below a fallback root, under the name that it has in the tree. Owner: the
 * caller; set at start, then read by any thread. */
#pragma once

#include "base/err.h"
#include "base/path.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct source_root {
    char *path;  /* absolute, as given */
    char *name;  /* in the tree; "" when the root is the tree itself */
    int dir_fd;  /* a directory source: itself; else the directory it lies in */
    char *inner; /* of a file: its name in dir_fd; "" for a directory */
    struct stat st;
    bool other; /* found below the fallback root only */
};
struct source_set {
    struct source_root *roots; /* sorted by name */
    size_t count;
    bool follow;     /* --links follow: resolve through links below the roots */
    char *fallback;  /* NULL: none */
    int fallback_fd; /* of it */
    atomic_uint_fast64_t *fallback_count; /* files and directories that were read there */
};
struct source_options {
    bool keep_name; /* a single directory stands under its own name */
    bool follow;
    const char *one_name; /* a single file is to have this name instead of its own; NULL: its own */
    const char *base; /* absolute; all sources lie below it, or the only one is it; NULL: none */
    const char *fallback; /* a directory that corresponds to the root of the tree; NULL: none */
};
/* ERR_ABSENT, ERR_DENIED; ERR_USAGE when two sources have the same name, or one lies in the other
 * (both are named). */
CHECKED int source_set_open(struct source_set *set, char *const *paths, size_t count,
                            const struct source_options *options, struct err *err);
void source_set_done(struct source_set *set);
/* Where `name` of the tree is: the root, and the path below its dir_fd. NULL when no root has it.
 */
const struct source_root *source_set_find(const struct source_set *set, const char *name,
                                          const char **ret_inner);
/* Open `name` of the tree, a directory with or without '/' at its end; below the fallback root when
 * `other`. The descriptor, or -1 and errno; ENOENT where there is no such root. */
int source_set_open_name(const struct source_set *set, const char *name, bool other, int flags,
                         bool follow);
/* Is there another root, and is this errno one of those that it can help with? */
bool source_set_may_fall_back(const struct source_set *set, int sys);
/* One more was read below the fallback root. */
void source_set_count_other(const struct source_set *set);

/* The directories that a thread opened last, one for each thread. */
struct source_dirs {
    const struct source_set *set;
    const struct source_root *root;
    struct dir_cache cache;
    struct dir_cache other; /* below the fallback root */
};
void source_dirs_init(struct source_dirs *dirs, const struct source_set *set);
void source_dirs_done(struct source_dirs *dirs);

/* One file being read. Owner: the caller; filled only on success. */
struct source_file {
    int fd;
    uint64_t size_bytes, dev, ino;
    uint64_t disk_bytes; /* allocated: fewer than size_bytes where it has holes */
    uint64_t nlink;
    int64_t mtime_ns, ctime_ns;
    int64_t opened_ns; /* by the clock of the file system's times: the wall clock */
    uint32_t mode, uid, gid;
    bool other; /* it is below the fallback root */
};
/* ERR_ABSENT, ERR_DENIED, ERR_SOURCE (not a regular file any more). */
CHECKED int source_open(struct source_file *file, struct source_dirs *dirs, const char *name,
                        struct err *err);
/* Fail with ERR_CHANGED unless what has the name now is still the file that was opened, with the
 * size and the times it had. Call after the last read. */
CHECKED int source_check(const struct source_file *file, struct source_dirs *dirs, const char *name,
                         struct err *err);
/* Was it modified so shortly before (2 s) that a later change can hide behind the same time stamp?
 */
bool source_racy(const struct source_file *file);
void source_close(struct source_file *file);
/* The target of the link `name`, at most PATH_MAX bytes. */
CHECKED int source_read_link(struct source_dirs *dirs, const char *name, struct buf *ret_target,
                             struct err *err);
