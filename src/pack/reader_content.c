/* The content of members. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/frame.h"
#include "pack/index_internal.h"
#include "pack/reader_internal.h"
#include "pack/tar.h"

#include <assert.h>

#define WINDOW_BYTES ((size_t)4 * 1024 * 1024) /* of frames that are read at once */
#define MAP_TRY_BYTES 512u /* of a sparse file's map before it is first looked at */

/* Called with bytes of the tar stream. 0 goes on, 1 ends it, -1 with err. */
typedef int (*stream_fn)(void *ctx, const char *bytes, size_t len, struct err *err);

static int damaged_as(struct pack_cursor *cursor, enum err_kind kind, const char *what,
                      struct err *err)
{
    cursor->damaged = true;
    return err_set(err, kind, "the pack is damaged: %s", what);
}

static int damaged(struct pack_cursor *cursor, struct err *err, const char *what)
{
    return damaged_as(cursor, ERR_CORRUPT, what, err);
}

/* What was read is read anew when it is needed again. */
static void forget_bytes(struct pack_cursor *cursor)
{
    buf_clear(&cursor->window);
    cursor->raw_frame = 0;
}

/* ---- frames ---- */

static void need_none(struct pack_cursor *cursor)
{
    const size_t count = cursor->rows.frame_count;
    buf_clear(&cursor->need);
    buf_reserve(&cursor->need, count);
    memset(cursor->need.data, 0, count);
    cursor->need.len = count;
}

static void need_range(struct pack_cursor *cursor, uint64_t from, uint64_t to)
{
    const struct index_frame *frames = index_frames(&cursor->rows);
    uint32_t i = index_frame_at(&cursor->rows, from);
    for (; from < to && i < cursor->rows.frame_count && frames[i].raw_offset < to; i++)
        cursor->need.data[i] = 1;
}

/* Read frame i, and what is needed behind it, in one go. */
static int fill_window(struct pack_cursor *cursor, uint32_t i, struct err *err)
{
    const struct index_frame *frames = index_frames(&cursor->rows);
    const struct pack_source *source = &cursor->pack->source;
    const uint64_t offset = frames[i].packed_offset;
    uint64_t len = frames[i].frame.packed_bytes;
    if (offset >= cursor->window_offset &&
        offset + len <= cursor->window_offset + cursor->window.len)
        return 0;
    for (i++; i < cursor->rows.frame_count && cursor->need.data[i] != 0 &&
              len + frames[i].frame.packed_bytes <= WINDOW_BYTES;
         i++)
        len += frames[i].frame.packed_bytes;
    forget_bytes(cursor);
    cursor->window_offset = offset;
    if (offset > source->size_bytes || len > source->size_bytes - offset)
        return damaged(cursor, err, "a frame beyond its end");
    assert(source->read != NULL);
    if (source->read(source->from, offset, (size_t)len, &cursor->window, err) < 0) {
        buf_clear(&cursor->window);
        return err_at(err, "read a pack");
    }
    return cursor->window.len == len ? 0 : damaged(cursor, err, "it ends too early");
}

/* Have frame i as it is packed, in the window. Bytes that are wrong are read once more: what went
 * wrong on the way is right then. */
static int read_frame(struct pack_cursor *cursor, uint32_t i, const char **ret_packed,
                      struct err *err)
{
    const struct index_frame *frame = &index_frames(&cursor->rows)[i];
    uint64_t before = 0;
    for (bool again = false;; again = true) {
        if (fill_window(cursor, i, err) < 0)
            return -1;
        *ret_packed = cursor->window.data + (frame->packed_offset - cursor->window_offset);
        if (cursor->pack->table.info.level == 0)
            return 0; /* it has no checksum but those of the members */
        const uint64_t crc64 = crc64nvme(0, *ret_packed, frame->frame.packed_bytes);
        if (crc64 == frame->frame.crc64)
            return 0;
        forget_bytes(cursor);
        if (again)
            return damaged_as(cursor, crc64 == before ? ERR_DAMAGED : ERR_CORRUPT,
                              "checksum of a frame", err);
        before = crc64;
    }
}

/* Have the content of frame i at cursor->content. */
static int expand(struct pack_cursor *cursor, uint32_t i, struct err *err)
{
    const struct index_frame *frame = &index_frames(&cursor->rows)[i];
    if (cursor->raw_frame == frame->packed_offset + 1)
        return 0;
    const char *packed = NULL;
    if (read_frame(cursor, i, &packed, err) < 0)
        return -1;
    cursor->raw_frame = 0;
    if (cursor->pack->table.info.level == 0) {
        cursor->content = packed;
        cursor->raw_frame = frame->packed_offset + 1;
        return 0;
    }
    if (zblock_expand(&cursor->zblock, packed, frame->frame.packed_bytes, frame->frame.raw_bytes,
                      &cursor->raw, err) < 0) {
        cursor->damaged = true;
        return -1;
    }
    cursor->content = cursor->raw.data;
    cursor->raw_frame = frame->packed_offset + 1;
    return 0;
}

/* The bytes of the tar stream [from, to), which is within the loaded block. */
static int stream(struct pack_cursor *cursor, uint64_t from, uint64_t to, stream_fn take, void *ctx,
                  struct err *err)
{
    for (uint32_t i = index_frame_at(&cursor->rows, from); from < to; i++) {
        if (i >= cursor->rows.frame_count)
            return damaged(cursor, err, "a member beyond its frames");
        if (expand(cursor, i, err) < 0)
            return -1;
        const struct index_frame *frame = &index_frames(&cursor->rows)[i];
        const uint64_t end = frame->raw_offset + frame->frame.raw_bytes;
        const uint64_t stop = end < to ? end : to;
        const int got =
            take(ctx, cursor->content + (from - frame->raw_offset), (size_t)(stop - from), err);
        if (got != 0)
            return got;
        from = stop;
    }
    return 0;
}

/* ---- a file ---- */

struct content {
    struct pack_cursor *cursor;
    const struct pack_member *member;
    pack_take_fn take;
    void *ctx;
    uint64_t from, to; /* what is wanted of the content */
    uint64_t at;       /* in the content: where the bytes are that come next */
    uint64_t crc64;    /* of all before `at` */
    /* Of a sparse file. */
    bool mapped, only_map;
    size_t map_bytes, next_try;
    size_t extent;   /* that the bytes belong to */
    uint64_t within; /* in it */
};

/* Bytes of the content, at content->at. */
static int take_data(struct content *content, const char *bytes, size_t len, struct err *err)
{
    const uint64_t at = content->at;
    content->crc64 = crc64nvme(content->crc64, bytes, len);
    content->at += len;
    const uint64_t from = at > content->from ? at : content->from;
    const uint64_t to = at + len < content->to ? at + len : content->to;
    if (from >= to || content->take == NULL)
        return 0;
    return content->take(content->ctx, content->member, from, bytes + (from - at),
                         (size_t)(to - from), err);
}

static void take_hole(struct content *content, uint64_t to)
{
    if (to != content->at)
        content->crc64 = ~crc64nvme_combine(~content->crc64, 0, to - content->at);
    content->at = to;
}

static const struct pack_extent *extents_of(const struct content *content, size_t *ret_count)
{
    *ret_count = content->cursor->extents.len / sizeof(struct pack_extent);
    return (const struct pack_extent *)(const void *)content->cursor->extents.data;
}

static int take_extents(struct content *content, const char *bytes, size_t len, struct err *err)
{
    size_t count = 0;
    const struct pack_extent *extents = extents_of(content, &count);
    while (len != 0) {
        assert(content->extent < count); /* tar_read_map() has looked that they come to the size */
        const struct pack_extent *extent = &extents[content->extent];
        const uint64_t room = extent->len_bytes - content->within;
        const size_t take = len < room ? len : (size_t)room;
        if (take != 0) {
            take_hole(content, extent->offset_bytes + content->within);
            if (take_data(content, bytes, take, err) < 0)
                return -1;
        }
        bytes += take;
        len -= take;
        content->within += take;
        if (content->within == extent->len_bytes) {
            content->extent++;
            content->within = 0;
        }
    }
    return 0;
}

/* The map comes first; what is behind it is data. */
static int take_map(struct content *content, const char *bytes, size_t len, struct err *err)
{
    struct pack_cursor *cursor = content->cursor;
    const struct pack_member *member = content->member;
    buf_add(&cursor->map, bytes, len);
    if (cursor->map.len < content->next_try && cursor->map.len < member->stored_bytes)
        return 0;
    content->next_try = cursor->map.len * 2;
    const int got = tar_read_map(cursor->map.data, cursor->map.len, member->size_bytes,
                                 member->stored_bytes, &cursor->extents, &content->map_bytes, err);
    if (got < 0)
        cursor->damaged = true;
    if (got <= 0)
        return got;
    if (cursor->map.len < content->map_bytes)
        return 0; /* its padding */
    content->mapped = true;
    if (content->only_map)
        return 1;
    return take_extents(content, cursor->map.data + content->map_bytes,
                        cursor->map.len - content->map_bytes, err);
}

static int take_stream(void *ctx, const char *bytes, size_t len, struct err *err)
{
    struct content *content = ctx;
    if (!content->member->sparse)
        return take_data(content, bytes, len, err);
    return content->mapped ? take_extents(content, bytes, len, err)
                           : take_map(content, bytes, len, err);
}

static void begin(struct content *content)
{
    buf_clear(&content->cursor->map);
    buf_clear(&content->cursor->extents);
    content->next_try = MAP_TRY_BYTES;
}

/* All of it; *ret_ok: its CRC is right. */
static int read_all(struct content *content, bool *ret_ok, struct err *err)
{
    const struct pack_member *member = content->member;
    const uint64_t from = member->offset_bytes;
    begin(content);
    if (stream(content->cursor, from, from + member->stored_bytes, take_stream, content, err) < 0)
        return -1;
    if (member->sparse && !content->mapped)
        return damaged(content->cursor, err, "the map of a sparse file");
    take_hole(content, member->size_bytes);
    *ret_ok = content->crc64 == member->crc64;
    return 0;
}

/* Its CRC was wrong. Is it so in the pack? */
static int settle_content(struct content *content, struct err *err)
{
    struct pack_cursor *cursor = content->cursor;
    struct content again = { .cursor = cursor, .member = content->member };
    bool ok = false;
    forget_bytes(cursor);
    const int result = read_all(&again, &ok, err);
    forget_bytes(cursor);
    if (result < 0)
        return -1;
    return damaged_as(cursor, again.crc64 == content->crc64 ? ERR_DAMAGED : ERR_CORRUPT,
                      "checksum of its content", err);
}

/* How many data bytes of the extents are before an offset in the content. Leaves the walk there. */
static uint64_t data_before(struct content *content, uint64_t offset)
{
    size_t count = 0;
    const struct pack_extent *extents = extents_of(content, &count);
    uint64_t data = 0;
    for (content->extent = 0; content->extent < count; content->extent++) {
        const struct pack_extent *extent = &extents[content->extent];
        if (offset < extent->offset_bytes + extent->len_bytes) {
            content->within = offset > extent->offset_bytes ? offset - extent->offset_bytes : 0;
            return data + content->within;
        }
        data += extent->len_bytes;
    }
    content->within = 0;
    return data;
}

/* The map alone, into the cursor's extents. */
static int read_map(struct content *content, struct err *err)
{
    const struct pack_member *member = content->member;
    const uint64_t end = member->offset_bytes + member->stored_bytes;
    content->only_map = true;
    begin(content);
    if (stream(content->cursor, member->offset_bytes, end, take_stream, content, err) < 0)
        return -1;
    return content->mapped ? 0 : damaged(content->cursor, err, "the map of a sparse file");
}

static int read_sparse_part(struct content *content, struct err *err)
{
    const struct pack_member *member = content->member;
    struct pack_cursor *cursor = content->cursor;
    if (read_map(content, err) < 0)
        return -1;
    const uint64_t data = member->offset_bytes + content->map_bytes;
    const uint64_t to = data + data_before(content, content->to);
    const uint64_t from = data + data_before(content, content->from);
    content->at = content->from;
    need_range(cursor, from, to);
    return stream(cursor, from, to, take_stream, content, err) < 0 ? -1 : 0;
}

static int read_part(struct content *content, struct err *err)
{
    const struct pack_member *member = content->member;
    if (member->sparse)
        return read_sparse_part(content, err);
    const uint64_t from = member->offset_bytes + content->from;
    const uint64_t to = member->offset_bytes + content->to;
    content->at = content->from;
    need_range(content->cursor, from, to);
    return stream(content->cursor, from, to, take_stream, content, err) < 0 ? -1 : 0;
}

/* Errors name the member, whatever bytes it is made of. */
static int at_member(const struct pack_member *member, struct err *err)
{
    return err_at(err, "member '%.*s'", (int)member->path_len, member->path);
}

int pack_read(struct pack_cursor *cursor, const struct pack_member *member, uint64_t offset_bytes,
              uint64_t len, pack_take_fn take, void *ctx, struct err *err)
{
    if (member->kind != PACK_FILE || offset_bytes >= member->size_bytes)
        offset_bytes = len = 0;
    if (len > member->size_bytes - offset_bytes)
        len = member->size_bytes - offset_bytes;
    struct content content = { .cursor = cursor,
                               .member = member,
                               .take = take,
                               .ctx = ctx,
                               .from = offset_bytes,
                               .to = offset_bytes + len };
    if (len == 0)
        return 0;
    if (cursor_load(cursor, member->block, err) < 0)
        return at_member(member, err);
    need_none(cursor);
    if (len != member->size_bytes)
        return read_part(&content, err) < 0 ? at_member(member, err) : 0;
    bool ok = false;
    need_range(cursor, member->offset_bytes, member->offset_bytes + member->stored_bytes);
    if (read_all(&content, &ok, err) < 0 || (!ok && settle_content(&content, err) < 0))
        return at_member(member, err);
    return 0;
}

int pack_read_map(struct pack_cursor *cursor, const struct pack_member *member,
                  const struct pack_extent **ret_extents, size_t *ret_count, struct err *err)
{
    struct content content = { .cursor = cursor, .member = member };
    assert(member->kind == PACK_FILE && member->sparse);
    if (cursor_load(cursor, member->block, err) < 0)
        return at_member(member, err);
    need_none(cursor);
    if (read_map(&content, err) < 0)
        return at_member(member, err);
    *ret_extents = extents_of(&content, ret_count);
    return 0;
}

/* ---- many ---- */

/* Which members are wanted, a byte each, and the frames that they need. */
static void mark_wanted(struct pack_cursor *cursor, const struct pack_visitor *visitor,
                        struct buf *wanted)
{
    need_none(cursor);
    for (uint32_t i = 0; i < cursor->rows.count; i++) {
        struct pack_member member;
        cursor_member(cursor, i, &member);
        const bool want = visitor->want == NULL || visitor->want(visitor->ctx, &member);
        buf_add_char(wanted, want);
        if (want && member.kind == PACK_FILE)
            need_range(cursor, member.offset_bytes, member.offset_bytes + member.stored_bytes);
    }
}

static int visit_member(struct pack_cursor *cursor, uint32_t ordinal,
                        const struct pack_visitor *visitor, struct err *err)
{
    struct pack_member member;
    cursor_member(cursor, ordinal, &member);
    bool ok = true;
    if (member.kind == PACK_FILE) {
        struct content content = { .cursor = cursor,
                                   .member = &member,
                                   .take = visitor->take,
                                   .ctx = visitor->ctx,
                                   .to = member.size_bytes };
        cursor->damaged = false;
        if (read_all(&content, &ok, err) < 0) {
            if (!cursor->damaged)
                return at_member(&member, err);
            err_clear(err);
            ok = false;
        }
    }
    return visitor->end(visitor->ctx, &member, ok, err);
}

static int take_nothing(void *ctx, const char *bytes, size_t len, struct err *err)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    (void)err;
    return 0;
}

static int check_member(struct pack_cursor *cursor, uint32_t ordinal, struct err *err)
{
    const struct index_row row = cursor->rows.rows[ordinal];
    struct pack_member member;
    bool ok = true;
    cursor_member(cursor, ordinal, &member);
    struct content content = { .cursor = cursor, .member = &member };
    const uint64_t end = row.offset_bytes + row.stored_bytes;
    if (stream(cursor, row.header_offset, row.offset_bytes, take_nothing, NULL, err) < 0 ||
        (member.kind == PACK_FILE && read_all(&content, &ok, err) < 0) ||
        stream(cursor, end, end + tar_padding(row.stored_bytes), take_nothing, NULL, err) < 0)
        return at_member(&member, err);
    if (!ok) {
        damaged(cursor, err, "checksum of its content");
        return at_member(&member, err);
    }
    return 0;
}

int cursor_check(struct pack_cursor *cursor, struct err *err)
{
    need_none(cursor);
    memset(cursor->need.data, 1, cursor->need.len);
    for (uint32_t i = 0; i < cursor->rows.count; i++) {
        if (check_member(cursor, i, err) < 0)
            return -1;
    }
    return 0;
}

int pack_visit(struct pack_cursor *cursor, uint32_t block, const struct pack_visitor *visitor,
               struct err *err)
{
    SCOPED(buf) struct buf wanted = { 0 };
    assert(block < pack_block_count(cursor->pack));
    if (cursor_load(cursor, block, err) < 0)
        return -1;
    mark_wanted(cursor, visitor, &wanted);
    for (uint32_t i = 0; i < cursor->rows.count; i++) {
        if (wanted.data[i] != 0 && visit_member(cursor, i, visitor, err) < 0)
            return -1;
    }
    return 0;
}
