#include "base/xattr.h"

#include "../scratch.h"
#include "base/ban.h"
#include "base/scope.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static struct scratch place;

static int start(void **state)
{
    (void)state;
    scratch_open(&place);
    scratch_text(&place, "a", "a");
    scratch_text(&place, "b", "b");
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&place);
    return 0;
}

static void add(struct buf *set, const char *name, const char *value)
{
    const struct xattr xattr = {
        .name = name, .name_len = strlen(name), .value = value, .value_len = strlen(value)
    };
    xattr_add(set, &xattr);
}

static void test_some_travel(void **state)
{
    (void)state;
    static const char *const yes[] = { "user.a", "user.ladex", XATTR_ACL_ACCESS, XATTR_ACL_DEFAULT,
                                       "security.capability" };
    static const char *const no[] = { "user.",           "user.lade.kind",   "trusted.a",
                                      "security.ima",    "security.selinux", "security.capability2",
                                      "system.nfs4_acl", "lustre.lov",       "" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(xattr_travels(yes[i], strlen(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(xattr_travels(no[i], strlen(no[i])));
}

static void test_a_set_is_in_order(void **state)
{
    (void)state;
    SCOPED(buf) struct buf set = { 0 };
    assert_true(xattr_set_ok("", 0));
    add(&set, "user.a", "1");
    add(&set, "user.ab", "");
    assert_true(xattr_set_ok(set.data, set.len));
    for (size_t len = 1; len < set.len; len++)
        assert_int_equal(xattr_set_ok(set.data, len), len == 9);
    add(&set, "user.ab", "twice");
    assert_false(xattr_set_ok(set.data, set.len));
    buf_clear(&set);
    add(&set, "user.b", "");
    add(&set, "user.a", "");
    assert_false(xattr_set_ok(set.data, set.len));
    buf_clear(&set);
    add(&set, "", "");
    assert_false(xattr_set_ok(set.data, set.len));
    buf_clear(&set);
    const struct xattr nul = { .name = "user.a\0b", .name_len = 8, .value = "" };
    xattr_add(&set, &nul);
    assert_false(xattr_set_ok(set.data, set.len));
}

static int open_file(const char *name)
{
    const int fd = open(scratch_path(&place, name), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void test_what_was_read_can_be_set(void **state)
{
    (void)state;
    SCOPED_FD int from = open_file("a");
    SCOPED_FD int to = open_file("b");
    SCOPED(buf) struct buf set = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    SCOPED(buf) struct buf want = { 0 };
    struct err why = { 0 };
    if (fsetxattr(from, "user.z", "last", 4, 0) < 0)
        skip(); /* no file system for it */
    assert_int_equal(fsetxattr(from, "user.a=b", "", 0, 0), 0);
    assert_int_equal(fsetxattr(from, "user.lade.kind", "1", 1, 0), 0);
    xattr_read(from, &set, &why);
    assert_int_equal(why.kind, ERR_NONE);
    add(&want, "user.a=b", "");
    add(&want, "user.z", "last");
    assert_int_equal(set.len, want.len);
    assert_memory_equal(set.data, want.data, want.len);
    /* What somebody else wrote into a set, and does not travel. */
    SCOPED(buf) struct buf more = { 0 };
    add(&more, "trusted.a", "1");
    buf_add(&more, set.data, set.len);
    assert_true(xattr_set_ok(more.data, more.len));
    xattr_write(to, more.data, more.len, XATTR_BEFORE_MODE, true, &why);
    xattr_write(to, more.data, more.len, XATTR_AFTER_MODE, true, &why);
    assert_int_equal(why.kind, ERR_NONE);
    assert_int_equal(fgetxattr(to, "trusted.a", NULL, 0), -1);
    xattr_read(to, &again, &why);
    assert_int_equal(again.len, want.len);
    assert_memory_equal(again.data, want.data, want.len);
    /* Of what has none. */
    assert_int_equal(fremovexattr(to, "user.z"), 0);
    assert_int_equal(fremovexattr(to, "user.a=b"), 0);
    xattr_read(to, &again, &why);
    assert_int_equal(again.len, 0);
    assert_int_equal(why.kind, ERR_NONE);
}

static void test_acls_are_of_the_mode(void **state)
{
    (void)state;
    static const unsigned char acl[] = { 2,  0, 0, 0,                     /* the version */
                                         1,  0, 6, 0, 255, 255, 255, 255, /* owner */
                                         2,  0, 4, 0, 1,   0,   0,   0,   /* user 1 */
                                         4,  0, 0, 0, 255, 255, 255, 255, /* group */
                                         16, 0, 4, 0, 255, 255, 255, 255, /* mask */
                                         32, 0, 0, 0, 255, 255, 255, 255 };
    SCOPED_FD int from = open_file("a");
    SCOPED_FD int to = open_file("b");
    SCOPED(buf) struct buf set = { 0 };
    struct err why = { 0 };
    struct stat st;
    char value[64];
    if (fsetxattr(from, XATTR_ACL_ACCESS, acl, sizeof acl, 0) < 0)
        skip();
    xattr_read(from, &set, &why);
    xattr_write(to, set.data, set.len, XATTR_BEFORE_MODE, true, &why);
    assert_int_equal(fgetxattr(to, XATTR_ACL_ACCESS, value, sizeof value), -1);
    assert_int_equal(fchmod(to, 0640), 0);
    xattr_write(to, set.data, set.len, XATTR_AFTER_MODE, true, &why);
    assert_int_equal(why.kind, ERR_NONE);
    assert_int_equal(fgetxattr(to, XATTR_ACL_ACCESS, value, sizeof value), sizeof acl);
    assert_memory_equal(value, acl, sizeof acl);
    assert_int_equal(fstat(to, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    /* What was inherited goes, what was there before stays. */
    xattr_write(to, NULL, 0, XATTR_BEFORE_MODE, false, &why);
    assert_int_equal(fgetxattr(to, XATTR_ACL_ACCESS, value, sizeof value), sizeof acl);
    xattr_write(to, NULL, 0, XATTR_BEFORE_MODE, true, &why);
    assert_int_equal(fgetxattr(to, XATTR_ACL_ACCESS, value, sizeof value), -1);
}

/* Where a file system has no ACLs; here it is one that none takes, for it lacks the mask. */
static void test_without_its_acl_the_group_may_no_more(void **state)
{
    (void)state;
    static const unsigned char acl[] = { 2,  0, 0, 0,                     /* the version */
                                         1,  0, 6, 0, 255, 255, 255, 255, /* owner */
                                         2,  0, 6, 0, 1,   0,   0,   0,   /* user 1 */
                                         4,  0, 4, 0, 255, 255, 255, 255, /* group */
                                         32, 0, 4, 0, 255, 255, 255, 255 };
    const struct xattr xattr = { .name = XATTR_ACL_ACCESS,
                                 .name_len = strlen(XATTR_ACL_ACCESS),
                                 .value = acl,
                                 .value_len = sizeof acl };
    SCOPED_FD int fd = open_file("a");
    SCOPED(buf) struct buf set = { 0 };
    struct err why = { 0 };
    struct stat st;
    xattr_add(&set, &xattr);
    assert_int_equal(fchmod(fd, 0664), 0);
    xattr_write(fd, set.data, set.len, XATTR_AFTER_MODE, true, &why);
    assert_int_not_equal(why.kind, ERR_NONE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

static void test_what_is_refused_is_told(void **state)
{
    (void)state;
    SCOPED(buf) struct buf set = { 0 };
    SCOPED_FD int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    struct err why = { 0 };
    add(&set, "user.a", "1");
    add(&set, "user.b\n", "1");
    xattr_write(fd, set.data, set.len, XATTR_AFTER_MODE, true, &why);
    assert_int_equal(why.kind, ERR_NONE);
    xattr_write(fd, set.data, set.len, XATTR_BEFORE_MODE, true, &why);
    assert_int_not_equal(why.kind, ERR_NONE);
    assert_non_null(strstr(why.text, "set the attribute user.a: "));
    err_clear(&why);
    xattr_write(fd, set.data + 9, set.len - 9, XATTR_BEFORE_MODE, true, &why);
    assert_non_null(strstr(why.text, "user.b\\x0a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_some_travel),
        cmocka_unit_test(test_a_set_is_in_order),
        cmocka_unit_test_setup_teardown(test_what_was_read_can_be_set, start, end),
        cmocka_unit_test_setup_teardown(test_acls_are_of_the_mode, start, end),
        cmocka_unit_test_setup_teardown(test_without_its_acl_the_group_may_no_more, start, end),
        cmocka_unit_test(test_what_is_refused_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
