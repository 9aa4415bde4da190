/* A pack. First byte: 0 the rest is an object; 1 it is one block of an index: number of members,
 * level, u16 length of the numbers, these, the keys; 2 it is the table of an index, of so many
 * blocks as the next byte says; 3 the map of a sparse file. Checksums and lengths around it are
 * made to fit. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/scope.h"
#include "base/xattr.h"
#include "fuzz.h"
#include "pack/index.h"
#include "pack/reader.h"
#include "pack/tar.h"

#define TAR_BYTES UINT64_C(1048576) /* of what is read behind the index */

static void require(bool promise)
{
    if (!promise)
        abort();
}

struct input {
    const uint8_t *data;
    size_t size;
    bool repeat; /* as long as is asked for */
};

static int read_input(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    const struct input *input = from;
    if (!input->repeat) {
        require(offset <= input->size && len <= input->size - offset);
        buf_add(out, input->data + offset, len);
        return 0;
    }
    if (input->size == 0 || len > 8 * TAR_BYTES)
        return err_set(err, ERR_NET, "nothing there");
    for (size_t i = 0; i < len; i++)
        buf_add_char(out, (char)input->data[(offset + i) % input->size]);
    return 0;
}

static int take(void *ctx, const struct pack_member *member, uint64_t offset, const void *bytes,
                size_t len, struct err *err)
{
    (void)bytes;
    (void)err;
    require(len != 0 && offset >= *(uint64_t *)ctx && offset + len <= member->size_bytes);
    *(uint64_t *)ctx = offset + len;
    return 0;
}

static int end(void *ctx, const struct pack_member *member, bool crc_ok, struct err *err)
{
    (void)member;
    (void)crc_ok;
    (void)err;
    *(uint64_t *)ctx = 0;
    return 0;
}

static void check_member(const struct pack_member *member)
{
    require(member->kind >= PACK_FILE && member->kind < PACK_KIND_COUNT);
    require(strlen(member->path) == member->path_len && member->path_len != 0);
    require(member->path[0] != '/' && strcmp(member->path, "..") != 0);
    require(strstr(member->path, "/../") == NULL && member->mode <= 07777);
    require(xattr_set_ok(member->xattrs, member->xattrs_len));
    require(member->target_len == 0 || strlen(member->target) == member->target_len);
}

static void expect_kind(const struct err *err)
{
    require(err->kind == ERR_CORRUPT || err->kind == ERR_DAMAGED || err->kind == ERR_NET);
}

static void walk(const struct pack *pack)
{
    struct pack_cursor *cursor = pack_cursor_new(pack);
    struct pack_cursor *other = pack_cursor_new(pack);
    struct pack_member member;
    struct pack_member found;
    struct err err = { 0 };
    uint64_t count = 0;
    uint64_t at = 0;
    int got = pack_seek(cursor, "", 0, &err);
    while (got == 0 && (got = pack_next(cursor, &member, &err)) == 1) {
        check_member(&member);
        require(pack_find(other, member.path, member.path_len, &found, &err) == 1);
        at = 0;
        if (pack_read(other, &found, member.size_bytes / 3, member.size_bytes / 2 + 1, take, &at,
                      &err) < 0)
            expect_kind(&err);
        err_clear(&err);
        got = 0;
        count++;
    }
    require(got < 0 || count == pack_info(pack)->member_count);
    const struct pack_visitor visitor = { .take = take, .end = end, .ctx = &at };
    for (uint32_t i = 0; i < pack_block_count(pack); i++) {
        err_clear(&err);
        at = 0;
        if (pack_visit(cursor, i, &visitor, &err) < 0)
            expect_kind(&err);
    }
    err_clear(&err);
    if (pack_verify(pack, &err) < 0)
        expect_kind(&err);
    pack_cursor_free(cursor);
    pack_cursor_free(other);
}

/* An index of what is given, with its sums. */
static void frame_index(const struct buf *numbers, const struct buf *keys, const void *table,
                        size_t table_len, uint64_t members, uint32_t blocks, struct buf *out)
{
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf packed = { 0 };
    zblock_compress(&zblock, table, table_len, &packed);
    const size_t start = out->len;
    buf_add_text(out, "LADEPAK1");
    buf_add(out, buf_text(numbers), numbers->len);
    const size_t keys_offset = out->len - start;
    buf_add(out, buf_text(keys), keys->len);
    const size_t table_offset = out->len - start;
    buf_add(out, packed.data, packed.len);
    const size_t footer = out->len;
    buf_add_u64(out, footer - start + INDEX_FOOTER_BYTES);
    buf_add_u64(out, keys_offset);
    buf_add_u64(out, table_offset);
    buf_add_u32(out, (uint32_t)packed.len);
    buf_add_u32(out, (uint32_t)table_len);
    buf_add_u64(out, crc64nvme(0, packed.data, packed.len));
    buf_add_u64(out, members);
    buf_add_u64(out, 0);
    buf_add_u64(out, TAR_BYTES);
    buf_add_u64(out, TAR_BYTES);
    buf_add_u32(out, 4);
    buf_add_u32(out, blocks);
    buf_add_u64(out, 0);
    buf_add_u64(out, crc64nvme(0, out->data + footer, 88));
    buf_add_text(out, "LADEPKE1");
}

static void add_part(struct buf *table, const struct buf *packed, size_t raw_len)
{
    buf_add_varint(table, packed->len);
    buf_add_varint(table, raw_len);
    buf_add_u64(table, crc64nvme(0, packed->data, packed->len));
}

static void make_block(const uint8_t *data, size_t size, struct buf *index)
{
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf numbers = { 0 };
    SCOPED(buf) struct buf keys = { 0 };
    SCOPED(buf) struct buf table = { 0 };
    struct view view = view_of(data, size);
    const uint8_t count = view_u8(&view);
    const uint8_t level = view_u8(&view);
    size_t len = view_u8(&view);
    len |= (size_t)view_u8(&view) << 8;
    if (len > view_left(&view))
        len = view_left(&view);
    const void *raw = view_bytes(&view, len);
    zblock_compress(&zblock, raw, len, &numbers);
    zblock_compress(&zblock, view.at, view_left(&view), &keys);
    buf_add_varint(&table, 3);
    buf_add_varint(&table, 7); /* the level */
    buf_add_varint(&table, 1);
    buf_add_char(&table, (char)(level & 0x7f));
    buf_add_varint(&table, 0); /* the first key */
    buf_add_varint(&table, count);
    add_part(&table, &numbers, len);
    add_part(&table, &keys, view_left(&view));
    frame_index(&numbers, &keys, table.data, table.len, count, 1, index);
}

static void open_index(const struct buf *index, struct input *input)
{
    struct err err = { 0 };
    struct pack *pack = NULL;
    input->repeat = true;
    struct pack_source source = { .read = read_input, .from = input, .size_bytes = TAR_BYTES };
    int got = pack_open_index(&pack, index->data, index->len, &source, &err);
    if (got < 0) { /* with frames the object is longer */
        err_clear(&err);
        source.size_bytes += 8 + index->len + 8 + 5 * 8 + 9;
        got = pack_open_index(&pack, index->data, index->len, &source, &err);
    }
    if (got < 0) {
        require(err.kind == ERR_CORRUPT);
        return;
    }
    walk(pack);
    pack_free(pack);
}

static void open_object(struct input *input)
{
    struct err err = { 0 };
    struct pack *pack = NULL;
    const struct pack_source source = { .read = read_input,
                                        .from = input,
                                        .size_bytes = input->size };
    if (pack_open(&pack, &source, &err) < 0) {
        require(err.kind == ERR_CORRUPT || err.kind == ERR_ABSENT);
        return;
    }
    walk(pack);
    pack_free(pack);
}

static void read_map(const uint8_t *data, size_t size)
{
    SCOPED(buf) struct buf extents = { 0 };
    struct err err = { 0 };
    size_t map_bytes = 0;
    const uint64_t stored = size + (size != 0 ? data[size - 1] : 0);
    const int got = tar_read_map(data, size, UINT64_C(1) << 40, stored, &extents, &map_bytes, &err);
    require(got >= 0 || err.kind == ERR_CORRUPT);
    if (got == 1)
        require(map_bytes <= stored && map_bytes % TAR_BLOCK == 0 && extents.len / 16 <= size / 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    SCOPED(buf) struct buf index = { 0 };
    struct input input = { .data = data + 1, .size = size - 1 };
    const struct buf none = { 0 };
    switch (data[0] % 4) {
    case 0:
        open_object(&input);
        break;
    case 1:
        make_block(data + 1, size - 1, &index);
        open_index(&index, &input);
        break;
    case 2:
        if (size < 3)
            break;
        frame_index(&none, &none, data + 2, size - 2, data[1], data[1], &index);
        open_index(&index, &input);
        break;
    default:
        read_map(data + 1, size - 1);
        break;
    }
    return 0;
}
