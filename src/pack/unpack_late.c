/* What waits for the end of an archive: links, and the modes and times of directories. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/unpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_SPILL_BYTES ((size_t)1 << 20)

/* ---- records in a spill ---- */

static void add_attr(struct buf *record, const struct attr *attr)
{
    buf_add_u32(record, attr->have);
    buf_add_u32(record, attr->mode);
    buf_add_u32(record, attr->uid);
    buf_add_u32(record, attr->gid);
    buf_add_u64(record, (uint64_t)attr->mtime_ns);
}

static int keep(struct spill *spill, const struct buf *record, struct err *err)
{
    SCOPED(buf) struct buf head = { 0 };
    buf_add_u32(&head, (uint32_t)record->len);
    if (spill_add(spill, head.data, head.len, err) < 0)
        return -1;
    return spill_add(spill, record->data, record->len, err);
}

/* A record again; its texts are the reader's. */
struct late {
    struct attr attr;
    uint8_t flag;
    const char *rel;
    const char *target;
};

struct late_reader {
    struct spill *spill;
    struct buf bytes; /* of the spill, not yet had */
    size_t had;
};

/* The next record: 1, 0 at the end, -1. */
static int late_next(struct late_reader *reader, struct late *late, struct err *err)
{
    for (;;) {
        struct view view =
            view_of(buf_text(&reader->bytes) + reader->had, reader->bytes.len - reader->had);
        const uint32_t len = view_u32(&view);
        struct view record = view_of(view_bytes(&view, len), len);
        if (!view.bad) {
            reader->had += 4 + (size_t)len;
            late->attr.have = view_u32(&record);
            late->attr.mode = view_u32(&record);
            late->attr.uid = view_u32(&record);
            late->attr.gid = view_u32(&record);
            late->attr.mtime_ns = (int64_t)view_u64(&record);
            late->flag = view_u8(&record);
            late->rel = (const char *)record.at;
            late->target = late->rel + strlen(late->rel) + 1;
            return 1;
        }
        const char *more = NULL;
        size_t more_len = 0;
        const int got = spill_next(reader->spill, &more, &more_len, err);
        if (got <= 0)
            return got;
        struct buf bytes = { 0 };
        buf_add(&bytes, buf_text(&reader->bytes) + reader->had, reader->bytes.len - reader->had);
        buf_add(&bytes, more, more_len);
        buf_done(&reader->bytes);
        reader->bytes = bytes;
        reader->had = 0;
    }
}

/* ---- links ---- */

int unpack_keep_link(struct unpack *unpack, const struct archive_member *member, const char *rel,
                     struct err *err)
{
    if (member->target.len == 0 || member->target.len >= PATH_MAX)
        return err_set(err, ERR_LIMIT, "it is a link to nothing that a link can point to");
    SCOPED(buf) struct buf record = { 0 };
    const struct attr attr = unpack_attr(unpack, &member->attr);
    add_attr(&record, &attr);
    buf_add_char(&record, brought_has(&unpack->brought, BROUGHT_FILE, rel, strlen(rel)) ? 1 : 0);
    buf_add(&record, rel, strlen(rel) + 1);
    buf_add(&record, member->target.data, member->target.len + 1);
    brought_add(&unpack->brought, BROUGHT_LINK, rel);
    unpack->dir_known = false;
    return keep(&unpack->links, &record, err);
}

/* 1: something is there, *ret_same: the very link. */
static int look_at_link(struct unpack *unpack, const struct late *late, bool *ret_same,
                        struct err *err)
{
    int dir_fd = -1;
    const char *name = NULL;
    struct stat st;
    struct err why = { 0 };
    *ret_same = false;
    if (dir_cache_at(&unpack->targets, late->rel, false, &dir_fd, &name, &why) < 0) {
        if (why.kind == ERR_ABSENT && why.sys == ENOENT)
            return 0;
        why.kind = why.kind == ERR_ABSENT ? ERR_CONFLICT : why.kind;
        *err = why;
        return -1;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    char target[PATH_MAX];
    const ssize_t len = readlinkat(dir_fd, name, target, sizeof target);
    *ret_same = len >= 0 && (size_t)len == strlen(late->target) &&
                memcmp(target, late->target, (size_t)len) == 0;
    return 1;
}

static int make_link(struct unpack *unpack, const struct late *late, struct err *err)
{
    const size_t len = strlen(late->rel);
    if (brought_has(&unpack->brought, BROUGHT_FILE, late->rel, len) && late->flag == 0)
        return 0; /* a file of this name came later */
    if (unpack_check_way(unpack, late->rel, err) < 0)
        return -1;
    bool same = false;
    const int there = look_at_link(unpack, late, &same, err);
    if (there < 0)
        return -1;
    if (same) {
        unpack_tell(unpack, UNPACK_UNCHANGED, late->rel, 0, NULL);
        return 0;
    }
    const bool ours =
        late->flag != 0 || brought_has(&unpack->brought, BROUGHT_TIED, late->rel, len);
    if (there == 1 && !ours && !unpack->options.overwrite) {
        err_set(err, ERR_CONFLICT, "something else is there already");
        return err_hint(err, "use --overwrite to replace it");
    }
    char tag[TAG_TEXT];
    unpack_next_tag(unpack, tag);
    if (stage_link(&unpack->stage, late->rel, tag, late->target, &late->attr, err) < 0)
        return -1;
    struct stage_item item = { .rel = late->rel, .tag = tag, .keep_existing = there == 0 };
    stage_commit(&unpack->stage, &item, 1);
    if (item.err.kind != ERR_NONE) {
        *err = item.err;
        return -1;
    }
    brought_add(&unpack->brought, BROUGHT_TIED, late->rel);
    unpack_tell(unpack, there == 0 ? UNPACK_NEW : UNPACK_REPLACED, late->rel, 0, NULL);
    return 0;
}

int unpack_make_links(struct unpack *unpack, struct err *err)
{
    struct late_reader reader = { .spill = &unpack->links };
    struct late late = { .attr.kind = ENTRY_LINK };
    int got;
    while ((got = late_next(&reader, &late, err)) == 1) {
        struct err why = { 0 };
        if (make_link(unpack, &late, &why) == 0)
            continue;
        if (err_trait(why.kind)->ends_run) {
            *err = why;
            got = -1;
            break;
        }
        unpack_tell(unpack, UNPACK_FAILED, late.rel, 0, &why);
    }
    buf_done(&reader.bytes);
    return got;
}

/* ---- directories ---- */

static size_t depth_of(const char *rel)
{
    size_t depth = 0;
    for (; *rel != '\0'; rel++)
        depth += *rel == '/';
    return depth;
}

int unpack_keep_dir(struct unpack *unpack, const struct archive_member *member, const char *rel,
                    struct err *err)
{
    const size_t depth = depth_of(rel);
    if (depth >= unpack->dirs_count) {
        unpack->dirs = mem_resize(unpack->dirs, (depth + 1) * sizeof *unpack->dirs);
        while (unpack->dirs_count <= depth)
            spill_init(&unpack->dirs[unpack->dirs_count++], NULL, DIR_SPILL_BYTES);
    }
    SCOPED(buf) struct buf record = { 0 };
    const struct attr attr = unpack_attr(unpack, &member->attr);
    add_attr(&record, &attr);
    buf_add_char(&record, 0);
    buf_add(&record, rel, strlen(rel) + 1);
    return keep(&unpack->dirs[depth], &record, err);
}

static int set_dir(struct unpack *unpack, const struct late *late, struct err *err)
{
    SCOPED_FD int fd =
        path_open(unpack->options.root_fd, late->rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open the directory");
    return stage_set_attr(fd, &late->attr, err);
}

/* The deepest first: a directory that lets nobody in closes behind what is in it. */
int unpack_set_dirs(struct unpack *unpack, struct err *err)
{
    int got = 0;
    for (size_t depth = unpack->dirs_count; got == 0 && depth > 0; depth--) {
        struct late_reader reader = { .spill = &unpack->dirs[depth - 1] };
        struct late late = { .attr.kind = ENTRY_DIR };
        while ((got = late_next(&reader, &late, err)) == 1) {
            struct err why = { 0 };
            if (set_dir(unpack, &late, &why) < 0)
                unpack_tell(unpack, UNPACK_FAILED, late.rel, 0, &why);
        }
        buf_done(&reader.bytes);
    }
    return got;
}

void unpack_late_done(struct unpack *unpack)
{
    spill_done(&unpack->links);
    for (size_t i = 0; i < unpack->dirs_count; i++)
        spill_done(&unpack->dirs[i]);
    mem_free(unpack->dirs);
    unpack->dirs_count = 0;
}
