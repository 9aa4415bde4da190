/* Directories get their mode, owner and times when all that is in them is there: writing into a
 * directory moves its mtime, and a read-only one could not be filled. From the deepest up, so that
 * taking away a permission never blocks the way to what is still to be done. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/run_internal.h"
#include "job/xattrs.h"
#include "pack/view.h"

#include <fcntl.h>
#include <unistd.h>

/* Those of a directory that is in a pack: 1, 0: it is in none, -1. */
static int find_xattrs(const struct run *run, const struct plan_entry *entry,
                       const struct object_root *root, const char *key, struct object *object,
                       struct err *err)
{
    SCOPED(buf) struct buf stored = { 0 };
    const struct catalog_pack *pack = NULL;
    if (!run->job->spec.xattrs || !view_is(root->store))
        return 0;
    store_bucket_key(entry->bucket, key, &stored);
    if (view_find(root->store, stored.data, object, &pack, err) == 0)
        return 1;
    if (err->kind != ERR_ABSENT)
        return -1;
    err_clear(err);
    return 0;
}

static int set_local(struct run *run, const struct plan_entry *entry, const struct attr *attr,
                     struct err *err)
{
    SCOPED(buf) struct buf rel = { 0 };
    const struct object_root *root = NULL;
    const char *key = NULL;
    SCOPED(object) struct object object = { 0 };
    if (object_set_local(&run->objects, entry->name, entry->kind, &root, &key, &rel, err) < 0)
        return -1;
    const int found = find_xattrs(run, entry, root, key, &object, err);
    if (found < 0)
        return -1;
    while (rel.len != 0 && rel.data[rel.len - 1] == '/')
        buf_cut(&rel, rel.len - 1);
    SCOPED_FD int fd = path_open(run->sources.roots[0].dir_fd, buf_text(&rel),
                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open");
    struct err why = { 0 };
    if (xattrs_set(&run->job->spec, fd, attr, found == 1 ? &object.xattrs : NULL,
                   entry->action == PLAN_NEW, &why, err) < 0)
        return -1;
    xattrs_tell(&run->notes, entry->name, &why);
    return 0;
}

static int set_stored(struct run *run, const struct plan_entry *entry, const struct attr *attr,
                      struct err *err)
{
    SCOPED(buf) struct buf key = { 0 };
    if (plan_entry_key(run->store, entry, &key, err) < 0)
        return -1;
    return run->store->driver->set_attr(run->store, buf_text(&key), attr, err);
}

/* Did it get something that must be made durable? */
static bool set_directory(struct run *run, const struct plan_entry *entry)
{
    /* Objects that say nothing of a mode leave the directory as it was made. */
    if (run_is_get(run) && entry->mtime_ns == 0 && entry->mode == 0)
        return false;
    const struct attr attr = { .kind = ENTRY_DIR,
                               .have = ATTR_MODE | ATTR_OWNER | ATTR_MTIME,
                               .mode = entry->mode,
                               .uid = entry->uid,
                               .gid = entry->gid,
                               .mtime_ns = entry->mtime_ns };
    struct err err = { 0 };
    const int result =
        run_is_get(run) ? set_local(run, entry, &attr, &err) : set_stored(run, entry, &attr, &err);
    /* A directory that failed before is named already. */
    if (result < 0 && err.kind != ERR_ABSENT)
        notes_add(&run->notes, RESULT_FAILED, entry->name, &err);
    return result == 0;
}

static void note_unsynced(struct run *run, const struct plan_entry *dir, const struct err *err)
{
    /* What lies in a directory that we must not enter any more cannot be reached by its name. */
    if (err->kind != ERR_NONE && err->kind != ERR_DENIED)
        notes_add(&run->notes, RESULT_FAILED, dir->name, err);
}

static void sync_local(struct run *run, const struct plan_entry *dirs, size_t count)
{
    struct stage_item *items = mem_alloc(count * sizeof *items);
    struct buf *rels = mem_alloc(count * sizeof *rels);
    for (size_t i = 0; i < count; i++) {
        const struct object_root *root = NULL;
        const char *key = NULL;
        if (object_set_local(&run->objects, dirs[i].name, dirs[i].kind, &root, &key, &rels[i],
                             &items[i].err) == 0)
            items[i].rel = buf_text(&rels[i]);
    }
    stage_commit(&run->workers[0].stage, items, count);
    for (size_t i = 0; i < count; i++) {
        note_unsynced(run, &dirs[i], &items[i].err);
        buf_done(&rels[i]);
    }
    mem_release(rels);
    mem_release(items);
}

static void sync_stored(struct run *run, const struct plan_entry *dirs, size_t count)
{
    struct store_staged *items = mem_alloc(count * sizeof *items);
    struct buf *keys = mem_alloc(count * sizeof *keys);
    for (size_t i = 0; i < count; i++)
        if (plan_entry_key(run->store, &dirs[i], &keys[i], &items[i].err) == 0)
            items[i].key = buf_text(&keys[i]);
    run->store->driver->commit_batch(run->store, items, count);
    for (size_t i = 0; i < count; i++) {
        note_unsynced(run, &dirs[i], &items[i].err);
        buf_done(&keys[i]);
    }
    mem_release(keys);
    mem_release(items);
}

/* The directories of one block, last to first; what they got is durable when this returns. */
static int finish_block(struct run *run, struct segment *segment, uint32_t block, struct err *err)
{
    if (segment_seek_block(segment, block, err) < 0)
        return -1;
    struct plan_entry *dirs = NULL;
    size_t count = 0;
    struct plan_entry entry;
    int result = 0;
    for (uint32_t i = 0; i < segment->blocks[block].count; i++) {
        result = segment_next(segment, &entry, err);
        if (result < 0)
            break;
        if (entry.kind != ENTRY_DIR || entry.action == PLAN_SKIP || entry.action == PLAN_FAIL ||
            entry.pack != NULL || entry.kept != NULL)
            continue;
        dirs = mem_resize(dirs, (count + 1) * sizeof *dirs);
        dirs[count] = entry;
        dirs[count++].name = mem_copy(entry.name, entry.name_len + 1);
    }
    size_t set = count; /* those from here on were set */
    for (size_t i = count; result >= 0 && i-- > 0;)
        if (set_directory(run, &dirs[i])) {
            const struct plan_entry last = dirs[--set];
            dirs[set] = dirs[i];
            dirs[i] = last;
        }
    if (set != count) {
        if (run_is_get(run))
            sync_local(run, dirs + set, count - set);
        else
            sync_stored(run, dirs + set, count - set);
    }
    for (size_t i = 0; i < count; i++)
        mem_release(dirs[i].name);
    mem_release(dirs);
    return result < 0 ? -1 : 0;
}

int finish_directories(struct run *run, struct err *err)
{
    if (!run_is_get(run) && !run->store->limits.is_tree)
        return 0;
    for (uint32_t number = run->generation.sealed; number > 0; number--) {
        struct segment segment;
        if (segment_open(&segment, run->generation.dir_fd, number, err) < 0)
            return -1;
        int result = 0;
        for (uint32_t block = segment.block_count; result == 0 && block > 0; block--)
            result = finish_block(run, &segment, block - 1, err);
        segment_done(&segment);
        if (result < 0)
            return -1;
    }
    return 0;
}
