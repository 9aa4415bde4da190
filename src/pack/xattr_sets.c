#include "pack/xattr_sets.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/xattr.h"

#include <assert.h>

#define SLOTS 16384u /* twice as many as a block has members */

/* ---- writing ---- */

void xattr_sets_done(struct xattr_sets *sets)
{
    buf_done(&sets->sets);
    buf_done(&sets->runs);
    buf_done(&sets->spans);
    mem_free(sets->slots);
}

static const struct xattr_span *spans_of(const struct buf *spans, size_t *ret_count)
{
    *ret_count = spans->len / sizeof(struct xattr_span);
    return (const struct xattr_span *)(const void *)spans->data;
}

/* The number of this set, from 1; a new one is added. */
static uint32_t number_of(struct xattr_sets *sets, const void *set, size_t len)
{
    if (sets->slots == NULL)
        sets->slots = mem_alloc(SLOTS * sizeof *sets->slots);
    uint32_t at = (uint32_t)crc64nvme(0, set, len) % SLOTS;
    size_t count = 0;
    const struct xattr_span *spans = spans_of(&sets->spans, &count);
    for (; sets->slots[at] != 0; at = (at + 1) % SLOTS) {
        const struct xattr_span *span = &spans[sets->slots[at] - 1];
        if (span->len == len && memcmp(sets->sets.data + span->at, set, len) == 0)
            return sets->slots[at];
    }
    assert(sets->count < SLOTS / 2);
    buf_add_varint(&sets->sets, len);
    const struct xattr_span span = { .at = (uint32_t)sets->sets.len, .len = (uint32_t)len };
    buf_add(&sets->sets, set, len);
    buf_add(&sets->spans, &span, sizeof span);
    return sets->slots[at] = ++sets->count;
}

static void end_run(struct xattr_sets *sets)
{
    if (sets->last_count == 0)
        return;
    buf_add_varint(&sets->runs, sets->last_count);
    buf_add_varint(&sets->runs, sets->last);
    sets->last_count = 0;
}

void xattr_sets_add(struct xattr_sets *sets, const void *set, size_t len)
{
    const uint32_t number = len != 0 ? number_of(sets, set, len) : 0;
    if (number != sets->last)
        end_run(sets);
    sets->last = number;
    sets->last_count++;
}

void xattr_sets_end(struct xattr_sets *sets, struct buf *out_sets, struct buf *out_runs)
{
    end_run(sets);
    if (sets->count != 0) {
        buf_add(out_sets, sets->sets.data, sets->sets.len);
        buf_add(out_runs, sets->runs.data, sets->runs.len);
        memset(sets->slots, 0, SLOTS * sizeof *sets->slots);
    }
    buf_clear(&sets->sets);
    buf_clear(&sets->runs);
    buf_clear(&sets->spans);
    sets->count = sets->last = 0;
}

/* ---- reading ---- */

void xattr_runs_done(struct xattr_runs *runs)
{
    buf_done(&runs->spans);
}

bool xattr_runs_begin(struct xattr_runs *runs, struct view *sets, const void *base)
{
    buf_clear(&runs->spans);
    runs->left = 0;
    runs->span = (struct xattr_span){ 0 };
    while (view_left(sets) != 0) {
        const uint64_t len = view_varint(sets);
        const void *set = len <= view_left(sets) ? view_bytes(sets, (size_t)len) : NULL;
        if (sets->bad || set == NULL || len == 0 || !xattr_set_ok(set, (size_t)len))
            return false;
        const struct xattr_span span = { .at = (uint32_t)((const char *)set - (const char *)base),
                                         .len = (uint32_t)len };
        buf_add(&runs->spans, &span, sizeof span);
    }
    return true;
}

bool xattr_runs_next(struct xattr_runs *runs, struct view *column, struct xattr_span *ret_span)
{
    if (runs->left == 0) {
        size_t count = 0;
        const struct xattr_span *spans = spans_of(&runs->spans, &count);
        if (count == 0) { /* nobody has any */
            *ret_span = (struct xattr_span){ 0 };
            return true;
        }
        runs->left = view_varint(column);
        const uint64_t number = view_varint(column);
        if (column->bad || runs->left == 0 || number > count)
            return false;
        runs->span = number != 0 ? spans[number - 1] : (struct xattr_span){ 0 };
    }
    runs->left--;
    *ret_span = runs->span;
    return true;
}

bool xattr_runs_ended(const struct xattr_runs *runs)
{
    return runs->left == 0;
}
