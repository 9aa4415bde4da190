/* store/file/file_internal.h: what the modules of the file driver share. */
#pragma once

#include "base/stage.h"
#include "base/thread.h"
#include "store/file/file.h"

#include <sys/stat.h>

#define FILE_KEY_MAX 65000
#define FILE_NAME_MAX 255

/* What one call works with; kept for the next call, so that its directory stays open. */
struct file_hand {
    struct file_hand *next;
    struct stage stage;
    unsigned char *buffer; /* FILE_BUFFER_BYTES, made at first use */
};
#define FILE_BUFFER_BYTES ((size_t)256 * 1024)

struct file_store {
    struct store base;
    int root_fd;
    bool writable;           /* opened to be written to. set at start */
    const struct stop *stop; /* may be NULL */
    struct stage_shared shared;
    struct lock lock;
    struct file_hand *hands; /* guarded by lock: those not in use */
};
static inline struct file_store *file_store_of(struct store *store)
{
    return (struct file_store *)store;
}

/* A hand for this scope: `SCOPED(file_hold) struct file_hold hold = file_hold(store);` */
struct file_hold {
    struct file_store *store;
    struct file_hand *hand;
};
struct file_hold file_hold(struct store *base);
void file_hold_done(struct file_hold *hold);
unsigned char *file_hand_buffer(struct file_hand *hand);

/* ---- file_meta.c: keys, inodes and extended attributes ---- */

bool file_key_is_dir(const char *key);
/* ERR_LIMIT names the rule that refuses the key. */
CHECKED int file_key_check(const char *key, struct err *err);
/* Did opening fail since there is no such object? */
bool file_is_absent(int sys);
/* Open the object to be read. ERR_ABSENT also for what is no object: links, special files, `p` when
 * it is a directory. `st` is filled. */
CHECKED int file_open_object(struct file_store *store, const char *key, int *ret_fd,
                             struct stat *ret_st, struct err *err);
/* What head() says of an open object; filled over. */
void file_fill_object(int fd, const struct stat *st, const char *key, struct object *ret_object);
void file_etag(uint64_t ino, uint64_t size_bytes, int64_t mtime_ns, char ret_etag[STORE_ETAG_MAX]);
void file_etag_of(const struct stat *st, char ret_etag[STORE_ETAG_MAX]);
/* Does the key have the form of a link's? */
bool file_key_is_link(const char *key);
/* The kind of the open file `key`. */
enum entry_kind file_read_kind(int fd, const char *key);
/* Owner and CRC where they are recorded in extended attributes; the CRC only when the file still
 * has the size and the mtime that it was recorded with. */
void file_read_meta(int fd, const struct stat *st, struct attr *attr);
/* Record put's attributes and metadata with an open file or directory, and the CRC when `crc64` is
 * not NULL. The last thing done to it: it may be read-only afterwards. ret_st: how it is then. */
CHECKED int file_record(int fd, const struct store_put *put, const uint64_t *crc64,
                        struct stat *ret_st, struct err *err);

/* ---- file_data.c: bytes, with holes ---- */

/* Write the body at `offset_bytes`. fresh: nothing but a hole is there, so zeros are left out. The
 * caller sets the size of the file. */
CHECKED int file_write_body(int fd, uint64_t offset_bytes, bool fresh, struct body *body,
                            struct err *err);
/* Copy `size_bytes` from the beginning of one file to an empty one. */
CHECKED int file_copy_data(int from_fd, int to_fd, uint64_t size_bytes, struct file_hand *hand,
                           const struct stop *stop, struct err *err);
/* Make a hole; false when the file system cannot. */
bool file_make_hole(int fd, uint64_t offset_bytes, uint64_t length_bytes);

/* ---- file_list.c ---- */

int file_list_open(struct store_list **ret_list, struct store *store, const char *prefix,
                   const char *start_after, bool delimited, struct err *err);
int file_list_next(struct store_list *list, struct object *object, struct err *err);
void file_list_close(struct store_list *list);

/* ---- file_diagnose.c ---- */

void file_diagnose(const char *path, const struct store_options *options, bool again,
                   struct store_findings *findings);
