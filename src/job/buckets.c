#include "job/buckets.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/scope.h"

#include <stdio.h>
#include <string.h>

#define FILE_NAME "buckets"
#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define HEAD "lade-buckets=1\n"
#define TAIL_BYTES (sizeof "crc=0123456789abcdef\n" - 1)

int buckets_write(int dir_fd, const struct buf *counted, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    buf_add_text(&text, HEAD);
    buf_add(&text, buf_text(counted), counted->len);
    buf_printf(&text, "crc=%016llx\n", (unsigned long long)crc64nvme(0, text.data, text.len));
    return file_replace(dir_fd, FILE_NAME, text.data, text.len, err);
}

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the count of the buckets is %s", what);
}

int buckets_read(int dir_fd, struct buf *ret_counted, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    struct err why = { 0 };
    const size_t head = sizeof HEAD - 1;
    if (file_read(dir_fd, FILE_NAME, FILE_BYTES_MAX, &text, &why) < 0)
        return damaged(err, "missing");
    if (text.len < head + TAIL_BYTES || memcmp(text.data, HEAD, head) != 0)
        return damaged(err, "damaged");
    const size_t end = text.len - TAIL_BYTES;
    char tail[TAIL_BYTES + 1];
    snprintf(tail, sizeof tail, "crc=%016llx\n", (unsigned long long)crc64nvme(0, text.data, end));
    if (memcmp(text.data + end, tail, TAIL_BYTES) != 0)
        return damaged(err, "damaged");
    buf_clear(ret_counted);
    buf_add(ret_counted, text.data + head, end - head);
    return 0;
}
