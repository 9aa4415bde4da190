#include "job/trail.h"

#include "base/ban.h"
#include "base/mem.h"

void trail_done(struct trail *trail)
{
    buf_done(&trail->path);
    mem_free(trail->steps);
    trail->depth = trail->cap = 0;
}

struct trail_step *trail_enter(struct trail *trail, const char *name, size_t name_len)
{
    if (trail->depth == trail->cap) {
        trail->cap = trail->cap == 0 ? 16 : trail->cap * 2;
        trail->steps = mem_resize(trail->steps, trail->cap * sizeof *trail->steps);
    }
    buf_clear(&trail->path);
    buf_add(&trail->path, name, name_len);
    struct trail_step *step = &trail->steps[trail->depth++];
    *step = (struct trail_step){ .name_len = name_len };
    return step;
}

bool trail_passed(const struct trail *trail, const char *name, size_t name_len)
{
    const size_t len = trail_last(trail)->name_len;
    return name_len < len || memcmp(name, buf_text(&trail->path), len) != 0;
}

void trail_leave(struct trail *trail)
{
    const struct trail_step left = trail->steps[--trail->depth];
    if (trail->depth == 0)
        return;
    struct trail_step *above = trail_last(trail);
    above->bytes += left.bytes;
    above->files += left.files;
    buf_cut(&trail->path, above->name_len);
}
