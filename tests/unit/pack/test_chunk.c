#include "pack/chunk.h"

#include "../scratch.h"
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SMALL 8192u

static char noise[SMALL], text[SMALL];

static struct pack_chunk *begin(void)
{
    const struct pack_options options = { .level = 1 };
    uint64_t random = 7;
    for (size_t i = 0; i < SMALL; i++) {
        noise[i] = (char)(random_next(&random) >> 32);
        text[i] = "lade "[i % 5];
    }
    return pack_chunk_new(&options);
}

static void add(struct pack_chunk *chunk, enum pack_kind kind, const char *path, const char *bytes,
                size_t len)
{
    const struct pack_member member = { .path = path,
                                        .path_len = (uint32_t)strlen(path),
                                        .kind = kind,
                                        .mode = 0644,
                                        .size_bytes = len,
                                        .crc64 = crc64nvme(0, bytes, len) };
    pack_chunk_add(chunk, &member, bytes, len);
}

/* Frames as letters: r is of raw blocks, p is packed. */
static void expect_frames(struct pack_chunk *chunk, const char *classes)
{
    uint32_t count = 0;
    size_t at = 0;
    pack_chunk_seal(chunk);
    const struct pack_frame *frames = pack_chunk_frames(chunk, &count);
    assert_int_equal(count, strlen(classes));
    for (uint32_t i = 0; i < count; i++) {
        /* What is packed here packs well. */
        const bool packed = frames[i].packed_bytes < frames[i].raw_bytes / 4;
        assert_int_equal(packed ? 'p' : 'r', classes[i]);
        at += frames[i].packed_bytes;
    }
    assert_int_equal(at, pack_chunk_bytes(chunk)->len);
    pack_chunk_reset(chunk);
}

static void add_files(struct pack_chunk *chunk, const char *bytes, size_t len, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(chunk, PACK_FILE, "d/file", bytes, len);
}

static void test_what_has_no_content_goes_with_its_neighbours(void **state)
{
    (void)state;
    struct pack_chunk *chunk = begin();
    add(chunk, PACK_DIR, "d", NULL, 0);
    add_files(chunk, noise, SMALL, 30);
    add(chunk, PACK_DIR, "e", NULL, 0);
    add_files(chunk, noise, SMALL, 30);
    expect_frames(chunk, "r");
    add(chunk, PACK_DIR, "d", NULL, 0);
    add_files(chunk, text, SMALL, 30);
    add(chunk, PACK_DIR, "e", NULL, 0);
    add_files(chunk, text, SMALL, 30);
    expect_frames(chunk, "p");
    add(chunk, PACK_DIR, "d", NULL, 0);
    expect_frames(chunk, "p");
    pack_chunk_free(chunk);
}

static void test_frames_turn_where_enough_of_another_class_comes(void **state)
{
    (void)state;
    struct pack_chunk *chunk = begin();
    add_files(chunk, noise, SMALL, 30);
    add_files(chunk, text, SMALL, 30);
    add_files(chunk, noise, SMALL, 30);
    expect_frames(chunk, "rpr");
    /* Many that are too small to tell are not all taken along with what does not compress. */
    add_files(chunk, noise, SMALL, 30);
    add_files(chunk, text, 1000, 300);
    expect_frames(chunk, "rp");
    pack_chunk_free(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_has_no_content_goes_with_its_neighbours),
        cmocka_unit_test(test_frames_turn_where_enough_of_another_class_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
