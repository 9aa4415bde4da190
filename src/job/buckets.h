/* job/buckets.h: how full each bucket of a destination was when a plan began, in the file `buckets`
 * of its generation. docs/formats.md has every byte; the lines are the store's (room_tell()).
 * Threads: one. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

CHECKED int buckets_write(int dir_fd, const struct buf *counted, struct err *err);
/* ERR_CORRUPT when it is damaged or missing. ret_counted is filled over. */
CHECKED int buckets_read(int dir_fd, struct buf *ret_counted, struct err *err);
