#include "pack/reader.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FRAME 65536u

static void expect_pack(uint64_t seed, size_t count, const struct made_options *options)
{
    struct made made = { 0 };
    struct made_pack pack;
    made_random(&made, seed, count, options->pack.frame_bytes);
    made_pack(&made, options, &pack);
    struct pack *opened = made_open(&pack);
    made_expect(&made, opened);
    pack_free(opened);
    made_pack_done(&pack);
    made_done(&made);
}

static void test_random_packs_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const struct made_options options = {
            .pack = { .level = seed % 4 == 0 ? 0 : 1 + (int)(seed % 3), .frame_bytes = FRAME },
            .cuts = seed * 7,
            .chunk_bytes = seed % 5 == 0 ? 0 : 1000u << (seed % 10),
            .pieces = seed % 2 == 0,
        };
        expect_pack(seed, seed < 4 ? seed - 1 : 20 + seed * 5, &options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_packs_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
