#include "job/objects.h"

#include "base/ban.h"
#include "base/dirlist.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "job/packed.h"
#include "pack/view.h"
#include "store/location.h"
#include "store/spread/spread.h"
#include "store/spread/spread_template.h"

/* Where there are no buckets, what can only be meant as a template must not become a directory. */
static bool ends_as_template(const char *path)
{
    const size_t len = strlen(path);
    const char *open = strrchr(path, '{');
    return open != NULL && open > path && open[-1] == '/' && strcmp(path + len - 2, "+}") == 0 &&
           open + 1 + strspn(open + 1, "0123456789") == path + len - 2 &&
           open + 1 != path + len - 2;
}

static int open_place(struct store **ret_store, const struct location *location, const char *path,
                      const struct store_options *options, struct err *err)
{
    const char *scheme = strcmp(location->scheme, "path") == 0 ? "file" : location->scheme;
    const struct store_driver *driver = store_driver_by_scheme(scheme);
    if (driver == NULL)
        return err_set(err, ERR_USAGE, "no driver for '%s'", location->text);
    static const struct store_options none = { 0 };
    const struct store_options *given = options != NULL ? options : &none;
    if (spread_is_wanted(path, given))
        return spread_open(ret_store, driver, path, given, err);
    if (ends_as_template(path))
        return spread_open(ret_store, driver, path, given, err); /* says that it cannot be */
    return driver->open(ret_store, path, options, err);
}

int store_open_location(struct store **ret_store, const char *text,
                        const struct store_options *options, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, text, err) < 0)
        return -1;
    return open_place(ret_store, &location, location.path, options, err);
}

int store_open_parent(struct store **ret_store, const char *text,
                      const struct store_options *options, char **ret_name, struct err *err)
{
    SCOPED(location) struct location location = { 0 };
    if (location_parse(&location, text, err) < 0)
        return -1;
    if (spread_is_template(location.path))
        return err_set(err, ERR_USAGE, "'%s' names no object", text);
    SCOPED(buf) struct buf parent = { 0 };
    buf_add_text(&parent, location.path);
    while (parent.len > 1 && parent.data[parent.len - 1] == '/')
        buf_cut(&parent, parent.len - 1);
    const char *slash = strrchr(buf_text(&parent), '/');
    if (slash == NULL || slash[1] == '\0')
        return err_set(err, ERR_USAGE, "'%s' names no object", text);
    char *name = mem_string(slash + 1);
    /* "/a" lies in "/". */
    buf_cut(&parent, slash == parent.data ? 1 : (size_t)(slash - parent.data));
    if (open_place(ret_store, &location, parent.data, options, err) < 0) {
        mem_release(name);
        return -1;
    }
    *ret_name = name;
    return 0;
}

/* Is the location one object? 1 and *root filled, 0 when there is none of that name, -1. */
static int try_object(struct object_root *root, const char *location,
                      const struct store_options *options, struct err *err)
{
    const size_t len = strlen(location);
    if (len == 0 || location[len - 1] == '/')
        return 0;
    struct err why = { 0 };
    char *name = NULL;
    if (store_open_parent(&root->store, location, options, &name, &why) < 0)
        return 0; /* opening the location itself says what is wrong */
    struct object object = { 0 };
    if (store_head_patiently(root->store, name, options->stop, &object, &why) == 0) {
        root->key = name;
        object_done(&object);
        return 1;
    }
    mem_release(name);
    root->store->driver->close(root->store);
    root->store = NULL;
    if (why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return err_at(err, "'%s'", location);
}

static int open_root(struct object_root *root, const char *location,
                     const struct store_options *options, struct err *err)
{
    *root = (struct object_root){ .location = mem_string(location) };
    const int packed = packed_open(&root->store, &root->key, location, false, options, err);
    if (packed != 0)
        return packed < 0 ? -1 : 0;
    const int found = try_object(root, location, options, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (store_open_location(&root->store, location, options, err) < 0) {
        root->store = NULL;
        return err_at(err, "'%s'", location);
    }
    return 0;
}

int store_show_members(struct store **store, const char *only, const struct stop *stop,
                       struct err *err)
{
    struct catalog catalog = { 0 };
    const struct catalog_options options = { .only = only, .stop = stop };
    if (catalog_open(&catalog, *store, &options, err) < 0)
        return -1;
    if (catalog.count == 0) {
        catalog_done(&catalog); /* it may have been of objects that only look like packs */
        return 0;
    }
    if (view_open(store, *store, &catalog, only != NULL, err) < 0) {
        catalog_done(&catalog);
        return -1;
    }
    return 1;
}

static int look_into_packs(struct object_root *root, const struct stop *stop, struct err *err)
{
    const int shown = store_show_members(&root->store, root->key, stop, err);
    if (shown < 0)
        return err_at(err, "'%s'", root->location);
    if (shown == 1)
        mem_free(root->key);
    return 0;
}

static int compare_names(const void *left, const void *right)
{
    const struct object_root *a = left;
    const struct object_root *b = right;
    return strcmp(a->name, b->name);
}

/* In the order of the keys that come from them: "run-2/…" comes before "run/…". */
static int compare_roots(const void *left, const void *right)
{
    const struct object_root *a = left;
    const struct object_root *b = right;
    return dirlist_compare(a->name, strlen(a->name), a->key == NULL ? "/" : "", b->name,
                           strlen(b->name), b->key == NULL ? "/" : "");
}

/* A link's object stands in the tree under its key; its name loses the suffix when it is fetched.
 */
static int name_roots(struct object_set *set, const struct object_set_options *options,
                      struct err *err)
{
    const bool single = set->count == 1;
    for (size_t i = 0; i < set->count; i++) {
        struct object_root *root = &set->roots[i];
        if (single && root->key == NULL && !options->keep_name)
            root->name = mem_string("");
        else if (single && root->key != NULL && options->one_name != NULL)
            root->name = mem_string(options->one_name);
        else
            root->name = root->key != NULL ? path_base(root->key) : path_base(root->location);
        if (single && root->key == NULL && options->one_name != NULL)
            return err_set(err, ERR_USAGE, "--to names one file, but '%s' is not one object",
                           root->location);
        const char *colon = strrchr(root->name, ':');
        if (colon != NULL && root->key == NULL && strchr(root->location, '/') == NULL)
            memmove(root->name, colon + 1, strlen(colon + 1) + 1);
        if (root->name[0] == '\0' && !(single && !options->keep_name))
            return err_set(err, ERR_USAGE, "'%s' has no name of its own to keep", root->location);
    }
    qsort(set->roots, set->count, sizeof *set->roots, compare_names);
    for (size_t i = 1; i < set->count; i++)
        if (strcmp(set->roots[i - 1].name, set->roots[i].name) == 0)
            return err_set(err, ERR_USAGE, "two locations give the name '%s': '%s' and '%s'",
                           set->roots[i].name, set->roots[i - 1].location, set->roots[i].location);
    qsort(set->roots, set->count, sizeof *set->roots, compare_roots);
    return 0;
}

int object_set_open(struct object_set *set, char *const *locations, size_t count,
                    const struct object_set_options *options, struct err *err)
{
    const struct store_options opening = { .stop = options->stop,
                                           .request_rate = options->request_rate,
                                           .stall_s = options->stall_s,
                                           .bucket_objects = options->bucket_objects,
                                           .access = options->access };
    *set = (struct object_set){ .roots = mem_alloc(count * sizeof *set->roots) };
    for (size_t i = 0; i < count; i++) {
        set->count++;
        if (open_root(&set->roots[i], locations[i], &opening, err) < 0 ||
            (!options->keep_packs && !view_is(set->roots[i].store) &&
             look_into_packs(&set->roots[i], options->stop, err) < 0))
            goto fail;
    }
    if (name_roots(set, options, err) == 0)
        return 0;
fail:
    object_set_done(set);
    return -1;
}

void object_set_done(struct object_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct object_root *root = &set->roots[i];
        if (root->store != NULL)
            root->store->driver->close(root->store);
        mem_release(root->location);
        mem_release(root->name);
        mem_release(root->key);
    }
    mem_free(set->roots);
    set->count = 0;
}

const struct object_root *object_set_find(const struct object_set *set, const char *name,
                                          const char **ret_key)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct object_root *root = &set->roots[i];
        const size_t len = strlen(root->name);
        if (len == 0) {
            *ret_key = name;
            return root;
        }
        if (strncmp(root->name, name, len) != 0 || (name[len] != '\0' && name[len] != '/'))
            continue;
        *ret_key = root->key != NULL ? root->key : name[len] == '/' ? name + len + 1 : "";
        return root;
    }
    return NULL;
}

int object_set_local(const struct object_set *set, const char *name, enum entry_kind kind,
                     const struct object_root **ret_root, const char **ret_key, struct buf *ret_rel,
                     struct err *err)
{
    const struct object_root *root = object_set_find(set, name, ret_key);
    if (root == NULL)
        return err_set(err, ERR_ABSENT, "no location has it");
    *ret_root = root;
    buf_clear(ret_rel);
    if (root->key != NULL) {
        buf_add_text(ret_rel, root->name);
    } else {
        SCOPED(buf) struct buf below = { 0 };
        if (root->store->driver->unmap_key(root->store, *ret_key, &below, err) < 0)
            return -1;
        if (root->name[0] != '\0')
            buf_printf(ret_rel, "%s/", root->name);
        buf_add(ret_rel, buf_text(&below), below.len);
    }
    const size_t suffix = sizeof LINK_SUFFIX - 1;
    if (kind == ENTRY_LINK && ret_rel->len > suffix &&
        strcmp(ret_rel->data + ret_rel->len - suffix, LINK_SUFFIX) == 0)
        buf_cut(ret_rel, ret_rel->len - suffix);
    /* No key ever chooses a path outside the target directory. */
    if (!path_rel_ok(buf_text(ret_rel)))
        return err_set(err, ERR_LIMIT, "its key is no path that can be made here");
    return 0;
}
