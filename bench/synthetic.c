/* A generator in place of the file system, to be preloaded: the directory SYNTHETIC names holds
 * DIRS directories of FILES empty files each, that exist nowhere and take no room.
 *
 *     LD_PRELOAD=libsynthetic.so SYNTHETIC=/synthetic:18250:144 lade put /synthetic null:
 *
 * What lade calls to crawl and to read is answered here when it is about that directory, and passed
 * on else. Open files and directories are real descriptors of /dev/null. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS (1 << 16)
#define ROOT_INODE 2
#define DEVICE 4711

/* 0: nothing of ours; the inode of what is open. */
static uint64_t open_inode[FDS];
static uint32_t position[FDS]; /* of a directory that is read */
static const char *root;
static size_t root_len;
static uint32_t dir_count, file_count;

__attribute__((constructor)) static void start(void)
{
    static char path[256];
    const char *text = getenv("SYNTHETIC");
    if (text != NULL && sscanf(text, "%255[^:]:%u:%u", path, &dir_count, &file_count) == 3) {
        root = path;
        root_len = strlen(path);
    }
}

/* Directories follow the root, files follow the directories. */
static uint64_t dir_inode(uint32_t dir)
{
    return ROOT_INODE + 1 + dir;
}

static bool is_dir(uint64_t inode)
{
    return inode <= ROOT_INODE + dir_count;
}

static uint64_t file_inode(uint32_t dir, uint32_t file)
{
    return ROOT_INODE + 1 + (uint64_t)dir_count + (uint64_t)dir * file_count + file;
}

static void fill(struct stat *st, uint64_t inode)
{
    *st = (struct stat){
        .st_dev = DEVICE, .st_ino = inode, .st_nlink = 1, .st_uid = 1000, .st_gid = 1000
    };
    st->st_mode = is_dir(inode) ? S_IFDIR | 0755 : S_IFREG | 0644;
    /* Times that no two share pack as badly as real ones. */
    uint64_t mix = inode * UINT64_C(0x9e3779b97f4a7c15);
    mix ^= mix >> 29;
    st->st_mtim.tv_sec = 1600000000 + (time_t)(mix % 100000000);
    st->st_mtim.tv_nsec = (long)(mix >> 32) % 1000000000;
    st->st_ctim = st->st_mtim;
}

/* One component below a directory of ours: its inode, 0 = there is none. */
static uint64_t child(uint64_t inode, const char *name, size_t len)
{
    if (len == 0 || (len == 1 && name[0] == '.'))
        return inode;
    if (!is_dir(inode))
        return 0;
    char *end = NULL;
    const unsigned long number = strtoul(name + 1, &end, 10);
    if (inode == ROOT_INODE)
        return name[0] == 'd' && end == name + len && number < dir_count
                   ? dir_inode((uint32_t)number)
                   : 0;
    return name[0] == 'f' && end + 4 == name + len && memcmp(end, ".jpg", 4) == 0 &&
                   number < file_count
               ? file_inode((uint32_t)(inode - dir_inode(0)), (uint32_t)number)
               : 0;
}

/* False: not ours. *ret_inode 0: ours, and not there. */
static bool resolve(int dir_fd, const char *path, uint64_t *ret_inode)
{
    uint64_t inode = 0;
    if (root == NULL)
        return false;
    if (path[0] == '/') {
        if (strncmp(path, root, root_len) != 0 || (path[root_len] != '/' && path[root_len] != '\0'))
            return false;
        inode = ROOT_INODE;
        path += root_len;
    } else {
        if (dir_fd < 0 || dir_fd >= FDS || open_inode[dir_fd] == 0)
            return false;
        inode = open_inode[dir_fd];
    }
    while (*path != '\0' && inode != 0) {
        path += strspn(path, "/");
        const size_t len = strcspn(path, "/");
        inode = child(inode, path, len);
        path += len;
    }
    *ret_inode = inode;
    return true;
}

/* SYNTHETIC_MARK is made when the first file is opened. */
static void mark(void)
{
    static bool done;
    const char *path = getenv("SYNTHETIC_MARK");
    if (!done && path != NULL)
        syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 0666));
    done = true;
}

static int open_ours(uint64_t inode)
{
    if (inode == 0) {
        errno = ENOENT;
        return -1;
    }
    if (!is_dir(inode))
        mark();
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0 && fd < FDS) {
        open_inode[fd] = inode;
        position[fd] = 0;
    }
    return fd;
}

static int stat_ours(uint64_t inode, struct stat *st)
{
    if (inode == 0) {
        errno = ENOENT;
        return -1;
    }
    fill(st, inode);
    return 0;
}

struct entry { /* as the kernel writes it */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[13];
};

static long read_dir(int fd, char *out, size_t room)
{
    const uint64_t inode = open_inode[fd];
    const uint32_t count = inode == ROOT_INODE ? dir_count : file_count;
    size_t used = 0;
    for (; position[fd] < count && used + sizeof(struct entry) <= room; position[fd]++) {
        const uint32_t i = position[fd];
        struct entry entry = { .offset = i + 1, .length = sizeof entry };
        entry.inode =
            inode == ROOT_INODE ? dir_inode(i) : file_inode((uint32_t)(inode - dir_inode(0)), i);
        entry.type = inode == ROOT_INODE ? DT_DIR : DT_REG;
        if (inode == ROOT_INODE)
            snprintf(entry.name, sizeof entry.name, "d%07u", i % 10000000);
        else
            snprintf(entry.name, sizeof entry.name, "f%06u.jpg", i % 1000000);
        memcpy(out + used, &entry, sizeof entry);
        used += sizeof entry;
    }
    return (long)used;
}

/* ---- what is called ---- */

#define REAL(name, type)                                                                           \
    static type real;                                                                              \
    if (real == NULL)                                                                              \
        real = (type)dlsym(RTLD_NEXT, name);

typedef long (*syscall_fn)(long, ...);
long syscall(long number, ...)
{
    long arg[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(list, long);
    va_end(list);
    uint64_t inode = 0;
    if (number == SYS_getdents64 && arg[0] >= 0 && arg[0] < FDS && open_inode[arg[0]] != 0)
        return read_dir((int)arg[0], (char *)arg[1], (size_t)arg[2]);
    if (number == SYS_openat2 && resolve((int)arg[0], (const char *)arg[1], &inode))
        return open_ours(inode);
    REAL("syscall", syscall_fn)
    return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

typedef int (*openat_fn)(int, const char *, int, ...);
int openat64(int dir_fd, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    const mode_t mode = va_arg(list, mode_t);
    va_end(list);
    uint64_t inode = 0;
    if (resolve(dir_fd, path, &inode))
        return open_ours(inode);
    REAL("openat64", openat_fn)
    return real(dir_fd, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    const mode_t mode = va_arg(list, mode_t);
    va_end(list);
    return openat64(AT_FDCWD, path, flags, mode);
}

typedef int (*fstat_fn)(int, struct stat *);
int fstat64(int fd, struct stat64 *st)
{
    if (fd >= 0 && fd < FDS && open_inode[fd] != 0)
        return stat_ours(open_inode[fd], (struct stat *)st);
    REAL("fstat64", fstat_fn)
    return real(fd, (struct stat *)st);
}

typedef int (*fstatat_fn)(int, const char *, struct stat *, int);
int fstatat64(int dir_fd, const char *path, struct stat64 *st, int flags)
{
    uint64_t inode = 0;
    if (resolve(dir_fd, path, &inode))
        return stat_ours(inode, (struct stat *)st);
    REAL("fstatat64", fstatat_fn)
    return real(dir_fd, path, (struct stat *)st, flags);
}

int stat64(const char *path, struct stat64 *st)
{
    return fstatat64(AT_FDCWD, path, st, 0);
}

int lstat64(const char *path, struct stat64 *st)
{
    return fstatat64(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

typedef int (*close_fn)(int);
int close(int fd)
{
    if (fd >= 0 && fd < FDS)
        open_inode[fd] = 0;
    REAL("close", close_fn)
    return real(fd);
}
