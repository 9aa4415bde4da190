/* base/draft.h: a file of any size for the user that appears under its name whole and synced, or
 * not at all. Where the file system can, it has no name before that, so a killed process leaves
 * nothing; elsewhere it leaves NAME.PID.lade-tmp. What is there and is no regular file (a FIFO,
 * /dev/null) is written as it is. Owner: the caller; draft_done() drops what was not committed. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct draft {
    int fd;          /* to write to; -1 = none */
    int dir_fd;      /* -1: not to be renamed */
    struct buf dir;  /* the directory's path */
    struct buf name; /* in it */
    struct buf temp; /* the temporary name, also in it */
    bool is_named;   /* the temporary name exists */
};
CHECKED int draft_open(struct draft *draft, const char *path, struct err *err);
CHECKED int draft_commit(struct draft *draft, struct err *err);
void draft_done(struct draft *draft);
