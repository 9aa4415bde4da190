#include "base/path.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path_internal.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel's */

/* Directories on the way need no read permission. */
#define WAY_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- names ---- */

bool path_component_ok(const char *name, size_t len)
{
    if (len == 0 || memchr(name, '/', len) != NULL)
        return false;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
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

/* Bytes of the UTF-8 character at `text` (ended by NUL), 0 when it is none. */
static size_t utf8_len(const unsigned char *text)
{
    const unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    const size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    const bool overlong = (first == 0xe0 && text[1] < 0xa0) || (first == 0xf0 && text[1] < 0x90);
    const bool surrogate = first == 0xed && text[1] >= 0xa0;
    const bool beyond = first == 0xf4 && text[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : len;
}

void path_show(struct buf *out, const char *name)
{
    const unsigned char *at = (const unsigned char *)name;
    while (*at != '\0') {
        const size_t len = utf8_len(at);
        const bool control = *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
        if (len == 0 || control || *at == '\\') {
            const size_t bad = len > 1 ? len : 1; /* U+0080 to U+009f are control characters, too */
            for (size_t i = 0; i < bad; i++)
                buf_printf(out, "\\x%02x", at[i]);
            at += bad;
        } else {
            buf_add(out, at, len);
            at += len;
        }
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

static int open_beneath(int root_fd, const char *rel, int flags, mode_t mode, bool follow)
{
    const bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = makes ? mode & 07777 : 0,
        .resolve = RESOLVE_BENEATH | (follow ? 0 : RESOLVE_NO_SYMLINKS),
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
    /* Who asks to follow links wants what they lead to, wherever that is. */
    if (follow && strlen(rel) < PATH_MAX)
        return openat(root_fd, rel, flags | O_CLOEXEC, mode);
    if (strlen(rel) >= PATH_MAX)
        return follow ? path_open_walk(root_fd, rel, flags, mode, true)
                      : path_open_pieces(root_fd, rel, flags, mode);
    const int fd = open_beneath(root_fd, rel, flags, mode, follow);
    /* EPERM: old containers answer so to system calls that they do not know. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return path_open_walk(root_fd, rel, flags, mode, follow);
    return fd;
}

int path_open_pieces(int root_fd, const char *rel, int flags, mode_t mode)
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
        const int next = path_open(at, piece, O_PATH | O_DIRECTORY, 0, false);
        if (next < 0)
            return -1;
        scope_close_fd(&way);
        at = way = next;
        rel += len + 1;
        left -= len + 1;
    }
    return path_open(at, rel, flags, mode, false);
}

struct walk {
    int root_fd;
    int fd; /* of the directory reached, -1 = the root */
    bool follow;
    unsigned link_count; /* followed so far */
    struct buf done;     /* path of fd, free of links */
    struct buf todo;
    size_t at; /* in todo */
};

static void walk_done(struct walk *walk)
{
    scope_close_fd(&walk->fd);
    buf_done(&walk->done);
    buf_done(&walk->todo);
}

static int walk_fd(const struct walk *walk)
{
    return walk->fd >= 0 ? walk->fd : walk->root_fd;
}

static void walk_move(struct walk *walk, int fd)
{
    scope_close_fd(&walk->fd);
    walk->fd = fd;
}

/* The next component that is a name or ".."; false at the end, -1 in errno for one too long. */
static int walk_name(struct walk *walk, char name[NAME_MAX + 1], bool *ret_last)
{
    for (;;) {
        const char *start = walk->todo.data + walk->at;
        if (*start == '\0')
            return 0;
        const char *slash = strchrnul(start, '/');
        const size_t len = (size_t)(slash - start);
        walk->at += len + (*slash == '/');
        if (len == 0 || (len == 1 && start[0] == '.'))
            continue;
        if (len > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, start, len);
        name[len] = '\0';
        *ret_last = slash[strspn(slash, "/")] == '\0';
        return 1;
    }
}

/* ".." of a link's target: from the root again along what was walked, so it cannot be led astray.
 */
static int walk_up(struct walk *walk)
{
    if (walk->done.len == 0) {
        errno = EXDEV;
        return -1;
    }
    const char *slash = memrchr(walk->done.data, '/', walk->done.len);
    buf_cut(&walk->done, slash != NULL ? (size_t)(slash - walk->done.data) : 0);
    if (walk->done.len == 0) {
        walk_move(walk, -1);
        return 0;
    }
    const int fd = path_open_walk(walk->root_fd, walk->done.data, O_PATH | O_DIRECTORY, 0, false);
    if (fd < 0)
        return -1;
    walk_move(walk, fd);
    return 0;
}

/* 1: `name` was a link and its target is now in front of what is to do. 0: it is none. */
static int walk_link(struct walk *walk, const char *name)
{
    char target[PATH_MAX];
    const ssize_t len = readlinkat(walk_fd(walk), name, target, sizeof target);
    if (len < 0)
        return errno == EINVAL || errno == ENOENT ? 0 : -1;
    if (!walk->follow || ++walk->link_count > LINKS_MAX) {
        errno = ELOOP;
        return -1;
    }
    if (len == sizeof target || target[0] == '/') {
        errno = len == sizeof target ? ENAMETOOLONG : EXDEV;
        return -1;
    }
    struct buf todo = { 0 };
    buf_add(&todo, target, (size_t)len);
    if (walk->todo.data[walk->at - 1] == '/')
        buf_add_char(&todo, '/');
    buf_add_text(&todo, walk->todo.data + walk->at);
    buf_done(&walk->todo);
    walk->todo = todo;
    walk->at = 0;
    return 1;
}

static int walk_down(struct walk *walk, const char *name)
{
    const int fd = openat(walk_fd(walk), name, WAY_FLAGS);
    if (fd < 0) {
        /* The kernel says ENOTDIR of a link, too. */
        if (errno == ENOTDIR && walk_link(walk, name) == 0)
            errno = ENOTDIR;
        return -1;
    }
    walk_move(walk, fd);
    if (walk->done.len != 0)
        buf_add_char(&walk->done, '/');
    buf_add_text(&walk->done, name);
    return 0;
}

static int walk_open_last(struct walk *walk, const char *name, int flags, mode_t mode)
{
    const bool slash = walk->todo.data[walk->todo.len - 1] == '/';
    const int all = flags | O_NOFOLLOW | O_CLOEXEC | (slash ? O_DIRECTORY : 0);
    const int fd = openat(walk_fd(walk), name, all, mode);
    if (fd < 0 && errno == ENOTDIR && !walk->follow && walk_link(walk, name) == 0)
        errno = ENOTDIR;
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

static int walk_run(struct walk *walk, int flags, mode_t mode)
{
    const bool look = walk->follow;
    const bool look_last = look && (flags & O_NOFOLLOW) == 0 && (~flags & (O_CREAT | O_EXCL)) != 0;
    char name[NAME_MAX + 1];
    bool last = false;
    int more = 0;
    while ((more = walk_name(walk, name, &last)) > 0) {
        if (strcmp(name, "..") == 0) {
            if (walk_up(walk) < 0)
                return -1;
            continue;
        }
        const int link = (last ? look_last : look) ? walk_link(walk, name) : 0;
        if (link < 0)
            return -1;
        if (link > 0)
            continue;
        if (last)
            return walk_open_last(walk, name, flags, mode);
        if (walk_down(walk, name) < 0)
            return -1;
    }
    return more < 0 ? -1 : openat(walk_fd(walk), ".", flags | O_CLOEXEC, mode);
}

int path_open_walk(int root_fd, const char *rel, int flags, mode_t mode, bool follow)
{
    const int sys = leaves_root(rel);
    if (sys != 0) {
        errno = sys;
        return -1;
    }
    struct walk walk = { .root_fd = root_fd, .fd = -1, .follow = follow };
    buf_add_text(&walk.todo, rel);
    const int fd = walk_run(&walk, flags, mode);
    const int sys_open = errno; /* releasing the walk may change it */
    walk_done(&walk);
    errno = sys_open;
    return fd;
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
