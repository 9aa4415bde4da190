#include "base/log.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/thread.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h first */
#include <cmocka.h>

static int reader; /* the other end of the sink */

static int set_up(void **state)
{
    (void)state;
    int ends[2];
    if (pipe(ends) < 0)
        return -1;
    reader = ends[0];
    log_open(LOG_INFO, ends[1]);
    return 0;
}

static void expect(const char *want)
{
    char text[4096];
    const size_t len = strlen(want);
    assert_true(len < sizeof(text));
    assert_int_equal(read(reader, text, sizeof(text)), len);
    text[len] = '\0';
    assert_string_equal(text, want);
}

static void test_a_line_names_level_module_and_item(void **state)
{
    (void)state;
    log_line(LOG_WARN, "plan", "a/b", "took %d s", 5);
    expect("warn plan: a/b: took 5 s\n");
    log_line(LOG_INFO, "job", NULL, "resumed key=value");
    expect("info job: resumed key=value\n");
}

static void test_lines_above_the_level_are_not_written(void **state)
{
    (void)state;
    log_line(LOG_DEBUG, "http", NULL, "no");
    log_line(LOG_ERROR, "http", NULL, "yes");
    expect("error http: yes\n");
    assert_true(log_wants(LOG_INFO));
    assert_false(log_wants(LOG_DEBUG));
}

static void test_names_do_not_drive_the_terminal_and_errno_stays(void **state)
{
    (void)state;
    errno = ENOSPC;
    log_line(LOG_INFO, "job", "a\nb\033[2J\\x", "\xff");
    assert_int_equal(errno, ENOSPC);
    expect("info job: a\\x0ab\\x1b[2J\\x: \\xff\n");
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    char text[2 * LOG_LINE_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_line(LOG_INFO, "job", NULL, "%s", text);
    char want[2 * LOG_LINE_MAX];
    memset(want, 'x', sizeof(want));
    memcpy(want, "info job: ", 10);
    want[10 + LOG_LINE_MAX - 1] = '\n';
    want[10 + LOG_LINE_MAX] = '\0';
    expect(want);
}

static void test_held_lines_wait_to_be_taken(void **state)
{
    (void)state;
    log_hold(true);
    log_line(LOG_INFO, "job", NULL, "one");
    log_line(LOG_INFO, "job", NULL, "two");
    char *line = log_take();
    assert_string_equal(line, "info job: one");
    mem_release(line);
    log_hold(false);
    expect("info job: two\n");
    assert_null(log_take());
}

static void *log_many(void *arg)
{
    for (int i = 0; i < LOG_HELD_MAX; i++)
        log_line(LOG_INFO, "job", arg, "%d", i);
    return NULL;
}

static void test_too_many_held_lines_are_counted(void **state)
{
    (void)state;
    struct thread threads[4] = { 0 };
    struct err err = { 0 };
    log_hold(true);
    for (int i = 0; i < 4; i++)
        assert_int_equal(thread_start(&threads[i], "log", log_many, "x", &err), 0);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    for (int i = 0; i < LOG_HELD_MAX; i++)
        mem_release(log_take());
    char *line = log_take();
    assert_string_equal(line, "warn log: 3000 lines more than could be shown");
    mem_release(line);
    assert_null(log_take());
    log_hold(false);
}

static void test_levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_ERROR;
    assert_int_equal(log_level_parse(&level, "debug"), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_string_equal(log_level_name(level), "debug");
    assert_int_equal(log_level_parse(&level, "loud"), -1);
    assert_int_equal(level, LOG_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_names_level_module_and_item),
        cmocka_unit_test(test_lines_above_the_level_are_not_written),
        cmocka_unit_test(test_names_do_not_drive_the_terminal_and_errno_stays),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_held_lines_wait_to_be_taken),
        cmocka_unit_test(test_too_many_held_lines_are_counted),
        cmocka_unit_test(test_levels_have_names),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
