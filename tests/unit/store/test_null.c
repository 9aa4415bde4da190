#include "store/null/null.h"

#include "contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct store *open_null(void)
{
    struct err err = { 0 };
    struct store *store = NULL;
    assert_int_equal(null_driver.open(&store, "", NULL, &err), 0);
    return store;
}

static void test_nothing_is_kept(void **state)
{
    (void)state;
    struct store *store = open_null();
    contract_put(store, "a", "text");
    contract_expect_absent(store, "a");
    struct buf keys = { 0 };
    contract_list(store, "", "", false, &keys);
    assert_int_equal(keys.len, 0);
    null_driver.close(store);
}

int main(void)
{
    const struct contract contract = { open_null, null_driver.close, open_null };
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_is_kept) };
    return contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
}
