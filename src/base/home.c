#include "base/home.h"

#include "base/ban.h"
#include "base/buf.h"

#include <stdlib.h>

/* An absolute path, or NULL. */
static const char *directory(const char *variable)
{
    const char *path = getenv(variable);
    return path != NULL && path[0] == '/' ? path : NULL;
}

char *home_cache(void)
{
    const char *cache = directory("XDG_CACHE_HOME");
    const char *home = directory("HOME");
    struct buf path = { 0 };
    if (cache != NULL)
        buf_printf(&path, "%s/lade", cache);
    else if (home != NULL)
        buf_printf(&path, "%s/.cache/lade", home);
    else
        return NULL;
    return buf_take(&path);
}

char *home_state(void)
{
    const char *state = directory("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    struct buf path = { 0 };
    if (state != NULL)
        buf_printf(&path, "%s/lade", state);
    else
        buf_printf(&path, "%s/.local/state/lade", home != NULL ? home : "");
    return buf_take(&path);
}
