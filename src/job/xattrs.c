#include "job/xattrs.h"

#include "base/ban.h"
#include "base/scope.h"
#include "base/stage.h"
#include "base/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ---- put ---- */

void xattrs_read(const struct job_spec *spec, int fd, struct buf *ret_set, struct err *ret_why)
{
    buf_clear(ret_set);
    err_clear(ret_why);
    if (spec->xattrs)
        xattr_read(fd, ret_set, ret_why);
}

void xattrs_read_dir(const struct job_spec *spec, const struct source_set *sources,
                     const char *name, struct buf *ret_set, struct err *ret_why)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
    buf_clear(ret_set);
    err_clear(ret_why);
    if (!spec->xattrs)
        return;
    SCOPED_FD int fd = source_set_open_name(sources, name, false, flags, sources->follow);
    if (fd < 0 && source_set_may_fall_back(sources, errno))
        fd = source_set_open_name(sources, name, true, flags, sources->follow);
    if (fd < 0)
        err_sys(ret_why, ERR_SOURCE, "read its attributes");
    else
        xattr_read(fd, ret_set, ret_why);
}

void xattrs_left_out(const struct buf *set, struct err *ret_why)
{
    if (set->len == 0 || ret_why->kind != ERR_NONE)
        return;
    err_set(ret_why, ERR_LIMIT, "its extended attributes are not stored, since it is in no pack");
}

/* ---- get ---- */

/* A directory that was there may refuse what its owner may do all the same. */
static void let_in(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & S_IWUSR) == 0)
        (void)!fchmod(fd, (st.st_mode & 07777) | S_IRWXU);
}

int xattrs_set(const struct job_spec *spec, int fd, const struct attr *attr,
               const struct buf *xattrs, bool fresh, struct err *ret_why, struct err *err)
{
    err_clear(ret_why);
    if (!spec->xattrs || xattrs == NULL)
        return stage_set_attr(fd, attr, err);
    if (xattrs->len != 0)
        let_in(fd);
    xattr_write(fd, xattrs->data, xattrs->len, XATTR_BEFORE_MODE, fresh, ret_why);
    if (stage_set_attr(fd, attr, err) < 0)
        return -1;
    xattr_write(fd, xattrs->data, xattrs->len, XATTR_AFTER_MODE, fresh, ret_why);
    return 0;
}

/* ---- both ---- */

void xattrs_tell(struct notes *notes, const char *name, const struct err *why)
{
    if (why->kind != ERR_NONE)
        notes_add(notes, NOTE_WARNING, name, why);
}
