/* `lade doctor DIR`: can it be written, is there room, and what can its file system keep. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/scope.h"
#include "base/units.h"
#include "store/file/file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PROBE_PREFIX ".lade-probe-"
#define PROBE_AGE_S 3600 /* a probe takes seconds */
#define NAME_BYTES 64
#define ATTRIBUTE "user.lade.probe"

static void probe_name(char ret_name[NAME_BYTES])
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    snprintf(ret_name, NAME_BYTES, PROBE_PREFIX "%08x-%d.tmp",
             (uint32_t)crc64nvme(0, host, strlen(host)), (int)getpid());
}

/* What a probe left when it was killed: a file of this machine whose process is gone, or an old
 * one. */
static bool is_left(int dir, const char *name)
{
    char own[NAME_BYTES];
    struct stat st;
    probe_name(own);
    const size_t common = sizeof PROBE_PREFIX "01234567-" - 1;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return false;
    if (clock_now_ns() / NS_PER_S - st.st_mtim.tv_sec > PROBE_AGE_S)
        return true;
    const long pid = strncmp(name, own, common) == 0 ? strtol(name + common, NULL, 10) : 0;
    return pid > 0 && pid <= INT32_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

static void clean(int root)
{
    DIR *dir = fdopendir(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, PROBE_PREFIX, strlen(PROBE_PREFIX)) == 0 &&
            is_left(root, entry->d_name))
            (void)unlinkat(root, entry->d_name, 0);
    closedir(dir);
}

static void tell_room(int root, struct store_findings *findings)
{
    struct statvfs st;
    if (fstatvfs(root, &st) < 0) {
        store_findings_add(findings, "space", STORE_WARN, "look with df", "cannot be told: %s",
                           strerror(errno));
        return;
    }
    char free_text[UNITS_TEXT_MAX];
    char all_text[UNITS_TEXT_MAX];
    char files_text[UNITS_TEXT_MAX];
    const uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    const uint64_t all_bytes = (uint64_t)st.f_blocks * st.f_frsize;
    const bool is_full = free_bytes < all_bytes / 100;
    store_findings_add(findings, "space", is_full ? STORE_WARN : STORE_OK,
                       is_full ? "make room, or choose another place" : "", "%s free of %s",
                       units_bytes(free_bytes, free_text), units_bytes(all_bytes, all_text));
    if (st.f_files == 0) /* file systems that make inodes as they need them */
        return;
    const bool no_inodes = st.f_favail < st.f_files / 100;
    store_findings_add(findings, "inodes", no_inodes ? STORE_WARN : STORE_OK,
                       no_inodes ? "remove files, or choose another place" : "",
                       "room for %s more files", units_count(st.f_favail, files_text));
}

static void tell_step(struct store_findings *findings, const char *name, bool good,
                      const char *fine, const char *todo, enum store_health worst)
{
    if (good)
        store_findings_add(findings, name, STORE_OK, "", "%s", fine);
    else
        store_findings_add(findings, name, worst, todo, "%s", strerror(errno));
}

static void tell_file(int fd, struct store_findings *findings)
{
    char value[2];
    const struct timespec times[2] = { { .tv_sec = 1, .tv_nsec = 123456789 },
                                       { .tv_sec = 1, .tv_nsec = 123456789 } };
    struct stat st;
    struct err err = { 0 };
    const bool written = file_write_all(fd, "lade", 4, &err) == 0;
    errno = err.sys;
    tell_step(findings, "write", written, "files can be made and written",
              "look at the file system and your quota", STORE_BAD);
    tell_step(findings, "fsync", fsync(fd) == 0, "data is made durable before it counts as stored",
              "the file system fails: look into the kernel's log", STORE_BAD);
    const bool kept = fsetxattr(fd, ATTRIBUTE, "1", 1, 0) == 0 &&
                      fgetxattr(fd, ATTRIBUTE, value, sizeof value) == 1;
    tell_step(findings, "attributes", kept, "extended attributes keep checksums and owners",
              "checksums are not kept with the files; mount it with user_xattr if it can",
              STORE_WARN);
    const bool exact =
        futimens(fd, times) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_nsec == times[1].tv_nsec;
    store_findings_add(findings, "times", exact ? STORE_OK : STORE_WARN,
                       exact ? "" : "a second put finds such files changed, and stores them again",
                       "modification times are kept %s", exact ? "exactly" : "only roughly");
}

static void tell_writing(int root, const char *path, struct store_findings *findings)
{
    char name[NAME_BYTES];
    probe_name(name);
    clean(root);
    SCOPED_FD int fd = openat(root, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        const bool is_wish = errno == EACCES || errno == EROFS;
        store_findings_add(findings, "write", is_wish ? STORE_WARN : STORE_BAD,
                           "choose another place to put to, or have its rights changed",
                           "nothing can be written to '%s': %s", path, strerror(errno));
        return;
    }
    tell_file(fd, findings);
    tell_step(findings, "delete", unlinkat(root, name, 0) == 0, "files can be removed",
              "look at the rights of the directory", STORE_WARN);
    tell_step(findings, "fsync-directory", fsync(root) == 0, "names are made durable too",
              "after a power failure new files may be missing: check then", STORE_WARN);
}

void file_diagnose(const char *path, const struct store_options *options, bool again,
                   struct store_findings *findings)
{
    (void)options, (void)again;
    SCOPED_FD int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        struct err err = { 0 };
        err_sys(&err, ERR_CONFIG, "open directory '%s'", path);
        store_findings_add_err(findings, "directory", &err,
                               err.sys == ENOENT ? "lade put makes it; or check the name"
                                                 : "choose another place, or have its rights "
                                                   "changed");
        return;
    }
    store_findings_add(findings, "directory", STORE_OK, "", "'%s' is there", path);
    tell_writing(root, path, findings);
    tell_room(root, findings);
}
