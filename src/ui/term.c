#include "ui/term.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/cells.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80

static const char *env_text(const char *name)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody sets any */
    return text != NULL ? text : "";
}

/* As setlocale() would choose: the first of the three that is set decides. */
static bool env_is_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *locale = env_text(names[i]);
        if (locale[0] != '\0')
            return strcasestr(locale, "utf-8") != NULL || strcasestr(locale, "utf8") != NULL;
    }
    return false;
}

static unsigned window_width(int fd)
{
    struct winsize size = { 0 };
    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return WIDTH_DEFAULT;
    return size.ws_col;
}

void term_init(struct term *term, int fd, enum term_progress progress, int64_t line_interval_ns)
{
    const char *type = env_text("TERM");
    const bool capable = isatty(fd) && type[0] != '\0' && strcmp(type, "dumb") != 0;
    *term = (struct term){
        .fd = fd,
        .drawing = progress == TERM_AUTO && capable,
        .progress = progress,
        .next_ns = INT64_MIN,
        .style = { .width = window_width(fd),
                   .color = capable && env_text("NO_COLOR")[0] == '\0',
                   .unicode = env_is_utf8() },
    };
    term->interval_ns = line_interval_ns > 0 ? line_interval_ns : TERM_LINE_NS;
    if (term->drawing)
        term->interval_ns = TERM_FRAME_NS;
}

/* The time in front of each line of the frame. */
static void add_stamps(struct term *term)
{
    char now[CLOCK_TEXT_MAX];
    struct buf stamped = { 0 };
    clock_text_local(clock_now_ns(), now);
    for (const char *line = buf_text(&term->frame); *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        end += *end != '\0';
        buf_printf(&stamped, "%s ", now);
        buf_add(&stamped, line, (size_t)(end - line));
        line = end;
    }
    buf_done(&term->frame);
    term->frame = stamped;
}

/* Write the frame; a terminal that is gone must not stop a transfer. */
static void flush(struct term *term)
{
    struct err err = { 0 };
    if (term->stamped)
        add_stamps(term);
    const int done = file_write_all(term->fd, term->frame.data, term->frame.len, &err);
    (void)done;
    buf_clear(&term->frame);
}

/* To the first column of the first line of the block. Lines that are wider than the window is now
 * were folded by the terminal. */
static void add_rewind(struct term *term)
{
    unsigned rows = 0;
    for (unsigned i = 0; i < term->drawn_lines; i++)
        rows += term->drawn_cells[i] == 0
                    ? 1
                    : (term->drawn_cells[i] + term->style.width - 1) / term->style.width;
    if (rows == 0)
        return;
    buf_printf(&term->frame, "\r\033[%uA", rows);
}

static void add_erase(struct term *term)
{
    if (term->drawn_lines == 0)
        return;
    add_rewind(term);
    buf_add_text(&term->frame, "\033[J");
    term->drawn_lines = 0;
}

/* Cells of a line without its colours. */
static unsigned visible_cells(const char *line, size_t len)
{
    unsigned cells = 0;
    const char *end = line + len;
    while (line < end) {
        const char *escape = memchr(line, '\033', (size_t)(end - line));
        const char *stop = escape != NULL ? escape : end;
        cells += (unsigned)cells_count(line, (size_t)(stop - line));
        const char *letter = escape != NULL ? memchr(stop, 'm', (size_t)(end - stop)) : NULL;
        line = letter != NULL ? letter + 1 : end;
    }
    return cells;
}

static void add_block(struct term *term, const char *block)
{
    for (const char *end; (end = strchr(block, '\n')) != NULL; block = end + 1) {
        const size_t len = (size_t)(end - block);
        term->drawn_cells[term->drawn_lines++] = visible_cells(block, len);
        buf_add(&term->frame, block, len);
        buf_add_text(&term->frame, "\033[K\n"); /* what the line before it had more */
    }
    buf_add_text(&term->frame, "\033[J");
}

static void draw_block(struct term *term, const struct snapshot *snap)
{
    struct buf block = { 0 };
    term->style.width = window_width(term->fd);
    status_block(snap, &term->style, &block);
    add_rewind(term);
    term->drawn_lines = 0;
    add_block(term, block.data);
    buf_done(&block);
}

void term_draw(struct term *term, const struct snapshot *snap, int64_t now_ns)
{
    if (term->progress == TERM_NONE || now_ns < term->next_ns)
        return;
    const bool first = term->next_ns == INT64_MIN;
    term->next_ns = now_ns + term->interval_ns;
    /* In the background the terminal is another program's. */
    if (term->drawing && isatty(term->fd) && tcgetpgrp(term->fd) != getpgrp())
        return;
    if (term->drawing) {
        draw_block(term, snap);
    } else if (!first) {
        status_line(snap, &term->frame);
        buf_add_char(&term->frame, '\n');
    }
    flush(term);
}

/* The block comes back with the next frame. */
void term_log(struct term *term, const char *line)
{
    if (term->drawing)
        term->next_ns = INT64_MIN;
    add_erase(term);
    utf8_show(&term->frame, line, strlen(line));
    buf_add_char(&term->frame, '\n');
    flush(term);
}

void term_take_log(struct term *term)
{
    for (char *line; (line = log_take()) != NULL;) {
        term_log(term, line);
        mem_release(line);
    }
}

void term_erase(struct term *term)
{
    add_erase(term);
    flush(term);
}

void term_summary(struct term *term, const struct snapshot *snap)
{
    add_erase(term);
    status_summary(snap, &term->style, &term->frame);
    flush(term);
}

void term_done(struct term *term)
{
    if (term->drawn_lines != 0)
        term_erase(term);
    buf_done(&term->frame);
}
