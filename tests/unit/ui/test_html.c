#include "ui/html.h"

#include "base/ban.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

static void expect(const char *text, const char *want)
{
    SCOPED(buf) struct buf out = { 0 };
    html_text(&out, text);
    assert_string_equal(buf_text(&out), want);
}

static void test_markup_becomes_text(void **state)
{
    (void)state;
    expect("", "");
    expect("a b-c", "a b-c");
    expect("<a href=\"x\">&amp;'", "&lt;a href=&quot;x&quot;&gt;&amp;amp;&#39;");
}

static void test_what_cannot_be_seen_is_shown(void **state)
{
    (void)state;
    expect("a\nb\033[1m", "a\\x0ab\\x1b[1m");
    expect("\xff\xfe", "\\xff\\xfe");
    expect("a\xe2\x80\xaegpj.exe", "a\\u202egpj.exe");
    expect("p\xc3\xa4iv\xc3\xa4 \xe6\xb8\xac", "p\xc3\xa4iv\xc3\xa4 \xe6\xb8\xac");
    expect("\xed\xa0\x80", "\\xed\\xa0\\x80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markup_becomes_text),
        cmocka_unit_test(test_what_cannot_be_seen_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
