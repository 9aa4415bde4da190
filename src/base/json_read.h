/* base/json_read.h: read JSON from a file of any size, one token after the other. Strings come back
 * as bytes: "\udcXX" for what is no UTF-8 (base/json.h), also raw bytes. Commas and colons are
 * passed over where they may stand; whoever reads knows which tokens it wants.
 * Owner: the caller; json_reader_done(). Threads: one at a time. Errors: ERR_CORRUPT with the
 * place, ERR_LIMIT for a token beyond JSON_TOKEN_MAX. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define JSON_TOKEN_MAX ((size_t)256 * 1024)

enum json_token {
    JSON_END, /* of the file */
    JSON_OPEN_ARRAY,
    JSON_CLOSE_ARRAY,
    JSON_OPEN_OBJECT,
    JSON_CLOSE_OBJECT,
    JSON_STRING, /* in `text` */
    JSON_NUMBER, /* as it is written, in `text` */
    JSON_WORD    /* true, false, null, in `text` */
};
struct json_reader {
    int fd; /* the caller's */
    struct buf text;
    char *bytes;
    size_t at, filled;
    uint64_t passed_bytes; /* before `bytes` */
};
void json_reader_init(struct json_reader *reader, int fd);
void json_reader_done(struct json_reader *reader);
CHECKED int json_read(struct json_reader *reader, enum json_token *ret_token, struct err *err);
/* ERR_CORRUPT, with the place. */
int json_read_fail(const struct json_reader *reader, const char *what, struct err *err);
