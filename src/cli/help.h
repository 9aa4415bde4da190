/* cli/help.h: the texts of `lade help` and `lade VERB --help`, made from the tables. */
#pragma once

#include "base/buf.h"
#include "cli/command.h"

/* All verbs. */
void help_overview(struct buf *out);
/* One verb: how it is called, its options, examples. */
void help_command(struct buf *out, const struct command *command);
