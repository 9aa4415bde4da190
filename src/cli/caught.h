/* cli/caught.h: a signal that asks the program to end (SIGINT, SIGTERM, SIGHUP). The first one is
 * noted for who looks at it, the second ends the program at once, as a kill would; so does the
 * first while nobody looks. Threads: main; lade blocks signals in all others. */
#pragma once

#include <stdbool.h>

/* From now on. What is ignored already (nohup) stays ignored. `looked_at`: somebody looks. */
void caught_start(bool looked_at);
/* From now on somebody looks, or nobody does. */
void caught_look(bool looked_at);
/* The signal that came, 0: none. The exit status is 128 more. */
int caught_signal(void);
