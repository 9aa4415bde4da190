#include "job/listing_read.h"

#include "base/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* "NAME KIND SIZE", one a line, and "!" when it ends in an error. */
static void expect(const char *text, const char *top, const char *items)
{
    char path[] = "/tmp/lade-listing-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    struct listing_reader *reader = NULL;
    struct err err = { 0 };
    assert_int_equal(listing_reader_open(&reader, path, &err), 0);
    struct buf found = { 0 };
    struct crawl_item item;
    int got;
    while ((got = listing_reader_next(reader, &item, &err)) == 1) {
        assert_int_equal(strlen(item.name), item.name_len);
        buf_printf(&found, "%s %d %llu%s\n", item.name, (int)item.kind,
                   (unsigned long long)item.size_bytes, item.no_attr ? "" : " a");
    }
    if (got < 0)
        buf_add_char(&found, '!');
    assert_string_equal(buf_text(&found), items);
    assert_string_equal(listing_reader_top(reader), top);
    buf_done(&found);
    listing_reader_close(reader);
    close(fd);
    unlink(path);
}

static void test_listing_read_nested_arrays(void **state)
{
    (void)state;
    expect("[\"x\",0,0]\n", "x", "");
    expect("[\".\", 0, 9,\n [\"d\", 0, 4, [\"e\", 0, 0], [\"f\", 1, 4]],\n [\"g\", 1, 5], [\"h\", "
           "-1, 0]]",
           ".", "d/ 2 0\nd/e/ 2 0\nd/f 1 4\ng 1 5\nh 0 0\n");
    expect("[\".\",0,9,[\"a\",1,9],[\"b/c\",1,0]]", ".", "a 1 9\n!");
    expect("[\".\",0,9,[\"a\",1,9]", ".", "a 1 9\n!");
    expect("[\"a\",1,9]", "a", "!");
}

static void test_listing_read_lines(void **state)
{
    (void)state;
    expect("", ".", "");
    expect("{\"path\":\"a\",\"type\":\"file\",\"size\":3}\n"
           "{\"type\":\"directory\",\"size\":7,\"path\":\"d\",\"mtime\":-1.5,\"mode\":\"0755\","
           "\"uid\":1,"
           "\"more\":[{\"x\":[]}],\"than\":null}\n",
           ".", "a 1 3\nd/ 2 0 a\n");
    expect("{\"path\":\"../a\",\"type\":\"file\"}", ".", "!");
    expect("{\"path\":\"a\",\"type\":\"file\",\"mtime\":\"x\",\"mode\":\"9\"}", ".", "!");
    expect("{\"path\":\"a\",\"type\":\"file\",\"mtime\":99999999999}", ".", "!");
    expect("null", ".", "!");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing_read_nested_arrays),
        cmocka_unit_test(test_listing_read_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
