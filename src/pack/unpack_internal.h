/* pack/unpack_internal.h: what the files of unpack share. */
#pragma once

#include "base/spill.h"
#include "pack/unpack.h"

#define BATCH_ITEMS 256u
#define BATCH_BYTES (UINT64_C(32) << 20)
#define TAG_TEXT (STAGE_TAG_MAX + 1)

/* What a hash stands for: the first byte of what is hashed. */
enum brought_kind {
    BROUGHT_FILE = 'f', /* a file that is there, or waits to be renamed */
    BROUGHT_DIR = 'd',
    BROUGHT_LINK = 'l',  /* a link that the archive has */
    BROUGHT_TIED = 't',  /* a link that was made */
    BROUGHT_SWEPT = 's', /* a directory without what a kill left */
};

/* A set of hashes: open addressing, 0 = free. */
struct brought {
    uint64_t *slots;
    size_t cap, count;
    unsigned char seed[UNPACK_SEED_BYTES];
    struct buf text;
};

/* A file that waits to be renamed. */
struct pending {
    char *rel;
    char tag[TAG_TEXT];
    uint64_t size_bytes;
    bool replaces;
};

struct unpack {
    struct unpack_options options;
    struct stage stage;
    struct dir_cache targets; /* of hard links */
    struct brought brought;
    char
        family[UNPACK_TAG_MAX + 11]; /* what temporary names of this host for this tag begin with */
    uint64_t serial;
    struct pending pending[BATCH_ITEMS];
    size_t pending_count;
    uint64_t pending_bytes;
    struct buf dir; /* the one looked at last, and what was found */
    bool dir_known;
    struct err dir_err;
    struct spill links;
    struct spill *dirs; /* by depth */
    size_t dirs_count;
};

bool brought_has(struct brought *brought, enum brought_kind kind, const char *rel, size_t len);
void brought_add(struct brought *brought, enum brought_kind kind, const char *rel);

void unpack_tell(struct unpack *unpack, enum unpack_outcome outcome, const char *rel,
                 uint64_t size_bytes, const struct err *err);
/* May something be made at rel? Looks at what leads there. 0, or -1 and why not. */
int unpack_check_way(struct unpack *unpack, const char *rel, struct err *err);
/* A tag for the next temporary name. */
void unpack_next_tag(struct unpack *unpack, char ret_tag[TAG_TEXT]);
/* Rename all files that wait. */
void unpack_flush(struct unpack *unpack);
/* The attributes that a member gets. */
struct attr unpack_attr(const struct unpack *unpack, const struct attr *attr);

/* unpack_late.c: for the end. */
int unpack_keep_link(struct unpack *unpack, const struct archive_member *member, const char *rel,
                     struct err *err);
int unpack_keep_dir(struct unpack *unpack, const struct archive_member *member, const char *rel,
                    struct err *err);
int unpack_make_links(struct unpack *unpack, struct err *err);
int unpack_set_dirs(struct unpack *unpack, struct err *err);
void unpack_late_done(struct unpack *unpack);
