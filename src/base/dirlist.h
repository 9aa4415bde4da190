/* base/dirlist.h: one directory, read and sorted by the key that its entries will have: '/' is
 * appended to directories, and LINK_SUFFIX to links when asked for, so that walking directories in
 * this order gives the order in which S3 lists keys. A directory that is larger than the memory
 * limit is sorted in runs in an unlinked temporary file and merged while it is read, so memory
 * stays flat. Owner: the caller. Threads: one at a time; may be handed over. */
#pragma once

#include "base/attr.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct dirlist_entry {
    const char *name; /* valid until the next dirlist_next() */
    uint32_t name_len;
    enum entry_kind kind;
    int sys;       /* ENTRY_UNREADABLE: why, an errno */
    uint32_t mode; /* whole st_mode */
    uint32_t uid, gid;
    uint32_t nlink;
    uint64_t size_bytes;
    uint64_t disk_bytes; /* allocated */
    int64_t mtime_ns;
    uint64_t dev, ino;
};
struct dirlist_options {
    bool follow_links;    /* look through symbolic links; a dangling one stays a link */
    bool suffix_links;    /* sort links as NAME.rclonelink */
    bool dirs_first;      /* directories, then the rest, each by their plain names */
    size_t memory_bytes;  /* 0: the default, 16 MiB */
    const char *temp_dir; /* where a large directory is sorted; NULL: $TMPDIR or /tmp */
};
struct dirlist;
/* The same order for entries that come from elsewhere, such as a list of paths: make, add, finish,
 * then dirlist_next(). */
struct dirlist *dirlist_new(const struct dirlist_options *options);
/* Names may hold '/' here and have at most DIRLIST_NAME_MAX bytes. `name` below dir_fd is looked
 * at; 0 added, 1 not there. */
#define DIRLIST_NAME_MAX 65000u
CHECKED int dirlist_add(struct dirlist *list, int dir_fd, const char *path, const char *name,
                        struct err *err);
/* An entry that could not be looked at, because of the errno `sys`. */
CHECKED int dirlist_add_unreadable(struct dirlist *list, const char *name, int sys,
                                   struct err *err);
CHECKED int dirlist_finish(struct dirlist *list, struct err *err);
/* An entry that was looked at elsewhere. */
CHECKED int dirlist_add_entry(struct dirlist *list, const struct dirlist_entry *entry,
                              struct err *err);
/* Read all of dir_fd (the descriptor stays the caller's). */
CHECKED int dirlist_read(struct dirlist **ret_list, int dir_fd,
                         const struct dirlist_options *options, struct err *err);
/* 1 and *ret_entry, 0 at the end, -1 when the temporary file cannot be read. */
CHECKED int dirlist_next(struct dirlist *list, struct dirlist_entry *ret_entry, struct err *err);
uint64_t dirlist_count(const struct dirlist *list); /* all entries */
size_t dirlist_memory(const struct dirlist *list);  /* bytes held */
bool dirlist_spilled(const struct dirlist *list);
/* Look ahead, independent of dirlist_next(): the next directory at or behind *cursor (0 at first),
 * or NULL. Always NULL for a spilled list. */
const char *dirlist_next_dir(const struct dirlist *list, size_t *cursor);
void dirlist_free(struct dirlist *list);
/* Order of two names as dirlist sorts them. */
int dirlist_compare(const char *a, size_t a_len, const char *a_suffix, const char *b, size_t b_len,
                    const char *b_suffix);
