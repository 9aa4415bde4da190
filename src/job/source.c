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

static int open_root_at(struct source_root *root, const char *path, bool follow, struct err *err)
{
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

/* ---- below a base ---- */

/* The path of `path` below `base`, "" when it is that; NULL when it lies elsewhere. */
static const char *path_below(const char *base, const char *path)
{
    const size_t len = strcmp(base, "/") == 0 ? 0 : strlen(base);
    if (strncmp(base, path, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NULL;
    return path[len] == '/' ? path + len + 1 : path + len;
}

static bool lies_in(const char *outer, const char *inner)
{
    const size_t len = strlen(outer);
    return len == 0 || (strncmp(outer, inner, len) == 0 && inner[len] == '/');
}

/* Two sources, one of which holds the other, would give the same names twice. */
static int refuse_nested(const struct source_set *set, struct err *err)
{
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = i + 1; j < set->count; j++)
            if (lies_in(set->roots[i].name, set->roots[j].name)) {
                err_set(err, ERR_USAGE, "'%s' lies in '%s', which is moved as a whole",
                        set->roots[j].path, set->roots[i].path);
                return err_hint(err, "leave out one of them");
            }
    return 0;
}

/* ---- the fallback root ---- */

bool source_set_may_fall_back(const struct source_set *set, int sys)
{
    static const int causes[] = {
        EACCES, EPERM,     EIO,          ENOENT,    ESTALE,    ENOTCONN,
        ENODEV, EHOSTDOWN, EHOSTUNREACH, ESHUTDOWN, ETIMEDOUT, EREMOTEIO
    };
    for (size_t i = 0; set->fallback != NULL && i < sizeof causes / sizeof *causes; i++)
        if (sys == causes[i])
            return true;
    return false;
}

void source_set_count_other(const struct source_set *set)
{
    atomic_fetch_add(set->fallback_count, 1);
}

/* Where the source would be below the fallback root: under its name in the tree. That of a lone
 * source depends on what it is, so without a base it has to be seen. Caller frees; NULL: nowhere.
 */
static char *other_path(const struct source_set *set, const struct source_root *root, bool lone,
                        const struct source_options *options)
{
    if (lone && options->base == NULL && !options->keep_name)
        return S_ISDIR(root->st.st_mode) ? mem_string(set->fallback) : NULL;
    struct buf path = { 0 };
    buf_printf(&path, "%s/", set->fallback);
    if (options->base != NULL) {
        const char *below = path_below(options->base, root->path);
        if (below == NULL) {
            buf_done(&path);
            return NULL;
        }
        buf_add_text(&path, below);
    } else {
        char *own = path_base(root->path);
        buf_add_text(&path, own);
        mem_release(own);
    }
    char *other = path_absolute(buf_text(&path));
    buf_done(&path);
    return other;
}

static int open_root(const struct source_set *set, struct source_root *root, const char *path,
                     bool lone, const struct source_options *options, struct err *err)
{
    *root = (struct source_root){ .path = path_absolute(path), .dir_fd = -1 };
    if (open_root_at(root, path, options->follow, err) == 0)
        return 0;
    if (!source_set_may_fall_back(set, err->sys))
        return -1;
    char *other = other_path(set, root, lone, options);
    if (other == NULL)
        return -1;
    char *first = root->path;
    struct err ignored = { 0 }; /* what is wrong with the first root is the better explanation */
    root->path = other;
    if (open_root_at(root, other, options->follow, &ignored) < 0) {
        root->path = first;
        mem_release(other);
        return -1;
    }
    mem_release(first);
    root->other = true;
    err_clear(err);
    return 0;
}

static int open_fallback(struct source_set *set, const char *path, struct err *err)
{
    if (path == NULL)
        return 0;
    set->fallback = mem_string(path);
    set->fallback_count = mem_alloc(sizeof *set->fallback_count);
    set->fallback_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return set->fallback_fd < 0 ? err_sys(err, ERR_SOURCE, "the fallback root '%s'", path) : 0;
}

/* ---- names ---- */

/* Below the base or, for what was found there only, below the fallback root. */
static int name_below(const struct source_set *set, struct source_root *root, const char *base,
                      struct err *err)
{
    const char *name = path_below(root->other ? set->fallback : base, root->path);
    if (name == NULL)
        return err_set(err, ERR_USAGE, "'%s' does not lie below '%s'", root->path, base);
    root->name = mem_string(name);
    return 0;
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
        if (options->base != NULL) {
            if (name_below(set, root, options->base, err) < 0)
                return -1;
            continue;
        }
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
    return options->base != NULL ? refuse_nested(set, err) : 0;
}

int source_set_open(struct source_set *set, char *const *paths, size_t count,
                    const struct source_options *options, struct err *err)
{
    *set = (struct source_set){ .roots = mem_alloc(count * sizeof *set->roots),
                                .follow = options->follow,
                                .fallback_fd = -1 };
    if (open_fallback(set, options->fallback, err) < 0)
        goto fail;
    for (size_t i = 0; i < count; i++) {
        set->count++;
        if (open_root(set, &set->roots[i], paths[i], count == 1, options, err) < 0)
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
    if (set->fallback != NULL && set->fallback_fd >= 0)
        close(set->fallback_fd);
    mem_free(set->fallback);
    mem_free(set->fallback_count);
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

int source_set_open_name(const struct source_set *set, const char *name, bool other, int flags,
                         bool follow)
{
    const char *inner = name;
    const struct source_root *root = other ? NULL : source_set_find(set, name, &inner);
    if (!other && root == NULL) {
        errno = ENOENT;
        return -1;
    }
    return path_open(other ? set->fallback_fd : root->dir_fd, inner[0] != '\0' ? inner : ".",
                     flags | O_CLOEXEC, 0, follow);
}

void source_dirs_init(struct source_dirs *dirs, const struct source_set *set)
{
    *dirs = (struct source_dirs){ .set = set };
    dir_cache_init(&dirs->cache, -1, set->follow);
    dir_cache_init(&dirs->other, set->fallback_fd, set->follow);
}

void source_dirs_done(struct source_dirs *dirs)
{
    dir_cache_done(&dirs->cache);
    dir_cache_done(&dirs->other);
}

/* The directory of `name`, and its last component. */
static int locate(struct source_dirs *dirs, const char *name, bool other, int *ret_dir_fd,
                  const char **ret_last, struct err *err)
{
    if (other)
        return dir_cache_at(&dirs->other, name, false, ret_dir_fd, ret_last, err);
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

/* Below the fallback root failed as well: both causes, as the first. */
static int both_failed(const struct source_dirs *dirs, const struct err *why, struct err *err)
{
    const struct err first = *err;
    err_clear(err);
    err_set(err, first.kind, "%.150s; below '%.150s': %.150s", first.text, dirs->set->fallback,
            why->text);
    err->sys = first.sys;
    return -1;
}

static int open_at(struct source_file *file, struct source_dirs *dirs, const char *name, bool other,
                   struct err *err)
{
    int dir_fd = -1;
    const char *last = "";
    if (locate(dirs, name, other, &dir_fd, &last, err) < 0)
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
    /* Some file systems open what they cannot read. */
    char byte;
    if (dirs->set->fallback != NULL && pread(fd, &byte, 1, 0) < 0)
        return err_sys(err, ERR_SOURCE, "read");
    *file = (struct source_file){ .fd = scope_take_fd(&fd),
                                  .size_bytes = (uint64_t)st.st_size,
                                  .dev = st.st_dev,
                                  .ino = st.st_ino,
                                  .disk_bytes = (uint64_t)st.st_blocks * 512,
                                  .nlink = st.st_nlink,
                                  .mtime_ns = clock_from_timespec_ns(st.st_mtim),
                                  .ctime_ns = clock_from_timespec_ns(st.st_ctim),
                                  .opened_ns = clock_now_ns(),
                                  .mode = st.st_mode & 07777,
                                  .uid = st.st_uid,
                                  .gid = st.st_gid,
                                  .other = other };
    return 0;
}

int source_open(struct source_file *file, struct source_dirs *dirs, const char *name,
                struct err *err)
{
    if (open_at(file, dirs, name, false, err) == 0)
        return 0;
    if (!source_set_may_fall_back(dirs->set, err->sys))
        return -1;
    struct err why = { 0 };
    if (open_at(file, dirs, name, true, &why) < 0)
        return both_failed(dirs, &why, err);
    err_clear(err);
    return 0;
}

int source_check(const struct source_file *file, struct source_dirs *dirs, const char *name,
                 struct err *err)
{
    int dir_fd = -1;
    const char *last = "";
    struct stat st;
    if (locate(dirs, name, file->other, &dir_fd, &last, err) < 0) {
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
    if (file->other)
        source_set_count_other(dirs->set);
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

static int read_link_at(struct source_dirs *dirs, const char *name, bool other,
                        struct buf *ret_target, struct err *err)
{
    int dir_fd = -1;
    const char *last = "";
    if (locate(dirs, name, other, &dir_fd, &last, err) < 0)
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

int source_read_link(struct source_dirs *dirs, const char *name, struct buf *ret_target,
                     struct err *err)
{
    if (read_link_at(dirs, name, false, ret_target, err) == 0)
        return 0;
    if (!source_set_may_fall_back(dirs->set, err->sys))
        return -1;
    struct err why = { 0 };
    if (read_link_at(dirs, name, true, ret_target, &why) < 0)
        return both_failed(dirs, &why, err);
    err_clear(err);
    source_set_count_other(dirs->set);
    return 0;
}
