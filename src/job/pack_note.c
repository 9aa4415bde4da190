#include "job/pack_note.h"

#include "base/ban.h"
#include "job/result.h"
#include "job/segment.h"

bool identity_same(const struct identity *a, const struct identity *b)
{
    return a->ordinal == b->ordinal && a->ino == b->ino && a->size_bytes == b->size_bytes &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->map_crc64 == b->map_crc64;
}

void pack_note_encode(const struct pack_note *note, struct buf *out)
{
    buf_add_varint(out, note->through);
    buf_add_varint(out, note->piece_end);
    if (note->piece_end != 0) {
        buf_add_u64(out, note->piece_crc64);
        buf_add_varint(out, note->piece.ordinal);
        buf_add_varint(out, note->piece.ino);
        buf_add_varint(out, note->piece.size_bytes);
        buf_add_signed(out, note->piece.mtime_ns);
        buf_add_signed(out, note->piece.ctime_ns);
        buf_add_u64(out, note->piece.map_crc64);
    }
    buf_add_varint(out, view_left(&note->results));
    buf_add(out, note->results.at, view_left(&note->results));
}

static bool decode_piece(struct view *view, struct pack_note *note)
{
    note->piece_crc64 = view_u64(view);
    const uint64_t ordinal = view_varint(view);
    note->piece.ordinal = (uint32_t)ordinal;
    note->piece.ino = view_varint(view);
    note->piece.size_bytes = view_varint(view);
    note->piece.mtime_ns = view_signed(view);
    note->piece.ctime_ns = view_signed(view);
    note->piece.map_crc64 = view_u64(view);
    return ordinal == note->through && note->piece_end < note->piece.size_bytes;
}

/* Each is of an entry that is in the pack. */
static bool count_results(struct pack_note *note)
{
    struct view view = note->results;
    while (view_left(&view) != 0) {
        uint32_t ordinal = 0;
        enum result_status status = RESULT_OPEN;
        if (result_skip(&view, &ordinal, &status) < 0 || ordinal >= note->through ||
            (status != RESULT_DONE && status != RESULT_REPLACED))
            return false;
        note->result_count++;
    }
    return true;
}

int pack_note_decode(struct pack_note *ret_note, const void *bytes, size_t len)
{
    struct view view = view_of(bytes, len);
    struct pack_note note = { 0 };
    const uint64_t through = view_varint(&view);
    note.through = (uint32_t)through;
    note.piece_end = view_varint(&view);
    if (through > SEGMENT_ENTRIES_MAX || (note.piece_end != 0 && !decode_piece(&view, &note)))
        return -1;
    const uint64_t results_len = view_varint(&view);
    if (view.bad || results_len > view_left(&view))
        return -1;
    note.results = view_of(view.at, (size_t)results_len);
    (void)view_bytes(&view, (size_t)results_len);
    if (!count_results(&note))
        return -1;
    note.delta = view;
    *ret_note = note;
    return 0;
}
