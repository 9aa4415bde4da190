/* A journal. First byte 0: the rest is a file as it is. Else: records, each a length byte and its
 * payload, which are framed with good checksums. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/scope.h"
#include "fuzz.h"
#include "fuzz_file.h"
#include "job/journal.h"
#include "job/segment.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void add_frame(struct buf *out, const void *payload, size_t len)
{
    SCOPED(buf) struct buf head = { 0 };
    buf_add_u32(&head, (uint32_t)len);
    buf_add(out, head.data, 4);
    buf_add_u64(out, crc64nvme(crc64nvme(0, head.data, 4), payload, len));
    buf_add(out, payload, len);
}

static void check_record(const struct journal_record *record)
{
    require(strlen(record->host) < sizeof record->host && record->span_ns >= 0);
    if (record->kind == JOURNAL_START || record->kind == JOURNAL_TIME)
        return;
    require(record->kind > 0 && record->kind <= JOURNAL_PACK);
    require(record->segment != 0 && record->first <= SEGMENT_ENTRIES_MAX);
    require(record->last <= SEGMENT_ENTRIES_MAX);
    require(strlen(record->upload.token) < STORE_TOKEN_MAX);
    require(strlen(record->part.etag) < STORE_ETAG_MAX);
    require(view_left(&record->note) == 0 || record->kind == JOURNAL_PACK);
    struct view results = record->results;
    struct result result;
    while (result_decode(&results, &result) == 0)
        result_done(&result);
}

/* Frames for all records; how many of them a reader must give. */
static unsigned frame_records(const uint8_t *data, size_t size, struct buf *file)
{
    unsigned good = 0;
    bool broken = false;
    buf_add(file, "LADEJNL1\1\0\0\0", 12);
    for (size_t at = 0; at < size;) {
        size_t len = data[at++];
        if (len > size - at)
            len = size - at;
        struct journal_record record;
        const bool parses = len != 0 && journal_parse(data + at, len, &record) == 0;
        if (parses)
            check_record(&record);
        broken = broken || !parses;
        good += !broken;
        add_frame(file, data + at, len);
        at += len;
    }
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    SCOPED(buf) struct buf file = { 0 };
    unsigned good = 0;
    if (data[0] == 0)
        buf_add(&file, data + 1, size - 1);
    else
        good = frame_records(data + 1, size - 1, &file);
    fuzz_write("journal-000001.log", file.data, file.len);

    struct journal_reader reader;
    struct journal_record record;
    struct err err = { 0 };
    require(journal_read_open(&reader, fuzz_dir(), 1, &err) == 0);
    unsigned count = 0;
    int got;
    while ((got = journal_read_next(&reader, &record, &err)) == 1) {
        check_record(&record);
        count++;
    }
    require(got == 0 && reader.valid_bytes <= file.len);
    require(reader.damaged == (reader.valid_bytes < file.len || file.len == 0));
    require(data[0] == 0 || count == good);
    journal_read_done(&reader);
    return 0;
}
