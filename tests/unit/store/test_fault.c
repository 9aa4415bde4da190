#include "store/fault/fault.h"

#include "contract.h"

#include "base/clock.h"
#include "base/scope.h"
#include "store/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char dir[64];
static struct stop stop;

static struct store *open_with(const char *rules, struct err *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s/rules", dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(rules, file);
    fclose(file);
    char text[256];
    snprintf(text, sizeof text, "fault:%s+file:%s/data", path, dir);
    struct location location = { 0 };
    assert_int_equal(location_parse(&location, text, err), 0);
    const struct store_options options = { .create = true, .stop = &stop };
    struct store *store = NULL;
    const int result = fault_driver.open(&store, location.path, &options, err);
    location_done(&location);
    return result == 0 ? store : NULL;
}

static struct store *open_again(void)
{
    struct err err = { 0 };
    struct store *store = open_with("# nothing\n\n", &err);
    assert_non_null(store);
    return store;
}

static struct store *open_fresh(void)
{
    contract_make_dir(dir);
    return open_again();
}

static void close_and_remove(struct store *store)
{
    fault_driver.close(store);
    contract_remove_dir(dir);
}

static int start(void **state)
{
    (void)state;
    contract_make_dir(dir);
    atomic_store(&stop.raised, false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    contract_remove_dir(dir);
    return 0;
}

static struct store *with(const char *rules)
{
    struct err err = { 0 };
    struct store *store = open_with(rules, &err);
    assert_non_null(store);
    return store;
}

static enum err_kind try_put(struct store *store, const char *key)
{
    const struct store_put put = { .key = key, .tag = "t" };
    return contract_try_put(store, &put, "text", 4);
}

static void test_nth_and_times_choose_calls(void **state)
{
    (void)state;
    struct store *store = with("put nth=2 fail=net\nput key=*/x.dat times=2 fail=busy\n");
    assert_int_equal(try_put(store, "a"), ERR_NONE);
    assert_int_equal(try_put(store, "b"), ERR_NET);
    assert_int_equal(try_put(store, "b"), ERR_NONE);
    assert_int_equal(try_put(store, "d/e/x.dat"), ERR_BUSY);
    assert_int_equal(try_put(store, "d/e/y.dat"), ERR_NONE);
    assert_int_equal(try_put(store, "d/e/x.dat"), ERR_BUSY);
    assert_int_equal(try_put(store, "d/e/x.dat"), ERR_NONE);
    fault_driver.close(store);
}

static void test_flip_changes_one_byte(void **state)
{
    (void)state;
    struct store *store = with("get nth=1 flip=1\nget nth=3 flip=100\n");
    contract_put(store, "a", "text");
    contract_expect(store, "a", "tuxt");
    contract_expect(store, "a", "text");
    contract_expect(store, "a", "text");
    fault_driver.close(store);
}

static void test_lost_answers_come_after_the_deed(void **state)
{
    (void)state;
    struct store *store = with("commit_batch nth=1 lose\nremove lose\n");
    assert_int_equal(try_put(store, "a"), ERR_NET);
    contract_expect(store, "a", "text");
    const char *const keys[] = { "a" };
    struct err err = { 0 };
    struct err each = { 0 };
    assert_int_equal(fault_driver.remove(store, keys, 1, &each, &err), 0);
    assert_int_equal(each.kind, ERR_NET);
    contract_expect_absent(store, "a");
    fault_driver.close(store);
}

static void test_head_lies_about_etag_and_size(void **state)
{
    (void)state;
    struct store *store = with("head etag size\n");
    contract_put(store, "a", "text");
    struct err err = { 0 };
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(fault_driver.head(store, "a", &object, &err), 0);
    assert_string_equal(object.etag, "another-etag");
    assert_int_equal(object.size_bytes, 5);
    fault_driver.close(store);
}

static void test_hang_ends_with_the_stop(void **state)
{
    (void)state;
    struct store *store = with("probe hang\n");
    stop_raise(&stop);
    struct err err = { 0 };
    assert_int_equal(fault_driver.probe(store, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    fault_driver.close(store);
}

static void test_delay_and_retry_after(void **state)
{
    (void)state;
    struct store *store = with("probe delay=5ms fail=busy retry_after=2s\n");
    struct err err = { 0 };
    const int64_t before_ns = clock_monotonic_ns();
    assert_int_equal(fault_driver.probe(store, &err), -1);
    assert_true(clock_monotonic_ns() - before_ns >= 5 * NS_PER_MS);
    assert_int_equal(err.kind, ERR_BUSY);
    assert_int_equal(err.retry_after_ms, 2000);
    fault_driver.close(store);
}

static void test_number_chooses_a_part(void **state)
{
    (void)state;
    struct store *store = with("part number=2 fail=server\n");
    const struct store_put put = { .key = "a", .tag = "t" };
    char token[STORE_TOKEN_MAX];
    struct err err = { 0 };
    struct store_part part = { 0 };
    assert_int_equal(fault_driver.begin(store, &put, 8, token, &err), 0);
    struct body body = body_of_memory("text", 4, NULL, NULL);
    assert_int_equal(fault_driver.part(store, &put, token, 1, 0, &body, &part, &err), 0);
    assert_int_equal(fault_driver.part(store, &put, token, 2, 4, &body, &part, &err), -1);
    assert_int_equal(err.kind, ERR_SERVER);
    fault_driver.close(store);
}

static void test_bad_rules_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "pot fail=net\n", "put fail=oops\n", "put nth=x hang\n",
                                       "put delay=5\n",  "put what\n",      "put key=a color=b\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = { 0 };
        assert_null(open_with(bad[i], &err));
        assert_int_equal(err.kind, ERR_CONFIG);
    }
    struct err err = { 0 };
    struct store *store = NULL;
    assert_int_equal(fault_driver.open(&store, "/no/plus", NULL, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    setenv("LADE_FAULTS", "1", 1);
    const struct contract contract = { open_fresh, close_and_remove, open_again };
    const struct CMUnitTest tests[] = {
        CASE(test_nth_and_times_choose_calls),
        CASE(test_flip_changes_one_byte),
        CASE(test_lost_answers_come_after_the_deed),
        CASE(test_head_lies_about_etag_and_size),
        CASE(test_hang_ends_with_the_stop),
        CASE(test_delay_and_retry_after),
        CASE(test_number_chooses_a_part),
        CASE(test_bad_rules_are_refused),
    };
    return contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
}
