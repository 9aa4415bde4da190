/* A plan segment. First byte 0: the rest is a file, whose footer gets a good checksum. Else it is
 * the number of entries that the footer tells of one block, whose content is the rest. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/scope.h"
#include "fuzz.h"
#include "fuzz_file.h"
#include "job/segment.h"

#define TRAILER_BYTES 20u

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* Without good checksums nothing behind them would ever be tried. */
static void write_file(const uint8_t *data, size_t size)
{
    SCOPED(buf) struct buf file = { 0 };
    buf_add(&file, data, size);
    if (size >= TRAILER_BYTES) {
        struct view trailer = view_of(file.data + size - TRAILER_BYTES, TRAILER_BYTES);
        const uint32_t len = view_u32(&trailer);
        SCOPED(buf) struct buf crc = { 0 };
        if (len <= size - TRAILER_BYTES) {
            buf_add_u64(&crc, crc64nvme(0, file.data + size - TRAILER_BYTES - len, len));
            memcpy(file.data + size - TRAILER_BYTES + 4, crc.data, 8);
        }
    }
    fuzz_write("000001.seg", buf_text(&file), file.len);
}

static void write_block(unsigned entries, const uint8_t *data, size_t size)
{
    SCOPED(buf) struct buf file = { 0 };
    SCOPED(buf) struct buf footer = { 0 };
    SCOPED(zblock) struct zblock zblock = { 0 };
    buf_add(&file, "LADEPLN1\1\0\0\0\0\0\0\0", 16);
    zblock_compress(&zblock, data, size, &file);
    buf_add_varint(&footer, 1);
    buf_add_varint(&footer, 16);
    buf_add_varint(&footer, file.len - 16);
    buf_add_varint(&footer, size);
    buf_add_varint(&footer, entries);
    buf_add_u64(&footer, crc64nvme(0, file.data + 16, file.len - 16));
    buf_add_varint(&footer, entries);
    for (int i = 0; i < 2 + 2 * PLAN_ACTION_COUNT; i++)
        buf_add_varint(&footer, 0);
    buf_add_varint(&footer, 1);
    buf_add_text(&footer, "k");
    buf_add(&file, footer.data, footer.len);
    buf_add_u32(&file, (uint32_t)footer.len);
    buf_add_u64(&file, crc64nvme(0, footer.data, footer.len));
    buf_add_text(&file, "LADEEND1");
    fuzz_write("000001.seg", file.data, file.len);
}

static void check_entry(const struct segment *segment, const struct plan_entry *entry,
                        uint32_t ordinal)
{
    require(entry->ordinal == ordinal && ordinal < segment->sum.entries);
    require(strlen(entry->name) == entry->name_len && entry->name_len <= STORE_KEY_MAX);
    require(entry->kind <= ENTRY_GONE && entry->reason < REASON_COUNT);
    require(entry->action > 0 && entry->action < PLAN_ACTION_COUNT);
    require(entry->bucket != 1 && entry->bucket <= STORE_BUCKET_MAX);
    require(strlen(entry->etag) < STORE_ETAG_MAX && strlen(entry->record.etag) < STORE_ETAG_MAX);
    require(entry->pack == NULL ||
            (entry->pack[0] != '\0' && strlen(entry->pack) <= STORE_KEY_MAX));
    require((entry->kept == NULL) == (entry->kept_etag == NULL));
    require(entry->kept == NULL ||
            (entry->kept[0] != '\0' && strlen(entry->kept) <= STORE_KEY_MAX &&
             strlen(entry->kept_etag) < STORE_ETAG_MAX));
    struct err why;
    plan_entry_explain(entry, &why);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_entry(const struct plan_entry *a, const struct plan_entry *b)
{
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0 &&
           a->kind == b->kind && a->action == b->action && a->reason == b->reason &&
           a->sys == b->sys && a->empty == b->empty && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->bucket == b->bucket && a->size_bytes == b->size_bytes &&
           a->mtime_ns == b->mtime_ns && strcmp(a->etag, b->etag) == 0 &&
           a->record.known == b->record.known && a->record.crc64 == b->record.crc64 &&
           strcmp(a->record.etag, b->record.etag) == 0 && same_text(a->pack, b->pack) &&
           same_text(a->kept, b->kept) && same_text(a->kept_etag, b->kept_etag);
}

/* What could be read can be written and is read the same. */
static void check_again(struct segment *segment)
{
    struct err err = { 0 };
    SCOPED(segment_writer) struct segment_writer writer;
    segment_writer_init(&writer, fuzz_dir());
    require(segment_begin(&writer, 2, &err) == 0);
    struct plan_entry entry;
    while (segment_next(segment, &entry, &err) == 1)
        require(segment_add(&writer, &entry, &err) == 0);
    require(segment_seal(&writer, "k", 1, &err) == 0);
    require(segment->block_count == 0 || segment_seek_block(segment, 0, &err) == 0);
    SCOPED(segment) struct segment again;
    require(segment_open(&again, fuzz_dir(), 2, &err) == 0);
    require(again.sum.entries == segment->sum.entries);
    for (uint64_t i = 0; i < again.sum.entries; i++) {
        struct plan_entry other;
        require(segment_next(segment, &entry, &err) == 1);
        require(segment_next(&again, &other, &err) == 1);
        require(same_entry(&entry, &other));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (data[0] == 0)
        write_file(data + 1, size - 1);
    else
        write_block(data[0], data + 1, size - 1);
    struct err err = { 0 };
    SCOPED(segment) struct segment segment;
    if (segment_open(&segment, fuzz_dir(), 1, &err) < 0) {
        require(err.kind == ERR_CORRUPT);
        return 0;
    }
    struct plan_entry entry;
    uint32_t count = 0;
    int got;
    while ((got = segment_next(&segment, &entry, &err)) == 1)
        check_entry(&segment, &entry, count++);
    require(got == 0 ? count == segment.sum.entries : err.kind == ERR_CORRUPT);
    if (got < 0 || segment.sum.entries == 0)
        return 0;
    require(segment_seek_block(&segment, 0, &err) == 0);
    check_again(&segment);
    return 0;
}
