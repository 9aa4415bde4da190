#include "pack/tar.h"

#include "base/ban.h"
#include "base/scope.h"
#include "base/xattr.h"
#include "pack/posix_acl.h"

#include <assert.h>
#include <stdbool.h>

/* Where the fields of a ustar header are, and how many bytes they have. */
#define NAME_AT 0
#define NAME_LEN 100
#define MODE_AT 100
#define UID_AT 108
#define GID_AT 116
#define SIZE_AT 124
#define MTIME_AT 136
#define SUM_AT 148
#define TYPE_AT 156
#define LINK_AT 157
#define LINK_LEN 100
#define MAGIC_AT 257
#define PREFIX_AT 345
#define PREFIX_LEN 155
#define OCTAL_7 UINT64_C(07777777)
#define OCTAL_11 UINT64_C(077777777777)

#define SECOND INT64_C(1000000000)
#define MAP_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of a sparse file's map: 3 million extents */
#define MAP_DIGITS_MAX 20

enum tar_type {
    TYPE_FILE = '0',
    TYPE_HARDLINK = '1',
    TYPE_LINK = '2',
    TYPE_DIR = '5',
    TYPE_PAX = 'x',
    TYPE_LONG_NAME = 'L', /* GNU: the next member's name; its target. Bytes as they are, where a */
    TYPE_LONG_LINK = 'K', /* pax record is UTF-8 by definition and bsdtar complains of all else */
};

/* ---- fields ---- */

static void put_octal(unsigned char *at, unsigned digits, uint64_t value)
{
    at[digits] = '\0';
    while (digits-- > 0) {
        at[digits] = (unsigned char)('0' + (value & 7));
        value >>= 3;
    }
}

/* A new block at the end of out. */
static unsigned char *add_block(struct buf *out)
{
    buf_reserve(out, TAR_BLOCK);
    unsigned char *block = (unsigned char *)out->data + out->len;
    memset(block, 0, TAR_BLOCK + 1);
    out->len += TAR_BLOCK;
    return block;
}

/* What all headers have. The name is put by the caller. */
static void put_common(unsigned char *block, enum tar_type type, uint32_t mode, uint64_t size_bytes)
{
    put_octal(block + MODE_AT, 7, mode);
    put_octal(block + SIZE_AT, 11, size_bytes <= OCTAL_11 ? size_bytes : 0);
    block[TYPE_AT] = (unsigned char)type;
    static const char magic[] = { 'u', 's', 't', 'a', 'r', '\0', '0', '0' };
    memcpy(block + MAGIC_AT, magic, sizeof magic);
}

static void put_sum(unsigned char *block)
{
    memset(block + SUM_AT, ' ', 8);
    unsigned sum = 0;
    for (unsigned i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    put_octal(block + SUM_AT, 6, sum);
}

/* A header that only carries text for the next one, and the text. */
static void add_text(struct buf *out, const char *name, enum tar_type type, const void *text,
                     size_t len)
{
    unsigned char *block = add_block(out);
    strncpy((char *)block, name, NAME_LEN);
    put_common(block, type, 0644, len);
    put_octal(block + UID_AT, 7, 0);
    put_octal(block + GID_AT, 7, 0);
    put_octal(block + MTIME_AT, 11, 0);
    put_sum(block);
    buf_add(out, text, len);
    const size_t padding = tar_padding(len);
    buf_reserve(out, padding);
    memset(out->data + out->len, 0, padding + 1);
    out->len += padding;
}

/* ---- pax records ---- */

static size_t digits(uint64_t value)
{
    size_t count = 1;
    while ((value /= 10) != 0)
        count++;
    return count;
}

/* "LEN KEY=VALUE\n", where LEN counts all of it. */
static void add_bytes(struct buf *out, const char *key, const void *value, size_t value_len)
{
    const size_t rest = strlen(key) + value_len + 3;
    size_t len = rest;
    while (len != rest + digits(len))
        len = rest + digits(len);
    buf_add_decimal(out, len);
    buf_add_char(out, ' ');
    buf_add_text(out, key);
    buf_add_char(out, '=');
    buf_add(out, value, value_len);
    buf_add_char(out, '\n');
}

static void add_record(struct buf *out, const char *key, const char *value)
{
    add_bytes(out, key, value, strlen(value));
}

static void add_number(struct buf *out, const char *key, uint64_t value)
{
    char text[MAP_DIGITS_MAX + 1];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    add_record(out, key, text);
}

/* Seconds with nine decimals; written by hand, since most members have it. */
static void add_time(struct buf *out, int64_t ns)
{
    char text[32];
    char *at = text + sizeof text;
    uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    *--at = '\0';
    if (left % (uint64_t)SECOND != 0) {
        for (int i = 0; i < 9; i++, left /= 10)
            *--at = (char)('0' + left % 10);
        *--at = '.';
    } else {
        left /= (uint64_t)SECOND;
    }
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (ns < 0)
        *--at = '-';
    add_record(out, "mtime", at);
}

static bool time_fits(int64_t ns)
{
    return ns >= 0 && ns % SECOND == 0 && (uint64_t)(ns / SECOND) <= OCTAL_11;
}

static void add_records(const struct pack_member *member, uint64_t stored_bytes, struct buf *out)
{
    if (!time_fits(member->mtime_ns))
        add_time(out, member->mtime_ns);
    if (member->uid > OCTAL_7)
        add_number(out, "uid", member->uid);
    if (member->gid > OCTAL_7)
        add_number(out, "gid", member->gid);
    if (stored_bytes > OCTAL_11)
        add_number(out, "size", stored_bytes);
    if (member->sparse) {
        add_record(out, "GNU.sparse.major", "1");
        add_record(out, "GNU.sparse.minor", "0");
        add_number(out, "GNU.sparse.realsize", member->size_bytes);
    }
}

/* A name as GNU tar writes it in the key of a record, which ends at the first '='. */
static void add_xattr(struct buf *out, const struct xattr *xattr)
{
    SCOPED(buf) struct buf key = { 0 };
    buf_add_text(&key, "SCHILY.xattr.");
    for (size_t i = 0; i < xattr->name_len; i++) {
        const char c = xattr->name[i];
        if (c == '=' || c == '%')
            buf_add_text(&key, c == '=' ? "%3D" : "%25");
        else
            buf_add_char(&key, c);
    }
    add_bytes(out, key.data, xattr->value, xattr->value_len);
}

/* An ACL that makes no sense to us stays an attribute. */
static bool add_acl(struct buf *out, const struct xattr *xattr, const char *acl, const char *key)
{
    SCOPED(buf) struct buf text = { 0 };
    if (xattr->name_len != strlen(acl) || memcmp(xattr->name, acl, xattr->name_len) != 0 ||
        !posix_acl_text(xattr->value, xattr->value_len, &text))
        return false;
    add_bytes(out, key, text.data, text.len);
    return true;
}

static void add_xattrs(const struct pack_member *member, struct buf *out)
{
    struct view view = view_of(member->xattrs, member->xattrs_len);
    struct xattr xattr;
    while (xattr_next(&view, &xattr))
        if (!add_acl(out, &xattr, XATTR_ACL_ACCESS, "SCHILY.acl.access") &&
            !add_acl(out, &xattr, XATTR_ACL_DEFAULT, "SCHILY.acl.default"))
            add_xattr(out, &xattr);
}

/* ---- names ---- */

/* Where a name is cut for the fields prefix and name: the index of a '/', or 0 where it needs none
 * (or no cut helps, which *ret_fits tells). */
static size_t cut_name(const char *name, size_t len, bool *ret_fits)
{
    *ret_fits = len <= NAME_LEN;
    if (len <= NAME_LEN || len > PREFIX_LEN + 1 + NAME_LEN)
        return 0;
    /* The last '/' of a directory is no place to cut. */
    for (size_t at = len - NAME_LEN - 1; at <= PREFIX_LEN && at < len - 1; at++) {
        if (name[at] == '/' && at != 0) {
            *ret_fits = true;
            return at;
        }
    }
    return 0;
}

static enum tar_type type_of(enum pack_kind kind)
{
    switch (kind) {
    case PACK_DIR:
        return TYPE_DIR;
    case PACK_LINK:
        return TYPE_LINK;
    case PACK_HARDLINK:
        return TYPE_HARDLINK;
    default:
        assert(kind == PACK_FILE);
        return TYPE_FILE;
    }
}

/* The block itself. A directory's name ends in '/'. */
static void add_main(const struct pack_member *member, uint64_t stored_bytes, size_t cut,
                     bool name_fits, struct buf *out)
{
    unsigned char *block = add_block(out);
    const bool dir = member->kind == PACK_DIR;
    if (cut != 0)
        memcpy(block + PREFIX_AT, member->path, cut);
    const size_t from = cut != 0 ? cut + 1 : 0;
    size_t len = member->path_len - from;
    if (!name_fits)
        len = len + dir > NAME_LEN ? (size_t)NAME_LEN - dir : len;
    memcpy(block + NAME_AT, member->path + from, len);
    if (dir)
        block[NAME_AT + len] = '/';
    put_common(block, type_of(member->kind), member->mode & 07777, stored_bytes);
    put_octal(block + UID_AT, 7, member->uid <= OCTAL_7 ? member->uid : 0);
    put_octal(block + GID_AT, 7, member->gid <= OCTAL_7 ? member->gid : 0);
    const int64_t seconds = member->mtime_ns / SECOND;
    put_octal(block + MTIME_AT, 11,
              seconds >= 0 && (uint64_t)seconds <= OCTAL_11 ? (uint64_t)seconds : 0);
    if (member->kind == PACK_LINK || member->kind == PACK_HARDLINK)
        memcpy(block + LINK_AT, member->target,
               member->target_len < LINK_LEN ? member->target_len : LINK_LEN);
    put_sum(block);
}

static void add_long(struct buf *out, enum tar_type type, const char *text, size_t len, bool slash)
{
    SCOPED(buf) struct buf bytes = { 0 };
    buf_add(&bytes, text, len);
    if (slash)
        buf_add_char(&bytes, '/');
    buf_add_char(&bytes, '\0');
    add_text(out, "././@LongLink", type, bytes.data, bytes.len);
}

static void add_pax(const struct pack_member *member, uint64_t stored_bytes, struct buf *out)
{
    char room[256];
    struct buf records = { .data = room, .cap = sizeof room }; /* they are at most 200 bytes */
    add_records(member, stored_bytes, &records);
    assert(records.data == room);
    /* Another name of a file has its attributes by that. */
    if (member->xattrs_len == 0 || member->kind == PACK_HARDLINK) {
        if (records.len != 0)
            add_text(out, "././@PaxHeader", TYPE_PAX, records.data, records.len);
        return;
    }
    SCOPED(buf) struct buf more = { 0 };
    buf_add(&more, records.data, records.len);
    add_xattrs(member, &more);
    add_text(out, "././@PaxHeader", TYPE_PAX, more.data, more.len);
}

void tar_header(const struct pack_member *member, struct buf *out)
{
    assert(member->path_len != 0 && member->path_len <= PACK_PATH_MAX);
    assert(member->target_len <= PACK_TARGET_MAX);
    assert(!member->sparse || member->kind == PACK_FILE);
    const bool dir = member->kind == PACK_DIR;
    const uint64_t stored_bytes = tar_stored_bytes(member);
    bool name_fits = true;
    const size_t cut = cut_name(member->path, member->path_len + dir, &name_fits);
    if (!name_fits)
        add_long(out, TYPE_LONG_NAME, member->path, member->path_len, dir);
    if (member->target_len > LINK_LEN)
        add_long(out, TYPE_LONG_LINK, member->target, member->target_len, false);
    add_pax(member, stored_bytes, out);
    add_main(member, stored_bytes, cut, name_fits, out);
}

/* ---- sparse files ---- */

static void add_map_line(struct buf *out, uint64_t value)
{
    buf_add_decimal(out, value);
    buf_add_char(out, '\n');
}

/* Does the map need an entry of no length, so that a file ends where it does? */
static bool ends_in_hole(const struct pack_member *member)
{
    if (member->extent_count == 0)
        return true;
    const struct pack_extent *last = &member->extents[member->extent_count - 1];
    return last->offset_bytes + last->len_bytes != member->size_bytes;
}

void tar_map(const struct pack_member *member, struct buf *out)
{
    const size_t start = out->len;
    const bool end = ends_in_hole(member);
    add_map_line(out, member->extent_count + end);
    for (size_t i = 0; i < member->extent_count; i++) {
        add_map_line(out, member->extents[i].offset_bytes);
        add_map_line(out, member->extents[i].len_bytes);
    }
    if (end) {
        add_map_line(out, member->size_bytes);
        add_map_line(out, 0);
    }
    const size_t padding = tar_padding(out->len - start);
    buf_reserve(out, padding);
    memset(out->data + out->len, 0, padding + 1);
    out->len += padding;
}

size_t tar_map_bytes(const struct pack_member *member)
{
    const bool end = ends_in_hole(member);
    size_t bytes = digits(member->extent_count + end) + 1;
    for (size_t i = 0; i < member->extent_count; i++)
        bytes += digits(member->extents[i].offset_bytes) + digits(member->extents[i].len_bytes) + 2;
    if (end)
        bytes += digits(member->size_bytes) + 1 + 2;
    return bytes + tar_padding(bytes);
}

uint64_t tar_stored_bytes(const struct pack_member *member)
{
    const uint64_t data = pack_member_data_bytes(member);
    return member->sparse ? data + tar_map_bytes(member) : data;
}

/* 1 a number, 0 more is needed, -1 none. */
static int map_number(const char **at, const char *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (const char *p = *at; p < end; p++) {
        if (*p == '\n' && p != *at) {
            *at = p + 1;
            *ret_value = value;
            return 1;
        }
        if (*p < '0' || *p > '9' || p - *at >= MAP_DIGITS_MAX || value > (UINT64_MAX - 9) / 10)
            return -1;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    return 0;
}

static int bad_map(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the map of a sparse file is damaged");
}

/* The entries are there; do they make sense, and do they come to the bytes that are stored? */
static int check_map(const struct buf *extents, uint64_t size_bytes, uint64_t data_bytes,
                     struct err *err)
{
    const struct pack_extent *extent = (const struct pack_extent *)(const void *)extents->data;
    uint64_t at = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < extents->len / sizeof *extent; i++) {
        if (extent[i].offset_bytes < at || extent[i].offset_bytes > size_bytes ||
            extent[i].len_bytes > size_bytes - extent[i].offset_bytes)
            return bad_map(err);
        at = extent[i].offset_bytes + extent[i].len_bytes;
        sum += extent[i].len_bytes; /* no overflow: the extents do not overlap */
    }
    return sum == data_bytes ? 0 : bad_map(err);
}

int tar_read_map(const void *bytes, size_t len, uint64_t size_bytes, uint64_t stored_bytes,
                 struct buf *ret_extents, size_t *ret_map_bytes, struct err *err)
{
    if (len > stored_bytes)
        len = (size_t)stored_bytes;
    const char *at = bytes;
    const char *const end = at + len;
    const bool all = len == stored_bytes || len >= MAP_BYTES_MAX; /* more will not come */
    uint64_t count = 0;
    int got = map_number(&at, end, &count);
    if (got < 0 || count > MAP_BYTES_MAX / 4 || count > stored_bytes / 4)
        return bad_map(err);
    /* Each entry has four bytes at least, so this asks for memory only once they are there. */
    if (got == 0 || (size_t)(end - at) < count * 4)
        return all ? bad_map(err) : 0;
    buf_clear(ret_extents);
    for (uint64_t i = 0; i < count; i++) {
        struct pack_extent extent = { 0 };
        got = map_number(&at, end, &extent.offset_bytes);
        if (got == 1)
            got = map_number(&at, end, &extent.len_bytes);
        if (got < 0)
            return bad_map(err);
        if (got == 0)
            return all ? bad_map(err) : 0;
        buf_add(ret_extents, &extent, sizeof extent);
    }
    size_t used = (size_t)(at - (const char *)bytes);
    used += tar_padding(used);
    if (used > stored_bytes)
        return bad_map(err);
    *ret_map_bytes = used;
    return check_map(ret_extents, size_bytes, stored_bytes - used, err) < 0 ? -1 : 1;
}
