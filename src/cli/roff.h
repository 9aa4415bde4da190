/* cli/roff.h: plain text and the little Markdown of docs/man as source for man(7), such that
 * neither groff nor mandoc has anything to say against it. The Markdown: "# Section", "##
 * Subsection", paragraphs, lists of "- item", code between ``` lines, and `code` within a line.
 * ASCII only. */
#pragma once

#include "base/buf.h"

#include <stddef.h>

/* Append text so that it is shown as it is. */
void roff_add(struct buf *out, const char *text, size_t len);
/* A paragraph of plain text as wrapped lines; options in it (--name, -x) become bold. */
void roff_paragraph(struct buf *out, const char *text);
/* Lines that are shown as they are. */
void roff_verbatim(struct buf *out, const char *text);
void roff_markdown(struct buf *out, const char *text);
