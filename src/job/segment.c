#include "job/segment.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 * 1024)
#define BLOCK_RAW_MAX                                                                              \
    (BLOCK_BYTES + (size_t)256 * 1024) /* one entry beyond, with the longest name */
#define FOOTER_MAX ((size_t)16 * 1024 * 1024)
#define HEAD "LADEPLN1"
#define TAIL "LADEEND1"
#define HEAD_BYTES 16u    /* magic, number, reserved */
#define TRAILER_BYTES 20u /* footer length, CRC, magic */

/* First byte of an entry: kind in bits 0-2, action in bits 3-5. */
#define ENTRY_SAME_OWNER 0x40 /* mode, uid and gid are those of the entry before */
#define ENTRY_MORE 0x80       /* a second byte follows: */
#define MORE_REASON 0x01
#define MORE_RECORD 0x02
#define MORE_ETAG 0x04
#define MORE_EMPTY 0x08
#define MORE_RACY 0x10
#define MORE_DIGESTS 0x20
#define MORE_BUCKET 0x40
#define MORE_PACK 0x80 /* a byte on packs follows at the end: */
#define PACK_INTO 0x01
#define PACK_INTO_NAME 0x02 /* another one than the last entry's: its name */
#define PACK_KEPT 0x04
#define PACK_KEPT_NAME 0x08 /* the same: name and etag */

const char *segment_file_name(uint32_t number, const char *suffix, char text[SEGMENT_NAME_MAX])
{
    snprintf(text, SEGMENT_NAME_MAX, "%06u.%s", number, suffix);
    return text;
}

void segment_sum_add(struct segment_sum *sum, const struct plan_entry *entry)
{
    sum->entries++;
    sum->by_action[entry->action]++;
    sum->bytes_by_action[entry->action] += entry->size_bytes;
    if (plan_entry_settled(entry) == RESULT_OPEN) {
        sum->objects++;
        sum->objects_bytes += entry->size_bytes;
    }
}

void segment_sum_merge(struct segment_sum *sum, const struct segment_sum *other)
{
    sum->entries += other->entries;
    sum->objects += other->objects;
    sum->objects_bytes += other->objects_bytes;
    for (int i = 0; i < PLAN_ACTION_COUNT; i++) {
        sum->by_action[i] += other->by_action[i];
        sum->bytes_by_action[i] += other->bytes_by_action[i];
    }
}

/* ---- writing ---- */

void segment_writer_init(struct segment_writer *writer, int dir_fd)
{
    *writer = (struct segment_writer){ .dir_fd = dir_fd, .fd = -1 };
}

int segment_begin(struct segment_writer *writer, uint32_t number, struct err *err)
{
    assert(writer->fd < 0);
    char name[SEGMENT_NAME_MAX];
    segment_file_name(number, "new", name);
    writer->fd = openat(writer->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0)
        return err_sys(err, ERR_LOCAL, "create plan segment '%s'", name);
    writer->number = number;
    writer->sum = (struct segment_sum){ 0 };
    writer->block_count = 0;
    writer->block_first = 0;
    buf_clear(&writer->footer);
    buf_clear(&writer->raw);

    SCOPED(buf) struct buf head = { 0 };
    buf_add(&head, HEAD, 8);
    buf_add_u32(&head, number);
    buf_add_u32(&head, 0);
    writer->offset_bytes = HEAD_BYTES;
    if (file_write_all(writer->fd, head.data, head.len, err) < 0)
        return err_at(err, "plan segment '%s'", name);
    return 0;
}

static void add_record(struct buf *raw, const struct plan_entry *entry, uint8_t more)
{
    buf_add_char(raw, (char)more);
    if (more & MORE_REASON) {
        buf_add_varint(raw, entry->reason);
        buf_add_varint(raw, (uint64_t)entry->sys);
    }
    if (more & MORE_ETAG) {
        buf_add_varint(raw, strlen(entry->etag));
        buf_add_text(raw, entry->etag);
    }
    if (more & MORE_RECORD) {
        buf_add_u64(raw, entry->record.crc64);
        buf_add_varint(raw, strlen(entry->record.etag));
        buf_add_text(raw, entry->record.etag);
    }
    if (more & MORE_DIGESTS) {
        buf_add_varint(raw, entry->record.digests.kinds);
        if (entry->record.digests.kinds & DIGEST_SHA256)
            buf_add(raw, entry->record.digests.sha256, DIGEST_SHA256_BYTES);
        if (entry->record.digests.kinds & DIGEST_MD5)
            buf_add(raw, entry->record.digests.md5, DIGEST_MD5_BYTES);
    }
    if (more & MORE_BUCKET)
        buf_add_varint(raw, entry->bucket);
}

static void add_text(struct buf *raw, const char *text, struct buf *last)
{
    const size_t len = strlen(text);
    buf_add_varint(raw, len);
    buf_add(raw, text, len);
    buf_clear(last);
    buf_add(last, text, len);
}

static void add_packs(struct segment_writer *writer, const struct plan_entry *entry)
{
    uint8_t flags = 0;
    if (entry->pack != NULL)
        flags |= PACK_INTO;
    if (entry->pack != NULL && strcmp(entry->pack, buf_text(&writer->last_pack)) != 0)
        flags |= PACK_INTO_NAME;
    if (entry->kept != NULL)
        flags |= PACK_KEPT;
    if (entry->kept != NULL && (strcmp(entry->kept, buf_text(&writer->last_kept)) != 0 ||
                                strcmp(entry->kept_etag, buf_text(&writer->last_kept_etag)) != 0))
        flags |= PACK_KEPT_NAME;
    buf_add_char(&writer->raw, (char)flags);
    if (flags & PACK_INTO_NAME)
        add_text(&writer->raw, entry->pack, &writer->last_pack);
    if (flags & PACK_KEPT_NAME) {
        add_text(&writer->raw, entry->kept, &writer->last_kept);
        add_text(&writer->raw, entry->kept_etag, &writer->last_kept_etag);
    }
}

static uint8_t more_of(const struct plan_entry *entry)
{
    uint8_t more = 0;
    if (entry->reason != REASON_NONE || entry->sys != 0)
        more |= MORE_REASON;
    if (entry->etag[0] != '\0')
        more |= MORE_ETAG;
    if (entry->empty)
        more |= MORE_EMPTY;
    if (entry->pack != NULL || entry->kept != NULL)
        more |= MORE_PACK;
    if (entry->bucket > 1)
        more |= MORE_BUCKET;
    if (entry->record.known) {
        more |= MORE_RECORD;
        if (entry->record.racy)
            more |= MORE_RACY;
        if (entry->record.digests.kinds != 0)
            more |= MORE_DIGESTS;
    }
    return more;
}

static void encode(struct segment_writer *writer, const struct plan_entry *entry)
{
    struct buf *raw = &writer->raw;
    const uint8_t more = more_of(entry);
    const bool same = entry->mode == writer->last_mode && entry->uid == writer->last_uid &&
                      entry->gid == writer->last_gid;
    buf_add_char(raw, (char)((unsigned)entry->kind | (unsigned)entry->action << 3 |
                             (same ? ENTRY_SAME_OWNER : 0u) | (more != 0 ? ENTRY_MORE : 0u)));
    size_t shared = 0;
    const size_t most =
        entry->name_len < writer->last_name.len ? entry->name_len : writer->last_name.len;
    while (shared < most && entry->name[shared] == writer->last_name.data[shared])
        shared++;
    buf_add_varint(raw, shared);
    buf_add_varint(raw, entry->name_len - shared);
    buf_add(raw, entry->name + shared, entry->name_len - shared);
    buf_cut(&writer->last_name, shared);
    buf_add(&writer->last_name, entry->name + shared, entry->name_len - shared);

    buf_add_varint(raw, entry->size_bytes);
    buf_add_signed(raw, (int64_t)((uint64_t)entry->mtime_ns - (uint64_t)writer->last_mtime_ns));
    writer->last_mtime_ns = entry->mtime_ns;
    if (!same) {
        buf_add_varint(raw, entry->mode);
        buf_add_varint(raw, entry->uid);
        buf_add_varint(raw, entry->gid);
        writer->last_mode = entry->mode;
        writer->last_uid = entry->uid;
        writer->last_gid = entry->gid;
    }
    if (more != 0)
        add_record(raw, entry, more);
    if (more & MORE_PACK)
        add_packs(writer, entry);
}

static int flush_block(struct segment_writer *writer, struct err *err)
{
    if (writer->raw.len == 0)
        return 0;
    buf_clear(&writer->packed);
    zblock_compress(&writer->zblock, writer->raw.data, writer->raw.len, &writer->packed);
    if (file_write_all(writer->fd, writer->packed.data, writer->packed.len, err) < 0)
        return err_at(err, "plan segment %u", writer->number);

    const uint32_t count = (uint32_t)writer->sum.entries - writer->block_first;
    buf_add_varint(&writer->footer, writer->offset_bytes);
    buf_add_varint(&writer->footer, writer->packed.len);
    buf_add_varint(&writer->footer, writer->raw.len);
    buf_add_varint(&writer->footer, count);
    buf_add_u64(&writer->footer, crc64nvme(0, writer->packed.data, writer->packed.len));
    writer->block_count++;
    writer->block_first += count;
    writer->offset_bytes += writer->packed.len;

    buf_clear(&writer->raw);
    buf_clear(&writer->last_name);
    writer->last_mtime_ns = 0;
    writer->last_mode = writer->last_uid = writer->last_gid = 0;
    buf_clear(&writer->last_pack);
    buf_clear(&writer->last_kept);
    buf_clear(&writer->last_kept_etag);
    return 0;
}

int segment_add(struct segment_writer *writer, const struct plan_entry *entry, struct err *err)
{
    encode(writer, entry);
    segment_sum_add(&writer->sum, entry);
    return writer->raw.len >= BLOCK_BYTES ? flush_block(writer, err) : 0;
}

static void add_footer_rest(struct segment_writer *writer, const char *key, size_t key_len,
                            struct buf *footer)
{
    buf_add_varint(footer, writer->block_count);
    buf_add(footer, buf_text(&writer->footer), writer->footer.len);
    buf_add_varint(footer, writer->sum.entries);
    buf_add_varint(footer, writer->sum.objects);
    buf_add_varint(footer, writer->sum.objects_bytes);
    for (int i = 0; i < PLAN_ACTION_COUNT; i++) {
        buf_add_varint(footer, writer->sum.by_action[i]);
        buf_add_varint(footer, writer->sum.bytes_by_action[i]);
    }
    buf_add_varint(footer, key_len);
    buf_add(footer, key, key_len);
}

static int seal(struct segment_writer *writer, const char *key, size_t key_len, struct err *err)
{
    if (flush_block(writer, err) < 0)
        return -1;
    SCOPED(buf) struct buf footer = { 0 };
    add_footer_rest(writer, key, key_len, &footer);
    const uint64_t crc = crc64nvme(0, footer.data, footer.len);
    const uint32_t len = (uint32_t)footer.len;
    buf_add_u32(&footer, len);
    buf_add_u64(&footer, crc);
    buf_add(&footer, TAIL, 8);
    if (file_write_all(writer->fd, footer.data, footer.len, err) < 0)
        return -1;
    if (fsync(writer->fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync");
    char from[SEGMENT_NAME_MAX];
    char to[SEGMENT_NAME_MAX];
    if (renameat(writer->dir_fd, segment_file_name(writer->number, "new", from), writer->dir_fd,
                 segment_file_name(writer->number, "seg", to)) < 0)
        return err_sys(err, ERR_LOCAL, "rename");
    if (fsync(writer->dir_fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync the job directory");
    return 0;
}

int segment_seal(struct segment_writer *writer, const char *key, size_t key_len, struct err *err)
{
    if (seal(writer, key, key_len, err) < 0)
        return err_at(err, "plan segment %u", writer->number);
    close(writer->fd);
    writer->fd = -1;
    return 0;
}

void segment_writer_done(struct segment_writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = -1;
    buf_done(&writer->raw);
    buf_done(&writer->packed);
    buf_done(&writer->footer);
    buf_done(&writer->last_name);
    buf_done(&writer->last_pack);
    buf_done(&writer->last_kept);
    buf_done(&writer->last_kept_etag);
    zblock_done(&writer->zblock);
}

/* ---- reading ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "is damaged: %s", what);
}

static int parse_blocks(struct segment *segment, struct view *footer, uint64_t file_bytes,
                        struct err *err)
{
    const uint64_t count = view_varint(footer);
    if (footer->bad || count > view_left(footer) / 12)
        return bad(err, "block count");
    segment->blocks = mem_alloc((size_t)count * sizeof *segment->blocks);
    segment->block_count = (uint32_t)count;
    uint64_t first = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t offset = view_varint(footer);
        const uint64_t packed = view_varint(footer);
        const uint64_t raw = view_varint(footer);
        const uint64_t entries = view_varint(footer);
        const uint64_t crc = view_u64(footer);
        if (footer->bad || offset > file_bytes || packed > file_bytes - offset ||
            raw > BLOCK_RAW_MAX || entries > raw || first + entries > SEGMENT_ENTRIES_MAX)
            return bad(err, "block table");
        segment->blocks[i] = (struct segment_block){ .offset_bytes = offset,
                                                     .packed_bytes = (uint32_t)packed,
                                                     .raw_bytes = (uint32_t)raw,
                                                     .first = (uint32_t)first,
                                                     .count = (uint32_t)entries,
                                                     .crc64 = crc };
        first += entries;
    }
    segment->sum.entries = view_varint(footer);
    return segment->sum.entries == first ? 0 : bad(err, "entry count");
}

static int parse_footer(struct segment *segment, const struct buf *bytes, uint64_t file_bytes,
                        struct err *err)
{
    struct view footer = view_of(bytes->data, bytes->len);
    if (parse_blocks(segment, &footer, file_bytes, err) < 0)
        return -1;
    segment->sum.objects = view_varint(&footer);
    segment->sum.objects_bytes = view_varint(&footer);
    for (int i = 0; i < PLAN_ACTION_COUNT; i++) {
        segment->sum.by_action[i] = view_varint(&footer);
        segment->sum.bytes_by_action[i] = view_varint(&footer);
    }
    const uint64_t key_len = view_varint(&footer);
    if (key_len > view_left(&footer))
        return bad(err, "last key");
    buf_clear(&segment->last_key);
    buf_add(&segment->last_key, view_bytes(&footer, (size_t)key_len), (size_t)key_len);
    if (footer.bad || view_left(&footer) != 0)
        return bad(err, "footer");
    return 0;
}

static int read_head_and_footer(struct segment *segment, struct err *err)
{
    struct stat st;
    if (fstat(segment->fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat");
    const uint64_t size = (uint64_t)st.st_size;
    if (size < HEAD_BYTES + TRAILER_BYTES)
        return bad(err, "too short");
    char head[HEAD_BYTES];
    char trailer[TRAILER_BYTES];
    if (file_read_at(segment->fd, 0, head, sizeof head, err) < 0 ||
        file_read_at(segment->fd, size - TRAILER_BYTES, trailer, sizeof trailer, err) < 0)
        return -1;
    struct view view = view_of(head + 8, 8);
    if (memcmp(head, HEAD, 8) != 0 || memcmp(trailer + 12, TAIL, 8) != 0)
        return bad(err, "not a plan segment of this version");
    if (view_u32(&view) != segment->number || view_u32(&view) != 0)
        return bad(err, "number");

    view = view_of(trailer, sizeof trailer);
    const uint32_t footer_len = view_u32(&view);
    const uint64_t crc = view_u64(&view);
    if (footer_len > FOOTER_MAX || footer_len > size - HEAD_BYTES - TRAILER_BYTES)
        return bad(err, "footer length");
    SCOPED(buf) struct buf footer = { 0 };
    buf_reserve(&footer, footer_len);
    if (file_read_at(segment->fd, size - TRAILER_BYTES - footer_len, footer.data, footer_len, err) <
        0)
        return -1;
    footer.len = footer_len;
    if (crc64nvme(0, footer.data, footer.len) != crc)
        return bad(err, "footer checksum");
    return parse_footer(segment, &footer, size, err);
}

int segment_open(struct segment *segment, int dir_fd, uint32_t number, struct err *err)
{
    char name[SEGMENT_NAME_MAX];
    segment_file_name(number, "seg", name);
    *segment =
        (struct segment){ .fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), .number = number };
    if (segment->fd < 0)
        return err_sys(err, ERR_LOCAL, "open plan segment '%s'", name);
    if (read_head_and_footer(segment, err) < 0) {
        segment_done(segment);
        return err_at(err, "plan segment '%s'", name);
    }
    return 0;
}

static int read_block(struct segment *segment, const struct segment_block *block, struct err *err)
{
    buf_clear(&segment->packed);
    buf_reserve(&segment->packed, block->packed_bytes);
    if (file_read_at(segment->fd, block->offset_bytes, segment->packed.data, block->packed_bytes,
                     err) < 0)
        return err_at(err, "plan segment %u", segment->number);
    if (crc64nvme(0, segment->packed.data, block->packed_bytes) != block->crc64) {
        bad(err, "block checksum");
        return err_at(err, "plan segment %u", segment->number);
    }
    return 0;
}

int segment_check(struct segment *segment, struct err *err)
{
    for (uint32_t number = 0; number < segment->block_count; number++)
        if (read_block(segment, &segment->blocks[number], err) < 0)
            return -1;
    return 0;
}

int segment_seek_block(struct segment *segment, uint32_t number, struct err *err)
{
    assert(number < segment->block_count);
    const struct segment_block *block = &segment->blocks[number];
    if (read_block(segment, block, err) < 0)
        return -1;
    if (zblock_expand(&segment->zblock, segment->packed.data, block->packed_bytes, block->raw_bytes,
                      &segment->raw, err) < 0)
        return err_at(err, "plan segment %u", segment->number);
    segment->view = view_of(segment->raw.data, segment->raw.len);
    segment->next_block = number + 1;
    segment->ordinal = block->first;
    buf_clear(&segment->name);
    buf_clear(&segment->pack);
    buf_clear(&segment->kept);
    buf_clear(&segment->kept_etag);
    segment->mtime_ns = 0;
    segment->mode = segment->uid = segment->gid = 0;
    return 0;
}

/* A length-prefixed text of at most STORE_ETAG_MAX - 1 bytes. */
static void decode_etag(struct view *view, char etag[STORE_ETAG_MAX])
{
    const uint64_t len = view_varint(view);
    const void *bytes = len < STORE_ETAG_MAX ? view_bytes(view, (size_t)len) : NULL;
    if (bytes == NULL) {
        view->bad = true;
        return;
    }
    memcpy(etag, bytes, (size_t)len);
    etag[len] = '\0';
}

static void decode_digests(struct view *view, struct digest_value *value)
{
    value->kinds = (uint32_t)view_varint(view);
    const void *sha256 =
        value->kinds & DIGEST_SHA256 ? view_bytes(view, DIGEST_SHA256_BYTES) : NULL;
    const void *md5 = value->kinds & DIGEST_MD5 ? view_bytes(view, DIGEST_MD5_BYTES) : NULL;
    if (sha256 != NULL)
        memcpy(value->sha256, sha256, DIGEST_SHA256_BYTES);
    if (md5 != NULL)
        memcpy(value->md5, md5, DIGEST_MD5_BYTES);
    if ((value->kinds & ~(uint32_t)(DIGEST_SHA256 | DIGEST_MD5)) != 0)
        view->bad = true;
}

/* The first is never written. */
static void decode_bucket(struct view *view, uint32_t *ret_bucket)
{
    const uint64_t bucket = view_varint(view);
    if (bucket < 2 || bucket > STORE_BUCKET_MAX)
        view->bad = true;
    else
        *ret_bucket = (uint32_t)bucket;
}

static void decode_text(struct view *view, size_t most, struct buf *ret_text)
{
    const uint64_t len = view_varint(view);
    const void *bytes = len <= most ? view_bytes(view, (size_t)len) : NULL;
    if (bytes == NULL || memchr(bytes, '\0', (size_t)len) != NULL) {
        view->bad = true;
        return;
    }
    buf_clear(ret_text);
    buf_add(ret_text, bytes, (size_t)len);
}

static void decode_packs(struct segment *segment, struct view *view, struct plan_entry *entry)
{
    const uint8_t flags = view_u8(view);
    if (flags & PACK_INTO_NAME)
        decode_text(view, STORE_KEY_MAX, &segment->pack);
    if (flags & PACK_KEPT_NAME) {
        decode_text(view, STORE_KEY_MAX, &segment->kept);
        decode_text(view, STORE_ETAG_MAX - 1, &segment->kept_etag);
    }
    if (flags & PACK_INTO)
        entry->pack = buf_text(&segment->pack);
    if (flags & PACK_KEPT) {
        entry->kept = buf_text(&segment->kept);
        entry->kept_etag = buf_text(&segment->kept_etag);
    }
    /* A pack has a name, and a name is that of a pack. */
    if ((flags & ~(unsigned)(PACK_INTO | PACK_INTO_NAME | PACK_KEPT | PACK_KEPT_NAME)) != 0 ||
        (flags & (PACK_INTO | PACK_INTO_NAME)) == PACK_INTO_NAME ||
        (flags & (PACK_KEPT | PACK_KEPT_NAME)) == PACK_KEPT_NAME ||
        (flags & (PACK_INTO | PACK_KEPT)) == 0 || (entry->pack != NULL && entry->pack[0] == '\0') ||
        (entry->kept != NULL && entry->kept[0] == '\0'))
        view->bad = true;
}

static void decode_more(struct segment *segment, struct view *view, struct plan_entry *entry)
{
    const uint8_t more = view_u8(view);
    if (more & MORE_REASON) {
        const uint64_t reason = view_varint(view);
        const uint64_t sys = view_varint(view);
        if (reason >= REASON_COUNT || sys > 4095)
            view->bad = true;
        else {
            entry->reason = (enum plan_reason)reason;
            entry->sys = (int)sys;
        }
    }
    entry->empty = (more & MORE_EMPTY) != 0;
    if (more & MORE_ETAG)
        decode_etag(view, entry->etag);
    if (more & MORE_RECORD) {
        entry->record.known = true;
        entry->record.racy = (more & MORE_RACY) != 0;
        entry->record.crc64 = view_u64(view);
        decode_etag(view, entry->record.etag);
    }
    if (more & MORE_DIGESTS)
        decode_digests(view, &entry->record.digests);
    if (more & MORE_BUCKET)
        decode_bucket(view, &entry->bucket);
    if (more & MORE_PACK)
        decode_packs(segment, view, entry);
}

static int decode_name(struct segment *segment, struct view *view)
{
    const uint64_t shared = view_varint(view);
    const uint64_t rest = view_varint(view);
    if (view->bad || shared > segment->name.len || rest > STORE_KEY_MAX - shared)
        return -1;
    const char *bytes = view_bytes(view, (size_t)rest);
    /* Names are used as C strings: a NUL inside would make two names one. */
    if (bytes == NULL || memchr(bytes, '\0', (size_t)rest) != NULL)
        return -1;
    buf_cut(&segment->name, (size_t)shared);
    buf_add(&segment->name, bytes, (size_t)rest);
    return 0;
}

static int decode(struct segment *segment, struct plan_entry *entry)
{
    struct view *view = &segment->view;
    const uint8_t head = view_u8(view);
    const unsigned kind = head & 7;
    const unsigned action = head >> 3 & 7;
    if (kind > ENTRY_GONE || action == 0 || action >= PLAN_ACTION_COUNT)
        return -1;
    if (decode_name(segment, view) < 0)
        return -1;
    entry->kind = (enum entry_kind)kind;
    entry->action = (enum plan_action)action;
    entry->reason = REASON_NONE;
    entry->sys = 0;
    entry->empty = false;
    entry->bucket = 0;
    entry->etag[0] = '\0';
    entry->record.known = entry->record.racy = false;
    entry->record.crc64 = 0;
    entry->record.digests.kinds = 0;
    entry->record.etag[0] = '\0';
    entry->pack = entry->kept = entry->kept_etag = NULL;
    entry->size_bytes = view_varint(view);
    segment->mtime_ns = (int64_t)((uint64_t)segment->mtime_ns + (uint64_t)view_signed(view));
    if ((head & ENTRY_SAME_OWNER) == 0) {
        segment->mode = (uint32_t)view_varint(view);
        segment->uid = (uint32_t)view_varint(view);
        segment->gid = (uint32_t)view_varint(view);
    }
    if (head & ENTRY_MORE)
        decode_more(segment, view, entry);
    entry->name = buf_text(&segment->name);
    entry->name_len = (uint32_t)segment->name.len;
    entry->mtime_ns = segment->mtime_ns;
    entry->mode = segment->mode & 07777;
    entry->uid = segment->uid;
    entry->gid = segment->gid;
    entry->ordinal = segment->ordinal++;
    return view->bad ? -1 : 0;
}

/* Are there as many entries as the footer says? Nobody may see an ordinal beyond that. */
static bool block_counts(const struct segment *segment)
{
    if (segment->next_block == 0)
        return true;
    const struct segment_block *block = &segment->blocks[segment->next_block - 1];
    const bool expects_more = segment->ordinal < block->first + block->count;
    return expects_more == (view_left(&segment->view) != 0);
}

int segment_next(struct segment *segment, struct plan_entry *ret_entry, struct err *err)
{
    while (block_counts(segment) && view_left(&segment->view) == 0) {
        if (segment->next_block == segment->block_count)
            return 0;
        if (segment_seek_block(segment, segment->next_block, err) < 0)
            return -1;
    }
    if (!block_counts(segment) || decode(segment, ret_entry) < 0) {
        bad(err, "an entry cannot be decoded");
        return err_at(err, "plan segment %u", segment->number);
    }
    return 1;
}

void segment_done(struct segment *segment)
{
    if (segment->fd >= 0)
        close(segment->fd);
    segment->fd = -1;
    mem_free(segment->blocks);
    buf_done(&segment->last_key);
    buf_done(&segment->packed);
    buf_done(&segment->raw);
    buf_done(&segment->name);
    buf_done(&segment->pack);
    buf_done(&segment->kept);
    buf_done(&segment->kept_etag);
    zblock_done(&segment->zblock);
}
