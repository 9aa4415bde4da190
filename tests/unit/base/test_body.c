#include "base/body.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char text[] = "all that is moved goes through here";
#define TEXT_BYTES (sizeof text - 1)

/* A file in memory with `len` bytes. */
static int file_with(const void *bytes, size_t len)
{
    const int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), len);
    return fd;
}

static void read_all(struct body *body, char *to)
{
    struct err err = { 0 };
    for (;;) {
        const void *bytes = NULL;
        size_t len = 0;
        assert_int_equal(body_next(body, &bytes, &len, &err), 0);
        if (len == 0)
            return;
        memcpy(to, bytes, len);
        to += len;
    }
}

static void test_body_of_memory_gives_it_at_once(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct body body = body_of_memory(text, TEXT_BYTES, &digest, NULL);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_ptr_equal(bytes, text);
    assert_int_equal(len, TEXT_BYTES);
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(len, 0);
    assert_true(digest.crc64 == crc64nvme(0, text, TEXT_BYTES));
}

static void test_body_of_memory_gives_much_in_pieces(void **state)
{
    (void)state;
    struct err err = { 0 };
    const size_t size = 2 * BODY_MEMORY_BYTES + 7;
    char *much = mem_alloc(size);
    much[BODY_MEMORY_BYTES] = 'x';
    struct body body = body_of_memory(much, size, NULL, NULL);
    const void *bytes = NULL;
    size_t len = 0;
    for (size_t done = 0; done < size; done += len) {
        assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
        assert_ptr_equal(bytes, much + done);
        assert_in_range(len, 1, BODY_MEMORY_BYTES);
    }
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(len, 0);
    body_rewind(&body);
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_ptr_equal(bytes, much);
    mem_free(much);
}

/* A maker that gives the letters of `text` one by one. */
static int next_letter(void *from, const void **ret_bytes, size_t *ret_len, struct err *err)
{
    const char **at = from;
    if (**at == '!')
        return err_set(err, ERR_SOURCE, "an exclamation");
    *ret_bytes = *at;
    *ret_len = **at != '\0' ? 1 : 0;
    *at += *ret_len;
    return 0;
}

static void rewind_letters(void *from)
{
    *(const char **)from = "abc";
}

static const struct body_maker letters = { next_letter, rewind_letters };

static void test_body_of_maker_gives_what_is_made(void **state)
{
    (void)state;
    struct err err = { 0 };
    const char *at = "abc";
    struct body body = body_of_maker(&letters, &at, 3);
    const char *bytes = NULL;
    size_t len = 0;
    for (int turn = 0; turn < 2; turn++) {
        for (const char *want = "abc"; *want != '\0'; want++) {
            assert_int_equal(body_next(&body, (const void **)&bytes, &len, &err), 0);
            assert_int_equal(len, 1);
            assert_int_equal(*bytes, *want);
        }
        assert_int_equal(body_next(&body, (const void **)&bytes, &len, &err), 0);
        assert_int_equal(len, 0);
        body_rewind(&body);
    }
}

static void test_body_of_maker_passes_errors_on_and_finds_that_it_is_short(void **state)
{
    (void)state;
    struct err err = { 0 };
    const char *at = "a!";
    struct body body = body_of_maker(&letters, &at, 3);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(body_next(&body, &bytes, &len, &err), -1);
    assert_int_equal(err.kind, ERR_SOURCE);
    assert_false(body.ended_early);

    err_clear(&err);
    at = "a";
    body = body_of_maker(&letters, &at, 3);
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(body_next(&body, &bytes, &len, &err), -1);
    assert_int_equal(err.kind, ERR_CHANGED);
    assert_true(body.ended_early);
}

static void test_body_of_fd_gives_a_range_in_chunks(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED_FD int fd = file_with(text, TEXT_BYTES);
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    char slab[7];
    struct body body = body_of_fd(fd, 4, 20, slab, sizeof slab, &digest, NULL);
    char got[20];
    read_all(&body, got);
    assert_memory_equal(got, text + 4, 20);
    assert_int_equal(body.done_bytes, 20);
    assert_true(digest.crc64 == crc64nvme(0, text + 4, 20));
}

static void test_body_rewind_gives_the_same_again(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED_FD int fd = file_with(text, TEXT_BYTES);
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    char slab[8];
    struct body body = body_of_fd(fd, 0, TEXT_BYTES, slab, sizeof slab, &digest, NULL);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    body_rewind(&body);
    char got[TEXT_BYTES];
    read_all(&body, got);
    assert_memory_equal(got, text, TEXT_BYTES);
    assert_true(digest.crc64 == crc64nvme(0, text, TEXT_BYTES));
}

static void test_body_reports_a_source_that_shrank(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED_FD int fd = file_with(text, TEXT_BYTES);
    char slab[64];
    struct body body = body_of_fd(fd, 0, TEXT_BYTES + 5, slab, sizeof slab, NULL, NULL);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(body_next(&body, &bytes, &len, &err), -1);
    assert_int_equal(err.kind, ERR_CHANGED);
    assert_true(body.ended_early);
    body_rewind(&body);
    assert_false(body.ended_early);
}

static void test_body_reports_a_source_that_cannot_be_read(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED_FD int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char slab[64];
    struct body body = body_of_fd(fd, 0, 10, slab, sizeof slab, NULL, NULL);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), -1);
    assert_int_equal(err.kind, ERR_SOURCE);
}

static void test_body_counts_what_it_moves_and_obeys_the_stop(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct stop stop = { 0 };
    atomic_uint_fast64_t moved = 0;
    const struct flow flow = { .stop = &stop, .moved = &moved };
    struct body body = body_of_memory(text, TEXT_BYTES, NULL, &flow);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(atomic_load(&moved), TEXT_BYTES);
    body_rewind(&body);
    stop_raise(&stop);
    assert_int_equal(body_next(&body, &bytes, &len, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    assert_int_equal(atomic_load(&moved), TEXT_BYTES);
}

static void test_sink_writes_to_a_file_from_its_offset(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED_FD int fd = file_with("....", 4);
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct sink sink = { .digest = &digest, .fd = fd, .offset_bytes = 2 };
    assert_int_equal(sink_write(&sink, text, 10, &err), 0);
    assert_int_equal(sink_write(&sink, text + 10, TEXT_BYTES - 10, &err), 0);
    char got[2 + TEXT_BYTES];
    assert_int_equal(pread(fd, got, sizeof got, 0), sizeof got);
    assert_memory_equal(got, "..", 2);
    assert_memory_equal(got + 2, text, TEXT_BYTES);
    assert_true(digest.crc64 == crc64nvme(0, text, TEXT_BYTES));
    assert_int_equal(sink.done_bytes, TEXT_BYTES);
}

static void test_sink_keeps_in_memory_no_more_than_fits(void **state)
{
    (void)state;
    struct err err = { 0 };
    unsigned char memory[16];
    struct sink sink = { .fd = -1, .memory = memory, .memory_bytes = sizeof memory };
    assert_int_equal(sink_write(&sink, text, 16, &err), 0);
    assert_memory_equal(memory, text, 16);
    assert_int_equal(sink_write(&sink, text, 1, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void test_sink_without_a_place_digests_and_drops(void **state)
{
    (void)state;
    struct err err = { 0 };
    SCOPED(digest) struct digest digest;
    assert_int_equal(digest_init(&digest, 0, &err), 0);
    struct sink sink = { .digest = &digest, .fd = -1 };
    assert_int_equal(sink_write(&sink, "wrong", 5, &err), 0);
    sink_rewind(&sink);
    assert_int_equal(sink_write(&sink, text, TEXT_BYTES, &err), 0);
    assert_true(digest.crc64 == crc64nvme(0, text, TEXT_BYTES));
    assert_int_equal(sink.done_bytes, TEXT_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_memory_gives_it_at_once),
        cmocka_unit_test(test_body_of_memory_gives_much_in_pieces),
        cmocka_unit_test(test_body_of_maker_gives_what_is_made),
        cmocka_unit_test(test_body_of_maker_passes_errors_on_and_finds_that_it_is_short),
        cmocka_unit_test(test_body_of_fd_gives_a_range_in_chunks),
        cmocka_unit_test(test_body_rewind_gives_the_same_again),
        cmocka_unit_test(test_body_reports_a_source_that_shrank),
        cmocka_unit_test(test_body_reports_a_source_that_cannot_be_read),
        cmocka_unit_test(test_body_counts_what_it_moves_and_obeys_the_stop),
        cmocka_unit_test(test_sink_writes_to_a_file_from_its_offset),
        cmocka_unit_test(test_sink_keeps_in_memory_no_more_than_fits),
        cmocka_unit_test(test_sink_without_a_place_digests_and_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
