#include "job/estimate.h"

#include "base/ban.h"
#include "base/scope.h"
#include "job/segment.h"

#define REQUESTS_BESIDE_PARTS 3u

static uint64_t requests_for(uint64_t size_bytes, const struct store_limits *limits)
{
    if (size_bytes < store_large_bytes(limits))
        return 1;
    const uint64_t part_bytes = store_part_bytes(limits, size_bytes);
    return (size_bytes + part_bytes - 1) / part_bytes + REQUESTS_BESIDE_PARTS;
}

static void add(struct estimate *sum, const struct plan_entry *entry,
                const struct store_limits *limits)
{
    /* Where keys are no paths, a directory is an object only when nothing is in it. */
    const bool is_object =
        entry->kind == ENTRY_DIR ? entry->empty && !limits->is_tree : entry->kind != ENTRY_SPECIAL;
    if (entry->action == PLAN_FAIL)
        sum->refused++;
    if (!is_object || entry->action == PLAN_FAIL || entry->action == PLAN_SKIP)
        return;
    sum->all_objects++;
    sum->all_bytes += entry->size_bytes;
    if (entry->action == PLAN_UNCHANGED)
        return;
    if (entry->action == PLAN_COMPARE) {
        sum->compares++;
        return;
    }
    sum->objects++;
    sum->bytes += entry->size_bytes;
    sum->requests += requests_for(entry->size_bytes, limits);
    if (entry->size_bytes > sum->largest_bytes)
        sum->largest_bytes = entry->size_bytes;
}

static int add_segment(struct estimate *sum, const struct generation *generation, uint32_t number,
                       const struct store_limits *limits, struct err *err)
{
    SCOPED(segment) struct segment segment;
    struct plan_entry entry;
    int got;
    if (segment_open(&segment, generation->dir_fd, number, err) < 0)
        return -1;
    while ((got = segment_next(&segment, &entry, err)) == 1)
        add(sum, &entry, limits);
    return got;
}

int estimate_read(struct estimate *ret_estimate, const struct job *job, uint32_t number,
                  const struct store_limits *limits, struct err *err)
{
    *ret_estimate = (struct estimate){ 0 };
    struct generation generation;
    if (generation_open(&generation, job, number, err) < 0)
        return -1;
    int result = 0;
    for (uint32_t i = 1; result == 0 && i <= generation.sealed; i++)
        result = add_segment(ret_estimate, &generation, i, limits, err);
    generation_done(&generation);
    return result;
}
