#include "job/filter.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define RULES_MAX 6

struct rule_text {
    enum filter_option option;
    const char *text;
};

static struct filter *filter_of(const struct rule_text *rules, size_t count)
{
    struct filter *filter = filter_new();
    for (size_t i = 0; i < count; i++) {
        struct err err = { 0 };
        if (filter_add(filter, rules[i].option, rules[i].text, "rule", &err) < 0)
            fail_msg("%s", err.text);
    }
    filter_seal(filter);
    return filter;
}

static bool included(const char *pattern, const char *path)
{
    const struct rule_text rules[] = { { FILTER_INCLUDE, pattern } };
    struct filter *filter = filter_of(rules, 1);
    const bool in = filter_file(filter, path, strlen(path), NULL);
    filter_free(filter);
    return in;
}

/* Mostly the examples of rclone's documentation. */
static const struct {
    const char *pattern, *path;
    bool matches;
} matches[] = {
    { "file.jpg", "file.jpg", true },
    { "file.jpg", "directory/file.jpg", true },
    { "file.jpg", "afile.jpg", false },
    { "file.jpg", "directory/afile.jpg", false },
    { "/file.jpg", "file.jpg", true },
    { "/file.jpg", "afile.jpg", false },
    { "/file.jpg", "directory/file.jpg", false },
    { "*.jpg", "file.jpg", true },
    { "*.jpg", "directory/file.jpg", true },
    { "*.jpg", "file.jpg/anotherfile.png", false },
    { "*.jpg", "FILE.JPG", false },
    { "dir/**", "dir/file.jpg", true },
    { "dir/**", "directory/dir/a/b", true },
    { "dir/**", "adir/file.jpg", false },
    { "dir/**", "dir", false },
    { "**.jpg", "a/b/c.jpg", true },
    { "/a**z", "a/b/z", true },
    { "/a*z", "a/b/z", false },
    { "?ello", "hello", true },
    { "?ello", "a/hello", true },
    { "?ello", "jelly/ello", false },
    { "?", "ä", true },
    { "?", "\xff", true },
    { "??", "ä", false },
    { "h[ae]llo", "hello", true },
    { "h[ae]llo", "hullo", false },
    { "h[^ae]llo", "hullo", true },
    { "h[a-f0]llo", "h0llo", true },
    { "[[:alpha:]]x", "qx", true },
    { "[[:alpha:]]x", "7x", false },
    { "[ä-ö]", "å", true },
    { "[\\[\\]]", "]", true },
    { "[a-]", "-", true },
    { "{one,two}_potato", "one_potato", true },
    { "{one,two}_potato", "three_potato", false },
    { "{one,two}_potato", "_potato", false },
    { "{a,{b,c}d}e", "cde", true },
    { "{a,{b,c}d}e", "be", false },
    { "{,x}y", "y", true },
    { "a,b", "a,b", true },
    { "\\*.jpg", "*.jpg", true },
    { "\\*.jpg", "a.jpg", false },
    { "\\\\.jpg", "\\.jpg", true },
    { "\\[one\\].jpg", "[one].jpg", true },
    { "\\d\\d", "42", true },
    { "\\x41b", "Ab", true },
    { "'.' '+' '(' ')' '|' '^' '$'", "'.' '+' '(' ')' '|' '^' '$'", true },
    { "*.{{jpe?g}}", "file.jpg", true },
    { "*.{{jpe?g}}", "file.jpeg", true },
    { "*.{{jpe?g}}", "file.png", false },
    { "{{.*\\.jpe?g}}", "dir/file.jpeg", true },
    { "{{(?i).*\\.JPG}}", "dir/file.jpg", true },
    { "{{(?i)A}}B", "aB", true },
    { "{{(?i)A}}B", "ab", false },
    { "{{a{2,3}}}", "aaa", true },
    { "{{a{2,3}}}", "aaaa", false },
    { "{{a{2}}}", "aa", true },
    { "{{(?:ab)+}}", "ababab", true },
    { "{{[^\\d]+}}", "ab1", false },
    { "{{^a}}", "a", true },
    { "{{^a}}", "b/a", false },
    { "{{(a*)*b}}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true },
    { "**", "a\nb/c", true },
    { "a\\nb", "a\nb", true },
    { "//a", "a", false },
};

static void test_patterns_match_as_rclone_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++)
        if (included(matches[i].pattern, matches[i].path) != matches[i].matches)
            fail_msg("'%s' and '%s'", matches[i].pattern, matches[i].path);
}

static const char *const bad_rules[] = {
    "+ ***",
    "+ a***b",
    "+ ab]c",
    "+ ab[c",
    "+ ab{{cd",
    "+ ab{}}cd",
    "+ ab}c",
    "+ ab{c",
    "+ [a--b]",
    "+ [z-a]",
    "+ a\\",
    "+ \\q",
    "+ {{a**}}",
    "+ {{*}}",
    "+ {{(a}}",
    "+ {{a)}}",
    "+ {{a{2,1}}}",
    "+ {{a{1001}}}",
    "+ [[:nope:]]",
    "+ {{(?<n>a)}}",
    "+ ",
    "x",
    "-a",
    "",
    "+ a\nb",
    "+ {{\\x4}}",
    "+ {{(a{999}){999}}}",
    "+ {{(((){1000}){1000}){1000}}}",
};

static void test_bad_rules_are_refused_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rules) / sizeof(bad_rules[0]); i++) {
        struct filter *filter = filter_new();
        struct err err = { 0 };
        if (filter_add(filter, FILTER_RULE, bad_rules[i], "--filter", &err) == 0)
            fail_msg("'%s' was taken", bad_rules[i]);
        assert_true(err.kind == ERR_USAGE || err.kind == ERR_LIMIT);
        assert_int_equal(strncmp(err.text, "--filter: ", 10), 0);
        filter_free(filter);
    }
}

static void test_deep_nesting_and_long_patterns_meet_a_limit(void **state)
{
    (void)state;
    char text[6000];
    memset(text, '{', 200);
    text[200] = '\0';
    for (int i = 1; i < 200; i += 2) /* "{a{a": two in a row would be a regular expression */
        text[i] = 'a';
    struct filter *filter = filter_new();
    struct err err = { 0 };
    assert_int_equal(filter_add(filter, FILTER_EXCLUDE, text, "x", &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_clear(&err);
    assert_int_equal(filter_add(filter, FILTER_EXCLUDE, text, "x", &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    filter_free(filter);
}

/* Rules, a path, and whether a crawl finds it. */
static const struct {
    struct rule_text rules[RULES_MAX];
    const char *path;
    bool found;
    const char *rule; /* that decides */
} crawls[] = {
    { { { FILTER_RULE, "- *.tmp" } }, "a/b", true, NULL },
    { { { FILTER_RULE, "- *.tmp" } }, "a/b.tmp", false, "- *.tmp" },
    { { { FILTER_RULE, "+ *.jpg" }, { FILTER_RULE, "- *" } }, "a/b.jpg", true, "+ *.jpg" },
    { { { FILTER_RULE, "- *" }, { FILTER_RULE, "+ *.jpg" } }, "b.jpg", false, "- *" },
    { { { FILTER_RULE, "- *" }, { FILTER_RULE, "!" } }, "b.jpg", true, NULL },
    { { { FILTER_INCLUDE, "*.jpg" } }, "a/b.png", false, "- /**" },
    { { { FILTER_INCLUDE, "*.jpg" }, { FILTER_RULE, "!" } }, "b.jpg", false, "- /**" },
    /* Options come in rclone's order, not in that of the command line. */
    { { { FILTER_EXCLUDE, "b.jpg" }, { FILTER_INCLUDE, "*.jpg" } }, "b.jpg", true, "+ *.jpg" },
    { { { FILTER_RULE, "+ b.jpg" }, { FILTER_EXCLUDE, "*.jpg" } }, "b.jpg", false, "- *.jpg" },
    { { { FILTER_EXCLUDE, "dir/" } }, "a/dir/b/c", false, "- dir/" },
    { { { FILTER_EXCLUDE, "dir/" } }, "dir", true, NULL },
    { { { FILTER_EXCLUDE, "/dir/" } }, "a/dir/b", true, NULL },
    /* What is below an excluded directory is out of reach. */
    { { { FILTER_RULE, "- /a/" }, { FILTER_RULE, "+ /a/b" } }, "a/b", false, "- /a/" },
    { { { FILTER_RULE, "+ /a/b" }, { FILTER_RULE, "- /a/**" } }, "a/b", true, "+ /a/b" },
    { { { FILTER_RULE, "+ /a/b/c.txt" }, { FILTER_RULE, "- *" } },
      "a/b/c.txt",
      true,
      "+ /a/b/c.txt" },
    { { { FILTER_RULE, "+ /a/b/c.txt" }, { FILTER_RULE, "- *" } }, "a/x/", false, "- *" },
    { { { FILTER_RULE, "+ dir/" }, { FILTER_RULE, "- *" } }, "dir/", true, NULL },
    { { { FILTER_RULE, "+ dir/" }, { FILTER_RULE, "- *" } }, "dir/x", false, "- *" },
};

static void test_first_match_decides_along_the_way_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(crawls) / sizeof(crawls[0]); i++) {
        size_t count = 0;
        while (count < RULES_MAX && crawls[i].rules[count].text != NULL)
            count++;
        struct filter *filter = filter_of(crawls[i].rules, count);
        const char *rule = "never set";
        const char *path = crawls[i].path;
        if (filter_path(filter, path, strlen(path), &rule) != crawls[i].found)
            fail_msg("case %zu: '%s'", i, path);
        if (!crawls[i].found)
            assert_string_equal(rule, crawls[i].rule);
        filter_free(filter);
    }
}

static const struct {
    const char *first, *second, *dir;
    enum filter_reach reach;
} reaches[] = {
    { "- *.tmp", "!", "a", FILTER_DIR_ALL },         { "- *.tmp", NULL, "a", FILTER_DIR_MAYBE },
    { "- /a/**", NULL, "a", FILTER_DIR_NONE },       { "- /a/**", NULL, "a/", FILTER_DIR_NONE },
    { "- /a/**", NULL, "b", FILTER_DIR_ALL },        { "- /a/**", NULL, "", FILTER_DIR_MAYBE },
    { "- /a/*.x", NULL, "a", FILTER_DIR_MAYBE },     { "- /a/*.x", NULL, "a/b", FILTER_DIR_ALL },
    { "+ /a/**", "- *.tmp", "a/b", FILTER_DIR_ALL }, { "+ /a/**", "- *", "b", FILTER_DIR_NONE },
    { "+ /a/**", "- *", "", FILTER_DIR_MAYBE },      { "- *", NULL, "", FILTER_DIR_MAYBE },
    { "+ *", "- x", "a", FILTER_DIR_MAYBE },         { "+ **", "- x", "a", FILTER_DIR_ALL },
};

static void test_directories_are_entered_when_needed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(reaches) / sizeof(reaches[0]); i++) {
        const struct rule_text rules[] = { { FILTER_RULE, reaches[i].first },
                                           { FILTER_RULE, reaches[i].second } };
        struct filter *filter = filter_of(rules, reaches[i].second == NULL ? 1 : 2);
        const char *dir = reaches[i].dir;
        if (filter_dir(filter, dir, strlen(dir), NULL) != reaches[i].reach)
            fail_msg("case %zu: '%s'", i, dir);
        filter_free(filter);
    }
}

static void test_no_rules_are_an_empty_filter(void **state)
{
    (void)state;
    struct filter *filter = filter_of(NULL, 0);
    const char *rule = "x";
    assert_true(filter_empty(filter));
    assert_true(filter_file(filter, "a", 1, &rule));
    assert_null(rule);
    assert_int_equal(filter_dir(filter, "a", 1, NULL), FILTER_DIR_ALL);
    filter_free(filter);
    filter_free(NULL);
}

static void test_text_makes_the_same_filter_again(void **state)
{
    (void)state;
    const struct rule_text rules[] = { { FILTER_RULE, "- a b " },
                                       { FILTER_EXCLUDE, "x/" },
                                       { FILTER_INCLUDE, "*.jpg" } };
    static const char want[] = "+ *.jpg\n- x/\n- a b \n- /**\n";
    struct filter *filter = filter_of(rules, 3);
    SCOPED(buf) struct buf text = { 0 };
    filter_text(filter, &text);
    assert_string_equal(buf_text(&text), want);
    filter_free(filter);

    filter = filter_new();
    char *rest = text.data;
    for (char *line = strsep(&rest, "\n"); line != NULL && *line != '\0';
         line = strsep(&rest, "\n")) {
        struct err err = { 0 };
        assert_int_equal(filter_add(filter, FILTER_RULE, line, "text", &err), 0);
    }
    filter_seal(filter);
    SCOPED(buf) struct buf again = { 0 };
    filter_text(filter, &again);
    assert_string_equal(buf_text(&again), want);
    filter_free(filter);
}

static void write_file(char path[32], const char *text)
{
    snprintf(path, 32, "/tmp/test_filter_XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_files_of_rules_have_comments_and_blanks(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "# comment\n\n ; another\r\n  + *.c \t\r\n- *.o\n!\n- x#y");
    struct filter *filter = filter_new();
    struct err err = { 0 };
    assert_int_equal(filter_add_file(filter, FILTER_RULE, path, &err), 0);
    filter_seal(filter);
    SCOPED(buf) struct buf text = { 0 };
    filter_text(filter, &text);
    assert_string_equal(buf_text(&text), "- x#y\n");
    filter_free(filter);
    unlink(path);
}

static void test_an_empty_file_of_includes_excludes_all(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "");
    struct filter *filter = filter_new();
    struct err err = { 0 };
    assert_int_equal(filter_add_file(filter, FILTER_INCLUDE, path, &err), 0);
    filter_seal(filter);
    assert_false(filter_file(filter, "a", 1, NULL));
    filter_free(filter);
    unlink(path);
}

static void test_a_bad_line_is_named(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "a\nb]\n");
    struct filter *filter = filter_new();
    struct err err = { 0 };
    assert_int_equal(filter_add_file(filter, FILTER_EXCLUDE, path, &err), -1);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "line 2: pattern 'b]': "));
    err_clear(&err);
    assert_int_equal(filter_add_file(filter, FILTER_EXCLUDE, "/nowhere/at/all", &err), -1);
    filter_free(filter);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_match_as_rclone_documents),
        cmocka_unit_test(test_bad_rules_are_refused_with_their_place),
        cmocka_unit_test(test_deep_nesting_and_long_patterns_meet_a_limit),
        cmocka_unit_test(test_first_match_decides_along_the_way_down),
        cmocka_unit_test(test_directories_are_entered_when_needed),
        cmocka_unit_test(test_no_rules_are_an_empty_filter),
        cmocka_unit_test(test_text_makes_the_same_filter_again),
        cmocka_unit_test(test_files_of_rules_have_comments_and_blanks),
        cmocka_unit_test(test_an_empty_file_of_includes_excludes_all),
        cmocka_unit_test(test_a_bad_line_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
