#include "pack/reader.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/frame.h"
#include "pack/index_internal.h"
#include "pack/reader_internal.h"
#include "pack/tar.h"

#include <assert.h>

#define PLAIN_SLICE ((uint64_t)1 << 20) /* of a plain tar: in place of a frame */
#define PLAIN_SLICES_MAX 65536u

/* ---- opening ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the pack is damaged: %s", what);
}

static int not_ours(struct err *err)
{
    return err_set(err, ERR_ABSENT, "is no pack of lade");
}

static int source_read(const struct pack_source *source, uint64_t offset, size_t len,
                       struct buf *out, struct err *err)
{
    const size_t before = out->len;
    if (offset > source->size_bytes || len > source->size_bytes - offset)
        return bad(err, "it ends too early");
    if (len == 0)
        return 0;
    if (source->read(source->from, offset, len, out, err) < 0)
        return -1;
    return out->len - before == len ? 0 : bad(err, "it ends too early");
}

/* Bytes of the index that are not held, appended to out. */
static int read_index(const struct pack *pack, uint64_t offset, size_t len, struct buf *out,
                      struct err *err)
{
    if (pack->apart.read != NULL) {
        const size_t before = out->len;
        struct err why = { 0 };
        if (source_read(&pack->apart, offset, len, out, &why) == 0)
            return 0;
        if (pack->source.read == NULL || pack->index_offset == 0) {
            *err = why;
            return -1;
        }
        buf_cut(out, before);
    }
    return source_read(&pack->source, pack->index_offset + offset, len, out, err);
}

int pack_index_at(const struct pack *pack, uint64_t offset, size_t len, struct buf *scratch,
                  const void **ret_bytes, struct err *err)
{
    const uint64_t index_bytes = pack->table.footer.index_bytes;
    if (offset > index_bytes || len > index_bytes - offset)
        return bad(err, "a block beyond the index");
    if (offset >= pack->held_from) {
        *ret_bytes = buf_text(&pack->held) + (offset - pack->held_from);
        return 0;
    }
    buf_clear(scratch);
    if (read_index(pack, offset, len, scratch, err) < 0)
        return err_at(err, "read the index of a pack");
    *ret_bytes = buf_text(scratch);
    return 0;
}

static int open_table(struct pack *pack, const struct index_footer *footer, struct err *err)
{
    SCOPED(buf) struct buf scratch = { 0 };
    const void *bytes = NULL;
    pack->table.footer = *footer;
    if (pack_index_at(pack, footer->table_offset, footer->table_packed, &scratch, &bytes, err) < 0)
        return -1;
    return index_read_table(&pack->table, footer, bytes, err);
}

/* How many bytes the seek table of so many frames and the index has. */
static uint64_t seek_bytes(uint32_t frame_count)
{
    return FRAME_HEADER_BYTES + ((uint64_t)frame_count + 1) * SEEK_ENTRY_BYTES + SEEK_FOOTER_BYTES;
}

/* The footer of a seek table: how many bytes the table has in all; 0 when it is none that we make.
 */
static uint64_t read_seek_footer(const char *end)
{
    struct view view = view_of(end - SEEK_FOOTER_BYTES, SEEK_FOOTER_BYTES);
    const uint32_t entries = view_u32(&view);
    const uint8_t descriptor = view_u8(&view);
    if (view_u32(&view) != SEEK_MAGIC || descriptor != 0 || entries < 2 ||
        entries > FRAME_COUNT_MAX + 1)
        return 0;
    return seek_bytes(entries - 1);
}

/* Where things are, from the end of the object in `tail`. */
static int locate(struct pack *pack, struct buf *tail, uint64_t tail_offset,
                  struct index_footer *ret_footer, struct err *err)
{
    const uint64_t size = pack->source.size_bytes;
    const uint64_t seek = read_seek_footer(tail->data + tail->len);
    if (seek == 0 || seek + INDEX_FOOTER_BYTES > size)
        return not_ours(err);
    const uint64_t footer_offset = size - seek - INDEX_FOOTER_BYTES;
    if (footer_offset < tail_offset) {
        /* More frames than the tail has room for: read to the same distance behind the table. */
        const uint64_t from = footer_offset > PACK_TAIL_BYTES ? footer_offset - PACK_TAIL_BYTES : 0;
        buf_clear(tail);
        tail_offset = from;
        if (source_read(&pack->source, from, (size_t)(footer_offset + INDEX_FOOTER_BYTES - from),
                        tail, err) < 0)
            return -1;
    }
    if (index_read_footer(tail->data + (footer_offset - tail_offset), ret_footer, err) < 0) {
        if (err->kind != ERR_ABSENT)
            return -1;
        err_clear(err);
        return not_ours(err);
    }
    const struct index_footer *footer = ret_footer;
    if (seek_bytes(footer->frame_count) != seek ||
        footer->data_bytes + FRAME_HEADER_BYTES + footer->index_bytes + seek != size)
        return bad(err, "its parts do not come to its size");
    const uint64_t seek_offset = size - seek;
    if (seek_offset >= tail_offset && tail_offset + tail->len == size &&
        crc64nvme(0, tail->data + (seek_offset - tail_offset), (size_t)seek) != footer->seek_crc)
        return bad(err, "checksum of the seek table");
    pack->index_offset = footer->data_bytes + FRAME_HEADER_BYTES;
    pack->held_from = 0;
    const char *from = tail->data;
    if (pack->index_offset >= tail_offset)
        from += pack->index_offset - tail_offset;
    else
        pack->held_from = tail_offset - pack->index_offset;
    buf_add(&pack->held, from, (size_t)(footer->index_bytes - pack->held_from));
    return 0;
}

static int check_info(const struct pack *pack, bool plain, struct err *err)
{
    return (pack->table.info.level == 0) == plain ? 0
                                                  : bad(err, "its index is that of another kind");
}

static int open_whole(struct pack *pack, struct err *err)
{
    SCOPED(buf) struct buf tail = { 0 };
    const uint64_t size = pack->source.size_bytes;
    if (size < SEEK_FOOTER_BYTES + INDEX_FOOTER_BYTES)
        return not_ours(err);
    const size_t len = size < PACK_TAIL_BYTES ? (size_t)size : PACK_TAIL_BYTES;
    struct index_footer footer = { 0 };
    if (source_read(&pack->source, size - len, len, &tail, err) < 0 ||
        locate(pack, &tail, size - len, &footer, err) < 0 || open_table(pack, &footer, err) < 0)
        return -1;
    return check_info(pack, false, err);
}

int pack_open(struct pack **ret_pack, const struct pack_source *source, struct err *err)
{
    struct pack *pack = mem_alloc(sizeof *pack);
    pack->source = *source;
    if (open_whole(pack, err) < 0) {
        pack_free(pack);
        return -1;
    }
    *ret_pack = pack;
    return 0;
}

/* Where its parts are, once its bytes can be read. */
static int open_apart(struct pack *pack, const char *head, const char *footer_bytes, uint64_t len,
                      struct err *err)
{
    const struct pack_source *source = &pack->source;
    struct index_footer footer = { 0 };
    if (index_read_footer(footer_bytes, &footer, err) < 0)
        return -1;
    if (footer.index_bytes != len || memcmp(head, HEAD_MAGIC, MAGIC_LEN) != 0)
        return bad(err, "length of its index");
    if (open_table(pack, &footer, err) < 0)
        return -1;
    const bool plain = pack->table.info.level == 0;
    pack->index_offset = plain ? 0 : footer.data_bytes + FRAME_HEADER_BYTES;
    const uint64_t rest =
        plain ? 0 : FRAME_HEADER_BYTES + footer.index_bytes + seek_bytes(footer.frame_count);
    if (source->read != NULL && source->size_bytes != footer.data_bytes + rest)
        /* A tar that was replaced, as its ETag would tell, is none of ours. */
        return plain ? err_set(err, ERR_ABSENT, "its index is of another object")
                     : bad(err, "its size is not what its index says");
    return 0;
}

static int no_index(struct err *err)
{
    return err_set(err, ERR_ABSENT, "is no index of lade");
}

int pack_open_index(struct pack **ret_pack, const void *index, size_t len,
                    const struct pack_source *source, struct err *err)
{
    if (len < INDEX_FOOTER_BYTES + INDEX_HEAD_BYTES)
        return no_index(err);
    struct pack *pack = mem_alloc(sizeof *pack);
    pack->source = *source;
    buf_add(&pack->held, index, len);
    if (open_apart(pack, index, (const char *)index + len - INDEX_FOOTER_BYTES, len, err) < 0) {
        pack_free(pack);
        return -1;
    }
    *ret_pack = pack;
    return 0;
}

int pack_open_apart(struct pack **ret_pack, const struct pack_source *index,
                    const struct pack_source *source, struct err *err)
{
    SCOPED(buf) struct buf ends = { 0 };
    const uint64_t len = index->size_bytes;
    if (len < INDEX_FOOTER_BYTES + INDEX_HEAD_BYTES)
        return no_index(err);
    if (source_read(index, 0, INDEX_HEAD_BYTES, &ends, err) < 0 ||
        source_read(index, len - INDEX_FOOTER_BYTES, INDEX_FOOTER_BYTES, &ends, err) < 0)
        return -1;
    struct pack *pack = mem_alloc(sizeof *pack);
    pack->source = *source;
    pack->apart = *index;
    pack->held_from = len;
    if (open_apart(pack, ends.data, ends.data + INDEX_HEAD_BYTES, len, err) < 0) {
        pack_free(pack);
        return -1;
    }
    *ret_pack = pack;
    return 0;
}

void pack_free(struct pack *pack)
{
    if (pack == NULL)
        return;
    index_table_done(&pack->table);
    buf_done(&pack->held);
    mem_release(pack);
}

const struct pack_info *pack_info(const struct pack *pack)
{
    return &pack->table.info;
}

int pack_index_bytes(const struct pack *pack, struct buf *out, struct err *err)
{
    if (pack->held_from != 0 && read_index(pack, 0, (size_t)pack->held_from, out, err) < 0)
        return err_at(err, "read the index of a pack");
    buf_add(out, pack->held.data, pack->held.len);
    return 0;
}

int pack_hold_index(struct pack *pack, struct err *err)
{
    if (pack->held_from == 0)
        return 0;
    struct buf all = { 0 };
    if (pack_index_bytes(pack, &all, err) < 0) {
        buf_done(&all);
        return -1;
    }
    buf_done(&pack->held);
    pack->held = all;
    pack->held_from = 0;
    return 0;
}

uint32_t pack_block_count(const struct pack *pack)
{
    return pack->table.footer.block_count;
}

/* ---- blocks ---- */

struct pack_cursor *pack_cursor_new(const struct pack *pack)
{
    struct pack_cursor *cursor = mem_alloc(sizeof *cursor);
    cursor->pack = pack;
    return cursor;
}

void pack_cursor_free(struct pack_cursor *cursor)
{
    if (cursor == NULL)
        return;
    index_rows_done(&cursor->rows);
    zblock_done(&cursor->zblock);
    buf_done(&cursor->scratch);
    buf_done(&cursor->path);
    buf_done(&cursor->prefix);
    buf_done(&cursor->need);
    buf_done(&cursor->window);
    buf_done(&cursor->raw);
    buf_done(&cursor->map);
    buf_done(&cursor->extents);
    mem_release(cursor);
}

int cursor_load_keys(struct pack_cursor *cursor, uint32_t block, struct err *err)
{
    const struct index_block *at = &cursor->pack->table.blocks[block];
    if (cursor->rows.has_keys && cursor->rows.block == block)
        return 0;
    const void *bytes = NULL;
    if (pack_index_at(cursor->pack, at->keys_offset, at->keys_packed, &cursor->scratch, &bytes,
                      err) < 0)
        return -1;
    return index_read_keys(&cursor->rows, &cursor->pack->table, block, bytes, err);
}

/* A plain tar has no frames. What is read at once takes their place. */
static void add_slices(struct index_rows *rows)
{
    if (rows->count == 0 || rows->frame_count != 0)
        return;
    const struct index_row *last = &rows->rows[rows->count - 1];
    uint64_t at = rows->rows[0].header_offset;
    const uint64_t end = last->offset_bytes + last->stored_bytes + tar_padding(last->stored_bytes);
    uint64_t slice = (end - at) / PLAIN_SLICES_MAX + 1;
    if (slice < PLAIN_SLICE)
        slice = PLAIN_SLICE;
    for (; at < end; at += slice) {
        const uint64_t len = end - at < slice ? end - at : slice;
        const struct index_frame frame = {
            .frame = { .packed_bytes = (uint32_t)len, .raw_bytes = (uint32_t)len },
            .packed_offset = at,
            .raw_offset = at,
        };
        buf_add(&rows->frames, &frame, sizeof frame);
        rows->frame_count++;
    }
}

int cursor_load(struct pack_cursor *cursor, uint32_t block, struct err *err)
{
    const struct index_block *at = &cursor->pack->table.blocks[block];
    if (cursor_load_keys(cursor, block, err) < 0)
        return -1;
    if (cursor->rows.has_numbers)
        return 0;
    const void *bytes = NULL;
    if (pack_index_at(cursor->pack, at->numbers_offset, at->numbers_packed, &cursor->scratch,
                      &bytes, err) < 0 ||
        index_read_numbers(&cursor->rows, &cursor->pack->table, bytes, err) < 0)
        return -1;
    if (cursor->pack->table.info.level == 0)
        add_slices(&cursor->rows);
    return 0;
}

/* ---- members ---- */

/* The path, with a NUL behind it. */
static void set_path(struct pack_cursor *cursor, const struct index_row *row,
                     struct pack_member *member)
{
    const unsigned kind = row->kind == PACK_GONE ? row->was : row->kind;
    member->path = cursor->rows.keys.data + row->key;
    member->path_len = row->key_len;
    if (kind != PACK_DIR && kind != PACK_LINK)
        return;
    member->path_len -= kind == PACK_DIR ? 1 : (uint32_t)sizeof LINK_SUFFIX - 1;
    buf_clear(&cursor->path);
    buf_add(&cursor->path, member->path, member->path_len);
    member->path = cursor->path.data;
}

void cursor_member(struct pack_cursor *cursor, uint32_t ordinal, struct pack_member *ret_member)
{
    const struct index_rows *rows = &cursor->rows;
    const struct index_row *row = &rows->rows[ordinal];
    *ret_member = (struct pack_member){ .kind = (enum pack_kind)row->kind,
                                        .was = (enum pack_kind)row->was,
                                        .racy = row->racy,
                                        .sparse = row->sparse,
                                        .mode = row->mode,
                                        .uid = row->uid,
                                        .gid = row->gid,
                                        .mtime_ns = row->mtime_ns,
                                        .size_bytes = row->size_bytes,
                                        .crc64 = row->crc64,
                                        .offset_bytes = row->offset_bytes,
                                        .stored_bytes = row->stored_bytes,
                                        .block = rows->block,
                                        .ordinal = ordinal };
    set_path(cursor, row, ret_member);
    if (row->kind == PACK_LINK || row->kind == PACK_HARDLINK) {
        ret_member->target = rows->numbers.data + row->target;
        ret_member->target_len = row->target_len;
    }
    if (row->xattrs.len != 0) {
        ret_member->xattrs = rows->numbers.data + row->xattrs.at;
        ret_member->xattrs_len = row->xattrs.len;
    }
    const uint32_t frame = index_frame_at(rows, row->offset_bytes);
    if (frame < rows->frame_count) {
        const struct index_frame *at = &index_frames(rows)[frame];
        ret_member->frame_offset_bytes = at->packed_offset;
        ret_member->frame_skip_bytes = row->offset_bytes - at->raw_offset;
    }
}

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

/* The block that holds the key, if any does: the last that does not begin behind it. */
static uint32_t block_of(const struct pack *pack, const char *key, size_t len)
{
    uint32_t low = 0;
    uint32_t high = pack->table.footer.block_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct index_block *block = &pack->table.blocks[middle];
        if (compare(block->first, block->first_len, key, len) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? 0 : low - 1;
}

/* The first member of the loaded block whose key is not before this. */
static uint32_t ordinal_of(const struct index_rows *rows, const char *key, size_t len)
{
    uint32_t low = 0;
    uint32_t high = rows->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct index_row *row = &rows->rows[middle];
        if (compare(rows->keys.data + row->key, row->key_len, key, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int find_key(struct pack_cursor *cursor, const struct buf *key, struct pack_member *member,
                    struct err *err)
{
    const uint32_t block = block_of(cursor->pack, buf_text(key), key->len);
    if (cursor_load_keys(cursor, block, err) < 0)
        return -1;
    const struct index_rows *rows = &cursor->rows;
    const uint32_t ordinal = ordinal_of(rows, buf_text(key), key->len);
    if (ordinal == rows->count || rows->rows[ordinal].key_len != key->len ||
        memcmp(rows->keys.data + rows->rows[ordinal].key, buf_text(key), key->len) != 0)
        return 0;
    if (cursor_load(cursor, block, err) < 0)
        return -1;
    cursor_member(cursor, ordinal, member);
    return 1;
}

int pack_find(struct pack_cursor *cursor, const char *path, size_t path_len,
              struct pack_member *ret_member, struct err *err)
{
    static const enum pack_kind kinds[] = { PACK_FILE, PACK_LINK, PACK_DIR };
    SCOPED(buf) struct buf key = { 0 };
    if (pack_block_count(cursor->pack) == 0 || path_len == 0 || path_len > PACK_PATH_MAX)
        return 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct pack_member member = { .path = path,
                                            .path_len = (uint32_t)path_len,
                                            .kind = kinds[i] };
        struct pack_member found;
        buf_clear(&key);
        pack_member_key(&member, &key);
        const int got = find_key(cursor, &key, &found, err);
        if (got < 0)
            return -1;
        /* A file may have a name that ends as those of links do. */
        if (got == 1 && found.path_len == path_len) {
            *ret_member = found;
            return 1;
        }
    }
    return 0;
}

int pack_seek(struct pack_cursor *cursor, const char *prefix, size_t prefix_len, struct err *err)
{
    SCOPED(buf) struct buf copy = { 0 }; /* it may be one that the cursor gave */
    buf_add(&copy, prefix, prefix_len);
    buf_clear(&cursor->prefix);
    buf_add(&cursor->prefix, copy.data, copy.len);
    cursor->next_block = cursor->next_ordinal = 0;
    if (pack_block_count(cursor->pack) == 0)
        return 0;
    cursor->next_block = block_of(cursor->pack, copy.data, copy.len);
    if (cursor_load_keys(cursor, cursor->next_block, err) < 0)
        return -1;
    cursor->next_ordinal = ordinal_of(&cursor->rows, copy.data, copy.len);
    return 0;
}

int pack_seek_from(struct pack_cursor *cursor, const char *key, size_t key_len, struct err *err)
{
    if (pack_seek(cursor, key, key_len, err) < 0)
        return -1;
    buf_clear(&cursor->prefix);
    return 0;
}

int pack_next(struct pack_cursor *cursor, struct pack_member *ret_member, struct err *err)
{
    while (cursor->next_block < pack_block_count(cursor->pack)) {
        if (cursor_load(cursor, cursor->next_block, err) < 0)
            return -1;
        if (cursor->next_ordinal < cursor->rows.count)
            break;
        cursor->next_block++;
        cursor->next_ordinal = 0;
    }
    if (cursor->next_block == pack_block_count(cursor->pack))
        return 0;
    const struct index_row *row = &cursor->rows.rows[cursor->next_ordinal];
    if (row->key_len < cursor->prefix.len ||
        memcmp(cursor->rows.keys.data + row->key, buf_text(&cursor->prefix), cursor->prefix.len) !=
            0)
        return 0;
    cursor_member(cursor, cursor->next_ordinal++, ret_member);
    return 1;
}

int pack_keys(struct pack_cursor *cursor, uint32_t block, const char **ret_keys, size_t *ret_len,
              uint32_t *ret_count, struct err *err)
{
    assert(block < pack_block_count(cursor->pack));
    if (cursor_load_keys(cursor, block, err) < 0)
        return -1;
    *ret_keys = cursor->rows.keys.data;
    *ret_len = cursor->rows.keys.len;
    *ret_count = cursor->rows.count;
    return 0;
}

int pack_scan(struct pack_cursor *cursor, uint32_t block, const char **ret_keys, size_t *ret_len,
              struct err *err)
{
    const struct pack *pack = cursor->pack;
    assert(block < pack_block_count(pack));
    const struct index_block *at = &pack->table.blocks[block];
    const void *bytes = NULL;
    if (pack_index_at(pack, at->keys_offset, at->keys_packed, &cursor->scratch, &bytes, err) < 0 ||
        index_scan_keys(&cursor->rows, &pack->table, block, bytes, err) < 0)
        return -1;
    *ret_keys = cursor->rows.keys.data;
    *ret_len = cursor->rows.keys.len;
    return 0;
}

int pack_member_at(struct pack_cursor *cursor, uint32_t block, uint32_t ordinal,
                   struct pack_member *ret_member, struct err *err)
{
    assert(block < pack_block_count(cursor->pack));
    if (cursor_load(cursor, block, err) < 0)
        return -1;
    assert(ordinal < cursor->rows.count);
    cursor_member(cursor, ordinal, ret_member);
    return 0;
}
