#include "job/plan.h"

#include "base/ban.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/buckets.h"
#include "job/objects.h"
#include "job/xattrs.h"
#include "pack/view.h"

#include <sys/stat.h>

/* The first batches are small, so that the transfer starts soon after the crawl. */
#define BATCH_FIRST_ENTRIES 1000u
#define TELL_EVERY 1024u
#define BATCH_ENTRIES_MAX 65535u /* unless a pack has more */

/* A pack of an earlier generation: is it still what was put there? */
struct old_pack {
    char *key, *etag;
    bool is_there;
};

struct planner {
    const struct plan_options *options;
    struct stream *from;     /* what is to be moved */
    struct stream *there;    /* what is at the destination, by the same keys */
    struct stream *record;   /* NULL: none */
    struct store_room *room; /* put into several buckets, else NULL */
    struct buf mapped;       /* put: the key of the entry at hand, as the store has it */
    struct err why; /* the entry at hand: what its reason does not say; ERR_NONE: nothing */
    struct packer packer;
    struct old_pack *old_packs;
    size_t old_pack_count;
    struct store *packs; /* the destination as pack/view.h, once a recorded pack was not there */
    bool packs_known;
    struct buf pack_name;      /* of one found there */
    struct stream_item packed; /* stands for `there` of what is in a pack */
    struct buf unread;         /* a directory that could not be read: what is in it is not gone */

    struct segment_writer writer; /* plan_run() */
    struct generation *generation;
    bool writing; /* a segment is begun */
    struct buf last_key;

    FILE *out; /* plan_print() */
    bool json;

    struct plan_progress *progress;
    struct segment_sum sum;
    uint32_t untold;
};

void plan_progress_init(struct plan_progress *progress)
{
    *progress = (struct plan_progress){ 0 };
    lock_init(&progress->lock);
    cond_init(&progress->changed);
}

void plan_progress_done(struct plan_progress *progress)
{
    lock_done(&progress->lock);
    cond_done(&progress->changed);
}

static void tell(struct planner *planner)
{
    struct plan_progress *progress = planner->progress;
    SCOPED_LOCK(&progress->lock);
    progress->sum = planner->sum;
    progress->excluded = stream_excluded_count(planner->from);
    if (planner->generation != NULL)
        progress->sealed = planner->generation->sealed;
    cond_wake_all(&progress->changed);
    planner->untold = 0;
}

/* ---- what happens to an entry ---- */

static bool same_attr(const struct stream_item *from, const struct stream_item *there)
{
    return !there->has_attr || !from->has_attr || from->mode == there->mode ||
           from->kind == ENTRY_LINK;
}

/* Does the source tell no time, as the listing of most object stores does not? Then its etag says
 * whether it is the object of the record. */
static bool source_as_recorded(const struct stream_item *from, const struct stream_item *record)
{
    if (from->size_bytes != record->size_bytes)
        return false;
    return from->has_attr ? from->mtime_ns == record->mtime_ns
                          : from->etag[0] != '\0' && strcmp(from->etag, record->record.etag) == 0;
}

/* Is the object still what we left there? */
static bool as_recorded(const struct stream_item *there, const struct stream_item *record)
{
    if (there->kind != record->kind || there->size_bytes != record->size_bytes)
        return false;
    if (there->etag[0] != '\0' && record->record.etag[0] != '\0')
        return strcmp(there->etag, record->record.etag) == 0;
    return !there->has_attr || there->mtime_ns == record->mtime_ns;
}

static enum plan_action unchanged_or_compare(const struct planner *planner, bool racy,
                                             enum entry_kind kind)
{
    const bool by_content = planner->options->spec->checksum || planner->options->distrust || racy;
    return by_content && kind == ENTRY_FILE ? PLAN_COMPARE : PLAN_UNCHANGED;
}

static enum plan_action decide_directory(const struct stream_item *from,
                                         const struct stream_item *there)
{
    if (there == NULL)
        return PLAN_NEW;
    if (there->has_attr && from->has_attr &&
        (from->mode != there->mode || from->mtime_ns != there->mtime_ns))
        return PLAN_REPLACE;
    return PLAN_UNCHANGED;
}

/* Something else is there: may it be replaced? */
static enum plan_action replace_or_fail(const struct planner *planner,
                                        const struct stream_item *there,
                                        const struct stream_item *record, struct plan_entry *entry)
{
    const struct job_spec *spec = planner->options->spec;
    if (spec->immutable)
        entry->reason = REASON_IMMUTABLE;
    else if (spec->overwrite)
        return PLAN_REPLACE;
    else if (spec->direction == JOB_GET)
        entry->reason = REASON_EXISTS;
    else if (record != NULL && !as_recorded(there, record))
        entry->reason = REASON_CONFLICT;
    return entry->reason == REASON_NONE ? PLAN_REPLACE : PLAN_FAIL;
}

static enum plan_action decide(const struct planner *planner, const struct stream_item *from,
                               const struct stream_item *there, const struct stream_item *record,
                               struct plan_entry *entry)
{
    if (from->kind == ENTRY_DIR)
        return decide_directory(from, there);
    if (there == NULL)
        return PLAN_NEW;
    const bool is_told = from->has_attr && there->has_attr;
    const bool may_be_same = from->kind == there->kind && from->size_bytes == there->size_bytes &&
                             (!is_told || from->mtime_ns == there->mtime_ns);
    /* A get: the object is another one now, although size and time are as they were. */
    if (planner->options->spec->direction == JOB_GET && record != NULL &&
        record->record.etag[0] != '\0' && from->etag[0] != '\0' &&
        strcmp(record->record.etag, from->etag) != 0 && may_be_same) {
        entry->record = record->record;
        return PLAN_COMPARE;
    }
    if (record != NULL && as_recorded(there, record) && source_as_recorded(from, record) &&
        same_attr(from, there)) {
        entry->record = record->record;
        if (!from->has_attr)
            entry->mtime_ns = record->mtime_ns; /* for the next generation */
        return unchanged_or_compare(planner, record->record.racy, from->kind);
    }
    /* A listing that tells no time: only the content is left. */
    if (planner->options->spec->direction == JOB_PUT && !from->has_attr && record != NULL &&
        as_recorded(there, record) && from->size_bytes == record->size_bytes) {
        entry->record = record->record;
        entry->mtime_ns = record->mtime_ns;
        return PLAN_COMPARE;
    }
    if (is_told && may_be_same && same_attr(from, there))
        return unchanged_or_compare(planner, false, from->kind);
    /* Asked for by name, the store tells what its listing does not. */
    if (!is_told && may_be_same && record == NULL && from->kind != ENTRY_SPECIAL)
        return PLAN_COMPARE;
    if (planner->options->spec->checksum && from->kind == ENTRY_FILE &&
        from->size_bytes == there->size_bytes && !planner->options->spec->immutable &&
        (record == NULL || as_recorded(there, record)))
        return PLAN_COMPARE;
    return replace_or_fail(planner, there, record, entry);
}

/* Skipped and refused before anything is compared. */
static bool settle_by_itself(struct planner *planner, const struct stream_item *from,
                             struct plan_entry *entry, struct err *why)
{
    const struct store *store = planner->options->store;
    if (from->reason == REASON_NONE && planner->options->spec->direction == JOB_GET) {
        const char *key = NULL;
        const struct object_root *root =
            object_set_find(planner->options->objects, from->name, &key);
        if (!path_rel_ok(from->name) ||
            root->store->driver->unmap_key(root->store, key, &planner->mapped, why) < 0)
            entry->reason = REASON_NAME;
    } else if (from->reason == REASON_NONE && store != NULL) {
        if (store->driver->map_key(planner->options->store, from->key, &planner->mapped, why) < 0)
            entry->reason = REASON_NAME;
        else if (from->size_bytes > store->limits.max_object_bytes)
            entry->reason = REASON_TOO_LARGE;
    }
    if (entry->reason == REASON_NONE)
        return false;
    switch (entry->reason) {
    case REASON_FIFO:
    case REASON_SOCKET:
    case REASON_DEVICE:
    case REASON_LINK_SKIPPED:
    case REASON_OTHER_DEVICE:
    case REASON_LOOP:
        entry->action = PLAN_SKIP;
        break;
    default:
        entry->action = PLAN_FAIL;
        break;
    }
    return true;
}

static int seek_there(struct planner *planner, const struct stream_item *from,
                      struct stream_item **ret_there, struct err *err)
{
    const struct plan_options *options = planner->options;
    return options->spec->direction == JOB_GET
               ? stream_seek_target(planner->there, options->objects, from->name, from->kind,
                                    ret_there, err)
               : stream_seek(planner->there, from->key, ret_there, err);
}

/* Which bucket a new object goes to. */
static int take_room(struct planner *planner, struct plan_entry *entry, struct err *err)
{
    struct err why = { 0 };
    if (planner->options->store->driver->room_take(planner->room, buf_text(&planner->mapped),
                                                   &entry->bucket, &why) == 0)
        return 0;
    if (why.kind != ERR_LIMIT) {
        *err = why;
        return -1;
    }
    planner->why = why;
    entry->reason = REASON_NAME;
    entry->action = PLAN_FAIL;
    return 0;
}

static int look_for_pack(struct planner *planner, struct old_pack *pack, struct err *err)
{
    struct store *store = planner->options->store;
    struct object object = { 0 };
    struct err why = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    pack->is_there =
        store->driver->map_key(store, pack->key, &key, &why) == 0 &&
        store_head_patiently(store, buf_text(&key), planner->options->stop, &object, &why) == 0 &&
        (object.etag[0] == '\0' || strcmp(object.etag, pack->etag) == 0);
    object_done(&object);
    if (why.kind == ERR_NONE || why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return err_at(err, "'%s'", pack->key);
}

/* Is a pack that the record names still there? Each is asked for once. */
static int find_old_pack(struct planner *planner, const struct stream_item *record, bool *ret_there,
                         struct err *err)
{
    for (size_t i = planner->old_pack_count; i > 0; i--) {
        const struct old_pack *pack = &planner->old_packs[i - 1];
        if (strcmp(pack->key, record->pack) == 0 && strcmp(pack->etag, record->pack_etag) == 0) {
            *ret_there = pack->is_there;
            return 0;
        }
    }
    planner->old_packs =
        mem_resize(planner->old_packs, (planner->old_pack_count + 1) * sizeof *planner->old_packs);
    struct old_pack *pack = &planner->old_packs[planner->old_pack_count++];
    *pack =
        (struct old_pack){ .key = mem_string(record->pack), .etag = mem_string(record->pack_etag) };
    if (look_for_pack(planner, pack, err) < 0)
        return -1;
    *ret_there = pack->is_there;
    return 0;
}

static int open_packs(struct planner *planner, struct err *err)
{
    struct store *store = planner->options->store;
    planner->packs_known = true;
    const int shown = store_show_members(&store, NULL, planner->options->stop, err);
    if (shown < 0)
        return err_at(err, "look for members in other packs");
    if (shown == 1) {
        view_lend(store);
        planner->packs = store;
    }
    return 0;
}

/* The pack is gone. Was it repacked, so that what was put is in another one? */
static int find_elsewhere(struct planner *planner, const struct stream_item *record,
                          const struct catalog_pack **ret_pack, struct err *err)
{
    *ret_pack = NULL;
    SCOPED(object) struct object object = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    struct err why = { 0 };
    struct store *store = planner->options->store;
    if (!planner->packs_known && open_packs(planner, err) < 0)
        return -1;
    if (planner->packs == NULL || store->driver->map_key(store, record->key, &key, &why) < 0)
        return 0;
    const struct catalog_pack *pack = NULL;
    if (view_find(planner->packs, buf_text(&key), &object, &pack, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        *err = why;
        return err_at(err, "'%s'", record->key);
    }
    buf_clear(&planner->pack_name);
    if (store->driver->unmap_key(store, pack->key, &planner->pack_name, &why) < 0)
        return 0;
    const bool same = object.attr.kind == record->kind && object.size_bytes == record->size_bytes &&
                      object.attr.mtime_ns == record->mtime_ns &&
                      (record->kind != ENTRY_FILE || !record->record.known ||
                       object.attr.crc64 == record->record.crc64);
    if (same)
        *ret_pack = pack;
    return 0;
}

/* An object of its own is never older than what a pack has under its name: see packer.h. */
static int seek_in_pack(struct planner *planner, const struct stream_item *record,
                        struct stream_item **there, struct err *err)
{
    bool is_there = false;
    if (record == NULL || record->pack == NULL || *there != NULL)
        return 0;
    if (find_old_pack(planner, record, &is_there, err) < 0)
        return -1;
    const struct catalog_pack *other = NULL;
    if (!is_there && find_elsewhere(planner, record, &other, err) < 0)
        return -1;
    if (!is_there && other == NULL)
        return 0;
    planner->packed = *record;
    if (other != NULL) {
        planner->packed.pack = planner->pack_name.data;
        planner->packed.pack_etag = other->etag;
    }
    planner->packed.etag = "";
    *there = &planner->packed;
    return 0;
}

static int plan_entry(struct planner *planner, const struct stream_item *from,
                      struct plan_entry *ret_entry, bool *ret_packable, struct err *err)
{
    *ret_packable = false;
    *ret_entry = (struct plan_entry){ .name = from->name,
                                      .name_len = from->name_len,
                                      .kind = from->kind,
                                      .reason = from->reason,
                                      .sys = from->sys,
                                      .empty = from->empty,
                                      .mode = from->mode,
                                      .uid = from->uid,
                                      .gid = from->gid,
                                      .size_bytes = from->size_bytes,
                                      .mtime_ns = from->mtime_ns };
    if (planner->options->spec->direction == JOB_GET)
        snprintf(ret_entry->etag, sizeof ret_entry->etag, "%s", from->etag);
    planner->why = (struct err){ 0 };
    buf_clear(&planner->mapped);
    struct stream_item *there = NULL;
    struct stream_item *record = NULL;
    /* First, so that the record knows that it was asked for. */
    if (planner->record != NULL && stream_seek(planner->record, from->key, &record, err) < 0)
        return -1;
    if (settle_by_itself(planner, from, ret_entry, &planner->why))
        return 0;
    if (planner->there != NULL && seek_there(planner, from, &there, err) < 0)
        return -1;
    if (seek_in_pack(planner, record, &there, err) < 0)
        return -1;
    ret_entry->action = decide(planner, from, there, record, ret_entry);
    const bool is_packed = there == &planner->packed;
    if (is_packed && (ret_entry->action == PLAN_UNCHANGED || ret_entry->action == PLAN_COMPARE)) {
        ret_entry->record = record->record;
        ret_entry->kept = there->pack;
        ret_entry->kept_etag = there->pack_etag;
    }
    *ret_packable = there == NULL || is_packed;
    if (planner->options->spec->direction == JOB_GET)
        ret_entry->bucket = from->bucket;
    else if (there != NULL)
        ret_entry->bucket = there->bucket;
    else if (planner->room != NULL && ret_entry->action == PLAN_NEW)
        return take_room(planner, ret_entry, err);
    return 0;
}

/* Why it is not moved, as far as it can be said. */
static void explain(const struct planner *planner, const struct plan_entry *entry,
                    struct err *ret_why)
{
    plan_entry_explain(entry, ret_why);
    if (entry->reason == REASON_NAME && planner->why.kind != ERR_NONE)
        snprintf(ret_why->text, sizeof ret_why->text, "%s: %.250s", plan_reason_text(entry->reason),
                 planner->why.text);
}

/* ---- room in buckets ---- */

/* Only what the plan's beginning did not see. */
static int count_planned(struct planner *planner, uint32_t number, struct err *err)
{
    struct store *store = planner->options->store;
    SCOPED(segment) struct segment segment;
    SCOPED(buf) struct buf key = { 0 };
    struct plan_entry entry;
    int got;
    if (segment_open(&segment, planner->generation->dir_fd, number, err) < 0)
        return -1;
    while ((got = segment_next(&segment, &entry, err)) == 1) {
        uint32_t bucket = entry.bucket == 0 ? 1 : entry.bucket;
        if (entry.action != PLAN_NEW)
            continue;
        entry.bucket = 0;
        if (plan_entry_key(store, &entry, &key, err) < 0 ||
            store->driver->room_take(planner->room, buf_text(&key), &bucket, err) < 0)
            return -1;
    }
    return got;
}

/* The dry run counts for itself; a plan keeps what it counted, for whoever goes on with it. */
static int open_room(struct planner *planner, struct err *err)
{
    const struct generation *generation = planner->generation;
    struct store *store = planner->options->store;
    SCOPED(buf) struct buf counted = { 0 };
    if (store == NULL || store->driver->room_open == NULL)
        return 0;
    if (planner->options->spec->pack != JOB_PACK_OFF)
        return err_set(err, ERR_USAGE, "--pack puts packs into one bucket, not into several");
    const bool goes_on = generation != NULL && generation->sealed != 0 &&
                         planner->options->spec->bucket_objects != 0;
    if (goes_on && buckets_read(generation->dir_fd, &counted, err) < 0)
        return -1;
    if (store->driver->room_open(&planner->room, store, goes_on ? &counted : NULL, err) < 0) {
        planner->room = NULL;
        return -1;
    }
    for (uint32_t number = 1; goes_on && number <= generation->sealed; number++)
        if (count_planned(planner, number, err) < 0)
            return -1;
    if (goes_on || generation == NULL || !store->driver->room_tell(planner->room, &counted))
        return 0;
    return buckets_write(generation->dir_fd, &counted, err);
}

/* ---- the streams ---- */

static int open_target_crawl(const struct plan_options *options, const char *after,
                             struct stream **ret_stream, struct err *err)
{
    const struct crawl_options crawl = { .sources = options->sources,
                                         .links = LINKS_KEEP,
                                         .crawlers = options->crawlers,
                                         .start_after = after,
                                         .stop = options->stop };
    return stream_of_crawl(ret_stream, &crawl, err);
}

/* All metadata of an object has one limit together. */
static int check_meta(const struct plan_options *options, struct err *err)
{
    const struct job_spec *spec = options->spec;
    uint64_t bytes = 0;
    for (size_t i = 0; i < spec->meta_count; i++)
        bytes += strlen(spec->meta[i].name) + strlen(spec->meta[i].value);
    if (options->store == NULL || bytes <= options->store->limits.max_meta_bytes)
        return 0;
    return err_set(err, ERR_USAGE,
                   "--metadata has %llu bytes, and the destination keeps at most %u with an object",
                   (unsigned long long)bytes, options->store->limits.max_meta_bytes);
}

static int open_streams(struct planner *planner, const struct job *job, uint32_t recorded,
                        const char *after, struct err *err)
{
    const struct plan_options *options = planner->options;
    const struct job_spec *spec = options->spec;
    if (check_meta(options, err) < 0)
        return -1;
    if (recorded != 0 && stream_of_record(&planner->record, job, recorded, after, err) < 0)
        return -1;
    if (spec->direction == JOB_GET) {
        if (stream_of_objects(&planner->from, options->objects, options->filter, after, err) < 0)
            return -1;
        /* A dry run does not make the target directory: where there is none, nothing is there. */
        return options->sources != NULL ? open_target_crawl(options, after, &planner->there, err)
                                        : 0;
    }
    if (open_room(planner, err) < 0 ||
        stream_of_store(&planner->there, options->store, after, err) < 0)
        return -1;
    const struct crawl_options crawl = { .sources = options->sources,
                                         .filter = options->filter,
                                         .links = spec->links,
                                         .one_file_system = spec->one_file_system,
                                         .crawlers = options->crawlers,
                                         .start_after = after,
                                         .files_from = spec->files_from,
                                         .files_from_nul = spec->files_from_nul,
                                         .is_listing = spec->from_listing,
                                         .tell_excluded = options->verbose &&
                                                          planner->out != NULL && !planner->json,
                                         .stop = options->stop };
    return stream_of_crawl(&planner->from, &crawl, err);
}

static void close_streams(struct planner *planner)
{
    stream_close(planner->from);
    stream_close(planner->there);
    stream_close(planner->record);
    if (planner->room != NULL)
        planner->options->store->driver->room_close(planner->room);
    buf_done(&planner->mapped);
    buf_done(&planner->last_key);
    packer_done(&planner->packer);
    buf_done(&planner->unread);
    buf_done(&planner->pack_name);
    if (planner->packs != NULL)
        planner->packs->driver->close(planner->packs);
    for (size_t i = 0; i < planner->old_pack_count; i++) {
        mem_release(planner->old_packs[i].key);
        mem_release(planner->old_packs[i].etag);
    }
    mem_free(planner->old_packs);
}

/* ---- sealing ---- */

static size_t directory_len(const char *key, size_t len)
{
    while (len > 0 && key[len - 1] != '/')
        len--;
    return len;
}

static bool batch_ends(const struct planner *planner, const char *key,
                       const struct plan_entry *entry)
{
    const struct segment_sum *sum = &planner->writer.sum;
    const char *last = buf_text(&planner->last_key);
    if (packer_holds(&planner->packer, entry, sum, planner->sum.objects_bytes))
        return false;
    /* Two entries may have one key, a link and what its object would meet: a plan that goes on
     * behind the last key of a segment must not lose the second. */
    if (sum->entries <= BATCH_ENTRIES_MAX && strcmp(key, last) == 0)
        return false;
    const struct job_spec *spec = planner->options->spec;
    if (sum->entries >= BATCH_ENTRIES_MAX || sum->entries >= 2 * (uint64_t)spec->batch_objects ||
        sum->objects_bytes >= spec->batch_max_bytes)
        return true;
    uint64_t enough = BATCH_FIRST_ENTRIES;
    for (uint32_t i = 1; i < planner->writer.number && enough < spec->batch_objects; i++)
        enough *= 4;
    if (enough > spec->batch_objects)
        enough = spec->batch_objects;
    if (sum->entries < enough && sum->objects_bytes < spec->batch_min_bytes)
        return false;
    const size_t last_dir = directory_len(last, planner->last_key.len);
    return directory_len(key, strlen(key)) != last_dir || strncmp(key, last, last_dir) != 0;
}

static int seal(struct planner *planner, struct err *err)
{
    if (segment_seal(&planner->writer, buf_text(&planner->last_key), planner->last_key.len, err) <
        0)
        return -1;
    planner->writing = false;
    packer_end_batch(&planner->packer);
    planner->generation->sealed++;
    tell(planner);
    return 0;
}

static int add_to_segment(struct planner *planner, const struct stream_item *from,
                          struct plan_entry *entry, bool packable, struct err *err)
{
    if (planner->writing && batch_ends(planner, from->key, entry) && seal(planner, err) < 0)
        return -1;
    if (packer_place(&planner->packer, entry, packable, planner->generation->sealed + 1,
                     planner->sum.objects_bytes, err) < 0)
        return -1;
    if (!planner->writing) {
        if (segment_begin(&planner->writer, planner->generation->sealed + 1, err) < 0)
            return -1;
        planner->writing = true;
    }
    if (segment_add(&planner->writer, entry, err) < 0)
        return -1;
    buf_clear(&planner->last_key);
    buf_add_text(&planner->last_key, from->key);
    return 0;
}

/* What is in a pack and not in the source any more: the next pack says so. */
static int add_gone(void *ctx, const struct stream_item *item, struct err *err)
{
    struct planner *planner = ctx;
    if (item->pack == NULL || !packer_wants(&planner->packer, item->key, item->kind, 0) ||
        (planner->options->filter != NULL &&
         !filter_path(planner->options->filter, item->name, item->name_len, NULL)) ||
        (planner->unread.len != 0 &&
         strncmp(item->key, planner->unread.data, planner->unread.len) == 0))
        return 0;
    struct plan_entry entry = { .name = item->key,
                                .name_len = (uint32_t)strlen(item->key),
                                .kind = ENTRY_GONE,
                                .action = PLAN_REPLACE,
                                .mtime_ns = item->mtime_ns };
    segment_sum_add(&planner->sum, &entry);
    return planner->generation != NULL ? add_to_segment(planner, item, &entry, true, err) : 0;
}

/* Is what the crawl does not give really not there? Not when only some of it was asked for. */
static bool tells_gone(const struct planner *planner)
{
    const struct job_spec *spec = planner->options->spec;
    return spec->direction == JOB_PUT && spec->pack != JOB_PACK_OFF && spec->files_from == NULL &&
           spec->base == NULL;
}

static void note_unread(struct planner *planner, const struct stream_item *from)
{
    if (from->reason != REASON_UNREADABLE)
        return;
    buf_clear(&planner->unread);
    buf_add(&planner->unread, from->name, from->name_len);
    if (from->name[from->name_len - 1] != '/')
        buf_add_char(&planner->unread, '/');
}

/* ---- the dry run ---- */

/* Where an object really is; false: just below the location that was given. */
static bool show_stored(struct store *store, uint32_t bucket, const char *name, struct buf *out)
{
    SCOPED(buf) struct buf key = { 0 };
    if (store == NULL || store->driver->locate == NULL)
        return false;
    store_bucket_key(bucket, name, &key);
    return store->driver->locate(store, key.data, out);
}

static void show_target(const struct planner *planner, const struct stream_item *from,
                        const struct plan_entry *entry, struct buf *out)
{
    const struct job_spec *spec = planner->options->spec;
    if (spec->direction == JOB_PUT && entry->reason != REASON_NAME && planner->mapped.len != 0 &&
        show_stored(planner->options->store, entry->bucket, buf_text(&planner->mapped), out))
        return;
    buf_clear(out);
    buf_add_text(out, spec->dest);
    if (out->len != 0 && out->data[out->len - 1] != '/')
        buf_add_char(out, '/');
    if (entry->pack == NULL)
        buf_add_text(out, from->key);
    else
        buf_printf(out, "%s!/%s", entry->pack, entry->name);
}

static void show_source(const struct planner *planner, const struct plan_entry *entry,
                        struct buf *out)
{
    const char *inner = "";
    if (planner->options->spec->direction == JOB_GET) {
        const struct object_root *root =
            object_set_find(planner->options->objects, entry->name, &inner);
        if (show_stored(root->store, entry->bucket, inner, out))
            return;
        buf_add_text(out, root->location);
        if (root->key != NULL)
            return;
    } else {
        const struct source_root *root =
            source_set_find(planner->options->sources, entry->name, &inner);
        buf_add_text(out, root->path);
        if (root->inner[0] != '\0')
            return;
    }
    if (out->len != 0 && out->data[out->len - 1] != '/')
        buf_add_char(out, '/');
    buf_add_text(out, inner);
}

static const char *const action_names[PLAN_ACTION_COUNT] = {
    [PLAN_NEW] = "new",         [PLAN_REPLACE] = "replace",
    [PLAN_COMPARE] = "compare", [PLAN_UNCHANGED] = "unchanged",
    [PLAN_SKIP] = "skip",       [PLAN_FAIL] = "fail",
};

static void print_json(const struct planner *planner, const struct buf *source,
                       const struct buf *target, const struct plan_entry *entry)
{
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_text(&json, "event", "dryrun");
    json_text(&json, "action", action_names[entry->action]);
    json_bytes(&json, "source", buf_text(source), source->len);
    json_bytes(&json, "destination", buf_text(target), target->len);
    json_u64(&json, "size", entry->size_bytes);
    if (entry->reason != REASON_NONE)
        json_text(&json, "reason", plan_reason_text(entry->reason));
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, planner->out);
}

static void print_entry(const struct planner *planner, const struct stream_item *from,
                        const struct plan_entry *entry)
{
    if (entry->action == PLAN_UNCHANGED || planner->out == NULL)
        return;
    /* Directories come with what is in them. */
    if (entry->kind == ENTRY_DIR && !entry->empty && entry->reason == REASON_NONE)
        return;
    const struct job_spec *spec = planner->options->spec;
    SCOPED(buf) struct buf source = { 0 };
    SCOPED(buf) struct buf target = { 0 };
    show_source(planner, entry, &source);
    show_target(planner, from, entry, &target);
    if (planner->json) {
        print_json(planner, &source, &target, entry);
        return;
    }
    SCOPED(buf) struct buf line = { 0 };
    path_show(&line, buf_text(&source));
    if (entry->reason != REASON_NONE) {
        struct err why;
        explain(planner, entry, &why);
        fprintf(planner->out, "(dryrun) %s: %s: %s\n", entry->action == PLAN_SKIP ? "skip" : "fail",
                buf_text(&line), why.text);
        return;
    }
    const char *verb = spec->direction == JOB_GET      ? "download"
                       : entry->action == PLAN_COMPARE ? "compare"
                                                       : "upload";
    buf_add_text(&line, " to ");
    path_show(&line, buf_text(&target));
    fprintf(planner->out, "(dryrun) %s: %s\n", verb, buf_text(&line));
}

static void print_excluded(const struct planner *planner, const struct stream_item *from)
{
    SCOPED(buf) struct buf line = { 0 };
    path_show(&line, from->name);
    fprintf(planner->out, "(dryrun) exclude: %s: %s\n", buf_text(&line),
            from->rule != NULL ? from->rule : "no rule includes it");
}

/* ---- the loop ---- */

static void tell_settled(const struct planner *planner, const struct plan_entry *entry)
{
    if (planner->options->notes == NULL)
        return;
    struct err why;
    explain(planner, entry, &why);
    notes_add(planner->options->notes, entry->action == PLAN_SKIP ? RESULT_SKIPPED : RESULT_FAILED,
              entry->name, &why);
}

/* Where keys are no paths, only an empty directory needs an object to be there again. */
static bool leaves_no_object(const struct planner *planner, const struct stream_item *from)
{
    return planner->options->spec->direction == JOB_PUT && from->kind == ENTRY_DIR &&
           from->reason == REASON_NONE && !from->empty && planner->options->store != NULL &&
           !planner->options->store->limits.is_tree &&
           !packer_wants(&planner->packer, from->name, from->kind, 0);
}

/* With it go its attributes. */
static void tell_lost(const struct planner *planner, const char *name)
{
    const struct plan_options *options = planner->options;
    SCOPED(buf) struct buf xattrs = { 0 };
    struct err why = { 0 };
    if (planner->generation == NULL || options->notes == NULL)
        return;
    xattrs_read_dir(options->spec, options->sources, name, &xattrs, &why);
    xattrs_left_out(&xattrs, &why);
    xattrs_tell(options->notes, name, &why);
}

static int plan_all(struct planner *planner, struct err *err)
{
    struct stream_item from;
    int got;
    if (planner->record != NULL && tells_gone(planner))
        stream_tell_passed(planner->record, add_gone, planner);
    while ((got = stream_next(planner->from, &from, err)) == 1) {
        note_unread(planner, &from);
        if (from.reason == REASON_EXCLUDED) {
            print_excluded(planner, &from);
            continue;
        }
        if (leaves_no_object(planner, &from)) {
            tell_lost(planner, from.name);
            continue;
        }
        struct plan_entry entry;
        bool packable = false;
        if (plan_entry(planner, &from, &entry, &packable, err) < 0)
            return -1;
        segment_sum_add(&planner->sum, &entry);
        if (entry.action == PLAN_SKIP || entry.action == PLAN_FAIL)
            tell_settled(planner, &entry);
        if (planner->generation == NULL) {
            if (packer_place(&planner->packer, &entry, packable, 1, planner->sum.objects_bytes,
                             err) < 0)
                return -1;
            print_entry(planner, &from, &entry);
        } else if (add_to_segment(planner, &from, &entry, packable, err) < 0)
            return -1;
        if (++planner->untold >= TELL_EVERY)
            tell(planner);
    }
    if (got < 0 ||
        (planner->record != NULL && tells_gone(planner) && stream_drain(planner->record, err) < 0))
        return -1;
    if (planner->generation != NULL) {
        if (planner->writing && seal(planner, err) < 0)
            return -1;
        if (generation_close_plan(planner->generation, err) < 0)
            return -1;
    }
    tell(planner);
    return 0;
}

static void tell_end(struct plan_progress *progress, const struct err *err)
{
    SCOPED_LOCK(&progress->lock);
    progress->ended = true;
    progress->err = *err;
    cond_wake_all(&progress->changed);
}

static int run_from(struct planner *planner, const struct job *job, uint32_t recorded,
                    struct err *err)
{
    struct generation *generation = planner->generation;
    SCOPED(buf) struct buf after = { 0 };
    if (generation->sealed != 0) {
        struct segment last;
        if (segment_open(&last, generation->dir_fd, generation->sealed, err) < 0)
            return -1;
        buf_add(&after, buf_text(&last.last_key), last.last_key.len);
        segment_done(&last);
        if (generation_sum(generation, err) < 0)
            return -1;
        planner->sum = generation->sum;
    }
    if (open_streams(planner, job, recorded, after.len != 0 ? after.data : NULL, err) < 0)
        return -1;
    tell(planner);
    return plan_all(planner, err);
}

int plan_run(const struct plan_options *options, const struct job *job,
             struct generation *generation, uint32_t recorded, struct plan_progress *progress,
             struct err *err)
{
    struct planner planner = { .options = options, .generation = generation, .progress = progress };
    segment_writer_init(&planner.writer, generation->dir_fd);
    packer_init(&planner.packer, options->spec, job->id, generation->number);
    const int result = run_from(&planner, job, recorded, err);
    segment_writer_done(&planner.writer);
    close_streams(&planner);
    tell_end(progress, err);
    return result;
}

int plan_print(const struct plan_options *options, FILE *out, bool json,
               struct plan_progress *progress, struct err *err)
{
    struct planner planner = { .options = options, .out = out, .json = json, .progress = progress };
    packer_init(&planner.packer, options->spec, "dryrun", 1);
    int result = open_streams(&planner, NULL, 0, NULL, err);
    if (result == 0)
        result = plan_all(&planner, err);
    close_streams(&planner);
    tell_end(progress, err);
    return result;
}
