#include "ui/term.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h first */
#include <cmocka.h>

static struct snapshot some_snapshot(void)
{
    return (struct snapshot){ .totals_final = true,
                              .planned = { 10, 1000 },
                              .done = { 5, 500 },
                              .elapsed_ns = 5 * NS_PER_S,
                              .rate_bytes_per_s = 100,
                              .eta_ns = 5 * NS_PER_S };
}

/* All that was written to the pipe. */
static void read_all(int fd, struct buf *out)
{
    char chunk[4096];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof(chunk))) > 0)
        buf_add(out, chunk, (size_t)got);
}

static void test_without_a_terminal_there_is_a_line_now_and_then(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct term term;
    term_init(&term, ends[1], TERM_AUTO, 0);
    const struct snapshot snap = some_snapshot();
    for (int64_t tenths = 0; tenths <= 650; tenths++)
        term_draw(&term, &snap, tenths * NS_PER_S / 10);
    term_log(&term, "warn: \033[1mx");
    term_summary(&term, &snap);
    term_done(&term);
    close(ends[1]);
    SCOPED(buf) struct buf out = { 0 };
    read_all(ends[0], &out);
    close(ends[0]);
    const char *const line =
        "put: 50% after 5.0s, 500 B of 1000 B, 5 of 10 objects, 100 B/s, 5.0s left\n";
    char want[1000];
    snprintf(want, sizeof(want), "%s%swarn: \\x1b[1mx\n%s", line, line,
             "stored     5 objects  500 B\nmoved      0 B in 5.0s, 100 B/s\n");
    assert_string_equal(buf_text(&out), want);
}

static void test_no_progress_means_none(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct term term;
    term_init(&term, ends[1], TERM_NONE, 1);
    const struct snapshot snap = some_snapshot();
    for (int64_t second = 0; second <= 100; second++)
        term_draw(&term, &snap, second * NS_PER_S);
    term_done(&term);
    close(ends[1]);
    SCOPED(buf) struct buf out = { 0 };
    read_all(ends[0], &out);
    close(ends[0]);
    assert_int_equal(out.len, 0);
}

/* What a display does, in a process that owns a terminal of its own; never returns. */
static _Noreturn void play(int narrow_first)
{
    struct term term;
    struct snapshot snap = some_snapshot();
    term_init(&term, STDERR_FILENO, TERM_AUTO, 0);
    if (!term.drawing || term.style.width != 60)
        _exit(1);
    term_draw(&term, &snap, 0);
    term_draw(&term, &snap, TERM_FRAME_NS - 1); /* too early */
    if (narrow_first) {
        const struct winsize size = { .ws_row = 24, .ws_col = 20 };
        ioctl(STDERR_FILENO, TIOCSWINSZ, &size);
        term_draw(&term, &snap, TERM_FRAME_NS);
        _exit(0);
    }
    log_open(LOG_INFO, STDERR_FILENO);
    log_hold(true);
    log_line(LOG_INFO, "job", "a", "gone");
    term_take_log(&term);
    snap.done = snap.planned;
    term_draw(&term, &snap, TERM_FRAME_NS);
    term_done(&term);
    term_log(&term, "end");
    term_done(&term);
    _exit(0);
}

/* What arrives at the terminal until the process behind it ends. */
static void play_on_terminal(int narrow_first, struct buf *out)
{
    const struct winsize size = { .ws_row = 24, .ws_col = 60 };
    int terminal = -1;
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C", 1);
    const pid_t child = forkpty(&terminal, NULL, NULL, &size);
    assert_true(child >= 0);
    if (child == 0)
        play(narrow_first);
    read_all(terminal, out);
    close(terminal);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define BLOCK_50                                                                                   \
    " 50%  =========---------  500 B / 1000 B  100 B/s  ETA 5.0s\033[K\r\n"                        \
    "5 / 10 objects  5.0s\033[K\r\n\033[J"
#define BLOCK_100                                                                                  \
    "100%  =================  1000 B / 1000 B  100 B/s  ETA 5.0s\033[K\r\n"                        \
    "10 / 10 objects  5.0s\033[K\r\n\033[J"

static void test_on_a_terminal_the_block_stays_below_the_log(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    play_on_terminal(0, &out);
    assert_string_equal(buf_text(&out), BLOCK_50 "\r\033[2A\033[J"
                                                 "info job: a: gone\r\n" BLOCK_100 "\r\033[2A\033[J"
                                                 "end\r\n");
}

static void test_a_narrower_window_has_folded_the_block(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    play_on_terminal(1, &out);
    /* 59 cells fold to three rows of 20, the 20 of the second line to one. */
    assert_non_null(strstr(buf_text(&out), "\r\033[4A 50%\033[K\r\n5 / 10 objects\033[K\r\n"));
}

static void test_a_log_has_the_time_in_each_line(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct term term;
    term_init(&term, ends[1], TERM_AUTO, 0);
    term.stamped = true;
    const struct snapshot snap = some_snapshot();
    term_log(&term, "one");
    term_summary(&term, &snap);
    term_done(&term);
    close(ends[1]);
    SCOPED(buf) struct buf out = { 0 };
    read_all(ends[0], &out);
    close(ends[0]);
    unsigned lines = 0;
    for (const char *line = out.data; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_true(line[4] == '-' && line[13] == ':' && line[19] == ' ' && line[20] != ' ');
        lines++;
    }
    assert_int_equal(lines, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_has_the_time_in_each_line),
        cmocka_unit_test(test_without_a_terminal_there_is_a_line_now_and_then),
        cmocka_unit_test(test_no_progress_means_none),
        cmocka_unit_test(test_on_a_terminal_the_block_stays_below_the_log),
        cmocka_unit_test(test_a_narrower_window_has_folded_the_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
