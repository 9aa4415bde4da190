#include "job/listing_read.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/dirlist.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct listing_reader {
    char *path;
    int fd;
    struct json_reader json;
    bool begun, is_rows, ended;
    struct buf top;
    struct buf name; /* of the item; while in a desi tree, of the directory at hand before it */
    size_t *levels;  /* desi: the lengths of the directories' names that lead here */
    size_t depth, cap;
};

int listing_reader_open(struct listing_reader **ret_reader, const char *path, struct err *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_USAGE, "--from '%s'", path);
    struct listing_reader *reader = mem_alloc(sizeof *reader);
    reader->path = mem_string(path);
    reader->fd = fd;
    json_reader_init(&reader->json, fd);
    buf_add_char(&reader->top, '.');
    *ret_reader = reader;
    return 0;
}

const char *listing_reader_top(const struct listing_reader *reader)
{
    return buf_text(&reader->top);
}

void listing_reader_close(struct listing_reader *reader)
{
    if (reader == NULL)
        return;
    json_reader_done(&reader->json);
    close(reader->fd);
    buf_done(&reader->top);
    buf_done(&reader->name);
    mem_release(reader->levels);
    mem_release(reader->path);
    mem_release(reader);
}

static int expect(struct listing_reader *reader, enum json_token want, const char *what,
                  struct err *err)
{
    enum json_token token;
    if (json_read(&reader->json, &token, err) < 0)
        return -1;
    return token == want ? 0 : json_read_fail(&reader->json, what, err);
}

static int number_of(const struct listing_reader *reader, uint64_t *ret_value, struct err *err)
{
    struct err why = { 0 };
    if (units_parse_count(ret_value, buf_text(&reader->json.text), 0, INT64_MAX, &why) < 0)
        return json_read_fail(&reader->json, "no whole number", err);
    return 0;
}

/* ---- nested arrays ---- */

static void push(struct listing_reader *reader)
{
    if (reader->depth == reader->cap) {
        reader->cap = reader->cap == 0 ? 16 : reader->cap * 2;
        reader->levels = mem_resize(reader->levels, reader->cap * sizeof *reader->levels);
    }
    reader->levels[reader->depth++] = reader->name.len;
}

/* Behind '[': name, type, size. 1: an item, 0: the top. */
static int read_node(struct listing_reader *reader, struct crawl_item *item, struct err *err)
{
    struct buf *text = &reader->json.text;
    if (expect(reader, JSON_STRING, "a node does not begin with a name", err) < 0)
        return -1;
    const bool is_top = reader->depth == 0;
    if (is_top) {
        buf_clear(&reader->top);
        buf_add(&reader->top, buf_text(text), text->len);
    } else if (!path_component_ok(buf_text(text), text->len)) {
        return json_read_fail(&reader->json, "a name that is none", err);
    } else {
        buf_add(&reader->name, text->data, text->len);
    }
    if (reader->name.len >= DIRLIST_NAME_MAX)
        return err_set(err, ERR_LIMIT, "a path of more than %u bytes", DIRLIST_NAME_MAX);
    if (expect(reader, JSON_NUMBER, "a node without a type", err) < 0)
        return -1;
    const char *type = buf_text(text);
    const bool is_dir = strcmp(type, "0") == 0;
    item->kind = is_dir ? ENTRY_DIR : strcmp(type, "1") == 0 ? ENTRY_FILE : ENTRY_UNKNOWN;
    if (item->kind == ENTRY_UNKNOWN && strcmp(type, "-1") != 0)
        return json_read_fail(&reader->json, "an unknown type", err);
    uint64_t size;
    if (expect(reader, JSON_NUMBER, "a node without a size", err) < 0 ||
        number_of(reader, &size, err) < 0)
        return -1;
    if (item->kind == ENTRY_FILE)
        item->size_bytes = size;
    if (is_top && !is_dir)
        return json_read_fail(&reader->json, "the top is no directory", err);
    if (is_dir) {
        if (!is_top)
            buf_add_char(&reader->name, '/');
        push(reader);
    } else if (expect(reader, JSON_CLOSE_ARRAY, "what is no directory has children", err) < 0) {
        return -1;
    }
    return is_top ? 0 : 1;
}

static int next_node(struct listing_reader *reader, struct crawl_item *item, struct err *err)
{
    for (;;) {
        enum json_token token = JSON_OPEN_ARRAY;
        if (reader->begun && json_read(&reader->json, &token, err) < 0)
            return -1;
        reader->begun = true;
        /* What was no directory leaves its name to be taken away. */
        if (reader->depth != 0)
            buf_cut(&reader->name, reader->levels[reader->depth - 1]);
        if (token == JSON_OPEN_ARRAY) {
            const int got = read_node(reader, item, err);
            if (got != 0)
                return got;
            continue;
        }
        if (token != JSON_CLOSE_ARRAY)
            return json_read_fail(&reader->json, "no node", err);
        if (--reader->depth == 0)
            return expect(reader, JSON_END, "more behind the top directory", err);
    }
}

/* ---- JSON lines ---- */

static int parse_time(int64_t *ret_ns, const char *text)
{
    const bool negative = *text == '-';
    text += negative;
    int64_t ns = 0;
    int digits = 0;
    for (; *text >= '0' && *text <= '9' && digits < 10; text++, digits++)
        ns = ns * 10 + (*text - '0');
    if (digits == 0 || ns > 9000000000)
        return -1;
    ns *= NS_PER_S;
    if (*text == '.') {
        int64_t unit = NS_PER_S / 10;
        for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
            ns += (*text - '0') * unit;
    }
    *ret_ns = negative ? -ns : ns;
    return *text == '\0' ? 0 : -1;
}

static int parse_mode(uint32_t *ret_mode, const char *text)
{
    uint32_t mode = 0;
    size_t len = 0;
    for (; text[len] >= '0' && text[len] <= '7' && len < 5; len++)
        mode = mode * 8 + (uint32_t)(text[len] - '0');
    *ret_mode = mode;
    return len != 0 && text[len] == '\0' && mode <= 07777 ? 0 : -1;
}

static int take_type(struct crawl_item *item, const char *text)
{
    static const struct {
        const char *name;
        enum entry_kind kind;
        enum plan_reason reason;
    } types[] = {
        { "file", ENTRY_FILE, REASON_NONE },
        { "directory", ENTRY_DIR, REASON_NONE },
        { "link", ENTRY_LINK, REASON_NONE },
        { "fifo", ENTRY_SPECIAL, REASON_FIFO },
        { "socket", ENTRY_SPECIAL, REASON_SOCKET },
        { "device", ENTRY_SPECIAL, REASON_DEVICE },
        { "other", ENTRY_UNKNOWN, REASON_NONE },
        { "unreadable", ENTRY_UNREADABLE, REASON_UNREADABLE },
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i].name) == 0) {
            item->kind = types[i].kind;
            item->reason = types[i].reason;
            if (types[i].kind == ENTRY_UNREADABLE)
                item->sys = EACCES;
            return 0;
        }
    return -1;
}

enum row_bit { ROW_PATH = 1, ROW_TYPE = 2, ROW_MODE = 4, ROW_TIME = 8, ROW_OWNER = 16 };

/* Values that are not ours are passed over, whatever they are. */
static int skip_value(struct listing_reader *reader, enum json_token token, struct err *err)
{
    uint64_t depth = 0;
    for (;;) {
        if (token == JSON_END)
            return json_read_fail(&reader->json, "ends in a line", err);
        if (token == JSON_OPEN_ARRAY || token == JSON_OPEN_OBJECT)
            depth++;
        else if (token == JSON_CLOSE_ARRAY || token == JSON_CLOSE_OBJECT)
            depth--;
        if (depth == 0)
            return 0;
        if (json_read(&reader->json, &token, err) < 0)
            return -1;
    }
}

static int take_path(struct listing_reader *reader, struct err *err)
{
    const struct buf *text = &reader->json.text;
    const size_t len = text->len;
    if (len == 0 || len >= DIRLIST_NAME_MAX || text->data[len - 1] == '/' ||
        !path_rel_ok(text->data))
        return json_read_fail(&reader->json, "a path that leads out of the tree, or is none", err);
    buf_clear(&reader->name);
    buf_add(&reader->name, text->data, len);
    return 0;
}

static int take_number(struct listing_reader *reader, const char *key, struct crawl_item *item,
                       uint32_t *have, struct err *err)
{
    uint64_t value = 0;
    if (strcmp(key, "mtime") == 0) {
        if (parse_time(&item->mtime_ns, buf_text(&reader->json.text)) < 0)
            return json_read_fail(&reader->json, "no time", err);
        *have |= ROW_TIME;
        return 0;
    }
    if (number_of(reader, &value, err) < 0)
        return -1;
    if (strcmp(key, "size") == 0) {
        item->size_bytes = value;
    } else if (strcmp(key, "uid") == 0) {
        item->uid = (uint32_t)value;
        *have |= ROW_OWNER;
    } else if (strcmp(key, "gid") == 0) {
        item->gid = (uint32_t)value;
    } else if (strcmp(key, "nlink") == 0) {
        item->nlink = (uint32_t)value;
    } else if (strcmp(key, "ino") == 0) {
        item->ino = value;
    } else {
        item->disk_bytes = value;
    }
    return 0;
}

static int take_member(struct listing_reader *reader, const char *key, enum json_token token,
                       struct crawl_item *item, uint32_t *have, struct err *err)
{
    static const char *const numbers[] = { "size", "mtime", "uid", "gid", "nlink", "ino", "disk" };
    const char *text = buf_text(&reader->json.text);
    if (token == JSON_STRING && strcmp(key, "path") == 0) {
        *have |= ROW_PATH;
        return take_path(reader, err);
    }
    if (token == JSON_STRING && strcmp(key, "type") == 0) {
        *have |= ROW_TYPE;
        return take_type(item, text) < 0 ? json_read_fail(&reader->json, "an unknown type", err)
                                         : 0;
    }
    if (token == JSON_STRING && strcmp(key, "mode") == 0) {
        *have |= ROW_MODE;
        return parse_mode(&item->mode, text) < 0 ? json_read_fail(&reader->json, "no mode", err)
                                                 : 0;
    }
    for (size_t i = 0; token == JSON_NUMBER && i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(key, numbers[i]) == 0)
            return take_number(reader, key, item, have, err);
    return skip_value(reader, token, err);
}

/* Behind '{'. */
static int read_row(struct listing_reader *reader, struct crawl_item *item, struct err *err)
{
    uint32_t have = 0;
    for (;;) {
        enum json_token token;
        if (json_read(&reader->json, &token, err) < 0)
            return -1;
        if (token == JSON_CLOSE_OBJECT)
            break;
        if (token != JSON_STRING)
            return json_read_fail(&reader->json, "no line of a listing", err);
        char key[16];
        snprintf(key, sizeof key, "%s", buf_text(&reader->json.text));
        if (json_read(&reader->json, &token, err) < 0 ||
            take_member(reader, key, token, item, &have, err) < 0)
            return -1;
    }
    if ((have & (ROW_PATH | ROW_TYPE)) != (ROW_PATH | ROW_TYPE))
        return json_read_fail(&reader->json, "a line without path or type", err);
    item->no_attr = (have & (ROW_MODE | ROW_TIME | ROW_OWNER)) != (ROW_MODE | ROW_TIME | ROW_OWNER);
    if (item->kind == ENTRY_DIR) {
        buf_add_char(&reader->name, '/');
        item->size_bytes = 0;
    }
    return 1;
}

/* ---- both ---- */

static int next(struct listing_reader *reader, struct crawl_item *item, struct err *err)
{
    if (reader->begun && !reader->is_rows) {
        item->no_attr = true;
        return next_node(reader, item, err);
    }
    enum json_token token;
    if (json_read(&reader->json, &token, err) < 0)
        return -1;
    if (token == JSON_OPEN_ARRAY && !reader->begun) {
        item->no_attr = true;
        return next_node(reader, item, err);
    }
    reader->begun = reader->is_rows = true;
    if (token == JSON_END)
        return 0;
    if (token != JSON_OPEN_OBJECT)
        return json_read_fail(&reader->json, "no listing (formats desi and jsonl can be read)",
                              err);
    return read_row(reader, item, err);
}

int listing_reader_next(struct listing_reader *reader, struct crawl_item *ret_item, struct err *err)
{
    struct crawl_item item = { .nlink = 1 };
    const int got = reader->ended ? 0 : next(reader, &item, err);
    if (got < 0)
        return err_at(err, "listing '%s'", reader->path);
    if (got == 0) {
        reader->ended = true;
        return 0;
    }
    item.name = item.key = buf_text(&reader->name);
    item.name_len = (uint32_t)reader->name.len;
    *ret_item = item;
    return 1;
}
