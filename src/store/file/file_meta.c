#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "store/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_KIND "user.lade.kind"
#define XATTR_CRC64 "user.lade.crc64nvme"
#define XATTR_OWNER "user.lade.owner"
#define XATTR_META "user.lade.meta."
#define XATTR_VALUE_MAX 64 /* of our own; --metadata is only written */

/* ---- keys ---- */

bool file_key_is_dir(const char *key)
{
    const size_t len = strlen(key);
    return len == 0 || key[len - 1] == '/';
}

bool file_key_is_link(const char *key)
{
    const size_t len = strlen(key);
    const size_t suffix = strlen(LINK_SUFFIX);
    return len > suffix && key[len - suffix - 1] != '/' &&
           memcmp(key + len - suffix, LINK_SUFFIX, suffix) == 0;
}

int file_key_check(const char *key, struct err *err)
{
    if (strlen(key) > FILE_KEY_MAX)
        return err_set(err, ERR_LIMIT, "a path of %zu bytes; %d is the most", strlen(key),
                       FILE_KEY_MAX);
    if (!path_rel_ok(key))
        return err_set(err, ERR_LIMIT, "'%s' is not a path below the root", key);
    char name[FILE_NAME_MAX + 1];
    for (const char *at = key; *at != '\0';) {
        const char *slash = strchrnul(at, '/');
        const size_t len = (size_t)(slash - at);
        if (len > FILE_NAME_MAX)
            return err_set(err, ERR_LIMIT, "a name of %zu bytes in '%s'; %d is the most", len, key,
                           FILE_NAME_MAX);
        memcpy(name, at, len);
        name[len] = '\0';
        if (stage_is_temporary(name))
            return err_set(err, ERR_LIMIT, "'%s' is a name that lade uses itself", name);
        at = *slash == '/' ? slash + 1 : slash;
    }
    return 0;
}

bool file_is_absent(int sys)
{
    return sys == ENOENT || sys == ENOTDIR || sys == ELOOP || sys == EXDEV || sys == ENXIO;
}

/* ---- inodes ---- */

static int no_object(const char *key, struct err *err)
{
    return err_set(err, ERR_ABSENT, "'%s' is not there", key);
}

int file_open_object(struct file_store *store, const char *key, int *ret_fd, struct stat *ret_st,
                     struct err *err)
{
    struct err refused = { 0 };
    if (key[0] != '\0' && file_key_check(key, &refused) < 0)
        return no_object(key, err);
    const bool is_dir = file_key_is_dir(key);
    /* O_NONBLOCK: a FIFO must not hang the reader. */
    const int flags = O_RDONLY | O_NONBLOCK | (is_dir ? O_DIRECTORY : 0);
    SCOPED_FD int fd = path_open(store->root_fd, key, flags, 0, false);
    if (fd < 0 && file_is_absent(errno))
        return no_object(key, err);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s'", key);
    if (fstat(fd, ret_st) < 0)
        return err_sys(err, ERR_LOCAL, "stat '%s'", key);
    if (is_dir ? !S_ISDIR(ret_st->st_mode) : !S_ISREG(ret_st->st_mode))
        return no_object(key, err);
    *ret_fd = scope_take_fd(&fd);
    return 0;
}

void file_etag(uint64_t ino, uint64_t size_bytes, int64_t mtime_ns, char ret_etag[STORE_ETAG_MAX])
{
    snprintf(ret_etag, STORE_ETAG_MAX, "%llx-%llx-%llx", (unsigned long long)ino,
             (unsigned long long)size_bytes, (unsigned long long)mtime_ns);
}

void file_etag_of(const struct stat *st, char ret_etag[STORE_ETAG_MAX])
{
    file_etag(st->st_ino, (uint64_t)st->st_size, clock_from_timespec_ns(st->st_mtim), ret_etag);
}

/* ---- extended attributes ---- */

static bool read_text(int fd, const char *name, char text[XATTR_VALUE_MAX])
{
    const ssize_t len = fgetxattr(fd, name, text, XATTR_VALUE_MAX - 1);
    if (len <= 0)
        return false;
    text[len] = '\0';
    return true;
}

enum entry_kind file_read_kind(int fd, const char *key)
{
    if (!file_key_is_link(key))
        return ENTRY_FILE;
    /* Without a record it is what rclone made: a link. */
    char text[XATTR_VALUE_MAX];
    const bool is_file = read_text(fd, XATTR_KIND, text) && strtol(text, NULL, 10) == ENTRY_FILE;
    return is_file ? ENTRY_FILE : ENTRY_LINK;
}

static bool parse_owner(const char *text, struct attr *attr)
{
    char *end = NULL;
    errno = 0;
    const unsigned long uid = strtoul(text, &end, 10);
    if (end == text || *end != ':')
        return false;
    const char *second = end + 1;
    const unsigned long gid = strtoul(second, &end, 10);
    if (end == second || *end != '\0' || errno != 0 || uid > UINT32_MAX || gid > UINT32_MAX)
        return false;
    attr->uid = (uint32_t)uid;
    attr->gid = (uint32_t)gid;
    return true;
}

/* The CRC is that of the content only as long as nobody else wrote into the file: it stands beside
 * the size and the mtime that the file had then. */
static void crc64_text(uint64_t crc64, const struct stat *st, char text[XATTR_VALUE_MAX])
{
    snprintf(text, XATTR_VALUE_MAX, "%016llx %llx %llx", (unsigned long long)crc64,
             (unsigned long long)st->st_size,
             (unsigned long long)clock_from_timespec_ns(st->st_mtim));
}

static bool read_crc64(int fd, const struct stat *st, uint64_t *ret_crc64)
{
    char text[XATTR_VALUE_MAX];
    char expected[XATTR_VALUE_MAX];
    if (!read_text(fd, XATTR_CRC64, text))
        return false;
    const uint64_t crc64 = strtoull(text, NULL, 16);
    crc64_text(crc64, st, expected);
    *ret_crc64 = crc64;
    return strcmp(text, expected) == 0;
}

void file_read_meta(int fd, const struct stat *st, struct attr *attr)
{
    char text[XATTR_VALUE_MAX];
    if (read_text(fd, XATTR_OWNER, text) && parse_owner(text, attr))
        attr->have |= ATTR_OWNER;
    uint64_t crc64 = 0;
    if (!read_crc64(fd, st, &crc64))
        return;
    attr->crc64 = crc64;
    attr->have |= ATTR_CRC64;
}

void file_fill_object(int fd, const struct stat *st, const char *key, struct object *ret_object)
{
    const bool is_dir = S_ISDIR(st->st_mode);
    buf_clear(&ret_object->key);
    buf_add_text(&ret_object->key, key);
    ret_object->size_bytes = is_dir ? 0 : (uint64_t)st->st_size;
    ret_object->stored_ns = clock_from_timespec_ns(st->st_ctim);
    ret_object->attr = (struct attr){ .kind = is_dir ? ENTRY_DIR : file_read_kind(fd, key),
                                      .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                                      .mode = st->st_mode & 07777,
                                      .uid = st->st_uid,
                                      .gid = st->st_gid,
                                      .mtime_ns = clock_from_timespec_ns(st->st_mtim) };
    file_read_meta(fd, st, &ret_object->attr);
    ret_object->etag[0] = '\0';
    if (!is_dir)
        file_etag_of(st, ret_object->etag);
}

/* 0 as well when the file system has no extended attributes, unless it must not be lost. */
static int write_text(int fd, const char *name, const char *text, bool needed, struct err *err)
{
    if (fsetxattr(fd, name, text, strlen(text), 0) == 0)
        return 0;
    const bool unable = errno == EOPNOTSUPP || errno == EACCES || errno == EPERM;
    if (unable && !needed)
        return 0;
    if (unable || errno == E2BIG || errno == ERANGE || errno == ENOSPC)
        return err_set(err, ERR_LIMIT, "the file system cannot keep the attribute %s", name);
    return err_sys(err, ERR_LOCAL, "write the attribute %s", name);
}

static int write_kind(int fd, const char *key, enum entry_kind kind, struct err *err)
{
    const bool says_link = file_key_is_link(key);
    if (kind == ENTRY_LINK && !says_link)
        return err_set(err, ERR_LIMIT, "the name of a link ends in %s here", LINK_SUFFIX);
    if (!says_link || (kind != ENTRY_LINK && kind != ENTRY_FILE))
        return 0;
    char text[16];
    snprintf(text, sizeof text, "%d", (int)kind);
    return write_text(fd, XATTR_KIND, text, kind == ENTRY_FILE, err);
}

static int write_user_meta(int fd, const struct store_put *put, struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    for (size_t i = 0; i < put->meta_count; i++) {
        buf_clear(&name);
        buf_printf(&name, XATTR_META "%s", put->meta[i].name);
        if (write_text(fd, name.data, put->meta[i].value, true, err) < 0)
            return -1;
    }
    return 0;
}

/* What we may not set in the inode is written down beside it. */
static int write_owner(int fd, const struct attr *attr, bool *ret_refused, struct err *err)
{
    const struct attr owner = { .have = attr->have & ATTR_OWNER,
                                .uid = attr->uid,
                                .gid = attr->gid };
    if (owner.have == 0)
        return 0;
    struct stat st;
    if (stage_set_attr(fd, &owner, err) < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat");
    if (st.st_uid == attr->uid && st.st_gid == attr->gid)
        return 0;
    *ret_refused = st.st_uid != attr->uid;
    char text[XATTR_VALUE_MAX];
    snprintf(text, sizeof text, "%u:%u", attr->uid, attr->gid);
    return write_text(fd, XATTR_OWNER, text, false, err);
}

/* The mtime is set before, since it stands beside the CRC. */
static int write_crc64(int fd, uint64_t crc64, const struct attr *attr, struct err *err)
{
    const struct attr time = { .have = attr->have & ATTR_MTIME, .mtime_ns = attr->mtime_ns };
    struct stat st;
    char text[XATTR_VALUE_MAX];
    if (stage_set_attr(fd, &time, err) < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat");
    crc64_text(crc64, &st, text);
    return write_text(fd, XATTR_CRC64, text, false, err);
}

int file_record(int fd, const struct store_put *put, const uint64_t *crc64, struct stat *ret_st,
                struct err *err)
{
    static const struct attr none = { 0 };
    struct attr attr = put->attr != NULL ? *put->attr : none;
    bool refused = false;
    if (write_kind(fd, put->key, attr.kind, err) < 0 || write_user_meta(fd, put, err) < 0 ||
        write_owner(fd, &attr, &refused, err) < 0)
        return -1;
    if (crc64 != NULL && write_crc64(fd, *crc64, &attr, err) < 0)
        return -1;
    /* What ran as its owner must not run as us. */
    if (refused)
        attr.mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    /* Last: a mode without write permission would refuse the attributes, too. */
    attr.have &= ~(uint32_t)ATTR_OWNER;
    if (crc64 != NULL) /* the time is set already */
        attr.have &= ~(uint32_t)ATTR_MTIME;
    if (stage_set_attr(fd, &attr, err) < 0)
        return -1;
    return fstat(fd, ret_st) < 0 ? err_sys(err, ERR_LOCAL, "stat") : 0;
}
