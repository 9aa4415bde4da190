/* An answer of S3, read in each of the ways that there are. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "store/s3/s3_xml.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void read_page(const char *bytes, size_t size)
{
    struct err err = { 0 };
    SCOPED(s3_page) struct s3_page page = { 0 };
    if (s3_xml_page(bytes, size, &page, &err) < 0) {
        require(err.kind == ERR_SERVER);
        return;
    }
    require(page.item_count <= S3_PAGE_MAX && page.prefix_count <= S3_PAGE_MAX);
    for (size_t i = 0; i < page.item_count; i++) {
        const struct s3_item *item = &page.items[i];
        require(item->key_at < page.text.len && item->id_at < page.text.len);
        require(strlen(s3_page_text(&page, item->key_at)) <= S3_XML_TEXT_MAX);
        require(strlen(item->etag) < STORE_ETAG_MAX && item->time_ns >= 0);
    }
}

/* What was there before stays, whatever comes. */
static void read_buckets(const char *bytes, size_t size)
{
    struct err err = { 0 };
    SCOPED(buf) struct buf names = { 0 };
    SCOPED(buf) struct buf next = { 0 };
    buf_add(&names, "first", 6);
    if (s3_xml_buckets(bytes, size, &names, &next, &err) < 0)
        require(err.kind == ERR_SERVER);
    require(names.len >= 6 && memcmp(names.data, "first", 6) == 0);
    for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1)
        require(names.data[at] != '\0');
    require(names.data[names.len - 1] == '\0' && next.len <= S3_XML_TEXT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    const char *bytes = (const char *)data;
    struct err err = { 0 };
    struct s3_error error;
    s3_xml_error(bytes, size, &error);
    require(strlen(error.code) < sizeof error.code);
    SCOPED(buf) struct buf value = { 0 };
    if (s3_xml_value(bytes, size, "ETag", &value, &err) < 0)
        require(err.kind == ERR_SERVER);
    read_page(bytes, size);
    err_clear(&err);
    SCOPED(s3_refusals) struct s3_refusals refusals = { 0 };
    if (s3_xml_refusals(bytes, size, &refusals, &err) < 0)
        require(err.kind == ERR_SERVER);
    require(refusals.count <= S3_PAGE_MAX);
    read_buckets(bytes, size);
    return 0;
}
