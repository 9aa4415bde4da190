/* cli/man.h: manual pages from the tables and a page of prose. */
#pragma once

#include "base/buf.h"
#include "cli/command.h"

/* The page of a verb, or of lade itself for command NULL. prose: Markdown as cli/roff.h takes it.
 */
void man_page(struct buf *out, const struct command *command, const char *prose);
