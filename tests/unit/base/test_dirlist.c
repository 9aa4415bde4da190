#include "base/dirlist.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAMES 400

static struct scratch scratch;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

/* Few different bytes, and those around '/' and '.', so that names share prefixes and differ where
 * the suffix of one meets the bytes of the other. */
static size_t random_name(uint64_t *random, char name[32])
{
    static const char bytes[] = "ab-./\x01\xff";
    const size_t len = 1 + random_below(random, 8);
    for (size_t i = 0; i < len; i++) {
        char c = bytes[random_below(random, sizeof bytes - 1)];
        name[i] = c == '/' ? '0' : c;
    }
    name[len] = '\0';
    return len;
}

/* By a descriptor of its own, which stands at the beginning. */
static int read_directory(struct dirlist **ret_list, const struct dirlist_options *options,
                          struct err *err)
{
    SCOPED_FD int fd = openat(scratch.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return dirlist_read(ret_list, fd, options, err);
}

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void test_compare_orders_like_the_whole_keys(void **state)
{
    (void)state;
    static const char *const suffixes[] = { "", "/", LINK_SUFFIX };
    uint64_t random = 1;
    for (int i = 0; i < 200000; i++) {
        char names[2][32];
        char keys[2][64];
        size_t lens[2];
        const char *ends[2];
        for (int side = 0; side < 2; side++) {
            lens[side] = random_name(&random, names[side]);
            ends[side] = suffixes[random_below(&random, 3)];
            snprintf(keys[side], sizeof keys[side], "%s%s", names[side], ends[side]);
        }
        const int got = dirlist_compare(names[0], lens[0], ends[0], names[1], lens[1], ends[1]);
        assert_int_equal(sign(got), sign(strcmp(keys[0], keys[1])));
    }
}

/* ---- a real directory, against a sort of the whole keys ---- */

struct expected {
    char key[64];
    enum entry_kind kind;
};
static struct expected expected[NAMES];
static size_t expected_count;

static int compare_expected(const void *left, const void *right)
{
    return strcmp(((const struct expected *)left)->key, ((const struct expected *)right)->key);
}

static void fill_directory(uint64_t seed)
{
    expected_count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        char name[32];
        random_name(&seed, name);
        struct stat st;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(scratch.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        struct expected *one = &expected[expected_count++];
        one->kind =
            (enum entry_kind[]){ ENTRY_FILE, ENTRY_DIR, ENTRY_LINK }[random_below(&seed, 3)];
        snprintf(one->key, sizeof one->key, "%s%s", name,
                 one->kind == ENTRY_DIR    ? "/"
                 : one->kind == ENTRY_LINK ? LINK_SUFFIX
                                           : "");
        if (one->kind == ENTRY_DIR)
            scratch_dir(&scratch, name);
        else if (one->kind == ENTRY_LINK)
            scratch_link(&scratch, name, "nowhere");
        else
            scratch_text(&scratch, name, name);
    }
    qsort(expected, expected_count, sizeof *expected, compare_expected);
}

static void expect_directory(const struct dirlist_options *options, bool spilled)
{
    struct dirlist *list = NULL;
    struct err err = { 0 };
    assert_int_equal(read_directory(&list, options, &err), 0);
    assert_int_equal(dirlist_spilled(list), spilled);
    assert_int_equal(dirlist_count(list), expected_count);
    assert_true(dirlist_memory(list) > 0);
    struct dirlist_entry entry;
    for (size_t i = 0; i < expected_count; i++) {
        assert_int_equal(dirlist_next(list, &entry, &err), 1);
        assert_memory_equal(entry.name, expected[i].key, entry.name_len);
        assert_int_equal(strlen(entry.name), entry.name_len);
        assert_int_equal(entry.kind, expected[i].kind);
        if (entry.kind == ENTRY_FILE)
            assert_int_equal(entry.size_bytes, entry.name_len);
        struct stat st;
        assert_int_equal(fstatat(scratch.fd, entry.name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(entry.ino, st.st_ino);
        assert_int_equal(entry.mode, st.st_mode);
        assert_int_equal(entry.nlink, st.st_nlink);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(dirlist_next(list, &entry, &err), 0);
    dirlist_free(list);
}

static void test_directory_is_sorted_by_key_in_memory_and_outside(void **state)
{
    (void)state;
    fill_directory(7);
    /* Each entry a run of its own; a few runs; all in memory. */
    expect_directory(&(struct dirlist_options){ .suffix_links = true, .memory_bytes = 1 }, true);
    expect_directory(&(struct dirlist_options){ .suffix_links = true }, false);
}

static void test_links_sort_as_named_without_their_suffix(void **state)
{
    (void)state;
    fill_directory(9);
    for (size_t i = 0; i < expected_count; i++)
        if (expected[i].kind == ENTRY_LINK)
            expected[i].key[strlen(expected[i].key) - strlen(LINK_SUFFIX)] = '\0';
    qsort(expected, expected_count, sizeof *expected, compare_expected);
    expect_directory(NULL, false);
    expect_directory(&(struct dirlist_options){ .memory_bytes = 1 }, true);
}

static void test_many_runs_of_many_names_are_merged(void **state)
{
    (void)state;
    /* About ten entries a run: the names are long, and share most of it. */
    const struct dirlist_options options = { .memory_bytes = (size_t)100 * 1024 };
    struct dirlist *list = dirlist_new(&options);
    struct err err = { 0 };
    uint64_t random = 3;
    char *name = mem_alloc(20001);
    for (int i = 0; i < 500; i++) {
        memset(name, 'x', 20000);
        const int len = 10000 + (int)random_below(&random, 9000);
        snprintf(name + len, 20, "%05d", i * 7919 % 500);
        assert_int_equal(dirlist_add_unreadable(list, name, EACCES, &err), 0);
    }
    assert_int_equal(dirlist_finish(list, &err), 0);
    assert_true(dirlist_spilled(list));
    struct dirlist_entry entry;
    char *last = mem_string("");
    for (int i = 0; i < 500; i++) {
        assert_int_equal(dirlist_next(list, &entry, &err), 1);
        assert_true(strcmp(last, entry.name) < 0);
        assert_int_equal(entry.kind, ENTRY_UNREADABLE);
        assert_int_equal(entry.sys, EACCES);
        mem_release(last);
        last = mem_string(entry.name);
    }
    assert_int_equal(dirlist_next(list, &entry, &err), 0);
    mem_release(last);
    mem_release(name);
    dirlist_free(list);
}

static void expect_longest_name(size_t memory_bytes)
{
    const struct dirlist_options options = { .memory_bytes = memory_bytes };
    struct dirlist *list = dirlist_new(&options);
    struct err err = { 0 };
    char *name = mem_alloc(DIRLIST_NAME_MAX + 2);
    for (unsigned i = 0; i < 3; i++) {
        memset(name, 'c' - (int)i, DIRLIST_NAME_MAX);
        assert_int_equal(dirlist_add_unreadable(list, name, EIO, &err), 0);
    }
    name[DIRLIST_NAME_MAX] = 'x';
    assert_int_equal(dirlist_add_unreadable(list, name, EIO, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    err_clear(&err);
    assert_int_equal(dirlist_finish(list, &err), 0);
    struct dirlist_entry entry;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(dirlist_next(list, &entry, &err), 1);
        assert_int_equal(entry.name_len, DIRLIST_NAME_MAX);
        assert_int_equal(entry.name[0], 'a' + (int)i);
        assert_int_equal(entry.name[DIRLIST_NAME_MAX - 1], 'a' + (int)i);
    }
    assert_int_equal(dirlist_next(list, &entry, &err), 0);
    dirlist_free(list);
    mem_release(name);
}

static void test_longest_names_pass_and_longer_ones_are_refused(void **state)
{
    (void)state;
    expect_longest_name(0);
    expect_longest_name(1);
}

static void test_lookahead_gives_the_directories_in_order(void **state)
{
    (void)state;
    fill_directory(11);
    struct dirlist *list = NULL;
    struct err err = { 0 };
    const struct dirlist_options options = { .suffix_links = true };
    assert_int_equal(read_directory(&list, &options, &err), 0);
    size_t cursor = 0;
    for (size_t i = 0; i < expected_count; i++) {
        struct dirlist_entry entry;
        if (i % 3 == 0) /* in between, the list itself is read */
            assert_int_equal(dirlist_next(list, &entry, &err), 1);
        if (expected[i].kind != ENTRY_DIR)
            continue;
        const char *dir = dirlist_next_dir(list, &cursor);
        assert_non_null(dir);
        assert_memory_equal(dir, expected[i].key, strlen(dir));
        assert_int_equal(strlen(dir) + 1, strlen(expected[i].key));
    }
    assert_null(dirlist_next_dir(list, &cursor));
    dirlist_free(list);

    const struct dirlist_options tiny = { .memory_bytes = 1 };
    assert_int_equal(read_directory(&list, &tiny, &err), 0);
    cursor = 0;
    assert_null(dirlist_next_dir(list, &cursor));
    dirlist_free(list);
}

static void test_what_is_not_there_is_not_added(void **state)
{
    (void)state;
    struct dirlist *list = dirlist_new(NULL);
    struct err err = { 0 };
    scratch_text(&scratch, "d/file", "text");
    assert_int_equal(dirlist_add(list, scratch.fd, "d/none", "d/none", &err), 1);
    assert_int_equal(dirlist_add(list, scratch.fd, "d/file", "as/named", &err), 0);
    assert_int_equal(dirlist_finish(list, &err), 0);
    struct dirlist_entry entry;
    assert_int_equal(dirlist_next(list, &entry, &err), 1);
    assert_string_equal(entry.name, "as/named");
    assert_int_equal(entry.size_bytes, 4);
    assert_int_equal(dirlist_next(list, &entry, &err), 0);
    dirlist_free(list);
}

static enum entry_kind kind_of(struct dirlist *list, const char *name)
{
    struct err err = { 0 };
    struct dirlist_entry entry;
    assert_int_equal(dirlist_next(list, &entry, &err), 1);
    assert_string_equal(entry.name, name);
    return entry.kind;
}

static void test_followed_links_are_what_they_lead_to(void **state)
{
    (void)state;
    scratch_dir(&scratch, "dir");
    scratch_text(&scratch, "file", "12345");
    scratch_link(&scratch, "l1", "dir");
    scratch_link(&scratch, "l2", "file");
    scratch_link(&scratch, "l3", "nowhere");
    scratch_link(&scratch, "l4", "l4");
    struct dirlist *list = NULL;
    struct err err = { 0 };
    const struct dirlist_options options = { .follow_links = true };
    assert_int_equal(read_directory(&list, &options, &err), 0);
    assert_int_equal(kind_of(list, "dir"), ENTRY_DIR);
    assert_int_equal(kind_of(list, "file"), ENTRY_FILE);
    assert_int_equal(kind_of(list, "l1"), ENTRY_DIR);
    assert_int_equal(kind_of(list, "l2"), ENTRY_FILE);
    assert_int_equal(kind_of(list, "l3"), ENTRY_LINK);
    assert_int_equal(kind_of(list, "l4"), ENTRY_LINK);
    dirlist_free(list);
}

static void test_sorting_outside_memory_needs_a_place(void **state)
{
    (void)state;
    scratch_text(&scratch, "file", "");
    struct dirlist *list = NULL;
    struct err err = { 0 };
    const struct dirlist_options options = { .memory_bytes = 1, .temp_dir = "/no/such/directory" };
    assert_int_equal(read_directory(&list, &options, &err), -1);
    assert_non_null(strstr(err.text, "/no/such/directory"));
    assert_null(list);
}

static void test_empty_directory_has_no_entries(void **state)
{
    (void)state;
    expected_count = 0;
    expect_directory(NULL, false);
    expect_directory(&(struct dirlist_options){ .memory_bytes = 1 }, false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_orders_like_the_whole_keys),
        CASE(test_directory_is_sorted_by_key_in_memory_and_outside),
        CASE(test_links_sort_as_named_without_their_suffix),
        CASE(test_many_runs_of_many_names_are_merged),
        CASE(test_longest_names_pass_and_longer_ones_are_refused),
        CASE(test_lookahead_gives_the_directories_in_order),
        CASE(test_what_is_not_there_is_not_added),
        CASE(test_followed_links_are_what_they_lead_to),
        CASE(test_sorting_outside_memory_needs_a_place),
        CASE(test_empty_directory_has_no_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
