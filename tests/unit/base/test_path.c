#include "base/path.h"

#include "base/mem.h"
#include "base/path_internal.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef int (*open_fn)(int root_fd, const char *rel, int flags, mode_t mode, bool follow);

static int pieces(int root_fd, const char *rel, int flags, mode_t mode, bool follow)
{
    (void)follow;
    return path_open_pieces(root_fd, rel, flags, mode, false);
}

static char dir[64];
static int root = -1;

static int make_tree(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/lade-path-XXXXXX");
    assert_non_null(mkdtemp(dir));
    root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root >= 0);
    struct err err = { 0 };
    assert_int_equal(path_make_dirs(root, "a/b/c", &err), 0);
    const int fd = openat(root, "a/b/file", O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlinkat("a/b", root, "inside"), 0);
    assert_int_equal(symlinkat("../b/file", root, "a/b/around"), 0);
    assert_int_equal(symlinkat("../../../etc", root, "a/b/outside"), 0);
    assert_int_equal(symlinkat("/etc", root, "absolute"), 0);
    assert_int_equal(symlinkat("loop", root, "loop"), 0);
    return 0;
}

static int remove_tree(void **state)
{
    (void)state;
    close(root);
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static int walk(int root_fd, const char *rel, int flags, mode_t mode, bool follow)
{
    (void)follow;
    return path_open_walk(root_fd, rel, flags, mode);
}

static int open_errno(open_fn open_by, const char *rel, int flags, bool follow)
{
    errno = 0;
    const int fd = open_by(root, rel, flags, 0644, follow);
    const int sys = errno;
    if (fd < 0)
        return sys;
    close(fd);
    return 0;
}

static void check_open(open_fn open_by)
{
    assert_int_equal(open_errno(open_by, "a/b/file", O_RDONLY, false), 0);
    assert_int_equal(open_errno(open_by, "a/b/c", O_PATH | O_DIRECTORY, false), 0);
    assert_int_equal(open_errno(open_by, "a/b/c/", O_RDONLY, false), 0);
    assert_int_equal(open_errno(open_by, "", O_RDONLY | O_DIRECTORY, false), 0);
    assert_int_equal(open_errno(open_by, ".", O_RDONLY | O_DIRECTORY, false), 0);
    assert_int_equal(open_errno(open_by, "a/none", O_RDONLY, false), ENOENT);
    assert_int_equal(open_errno(open_by, "a/none/b", O_RDONLY, false), ENOENT);
    assert_int_equal(open_errno(open_by, "a/b/file/x", O_RDONLY, false), ENOTDIR);
    assert_int_equal(open_errno(open_by, "a/b/file/", O_RDONLY, false), ENOTDIR);
    assert_int_equal(open_errno(open_by, "inside/file", O_RDONLY, false), ELOOP);
    assert_int_equal(open_errno(open_by, "inside", O_RDONLY, false), ELOOP);
    assert_int_equal(open_errno(open_by, "inside", O_PATH, false), ELOOP);
    assert_int_equal(open_errno(open_by, "inside", O_PATH | O_DIRECTORY, false), ELOOP);
    assert_int_equal(open_errno(open_by, "/etc", O_RDONLY, false), EXDEV);
    assert_int_equal(open_errno(open_by, "..", O_RDONLY, false), EXDEV);
    assert_int_equal(open_errno(open_by, "a/../a/b/file", O_RDONLY, false), EXDEV);
    assert_int_equal(open_errno(open_by, "a/b/new", O_RDWR | O_CREAT | O_EXCL, false), 0);
    assert_int_equal(open_errno(open_by, "a/b/new", O_RDWR | O_CREAT | O_EXCL, false), EEXIST);
    assert_int_equal(unlinkat(root, "a/b/new", 0), 0);
}

static void check_follow(open_fn open_by)
{
    assert_int_equal(open_errno(open_by, "inside/file", O_RDONLY, true), 0);
    assert_int_equal(open_errno(open_by, "inside/around", O_RDONLY, true), 0);
    assert_int_equal(open_errno(open_by, "inside", O_PATH | O_DIRECTORY, true), 0);
    /* Who follows links wants what they lead to, wherever that is. */
    assert_int_equal(open_errno(open_by, "absolute/passwd", O_RDONLY, true), 0);
    assert_int_equal(open_errno(open_by, "loop", O_RDONLY, true), ELOOP);
    assert_int_equal(open_errno(open_by, "loop/x", O_RDONLY, true), ELOOP);
}

static void test_open_stays_beneath_the_root(void **state)
{
    (void)state;
    check_open(path_open);
    check_follow(path_open);
}

static void test_walk_without_openat2_agrees(void **state)
{
    (void)state;
    check_open(walk);
}

static void test_open_in_pieces_agrees(void **state)
{
    (void)state;
    check_open(pieces);
}

static char *deep_path(size_t levels)
{
    struct buf deep = { 0 };
    for (size_t i = 0; i < levels; i++)
        buf_printf(&deep, "%sdirectory-%05zu", i == 0 ? "" : "/", i);
    return buf_take(&deep);
}

static void test_paths_longer_than_path_max_are_opened(void **state)
{
    (void)state;
    char *deep = deep_path(700);
    assert_true(strlen(deep) > 2 * PATH_MAX);
    struct err err = { 0 };
    assert_int_equal(path_make_dirs(root, deep, &err), 0);
    assert_int_equal(open_errno(path_open, deep, O_RDONLY | O_DIRECTORY, false), 0);
    assert_int_equal(open_errno(path_open, deep, O_RDONLY | O_DIRECTORY, true), 0);
    assert_int_equal(open_errno(walk, deep, O_RDONLY | O_DIRECTORY, false), 0);
    mem_release(deep);
}

static void test_a_long_component_is_refused(void **state)
{
    (void)state;
    char name[2 * PATH_MAX];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(open_errno(path_open, name, O_RDONLY, false), ENAMETOOLONG);
    name[300] = '\0';
    assert_int_equal(open_errno(walk, name, O_RDONLY, false), ENAMETOOLONG);
}

static void test_make_dirs_goes_through_no_link(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(path_make_dirs(root, "inside/new", &err), -1);
    assert_int_equal(err.sys, ELOOP);
    err_clear(&err);
    assert_int_equal(path_make_dirs(root, "a/../../new", &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    err_clear(&err);
    /* What is said is why it could not be made, not that it is not there. */
    struct stat st;
    if (stat("/sys/kernel", &st) == 0) {
        assert_int_equal(path_make_all("/sys/kernel/new", &err), -1);
        assert_true(err.sys == EPERM || err.sys == EACCES || err.sys == EROFS);
        err_clear(&err);
    }
    assert_int_equal(path_make_dirs(root, "", &err), 0);
    assert_int_equal(path_make_dirs(root, "x/y/z/", &err), 0);
    assert_int_equal(path_make_dirs(root, "x/y/z", &err), 0);
    assert_int_equal(open_errno(path_open, "x/y/z", O_RDONLY | O_DIRECTORY, false), 0);
}

static void test_cache_opens_a_directory_once(void **state)
{
    (void)state;
    struct dir_cache cache;
    dir_cache_init(&cache, root, false);
    int fd = -1;
    int again = -1;
    const char *name = NULL;
    struct err err = { 0 };
    assert_int_equal(dir_cache_at(&cache, "top", false, &fd, &name, &err), 0);
    assert_int_equal(fd, root);
    assert_string_equal(name, "top");
    assert_int_equal(dir_cache_at(&cache, "a/b/file", false, &fd, &name, &err), 0);
    assert_string_equal(name, "file");
    assert_int_equal(faccessat(fd, name, F_OK, 0), 0);
    assert_int_equal(dir_cache_at(&cache, "a/b/other", false, &again, &name, &err), 0);
    assert_int_equal(fd, again);
    assert_int_equal(dir_cache_at(&cache, "m/n/file", false, &fd, &name, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    assert_int_equal(dir_cache_at(&cache, "m/n/file", true, &fd, &name, &err), 0);
    assert_int_equal(cache.made_count, 2);
    dir_cache_done(&cache);
    dir_cache_done(&cache);
}

static void test_cache_refuses_names_that_leave(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "/", "/x", "a/", "a/..", "../x", "a/../x", "." };
    struct dir_cache cache;
    dir_cache_init(&cache, root, false);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = -1;
        const char *name = NULL;
        struct err err = { 0 };
        assert_int_equal(dir_cache_at(&cache, bad[i], true, &fd, &name, &err), -1);
    }
    dir_cache_done(&cache);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(path_component_ok("a", 1));
    assert_true(path_component_ok("..a", 3));
    assert_true(path_component_ok("...", 3));
    assert_false(path_component_ok("", 0));
    assert_false(path_component_ok(".", 1));
    assert_false(path_component_ok("..", 2));
    assert_false(path_component_ok("a/b", 3));
    assert_true(path_rel_ok("a/b"));
    assert_true(path_rel_ok("a/b/"));
    static const char *const bad[] = { "", "/", "/a", "a//b", "a/./b", "a/..", "../a", "a//" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(path_rel_ok(bad[i]));
}

static void expect_text(char *got, const char *want)
{
    assert_string_equal(got, want);
    mem_release(got);
}

static void test_absolute_normalises_the_text(void **state)
{
    (void)state;
    expect_text(path_absolute("/"), "/");
    expect_text(path_absolute("/a//b/./c/../d/"), "/a/b/d");
    expect_text(path_absolute("/../../x"), "/x");
    expect_text(path_absolute("///"), "/");
    char *here = getcwd(NULL, 0);
    expect_text(path_absolute(""), here);
    expect_text(path_absolute("x/.."), here);
    free(here);
}

static void test_base_is_the_last_component(void **state)
{
    (void)state;
    expect_text(path_base("a/b"), "b");
    expect_text(path_base("a/b//"), "b");
    expect_text(path_base("b"), "b");
    expect_text(path_base("/"), "");
    expect_text(path_base(""), "");
}

static void test_show_escapes_what_a_terminal_obeys(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "plain \xc3\xa4 \xf0\x9f\x98\x80", "plain \xc3\xa4 \xf0\x9f\x98\x80" },
        { "a\nb\x1b[0m\x7f\\", "a\\x0ab\\x1b[0m\\x7f\\x5c" },
        { "\xff\xc3", "\\xff\\xc3" },
        { "\xc2\x9b", "\\xc2\\x9b" },          /* a C1 control character */
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* a surrogate */
        { "\xc0\xaf", "\\xc0\\xaf" },          /* overlong */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = { 0 };
        path_show(&out, cases[i][0]);
        assert_string_equal(buf_text(&out), cases[i][1]);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_stays_beneath_the_root),
        cmocka_unit_test(test_walk_without_openat2_agrees),
        cmocka_unit_test(test_open_in_pieces_agrees),
        cmocka_unit_test(test_paths_longer_than_path_max_are_opened),
        cmocka_unit_test(test_a_long_component_is_refused),
        cmocka_unit_test(test_make_dirs_goes_through_no_link),
        cmocka_unit_test(test_cache_opens_a_directory_once),
        cmocka_unit_test(test_cache_refuses_names_that_leave),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_absolute_normalises_the_text),
        cmocka_unit_test(test_base_is_the_last_component),
        cmocka_unit_test(test_show_escapes_what_a_terminal_obeys),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
