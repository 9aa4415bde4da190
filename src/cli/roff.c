#include "cli/roff.h"

#include "base/ban.h"
#include "base/scope.h"
#include "cli/say.h"

#include <ctype.h>

static void add_char(struct buf *out, char c)
{
    switch (c) {
    case '\\':
        buf_add_text(out, "\\e");
        break;
    case '-':
        buf_add_text(out, "\\-"); /* a minus, not a hyphen: it can be copied to a shell */
        break;
    case '\'':
        buf_add_text(out, "\\(aq");
        break;
    case '`':
        buf_add_text(out, "\\(ga");
        break;
    case '^':
        buf_add_text(out, "\\(ha");
        break;
    case '~':
        buf_add_text(out, "\\(ti");
        break;
    case '"':
        buf_add_text(out, "\\(dq"); /* also right as argument of a macro */
        break;
    case '.':
        /* A dot at the beginning of a line is a request; where lines begin is decided later. */
        if (out->len == 0 || isspace((unsigned char)out->data[out->len - 1]))
            buf_add_text(out, "\\&");
        buf_add_char(out, '.');
        break;
    default:
        buf_add_char(out, c);
    }
}

void roff_add(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        add_char(out, text[i]);
}

static void add_bold(struct buf *out, const char *text, size_t len)
{
    buf_add_text(out, "\\fB");
    roff_add(out, text, len);
    buf_add_text(out, "\\fR");
}

/* Bytes of the option that begins here: "--name" or "-x"; 0 when there is none. */
static size_t option_bytes(const char *text, bool begins_word)
{
    if (!begins_word || text[0] != '-')
        return 0;
    const size_t dashes = text[1] == '-' ? 2 : 1;
    size_t len = dashes;
    while (isalnum((unsigned char)text[len]) || (text[len] == '-' && len > dashes))
        len++;
    return len > dashes ? len : 0;
}

static bool is_word_start(const char *text, const char *at)
{
    return at == text || isspace((unsigned char)at[-1]) || at[-1] == '(';
}

/* Options and `code` bold, everything else as it is. */
static void add_inline(struct buf *out, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        const char *close = *at == '`' ? strchr(at + 1, '`') : NULL;
        const size_t option = option_bytes(at, is_word_start(text, at));
        if (close != NULL) {
            add_bold(out, at + 1, (size_t)(close - at) - 1);
            at = close + 1;
        } else if (option != 0) {
            add_bold(out, at, option);
            at += option;
        } else {
            add_char(out, *at++);
        }
    }
}

void roff_paragraph(struct buf *out, const char *text)
{
    SCOPED(buf) struct buf line = { 0 };
    add_inline(&line, text);
    say_wrapped(out, 0, 0, buf_text(&line));
}

static void add_verbatim_line(struct buf *out, const char *line, size_t len)
{
    if (len != 0 && line[0] == '.')
        buf_add_text(out, "\\&");
    roff_add(out, line, len);
    buf_add_char(out, '\n');
}

void roff_verbatim(struct buf *out, const char *text)
{
    buf_add_text(out, ".EX\n");
    for (const char *at = text; *at != '\0';) {
        const size_t len = strcspn(at, "\n");
        add_verbatim_line(out, at, len);
        at += len + (at[len] == '\n' ? 1 : 0);
    }
    buf_add_text(out, ".EE\n");
}

/* What the lines of a Markdown text are made into. */
struct markdown {
    struct buf *out;
    struct buf paragraph; /* its lines so far, joined by blanks */
    bool is_item;         /* the paragraph is an item of a list */
    bool needs_break;     /* something stands above that a paragraph must be set off from */
    bool in_code;
    bool in_list;
};

static void end_list(struct markdown *md)
{
    if (md->in_list)
        buf_add_text(md->out, ".RE\n");
    md->in_list = false;
}

static void end_paragraph(struct markdown *md)
{
    if (md->paragraph.len == 0)
        return;
    if (md->is_item && !md->in_list) {
        /* Within .RS, so that what follows the list is back at the margin of the text. */
        buf_add_text(md->out, ".RS 0\n");
        md->in_list = true;
    } else if (!md->is_item) {
        end_list(md);
    }
    if (md->is_item)
        buf_add_text(md->out, ".IP \\(bu 2\n");
    else if (md->needs_break)
        buf_add_text(md->out, ".PP\n");
    roff_paragraph(md->out, buf_text(&md->paragraph));
    buf_clear(&md->paragraph);
    md->is_item = false;
    md->needs_break = true;
}

static void add_heading(struct markdown *md, const char *macro, const char *text, size_t len)
{
    end_paragraph(md);
    end_list(md);
    buf_printf(md->out, ".%s ", macro);
    for (size_t i = 0; i < len; i++)
        add_char(md->out, *macro == 'S' && macro[1] == 'H' ? (char)toupper((unsigned char)text[i])
                                                           : text[i]);
    buf_add_char(md->out, '\n');
    md->needs_break = false;
}

static void toggle_code(struct markdown *md)
{
    end_paragraph(md);
    end_list(md);
    if (!md->in_code && md->needs_break)
        buf_add_text(md->out, ".PP\n");
    buf_add_text(md->out, md->in_code ? ".EE\n.RE\n" : ".RS 4\n.EX\n");
    md->in_code = !md->in_code;
    md->needs_break = true;
}

static void add_text(struct markdown *md, const char *line, size_t len)
{
    if (len >= 2 && line[0] == '-' && line[1] == ' ') {
        end_paragraph(md);
        md->is_item = true;
        line += 2;
        len -= 2;
    }
    if (md->paragraph.len != 0)
        buf_add_char(&md->paragraph, ' ');
    const size_t blanks = strspn(line, " ");
    buf_add(&md->paragraph, line + blanks, len > blanks ? len - blanks : 0);
}

static void add_line(struct markdown *md, const char *line, size_t len)
{
    if (len >= 3 && memcmp(line, "```", 3) == 0)
        toggle_code(md);
    else if (md->in_code)
        add_verbatim_line(md->out, line, len);
    else if (len >= 2 && memcmp(line, "# ", 2) == 0)
        add_heading(md, "SH", line + 2, len - 2);
    else if (len >= 3 && memcmp(line, "## ", 3) == 0)
        add_heading(md, "SS", line + 3, len - 3);
    else if (len == 0)
        end_paragraph(md);
    else
        add_text(md, line, len);
}

void roff_markdown(struct buf *out, const char *text)
{
    struct markdown md = { .out = out };
    for (const char *at = text; *at != '\0';) {
        const size_t len = strcspn(at, "\n");
        add_line(&md, at, len);
        at += len + (at[len] == '\n' ? 1 : 0);
    }
    if (md.in_code)
        toggle_code(&md);
    end_paragraph(&md);
    end_list(&md);
    buf_done(&md.paragraph);
}
