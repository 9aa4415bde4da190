#include "base/draft.h"

#include "../scratch.h"
#include "base/file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

static size_t count_entries(void)
{
    DIR *dir = opendir(scratch.path);
    size_t count = 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static void expect(const char *name, const char *text)
{
    struct buf bytes = { 0 };
    scratch_read(&scratch, name, &bytes);
    assert_string_equal(buf_text(&bytes), text);
    buf_done(&bytes);
}

static void draft(const char *path, const char *text, bool commit)
{
    struct draft draft;
    struct err err = { 0 };
    assert_int_equal(draft_open(&draft, path, &err), 0);
    assert_int_equal(file_write_all(draft.fd, text, strlen(text), &err), 0);
    if (commit)
        assert_int_equal(draft_commit(&draft, &err), 0);
    draft_done(&draft);
    draft_done(&draft);
}

static void test_draft_appears_when_committed(void **state)
{
    (void)state;
    const char *path = scratch_path(&scratch, "file");
    draft(path, "one", false);
    assert_int_equal(count_entries(), 0);
    draft(path, "one", true);
    expect("file", "one");
    draft(path, "two", false);
    expect("file", "one");
    draft(path, "two", true);
    expect("file", "two");
    assert_int_equal(count_entries(), 1);
}

static void test_draft_goes_where_a_link_leads(void **state)
{
    (void)state;
    scratch_text(&scratch, "file", "old");
    scratch_link(&scratch, "link", "file");
    draft(scratch_path(&scratch, "link"), "new", true);
    expect("file", "new");
    struct stat st;
    assert_int_equal(lstat(scratch_path(&scratch, "link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void test_draft_writes_what_is_no_file_as_it_is(void **state)
{
    (void)state;
    draft("/dev/null", "x", true);
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

static void test_draft_refuses_directories(void **state)
{
    (void)state;
    struct draft draft;
    struct err err = { 0 };
    assert_int_equal(draft_open(&draft, scratch.path, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    err = (struct err){ 0 };
    assert_int_equal(draft_open(&draft, scratch_path(&scratch, "none/file"), &err), -1);
    draft_done(&draft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_draft_appears_when_committed, start, end),
        cmocka_unit_test_setup_teardown(test_draft_goes_where_a_link_leads, start, end),
        cmocka_unit_test_setup_teardown(test_draft_writes_what_is_no_file_as_it_is, start, end),
        cmocka_unit_test_setup_teardown(test_draft_refuses_directories, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
