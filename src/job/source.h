/* job/source.h: the local places that a put reads from, seen as one tree of names; and one file
 * being read, with the proof that it held still. A single directory is the tree itself; otherwise
 * each source stands in it under its own name. Owner: the caller; set at start, then read by any
 * thread. */
#pragma once

#include "base/err.h"
#include "base/path.h"

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
};
struct source_set {
    struct source_root *roots; /* sorted by name */
    size_t count;
    bool follow; /* --links follow: resolve through links below the roots */
};
struct source_options {
    bool keep_name; /* a single directory stands under its own name */
    bool follow;
    const char *one_name; /* a single file is to have this name instead of its own; NULL: its own */
};
/* ERR_ABSENT, ERR_DENIED; ERR_USAGE when two sources have the same name (both are named). */
CHECKED int source_set_open(struct source_set *set, char *const *paths, size_t count,
                            const struct source_options *options, struct err *err);
void source_set_done(struct source_set *set);
/* Where `name` of the tree is: the root, and the path below its dir_fd. NULL when no root has it.
 */
const struct source_root *source_set_find(const struct source_set *set, const char *name,
                                          const char **ret_inner);

/* The directories that a thread opened last, one for each thread. */
struct source_dirs {
    const struct source_set *set;
    const struct source_root *root;
    struct dir_cache cache;
};
void source_dirs_init(struct source_dirs *dirs, const struct source_set *set);
void source_dirs_done(struct source_dirs *dirs);

/* One file being read. Owner: the caller; filled only on success. */
struct source_file {
    int fd;
    uint64_t size_bytes, dev, ino;
    int64_t mtime_ns, ctime_ns;
    int64_t opened_ns; /* by the clock of the file system's times: the wall clock */
    uint32_t mode, uid, gid;
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
