/* What happens to an entry: by what it is, what is at the destination, what was recorded of it, and
 * which pack has it. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/plan_internal.h"
#include "pack/view.h"

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

int plan_decide(struct planner *planner, const struct stream_item *from,
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
    /* Only the record says what is in a pack. */
    const bool is_packed = record != NULL && there == &planner->packed;
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

void plan_explain(const struct planner *planner, const struct plan_entry *entry,
                  struct err *ret_why)
{
    plan_entry_explain(entry, ret_why);
    if (entry->reason == REASON_NAME && planner->why.kind != ERR_NONE)
        snprintf(ret_why->text, sizeof ret_why->text, "%s: %.250s", plan_reason_text(entry->reason),
                 planner->why.text);
}
