/* A listing: what it names never leads out of the tree, and each name can be written and read
 * again. */
#include "base/ban.h"
#include "base/path.h"
#include "fuzz.h"
#include "fuzz_file.h"
#include "job/listing_read.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    fuzz_write("listing", data, size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/listing", fuzz_dir());
    struct err err = { 0 };
    struct listing_reader *reader = NULL;
    require(listing_reader_open(&reader, path, &err) == 0);
    struct crawl_item item;
    int got;
    while ((got = listing_reader_next(reader, &item, &err)) == 1) {
        require(strlen(item.name) == item.name_len && path_rel_ok(item.name));
        require((item.name[item.name_len - 1] == '/') == (item.kind == ENTRY_DIR));
        require(item.mode <= 07777);
    }
    require(got == 0 || err.kind == ERR_CORRUPT || err.kind == ERR_LIMIT);
    listing_reader_close(reader);
    return 0;
}
