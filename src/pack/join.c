#include "pack/join.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/zblock.h"
#include "pack/index.h"
#include "pack/record.h"
#include "pack/tar.h"

#include <assert.h>

#define DELTA_BYTES ((size_t)4 * 1024 * 1024)     /* of notes in a frame of a delta, about */
#define DELTA_RAW_MAX ((size_t)256 * 1024 * 1024) /* one chunk's notes may be more */

/* Of a stream; a reader takes a bit more. */
#define STREAM_MAX ((uint64_t)INT64_MAX / 4)

struct pack_join {
    struct pack_info info; /* its text is ours */
    bool keep_notes;
    bool ended;
    struct index_writer *index;
    struct zblock zblock;
    uint64_t bytes, tar_bytes; /* of the object, of the stream */
    uint64_t member_count;
    struct record_state state;
    bool in_piece;
    struct record_piece open; /* a file whose pieces have begun: all of them so far */
    bool open_whole;          /* the last was there; its record is next */
    struct buf notes;         /* of chunks since the last delta, each with its length before it */
};

static const char *copy(const char *text)
{
    return mem_string(text != NULL ? text : "");
}

struct pack_join *pack_join_new(const struct pack_info *info, bool keep_notes)
{
    struct pack_join *join = mem_alloc(sizeof *join);
    join->info =
        (struct pack_info){ .name = copy(info->name),
                            .job_id = copy(info->job_id),
                            .maker = copy(info->maker != NULL ? info->maker : LADE_VERSION),
                            .generation = info->generation,
                            .created_ns = info->created_ns,
                            .merged = info->merged,
                            .level = info->level };
    join->keep_notes = keep_notes;
    join->index = index_writer_new();
    return join;
}

void pack_join_free(struct pack_join *join)
{
    if (join == NULL)
        return;
    mem_release(join->info.name);
    mem_release(join->info.job_id);
    mem_release(join->info.maker);
    index_writer_free(join->index);
    zblock_done(&join->zblock);
    record_state_done(&join->state);
    buf_done(&join->notes);
    mem_release(join);
}

/* ---- notes ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the notes of a pack do not fit: %s", what);
}

/* Grow by what the stream has, and look that it does not wrap. */
static int advance(uint64_t *at, uint64_t by, struct err *err)
{
    if (by > STREAM_MAX || *at > STREAM_MAX - by)
        return bad(err, "sizes");
    *at += by;
    return 0;
}

static int take_frames(struct pack_join *join, struct view *view, const struct record_head *head,
                       struct err *err)
{
    uint64_t raw = 0;
    uint64_t packed = 0;
    for (uint32_t i = 0; i < head->frame_count; i++) {
        struct pack_frame frame;
        if (record_read_frame(view, &frame, err) < 0 ||
            index_writer_frame(join->index, &frame, err) < 0)
            return -1;
        raw += frame.raw_bytes;
        packed += frame.packed_bytes;
    }
    const bool plain = join->info.level == 0;
    if (plain ? head->frame_count != 0 || head->packed_bytes != head->raw_bytes
              : raw != head->raw_bytes || packed != head->packed_bytes)
        return bad(err, "frames");
    return 0;
}

static int take_piece(struct pack_join *join, const struct record_piece *piece, uint64_t *position,
                      struct err *err)
{
    struct record_piece *open = &join->open;
    if (piece->first == join->in_piece || join->open_whole)
        return bad(err, "order of pieces");
    if (piece->first)
        *open = (struct record_piece){ .header_bytes = piece->header_bytes };
    open->crc64 = crc64nvme_combine(open->crc64, piece->crc64, piece->size_bytes);
    if (advance(&open->stored_bytes, piece->stored_bytes, err) < 0 ||
        advance(&open->size_bytes, piece->size_bytes, err) < 0 ||
        advance(position, (uint64_t)piece->header_bytes + piece->stored_bytes, err) < 0)
        return -1;
    join->in_piece = !piece->last;
    join->open_whole = piece->last;
    return piece->last ? advance(position, tar_padding(open->stored_bytes), err) : 0;
}

static int take_member(struct pack_join *join, struct record *record, uint64_t *position,
                       struct err *err)
{
    struct pack_member *member = &record->member;
    if (join->in_piece || join->open_whole != record->pieced)
        return bad(err, "order of members");
    if (record->pieced) {
        if (join->open.size_bytes != member->size_bytes ||
            join->open.stored_bytes != member->stored_bytes)
            return bad(err, "size of a file in pieces");
        member->crc64 = join->open.crc64;
        record->header_bytes = join->open.header_bytes;
        join->open_whole = false;
    } else {
        const uint64_t stored = member->stored_bytes;
        if (advance(position, record->header_bytes, err) < 0 ||
            advance(position, stored, err) < 0 || advance(position, tar_padding(stored), err) < 0)
            return -1;
    }
    join->member_count++;
    return index_writer_add(join->index, member, record->header_bytes, member->stored_bytes, err);
}

static int take_notes(struct pack_join *join, const void *notes, size_t len, struct err *err)
{
    struct view view = view_of(notes, len);
    struct record_head head;
    assert(!join->ended);
    if (record_read_head(&view, &head, err) < 0 || take_frames(join, &view, &head, err) < 0)
        return -1;
    record_state_reset(&join->state);
    uint64_t position = 0;
    while (view_left(&view) != 0) {
        struct record record;
        if (record_next(&view, &join->state, &record, err) < 0)
            return -1;
        if (record.piece ? take_piece(join, &record.part, &position, err) < 0
                         : take_member(join, &record, &position, err) < 0)
            return -1;
    }
    if (position != head.raw_bytes)
        return bad(err, "length of the stream");
    if (advance(&join->tar_bytes, head.raw_bytes, err) < 0)
        return -1;
    return advance(&join->bytes, head.packed_bytes, err);
}

int pack_join_add_notes(struct pack_join *join, const void *notes, size_t len, struct err *err)
{
    if (len > DELTA_RAW_MAX - DELTA_BYTES - sizeof(uint64_t))
        return err_set(err, ERR_LIMIT, "the notes of a chunk have %zu bytes", len);
    if (take_notes(join, notes, len, err) < 0)
        return -1;
    if (join->keep_notes) {
        buf_add_u64(&join->notes, len);
        buf_add(&join->notes, notes, len);
    }
    return 0;
}

int pack_join_add(struct pack_join *join, const struct pack_chunk *chunk, struct err *err)
{
    const struct buf *notes = pack_chunk_notes(chunk);
    return pack_join_add_notes(join, notes->data, notes->len, err);
}

uint64_t pack_join_bytes(const struct pack_join *join)
{
    return join->bytes;
}

uint64_t pack_join_tar_bytes(const struct pack_join *join)
{
    return join->tar_bytes;
}

uint64_t pack_join_members(const struct pack_join *join)
{
    return join->member_count;
}

/* ---- deltas ---- */

static void add_delta_frame(struct pack_join *join, const char *bytes, size_t len, struct buf *out)
{
    SCOPED(buf) struct buf packed = { 0 };
    zblock_compress(&join->zblock, bytes, len, &packed);
    buf_add_varint(out, len);
    buf_add_varint(out, packed.len);
    buf_add(out, packed.data, packed.len);
}

void pack_join_delta(struct pack_join *join, struct buf *out)
{
    struct view view = view_of(join->notes.data, join->notes.len);
    const char *from = (const char *)view.at;
    while (view_left(&view) != 0) {
        const size_t len = (size_t)view_u64(&view);
        view_bytes(&view, len);
        assert(!view.bad);
        const size_t have = (size_t)((const char *)view.at - from);
        if (have >= DELTA_BYTES || view_left(&view) == 0) {
            add_delta_frame(join, from, have, out);
            from = (const char *)view.at;
        }
    }
    buf_clear(&join->notes);
}

static int replay_frame(struct pack_join *join, const struct buf *raw, struct err *err)
{
    struct view view = view_of(raw->data, raw->len);
    while (view_left(&view) != 0) {
        const uint64_t len = view_u64(&view);
        const void *notes = len <= view_left(&view) ? view_bytes(&view, (size_t)len) : NULL;
        if (view.bad || notes == NULL)
            return bad(err, "length of a chunk's");
        if (take_notes(join, notes, (size_t)len, err) < 0)
            return -1;
    }
    return 0;
}

int pack_join_replay(struct pack_join *join, const void *delta, size_t len, struct err *err)
{
    struct view view = view_of(delta, len);
    SCOPED(buf) struct buf raw = { 0 };
    while (view_left(&view) != 0) {
        const uint64_t raw_len = view_varint(&view);
        const uint64_t packed = view_varint(&view);
        const void *frame = packed <= view_left(&view) ? view_bytes(&view, (size_t)packed) : NULL;
        if (view.bad || frame == NULL || raw_len > DELTA_RAW_MAX)
            return bad(err, "length of a delta");
        if (zblock_expand(&join->zblock, frame, (size_t)packed, (size_t)raw_len, &raw, err) < 0 ||
            replay_frame(join, &raw, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the end ---- */

/* The end of the tar stream, in a frame of its own. */
static int add_end(struct pack_join *join, struct buf *out, struct err *err)
{
    static const char zeros[TAR_END_BYTES];
    const size_t start = out->len;
    join->tar_bytes += sizeof zeros;
    if (join->info.level == 0) {
        buf_add(out, zeros, sizeof zeros);
        join->bytes += sizeof zeros;
        return 0;
    }
    frame_pack(&join->zblock, (int)join->info.level, zeros, sizeof zeros, out);
    const size_t len = out->len - start;
    const struct pack_frame frame = { .packed_bytes = (uint32_t)len,
                                      .raw_bytes = sizeof zeros,
                                      .crc64 = crc64nvme(0, out->data + start, len) };
    join->bytes += len;
    return index_writer_frame(join->index, &frame, err);
}

static int finish(struct pack_join *join, const char *etag, bool seekable, struct buf *out,
                  struct err *err)
{
    struct pack_info info = join->info;
    info.etag = etag;
    info.tar_bytes = join->tar_bytes;
    info.data_bytes = join->bytes;
    return index_writer_finish(join->index, &info, seekable, out, err);
}

int pack_join_tail(struct pack_join *join, struct buf *out, struct err *err)
{
    assert(!join->ended);
    if (join->in_piece || join->open_whole)
        return bad(err, "the last file is not whole");
    if (add_end(join, out, err) < 0)
        return -1;
    join->ended = true;
    return join->info.level == 0 ? 0 : finish(join, "", true, out, err);
}

int pack_join_sidecar(struct pack_join *join, const char *etag, struct buf *out, struct err *err)
{
    assert(join->ended && join->info.level == 0);
    return finish(join, etag, false, out, err);
}
