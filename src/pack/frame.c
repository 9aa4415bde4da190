#include "pack/frame.h"

#include "base/ban.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>

/* ---- the class of a member ---- */

#define SAMPLE 1024u /* bytes; the weights are for this many */
#define EXTENSION_MAX 8u
/* Bits a byte: of 10,000 real files this finds 99.6 % of those that do not compress, and stores 1.1
 * % that would have. */
#define RAW_BITS 7.6
#define WEIGHT_SCALE 65536.0

/* What is compressed, or encrypted, already. */
static const char extensions[][EXTENSION_MAX] = {
    "7z",   "aac",  "age",  "apk",  "avif", "bam", "br",    "bz2",  "c4gh", "cram", "deb",
    "docx", "egg",  "epub", "flac", "flv",  "fz",  "gif",   "gpg",  "gz",   "heic", "heif",
    "j2k",  "jar",  "jp2",  "jpeg", "jpg",  "jxl", "laz",   "lz",   "lz4",  "lzma", "lzo",
    "m4a",  "m4v",  "mkv",  "mov",  "mp3",  "mp4", "mpeg",  "mpg",  "odp",  "ods",  "odt",
    "oga",  "ogg",  "opus", "png",  "pptx", "rar", "rpm",   "tbz",  "tbz2", "tgz",  "txz",
    "tzst", "webm", "webp", "whl",  "wma",  "wmv", "woff2", "xlsx", "xz",   "zip",  "zst",
};

static bool extension_known(const char *path, size_t path_len)
{
    char extension[EXTENSION_MAX] = { 0 };
    size_t len = 0;
    while (len < path_len && path[path_len - 1 - len] != '.') {
        if (path[path_len - 1 - len] == '/' || ++len >= EXTENSION_MAX)
            return false;
    }
    if (len == 0 || len == path_len)
        return false;
    for (size_t i = 0; i < len; i++)
        extension[i] = (char)tolower((unsigned char)path[path_len - len + i]);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        if (memcmp(extension, extensions[i], EXTENSION_MAX) == 0)
            return true;
    }
    return false;
}

void frame_probe_init(struct frame_probe *probe)
{
    for (uint32_t c = 0; c <= SAMPLE; c++)
        probe->weight[c] = c == 0 ? 0 : (uint32_t)lround(c * log2(c) * WEIGHT_SCALE);
}

/* Entropy H = log2(n) - sum(c * log2(c)) / n over the counts c of each byte, n = SAMPLE. */
static bool is_random(const struct frame_probe *probe, const unsigned char *sample)
{
    /* Four tables, so that a run of one byte does not wait for its own counter. */
    uint16_t counts[4][256] = { 0 };
    for (unsigned i = 0; i < SAMPLE; i += 4) {
        counts[0][sample[i]]++;
        counts[1][sample[i + 1]]++;
        counts[2][sample[i + 2]]++;
        counts[3][sample[i + 3]]++;
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i < 256; i++)
        sum += probe->weight[counts[0][i] + counts[1][i] + counts[2][i] + counts[3][i]];
    return sum < (uint64_t)((10 - RAW_BITS) * SAMPLE * WEIGHT_SCALE); /* log2(SAMPLE) = 10 */
}

enum frame_class frame_probe_class(const struct frame_probe *probe, const char *path,
                                   size_t path_len, const void *bytes, size_t len)
{
    if (len < SAMPLE)
        return FRAME_ANY; /* too little to tell, or to matter */
    if (extension_known(path, path_len))
        return FRAME_RAW;
    const unsigned char *middle = (const unsigned char *)bytes + (len - SAMPLE) / 2;
    return is_random(probe, middle) ? FRAME_RAW : FRAME_PACKED;
}

void frame_pack(struct zblock *zblock, int level, const void *bytes, size_t len, struct buf *out)
{
    zblock_compress_at(zblock, level, bytes, len, out);
}

/* ---- raw frames ---- */

/* RFC 8878, 3.1.1: magic, a descriptor (single segment, a content size of four bytes, no checksum),
 * the content size; then blocks, each with a header of three bytes: bit 0 last, bits 1 and 2 type,
 * above them the size. */
#define ZSTD_MAGIC 0xFD2FB528u
#define DESCRIPTOR 0xA0
#define SIZE_AT 5
#define BLOCK_HEADER ((size_t)3)
#define BLOCK_MAX (UINT32_C(1) << 17)
#define BLOCK_LAST 1u
#define BLOCK_RAW (0u << 1)
#define BLOCK_RLE (1u << 1)
#define RUN_MIN 32u /* zeros that are worth two headers */

static void put_header(struct buf *out, size_t at, uint32_t header)
{
    for (size_t i = 0; i < BLOCK_HEADER; i++)
        out->data[at + i] = (char)(header >> (8 * i));
}

static uint32_t get_header(const struct buf *out, size_t at)
{
    const unsigned char *bytes = (const unsigned char *)out->data + at;
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

static void add_header(struct frame_raw *frame, uint32_t type, uint32_t size, struct buf *out)
{
    frame->block = out->len;
    static const char room[BLOCK_HEADER];
    buf_add(out, room, sizeof room);
    put_header(out, frame->block, type | size << 3);
}

void frame_raw_begin(struct frame_raw *frame, struct buf *out)
{
    *frame = (struct frame_raw){ .start = out->len };
    buf_add_u32(out, ZSTD_MAGIC);
    buf_add_char(out, (char)DESCRIPTOR);
    buf_add_u32(out, 0);
}

void frame_raw_add(struct frame_raw *frame, const void *bytes, size_t len, struct buf *out)
{
    assert(len <= FRAME_RAW_MAX && frame->bytes <= FRAME_RAW_MAX - len);
    frame->bytes += (uint32_t)len;
    buf_reserve(out, len + (len / BLOCK_MAX + 2) * BLOCK_HEADER);
    for (const char *at = bytes; len != 0;) {
        uint32_t size = frame->block != 0 ? get_header(out, frame->block) : BLOCK_RLE;
        /* Goes on in the last block if that is raw and has room. */
        if ((size & BLOCK_RLE) != 0 || size >> 3 == BLOCK_MAX)
            add_header(frame, BLOCK_RAW, 0, out);
        size = get_header(out, frame->block) >> 3;
        const uint32_t take = len < BLOCK_MAX - size ? (uint32_t)len : BLOCK_MAX - size;
        put_header(out, frame->block, BLOCK_RAW | (size + take) << 3);
        buf_add(out, at, take);
        at += take;
        len -= take;
    }
}

static void add_zeros(struct frame_raw *frame, uint32_t len, struct buf *out)
{
    frame->bytes += len;
    add_header(frame, BLOCK_RLE, len, out);
    buf_add_char(out, '\0');
}

/* Zeros at the beginning, in whole words; at most a block of them. */
static size_t count_zeros(const char *bytes, size_t len)
{
    size_t zeros = 0;
    uint64_t word = 0;
    while (zeros + sizeof word <= len && zeros < BLOCK_MAX) {
        memcpy(&word, bytes + zeros, sizeof word);
        if (word != 0)
            break;
        zeros += sizeof word;
    }
    return zeros;
}

void frame_raw_add_sparse(struct frame_raw *frame, const void *bytes, size_t len, struct buf *out)
{
    const char *const all = bytes;
    size_t from = 0;
    for (size_t at = 0; at < len;) {
        const size_t zeros = count_zeros(all + at, len - at);
        /* Decoders before zstd 1.4.4 stumble over a first block that is RLE. */
        if (zeros >= RUN_MIN && (frame->bytes != 0 || at != from)) {
            frame_raw_add(frame, all + from, at - from, out);
            add_zeros(frame, (uint32_t)zeros, out);
            at += zeros;
            from = at;
        } else {
            at += zeros + sizeof(uint64_t);
        }
    }
    if (from < len)
        frame_raw_add(frame, all + from, len - from, out);
}

void frame_raw_end(struct frame_raw *frame, struct buf *out)
{
    if (frame->block == 0)
        add_header(frame, BLOCK_RAW, 0, out);
    put_header(out, frame->block, get_header(out, frame->block) | BLOCK_LAST);
    for (int i = 0; i < 4; i++)
        out->data[frame->start + SIZE_AT + (size_t)i] = (char)(frame->bytes >> (8 * i));
}

void frame_skippable(struct buf *out, uint32_t magic, uint32_t len)
{
    assert((magic & ~0xFu) == FRAME_SKIPPABLE);
    buf_add_u32(out, magic);
    buf_add_u32(out, len);
}
