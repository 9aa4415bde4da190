/* cli/dump.h: the table of all verbs and options as one JSON value, for tests and for other
 * programs. The shape: {"version", "verbs": [{"name", "summary", "synopsis": [...], "prose",
 * "options": [{"name", "letter"?, "aliases": [...], "type", "arg"?, "default"?, "choices"?,
 * "environment"?, "negatable", "repeatable", "group", "help", "doc"}]}]}; what has '?' is left out
 * where there is none. */
#pragma once

#include "base/buf.h"

void dump_json(struct buf *out);
