#include "base/queue.h"

#include "base/ban.h"
#include "base/mem.h"

void queue_init(struct queue *queue, size_t cap)
{
    *queue = (struct queue){ .cap = cap, .items = mem_alloc(cap * sizeof *queue->items) };
    lock_init(&queue->lock);
    cond_init(&queue->filled);
    cond_init(&queue->freed);
}

void queue_done(struct queue *queue)
{
    if (queue->items == NULL)
        return;
    mem_free(queue->items);
    lock_done(&queue->lock);
    cond_done(&queue->filled);
    cond_done(&queue->freed);
}

bool queue_put(struct queue *queue, void *item)
{
    SCOPED_LOCK(&queue->lock);
    while (queue->count == queue->cap && !queue->closed)
        cond_wait(&queue->freed, &queue->lock);
    if (queue->closed)
        return false;
    queue->items[(queue->first + queue->count++) % queue->cap] = item;
    cond_wake_one(&queue->filled);
    return true;
}

bool queue_put_for(struct queue *queue, void *item, int64_t span_ns)
{
    SCOPED_LOCK(&queue->lock);
    while (queue->count == queue->cap && !queue->closed)
        if (!cond_wait_for(&queue->freed, &queue->lock, span_ns))
            return false;
    if (queue->closed)
        return false;
    queue->items[(queue->first + queue->count++) % queue->cap] = item;
    cond_wake_one(&queue->filled);
    return true;
}

void *queue_take(struct queue *queue, int64_t wait_ns)
{
    SCOPED_LOCK(&queue->lock);
    while (queue->count == 0 && !queue->closed) {
        if (wait_ns < 0)
            cond_wait(&queue->filled, &queue->lock);
        else if (!cond_wait_for(&queue->filled, &queue->lock, wait_ns))
            break;
    }
    if (queue->count == 0)
        return NULL;
    void *item = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->cap;
    queue->count--;
    cond_wake_one(&queue->freed);
    return item;
}

void queue_close(struct queue *queue)
{
    SCOPED_LOCK(&queue->lock);
    queue->closed = true;
    cond_wake_all(&queue->filled);
    cond_wake_all(&queue->freed);
}

bool queue_ended(struct queue *queue)
{
    SCOPED_LOCK(&queue->lock);
    return queue->closed && queue->count == 0;
}
