/* base/stage.h: a file that appears under its name whole, synced and with its attributes, or not at all.
 * It is written under a temporary name beside its target, `.lade-TAG.tmp`, then committed together with
 * others: data synced (one syncfs for many; fdatasync each where the kernel's syncfs hides write errors,
 * before 5.8), renamed, directories synced. A killed process leaves at most temporary names, which
 * stage_discard() removes, since the tag is known from the journal.
 * Threads: a stage belongs to one thread. */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/path.h"

#include <stddef.h>

#define STAGE_TAG_MAX 64
/* Is this (last component of a) name one of ours? Such a name is never listed and cannot be stored. */
bool stage_is_temporary(const char *name);

struct stage {
    struct dir_cache dirs;
    bool syncfs_tells; /* this kernel's syncfs reports write errors */
};
void stage_init(struct stage *stage, int root_fd);
void stage_done(struct stage *stage);

/* Create (or, with keep, open again) the temporary file for `rel`; *ret_fd is the caller's. */
CHECKED int stage_open(struct stage *stage, const char *rel, const char *tag, bool keep,
                       int *ret_fd, struct err *err);
/* Owner (when root, else only what chown allows), mode and mtime of an open file or directory. What this
 * user may not set (owner) is not an error. */
CHECKED int stage_set_attr(int fd, const struct attr *attr, struct err *err);
/* The same for a symbolic link below dir_fd. */
CHECKED int stage_set_link_attr(int dir_fd, const char *name, const struct attr *attr,
                                struct err *err);
/* Create the temporary symbolic link for `rel`. */
CHECKED int stage_link(struct stage *stage, const char *rel, const char *tag, const char *target,
                       const struct attr *attr, struct err *err);

struct stage_item {
    const char *rel;
    const char *tag;
    bool keep_existing; /* fail with ERR_CONFLICT instead of replacing something */
    struct err err;     /* out: kind ERR_NONE when it is there, durable */
};
/* Make all items visible and durable. Items whose err is set on entry are passed over. */
void stage_commit(struct stage *stage, struct stage_item *items, size_t count);
/* Remove the temporary file of `rel`; absent is fine. */
CHECKED int stage_discard(struct stage *stage, const char *rel, const char *tag, struct err *err);
