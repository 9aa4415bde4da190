/* base/json.h: write JSON into a buf, one value after the other; commas and escapes come by
 * themselves. Owner:   the caller; nothing to release, and nothing is allocated but the buf's own
 * memory. Threads: one at a time. Names are bytes, JSON text is Unicode, and what is written can be
 * turned back into the same bytes:
 *   - valid UTF-8 is written as it is, but '"', '\\' and control characters (below U+0020, U+007F
 * to U+009F, so that no terminal obeys them) are escaped;
 *   - a byte XX that is not part of valid UTF-8 is written as the lone surrogate \udcXX, U+DC80 to
 * U+DCFF, as Python's "surrogateescape" does: os.fsencode(json.loads(line)) gives the bytes back. A
 * surrogate that is encoded as three bytes is not valid UTF-8, so nothing else is written like
 * that. Each function takes the `key` of a member first; key NULL: an element of an array, or the
 * value of the whole line. A key that does not fit where it is used is a bug (assert).
 *
 *     struct json json = json_into(&buf);
 *     json_object(&json, NULL);
 *     json_text(&json, "event", "done");
 *     json_u64(&json, "bytes", 4096);
 *     json_object_end(&json);
 *     json_line_end(&json);                        {"event":"done","bytes":4096} and a newline
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32

struct json {
    struct buf *out;
    uint32_t depth;
    uint32_t objects; /* bit d: level d + 1 is an object, else an array */
    uint32_t filled;  /* bit d: level d + 1 has a value already */
};
struct json json_into(struct buf *out);

void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_text(struct json *json, const char *key, const char *text); /* NULL is written as null */
void json_bytes(struct json *json, const char *key, const void *bytes, size_t len);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_i64(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value); /* shortest that reads back the
                                                                     * same; null unless finite */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* Append one string in its quotes, for JSON that is deeper than this writer goes. */
void json_string(struct buf *out, const void *bytes, size_t len);

/* End a line; everything must be closed. The writer can go on with the next line. */
void json_line_end(struct json *json);
