/* base/home.h: the user's directories for our own files. Caller frees the paths. */
#pragma once

/* $XDG_CACHE_HOME/lade, or ~/.cache/lade; NULL where neither is known. */
char *home_cache(void);
/* $XDG_STATE_HOME/lade, or ~/.local/state/lade; "/.local/state/lade" where neither is known. */
char *home_state(void);
