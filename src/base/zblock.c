#include "base/zblock.h"

#include "base/ban.h"
#include "base/mem.h"

#include <zstd.h>

#define LEVEL 1 /* -3 is 5 % smaller on plans and costs half as much again */

void zblock_compress_at(struct zblock *zblock, int level, const void *bytes, size_t len,
                        struct buf *out)
{
    if (zblock->compressor == NULL)
        zblock->compressor = ZSTD_createCCtx();
    const size_t bound = ZSTD_compressBound(len);
    buf_reserve(out, bound);
    const size_t got =
        ZSTD_compressCCtx(zblock->compressor, out->data + out->len, bound, bytes, len, level);
    if (ZSTD_isError(got))
        abort(); /* only for a lack of memory, since the room suffices */
    out->len += got;
    out->data[out->len] = '\0';
}

void zblock_compress(struct zblock *zblock, const void *bytes, size_t len, struct buf *out)
{
    zblock_compress_at(zblock, LEVEL, bytes, len, out);
}

int zblock_expand(struct zblock *zblock, const void *frame, size_t frame_len, size_t raw_len,
                  struct buf *ret_bytes, struct err *err)
{
    if (zblock->expander == NULL)
        zblock->expander = ZSTD_createDCtx();
    buf_clear(ret_bytes);
    buf_reserve(ret_bytes, raw_len);
    const size_t got =
        ZSTD_decompressDCtx(zblock->expander, ret_bytes->data, raw_len, frame, frame_len);
    if (ZSTD_isError(got) || got != raw_len)
        return err_set(err, ERR_CORRUPT, "a compressed block is damaged");
    ret_bytes->len = raw_len;
    ret_bytes->data[raw_len] = '\0';
    return 0;
}

void zblock_done(struct zblock *zblock)
{
    ZSTD_freeCCtx(zblock->compressor);
    ZSTD_freeDCtx(zblock->expander);
    *zblock = (struct zblock){ 0 };
}
