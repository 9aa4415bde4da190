/* How full numbered buckets are: what was in them when the plan began, and what was planned since.
 */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/spread/spread_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* All numbered buckets of one component. */
struct shelf {
    char *value;
    uint64_t *counts; /* by number - 1 */
    uint32_t count;
    uint32_t first; /* those with a lower number are full */
    bool may_fill;  /* the first bucket is there, or may be made */
};
struct store_room {
    struct spread_store *store;
    struct shelf *shelves; /* by value */
    size_t count;
};

/* ---- shelves ---- */

static struct shelf *shelf_of(struct store_room *room, const char *value)
{
    size_t low = 0;
    size_t high = room->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(room->shelves[middle].value, value);
        if (order == 0)
            return &room->shelves[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    room->shelves = mem_resize(room->shelves, (room->count + 1) * sizeof *room->shelves);
    memmove(room->shelves + low + 1, room->shelves + low,
            (room->count - low) * sizeof *room->shelves);
    room->count++;
    room->shelves[low] = (struct shelf){ .value = mem_string(value), .first = 1 };
    return &room->shelves[low];
}

static uint64_t *count_of(struct shelf *shelf, uint32_t number)
{
    if (number > shelf->count) {
        shelf->counts = mem_resize(shelf->counts, number * sizeof *shelf->counts);
        memset(shelf->counts + shelf->count, 0, (number - shelf->count) * sizeof *shelf->counts);
        shelf->count = number;
    }
    return &shelf->counts[number - 1];
}

/* ---- what is there ---- */

/* A bucket that is full need not be counted to its end. */
static int count_bucket(struct store_room *room, const struct spread_bucket *bucket,
                        struct err *err)
{
    const struct store_driver *driver = room->store->driver;
    struct store *whole = NULL;
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    if (spread_open_whole(room->store, bucket, &whole, err) < 0)
        return -1;
    int got = driver->list_open(&list, whole, "", "", false, err);
    uint64_t *count = count_of(shelf_of(room, bucket->value), bucket->number);
    while (got >= 0 && *count < room->store->limit &&
           (got = driver->list_next(list, &object, err)) == 1)
        ++*count;
    driver->list_close(list);
    driver->close(whole);
    return got < 0 ? err_at(err, "count what is in the bucket '%s'", bucket->name) : 0;
}

static int count_all(struct store_room *room, struct err *err)
{
    struct spread_bucket **known = NULL;
    const size_t count = spread_known_buckets(room->store, NULL, &known);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = count_bucket(room, known[i], err);
    mem_release(known);
    return result;
}

/* "COUNT BUCKET" lines. */
static int read_line(struct store_room *room, const char *line, size_t len, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    SCOPED(buf) struct buf value = { 0 };
    uint32_t number = 0;
    char *end = NULL;
    buf_add(&text, line, len);
    const unsigned long long count = strtoull(buf_text(&text), &end, 10);
    if (end == text.data || *end != ' ' || strlen(text.data) != len ||
        !spread_read_bucket(&room->store->template, end + 1, &value, &number))
        return err_set(err, ERR_CORRUPT, "the count of the buckets is damaged");
    *count_of(shelf_of(room, buf_text(&value)), number) = count;
    return 0;
}

static int read_all(struct store_room *room, const struct buf *counted, struct err *err)
{
    const char *at = buf_text(counted);
    const char *end = at + counted->len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return err_set(err, ERR_CORRUPT, "the count of the buckets is cut");
        if (read_line(room, at, (size_t)(newline - at), err) < 0)
            return -1;
        at = newline + 1;
    }
    return 0;
}

/* ---- the calls ---- */

int spread_room_open(struct store_room **ret_room, struct store *base, const struct buf *counted,
                     struct err *err)
{
    struct store_room *room = mem_alloc(sizeof *room);
    room->store = spread_store_of(base);
    /* A process that takes a plan over was opened long before. */
    int result = spread_find_buckets(room->store, err);
    if (result == 0 && room->store->limit != 0)
        result = counted != NULL ? read_all(room, counted, err) : count_all(room, err);
    if (result < 0) {
        spread_room_close(room);
        return -1;
    }
    *ret_room = room;
    return 0;
}

bool spread_room_tell(const struct store_room *room, struct buf *ret_text)
{
    SCOPED(buf) struct buf bucket = { 0 };
    struct err ignored = { 0 };
    if (room->store->limit == 0)
        return false;
    for (size_t i = 0; i < room->count; i++) {
        const struct shelf *shelf = &room->shelves[i];
        for (uint32_t number = 1; number <= shelf->count; number++)
            if (spread_bucket_name(&room->store->template, shelf->value, number, &bucket,
                                   &ignored) == 0)
                buf_printf(ret_text, "%" PRIu64 " %s\n", shelf->counts[number - 1], bucket.data);
    }
    return true;
}

/* The first bucket is never made by surprise. */
static int check_first(struct store_room *room, struct shelf *shelf, struct err *err)
{
    struct spread_bucket *bucket = NULL;
    if (shelf->may_fill)
        return 0;
    if (spread_bucket_of(room->store, shelf->value, 1, &bucket, err) < 0)
        return -1;
    if (!room->store->may_make && !atomic_load(&bucket->exists))
        return spread_missing(bucket, err);
    shelf->may_fill = true;
    return 0;
}

int spread_room_take(struct store_room *room, const char *key, uint32_t *bucket, struct err *err)
{
    const struct spread_store *store = room->store;
    SCOPED(buf) struct buf value = { 0 };
    SCOPED(buf) struct buf name = { 0 };
    if (spread_map(&store->template, key, &value, &name, err) < 0)
        return -1;
    struct shelf *shelf = shelf_of(room, value.data);
    if (*bucket != 0) {
        ++*count_of(shelf, *bucket);
        return 0;
    }
    if (check_first(room, shelf, err) < 0)
        return -1;
    if (store->limit == 0)
        return 0;
    uint32_t number = shelf->first;
    while (*count_of(shelf, number) >= store->limit)
        number++;
    if (number > STORE_BUCKET_MAX)
        return err_set(err, ERR_LIMIT, "all buckets are full");
    if (spread_bucket_name(&store->template, value.data, number, &name, err) < 0)
        return -1;
    shelf->first = number;
    ++*count_of(shelf, number);
    *bucket = number;
    return 0;
}

void spread_room_close(struct store_room *room)
{
    if (room == NULL)
        return;
    for (size_t i = 0; i < room->count; i++) {
        mem_release(room->shelves[i].value);
        mem_release(room->shelves[i].counts);
    }
    mem_release(room->shelves);
    mem_release(room);
}
