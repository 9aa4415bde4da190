#include "base/body.h"

#include "base/ban.h"
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

struct body body_of_memory(const void *bytes, size_t len, struct digest *digest,
                           const struct flow *flow)
{
    return (struct body){
        .flow = flow, .digest = digest, .fd = -1, .memory = bytes, .size_bytes = len
    };
}

struct body body_of_fd(int fd, uint64_t offset_bytes, uint64_t size_bytes, void *slab,
                       size_t slab_bytes, struct digest *digest, const struct flow *flow)
{
    return (struct body){ .flow = flow,
                          .digest = digest,
                          .fd = fd,
                          .slab = slab,
                          .slab_bytes = slab_bytes,
                          .offset_bytes = offset_bytes,
                          .size_bytes = size_bytes };
}

struct body body_of_maker(const struct body_maker *maker, void *from, uint64_t size_bytes)
{
    return (struct body){ .fd = -1, .maker = maker, .from = from, .size_bytes = size_bytes };
}

static int ended_early(struct body *body, struct err *err)
{
    body->ended_early = true;
    return err_set(err, ERR_CHANGED, "ended early: %llu bytes of %llu could be read",
                   (unsigned long long)body->done_bytes, (unsigned long long)body->size_bytes);
}

static int next_of_maker(struct body *body, const void **ret_bytes, size_t *ret_len,
                         struct err *err)
{
    size_t len = 0;
    if (body->maker->next(body->from, ret_bytes, &len, err) < 0)
        return -1;
    if (len == 0)
        return ended_early(body, err);
    assert(len <= body->size_bytes - body->done_bytes);
    body->done_bytes += len;
    *ret_len = len;
    return 0;
}

/* Account for `len` bytes: the budget, the stop flag and the meters. */
static int flow_pass(const struct flow *flow, size_t len, struct err *err)
{
    if (flow == NULL)
        return 0;
    if (stop_check(flow->stop, err) < 0)
        return -1;
    if (rate_wait(flow->rate, (double)len, flow->stop, err) < 0)
        return -1;
    if (flow->moved != NULL)
        atomic_fetch_add_explicit(flow->moved, len, memory_order_relaxed);
    return 0;
}

int body_next(struct body *body, const void **ret_bytes, size_t *ret_len, struct err *err)
{
    const uint64_t left = body->size_bytes - body->done_bytes;
    if (left == 0) {
        *ret_len = 0;
        return 0;
    }
    if (body->maker != NULL)
        return next_of_maker(body, ret_bytes, ret_len, err);
    const void *bytes = body->memory + body->done_bytes;
    size_t len = left < BODY_MEMORY_BYTES ? (size_t)left : BODY_MEMORY_BYTES;
    if (body->fd >= 0) {
        const size_t want = left < body->slab_bytes ? (size_t)left : body->slab_bytes;
        ssize_t got = 0;
        do
            got = pread(body->fd, body->slab, want, (off_t)(body->offset_bytes + body->done_bytes));
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return err_sys(err, ERR_SOURCE, "read at %llu",
                           (unsigned long long)body->offset_bytes + body->done_bytes);
        if (got == 0)
            return ended_early(body, err);
        bytes = body->slab;
        len = (size_t)got;
    }
    if (flow_pass(body->flow, len, err) < 0)
        return -1;
    if (body->digest != NULL)
        digest_add(body->digest, bytes, len);
    body->done_bytes += len;
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

void body_rewind(struct body *body)
{
    body->done_bytes = 0;
    body->ended_early = false;
    if (body->maker != NULL)
        body->maker->rewind(body->from);
    if (body->digest != NULL)
        digest_reset(body->digest);
}

int sink_write(struct sink *sink, const void *bytes, size_t len, struct err *err)
{
    if (flow_pass(sink->flow, len, err) < 0)
        return -1;
    if (sink->digest != NULL)
        digest_add(sink->digest, bytes, len);
    if (sink->take != NULL) {
        if (sink->take(sink->to, bytes, len, err) < 0)
            return -1;
    } else if (sink->fd >= 0) {
        const uint64_t at = sink->offset_bytes + sink->done_bytes;
        if ((sink->keep_holes ? file_write_sparse : file_write_at)(sink->fd, bytes, len, at, err) <
            0)
            return -1;
    } else if (sink->memory != NULL) {
        if (sink->done_bytes + len > sink->memory_bytes)
            return err_set(err, ERR_LIMIT, "more than %zu bytes where fewer were expected",
                           sink->memory_bytes);
        memcpy(sink->memory + sink->done_bytes, bytes, len);
    }
    sink->done_bytes += len;
    return 0;
}

void sink_rewind(struct sink *sink)
{
    sink->done_bytes = 0;
    if (sink->digest != NULL)
        digest_reset(sink->digest);
}
