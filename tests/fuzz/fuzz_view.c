/* Numbers and bytes out of a view: the first half of the input says what to take from the second.
 */
#include "base/ban.h"
#include "base/buf.h"
#include "base/scope.h"
#include "fuzz.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* What is read can be written and read again. */
static void check_varint(uint64_t value)
{
    SCOPED(buf) struct buf bytes = { 0 };
    buf_add_varint(&bytes, value);
    buf_add_signed(&bytes, (int64_t)value);
    buf_add_u32(&bytes, (uint32_t)value);
    buf_add_u64(&bytes, value);
    struct view view = view_of(bytes.data, bytes.len);
    require(view_varint(&view) == value);
    require(view_signed(&view) == (int64_t)value);
    require(view_u32(&view) == (uint32_t)value);
    require(view_u64(&view) == value);
    require(!view.bad && view_left(&view) == 0);
}

static void take(struct view *view, uint8_t what)
{
    switch (what % 6) {
    case 0:
        view_u8(view);
        return;
    case 1:
        view_u32(view);
        return;
    case 2:
        view_u64(view);
        return;
    case 3:
        check_varint(view_varint(view));
        return;
    case 4:
        check_varint((uint64_t)view_signed(view));
        return;
    default:
        break;
    }
    const size_t len = (size_t)view_varint(view);
    const unsigned char *bytes = view_bytes(view, len);
    require(bytes != NULL || view->bad || len == 0);
    unsigned sum = 0;
    for (size_t i = 0; bytes != NULL && i < len; i++)
        sum += bytes[i]; /* a sanitizer sees a byte too many */
    check_varint(sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t half = size / 2;
    struct view view = view_of(data + half, size - half);
    bool was_bad = false;
    for (size_t i = 0; i < half; i++) {
        const size_t before = view_left(&view);
        take(&view, data[i]);
        require(view_left(&view) <= before);
        require(view.bad || !was_bad);
        was_bad = view.bad;
    }
    return 0;
}
