/* bench/crc64.c: GB/s of each variant of crc64nvme(), hot in cache, from RAM, and in short calls.
 */
#include "base/crc64.h"
#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>

#define RAM_BYTES ((size_t)1024 * 1024 * 1024)
#define CLOCK_BYTES ((size_t)1024 * 1024) /* between two looks at the clock */
#define ROUND_NS (NS_PER_S / 5)
#define ROUNDS 5

static volatile uint64_t kept; /* so that no call is optimised away */

/* The best of some rounds: the machine may be shared. */
static double gigabytes_per_s(enum crc64_variant variant, const unsigned char *bytes, size_t len)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t done_bytes = 0;
        const int64_t start_ns = clock_monotonic_ns();
        int64_t span_ns = 0;
        do {
            for (size_t done = 0; done < CLOCK_BYTES; done += len) {
                kept = crc64nvme_by(variant, kept, bytes, len);
                done_bytes += len;
            }
            span_ns = clock_monotonic_ns() - start_ns;
        } while (span_ns < ROUND_NS);
        const double speed = (double)done_bytes / (double)span_ns;
        best = speed > best ? speed : best;
    }
    return best;
}

int main(void)
{
    static const size_t lens[] = { 16, 64, 256, 1024, 16384, 262144, RAM_BYTES };
    unsigned char *bytes = mem_alloc(RAM_BYTES);
    memset(bytes, 0xa5, RAM_BYTES); /* else all pages are one page of zeros */
    printf("%-10s", "GB/s");
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
        printf("%12zu", lens[i]);
    printf("  bytes a call\n");
    for (int v = 0; v < CRC64_VARIANT_COUNT; v++) {
        const enum crc64_variant variant = (enum crc64_variant)v;
        if (!crc64_variant_usable(variant))
            continue;
        printf("%-10s", crc64_variant_name(variant));
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
            printf("%12.2f", gigabytes_per_s(variant, bytes, lens[i]));
        printf("\n");
    }
    mem_free(bytes);
    return 0;
}
