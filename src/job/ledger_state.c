/* What the ledger knows of each segment that is not sealed, and which are. */
#include "base/ban.h"
#include "base/mem.h"
#include "job/ledger_internal.h"

struct ledger_segment *ledger_find(struct ledger *ledger, uint32_t number)
{
    for (struct ledger_segment *at = ledger->segments; at != NULL; at = at->next)
        if (at->number == number)
            return at;
    return NULL;
}

struct ledger_segment *ledger_find_or_add(struct ledger *ledger, uint32_t number)
{
    struct ledger_segment *segment = ledger_find(ledger, number);
    if (segment != NULL)
        return segment;
    segment = mem_alloc(sizeof *segment);
    segment->number = number;
    segment->next = ledger->segments;
    ledger->segments = segment;
    return segment;
}

static void segment_free(struct ledger_segment *segment)
{
    for (size_t i = 0; i < segment->upload_count; i++)
        ledger_upload_done(&segment->uploads[i]);
    mem_release(segment->uploads);
    mem_release(segment->intents);
    mem_release(segment->status);
    mem_release(segment->at);
    mem_release(segment->bytes);
    buf_done(&segment->encoded);
    mem_release(segment);
}

void ledger_remove(struct ledger *ledger, struct ledger_segment *segment)
{
    struct ledger_segment **link = &ledger->segments;
    while (*link != segment)
        link = &(*link)->next;
    *link = segment->next;
    ledger->open_count -= segment->open;
    segment_free(segment);
}

/* Its results count no more. */
static void uncount(struct ledger *ledger, const struct ledger_segment *segment)
{
    for (uint32_t i = 0; i < segment->entries; i++) {
        ledger->counts.sum.count[segment->status[i]] -= segment->status[i] != RESULT_OPEN;
        ledger->counts.sum.bytes[segment->status[i]] -= segment->bytes[i];
    }
    ledger->counts.sum.retries -= segment->sum.retries;
}

void ledger_forget(struct ledger *ledger, struct ledger_segment *segment)
{
    uncount(ledger, segment);
    ledger_remove(ledger, segment);
}

bool ledger_is_sealed(const struct ledger *ledger, uint32_t number)
{
    return number < ledger->sealed_cap && ledger->sealed[number].known;
}

void ledger_mark_sealed(struct ledger *ledger, uint32_t number, const struct result_sum *sum,
                        const struct result_rest *rest, bool ours)
{
    if (number >= ledger->sealed_cap) {
        const uint32_t cap = number + 1024;
        ledger->sealed = mem_resize(ledger->sealed, cap * sizeof *ledger->sealed);
        memset(ledger->sealed + ledger->sealed_cap, 0,
               (cap - ledger->sealed_cap) * sizeof *ledger->sealed);
        ledger->sealed_cap = cap;
    }
    ledger->sealed[number] =
        (struct ledger_sealed){ .known = true, .ours = ours, .sum = *sum, .rest = *rest };
    ledger->counts.segments_sealed++;
    ledger->counts.segments_sealed_now += ours;
}

void ledger_size_segment(struct ledger_segment *segment, uint32_t entries)
{
    if (segment->entries >= entries)
        return;
    segment->status = mem_resize(segment->status, entries);
    segment->at = mem_resize(segment->at, entries * sizeof *segment->at);
    segment->bytes = mem_resize(segment->bytes, entries * sizeof *segment->bytes);
    for (uint32_t i = segment->entries; i < entries; i++) {
        segment->status[i] = RESULT_OPEN;
        segment->at[i] = AT_NONE;
        segment->bytes[i] = 0;
    }
    segment->entries = entries;
}

void ledger_reopen(struct ledger *ledger, struct ledger_segment *segment, uint32_t ordinal)
{
    const enum result_status old = segment->status[ordinal];
    const uint64_t bytes = segment->bytes[ordinal];
    segment->sum.count[old]--;
    segment->sum.bytes[old] -= bytes;
    ledger->counts.sum.count[old]--;
    ledger->counts.sum.bytes[old] -= bytes;
    segment->status[ordinal] = RESULT_OPEN;
    segment->bytes[ordinal] = 0;
    segment->at[ordinal] = AT_NONE;
}

void ledger_enter(struct ledger *ledger, struct ledger_segment *segment,
                  const struct result *result)
{
    if (result->ordinal >= segment->entries)
        ledger_size_segment(segment, result->ordinal + 1);
    const enum result_status old = segment->status[result->ordinal];
    if (old != RESULT_OPEN) {
        segment->sum.count[old]--;
        segment->sum.bytes[old] -= segment->bytes[result->ordinal];
        ledger->counts.sum.count[old]--;
        ledger->counts.sum.bytes[old] -= segment->bytes[result->ordinal];
    } else if (segment->open) {
        segment->remaining--;
    }
    segment->status[result->ordinal] = (uint8_t)result->status;
    segment->bytes[result->ordinal] = result->size_bytes;
    result_sum_add(&segment->sum, result->status, result->size_bytes, result->retries);
    result_sum_add(&ledger->counts.sum, result->status, result->size_bytes, result->retries);
}
