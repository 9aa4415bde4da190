#include "pack/record.h"

#include "base/ban.h"
#include "base/xattr.h"
#include "pack/tar.h"

#include <assert.h>

/* The first byte of a note: a kind in bits 0-2, or NOTE_PIECE; above it what follows. */
#define NOTE_PIECE 7u
#define NOTE_KIND 7u
#define NOTE_RACY 0x08u       /* of a member */
#define NOTE_SPARSE 0x10u     /* the stored size follows */
#define NOTE_SAME_OWNER 0x20u /* mode, uid and gid are those of the member before */
#define NOTE_PIECED 0x40u     /* its pieces came before: no CRC, no header */
#define NOTE_XATTRS 0x80u     /* it has extended attributes */
#define NOTE_FIRST 0x08u      /* of a piece */
#define NOTE_LAST 0x10u

void record_state_reset(struct record_state *state)
{
    buf_clear(&state->path);
    state->mtime_ns = 0;
    state->mode = state->uid = state->gid = 0;
    buf_clear(&state->xattrs);
}

void record_state_done(struct record_state *state)
{
    buf_done(&state->path);
    buf_done(&state->xattrs);
}

static void add_path(struct buf *out, struct buf *last, const char *path, size_t len)
{
    size_t shared = 0;
    const size_t most = len < last->len ? len : last->len;
    while (shared < most && path[shared] == last->data[shared])
        shared++;
    buf_add_varint(out, shared);
    buf_add_varint(out, len - shared);
    buf_add(out, path + shared, len - shared);
    buf_cut(last, shared);
    buf_add(last, path + shared, len - shared);
}

/* The set, or, where it is that of the last member that had one, nothing. */
static void add_xattrs(struct buf *out, struct buf *last, const void *set, size_t len)
{
    if (last->len == len && memcmp(last->data, set, len) == 0) {
        buf_add_varint(out, 0);
        return;
    }
    buf_add_varint(out, len);
    buf_add(out, set, len);
    buf_clear(last);
    buf_add(last, set, len);
}

static bool has_target(enum pack_kind kind)
{
    return kind == PACK_LINK || kind == PACK_HARDLINK;
}

static bool has_content(enum pack_kind kind)
{
    return kind == PACK_FILE || kind == PACK_HARDLINK;
}

void record_add(struct buf *out, struct record_state *state, const struct pack_member *member,
                uint32_t header_bytes, uint64_t stored_bytes, bool pieced)
{
    const bool same =
        member->mode == state->mode && member->uid == state->uid && member->gid == state->gid;
    buf_add_char(out,
                 (char)((unsigned)member->kind | (member->racy ? NOTE_RACY : 0) |
                        (member->sparse ? NOTE_SPARSE : 0) | (same ? NOTE_SAME_OWNER : 0) |
                        (pieced ? NOTE_PIECED : 0) | (member->xattrs_len != 0 ? NOTE_XATTRS : 0)));
    add_path(out, &state->path, member->path, member->path_len);
    buf_add_signed(out, (int64_t)((uint64_t)member->mtime_ns - (uint64_t)state->mtime_ns));
    state->mtime_ns = member->mtime_ns;
    if (!same) {
        buf_add_varint(out, state->mode = member->mode);
        buf_add_varint(out, state->uid = member->uid);
        buf_add_varint(out, state->gid = member->gid);
    }
    if (member->kind == PACK_GONE) {
        buf_add_char(out, (char)member->was);
        return;
    }
    if (!pieced)
        buf_add_varint(out, header_bytes / TAR_BLOCK);
    if (has_content(member->kind)) {
        buf_add_varint(out, member->size_bytes);
        if (!pieced)
            buf_add_u64(out, member->crc64);
        if (member->sparse)
            buf_add_varint(out, stored_bytes);
    }
    if (has_target(member->kind)) {
        buf_add_varint(out, member->target_len);
        buf_add(out, member->target, member->target_len);
    }
    if (member->xattrs_len != 0)
        add_xattrs(out, &state->xattrs, member->xattrs, member->xattrs_len);
}

void record_add_piece(struct buf *out, const struct record_piece *piece)
{
    buf_add_char(
        out, (char)(NOTE_PIECE | (piece->first ? NOTE_FIRST : 0) | (piece->last ? NOTE_LAST : 0)));
    if (piece->first)
        buf_add_varint(out, piece->header_bytes / TAR_BLOCK);
    buf_add_varint(out, piece->stored_bytes);
    buf_add_varint(out, piece->size_bytes);
    buf_add_u64(out, piece->crc64);
}

/* ---- reading ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "a note of a pack is damaged: %s", what);
}

static int read_path(struct view *view, struct buf *path, struct err *err)
{
    const uint64_t shared = view_varint(view);
    const uint64_t more = view_varint(view);
    if (view->bad || shared > path->len || more > PACK_PATH_MAX || shared + more == 0 ||
        shared + more > PACK_PATH_MAX)
        return bad(err, "length of a path");
    const char *rest = view_bytes(view, (size_t)more);
    if (rest == NULL || memchr(rest, '\0', (size_t)more) != NULL)
        return bad(err, "path");
    buf_cut(path, (size_t)shared);
    buf_add(path, rest, (size_t)more);
    return 0;
}

static int read_header_bytes(struct view *view, uint32_t *ret_bytes, struct err *err)
{
    const uint64_t blocks = view_varint(view);
    if (view->bad || blocks == 0 || blocks > UINT32_MAX / TAR_BLOCK)
        return bad(err, "length of a header");
    *ret_bytes = (uint32_t)blocks * TAR_BLOCK;
    return 0;
}

static int read_piece(struct view *view, unsigned head, struct record_piece *piece, struct err *err)
{
    piece->first = (head & NOTE_FIRST) != 0;
    piece->last = (head & NOTE_LAST) != 0;
    if (piece->first && read_header_bytes(view, &piece->header_bytes, err) < 0)
        return -1;
    piece->stored_bytes = view_varint(view);
    piece->size_bytes = view_varint(view);
    piece->crc64 = view_u64(view);
    return view->bad ? bad(err, "piece") : 0;
}

static int read_content(struct view *view, bool pieced, struct pack_member *member, struct err *err)
{
    member->size_bytes = view_varint(view);
    if (!pieced)
        member->crc64 = view_u64(view);
    member->stored_bytes = member->kind == PACK_FILE ? member->size_bytes : 0;
    if (member->sparse)
        member->stored_bytes = view_varint(view);
    return view->bad ? bad(err, "size") : 0;
}

static int read_target(struct view *view, struct pack_member *member, struct err *err)
{
    const uint64_t len = view_varint(view);
    if (view->bad || len > PACK_TARGET_MAX)
        return bad(err, "length of a target");
    member->target = view_bytes(view, (size_t)len);
    member->target_len = (uint32_t)len;
    if (member->target == NULL || memchr(member->target, '\0', (size_t)len) != NULL)
        return bad(err, "target");
    return 0;
}

static int read_owner(struct view *view, unsigned head, struct record_state *state, struct err *err)
{
    state->mtime_ns = (int64_t)((uint64_t)state->mtime_ns + (uint64_t)view_signed(view));
    if ((head & NOTE_SAME_OWNER) != 0)
        return 0;
    const uint64_t mode = view_varint(view);
    const uint64_t uid = view_varint(view);
    const uint64_t gid = view_varint(view);
    if (view->bad || mode > 07777 || uid > UINT32_MAX || gid > UINT32_MAX)
        return bad(err, "owner");
    state->mode = (uint32_t)mode;
    state->uid = (uint32_t)uid;
    state->gid = (uint32_t)gid;
    return 0;
}

static int read_was(struct view *view, struct pack_member *member, struct err *err)
{
    const unsigned was = view_u8(view);
    if (was < PACK_FILE || was > PACK_LINK)
        return bad(err, "kind of what is gone");
    member->was = (enum pack_kind)was;
    return 0;
}

static int read_xattrs(struct view *view, struct buf *last, struct pack_member *member,
                       struct err *err)
{
    const uint64_t len = view_varint(view);
    const void *set = len <= view_left(view) ? view_bytes(view, (size_t)len) : NULL;
    if (view->bad || set == NULL || (len != 0 && !xattr_set_ok(set, (size_t)len)) ||
        (len == 0 && last->len == 0))
        return bad(err, "extended attributes");
    if (len != 0) {
        buf_clear(last);
        buf_add(last, set, (size_t)len);
    }
    member->xattrs = last->data;
    member->xattrs_len = (uint32_t)last->len;
    return 0;
}

/* Pieces and maps belong to files; links, and what is gone, have no attributes. */
static bool head_ok(unsigned head)
{
    const unsigned kind = head & NOTE_KIND;
    const bool file = kind == PACK_FILE;
    const bool bare = kind == PACK_LINK || kind == PACK_GONE;
    return kind >= PACK_FILE && kind < PACK_KIND_COUNT &&
           (file || (head & (NOTE_SPARSE | NOTE_PIECED)) == 0) &&
           (!bare || (head & NOTE_XATTRS) == 0);
}

int record_next(struct view *view, struct record_state *state, struct record *ret_record,
                struct err *err)
{
    const unsigned head = view_u8(view);
    *ret_record = (struct record){ 0 };
    if (!view->bad && (head & NOTE_KIND) == NOTE_PIECE) {
        ret_record->piece = true;
        return read_piece(view, head, &ret_record->part, err);
    }
    if (view->bad || !head_ok(head))
        return bad(err, "kind");
    struct pack_member *member = &ret_record->member;
    member->kind = (enum pack_kind)(head & NOTE_KIND);
    member->racy = (head & NOTE_RACY) != 0;
    member->sparse = (head & NOTE_SPARSE) != 0;
    ret_record->pieced = (head & NOTE_PIECED) != 0;
    if (read_path(view, &state->path, err) < 0 || read_owner(view, head, state, err) < 0)
        return -1;
    member->path = state->path.data;
    member->path_len = (uint32_t)state->path.len;
    member->mtime_ns = state->mtime_ns;
    member->mode = state->mode;
    member->uid = state->uid;
    member->gid = state->gid;
    if (member->kind == PACK_GONE)
        return read_was(view, member, err);
    if (!ret_record->pieced && read_header_bytes(view, &ret_record->header_bytes, err) < 0)
        return -1;
    if (has_content(member->kind) && read_content(view, ret_record->pieced, member, err) < 0)
        return -1;
    if (has_target(member->kind) && read_target(view, member, err) < 0)
        return -1;
    return (head & NOTE_XATTRS) != 0 ? read_xattrs(view, &state->xattrs, member, err) : 0;
}

/* ---- frames ---- */

void record_add_head(struct buf *out, const struct record_head *head,
                     const struct pack_frame *frames)
{
    buf_add_varint(out, head->raw_bytes);
    buf_add_varint(out, head->packed_bytes);
    buf_add_varint(out, head->frame_count);
    for (uint32_t i = 0; i < head->frame_count; i++) {
        buf_add_varint(out, frames[i].packed_bytes);
        buf_add_varint(out, frames[i].raw_bytes);
        buf_add_u64(out, frames[i].crc64);
    }
}

int record_read_head(struct view *view, struct record_head *ret_head, struct err *err)
{
    ret_head->raw_bytes = view_varint(view);
    ret_head->packed_bytes = view_varint(view);
    const uint64_t count = view_varint(view);
    if (view->bad || count > FRAME_COUNT_MAX)
        return bad(err, "number of frames");
    ret_head->frame_count = (uint32_t)count;
    return 0;
}

int record_read_frame(struct view *view, struct pack_frame *ret_frame, struct err *err)
{
    const uint64_t packed = view_varint(view);
    const uint64_t raw = view_varint(view);
    ret_frame->crc64 = view_u64(view);
    if (view->bad || packed == 0 || packed > FRAME_PACKED_MAX || raw == 0 || raw > FRAME_RAW_MAX)
        return bad(err, "frame");
    ret_frame->packed_bytes = (uint32_t)packed;
    ret_frame->raw_bytes = (uint32_t)raw;
    return 0;
}
