#include "store/file/file.h"

#include "contract.h"

#include "base/clock.h"
#include "base/scope.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static struct store *open_again(void)
{
    struct err err = { 0 };
    struct store *store = NULL;
    const struct store_options options = { .create = true };
    assert_int_equal(file_driver.open(&store, dir, &options, &err), 0);
    return store;
}

static struct store *open_fresh(void)
{
    contract_make_dir(dir);
    return open_again();
}

static void close_and_remove(struct store *store)
{
    file_driver.close(store);
    contract_remove_dir(dir);
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

static int open_below(const char *rel, int flags)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, rel);
    return open(path, flags | O_CLOEXEC, 0644);
}

static void test_root_is_made_with_parents_only_when_asked(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/x/y", dir);
    struct err err = { 0 };
    struct store *store = NULL;
    assert_int_equal(file_driver.open(&store, path, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
    err_clear(&err);
    const struct store_options options = { .create = true };
    assert_int_equal(file_driver.open(&store, path, &options, &err), 0);
    contract_put(store, "a", "text");
    file_driver.close(store);
}

static void test_links_and_special_files_are_no_objects(void **state)
{
    struct store *store = *state;
    contract_put(store, "d/file", "text");
    char path[128];
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(symlink("d", path), 0);
    snprintf(path, sizeof path, "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    contract_expect_absent(store, "link");
    contract_expect_absent(store, "link/file");
    contract_expect_absent(store, "fifo");
    SCOPED(buf) struct buf keys = { 0 };
    contract_list(store, "", "", false, &keys);
    assert_string_equal(keys.data, "d/\nd/file\n");

    static const char *const gone[] = { "link", "link/file", "fifo" };
    struct err err = { 0 };
    struct err errs[3] = { 0 };
    assert_int_equal(file_driver.remove(store, gone, 3, errs, &err), 0);
    contract_expect(store, "d/file", "text");
    assert_int_equal(access(path, F_OK), 0);

    const struct store_put put = { .key = "link/new", .tag = "t" };
    assert_int_equal(contract_try_put(store, &put, "x", 1), ERR_CONFLICT);
}

static void test_keys_that_leave_the_root_are_refused(void **state)
{
    struct store *store = *state;
    static const char *const bad[] = { "../x", "/etc/x",        "a/../../x",    "a//b",
                                       "./a",  "a/.lade-x.tmp", ".lade-x.tmp/b" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct store_put put = { .key = bad[i], .tag = "t" };
        assert_int_equal(contract_try_put(store, &put, "x", 1), ERR_LIMIT);
        contract_expect_absent(store, bad[i]);
        struct err err = { 0 };
        SCOPED(buf) struct buf key = { 0 };
        assert_int_equal(file_driver.map_key(store, bad[i], &key, &err), -1);
        assert_int_equal(err.kind, ERR_LIMIT);
    }
}

static void test_file_in_the_way_of_a_directory_is_a_conflict(void **state)
{
    struct store *store = *state;
    contract_put(store, "a", "text");
    const struct store_put below = { .key = "a/b", .tag = "t" };
    assert_int_equal(contract_try_put(store, &below, "x", 1), ERR_CONFLICT);
    const struct store_put as_dir = { .key = "a/", .tag = "t" };
    assert_int_equal(contract_try_put(store, &as_dir, "", 0), ERR_CONFLICT);
    contract_put(store, "d/b", "text");
    const struct store_put as_file = { .key = "d", .tag = "t" };
    assert_int_equal(contract_try_put(store, &as_file, "x", 1), ERR_CONFLICT);
    contract_expect(store, "d/b", "text");
}

static void test_content_crc_is_kept_and_carried_by_copy(void **state)
{
    struct store *store = *state;
    contract_put(store, "file", "123456789");
    struct err err = { 0 };
    struct store_result result = { 0 };
    const struct store_put put = { .key = "copy", .tag = "t" };
    assert_int_equal(file_driver.copy(store, "file", &put, &result, &err), 0);
    struct store_staged item = { .key = "copy", .tag = "t" };
    file_driver.commit_batch(store, &item, 1);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(file_driver.head(store, "copy", &object, &err), 0);
    if ((object.attr.have & ATTR_CRC64) != 0)
        assert_true(object.attr.crc64 == UINT64_C(0xae8b14860a799888));
}

static void test_holes_come_back(void **state)
{
    struct store *store = *state;
    static unsigned char bytes[1 << 20];
    bytes[500000] = 1;
    const struct store_put put = { .key = "sparse", .tag = "t" };
    assert_int_equal(contract_try_put(store, &put, bytes, sizeof bytes), ERR_NONE);
    struct err err = { 0 };
    struct store_result result = { 0 };
    const struct store_put copy = { .key = "copied", .tag = "t" };
    assert_int_equal(file_driver.copy(store, "sparse", &copy, &result, &err), 0);
    struct store_staged item = { .key = "copied", .tag = "t" };
    file_driver.commit_batch(store, &item, 1);
    static const char *const names[] = { "sparse", "copied" };
    for (int i = 0; i < 2; i++) {
        SCOPED_FD const int fd = open_below(names[i], O_RDONLY);
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, sizeof bytes);
        assert_true(st.st_blocks * 512 < 100000);
        static unsigned char got[1 << 20];
        assert_int_equal(pread(fd, got, sizeof got, 0), sizeof got);
        assert_memory_equal(got, bytes, sizeof bytes);
    }
}

static void test_failed_put_leaves_nothing(void **state)
{
    struct store *store = *state;
    contract_put(store, "file", "short");
    SCOPED_FD const int fd = open_below("file", O_RDONLY);
    char slab[64];
    struct body body = body_of_fd(fd, 0, 1000, slab, sizeof slab, NULL, NULL);
    struct err err = { 0 };
    struct store_result result = { 0 };
    const struct store_put put = { .key = "new", .tag = "t" };
    assert_int_equal(file_driver.put(store, &put, &body, &result, &err), -1);
    assert_int_equal(err.kind, ERR_CHANGED);
    char temp[128];
    snprintf(temp, sizeof temp, "%s/.lade-t.tmp", dir);
    assert_int_equal(access(temp, F_OK), -1);
}

static void test_link_without_its_suffix_is_refused(void **state)
{
    struct store *store = *state;
    const struct attr attr = { .kind = ENTRY_LINK };
    const struct store_put put = { .key = "name", .tag = "t", .attr = &attr };
    assert_int_equal(contract_try_put(store, &put, "x", 1), ERR_LIMIT);
}

static void test_file_of_that_suffix_without_a_record_is_a_link(void **state)
{
    struct store *store = *state;
    contract_put(store, "made-by-rclone" LINK_SUFFIX, "target");
    struct err err = { 0 };
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(file_driver.head(store, "made-by-rclone" LINK_SUFFIX, &object, &err), 0);
    assert_int_equal(object.attr.kind, ENTRY_LINK);
}

static void test_metadata_is_in_extended_attributes(void **state)
{
    struct store *store = *state;
    const struct store_meta meta = { "project", "x y" };
    const struct store_put put = { .key = "file", .tag = "t", .meta = &meta, .meta_count = 1 };
    assert_int_equal(contract_try_put(store, &put, "x", 1), ERR_NONE);
    SCOPED_FD const int fd = open_below("file", O_RDONLY);
    char value[16] = "";
    assert_int_equal(fgetxattr(fd, "user.lade.meta.project", value, sizeof value - 1), 3);
    assert_string_equal(value, "x y");
}

static void test_root_is_an_object_to_head(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(file_driver.head(store, "", &object, &err), 0);
    assert_int_equal(object.attr.kind, ENTRY_DIR);
}

static void test_directory_that_is_not_empty_is_not_removed(void **state)
{
    struct store *store = *state;
    contract_put(store, "d/file", "text");
    const char *const keys[] = { "d/" };
    struct err err = { 0 };
    struct err each = { 0 };
    assert_int_equal(file_driver.remove(store, keys, 1, &each, &err), 0);
    assert_int_equal(each.kind, ERR_CONFLICT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct contract contract = { open_fresh, close_and_remove, open_again };
    const struct CMUnitTest tests[] = {
        CASE(test_root_is_made_with_parents_only_when_asked),
        CASE(test_links_and_special_files_are_no_objects),
        CASE(test_keys_that_leave_the_root_are_refused),
        CASE(test_file_in_the_way_of_a_directory_is_a_conflict),
        CASE(test_content_crc_is_kept_and_carried_by_copy),
        CASE(test_holes_come_back),
        CASE(test_failed_put_leaves_nothing),
        CASE(test_link_without_its_suffix_is_refused),
        CASE(test_file_of_that_suffix_without_a_record_is_a_link),
        CASE(test_metadata_is_in_extended_attributes),
        CASE(test_root_is_an_object_to_head),
        CASE(test_directory_that_is_not_empty_is_not_removed),
    };
    return contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
}
