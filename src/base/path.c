#include "base/path.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path_internal.h"
#include "base/scope.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Directories on the way need no read permission. */
#define WAY_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- names ---- */

bool path_component_ok(const char *name, size_t len)
{
    if (len == 0 || memchr(name, '/', len) != NULL)
        return false;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

bool path_ends_with(const char *path, size_t len, const char *end)
{
    const size_t end_len = strlen(end);
    return len > end_len && memcmp(path + len - end_len, end, end_len) == 0;
}

bool path_rel_ok(const char *rel)
{
    for (;;) {
        const char *slash = strchrnul(rel, '/');
        if (!path_component_ok(rel, (size_t)(slash - rel)))
            return false;
        if (slash[0] == '\0' || slash[1] == '\0')
            return true;
        rel = slash + 1;
    }
}

/* Drop the last component of an absolute path; "/" stays. */
static void drop_last(struct buf *path)
{
    while (path->len > 1 && path->data[path->len - 1] != '/')
        path->len--;
    buf_cut(path, path->len > 1 ? path->len - 1 : 1);
    path->data[path->len] = '\0';
}

static void add_normalised(struct buf *out, const char *path)
{
    while (*path != '\0') {
        const char *slash = strchrnul(path, '/');
        const size_t len = (size_t)(slash - path);
        if (path_component_ok(path, len)) {
            if (out->len > 1)
                buf_add_char(out, '/');
            buf_add(out, path, len);
        } else if (len == 2) {
            drop_last(out);
        }
        path = *slash == '/' ? slash + 1 : slash;
    }
}

char *path_absolute(const char *path)
{
    struct buf out = { 0 };
    buf_add_char(&out, '/');
    if (path[0] != '/') {
        char *here = getcwd(NULL, 0);
        /* A working directory that was removed still has this name. */
        add_normalised(&out, here != NULL && here[0] == '/' ? here : "/proc/self/cwd");
        free(here);
    }
    add_normalised(&out, path);
    return buf_take(&out);
}

char *path_base(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    struct buf base = { 0 };
    buf_add(&base, path + start, end - start);
    return buf_take(&base);
}

void path_show(struct buf *out, const char *name)
{
    for (;;) {
        const char *backslash = strchrnul(name, '\\');
        utf8_show(out, name, (size_t)(backslash - name));
        if (*backslash == '\0')
            return;
        buf_add_text(out, "\\x5c");
        name = backslash + 1;
    }
}

/* ---- opening ---- */

/* 0, or the errno for a text that would leave the root. */
static int leaves_root(const char *rel)
{
    if (rel[0] == '/')
        return EXDEV;
    for (const char *at = rel; (at = strstr(at, "..")) != NULL; at += 2)
        if ((at == rel || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
            return EXDEV;
    return 0;
}

static int open_beneath(int root_fd, const char *rel, int flags, mode_t mode)
{
    const bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = makes ? mode & 07777 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    long fd = -1;
    do /* EAGAIN: something was renamed meanwhile, the kernel is not sure and asks to repeat */
        fd = syscall(SYS_openat2, root_fd, rel, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return (int)fd;
}

int path_open(int root_fd, const char *rel, int flags, mode_t mode, bool follow)
{
    const int sys = leaves_root(rel);
    if (sys != 0) {
        errno = sys;
        return -1;
    }
    if (rel[0] == '\0')
        rel = ".";
    if (strlen(rel) >= PATH_MAX)
        return path_open_pieces(root_fd, rel, flags, mode, follow);
    /* Who asks to follow links wants what they lead to, wherever that is. */
    if (follow)
        return openat(root_fd, rel, flags | O_CLOEXEC, mode);
    const int fd = open_beneath(root_fd, rel, flags, mode);
    /* EPERM: old containers answer so to system calls that they do not know. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return path_open_walk(root_fd, rel, flags, mode);
    return fd;
}

int path_open_pieces(int root_fd, const char *rel, int flags, mode_t mode, bool follow)
{
    SCOPED_FD int way = -1;
    int at = root_fd;
    size_t left = strlen(rel);
    char piece[PATH_MAX];
    while (left >= PATH_MAX) {
        size_t len = PATH_MAX - 1;
        while (len != 0 && rel[len] != '/')
            len--;
        if (len == 0) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(piece, rel, len);
        piece[len] = '\0';
        const int next = path_open(at, piece, O_PATH | O_DIRECTORY, 0, follow);
        if (next < 0)
            return -1;
        scope_close_fd(&way);
        at = way = next;
        rel += len + 1;
        left -= len + 1;
    }
    return path_open(at, rel, flags, mode, follow);
}

/* ELOOP instead of ENOTDIR when `name` is a link, as openat2() says. */
static void tell_link(int dir_fd, const char *name)
{
    struct stat st;
    const int sys = errno;
    if (sys == ENOTDIR && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(st.st_mode))
        errno = ELOOP;
    else
        errno = sys;
}

static int open_last(int dir_fd, const char *name, int flags, mode_t mode)
{
    const int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        tell_link(dir_fd, name);
    if (fd < 0 || (flags & O_PATH) == 0 || (flags & O_NOFOLLOW) != 0)
        return fd;
    /* O_PATH opens links themselves. */
    struct stat st;
    if (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode))
        return fd;
    close(fd);
    errno = ELOOP;
    return -1;
}

int path_open_walk(int root_fd, const char *rel, int flags, mode_t mode)
{
    const int sys = leaves_root(rel);
    if (sys != 0) {
        errno = sys;
        return -1;
    }
    SCOPED_FD int way = -1;
    int at = root_fd;
    for (;;) {
        rel += strspn(rel, "/");
        const char *slash = strchrnul(rel, '/');
        const size_t len = (size_t)(slash - rel);
        if (len > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        char name[NAME_MAX + 1];
        memcpy(name, rel, len);
        name[len] = '\0';
        if (slash[strspn(slash, "/")] == '\0')
            return open_last(at, len != 0 ? name : ".", flags | (*slash == '/' ? O_DIRECTORY : 0),
                             mode);
        const int next = openat(at, name, WAY_FLAGS);
        if (next < 0) {
            tell_link(at, name);
            return -1;
        }
        scope_close_fd(&way);
        at = way = next;
        rel = slash;
    }
}

/* ---- making directories ---- */

static int sync_dir(int dir_fd)
{
    SCOPED_FD int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

/* Make `name` in `at` and open it. */
static int make_one(int at, const char *name, bool sync, uint64_t *made_count)
{
    if (mkdirat(at, name, 0777) == 0) {
        if (sync && sync_dir(at) < 0)
            return -1;
        ++*made_count;
    } else if (errno != EEXIST) {
        return -1;
    }
    return openat(at, name, WAY_FLAGS);
}

/* Open the deepest ancestor of path that is there: path is cut to it. */
static int open_ancestor(int root_fd, struct buf *path, bool follow)
{
    for (;;) {
        const int fd = path_open(root_fd, path->data, O_PATH | O_DIRECTORY, 0, follow);
        if (fd >= 0 || errno != ENOENT || path->len == 0)
            return fd;
        const char *slash = memrchr(path->data, '/', path->len);
        buf_cut(path, slash != NULL ? (size_t)(slash - path->data) : 0);
    }
}

/* The directory `rel` (no '/' at its end), made where missing; -1 with errno. */
static int make_and_open(int root_fd, const char *rel, bool follow, bool sync, uint64_t *made_count)
{
    SCOPED(buf) struct buf path = { 0 };
    buf_add_text(&path, rel);
    SCOPED_FD int at = open_ancestor(root_fd, &path, follow);
    const char *rest = rel + path.len;
    while (at >= 0 && *rest != '\0') {
        rest += strspn(rest, "/");
        const char *end = strchrnul(rest, '/');
        buf_clear(&path);
        buf_add(&path, rest, (size_t)(end - rest));
        const int next = make_one(at, path.data, sync, made_count);
        const int kept = errno;
        scope_close_fd(&at);
        errno = kept;
        at = next;
        rest = end;
    }
    return scope_take_fd(&at);
}

/* Something that is no directory: when writing it must stay, when reading the path does not exist.
 */
static enum err_kind kind_in_the_way(int sys, bool make)
{
    if (sys != ENOTDIR && sys != ELOOP && sys != EXDEV)
        return ERR_LOCAL;
    return make ? ERR_CONFLICT : ERR_ABSENT;
}

int path_make_dirs(int root_fd, const char *rel, struct err *err)
{
    if (rel[0] == '\0' || strcmp(rel, ".") == 0)
        return 0;
    if (!path_rel_ok(rel))
        return err_set(err, ERR_LIMIT, "make directory '%s': not a path below the root", rel);
    SCOPED(buf) struct buf path = { 0 };
    buf_add_text(&path, rel);
    if (path.data[path.len - 1] == '/')
        buf_cut(&path, path.len - 1);
    uint64_t made_count = 0;
    SCOPED_FD const int fd = make_and_open(root_fd, path.data, false, false, &made_count);
    return fd < 0 ? err_sys(err, kind_in_the_way(errno, true), "make directory '%s'", rel) : 0;
}

int path_make_all(const char *path, struct err *err)
{
    SCOPED(buf) struct buf part = { 0 };
    for (const char *end = path; *end != '\0';) {
        end = strchrnul(end + 1, '/');
        buf_clear(&part);
        buf_add(&part, path, (size_t)(end - path));
        if (mkdir(part.data, 0777) == 0 || errno == EEXIST)
            continue;
        const int sys = errno;
        struct stat st;
        const bool is_there = stat(part.data, &st) == 0 && S_ISDIR(st.st_mode);
        errno = sys;
        if (!is_there)
            return err_sys(err, ERR_LOCAL, "make directory '%s'", part.data);
    }
    return 0;
}

/* ---- the directory used last ---- */

void dir_cache_init(struct dir_cache *cache, int root_fd, bool follow)
{
    *cache = (struct dir_cache){ .root_fd = root_fd, .follow = follow, .fd = -1 };
}

void dir_cache_forget(struct dir_cache *cache)
{
    scope_close_fd(&cache->fd);
    cache->fd = -1;
}

void dir_cache_done(struct dir_cache *cache)
{
    dir_cache_forget(cache);
    buf_done(&cache->path);
}

static int open_dir(struct dir_cache *cache, const char *path, bool make)
{
    const int fd = path_open(cache->root_fd, path, O_PATH | O_DIRECTORY, 0, cache->follow);
    if (fd >= 0 || errno != ENOENT || !make)
        return fd;
    return make_and_open(cache->root_fd, path, cache->follow, cache->sync_made, &cache->made_count);
}

int dir_cache_at(struct dir_cache *cache, const char *rel, bool make, int *ret_dir_fd,
                 const char **ret_name, struct err *err)
{
    const char *slash = strrchr(rel, '/');
    const char *name = slash != NULL ? slash + 1 : rel;
    if (!path_component_ok(name, strlen(name)) || slash == rel)
        return err_set(err, ERR_LIMIT, "'%s' is not a path of a file below the root", rel);
    *ret_name = name;
    if (slash == NULL) {
        *ret_dir_fd = cache->root_fd;
        return 0;
    }
    const size_t len = (size_t)(slash - rel);
    if (cache->fd < 0 || cache->path.len != len || memcmp(cache->path.data, rel, len) != 0) {
        dir_cache_forget(cache);
        buf_clear(&cache->path);
        buf_add(&cache->path, rel, len);
        const bool ok = !make || path_rel_ok(cache->path.data);
        cache->fd = ok ? open_dir(cache, cache->path.data, make) : -1;
        if (!ok)
            return err_set(err, ERR_LIMIT, "'%s' is not a path of a file below the root", rel);
        if (cache->fd < 0)
            return err_sys(err, kind_in_the_way(errno, make), "open directory '%s'",
                           cache->path.data);
    }
    *ret_dir_fd = cache->fd;
    return 0;
}
