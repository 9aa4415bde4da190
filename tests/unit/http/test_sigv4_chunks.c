#include "http/sigv4_chunks.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above first */
#include <cmocka.h>

/* AWS's example: 66,560 letters in chunks of 64 KiB, put to /examplebucket/chunkObject.txt. */
#define STAMP "20130524T000000Z"
#define SEED "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
#define FIRST "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
#define SECOND "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
#define LAST "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
#define EXAMPLE_BYTES ((size_t)66560)
#define CHUNK_BYTES ((size_t)65536)
static const struct sigv4_scope scope = {
    .access_key = "AKIAIOSFODNN7EXAMPLE",
    .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "s3",
};

static void read_whole(struct body *body, struct buf *out)
{
    struct err err = { 0 };
    const void *bytes = NULL;
    size_t len = 1;
    while (len != 0) {
        assert_int_equal(body_next(body, &bytes, &len, &err), 0);
        buf_add(out, bytes, len);
    }
    assert_int_equal(out->len, body->size_bytes);
}

static void add_example(struct buf *out, const char *letters)
{
    buf_add_text(out, "10000;chunk-signature=" FIRST "\r\n");
    buf_add(out, letters, CHUNK_BYTES);
    buf_add_text(out, "\r\n400;chunk-signature=" SECOND "\r\n");
    buf_add(out, letters, EXAMPLE_BYTES - CHUNK_BYTES);
    buf_add_text(out, "\r\n0;chunk-signature=" LAST "\r\n\r\n");
}

static void test_sigv4_seed_of_the_published_example(void **state)
{
    (void)state;
    struct sigv4_key key;
    sigv4_key_make(&key, &scope, "20130524");
    const struct http_header headers[] = { { "content-encoding", "aws-chunked" },
                                           { "content-length", "66824" },
                                           { "host", "s3.amazonaws.com" },
                                           { "x-amz-content-sha256", SIGV4_STREAMING },
                                           { "x-amz-date", STAMP },
                                           { "x-amz-decoded-content-length", "66560" },
                                           { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
    const struct sigv4_request request = { .method = "PUT",
                                           .path = "/examplebucket/chunkObject.txt",
                                           .query = "",
                                           .headers = headers,
                                           .header_count = 7,
                                           .payload = SIGV4_STREAMING,
                                           .stamp = STAMP };
    char seed[SIGV4_SIGNATURE_BYTES];
    sigv4_sign(&key, &scope, &request, seed);
    assert_string_equal(seed, SEED);
}

/* The same bytes come out whatever pieces go in. */
static void assert_example(struct body *inner, const char *letters)
{
    struct sigv4_key key;
    sigv4_key_make(&key, &scope, "20130524");
    struct sigv4_chunks chunks;
    sigv4_chunks_init(&chunks, inner, CHUNK_BYTES, &key, &scope, STAMP);
    sigv4_chunks_seed(&chunks, SEED);
    struct body body = sigv4_chunks_body(&chunks);
    assert_int_equal(body.size_bytes, 66824);
    SCOPED(buf) struct buf expected = { 0 };
    add_example(&expected, letters);
    for (int turn = 0; turn < 2; turn++) {
        SCOPED(buf) struct buf got = { 0 };
        read_whole(&body, &got);
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.data, expected.data, got.len);
        body_rewind(&body);
    }
    /* Also when it is rewound in the middle of a chunk. */
    struct err err = { 0 };
    const void *bytes = NULL;
    size_t len = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    body_rewind(&body);
    SCOPED(buf) struct buf got = { 0 };
    read_whole(&body, &got);
    assert_memory_equal(got.data, expected.data, got.len);
    sigv4_chunks_done(&chunks);
    sigv4_chunks_done(&chunks);
}

/* A maker that gives its memory in pieces of odd sizes. */
struct pieces {
    const char *letters;
    size_t at, step;
};

static int next_piece(void *from, const void **ret_bytes, size_t *ret_len, struct err *err)
{
    (void)err;
    struct pieces *pieces = from;
    const size_t left = EXAMPLE_BYTES - pieces->at;
    *ret_len = left < pieces->step ? left : pieces->step;
    *ret_bytes = pieces->letters + pieces->at;
    pieces->at += *ret_len;
    return 0;
}

static void rewind_pieces(void *from)
{
    ((struct pieces *)from)->at = 0;
}

static const struct body_maker odd = { next_piece, rewind_pieces };

static void test_sigv4_chunks_are_those_of_the_published_example(void **state)
{
    (void)state;
    char *letters = mem_alloc(EXAMPLE_BYTES);
    memset(letters, 'a', EXAMPLE_BYTES);
    struct body whole = body_of_memory(letters, EXAMPLE_BYTES, NULL, NULL);
    assert_example(&whole, letters);
    static const size_t steps[] = { 1000, 32768, 65535, 65536, 65537 };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct pieces pieces = { letters, 0, steps[i] };
        struct body inner = body_of_maker(&odd, &pieces, EXAMPLE_BYTES);
        assert_example(&inner, letters);
    }
    mem_free(letters);
}

static void test_sigv4_chunks_size_is_what_comes(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 15, 16, 8191, 8192, 8193, 16384, 100000 };
    char *bytes = mem_alloc(100000);
    struct sigv4_key key;
    sigv4_key_make(&key, &scope, "20130524");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct body inner = body_of_memory(bytes, sizes[i], NULL, NULL);
        struct sigv4_chunks chunks;
        sigv4_chunks_init(&chunks, &inner, SIGV4_CHUNK_BYTES_MIN, &key, &scope, STAMP);
        sigv4_chunks_seed(&chunks, SEED);
        struct body body = sigv4_chunks_body(&chunks);
        SCOPED(buf) struct buf got = { 0 };
        read_whole(&body, &got);
        assert_int_equal(got.len, sigv4_chunks_size(sizes[i], SIGV4_CHUNK_BYTES_MIN));
        sigv4_chunks_done(&chunks);
    }
    mem_free(bytes);
}

static void test_sigv4_chunks_pass_on_that_the_source_shrank(void **state)
{
    (void)state;
    char *letters = mem_alloc(EXAMPLE_BYTES);
    struct sigv4_key key;
    sigv4_key_make(&key, &scope, "20130524");
    struct pieces pieces = { letters, 0, 1000 };
    struct body inner = body_of_maker(&odd, &pieces, EXAMPLE_BYTES + 1);
    struct sigv4_chunks chunks;
    sigv4_chunks_init(&chunks, &inner, CHUNK_BYTES, &key, &scope, STAMP);
    sigv4_chunks_seed(&chunks, SEED);
    struct body body = sigv4_chunks_body(&chunks);
    struct err err = { 0 };
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
    assert_int_equal(body_next(&body, &bytes, &len, &err), -1);
    assert_int_equal(err.kind, ERR_CHANGED);
    sigv4_chunks_done(&chunks);
    mem_free(letters);
}

/* ---- unsigned, with a trailer ---- */

static void read_unsigned(struct body *inner, size_t chunk_bytes, const struct digest *trailer,
                          struct buf *out)
{
    struct sigv4_chunks chunks;
    sigv4_chunks_init_unsigned(&chunks, inner, chunk_bytes, trailer);
    struct body body = sigv4_chunks_body(&chunks);
    assert_int_equal(body.size_bytes, sigv4_chunks_unsigned_size(inner->size_bytes, chunk_bytes));
    read_whole(&body, out);
    sigv4_chunks_done(&chunks);
}

/* From the tests of AWS's SDK for Go, which gives the length as 60. */
static void test_sigv4_trailer_of_the_published_example(void **state)
{
    (void)state;
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    struct body inner = body_of_memory("hello world", 11, &digest, NULL);
    SCOPED(buf) struct buf got = { 0 };
    read_unsigned(&inner, SIGV4_CHUNK_BYTES_MIN, &digest, &got);
    assert_int_equal(got.len, 60);
    assert_string_equal(got.data,
                        "b\r\nhello world\r\n0\r\nx-amz-checksum-crc64nvme:jSnVw/bqjr4=\r\n\r\n");
}

static void test_sigv4_trailer_of_nothing(void **state)
{
    (void)state;
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    struct body inner = body_of_memory("", 0, &digest, NULL);
    SCOPED(buf) struct buf got = { 0 };
    read_unsigned(&inner, SIGV4_CHUNK_BYTES_MIN, &digest, &got);
    assert_string_equal(got.data, "0\r\nx-amz-checksum-crc64nvme:AAAAAAAAAAA=\r\n\r\n");
}

/* The frames that `len` bytes must have, written another way. */
static void add_frames(struct buf *out, const char *bytes, size_t len, size_t chunk_bytes)
{
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    char crc[DIGEST_CRC64_TEXT];
    digest_add(&digest, bytes, len);
    digest_crc64_base64(digest.crc64, crc);
    for (size_t at = 0; at < len; at += chunk_bytes) {
        const size_t part = len - at < chunk_bytes ? len - at : chunk_bytes;
        buf_printf(out, "%zx\r\n", part);
        buf_add(out, bytes + at, part);
        buf_add_text(out, "\r\n");
    }
    buf_printf(out, "0\r\nx-amz-checksum-crc64nvme:%s\r\n\r\n", crc);
}

static void test_sigv4_trailer_is_right_around_the_border_of_a_chunk(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 15, 16, 8191, 8192, 8193, 16383, 16384, 16385, 66560 };
    static const size_t steps[] = { 1, 1000, 8191, 8192, 8193, 70000 };
    char *letters = mem_alloc(EXAMPLE_BYTES);
    for (size_t i = 0; i < EXAMPLE_BYTES; i++)
        letters[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        SCOPED(buf) struct buf expected = { 0 };
        add_frames(&expected, letters, sizes[i], SIGV4_CHUNK_BYTES_MIN);
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            struct digest digest = { .kinds = DIGEST_CRC64NVME };
            struct pieces pieces = { letters, EXAMPLE_BYTES - sizes[i], steps[k] };
            /* The last bytes of the letters, so that the pieces end with them. */
            memmove(letters + pieces.at, letters, sizes[i]);
            struct body inner = body_of_maker(&odd, &pieces, sizes[i]);
            digest_add(&digest, letters + pieces.at, sizes[i]);
            SCOPED(buf) struct buf got = { 0 };
            read_unsigned(&inner, SIGV4_CHUNK_BYTES_MIN, &digest, &got);
            assert_int_equal(got.len, expected.len);
            assert_memory_equal(got.data, expected.data, got.len);
        }
    }
    mem_free(letters);
}

static void test_sigv4_trailer_is_made_anew_when_it_is_sent_again(void **state)
{
    (void)state;
    char *letters = mem_alloc(EXAMPLE_BYTES);
    memset(letters, 'a', EXAMPLE_BYTES);
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    struct body inner = body_of_memory(letters, EXAMPLE_BYTES, &digest, NULL);
    struct sigv4_chunks chunks;
    sigv4_chunks_init_unsigned(&chunks, &inner, CHUNK_BYTES, &digest);
    struct body body = sigv4_chunks_body(&chunks);
    for (int turn = 0; turn < 5; turn++) {
        struct err err = { 0 };
        const void *bytes = NULL;
        size_t len = 0;
        for (int i = 0; i < turn; i++)
            assert_int_equal(body_next(&body, &bytes, &len, &err), 0);
        /* The source may have become another one. */
        letters[turn] = 'b';
        body_rewind(&body);
        SCOPED(buf) struct buf expected = { 0 };
        SCOPED(buf) struct buf got = { 0 };
        add_frames(&expected, letters, EXAMPLE_BYTES, CHUNK_BYTES);
        read_whole(&body, &got);
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.data, expected.data, got.len);
        body_rewind(&body);
    }
    sigv4_chunks_done(&chunks);
    mem_free(letters);
}

static void test_sigv4_trailer_is_not_sent_when_the_source_shrank(void **state)
{
    (void)state;
    char *letters = mem_alloc(EXAMPLE_BYTES);
    struct digest digest = { .kinds = DIGEST_CRC64NVME };
    struct pieces pieces = { letters, 0, 1000 };
    struct body inner = body_of_maker(&odd, &pieces, EXAMPLE_BYTES + 1);
    struct sigv4_chunks chunks;
    sigv4_chunks_init_unsigned(&chunks, &inner, CHUNK_BYTES, &digest);
    struct body body = sigv4_chunks_body(&chunks);
    struct err err = { 0 };
    const void *bytes = NULL;
    size_t len = 0;
    int result = 0;
    while (result == 0) {
        result = body_next(&body, &bytes, &len, &err);
        assert_true(result < 0 || len != 0);
    }
    assert_int_equal(err.kind, ERR_CHANGED);
    assert_true(inner.ended_early);
    sigv4_chunks_done(&chunks);
    mem_free(letters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigv4_seed_of_the_published_example),
        cmocka_unit_test(test_sigv4_chunks_are_those_of_the_published_example),
        cmocka_unit_test(test_sigv4_chunks_size_is_what_comes),
        cmocka_unit_test(test_sigv4_chunks_pass_on_that_the_source_shrank),
        cmocka_unit_test(test_sigv4_trailer_of_the_published_example),
        cmocka_unit_test(test_sigv4_trailer_of_nothing),
        cmocka_unit_test(test_sigv4_trailer_is_right_around_the_border_of_a_chunk),
        cmocka_unit_test(test_sigv4_trailer_is_made_anew_when_it_is_sent_again),
        cmocka_unit_test(test_sigv4_trailer_is_not_sent_when_the_source_shrank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
