/* store/file/file.h: `file:/DIR`, the reference driver. A key is a path below DIR, `dir/` a
 * directory. Mode, owner and mtime are those of the inode; what the inode and the key cannot say is
 * in extended attributes: user.lade.kind (a number of enum entry_kind), user.lade.crc64nvme (16
 * hexadecimal digits), user.lade.owner (UID:GID, when we may not set it) and user.lade.meta.NAME.
 * A symbolic link is a file NAME.rclonelink with its target as content. */
#pragma once

#include "store/store.h"

extern const struct store_driver file_driver;
