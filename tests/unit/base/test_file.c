#include "base/file.h"

#include "../scratch.h"
#include "base/scope.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

static void expect(const char *name, const char *text)
{
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    assert_int_equal(file_read(scratch.fd, name, 1000, &bytes, &err), 0);
    assert_string_equal(buf_text(&bytes), text);
    assert_int_equal(bytes.len, strlen(text));
}

static bool is_there(const char *name)
{
    return faccessat(scratch.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_replace_makes_and_replaces_and_leaves_nothing_else(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(file_replace(scratch.fd, "f", "one", 3, &err), 0);
    expect("f", "one");
    assert_int_equal(file_replace(scratch.fd, "f", "", 0, &err), 0);
    expect("f", "");
    /* A longer rest of a killed process. */
    scratch_text(&scratch, "f.tmp", "a long text that was never finished");
    assert_int_equal(file_replace(scratch.fd, "f", "two", 3, &err), 0);
    expect("f", "two");
    assert_false(is_there("f.tmp"));
}

static void test_replace_writes_through_no_link(void **state)
{
    (void)state;
    struct err err = { 0 };
    scratch_text(&scratch, "victim", "mine");
    scratch_link(&scratch, "f.tmp", "victim");
    assert_int_equal(file_replace(scratch.fd, "f", "x", 1, &err), -1);
    expect("victim", "mine");
    /* A link in the place of the file itself is replaced. */
    err_clear(&err);
    scratch_link(&scratch, "g", "victim");
    assert_int_equal(file_replace(scratch.fd, "g", "x", 1, &err), 0);
    expect("victim", "mine");
    expect("g", "x");
}

static void test_failed_replace_keeps_the_old_file(void **state)
{
    (void)state;
    struct err err = { 0 };
    scratch_text(&scratch, "d/f", "old");
    assert_int_equal(file_replace(scratch.fd, "d", "new", 3, &err), -1);
    expect("d/f", "old");
    err_clear(&err);
    assert_int_equal(file_replace(scratch.fd, "none/f", "new", 3, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
}

static void test_read_tells_absent_too_large_and_unreadable(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    assert_int_equal(file_read(scratch.fd, "none", 10, &bytes, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    scratch_text(&scratch, "f", "12345");
    assert_int_equal(file_read(scratch.fd, "f", 4, &bytes, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    err_clear(&err);
    assert_int_equal(file_read(scratch.fd, "f", 5, &bytes, &err), 0);
    assert_int_equal(bytes.len, 5);
    scratch_dir(&scratch, "d");
    assert_int_equal(file_read(scratch.fd, "d", 1 << 20, &bytes, &err), -1);
}

static void test_read_replaces_what_the_buffer_held(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    buf_add_text(&bytes, "something longer from before");
    scratch_write(&scratch, "f", "a\0b", 3);
    assert_int_equal(file_read(scratch.fd, "f", 10, &bytes, &err), 0);
    assert_int_equal(bytes.len, 3);
    assert_memory_equal(bytes.data, "a\0b", 4);
}

static void test_fifo_does_not_hang_the_reader(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    scratch_fifo(&scratch, "fifo");
    const int got = file_read(scratch.fd, "fifo", 10, &bytes, &err);
    assert_true(got < 0 || bytes.len == 0);
}

static void test_read_at_is_whole_or_corrupt(void **state)
{
    (void)state;
    struct err err = { 0 };
    scratch_text(&scratch, "f", "0123456789");
    SCOPED_FD int fd = openat(scratch.fd, "f", O_RDONLY | O_CLOEXEC);
    char got[11] = "";
    assert_int_equal(file_read_at(fd, 3, got, 7, &err), 0);
    assert_string_equal(got, "3456789");
    assert_int_equal(file_read_at(fd, 10, got, 0, &err), 0);
    assert_int_equal(file_read_at(fd, 3, got, 8, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
}

struct reader {
    int fd;
    size_t count;
};

static void *read_slowly(void *arg)
{
    struct reader *reader = arg;
    char bytes[777];
    ssize_t got;
    while ((got = read(reader->fd, bytes, sizeof bytes)) > 0)
        reader->count += (size_t)got;
    return NULL;
}

static void test_write_all_goes_on_after_short_writes(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    int ends[2];
    struct err err = { 0 };
    struct thread thread = { 0 };
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct reader reader = { .fd = ends[0] };
    assert_int_equal(thread_start(&thread, "reader", read_slowly, &reader, &err), 0);
    assert_int_equal(file_write_all(ends[1], bytes, sizeof bytes, &err), 0);
    close(ends[1]);
    thread_join(&thread);
    close(ends[0]);
    assert_int_equal(reader.count, sizeof bytes);
}

static void test_full_disk_is_a_local_error(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED_FD int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    assert_int_equal(file_write_all(fd, "x", 1, &err), -1);
    assert_int_equal(err.kind, ERR_LOCAL);
    assert_int_equal(err.sys, ENOSPC);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_replace_makes_and_replaces_and_leaves_nothing_else),
        CASE(test_replace_writes_through_no_link),
        CASE(test_failed_replace_keeps_the_old_file),
        CASE(test_read_tells_absent_too_large_and_unreadable),
        CASE(test_read_replaces_what_the_buffer_held),
        CASE(test_fifo_does_not_hang_the_reader),
        CASE(test_read_at_is_whole_or_corrupt),
        CASE(test_write_all_goes_on_after_short_writes),
        CASE(test_full_disk_is_a_local_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
