#include "contract.h"

#include "base/clock.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct contract *contract;

static int start(void **state)
{
    *state = contract->open();
    return 0;
}

static int end(void **state)
{
    contract->close(*state);
    return 0;
}

/* ---- helpers ---- */

void contract_make_dir(char path[64])
{
    snprintf(path, 64, "/tmp/lade-store-XXXXXX");
    assert_non_null(mkdtemp(path));
}

void contract_remove_dir(const char *path)
{
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/rm", "rm", "-rf", path, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

static enum err_kind publish(struct store *store, const char *key, const char *tag, bool if_absent)
{
    struct store_staged item = { .key = key, .tag = tag, .if_absent = if_absent };
    store->driver->commit_batch(store, &item, 1);
    return item.err.kind;
}

static enum err_kind put_staged(struct store *store, const struct store_put *put, const void *bytes,
                                size_t len)
{
    struct err err = { 0 };
    struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct body body = body_of_memory(bytes, len, &digest, NULL);
    struct store_result result = { 0 };
    const int done = store->driver->put(store, put, &body, &result, &err);
    digest_done(&digest);
    assert_int_equal(done < 0, err.kind != ERR_NONE);
    return err.kind;
}

enum err_kind contract_try_put(struct store *store, const struct store_put *put, const void *bytes,
                               size_t len)
{
    const enum err_kind kind = put_staged(store, put, bytes, len);
    return kind != ERR_NONE ? kind : publish(store, put->key, put->tag, put->if_absent);
}

void contract_put(struct store *store, const char *key, const char *text)
{
    const struct store_put put = { .key = key, .tag = "c" };
    assert_int_equal(contract_try_put(store, &put, text, strlen(text)), ERR_NONE);
}

static enum err_kind get_range(struct store *store, const char *key, uint64_t offset,
                               uint64_t length, const char *if_match, char text[256])
{
    struct err err = { 0 };
    unsigned char bytes[255];
    struct sink sink = { .fd = -1, .memory = bytes, .memory_bytes = sizeof bytes };
    const int done = store->driver->get(store, key, offset, length, if_match, &sink, NULL, &err);
    assert_int_equal(done < 0, err.kind != ERR_NONE);
    memcpy(text, bytes, sink.done_bytes);
    text[sink.done_bytes] = '\0';
    return err.kind;
}

enum err_kind contract_get(struct store *store, const char *key, char text[256])
{
    return get_range(store, key, 0, UINT64_MAX, "", text);
}

void contract_expect(struct store *store, const char *key, const char *text)
{
    char got[256];
    assert_int_equal(contract_get(store, key, got), ERR_NONE);
    assert_string_equal(got, text);
}

static enum err_kind try_head(struct store *store, const char *key, struct object *object)
{
    struct err err = { 0 };
    const int done = store->driver->head(store, key, object, &err);
    assert_int_equal(done < 0, err.kind != ERR_NONE);
    return err.kind;
}

void contract_expect_absent(struct store *store, const char *key)
{
    char text[256];
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(contract_get(store, key, text), ERR_ABSENT);
    assert_int_equal(try_head(store, key, &object), ERR_ABSENT);
}

void contract_list(struct store *store, const char *prefix, const char *start_after, bool delimited,
                   struct buf *ret_keys)
{
    struct err err = { 0 };
    struct store_list *list = NULL;
    assert_int_equal(store->driver->list_open(&list, store, prefix, start_after, delimited, &err),
                     0);
    SCOPED(object) struct object object = { 0 };
    int more = 0;
    while ((more = store->driver->list_next(list, &object, &err)) > 0) {
        buf_add(ret_keys, object.key.data, object.key.len);
        buf_add_char(ret_keys, '\n');
    }
    assert_int_equal(more, 0);
    store->driver->list_close(list);
}

static void expect_list(struct store *store, const char *prefix, const char *start_after,
                        bool delimited, const char *keys)
{
    SCOPED(buf) struct buf got = { 0 };
    contract_list(store, prefix, start_after, delimited, &got);
    assert_string_equal(buf_text(&got), keys);
}

static void remove_key(struct store *store, const char *key)
{
    struct err err = { 0 };
    struct err each = { 0 };
    assert_int_equal(store->driver->remove(store, &key, 1, &each, &err), 0);
    assert_int_equal(each.kind, ERR_NONE);
}

/* ---- objects ---- */

static void test_put_is_read_back(void **state)
{
    struct store *store = *state;
    contract_put(store, "a/b/file", "hello");
    contract_expect(store, "a/b/file", "hello");
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "a/b/file", &object), ERR_NONE);
    assert_int_equal(object.size_bytes, 5);
    assert_string_equal(buf_text(&object.key), "a/b/file");
    contract_expect_absent(store, "a/b/other");
    contract_expect_absent(store, "a/b/file/below");
    contract_expect_absent(store, "a/b");
}

static void test_put_replaces(void **state)
{
    struct store *store = *state;
    contract_put(store, "file", "a long first text");
    contract_put(store, "file", "second");
    contract_expect(store, "file", "second");
}

static void test_if_absent_keeps_what_is_there(void **state)
{
    struct store *store = *state;
    const struct store_put put = { .key = "d/file", .tag = "t", .if_absent = true };
    assert_int_equal(contract_try_put(store, &put, "one", 3), ERR_NONE);
    assert_int_equal(contract_try_put(store, &put, "two", 3), ERR_CONFLICT);
    contract_expect(store, "d/file", "one");
}

static void test_sizes_zero_and_one(void **state)
{
    struct store *store = *state;
    contract_put(store, "empty", "");
    contract_expect(store, "empty", "");
    contract_put(store, "one", "x");
    contract_expect(store, "one", "x");
}

static void test_ranges(void **state)
{
    struct store *store = *state;
    contract_put(store, "file", "0123456789");
    static const struct {
        uint64_t offset, length;
        const char *text;
    } cases[] = { { 0, 1, "0" },          { 3, 4, "3456" },       { 8, 2, "89" },
                  { 9, UINT64_MAX, "9" }, { 8, 100, "89" },       { 0, 0, "" },
                  { 10, UINT64_MAX, "" }, { 0, 10, "0123456789" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[256];
        assert_int_equal(get_range(store, "file", cases[i].offset, cases[i].length, "", got),
                         ERR_NONE);
        assert_string_equal(got, cases[i].text);
    }
}

static void test_if_match_notices_another_content(void **state)
{
    struct store *store = *state;
    char got[256];
    contract_put(store, "file", "first");
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "file", &object), ERR_NONE);
    assert_true(object.etag[0] != '\0');
    assert_int_equal(get_range(store, "file", 0, UINT64_MAX, object.etag, got), ERR_NONE);
    contract_put(store, "file", "other");
    assert_int_equal(get_range(store, "file", 0, UINT64_MAX, object.etag, got), ERR_CHANGED);
}

static void test_get_tells_the_object(void **state)
{
    struct store *store = *state;
    contract_put(store, "file", "text");
    SCOPED(object) struct object head = { 0 };
    SCOPED(object) struct object seen = { 0 };
    assert_int_equal(try_head(store, "file", &head), ERR_NONE);
    struct err err = { 0 };
    struct sink sink = { .fd = -1 };
    assert_int_equal(store->driver->get(store, "file", 0, UINT64_MAX, "", &sink, &seen, &err), 0);
    assert_string_equal(buf_text(&seen.key), "file");
    assert_string_equal(seen.etag, head.etag);
    assert_int_equal(seen.size_bytes, 4);
}

static void test_result_has_the_etag_of_head(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    struct body body = body_of_memory("abc", 3, NULL, NULL);
    struct store_result result = { 0 };
    const struct store_put put = { .key = "file", .tag = "t" };
    assert_int_equal(store->driver->put(store, &put, &body, &result, &err), 0);
    assert_int_equal(publish(store, "file", "t", false), ERR_NONE);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "file", &object), ERR_NONE);
    assert_string_equal(object.etag, result.etag);
}

static void test_staged_is_invisible_until_commit_batch(void **state)
{
    struct store *store = *state;
    const struct store_put put = { .key = "d/file", .tag = "t" };
    assert_int_equal(put_staged(store, &put, "text", 4), ERR_NONE);
    if (store->limits.is_staged) {
        contract_expect_absent(store, "d/file");
        SCOPED(buf) struct buf keys = { 0 };
        contract_list(store, "", "", false, &keys);
        assert_null(strstr(buf_text(&keys), "t"));
    }
    struct store_staged items[2] = { { .key = "d/file", .tag = "t" },
                                     { .key = "d/bad", .tag = "u", .err.kind = ERR_NET } };
    store->driver->commit_batch(store, items, 2);
    assert_int_equal(items[0].err.kind, ERR_NONE);
    assert_int_equal(items[1].err.kind, ERR_NET);
    contract_expect(store, "d/file", "text");
    contract_expect_absent(store, "d/bad");
}

static void test_clean_removes_what_was_not_committed(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    const struct store_put put = { .key = "file", .tag = "t" };
    assert_int_equal(store->driver->clean(store, "no/such", "t", &err), 0);
    assert_int_equal(put_staged(store, &put, "text", 4), ERR_NONE);
    struct store *later = contract->open_again();
    assert_int_equal(later->driver->clean(later, "file", "t", &err), 0);
    later->driver->close(later);
    if (store->limits.is_staged)
        assert_true(publish(store, "file", "t", false) != ERR_NONE);
}

static void test_remove_takes_absent_as_removed(void **state)
{
    struct store *store = *state;
    static const char *const keys[] = { "a/one", "none", "a/two", "no/such/thing", "a/b/" };
    contract_put(store, "a/one", "1");
    contract_put(store, "a/two", "2");
    contract_put(store, "a/b/three", "3");
    struct err err = { 0 };
    struct err errs[5] = { 0 };
    assert_int_equal(store->driver->remove(store, keys, 4, errs, &err), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(errs[i].kind, ERR_NONE);
    contract_expect_absent(store, "a/one");
    contract_expect_absent(store, "a/two");
    contract_expect(store, "a/b/three", "3");
    remove_key(store, "a/b/three");
    remove_key(store, "a/b/");
    contract_put(store, "a/b/three", "again");
    contract_expect(store, "a/b/three", "again");
}

static void test_copy_has_the_same_bytes(void **state)
{
    struct store *store = *state;
    contract_put(store, "from", "to be copied");
    struct err err = { 0 };
    struct store_result result = { 0 };
    const struct store_put put = { .key = "d/to", .tag = "t" };
    assert_int_equal(store->driver->copy(store, "from", &put, &result, &err), 0);
    assert_int_equal(publish(store, "d/to", "t", false), ERR_NONE);
    contract_expect(store, "d/to", "to be copied");
    contract_expect(store, "from", "to be copied");
    assert_int_equal(store->driver->copy(store, "none", &put, &result, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
}

/* ---- attributes ---- */

static const struct attr some_attr = { .kind = ENTRY_FILE,
                                       .have = ATTR_MODE | ATTR_MTIME,
                                       .mode = 0640,
                                       .mtime_ns = INT64_C(1234567890123456789) };

static void expect_attr(const struct attr *got, const struct attr *want)
{
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->have & want->have, want->have);
    if ((want->have & ATTR_MODE) != 0)
        assert_int_equal(got->mode, want->mode);
    if ((want->have & ATTR_MTIME) != 0)
        assert_int_equal(got->mtime_ns, want->mtime_ns);
    if ((want->have & ATTR_OWNER) != 0)
        assert_true(got->uid == want->uid && got->gid == want->gid);
}

static void test_attributes_are_kept_and_listed(void **state)
{
    struct store *store = *state;
    struct attr attr = some_attr;
    attr.have |= ATTR_OWNER;
    attr.uid = getuid();
    attr.gid = getgid();
    const struct store_meta meta = { "project", "x y" };
    const struct store_put put = {
        .key = "file", .tag = "t", .attr = &attr, .meta = &meta, .meta_count = 1
    };
    assert_int_equal(contract_try_put(store, &put, "text", 4), ERR_NONE);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "file", &object), ERR_NONE);
    expect_attr(&object.attr, &attr);
    if ((object.attr.have & ATTR_CRC64) != 0)
        assert_true(object.attr.crc64 == crc64nvme(0, "text", 4));
    if (!store->limits.lists_attr)
        return;
    struct err err = { 0 };
    struct store_list *list = NULL;
    assert_int_equal(store->driver->list_open(&list, store, "", "", false, &err), 0);
    assert_int_equal(store->driver->list_next(list, &object, &err), 1);
    expect_attr(&object.attr, &attr);
    assert_int_equal(object.size_bytes, 4);
    store->driver->list_close(list);
}

static void test_kinds_are_told_apart(void **state)
{
    struct store *store = *state;
    static const struct {
        const char *key;
        enum entry_kind kind;
    } cases[] = { { "file", ENTRY_FILE },
                  { "link" LINK_SUFFIX, ENTRY_LINK },
                  { "plain" LINK_SUFFIX, ENTRY_FILE } };
    for (size_t i = 0; i < 3; i++) {
        const struct attr attr = { .kind = cases[i].kind };
        const struct store_put put = { .key = cases[i].key, .tag = "t", .attr = &attr };
        assert_int_equal(contract_try_put(store, &put, "target", 6), ERR_NONE);
    }
    struct err err = { 0 };
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(store->driver->list_open(&list, store, "", "", false, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(store->driver->list_next(list, &object, &err), 1);
        assert_string_equal(object.key.data, cases[i].key);
        if (store->limits.lists_attr)
            assert_int_equal(object.attr.kind, cases[i].kind);
        assert_int_equal(try_head(store, cases[i].key, &object), ERR_NONE);
        assert_int_equal(object.attr.kind, cases[i].kind);
    }
    store->driver->list_close(list);
}

static void test_directories_are_objects_with_attributes(void **state)
{
    struct store *store = *state;
    if (!store->limits.is_tree)
        skip();
    struct attr attr = some_attr;
    attr.kind = ENTRY_DIR;
    attr.mode = 0550;
    const struct store_put put = { .key = "d/e/", .tag = "t", .attr = &attr };
    assert_int_equal(contract_try_put(store, &put, "", 0), ERR_NONE);
    contract_put(store, "d/e/file", "text");
    struct err err = { 0 };
    assert_int_equal(store->driver->set_attr(store, "d/e/", &attr, &err), 0);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "d/e/", &object), ERR_NONE);
    expect_attr(&object.attr, &attr);
    assert_int_equal(try_head(store, "d/e", &object), ERR_ABSENT);
    assert_int_equal(try_head(store, "d/e/file/", &object), ERR_ABSENT);
    expect_list(store, "", "", false, "d/\nd/e/\nd/e/file\n");
    /* So that whoever runs the test can remove it. */
    attr.mode = 0750;
    assert_int_equal(store->driver->set_attr(store, "d/e/", &attr, &err), 0);
}

/* ---- parts ---- */

#define PART_COUNT 4

/* Three parts of the smallest size and a rest; zeros in between. */
static unsigned char *make_large(const struct store *store, size_t *ret_part_bytes,
                                 size_t *ret_total_bytes)
{
    size_t part_bytes = (size_t)store->limits.min_part_bytes;
    if (part_bytes < 16384)
        part_bytes = 16384;
    const size_t total_bytes = 3 * part_bytes + 777;
    unsigned char *bytes = mem_alloc(total_bytes);
    for (size_t i = 0; i < total_bytes; i++)
        bytes[i] = i / 5000 % 2 == 0 ? (unsigned char)(i * 7 + i / 251) : 0;
    *ret_part_bytes = part_bytes;
    *ret_total_bytes = total_bytes;
    return bytes;
}

static void send_part(struct store *store, const struct store_put *put, const char *token,
                      const unsigned char *bytes, size_t part_bytes, size_t total_bytes,
                      uint32_t number, struct store_part *parts)
{
    struct err err = { 0 };
    struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    const size_t at = (number - 1) * part_bytes;
    const size_t len = total_bytes - at < part_bytes ? total_bytes - at : part_bytes;
    struct body body = body_of_memory(bytes + at, len, &digest, NULL);
    assert_int_equal(
        store->driver->part(store, put, token, number, at, &body, &parts[number - 1], &err), 0);
    assert_int_equal(parts[number - 1].number, number);
    assert_int_equal(parts[number - 1].size_bytes, len);
    assert_true(parts[number - 1].crc64 == crc64nvme(0, bytes + at, len));
    digest_done(&digest);
}

static void expect_bytes(struct store *store, const char *key, const unsigned char *bytes,
                         size_t len)
{
    struct err err = { 0 };
    unsigned char *got = mem_alloc(len);
    struct sink sink = { .fd = -1, .memory = got, .memory_bytes = len };
    assert_int_equal(store->driver->get(store, key, 0, UINT64_MAX, "", &sink, NULL, &err), 0);
    assert_int_equal(sink.done_bytes, len);
    assert_memory_equal(got, bytes, len);
    mem_release(got);
}

static void test_parts_in_any_order_by_several_processes(void **state)
{
    struct store *store = *state;
    size_t part_bytes = 0;
    size_t total_bytes = 0;
    unsigned char *bytes = make_large(store, &part_bytes, &total_bytes);
    const struct store_put put = { .key = "d/large", .tag = "t", .attr = &some_attr };
    char token[STORE_TOKEN_MAX] = "";
    struct err err = { 0 };
    struct store_part parts[PART_COUNT] = { 0 };
    assert_int_equal(store->driver->begin(store, &put, total_bytes, token, &err), 0);
    send_part(store, &put, token, bytes, part_bytes, total_bytes, 3, parts);
    send_part(store, &put, token, bytes, part_bytes, total_bytes, 1, parts);
    contract_expect_absent(store, "d/large");

    struct store *later = contract->open_again();
    send_part(later, &put, token, bytes, part_bytes, total_bytes, 4, parts);
    /* A part that was sent before, with other bytes: the last one counts. */
    unsigned char *wrong = mem_alloc(total_bytes);
    memset(wrong, 'w', total_bytes);
    send_part(later, &put, token, wrong, part_bytes, total_bytes, 2, parts);
    mem_release(wrong);
    send_part(later, &put, token, bytes, part_bytes, total_bytes, 2, parts);
    struct store_result result = { 0 };
    assert_int_equal(later->driver->commit(later, &put, token, parts, PART_COUNT, &result, &err),
                     0);
    assert_int_equal(publish(later, "d/large", "t", false), ERR_NONE);
    expect_bytes(store, "d/large", bytes, total_bytes);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "d/large", &object), ERR_NONE);
    expect_attr(&object.attr, &some_attr);
    assert_string_equal(object.etag, result.etag);
    later->driver->close(later);
    mem_release(bytes);
}

/* Part i of one that grows: all but the last are at least the least, and each has another size. */
static size_t growing_bytes(const struct store *store, uint32_t number)
{
    const uint64_t least = store->limits.min_part_bytes;
    static const size_t more[] = { 70000, 0, 1, 12345 };
    return number == 5 ? 1 : (size_t)(least < 4096 ? 4096 : least) + more[number - 1];
}

/* Its size is not known when it begins; parts are of any size and come in any order. */
static void test_object_that_grows(void **state)
{
    struct store *store = *state;
    enum { COUNT = 5 };
    size_t at[COUNT + 1] = { 0 };
    for (uint32_t i = 0; i < COUNT; i++)
        at[i + 1] = at[i] + growing_bytes(store, i + 1);
    unsigned char *bytes = mem_alloc(at[COUNT]);
    for (size_t i = 0; i < at[COUNT]; i++)
        bytes[i] = (unsigned char)(i * 13 + i / 257);
    const struct store_put put = { .key = "d/growing", .tag = "t", .attr = &some_attr };
    static const uint32_t order[COUNT] = { 3, 1, 5, 2, 4 };
    char token[STORE_TOKEN_MAX] = "";
    struct store_part parts[COUNT] = { 0 };
    struct store_result result = { 0 };
    struct err err = { 0 };
    assert_int_equal(store->driver->begin(store, &put, STORE_GROWS, token, &err), 0);
    struct store *later = contract->open_again();
    for (size_t i = 0; i < COUNT; i++) {
        const uint32_t number = order[i];
        struct store *by = i % 2 != 0 ? later : store;
        const size_t len = at[number] - at[number - 1];
        struct digest digest;
        assert_int_equal(digest_init(&digest, 0, &err), 0);
        struct body body = body_of_memory(bytes + at[number - 1], len, &digest, NULL);
        assert_int_equal(by->driver->part(by, &put, token, number, at[number - 1], &body,
                                          &parts[number - 1], &err),
                         0);
        assert_int_equal(parts[number - 1].size_bytes, len);
        digest_done(&digest);
    }
    contract_expect_absent(store, "d/growing");
    assert_int_equal(later->driver->commit(later, &put, token, parts, COUNT, &result, &err), 0);
    assert_int_equal(publish(later, "d/growing", "t", false), ERR_NONE);
    expect_bytes(store, "d/growing", bytes, at[COUNT]);
    SCOPED(object) struct object object = { 0 };
    assert_int_equal(try_head(store, "d/growing", &object), ERR_NONE);
    assert_int_equal(object.size_bytes, at[COUNT]);
    expect_attr(&object.attr, &some_attr);
    later->driver->close(later);
    mem_release(bytes);
}

static void test_object_that_grew_can_be_aborted(void **state)
{
    struct store *store = *state;
    const struct store_put put = { .key = "d/growing", .tag = "t", .attr = &some_attr };
    char token[STORE_TOKEN_MAX] = "";
    struct store_part part = { 0 };
    struct digest digest;
    struct err err = { 0 };
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct body body = body_of_memory("text", 4, &digest, NULL);
    assert_int_equal(store->driver->begin(store, &put, STORE_GROWS, token, &err), 0);
    assert_int_equal(store->driver->part(store, &put, token, 1, 0, &body, &part, &err), 0);
    digest_done(&digest);
    assert_int_equal(store->driver->abort(store, put.key, token, &err), 0);
    contract_expect_absent(store, "d/growing");
    expect_list(store, "", "", false, store->limits.is_tree ? "d/\n" : "");
}

static void test_abort_leaves_nothing(void **state)
{
    struct store *store = *state;
    size_t part_bytes = 0;
    size_t total_bytes = 0;
    unsigned char *bytes = make_large(store, &part_bytes, &total_bytes);
    const struct store_put put = { .key = "large", .tag = "t" };
    char token[STORE_TOKEN_MAX] = "";
    struct err err = { 0 };
    struct store_part parts[PART_COUNT] = { 0 };
    assert_int_equal(store->driver->begin(store, &put, total_bytes, token, &err), 0);
    send_part(store, &put, token, bytes, part_bytes, total_bytes, 1, parts);
    assert_int_equal(store->driver->abort(store, "large", token, &err), 0);
    contract_expect_absent(store, "large");
    expect_list(store, "", "", false, "");
    /* Again, as after a lost answer. */
    assert_int_equal(store->driver->abort(store, "large", token, &err), 0);
    struct body body = body_of_memory(bytes, part_bytes, NULL, NULL);
    assert_int_equal(store->driver->part(store, &put, token, 1, 0, &body, &parts[0], &err), -1);
    mem_release(bytes);
}

static void test_commit_with_a_missing_part_fails(void **state)
{
    struct store *store = *state;
    size_t part_bytes = 0;
    size_t total_bytes = 0;
    unsigned char *bytes = make_large(store, &part_bytes, &total_bytes);
    const struct store_put put = { .key = "large", .tag = "t" };
    char token[STORE_TOKEN_MAX] = "";
    struct err err = { 0 };
    struct store_part parts[PART_COUNT] = { 0 };
    struct store_result result = { 0 };
    assert_int_equal(store->driver->begin(store, &put, total_bytes, token, &err), 0);
    send_part(store, &put, token, bytes, part_bytes, total_bytes, 1, parts);
    assert_int_equal(store->driver->commit(store, &put, token, parts, 1, &result, &err), -1);
    contract_expect_absent(store, "large");
    err_clear(&err);
    assert_int_equal(store->driver->clean(store, "large", "t", &err), 0);
    mem_release(bytes);
}

/* ---- listing ---- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, and without doubles; with the directories that a tree has. */
struct names {
    char *at[1024];
    size_t count;
};

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_release(names->at[i]);
}

static void add_parents(struct names *names, const char *key)
{
    for (const char *slash = strchr(key, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        struct buf parent = { 0 };
        buf_add(&parent, key, (size_t)(slash - key) + 1);
        names->at[names->count++] = buf_take(&parent);
    }
}

static void sort_names(struct names *names)
{
    qsort(names->at, names->count, sizeof *names->at, compare_texts);
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (kept != 0 && strcmp(names->at[kept - 1], names->at[i]) == 0)
            mem_release(names->at[i]);
        else
            names->at[kept++] = names->at[i];
    }
    names->count = kept;
}

/* Files have a component 'f…', directories 'd…', so no file is in the way of a directory. */
static void make_random_names(struct store *store, struct names *names)
{
    static const char odd[] = "-./ !0Az~\x01\xff";
    unsigned seed = 20260101;
    for (int i = 0; i < 150; i++) {
        struct buf key = { 0 };
        const int depth = rand_r(&seed) % 4;
        for (int level = 0; level <= depth; level++) {
            buf_add_text(&key, level == depth ? "f" : "d");
            for (int n = rand_r(&seed) % 3; n > 0; n--) {
                const char c = odd[(size_t)rand_r(&seed) % (sizeof odd - 1)];
                buf_add_char(&key, c == '/' ? '+' : c);
            }
            if (level < depth)
                buf_add_char(&key, '/');
        }
        struct err err = { 0 };
        struct buf mapped = { 0 };
        assert_int_equal(store->driver->map_key(store, key.data, &mapped, &err), 0);
        buf_done(&key);
        contract_put(store, mapped.data, "x");
        if (store->limits.is_tree)
            add_parents(names, mapped.data);
        names->at[names->count++] = buf_take(&mapped);
    }
    sort_names(names);
}

static void expect_names(struct store *store, const struct names *names, const char *prefix,
                         const char *start_after)
{
    SCOPED(buf) struct buf want = { 0 };
    for (size_t i = 0; i < names->count; i++)
        if (strncmp(names->at[i], prefix, strlen(prefix)) == 0 &&
            strcmp(names->at[i], start_after) > 0)
            buf_printf(&want, "%s\n", names->at[i]);
    expect_list(store, prefix, start_after, false, buf_text(&want));
}

static void test_listing_is_in_the_order_of_bytes(void **state)
{
    struct store *store = *state;
    SCOPED(names) struct names names = { 0 };
    make_random_names(store, &names);
    expect_names(store, &names, "", "");
}

static void test_listing_starts_after_any_key(void **state)
{
    struct store *store = *state;
    SCOPED(names) struct names names = { 0 };
    make_random_names(store, &names);
    for (size_t i = 0; i < names.count; i++) {
        expect_names(store, &names, "", names.at[i]);
        SCOPED(buf) struct buf between = { 0 };
        buf_printf(&between, "%s ", names.at[i]);
        expect_names(store, &names, "", between.data);
        buf_cut(&between, between.len - 2);
        expect_names(store, &names, "", between.data);
        expect_names(store, &names, "d", names.at[i]);
    }
}

static void test_listing_of_any_prefix(void **state)
{
    struct store *store = *state;
    SCOPED(names) struct names names = { 0 };
    make_random_names(store, &names);
    for (size_t i = 0; i < names.count; i++) {
        SCOPED(buf) struct buf prefix = { 0 };
        buf_add_text(&prefix, names.at[i]);
        for (size_t len = prefix.len; len > 0; len--) {
            buf_cut(&prefix, len);
            expect_names(store, &names, prefix.data, "");
        }
        expect_names(store, &names, names.at[i], names.at[names.count / 2]);
    }
}

static void test_delimited_listing_shows_one_level(void **state)
{
    struct store *store = *state;
    contract_put(store, "a/b/c/one", "1");
    contract_put(store, "a/b/two", "2");
    contract_put(store, "a/bz", "3");
    contract_put(store, "top", "4");
    expect_list(store, "", "", true, "a/\ntop\n");
    expect_list(store, "", "a/", true, "top\n");
    expect_list(store, "a/b", "", true, "a/b/\na/bz\n");
    SCOPED(buf) struct buf keys = { 0 };
    contract_list(store, "a/b/", "", true, &keys);
    const char *got = buf_text(&keys);
    if (store->limits.is_tree) {
        assert_true(strncmp(got, "a/b/\n", 5) == 0);
        got += 5;
    }
    assert_string_equal(got, "a/b/c/\na/b/two\n");
}

static void test_missing_prefix_lists_nothing(void **state)
{
    struct store *store = *state;
    contract_put(store, "a/file", "1");
    static const char *const prefixes[] = {
        "none", "none/", "a/file/", "a//", "/", "a/../a/", "b/c"
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        expect_list(store, prefixes[i], "", false, "");
        expect_list(store, prefixes[i], "", true, "");
    }
}

/* ---- names ---- */

static void test_odd_names_are_kept(void **state)
{
    struct store *store = *state;
    char longest[256];
    memset(longest, 'l', 255);
    longest[255] = '\0';
    const char *const names[] = { "\xff\xfe invalid",
                                  "new\nline",
                                  " space ",
                                  "'\"`$(x)*?[a]",
                                  "\x01\x7f\t\r",
                                  "-rf",
                                  "\xc3\xa4\xe6\x97\xa5",
                                  "%2F+&#",
                                  "...",
                                  "..a",
                                  "a.",
                                  "\\",
                                  longest };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct err err = { 0 };
        SCOPED(buf) struct buf key = { 0 };
        SCOPED(buf) struct buf rel = { 0 };
        assert_int_equal(store->driver->map_key(store, names[i], &key, &err), 0);
        assert_int_equal(store->driver->unmap_key(store, key.data, &rel, &err), 0);
        assert_string_equal(rel.data, names[i]);
        contract_put(store, key.data, "odd");
        contract_expect(store, key.data, "odd");
        SCOPED(buf) struct buf keys = { 0 };
        contract_list(store, key.data, "", false, &keys);
        buf_add_char(&key, '\n');
        assert_string_equal(buf_text(&keys), key.data);
        buf_cut(&key, key.len - 1);
        remove_key(store, key.data);
        contract_expect_absent(store, key.data);
    }
}

static void test_deep_paths(void **state)
{
    struct store *store = *state;
    SCOPED(buf) struct buf key = { 0 };
    while (key.len < 5000 && key.len + 14 <= store->limits.max_key_bytes)
        buf_add_text(&key, "directory/");
    buf_add_text(&key, "file");
    contract_put(store, key.data, "deep");
    contract_expect(store, key.data, "deep");
    SCOPED(buf) struct buf keys = { 0 };
    contract_list(store, key.data, "", false, &keys);
    assert_int_equal(keys.len, key.len + 1);
    buf_clear(&keys);
    contract_list(store, "", "", false, &keys);
    assert_true(keys.len > key.len && strstr(keys.data, "/file\n") != NULL);
    remove_key(store, key.data);
    contract_expect_absent(store, key.data);
}

static void test_names_beyond_the_limits_are_refused(void **state)
{
    struct store *store = *state;
    SCOPED(buf) struct buf rel = { 0 };
    for (uint32_t i = 0; i <= store->limits.max_key_bytes; i++)
        buf_add_text(&rel, i % 100 == 99 ? "/" : "x");
    SCOPED(buf) struct buf key = { 0 };
    struct err err = { 0 };
    assert_int_equal(store->driver->map_key(store, rel.data, &key, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    if (store->limits.max_component_bytes == 0)
        return;
    err_clear(&err);
    memset(rel.data, 'x', rel.len);
    buf_cut(&rel, store->limits.max_component_bytes + 1);
    assert_int_equal(store->driver->map_key(store, rel.data, &key, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void test_probe_and_empty_store(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    assert_int_equal(store->driver->probe(store, &err), 0);
    expect_list(store, "", "", false, "");
    store->driver->commit_batch(store, NULL, 0);
}

static void test_everything_is_taken(void **state)
{
    struct store *store = *state;
    struct err err = { 0 };
    struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct body body = body_of_memory("text", 4, &digest, NULL);
    struct store_result result = { 0 };
    const struct store_put put = { .key = "a/file", .tag = "t" };
    assert_int_equal(store->driver->put(store, &put, &body, &result, &err), 0);
    assert_int_equal(body.done_bytes, 4);
    struct digest_value value;
    digest_value(&digest, &value);
    assert_true(value.crc64 == crc64nvme(0, "text", 4));
    digest_done(&digest);
    char token[STORE_TOKEN_MAX] = "";
    struct store_part part = { 0 };
    body_rewind(&body);
    body.digest = NULL;
    assert_int_equal(store->driver->begin(store, &put, 4, token, &err), 0);
    assert_int_equal(store->driver->part(store, &put, token, 1, 0, &body, &part, &err), 0);
    assert_int_equal(store->driver->commit(store, &put, token, &part, 1, &result, &err), 0);
    assert_int_equal(publish(store, "a/file", "t", false), ERR_NONE);
    assert_int_equal(store->driver->clean(store, "a/file", "t", &err), 0);
    remove_key(store, "a/file");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int contract_run(const struct contract *of)
{
    contract = of;
    struct store *store = of->open();
    const bool keeps_data = store->limits.keeps_data;
    of->close(store);
    const struct CMUnitTest always[] = {
        CASE(test_probe_and_empty_store),
        CASE(test_everything_is_taken),
        CASE(test_names_beyond_the_limits_are_refused),
    };
    const struct CMUnitTest kept[] = {
        CASE(test_put_is_read_back),
        CASE(test_put_replaces),
        CASE(test_if_absent_keeps_what_is_there),
        CASE(test_sizes_zero_and_one),
        CASE(test_ranges),
        CASE(test_if_match_notices_another_content),
        CASE(test_get_tells_the_object),
        CASE(test_result_has_the_etag_of_head),
        CASE(test_staged_is_invisible_until_commit_batch),
        CASE(test_clean_removes_what_was_not_committed),
        CASE(test_remove_takes_absent_as_removed),
        CASE(test_copy_has_the_same_bytes),
        CASE(test_attributes_are_kept_and_listed),
        CASE(test_kinds_are_told_apart),
        CASE(test_directories_are_objects_with_attributes),
        CASE(test_parts_in_any_order_by_several_processes),
        CASE(test_object_that_grows),
        CASE(test_object_that_grew_can_be_aborted),
        CASE(test_abort_leaves_nothing),
        CASE(test_commit_with_a_missing_part_fails),
        CASE(test_listing_is_in_the_order_of_bytes),
        CASE(test_listing_starts_after_any_key),
        CASE(test_listing_of_any_prefix),
        CASE(test_delimited_listing_shows_one_level),
        CASE(test_missing_prefix_lists_nothing),
        CASE(test_odd_names_are_kept),
        CASE(test_deep_paths),
    };
    int failed = cmocka_run_group_tests_name("always", always, NULL, NULL);
    if (keeps_data)
        failed += cmocka_run_group_tests_name("kept", kept, NULL, NULL);
    return failed;
}
