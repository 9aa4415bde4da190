#include "pack/archive_in.h"

#include "base/ban.h"
#include "base/path.h"
#include "base/scope.h"
#include "pack/foreign.h"

void archive_member_done(struct archive_member *member)
{
    buf_done(&member->path);
    buf_done(&member->target);
}

static uint64_t most_bytes(const struct archive_limits *limits, uint64_t size_bytes)
{
    if (limits->ratio == 0)
        return UINT64_MAX;
    const uint64_t most =
        size_bytes > UINT64_MAX / limits->ratio ? UINT64_MAX : size_bytes * limits->ratio;
    return most > limits->free_bytes ? most : limits->free_bytes;
}

int archive_in_open(struct archive_in **ret_in, const struct archive_source *source,
                    const struct archive_limits *limits, const char *inside, struct err *err)
{
    struct archive_in *in = NULL;
    const uint64_t most = most_bytes(limits, source->size_bytes);
    if (foreign_open(&in, source, inside, most, err) < 0)
        return -1;
    in->limits = *limits;
    in->most_bytes = most;
    *ret_in = in;
    return 0;
}

void archive_in_close(struct archive_in *in)
{
    if (in == NULL)
        return;
    buf_done(&in->name);
    in->format->close(in);
}

/* Which member an error is about, or behind which one it is. */
static int at_member(const struct archive_in *in, const char *where, struct err *err)
{
    SCOPED(buf) struct buf shown = { 0 };
    path_show(&shown, buf_text(&in->name));
    return in->member_count == 0 ? -1 : err_at(err, "%s'%s'", where, buf_text(&shown));
}

int archive_in_next(struct archive_in *in, struct archive_member *member, struct err *err)
{
    const int got = in->format->next(in, member, err);
    if (got < 0)
        return at_member(in, "behind ", err);
    if (got == 0)
        return 0;
    if (in->limits.members != 0 && in->member_count == in->limits.members) {
        err_set(err, ERR_LIMIT, "the archive has more than %llu members",
                (unsigned long long)in->limits.members);
        return err_hint(err, "--max-members allows more");
    }
    in->member_count++;
    buf_clear(&in->name);
    buf_add(&in->name, buf_text(&member->path), member->path.len);
    return 1;
}

int archive_limit_error(uint64_t most_bytes, struct err *err)
{
    err_set(err, ERR_LIMIT, "the archive gives more than %llu bytes, far more than its own size",
            (unsigned long long)most_bytes);
    return err_hint(err, "if you trust it, --max-ratio allows more");
}

int archive_in_data(struct archive_in *in, struct archive_piece *ret_piece, struct err *err)
{
    const int got = in->format->data(in, ret_piece, err);
    if (got < 0)
        return at_member(in, "", err);
    if (got == 0)
        return 0;
    in->given_bytes += ret_piece->len;
    if (in->given_bytes > in->most_bytes) {
        archive_limit_error(in->most_bytes, err);
        return at_member(in, "", err);
    }
    return 1;
}

/* ---- names ---- */

static int refuse(const char *why, struct err *err)
{
    return err_set(err, ERR_LIMIT, "%s", why);
}

int archive_path_rel(const struct buf *path, struct buf *ret_rel, struct err *err)
{
    buf_clear(ret_rel);
    if (path->len == 0)
        return refuse("it has no name", err);
    if (path->len > ARCHIVE_NAME_MAX)
        return refuse("its name is too long", err);
    if (memchr(path->data, '\0', path->len) != NULL)
        return refuse("its name has a NUL in it", err);
    if (path->data[0] == '/')
        return refuse("its name begins at the root: it would lead out of the directory", err);
    for (const char *at = path->data; *at != '\0';) {
        const size_t len = (size_t)(strchrnul(at, '/') - at);
        if (len == 2 && memcmp(at, "..", 2) == 0)
            return refuse("its name has '..' in it: it could lead out of the directory", err);
        if (path_component_ok(at, len))
            buf_printf(ret_rel, "%s%.*s", ret_rel->len != 0 ? "/" : "", (int)len, at);
        at += len + (at[len] == '/' ? 1 : 0);
    }
    return 0;
}

bool archive_is_inside(const char *rel, const char *inside, const char **ret_rest)
{
    size_t len = strlen(inside);
    while (len != 0 && inside[len - 1] == '/')
        len--;
    if (strncmp(rel, inside, len) != 0)
        return false;
    *ret_rest = rel + len;
    if (len == 0)
        return true;
    if (rel[len] == '/') {
        ++*ret_rest;
        return true;
    }
    return rel[len] == '\0';
}
