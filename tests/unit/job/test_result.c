#include "job/result.h"

#include "../scratch.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/segment.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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

static void random_text(uint64_t *random, char *text, size_t cap)
{
    const size_t len = random_below(random, cap);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(1 + random_below(random, 255));
    text[len] = '\0';
}

static void random_result(uint64_t *random, uint32_t ordinal, struct result *result)
{
    *result = (struct result){ .ordinal = ordinal };
    result->status = (enum result_status)(1 + random_below(random, RESULT_STATUS_COUNT - 1));
    result->size_bytes = random_next(random) >> random_below(random, 64);
    result->mtime_ns = (int64_t)random_next(random) >> random_below(random, 64);
    if (random_below(random, 3) == 0)
        result->retries = (uint32_t)random_next(random);
    if (random_below(random, 2) == 0) {
        result->record = (struct record){ .known = true,
                                          .racy = random_below(random, 2) != 0,
                                          .crc64 = random_next(random) };
        random_text(random, result->record.etag, sizeof result->record.etag);
        result->record.digests.kinds = (uint32_t)(random_below(random, 4) * DIGEST_SHA256);
        if (result->record.digests.kinds & DIGEST_SHA256)
            memset(result->record.digests.sha256, 0x5a, DIGEST_SHA256_BYTES);
        if (result->record.digests.kinds & DIGEST_MD5)
            memset(result->record.digests.md5, 0xa5, DIGEST_MD5_BYTES);
    }
    if (random_below(random, 4) == 0) {
        result->err = mem_alloc(sizeof *result->err);
        result->err->kind = (enum err_kind)(1 + random_below(random, ERR_KIND_COUNT - 1));
        result->err->sys = (int)random_below(random, 134);
        random_text(random, result->err->text, sizeof result->err->text);
        random_text(random, result->err->hint, sizeof result->err->hint);
    }
}

static void expect_same(const struct result *got, const struct result *want)
{
    assert_int_equal(got->ordinal, want->ordinal);
    assert_int_equal(got->status, want->status);
    assert_int_equal(got->retries, want->retries);
    assert_true(got->size_bytes == want->size_bytes);
    assert_true(got->mtime_ns == want->mtime_ns);
    assert_int_equal(got->record.known, want->record.known);
    assert_int_equal(got->record.racy, want->record.racy);
    assert_true(got->record.crc64 == want->record.crc64);
    assert_string_equal(got->record.etag, want->record.etag);
    assert_memory_equal(&got->record.digests, &want->record.digests, sizeof got->record.digests);
    assert_int_equal(got->err == NULL, want->err == NULL);
    if (want->err == NULL)
        return;
    assert_int_equal(got->err->kind, want->err->kind);
    assert_int_equal(got->err->sys, want->err->sys);
    assert_string_equal(got->err->text, want->err->text);
    assert_string_equal(got->err->hint, want->err->hint);
}

static void test_results_come_back_with_all_fields(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    uint64_t random = 1;
    for (uint32_t i = 0; i < 5000; i++) {
        struct result result;
        random_result(&random, i, &result);
        result_encode(&bytes, &result);
        result_done(&result);
    }
    struct view view = view_of(bytes.data, bytes.len);
    struct view skipping = view;
    random = 1;
    for (uint32_t i = 0; i < 5000; i++) {
        struct result want;
        struct result got;
        uint32_t ordinal = 0;
        enum result_status status = RESULT_OPEN;
        random_result(&random, i, &want);
        assert_int_equal(result_decode(&view, &got), 0);
        expect_same(&got, &want);
        assert_int_equal(result_skip(&skipping, &ordinal, &status), 0);
        assert_int_equal(ordinal, i);
        assert_int_equal(status, want.status);
        result_done(&got);
        result_done(&got);
        result_done(&want);
    }
    assert_int_equal(view_left(&view), 0);
    assert_int_equal(view_left(&skipping), 0);
}

static void test_no_beginning_of_a_result_is_one(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (uint32_t i = 0; i < 200; i++) {
        SCOPED(buf) struct buf bytes = { 0 };
        struct result result;
        random_result(&random, i, &result);
        result_encode(&bytes, &result);
        result_done(&result);
        for (size_t len = 0; len < bytes.len; len++) {
            struct view view = view_of(bytes.data, len);
            assert_int_equal(result_decode(&view, &result), -1);
        }
    }
}

static void expect_refused(const void *bytes, size_t len)
{
    struct view view = view_of(bytes, len);
    struct result result;
    assert_int_equal(result_decode(&view, &result), -1);
}

static void test_what_nobody_writes_is_refused(void **state)
{
    (void)state;
    expect_refused("\0\0\0\0", 4);              /* RESULT_OPEN */
    expect_refused("\7\0\0\0", 4);              /* no such status */
    expect_refused("\1\x80\x80\x80\10\0\0", 7); /* an ordinal beyond the largest segment */
    expect_refused("\x14\0\0\0\0\0\0\0", 8);    /* an error of no kind */
    expect_refused("\x14\0\0\0\x7f\0\0\0", 8);  /* an error of no known kind */
}

/* ---- sealed files ---- */

static const struct result_rest rest = { .tries = 2, .failed = 4, .retryable = 3 };

static void seal_small(uint32_t number)
{
    SCOPED(buf) struct buf bytes = { 0 };
    struct result_sum sum = { 0 };
    struct err err = { 0 };
    uint64_t random = 3;
    for (uint32_t i = 0; i < 5; i++) {
        struct result result;
        random_result(&random, 2 * i, &result);
        result_encode(&bytes, &result);
        result_sum_add(&sum, result.status, result.size_bytes, result.retries);
        result_done(&result);
    }
    assert_int_equal(result_file_seal(scratch.fd, number, &bytes, 5, &sum, &rest, &err), 0);
}

/* ERR_NONE: all could be read and was what seal_small() wrote; other content fails the test. */
static enum err_kind read_small(uint32_t number, bool load)
{
    struct err err = { 0 };
    SCOPED(result_file) struct result_file file;
    if (result_file_open(&file, scratch.fd, number, load, &err) < 0)
        return err.kind;
    assert_int_equal(file.count, 5);
    struct result_sum sum = { 0 };
    uint64_t random = 3;
    for (uint32_t i = 0; i < 5; i++) {
        struct result want;
        random_result(&random, 2 * i, &want);
        result_sum_add(&sum, want.status, want.size_bytes, want.retries);
        struct result got;
        if (load) {
            assert_int_equal(result_file_next(&file, &got, &err), 1);
            expect_same(&got, &want);
            result_done(&got);
        }
        result_done(&want);
    }
    struct result got;
    assert_int_equal(result_file_next(&file, &got, &err), 0);
    assert_memory_equal(&file.sum, &sum, sizeof sum);
    assert_memory_equal(&file.rest, &rest, sizeof rest);
    return ERR_NONE;
}

static void test_sealed_results_are_read_whole_or_as_a_sum(void **state)
{
    (void)state;
    assert_int_equal(read_small(1, true), ERR_ABSENT);
    seal_small(1);
    assert_int_equal(read_small(1, true), ERR_NONE);
    assert_int_equal(read_small(1, false), ERR_NONE);
    assert_int_equal(read_small(2, true), ERR_ABSENT);
    /* Sealed again, after a retry. */
    seal_small(1);
    assert_int_equal(read_small(1, true), ERR_NONE);
}

static void test_sealed_without_results(void **state)
{
    (void)state;
    SCOPED(buf) struct buf none = { 0 };
    struct result_sum sum = { 0 };
    struct err err = { 0 };
    result_sum_add(&sum, RESULT_UNCHANGED, 7, 0);
    assert_int_equal(result_file_seal(scratch.fd, 9, &none, 0, &sum, &rest, &err), 0);
    SCOPED(result_file) struct result_file file;
    struct result result;
    assert_int_equal(result_file_open(&file, scratch.fd, 9, true, &err), 0);
    assert_int_equal(result_file_next(&file, &result, &err), 0);
    assert_int_equal(file.sum.bytes[RESULT_UNCHANGED], 7);
}

static void test_each_flipped_bit_of_sealed_results_is_found(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    seal_small(1);
    scratch_read(&scratch, "000001.res", &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        scratch_write(&scratch, "000001.res", bytes.data, bytes.len);
        assert_int_equal(read_small(1, true), ERR_CORRUPT);
        assert_int_equal(read_small(1, false), ERR_CORRUPT);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
}

static void test_each_truncation_of_sealed_results_is_found(void **state)
{
    (void)state;
    SCOPED(buf) struct buf bytes = { 0 };
    seal_small(1);
    scratch_read(&scratch, "000001.res", &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        scratch_write(&scratch, "000001.res", bytes.data, len);
        assert_int_equal(read_small(1, true), ERR_CORRUPT);
    }
}

static void test_results_of_another_segment_are_corrupt(void **state)
{
    (void)state;
    seal_small(1);
    assert_int_equal(renameat(scratch.fd, "000001.res", scratch.fd, "000002.res"), 0);
    assert_int_equal(read_small(2, true), ERR_CORRUPT);
}

static void test_sums_add_up(void **state)
{
    (void)state;
    struct result_sum a = { 0 };
    struct result_sum b = { 0 };
    result_sum_add(&a, RESULT_DONE, 10, 1);
    result_sum_add(&a, RESULT_DONE, 5, 0);
    result_sum_add(&b, RESULT_FAILED, 3, 4);
    result_sum_merge(&a, &b);
    assert_int_equal(a.count[RESULT_DONE], 2);
    assert_int_equal(a.bytes[RESULT_DONE], 15);
    assert_int_equal(a.count[RESULT_FAILED], 1);
    assert_int_equal(a.retries, 5);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_come_back_with_all_fields),
        cmocka_unit_test(test_no_beginning_of_a_result_is_one),
        cmocka_unit_test(test_what_nobody_writes_is_refused),
        CASE(test_sealed_results_are_read_whole_or_as_a_sum),
        CASE(test_sealed_without_results),
        CASE(test_each_flipped_bit_of_sealed_results_is_found),
        CASE(test_each_truncation_of_sealed_results_is_found),
        CASE(test_results_of_another_segment_are_corrupt),
        cmocka_unit_test(test_sums_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
