/* base/xattr.h: extended attributes of a file or directory, those that travel with it: user.* but
 * lade's own (user.lade.*), POSIX ACLs as the kernel gives them (system.posix_acl_access,
 * system.posix_acl_default), and security.capability. All others belong to the machine or the file
 * system: labels, signatures, striping. A symbolic link can have none of them.
 *
 * A set of attributes is bytes: of each, in the order of names, varint and name, varint and value
 * (docs/formats.md). Equal sets are equal bytes; no bytes are the empty set.
 * Threads: any; no state. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define XATTR_NAME_BYTES_MAX 255u    /* the kernel's; */
#define XATTR_VALUE_BYTES_MAX 65536u /* so too */
#define XATTR_SET_MAX ((size_t)128 << 10)
#define XATTR_ACL_ACCESS "system.posix_acl_access"
#define XATTR_ACL_DEFAULT "system.posix_acl_default"

struct xattr {
    const char *name;
    size_t name_len; /* no NUL in it, and none behind it */
    const void *value;
    size_t value_len;
};

/* Does an attribute of this name travel? */
bool xattr_travels(const char *name, size_t len);
/* Append one to a set; in the order of names. */
void xattr_add(struct buf *set, const struct xattr *xattr);
/* The next one of a set; false at the end, and (set->bad) where it is none. */
bool xattr_next(struct view *set, struct xattr *ret_xattr);
/* Is it a set, in order and within the limits? For sets from outside. */
bool xattr_set_ok(const void *set, size_t len);

/* The set of what is open as fd; *ret_set is filled over. What could not be had is left out, and
 * *ret_why says why of the first one (ERR_LIMIT, ERR_SOURCE); else it stays as it is. A file system
 * without attributes has none. */
void xattr_read(int fd, struct buf *ret_set, struct err *ret_why);

/* Setting them. ACLs and capabilities go with owner and mode, and are set when those are; the
 * others before, since a mode without write permission would refuse them. */
enum xattr_when { XATTR_BEFORE_MODE, XATTR_AFTER_MODE };
/* `fresh` (before the mode): it was just made, so an ACL that it has it inherited; it is taken away
 * unless the set has one. What does not travel is passed over. What is refused is left out, and
 * without its ACL the group may do no more than the ACL gives it;
 * *ret_why as in xattr_read() (ERR_LOCAL). */
void xattr_write(int fd, const void *set, size_t len, enum xattr_when when, bool fresh,
                 struct err *ret_why);
