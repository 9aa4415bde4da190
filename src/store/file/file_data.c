#include "base/ban.h"
#include "base/file.h"
#include "store/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define COPY_STEP_BYTES (UINT64_C(64) * 1024 * 1024) /* between two looks at the stop flag */

int file_write_body(int fd, uint64_t offset_bytes, bool fresh, struct body *body, struct err *err)
{
    for (;;) {
        const void *bytes = NULL;
        size_t len = 0;
        const uint64_t at = offset_bytes + body->done_bytes;
        if (body_next(body, &bytes, &len, err) < 0)
            return -1;
        if (len == 0)
            return 0;
        if ((fresh ? file_write_sparse : file_write_at)(fd, bytes, len, at, err) < 0)
            return -1;
    }
}

bool file_make_hole(int fd, uint64_t offset_bytes, uint64_t length_bytes)
{
    return length_bytes == 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                          (off_t)offset_bytes, (off_t)length_bytes) == 0;
}

/* One step through our own buffer: how many bytes, 0 at the end of the source. */
static ssize_t copy_by_hand(int from_fd, int to_fd, uint64_t at, uint64_t len,
                            struct file_hand *hand, struct err *err)
{
    unsigned char *buffer = file_hand_buffer(hand);
    const size_t want = len < FILE_BUFFER_BYTES ? (size_t)len : FILE_BUFFER_BYTES;
    const ssize_t got = pread(from_fd, buffer, want, (off_t)at);
    if (got < 0)
        return err_sys(err, ERR_LOCAL, "read at %llu", (unsigned long long)at);
    return file_write_sparse(to_fd, buffer, (size_t)got, at, err) < 0 ? -1 : got;
}

static ssize_t copy_step(int from_fd, int to_fd, uint64_t at, uint64_t len, struct file_hand *hand,
                         struct err *err)
{
    off_t from = (off_t)at;
    off_t to = (off_t)at;
    const size_t want = (size_t)(len < COPY_STEP_BYTES ? len : COPY_STEP_BYTES);
    const ssize_t copied = copy_file_range(from_fd, &from, to_fd, &to, want, 0);
    /* 0 is also what some file systems say that cannot do it. */
    return copied > 0 ? copied : copy_by_hand(from_fd, to_fd, at, len, hand, err);
}

/* The next stretch of data at or behind `at`; a file system that does not know says: all of it. */
static void next_data(int fd, uint64_t size_bytes, uint64_t *at, uint64_t *ret_end)
{
    const off_t data = lseek(fd, (off_t)*at, SEEK_DATA);
    *ret_end = size_bytes;
    if (data < 0) {
        *at = errno == ENXIO ? size_bytes : *at;
        return;
    }
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    *at = (uint64_t)data;
    if (hole >= 0 && (uint64_t)hole < size_bytes)
        *ret_end = (uint64_t)hole;
}

int file_copy_data(int from_fd, int to_fd, uint64_t size_bytes, struct file_hand *hand,
                   const struct stop *stop, struct err *err)
{
    if (file_set_size(to_fd, size_bytes, err) < 0)
        return -1;
    uint64_t at = 0;
    uint64_t end = 0;
    while (at < size_bytes) {
        if (at == end) {
            next_data(from_fd, size_bytes, &at, &end);
            continue;
        }
        if (stop_check(stop, err) < 0)
            return -1;
        const ssize_t copied = copy_step(from_fd, to_fd, at, end - at, hand, err);
        if (copied < 0)
            return -1;
        if (copied == 0)
            return err_set(err, ERR_CHANGED, "ended early: it shrank while it was copied");
        at += (uint64_t)copied;
    }
    return 0;
}
