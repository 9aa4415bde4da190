#include "ui/html.h"

#include "base/ban.h"
#include "base/scope.h"
#include "base/utf8.h"

#include <stdbool.h>

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* What is not seen, and turns what is seen around: "gpj.exe" would be read as "exe.jpg". */
static bool is_direction(uint32_t code)
{
    return code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void html_bytes(struct buf *out, const char *text, size_t len)
{
    SCOPED(buf) struct buf shown = { 0 };
    utf8_show(&shown, text, len);
    const unsigned char *at = (const unsigned char *)buf_text(&shown);
    const unsigned char *end = at + shown.len;
    while (at < end) {
        const unsigned char *start = at;
        const uint32_t code = utf8_decode(&at, end);
        const char *entity = code < 0x80 ? entity_of((char)code) : NULL;
        if (entity != NULL)
            buf_add_text(out, entity);
        else if (is_direction(code))
            buf_printf(out, "\\u%04x", code);
        else
            buf_add(out, start, (size_t)(at - start));
    }
}

void html_text(struct buf *out, const char *text)
{
    html_bytes(out, text, strlen(text));
}

void html_name(struct buf *out, const char *name)
{
    buf_add_text(out, "<bdi class=\"name\">");
    html_text(out, name);
    buf_add_text(out, "</bdi>");
}
