/* ui/html.h: text as HTML, for texts that may hold names from anywhere. Pure; nothing to release.
 */
#pragma once

#include "base/buf.h"

#include <stddef.h>

/* Append text: what HTML takes for markup as entities, control characters and what is not UTF-8 as
 * \xHH, marks of direction as \uHHHH. Good between tags and in quoted attributes. */
void html_text(struct buf *out, const char *text);
void html_bytes(struct buf *out, const char *text, size_t len);
/* A name: set apart, so that letters written from the right do not move what is beside it. */
void html_name(struct buf *out, const char *name);
