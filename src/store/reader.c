#include "store/reader.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"

#define RING_BYTES ((size_t)4 << 20)
#define WINDOW_FIRST_BYTES (UINT64_C(64) << 10)
#define WINDOW_LAST_BYTES (UINT64_C(16) << 20) /* beyond: all that is left */
#define WINDOW_GROWTH 8
#define STEP_NS (100 * NS_PER_MS)

struct reader {
    struct store *store;
    char *key;
    struct object object;
    const struct flow *flow;
    const struct stop *stop;
    uint64_t window_bytes; /* of the next request; the caller's thread only */
    struct thread thread;
    unsigned char *ring;
    struct lock lock;
    struct cond filled, freed;
    uint64_t first, end; /* guarded by lock: offsets of what is in the ring */
    uint64_t until;      /* set at start of a request */
    bool ended;          /* guarded by lock: the request is over */
    bool unwanted;       /* guarded by lock: it is to end */
    struct err why;      /* guarded by lock: why it ended early */
};

/* ---- the thread that reads ahead ---- */

/* Copy as much as there is room for; 0 when nobody wants it any more. */
static size_t put_some(struct reader *reader, const unsigned char *bytes, size_t len)
{
    SCOPED_LOCK(&reader->lock);
    while (!reader->unwanted && reader->end - reader->first == RING_BYTES)
        (void)cond_wait_for(&reader->freed, &reader->lock, STEP_NS);
    if (reader->unwanted)
        return 0;
    const size_t room = RING_BYTES - (size_t)(reader->end - reader->first);
    const size_t at = (size_t)(reader->end % RING_BYTES);
    size_t part = len < room ? len : room;
    if (part > RING_BYTES - at)
        part = RING_BYTES - at;
    memcpy(reader->ring + at, bytes, part);
    reader->end += part;
    cond_wake_one(&reader->filled);
    return part;
}

static int take(void *to, const void *bytes, size_t len, struct err *err)
{
    const unsigned char *at = bytes;
    while (len != 0) {
        const size_t part = put_some(to, at, len);
        if (part == 0)
            return err_set(err, ERR_STOPPED, "no longer wanted");
        at += part;
        len -= part;
    }
    return 0;
}

static bool is_unwanted(struct reader *reader)
{
    SCOPED_LOCK(&reader->lock);
    return reader->unwanted;
}

static int request(struct reader *reader, struct err *err)
{
    for (uint32_t tries = 1;; tries++) {
        const uint64_t from = reader->end; /* no other thread changes it */
        if (from == reader->until)
            return 0;
        struct sink sink = { .flow = reader->flow, .fd = -1, .take = take, .to = reader };
        if (reader->store->driver->get(reader->store, reader->key, from, reader->until - from,
                                       reader->object.etag, &sink, NULL, err) == 0) {
            if (reader->end == reader->until)
                return 0;
            return err_set(err, ERR_CHANGED, "it ends at byte %llu, and had %llu bytes",
                           (unsigned long long)reader->end,
                           (unsigned long long)reader->object.size_bytes);
        }
        if (reader->end != from)
            tries = 1;
        if (is_unwanted(reader) || store_wait_patiently(tries, reader->stop, err) < 0)
            return -1;
    }
}

static void *read_ahead(void *arg)
{
    struct reader *reader = arg;
    struct err err = { 0 };
    (void)!request(reader, &err); /* the error is told to who reads */
    SCOPED_LOCK(&reader->lock);
    reader->why = err;
    reader->ended = true;
    cond_wake_one(&reader->filled);
    return NULL;
}

/* ---- the caller's side ---- */

static void end_request(struct reader *reader)
{
    if (!reader->thread.started)
        return;
    lock_take(&reader->lock);
    reader->unwanted = true;
    cond_wake_one(&reader->freed);
    lock_give(&reader->lock);
    thread_join(&reader->thread);
    reader->thread.started = false;
    reader->unwanted = false;
}

static int begin_request(struct reader *reader, uint64_t offset_bytes, struct err *err)
{
    end_request(reader);
    reader->first = reader->end = offset_bytes;
    reader->ended = false;
    err_clear(&reader->why);
    const uint64_t left = reader->object.size_bytes - offset_bytes;
    reader->until = offset_bytes + (left < reader->window_bytes ? left : reader->window_bytes);
    reader->window_bytes = reader->window_bytes < WINDOW_LAST_BYTES
                               ? reader->window_bytes * WINDOW_GROWTH
                               : UINT64_MAX;
    return thread_start(&reader->thread, "read ahead", read_ahead, reader, err);
}

/* 1: bytes were copied, 0: the request is over and all of it was read, -1. */
static int take_some(struct reader *reader, void *bytes, size_t len, size_t *ret_len,
                     struct err *err)
{
    SCOPED_LOCK(&reader->lock);
    while (reader->end == reader->first && !reader->ended) {
        if (stop_check(reader->stop, err) < 0)
            return -1;
        (void)cond_wait_for(&reader->filled, &reader->lock, STEP_NS);
    }
    if (reader->end == reader->first) {
        if (reader->why.kind == ERR_NONE)
            return 0;
        *err = reader->why;
        return -1;
    }
    const size_t at = (size_t)(reader->first % RING_BYTES);
    size_t part = (size_t)(reader->end - reader->first);
    if (part > len)
        part = len;
    if (part > RING_BYTES - at)
        part = RING_BYTES - at;
    memcpy(bytes, reader->ring + at, part);
    reader->first += part;
    *ret_len = part;
    cond_wake_one(&reader->freed);
    return 1;
}

int reader_read(struct reader *reader, uint64_t offset_bytes, void *bytes, size_t len,
                size_t *ret_len, struct err *err)
{
    if (offset_bytes >= reader->object.size_bytes || len == 0) {
        *ret_len = 0;
        return 0;
    }
    const bool jumps = !reader->thread.started || offset_bytes != reader->first;
    if (jumps)
        reader->window_bytes = WINDOW_FIRST_BYTES;
    if (jumps && begin_request(reader, offset_bytes, err) < 0)
        return -1;
    int got;
    while ((got = take_some(reader, bytes, len, ret_len, err)) == 0)
        if (begin_request(reader, offset_bytes, err) < 0)
            return -1;
    return got < 0 ? -1 : 0;
}

int reader_open(struct reader **ret_reader, struct store *store, const char *key,
                const struct reader_options *options, struct err *err)
{
    struct object object = { 0 };
    if (store_head_patiently(store, key, options->stop, &object, err) < 0) {
        object_done(&object);
        return -1;
    }
    struct reader *reader = mem_alloc(sizeof *reader);
    *reader = (struct reader){ .store = store,
                               .key = mem_string(key),
                               .object = object,
                               .flow = options->flow,
                               .stop = options->stop,
                               .ring = mem_alloc(RING_BYTES) };
    lock_init(&reader->lock);
    cond_init(&reader->filled);
    cond_init(&reader->freed);
    *ret_reader = reader;
    return 0;
}

void reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    end_request(reader);
    cond_done(&reader->freed);
    cond_done(&reader->filled);
    lock_done(&reader->lock);
    object_done(&reader->object);
    mem_release(reader->ring);
    mem_release(reader->key);
    mem_release(reader);
}

const struct object *reader_object(const struct reader *reader)
{
    return &reader->object;
}
