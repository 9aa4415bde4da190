#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/rows.h"
#include "job/contents.h"
#include "job/objects.h"
#include "job/packed.h"
#include "ui/table.h"

#include <unistd.h>

#define FLUSH_NS (100 * NS_PER_MS)

/* How a listing is written. */
struct listing {
    const struct settings *settings;
    bool on_terminal;
    struct table table;
    struct buf line;
    int64_t flushed_ns;
};

static const struct table_column long_columns[] = {
    { .title = "size", .cells = 15, .right = true },
    { .title = "date", .cells = 19 },
    { .title = "key" },
};

static void write_json(struct listing *listing, const char *location, const struct object *object)
{
    struct json json = json_into(&listing->line);
    json_object(&json, NULL);
    json_text(&json, "location", location);
    json_bytes(&json, "key", buf_text(&object->key), object->key.len);
    json_text(&json, "kind", entry_kind_name(object->attr.kind));
    json_u64(&json, "size", object->size_bytes);
    const int64_t time_ns =
        (object->attr.have & ATTR_MTIME) != 0 ? object->attr.mtime_ns : object->stored_ns;
    char time_text[CLOCK_TEXT_MAX];
    clock_text_utc(time_ns, time_text);
    json_text(&json, "time", time_text);
    if ((object->attr.have & ATTR_MODE) != 0) {
        char mode[8];
        snprintf(mode, sizeof mode, "%04o", object->attr.mode & 07777);
        json_text(&json, "mode", mode);
    }
    json_text(&json, "etag", object->etag);
    json_object_end(&json);
    json_line_end(&json);
}

static void write_long(struct listing *listing, const struct object *object, const char *name,
                       bool is_dir)
{
    char size[UNITS_TEXT_MAX] = "";
    char time_text[CLOCK_TEXT_MAX] = "";
    const int64_t time_ns =
        (object->attr.have & ATTR_MTIME) != 0 ? object->attr.mtime_ns : object->stored_ns;
    if (!is_dir)
        snprintf(size, sizeof size, "%llu", (unsigned long long)object->size_bytes);
    if (time_ns != 0)
        clock_text_local(time_ns, time_text);
    const char *texts[] = { size, time_text, name };
    table_row(&listing->table, texts, &listing->line);
}

/* What stands for the object in a listing: its key, or, in one of several buckets, where it is. */
static const char *name_of(struct store *store, const struct object *object, struct buf *location)
{
    SCOPED(buf) struct buf key = { 0 };
    if (store == NULL || store->driver->locate == NULL)
        return buf_text(&object->key);
    store_bucket_key(object->bucket, buf_text(&object->key), &key);
    return store->driver->locate(store, key.data, location) ? location->data
                                                            : buf_text(&object->key);
}

static void write_object(struct listing *listing, struct store *store, const char *location,
                         const struct object *object)
{
    SCOPED(buf) struct buf place = { 0 };
    const char *name = name_of(store, object, &place);
    const bool is_dir = object->key.len != 0 && object->key.data[object->key.len - 1] == '/';
    buf_clear(&listing->line);
    if (listing->settings->json) {
        write_json(listing, place.len != 0 ? name : location, object);
    } else if (listing->settings->long_format) {
        write_long(listing, object, name, is_dir);
    } else {
        /* To a program a name is its bytes; on a terminal it must not do anything. */
        if (listing->on_terminal)
            path_show(&listing->line, name);
        else
            buf_add_text(&listing->line, name);
        buf_add_char(&listing->line, '\n');
    }
    fwrite(listing->line.data, 1, listing->line.len, stdout);
    /* Who reads the listing of a slow store sees it grow. */
    const int64_t now_ns = clock_monotonic_ns();
    if (now_ns - listing->flushed_ns >= FLUSH_NS) {
        listing->flushed_ns = now_ns;
        fflush(stdout);
    }
}

/* Where objects to be listed come from: a store, or an archive. */
typedef int (*next_fn)(void *from, struct object *object, struct err *err);

/* `store`: that of the objects, NULL: an archive. A directory is told when nothing is listed below
 * it: then it would not be seen otherwise. */
static int list_all(struct listing *listing, struct store *store, next_fn next, void *from,
                    const char *location, struct err *err)
{
    struct object object = { 0 };
    struct object held = { 0 };
    bool holding = false;
    int got;
    while ((got = next(from, &object, err)) == 1) {
        if (holding && (object.key.len < held.key.len ||
                        memcmp(object.key.data, held.key.data, held.key.len) != 0))
            write_object(listing, store, location, &held);
        holding = listing->settings->recursive && object.attr.kind == ENTRY_DIR;
        if (holding) {
            const struct object spare = held;
            held = object;
            object = spare;
        } else {
            write_object(listing, store, location, &object);
        }
    }
    if (holding)
        write_object(listing, store, location, &held);
    object_done(&object);
    object_done(&held);
    return got;
}

struct prefix {
    struct store *store;
    struct store_list *list;
};

static int next_of_prefix(void *from, struct object *object, struct err *err)
{
    const struct prefix *prefix = from;
    return prefix->store->driver->list_next(prefix->list, object, err);
}

static int list_prefix(struct listing *listing, struct store *store, const char *location,
                       struct err *err)
{
    struct prefix prefix = { .store = store };
    if (store->driver->list_open(&prefix.list, store, "", "", !listing->settings->recursive, err) <
        0)
        return -1;
    const int result = list_all(listing, store, next_of_prefix, &prefix, location, err);
    store->driver->list_close(prefix.list);
    return result;
}

static int next_of_archive(void *from, struct object *object, struct err *err)
{
    return contents_next(from, object, err);
}

static int list_archive(struct listing *listing, const struct archived_place *place,
                        const char *location, const struct store_options *opening, struct err *err)
{
    const struct settings *settings = listing->settings;
    const struct contents_options options = { .opening = *opening,
                                              .limits = ask_limits(settings),
                                              .recursive = settings->recursive };
    struct contents *contents = NULL;
    if (contents_open(&contents, place, &options, err) < 0)
        return -1;
    const int result = list_all(listing, NULL, next_of_archive, contents, location, err);
    contents_close(contents);
    return result;
}

static int list_one(struct listing *listing, struct store *store, const char *key,
                    const char *location, struct err *err)
{
    SCOPED(object) struct object object = { 0 };
    if (store_head_patiently(store, key, NULL, &object, err) < 0)
        return -1;
    buf_clear(&object.key);
    buf_add_text(&object.key, key);
    write_object(listing, store, location, &object);
    return 0;
}

/* What is in one of our packs: 1, 0: it is no such place, -1. */
static int list_packed(struct listing *listing, const char *location,
                       const struct store_options *opening, struct err *err)
{
    struct store *store = NULL;
    char *key = NULL;
    const int packed = packed_open(&store, &key, location, true, opening, err);
    if (packed != 1)
        return packed;
    const int result = key != NULL ? list_one(listing, store, key, location, err)
                                   : list_prefix(listing, store, location, err);
    store->driver->close(store);
    mem_release(key);
    return result < 0 ? -1 : 1;
}

static int list_location(struct listing *listing, char *location, struct err *err)
{
    const struct store_options opening = { .stall_s = (uint32_t)listing->settings->stall_s,
                                           .access = listing->settings->access };
    const int packed = list_packed(listing, location, &opening, err);
    if (packed != 0)
        return packed == 1 ? 0 : err_at(err, "list '%s'", location);
    SCOPED(archived_place) struct archived_place place = { 0 };
    if (archived_find(&place, location, &opening, err) < 0)
        return -1;
    if (place.archive != NULL)
        return list_archive(listing, &place, location, &opening, err);
    struct object_set set;
    const struct object_set_options options = { .stall_s = (uint32_t)listing->settings->stall_s,
                                                .bucket_objects = listing->settings->bucket_objects,
                                                .access = listing->settings->access,
                                                .keep_packs = true };
    char *const locations[] = { location };
    if (object_set_open(&set, locations, 1, &options, err) < 0)
        return -1;
    const struct object_root *root = &set.roots[0];
    int result = 0;
    if (root->key != NULL)
        result = list_one(listing, root->store, root->key, location, err);
    else
        result = list_prefix(listing, root->store, location, err);
    object_set_done(&set);
    return result < 0 ? err_at(err, "list '%s'", location) : 0;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    struct listing listing = { .settings = settings,
                               .on_terminal = isatty(STDOUT_FILENO) != 0,
                               .table = { long_columns,
                                          sizeof long_columns / sizeof *long_columns } };
    static char here[] = ".";
    char *const nothing[] = { here };
    char *const *locations = operand_count != 0 ? operands : nothing;
    const size_t count = operand_count != 0 ? operand_count : 1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (count > 1 && !settings->json)
            printf("%s%s:\n", i != 0 ? "\n" : "", locations[i]);
        result = list_location(&listing, locations[i], err);
    }
    buf_done(&listing.line);
    return result < 0 ? -1 : EXIT_DONE;
}

const struct command cmd_ls = {
    .name = "ls",
    .synopsis = { "[LOC...]" },
    .summary = "list keys",
    .operand_min = 0,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_recursive, rows_long, rows_archive, rows_buckets, rows_access, rows_network, rows_json, rows_common },
    .examples = {
        { "One level, with sizes and dates", "lade ls -l file:/store/run7/" },
        { "All keys as JSON", "lade ls --recursive --json file:/store/run7" },
        { "What is in an archive", "lade ls 's3://bucket/run7.tar.zst!/'" },
    },
    .prose = "ls.md",
    .run = run,
};
