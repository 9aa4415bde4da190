#include "pack/tar.h"

#include "base/ban.h"
#include "base/scope.h"
#include "base/xattr.h"
#include "pack/posix_acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct pack_member file_of(const char *path)
{
    return (struct pack_member){ .path = path,
                                 .path_len = (uint32_t)strlen(path),
                                 .kind = PACK_FILE,
                                 .mode = 0644,
                                 .uid = 1000,
                                 .gid = 100,
                                 .size_bytes = 5 };
}

static void test_a_plain_member_needs_one_block(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct pack_member member = file_of("dir/name");
    member.mtime_ns = INT64_C(1500000000) * 1000000000;
    tar_header(&member, &out);
    assert_int_equal(out.len, TAR_BLOCK);
    assert_string_equal(out.data, "dir/name");
    assert_string_equal(out.data + 100, "0000644");
    assert_string_equal(out.data + 108, "0001750");
    assert_string_equal(out.data + 116, "0000144");
    assert_string_equal(out.data + 124, "00000000005");
    assert_string_equal(out.data + 136, "13132027400");
    assert_int_equal(out.data[156], '0');
    assert_memory_equal(out.data + 257, "ustar\00000", 8);
    unsigned sum = 8 * ' ';
    for (unsigned i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? 0 : (unsigned char)out.data[i];
    char text[8];
    snprintf(text, sizeof text, "%06o", sum);
    assert_memory_equal(out.data + 148, text, 7);
    assert_int_equal(out.data[155], ' ');
}

static void test_what_ustar_cannot_say_is_before_it(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    struct pack_member member = file_of("a");
    member.mtime_ns = -1500000000;
    member.uid = 2097152;
    member.size_bytes = UINT64_C(1) << 33;
    tar_header(&member, &out);
    assert_int_equal(out.len, 3 * TAR_BLOCK);
    assert_int_equal(out.data[156], 'x');
    assert_string_equal(out.data + TAR_BLOCK, "22 mtime=-1.500000000\n"
                                              "15 uid=2097152\n"
                                              "19 size=8589934592\n");
    assert_string_equal(out.data + 2 * TAR_BLOCK, "a");
    buf_clear(&out);
    member = file_of("a");
    member.uid = 2097151;
    member.size_bytes = (UINT64_C(1) << 33) - 1;
    tar_header(&member, &out);
    assert_int_equal(out.len, TAR_BLOCK);
}

/* A name of so many bytes with a '/' at `slash`: how many blocks its header has. */
static size_t blocks_of(size_t len, size_t slash, enum pack_kind kind)
{
    char name[400];
    SCOPED(buf) struct buf out = { 0 };
    memset(name, 'n', sizeof name);
    name[len] = '\0';
    if (slash != 0)
        name[slash] = '/';
    struct pack_member member = file_of(name);
    member.kind = kind;
    tar_header(&member, &out);
    return out.len / TAR_BLOCK;
}

static void test_long_names_are_cut_or_put_before_it(void **state)
{
    (void)state;
    assert_int_equal(blocks_of(100, 0, PACK_FILE), 1);
    assert_int_equal(blocks_of(101, 0, PACK_FILE), 3);
    assert_int_equal(blocks_of(99, 0, PACK_DIR), 1);
    assert_int_equal(blocks_of(100, 0, PACK_DIR), 3);
    assert_int_equal(blocks_of(101, 1, PACK_FILE), 1);
    assert_int_equal(blocks_of(256, 155, PACK_FILE), 1);
    assert_int_equal(blocks_of(256, 156, PACK_FILE), 3);
    assert_int_equal(blocks_of(256, 154, PACK_FILE), 3);
    assert_int_equal(blocks_of(257, 155, PACK_FILE), 3);
}

static void test_maps_come_back(void **state)
{
    (void)state;
    static const struct pack_extent extents[] = { { 0, 5 }, { 4096, 1000 }, { 1 << 20, 1 } };
    SCOPED(buf) struct buf map = { 0 };
    SCOPED(buf) struct buf got = { 0 };
    struct err err = { 0 };
    size_t map_bytes = 0;
    struct pack_member member = file_of("a");
    member.sparse = true;
    member.extents = extents;
    for (size_t count = 0; count <= 3; count++) {
        member.extent_count = count;
        member.size_bytes = (1 << 20) + 1;
        buf_clear(&map);
        tar_map(&member, &map);
        assert_int_equal(map.len, tar_map_bytes(&member));
        const uint64_t stored = tar_stored_bytes(&member);
        assert_int_equal(
            tar_read_map(map.data, map.len, member.size_bytes, stored, &got, &map_bytes, &err), 1);
        assert_int_equal(map_bytes, map.len);
        assert_true(got.len >= count * sizeof *extents);
        assert_memory_equal(got.data, extents, count * sizeof *extents);
    }
    /* Not all of it: more is asked for, as long as there is more. */
    const uint64_t stored = tar_stored_bytes(&member);
    assert_int_equal(tar_read_map(map.data, 5, member.size_bytes, stored, &got, &map_bytes, &err),
                     0);
    assert_int_equal(tar_read_map(map.data, 5, member.size_bytes, 5, &got, &map_bytes, &err), -1);
    assert_int_equal(err.kind, ERR_CORRUPT);
}

static void test_bad_maps_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x\n",
        "\n",
        "-1\n",
        "1\n0\n11\n",
        "1\n11\n0\n",
        "2\n5\n1\n4\n1\n",
        "1\n0\n9\n",
        "99999999999999999999\n",
        "4000000000\n0\n0\n",
        "1\n0\nx\n",
        "1 \n0\n5\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char block[TAR_BLOCK] = { 0 };
        SCOPED(buf) struct buf got = { 0 };
        struct err err = { 0 };
        size_t map_bytes = 0;
        memcpy(block, bad[i], strlen(bad[i]));
        assert_int_equal(
            tar_read_map(block, sizeof block, 10, TAR_BLOCK + 5, &got, &map_bytes, &err), -1);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
}

static void add_xattr(struct buf *set, const char *name, const void *value, size_t len)
{
    const struct xattr xattr = {
        .name = name, .name_len = strlen(name), .value = value, .value_len = len
    };
    xattr_add(set, &xattr);
}

static void set_xattrs(struct pack_member *member, const struct buf *set)
{
    member->xattrs = set->data;
    member->xattrs_len = (uint32_t)set->len;
}

static const unsigned char acl[] = {
    2,    0, 0, 0,                         /* the version */
    1,    0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* owner */
    2,    0, 5, 0, 0xd2, 0x04, 0,    0,    /* user 1234 */
    4,    0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* group */
    8,    0, 0, 0, 0,    0,    0,    0x80, /* group 2^31 */
    0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* mask */
    0x20, 0, 1, 0, 0xff, 0xff, 0xff, 0xff  /* others */
};
#define ACL_TEXT                                                                                   \
    "user::rw-\nuser:1234:r-x\ngroup::r--\ngroup:2147483648:---\nmask::rwx\nother::--x\n"

static void test_attributes_are_before_it(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    SCOPED(buf) struct buf set = { 0 };
    struct pack_member member = file_of("a");
    add_xattr(&set, XATTR_ACL_ACCESS, acl, sizeof acl);
    add_xattr(&set, "user.a=b%", "1\0\n=", 4);
    add_xattr(&set, "user.none", "", 0);
    assert_true(xattr_set_ok(set.data, set.len));
    set_xattrs(&member, &set);
    tar_header(&member, &out);
    assert_int_equal(out.len, 3 * TAR_BLOCK);
    assert_int_equal(out.data[156], 'x');
    static const char want[] = "99 SCHILY.acl.access=" ACL_TEXT "\n"
                               "35 SCHILY.xattr.user.a%3Db%25=1\0\n=\n"
                               "27 SCHILY.xattr.user.none=\n";
    assert_memory_equal(out.data + TAR_BLOCK, want, sizeof want);
    /* Of another name of a file they are with that. */
    buf_clear(&out);
    member.kind = PACK_HARDLINK;
    member.target = "0";
    member.target_len = 1;
    tar_header(&member, &out);
    assert_int_equal(out.len, TAR_BLOCK);
}

static void test_large_attributes_take_blocks(void **state)
{
    (void)state;
    SCOPED(buf) struct buf out = { 0 };
    SCOPED(buf) struct buf set = { 0 };
    static char large[XATTR_VALUE_BYTES_MAX];
    struct pack_member member = file_of("a");
    add_xattr(&set, "user.large", large, sizeof large);
    set_xattrs(&member, &set);
    tar_header(&member, &out);
    assert_int_equal(out.len, (1 + 129 + 1) * TAR_BLOCK);
    assert_string_equal(out.data + 124, "00000200037");
}

static void test_what_is_no_acl_stays_an_attribute(void **state)
{
    (void)state;
    SCOPED(buf) struct buf text = { 0 };
    unsigned char bad[sizeof acl];
    assert_true(posix_acl_text(acl, sizeof acl, &text));
    assert_string_equal(text.data, ACL_TEXT);
    const struct {
        size_t at;
        unsigned char value;
    } changes[] = { { 0, 3 }, { 4, 3 }, { 5, 1 }, { 6, 8 } };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(bad, acl, sizeof acl);
        bad[changes[i].at] = changes[i].value;
        assert_false(posix_acl_text(bad, sizeof bad, &text));
    }
    assert_false(posix_acl_text(acl, sizeof acl - 1, &text));
    assert_false(posix_acl_text(acl, 4, &text));
    assert_false(posix_acl_text(acl, 0, &text));
    assert_string_equal(text.data, ACL_TEXT);
    SCOPED(buf) struct buf out = { 0 };
    SCOPED(buf) struct buf set = { 0 };
    struct pack_member member = file_of("a");
    add_xattr(&set, XATTR_ACL_ACCESS, "x", 1);
    set_xattrs(&member, &set);
    tar_header(&member, &out);
    assert_string_equal(out.data + TAR_BLOCK, "42 SCHILY.xattr.system.posix_acl_access=x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_member_needs_one_block),
        cmocka_unit_test(test_what_ustar_cannot_say_is_before_it),
        cmocka_unit_test(test_long_names_are_cut_or_put_before_it),
        cmocka_unit_test(test_maps_come_back),
        cmocka_unit_test(test_bad_maps_are_named),
        cmocka_unit_test(test_attributes_are_before_it),
        cmocka_unit_test(test_large_attributes_take_blocks),
        cmocka_unit_test(test_what_is_no_acl_stays_an_attribute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
