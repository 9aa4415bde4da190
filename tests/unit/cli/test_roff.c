#include "cli/roff.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_roff(void (*make)(struct buf *, const char *), const char *text,
                        const char *expected)
{
    struct buf out = { 0 };
    make(&out, text);
    assert_string_equal(buf_text(&out), expected);
    buf_done(&out);
}

static void test_roff_shows_text_as_it_is(void **state)
{
    (void)state;
    assert_roff(roff_paragraph, "a\\b 'c' \"d\" ~e ^f",
                "a\\eb \\(aqc\\(aq \\(dqd\\(dq \\(tie \\(haf\n");
    assert_roff(roff_paragraph, "... or .profile", "\\&... or \\&.profile\n");
    assert_roff(roff_verbatim, ".x\n'y", ".EX\n\\&.x\n\\(aqy\n.EE\n");
}

static void test_roff_makes_options_and_code_bold(void **state)
{
    (void)state;
    assert_roff(
        roff_paragraph, "as --dry-run, (-n) does; well-known - `a -b`",
        "as \\fB\\-\\-dry\\-run\\fR, (\\fB\\-n\\fR) does; well\\-known \\- \\fBa \\-b\\fR\n");
}

static void test_roff_markdown_paragraphs_lists_and_code(void **state)
{
    (void)state;
    assert_roff(roff_markdown, "one\ntwo\n\nthree\n\n# Part\n\nfour\n",
                "one two\n.PP\nthree\n.SH PART\nfour\n");
    assert_roff(roff_markdown, "a:\n\n- b\n  c\n- d\n\ne",
                "a:\n.RS 0\n.IP \\(bu 2\nb c\n.IP \\(bu 2\nd\n.RE\n.PP\ne\n");
    assert_roff(roff_markdown, "a\n```\nb  c\n\n.d\n```\n## Sub\n",
                "a\n.PP\n.RS 4\n.EX\nb  c\n\n\\&.d\n.EE\n.RE\n.SS Sub\n");
    assert_roff(roff_markdown, "```\nnever ended", ".RS 4\n.EX\nnever ended\n.EE\n.RE\n");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roff_shows_text_as_it_is),
        cmocka_unit_test(test_roff_makes_options_and_code_bold),
        cmocka_unit_test(test_roff_markdown_paragraphs_lists_and_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
