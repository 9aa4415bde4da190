#include "job/crawl.h"

#include "../scratch.h"
#include "base/dirlist.h"
#include "base/mem.h"
#include "base/scope.h"

#include <dirent.h>
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

#define KEYS_MAX 20000

static struct scratch scratch;
static struct source_set set;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    scratch_dir(&scratch, "tree");
    return 0;
}

static int end(void **state)
{
    (void)state;
    source_set_done(&set);
    scratch_close(&scratch);
    return 0;
}

static void open_tree(bool follow)
{
    struct err err = { 0 };
    char path[128];
    source_set_done(&set);
    snprintf(path, sizeof path, "%s/tree", scratch.path);
    const struct source_options options = { .follow = follow };
    assert_int_equal(source_set_open(&set, (char *[]){ path }, 1, &options, &err), 0);
}

/* Keys, each with a sign for what it is: what a crawl gave, or what it should. */
struct keys {
    char *items[KEYS_MAX];
    size_t count;
};

static void keys_add(struct keys *keys, const char *key)
{
    assert_true(keys->count < KEYS_MAX);
    keys->items[keys->count++] = mem_string(key);
}

static void keys_done(struct keys *keys)
{
    while (keys->count != 0)
        mem_release(keys->items[--keys->count]);
}

static int compare_keys(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static enum err_kind crawl_into(struct keys *keys, const struct crawl_options *options)
{
    struct crawl *crawl = NULL;
    struct err err = { 0 };
    struct crawl_options all = *options;
    all.sources = &set;
    keys_done(keys);
    if (crawl_open(&crawl, &all, &err) < 0)
        return err.kind;
    struct crawl_item item;
    int got;
    while ((got = crawl_next(crawl, &item, &err)) == 1) {
        assert_int_equal(strlen(item.name), item.name_len);
        keys_add(keys, item.key);
    }
    crawl_close(crawl);
    return got < 0 ? err.kind : ERR_NONE;
}

static void expect_same_keys(const struct keys *got, const struct keys *want)
{
    for (size_t i = 0; i < got->count && i < want->count; i++)
        assert_string_equal(got->items[i], want->items[i]);
    assert_int_equal(got->count, want->count);
}

/* "a b/ c": the keys of a crawl as one text. */
static void expect_text(const struct keys *keys, const char *text)
{
    SCOPED(buf) struct buf all = { 0 };
    for (size_t i = 0; i < keys->count; i++)
        buf_printf(&all, "%s%s", i != 0 ? " " : "", keys->items[i]);
    assert_string_equal(buf_text(&all), text);
}

/* ---- against a plain walk ---- */

static void walk_plainly(struct keys *keys, int dir_fd, const char *prefix)
{
    DIR *dir = fdopendir(dir_fd);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        SCOPED(buf) struct buf key = { 0 };
        struct stat st;
        assert_int_equal(fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        const bool is_dir = S_ISDIR(st.st_mode);
        buf_printf(&key, "%s%s%s", prefix, entry->d_name,
                   is_dir                ? "/"
                   : S_ISLNK(st.st_mode) ? LINK_SUFFIX
                                         : "");
        keys_add(keys, key.data);
        if (is_dir)
            walk_plainly(keys, openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY), key.data);
    }
    closedir(dir);
}

static void random_name(uint64_t *random, struct buf *path)
{
    static const char bytes[] = "abc.-0\xff\n ";
    const size_t len = 1 + random_below(random, 4);
    for (size_t i = 0; i < len; i++)
        buf_add_char(path, bytes[random_below(random, sizeof bytes - 1)]);
    buf_add_char(path, 'x'); /* never "." or ".." */
}

static void random_tree(uint64_t *random, const char *below, unsigned depth)
{
    const size_t count = random_below(random, 7);
    for (size_t i = 0; i < count; i++) {
        SCOPED(buf) struct buf path = { 0 };
        struct stat st;
        buf_printf(&path, "%s/", below);
        random_name(random, &path);
        if (fstatat(scratch.fd, path.data, &st, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        switch (random_below(random, depth < 6 ? 4 : 2)) {
        case 0:
            scratch_text(&scratch, path.data, "text");
            break;
        case 1:
            scratch_link(&scratch, path.data, "nowhere");
            break;
        default:
            scratch_dir(&scratch, path.data);
            random_tree(random, path.data, depth + 1);
            break;
        }
    }
}

static void make_random_tree(uint64_t seed, struct keys *want)
{
    SCOPED(buf) struct buf name = { 0 };
    buf_printf(&name, "tree/%llu", (unsigned long long)seed);
    scratch_dir(&scratch, name.data);
    for (int i = 0; i < 2; i++)
        random_tree(&seed, name.data, 1);
    keys_done(want);
    walk_plainly(want, openat(scratch.fd, "tree", O_RDONLY | O_DIRECTORY), "");
    qsort(want->items, want->count, sizeof *want->items, compare_keys);
}

static struct keys want;
static struct keys got;

static void test_order_and_content_are_those_of_a_plain_walk_sorted_by_key(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        make_random_tree(seed, &want);
        open_tree(false);
        for (uint32_t crawlers = 0; crawlers <= 8; crawlers++) {
            const struct crawl_options options = { .crawlers = crawlers };
            assert_int_equal(crawl_into(&got, &options), ERR_NONE);
            expect_same_keys(&got, &want);
        }
    }
    assert_true(want.count > 500);
}

static void test_start_after_any_key_gives_the_rest(void **state)
{
    (void)state;
    make_random_tree(99, &want);
    open_tree(false);
    for (size_t i = 0; i < want.count; i++) {
        const struct crawl_options options = { .crawlers = (uint32_t)(i % 3 + 1),
                                               .start_after = want.items[i] };
        assert_int_equal(crawl_into(&got, &options), ERR_NONE);
        const size_t rest = want.count - i - 1;
        assert_int_equal(got.count, rest);
        for (size_t k = 0; k < rest; k++)
            assert_string_equal(got.items[k], want.items[i + 1 + k]);
    }
    /* Keys that nothing has. */
    const struct crawl_options all = { .crawlers = 1, .start_after = "\x01" };
    assert_int_equal(crawl_into(&got, &all), ERR_NONE);
    expect_same_keys(&got, &want);
    const struct crawl_options none = { .crawlers = 1, .start_after = "\xff\xff" };
    assert_int_equal(crawl_into(&got, &none), ERR_NONE);
    assert_int_equal(got.count, 0);
}

static void test_names_beside_directories_are_in_key_order(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/a/x", "");
    scratch_text(&scratch, "tree/a-b", "");
    scratch_text(&scratch, "tree/a0", "");
    scratch_text(&scratch, "tree/a.b", "");
    scratch_dir(&scratch, "tree/empty");
    open_tree(false);
    assert_int_equal(crawl_into(&got, &(struct crawl_options){ .crawlers = 2 }), ERR_NONE);
    expect_text(&got, "a-b a.b a/ a/x a0 empty/");
}

static void test_very_deep_tree_is_walked(void **state)
{
    (void)state;
    SCOPED(buf) struct buf path = { 0 };
    buf_add_text(&path, "tree");
    for (int i = 0; i < 600; i++) {
        buf_add_text(&path, "/ddddddddd");
        struct err err = { 0 };
        assert_int_equal(path_make_dirs(scratch.fd, path.data, &err), 0);
    }
    open_tree(false);
    assert_int_equal(crawl_into(&got, &(struct crawl_options){ .crawlers = 4 }), ERR_NONE);
    assert_int_equal(got.count, 600);
    assert_int_equal(strlen(got.items[599]), 6000);
}

static void test_huge_flat_directory(void **state)
{
    (void)state;
    for (int i = 0; i < 15000; i++) {
        char name[64];
        snprintf(name, sizeof name, "tree/%s%d", i % 2 != 0 ? "name-" : "n", i * 7919 % 15000);
        if (i % 100 == 0) {
            scratch_dir(&scratch, name);
            continue;
        }
        const int fd = openat(scratch.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
    }
    keys_done(&want);
    walk_plainly(&want, openat(scratch.fd, "tree", O_RDONLY | O_DIRECTORY), "");
    qsort(want.items, want.count, sizeof *want.items, compare_keys);
    open_tree(false);
    /* In memory, and in runs outside it. */
    for (size_t memory_bytes = 0; memory_bytes <= 200000; memory_bytes += 200000) {
        const struct crawl_options options = { .crawlers = 3, .list_memory_bytes = memory_bytes };
        assert_int_equal(crawl_into(&got, &options), ERR_NONE);
        expect_same_keys(&got, &want);
    }
}

/* ---- what entries are ---- */

static struct crawl_item find(const struct crawl_options *options, const char *name)
{
    struct crawl *crawl = NULL;
    struct err err = { 0 };
    struct crawl_options all = *options;
    all.sources = &set;
    assert_int_equal(crawl_open(&crawl, &all, &err), 0);
    struct crawl_item item;
    struct crawl_item found = { 0 };
    while (crawl_next(crawl, &item, &err) == 1)
        if (strcmp(item.name, name) == 0) {
            assert_int_equal(found.name_len, 0);
            found = item;
        }
    crawl_close(crawl);
    assert_true(found.name_len != 0);
    return found;
}

static void test_items_have_the_attributes_of_their_entries(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/f", "12345");
    assert_int_equal(fchmodat(scratch.fd, "tree/f", 04751, 0), 0);
    scratch_mtime(&scratch, "tree/f", -1500000000);
    scratch_dir(&scratch, "tree/empty");
    scratch_text(&scratch, "tree/full/x", "");
    scratch_fifo(&scratch, "tree/fifo");
    open_tree(false);
    const struct crawl_options options = { .crawlers = 1 };
    const struct crawl_item file = find(&options, "f");
    assert_int_equal(file.kind, ENTRY_FILE);
    assert_int_equal(file.reason, REASON_NONE);
    assert_int_equal(file.size_bytes, 5);
    assert_int_equal(file.mode, 04751);
    assert_true(file.mtime_ns == -1500000000);
    assert_int_equal(file.uid, getuid());
    const struct crawl_item empty = find(&options, "empty/");
    assert_int_equal(empty.kind, ENTRY_DIR);
    assert_true(empty.empty);
    assert_int_equal(empty.size_bytes, 0);
    assert_false(find(&options, "full/").empty);
    const struct crawl_item fifo = find(&options, "fifo");
    assert_int_equal(fifo.kind, ENTRY_SPECIAL);
    assert_int_equal(fifo.reason, REASON_FIFO);
}

static void make_links(void)
{
    scratch_text(&scratch, "tree/dir/f", "12345");
    scratch_link(&scratch, "tree/to-dir", "dir");
    scratch_link(&scratch, "tree/to-file", "dir/f");
    scratch_link(&scratch, "tree/to-nothing", "nothing");
    scratch_link(&scratch, "tree/dir/up", "..");
    scratch_link(&scratch, "tree/self", "self");
}

static void test_links_are_kept_as_links(void **state)
{
    (void)state;
    make_links();
    open_tree(false);
    const struct crawl_options options = { .crawlers = 2, .links = LINKS_KEEP };
    assert_int_equal(crawl_into(&got, &options), ERR_NONE);
    expect_text(&got, "dir/ dir/f dir/up.rclonelink self.rclonelink to-dir.rclonelink "
                      "to-file.rclonelink to-nothing.rclonelink");
    assert_int_equal(find(&options, "to-file").kind, ENTRY_LINK);
    assert_int_equal(find(&options, "to-file").reason, REASON_NONE);
}

static void test_links_are_followed_but_not_in_circles(void **state)
{
    (void)state;
    make_links();
    open_tree(true);
    const struct crawl_options options = { .crawlers = 2, .links = LINKS_FOLLOW };
    assert_int_equal(crawl_into(&got, &options), ERR_NONE);
    expect_text(&got, "dir/ dir/f dir/up/ self to-dir/ to-dir/f to-dir/up/ to-file to-nothing");
    assert_int_equal(find(&options, "dir/up/").reason, REASON_LOOP);
    assert_int_equal(find(&options, "to-dir/up/").reason, REASON_LOOP);
    assert_int_equal(find(&options, "to-nothing").reason, REASON_DANGLING);
    assert_int_equal(find(&options, "self").reason, REASON_DANGLING);
    const struct crawl_item file = find(&options, "to-file");
    assert_int_equal(file.kind, ENTRY_FILE);
    assert_int_equal(file.size_bytes, 5);
}

static void test_links_are_skipped_with_a_reason(void **state)
{
    (void)state;
    make_links();
    open_tree(false);
    const struct crawl_options options = { .crawlers = 2, .links = LINKS_SKIP };
    assert_int_equal(crawl_into(&got, &options), ERR_NONE);
    expect_text(&got, "dir/ dir/f dir/up self to-dir to-file to-nothing");
    assert_int_equal(find(&options, "to-dir").reason, REASON_LINK_SKIPPED);
}

static void test_link_that_meets_the_name_of_its_object_is_told_and_keys_ascend(void **state)
{
    (void)state;
    scratch_link(&scratch, "tree/a", "nowhere");
    scratch_text(&scratch, "tree/a-b", "");
    scratch_text(&scratch, "tree/a.rclonelink", "");
    scratch_link(&scratch, "tree/b", "nowhere");
    scratch_dir(&scratch, "tree/b.rclonelink");
    scratch_link(&scratch, "tree/c", "nowhere");
    scratch_link(&scratch, "tree/c.rclonelink", "nowhere");
    open_tree(false);
    const struct crawl_options options = { .crawlers = 1 };
    assert_int_equal(find(&options, "a").reason, REASON_COLLISION);
    assert_int_equal(find(&options, "a.rclonelink").reason, REASON_NONE);
    assert_int_equal(find(&options, "b").reason, REASON_COLLISION);
    assert_int_equal(find(&options, "c").reason, REASON_NONE);
    assert_int_equal(crawl_into(&got, &options), ERR_NONE);
    assert_int_equal(got.count, 7);
    for (size_t i = 1; i < got.count; i++)
        assert_true(strcmp(got.items[i - 1], got.items[i]) <= 0);
}

/* As a user who may not read everything. */
static bool drop_root(void)
{
    return geteuid() != 0 || seteuid(65534) == 0;
}

static void test_unreadable_directory_is_told_and_the_rest_is_walked(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/a/f", "");
    scratch_text(&scratch, "tree/b/f", "");
    scratch_text(&scratch, "tree/c/f", "");
    scratch_text(&scratch, "tree/d/f", "");
    open_tree(false);
    assert_int_equal(fchmodat(scratch.fd, "tree/b", 0, 0), 0);
    assert_int_equal(fchmodat(scratch.fd, "tree/c", 0444, 0), 0); /* names, but no more */
    const uid_t before = geteuid();
    if (!drop_root())
        skip();
    for (uint32_t crawlers = 1; crawlers <= 4; crawlers++) {
        const struct crawl_options options = { .crawlers = crawlers };
        assert_int_equal(crawl_into(&got, &options), ERR_NONE);
        expect_text(&got, "a/ a/f b/ c/ c/f d/ d/f");
        const struct crawl_item dir = find(&options, "b/");
        assert_int_equal(dir.reason, REASON_UNREADABLE);
        assert_int_equal(dir.sys, EACCES);
        assert_int_equal(find(&options, "c/").reason, REASON_NONE);
        const struct crawl_item file = find(&options, "c/f");
        assert_int_equal(file.kind, ENTRY_UNREADABLE);
        assert_int_equal(file.reason, REASON_UNREADABLE);
        assert_int_equal(file.sys, EACCES);
    }
    assert_int_equal(seteuid(before), 0);
}

static void test_unreadable_root_is_an_error(void **state)
{
    (void)state;
    open_tree(false);
    /* Opened already, but gone. */
    assert_int_equal(unlinkat(scratch.fd, "tree", AT_REMOVEDIR), 0);
    const enum err_kind kind = crawl_into(&got, &(struct crawl_options){ .crawlers = 1 });
    assert_true(kind == ERR_NONE || kind == ERR_ABSENT || kind == ERR_SOURCE);
    assert_int_equal(got.count, 0);
}

static void test_other_file_systems_can_be_left_out(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct stat root;
    struct stat proc;
    if (stat("/", &root) < 0 || stat("/proc", &proc) < 0 || root.st_dev == proc.st_dev)
        skip();
    /* The file systems of /dev are many, and small. */
    struct stat dev;
    struct stat shm;
    if (stat("/dev", &dev) < 0 || stat("/dev/shm", &shm) < 0 || dev.st_dev == shm.st_dev)
        skip();
    source_set_done(&set);
    const struct source_options plain = { 0 };
    assert_int_equal(source_set_open(&set, (char *[]){ "/dev" }, 1, &plain, &err), 0);
    const struct crawl_options options = { .crawlers = 1, .one_file_system = true };
    assert_int_equal(find(&options, "shm/").reason, REASON_OTHER_DEVICE);
    const struct crawl_options all = { .crawlers = 1 };
    assert_int_equal(find(&all, "shm/").reason, REASON_NONE);
}

static void test_many_sources_stand_under_their_names(void **state)
{
    (void)state;
    struct err err = { 0 };
    char one[128];
    char two[128];
    scratch_text(&scratch, "x/b/f", "");
    scratch_text(&scratch, "y/a", "text");
    snprintf(one, sizeof one, "%s/x/b", scratch.path);
    snprintf(two, sizeof two, "%s/y/a", scratch.path);
    source_set_done(&set);
    const struct source_options plain = { 0 };
    assert_int_equal(source_set_open(&set, (char *[]){ one, two }, 2, &plain, &err), 0);
    assert_int_equal(crawl_into(&got, &(struct crawl_options){ .crawlers = 2 }), ERR_NONE);
    expect_text(&got, "a b/ b/f");
}

/* ---- filters ---- */

static struct filter *filter_of(const char *rules)
{
    struct filter *filter = NULL;
    struct err err = { 0 };
    assert_int_equal(filter_from_text(&filter, rules, &err), 0);
    return filter;
}

static void expect_filtered(const char *rules, const char *text)
{
    struct filter *filter = filter_of(rules);
    for (uint32_t crawlers = 1; crawlers <= 4; crawlers++) {
        const struct crawl_options options = { .crawlers = crawlers, .filter = filter };
        assert_int_equal(crawl_into(&got, &options), ERR_NONE);
        expect_text(&got, text);
    }
    filter_free(filter);
}

static void test_filter_leaves_out_entries_and_directories_without_wanted_content(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/a/b/keep.o", "");
    scratch_text(&scratch, "tree/a/b/x.c", "");
    scratch_text(&scratch, "tree/a/y.c", "");
    scratch_text(&scratch, "tree/z.o", "");
    scratch_text(&scratch, "tree/m/only.o", "");
    scratch_dir(&scratch, "tree/empty");
    scratch_dir(&scratch, "tree/n/only/empty.o");
    scratch_dir(&scratch, "tree/o/only/empty/dirs");
    open_tree(false);
    expect_filtered("", "a/ a/b/ a/b/keep.o a/b/x.c a/y.c empty/ m/ m/only.o n/ n/only/ "
                        "n/only/empty.o/ o/ o/only/ o/only/empty/ o/only/empty/dirs/ z.o");
    expect_filtered("- *.o\n", "a/ a/b/ a/b/x.c a/y.c empty/ n/ n/only/ n/only/empty.o/ o/ o/only/ "
                               "o/only/empty/ o/only/empty/dirs/");
    expect_filtered("- /a/b/\n", "a/ a/y.c empty/ m/ m/only.o n/ n/only/ n/only/empty.o/ o/ "
                                 "o/only/ o/only/empty/ o/only/empty/dirs/ z.o");
    expect_filtered("+ keep.o\n- *\n", "a/ a/b/ a/b/keep.o");
    expect_filtered("- *\n", "");
}

static void expect_rest_after_each_key(const char *rules)
{
    struct filter *filter = filter_of(rules);
    struct keys all = { 0 };
    assert_int_equal(crawl_into(&all, &(struct crawl_options){ .crawlers = 1, .filter = filter }),
                     ERR_NONE);
    assert_true(all.count > 10 && all.count < want.count);
    for (size_t i = 0; i < all.count; i++) {
        const struct crawl_options options = { .crawlers = (uint32_t)(i % 3),
                                               .filter = filter,
                                               .start_after = all.items[i] };
        assert_int_equal(crawl_into(&got, &options), ERR_NONE);
        for (size_t k = 0; k < got.count && i + 1 + k < all.count; k++)
            assert_string_equal(got.items[k], all.items[i + 1 + k]);
        assert_int_equal(got.count, all.count - i - 1);
    }
    keys_done(&all);
    filter_free(filter);
}

static void test_filtered_crawl_goes_on_after_any_key(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        make_random_tree(seed, &want);
    open_tree(false);
    expect_rest_after_each_key("- *a*x\n- c*/\n");
    expect_rest_after_each_key("+ *ax\n+ *0x\n- *\n");
}

/* ---- files-from ---- */

static enum err_kind crawl_list(const char *list, size_t len, bool nul)
{
    scratch_write(&scratch, "list", list, len);
    const struct crawl_options options = { .crawlers = 1,
                                           .files_from = scratch_path(&scratch, "list"),
                                           .files_from_nul = nul };
    return crawl_into(&got, &options);
}
#define LIST(text, nul) crawl_list(text, sizeof(text) - 1, nul)

static void test_listed_files_come_once_in_order(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/a/b", "12345");
    scratch_text(&scratch, "tree/a-b", "");
    scratch_text(&scratch, "tree/c\nd", "");
    scratch_text(&scratch, "tree/ e", "");
    scratch_dir(&scratch, "tree/dir/sub");
    scratch_link(&scratch, "tree/link", "a/b");
    open_tree(false);
    assert_int_equal(LIST("link\ndir\na/b\n./a//b\n\na-b\r\n/a-b\ndir/\n e", false), ERR_NONE);
    expect_text(&got, " e a-b a/b dir/ link.rclonelink");
    assert_int_equal(LIST("c\nd\0a/b\0", true), ERR_NONE);
    expect_text(&got, "a/b c\nd");
    assert_int_equal(LIST("", false), ERR_NONE);
    assert_int_equal(got.count, 0);
}

static void test_listed_file_that_is_missing_is_told(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/f", "");
    open_tree(false);
    assert_int_equal(LIST("f\nnone\nno/such\nf/x\n", false), ERR_NONE);
    expect_text(&got, "f f/x no/such none");
    const struct crawl_options options = { .crawlers = 1,
                                           .files_from = scratch_path(&scratch, "list") };
    assert_int_equal(find(&options, "none").reason, REASON_UNREADABLE);
    assert_int_equal(find(&options, "none").sys, ENOENT);
    assert_int_equal(find(&options, "no/such").reason, REASON_UNREADABLE);
    assert_int_equal(find(&options, "f/x").reason, REASON_UNREADABLE);
    assert_int_equal(find(&options, "f").reason, REASON_NONE);
}

static void test_list_cannot_leave_the_source(void **state)
{
    (void)state;
    scratch_text(&scratch, "outside", "");
    scratch_link(&scratch, "tree/out", "..");
    open_tree(false);
    assert_int_equal(LIST("../outside\n", false), ERR_USAGE);
    assert_int_equal(LIST("a/../../outside\n", false), ERR_USAGE);
    assert_int_equal(LIST("out/outside\n", false), ERR_NONE);
    const struct crawl_options options = { .crawlers = 1,
                                           .files_from = scratch_path(&scratch, "list") };
    assert_int_equal(find(&options, "out/outside").reason, REASON_UNREADABLE);
    const struct crawl_options none = { .crawlers = 1,
                                        .files_from = scratch_path(&scratch, "no-list") };
    assert_true(crawl_into(&got, &none) != ERR_NONE);
}

static void test_list_goes_on_after_any_key(void **state)
{
    (void)state;
    scratch_text(&scratch, "tree/a", "");
    scratch_text(&scratch, "tree/b/c", "");
    scratch_text(&scratch, "tree/d", "");
    open_tree(false);
    scratch_text(&scratch, "list", "d\nb/c\na\n");
    const struct crawl_options options = { .crawlers = 1,
                                           .files_from = scratch_path(&scratch, "list"),
                                           .start_after = "a" };
    assert_int_equal(crawl_into(&got, &options), ERR_NONE);
    expect_text(&got, "b/c d");
}

static void test_listed_link_that_meets_the_name_of_its_object_is_told(void **state)
{
    (void)state;
    scratch_link(&scratch, "tree/a", "nowhere");
    scratch_text(&scratch, "tree/a.rclonelink", "");
    open_tree(false);
    assert_int_equal(LIST("a\na.rclonelink\n", false), ERR_NONE);
    const struct crawl_options options = { .crawlers = 1,
                                           .files_from = scratch_path(&scratch, "list") };
    assert_int_equal(find(&options, "a").reason, REASON_COLLISION);
    assert_int_equal(find(&options, "a.rclonelink").reason, REASON_NONE);
}

static void test_crawl_can_be_left_at_any_time(void **state)
{
    (void)state;
    make_random_tree(3, &want);
    open_tree(false);
    for (size_t stop_at = 0; stop_at < 60; stop_at++) {
        struct crawl *crawl = NULL;
        struct err err = { 0 };
        const struct crawl_options options = { .sources = &set,
                                               .crawlers = (uint32_t)(stop_at % 4) };
        assert_int_equal(crawl_open(&crawl, &options, &err), 0);
        struct crawl_item item;
        for (size_t i = 0; i < stop_at; i++)
            assert_int_equal(crawl_next(crawl, &item, &err), 1);
        crawl_close(crawl);
    }
    crawl_close(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_order_and_content_are_those_of_a_plain_walk_sorted_by_key),
        CASE(test_start_after_any_key_gives_the_rest),
        CASE(test_names_beside_directories_are_in_key_order),
        CASE(test_very_deep_tree_is_walked),
        CASE(test_huge_flat_directory),
        CASE(test_items_have_the_attributes_of_their_entries),
        CASE(test_links_are_kept_as_links),
        CASE(test_links_are_followed_but_not_in_circles),
        CASE(test_links_are_skipped_with_a_reason),
        CASE(test_link_that_meets_the_name_of_its_object_is_told_and_keys_ascend),
        CASE(test_unreadable_directory_is_told_and_the_rest_is_walked),
        CASE(test_unreadable_root_is_an_error),
        CASE(test_other_file_systems_can_be_left_out),
        CASE(test_many_sources_stand_under_their_names),
        CASE(test_filter_leaves_out_entries_and_directories_without_wanted_content),
        CASE(test_filtered_crawl_goes_on_after_any_key),
        CASE(test_listed_files_come_once_in_order),
        CASE(test_listed_file_that_is_missing_is_told),
        CASE(test_list_cannot_leave_the_source),
        CASE(test_list_goes_on_after_any_key),
        CASE(test_listed_link_that_meets_the_name_of_its_object_is_told),
        CASE(test_crawl_can_be_left_at_any_time),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    keys_done(&want);
    keys_done(&got);
    return failed;
}
