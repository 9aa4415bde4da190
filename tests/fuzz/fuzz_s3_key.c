/* Names to keys and back: exact for every name; for every key the result is a name without NUL. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "store/s3/s3_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf back = { 0 };
    struct err err = { 0 };
    if (size > 4096 || memchr(data, '\0', size) != NULL)
        return 0;
    buf_add(&name, data, size);
    if (s3_key_map(buf_text(&name), SIZE_MAX, &key, &err) < 0)
        abort();
    s3_key_unmap(key.data, &back);
    if (strcmp(back.data, buf_text(&name)) != 0)
        abort();
    s3_key_unmap(buf_text(&name), &back);
    return strlen(back.data) == back.len ? 0 : (abort(), 0);
}
