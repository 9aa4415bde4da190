#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/buckets.h"
#include "job/plan_internal.h"
#include "job/xattrs.h"

/* The first batches are small, so that the transfer starts soon after the crawl. */
#define BATCH_FIRST_ENTRIES 1000u
#define TELL_EVERY 1024u
#define BATCH_ENTRIES_MAX 65535u /* unless a pack has more */

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

/* ---- the loop ---- */

static void tell_settled(const struct planner *planner, const struct plan_entry *entry)
{
    if (planner->options->notes == NULL)
        return;
    struct err why;
    plan_explain(planner, entry, &why);
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
            plan_show_excluded(planner, &from);
            continue;
        }
        if (leaves_no_object(planner, &from)) {
            tell_lost(planner, from.name);
            continue;
        }
        struct plan_entry entry;
        bool packable = false;
        if (plan_decide(planner, &from, &entry, &packable, err) < 0)
            return -1;
        segment_sum_add(&planner->sum, &entry);
        if (entry.action == PLAN_SKIP || entry.action == PLAN_FAIL)
            tell_settled(planner, &entry);
        if (planner->generation == NULL) {
            if (packer_place(&planner->packer, &entry, packable, 1, planner->sum.objects_bytes,
                             err) < 0)
                return -1;
            plan_show_entry(planner, &from, &entry);
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
