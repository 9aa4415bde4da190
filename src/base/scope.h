/* base/scope.h: function-local resources that release themselves, so an error path is a `return`.
 */
#pragma once

#include <unistd.h>

static inline void scope_close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
/* A descriptor closed at the end of the scope, unless taken. */
#define SCOPED_FD __attribute__((cleanup(scope_close_fd)))
static inline int scope_take_fd(int *fd)
{
    const int taken = *fd;
    *fd = -1;
    return taken;
}

/* `SCOPED(buf) struct buf b = {0};` calls buf_done(&b) at the end of the scope. */
#define SCOPED(type) __attribute__((cleanup(type##_done)))
