#include "store/s3/s3_xml.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_error_is_told_apart_from_other_answers(void **state)
{
    (void)state;
    static const char good[] =
        "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>less &amp; less</Message>"
        "<Region>eu-1</Region><Endpoint>h</Endpoint><Other><Code>x</Code></Other></Error>";
    static const char *const others[] = { "", "<html><Code>x</Code></html>", "<Error><Code>x",
                                          "text", "<A><Error><Code>x</Code></Error></A>" };
    struct s3_error error;
    s3_xml_error(good, sizeof good - 1, &error);
    assert_string_equal(error.code, "SlowDown");
    assert_string_equal(error.message, "less & less");
    assert_string_equal(error.region, "eu-1");
    assert_string_equal(error.endpoint, "h");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        s3_xml_error(others[i], strlen(others[i]), &error);
        assert_string_equal(error.code, "");
    }
}

static void test_value_is_the_child_of_the_root(void **state)
{
    (void)state;
    static const char text[] = "<R xmlns=\"x\"><A><UploadId>no</UploadId></A>"
                               "<UploadId>2~a</UploadId><UploadId>b</UploadId></R>";
    struct err err = { 0 };
    SCOPED(buf) struct buf value = { 0 };
    assert_int_equal(s3_xml_value(text, sizeof text - 1, "UploadId", &value, &err), 0);
    assert_string_equal(value.data, "2~a");
    assert_int_equal(s3_xml_value(text, sizeof text - 1, "ETag", &value, &err), 0);
    assert_string_equal(buf_text(&value), "");
    assert_int_equal(s3_xml_need("\n <R><ETag/></R>", 16, "ETag", &value, &err), 0);
    assert_string_equal(buf_text(&value), "");
    assert_int_equal(s3_xml_need(text, sizeof text - 1, "ETag", &value, &err), -1);
    assert_int_equal(err.kind, ERR_SERVER);
    err_clear(&err);
    assert_int_equal(s3_xml_value("<R>", 3, "ETag", &value, &err), -1);
    assert_int_equal(err.kind, ERR_SERVER);
}

static void test_buckets_of_the_account(void **state)
{
    (void)state;
    static const char text[] =
        "<ListAllMyBucketsResult xmlns=\"x\"><Owner><ID>me</ID><Name>no</Name></Owner><Buckets>"
        "<Bucket><Name>run</Name><CreationDate>2026-11-21T09:30:05.123Z</CreationDate></Bucket>"
        "<Bucket><Name/><Other><Name>no</Name></Other></Bucket>"
        "<Bucket><Name>a.b-2</Name></Bucket><Marker><Name>no</Name></Marker></Buckets>"
        "<ContinuationToken>t+/=</ContinuationToken></ListAllMyBucketsResult>";
    static const char last[] = "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>";
    static const char *const others[] = { "", "<Error><Code>AccessDenied</Code></Error>",
                                          "<ListBucketResult></ListBucketResult>",
                                          "<ListAllMyBucketsResult><Buckets><Bucket><Name>c",
                                          "<ListAllMyBucketsResult><Buckets><Bucket><Name>c\x01"
                                          "</Name></Bucket></Buckets></ListAllMyBucketsResult>" };
    struct err err = { 0 };
    SCOPED(buf) struct buf names = { 0 };
    SCOPED(buf) struct buf next = { 0 };
    assert_int_equal(s3_xml_buckets(text, sizeof text - 1, &names, &next, &err), 0);
    assert_int_equal(names.len, 10);
    assert_memory_equal(names.data, "run\0a.b-2", 10);
    assert_string_equal(next.data, "t+/=");
    /* Pages are added, and the last one has no token. */
    assert_int_equal(s3_xml_buckets(last, sizeof last - 1, &names, &next, &err), 0);
    assert_int_equal(names.len, 10);
    assert_int_equal(next.len, 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        err_clear(&err);
        assert_int_equal(s3_xml_buckets(others[i], strlen(others[i]), &names, &next, &err), -1);
        assert_int_equal(err.kind, ERR_SERVER);
    }
}

static void test_listing(void **state)
{
    (void)state;
    static const char text[] =
        "<ListBucketResult><Name>b</Name><Prefix>a</Prefix><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>tok+en</NextContinuationToken>"
        "<Contents><Key>a%0Ab%2B+%C3%A4%</Key><LastModified>2026-11-21T09:30:05.123Z</LastModified>"
        "<ETag>&quot;abc-2&quot;</ETag><Size>12345678901</Size>"
        "<Owner><ID>x</ID><Size>7</Size></Owner></Contents>"
        "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>";
    struct err err = { 0 };
    SCOPED(s3_page) struct s3_page page = { 0 };
    for (int again = 0; again < 2; again++) {
        assert_int_equal(s3_xml_page(text, sizeof text - 1, &page, &err), 0);
        assert_int_equal(page.item_count, 1);
        assert_string_equal(s3_page_text(&page, page.items[0].key_at), "a\nb+ \xc3\xa4%");
        assert_string_equal(page.items[0].etag, "abc-2");
        assert_true(page.items[0].size_bytes == UINT64_C(12345678901));
        assert_true(page.items[0].time_ns == INT64_C(1795253405123000000));
        assert_int_equal(page.prefix_count, 1);
        assert_string_equal(s3_page_text(&page, page.prefixes[0].key_at), "a/");
        assert_true(page.truncated);
        assert_false(page.mended);
        assert_string_equal(page.next.data, "tok+en");
    }
}

static void test_control_characters_that_xml_forbids_are_mended(void **state)
{
    (void)state;
    static const char *const marks[] = {
        "\x01", "&#x1;", "&#1;", "\xff", "\xef\xbf\xbf", "&#xFFFF;"
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        struct err err = { 0 };
        SCOPED(s3_page) struct s3_page page = { 0 };
        SCOPED(buf) struct buf text = { 0 };
        buf_printf(&text,
                   "<ListBucketResult><Marker>a%sb</Marker><Contents><Key>k</Key></Contents></"
                   "ListBucketResult>",
                   marks[i]);
        assert_int_equal(s3_xml_page(text.data, text.len, &page, &err), 0);
        assert_true(page.mended);
        assert_int_equal(page.item_count, 1);
        assert_string_equal(s3_page_text(&page, page.items[0].key_at), "k");
    }
}

static void test_parts_and_uploads(void **state)
{
    (void)state;
    static const char parts[] =
        "<ListPartsResult><NextPartNumberMarker>2</NextPartNumberMarker><Part>"
        "<PartNumber>2</PartNumber><ETag>\"e\"</ETag><Size>5</Size></Part></ListPartsResult>";
    static const char uploads[] =
        "<ListMultipartUploadsResult><NextKeyMarker>k%20</NextKeyMarker><NextUploadIdMarker>i</"
        "NextUploadIdMarker><Upload>"
        "<Key>a%01</Key><UploadId>2~x</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></"
        "Upload>"
        "</ListMultipartUploadsResult>";
    struct err err = { 0 };
    SCOPED(s3_page) struct s3_page page = { 0 };
    assert_int_equal(s3_xml_page(parts, sizeof parts - 1, &page, &err), 0);
    assert_int_equal(page.items[0].number, 2);
    assert_int_equal(page.items[0].size_bytes, 5);
    assert_string_equal(page.next.data, "2");
    assert_int_equal(s3_xml_page(uploads, sizeof uploads - 1, &page, &err), 0);
    assert_string_equal(s3_page_text(&page, page.items[0].key_at), "a\x01");
    assert_string_equal(s3_page_text(&page, page.items[0].id_at), "2~x");
    assert_string_equal(page.next.data, "k ");
    assert_string_equal(page.next_id.data, "i");
}

static void test_refusals(void **state)
{
    (void)state;
    static const char text[] = "<DeleteResult><Deleted><Key>x</Key></Deleted><Error><Key>a</Key>"
                               "<Code>AccessDenied</Code><Message/></Error></DeleteResult>";
    struct err err = { 0 };
    SCOPED(s3_refusals) struct s3_refusals refusals = { 0 };
    assert_int_equal(s3_xml_refusals(text, sizeof text - 1, &refusals, &err), 0);
    assert_int_equal(refusals.count, 1);
    assert_string_equal(refusals.items[0].key, "a");
    assert_string_equal(refusals.items[0].code, "AccessDenied");
}

static void test_hostile_answers_are_refused(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(buf) struct buf deep = { 0 };
    SCOPED(buf) struct buf wide = { 0 };
    SCOPED(buf) struct buf many = { 0 };
    SCOPED(s3_page) struct s3_page page = { 0 };
    for (int i = 0; i < 100; i++)
        buf_add_text(&deep, "<a>");
    for (int i = 0; i < 100; i++)
        buf_add_text(&deep, "</a>");
    buf_add_text(&wide, "<ListBucketResult><Marker>");
    for (int i = 0; i < 20000; i++)
        buf_add_char(&wide, 'x');
    buf_add_text(&wide, "</Marker></ListBucketResult>");
    buf_add_text(&many, "<ListBucketResult>");
    for (int i = 0; i < 1001; i++)
        buf_add_text(&many, "<Contents><Key>k</Key></Contents>");
    buf_add_text(&many, "</ListBucketResult>");
    const char *doctype =
        "<!DOCTYPE L [<!ENTITY a \"b\">]><ListBucketResult><Marker>&a;</Marker></ListBucketResult>";
    const char *const texts[] = { deep.data,
                                  wide.data,
                                  many.data,
                                  doctype,
                                  "",
                                  "<html><Contents/></html>",
                                  "<Error><Code>InternalError</Code></Error>",
                                  "<ListBucketResult></M>" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        err_clear(&err);
        assert_int_equal(s3_xml_page(texts[i], strlen(texts[i]), &page, &err), -1);
        assert_int_equal(err.kind, ERR_SERVER);
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const no_times[] = { "", "2026-11-21", "2026-13-01T00:00:00Z",
                                            "yyyy-11-21T09:30:05Z", "2026-11-21T24:30:05Z" };
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++)
        assert_int_equal(s3_time_parse(no_times[i]), 0);
    assert_true(s3_time_parse("1970-01-01T00:00:01Z") == 1000000000);
    SCOPED(buf) struct buf out = { 0 };
    assert_true(s3_xml_escape(&out, "a<&>\n\xc3\xa4"));
    assert_string_equal(out.data, "a&#60;&#38;&#62;&#10;\xc3\xa4");
    assert_false(s3_xml_escape(&out, "\x01"));
    assert_false(s3_xml_escape(&out, "\xff"));
    assert_false(s3_xml_escape(&out, "\xef\xbf\xbe"));
    char etag[STORE_ETAG_MAX];
    s3_etag_copy(etag, "\"abc\"");
    assert_string_equal(etag, "abc");
    s3_etag_copy(etag, "abc");
    assert_string_equal(etag, "abc");
    s3_etag_copy(etag, "\"");
    assert_string_equal(etag, "\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_told_apart_from_other_answers),
        cmocka_unit_test(test_value_is_the_child_of_the_root),
        cmocka_unit_test(test_buckets_of_the_account),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_control_characters_that_xml_forbids_are_mended),
        cmocka_unit_test(test_parts_and_uploads),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hostile_answers_are_refused),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
