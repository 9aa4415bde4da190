/* Hard links of a get. What is in packs as further names of one file came as files of their own,
 * each with its bytes, in any order. When all are there, those that are still the same become one
 * again. So it can be done over, and nothing depends on it. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/filter.h"
#include "job/run_internal.h"
#include "pack/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define TOGETHER 256u /* names that are made durable at once */

struct relinking {
    struct run *run;
    struct filter *filter; /* NULL = all */
    const struct object_root *root;
    struct dir_cache targets;
    struct stage_item items[TOGETHER];
    struct buf rels[TOGETHER];
    char tags[TOGETHER][STAGE_TAG_MAX];
    size_t count;
};

static void tell(struct relinking *relinking, const char *rel, struct err *err)
{
    /* Where files have one name only there is nothing to tell. */
    const bool usual =
        err->sys == EPERM || err->sys == EMLINK || err->sys == EXDEV || err->sys == EOPNOTSUPP;
    if (!usual && err->kind != ERR_NONE)
        notes_add(&relinking->run->notes, NOTE_WARNING, rel, err);
    err_clear(err);
}

static void commit(struct relinking *relinking)
{
    stage_commit(&relinking->run->workers[0].stage, relinking->items, relinking->count);
    for (size_t i = 0; i < relinking->count; i++) {
        struct stage_item *item = &relinking->items[i];
        tell(relinking, item->rel, &item->err);
    }
    relinking->count = 0;
}

/* Where a key stands below the target directory; false: this get does not bring it. */
static bool find_local(const struct relinking *relinking, const char *key, struct buf *ret_rel)
{
    SCOPED(buf) struct buf name = { 0 };
    const struct object_root *root = NULL;
    const char *ignored_key = NULL;
    struct err ignored = { 0 };
    if (relinking->root->name[0] != '\0')
        buf_printf(&name, "%s/", relinking->root->name);
    buf_add_text(&name, key);
    return (relinking->filter == NULL ||
            filter_path(relinking->filter, buf_text(&name), name.len, NULL)) &&
           object_set_local(&relinking->run->objects, buf_text(&name), ENTRY_FILE, &root,
                            &ignored_key, ret_rel, &ignored) == 0;
}

static int open_file(const struct relinking *relinking, const char *rel, struct stat *st)
{
    const int fd = path_open(relinking->run->sources.roots[0].dir_fd, rel,
                             O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0, false);
    if (fd >= 0 && fstat(fd, st) < 0)
        st->st_mode = 0;
    return fd;
}

/* Two files that are the same in all that they would share? */
static bool could_be_one(const struct relinking *relinking, const char *rel, const char *target)
{
    struct stat a;
    struct stat b;
    SCOPED_FD const int fd_a = open_file(relinking, rel, &a);
    SCOPED_FD const int fd_b = fd_a >= 0 ? open_file(relinking, target, &b) : -1;
    return fd_a >= 0 && fd_b >= 0 && S_ISREG(a.st_mode) && a.st_mode == b.st_mode &&
           a.st_dev == b.st_dev && a.st_ino != b.st_ino && a.st_uid == b.st_uid &&
           a.st_gid == b.st_gid && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
           a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
           file_same_bytes(fd_a, fd_b, (uint64_t)a.st_size);
}

static int take_link(void *ctx, const char *key, const char *target_key, struct err *err)
{
    struct relinking *relinking = ctx;
    struct run *run = relinking->run;
    SCOPED(buf) struct buf rel = { 0 };
    SCOPED(buf) struct buf target = { 0 };
    struct err why = { 0 };
    if (stop_check(run->stop, err) < 0)
        return -1;
    if (!find_local(relinking, key, &rel) || !find_local(relinking, target_key, &target) ||
        !could_be_one(relinking, buf_text(&rel), buf_text(&target)))
        return 0;
    char *tag = relinking->tags[relinking->count];
    struct buf *kept = &relinking->rels[relinking->count];
    buf_clear(kept);
    buf_add(kept, rel.data, rel.len);
    snprintf(tag, STAGE_TAG_MAX, "%s-link-%016llx", run->job->id,
             (unsigned long long)crc64nvme(0, rel.data, rel.len));
    if (stage_hard_link(&run->workers[0].stage, &relinking->targets, kept->data, tag,
                        buf_text(&target), &why) < 0) {
        tell(relinking, buf_text(&rel), &why);
        return 0;
    }
    relinking->items[relinking->count++] = (struct stage_item){ .rel = kept->data, .tag = tag };
    if (relinking->count == TOGETHER)
        commit(relinking);
    return 0;
}

int relink(struct run *run, struct err *err)
{
    const struct job_spec *spec = &run->job->spec;
    int result = 0;
    if (!run_is_get(run))
        return 0;
    struct relinking *relinking = mem_alloc(sizeof *relinking);
    relinking->run = run;
    if (spec->filter != NULL && spec->filter[0] != '\0')
        result = filter_from_text(&relinking->filter, spec->filter, err);
    dir_cache_init(&relinking->targets, run->sources.roots[0].dir_fd, false);
    for (size_t i = 0; result == 0 && i < run->objects.count; i++) {
        relinking->root = &run->objects.roots[i];
        if (relinking->root->key == NULL && view_is(relinking->root->store))
            result = view_hard_links(relinking->root->store, take_link, relinking, err);
    }
    commit(relinking);
    dir_cache_done(&relinking->targets);
    filter_free(relinking->filter);
    for (size_t i = 0; i < TOGETHER; i++)
        buf_done(&relinking->rels[i]);
    mem_release(relinking);
    return result;
}
