#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "pack/frame.h"
#include "pack/index.h"
#include "pack/index_internal.h"
#include "pack/tar.h"

#define OFFSET_MAX ((uint64_t)INT64_MAX) /* so that sums of a few offsets cannot wrap */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the index is damaged: %s", what);
}

/* ---- the footer ---- */

int index_read_footer(const void *bytes, struct index_footer *ret_footer, struct err *err)
{
    struct view view = view_of(bytes, INDEX_FOOTER_BYTES);
    const char *magic = (const char *)bytes + INDEX_FOOTER_BYTES - MAGIC_LEN;
    if (memcmp(magic, FOOTER_MAGIC, MAGIC_LEN) != 0)
        return err_set(err, ERR_ABSENT, "has no index of lade");
    struct index_footer footer = { 0 };
    footer.index_bytes = view_u64(&view);
    footer.keys_offset = view_u64(&view);
    footer.table_offset = view_u64(&view);
    footer.table_packed = view_u32(&view);
    footer.table_raw = view_u32(&view);
    footer.table_crc = view_u64(&view);
    footer.member_count = view_u64(&view);
    footer.content_bytes = view_u64(&view);
    footer.tar_bytes = view_u64(&view);
    footer.data_bytes = view_u64(&view);
    footer.frame_count = view_u32(&view);
    footer.block_count = view_u32(&view);
    footer.seek_crc = view_u64(&view);
    if (view_u64(&view) != crc64nvme(0, bytes, FOOTER_CRC_AT))
        return bad(err, "checksum of its footer");
    if (footer.index_bytes > UINT32_MAX || footer.keys_offset < INDEX_HEAD_BYTES ||
        footer.keys_offset > footer.table_offset || footer.table_offset > footer.index_bytes ||
        footer.index_bytes - footer.table_offset !=
            (uint64_t)footer.table_packed + INDEX_FOOTER_BYTES ||
        footer.table_raw > INDEX_TABLE_MAX || footer.block_count > INDEX_BLOCKS_MAX ||
        footer.frame_count > FRAME_COUNT_MAX || footer.tar_bytes > OFFSET_MAX ||
        footer.data_bytes > OFFSET_MAX)
        return bad(err, "footer");
    *ret_footer = footer;
    return 0;
}

/* ---- the table ---- */

/* A text into `text`, as an offset, since that still grows. */
static size_t keep_text(struct buf *text, const char *bytes, size_t len)
{
    const size_t at = text->len;
    buf_add(text, bytes, len);
    buf_add_char(text, '\0');
    return at;
}

static uint64_t number_of(const void *bytes, size_t len, bool *bad_number)
{
    struct view view = view_of(bytes, len);
    const uint64_t value = view_varint(&view);
    *bad_number |= view.bad || view_left(&view) != 0;
    return value;
}

struct facts {
    struct pack_info info;
    size_t name, job_id, maker, etag; /* in text */
    uint64_t end_crc;
    bool bad;
};

static void take_fact(struct facts *facts, struct buf *text, uint64_t fact, const char *bytes,
                      size_t len)
{
    struct pack_info *info = &facts->info;
    switch (fact) {
    case FACT_NAME:
        facts->name = keep_text(text, bytes, len);
        break;
    case FACT_JOB:
        facts->job_id = keep_text(text, bytes, len);
        break;
    case FACT_MAKER:
        facts->maker = keep_text(text, bytes, len);
        break;
    case FACT_ETAG:
        facts->etag = keep_text(text, bytes, len);
        break;
    case FACT_GENERATION:
        info->generation = number_of(bytes, len, &facts->bad);
        break;
    case FACT_CREATED: {
        const uint64_t value = number_of(bytes, len, &facts->bad);
        info->created_ns = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        break;
    }
    case FACT_LEVEL: {
        const uint64_t level = number_of(bytes, len, &facts->bad);
        facts->bad |= level > UINT8_MAX;
        info->level = (uint32_t)level;
        break;
    }
    case FACT_GONE:
        info->gone_count = number_of(bytes, len, &facts->bad);
        break;
    case FACT_MERGED:
        info->merged = number_of(bytes, len, &facts->bad);
        break;
    case FACT_END: {
        struct view view = view_of(bytes, len);
        facts->end_crc = view_u64(&view);
        facts->bad |= view.bad || view_left(&view) != 0;
        break;
    }
    default: /* of a later version */
        break;
    }
}

static int read_facts(struct index_table *table, struct view *view, struct err *err)
{
    struct facts facts = { 0 };
    keep_text(&table->text, "", 0);
    const uint64_t all = view_varint(view);
    const void *bytes = all <= view_left(view) ? view_bytes(view, (size_t)all) : NULL;
    if (view->bad || bytes == NULL)
        return bad(err, "facts");
    struct view left = view_of(bytes, (size_t)all);
    while (view_left(&left) != 0) {
        const uint64_t fact = view_varint(&left);
        const uint64_t len = view_varint(&left);
        const char *value = len <= view_left(&left) ? view_bytes(&left, (size_t)len) : NULL;
        if (left.bad || value == NULL)
            return bad(err, "facts");
        take_fact(&facts, &table->text, fact, value, (size_t)len);
    }
    if (facts.bad)
        return bad(err, "a number among its facts");
    const struct index_footer *footer = &table->footer;
    table->info = facts.info;
    table->end_crc = facts.end_crc;
    table->info.name = table->text.data + facts.name;
    table->info.job_id = table->text.data + facts.job_id;
    table->info.maker = table->text.data + facts.maker;
    table->info.etag = table->text.data + facts.etag;
    table->info.member_count = footer->member_count;
    table->info.content_bytes = footer->content_bytes;
    table->info.tar_bytes = footer->tar_bytes;
    table->info.data_bytes = footer->data_bytes;
    table->info.frame_count = footer->frame_count;
    return 0;
}

/* A part of a block: how long it is in the index, and expanded. */
static bool read_part(struct view *view, uint64_t *at, uint64_t raw_max, uint32_t *ret_packed,
                      uint32_t *ret_raw, uint64_t *ret_crc, uint64_t *ret_offset)
{
    const uint64_t packed = view_varint(view);
    const uint64_t raw = view_varint(view);
    *ret_crc = view_u64(view);
    if (view->bad || packed > UINT32_MAX || raw > raw_max)
        return false;
    *ret_offset = *at;
    *at += packed;
    *ret_packed = (uint32_t)packed;
    *ret_raw = (uint32_t)raw;
    return true;
}

static int compare_keys(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int read_block(struct index_table *table, uint32_t i, struct view *view, uint64_t *numbers,
                      uint64_t *keys, struct err *err)
{
    struct index_block *block = &table->blocks[i];
    const uint64_t first_len = view_varint(view);
    block->first = first_len <= PACK_KEY_MAX && first_len <= view_left(view)
                       ? view_bytes(view, first_len)
                       : NULL;
    if (view->bad || block->first == NULL)
        return bad(err, "first key of a block");
    block->first_len = (uint32_t)first_len;
    const uint64_t count = view_varint(view);
    if (view->bad || count == 0 || count > INDEX_MEMBERS_MAX)
        return bad(err, "number of members of a block");
    block->count = (uint32_t)count;
    if (!read_part(view, numbers, INDEX_NUMBERS_MAX, &block->numbers_packed, &block->numbers_raw,
                   &block->numbers_crc, &block->numbers_offset) ||
        !read_part(view, keys, INDEX_KEYS_MAX, &block->keys_packed, &block->keys_raw,
                   &block->keys_crc, &block->keys_offset))
        return bad(err, "size of a block");
    const struct index_block *last = i != 0 ? block - 1 : NULL;
    if (last != NULL && last->first != NULL &&
        compare_keys(last->first, last->first_len, block->first, block->first_len) >= 0)
        return bad(err, "order of blocks");
    return 0;
}

static int read_blocks(struct index_table *table, struct view *view, struct err *err)
{
    const struct index_footer *footer = &table->footer;
    uint64_t numbers = INDEX_HEAD_BYTES;
    uint64_t keys = footer->keys_offset;
    uint64_t members = 0;
    /* A block has twelve bytes here at least. */
    if (footer->block_count > view_left(view) / 12)
        return bad(err, "number of blocks");
    table->blocks = mem_alloc(footer->block_count * sizeof *table->blocks);
    for (uint32_t i = 0; i < footer->block_count; i++) {
        if (read_block(table, i, view, &numbers, &keys, err) < 0)
            return -1;
        members += table->blocks[i].count;
    }
    if (numbers != footer->keys_offset || keys != footer->table_offset ||
        members != footer->member_count || table->info.gone_count > members)
        return bad(err, "sums of its table");
    return 0;
}

int index_read_table(struct index_table *ret_table, const struct index_footer *footer,
                     const void *packed, struct err *err)
{
    *ret_table = (struct index_table){ .footer = *footer };
    if (crc64nvme(0, packed, footer->table_packed) != footer->table_crc)
        return bad(err, "checksum of its table");
    SCOPED(zblock) struct zblock zblock = { 0 };
    struct index_table table = { .footer = *footer };
    struct view view;
    if (zblock_expand(&zblock, packed, footer->table_packed, footer->table_raw, &table.raw, err) <
        0)
        goto fail;
    view = view_of(table.raw.data, table.raw.len);
    if (read_facts(&table, &view, err) < 0 || read_blocks(&table, &view, err) < 0)
        goto fail;
    *ret_table = table;
    return 0;
fail:
    index_table_done(&table);
    return -1;
}

void index_table_done(struct index_table *table)
{
    mem_free(table->blocks);
    buf_done(&table->raw);
    buf_done(&table->text);
}

/* ---- keys ---- */

/* Is the key where its block says, and a path that stays below its root? */
static int check_key(const struct index_table *table, uint32_t block, const char *keys,
                     const struct index_row *row, bool first, bool last, struct err *err)
{
    const struct index_block *at = &table->blocks[block];
    if (row->key_len > PACK_KEY_MAX || !path_rel_ok(keys + row->key))
        return bad(err, "a name is no relative path");
    if (first && compare_keys(at->first, at->first_len, keys + row->key, row->key_len) > 0)
        return bad(err, "first key of a block");
    if (last && block + 1 < table->footer.block_count &&
        compare_keys(keys + row->key, row->key_len, at[1].first, at[1].first_len) >= 0)
        return bad(err, "last key of a block");
    return 0;
}

static int split_keys(struct index_rows *rows, const struct index_table *table, struct err *err)
{
    const char *keys = rows->keys.data;
    size_t at = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const char *end = memchr(keys + at, '\0', rows->keys.len - at);
        if (end == NULL)
            return bad(err, "too few keys in a block");
        struct index_row *row = &rows->rows[i];
        *row = (struct index_row){ .key = (uint32_t)at, .key_len = (uint32_t)(end - keys - at) };
        if (check_key(table, rows->block, keys, row, i == 0, i + 1 == rows->count, err) < 0)
            return -1;
        const struct index_row *last = i != 0 ? row - 1 : NULL;
        if (last != NULL &&
            compare_keys(keys + last->key, last->key_len, keys + row->key, row->key_len) >= 0)
            return bad(err, "order of keys");
        at += row->key_len + 1;
    }
    return at == rows->keys.len ? 0 : bad(err, "too many keys in a block");
}

int index_scan_keys(struct index_rows *rows, const struct index_table *table, uint32_t block,
                    const void *packed, struct err *err)
{
    const struct index_block *at = &table->blocks[block];
    rows->has_keys = rows->has_numbers = false;
    if (crc64nvme(0, packed, at->keys_packed) != at->keys_crc)
        return bad(err, "checksum of keys");
    return zblock_expand(&rows->zblock, packed, at->keys_packed, at->keys_raw, &rows->keys, err);
}

int index_read_keys(struct index_rows *rows, const struct index_table *table, uint32_t block,
                    const void *packed, struct err *err)
{
    const uint32_t count = table->blocks[block].count;
    if (rows->room < count) {
        rows->rows = mem_resize(rows->rows, count * sizeof *rows->rows);
        rows->room = count;
    }
    if (index_scan_keys(rows, table, block, packed, err) < 0)
        return -1;
    rows->block = block;
    rows->count = count;
    if (split_keys(rows, table, err) < 0)
        return -1;
    rows->has_keys = true;
    return 0;
}

/* ---- numbers ---- */

struct columns {
    struct view view[COLUMN_COUNT];
};

static int split_columns(const struct buf *numbers, struct columns *columns, struct err *err)
{
    struct view view = view_of(numbers->data, numbers->len);
    for (int i = 0; i < COLUMN_COUNT; i++)
        columns->view[i] = view_of(NULL, 0);
    while (view_left(&view) != 0) {
        const uint64_t id = view_varint(&view);
        const uint64_t len = view_varint(&view);
        const void *bytes = len <= view_left(&view) ? view_bytes(&view, (size_t)len) : NULL;
        if (view.bad || bytes == NULL)
            return bad(err, "columns");
        if (id < COLUMN_COUNT)
            columns->view[id] = view_of(bytes, (size_t)len);
    }
    return 0;
}

/* A key is a good path; so must be what is left of a link's without its suffix. */
static bool link_name_ok(const char *path, size_t len)
{
    const char *slash = memrchr(path, '/', len);
    const char *name = slash != NULL ? slash + 1 : path;
    return path_component_ok(name, (size_t)(path + len - name));
}

/* The kind and its flags; the key must fit the kind. */
static bool read_kind(struct index_rows *rows, struct index_row *row, struct view *view)
{
    const unsigned byte = view_u8(view);
    row->kind = byte & ROW_KIND;
    row->racy = (byte & ROW_RACY) != 0;
    row->sparse = (byte & ROW_SPARSE) != 0;
    row->was = (uint8_t)(byte >> ROW_WAS_SHIFT);
    if (row->kind < PACK_FILE || row->kind >= PACK_KIND_COUNT ||
        (row->sparse && row->kind != PACK_FILE) || (row->kind == PACK_GONE) != (row->was != 0) ||
        row->was > PACK_LINK)
        return false;
    const unsigned kind = row->kind == PACK_GONE ? row->was : row->kind;
    const char *key = rows->keys.data + row->key;
    const bool slash = path_ends_with(key, row->key_len, "/");
    if (kind == PACK_LINK)
        return path_ends_with(key, row->key_len, LINK_SUFFIX) &&
               link_name_ok(key, row->key_len - (sizeof LINK_SUFFIX - 1));
    return slash == (kind == PACK_DIR);
}

static bool read_delta(struct view *view, uint32_t max, uint32_t *last)
{
    const int64_t by = view_signed(view);
    if (by > UINT32_MAX || by < -(int64_t)UINT32_MAX)
        return false;
    const int64_t value = (int64_t)*last + by;
    *last = (uint32_t)value;
    return value >= 0 && value <= max;
}

static bool read_time(struct columns *columns, int64_t *seconds, int64_t *ret_ns)
{
    *seconds =
        (int64_t)((uint64_t)*seconds + (uint64_t)view_signed(&columns->view[COLUMN_SECONDS]));
    int64_t nanos = view_u32(&columns->view[COLUMN_NANOS]);
    int64_t whole = *seconds;
    if (nanos >= SECOND_NS)
        return false;
    if (whole < 0 && nanos != 0) { /* so that the earliest time does not overflow on the way */
        whole++;
        nanos -= SECOND_NS;
    }
    return !__builtin_mul_overflow(whole, SECOND_NS, ret_ns) &&
           !__builtin_add_overflow(*ret_ns, nanos, ret_ns);
}

static bool read_target(struct index_rows *rows, struct index_row *row, struct view *view)
{
    const char *at = (const char *)view->at;
    const char *end = memchr(at, '\0', view_left(view));
    if (end == NULL || end - at > PACK_TARGET_MAX)
        return false;
    row->target = (uint32_t)(at - rows->numbers.data);
    row->target_len = (uint32_t)(end - at);
    view_bytes(view, row->target_len + 1);
    return true;
}

/* Sizes, and where it is in the tar stream, of which *at is the end so far. */
static bool read_place(struct columns *columns, struct index_row *row, uint64_t *at)
{
    row->header_offset = row->offset_bytes = *at;
    if (row->kind == PACK_GONE)
        return true;
    const uint64_t blocks = view_varint(&columns->view[COLUMN_HEADER]);
    if (blocks == 0 || blocks > UINT32_MAX / TAR_BLOCK)
        return false;
    row->offset_bytes += blocks * TAR_BLOCK;
    if (row->kind == PACK_FILE || row->kind == PACK_HARDLINK) {
        row->size_bytes = view_varint(&columns->view[COLUMN_SIZE]);
        row->crc64 = view_u64(&columns->view[COLUMN_CRC]);
    }
    if (row->kind == PACK_FILE)
        row->stored_bytes =
            row->sparse ? view_varint(&columns->view[COLUMN_STORED]) : row->size_bytes;
    if (row->size_bytes > OFFSET_MAX || row->stored_bytes > OFFSET_MAX / 4)
        return false;
    *at = row->offset_bytes + row->stored_bytes + tar_padding(row->stored_bytes);
    return *at <= OFFSET_MAX / 2;
}

struct running {
    uint64_t at;
    int64_t seconds;
    uint32_t mode, uid, gid;
};

static bool read_xattrs(struct index_rows *rows, struct columns *columns, struct index_row *row)
{
    row->xattrs = (struct xattr_span){ 0 };
    return !pack_member_can_have_xattrs((enum pack_kind)row->kind) ||
           xattr_runs_next(&rows->xattrs, &columns->view[COLUMN_RUNS], &row->xattrs);
}

static bool read_row(struct index_rows *rows, struct columns *columns, struct index_row *row,
                     struct running *running)
{
    if (!read_kind(rows, row, &columns->view[COLUMN_KIND]) ||
        !read_time(columns, &running->seconds, &row->mtime_ns) ||
        !read_delta(&columns->view[COLUMN_MODE], 07777, &running->mode) ||
        !read_delta(&columns->view[COLUMN_UID], UINT32_MAX, &running->uid) ||
        !read_delta(&columns->view[COLUMN_GID], UINT32_MAX, &running->gid) ||
        !read_place(columns, row, &running->at) || !read_xattrs(rows, columns, row))
        return false;
    row->mode = running->mode;
    row->uid = running->uid;
    row->gid = running->gid;
    if (row->kind == PACK_LINK || row->kind == PACK_HARDLINK)
        return read_target(rows, row, &columns->view[COLUMN_TARGET]);
    return true;
}

/* The frames must hold the block from its first byte, at `base`, to `end`. */
static int read_frames(struct index_rows *rows, const struct index_table *table,
                       struct columns *columns, uint64_t base, uint64_t end, struct err *err)
{
    struct view *sizes = &columns->view[COLUMN_FRAMES];
    struct index_frame at = { .packed_offset = view_varint(&columns->view[COLUMN_BASE]),
                              .raw_offset = view_varint(&columns->view[COLUMN_BASE]) };
    const uint64_t count = view_varint(sizes);
    buf_clear(&rows->frames);
    rows->frame_count = 0;
    if (columns->view[COLUMN_BASE].bad || sizes->bad || count > table->footer.frame_count ||
        at.packed_offset > OFFSET_MAX / 2 || at.raw_offset > OFFSET_MAX / 2)
        return bad(err, "number of frames");
    if (count == 0)
        return table->info.level == 0 || base == end ? 0 : bad(err, "frames are missing");
    const uint64_t first = at.raw_offset;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t packed = view_varint(sizes);
        const uint64_t raw = view_varint(&columns->view[COLUMN_RAW]);
        if (packed == 0 || packed > FRAME_PACKED_MAX || raw == 0 || raw > FRAME_RAW_MAX)
            return bad(err, "size of a frame");
        at.frame = (struct pack_frame){ .packed_bytes = (uint32_t)packed,
                                        .raw_bytes = (uint32_t)raw,
                                        .crc64 = view_u64(&columns->view[COLUMN_SUMS]) };
        buf_add(&rows->frames, &at, sizeof at);
        at.packed_offset += packed;
        at.raw_offset += raw;
    }
    if (first > base || at.raw_offset < end || at.packed_offset > table->footer.data_bytes)
        return bad(err, "place of its frames");
    rows->frame_count = (uint32_t)count;
    return 0;
}

/* Each column was read to its end, and not beyond. */
static bool columns_used_up(const struct columns *columns)
{
    for (int i = 1; i < COLUMN_COUNT; i++) {
        if (columns->view[i].bad || view_left(&columns->view[i]) != 0)
            return false;
    }
    return true;
}

int index_read_numbers(struct index_rows *rows, const struct index_table *table, const void *packed,
                       struct err *err)
{
    const struct index_block *block = &table->blocks[rows->block];
    rows->has_numbers = false;
    if (crc64nvme(0, packed, block->numbers_packed) != block->numbers_crc)
        return bad(err, "checksum of numbers");
    if (zblock_expand(&rows->zblock, packed, block->numbers_packed, block->numbers_raw,
                      &rows->numbers, err) < 0)
        return -1;
    struct columns columns;
    if (split_columns(&rows->numbers, &columns, err) < 0)
        return -1;
    const uint64_t base = view_varint(&columns.view[COLUMN_BASE]);
    struct running running = { .at = base };
    if (base > table->footer.tar_bytes)
        return bad(err, "place of a block");
    if (!xattr_runs_begin(&rows->xattrs, &columns.view[COLUMN_XATTRS], rows->numbers.data))
        return bad(err, "extended attributes of a block");
    for (uint32_t i = 0; i < rows->count; i++) {
        if (!read_row(rows, &columns, &rows->rows[i], &running))
            return bad(err, "numbers of a member");
    }
    if (running.at > table->footer.tar_bytes)
        return bad(err, "size of a block's members");
    if (read_frames(rows, table, &columns, base, running.at, err) < 0)
        return -1;
    if (!columns_used_up(&columns) || !xattr_runs_ended(&rows->xattrs))
        return bad(err, "length of a column");
    rows->has_numbers = true;
    return 0;
}

uint32_t index_frame_at(const struct index_rows *rows, uint64_t raw_offset)
{
    const struct index_frame *frames = index_frames(rows);
    uint32_t low = 0;
    uint32_t high = rows->frame_count;
    while (low < high) { /* the first that ends behind it */
        const uint32_t middle = low + (high - low) / 2;
        if (frames[middle].raw_offset + frames[middle].frame.raw_bytes > raw_offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low < rows->frame_count && frames[low].raw_offset <= raw_offset ? low
                                                                           : rows->frame_count;
}

void index_rows_done(struct index_rows *rows)
{
    zblock_done(&rows->zblock);
    buf_done(&rows->keys);
    buf_done(&rows->numbers);
    buf_done(&rows->frames);
    xattr_runs_done(&rows->xattrs);
    mem_free(rows->rows);
    rows->room = 0;
    rows->has_keys = rows->has_numbers = false;
}
