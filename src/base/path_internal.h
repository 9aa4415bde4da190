/* base/path_internal.h: the slow ways of path_open(), so that a test reaches them on any kernel. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* path_open() component by component, for kernels without openat2() (before 5.6). */
int path_open_walk(int root_fd, const char *rel, int flags, mode_t mode);
/* path_open() in pieces below PATH_MAX. */
int path_open_pieces(int root_fd, const char *rel, int flags, mode_t mode, bool follow);
