/* Sizes, rates and counts as people write them, and numbers of any size as we show them. */
#include "base/ban.h"
#include "base/buf.h"
#include "base/scope.h"
#include "base/units.h"
#include "fuzz.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void show(uint64_t number)
{
    char text[UNITS_TEXT_MAX];
    require(strlen(units_bytes(number, text)) < UNITS_TEXT_MAX);
    require(strlen(units_count(number, text)) < UNITS_TEXT_MAX);
    require(strlen(units_span((int64_t)number, text)) < UNITS_TEXT_MAX);
    double rate = 0;
    memcpy(&rate, &number, sizeof rate);
    require(strlen(units_rate(rate, text)) < UNITS_TEXT_MAX);
    require(strlen(units_rate((double)number, text)) < UNITS_TEXT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    SCOPED(buf) struct buf text = { 0 };
    buf_add(&text, data, size);
    struct err err = { 0 };
    uint64_t number = 7;
    if (units_parse_bytes(&number, buf_text(&text), &err) == 0)
        show(number);
    else
        require(err.kind == ERR_USAGE && number == 7);
    err_clear(&err);
    number = 7;
    if (units_parse_rate(&number, buf_text(&text), &err) == 0)
        show(number);
    else
        require(err.kind == ERR_USAGE && number == 7);
    err_clear(&err);
    if (units_parse_count(&number, buf_text(&text), 3, 1000, &err) == 0)
        require(number >= 3 && number <= 1000);
    else
        require(err.kind == ERR_USAGE);
    struct view view = view_of(data, size);
    show(view_u64(&view));
    return 0;
}
