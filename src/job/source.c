#include "job/source.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define RACY_NS (2 * NS_PER_S) /* FAT and some network file systems keep times to 2 s */

static int open_directory(struct source_root *root, struct err *err)
{
    root->dir_fd = open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->dir_fd < 0)
        return err_sys(err, ERR_SOURCE, "open '%s'", root->path);
    root->inner = mem_string("");
    return 0;
}

/* A file, a link that is kept, or something that cannot be moved: reached through its directory. */
static int open_parent(struct source_root *root, struct err *err)
{
    SCOPED(buf) struct buf parent = { 0 };
    const char *slash = strrchr(root->path, '/');
    buf_add(&parent, root->path, (size_t)(slash - root->path));
    if (parent.len == 0)
        buf_add_char(&parent, '/');
    root->dir_fd = open(parent.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->dir_fd < 0)
        return err_sys(err, ERR_SOURCE, "open '%s'", parent.data);
    root->inner = mem_string(slash + 1);
    return 0;
}

static int open_root(struct source_root *root, const char *path, bool follow, struct err *err)
{
    *root = (struct source_root){ .path = path_absolute(path), .dir_fd = -1 };
    /* "dir/" and a link to a directory that was named on the command line mean the directory. */
    const size_t len = strlen(path);
    struct stat target;
    if (stat(root->path, &target) == 0 && S_ISDIR(target.st_mode)) {
        root->st = target;
        return open_directory(root, err);
    }
    if (lstat(root->path, &root->st) < 0)
        return err_sys(err, ERR_SOURCE, "'%s'", path);
    if (len != 0 && path[len - 1] == '/')
        return err_set(err, ERR_SOURCE, "'%s' is not a directory", path);
    if (follow && S_ISLNK(root->st.st_mode) && stat(root->path, &root->st) < 0)
        return err_sys(err, ERR_SOURCE, "'%s'", path);
    return open_parent(root, err);
}

static int compare_roots(const void *left, const void *right)
{
    const struct source_root *a = left;
    const struct source_root *b = right;
    return strcmp(a->name, b->name);
}

static int name_roots(struct source_set *set, const struct source_options *options, struct err *err)
{
    const bool single = set->count == 1;
    for (size_t i = 0; i < set->count; i++) {
        struct source_root *root = &set->roots[i];
        const bool is_dir = S_ISDIR(root->st.st_mode);
        if (single && is_dir && !options->keep_name)
            root->name = mem_string("");
        else if (single && !is_dir && options->one_name != NULL)
            root->name = mem_string(options->one_name);
        else
            root->name = path_base(root->path);
        if (root->name[0] == '\0' && !(single && is_dir && !options->keep_name))
            return err_set(err, ERR_USAGE, "'%s' has no name of its own to keep", root->path);
    }
    qsort(set->roots, set->count, sizeof *set->roots, compare_roots);
    for (size_t i = 1; i < set->count; i++)
        if (strcmp(set->roots[i - 1].name, set->roots[i].name) == 0) {
            err_set(err, ERR_USAGE, "two sources give the key '%s': '%s' and '%s'",
                    set->roots[i].name, set->roots[i - 1].path, set->roots[i].path);
            return err_hint(err, "put them one after the other, to different destinations");
        }
    return 0;
}

int source_set_open(struct source_set *set, char *const *paths, size_t count,
                    const struct source_options *options, struct err *err)
{
    *set = (struct source_set){ .roots = mem_alloc(count * sizeof *set->roots),
                                .follow = options->follow };
    for (size_t i = 0; i < count; i++) {
        set->count++;
        if (open_root(&set->roots[i], paths[i], options->follow, err) < 0)
            goto fail;
    }
    if (name_roots(set, options, err) == 0)
        return 0;
fail:
    source_set_done(set);
    return -1;
}

void source_set_done(struct source_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct source_root *root = &set->roots[i];
        if (root->dir_fd >= 0)
            close(root->dir_fd);
        mem_release(root->path);
        mem_release(root->name);
        mem_release(root->inner);
    }
    mem_free(set->roots);
    set->count = 0;
}

const struct source_root *source_set_find(const struct source_set *set, const char *name,
                                          const char **ret_inner)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct source_root *root = &set->roots[i];
        if (root->name[0] == '\0') {
            *ret_inner = name;
            return root;
        }
        const size_t len = strlen(root->name);
        if (strncmp(root->name, name, len) != 0 || (name[len] != '\0' && name[len] != '/'))
            continue;
        if (root->inner[0] != '\0') {
            *ret_inner = root->inner;
            return root;
        }
        *ret_inner = name[len] == '/' ? name + len + 1 : "";
        return root;
    }
    return NULL;
}

void source_dirs_init(struct source_dirs *dirs, const struct source_set *set)
{
    *dirs = (struct source_dirs){ .set = set };
    dir_cache_init(&dirs->cache, -1, set->follow);
}

void source_dirs_done(struct source_dirs *dirs)
{
    dir_cache_done(&dirs->cache);
}

/* The directory of `name`, and its last component. */
static int locate(struct source_dirs *dirs, const char *name, int *ret_dir_fd,
                  const char **ret_last, struct err *err)
{
    const char *inner = NULL;
    const struct source_root *root = source_set_find(dirs->set, name, &inner);
    if (root == NULL)
        return err_set(err, ERR_ABSENT, "no source has it");
    if (root != dirs->root) {
        dir_cache_done(&dirs->cache);
        dir_cache_init(&dirs->cache, root->dir_fd, dirs->set->follow);
        dirs->root = root;
    }
    return dir_cache_at(&dirs->cache, inner, false, ret_dir_fd, ret_last, err);
}

int source_open(struct source_file *file, struct source_dirs *dirs, const char *name,
                struct err *err)
{
    int dir_fd = -1;
    const char *last = "";
    if (locate(dirs, name, &dir_fd, &last, err) < 0)
        return -1;
    /* O_NONBLOCK: a FIFO that took the file's place after the crawl must not hang the reader. */
    const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | (dirs->set->follow ? 0 : O_NOFOLLOW);
    SCOPED_FD int fd = openat(dir_fd, last, flags);
    if (fd < 0)
        return err_sys(err, ERR_SOURCE, "open");
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_SOURCE, "stat");
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_SOURCE, "is not a regular file any more");
    *file = (struct source_file){ .fd = scope_take_fd(&fd),
                                  .size_bytes = (uint64_t)st.st_size,
                                  .dev = st.st_dev,
                                  .ino = st.st_ino,
                                  .mtime_ns = clock_from_timespec_ns(st.st_mtim),
                                  .ctime_ns = clock_from_timespec_ns(st.st_ctim),
                                  .opened_ns = clock_now_ns(),
                                  .mode = st.st_mode & 07777,
                                  .uid = st.st_uid,
                                  .gid = st.st_gid };
    return 0;
}

int source_check(const struct source_file *file, struct source_dirs *dirs, const char *name,
                 struct err *err)
{
    int dir_fd = -1;
    const char *last = "";
    struct stat st;
    if (locate(dirs, name, &dir_fd, &last, err) < 0) {
        err_clear(err);
        return err_set(err, ERR_CHANGED, "changed while it was read: its directory is gone");
    }
    /* By name, not by descriptor: this also sees that another file took its place. */
    if (fstatat(dir_fd, last, &st, dirs->set->follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, ERR_CHANGED, "changed while it was read: it is gone");
    if (st.st_ino != file->ino || st.st_dev != file->dev)
        return err_set(err, ERR_CHANGED, "changed while it was read: another file took its place");
    if ((uint64_t)st.st_size != file->size_bytes)
        return err_set(err, ERR_CHANGED, "changed while it was read: %llu bytes, now %llu",
                       (unsigned long long)file->size_bytes, (unsigned long long)st.st_size);
    if (clock_from_timespec_ns(st.st_mtim) != file->mtime_ns ||
        clock_from_timespec_ns(st.st_ctim) != file->ctime_ns)
        return err_set(err, ERR_CHANGED, "changed while it was read: its times moved");
    return 0;
}

bool source_racy(const struct source_file *file)
{
    return file->mtime_ns > file->opened_ns - RACY_NS;
}

void source_close(struct source_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

int source_read_link(struct source_dirs *dirs, const char *name, struct buf *ret_target,
                     struct err *err)
{
    int dir_fd = -1;
    const char *last = "";
    if (locate(dirs, name, &dir_fd, &last, err) < 0)
        return -1;
    buf_clear(ret_target);
    buf_reserve(ret_target, PATH_MAX);
    const ssize_t len = readlinkat(dir_fd, last, ret_target->data, PATH_MAX);
    if (len < 0)
        return err_sys(err, ERR_SOURCE, "read the link");
    ret_target->len = (size_t)len;
    ret_target->data[len] = '\0';
    return 0;
}
