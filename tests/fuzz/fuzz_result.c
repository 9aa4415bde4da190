/* Results. First byte 0: the rest is a sealed file less its checksum. Else the rest is a row of
 * results. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/scope.h"
#include "fuzz.h"
#include "fuzz_file.h"
#include "job/result.h"
#include "job/segment.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* What could be read can be written and is read the same. */
static void check_result(const struct result *result)
{
    SCOPED(buf) struct buf one = { 0 };
    SCOPED(buf) struct buf two = { 0 };
    require(result->ordinal < SEGMENT_ENTRIES_MAX);
    require(result->status > RESULT_OPEN && result->status < RESULT_STATUS_COUNT);
    result_encode(&one, result);
    struct view view = view_of(one.data, one.len);
    struct result again;
    require(result_decode(&view, &again) == 0 && view_left(&view) == 0);
    result_encode(&two, &again);
    require(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    result_done(&again);
}

static void read_row(const uint8_t *data, size_t size)
{
    struct view view = view_of(data, size);
    struct view skipping = view;
    for (;;) {
        struct result result;
        uint32_t ordinal = 0;
        enum result_status status = RESULT_OPEN;
        const int got = result_decode(&view, &result);
        require(got == result_skip(&skipping, &ordinal, &status));
        if (got < 0)
            return;
        require(ordinal == result.ordinal && status == result.status);
        require(view.at == skipping.at);
        check_result(&result);
        result_done(&result);
    }
}

static void read_file(const uint8_t *data, size_t size)
{
    SCOPED(buf) struct buf bytes = { 0 };
    buf_add(&bytes, data, size);
    buf_add_u64(&bytes, crc64nvme(0, data, size));
    fuzz_write("000001.res", bytes.data, bytes.len);
    for (int load = 0; load < 2; load++) {
        struct err err = { 0 };
        SCOPED(result_file) struct result_file file;
        if (result_file_open(&file, fuzz_dir(), 1, load != 0, &err) < 0) {
            require(err.kind == ERR_CORRUPT);
            continue;
        }
        struct result result;
        int got;
        while ((got = result_file_next(&file, &result, &err)) == 1) {
            check_result(&result);
            result_done(&result);
        }
        require(got == 0 || err.kind == ERR_CORRUPT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (data[0] == 0)
        read_file(data + 1, size - 1);
    else
        read_row(data + 1, size - 1);
    return 0;
}
