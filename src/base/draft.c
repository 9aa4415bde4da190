#include "base/draft.h"

#include "base/ban.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void split(struct draft *draft, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        buf_add_text(&draft->dir, ".");
    else
        buf_add(&draft->dir, path, slash == path ? 1 : (size_t)(slash - path));
    buf_add_text(&draft->name, slash == NULL ? path : slash + 1);
    buf_printf(&draft->temp, "%.200s.%ld.lade-tmp", draft->name.data, (long)getpid());
}

static int open_temp(struct draft *draft)
{
    const int fd = openat(draft->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd >= 0)
        return fd;
    const int named = openat(draft->dir_fd, draft->temp.data,
                             O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    draft->is_named = named >= 0;
    return named;
}

/* A link is the user's own: what it leads to is replaced, not the link. */
static int follow_link(struct buf *real, const char *path)
{
    char *target = realpath(path, NULL);
    if (target == NULL)
        return -1;
    buf_add_text(real, target);
    free(target);
    return 0;
}

static int start(struct draft *draft, const char *path, struct err *err)
{
    SCOPED(buf) struct buf real = { 0 };
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return err_set(err, ERR_USAGE, "'%s' is a directory", path);
        if (!S_ISREG(st.st_mode)) {
            draft->fd = open(path, O_WRONLY | O_CLOEXEC);
            return draft->fd < 0 ? err_sys(err, ERR_LOCAL, "open '%s'", path) : 0;
        }
        if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && follow_link(&real, path) == 0)
            path = real.data;
    }
    split(draft, path);
    if (draft->name.len == 0)
        return err_set(err, ERR_USAGE, "'%s' is a directory", path);
    draft->dir_fd = open(draft->dir.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (draft->dir_fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s'", draft->dir.data);
    draft->fd = open_temp(draft);
    return draft->fd < 0 ? err_sys(err, ERR_LOCAL, "create a file in '%s'", draft->dir.data) : 0;
}

int draft_open(struct draft *draft, const char *path, struct err *err)
{
    *draft = (struct draft){ .fd = -1, .dir_fd = -1 };
    if (start(draft, path, err) == 0)
        return 0;
    draft_done(draft);
    return -1;
}

static int give_name(struct draft *draft, struct err *err)
{
    if (draft->is_named)
        return 0;
    char self[40];
    snprintf(self, sizeof self, "/proc/self/fd/%d", draft->fd);
    unlinkat(draft->dir_fd, draft->temp.data, 0); /* of a process that had our number */
    if (linkat(AT_FDCWD, self, draft->dir_fd, draft->temp.data, AT_SYMLINK_FOLLOW) < 0)
        return err_sys(err, ERR_LOCAL, "create '%s/%s'", draft->dir.data, draft->temp.data);
    draft->is_named = true;
    return 0;
}

int draft_commit(struct draft *draft, struct err *err)
{
    if (draft->dir_fd < 0)
        return 0;
    if (fsync(draft->fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync '%s/%s'", draft->dir.data, draft->name.data);
    if (give_name(draft, err) < 0)
        return -1;
    if (renameat(draft->dir_fd, draft->temp.data, draft->dir_fd, draft->name.data) < 0)
        return err_sys(err, ERR_LOCAL, "rename to '%s/%s'", draft->dir.data, draft->name.data);
    draft->is_named = false;
    if (fsync(draft->dir_fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync '%s'", draft->dir.data);
    return 0;
}

void draft_done(struct draft *draft)
{
    if (draft->is_named)
        unlinkat(draft->dir_fd, draft->temp.data, 0);
    draft->is_named = false;
    if (draft->fd >= 0)
        close(draft->fd);
    if (draft->dir_fd >= 0)
        close(draft->dir_fd);
    draft->fd = draft->dir_fd = -1;
    buf_done(&draft->dir);
    buf_done(&draft->name);
    buf_done(&draft->temp);
}
