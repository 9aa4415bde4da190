/* base/path.h: names are bytes. Paths below a root directory are resolved without ever leaving it:
 * no "..", no absolute part, and no symbolic link. Only with `follow`, for what the user asked to
 * read through links, a link leads wherever it does. Any depth: a path longer than PATH_MAX is
 * opened in pieces. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* openat() below root_fd; rel "" or "." is the root itself. Returns a descriptor (close on exec) or
 * -1 with errno (ELOOP: a link in the way, EXDEV: the text would leave the root). */
int path_open(int root_fd, const char *rel, int flags, mode_t mode, bool follow);
/* Make the directory `rel` and its missing parents below root_fd with mode 0777 & ~umask. */
CHECKED int path_make_dirs(int root_fd, const char *rel, struct err *err);
/* Make the directory `path`, which the user named, and its missing parents. Links on the way are
 * the user's own, so they are followed. */
CHECKED int path_make_all(const char *path, struct err *err);
/* Absolute and normalised ("//", "." and ".." of the text resolved, links kept); caller frees. */
char *path_absolute(const char *path);
/* The last component: of "a/b/" it is "b"; of "/" it is "". Caller frees. */
char *path_base(const char *path);
/* True when `name` may be one component of a path: not "", ".", "..", no '/'. */
bool path_component_ok(const char *name, size_t len);
/* Is `end` at the end of it, and something before? */
bool path_ends_with(const char *path, size_t len, const char *end);
/* True when every component of rel is one, "a/b", optionally with one '/' at the end. */
bool path_rel_ok(const char *rel);
/* Append `name` with control bytes, '\\' and invalid UTF-8 as \xHH: for people, never for machines.
 */
void path_show(struct buf *out, const char *name);

/* The descriptor of the directory used last: entries come directory by directory, so one is enough.
 * Owner: one thread. */
struct dir_cache {
    int root_fd; /* not owned */
    bool follow;
    bool sync_made;      /* set by the owner: each directory made is durable at once */
    int fd;              /* -1 = none */
    struct buf path;     /* of fd */
    uint64_t made_count; /* directories made so far */
};
void dir_cache_init(struct dir_cache *cache, int root_fd, bool follow);
void dir_cache_done(struct dir_cache *cache);
/* The directory that holds `rel` (no '/' at its end); *ret_name points at the last component inside
 * rel. The descriptor stays the cache's and is an O_PATH one: for *at() calls, not for fsync().
 * make: create missing directories. ERR_ABSENT, or with make ERR_CONFLICT, when something that is
 * no directory (also a link) is in the way; err->sys says what. */
CHECKED int dir_cache_at(struct dir_cache *cache, const char *rel, bool make, int *ret_dir_fd,
                         const char **ret_name, struct err *err);
/* Somebody may have removed the directory: a caller that meets ENOENT forgets it and tries once
 * more. */
void dir_cache_forget(struct dir_cache *cache);
