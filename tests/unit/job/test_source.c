#include "job/source.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/scope.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct scratch scratch;
static struct source_set set;
static struct source_dirs dirs;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    return 0;
}

static int end(void **state)
{
    (void)state;
    source_dirs_done(&dirs);
    source_set_done(&set);
    scratch_close(&scratch);
    return 0;
}

static enum err_kind open_set(const struct source_options *options, size_t count,
                              const char *const *names)
{
    char paths[4][128];
    char *list[4];
    struct err err = { 0 };
    for (size_t i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", scratch.path, names[i]);
        list[i] = paths[i];
    }
    if (source_set_open(&set, list, count, options, &err) < 0)
        return err.kind;
    return ERR_NONE;
}
#define OPEN(options, ...)                                                                         \
    open_set(options, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *),               \
             (const char *const[]){ __VA_ARGS__ })

static const struct source_options plain;

/* ---- names ---- */

static void expect_found(const char *name, size_t root, const char *inner)
{
    const char *got = NULL;
    assert_ptr_equal(source_set_find(&set, name, &got), &set.roots[root]);
    assert_string_equal(got, inner);
}

static void test_single_directory_is_the_tree_itself(void **state)
{
    (void)state;
    scratch_text(&scratch, "dir/a", "");
    assert_int_equal(OPEN(&plain, "dir"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "");
    expect_found("a", 0, "a");
    expect_found("a/b", 0, "a/b");
    expect_found("", 0, "");
}

static void test_single_directory_can_keep_its_name(void **state)
{
    (void)state;
    const char *inner = NULL;
    scratch_text(&scratch, "dir/a", "");
    assert_int_equal(OPEN(&(struct source_options){ .keep_name = true }, "dir/"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "dir");
    expect_found("dir/a", 0, "a");
    expect_found("dir", 0, "");
    assert_null(source_set_find(&set, "a", &inner));
    assert_null(source_set_find(&set, "dirx/a", &inner));
}

static void test_many_sources_stand_under_their_names_in_order(void **state)
{
    (void)state;
    const char *inner = NULL;
    scratch_text(&scratch, "x/b/f", "");
    scratch_text(&scratch, "y/a", "text");
    assert_int_equal(OPEN(&plain, "x/b", "y/a"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "a");
    assert_string_equal(set.roots[1].name, "b");
    expect_found("a", 0, "a");
    expect_found("b/f", 1, "f");
    assert_null(source_set_find(&set, "c", &inner));
}

static void test_single_file_has_its_name_or_the_one_given(void **state)
{
    (void)state;
    const char *inner = NULL;
    scratch_text(&scratch, "y/a", "text");
    assert_int_equal(OPEN(&plain, "y/a"), ERR_NONE);
    expect_found("a", 0, "a");
    source_set_done(&set);
    assert_int_equal(OPEN(&(struct source_options){ .one_name = "b" }, "y/a"), ERR_NONE);
    expect_found("b", 0, "a");
    assert_null(source_set_find(&set, "a", &inner));
}

static void test_two_sources_of_one_name_are_refused_with_both_paths(void **state)
{
    (void)state;
    scratch_text(&scratch, "x/same", "");
    scratch_text(&scratch, "y/same/f", "");
    char one[128];
    char two[128];
    snprintf(one, sizeof one, "%s/x/same", scratch.path);
    snprintf(two, sizeof two, "%s/y/same", scratch.path);
    struct err err = { 0 };
    assert_int_equal(source_set_open(&set, (char *[]){ one, two }, 2, &plain, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, one));
    assert_non_null(strstr(err.text, two));
}

static void test_below_a_base_sources_have_their_paths_as_names(void **state)
{
    (void)state;
    const char *inner = NULL;
    scratch_text(&scratch, "pub/edr/spectro/f", "");
    scratch_text(&scratch, "pub/raw/r", "");
    const struct source_options options = { .base = scratch_path(&scratch, "pub") };
    assert_int_equal(OPEN(&options, "pub/raw/r", "pub/edr/spectro"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "edr/spectro");
    expect_found("edr/spectro/f", 0, "f");
    expect_found("raw/r", 1, "r");
    assert_null(source_set_find(&set, "edr", &inner));
    assert_null(source_set_find(&set, "raw", &inner));
    source_set_done(&set);
    assert_int_equal(OPEN(&options, "pub"), ERR_NONE);
    expect_found("raw/r", 0, "raw/r");
    source_set_done(&set);
    assert_int_equal(OPEN(&options, "pub/edr"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "edr");
}

static void test_below_a_base_nothing_is_there_twice_or_elsewhere(void **state)
{
    (void)state;
    scratch_text(&scratch, "pub/edr/spectro/f", "");
    scratch_text(&scratch, "pub/edr-x/f", "");
    scratch_text(&scratch, "public/f", "");
    const struct source_options options = { .base = scratch_path(&scratch, "pub") };
    assert_int_equal(OPEN(&options, "pub/edr", "pub/edr-x", "pub/edr/spectro"), ERR_USAGE);
    assert_int_equal(OPEN(&options, "pub", "pub/edr"), ERR_USAGE);
    assert_int_equal(OPEN(&options, "pub/edr", "pub/edr"), ERR_USAGE);
    assert_int_equal(OPEN(&options, "public"), ERR_USAGE);
    assert_int_equal(OPEN(&options, "pub/edr", "pub/edr-x"), ERR_NONE);
}

static void test_what_is_no_source_is_refused(void **state)
{
    (void)state;
    scratch_text(&scratch, "file", "");
    scratch_link(&scratch, "dangling", "nowhere");
    assert_int_equal(OPEN(&plain, "none"), ERR_ABSENT);
    assert_int_equal(OPEN(&plain, "file/"), ERR_SOURCE);
    assert_int_equal(OPEN(&plain, "file", "none"), ERR_ABSENT);
    assert_int_equal(OPEN(&(struct source_options){ .follow = true }, "dangling"), ERR_ABSENT);
    struct err err = { 0 };
    assert_int_equal(source_set_open(&set, (char *[]){ "/" }, 1,
                                     &(struct source_options){ .keep_name = true }, &err),
                     -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

static void test_link_to_a_directory_on_the_command_line_is_the_directory(void **state)
{
    (void)state;
    scratch_text(&scratch, "dir/a", "");
    scratch_link(&scratch, "link", "dir");
    assert_int_equal(OPEN(&plain, "link"), ERR_NONE);
    assert_string_equal(set.roots[0].name, "");
    expect_found("a", 0, "a");
}

/* ---- reading one file ---- */

static struct source_file file;

static enum err_kind open_file(const char *name)
{
    struct err err = { 0 };
    return source_open(&file, &dirs, name, &err) < 0 ? err.kind : ERR_NONE;
}

static enum err_kind check_file(const char *name)
{
    struct err err = { 0 };
    return source_check(&file, &dirs, name, &err) < 0 ? err.kind : ERR_NONE;
}

static void open_tree(bool follow)
{
    scratch_text(&scratch, "tree/d/f", "0123456789");
    assert_int_equal(OPEN(&(struct source_options){ .follow = follow }, "tree"), ERR_NONE);
    source_dirs_init(&dirs, &set);
    assert_int_equal(open_file("d/f"), ERR_NONE);
    assert_int_equal(check_file("d/f"), ERR_NONE);
}

static void test_file_that_holds_still_passes(void **state)
{
    (void)state;
    open_tree(false);
    assert_int_equal(file.size_bytes, 10);
    char got[11] = "";
    assert_int_equal(read(file.fd, got, 10), 10);
    assert_string_equal(got, "0123456789");
    assert_int_equal(check_file("d/f"), ERR_NONE); /* a later access time is no change */
    source_close(&file);
    source_close(&file);
}

static void test_growth_and_shrinking_are_told_with_the_sizes(void **state)
{
    (void)state;
    open_tree(false);
    scratch_text(&scratch, "tree/d/f", "0123456789abc");
    struct err err = { 0 };
    assert_int_equal(source_check(&file, &dirs, "d/f", &err), -1);
    assert_int_equal(err.kind, ERR_CHANGED);
    assert_non_null(strstr(err.text, "10 bytes, now 13"));
    scratch_text(&scratch, "tree/d/f", "0");
    assert_int_equal(check_file("d/f"), ERR_CHANGED);
    source_close(&file);
}

static void test_rewrite_of_the_same_size_and_mtime_is_told(void **state)
{
    (void)state;
    open_tree(false);
    /* With its old mtime set again only the ctime tells. */
    scratch_text(&scratch, "tree/d/f", "9876543210");
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
                                       clock_to_timespec(file.mtime_ns) };
    assert_int_equal(utimensat(scratch.fd, "tree/d/f", times, 0), 0);
    struct stat st;
    assert_int_equal(fstatat(scratch.fd, "tree/d/f", &st, 0), 0);
    assert_true(clock_from_timespec_ns(st.st_mtim) == file.mtime_ns);
    if (clock_from_timespec_ns(st.st_ctim) != file.ctime_ns) /* coarse clocks may not have moved */
        assert_int_equal(check_file("d/f"), ERR_CHANGED);
    source_close(&file);
}

static void test_other_file_in_its_place_is_told(void **state)
{
    (void)state;
    open_tree(false);
    scratch_text(&scratch, "tree/d/other", "0123456789");
    assert_int_equal(renameat(scratch.fd, "tree/d/other", scratch.fd, "tree/d/f"), 0);
    assert_int_equal(check_file("d/f"), ERR_CHANGED);
    source_close(&file);
}

static void test_vanished_file_and_directory_are_told(void **state)
{
    (void)state;
    open_tree(false);
    assert_int_equal(unlinkat(scratch.fd, "tree/d/f", 0), 0);
    assert_int_equal(check_file("d/f"), ERR_CHANGED);
    assert_int_equal(open_file("d/none"), ERR_ABSENT);
    assert_int_equal(unlinkat(scratch.fd, "tree/d", AT_REMOVEDIR), 0);
    assert_int_equal(check_file("d/f"), ERR_CHANGED);
    source_close(&file);
    source_dirs_done(&dirs);
    source_dirs_init(&dirs, &set);
    assert_int_equal(check_file("d/f"), ERR_CHANGED);
    assert_int_equal(open_file("d/f"), ERR_ABSENT);
}

static void test_fifo_in_its_place_does_not_hang(void **state)
{
    (void)state;
    open_tree(false);
    assert_int_equal(unlinkat(scratch.fd, "tree/d/f", 0), 0);
    scratch_fifo(&scratch, "tree/d/f");
    assert_int_equal(check_file("d/f"), ERR_CHANGED);
    source_close(&file);
    assert_int_equal(open_file("d/f"), ERR_SOURCE);
    scratch_dir(&scratch, "tree/d/dir");
    assert_int_equal(open_file("d/dir"), ERR_SOURCE);
}

static void test_link_in_its_place_is_followed_only_when_asked(void **state)
{
    (void)state;
    for (int follow = 0; follow < 2; follow++) {
        open_tree(follow != 0);
        source_close(&file);
        scratch_text(&scratch, "tree/d/real", "0123456789");
        assert_int_equal(unlinkat(scratch.fd, "tree/d/f", 0), 0);
        scratch_link(&scratch, "tree/d/f", "real");
        assert_int_equal(open_file("d/f"), follow != 0 ? ERR_NONE : ERR_SOURCE);
        if (follow != 0) {
            assert_int_equal(check_file("d/f"), ERR_NONE);
            source_close(&file);
        }
        assert_int_equal(unlinkat(scratch.fd, "tree/d/f", 0), 0);
        source_dirs_done(&dirs);
        source_set_done(&set);
    }
}

static void test_young_files_are_racy(void **state)
{
    (void)state;
    open_tree(false);
    source_close(&file);
    scratch_mtime(&scratch, "tree/d/f", clock_now_ns() - 10 * NS_PER_S);
    assert_int_equal(open_file("d/f"), ERR_NONE);
    assert_false(source_racy(&file));
    source_close(&file);
    scratch_mtime(&scratch, "tree/d/f", clock_now_ns() - NS_PER_S);
    assert_int_equal(open_file("d/f"), ERR_NONE);
    assert_true(source_racy(&file));
    source_close(&file);
    scratch_mtime(&scratch, "tree/d/f", clock_now_ns() + 1000 * NS_PER_S); /* from the future */
    assert_int_equal(open_file("d/f"), ERR_NONE);
    assert_true(source_racy(&file));
    source_close(&file);
}

static void test_targets_of_links_are_bytes(void **state)
{
    (void)state;
    SCOPED(buf) struct buf target = { 0 };
    struct err err = { 0 };
    open_tree(false);
    source_close(&file);
    scratch_link(&scratch, "tree/d/link", "../\xff nowhere\n");
    assert_int_equal(source_read_link(&dirs, "d/link", &target, &err), 0);
    assert_string_equal(target.data, "../\xff nowhere\n");
    char longest[4096];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    scratch_link(&scratch, "tree/d/long", longest);
    assert_int_equal(source_read_link(&dirs, "d/long", &target, &err), 0);
    assert_int_equal(target.len, sizeof longest - 1);
    assert_int_equal(source_read_link(&dirs, "d/f", &target, &err), -1);
}

/* ---- the fallback root ---- */

static void open_two_roots(void)
{
    scratch_text(&scratch, "one/d/f", "first");
    scratch_text(&scratch, "two/d/f", "second");
    scratch_text(&scratch, "two/d/g", "only here");
    const struct source_options options = { .fallback = scratch_path(&scratch, "two") };
    assert_int_equal(OPEN(&options, "one"), ERR_NONE);
    source_dirs_init(&dirs, &set);
}

static void test_what_is_missing_is_read_below_the_fallback_root(void **state)
{
    (void)state;
    open_two_roots();
    assert_int_equal(open_file("d/f"), ERR_NONE);
    assert_int_equal(file.size_bytes, 5);
    assert_false(file.other);
    assert_int_equal(check_file("d/f"), ERR_NONE);
    source_close(&file);
    assert_int_equal(atomic_load(set.fallback_count), 0);
    assert_int_equal(open_file("d/g"), ERR_NONE);
    assert_true(file.other);
    assert_int_equal(check_file("d/g"), ERR_NONE);
    assert_int_equal(atomic_load(set.fallback_count), 1);
    /* Held still where it was read. */
    scratch_text(&scratch, "two/d/g", "grown since then");
    assert_int_equal(check_file("d/g"), ERR_CHANGED);
    source_close(&file);
}

static void test_both_causes_are_told(void **state)
{
    (void)state;
    open_two_roots();
    struct err err = { 0 };
    assert_int_equal(source_open(&file, &dirs, "d/none", &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    assert_non_null(strstr(err.text, "; below '"));
    /* What can be read, but is not a file, is not looked for elsewhere. */
    scratch_dir(&scratch, "one/d/g");
    assert_int_equal(open_file("d/g"), ERR_SOURCE);
}

static void test_links_are_read_below_the_fallback_root(void **state)
{
    (void)state;
    SCOPED(buf) struct buf target = { 0 };
    struct err err = { 0 };
    open_two_roots();
    scratch_link(&scratch, "two/d/link", "there");
    assert_int_equal(source_read_link(&dirs, "d/link", &target, &err), 0);
    assert_string_equal(target.data, "there");
    assert_int_equal(atomic_load(set.fallback_count), 1);
}

static void test_a_whole_source_can_be_below_the_fallback_root(void **state)
{
    (void)state;
    scratch_text(&scratch, "one/raw/r", "");
    scratch_text(&scratch, "two/edr/x/f", "f");
    struct source_options options = { .base = scratch_path(&scratch, "one"),
                                      .fallback = scratch_path(&scratch, "two") };
    assert_int_equal(OPEN(&options, "one/raw", "one/edr/x"), ERR_NONE);
    expect_found("edr/x/f", 0, "f");
    assert_true(set.roots[0].other);
    assert_false(set.roots[1].other);
    source_set_done(&set);
    assert_int_equal(OPEN(&options, "one/raw", "one/none"), ERR_ABSENT);
    options.base = NULL;
    assert_int_equal(OPEN(&options, "one/raw", "one/edr"), ERR_NONE);
    expect_found("edr/x/f", 0, "x/f");
    source_set_done(&set);
    /* What a lone source that is not there would be cannot be told. */
    assert_int_equal(OPEN(&options, "one/edr"), ERR_ABSENT);
    options.fallback = scratch_path(&scratch, "none");
    assert_int_equal(OPEN(&options, "one/raw"), ERR_ABSENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_single_directory_is_the_tree_itself),
        CASE(test_single_directory_can_keep_its_name),
        CASE(test_many_sources_stand_under_their_names_in_order),
        CASE(test_single_file_has_its_name_or_the_one_given),
        CASE(test_two_sources_of_one_name_are_refused_with_both_paths),
        CASE(test_below_a_base_sources_have_their_paths_as_names),
        CASE(test_below_a_base_nothing_is_there_twice_or_elsewhere),
        CASE(test_what_is_no_source_is_refused),
        CASE(test_link_to_a_directory_on_the_command_line_is_the_directory),
        CASE(test_file_that_holds_still_passes),
        CASE(test_growth_and_shrinking_are_told_with_the_sizes),
        CASE(test_rewrite_of_the_same_size_and_mtime_is_told),
        CASE(test_other_file_in_its_place_is_told),
        CASE(test_vanished_file_and_directory_are_told),
        CASE(test_fifo_in_its_place_does_not_hang),
        CASE(test_link_in_its_place_is_followed_only_when_asked),
        CASE(test_young_files_are_racy),
        CASE(test_targets_of_links_are_bytes),
        CASE(test_what_is_missing_is_read_below_the_fallback_root),
        CASE(test_both_causes_are_told),
        CASE(test_links_are_read_below_the_fallback_root),
        CASE(test_a_whole_source_can_be_below_the_fallback_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
