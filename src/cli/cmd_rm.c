#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/ask.h"
#include "cli/rows.h"
#include "job/objects.h"

#define DELETE_MOST 1000u

struct removal {
    const struct settings *settings;
    struct store *store;
    const char *location; /* of the store's root, for messages */
    const char **keys;    /* gathered for one call */
    size_t count, most;
    uint64_t removed, failed;
};

/* Where the object is: of several buckets, in which one. */
static void locate(const struct removal *removal, const char *key, struct buf *ret_location)
{
    const struct store_driver *driver = removal->store->driver;
    if (driver->locate == NULL || !driver->locate(removal->store, key, ret_location))
        buf_printf(ret_location, "%s/%s", removal->location, key);
}

static void tell(const struct removal *removal, const char *key, const struct err *err)
{
    SCOPED(buf) struct buf line = { 0 };
    SCOPED(buf) struct buf location = { 0 };
    if (removal->settings->json) {
        struct json json = json_into(&line);
        json_object(&json, NULL);
        json_text(&json, "event",
                  err != NULL                  ? "failed"
                  : removal->settings->dry_run ? "dryrun"
                                               : "removed");
        json_bytes(&json, "key", key, strlen(key));
        if (err != NULL)
            json_text(&json, "reason", err->text);
        json_object_end(&json);
        json_line_end(&json);
        fwrite(line.data, 1, line.len, stdout);
        return;
    }
    locate(removal, key, &location);
    path_show(&line, err != NULL && removal->store->driver->locate == NULL ? key : location.data);
    if (err != NULL)
        fprintf(stderr, "failed: %s: %s\n", line.data, err->text);
    else if (!removal->settings->quiet)
        printf("%sdelete: %s\n", removal->settings->dry_run ? "(dryrun) " : "", line.data);
}

static int flush(struct removal *removal, struct err *err)
{
    if (removal->count == 0)
        return 0;
    struct err *errs = mem_alloc(removal->count * sizeof *errs);
    int result = 0;
    if (!removal->settings->dry_run)
        result = removal->store->driver->remove(removal->store, removal->keys, removal->count, errs,
                                                err);
    for (size_t i = 0; i < removal->count; i++) {
        const bool failed = errs[i].kind != ERR_NONE;
        if (result == 0) {
            tell(removal, removal->keys[i], failed ? &errs[i] : NULL);
            if (failed)
                removal->failed++;
            else
                removal->removed++;
        }
        mem_release(removal->keys[i]);
    }
    mem_release(errs);
    removal->count = 0;
    return result;
}

static int add(struct removal *removal, const char *key, struct err *err)
{
    if (removal->keys == NULL) {
        const uint32_t most = removal->store->limits.max_delete_count;
        removal->most = most == 0 || most > DELETE_MOST ? DELETE_MOST : most;
        removal->keys = mem_alloc(removal->most * sizeof *removal->keys);
    }
    removal->keys[removal->count++] = mem_string(key);
    return removal->count == removal->most ? flush(removal, err) : 0;
}

/* All that is listed; directories last, from the deepest up, since only an empty one can go. */
static int remove_listed(struct removal *removal, const char *prefix, struct err *err)
{
    const struct store_driver *driver = removal->store->driver;
    struct store_list *list = NULL;
    if (driver->list_open(&list, removal->store, prefix, "", false, err) < 0)
        return -1;
    struct object object = { 0 };
    struct buf key = { 0 };
    char **dirs = NULL;
    size_t dir_count = 0;
    int got;
    while ((got = driver->list_next(list, &object, err)) == 1) {
        store_bucket_key(object.bucket, buf_text(&object.key), &key);
        if (object.key.len != 0 && object.key.data[object.key.len - 1] == '/') {
            dirs = mem_resize(dirs, (dir_count + 1) * sizeof *dirs);
            dirs[dir_count++] = mem_string(key.data);
        } else if (add(removal, key.data, err) < 0) {
            got = -1;
            break;
        }
    }
    buf_done(&key);
    driver->list_close(list);
    object_done(&object);
    if (got == 0)
        got = flush(removal, err);
    while (dir_count-- > 0) {
        if (got == 0)
            got = add(removal, dirs[dir_count], err);
        mem_release(dirs[dir_count]);
    }
    mem_release(dirs);
    return got < 0 ? -1 : flush(removal, err);
}

static int remove_named(struct removal *removal, const char *name, struct err *err)
{
    struct object object = { 0 };
    struct err why = { 0 };
    const int found = store_head_patiently(removal->store, name, NULL, &object, &why);
    SCOPED(buf) struct buf key = { 0 };
    store_bucket_key(object.bucket, name, &key);
    object_done(&object);
    if (found == 0)
        return add(removal, key.data, err) < 0 ? -1 : flush(removal, err);
    if (why.kind != ERR_ABSENT) {
        *err = why;
        return -1;
    }
    SCOPED(buf) struct buf prefix = { 0 };
    buf_printf(&prefix, "%s/", name);
    if (removal->settings->recursive) {
        if (remove_listed(removal, prefix.data, err) < 0)
            return -1;
        if (removal->removed + removal->failed != 0)
            return 0;
    }
    err_set(err, ERR_ABSENT, "there is no object '%s/%s'", removal->location, name);
    return removal->settings->recursive
               ? -1
               : err_hint(err, "use --recursive to remove all below a key");
}

/* A location that has nothing above it: a bucket. Never the root of a file system. */
static int remove_in_bucket(struct removal *removal, char *location,
                            const struct store_options *options, struct err *err)
{
    if (store_open_location(&removal->store, location, options, err) < 0)
        return -1;
    if (removal->store->limits.is_tree)
        return err_set(err, ERR_USAGE, "is a whole file system");
    if (!removal->settings->recursive) {
        err_set(err, ERR_USAGE, "is a whole bucket");
        return err_hint(err, "use --recursive to remove all that is in it");
    }
    const size_t len = strlen(location);
    if (location[len - 1] == '/')
        location[len - 1] = '\0';
    return remove_listed(removal, "", err);
}

static int remove_below(struct removal *removal, char *location, struct err *err)
{
    const struct store_options options = { .stall_s = (uint32_t)removal->settings->stall_s,
                                           .bucket_objects = removal->settings->bucket_objects,
                                           .access = removal->settings->access };
    char *name = NULL;
    struct err why = { 0 };
    const bool has_parent =
        store_open_parent(&removal->store, location, &options, &name, &why) == 0;
    if (!has_parent && why.kind != ERR_USAGE) {
        *err = why;
        return -1;
    }
    removal->location = location;
    if (has_parent)
        *strrchr(location, '/') = '\0';
    const int result = has_parent ? remove_named(removal, name, err)
                                  : remove_in_bucket(removal, location, &options, err);
    mem_release(removal->keys);
    mem_release(name);
    return result;
}

static int remove_location(const struct settings *settings, char *text, uint64_t *ret_failed,
                           struct err *err)
{
    struct removal removal = { .settings = settings };
    char *absolute = NULL;
    if (ask_absolute(&absolute, text, err) < 0)
        return -1;
    const int result = remove_below(&removal, absolute, err);
    if (removal.store != NULL)
        removal.store->driver->close(removal.store);
    mem_release(absolute);
    *ret_failed += removal.failed;
    return result;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    uint64_t failed = 0;
    for (size_t i = 0; i < operand_count; i++)
        if (remove_location(settings, operands[i], &failed, err) < 0)
            return err_at(err, "remove '%s'", operands[i]);
    return failed != 0 ? EXIT_SOME_FAILED : EXIT_DONE;
}

const struct command cmd_rm = {
    .name = "rm",
    .synopsis = { "LOC..." },
    .summary = "remove objects",
    .operand_min = 1,
    .operand_max = COMMAND_OPERANDS_ANY,
    .tables = { rows_remove, rows_dry_run, rows_buckets, rows_access, rows_network, rows_json, rows_common },
    .examples = {
        { "Remove one object", "lade rm file:/store/run7/a.fits" },
        { "See what would go, then remove all below a key",
          "lade rm --recursive --dry-run file:/store/run7 &&\n"
          "lade rm --recursive file:/store/run7" },
    },
    .prose = "rm.md",
    .run = run,
};
