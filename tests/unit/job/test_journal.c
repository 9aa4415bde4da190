#include "job/journal.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PROCESS 7u
#define NAME "journal-000007.log"
#define RECORDS 10u                 /* with the START */
#define NOTE "a note\0of any bytes" /* with its NUL */
#define LAST_NS (INT64_MAX - 1)     /* a time */

static struct scratch scratch;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

static struct journal_upload upload_of(void)
{
    struct journal_upload upload = { .segment = 3,
                                     .ordinal = 65535,
                                     .part_bytes = 8 << 20,
                                     .size_bytes = UINT64_MAX,
                                     .mtime_ns = -1,
                                     .ctime_ns = INT64_MAX,
                                     .ino = 42 };
    memset(upload.token, 't', sizeof upload.token - 1);
    return upload;
}

static struct store_part part_of(void)
{
    struct store_part part = { .number = 10000, .size_bytes = 5 << 20, .crc64 = UINT64_MAX - 1 };
    memset(part.etag, 'e', sizeof part.etag - 1);
    return part;
}

static void write_all_kinds(void)
{
    struct journal journal;
    struct err err = { 0 };
    const struct journal_upload upload = upload_of();
    const struct store_part part = part_of();
    assert_int_equal(journal_create(&journal, scratch.fd, PROCESS, &err), 0);
    journal_add_results(&journal, 2, 1, "\1\0\0\0", 4);
    journal_add_begin(&journal, &upload);
    journal_add_part(&journal, 3, 65535, &part);
    assert_int_equal(journal_flush(&journal, false, &err), 0);
    journal_add_pack(&journal, 3, 65535, &part, NOTE, sizeof NOTE);
    journal_add_pack(&journal, 3, 65535, &part, NULL, 0);
    journal_add_drop(&journal, 3, 65535);
    journal_add_intent(&journal, UINT32_MAX, 100, 200);
    journal_add_slow(&journal, 3, 65535, 2500 * NS_PER_MS);
    journal_add_slow(&journal, 3, 65535, JOURNAL_SLOW_NS - 1);
    journal_add_time(&journal, journal.timed_ns + JOURNAL_TIME_NS - 1);
    journal_add_time(&journal, LAST_NS);
    journal_add_time(&journal, LAST_NS + 1);
    assert_int_equal(journal_flush(&journal, true, &err), 0);
    journal_done(&journal);
    journal_done(&journal);
}

static void expect_results(const struct journal_record *record)
{
    assert_int_equal(record->segment, 2);
    assert_int_equal(record->first, 1);
    struct view view = record->results;
    struct result result;
    assert_int_equal(result_decode(&view, &result), 0);
    assert_int_equal(result.status, RESULT_DONE);
    assert_int_equal(view_left(&view), 0);
}

static void expect_begin(const struct journal_record *record)
{
    const struct journal_upload want = upload_of();
    assert_int_equal(record->upload.segment, want.segment);
    assert_int_equal(record->upload.ordinal, want.ordinal);
    assert_true(record->upload.part_bytes == want.part_bytes);
    assert_true(record->upload.size_bytes == want.size_bytes);
    assert_true(record->upload.mtime_ns == want.mtime_ns);
    assert_true(record->upload.ctime_ns == want.ctime_ns);
    assert_true(record->upload.ino == want.ino);
    assert_string_equal(record->upload.token, want.token);
}

static void expect_part(const struct journal_record *record)
{
    const struct store_part want = part_of();
    assert_int_equal(record->part.number, want.number);
    assert_true(record->part.size_bytes == want.size_bytes);
    assert_true(record->part.crc64 == want.crc64);
    assert_string_equal(record->part.etag, want.etag);
}

static void expect_note(unsigned at, const struct journal_record *record)
{
    const bool empty = at == 5;
    assert_int_equal(view_left(&record->note), empty ? 0 : sizeof NOTE);
    if (!empty)
        assert_memory_equal(record->note.at, NOTE, sizeof NOTE);
}

/* The record that write_all_kinds() wrote at that place. */
static void expect_record(unsigned at, const struct journal_record *record)
{
    static const enum journal_kind kinds[RECORDS] = { JOURNAL_START, JOURNAL_RESULTS, JOURNAL_BEGIN,
                                                      JOURNAL_PART,  JOURNAL_PACK,    JOURNAL_PACK,
                                                      JOURNAL_DROP,  JOURNAL_INTENT,  JOURNAL_SLOW,
                                                      JOURNAL_TIME };
    assert_true(at < RECORDS);
    assert_int_equal(record->kind, kinds[at]);
    if (record->kind == JOURNAL_RESULTS)
        expect_results(record);
    if (record->kind == JOURNAL_BEGIN)
        expect_begin(record);
    if (record->kind == JOURNAL_PART || record->kind == JOURNAL_PACK)
        expect_part(record);
    if (record->kind == JOURNAL_PACK)
        expect_note(at, record);
    if (record->kind == JOURNAL_START)
        assert_true(record->time_ns > 0);
    if (record->kind == JOURNAL_TIME)
        assert_true(record->time_ns == LAST_NS);
    if (record->kind == JOURNAL_SLOW)
        assert_true(record->span_ns == 2500 * NS_PER_MS);
    if (record->kind == JOURNAL_DROP || record->kind == JOURNAL_PART ||
        record->kind == JOURNAL_PACK || record->kind == JOURNAL_SLOW) {
        assert_int_equal(record->segment, 3);
        assert_int_equal(record->first, 65535);
    }
    if (record->kind == JOURNAL_INTENT) {
        assert_true(record->segment == UINT32_MAX);
        assert_int_equal(record->first, 100);
        assert_int_equal(record->last, 200);
    }
}

/* How many records the valid prefix has; each is what was written. ends (may be NULL): where each
 * ends. */
static unsigned read_prefix(bool *ret_damaged, uint64_t ends[RECORDS])
{
    struct journal_reader reader;
    struct err err = { 0 };
    assert_int_equal(journal_read_open(&reader, scratch.fd, PROCESS, &err), 0);
    struct journal_record record;
    unsigned count = 0;
    int got;
    while ((got = journal_read_next(&reader, &record, &err)) == 1) {
        expect_record(count, &record);
        if (ends != NULL)
            ends[count] = reader.valid_bytes;
        count++;
    }
    assert_int_equal(got, 0);
    assert_int_equal(journal_read_next(&reader, &record, &err), 0);
    *ret_damaged = reader.damaged;
    journal_read_done(&reader);
    return count;
}

static void test_records_of_all_kinds_come_back(void **state)
{
    (void)state;
    bool damaged = true;
    write_all_kinds();
    assert_int_equal(read_prefix(&damaged, NULL), RECORDS);
    assert_false(damaged);
}

static void test_each_truncation_leaves_the_whole_records_before_it(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    uint64_t ends[RECORDS];
    bool damaged = false;
    write_all_kinds();
    read_prefix(&damaged, ends);
    scratch_read(&scratch, NAME, &bytes);
    assert_int_equal(ends[RECORDS - 1], bytes.len);
    for (size_t len = 0; len < bytes.len; len++) {
        unsigned whole = 0;
        while (whole < RECORDS && ends[whole] <= len)
            whole++;
        const bool between = whole > 0 ? ends[whole - 1] == len : len == 12;
        scratch_write(&scratch, NAME, bytes.data, len);
        assert_int_equal(read_prefix(&damaged, NULL), whole);
        assert_int_equal(damaged, !between);
    }
}

static void test_each_flipped_bit_ends_the_prefix_before_its_record(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    uint64_t ends[RECORDS];
    bool damaged = false;
    write_all_kinds();
    read_prefix(&damaged, ends);
    scratch_read(&scratch, NAME, &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        unsigned before = 0;
        while (ends[before] <= bit / 8)
            before++;
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        scratch_write(&scratch, NAME, bytes.data, bytes.len);
        assert_int_equal(read_prefix(&damaged, NULL), bit / 8 < 12 ? 0 : before);
        assert_true(damaged);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
}

/* A frame with a good CRC around any payload. */
static void add_frame(struct buf *out, const void *payload, size_t len)
{
    SCOPED(buf) struct buf head = { 0 };
    buf_add_u32(&head, (uint32_t)len);
    buf_add(out, head.data, 4);
    buf_add_u64(out, crc64nvme(crc64nvme(0, head.data, 4), payload, len));
    buf_add(out, payload, len);
}

static void test_unknown_kind_ends_the_prefix(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    bool damaged = false;
    write_all_kinds();
    scratch_read(&scratch, NAME, &bytes);
    add_frame(&bytes, "\x63\1\1", 3);
    add_frame(&bytes, "\5\3\1", 3);
    scratch_write(&scratch, NAME, bytes.data, bytes.len);
    assert_int_equal(read_prefix(&damaged, NULL), RECORDS);
    assert_true(damaged);
}

static int parse(const char *payload, size_t len)
{
    struct journal_record record;
    return journal_parse(payload, len, &record);
}
#define PARSE(text) parse(text, sizeof text - 1)

static void test_payloads_that_nobody_writes_are_refused(void **state)
{
    (void)state;
    assert_int_equal(PARSE("\5\1\1"), 0);
    assert_int_equal(PARSE(""), -1);
    assert_int_equal(PARSE("\0\1\1"), -1);
    assert_int_equal(PARSE("\5\0\1"), -1);                   /* segments count from 1 */
    assert_int_equal(PARSE("\5\1\x81\x80\x80\10"), -1);      /* no such ordinal */
    assert_int_equal(PARSE("\5\xff\xff\xff\xff\x1f\1"), -1); /* beyond 32 bits */
    assert_int_equal(PARSE("\5\1"), -1);
    assert_int_equal(PARSE("\6\1\1\1"), 0);
    assert_int_equal(PARSE("\6\1\1\x80\x80\x80\10"), 0); /* the last ordinal that may be */
    assert_int_equal(PARSE("\6\1\1\x81\x80\x80\10"), -1);
    assert_int_equal(PARSE("\6\1\1\x80\x80\x80\x80\x10"), -1); /* 2 to the 32 */
    assert_int_equal(PARSE("\4\1\1\x80\x80\x80\x80\x10\0"
                           "12345678"),
                     -1); /* a part's number of more than 32 bits */
    assert_int_equal(PARSE("\11\1\1\1\0"
                           "12345678"
                           "\3etgnote"),
                     0);
    assert_int_equal(PARSE("\11\1\1\1\0"
                           "12345678"),
                     -1); /* no etag */
    assert_int_equal(PARSE("\11\1\1\1\0"
                           "12345678"
                           "\3et"),
                     -1); /* an etag that is longer than the record */
    char etag[14 + STORE_ETAG_MAX] = "\11\1\1\1\0"
                                     "12345678";
    etag[13] = STORE_ETAG_MAX - 1;
    assert_int_equal(parse(etag, sizeof etag), 0);
    etag[13] = STORE_ETAG_MAX;
    assert_int_equal(parse(etag, sizeof etag), -1); /* and one that is too long */
    /* A varint without an end in front of a text. */
    assert_int_equal(PARSE("\3\1\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff token"), -1);
    char token[5 + 3 + STORE_TOKEN_MAX] = "\3\1\1";
    assert_int_equal(parse(token, 3 + 5 + STORE_TOKEN_MAX - 1), 0);
    assert_int_equal(parse(token, 3 + 5 + STORE_TOKEN_MAX), -1);
}

static void test_records_larger_than_the_window_come_back(void **state)
{
    (void)state;
    const size_t large = (size_t)3 << 20;
    char *bytes = mem_alloc(large);
    struct journal journal;
    struct journal_reader reader;
    struct journal_record record;
    struct err err = { 0 };
    assert_int_equal(journal_create(&journal, scratch.fd, PROCESS, &err), 0);
    for (unsigned i = 0; i < 50; i++) {
        memset(bytes, (int)i, large);
        journal_add_results(&journal, 1 + i, 1, bytes, i % 10 == 3 ? large : 40000);
        assert_int_equal(journal_flush(&journal, false, &err), 0);
    }
    const uint64_t written = journal.written_bytes;
    journal_done(&journal);
    assert_int_equal(journal_read_open(&reader, scratch.fd, PROCESS, &err), 0);
    assert_int_equal(journal_read_next(&reader, &record, &err), 1);
    assert_int_equal(record.kind, JOURNAL_START);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(journal_read_next(&reader, &record, &err), 1);
        assert_int_equal(record.segment, 1 + i);
        const size_t len = view_left(&record.results);
        assert_int_equal(len, i % 10 == 3 ? large : 40000);
        assert_int_equal(record.results.at[0], i);
        assert_int_equal(record.results.at[len - 1], i);
    }
    assert_int_equal(journal_read_next(&reader, &record, &err), 0);
    assert_false(reader.damaged);
    assert_true(reader.valid_bytes == written);
    journal_read_done(&reader);
    mem_release(bytes);
}

static void test_journal_of_a_process_is_made_once(void **state)
{
    (void)state;
    struct journal journal;
    struct err err = { 0 };
    write_all_kinds();
    assert_int_equal(journal_create(&journal, scratch.fd, PROCESS, &err), -1);
    bool damaged = true;
    assert_int_equal(read_prefix(&damaged, NULL), RECORDS);
}

static void test_journal_of_another_process_is_damaged(void **state)
{
    (void)state;
    struct journal_reader reader;
    struct err err = { 0 };
    struct journal_record record;
    write_all_kinds();
    assert_int_equal(renameat(scratch.fd, NAME, scratch.fd, "journal-000008.log"), 0);
    assert_int_equal(journal_read_open(&reader, scratch.fd, 8, &err), 0);
    assert_int_equal(journal_read_next(&reader, &record, &err), 0);
    assert_true(reader.damaged);
    journal_read_done(&reader);
    assert_int_equal(journal_read_open(&reader, scratch.fd, PROCESS, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_records_of_all_kinds_come_back),
        CASE(test_each_truncation_leaves_the_whole_records_before_it),
        CASE(test_each_flipped_bit_ends_the_prefix_before_its_record),
        CASE(test_unknown_kind_ends_the_prefix),
        cmocka_unit_test(test_payloads_that_nobody_writes_are_refused),
        CASE(test_records_larger_than_the_window_come_back),
        CASE(test_journal_of_a_process_is_made_once),
        CASE(test_journal_of_another_process_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
