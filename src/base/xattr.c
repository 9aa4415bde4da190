#include "base/xattr.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LIST_BYTES 1024                /* most files have few; */
#define LIST_BYTES_MAX ((size_t)65536) /* the kernel's limit of all names */
#define ACL_ENTRY_BYTES 8u             /* tag, rights (16 bits each, little endian), and whose */
#define CAPABILITY "security.capability"
#define USER "user."
#define OWN "user.lade."

/* ---- sets ---- */

static bool is_text(const char *name, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(name, text, len) == 0;
}

static bool begins_with(const char *name, size_t len, const char *text)
{
    return len > strlen(text) && memcmp(name, text, strlen(text)) == 0;
}

static bool is_acl(const char *name, size_t len)
{
    return is_text(name, len, XATTR_ACL_ACCESS) || is_text(name, len, XATTR_ACL_DEFAULT);
}

bool xattr_travels(const char *name, size_t len)
{
    return len <= XATTR_NAME_BYTES_MAX &&
           ((begins_with(name, len, USER) && !begins_with(name, len, OWN)) || is_acl(name, len) ||
            is_text(name, len, CAPABILITY));
}

void xattr_add(struct buf *set, const struct xattr *xattr)
{
    buf_add_varint(set, xattr->name_len);
    buf_add(set, xattr->name, xattr->name_len);
    buf_add_varint(set, xattr->value_len);
    buf_add(set, xattr->value, xattr->value_len);
}

bool xattr_next(struct view *set, struct xattr *ret_xattr)
{
    if (view_left(set) == 0)
        return false;
    const uint64_t name_len = view_varint(set);
    const char *name = name_len <= view_left(set) ? view_bytes(set, (size_t)name_len) : NULL;
    const uint64_t value_len = view_varint(set);
    const void *value = value_len <= view_left(set) ? view_bytes(set, (size_t)value_len) : NULL;
    set->bad |= name == NULL || value == NULL;
    if (set->bad)
        return false;
    *ret_xattr = (struct xattr){
        .name = name, .name_len = (size_t)name_len, .value = value, .value_len = (size_t)value_len
    };
    return true;
}

static int compare_names(const struct xattr *a, const struct xattr *b)
{
    const size_t most = a->name_len < b->name_len ? a->name_len : b->name_len;
    const int order = memcmp(a->name, b->name, most);
    return order != 0 ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

bool xattr_set_ok(const void *set, size_t len)
{
    struct view view = view_of(set, len);
    struct xattr last = { .name = "" };
    struct xattr xattr;
    if (len > XATTR_SET_MAX)
        return false;
    while (xattr_next(&view, &xattr)) {
        if (xattr.name_len == 0 || xattr.name_len > XATTR_NAME_BYTES_MAX ||
            memchr(xattr.name, '\0', xattr.name_len) != NULL ||
            xattr.value_len > XATTR_VALUE_BYTES_MAX || compare_names(&last, &xattr) >= 0)
            return false;
        last = xattr;
    }
    return !view.bad;
}

/* ---- reading ---- */

static void note_read(struct err *why, const char *name, int sys)
{
    SCOPED(buf) struct buf shown = { 0 };
    if (why->kind != ERR_NONE)
        return;
    path_show(&shown, name);
    errno = sys;
    err_sys(why, ERR_SOURCE, "read the attribute %s", buf_text(&shown));
}

/* The names, with a NUL behind each; empty where there are none. */
static void list_names(int fd, struct buf *ret_names, struct err *why)
{
    for (size_t room = LIST_BYTES;; room = LIST_BYTES_MAX) {
        buf_clear(ret_names);
        buf_reserve(ret_names, room);
        const ssize_t len = flistxattr(fd, ret_names->data, room);
        if (len >= 0) {
            ret_names->len = (size_t)len;
            return;
        }
        if (errno == ERANGE && room != LIST_BYTES_MAX)
            continue;
        if (errno != EOPNOTSUPP && why->kind == ERR_NONE)
            err_sys(why, ERR_SOURCE, "list its attributes");
        return;
    }
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Those that travel, sorted: pointers into names. */
static size_t choose_names(const struct buf *names, const char ***ret_chosen)
{
    const char **chosen = NULL;
    size_t count = 0;
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
        const char *name = names->data + at;
        if (!xattr_travels(name, strlen(name)))
            continue;
        chosen = mem_resize(chosen, (count + 1) * sizeof *chosen);
        chosen[count++] = name;
    }
    if (count != 0)
        qsort(chosen, count, sizeof *chosen, compare_texts);
    *ret_chosen = chosen;
    return count;
}

static void read_value(int fd, const char *name, struct buf *value, struct buf *set,
                       struct err *why)
{
    buf_clear(value);
    buf_reserve(value, XATTR_VALUE_BYTES_MAX);
    const ssize_t len = fgetxattr(fd, name, value->data, XATTR_VALUE_BYTES_MAX);
    if (len < 0 && errno == ENODATA)
        return; /* gone meanwhile: its ctime tells */
    if (len < 0) {
        note_read(why, name, errno);
        return;
    }
    const struct xattr xattr = {
        .name = name, .name_len = strlen(name), .value = value->data, .value_len = (size_t)len
    };
    const size_t before = set->len;
    xattr_add(set, &xattr);
    if (set->len <= XATTR_SET_MAX)
        return;
    buf_cut(set, before);
    if (why->kind == ERR_NONE)
        err_set(why, ERR_LIMIT, "its attributes have more than %zu bytes together", XATTR_SET_MAX);
}

void xattr_read(int fd, struct buf *ret_set, struct err *ret_why)
{
    SCOPED(buf) struct buf names = { 0 };
    SCOPED(buf) struct buf value = { 0 };
    const char **chosen = NULL;
    buf_clear(ret_set);
    list_names(fd, &names, ret_why);
    const size_t count = choose_names(&names, &chosen);
    for (size_t i = 0; i < count; i++)
        read_value(fd, chosen[i], &value, ret_set, ret_why);
    mem_release(chosen);
}

/* ---- setting ---- */

/* With an ACL the group's bits of the mode are its mask. Without it they are what the group has. */
static void narrow_group(int fd, const struct xattr *acl)
{
    struct view view = view_of(acl->value, acl->value_len);
    struct stat st;
    (void)view_u32(&view); /* the version */
    while (view_left(&view) >= ACL_ENTRY_BYTES) {
        const uint32_t tag_and_rights = view_u32(&view);
        (void)view_u32(&view);
        const mode_t lacking = ~(tag_and_rights >> 16) & 07;
        if ((tag_and_rights & UINT16_MAX) == ACL_GROUP_OBJ && fstat(fd, &st) == 0)
            (void)!fchmod(fd, st.st_mode & 07777 & ~(lacking << 3));
    }
}

static void write_one(int fd, const struct xattr *xattr, struct err *why)
{
    char name[XATTR_NAME_BYTES_MAX + 1];
    memcpy(name, xattr->name, xattr->name_len);
    name[xattr->name_len] = '\0';
    if (fsetxattr(fd, name, xattr->value, xattr->value_len, 0) == 0)
        return;
    const int sys = errno;
    if (strcmp(name, XATTR_ACL_ACCESS) == 0)
        narrow_group(fd, xattr);
    if (why->kind != ERR_NONE)
        return;
    SCOPED(buf) struct buf shown = { 0 };
    path_show(&shown, name);
    errno = sys;
    err_sys(why, ERR_LOCAL, "set the attribute %s", buf_text(&shown));
}

/* There is none, as a rule. */
static void take_away(int fd, const char *acl)
{
    (void)!fremovexattr(fd, acl);
}

void xattr_write(int fd, const void *set, size_t len, enum xattr_when when, bool fresh,
                 struct err *ret_why)
{
    struct view view = view_of(set, len);
    struct xattr xattr;
    if (fresh && when == XATTR_BEFORE_MODE) {
        take_away(fd, XATTR_ACL_ACCESS);
        take_away(fd, XATTR_ACL_DEFAULT);
    }
    while (xattr_next(&view, &xattr)) {
        const bool is_late = !begins_with(xattr.name, xattr.name_len, USER);
        if (is_late == (when == XATTR_AFTER_MODE) && xattr_travels(xattr.name, xattr.name_len))
            write_one(fd, &xattr, ret_why);
    }
}
