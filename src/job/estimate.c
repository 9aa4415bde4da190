#include "job/estimate.h"

#include "base/ban.h"
#include "base/mem.h"
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

/* How many objects each bucket gets. Entries of one bucket mostly come together. */
struct bucket {
    char *location; /* "s3://NAME" */
    uint64_t objects;
};
struct reader {
    struct estimate *sum;
    struct store *store;
    struct bucket *buckets;
    size_t count, last; /* last: the one that was counted last */
    struct buf key, location;
    struct buf pack, kept; /* the pack that is counted, and the one of what stays */
    uint64_t pack_bytes;
};

static void reader_done(struct reader *reader)
{
    for (size_t i = 0; i < reader->count; i++)
        mem_release(reader->buckets[i].location);
    mem_release(reader->buckets);
    buf_done(&reader->key);
    buf_done(&reader->location);
    buf_done(&reader->pack);
    buf_done(&reader->kept);
}

static struct bucket *bucket_of(struct reader *reader, const char *location)
{
    if (reader->count != 0 && strcmp(reader->buckets[reader->last].location, location) == 0)
        return &reader->buckets[reader->last];
    for (size_t i = 0; i < reader->count; i++)
        if (strcmp(reader->buckets[i].location, location) == 0) {
            reader->last = i;
            return &reader->buckets[i];
        }
    reader->buckets = mem_resize(reader->buckets, (reader->count + 1) * sizeof *reader->buckets);
    reader->buckets[reader->count] = (struct bucket){ .location = mem_string(location) };
    reader->last = reader->count++;
    return &reader->buckets[reader->last];
}

/* Where there is one bucket for all, it has all objects. */
static void count_in_bucket(struct reader *reader, const struct plan_entry *entry)
{
    struct store *store = reader->store;
    struct err ignored = { 0 }; /* such an entry is refused, and no object */
    uint64_t objects = reader->sum->all_objects;
    if (store->driver->locate != NULL) {
        if (plan_entry_key(store, entry, &reader->key, &ignored) < 0 ||
            !store->driver->locate(store, buf_text(&reader->key), &reader->location))
            return;
        char *bucket = strstr(reader->location.data, "://");
        if (bucket != NULL)
            bucket[3 + strcspn(bucket + 3, "/")] = '\0';
        objects = ++bucket_of(reader, reader->location.data)->objects;
    }
    if (objects > reader->sum->most_objects)
        reader->sum->most_objects = objects;
}

/* The pack is complete: one object, at most as large as what it holds. */
static void end_pack(struct reader *reader)
{
    struct estimate *sum = reader->sum;
    if (reader->pack.len == 0)
        return;
    sum->objects++;
    sum->all_objects++;
    sum->requests += requests_for(reader->pack_bytes, &reader->store->limits);
    if (reader->pack_bytes > sum->largest_bytes)
        sum->largest_bytes = reader->pack_bytes;
    if (sum->all_objects > sum->most_objects)
        sum->most_objects = sum->all_objects;
    buf_clear(&reader->pack);
    reader->pack_bytes = 0;
}

/* Members of a pack are beside each other in the plan. */
static void add_packed(struct reader *reader, const struct plan_entry *entry)
{
    struct estimate *sum = reader->sum;
    sum->all_bytes += entry->size_bytes;
    if (entry->action == PLAN_UNCHANGED) {
        if (strcmp(buf_text(&reader->kept), entry->kept) == 0)
            return;
        buf_clear(&reader->kept);
        buf_add_text(&reader->kept, entry->kept);
        sum->all_objects++;
        return;
    }
    if (entry->pack == NULL) {
        sum->compares++;
        return;
    }
    if (strcmp(buf_text(&reader->pack), entry->pack) != 0) {
        end_pack(reader);
        buf_add_text(&reader->pack, entry->pack);
    }
    sum->bytes += entry->size_bytes;
    reader->pack_bytes += entry->size_bytes;
}

static void add(struct reader *reader, const struct plan_entry *entry)
{
    struct estimate *sum = reader->sum;
    const struct store_limits *limits = &reader->store->limits;
    if (entry->pack != NULL || entry->kept != NULL) {
        add_packed(reader, entry);
        return;
    }
    /* Where keys are no paths, a directory is an object only when nothing is in it. */
    const bool is_object =
        entry->kind == ENTRY_DIR ? entry->empty && !limits->is_tree : entry->kind != ENTRY_SPECIAL;
    if (entry->action == PLAN_FAIL)
        sum->refused++;
    if (!is_object || entry->action == PLAN_FAIL || entry->action == PLAN_SKIP)
        return;
    sum->all_objects++;
    sum->all_bytes += entry->size_bytes;
    count_in_bucket(reader, entry);
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

static int add_segment(struct reader *reader, const struct generation *generation, uint32_t number,
                       struct err *err)
{
    SCOPED(segment) struct segment segment;
    struct plan_entry entry;
    int got;
    if (segment_open(&segment, generation->dir_fd, number, err) < 0)
        return -1;
    while ((got = segment_next(&segment, &entry, err)) == 1)
        add(reader, &entry);
    return got;
}

int estimate_read(struct estimate *ret_estimate, const struct job *job, uint32_t number,
                  struct store *store, struct err *err)
{
    *ret_estimate = (struct estimate){ 0 };
    SCOPED(reader) struct reader reader = { .sum = ret_estimate, .store = store };
    struct generation generation;
    if (generation_open(&generation, job, number, err) < 0)
        return -1;
    int result = 0;
    for (uint32_t i = 1; result == 0 && i <= generation.sealed; i++)
        result = add_segment(&reader, &generation, i, err);
    end_pack(&reader);
    generation_done(&generation);
    return result;
}
