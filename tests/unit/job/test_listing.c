#include "job/listing.h"

#include "base/buf.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct crawl_item items[] = {
    { .name = "d/", .kind = ENTRY_DIR, .mode = 0755, .mtime_ns = 1500000000, .nlink = 3 },
    { .name = "d/e/", .kind = ENTRY_DIR, .mode = 0700 },
    { .name = "d/e/f", .kind = ENTRY_FILE, .size_bytes = 7, .mode = 0640, .nlink = 1, .ino = 5 },
    { .name = "d/a,\"b", .kind = ENTRY_FILE, .size_bytes = 10, .mtime_ns = -1 },
    { .name = "d-e/", .kind = ENTRY_DIR, .reason = REASON_LOOP },
    { .name = "x\xff", .kind = ENTRY_LINK, .size_bytes = 3 },
    { .name = "y", .kind = ENTRY_SPECIAL, .reason = REASON_FIFO },
    { .name = "z", .kind = ENTRY_UNREADABLE, .reason = REASON_UNREADABLE, .sys = 13 },
};

static void expect(enum listing_format format, uint32_t depth_max, const char *text)
{
    struct err err = { 0 };
    const int fd = file_open_temp(NULL, &err);
    assert_true(fd >= 0);
    const struct listing_options options = {
        .format = format, .fd = fd, .top = "./t", .top_path = "/t", .depth_max = depth_max
    };
    struct listing *listing = NULL;
    assert_int_equal(listing_open(&listing, &options, &err), 0);
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct crawl_item item = items[i];
        item.name_len = (uint32_t)strlen(item.name);
        assert_int_equal(listing_add(listing, &item, &err), 0);
    }
    assert_int_equal(listing_finish(listing, &err), 0);
    listing_close(listing);
    char found[4096] = "";
    const ssize_t len = pread(fd, found, sizeof found - 1, 0);
    assert_true(len >= 0);
    assert_string_equal(found, text);
    close(fd);
}

static void test_listing_desi(void **state)
{
    (void)state;
    expect(LISTING_DESI, 0,
           "[\"./t\",0,17,[\"d\",0,17,[\"e\",0,7,[\"f\",1,7]],[\"a,\\\"b\",1,10]],[\"d-e\",-1,0],"
           "[\"x\\udcff\",-1,0],[\"y\",-1,0],[\"z\",-1,0]]\n");
    expect(
        LISTING_DESI, 1,
        "[\"./t\",0,17,[\"d\",0,17],[\"d-e\",-1,0],[\"x\\udcff\",-1,0],[\"y\",-1,0],[\"z\",-1,0]]"
        "\n");
}

static void test_listing_jsonl(void **state)
{
    (void)state;
    expect(
        LISTING_JSONL, 1,
        "{\"path\":\"d\",\"type\":\"directory\",\"size\":0,\"mtime\":1.500000000,\"mode\":\"0755\","
        "\"uid\":0,\"gid\":0,\"nlink\":3,\"ino\":0,\"disk\":0}\n"
        "{\"path\":\"d-e\",\"type\":\"directory\",\"size\":0,\"mtime\":0.000000000,\"mode\":"
        "\"0000\",\"uid\":0,\"gid\":0,\"nlink\":0,\"ino\":0,\"disk\":0,\"error\":\"is a link to a "
        "directory above it\"}\n"
        "{\"path\":\"x\\udcff\",\"type\":\"link\",\"size\":3,\"mtime\":0.000000000,\"mode\":"
        "\"0000\","
        "\"uid\":0,\"gid\":0,\"nlink\":0,\"ino\":0,\"disk\":0}\n"
        "{\"path\":\"y\",\"type\":\"fifo\",\"size\":0,\"mtime\":0.000000000,\"mode\":\"0000\","
        "\"uid\":"
        "0,\"gid\":0,\"nlink\":0,\"ino\":0,\"disk\":0}\n"
        "{\"path\":\"z\",\"type\":\"unreadable\",\"error\":\"Permission denied\"}\n");
}

static void test_listing_csv(void **state)
{
    (void)state;
    expect(LISTING_CSV, 0,
           "path,type,size,mtime,mode,uid,gid,nlink,ino,disk\r\n"
           "d,directory,0,1.500000000,0755,0,0,3,0,0\r\n"
           "d/e,directory,0,0.000000000,0700,0,0,0,0,0\r\n"
           "d/e/f,file,7,0.000000000,0640,0,0,1,5,0\r\n"
           "\"d/a,\"\"b\",file,10,-0.000000001,0000,0,0,0,0,0\r\n"
           "d-e,directory,0,0.000000000,0000,0,0,0,0,0\r\n"
           "x\xff,link,3,0.000000000,0000,0,0,0,0,0\r\n"
           "y,fifo,0,0.000000000,0000,0,0,0,0,0\r\n"
           "z,unreadable,,,,,,,,\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing_desi),
        cmocka_unit_test(test_listing_jsonl),
        cmocka_unit_test(test_listing_csv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
