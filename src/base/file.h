/* base/file.h: small files of our own: read whole, replaced whole. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Replace `name` in dir_fd by the bytes: temporary name, fsync, rename, fsync of the directory. */
CHECKED int file_replace(int dir_fd, const char *name, const void *bytes, size_t len,
                         struct err *err);
/* The whole file; ERR_LIMIT beyond max_bytes, ERR_ABSENT when it is not there. */
CHECKED int file_read(int dir_fd, const char *name, size_t max_bytes, struct buf *ret_bytes,
                      struct err *err);
/* A file without a name, for what does not fit in memory; the caller's, -1 and err. dir NULL:
 * $TMPDIR or /tmp. */
CHECKED int file_open_temp(const char *dir, struct err *err);
/* write() until all is written. */
CHECKED int file_write_all(int fd, const void *bytes, size_t len, struct err *err);
/* pread() until len bytes are there; ERR_CORRUPT when the file ends before. */
CHECKED int file_read_at(int fd, uint64_t offset, void *ret_bytes, size_t len, struct err *err);
/* pwrite() until all is written. */
CHECKED int file_write_at(int fd, const void *bytes, size_t len, uint64_t offset, struct err *err);
/* The same, but blocks of the file that would be all zeros are left out: holes in a file that is
 * new there. The caller sets the file's size. */
CHECKED int file_write_sparse(int fd, const void *bytes, size_t len, uint64_t offset,
                              struct err *err);
/* The size, where it is another one. */
CHECKED int file_set_size(int fd, uint64_t size_bytes, struct err *err);
