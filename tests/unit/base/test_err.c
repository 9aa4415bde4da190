#include "base/err.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <errno.h>

static void test_err_set_reports_the_cause_and_returns_failure(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(err_set(&err, ERR_CORRUPT, "block %d", 7), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
    assert_string_equal(err.text, "block 7");
    assert_int_equal(err.sys, 0);
}

static void test_err_at_puts_context_in_front(void **state)
{
    (void)state;
    struct err err = { 0 };
    (void)err_set(&err, ERR_CHANGED, "changed while being read");
    assert_int_equal(err_at(&err, "pack '%s'", "a.fits"), -1);
    assert_int_equal(err_at(&err, "batch %d", 17), -1);
    assert_string_equal(err.text, "batch 17: pack 'a.fits': changed while being read");
    assert_int_equal(err.kind, ERR_CHANGED);
}

static void test_err_at_keeps_the_cause_behind_a_long_name(void **state)
{
    (void)state;
    char name[1000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    struct err err = { 0 };
    (void)err_set(&err, ERR_SOURCE, "the cause");
    (void)err_at(&err, "'%s'", name);
    assert_true(strlen(err.text) < sizeof err.text);
    assert_non_null(strstr(err.text, "n: the cause"));
    assert_memory_equal(err.text, "'nnn", 4);
}

static void test_err_at_survives_any_lengths(void **state)
{
    (void)state;
    char cause[400];
    char context[400];
    for (int c = 0; c < 400; c += 3) {
        for (int k = 0; k < 400; k += 3) {
            snprintf(cause, sizeof cause, "%0*d", c + 1, 0);
            snprintf(context, sizeof context, "%0*d", k + 1, 1);
            struct err err = { 0 };
            (void)err_set(&err, ERR_NET, "%s", cause);
            (void)err_at(&err, "%s", context);
            assert_true(strlen(err.text) < sizeof err.text);
            const size_t whole = strlen(cause) + strlen(context) + 2;
            if (whole < sizeof err.text)
                assert_int_equal(strlen(err.text), whole);
        }
    }
}

static void test_err_sys_adds_the_errno_and_its_text(void **state)
{
    (void)state;
    struct err err = { 0 };
    errno = EIO;
    assert_int_equal(err_sys(&err, ERR_SOURCE, "read '%s'", "f"), -1);
    assert_int_equal(err.kind, ERR_SOURCE);
    assert_int_equal(err.sys, EIO);
    assert_string_equal(err.text, "read 'f': Input/output error");
}

static void test_err_sys_chooses_the_kind_that_the_errno_tells(void **state)
{
    (void)state;
    static const struct {
        int sys;
        enum err_kind kind;
    } cases[] = {
        { EACCES, ERR_DENIED }, { ENOENT, ERR_ABSENT },      { ENOSPC, ERR_LOCAL },
        { EMFILE, ERR_LOCAL },  { ENAMETOOLONG, ERR_LIMIT }, { EINVAL, ERR_NET },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = { 0 };
        errno = cases[i].sys;
        (void)err_sys(&err, ERR_NET, "x");
        assert_int_equal(err.kind, cases[i].kind);
    }
}

static void test_err_sys_cuts_a_text_that_is_too_long(void **state)
{
    (void)state;
    struct err err = { 0 };
    errno = EIO;
    (void)err_sys(&err, ERR_SOURCE, "%0500d", 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_err_hint_keeps_the_first(void **state)
{
    (void)state;
    struct err err = { 0 };
    (void)err_set(&err, ERR_AUTH, "refused");
    assert_int_equal(err_hint(&err, "run %s", "this"), -1);
    assert_int_equal(err_hint(&err, "or that"), -1);
    assert_string_equal(err.hint, "run this");
}

static void test_err_clear_allows_the_next_cause(void **state)
{
    (void)state;
    struct err err = { 0 };
    (void)err_set(&err, ERR_NET, "first");
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(err.text, "");
    (void)err_set(&err, ERR_BUSY, "second");
    assert_int_equal(err.kind, ERR_BUSY);
}

static void test_err_traits_name_every_kind_once(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_KIND_COUNT; a++) {
        assert_non_null(err_trait((enum err_kind)a)->name);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(err_trait((enum err_kind)a)->name,
                                    err_trait((enum err_kind)b)->name);
    }
    assert_true(err_trait(ERR_BUSY)->retry);
    assert_false(err_trait(ERR_DENIED)->retry);
    assert_true(err_trait(ERR_AUTH)->ends_run);
    assert_int_equal(err_trait(ERR_USAGE)->exit_status, EXIT_USAGE);
}

static void test_err_fits_512_bytes(void **state)
{
    (void)state;
    assert_true(sizeof(struct err) <= 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_set_reports_the_cause_and_returns_failure),
        cmocka_unit_test(test_err_at_puts_context_in_front),
        cmocka_unit_test(test_err_at_keeps_the_cause_behind_a_long_name),
        cmocka_unit_test(test_err_at_survives_any_lengths),
        cmocka_unit_test(test_err_sys_adds_the_errno_and_its_text),
        cmocka_unit_test(test_err_sys_chooses_the_kind_that_the_errno_tells),
        cmocka_unit_test(test_err_sys_cuts_a_text_that_is_too_long),
        cmocka_unit_test(test_err_hint_keeps_the_first),
        cmocka_unit_test(test_err_clear_allows_the_next_cause),
        cmocka_unit_test(test_err_traits_name_every_kind_once),
        cmocka_unit_test(test_err_fits_512_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
