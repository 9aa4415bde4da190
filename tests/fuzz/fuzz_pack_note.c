/* What a part of a pack holds, as a journal has it. First byte 0: the rest is a note. Else: the
 * rest is a note, whose delta a new join is asked to go on with. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "job/pack_note.h"
#include "job/result.h"
#include "job/segment.h"
#include "pack/join.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void check_note(const struct pack_note *note)
{
    require(note->through <= SEGMENT_ENTRIES_MAX);
    if (note->piece_end != 0)
        require(note->piece.ordinal == note->through && note->piece_end < note->piece.size_bytes);
    struct view results = note->results;
    uint32_t count = 0;
    while (view_left(&results) != 0) {
        uint32_t ordinal = 0;
        enum result_status status = RESULT_OPEN;
        require(result_skip(&results, &ordinal, &status) == 0);
        require(ordinal < note->through);
        count++;
    }
    require(count == note->result_count);
}

/* What could be read can be written, and is read the same. */
static void check_again(const struct pack_note *note)
{
    SCOPED(buf) struct buf bytes = { 0 };
    struct pack_note again;
    pack_note_encode(note, &bytes);
    buf_add(&bytes, note->delta.at, view_left(&note->delta));
    require(pack_note_decode(&again, bytes.data, bytes.len) == 0);
    require(again.through == note->through && again.piece_end == note->piece_end);
    require(note->piece_end == 0 ||
            (identity_same(&again.piece, &note->piece) && again.piece_crc64 == note->piece_crc64));
    require(again.result_count == note->result_count);
    require(view_left(&again.delta) == view_left(&note->delta));
}

static void replay(const struct pack_note *note)
{
    static const struct pack_info info = { .name = "p.tar.zst", .job_id = "j", .level = 1 };
    struct err err = { 0 };
    struct pack_join *join = pack_join_new(&info, true);
    if (pack_join_replay(join, note->delta.at, view_left(&note->delta), &err) < 0)
        require(err.kind == ERR_CORRUPT || err.kind == ERR_LIMIT);
    pack_join_free(join);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack_note note;
    if (size == 0 || size > 65536 || pack_note_decode(&note, data + 1, size - 1) < 0)
        return 0;
    check_note(&note);
    check_again(&note);
    if (data[0] != 0)
        replay(&note);
    return 0;
}
