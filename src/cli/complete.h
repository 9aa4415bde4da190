/* cli/complete.h: completion scripts for shells, made from the tables. */
#pragma once

#include "base/buf.h"

/* shell: one of the choices of `lade help --completion`. */
void complete_script(struct buf *out, const char *shell);
