#include "cli/nearest.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char *nearest_verb(const char *word)
{
    static const char *const verbs[] = { "put", "get", "check", "status", "jobs", "rm" };
    struct nearest nearest = nearest_to(word, strlen(word));
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        nearest_offer(&nearest, verbs[i]);
    return nearest.best;
}

static void test_nearest_finds_slips(void **state)
{
    (void)state;
    assert_string_equal(nearest_verb("chekc"), "check");
    assert_string_equal(nearest_verb("chck"), "check");
    assert_string_equal(nearest_verb("statuss"), "status");
    assert_string_equal(nearest_verb("job"), "jobs");
    assert_string_equal(nearest_verb("pt"), "put");
}

static void test_nearest_finds_abbreviations(void **state)
{
    (void)state;
    assert_string_equal(nearest_verb("sta"), "status");
}

static void test_nearest_leaves_strangers_alone(void **state)
{
    (void)state;
    assert_null(nearest_verb("upload"));
    assert_null(nearest_verb("x"));
    assert_null(nearest_verb("jug"));
    assert_null(nearest_verb(""));
    char longer[200];
    memset(longer, 'p', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_null(nearest_verb(longer));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_finds_slips),
        cmocka_unit_test(test_nearest_finds_abbreviations),
        cmocka_unit_test(test_nearest_leaves_strangers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
