/* Listings with a line for each entry: JSON objects, and CSV as RFC 4180 has it. */
#include "job/listing_internal.h"

#include "base/ban.h"
#include "base/json.h"

static void add_mode(struct buf *out, uint32_t mode)
{
    const char digits[4] = { (char)('0' + (mode >> 9 & 7)), (char)('0' + (mode >> 6 & 7)),
                             (char)('0' + (mode >> 3 & 7)), (char)('0' + (mode & 7)) };
    buf_add(out, digits, sizeof digits);
}

static size_t path_len(const struct crawl_item *item)
{
    return item->name_len - (item->kind == ENTRY_DIR);
}

static void add_json_number(struct buf *out, const char *key, uint64_t value)
{
    buf_add_text(out, key);
    buf_add_decimal(out, value);
}

static void jsonl_add(struct listing *listing, const struct crawl_item *item, const char *name,
                      size_t name_len)
{
    (void)name;
    (void)name_len;
    struct buf *out = &listing->out;
    buf_add_text(out, "{\"path\":");
    json_string(out, item->name, path_len(item));
    buf_add_text(out, ",\"type\":\"");
    buf_add_text(out, listing_kind_name(item));
    buf_add_char(out, '"');
    if (item->kind == ENTRY_UNREADABLE) {
        buf_add_text(out, ",\"error\":");
        const char *why = strerror(item->sys);
        json_string(out, why, strlen(why));
        buf_add_text(out, "}\n");
        return;
    }
    add_json_number(out, ",\"size\":", item->size_bytes);
    if (item->no_attr) {
        buf_add_text(out, "}\n");
        return;
    }
    buf_add_text(out, ",\"mtime\":");
    listing_add_time(out, item->mtime_ns);
    buf_add_text(out, ",\"mode\":\"");
    add_mode(out, item->mode);
    add_json_number(out, "\",\"uid\":", item->uid);
    add_json_number(out, ",\"gid\":", item->gid);
    add_json_number(out, ",\"nlink\":", item->nlink);
    add_json_number(out, ",\"ino\":", item->ino);
    add_json_number(out, ",\"disk\":", item->disk_bytes);
    if (item->kind == ENTRY_DIR && item->reason != REASON_NONE) {
        buf_add_text(out, ",\"error\":");
        const char *why = item->sys != 0 ? strerror(item->sys) : plan_reason_text(item->reason);
        json_string(out, why, strlen(why));
    }
    buf_add_text(out, "}\n");
}

const struct listing_writer listing_jsonl = { .add = jsonl_add };

static void csv_begin(struct listing *listing)
{
    buf_add_text(&listing->out, "path,type,size,mtime,mode,uid,gid,nlink,ino,disk\r\n");
}

static void add_field(struct buf *out, const char *text, size_t len)
{
    bool plain = true;
    for (size_t i = 0; plain && i < len; i++)
        plain = text[i] != '"' && text[i] != ',' && text[i] != '\r' && text[i] != '\n';
    if (plain) {
        buf_add(out, text, len);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            buf_add_char(out, '"');
        buf_add_char(out, text[i]);
    }
    buf_add_char(out, '"');
}

static void csv_add(struct listing *listing, const struct crawl_item *item, const char *name,
                    size_t name_len)
{
    (void)name;
    (void)name_len;
    struct buf *out = &listing->out;
    add_field(out, item->name, path_len(item));
    buf_add_char(out, ',');
    buf_add_text(out, listing_kind_name(item));
    if (item->kind == ENTRY_UNREADABLE) {
        buf_add_text(out, ",,,,,,,,\r\n");
        return;
    }
    buf_add_char(out, ',');
    buf_add_decimal(out, item->size_bytes);
    if (item->no_attr) {
        buf_add_text(out, ",,,,,,,\r\n");
        return;
    }
    buf_add_char(out, ',');
    listing_add_time(out, item->mtime_ns);
    buf_add_char(out, ',');
    add_mode(out, item->mode);
    const uint64_t numbers[] = { item->uid, item->gid, item->nlink, item->ino, item->disk_bytes };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        buf_add_char(out, ',');
        buf_add_decimal(out, numbers[i]);
    }
    buf_add_text(out, "\r\n");
}

const struct listing_writer listing_csv = { .begin = csv_begin, .add = csv_add };
