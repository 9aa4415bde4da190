#include "base/stage.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TEMP_PREFIX ".lade-"
#define TEMP_SUFFIX ".tmp"
#define TEMP_NAME_MAX (sizeof TEMP_PREFIX + STAGE_TAG_MAX + sizeof TEMP_SUFFIX)
#define XFS_MAGIC 0x58465342

/* Up to so many directories are synced one by one rather than the whole file system. */
#define FEW_DIRS 4

/* ---- names ---- */

bool stage_is_temporary(const char *name)
{
    const size_t len = strlen(name);
    const size_t prefix = strlen(TEMP_PREFIX);
    const size_t suffix = strlen(TEMP_SUFFIX);
    return len > prefix + suffix && memcmp(name, TEMP_PREFIX, prefix) == 0 &&
           memcmp(name + len - suffix, TEMP_SUFFIX, suffix) == 0;
}

static void temp_name(char name[TEMP_NAME_MAX], const char *tag)
{
    assert(tag[0] != '\0' && strlen(tag) <= STAGE_TAG_MAX && strchr(tag, '/') == NULL);
    snprintf(name, TEMP_NAME_MAX, TEMP_PREFIX "%s" TEMP_SUFFIX, tag);
}

/* ---- lifetime ---- */

/* Before 5.8 syncfs() succeeds also when data could not be written. */
static bool kernel_reports(void)
{
    struct utsname name;
    if (uname(&name) < 0)
        return false;
    char *end = NULL;
    const long major = strtol(name.release, &end, 10);
    const long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return major > 5 || (major == 5 && minor >= 8);
}

/* File systems whose syncfs() is known to wait for all data and to report what failed. Network and
 * stacked ones do what they like. */
static bool file_system_reports(int fd)
{
    struct statfs fs;
    if (fd < 0 || fstatfs(fd, &fs) < 0)
        return false;
    switch ((uint32_t)fs.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
        return true;
    default:
        return false;
    }
}

void stage_init(struct stage *stage, int root_fd)
{
    *stage = (struct stage){ .sync_fd = -1, .file_mode = 0666 };
    dir_cache_init(&stage->dirs, root_fd, false);
    stage->sync_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (stage->sync_fd >= 0 && fstat(stage->sync_fd, &st) == 0) {
        stage->root_dev = st.st_dev;
        stage->syncfs_tells = kernel_reports() && file_system_reports(stage->sync_fd);
    }
    stage->dirs.sync_made = !stage->syncfs_tells;
}

void stage_done(struct stage *stage)
{
    scope_close_fd(&stage->sync_fd);
    stage->sync_fd = -1;
    dir_cache_done(&stage->dirs);
}

static struct stage_shared *shared_of(struct stage *stage)
{
    return stage->shared != NULL ? stage->shared : &stage->own;
}

/* Directories that were just made are durable only after the next syncfs(), whoever commits first.
 */
static void note_made(struct stage *stage)
{
    if (stage->dirs.made_count == 0 || stage->dirs.sync_made)
        return;
    atomic_fetch_add(&shared_of(stage)->made_count, stage->dirs.made_count);
    stage->dirs.made_count = 0;
}

/* ---- making temporary files ---- */

/* The directory of `rel`; made when missing. */
static int target_dir(struct stage *stage, const char *rel, int *ret_dir_fd, struct err *err)
{
    const char *name = NULL;
    if (dir_cache_at(&stage->dirs, rel, true, ret_dir_fd, &name, err) < 0)
        return -1;
    note_made(stage);
    if (stage_is_temporary(name))
        return err_set(err, ERR_LIMIT, "'%s' is the name of a temporary file of lade", rel);
    return 0;
}

/* openat(), or symlinkat() when there is a target; 0 or more, or -1 with errno. */
static int make_temp(int dir_fd, const char *temp, int flags, mode_t mode, const char *link_target)
{
    if (link_target != NULL)
        return symlinkat(link_target, dir_fd, temp);
    return openat(dir_fd, temp, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, mode);
}

/* A read-only directory of ours, as one that was put before: it takes its own mode again when all
 * is in it. The descriptor is an O_PATH one, which only /proc lets us change by. */
static bool open_up(int dir_fd)
{
    struct stat st;
    char path[40];
    if (fstat(dir_fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 0300) == 0300)
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", dir_fd);
    return chmod(path, (st.st_mode & 07777) | 0700) == 0;
}

static int make_fresh_temp(struct stage *stage, const char *rel, const char *tag,
                           const char *link_target, int *ret_dir_fd, struct err *err)
{
    char temp[TEMP_NAME_MAX];
    temp_name(temp, tag);
    int made = -1;
    for (int tries = 0; tries < 3; tries++) {
        if (target_dir(stage, rel, ret_dir_fd, err) < 0)
            return -1;
        made = make_temp(*ret_dir_fd, temp, O_CREAT | O_EXCL, stage->file_mode, link_target);
        if (made >= 0)
            return made;
        if (errno == EEXIST) /* a try before this one */
            unlinkat(*ret_dir_fd, temp, 0);
        else if (errno == ENOENT) /* somebody removed the directory */
            dir_cache_forget(&stage->dirs);
        else if (errno != EACCES || !open_up(*ret_dir_fd))
            break;
    }
    return err_sys(err, ERR_LOCAL, "make temporary file '%s' beside '%s'", temp, rel);
}

int stage_open(struct stage *stage, const char *rel, const char *tag, bool keep, int *ret_fd,
               struct err *err)
{
    int dir_fd = -1;
    if (!keep) {
        const int fd = make_fresh_temp(stage, rel, tag, NULL, &dir_fd, err);
        if (fd < 0)
            return -1;
        *ret_fd = fd;
        return 0;
    }
    char temp[TEMP_NAME_MAX];
    temp_name(temp, tag);
    const char *name = NULL;
    if (dir_cache_at(&stage->dirs, rel, false, &dir_fd, &name, err) < 0)
        return -1;
    const int fd = make_temp(dir_fd, temp, 0, 0, NULL);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open temporary file '%s' beside '%s'", temp, rel);
    *ret_fd = fd;
    return 0;
}

int stage_link(struct stage *stage, const char *rel, const char *tag, const char *target,
               const struct attr *attr, struct err *err)
{
    int dir_fd = -1;
    if (make_fresh_temp(stage, rel, tag, target, &dir_fd, err) < 0)
        return -1;
    char temp[TEMP_NAME_MAX];
    temp_name(temp, tag);
    if (attr == NULL || stage_set_link_attr(dir_fd, temp, attr, err) == 0)
        return 0;
    unlinkat(dir_fd, temp, 0);
    return -1;
}

/* ---- attributes ---- */

static bool may_not(int sys)
{
    return sys == EPERM || sys == EINVAL || sys == EOPNOTSUPP || sys == EROFS;
}

int stage_set_attr(int fd, const struct attr *attr, struct err *err)
{
    mode_t mode = attr->mode & 07777;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat");
    /* What is right already costs nothing: each change is a transaction of the file system. */
    const bool owner =
        (attr->have & ATTR_OWNER) != 0 && (st.st_uid != attr->uid || st.st_gid != attr->gid);
    if (owner && fchown(fd, attr->uid, attr->gid) < 0) {
        if (!may_not(errno))
            return err_sys(err, ERR_LOCAL, "set the owner");
        if (fchown(fd, (uid_t)-1, attr->gid) < 0 && !may_not(errno))
            return err_sys(err, ERR_LOCAL, "set the group");
        /* What ran as its owner must not run as us. */
        mode &= (mode_t) ~(S_ISUID | S_ISGID);
    }
    /* After the owner: a change of owner clears the set-user-id bit. */
    if ((attr->have & ATTR_MODE) != 0 && (owner || (st.st_mode & 07777) != mode) &&
        fchmod(fd, mode) < 0)
        return err_sys(err, ERR_LOCAL, "set the mode");
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                       clock_to_timespec(attr->mtime_ns) };
    if ((attr->have & ATTR_MTIME) != 0 && futimens(fd, times) < 0)
        return err_sys(err, ERR_LOCAL, "set the modification time");
    return 0;
}

int stage_set_link_attr(int dir_fd, const char *name, const struct attr *attr, struct err *err)
{
    if ((attr->have & ATTR_OWNER) != 0 &&
        fchownat(dir_fd, name, attr->uid, attr->gid, AT_SYMLINK_NOFOLLOW) < 0 && !may_not(errno))
        return err_sys(err, ERR_LOCAL, "set the owner of link '%s'", name);
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                       clock_to_timespec(attr->mtime_ns) };
    if ((attr->have & ATTR_MTIME) != 0 && utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 &&
        !may_not(errno))
        return err_sys(err, ERR_LOCAL, "set the modification time of link '%s'", name);
    return 0;
}

int stage_make_dir(struct stage *stage, const char *rel, struct err *err)
{
    /* The directory of a name that is never made in it. */
    SCOPED(buf) struct buf inside = { 0 };
    buf_add_text(&inside, rel);
    if (inside.len == 0 || inside.data[inside.len - 1] != '/')
        buf_add_char(&inside, '/');
    buf_add_char(&inside, 'x');
    int dir_fd = -1;
    return target_dir(stage, inside.data, &dir_fd, err);
}

int stage_discard(struct stage *stage, const char *rel, const char *tag, struct err *err)
{
    char temp[TEMP_NAME_MAX];
    temp_name(temp, tag);
    const char *name = NULL;
    for (int tries = 0; tries < 2; tries++) {
        int dir_fd = -1;
        struct err why = { 0 };
        if (dir_cache_at(&stage->dirs, rel, false, &dir_fd, &name, &why) < 0) {
            if (why.kind == ERR_ABSENT || why.sys == ENOTDIR || why.sys == ELOOP)
                return 0;
            *err = why;
            return -1;
        }
        if (unlinkat(dir_fd, temp, 0) == 0)
            return 0;
        if (errno != ENOENT)
            return err_sys(err, ERR_LOCAL, "remove temporary file '%s' beside '%s'", temp, rel);
        dir_cache_forget(&stage->dirs);
    }
    return 0;
}

/* ---- commit ---- */

/* One call of stage_commit(). A run is a sequence of items of one directory. */
struct commit {
    struct stage *stage;
    struct stage_item *items;
    size_t count;
    size_t todo_count;   /* items without an error at the start */
    uint64_t made_count; /* directories made before the start */
    bool dirs_pending;   /* some of them are not durable */
    bool data_synced;    /* by syncfs(), below the root's own mount */
    size_t run_count;    /* seen while renaming */
    bool other_mounts;   /* some run lies below another mount */
};

/* Length of the path of the directory that holds the item (for a directory: its parent). */
static size_t parent_len(const char *rel)
{
    size_t len = strlen(rel);
    if (len != 0 && rel[len - 1] == '/')
        len--;
    while (len != 0 && rel[len - 1] != '/')
        len--;
    return len;
}

static bool same_dir(const char *rel_a, const char *rel_b)
{
    const size_t len = parent_len(rel_a);
    return len == parent_len(rel_b) && memcmp(rel_a, rel_b, len) == 0;
}

static bool is_directory(const char *rel)
{
    const size_t len = strlen(rel);
    return len != 0 && rel[len - 1] == '/';
}

/* The directory that holds the item. */
static int item_dir(struct stage *stage, struct stage_item *item, int *ret_dir_fd)
{
    const char *name = NULL;
    if (!is_directory(item->rel))
        return dir_cache_at(&stage->dirs, item->rel, false, ret_dir_fd, &name, &item->err);
    SCOPED(buf) struct buf bare = { 0 };
    buf_add(&bare, item->rel, strlen(item->rel) - 1);
    return dir_cache_at(&stage->dirs, buf_text(&bare), false, ret_dir_fd, &name, &item->err);
}

/* Open for reading also what its mode denies us; ELOOP for a link. */
static int open_to_sync(int dir_fd, const char *temp)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, temp, flags);
    struct stat st;
    if (fd >= 0 || errno != EACCES || fstatat(dir_fd, temp, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode) || fchmodat(dir_fd, temp, S_IRUSR, 0) < 0)
        return fd;
    fd = openat(dir_fd, temp, flags);
    if (fd >= 0 && fchmod(fd, st.st_mode & 07777) == 0)
        return fd;
    scope_close_fd(&fd);
    return -1;
}

static int sync_data(int dir_fd, const char *temp, struct stage_item *item)
{
    SCOPED_FD const int fd = open_to_sync(dir_fd, temp);
    if (fd < 0 && errno == ELOOP) /* a link has no data; its directory is synced later */
        return 0;
    if (fd < 0)
        return err_sys(&item->err, ERR_LOCAL, "open temporary file '%s' of '%s'", temp, item->rel);
    if (fdatasync(fd) < 0)
        return err_sys(&item->err, ERR_LOCAL, "sync '%s'", item->rel);
    return 0;
}

/* rename() that fails with EEXIST when something is there. */
static int rename_new(int dir_fd, const char *temp, const char *name)
{
    if (renameat2(dir_fd, temp, dir_fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* Not every file system has the flag. */
    if (linkat(dir_fd, temp, dir_fd, name, 0) < 0)
        return -1;
    unlinkat(dir_fd, temp, 0);
    return 0;
}

static int rename_item(int dir_fd, const char *temp, struct stage_item *item)
{
    const char *name = item->rel + parent_len(item->rel);
    const int result =
        item->keep_existing ? rename_new(dir_fd, temp, name) : renameat(dir_fd, temp, dir_fd, name);
    if (result == 0)
        return 0;
    if (errno != EEXIST && errno != EISDIR && errno != ENOTEMPTY)
        return err_sys(&item->err, ERR_LOCAL, "rename '%s' to '%s'", temp, item->rel);
    const bool directory = errno != EEXIST;
    unlinkat(dir_fd, temp, 0);
    return err_set(&item->err, ERR_CONFLICT, "'%s' is there already%s", item->rel,
                   directory ? ", a directory" : "");
}

/* Does syncfs() of the root sync what is in this directory? */
static bool on_root_mount(const struct stage *stage, int dir_fd)
{
    struct stat st;
    return dir_fd == stage->dirs.root_fd ||
           (fstat(dir_fd, &st) == 0 && st.st_dev == stage->root_dev);
}

static void rename_items(struct commit *commit)
{
    const struct stage_item *last = NULL;
    bool covered = false;
    for (size_t i = 0; i < commit->count; i++) {
        struct stage_item *item = &commit->items[i];
        int dir_fd = -1;
        if (item->err.kind != ERR_NONE || item_dir(commit->stage, item, &dir_fd) < 0)
            continue;
        if (last == NULL || !same_dir(last->rel, item->rel)) {
            commit->run_count++;
            covered = on_root_mount(commit->stage, dir_fd);
            commit->other_mounts |= !covered;
        }
        last = item;
        if (is_directory(item->rel)) {
            commit->run_count++; /* it is synced itself, too */
            continue;
        }
        char temp[TEMP_NAME_MAX];
        temp_name(temp, item->tag);
        if ((covered && commit->data_synced) || sync_data(dir_fd, temp, item) == 0)
            (void)rename_item(dir_fd, temp, item); /* the error is in the item */
    }
}

/* Directories above the item's, up to the root: their entries may be new. */
static int sync_ancestors(struct stage *stage, const char *rel)
{
    SCOPED(buf) struct buf path = { 0 };
    buf_add(&path, rel, parent_len(rel));
    while (path.len != 0) {
        buf_cut(&path, parent_len(path.data));
        SCOPED_FD const int fd =
            path_open(stage->dirs.root_fd, buf_text(&path), O_RDONLY | O_DIRECTORY, 0, false);
        if (fd < 0 || fsync(fd) < 0)
            return -1;
    }
    return 0;
}

static int sync_dir(struct commit *commit, struct stage_item *item, int dir_fd)
{
    SCOPED_FD const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0 ||
        (commit->dirs_pending && sync_ancestors(commit->stage, item->rel) < 0))
        return err_sys(&item->err, ERR_LOCAL, "sync the directory of '%s'", item->rel);
    return 0;
}

/* The mode and the times of a directory that is an item. One that may not be opened can only be
 * synced with what holds it. */
static void sync_own(struct stage *stage, struct stage_item *item)
{
    SCOPED(buf) struct buf bare = { 0 };
    buf_add(&bare, item->rel, strlen(item->rel) - 1);
    SCOPED_FD const int fd =
        path_open(stage->dirs.root_fd, buf_text(&bare), O_RDONLY | O_DIRECTORY, 0, false);
    if (fd < 0 ? errno != EACCES : fsync(fd) < 0)
        err_sys(&item->err, ERR_LOCAL, "sync the directory '%s'", item->rel);
}

/* Directory by directory. What a syncfs() already did is passed over. */
static void sync_runs(struct commit *commit, bool by_syncfs)
{
    const struct stage_item *last = NULL;
    for (size_t i = 0; !by_syncfs && i < commit->count; i++)
        if (commit->items[i].err.kind == ERR_NONE && is_directory(commit->items[i].rel))
            sync_own(commit->stage, &commit->items[i]);
    for (size_t i = 0; i < commit->count; i++) {
        struct stage_item *item = &commit->items[i];
        int dir_fd = -1;
        if (item->err.kind != ERR_NONE)
            continue;
        /* The kernel tells an error once: a second try could not be believed. */
        if (last != NULL && same_dir(last->rel, item->rel)) {
            item->err = last->err;
            continue;
        }
        if (item_dir(commit->stage, item, &dir_fd) < 0)
            continue;
        last = item;
        if (!by_syncfs || !on_root_mount(commit->stage, dir_fd))
            (void)sync_dir(commit, item, dir_fd); /* the error is in the item */
    }
}

static bool sync_file_system(struct stage *stage)
{
    struct stage_shared *shared = shared_of(stage);
    if (!stage->syncfs_tells || atomic_load(&shared->failed))
        return false;
    /* The error may be about anything on this file system, so from now on each file is asked. */
    if (syncfs(stage->sync_fd) < 0)
        atomic_store(&shared->failed, true);
    return !atomic_load(&shared->failed);
}

static void sync_dirs(struct commit *commit)
{
    struct stage_shared *shared = shared_of(commit->stage);
    const bool whole =
        (commit->run_count > FEW_DIRS || commit->dirs_pending) && sync_file_system(commit->stage);
    if (!whole || commit->other_mounts)
        sync_runs(commit, whole);
    if (!whole)
        return;
    uint_fast64_t synced = atomic_load(&shared->synced_count);
    while (synced < commit->made_count &&
           !atomic_compare_exchange_weak(&shared->synced_count, &synced, commit->made_count))
        ;
}

void stage_commit(struct stage *stage, struct stage_item *items, size_t count)
{
    struct stage_shared *shared = shared_of(stage);
    note_made(stage);
    struct commit commit = { .stage = stage, .items = items, .count = count };
    commit.made_count = atomic_load(&shared->made_count);
    commit.dirs_pending = commit.made_count != atomic_load(&shared->synced_count);
    for (size_t i = 0; i < count; i++)
        commit.todo_count += items[i].err.kind == ERR_NONE;
    if (commit.todo_count == 0)
        return;
    /* One file alone: spare the rest of the file system. */
    commit.data_synced = commit.todo_count > 1 && sync_file_system(stage);
    rename_items(&commit);
    sync_dirs(&commit);
}
