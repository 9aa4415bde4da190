#include "base/file.h"

#include "base/ban.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 4096

int file_open_temp(const char *dir, struct err *err)
{
    if (dir == NULL)
        dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0')
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* Not every file system has O_TMPFILE. */
    SCOPED(buf) struct buf name = { 0 };
    buf_printf(&name, "%s/lade-temp-XXXXXX", dir);
    fd = mkostemp(name.data, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "make a temporary file in '%s'", dir);
    unlink(name.data);
    return fd;
}

int file_write_all(int fd, const void *bytes, size_t len, struct err *err)
{
    const char *at = bytes;
    while (len != 0) {
        const ssize_t wrote = write(fd, at, len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return err_sys(err, ERR_LOCAL, "write");
        at += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

int file_read_at(int fd, uint64_t offset, void *ret_bytes, size_t len, struct err *err)
{
    char *at = ret_bytes;
    while (len != 0) {
        const ssize_t got = pread(fd, at, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_LOCAL, "read");
        if (got == 0)
            return err_set(err, ERR_CORRUPT, "ends too early");
        at += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

int file_replace(int dir_fd, const char *name, const void *bytes, size_t len, struct err *err)
{
    SCOPED(buf) struct buf temp = { 0 };
    buf_printf(&temp, "%s.tmp", name);
    SCOPED_FD int fd =
        openat(dir_fd, temp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "create '%s'", temp.data);
    if (file_write_all(fd, bytes, len, err) < 0)
        return err_at(err, "'%s'", temp.data);
    if (fsync(fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync '%s'", temp.data);
    if (renameat(dir_fd, temp.data, dir_fd, name) < 0)
        return err_sys(err, ERR_LOCAL, "rename '%s'", temp.data);
    if (fsync(dir_fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync the directory of '%s'", name);
    return 0;
}

int file_read(int dir_fd, const char *name, size_t max_bytes, struct buf *ret_bytes,
              struct err *err)
{
    SCOPED_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s'", name);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat '%s'", name);
    if ((uint64_t)st.st_size > max_bytes)
        return err_set(err, ERR_LIMIT, "'%s' has %lld bytes, more than the %zu that are expected",
                       name, (long long)st.st_size, max_bytes);
    buf_clear(ret_bytes);
    buf_reserve(ret_bytes, (size_t)st.st_size);
    if (file_read_at(fd, 0, ret_bytes->data, (size_t)st.st_size, err) < 0)
        return err_at(err, "'%s'", name);
    ret_bytes->len = (size_t)st.st_size;
    ret_bytes->data[ret_bytes->len] = '\0';
    return 0;
}

int file_write_at(int fd, const void *bytes, size_t len, uint64_t offset, struct err *err)
{
    const char *at = bytes;
    while (len != 0) {
        const ssize_t wrote = pwrite(fd, at, len, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return err_sys(err, ERR_LOCAL, "write at %llu", (unsigned long long)offset);
        at += wrote;
        len -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return 0;
}

static bool block_is_zero(const unsigned char *block)
{
    uint64_t first = 0;
    memcpy(&first, block, sizeof first);
    return first == 0 && memcmp(block, block + sizeof first, BLOCK_BYTES - sizeof first) == 0;
}

/* Write all but the blocks of the file that would be all zeros. */
int file_write_sparse(int fd, const void *from, size_t len, uint64_t offset, struct err *err)
{
    const unsigned char *bytes = from;
    size_t start = 0; /* of what is still to be written */
    for (size_t at = 0; at < len;) {
        size_t step = BLOCK_BYTES - (size_t)((offset + at) % BLOCK_BYTES);
        if (step > len - at)
            step = len - at;
        if (step == BLOCK_BYTES && block_is_zero(bytes + at)) {
            if (file_write_at(fd, bytes + start, at - start, offset + start, err) < 0)
                return -1;
            start = at + step;
        }
        at += step;
    }
    return file_write_at(fd, bytes + start, len - start, offset + start, err);
}

int file_set_size(int fd, uint64_t size_bytes, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) == 0 &&
        ((uint64_t)st.st_size == size_bytes || ftruncate(fd, (off_t)size_bytes) == 0))
        return 0;
    return err_sys(err, ERR_LOCAL, "set the size");
}
