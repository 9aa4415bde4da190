/* The contract, over several buckets of a real gateway: tests/servers/with test_store_spread_s3. */
#include "store/s3/s3.h"
#include "store/spread/spread.h"

#include "contract.h"

#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BUCKET "lade-spread"

static char path[128];
static unsigned count;

static struct store *open_at(const char *at)
{
    const struct store_options options = { .make_bucket = true, .bucket_objects = 1000 };
    struct err err = { 0 };
    struct store *store = NULL;
    if (spread_open(&store, &s3_driver, at, &options, &err) < 0)
        fail_msg("open %s: %s", at, err.text);
    return store;
}

/* All that puts must know of it is made by the first. */
static struct store *open_again(void)
{
    return open_at(path);
}

static struct store *open_fresh(void)
{
    snprintf(path, sizeof path, "//" BUCKET "/run %d+%%/%u/{1+}", (int)getpid(), ++count);
    struct store *store = open_again();
    contract_put(store, "//2/first", "makes the bucket");
    contract_put(store, "first", "makes the bucket");
    const char *const keys[] = { "//2/first", "first" };
    struct err errs[2] = { 0 };
    struct err err = { 0 };
    assert_int_equal(store->driver->remove(store, keys, 2, errs, &err), 0);
    return store;
}

static void close_and_remove(struct store *store)
{
    struct err err = { 0 };
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    char *keys[1000];
    size_t keys_count = 0;
    const struct store_driver *driver = store->driver;
    assert_int_equal(driver->list_open(&list, store, "", "", false, &err), 0);
    while (keys_count < 1000 && driver->list_next(list, &object, &err) == 1) {
        struct buf key = { 0 };
        store_bucket_key(object.bucket, object.key.data, &key);
        keys[keys_count++] = buf_take(&key);
    }
    driver->list_close(list);
    struct err *errs = mem_alloc(1000 * sizeof *errs);
    assert_int_equal(driver->remove(store, (const char *const *)keys, keys_count, errs, &err), 0);
    for (size_t i = 0; i < keys_count; i++) {
        assert_int_equal(errs[i].kind, ERR_NONE);
        mem_release(keys[i]);
    }
    mem_release(errs);
    driver->close(store);
}

static int start(void **state)
{
    *state = open_fresh();
    return 0;
}

static int end(void **state)
{
    close_and_remove(*state);
    return 0;
}

static void test_what_is_in_any_bucket_is_found_and_listed_in_order(void **state)
{
    struct store *store = *state;
    contract_put(store, "a", "1");
    contract_put(store, "//2/b", "2");
    contract_put(store, "c", "3");
    contract_put(store, "//2/d/e", "4");
    contract_expect(store, "b", "2");
    contract_expect(store, "//2/b", "2");
    contract_expect_absent(store, "//1/b");
    contract_expect_absent(store, "//3/b");
    SCOPED(buf) struct buf keys = { 0 };
    contract_list(store, "", "", false, &keys);
    assert_string_equal(keys.data, "a\nb\nc\nd/e\n");
    buf_clear(&keys);
    contract_list(store, "", "b", true, &keys);
    assert_string_equal(keys.data, "c\nd/\n");
}

static void test_buckets_of_the_account_are_listed(void **state)
{
    struct store *store = NULL;
    (void)state;
    struct err err = { 0 };
    SCOPED(buf) struct buf names = { 0 };
    assert_int_equal(s3_driver.open(&store, "//" BUCKET, NULL, &err), 0);
    if (s3_driver.list_buckets(store, BUCKET, &names, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(names.len, sizeof BUCKET "\0" BUCKET "-2");
    assert_memory_equal(names.data, BUCKET "\0" BUCKET "-2", names.len);
    assert_int_equal(s3_driver.list_buckets(store, BUCKET "-x", &names, &err), 0);
    assert_int_equal(names.len, 0);
    s3_driver.close(store);
}

static void test_buckets_share_connections(void **state)
{
    struct store *first = *state;
    struct store *store = NULL;
    struct err err = { 0 };
    assert_int_equal(s3_driver.open(&store, "//" BUCKET, NULL, &err), 0);
    const struct store_options options = { .share = store };
    struct store *other = NULL;
    assert_int_equal(s3_driver.open(&other, "//" BUCKET "-2", &options, &err), 0);
    /* The lender may go first. */
    s3_driver.close(store);
    contract_put(other, "shared", "x");
    contract_expect(other, "shared", "x");
    const char *key = "shared";
    struct err each = { 0 };
    assert_int_equal(s3_driver.remove(other, &key, 1, &each, &err), 0);
    s3_driver.close(other);
    contract_put(first, "a", "1");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    if (getenv("LADE_TEST_S3") == NULL)
        return fprintf(stderr, "no gateway: tests/servers/with test_store_spread_s3\n"), 1;
    const struct contract contract = { open_fresh, close_and_remove, open_again };
    const struct CMUnitTest tests[] = {
        CASE(test_what_is_in_any_bucket_is_found_and_listed_in_order),
        CASE(test_buckets_of_the_account_are_listed),
        CASE(test_buckets_share_connections),
    };
    return contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
}
