/* A listing in the cache, with a good checksum. First byte 0: the rest is what is in the file; else
 * it is the content of one block. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "fuzz_file.h"
#include "pack/inventory.h"

#include <assert.h>

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void make_block(const uint8_t *data, size_t size, struct buf *file)
{
    SCOPED(zblock) struct zblock zblock = { 0 };
    SCOPED(buf) struct buf packed = { 0 };
    zblock_compress(&zblock, data, size, &packed);
    buf_add_u64(file, 1);
    buf_add_char(file, 0);
    buf_add_u32(file, (uint32_t)packed.len);
    buf_add_u32(file, (uint32_t)size);
    buf_add(file, packed.data, packed.len);
    buf_add_u64(file, 0);
}

/* below: NULL, or the part of it that is read. */
static void read_all(const struct cache *cache, const char *below)
{
    struct inventory inventory;
    struct inventory_row row;
    struct err err = { 0 };
    if (!inventory_open(&inventory, cache, "s3", "place"))
        return;
    if (below != NULL)
        inventory_narrow(&inventory, below);
    int got;
    while ((got = inventory_next(&inventory, &row, &err)) == 1) {
        require(strlen(row.key) == row.key_len && strlen(row.name) == row.name_len);
        require(strlen(row.etag) < INVENTORY_ETAG_MAX && row.kind <= INVENTORY_LINK);
    }
    require(got == 0 || err.kind == ERR_CORRUPT);
    inventory_close(&inventory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cache cache = { .dir_fd = fuzz_dir() };
    const struct cache_key key = {
        .kind = CACHE_LISTING, .scheme = "s3", .name = "place", .etag = ""
    };
    SCOPED(buf) struct buf file = { 0 };
    if (size == 0)
        return 0;
    if (data[0] == 0)
        buf_add(&file, data + 1, size - 1);
    else
        make_block(data + 1, size - 1, &file);
    cache_keep(&cache, &key, buf_text(&file), file.len);
    read_all(&cache, NULL);
    read_all(&cache, "a");
    read_all(&cache, "a/b");
    return 0;
}
