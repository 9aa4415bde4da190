#include "job/result.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/segment.h"

#define HEAD "LADERES1"
#define FILE_MAX ((size_t)1024 * 1024 * 1024)
#define RESULT_BYTES_MAX 1024u /* of one: 650 at most, with room */

/* First byte of a result: the status in bits 0-2. */
#define HAS_RECORD 0x08
#define HAS_ERR 0x10
#define HAS_DIGESTS 0x20
#define IS_RACY 0x40
#define HAS_RETRIES 0x80

void result_sum_add(struct result_sum *sum, enum result_status status, uint64_t bytes,
                    uint32_t retries)
{
    sum->count[status]++;
    sum->bytes[status] += bytes;
    sum->retries += retries;
}

void result_sum_merge(struct result_sum *sum, const struct result_sum *other)
{
    for (int i = 0; i < RESULT_STATUS_COUNT; i++) {
        sum->count[i] += other->count[i];
        sum->bytes[i] += other->bytes[i];
    }
    sum->retries += other->retries;
}

static void encode_text(struct buf *out, const char *text)
{
    const size_t len = strlen(text);
    buf_add_varint(out, len);
    buf_add(out, text, len);
}

static void encode_record(struct buf *out, const struct record *record)
{
    buf_add_u64(out, record->crc64);
    encode_text(out, record->etag);
    if (record->digests.kinds == 0)
        return;
    buf_add_varint(out, record->digests.kinds);
    if (record->digests.kinds & DIGEST_SHA256)
        buf_add(out, record->digests.sha256, DIGEST_SHA256_BYTES);
    if (record->digests.kinds & DIGEST_MD5)
        buf_add(out, record->digests.md5, DIGEST_MD5_BYTES);
}

void result_encode(struct buf *out, const struct result *result)
{
    uint8_t head = (uint8_t)result->status;
    if (result->record.known) {
        head |= HAS_RECORD;
        if (result->record.racy)
            head |= IS_RACY;
        if (result->record.digests.kinds != 0)
            head |= HAS_DIGESTS;
    }
    if (result->err != NULL)
        head |= HAS_ERR;
    if (result->retries != 0)
        head |= HAS_RETRIES;

    buf_add_char(out, (char)head);
    buf_add_varint(out, result->ordinal);
    buf_add_varint(out, result->size_bytes);
    buf_add_signed(out, result->mtime_ns);
    if (head & HAS_RETRIES)
        buf_add_varint(out, result->retries);
    if (head & HAS_RECORD)
        encode_record(out, &result->record);
    if (result->err != NULL) {
        buf_add_varint(out, result->err->kind);
        buf_add_varint(out, (uint64_t)result->err->sys);
        encode_text(out, result->err->text);
        encode_text(out, result->err->hint);
    }
}

static void decode_text(struct view *view, char *ret_text, size_t cap)
{
    const uint64_t len = view_varint(view);
    const void *bytes = len < cap ? view_bytes(view, (size_t)len) : NULL;
    if (bytes == NULL) {
        view->bad = true;
        return;
    }
    memcpy(ret_text, bytes, (size_t)len);
    ret_text[len] = '\0';
}

static void decode_record(struct view *view, struct record *record, bool with_digests)
{
    record->known = true;
    record->crc64 = view_u64(view);
    decode_text(view, record->etag, sizeof record->etag);
    if (!with_digests)
        return;
    record->digests.kinds = (uint32_t)view_varint(view);
    if ((record->digests.kinds & ~(uint32_t)(DIGEST_SHA256 | DIGEST_MD5)) != 0) {
        view->bad = true;
        return;
    }
    const void *bytes = NULL;
    if ((record->digests.kinds & DIGEST_SHA256) &&
        (bytes = view_bytes(view, DIGEST_SHA256_BYTES)) != NULL)
        memcpy(record->digests.sha256, bytes, DIGEST_SHA256_BYTES);
    if ((record->digests.kinds & DIGEST_MD5) &&
        (bytes = view_bytes(view, DIGEST_MD5_BYTES)) != NULL)
        memcpy(record->digests.md5, bytes, DIGEST_MD5_BYTES);
}

static void decode_err(struct view *view, struct err *err)
{
    const uint64_t kind = view_varint(view);
    const uint64_t sys = view_varint(view);
    if (kind == ERR_NONE || kind >= ERR_KIND_COUNT || sys > 4095) {
        view->bad = true;
        return;
    }
    err->kind = (enum err_kind)kind;
    err->sys = (int)sys;
    decode_text(view, err->text, sizeof err->text);
    decode_text(view, err->hint, sizeof err->hint);
}

int result_decode(struct view *view, struct result *ret_result)
{
    const uint8_t head = view_u8(view);
    struct result result = { .status = (enum result_status)(head & 7) };
    const uint64_t ordinal = view_varint(view);
    if (view->bad || result.status == RESULT_OPEN || result.status >= RESULT_STATUS_COUNT ||
        ordinal >= SEGMENT_ENTRIES_MAX)
        return -1;
    result.ordinal = (uint32_t)ordinal;
    result.size_bytes = view_varint(view);
    result.mtime_ns = view_signed(view);
    const uint64_t retries = head & HAS_RETRIES ? view_varint(view) : 0;
    if (retries > UINT32_MAX)
        view->bad = true;
    result.retries = (uint32_t)retries;
    if (head & HAS_RECORD)
        decode_record(view, &result.record, (head & HAS_DIGESTS) != 0);
    result.record.racy = (head & IS_RACY) != 0;
    if (head & HAS_ERR) {
        result.err = mem_alloc(sizeof *result.err);
        decode_err(view, result.err);
    }
    if (view->bad) {
        result_done(&result);
        return -1;
    }
    *ret_result = result;
    return 0;
}

int result_skip(struct view *view, uint32_t *ret_ordinal, enum result_status *ret_status)
{
    struct result result;
    if (result_decode(view, &result) < 0)
        return -1;
    *ret_ordinal = result.ordinal;
    *ret_status = result.status;
    result_done(&result);
    return 0;
}

void result_done(struct result *result)
{
    mem_free(result->err);
}

/* ---- sealed files ---- */

int result_file_seal(int dir_fd, uint32_t number, const struct buf *encoded, uint32_t count,
                     const struct result_sum *sum, const struct result_rest *rest, struct err *err)
{
    SCOPED(buf) struct buf out = { 0 };
    buf_add(&out, HEAD, 8);
    buf_add_u32(&out, number);
    buf_add_u32(&out, count);
    for (int i = 0; i < RESULT_STATUS_COUNT; i++) {
        buf_add_u64(&out, sum->count[i]);
        buf_add_u64(&out, sum->bytes[i]);
    }
    buf_add_u64(&out, sum->retries);
    buf_add_u32(&out, rest->tries);
    buf_add_u32(&out, rest->failed);
    buf_add_u32(&out, rest->retryable);
    buf_add_u64(&out, encoded->len);
    struct zblock zblock = { 0 };
    if (encoded->len != 0)
        zblock_compress(&zblock, encoded->data, encoded->len, &out);
    zblock_done(&zblock);
    buf_add_u64(&out, crc64nvme(0, out.data, out.len));

    char name[SEGMENT_NAME_MAX];
    if (file_replace(dir_fd, segment_file_name(number, "res", name), out.data, out.len, err) < 0)
        return err_at(err, "results of segment %u", number);
    return 0;
}

static int parse_file(struct result_file *file, struct buf *bytes, uint32_t number, bool load,
                      struct err *err)
{
    if (bytes->len < 8 + 8 + 8)
        return err_set(err, ERR_CORRUPT, "too short");
    struct view view = view_of(bytes->data, bytes->len - 8);
    struct view trailer = view_of(bytes->data + bytes->len - 8, 8);
    if (crc64nvme(0, bytes->data, bytes->len - 8) != view_u64(&trailer))
        return err_set(err, ERR_CORRUPT, "checksum");
    if (memcmp(view_bytes(&view, 8), HEAD, 8) != 0 || view_u32(&view) != number)
        return err_set(err, ERR_CORRUPT, "not results of this segment");
    file->count = view_u32(&view);
    for (int i = 0; i < RESULT_STATUS_COUNT; i++) {
        file->sum.count[i] = view_u64(&view);
        file->sum.bytes[i] = view_u64(&view);
    }
    file->sum.retries = view_u64(&view);
    file->rest.tries = view_u32(&view);
    file->rest.failed = view_u32(&view);
    file->rest.retryable = view_u32(&view);
    const uint64_t raw_bytes = view_u64(&view);
    if (view.bad || raw_bytes > (uint64_t)file->count * RESULT_BYTES_MAX ||
        file->count > SEGMENT_ENTRIES_MAX)
        return err_set(err, ERR_CORRUPT, "header");
    if (!load || raw_bytes == 0)
        return 0;
    struct zblock zblock = { 0 };
    const int result =
        zblock_expand(&zblock, view.at, view_left(&view), (size_t)raw_bytes, &file->raw, err);
    zblock_done(&zblock);
    return result;
}

int result_file_open(struct result_file *file, int dir_fd, uint32_t number, bool load,
                     struct err *err)
{
    *file = (struct result_file){ .loaded = load };
    char name[SEGMENT_NAME_MAX];
    segment_file_name(number, "res", name);
    SCOPED(buf) struct buf bytes = { 0 };
    if (file_read(dir_fd, name, FILE_MAX, &bytes, err) < 0)
        return -1;
    if (parse_file(file, &bytes, number, load, err) < 0) {
        result_file_done(file);
        return err_at(err, "results '%s' are damaged", name);
    }
    file->view = view_of(file->raw.data, file->raw.len);
    return 0;
}

int result_file_next(struct result_file *file, struct result *ret_result, struct err *err)
{
    if (view_left(&file->view) == 0)
        return 0;
    if (result_decode(&file->view, ret_result) < 0)
        return err_set(err, ERR_CORRUPT, "a result cannot be decoded");
    return 1;
}

void result_file_done(struct result_file *file)
{
    buf_done(&file->raw);
    file->view = (struct view){ 0 };
}
