/* pack_verify(): is a pack as it was written? */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/scope.h"
#include "pack/frame.h"
#include "pack/index_internal.h"
#include "pack/reader_internal.h"
#include "pack/tar.h"

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the pack is damaged: %s", what);
}

struct verify {
    const struct pack *pack;
    struct pack_cursor *cursor;
    struct buf seek;      /* the seek table */
    uint64_t packed, raw; /* where frame `frame` begins */
    uint32_t frame;
    uint64_t tar; /* where the next member begins in the tar stream */
    uint64_t members, gone, content;
};

/* Read len bytes of the object into out. */
static int read_at(const struct verify *verify, uint64_t offset, size_t len, struct buf *out,
                   struct err *err)
{
    const struct pack_source *source = &verify->pack->source;
    buf_clear(out);
    if (offset > source->size_bytes || len > source->size_bytes - offset)
        return bad(err, "it ends too early");
    if (source->read(source->from, offset, len, out, err) < 0)
        return -1;
    return out->len == len ? 0 : bad(err, "it ends too early");
}

static uint32_t number_at(const struct buf *bytes, size_t at)
{
    struct view view = view_of(bytes->data + at, sizeof(uint32_t));
    return view_u32(&view);
}

/* The head of the index, the headers of the frames behind the data, and the seek table. */
static int check_frame_headers(struct verify *verify, struct err *err)
{
    const struct index_footer *footer = &verify->pack->table.footer;
    SCOPED(buf) struct buf head = { 0 };
    const uint64_t index = footer->data_bytes + FRAME_HEADER_BYTES;
    const uint64_t seek = index + footer->index_bytes;
    if (read_at(verify, footer->data_bytes, FRAME_HEADER_BYTES + MAGIC_LEN, &head, err) < 0)
        return -1;
    if (number_at(&head, 0) != INDEX_FRAME || number_at(&head, 4) != footer->index_bytes ||
        memcmp(head.data + FRAME_HEADER_BYTES, HEAD_MAGIC, MAGIC_LEN) != 0)
        return bad(err, "head of the index");
    const size_t len = (size_t)(verify->pack->source.size_bytes - seek);
    if (read_at(verify, seek, len, &verify->seek, err) < 0)
        return -1;
    const uint32_t entries = footer->frame_count + 1;
    if (crc64nvme(0, verify->seek.data, len) != footer->seek_crc ||
        number_at(&verify->seek, 0) != SEEK_FRAME ||
        number_at(&verify->seek, 4) != len - FRAME_HEADER_BYTES ||
        number_at(&verify->seek, len - SEEK_FOOTER_BYTES) != entries)
        return bad(err, "seek table");
    const size_t last = FRAME_HEADER_BYTES + (size_t)footer->frame_count * SEEK_ENTRY_BYTES;
    if (number_at(&verify->seek, last) != footer->index_bytes + FRAME_HEADER_BYTES ||
        number_at(&verify->seek, last + 4) != 0)
        return bad(err, "the index in the seek table");
    return 0;
}

/* The frames of the loaded block: as in the seek table, and none left out since the last block. */
static int check_block_frames(struct verify *verify, struct err *err)
{
    const struct index_rows *rows = &verify->cursor->rows;
    const struct index_frame *frames = index_frames(rows);
    for (uint32_t i = 0; i < rows->frame_count; i++) {
        const size_t at = FRAME_HEADER_BYTES + (size_t)verify->frame * SEEK_ENTRY_BYTES;
        /* The first may be the last of the block before. */
        if (i == 0 && frames[0].packed_offset < verify->packed) {
            if (verify->frame == 0 ||
                frames[0].packed_offset + frames[0].frame.packed_bytes != verify->packed)
                return bad(err, "frames of a block");
            continue;
        }
        if (verify->frame >= verify->pack->table.footer.frame_count ||
            frames[i].packed_offset != verify->packed || frames[i].raw_offset != verify->raw ||
            number_at(&verify->seek, at) != frames[i].frame.packed_bytes ||
            number_at(&verify->seek, at + 4) != frames[i].frame.raw_bytes)
            return bad(err, "frames of the index and of the seek table");
        verify->packed += frames[i].frame.packed_bytes;
        verify->raw += frames[i].frame.raw_bytes;
        verify->frame++;
    }
    return 0;
}

static int check_block(struct verify *verify, uint32_t block, struct err *err)
{
    if (cursor_load(verify->cursor, block, err) < 0)
        return -1;
    const struct index_rows *rows = &verify->cursor->rows;
    if (rows->rows[0].header_offset != verify->tar)
        return bad(err, "place of a block");
    const struct index_row *last = &rows->rows[rows->count - 1];
    verify->tar = last->offset_bytes + last->stored_bytes + tar_padding(last->stored_bytes);
    if (verify->pack->table.info.level != 0 && check_block_frames(verify, err) < 0)
        return -1;
    for (uint32_t i = 0; i < rows->count; i++) {
        verify->members++;
        verify->gone += rows->rows[i].kind == PACK_GONE;
        verify->content += rows->rows[i].kind == PACK_FILE ? rows->rows[i].size_bytes : 0;
    }
    return cursor_check(verify->cursor, err);
}

/* The end of the tar stream is zeros in a frame of its own. */
static int check_end(struct verify *verify, struct err *err)
{
    static const char zeros[TAR_END_BYTES];
    const struct index_footer *footer = &verify->pack->table.footer;
    const bool plain = verify->pack->table.info.level == 0;
    SCOPED(buf) struct buf packed = { 0 };
    SCOPED(buf) struct buf raw = { 0 };
    const uint64_t at = plain ? verify->tar : verify->packed;
    if (footer->tar_bytes != verify->tar + TAR_END_BYTES || at > footer->data_bytes ||
        footer->data_bytes - at > FRAME_PACKED_MAX ||
        (!plain && (verify->frame + 1 != footer->frame_count || verify->raw != verify->tar)))
        return bad(err, "its length");
    if (read_at(verify, at, (size_t)(footer->data_bytes - at), &packed, err) < 0)
        return -1;
    if (plain)
        buf_add(&raw, packed.data, packed.len);
    else if (zblock_expand(&verify->cursor->zblock, packed.data, packed.len, TAR_END_BYTES, &raw,
                           err) < 0)
        return -1;
    if (!plain && crc64nvme(0, packed.data, packed.len) != verify->pack->table.end_crc)
        return bad(err, "its end");
    if (raw.len != TAR_END_BYTES || memcmp(raw.data, zeros, TAR_END_BYTES) != 0)
        return bad(err, "its end");
    return 0;
}

static int check(struct verify *verify, struct err *err)
{
    const struct pack *pack = verify->pack;
    if (pack->table.info.level != 0 && check_frame_headers(verify, err) < 0)
        return -1;
    for (uint32_t i = 0; i < pack_block_count(pack); i++) {
        if (check_block(verify, i, err) < 0)
            return -1;
    }
    const struct pack_info *info = pack_info(pack);
    if (verify->members != info->member_count || verify->gone != info->gone_count ||
        verify->content != info->content_bytes)
        return bad(err, "its counts");
    return check_end(verify, err);
}

int pack_verify(const struct pack *pack, struct err *err)
{
    struct verify verify = { .pack = pack, .cursor = pack_cursor_new(pack) };
    const int got = check(&verify, err);
    pack_cursor_free(verify.cursor);
    buf_done(&verify.seek);
    return got;
}
