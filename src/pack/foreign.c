#include "pack/foreign.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/gunzip.h"
#include "pack/zip_names.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>

#define BLOCK_BYTES ((size_t)256 << 10)
#define ZIP_BLOCK_BYTES ((size_t)32 << 10) /* a jump to each member is to cost little */
#define MAGIC_BYTES 6
/* Less than this is read through rather than jumped over. */
#define JUMP_BYTES ((int64_t)4 << 20)

/* One pass over the source, or over what is decompressed from it. */
struct foreign {
    struct archive_in in;
    const struct archive_source *source;
    uint64_t offset_bytes; /* in the source, of what is read next */
    struct gunzip *gunzip; /* one of these two, or none */
    struct archive *unpacker;
    struct archive *reader;
    uint64_t most_bytes, unpacked_bytes;
    uint64_t directory_bytes; /* read before the first member */
    bool is_zip, begun;
    bool has_names;                /* `names` was read */
    struct archive_source reduced; /* a zip with less in its directory */
    struct buf tail;               /* that directory: behind the last byte of `whole` */
    const struct archive_source *whole;
    struct zip_names names;
    locale_t utf8, before; /* for zip */
    struct err why;        /* the cause, when a callback failed */
    unsigned char block[BLOCK_BYTES];
};

static struct foreign *foreign_of(struct archive_in *in)
{
    return (struct foreign *)in;
}

/* ---- bytes for libarchive ---- */

static la_ssize_t fail_callback(struct archive *archive, struct foreign *foreign)
{
    archive_set_error(archive, EIO, "%s", foreign->why.text);
    return -1;
}

static la_ssize_t read_source(struct archive *archive, void *from, const void **ret_bytes)
{
    struct foreign *foreign = from;
    size_t len = 0;
    if (foreign->why.kind != ERR_NONE ||
        foreign->source->read(foreign->source->from, foreign->offset_bytes, foreign->block,
                              foreign->is_zip ? ZIP_BLOCK_BYTES : BLOCK_BYTES, &len,
                              &foreign->why) < 0)
        return fail_callback(archive, foreign);
    foreign->offset_bytes += len;
    if (foreign->is_zip && !foreign->begun) {
        foreign->directory_bytes += len;
        if (foreign->directory_bytes > ARCHIVE_DIRECTORY_MAX) {
            err_set(&foreign->why, ERR_LIMIT, "the directory of the zip has more than %llu bytes",
                    (unsigned long long)ARCHIVE_DIRECTORY_MAX);
            return fail_callback(archive, foreign);
        }
    }
    *ret_bytes = foreign->block;
    return (la_ssize_t)len;
}

static la_int64_t skip_source(struct archive *archive, void *from, la_int64_t len)
{
    struct foreign *foreign = from;
    (void)archive;
    const uint64_t left = foreign->source->size_bytes - foreign->offset_bytes;
    if (len < JUMP_BYTES || (uint64_t)len >= left)
        return 0; /* it is read, and where it ends is seen */
    foreign->offset_bytes += (uint64_t)len;
    return len;
}

static la_int64_t seek_source(struct archive *archive, void *from, la_int64_t offset, int whence)
{
    struct foreign *foreign = from;
    (void)archive;
    const int64_t size = (int64_t)foreign->source->size_bytes;
    const int64_t base = whence == SEEK_SET   ? 0
                         : whence == SEEK_END ? size
                                              : (int64_t)foreign->offset_bytes;
    int64_t at = 0;
    if (__builtin_add_overflow(base, offset, &at) || at < 0 || at > size)
        return ARCHIVE_FATAL;
    foreign->offset_bytes = (uint64_t)at;
    return at;
}

static int unpacker_error(struct foreign *foreign, struct err *err)
{
    if (foreign->why.kind == ERR_NONE)
        return err_set(err, ERR_CORRUPT, "cut off or damaged: %s",
                       archive_error_string(foreign->unpacker) != NULL
                           ? archive_error_string(foreign->unpacker)
                           : "it makes no sense");
    if (err != &foreign->why)
        *err = foreign->why;
    return -1;
}

/* The next decompressed bytes: 1, 0 at the end, -1. */
static int unpack_next(struct foreign *foreign, const void **ret_bytes, size_t *ret_len,
                       struct err *err)
{
    int got = 1;
    if (foreign->gunzip != NULL) {
        got = gunzip_next(foreign->gunzip, ret_bytes, ret_len, err);
    } else {
        la_int64_t offset = 0;
        const int result = archive_read_data_block(foreign->unpacker, ret_bytes, ret_len, &offset);
        if (result == ARCHIVE_EOF)
            got = 0;
        else if (result != ARCHIVE_OK)
            got = unpacker_error(foreign, err);
    }
    if (got <= 0)
        return got;
    foreign->unpacked_bytes += *ret_len;
    if (foreign->unpacked_bytes > foreign->most_bytes)
        return archive_limit_error(foreign->most_bytes, err);
    return 1;
}

static la_ssize_t read_unpacked(struct archive *archive, void *from, const void **ret_bytes)
{
    struct foreign *foreign = from;
    size_t len = 0;
    int got = -1;
    if (foreign->why.kind == ERR_NONE) {
        do /* libarchive takes nothing for the end */
            got = unpack_next(foreign, ret_bytes, &len, &foreign->why);
        while (got == 1 && len == 0);
    }
    if (got < 0)
        return fail_callback(archive, foreign);
    return got == 0 ? 0 : (la_ssize_t)len;
}

/* ---- opening ---- */

typedef int (*filter_fn)(struct archive *archive);

/* What a decompressor begins with. Those of which libarchive would start a program are left out. */
static const struct magic {
    const char *bytes;
    size_t len;
    filter_fn filter; /* NULL: gzip */
} magics[] = {
    { "\x1f\x8b", 2, NULL },
    { "BZh", 3, archive_read_support_filter_bzip2 },
    { "\3757zXZ", 6, archive_read_support_filter_xz },
    { "\x28\xb5\x2f\xfd", 4, archive_read_support_filter_zstd },
    { "\x04\x22\x4d\x18", 4, archive_read_support_filter_lz4 },
    { "LZIP", 4, archive_read_support_filter_lzip },
    { "\x5d\x00\x00", 3, archive_read_support_filter_lzma },
    { "\x1f\x9d", 2, archive_read_support_filter_compress },
};

static const struct magic *find_magic(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (len >= magics[i].len && memcmp(bytes, magics[i].bytes, magics[i].len) == 0)
            return &magics[i];
    return NULL;
}

static int open_unpacker(struct foreign *foreign, filter_fn filter, struct err *err)
{
    struct archive_entry *entry = NULL;
    foreign->unpacker = archive_read_new();
    if (foreign->unpacker == NULL)
        return err_set(err, ERR_LOCAL, "libarchive cannot start");
    if (filter(foreign->unpacker) != ARCHIVE_OK ||
        archive_read_support_format_raw(foreign->unpacker) != ARCHIVE_OK)
        return err_set(err, ERR_LOCAL, "libarchive cannot decompress this");
    if (archive_read_open(foreign->unpacker, foreign, NULL, read_source, NULL) != ARCHIVE_OK ||
        archive_read_next_header(foreign->unpacker, &entry) != ARCHIVE_OK)
        return unpacker_error(foreign, err);
    return 0;
}

/* Names are looked at, and converted, in the calling thread's locale. */
static void enter_locale(struct foreign *foreign)
{
    if (foreign->utf8 != (locale_t)0)
        foreign->before = uselocale(foreign->utf8);
}

static void leave_locale(struct foreign *foreign)
{
    if (foreign->utf8 != (locale_t)0)
        uselocale(foreign->before);
}

static int reader_error(struct foreign *foreign, struct err *err)
{
    if (foreign->why.kind != ERR_NONE) {
        *err = foreign->why;
        return -1;
    }
    const char *text = archive_error_string(foreign->reader);
    return err_set(err, ERR_CORRUPT, "the archive is cut off or damaged: %s",
                   text != NULL ? text : "it makes no sense");
}

static int open_reader(struct foreign *foreign, struct err *err)
{
    const bool packed = foreign->gunzip != NULL || foreign->unpacker != NULL;
    struct archive *reader = foreign->reader = archive_read_new();
    if (reader == NULL)
        return err_set(err, ERR_LOCAL, "libarchive cannot start");
    if ((foreign->is_zip ? archive_read_support_format_zip_seekable
                         : archive_read_support_format_tar)(reader) != ARCHIVE_OK)
        return err_set(err, ERR_LOCAL, "libarchive cannot read this");
    archive_read_set_callback_data(reader, foreign);
    archive_read_set_read_callback(reader, packed ? read_unpacked : read_source);
    if (!packed)
        archive_read_set_skip_callback(reader, skip_source);
    if (foreign->is_zip)
        archive_read_set_seek_callback(reader, seek_source);
    return archive_read_open1(reader) != ARCHIVE_OK ? reader_error(foreign, err) : 0;
}

/* A zip in which only some of the members are, so that libarchive, which looks at the header of
 * each, does not go through all of a large archive: the members stay where they are, and behind the
 * end comes a directory that has only those. */
static int read_reduced(void *from, uint64_t offset_bytes, void *bytes, size_t len, size_t *ret_len,
                        struct err *err)
{
    const struct foreign *foreign = from;
    const uint64_t size = foreign->whole->size_bytes;
    if (offset_bytes < size) {
        const uint64_t left = size - offset_bytes;
        return foreign->whole->read(foreign->whole->from, offset_bytes, bytes,
                                    len < left ? len : (size_t)left, ret_len, err);
    }
    const uint64_t at = offset_bytes - size;
    const uint64_t left = at < foreign->tail.len ? foreign->tail.len - at : 0;
    *ret_len = len < left ? len : (size_t)left;
    if (*ret_len != 0)
        memcpy(bytes, foreign->tail.data + at, *ret_len);
    return 0;
}

static int reduce(struct foreign *foreign, const char *inside, struct err *err)
{
    if (zip_names_read(&foreign->names, foreign->source, err) < 0)
        return -1;
    foreign->has_names = true;
    zip_names_reduce(&foreign->names, inside, foreign->source->size_bytes, &foreign->tail);
    foreign->whole = foreign->source;
    foreign->reduced =
        (struct archive_source){ .from = foreign,
                                 .size_bytes = foreign->source->size_bytes + foreign->tail.len,
                                 .read = read_reduced };
    foreign->source = &foreign->reduced;
    return 0;
}

static int open_by_content(struct foreign *foreign, const char *inside, struct err *err)
{
    unsigned char head[MAGIC_BYTES];
    size_t len = 0;
    while (len < sizeof head) {
        size_t got = 0;
        if (foreign->source->read(foreign->source->from, len, head + len, sizeof head - len, &got,
                                  err) < 0)
            return -1;
        if (got == 0)
            break;
        len += got;
    }
    if (len == 0)
        return err_set(err, ERR_CORRUPT, "it is no archive: it is empty");
    foreign->is_zip = len >= 4 && memcmp(head, "PK", 2) == 0 && head[2] < 9 && head[3] < 9;
    const struct magic *magic = find_magic(head, len);
    if (foreign->is_zip) {
        foreign->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        foreign->in.is_random_access = true;
        if (inside[0] != '\0' && reduce(foreign, inside, err) < 0)
            return -1;
    } else if (magic != NULL) {
        if ((magic->filter == NULL ? gunzip_open(&foreign->gunzip, foreign->source, err)
                                   : open_unpacker(foreign, magic->filter, err)) < 0)
            return -1;
    }
    return open_reader(foreign, err);
}

static void foreign_close(struct archive_in *in)
{
    struct foreign *foreign = foreign_of(in);
    archive_read_free(foreign->reader);
    archive_read_free(foreign->unpacker);
    gunzip_close(foreign->gunzip);
    zip_names_done(&foreign->names);
    buf_done(&foreign->tail);
    if (foreign->utf8 != (locale_t)0)
        freelocale(foreign->utf8);
    mem_release(foreign);
}

/* ---- members ---- */

static enum entry_kind kind_of(struct archive_entry *entry)
{
    if (archive_entry_hardlink(entry) != NULL)
        return ENTRY_FILE;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return ENTRY_FILE;
    case AE_IFDIR:
        return ENTRY_DIR;
    case AE_IFLNK:
        return ENTRY_LINK;
    default:
        return ENTRY_SPECIAL;
    }
}

static void fill_attr(struct attr *attr, struct archive_entry *entry)
{
    *attr = (struct attr){ .kind = kind_of(entry),
                           .have = ATTR_MODE,
                           .mode = archive_entry_perm(entry) & 07777 };
    const int64_t uid = archive_entry_uid(entry);
    const int64_t gid = archive_entry_gid(entry);
    if (uid >= 0 && uid < UINT32_MAX && gid >= 0 && gid < UINT32_MAX) {
        attr->have |= ATTR_OWNER;
        attr->uid = (uint32_t)uid;
        attr->gid = (uint32_t)gid;
    }
    int64_t mtime_ns = 0;
    if (archive_entry_mtime_is_set(entry) &&
        !__builtin_mul_overflow((int64_t)archive_entry_mtime(entry), INT64_C(1000000000),
                                &mtime_ns) &&
        !__builtin_add_overflow(mtime_ns, (int64_t)archive_entry_mtime_nsec(entry), &mtime_ns)) {
        attr->have |= ATTR_MTIME;
        attr->mtime_ns = mtime_ns;
    }
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

/* A name in zip that libarchive may have changed. */
static int take_zip_name(struct foreign *foreign, struct buf *path, struct err *err)
{
    if (!foreign->has_names && zip_names_read(&foreign->names, foreign->source, err) < 0)
        return -1;
    foreign->has_names = true;
    if (foreign->in.member_count >= foreign->names.count)
        return err_set(err, ERR_CORRUPT, "the directory of the zip has too few names");
    const struct zip_name *name = &foreign->names.items[foreign->in.member_count];
    const bool was_dir = path->len != 0 && path->data[path->len - 1] == '/';
    buf_clear(path);
    buf_add(path, name->bytes, name->len);
    if (was_dir && name->len != 0 && path->data[path->len - 1] != '/')
        buf_add_char(path, '/');
    return 0;
}

static int fill_names(struct foreign *foreign, struct archive_member *member,
                      struct archive_entry *entry, struct err *err)
{
    const char *path = archive_entry_pathname(entry);
    buf_clear(&member->path);
    if (path != NULL)
        buf_add_text(&member->path, path);
    if (foreign->is_zip && (path == NULL || !is_ascii(path)) &&
        take_zip_name(foreign, &member->path, err) < 0)
        return -1;
    const char *hard = archive_entry_hardlink(entry);
    const char *target = hard != NULL ? hard : archive_entry_symlink(entry);
    member->is_hard_link = hard != NULL;
    buf_clear(&member->target);
    if (target != NULL)
        buf_add_text(&member->target, target);
    if (member->path.len > ARCHIVE_NAME_MAX || member->target.len > ARCHIVE_NAME_MAX)
        return err_set(err, ERR_LIMIT, "a member has a name of more than %zu bytes",
                       ARCHIVE_NAME_MAX);
    return 0;
}

static int fill(struct foreign *foreign, struct archive_member *member, struct archive_entry *entry,
                struct err *err)
{
    if (fill_names(foreign, member, entry, err) < 0)
        return -1;
    fill_attr(&member->attr, entry);
    const int64_t size = archive_entry_size(entry);
    const bool has_data = member->attr.kind == ENTRY_FILE && !member->is_hard_link;
    if (size < 0)
        return err_set(err, ERR_CORRUPT, "a member has less than no bytes");
    member->size_bytes = has_data ? (uint64_t)size : 0;
    return 0;
}

/* Behind the end mark of a tar: to the end of what was compressed, whose checksum is there. */
static int finish(struct foreign *foreign, struct err *err)
{
    if (foreign->is_zip)
        return 0;
    if (archive_filter_bytes(foreign->reader, 0) == archive_read_header_position(foreign->reader))
        return err_set(err, ERR_CORRUPT, "the archive is cut off: it has no end mark");
    const void *bytes = NULL;
    size_t len = 0;
    int got = 0;
    if (foreign->gunzip != NULL || foreign->unpacker != NULL)
        while ((got = unpack_next(foreign, &bytes, &len, err)) == 1)
            ;
    return got;
}

static int foreign_next(struct archive_in *in, struct archive_member *member, struct err *err)
{
    struct foreign *foreign = foreign_of(in);
    struct archive_entry *entry = NULL;
    enter_locale(foreign);
    const int result = archive_read_next_header(foreign->reader, &entry);
    int got = 1;
    foreign->begun = true;
    /* A warning is about a conversion, or about something that is not used here. */
    if (result == ARCHIVE_EOF)
        got = finish(foreign, err);
    else if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        got = reader_error(foreign, err);
    else if (fill(foreign, member, entry, err) < 0)
        got = -1;
    leave_locale(foreign);
    return got;
}

static int foreign_data(struct archive_in *in, struct archive_piece *ret_piece, struct err *err)
{
    struct foreign *foreign = foreign_of(in);
    la_int64_t offset = 0;
    enter_locale(foreign);
    const int result =
        archive_read_data_block(foreign->reader, &ret_piece->bytes, &ret_piece->len, &offset);
    leave_locale(foreign);
    if (result == ARCHIVE_EOF)
        return 0;
    /* Also a warning: zip says so when a checksum differs. */
    if (result != ARCHIVE_OK)
        return reader_error(foreign, err);
    if (offset < 0)
        return err_set(err, ERR_CORRUPT, "it has bytes before its beginning");
    ret_piece->offset_bytes = (uint64_t)offset;
    return 1;
}

int foreign_open(struct archive_in **ret_in, const struct archive_source *source,
                 const char *inside, uint64_t most_bytes, struct err *err)
{
    static const struct archive_format format = { foreign_next, foreign_data, foreign_close };
    struct foreign *foreign = mem_alloc(sizeof *foreign);
    foreign->in.format = &format;
    foreign->source = source;
    foreign->most_bytes = most_bytes;
    if (open_by_content(foreign, inside, err) < 0) {
        foreign_close(&foreign->in);
        return -1;
    }
    *ret_in = &foreign->in;
    return 0;
}
