#include "pack/chunk.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "pack/record.h"
#include "pack/tar.h"

#include <assert.h>

#define TINY (UINT32_C(1) << 16) /* of content: not worth a frame of its own */

struct pack_chunk {
    struct pack_options options;
    struct frame_probe probe;
    struct zblock zblock;
    bool sealed;
    struct buf out;    /* frames, or the plain stream */
    struct buf header; /* scratch */
    uint64_t raw_bytes;
    uint64_t crc64; /* of out, as far as frames are ended */
    uint32_t record_count;

    /* The frame under way. */
    enum frame_class class;
    bool undecided;       /* nothing in it wanted a class */
    uint64_t any_bytes;   /* since something did */
    uint32_t frame_bytes; /* of content in it; 0: none */
    uint32_t limit;       /* where it ends, also within a member */
    struct buf pending;   /* FRAME_PACKED: its content */
    struct frame_raw raw; /* FRAME_RAW */

    struct buf frames; /* of struct pack_frame */
    struct buf rows;   /* notes of members */
    struct buf notes;  /* all, once sealed */
    struct record_state state;
    bool in_piece;
    struct record_piece piece; /* of the file that is under way */
};

uint32_t pack_frame_bytes(uint64_t content_bytes)
{
    uint32_t bytes = FRAME_BYTES_DEFAULT;
    /* Frames may be half as long as asked for. */
    while (bytes < FRAME_BYTES_MAX && content_bytes / bytes >= FRAME_COUNT_MAX / 4)
        bytes *= 2;
    return bytes;
}

struct pack_chunk *pack_chunk_new(const struct pack_options *options)
{
    struct pack_chunk *chunk = mem_alloc(sizeof *chunk);
    chunk->options = *options;
    if (options->frame_bytes == 0)
        chunk->options.frame_bytes = FRAME_BYTES_DEFAULT;
    assert(options->level >= 0 && options->level <= 19);
    assert(chunk->options.frame_bytes >= FRAME_BYTES_MIN &&
           chunk->options.frame_bytes <= FRAME_BYTES_MAX);
    frame_probe_init(&chunk->probe);
    return chunk;
}

void pack_chunk_reset(struct pack_chunk *chunk)
{
    buf_clear(&chunk->out);
    buf_clear(&chunk->pending);
    buf_clear(&chunk->frames);
    buf_clear(&chunk->rows);
    buf_clear(&chunk->notes);
    record_state_reset(&chunk->state);
    chunk->sealed = chunk->in_piece = false;
    chunk->raw_bytes = chunk->crc64 = 0;
    chunk->record_count = chunk->frame_bytes = 0;
    chunk->any_bytes = 0;
}

void pack_chunk_free(struct pack_chunk *chunk)
{
    if (chunk == NULL)
        return;
    zblock_done(&chunk->zblock);
    buf_done(&chunk->out);
    buf_done(&chunk->header);
    buf_done(&chunk->pending);
    buf_done(&chunk->frames);
    buf_done(&chunk->rows);
    buf_done(&chunk->notes);
    record_state_done(&chunk->state);
    mem_release(chunk);
}

/* ---- frames ---- */

static void note_frame(struct pack_chunk *chunk, size_t start, uint32_t raw_bytes)
{
    const size_t len = chunk->out.len - start;
    const struct pack_frame frame = { .packed_bytes = (uint32_t)len,
                                      .raw_bytes = raw_bytes,
                                      .crc64 = crc64nvme(0, chunk->out.data + start, len) };
    buf_add(&chunk->frames, &frame, sizeof frame);
    chunk->crc64 = crc64nvme_combine(chunk->crc64, frame.crc64, len);
}

static void end_frame(struct pack_chunk *chunk)
{
    if (chunk->frame_bytes == 0)
        return;
    size_t start = chunk->out.len;
    if (chunk->class == FRAME_RAW) {
        start = chunk->raw.start;
        frame_raw_end(&chunk->raw, &chunk->out);
    } else {
        frame_pack(&chunk->zblock, chunk->options.level, chunk->pending.data, chunk->pending.len,
                   &chunk->out);
        buf_clear(&chunk->pending);
    }
    note_frame(chunk, start, chunk->frame_bytes);
    chunk->frame_bytes = 0;
}

/* What is in the frame so far goes with anything, and what comes next does not compress. */
static void turn_raw(struct pack_chunk *chunk)
{
    frame_raw_begin(&chunk->raw, &chunk->out);
    frame_raw_add_sparse(&chunk->raw, buf_text(&chunk->pending), chunk->pending.len, &chunk->out);
    buf_clear(&chunk->pending);
    chunk->class = FRAME_RAW;
}

/* A member of so many bytes in the stream comes next: does it begin a frame, and how far does that
 * go? */
static void begin_member(struct pack_chunk *chunk, enum frame_class class, uint64_t stream_bytes)
{
    const uint32_t size = chunk->options.frame_bytes;
    const uint32_t have = chunk->frame_bytes;
    const bool any = class == FRAME_ANY;
    chunk->any_bytes = any ? chunk->any_bytes + stream_bytes : 0;
    if (any)
        class = have != 0 && chunk->any_bytes < TINY ? chunk->class : FRAME_PACKED;
    const bool large = stream_bytes > size;
    if (have != 0) {
        if (class != chunk->class && class == FRAME_RAW && chunk->undecided && have < TINY)
            turn_raw(chunk);
        const bool turns = class != chunk->class && (have >= TINY || stream_bytes >= TINY);
        const bool full = have + stream_bytes > size && have >= size / 2;
        if (turns || full || (large && have >= TINY))
            end_frame(chunk);
    }
    if (chunk->frame_bytes == 0) {
        chunk->class = class;
        chunk->undecided = true;
    }
    chunk->undecided &= any;
    const bool fits = chunk->frame_bytes + stream_bytes <= size + size / 4;
    chunk->limit = fits ? size + size / 4 : size;
}

/* Whole frames of a large piece need not be gathered first. */
static size_t pack_in_place(struct pack_chunk *chunk, const char *bytes, size_t len)
{
    size_t used = 0;
    while (chunk->class == FRAME_PACKED && chunk->frame_bytes == 0 && len - used > chunk->limit) {
        const size_t start = chunk->out.len;
        frame_pack(&chunk->zblock, chunk->options.level, bytes + used, chunk->limit, &chunk->out);
        note_frame(chunk, start, chunk->limit);
        used += chunk->limit;
    }
    return used;
}

/* Bytes of the stream. `zeros`: many of them are. */
static void add_stream(struct pack_chunk *chunk, const void *bytes, size_t len, bool zeros)
{
    chunk->raw_bytes += len;
    if (chunk->options.level == 0) {
        buf_add(&chunk->out, bytes, len);
        return;
    }
    const char *at = bytes;
    while (len != 0) {
        const size_t used = pack_in_place(chunk, at, len);
        at += used;
        len -= used;
        const size_t room = chunk->limit - chunk->frame_bytes;
        const size_t take = len < room ? len : room;
        if (chunk->class == FRAME_PACKED) {
            buf_add(&chunk->pending, at, take);
        } else {
            if (chunk->frame_bytes == 0)
                frame_raw_begin(&chunk->raw, &chunk->out);
            if (zeros)
                frame_raw_add_sparse(&chunk->raw, at, take, &chunk->out);
            else
                frame_raw_add(&chunk->raw, at, take, &chunk->out);
        }
        chunk->frame_bytes += (uint32_t)take;
        at += take;
        len -= take;
        if (chunk->frame_bytes == chunk->limit)
            end_frame(chunk);
    }
}

static void add_padding(struct pack_chunk *chunk, uint64_t stored_bytes)
{
    static const char zeros[TAR_BLOCK];
    add_stream(chunk, zeros, tar_padding(stored_bytes), true);
}

static enum frame_class class_of(const struct pack_chunk *chunk, const struct pack_member *member,
                                 const void *bytes, size_t len)
{
    if (chunk->options.level == 0)
        return FRAME_PACKED;
    return frame_probe_class(&chunk->probe, member->path, member->path_len, bytes, len);
}

/* The header, and the map of a sparse file; *ret_header_bytes of it are header. */
static void make_header(struct pack_chunk *chunk, const struct pack_member *member,
                        uint32_t *ret_header_bytes)
{
    buf_clear(&chunk->header);
    tar_header(member, &chunk->header);
    *ret_header_bytes = (uint32_t)chunk->header.len;
    if (member->sparse)
        tar_map(member, &chunk->header);
}

/* ---- members ---- */

void pack_chunk_add(struct pack_chunk *chunk, const struct pack_member *member, const void *bytes,
                    size_t len)
{
    assert(!chunk->sealed && !chunk->in_piece);
    assert(len == pack_member_data_bytes(member));
    chunk->record_count++;
    if (member->kind == PACK_GONE) {
        record_add(&chunk->rows, &chunk->state, member, 0, 0, false);
        return;
    }
    uint32_t header_bytes = 0;
    make_header(chunk, member, &header_bytes);
    const uint64_t stored = chunk->header.len - header_bytes + len;
    begin_member(chunk, class_of(chunk, member, bytes, len),
                 header_bytes + stored + tar_padding(stored));
    add_stream(chunk, chunk->header.data, chunk->header.len, true);
    add_stream(chunk, bytes, len, false);
    add_padding(chunk, stored);
    record_add(&chunk->rows, &chunk->state, member, header_bytes, stored, false);
}

/* The CRC of what it is of, followed by so many zeros. */
static uint64_t crc_zeros(uint64_t crc, uint64_t count)
{
    return ~crc64nvme_combine(~crc, 0, count);
}

/* Take data into the piece's CRC. Of a sparse file a chunk's piece begins where the data before it
 * ended, so that holes belong to what follows them. */
static void digest_sparse(struct record_piece *piece, const struct pack_member *member,
                          uint64_t offset_bytes, const char *bytes, size_t len)
{
    uint64_t data = 0;     /* before this extent */
    uint64_t position = 0; /* in the content: where the data before offset_bytes ended */
    for (size_t i = 0; i < member->extent_count && len != 0; i++) {
        const struct pack_extent *extent = &member->extents[i];
        const uint64_t skip = offset_bytes > data ? offset_bytes - data : 0;
        data += extent->len_bytes;
        if (skip >= extent->len_bytes) {
            position = extent->offset_bytes + extent->len_bytes;
            continue;
        }
        const uint64_t from = extent->offset_bytes + skip;
        if (skip != 0)
            position = from;
        const uint64_t room = extent->len_bytes - skip;
        const size_t take = len < room ? len : (size_t)room;
        if (from != position)
            piece->crc64 = crc_zeros(piece->crc64, from - position);
        piece->crc64 = crc64nvme(piece->crc64, bytes, take);
        piece->size_bytes += from - position + take;
        position = from + take;
        offset_bytes += take;
        bytes += take;
        len -= take;
    }
}

/* The hole at the end. */
static void digest_end(struct record_piece *piece, const struct pack_member *member)
{
    uint64_t end = 0;
    if (member->extent_count != 0) {
        const struct pack_extent *last = &member->extents[member->extent_count - 1];
        end = last->offset_bytes + last->len_bytes;
    }
    piece->crc64 = crc_zeros(piece->crc64, member->size_bytes - end);
    piece->size_bytes += member->size_bytes - end;
}

static void digest_piece(struct record_piece *piece, const struct pack_member *member,
                         uint64_t offset_bytes, const void *bytes, size_t len)
{
    if (member->sparse) {
        digest_sparse(piece, member, offset_bytes, bytes, len);
        if (piece->last)
            digest_end(piece, member);
    } else {
        piece->crc64 = crc64nvme(piece->crc64, bytes, len);
        piece->size_bytes += len;
    }
}

void pack_chunk_piece(struct pack_chunk *chunk, const struct pack_member *member,
                      uint64_t offset_bytes, const void *bytes, size_t len)
{
    const uint64_t data = pack_member_data_bytes(member);
    assert(!chunk->sealed && member->kind == PACK_FILE);
    assert(offset_bytes <= data && len <= data - offset_bytes && (len != 0 || data == 0));
    struct record_piece *piece = &chunk->piece;
    const uint64_t stored = tar_stored_bytes(member);
    const bool first = offset_bytes == 0 && !chunk->in_piece;
    if (!chunk->in_piece)
        *piece = (struct record_piece){ .first = first };
    if (first || !chunk->in_piece) {
        uint64_t stream = stored + tar_padding(stored) - offset_bytes;
        if (first)
            make_header(chunk, member, &piece->header_bytes);
        begin_member(chunk, class_of(chunk, member, bytes, len), stream);
    }
    if (first) {
        add_stream(chunk, chunk->header.data, chunk->header.len, true);
        piece->stored_bytes = chunk->header.len - piece->header_bytes;
    }
    chunk->in_piece = true;
    piece->last = offset_bytes + len == data;
    add_stream(chunk, bytes, len, false);
    piece->stored_bytes += len;
    digest_piece(piece, member, offset_bytes, bytes, len);
    if (!piece->last)
        return;
    add_padding(chunk, stored);
    record_add_piece(&chunk->rows, piece);
    record_add(&chunk->rows, &chunk->state, member, 0, stored, true);
    chunk->record_count++;
    chunk->in_piece = false;
}

size_t pack_chunk_size(const struct pack_chunk *chunk)
{
    return chunk->out.len + chunk->pending.len;
}

void pack_chunk_seal(struct pack_chunk *chunk)
{
    assert(!chunk->sealed);
    end_frame(chunk);
    if (chunk->options.level == 0)
        chunk->crc64 = crc64nvme(0, buf_text(&chunk->out), chunk->out.len);
    if (chunk->in_piece)
        record_add_piece(&chunk->rows, &chunk->piece);
    uint32_t count = 0;
    const struct pack_frame *frames = pack_chunk_frames(chunk, &count);
    const struct record_head head = { .raw_bytes = chunk->raw_bytes,
                                      .packed_bytes = chunk->out.len,
                                      .frame_count = count };
    record_add_head(&chunk->notes, &head, frames);
    buf_add(&chunk->notes, buf_text(&chunk->rows), chunk->rows.len);
    chunk->sealed = true;
}

/* ---- of a sealed chunk ---- */

const struct buf *pack_chunk_bytes(const struct pack_chunk *chunk)
{
    return &chunk->out;
}

uint64_t pack_chunk_crc64(const struct pack_chunk *chunk)
{
    assert(chunk->sealed);
    return chunk->crc64;
}

uint64_t pack_chunk_raw_bytes(const struct pack_chunk *chunk)
{
    return chunk->raw_bytes;
}

uint32_t pack_chunk_records(const struct pack_chunk *chunk)
{
    return chunk->record_count;
}

const struct pack_frame *pack_chunk_frames(const struct pack_chunk *chunk, uint32_t *ret_count)
{
    *ret_count = (uint32_t)(chunk->frames.len / sizeof(struct pack_frame));
    return (const struct pack_frame *)(const void *)chunk->frames.data;
}

const struct buf *pack_chunk_notes(const struct pack_chunk *chunk)
{
    assert(chunk->sealed);
    return &chunk->notes;
}
