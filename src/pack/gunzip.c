#include "pack/gunzip.h"

#include "base/ban.h"
#include "base/mem.h"

#include <zlib.h>

#define BLOCK_BYTES ((size_t)256 << 10)

struct gunzip {
    const struct archive_source *source;
    uint64_t offset_bytes; /* of what is read next */
    z_stream stream;
    bool inside; /* of a member */
    unsigned char in[BLOCK_BYTES], out[BLOCK_BYTES];
};

int gunzip_open(struct gunzip **ret_gunzip, const struct archive_source *source, struct err *err)
{
    struct gunzip *gunzip = mem_alloc(sizeof *gunzip);
    gunzip->source = source;
    gunzip->inside = true;
    /* 16: with the head and the CRC of gzip */
    if (inflateInit2(&gunzip->stream, MAX_WBITS + 16) != Z_OK) {
        mem_release(gunzip);
        return err_set(err, ERR_LOCAL, "zlib cannot start");
    }
    *ret_gunzip = gunzip;
    return 0;
}

void gunzip_close(struct gunzip *gunzip)
{
    if (gunzip == NULL)
        return;
    inflateEnd(&gunzip->stream);
    mem_release(gunzip);
}

/* 1: there is input, 0: the source has ended, -1. */
static int fill(struct gunzip *gunzip, struct err *err)
{
    if (gunzip->stream.avail_in != 0)
        return 1;
    size_t len = 0;
    if (gunzip->source->read(gunzip->source->from, gunzip->offset_bytes, gunzip->in, BLOCK_BYTES,
                             &len, err) < 0)
        return -1;
    gunzip->offset_bytes += len;
    gunzip->stream.next_in = gunzip->in;
    gunzip->stream.avail_in = (uInt)len;
    return len != 0;
}

/* Behind a member: 1: another one begins, 0: the end, -1. */
static int look_behind(struct gunzip *gunzip, struct err *err)
{
    int got;
    while ((got = fill(gunzip, err)) == 1) {
        if (gunzip->stream.next_in[0] == 0x1f) {
            inflateReset(&gunzip->stream);
            gunzip->inside = true;
            return 1;
        }
        if (gunzip->stream.next_in[0] != 0)
            return err_set(err, ERR_CORRUPT, "damaged: there is something behind the end of gzip");
        gunzip->stream.next_in++;
        gunzip->stream.avail_in--;
    }
    return got;
}

int gunzip_next(struct gunzip *gunzip, const void **ret_bytes, size_t *ret_len, struct err *err)
{
    gunzip->stream.next_out = gunzip->out;
    gunzip->stream.avail_out = BLOCK_BYTES;
    while (gunzip->stream.avail_out == BLOCK_BYTES) {
        int got = gunzip->inside ? 1 : look_behind(gunzip, err);
        if (got <= 0)
            return got;
        got = fill(gunzip, err);
        if (got < 0)
            return -1;
        if (got == 0)
            return err_set(err, ERR_CORRUPT, "cut off: gzip ends in the middle");
        const int result = inflate(&gunzip->stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            gunzip->inside = false;
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return err_set(err, ERR_CORRUPT, "damaged: gzip: %s",
                           gunzip->stream.msg != NULL ? gunzip->stream.msg : "no sense");
    }
    *ret_bytes = gunzip->out;
    *ret_len = BLOCK_BYTES - gunzip->stream.avail_out;
    return 1;
}
