#include "job/etag.h"

#include "base/ban.h"

#define MIB (UINT64_C(1) << 20)
#define PARTS_MAX 10000 /* S3 caps parts at 10,000 */

/* ---- sizes ---- */

/* In MiB: 8 AWS CLI and boto (doubled for large files), 5 rclone and MinIO's, 15 s3cmd, 16 and 64
 * others, 50 s5cmd, 25 and 100 what people set, and the like. */
static const uint16_t usual_mib[] = { 8,   5,   15,  16,  50,  64,   100,  25,   128,  256,
                                      512, 32,  10,  20,  6,   7,    12,   24,   40,   48,
                                      96,  200, 250, 500, 192, 1024, 1000, 2048, 4096, 5120 };

static uint64_t divide_up(uint64_t value, uint64_t by)
{
    return value / by + (value % by != 0);
}

static void offer(uint64_t sizes[ETAG_GUESSES_MAX], size_t *count, uint64_t part_bytes,
                  uint64_t size_bytes, uint32_t part_count)
{
    if (*count == ETAG_GUESSES_MAX || part_bytes == 0 ||
        divide_up(size_bytes, part_bytes) != part_count)
        return;
    for (size_t i = 0; i < *count; i++)
        if (sizes[i] == part_bytes)
            return;
    sizes[(*count)++] = part_bytes;
}

size_t etag_part_sizes(uint64_t size_bytes, uint32_t part_count, uint64_t own_part_bytes,
                       uint64_t ret_sizes[ETAG_GUESSES_MAX])
{
    size_t count = 0;
    if (part_count == 0 || part_count > PARTS_MAX || size_bytes == 0)
        return 0;
    /* One part is the whole, whatever its size could have been. */
    if (part_count == 1) {
        ret_sizes[0] = size_bytes;
        return 1;
    }
    offer(ret_sizes, &count, own_part_bytes, size_bytes, part_count);
    /* rclone: the least whole MiB with which a large file has few enough parts. */
    const uint64_t even_mib = divide_up(divide_up(size_bytes, part_count), MIB);
    const uint64_t rclone_mib = divide_up(divide_up(size_bytes, PARTS_MAX), MIB);
    offer(ret_sizes, &count, rclone_mib * MIB, size_bytes, part_count);
    for (size_t i = 0; i < sizeof usual_mib / sizeof *usual_mib; i++)
        offer(ret_sizes, &count, usual_mib[i] * MIB, size_bytes, part_count);
    offer(ret_sizes, &count, even_mib * MIB, size_bytes, part_count);
    offer(ret_sizes, &count, divide_up(size_bytes, part_count), size_bytes, part_count);
    return count;
}

/* ---- digests ---- */

/* 32 hexadecimal digits, and with parts "-" and their number. */
static bool parse(struct etag *etag, const char *text)
{
    char digits[2 * DIGEST_MD5_BYTES + 1];
    const size_t len = strlen(text);
    if (len < sizeof digits - 1)
        return false;
    memcpy(digits, text, sizeof digits - 1);
    digits[sizeof digits - 1] = '\0';
    if (digest_unhex(digits, etag->value, DIGEST_MD5_BYTES) < 0)
        return false;
    const char *rest = text + sizeof digits - 1;
    if (*rest == '\0')
        return true;
    const size_t number_len = strspn(rest + 1, "0123456789");
    if (*rest != '-' || number_len == 0 || number_len > 5 || rest[1 + number_len] != '\0')
        return false;
    etag->part_count = (uint32_t)strtoul(rest + 1, NULL, 10);
    return etag->part_count != 0;
}

int etag_open(struct etag *etag, const char *text, uint64_t size_bytes, uint64_t own_part_bytes,
              struct err *err)
{
    uint64_t sizes[ETAG_GUESSES_MAX] = { size_bytes };
    *etag = (struct etag){ 0 };
    if (!parse(etag, text)) {
        etag->part_count = 0;
        return 0;
    }
    const size_t count = etag->part_count == 0
                             ? 1
                             : etag_part_sizes(size_bytes, etag->part_count, own_part_bytes, sizes);
    for (; etag->count < count; etag->count++) {
        struct etag_guess *guess = &etag->guesses[etag->count];
        *guess = (struct etag_guess){ .part_bytes = sizes[etag->count],
                                      .left_bytes = sizes[etag->count] };
        if (digest_init(&guess->part, DIGEST_MD5, err) < 0)
            return -1;
        if (digest_init(&guess->parts, DIGEST_MD5, err) < 0) {
            digest_done(&guess->part);
            return -1;
        }
    }
    return etag->count != 0;
}

static void end_part(struct etag_guess *guess)
{
    struct digest_value value;
    digest_value(&guess->part, &value);
    digest_add(&guess->parts, value.md5, sizeof value.md5);
    digest_reset(&guess->part);
    guess->left_bytes = guess->part_bytes;
}

void etag_add(struct etag *etag, const void *bytes, size_t len)
{
    for (size_t i = 0; i < etag->count; i++) {
        struct etag_guess *guess = &etag->guesses[i];
        const unsigned char *at = bytes;
        for (size_t left = len; left != 0;) {
            if (guess->left_bytes == 0)
                end_part(guess);
            const size_t step = left < guess->left_bytes ? left : (size_t)guess->left_bytes;
            digest_add(&guess->part, at, step);
            guess->left_bytes -= step;
            at += step;
            left -= step;
        }
    }
}

bool etag_fits(struct etag *etag)
{
    for (size_t i = 0; i < etag->count; i++) {
        struct etag_guess *guess = &etag->guesses[i];
        struct digest_value value;
        if (etag->part_count != 0)
            end_part(guess);
        digest_value(etag->part_count != 0 ? &guess->parts : &guess->part, &value);
        if (memcmp(value.md5, etag->value, sizeof value.md5) == 0)
            return true;
    }
    return false;
}

void etag_done(struct etag *etag)
{
    for (size_t i = 0; i < etag->count; i++) {
        digest_done(&etag->guesses[i].part);
        digest_done(&etag->guesses[i].parts);
    }
    etag->count = 0;
}
