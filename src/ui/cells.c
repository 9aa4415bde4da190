#include "ui/cells.h"

#include "base/ban.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>

struct span {
    uint32_t first, last;
};
/* Ascending; the blocks as a whole, which is as exact as terminals agree on. */
static const struct span zero_cells[] = {
    { 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x0610, 0x061a },
    { 0x064b, 0x065f }, { 0x0e34, 0x0e3a }, { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
    { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x2064 }, { 0x20d0, 0x20ff },
    { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff }, { 0xe0100, 0xe01ef },
};
static const struct span two_cells[] = {
    { 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x23e9, 0x23ec },   { 0x2e80, 0x303e },
    { 0x3041, 0x4dbf },   { 0x4e00, 0xa4cf },   { 0xa960, 0xa97f },   { 0xac00, 0xd7a3 },
    { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },
    { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x1fa70, 0x1faff },
    { 0x20000, 0x3fffd },
};

static bool in_spans(const struct span *spans, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count && spans[i].first <= code; i++)
        if (code <= spans[i].last)
            return true;
    return false;
}

static size_t cells_of(uint32_t code)
{
    if (code < 0x300)
        return 1;
    if (in_spans(zero_cells, sizeof(zero_cells) / sizeof(zero_cells[0]), code))
        return 0;
    return in_spans(two_cells, sizeof(two_cells) / sizeof(two_cells[0]), code) ? 2 : 1;
}

size_t cells_count(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + len;
    size_t cells = 0;
    while (at < end)
        cells += cells_of(utf8_decode(&at, end));
    return cells;
}

size_t cells_fit(const char *text, size_t len, size_t cells)
{
    const unsigned char *start = (const unsigned char *)text;
    const unsigned char *at = start;
    const unsigned char *end = at + len;
    while (at < end) {
        const unsigned char *next = at;
        const size_t wide = cells_of(utf8_decode(&next, end));
        if (wide > cells)
            break;
        cells -= wide;
        at = next;
    }
    return (size_t)(at - start);
}
