#include "cli/say.h"

#include "base/ban.h"
#include "base/scope.h"

/* Bytes of the UTF-8 character at `at` that may go to a terminal as it is; 0 when there is none. */
static size_t harmless_bytes(const unsigned char *at)
{
    if (at[0] >= 0x20 && at[0] < 0x7f)
        return 1;
    const size_t more = at[0] >= 0xc2 && at[0] <= 0xdf   ? 1
                        : at[0] >= 0xe0 && at[0] <= 0xef ? 2
                        : at[0] >= 0xf0 && at[0] <= 0xf4 ? 3
                                                         : 0;
    /* The NUL at the end is no continuation, so this never reads beyond it. */
    for (size_t i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Control characters U+0080 to U+009F, overlong forms, surrogates, beyond U+10FFFF. */
    if (more == 0 || (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xe0 && at[1] < 0xa0) ||
        (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return more + 1;
}

void say_escape(struct buf *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        const size_t len = harmless_bytes(at);
        if (len == 0)
            buf_printf(out, "\\x%02x", *at);
        else
            buf_add(out, at, len);
        at += len != 0 ? len : 1;
    }
}

void say_error(FILE *to, const struct err *err)
{
    SCOPED(buf) struct buf out = { 0 };
    buf_add_text(&out, "lade: ");
    say_escape(&out, err->text);
    if (err->hint[0] != '\0') {
        buf_add_text(&out, "\nhint: ");
        say_escape(&out, err->hint);
    }
    buf_add_char(&out, '\n');
    fputs(buf_text(&out), to);
}

#define SAY_COLUMNS 80

void say_wrapped(struct buf *out, size_t column, size_t indent, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        const size_t len = strcspn(at, " ");
        if (at != text && column + 1 + len > SAY_COLUMNS) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (at != text) {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add(out, at, len);
        column += len;
        at += len + strspn(at + len, " ");
    }
    buf_add_char(out, '\n');
}
