/* A file of the cache: what is taken comes out again as the same bytes. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "store/s3/s3_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char endpoint[] = "https://a3s.fi";
    SCOPED(buf) struct buf text = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    struct s3_facts facts;
    buf_add(&text, data, size);
    if (!s3_facts_read(&facts, buf_text(&text), size, endpoint, "run7"))
        return 0;
    s3_facts_write(&facts, endpoint, "run7", &again);
    if (again.len != size || memcmp(again.data, data, size) != 0)
        abort();
    return 0;
}
