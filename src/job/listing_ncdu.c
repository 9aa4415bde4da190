/* ncdu's export, https://dev.yorhel.nl/ncdu/jsonfmt, version 1.2. Names are their bytes, as ncdu
 * itself writes them, so they are not JSON where they are not UTF-8. */
#include "job/listing_internal.h"

#include "base/ban.h"
#include "base/clock.h"

static void add_name(struct buf *out, const char *name, size_t len)
{
    buf_add_text(out, "{\"name\":\"");
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)name[i];
        if (c >= 0x20 && c != 0x7f && c != '"' && c != '\\')
            continue;
        buf_add(out, name + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\')
            buf_add(out, (const char[]){ '\\', (char)c }, 2);
        else
            buf_printf(out, "\\u%04x", c);
    }
    buf_add(out, name + start, len - start);
    buf_add_char(out, '"');
}

static void add_number(struct buf *out, const char *key, uint64_t value)
{
    buf_add_text(out, key);
    buf_add_decimal(out, value);
}

static void add_attr(struct buf *out, uint32_t uid, uint32_t gid, uint32_t mode, int64_t mtime_ns)
{
    add_number(out, ",\"uid\":", uid);
    add_number(out, ",\"gid\":", gid);
    add_number(out, ",\"mode\":", mode);
    add_number(out, ",\"mtime\":", mtime_ns > 0 ? (uint64_t)(mtime_ns / NS_PER_S) : 0);
}

static void begin(struct listing *listing)
{
    struct buf *out = &listing->out;
    const struct stat *st = &listing->options.top_stat;
    buf_printf(out, "[1,2,{\"progname\":\"lade\",\"progver\":\"%s\",\"timestamp\":%lld},\n[",
               LADE_VERSION, (long long)(listing->options.time_ns / NS_PER_S));
    add_name(out, listing->options.top_path, strlen(listing->options.top_path));
    add_number(out, ",\"asize\":", (uint64_t)st->st_size);
    add_number(out, ",\"dsize\":", (uint64_t)st->st_blocks * 512);
    add_number(out, ",\"dev\":", st->st_dev);
    add_attr(out, st->st_uid, st->st_gid, st->st_mode, clock_from_timespec_ns(st->st_mtim));
    buf_add_char(out, '}');
}

static uint32_t type_bits(const struct crawl_item *item)
{
    switch (item->kind) {
    case ENTRY_FILE:
        return S_IFREG;
    case ENTRY_DIR:
        return S_IFDIR;
    case ENTRY_LINK:
        return S_IFLNK;
    default:
        return item->reason == REASON_FIFO ? S_IFIFO : item->reason == REASON_SOCKET ? S_IFSOCK : 0;
    }
}

static void add(struct listing *listing, const struct crawl_item *item, const char *name,
                size_t name_len)
{
    struct buf *out = &listing->out;
    const bool enters = listing_enters(item);
    buf_add_text(out, enters ? ",\n[" : ",\n");
    add_name(out, name, name_len);
    if (item->kind == ENTRY_UNREADABLE || item->reason == REASON_UNREADABLE)
        buf_add_text(out, ",\"read_error\":true");
    if (item->reason == REASON_OTHER_DEVICE)
        buf_add_text(out, ",\"excluded\":\"otherfs\"");
    if (item->kind != ENTRY_UNREADABLE) {
        if (item->size_bytes != 0)
            add_number(out, ",\"asize\":", item->size_bytes);
        if (item->disk_bytes != 0)
            add_number(out, ",\"dsize\":", item->disk_bytes);
        if (enters && item->dev != 0)
            add_number(out, ",\"dev\":", item->dev);
        if (item->ino != 0)
            add_number(out, ",\"ino\":", item->ino);
        if (item->kind == ENTRY_FILE && item->nlink > 1)
            add_number(out, ",\"hlnkc\":true,\"nlink\":", item->nlink);
        if (item->kind != ENTRY_FILE && !enters)
            buf_add_text(out, ",\"notreg\":true");
        if (!item->no_attr)
            add_attr(out, item->uid, item->gid, item->mode | type_bits(item), item->mtime_ns);
    }
    buf_add_char(out, '}');
}

static int leave(struct listing *listing, const struct trail_step *step, struct err *err)
{
    (void)step;
    (void)err;
    buf_add_char(&listing->out, ']');
    return 0;
}

static int end(struct listing *listing, struct err *err)
{
    (void)err;
    buf_add_text(&listing->out, "]\n");
    return 0;
}

const struct listing_writer listing_ncdu = {
    .begin = begin, .add = add, .leave = leave, .end = end
};
