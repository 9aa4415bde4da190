#include "base/json_read.h"

#include "base/ban.h"
#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 * 1024)
#define NO_BYTE (-1)

void json_reader_init(struct json_reader *reader, int fd)
{
    *reader = (struct json_reader){ .fd = fd, .bytes = mem_alloc(BLOCK_BYTES) };
}

void json_reader_done(struct json_reader *reader)
{
    buf_done(&reader->text);
    mem_free(reader->bytes);
}

int json_read_fail(const struct json_reader *reader, const char *what, struct err *err)
{
    const unsigned long long place = reader->passed_bytes + reader->at;
    return err_set(err, ERR_CORRUPT, "at byte %llu: %s", place, what);
}

static int fill(struct json_reader *reader, struct err *err)
{
    reader->passed_bytes += reader->filled;
    reader->at = reader->filled = 0;
    ssize_t got;
    do
        got = read(reader->fd, reader->bytes, BLOCK_BYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(err, ERR_LOCAL, "read");
    reader->filled = (size_t)got;
    return 0;
}

/* The next byte without passing it, NO_BYTE at the end. */
static int peek(struct json_reader *reader, int *ret_byte, struct err *err)
{
    if (reader->at == reader->filled && fill(reader, err) < 0)
        return -1;
    *ret_byte = reader->at == reader->filled ? NO_BYTE : (unsigned char)reader->bytes[reader->at];
    return 0;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_hex(struct json_reader *reader, uint32_t *ret_code, struct err *err)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int byte;
        if (peek(reader, &byte, err) < 0)
            return -1;
        const int digit = hex_digit(byte);
        if (digit < 0)
            return json_read_fail(reader, "no \\u escape", err);
        code = code << 4 | (uint32_t)digit;
        reader->at++;
    }
    *ret_code = code;
    return 0;
}

static void add_utf8(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_add_char(out, (char)code);
    } else if (code < 0x800) {
        buf_add_char(out, (char)(0xc0 | code >> 6));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_add_char(out, (char)(0xe0 | code >> 12));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | code >> 18));
        buf_add_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
    }
}

/* Behind "\u". A lone low surrogate is a byte; two that belong together are one character. */
static int read_unicode(struct json_reader *reader, struct err *err)
{
    uint32_t code = 0;
    if (read_hex(reader, &code, err) < 0)
        return -1;
    if (code >= 0xdc80 && code <= 0xdcff) {
        buf_add_char(&reader->text, (char)(code & 0xff));
        return 0;
    }
    if (code >= 0xd800 && code < 0xdc00) {
        for (const char *want = "\\u"; *want != '\0'; want++) {
            int byte;
            if (peek(reader, &byte, err) < 0)
                return -1;
            if (byte != *want)
                return json_read_fail(reader, "half a character", err);
            reader->at++;
        }
        uint32_t low = 0;
        if (read_hex(reader, &low, err) < 0)
            return -1;
        if (low < 0xdc00 || low > 0xdfff)
            return json_read_fail(reader, "half a character", err);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return json_read_fail(reader, "half a character", err);
    }
    if (code == 0)
        return json_read_fail(reader, "a NUL in a string", err);
    add_utf8(&reader->text, code);
    return 0;
}

static int read_escape(struct json_reader *reader, struct err *err)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    int byte;
    if (peek(reader, &byte, err) < 0)
        return -1;
    reader->at++;
    if (byte == 'u')
        return read_unicode(reader, err);
    const char *letter = byte > 0 ? strchr(letters, byte) : NULL;
    if (letter == NULL)
        return json_read_fail(reader, "an unknown escape", err);
    buf_add_char(&reader->text, meanings[letter - letters]);
    return 0;
}

static int read_string(struct json_reader *reader, struct err *err)
{
    for (;;) {
        int byte;
        if (peek(reader, &byte, err) < 0)
            return -1;
        if (byte == NO_BYTE)
            return json_read_fail(reader, "ends in a string", err);
        /* As much as there is without anything special. */
        size_t end = reader->at;
        while (end < reader->filled && reader->bytes[end] != '"' && reader->bytes[end] != '\\' &&
               reader->bytes[end] != '\0')
            end++;
        buf_add(&reader->text, reader->bytes + reader->at, end - reader->at);
        reader->at = end;
        if (reader->text.len > JSON_TOKEN_MAX)
            return err_set(err, ERR_LIMIT, "a string of more than %zu bytes", JSON_TOKEN_MAX);
        if (end == reader->filled)
            continue;
        const char special = reader->bytes[reader->at++];
        if (special == '"')
            return 0;
        if (special == '\0')
            return json_read_fail(reader, "a NUL in a string", err);
        if (read_escape(reader, err) < 0)
            return -1;
    }
}

static bool in_word(int byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == 'E' ||
           byte == '+' || byte == '-' || byte == '.';
}

static int read_word(struct json_reader *reader, struct err *err)
{
    for (;;) {
        int byte;
        if (peek(reader, &byte, err) < 0)
            return -1;
        if (!in_word(byte))
            return 0;
        if (reader->text.len > 64)
            return json_read_fail(reader, "no number", err);
        buf_add_char(&reader->text, (char)byte);
        reader->at++;
    }
}

int json_read(struct json_reader *reader, enum json_token *ret_token, struct err *err)
{
    static const char signs[] = "[]{}";
    static const enum json_token tokens[] = { JSON_OPEN_ARRAY, JSON_CLOSE_ARRAY, JSON_OPEN_OBJECT,
                                              JSON_CLOSE_OBJECT };
    int byte;
    for (;;) {
        if (peek(reader, &byte, err) < 0)
            return -1;
        if (byte <= 0 || strchr(" \t\r\n,:", byte) == NULL)
            break;
        reader->at++;
    }
    buf_clear(&reader->text);
    *ret_token = JSON_END;
    if (byte == NO_BYTE)
        return 0;
    const char *sign = byte != 0 ? strchr(signs, byte) : NULL;
    if (sign != NULL) {
        reader->at++;
        *ret_token = tokens[sign - signs];
        return 0;
    }
    if (byte == '"') {
        reader->at++;
        *ret_token = JSON_STRING;
        return read_string(reader, err);
    }
    if (!in_word(byte))
        return json_read_fail(reader, "no JSON", err);
    *ret_token = byte == '-' || (byte >= '0' && byte <= '9') ? JSON_NUMBER : JSON_WORD;
    return read_word(reader, err);
}
