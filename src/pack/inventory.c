#include "pack/inventory.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/catalog.h"

#define BLOCK_BYTES ((size_t)256 * 1024) /* a block is closed once it is longer */
#define TEXT_MAX ((size_t)256 * 1024)    /* of a key or name: three times what any store takes */
#define BLOCK_MAX (BLOCK_BYTES + 3 * TEXT_MAX)
#define BLOCK_HEAD_BYTES 8u
#define HEAD_BYTES 9u
#define ROW_KIND 0x03u
#define ROW_NAME 0x04u
#define ROW_ETAG 0x08u
#define ROW_STORED 0x10u
#define ROW_BUCKET 0x20u

/* ---- writing ---- */

void inventory_begin(struct inventory_writer *writer, struct cache *cache, const char *scheme,
                     const char *place, bool alone, int64_t listed_ns)
{
    const struct cache_key key = {
        .kind = CACHE_LISTING, .scheme = scheme, .name = place, .etag = ""
    };
    SCOPED(buf) struct buf head = { 0 };
    *writer = (struct inventory_writer){ 0 };
    cache_begin(&writer->file, cache, &key);
    buf_add_u64(&head, (uint64_t)listed_ns);
    buf_add_char(&head, alone ? 1 : 0);
    cache_add(&writer->file, head.data, head.len);
}

static void write_block(struct inventory_writer *writer)
{
    SCOPED(buf) struct buf head = { 0 };
    buf_clear(&writer->packed);
    if (writer->block.len != 0)
        zblock_compress(&writer->zblock, writer->block.data, writer->block.len, &writer->packed);
    buf_add_u32(&head, (uint32_t)writer->packed.len);
    buf_add_u32(&head, (uint32_t)writer->block.len);
    cache_add(&writer->file, head.data, head.len);
    cache_add(&writer->file, buf_text(&writer->packed), writer->packed.len);
    buf_clear(&writer->block);
    buf_clear(&writer->last);
}

static size_t shared_with(const struct buf *last, const char *key, size_t len)
{
    const size_t most = last->len < len ? last->len : len;
    size_t shared = 0;
    while (shared < most && last->data[shared] == key[shared])
        shared++;
    return shared;
}

static void add_text(struct buf *block, const char *text, size_t len)
{
    buf_add_varint(block, len);
    buf_add(block, text, len);
}

void inventory_add(struct inventory_writer *writer, const struct inventory_row *row)
{
    if (writer->file.fd < 0 || row->key_len > TEXT_MAX || row->name_len > TEXT_MAX)
        return;
    struct buf *block = &writer->block;
    const size_t shared = shared_with(&writer->last, row->key, row->key_len);
    const bool named =
        row->name_len != row->key_len || memcmp(row->name, row->key, row->key_len) != 0;
    buf_add_varint(block, shared);
    add_text(block, row->key + shared, row->key_len - shared);
    buf_add_char(block, (char)((unsigned)row->kind | (named ? ROW_NAME : 0) |
                               (row->etag[0] != '\0' ? ROW_ETAG : 0) |
                               (row->stored_ns != row->time_ns ? ROW_STORED : 0) |
                               (row->bucket > 1 ? ROW_BUCKET : 0)));
    buf_add_varint(block, row->size_bytes);
    buf_add_signed(block, row->time_ns);
    if (row->stored_ns != row->time_ns)
        buf_add_signed(block, row->stored_ns);
    if (named)
        add_text(block, row->name, row->name_len);
    if (row->etag[0] != '\0')
        add_text(block, row->etag, strlen(row->etag));
    if (row->bucket > 1)
        buf_add_varint(block, row->bucket);
    buf_clear(&writer->last);
    buf_add(&writer->last, row->key, row->key_len);
    if (block->len >= BLOCK_BYTES)
        write_block(writer);
}

void inventory_commit(struct inventory_writer *writer)
{
    if (writer->block.len != 0)
        write_block(writer);
    write_block(writer); /* an empty one: the end */
    cache_commit(&writer->file);
}

void inventory_done(struct inventory_writer *writer)
{
    cache_abandon(&writer->file);
    zblock_done(&writer->zblock);
    buf_done(&writer->block);
    buf_done(&writer->packed);
    buf_done(&writer->last);
}

/* ---- reading ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the listing in the cache is damaged: %s", what);
}

bool inventory_open(struct inventory *inventory, const struct cache *cache, const char *scheme,
                    const char *place)
{
    const struct cache_key key = {
        .kind = CACHE_LISTING, .scheme = scheme, .name = place, .etag = ""
    };
    SCOPED(buf) struct buf head = { 0 };
    struct err ignored = { 0 };
    *inventory = (struct inventory){ .at = HEAD_BYTES };
    if (!cache_find(cache, &key, &inventory->file) ||
        cache_read(&inventory->file, 0, HEAD_BYTES, &head, &ignored) < 0)
        return false;
    struct view view = view_of(head.data, head.len);
    inventory->listed_ns = (int64_t)view_u64(&view);
    inventory->alone = view_u8(&view) != 0;
    return true;
}

static int read_block(struct inventory *inventory, struct err *err)
{
    buf_clear(&inventory->packed);
    if (cache_read(&inventory->file, inventory->at, BLOCK_HEAD_BYTES, &inventory->packed, err) < 0)
        return -1;
    struct view view = view_of(inventory->packed.data, inventory->packed.len);
    const uint32_t packed = view_u32(&view);
    const uint32_t raw = view_u32(&view);
    inventory->at += BLOCK_HEAD_BYTES;
    if (raw == 0) {
        inventory->ended = true;
        return packed == 0 && inventory->at == inventory->file.size_bytes
                   ? 0
                   : bad(err, "it goes on behind its end");
    }
    if (raw > BLOCK_MAX || packed > 2 * BLOCK_MAX)
        return bad(err, "size of a block");
    buf_clear(&inventory->packed);
    if (cache_read(&inventory->file, inventory->at, packed, &inventory->packed, err) < 0)
        return -1;
    inventory->at += packed;
    inventory->block_at = 0;
    buf_clear(&inventory->key);
    return zblock_expand(&inventory->zblock, inventory->packed.data, packed, raw, &inventory->block,
                         err);
}

/* Replace *text from `keep` on by what comes; false: it is no text. */
static bool take_text(struct view *view, size_t keep, struct buf *text, size_t most)
{
    const uint64_t len = view_varint(view);
    if (view->bad || keep > text->len || len > most - keep || len > view_left(view))
        return false;
    const void *bytes = view_bytes(view, (size_t)len);
    buf_cut(text, keep);
    buf_add(text, bytes, (size_t)len);
    return memchr(buf_text(text), '\0', text->len) == NULL;
}

static bool take_row(struct inventory *inventory, struct view *view, struct inventory_row *row)
{
    const uint64_t shared = view_varint(view);
    buf_reserve(&inventory->key, 1); /* so that cutting finds memory */
    if (shared > inventory->key.len || !take_text(view, (size_t)shared, &inventory->key, TEXT_MAX))
        return false;
    const unsigned flags = view_u8(view);
    *row = (struct inventory_row){ .kind = (enum inventory_kind)(flags & ROW_KIND),
                                   .key = buf_text(&inventory->key),
                                   .key_len = inventory->key.len,
                                   .size_bytes = view_varint(view),
                                   .time_ns = view_signed(view) };
    row->stored_ns = (flags & ROW_STORED) != 0 ? view_signed(view) : row->time_ns;
    row->name = row->key;
    row->name_len = row->key_len;
    buf_clear(&inventory->name);
    buf_clear(&inventory->etag);
    if ((flags & ROW_NAME) != 0) {
        if (!take_text(view, 0, &inventory->name, TEXT_MAX))
            return false;
        row->name = buf_text(&inventory->name);
        row->name_len = inventory->name.len;
    }
    if ((flags & ROW_ETAG) != 0 && !take_text(view, 0, &inventory->etag, INVENTORY_ETAG_MAX - 1))
        return false;
    row->etag = buf_text(&inventory->etag);
    const uint64_t bucket = (flags & ROW_BUCKET) != 0 ? view_varint(view) : 0;
    row->bucket = (uint32_t)bucket;
    return !view->bad && row->kind <= INVENTORY_LINK && bucket <= UINT32_MAX;
}

static int next_of_all(struct inventory *inventory, struct inventory_row *ret_row, struct err *err)
{
    while (!inventory->ended && inventory->block_at == inventory->block.len)
        if (read_block(inventory, err) < 0)
            return -1;
    if (inventory->ended)
        return 0;
    struct view view = view_of(inventory->block.data + inventory->block_at,
                               inventory->block.len - inventory->block_at);
    if (!take_row(inventory, &view, ret_row))
        return bad(err, "a row");
    inventory->block_at = inventory->block.len - view_left(&view);
    return 1;
}

/* ---- a part of it ---- */

void inventory_narrow(struct inventory *inventory, const char *below)
{
    mem_release(inventory->below);
    inventory->below = mem_string(below);
}

/* Without so many components in front. A store that encodes names leaves their slashes. */
static size_t behind_slashes(const char *text, size_t count)
{
    const char *at = text;
    for (const char *slash; count != 0 && (slash = strchr(at, '/')) != NULL; count--)
        at = slash + 1;
    return (size_t)(at - text);
}

static size_t slashes_in(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += text[i] == '/';
    return count;
}

/* Is it there, seen from below? */
static bool narrow_row(struct inventory *inventory, struct inventory_row *row)
{
    const char *below = inventory->below;
    const size_t len = strlen(below);
    if (strncmp(row->key, below, len) != 0)
        return false;
    const char *more = row->key + len;
    size_t skip = len + 1;
    if (inventory->alone ? strcmp(more, PACK_INDEX_SUFFIX) == 0 && catalog_may_be_pack(below)
                         : more[0] == '\0' && row->kind != INVENTORY_DIR) {
        inventory->alone = true;
        const char *slash = strrchr(below, '/');
        skip = slash != NULL ? (size_t)(slash + 1 - below) : 0;
    } else if (inventory->alone || more[0] != '/' || more[1] == '\0') {
        return false;
    }
    const size_t in_name = behind_slashes(row->name, slashes_in(row->key, skip));
    row->key += skip;
    row->key_len -= skip;
    row->name += in_name;
    row->name_len -= in_name;
    return true;
}

int inventory_next(struct inventory *inventory, struct inventory_row *ret_row, struct err *err)
{
    int got;
    do
        got = next_of_all(inventory, ret_row, err);
    while (got == 1 && inventory->below != NULL && !narrow_row(inventory, ret_row));
    return got;
}

void inventory_close(struct inventory *inventory)
{
    zblock_done(&inventory->zblock);
    buf_done(&inventory->block);
    buf_done(&inventory->packed);
    buf_done(&inventory->key);
    buf_done(&inventory->name);
    buf_done(&inventory->etag);
    mem_free(inventory->below);
}
