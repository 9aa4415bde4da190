#include "job/objects.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct scratch scratch;
static struct object_set set;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    scratch_text(&scratch, "x/b/f", "");
    scratch_text(&scratch, "x/b/link.rclonelink", "target");
    scratch_text(&scratch, "y/a", "text");
    scratch_text(&scratch, "y/b", "text");
    return 0;
}

static int end(void **state)
{
    (void)state;
    object_set_done(&set);
    object_set_done(&set);
    scratch_close(&scratch);
    return 0;
}

static enum err_kind open_set(const struct object_set_options *options, size_t count,
                              const char *const *names)
{
    char locations[4][128];
    char *list[4];
    struct err err = { 0 };
    object_set_done(&set);
    for (size_t i = 0; i < count; i++) {
        snprintf(locations[i], sizeof locations[i], "file:%s/%s", scratch.path, names[i]);
        list[i] = locations[i];
    }
    return object_set_open(&set, list, count, options, &err) < 0 ? err.kind : ERR_NONE;
}
#define OPEN(options, ...)                                                                         \
    open_set(options, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *),               \
             (const char *const[]){ __VA_ARGS__ })

static const struct object_set_options plain;

static void expect_found(const char *name, size_t root, const char *key)
{
    const char *got = NULL;
    assert_ptr_equal(object_set_find(&set, name, &got), &set.roots[root]);
    assert_string_equal(got, key);
}

static void test_single_prefix_is_the_tree_itself(void **state)
{
    (void)state;
    assert_int_equal(OPEN(&plain, "x"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "");
    assert_null(set.roots[0].key);
    expect_found("b/f", 0, "b/f");
    assert_int_equal(OPEN(&plain, "x/"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "");
}

static void test_single_prefix_can_keep_its_name(void **state)
{
    (void)state;
    const char *key = NULL;
    assert_int_equal(OPEN(&(struct object_set_options){ .keep_name = true }, "x/"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "x");
    expect_found("x/b/f", 0, "b/f");
    assert_null(object_set_find(&set, "xx/b", &key));
}

static void test_single_object_has_its_name_or_the_one_given(void **state)
{
    (void)state;
    const char *key = NULL;
    assert_int_equal(OPEN(&plain, "y/a"), ERR_NONE);
    assert_string_equal(set.roots[0].key, "a");
    expect_found("a", 0, "a");
    assert_int_equal(OPEN(&(struct object_set_options){ .one_name = "new" }, "y/a"), ERR_NONE);
    expect_found("new", 0, "a");
    assert_null(object_set_find(&set, "a", &key));
    /* Only one object can have one name. */
    assert_int_equal(OPEN(&(struct object_set_options){ .one_name = "new" }, "y"), ERR_USAGE);
}

static void test_many_stand_under_their_names_in_order(void **state)
{
    (void)state;
    const char *key = NULL;
    assert_int_equal(OPEN(&plain, "x/b", "y/a"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "a");
    assert_string_equal(set.roots[1].name, "b");
    expect_found("a", 0, "a");
    expect_found("b/f", 1, "f");
    assert_null(object_set_find(&set, "c", &key));
}

static void test_two_of_one_name_are_refused(void **state)
{
    (void)state;
    assert_int_equal(OPEN(&plain, "x/b", "y/b"), ERR_USAGE);
}

static void test_what_is_not_there_is_absent(void **state)
{
    (void)state;
    assert_int_equal(OPEN(&plain, "none"), ERR_ABSENT);
    assert_int_equal(OPEN(&plain, "y/a/none"), ERR_CONFIG);
    assert_int_equal(OPEN(&plain, "x", "none"), ERR_ABSENT);
}

static void test_unknown_kinds_of_location_are_refused(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(object_set_open(&set, (char *[]){ "gopher:/x" }, 1, &plain, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

static void test_parent_of_a_location_and_its_last_name(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct err err = { 0 };
    char *name = NULL;
    assert_int_equal(store_open_parent(&store, scratch_path(&scratch, "y/a"), NULL, &name, &err),
                     0);
    assert_string_equal(name, "a");
    struct object object = { 0 };
    assert_int_equal(store->driver->head(store, "a", &object, &err), 0);
    assert_int_equal(object.size_bytes, 4);
    object_done(&object);
    store->driver->close(store);
    mem_release(name);
    assert_int_equal(store_open_parent(&store, "file:/", NULL, &name, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    err_clear(&err);
    assert_int_equal(store_open_parent(&store, "/tmp", NULL, &name, &err), 0);
    assert_string_equal(name, "tmp");
    store->driver->close(store);
    mem_release(name);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_single_prefix_is_the_tree_itself),
        CASE(test_single_prefix_can_keep_its_name),
        CASE(test_single_object_has_its_name_or_the_one_given),
        CASE(test_many_stand_under_their_names_in_order),
        CASE(test_two_of_one_name_are_refused),
        CASE(test_what_is_not_there_is_absent),
        CASE(test_unknown_kinds_of_location_are_refused),
        CASE(test_parent_of_a_location_and_its_last_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
