/* base/attr.h: what travels with an entry beside its bytes: kind, mode, owner, mtime, content CRC.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What an entry of a file tree is; the numbers are written in plans and in user.lade.kind. */
enum entry_kind {
    ENTRY_UNKNOWN = 0, /* an object that does not say */
    ENTRY_FILE = 1,
    ENTRY_DIR = 2,
    ENTRY_LINK = 3,
    ENTRY_SPECIAL = 4,    /* FIFO, socket, device: never moved */
    ENTRY_UNREADABLE = 5, /* could not be looked at */
    ENTRY_GONE = 6,       /* is in a pack and was deleted since: the next pack says so */
};
const char *entry_kind_name(enum entry_kind kind); /* "file", "directory", "link", … */

enum attr_bit { ATTR_MODE = 1, ATTR_OWNER = 2, ATTR_MTIME = 4, ATTR_CRC64 = 8 };

struct attr {
    enum entry_kind kind;
    uint32_t have; /* set of attr_bit: which of the rest are there */
    uint32_t mode; /* permission bits only, 07777 */
    uint32_t uid, gid;
    int64_t mtime_ns;
    uint64_t crc64; /* CRC64NVME of the content */
};
/* The name that a symbolic link's object has behind its own: rclone's convention. */
#define LINK_SUFFIX ".rclonelink"
