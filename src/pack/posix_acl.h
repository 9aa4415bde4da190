/* pack/posix_acl.h: a POSIX ACL as the kernel keeps it in an extended attribute, and as text for
 * tar. Owners stay numbers, like those of members. Threads: any; no state. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Append its text, a line for each entry: "user:1000:r-x". False, and nothing is appended: it is
 * not of the version that the kernel has (2), or has what no ACL has. */
bool posix_acl_text(const void *value, size_t len, struct buf *out);
