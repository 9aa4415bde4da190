#include "scratch.h"

#include "base/clock.h"
#include "base/path.h"
#include "base/scope.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void scratch_open(struct scratch *scratch)
{
    snprintf(scratch->path, sizeof scratch->path, "/tmp/lade-test-XXXXXX");
    assert_non_null(mkdtemp(scratch->path));
    assert_int_equal(chmod(scratch->path, 0755), 0);
    scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(scratch->fd >= 0);
}

static void remove_below(int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) == 0)
        return;
    fchmodat(dir_fd, name, 0700, 0);
    const int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_below(fd, entry->d_name);
    closedir(dir);
    unlinkat(dir_fd, name, AT_REMOVEDIR);
}

void scratch_close(struct scratch *scratch)
{
    close(scratch->fd);
    remove_below(AT_FDCWD, scratch->path);
}

static void make_parents(const struct scratch *scratch, const char *rel)
{
    const char *slash = strrchr(rel, '/');
    if (slash == NULL)
        return;
    SCOPED(buf) struct buf parent = { 0 };
    struct err err = { 0 };
    buf_add(&parent, rel, (size_t)(slash - rel));
    assert_int_equal(path_make_dirs(scratch->fd, parent.data, &err), 0);
}

void scratch_write(const struct scratch *scratch, const char *rel, const void *bytes, size_t len)
{
    make_parents(scratch, rel);
    SCOPED_FD int fd =
        path_open(scratch->fd, rel, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644, false);
    assert_true(fd >= 0);
    assert_true(write(fd, bytes, len) == (ssize_t)len);
}

void scratch_text(const struct scratch *scratch, const char *rel, const char *text)
{
    scratch_write(scratch, rel, text, strlen(text));
}

void scratch_dir(const struct scratch *scratch, const char *rel)
{
    struct err err = { 0 };
    assert_int_equal(path_make_dirs(scratch->fd, rel, &err), 0);
}

void scratch_link(const struct scratch *scratch, const char *rel, const char *target)
{
    make_parents(scratch, rel);
    assert_int_equal(symlinkat(target, scratch->fd, rel), 0);
}

void scratch_fifo(const struct scratch *scratch, const char *rel)
{
    make_parents(scratch, rel);
    assert_int_equal(mkfifoat(scratch->fd, rel, 0644), 0);
}

void scratch_mtime(const struct scratch *scratch, const char *rel, int64_t mtime_ns)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, clock_to_timespec(mtime_ns) };
    assert_int_equal(utimensat(scratch->fd, rel, times, AT_SYMLINK_NOFOLLOW), 0);
}

void scratch_read(const struct scratch *scratch, const char *rel, struct buf *ret_bytes)
{
    buf_clear(ret_bytes);
    SCOPED_FD int fd = path_open(scratch->fd, rel, O_RDONLY | O_CLOEXEC, 0, false);
    assert_true(fd >= 0);
    char bytes[4096];
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        buf_add(ret_bytes, bytes, (size_t)got);
    assert_int_equal(got, 0);
}

const char *scratch_path(const struct scratch *scratch, const char *rel)
{
    static char paths[4][4096];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch->path, rel);
    return path;
}

uint64_t random_next(uint64_t *state) /* splitmix64 */
{
    uint64_t mix = *state += UINT64_C(0x9e3779b97f4a7c15);
    mix = (mix ^ mix >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mix = (mix ^ mix >> 27) * UINT64_C(0x94d049bb133111eb);
    return mix ^ mix >> 31;
}

size_t random_below(uint64_t *state, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(random_next(state) % limit);
}
