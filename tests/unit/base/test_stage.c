#include "base/stage.h"

#include "base/clock.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64];
    int root_fd;
    struct stage stage;
};
static struct place place;

static int start(void **state)
{
    snprintf(place.dir, sizeof place.dir, "/tmp/lade-stage-XXXXXX");
    assert_non_null(mkdtemp(place.dir));
    place.root_fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place.root_fd >= 0);
    stage_init(&place.stage, place.root_fd);
    *state = &place.stage;
    return 0;
}

static int end(void **state)
{
    (void)state;
    stage_done(&place.stage);
    stage_done(&place.stage);
    close(place.root_fd);
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/rm", "rm", "-rf", place.dir, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static void write_temp(struct stage *stage, const char *rel, const char *tag, const char *text)
{
    struct err err = { 0 };
    int fd = -1;
    assert_int_equal(stage_open(stage, rel, tag, false, &fd, &err), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static bool is_there(const char *rel)
{
    return faccessat(place.root_fd, rel, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void expect_content(const char *rel, const char *text)
{
    char got[64] = "";
    SCOPED_FD const int fd = openat(place.root_fd, rel, O_RDONLY | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_true(read(fd, got, sizeof got - 1) >= 0);
    assert_string_equal(got, text);
}

static enum err_kind commit_one(struct stage *stage, const char *rel, const char *tag, bool keep)
{
    struct stage_item item = { .rel = rel, .tag = tag, .keep_existing = keep };
    stage_commit(stage, &item, 1);
    return item.err.kind;
}

static void test_file_appears_with_commit_only(void **state)
{
    struct stage *stage = *state;
    write_temp(stage, "a/b/file", "t1", "hello");
    assert_false(is_there("a/b/file"));
    assert_true(is_there("a/b/.lade-t1.tmp"));
    assert_int_equal(commit_one(stage, "a/b/file", "t1", false), ERR_NONE);
    expect_content("a/b/file", "hello");
    assert_false(is_there("a/b/.lade-t1.tmp"));
}

static void test_commit_replaces_unless_told_to_keep(void **state)
{
    struct stage *stage = *state;
    write_temp(stage, "file", "t1", "one");
    assert_int_equal(commit_one(stage, "file", "t1", true), ERR_NONE);
    write_temp(stage, "file", "t2", "two");
    assert_int_equal(commit_one(stage, "file", "t2", true), ERR_CONFLICT);
    expect_content("file", "one");
    assert_false(is_there(".lade-t2.tmp"));
    write_temp(stage, "file", "t3", "three");
    assert_int_equal(commit_one(stage, "file", "t3", false), ERR_NONE);
    expect_content("file", "three");
}

static void test_file_does_not_replace_a_directory(void **state)
{
    struct stage *stage = *state;
    struct err err = { 0 };
    assert_int_equal(stage_make_dir(stage, "d/e", &err), 0);
    write_temp(stage, "d", "t1", "x");
    assert_int_equal(commit_one(stage, "d", "t1", false), ERR_CONFLICT);
    assert_int_equal(commit_one(stage, "d/e/", "t1", false), ERR_NONE);
}

static void commit_many(struct stage *stage, size_t dir_count)
{
    struct stage_item items[32];
    char names[32][32];
    char tags[32][8];
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < 32; i++) {
        snprintf(names[i], sizeof names[i], "d%zu/f%zu", i * dir_count / 32, i);
        snprintf(tags[i], sizeof tags[i], "t%zu", i);
        items[i] = (struct stage_item){ .rel = names[i], .tag = tags[i] };
        if (i != 7)
            write_temp(stage, names[i], tags[i], names[i]);
    }
    items[9].err.kind = ERR_NET;
    stage_commit(stage, items, 32);
    for (size_t i = 0; i < 32; i++) {
        const enum err_kind want = i == 7 ? ERR_ABSENT : i == 9 ? ERR_NET : ERR_NONE;
        assert_int_equal(items[i].err.kind, want);
        if (want == ERR_NONE)
            expect_content(names[i], names[i]);
    }
    assert_false(is_there("d0/f7") || is_there("d2/f9"));
}

static void test_commit_of_many_tells_each_item(void **state)
{
    commit_many(*state, 1);
}

static void test_commit_of_many_directories(void **state)
{
    struct stage *stage = *state;
    commit_many(stage, 8);
    /* What was made is known to be durable, so that it is not asked for again. */
    assert_true(atomic_load(&stage->own.made_count) == atomic_load(&stage->own.synced_count) ||
                !stage->syncfs_tells);
}

static void test_commit_where_syncfs_hides_errors(void **state)
{
    struct stage *stage = *state;
    stage->syncfs_tells = false;
    stage->dirs.sync_made = true;
    commit_many(stage, 8);
}

static void test_commit_after_syncfs_failed_asks_each_file(void **state)
{
    struct stage *stage = *state;
    atomic_store(&stage->own.failed, true);
    commit_many(stage, 8);
}

static void test_commit_below_another_mount(void **state)
{
    struct stage *stage = *state;
    stage->root_dev++; /* now every directory seems to lie elsewhere */
    commit_many(stage, 8);
}

static void test_keep_opens_the_same_file_and_makes_none(void **state)
{
    struct stage *stage = *state;
    struct err err = { 0 };
    int fd = -1;
    assert_int_equal(stage_open(stage, "k/file", "t", true, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    write_temp(stage, "k/file", "t", "abc");
    assert_int_equal(stage_open(stage, "k/file", "t", true, &fd, &err), 0);
    char got[4] = "";
    assert_int_equal(read(fd, got, 3), 3);
    assert_string_equal(got, "abc");
    close(fd);
    /* Without keep it starts anew. */
    write_temp(stage, "k/file", "t", "");
    assert_int_equal(commit_one(stage, "k/file", "t", false), ERR_NONE);
    expect_content("k/file", "");
}

static void test_discard_takes_absent_as_done(void **state)
{
    struct stage *stage = *state;
    struct err err = { 0 };
    assert_int_equal(stage_discard(stage, "no/such/file", "t", &err), 0);
    write_temp(stage, "x/file", "t", "abc");
    assert_int_equal(stage_discard(stage, "x/file", "t", &err), 0);
    assert_false(is_there("x/.lade-t.tmp"));
    assert_int_equal(stage_discard(stage, "x/file", "t", &err), 0);
}

static void test_directory_removed_meanwhile_is_made_again(void **state)
{
    struct stage *stage = *state;
    struct err err = { 0 };
    write_temp(stage, "x/y/file", "t", "abc");
    assert_int_equal(stage_discard(stage, "x/y/file", "t", &err), 0);
    assert_int_equal(unlinkat(place.root_fd, "x/y", AT_REMOVEDIR), 0);
    write_temp(stage, "x/y/file", "t", "abc");
    assert_int_equal(commit_one(stage, "x/y/file", "t", false), ERR_NONE);
    expect_content("x/y/file", "abc");
}

static void test_temporary_names(void **state)
{
    (void)state;
    assert_true(stage_is_temporary(".lade-x.tmp"));
    assert_false(stage_is_temporary(".lade-.tmp"));
    assert_false(stage_is_temporary(".lade-x.tmp2"));
    assert_false(stage_is_temporary("x.lade-x.tmp"));
    assert_false(stage_is_temporary(""));
    struct err err = { 0 };
    int fd = -1;
    assert_int_equal(stage_open(&place.stage, "a/.lade-x.tmp", "t", false, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void test_attributes_of_files_and_links(void **state)
{
    struct stage *stage = *state;
    struct err err = { 0 };
    const struct attr attr = { .have = ATTR_MODE | ATTR_MTIME | ATTR_OWNER,
                               .mode = 0640,
                               .uid = getuid(),
                               .gid = getgid(),
                               .mtime_ns = -5 * NS_PER_S + 123456789 };
    int fd = -1;
    assert_int_equal(stage_open(stage, "file", "t1", false, &fd, &err), 0);
    assert_int_equal(stage_set_attr(fd, &attr, &err), 0);
    close(fd);
    assert_int_equal(stage_link(stage, "link", "t2", "to/nowhere", &attr, &err), 0);
    struct stage_item items[2] = { { .rel = "file", .tag = "t1" }, { .rel = "link", .tag = "t2" } };
    stage_commit(stage, items, 2);
    assert_int_equal(commit_one(stage, "none", "t3", false), ERR_ABSENT);

    struct stat st;
    assert_int_equal(fstatat(place.root_fd, "file", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(clock_from_timespec_ns(st.st_mtim), attr.mtime_ns);
    assert_int_equal(fstatat(place.root_fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(clock_from_timespec_ns(st.st_mtim), attr.mtime_ns);
    char target[32] = "";
    assert_true(readlinkat(place.root_fd, "link", target, sizeof target - 1) > 0);
    assert_string_equal(target, "to/nowhere");
}

static void test_single_link_and_unreadable_file_are_committed(void **state)
{
    struct stage *stage = *state;
    struct err err = { 0 };
    assert_int_equal(stage_link(stage, "l", "t", "x", NULL, &err), 0);
    assert_int_equal(commit_one(stage, "l", "t", true), ERR_NONE);
    const struct attr attr = { .have = ATTR_MODE, .mode = 0 };
    int fd = -1;
    assert_int_equal(stage_open(stage, "closed", "t", false, &fd, &err), 0);
    assert_int_equal(stage_set_attr(fd, &attr, &err), 0);
    close(fd);
    assert_int_equal(commit_one(stage, "closed", "t", false), ERR_NONE);
    struct stat st;
    assert_int_equal(fstatat(place.root_fd, "closed", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_file_appears_with_commit_only),
        CASE(test_commit_replaces_unless_told_to_keep),
        CASE(test_file_does_not_replace_a_directory),
        CASE(test_commit_of_many_tells_each_item),
        CASE(test_commit_of_many_directories),
        CASE(test_commit_where_syncfs_hides_errors),
        CASE(test_commit_after_syncfs_failed_asks_each_file),
        CASE(test_commit_below_another_mount),
        CASE(test_keep_opens_the_same_file_and_makes_none),
        CASE(test_discard_takes_absent_as_done),
        CASE(test_directory_removed_meanwhile_is_made_again),
        CASE(test_temporary_names),
        CASE(test_attributes_of_files_and_links),
        CASE(test_single_link_and_unreadable_file_are_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
