#include "pack/index.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/frame.h"
#include "pack/index_internal.h"
#include "pack/tar.h"

#include <assert.h>

/* A block that is closed. */
struct packed {
    char *numbers, *keys;
    uint32_t numbers_len, keys_len;
};

struct index_writer {
    struct zblock zblock;
    struct buf frames; /* of struct pack_frame: all */
    struct buf blocks; /* of struct packed */
    struct buf table;  /* as it is written */
    uint64_t member_count, gone_count, content_bytes, tar_bytes;
    struct buf last_key, key;

    /* The block under way. */
    struct buf keys;
    struct buf columns[COLUMN_COUNT];
    struct xattr_sets xattrs;
    uint32_t count;
    uint64_t base;              /* where it begins in the tar stream */
    int64_t seconds;            /* of the member before */
    uint32_t mode, uid, gid;    /* of it */
    uint32_t frame;             /* the frame in which the block begins, */
    uint64_t packed_at, raw_at; /* where that begins */
};

struct index_writer *index_writer_new(void)
{
    return mem_alloc(sizeof(struct index_writer));
}

static struct packed *packed_of(const struct index_writer *writer, size_t *ret_count)
{
    *ret_count = writer->blocks.len / sizeof(struct packed);
    return (struct packed *)(void *)writer->blocks.data;
}

void index_writer_free(struct index_writer *writer)
{
    if (writer == NULL)
        return;
    size_t count = 0;
    struct packed *blocks = packed_of(writer, &count);
    for (size_t i = 0; i < count; i++) {
        mem_release(blocks[i].numbers);
        mem_release(blocks[i].keys);
    }
    for (int i = 0; i < COLUMN_COUNT; i++)
        buf_done(&writer->columns[i]);
    xattr_sets_done(&writer->xattrs);
    buf_done(&writer->frames);
    buf_done(&writer->blocks);
    buf_done(&writer->table);
    buf_done(&writer->last_key);
    buf_done(&writer->key);
    buf_done(&writer->keys);
    zblock_done(&writer->zblock);
    mem_release(writer);
}

int index_writer_frame(struct index_writer *writer, const struct pack_frame *frame, struct err *err)
{
    if (writer->frames.len / sizeof *frame >= FRAME_COUNT_MAX)
        return err_set(err, ERR_LIMIT, "a pack has at most %u frames", FRAME_COUNT_MAX);
    buf_add(&writer->frames, frame, sizeof *frame);
    return 0;
}

static const struct pack_frame *frame_at(const struct index_writer *writer, size_t i)
{
    return (const struct pack_frame *)(const void *)writer->frames.data + i;
}

static size_t frame_count(const struct index_writer *writer)
{
    return writer->frames.len / sizeof(struct pack_frame);
}

/* ---- a block ---- */

/* Move to the frame that holds this position of the stream. */
static void skip_frames(struct index_writer *writer, uint64_t position)
{
    while (writer->frame < frame_count(writer)) {
        const struct pack_frame *frame = frame_at(writer, writer->frame);
        if (position < writer->raw_at + frame->raw_bytes)
            return;
        writer->raw_at += frame->raw_bytes;
        writer->packed_at += frame->packed_bytes;
        writer->frame++;
    }
}

/* The frames in which the block lies. */
static void add_frames(struct index_writer *writer)
{
    struct buf *column = writer->columns;
    skip_frames(writer, writer->base);
    buf_add_varint(&column[COLUMN_BASE], writer->base);
    buf_add_varint(&column[COLUMN_BASE], writer->packed_at);
    buf_add_varint(&column[COLUMN_BASE], writer->raw_at);
    size_t end = writer->frame;
    for (uint64_t raw = writer->raw_at; end < frame_count(writer) && raw < writer->tar_bytes; end++)
        raw += frame_at(writer, end)->raw_bytes;
    if (writer->tar_bytes == writer->base)
        end = writer->frame; /* nothing of it is in the stream */
    buf_add_varint(&column[COLUMN_FRAMES], end - writer->frame);
    for (size_t i = writer->frame; i < end; i++) {
        const struct pack_frame *frame = frame_at(writer, i);
        buf_add_varint(&column[COLUMN_FRAMES], frame->packed_bytes);
        buf_add_varint(&column[COLUMN_RAW], frame->raw_bytes);
        buf_add_u64(&column[COLUMN_SUMS], frame->crc64);
    }
}

/* Compress what was gathered into memory of its exact size. */
static char *pack_away(struct index_writer *writer, const struct buf *raw, uint32_t *ret_len)
{
    SCOPED(buf) struct buf packed = { 0 };
    zblock_compress(&writer->zblock, raw->data, raw->len, &packed);
    *ret_len = (uint32_t)packed.len;
    buf_add_varint(&writer->table, packed.len);
    buf_add_varint(&writer->table, raw->len);
    buf_add_u64(&writer->table, crc64nvme(0, packed.data, packed.len));
    return mem_copy(packed.data, packed.len);
}

static void close_block(struct index_writer *writer)
{
    if (writer->count == 0)
        return;
    SCOPED(buf) struct buf numbers = { 0 };
    add_frames(writer);
    xattr_sets_end(&writer->xattrs, &writer->columns[COLUMN_XATTRS], &writer->columns[COLUMN_RUNS]);
    for (unsigned i = 1; i < COLUMN_COUNT; i++) {
        if (i >= COLUMN_XATTRS && writer->columns[i].len == 0)
            continue;
        buf_add_varint(&numbers, i);
        buf_add_varint(&numbers, writer->columns[i].len);
        buf_add(&numbers, buf_text(&writer->columns[i]), writer->columns[i].len);
        buf_clear(&writer->columns[i]);
    }
    struct packed packed = { 0 };
    buf_add_varint(&writer->table, writer->count);
    packed.numbers = pack_away(writer, &numbers, &packed.numbers_len);
    packed.keys = pack_away(writer, &writer->keys, &packed.keys_len);
    buf_add(&writer->blocks, &packed, sizeof packed);
    buf_clear(&writer->keys);
    writer->count = 0;
}

/* What a block says of where it begins: as much of its first key as tells it from the last. */
static void open_block(struct index_writer *writer)
{
    const size_t most =
        writer->key.len < writer->last_key.len ? writer->key.len : writer->last_key.len;
    size_t shared = 0;
    while (shared < most && writer->key.data[shared] == writer->last_key.data[shared])
        shared++;
    const size_t len = writer->member_count == 0 ? 0 : shared + 1;
    buf_add_varint(&writer->table, len);
    buf_add(&writer->table, writer->key.data, len);
    writer->base = writer->tar_bytes;
    writer->seconds = 0;
    writer->mode = writer->uid = writer->gid = 0;
}

static bool key_ascends(const struct index_writer *writer)
{
    const size_t a = writer->last_key.len;
    const size_t b = writer->key.len;
    const int order = memcmp(buf_text(&writer->last_key), writer->key.data, a < b ? a : b);
    return order < 0 || (order == 0 && a < b);
}

static void add_delta(struct buf *column, uint32_t value, uint32_t *last)
{
    buf_add_signed(column, (int64_t)value - (int64_t)*last);
    *last = value;
}

static void add_time(struct index_writer *writer, int64_t mtime_ns)
{
    int64_t seconds = mtime_ns / SECOND_NS;
    int64_t nanos = mtime_ns % SECOND_NS;
    if (nanos < 0) {
        nanos += SECOND_NS;
        seconds--;
    }
    buf_add_signed(&writer->columns[COLUMN_SECONDS], seconds - writer->seconds);
    buf_add_u32(&writer->columns[COLUMN_NANOS], (uint32_t)nanos);
    writer->seconds = seconds;
}

static void add_columns(struct index_writer *writer, const struct pack_member *member,
                        uint32_t header_bytes, uint64_t stored_bytes)
{
    struct buf *column = writer->columns;
    const unsigned was = member->kind == PACK_GONE ? (unsigned)member->was : 0;
    buf_add_char(&column[COLUMN_KIND],
                 (char)((unsigned)member->kind | (member->racy ? ROW_RACY : 0) |
                        (member->sparse ? ROW_SPARSE : 0) | was << ROW_WAS_SHIFT));
    add_time(writer, member->mtime_ns);
    add_delta(&column[COLUMN_MODE], member->mode, &writer->mode);
    add_delta(&column[COLUMN_UID], member->uid, &writer->uid);
    add_delta(&column[COLUMN_GID], member->gid, &writer->gid);
    if (member->kind != PACK_GONE)
        buf_add_varint(&column[COLUMN_HEADER], header_bytes / TAR_BLOCK);
    if (member->kind == PACK_FILE || member->kind == PACK_HARDLINK) {
        buf_add_varint(&column[COLUMN_SIZE], member->size_bytes);
        buf_add_u64(&column[COLUMN_CRC], member->crc64);
    }
    if (member->sparse)
        buf_add_varint(&column[COLUMN_STORED], stored_bytes);
    if (member->kind == PACK_LINK || member->kind == PACK_HARDLINK) {
        buf_add(&column[COLUMN_TARGET], member->target, member->target_len);
        buf_add_char(&column[COLUMN_TARGET], '\0');
    }
    if (pack_member_can_have_xattrs(member->kind))
        xattr_sets_add(&writer->xattrs, member->xattrs, member->xattrs_len);
}

int index_writer_add(struct index_writer *writer, const struct pack_member *member,
                     uint32_t header_bytes, uint64_t stored_bytes, struct err *err)
{
    buf_clear(&writer->key);
    pack_member_key(member, &writer->key);
    if (writer->member_count != 0 && !key_ascends(writer))
        return err_set(err, ERR_CORRUPT, "a member of a pack is out of order");
    if (writer->count == INDEX_MEMBERS_MAX ||
        writer->columns[COLUMN_TARGET].len >= INDEX_TARGETS_BYTES ||
        writer->xattrs.sets.len >= INDEX_XATTRS_BYTES ||
        writer->keys.len + writer->key.len + 1 > INDEX_KEYS_BYTES)
        close_block(writer);
    if (writer->count == 0) {
        if (writer->blocks.len / sizeof(struct packed) >= INDEX_BLOCKS_MAX ||
            writer->table.len > INDEX_TABLE_MAX / 2)
            return err_set(err, ERR_LIMIT, "too many members for one pack");
        open_block(writer);
    }
    buf_add(&writer->keys, writer->key.data, writer->key.len);
    buf_add_char(&writer->keys, '\0');
    add_columns(writer, member, header_bytes, stored_bytes);
    writer->count++;
    writer->member_count++;
    writer->gone_count += member->kind == PACK_GONE;
    writer->content_bytes += member->kind == PACK_FILE ? member->size_bytes : 0;
    writer->tar_bytes += header_bytes + stored_bytes + tar_padding(stored_bytes);

    const struct buf last = writer->last_key;
    writer->last_key = writer->key;
    writer->key = last;
    return 0;
}

/* ---- the end ---- */

static void add_fact(struct buf *out, enum index_fact fact, const void *bytes, size_t len)
{
    buf_add_varint(out, fact);
    buf_add_varint(out, len);
    buf_add(out, bytes, len);
}

static void add_text_fact(struct buf *out, enum index_fact fact, const char *text)
{
    if (text != NULL && text[0] != '\0')
        add_fact(out, fact, text, strlen(text));
}

static void add_number_fact(struct buf *out, enum index_fact fact, uint64_t value)
{
    SCOPED(buf) struct buf bytes = { 0 };
    buf_add_varint(&bytes, value);
    add_fact(out, fact, bytes.data, bytes.len);
}

static void add_facts(const struct index_writer *writer, const struct pack_info *info,
                      struct buf *out)
{
    add_text_fact(out, FACT_NAME, info->name);
    add_text_fact(out, FACT_JOB, info->job_id);
    add_text_fact(out, FACT_MAKER, info->maker);
    add_text_fact(out, FACT_ETAG, info->etag);
    add_number_fact(out, FACT_GENERATION, info->generation);
    /* zigzag, as buf_add_signed() */
    add_number_fact(out, FACT_CREATED,
                    ((uint64_t)info->created_ns << 1) ^ (uint64_t)(info->created_ns >> 63));
    add_number_fact(out, FACT_LEVEL, info->level);
    add_number_fact(out, FACT_GONE, writer->gone_count);
    if (info->merged != 0)
        add_number_fact(out, FACT_MERGED, info->merged);
    if (frame_count(writer) != 0) {
        SCOPED(buf) struct buf sum = { 0 };
        buf_add_u64(&sum, frame_at(writer, frame_count(writer) - 1)->crc64);
        add_fact(out, FACT_END, sum.data, sum.len);
    }
}

/* Append all blocks, first their numbers, then their keys, which one read fetches with the table.
 */
static void add_blocks(struct index_writer *writer, size_t start, struct buf *out,
                       struct index_footer *footer)
{
    size_t count = 0;
    struct packed *blocks = packed_of(writer, &count);
    footer->block_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        buf_add(out, blocks[i].numbers, blocks[i].numbers_len);
        mem_free(blocks[i].numbers);
    }
    footer->keys_offset = out->len - start;
    for (size_t i = 0; i < count; i++) {
        buf_add(out, blocks[i].keys, blocks[i].keys_len);
        mem_free(blocks[i].keys);
    }
    buf_clear(&writer->blocks);
}

static void add_table(struct index_writer *writer, const struct pack_info *info, size_t start,
                      struct buf *out, struct index_footer *footer)
{
    SCOPED(buf) struct buf facts = { 0 };
    SCOPED(buf) struct buf raw = { 0 };
    add_facts(writer, info, &facts);
    buf_add_varint(&raw, facts.len);
    buf_add(&raw, facts.data, facts.len);
    buf_add(&raw, buf_text(&writer->table), writer->table.len);
    const size_t at = out->len;
    zblock_compress(&writer->zblock, raw.data, raw.len, out);
    footer->table_offset = at - start;
    footer->table_packed = (uint32_t)(out->len - at);
    footer->table_raw = (uint32_t)raw.len;
    footer->table_crc = crc64nvme(0, out->data + at, out->len - at);
}

static void add_footer(const struct index_footer *footer, struct buf *out)
{
    const size_t at = out->len;
    buf_add_u64(out, footer->index_bytes);
    buf_add_u64(out, footer->keys_offset);
    buf_add_u64(out, footer->table_offset);
    buf_add_u32(out, footer->table_packed);
    buf_add_u32(out, footer->table_raw);
    buf_add_u64(out, footer->table_crc);
    buf_add_u64(out, footer->member_count);
    buf_add_u64(out, footer->content_bytes);
    buf_add_u64(out, footer->tar_bytes);
    buf_add_u64(out, footer->data_bytes);
    buf_add_u32(out, footer->frame_count);
    buf_add_u32(out, footer->block_count);
    buf_add_u64(out, footer->seek_crc);
    buf_add_u64(out, crc64nvme(0, out->data + at, FOOTER_CRC_AT));
    buf_add(out, FOOTER_MAGIC, MAGIC_LEN);
    assert(out->len - at == INDEX_FOOTER_BYTES);
}

/* The zstd seekable format, 0.1.0: sizes of all frames, also of the one that holds the index. */
static void make_seek_table(const struct index_writer *writer, uint64_t index_bytes,
                            struct buf *seek)
{
    const uint32_t entries = (uint32_t)frame_count(writer) + 1;
    frame_skippable(seek, SEEK_FRAME, entries * SEEK_ENTRY_BYTES + SEEK_FOOTER_BYTES);
    for (uint32_t i = 0; i + 1 < entries; i++) {
        buf_add_u32(seek, frame_at(writer, i)->packed_bytes);
        buf_add_u32(seek, frame_at(writer, i)->raw_bytes);
    }
    buf_add_u32(seek, (uint32_t)(index_bytes + FRAME_HEADER_BYTES));
    buf_add_u32(seek, 0);
    buf_add_u32(seek, entries);
    buf_add_char(seek, 0); /* no checksums */
    buf_add_u32(seek, SEEK_MAGIC);
}

static int check_size(uint64_t index_bytes, struct err *err)
{
    if (index_bytes > UINT32_MAX - FRAME_HEADER_BYTES)
        return err_set(err, ERR_LIMIT, "the index of a pack has at most 4 GiB");
    return 0;
}

int index_writer_finish(struct index_writer *writer, const struct pack_info *info, bool seekable,
                        struct buf *out, struct err *err)
{
    SCOPED(buf) struct buf seek = { 0 };
    close_block(writer);
    const size_t frame = out->len;
    if (seekable)
        frame_skippable(out, INDEX_FRAME, 0);
    const size_t start = out->len;
    struct index_footer footer = { .member_count = writer->member_count,
                                   .content_bytes = writer->content_bytes,
                                   .tar_bytes = info->tar_bytes,
                                   .data_bytes = info->data_bytes,
                                   .frame_count = (uint32_t)frame_count(writer) };
    buf_add(out, HEAD_MAGIC, MAGIC_LEN);
    add_blocks(writer, start, out, &footer);
    add_table(writer, info, start, out, &footer);
    footer.index_bytes = out->len - start + INDEX_FOOTER_BYTES;
    if (check_size(footer.index_bytes, err) < 0)
        return -1;
    if (seekable) {
        make_seek_table(writer, footer.index_bytes, &seek);
        footer.seek_crc = crc64nvme(0, seek.data, seek.len);
    }
    add_footer(&footer, out);
    if (seekable) {
        for (int i = 0; i < 4; i++)
            out->data[frame + 4 + (size_t)i] = (char)(footer.index_bytes >> (8 * i));
        buf_add(out, seek.data, seek.len);
    }
    return 0;
}
