/* base/queue.h: a bounded queue of pointers between threads. It takes what it accepts.
 * Threads: any number on both sides. Every wait ends: by an item, room, close or stop. */
#pragma once

#include "base/err.h"
#include "base/thread.h"

#include <stddef.h>
#include <stdint.h>

struct queue {
    struct lock lock;
    struct cond filled, freed;
    void **items; /* guarded by lock, ring of cap */
    size_t cap, first, count;
    bool closed;
};
void queue_init(struct queue *queue, size_t cap);
void queue_done(struct queue *queue); /* items left in it are the caller's to drain first */
/* Wait for room; false when the queue is closed (the item stays the caller's). */
bool queue_put(struct queue *queue, void *item);
/* The same, but wait at most span_ns. */
bool queue_put_for(struct queue *queue, void *item, int64_t span_ns);
/* Wait for an item, at most wait_ns (negative: for ever); NULL when closed and empty, or time is
 * up. */
void *queue_take(struct queue *queue, int64_t wait_ns);
/* No more puts; takers get what is left, then NULL. */
void queue_close(struct queue *queue);
bool queue_ended(struct queue *queue); /* closed and empty */
