#include "pack/zip_names.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

/* The names and sizes of things are those of the "APPNOTE" of PKWARE. */
#define END_SIGN 0x06054b50u
#define END_BYTES 22u
#define END_COMMENT_MAX 65535u
#define END64_PLACE_SIGN 0x07064b50u
#define END64_PLACE_BYTES 20u
#define END64_SIGN 0x06064b50u
#define END64_BYTES 56u
#define RECORD_SIGN 0x02014b50u
#define RECORD_BYTES 46u
#define EXTRA_ZIP64 1u

static uint32_t number(const unsigned char *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

static uint64_t number64(const unsigned char *at)
{
    return (uint64_t)number(at + 4, 4) << 32 | number(at, 4);
}

static int damaged(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the directory of the zip is damaged: %s", what);
}

static int read_at(const struct archive_source *source, uint64_t offset, size_t len,
                   struct buf *ret_bytes, struct err *err)
{
    buf_clear(ret_bytes);
    buf_reserve(ret_bytes, len);
    while (ret_bytes->len < len) {
        unsigned char block[16384];
        const size_t left = len - ret_bytes->len;
        size_t got = 0;
        if (source->read(source->from, offset + ret_bytes->len, block,
                         left < sizeof block ? left : sizeof block, &got, err) < 0)
            return -1;
        if (got == 0)
            return damaged("it ends early", err);
        buf_add(ret_bytes, block, got);
    }
    return 0;
}

/* Where the directory is, by the record at the end; `tail` holds the end of the archive. */
static int find_directory(const struct archive_source *source, const struct buf *tail,
                          uint64_t *ret_offset, uint64_t *ret_bytes, struct err *err)
{
    const unsigned char *bytes = (const unsigned char *)tail->data;
    size_t at = tail->len;
    do {
        if (at < END_BYTES)
            return damaged("it has no end", err);
        at--;
    } while (at + END_BYTES > tail->len || number(bytes + at, 4) != END_SIGN);
    *ret_bytes = number(bytes + at + 12, 4);
    *ret_offset = number(bytes + at + 16, 4);
    if (at < END64_PLACE_BYTES || number(bytes + at - END64_PLACE_BYTES, 4) != END64_PLACE_SIGN)
        return 0;
    SCOPED(buf) struct buf end64 = { 0 };
    const uint64_t place = number64(bytes + at - END64_PLACE_BYTES + 8);
    if (place > source->size_bytes || read_at(source, place, END64_BYTES, &end64, err) < 0 ||
        number((const unsigned char *)end64.data, 4) != END64_SIGN)
        return err->kind != ERR_NONE ? -1 : damaged("its 64-bit end is not there", err);
    *ret_bytes = number64((const unsigned char *)end64.data + 40);
    *ret_offset = number64((const unsigned char *)end64.data + 48);
    return 0;
}

/* Beyond 4 GiB a member's place is among the extra fields, behind the sizes that are too. */
static uint64_t place_of(const unsigned char *record, const unsigned char *extra, size_t extra_len)
{
    const uint64_t place = number(record + 42, 4);
    if (place != UINT32_MAX)
        return place;
    size_t skip = 0;
    skip += number(record + 24, 4) == UINT32_MAX ? 8 : 0;
    skip += number(record + 20, 4) == UINT32_MAX ? 8 : 0;
    while (extra_len >= 4) {
        const uint32_t id = number(extra, 2);
        const size_t len = number(extra + 2, 2);
        if (len > extra_len - 4)
            break;
        if (id == EXTRA_ZIP64 && len >= skip + 8)
            return number64(extra + 4 + skip);
        extra += 4 + len;
        extra_len -= 4 + len;
    }
    return place;
}

/* The next record: its length, 0 when there is none. */
static size_t take_record(struct zip_names *names, const unsigned char *at, size_t left)
{
    if (left < RECORD_BYTES || number(at, 4) != RECORD_SIGN)
        return 0;
    const size_t name_len = number(at + 28, 2);
    const size_t extra_len = number(at + 30, 2);
    const size_t total = RECORD_BYTES + name_len + extra_len + number(at + 32, 2);
    if (total > left)
        return 0;
    if ((names->count & (names->count - 1)) == 0)
        names->items = mem_resize(names->items, (names->count == 0 ? 1 : 2 * names->count) *
                                                    sizeof *names->items);
    names->items[names->count] =
        (struct zip_name){ .offset_bytes = place_of(at, at + RECORD_BYTES + name_len, extra_len),
                           .index = (uint32_t)names->count,
                           .bytes = at + RECORD_BYTES,
                           .len = name_len,
                           .record_bytes = total };
    names->count++;
    return total;
}

static int compare(const void *left, const void *right)
{
    const struct zip_name *a = left;
    const struct zip_name *b = right;
    if (a->offset_bytes != b->offset_bytes)
        return a->offset_bytes < b->offset_bytes ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

static void sort(struct zip_names *names)
{
    if (names->count != 0)
        qsort(names->items, names->count, sizeof *names->items, compare);
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++)
        if (kept == 0 || names->items[kept - 1].offset_bytes != names->items[i].offset_bytes)
            names->items[kept++] = names->items[i];
    names->count = kept;
}

int zip_names_read(struct zip_names *names, const struct archive_source *source, struct err *err)
{
    *names = (struct zip_names){ 0 };
    SCOPED(buf) struct buf tail = { 0 };
    const uint64_t most = END_BYTES + END_COMMENT_MAX + END64_PLACE_BYTES;
    const size_t len = (size_t)(source->size_bytes < most ? source->size_bytes : most);
    uint64_t offset = 0;
    uint64_t bytes = 0;
    if (read_at(source, source->size_bytes - len, len, &tail, err) < 0 ||
        find_directory(source, &tail, &offset, &bytes, err) < 0)
        return -1;
    if (bytes > ARCHIVE_DIRECTORY_MAX)
        return err_set(err, ERR_LIMIT, "the directory of the zip has more than %llu bytes",
                       (unsigned long long)ARCHIVE_DIRECTORY_MAX);
    if (offset > source->size_bytes || bytes > source->size_bytes - offset)
        return damaged("it lies outside the archive", err);
    if (read_at(source, offset, (size_t)bytes, &names->directory, err) < 0)
        return -1;
    size_t at = 0;
    size_t step;
    while ((step = take_record(names, (const unsigned char *)names->directory.data + at,
                               (size_t)bytes - at)) != 0)
        at += step;
    sort(names);
    return 0;
}

static bool is_wanted(const struct zip_name *name, const char *inside)
{
    SCOPED(buf) struct buf path = { 0 };
    SCOPED(buf) struct buf rel = { 0 };
    struct err ignored = { 0 };
    const char *rest = NULL;
    buf_add(&path, name->bytes, name->len);
    if (archive_path_rel(&path, &rel, &ignored) < 0)
        return strcmp(buf_text(&path), inside) == 0;
    return archive_is_inside(buf_text(&rel), inside, &rest);
}

static uint32_t at_most(uint64_t value, uint32_t most)
{
    return value < most ? (uint32_t)value : most;
}

static void add_u16(struct buf *out, uint32_t value)
{
    buf_add_char(out, (char)(value & 0xff));
    buf_add_char(out, (char)(value >> 8 & 0xff));
}

static void add_end64(struct buf *out, uint64_t count, uint64_t bytes, uint64_t offset_bytes)
{
    const uint64_t place = offset_bytes + bytes;
    buf_add_u32(out, END64_SIGN);
    buf_add_u64(out, END64_BYTES - 12);
    add_u16(out, 45);
    add_u16(out, 45);
    buf_add_u32(out, 0);
    buf_add_u32(out, 0);
    buf_add_u64(out, count);
    buf_add_u64(out, count);
    buf_add_u64(out, bytes);
    buf_add_u64(out, offset_bytes);
    buf_add_u32(out, END64_PLACE_SIGN);
    buf_add_u32(out, 0);
    buf_add_u64(out, place);
    buf_add_u32(out, 1);
}

void zip_names_reduce(struct zip_names *names, const char *inside, uint64_t offset_bytes,
                      struct buf *ret_directory)
{
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        const struct zip_name *name = &names->items[i];
        if (!is_wanted(name, inside))
            continue;
        buf_add(ret_directory, name->bytes - RECORD_BYTES, name->record_bytes);
        names->items[kept++] = *name;
    }
    names->count = kept;
    const uint64_t bytes = ret_directory->len;
    if (offset_bytes >= UINT32_MAX || bytes >= UINT32_MAX || kept >= UINT16_MAX)
        add_end64(ret_directory, kept, bytes, offset_bytes);
    buf_add_u32(ret_directory, END_SIGN);
    buf_add_u32(ret_directory, 0);
    add_u16(ret_directory, at_most(kept, UINT16_MAX));
    add_u16(ret_directory, at_most(kept, UINT16_MAX));
    buf_add_u32(ret_directory, at_most(bytes, UINT32_MAX));
    buf_add_u32(ret_directory, at_most(offset_bytes, UINT32_MAX));
    add_u16(ret_directory, 0);
}

void zip_names_done(struct zip_names *names)
{
    buf_done(&names->directory);
    mem_free(names->items);
    names->count = 0;
}
