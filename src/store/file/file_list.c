#include "base/ban.h"
#include "base/dirlist.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A directory being listed; its path is the first path_len bytes of store_list.path, '/' included.
 */
struct frame {
    struct dirlist *entries;
    size_t path_len;
};

/* Descriptors are not kept: a directory is opened by its path, read whole and closed, so depth
 * costs none of them. */
struct store_list {
    struct file_store *store;
    char *prefix;
    char *start_after;
    bool delimited;
    bool started;
    struct buf path; /* of the innermost directory, then of the entry in it */
    struct frame *frames;
    size_t depth, frame_cap;
};

static int read_dir(struct store_list *list, int *ret_found, struct err *err)
{
    *ret_found = 0;
    SCOPED_FD const int fd =
        path_open(list->store->root_fd, buf_text(&list->path), O_RDONLY | O_DIRECTORY, 0, false);
    if (fd < 0 && file_is_absent(errno))
        return 0;
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open directory '%s'", buf_text(&list->path));
    struct dirlist *entries = NULL;
    if (dirlist_read(&entries, fd, NULL, err) < 0)
        return err_at(err, "list directory '%s'", buf_text(&list->path));
    if (list->depth == list->frame_cap) {
        list->frame_cap = list->frame_cap == 0 ? 8 : 2 * list->frame_cap;
        list->frames = mem_resize(list->frames, list->frame_cap * sizeof *list->frames);
    }
    list->frames[list->depth++] = (struct frame){ .entries = entries, .path_len = list->path.len };
    *ret_found = 1;
    return 0;
}

int file_list_open(struct store_list **ret_list, struct store *store, const char *prefix,
                   const char *start_after, bool delimited, struct err *err)
{
    (void)err;
    struct store_list *list = mem_alloc(sizeof *list);
    list->store = file_store_of(store);
    list->prefix = mem_string(prefix);
    list->start_after = mem_string(start_after);
    list->delimited = delimited;
    *ret_list = list;
    return 0;
}

void file_list_close(struct store_list *list)
{
    if (list == NULL)
        return;
    while (list->depth != 0)
        dirlist_free(list->frames[--list->depth].entries);
    mem_release(list->frames);
    mem_release(list->prefix);
    mem_release(list->start_after);
    buf_done(&list->path);
    mem_release(list);
}

static void fill_object(const struct dirlist_entry *entry, enum entry_kind kind,
                        struct object *object)
{
    object->size_bytes = kind == ENTRY_DIR ? 0 : entry->size_bytes;
    object->attr = (struct attr){ .kind = kind,
                                  .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                                  .mode = entry->mode & 07777,
                                  .uid = entry->uid,
                                  .gid = entry->gid,
                                  .mtime_ns = entry->mtime_ns };
    object->stored_ns = 0;
    object->etag[0] = '\0';
    if (kind != ENTRY_DIR)
        file_etag(entry->ino, entry->size_bytes, entry->mtime_ns, object->etag);
}

static void set_key(struct object *object, const struct buf *path)
{
    buf_clear(&object->key);
    buf_add(&object->key, path->data, path->len);
}

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Only names of this form need a look inside the file. */
static enum entry_kind kind_of(struct store_list *list, const struct dirlist_entry *entry)
{
    if (entry->kind != ENTRY_FILE || !file_key_is_link(list->path.data))
        return entry->kind;
    SCOPED_FD const int fd =
        path_open(list->store->root_fd, list->path.data, O_RDONLY | O_NONBLOCK, 0, false);
    return fd < 0 ? ENTRY_LINK : file_read_kind(fd, list->path.data);
}

/* The directory that the prefix names is an object of the listing, too. */
static int own_object(struct store_list *list, struct object *object, struct err *err)
{
    if (list->path.len == 0 || strcmp(list->path.data, list->prefix) != 0 ||
        strcmp(list->path.data, list->start_after) <= 0)
        return 0;
    struct stat st;
    int fd = -1;
    if (file_open_object(list->store, list->path.data, &fd, &st, err) < 0)
        return -1;
    file_fill_object(fd, &st, list->path.data, object);
    close(fd);
    return 1;
}

/* Open the directory part of the prefix. 1: *object is that directory itself. */
static int start(struct store_list *list, struct object *object, struct err *err)
{
    list->started = true;
    const char *slash = strrchr(list->prefix, '/');
    const size_t len = slash != NULL ? (size_t)(slash - list->prefix) + 1 : 0;
    struct err refused = { 0 };
    buf_add(&list->path, list->prefix, len);
    if (len != 0 && file_key_check(list->path.data, &refused) < 0)
        return 0; /* no key is like that */
    int found = 0;
    if (read_dir(list, &found, err) < 0)
        return -1;
    return found != 0 ? own_object(list, object, err) : 0;
}

enum step { STEP_SKIP, STEP_SHOW, STEP_FAIL };

/* Does any key that begins with `dir` (ending in '/') come after start_after? */
static bool reaches_beyond(const struct store_list *list, const char *dir)
{
    return strcmp(dir, list->start_after) > 0 || begins_with(list->start_after, dir);
}

/* Look at one entry, whose key is in list->path; goes down into directories. */
static enum step visit(struct store_list *list, const struct dirlist_entry *entry,
                       struct object *object, struct err *err)
{
    const bool is_dir = entry->kind == ENTRY_DIR;
    const char *key = list->path.data;
    const bool after = strcmp(key, list->start_after) > 0;
    if (is_dir && !list->delimited && reaches_beyond(list, key)) {
        int found = 0;
        if (read_dir(list, &found, err) < 0)
            return STEP_FAIL;
        if (found == 0) /* it vanished */
            return STEP_SKIP;
    }
    if (!after)
        return STEP_SKIP;
    if (entry->kind == ENTRY_UNREADABLE) {
        errno = entry->sys;
        err_sys(err, ERR_LOCAL, "look at '%s'", key);
        return STEP_FAIL;
    }
    fill_object(entry, kind_of(list, entry), object);
    set_key(object, &list->path);
    return STEP_SHOW;
}

static bool is_hidden(const struct store_list *list, const struct dirlist_entry *entry)
{
    if (entry->kind == ENTRY_LINK || entry->kind == ENTRY_SPECIAL)
        return true;
    if (stage_is_temporary(entry->name))
        return true;
    /* Only in the outermost directory can a name be outside the prefix. */
    return list->depth == 1 && !begins_with(list->path.data, list->prefix);
}

int file_list_next(struct store_list *list, struct object *object, struct err *err)
{
    if (!list->started) {
        const int own = start(list, object, err);
        if (own != 0)
            return own;
    }
    while (list->depth != 0) {
        const struct frame *frame = &list->frames[list->depth - 1];
        struct dirlist_entry entry;
        const int more = dirlist_next(frame->entries, &entry, err);
        if (more < 0)
            return -1;
        if (more == 0) {
            list->depth--;
            dirlist_free(list->frames[list->depth].entries);
            continue;
        }
        buf_cut(&list->path, frame->path_len);
        buf_add(&list->path, entry.name, entry.name_len);
        if (entry.kind == ENTRY_DIR)
            buf_add_char(&list->path, '/');
        if (is_hidden(list, &entry))
            continue;
        const enum step step = visit(list, &entry, object, err);
        if (step != STEP_SKIP)
            return step == STEP_SHOW ? 1 : -1;
    }
    return 0;
}
