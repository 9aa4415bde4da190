#include "cli/say.h"

#include "base/ban.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_escaped(const char *text, const char *expected)
{
    struct buf out = { 0 };
    say_escape(&out, text);
    assert_string_equal(buf_text(&out), expected);
    buf_done(&out);
}

static void test_say_escapes_what_drives_a_terminal(void **state)
{
    (void)state;
    assert_escaped("", "");
    assert_escaped("plain \\ text", "plain \\ text");
    assert_escaped("\x1b[2J\r\n\t\x7f", "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
    assert_escaped("\xc2\x9b"
                   "2J",
                   "\\xc2\\x9b2J");
}

static void test_say_keeps_utf8_and_escapes_other_bytes(void **state)
{
    (void)state;
    assert_escaped("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2");
    assert_escaped("\xff\xc3", "\\xff\\xc3");
    assert_escaped("\xe2\x82", "\\xe2\\x82");
    assert_escaped("\xc0\xaf", "\\xc0\\xaf");
    assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");
    assert_escaped("\xe0\x80\x80", "\\xe0\\x80\\x80");
    assert_escaped("\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80");
    assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
}

static void test_say_error_has_a_hint_line_when_there_is_one(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    struct err err = { 0 };
    err_set(&err, ERR_USAGE, "no '%s'", "a\nb");
    say_error(to, &err);
    err_hint(&err, "look");
    say_error(to, &err);
    fclose(to);
    assert_string_equal(text, "lade: no 'a\\x0ab'\nlade: no 'a\\x0ab'\nhint: look\n");
    mem_release(text);
}

static void test_say_wraps_at_80_columns(void **state)
{
    (void)state;
    struct buf out = { 0 };
    say_wrapped(&out, 70, 4, "12345 1234 12345 a");
    assert_string_equal(buf_text(&out), "12345 1234\n    12345 a\n");
    buf_done(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_say_escapes_what_drives_a_terminal),
        cmocka_unit_test(test_say_keeps_utf8_and_escapes_other_bytes),
        cmocka_unit_test(test_say_error_has_a_hint_line_when_there_is_one),
        cmocka_unit_test(test_say_wraps_at_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
