#include "base/json_read.h"

#include "base/file.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int file_of(const void *bytes, size_t len)
{
    struct err err = { 0 };
    const int fd = file_open_temp(NULL, &err);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, bytes, len, &err), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* The tokens of a text, each as a letter and its text in <>; "!" and the error at the end. */
static void expect(const char *text, const char *tokens)
{
    struct json_reader reader;
    struct err err = { 0 };
    const int fd = file_of(text, strlen(text));
    json_reader_init(&reader, fd);
    struct buf found = { 0 };
    enum json_token token = JSON_WORD;
    int got = 0;
    while (token != JSON_END && (got = json_read(&reader, &token, &err)) == 0) {
        buf_add_char(&found, ".[]{}snw"[token]);
        if (token >= JSON_STRING)
            buf_printf(&found, "<%s>", buf_text(&reader.text));
    }
    if (got < 0)
        buf_printf(&found, "!%s", strchr(err.text, ':') + 2);
    assert_string_equal(buf_text(&found), tokens);
    buf_done(&found);
    json_reader_done(&reader);
    close(fd);
}

static void test_json_read_tokens(void **state)
{
    (void)state;
    expect("", ".");
    expect(" [ 1, -2.5e+3,true ,\"a\"]\n", "[n<1>n<-2.5e+3>w<true>s<a>].");
    expect("{\"a\":[],\"b\":{}}\n{}", "{s<a>[]s<b>{}}{}.");
}

static void test_json_read_strings(void **state)
{
    (void)state;
    expect("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "s<\"\\/\b\f\n\r\t>.");
    expect("\"\\u00e4\\u6f22\\ud83d\\ude00\\uDCFF\\u007f\"",
           "s<\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80\xff\x7f>.");
    expect("\"raw\xff\xc3\xa4\"", "s<raw\xff\xc3\xa4>.");
}

static void test_json_read_refuses(void **state)
{
    (void)state;
    expect("[\"abc", "[!ends in a string");
    expect("\"\\x\"", "!an unknown escape");
    expect("\"\\u12g4\"", "!no \\u escape");
    expect("\"\\ud800x\"", "!half a character");
    expect("\"\\ud800\\u0041\"", "!half a character");
    expect("\"\\udfff\"", "!half a character");
    expect("\"\\u0000\"", "!a NUL in a string");
    expect("[;]", "[!no JSON");
}

/* Whatever the bytes are, and wherever the blocks of the file end. */
static void test_json_read_gives_back_what_was_written(void **state)
{
    (void)state;
    struct buf out = { 0 };
    unsigned char name[16];
    const unsigned count = 60000;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < sizeof name; k++)
            name[k] = (unsigned char)((i * 31 + k * k * 7 + (i >> 8)) % 255 + 1);
        json_string(&out, name, sizeof name);
    }
    const int fd = file_of(out.data, out.len);
    struct json_reader reader;
    struct err err = { 0 };
    json_reader_init(&reader, fd);
    for (unsigned i = 0; i < count; i++) {
        enum json_token token;
        assert_int_equal(json_read(&reader, &token, &err), 0);
        assert_int_equal(token, JSON_STRING);
        assert_int_equal(reader.text.len, sizeof name);
        for (unsigned k = 0; k < sizeof name; k++)
            assert_int_equal((unsigned char)reader.text.data[k],
                             (i * 31 + k * k * 7 + (i >> 8)) % 255 + 1);
    }
    json_reader_done(&reader);
    buf_done(&out);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_read_tokens),
        cmocka_unit_test(test_json_read_strings),
        cmocka_unit_test(test_json_read_refuses),
        cmocka_unit_test(test_json_read_gives_back_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
