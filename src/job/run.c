#include "job/run.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/buckets.h"
#include "job/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#define WORKERS_MAX 1024u
#define FOLLOW_NS (200 * NS_PER_MS) /* how often the lead is looked at by who works beside it */

/* ---- opening the two ends ---- */

static int open_filter(struct run *run, struct err *err)
{
    const char *text = run->job->spec.filter;
    return text[0] == '\0' ? 0 : filter_from_text(&run->filter, text, err);
}

static int open_put(struct run *run, struct err *err)
{
    const struct job_spec *spec = &run->job->spec;
    const struct source_options options = { .keep_name = spec->keep_name,
                                            .follow = spec->links == LINKS_FOLLOW,
                                            .one_name = spec->one_name,
                                            .base = spec->base,
                                            .fallback = spec->fallback_root };
    if (source_set_open(&run->sources, spec->sources, spec->source_count, &options, err) < 0)
        return -1;
    const struct store_options opening = { .stop = run->stop,
                                           .stall_s = run->options.stall_s,
                                           .create = true,
                                           .make_bucket = spec->make_bucket,
                                           .bucket_objects = spec->bucket_objects,
                                           .request_rate = &run->request_rate,
                                           .access = spec->access };
    if (store_open_location(&run->store, spec->dest, &opening, err) < 0)
        return -1;
    run->large_bytes = store_large_bytes(&run->store->limits);
    return 0;
}

static int open_get(struct run *run, struct err *err)
{
    const struct job_spec *spec = &run->job->spec;
    if (path_make_all(spec->dest, err) < 0)
        return err_at(err, "target directory '%s'", spec->dest);
    char *const target[] = { spec->dest };
    const struct source_options options = { 0 };
    if (source_set_open(&run->sources, target, 1, &options, err) < 0)
        return err_at(err, "target directory");
    const struct object_set_options objects = { .keep_name = spec->keep_name,
                                                .one_name = spec->one_name,
                                                .stop = run->stop,
                                                .request_rate = &run->request_rate,
                                                .stall_s = run->options.stall_s,
                                                .bucket_objects = spec->bucket_objects,
                                                .access = spec->access,
                                                .keep_packs = spec->keep_packs };
    if (object_set_open(&run->objects, spec->sources, spec->source_count, &objects, err) < 0)
        return -1;
    for (size_t i = 0; i < run->objects.count; i++)
        if (!run->objects.roots[i].store->limits.keeps_data)
            return err_set(err, ERR_USAGE, "nothing can be fetched from '%s'",
                           run->objects.roots[i].location);
    run->large_bytes = store_large_bytes(&run->objects.roots[0].store->limits);
    return 0;
}

static int open_ends(struct run *run, struct err *err)
{
    if (open_filter(run, err) < 0)
        return -1;
    return run_is_get(run) ? open_get(run, err) : open_put(run, err);
}

/* ---- which generation ---- */

/* What this run was asked for replaces what the job was asked for before. */
static int take_spec(struct run *run, struct err *err)
{
    const struct job_spec *spec = run->options.spec;
    return spec != NULL && (job_spec_difference(&run->job->spec, spec) != NULL ||
                            !job_spec_same_late(&run->job->spec, spec))
               ? job_set_spec(run->job, spec, err)
               : 0;
}

static int make_generation(struct run *run, uint32_t number, struct err *err)
{
    if (take_spec(run, err) < 0)
        return -1;
    return generation_create(&run->generation, run->job, number, err);
}

/* A plan that goes on needs to know how full the buckets were when it began. */
static int check_buckets(const struct run *run, struct err *err)
{
    const struct generation *generation = &run->generation;
    const struct job_spec *spec = &run->job->spec;
    SCOPED(buf) struct buf counted = { 0 };
    if (spec->direction != JOB_PUT || spec->bucket_objects == 0 || generation->closed ||
        generation->sealed == 0)
        return 0;
    return buckets_read(generation->dir_fd, &counted, err);
}

/* Whole in its plan? Reads all of it, so damage is found before anything is moved by it. */
static int open_generation(struct run *run, uint32_t number, struct err *err)
{
    if (generation_open(&run->generation, run->job, number, err) < 0)
        return -1;
    if (generation_sum(&run->generation, err) < 0 || generation_check(&run->generation, err) < 0 ||
        check_buckets(run, err) < 0) {
        generation_done(&run->generation);
        return -1;
    }
    return 0;
}

static int check_same_options(const struct run *run, struct err *err)
{
    const struct job_spec *spec = run->options.spec;
    const char *what = spec != NULL ? job_spec_difference(&run->job->spec, spec) : NULL;
    if (what == NULL)
        return 0;
    err_set(err, ERR_USAGE, "the unfinished job '%s' was begun with other options: look at %s",
            run->job->path, what);
    return err_hint(err, "finish it with the same options, or give this one its own --job");
}

/* Where else files may be read can be told late, when some could not be read. */
static int take_fallback(struct run *run, struct err *err)
{
    const struct job_spec *spec = run->options.spec;
    return spec == NULL || job_spec_same_late(&run->job->spec, spec)
               ? 0
               : job_set_spec(run->job, spec, err);
}

/* One whose plan was refused before its first batch has nothing that other options could spoil. */
static bool is_blank(const struct run *run, uint32_t number)
{
    struct generation generation;
    struct err ignored = { 0 };
    if (generation_open(&generation, run->job, number, &ignored) < 0)
        return false;
    const bool blank = generation.sealed == 0 && !generation.closed;
    generation_done(&generation);
    return blank;
}

static int choose_generation(struct run *run, struct err *err)
{
    uint32_t newest = 0;
    uint32_t finished = 0;
    if (job_generations(run->job, &newest, &finished, err) < 0)
        return -1;
    run->recorded = finished;
    if (newest == 0 || (newest == finished && run->options.again))
        return make_generation(run, newest + 1, err);
    if (newest != finished && is_blank(run, newest)) {
        if (take_spec(run, err) < 0)
            return -1;
    } else if (newest != finished &&
               (check_same_options(run, err) < 0 || take_fallback(run, err) < 0)) {
        return -1;
    }
    struct err why = { 0 };
    if (open_generation(run, newest, &why) == 0) {
        /* Only a finished generation is a record, and not its own. */
        if (newest == finished)
            run->recorded = 0;
        return 0;
    }
    if (why.kind != ERR_CORRUPT) {
        *err = why;
        return -1;
    }
    /* What is at the destination is compared again, never taken on trust from a damaged plan. */
    snprintf(run->remark, sizeof run->remark,
             "the plan of this job was damaged (%.150s): planning again, comparing what is there",
             why.text);
    run->distrust = true;
    if (newest == finished)
        run->recorded = 0;
    return make_generation(run, newest + 1, err);
}

/* Goes on with a plan that is not closed: from the same list, or names would be passed over. */
static int check_list(const struct run *run, struct err *err)
{
    const struct job_spec *spec = &run->job->spec;
    if (run->options.spec != NULL || run->generation.closed || spec->files_from == NULL)
        return 0;
    if (strcmp(spec->files_from, "-") == 0) {
        err_set(err, ERR_USAGE,
                "the list of files came from standard input and is not planned whole");
        return err_hint(err, "run 'lade put' again as before, with the same list");
    }
    char *now = job_list_crc(spec->files_from);
    const bool same = now == NULL || spec->list_crc == NULL || strcmp(now, spec->list_crc) == 0;
    mem_release(now);
    if (same)
        return 0;
    err_set(err, ERR_USAGE, "the list '%s' is not planned whole and has changed since",
            spec->files_from);
    return err_hint(err, "give it back its content, or put the new list with its own --job");
}

/* A record that cannot be read is no record. */
static void check_record(struct run *run)
{
    struct generation record;
    struct err why = { 0 };
    if (run->recorded == 0 || run->generation.closed)
        return;
    if (generation_open(&record, run->job, run->recorded, &why) == 0) {
        const bool good = generation_check(&record, &why) == 0;
        for (uint32_t number = 1; good && why.kind == ERR_NONE && number <= record.sealed;
             number++) {
            struct result_file file;
            if (result_file_open(&file, record.dir_fd, number, false, &why) == 0)
                result_file_done(&file);
        }
        generation_done(&record);
    }
    if (why.kind == ERR_NONE)
        return;
    snprintf(run->remark, sizeof run->remark,
             "the record of the last run is damaged (%.150s): comparing with what is there",
             why.text);
    run->distrust = true;
    run->recorded = 0;
}

/* ---- threads ---- */

static void plan(struct run *run)
{
    const struct plan_options options = { .spec = &run->job->spec,
                                          .sources = &run->sources,
                                          .objects = &run->objects,
                                          .store = run->store,
                                          .filter = run->filter,
                                          .notes = &run->notes,
                                          .crawlers = run->options.crawlers,
                                          .distrust = run->distrust,
                                          .stop = &run->plan_stop };
    struct err err = { 0 };
    /* The error is in the progress, where everybody sees it. */
    (void)!plan_run(&options, run->job, &run->generation, run->recorded, &run->progress, &err);
}

/* What is planned is what is on disk. */
static void tell_planned(struct run *run)
{
    SCOPED_LOCK(&run->progress.lock);
    run->progress.sealed = run->generation.sealed;
    run->progress.sum = run->generation.sum;
    run->progress.ended = run->generation.closed;
    cond_wake_all(&run->progress.changed);
}

/* What another process has planned since. */
static int follow_plan(struct run *run, struct err *err)
{
    struct generation *generation = &run->generation;
    uint32_t known = generation->sealed;
    if (generation_refresh(generation, err) < 0)
        return -1;
    while (known < generation->sealed) {
        struct segment segment;
        if (segment_open(&segment, generation->dir_fd, ++known, err) < 0)
            return -1;
        segment_sum_merge(&generation->sum, &segment.sum);
        segment_done(&segment);
    }
    tell_planned(run);
    return 0;
}

static bool is_left(struct run *run)
{
    SCOPED_LOCK(&run->dispatch.lock);
    return run->dispatch.left;
}

/* The lead plans and finishes; when it is gone while this process still works, this one leads. */
static int follow_lead(struct run *run, struct err *err)
{
    while (!claim_leads(&run->claim)) {
        if (follow_plan(run, err) < 0 || stop_sleep(run->stop, FOLLOW_NS, err) < 0)
            return -1;
        if (run->generation.finished || (atomic_load(&run->workers_left) == 0 && is_left(run)))
            return 0;
        if (claim_lead(&run->claim, NULL, err) < 0)
            return -1;
    }
    return follow_plan(run, err) < 0 || generation_check(&run->generation, err) < 0 ? -1 : 0;
}

static void follow(struct run *run)
{
    struct err err = { 0 };
    if (follow_lead(run, &err) == 0) {
        if (claim_leads(&run->claim) && !run->generation.closed) {
            check_record(run);
            plan(run);
        }
        return;
    }
    lock_take(&run->progress.lock);
    run->progress.err = err;
    lock_give(&run->progress.lock);
    stop_raise(run->stop);
}

static void *planner_main(void *arg)
{
    struct run *run = arg;
    if (claim_leads(&run->claim))
        plan(run);
    else
        follow(run);
    atomic_store(&run->planned, true);
    SCOPED_LOCK(&run->end_lock);
    cond_wake_all(&run->ended);
    return NULL;
}

static int start_planner(struct run *run, struct err *err)
{
    tell_planned(run);
    if (claim_leads(&run->claim) && run->generation.closed) {
        atomic_store(&run->planned, true);
        return 0;
    }
    run->planning = thread_start(&run->planner, "lade-plan", planner_main, run, err) == 0;
    return run->planning ? 0 : -1;
}

static uint32_t worker_count(const struct run *run)
{
    uint32_t count = run->options.transfers;
    if (count == 0)
        count = run_is_get(run) ? run->objects.roots[0].store->limits.transfers
                                : run->store->limits.transfers;
    /* A worker that waits to try again keeps its slab and asks for a permit, and whoever has one
     * may wait for a slab: there are never fewer slabs than workers. */
    const size_t slabs = pool_slab_count(run->pool);
    const size_t free_slabs = run->job->spec.pack == JOB_PACK_OFF ? slabs : slabs / 2;
    const uint32_t most = free_slabs < WORKERS_MAX ? (uint32_t)free_slabs : WORKERS_MAX;
    return count == 0 ? 1 : count > most ? most : count;
}

static int init_worker(struct run *run, struct worker *worker, uint32_t number, struct err *err)
{
    worker->run = run;
    worker->number = number;
    worker->work.entries = mem_alloc(CHUNK_ENTRIES_MAX * sizeof *worker->work.entries);
    source_dirs_init(&worker->dirs, &run->sources);
    stage_init(&worker->stage, run->sources.roots[0].dir_fd);
    worker->stage.shared = &run->staged;
    worker->stage.file_mode = 0600; /* until the real mode is set */
    if (getrandom(&worker->random, sizeof worker->random, 0) != sizeof worker->random ||
        worker->random == 0)
        worker->random = (uint64_t)clock_now_ns() | 1;
    return digest_init(&worker->digest, run->job->spec.digests, err);
}

static int start_workers(struct run *run, struct err *err)
{
    run->workers = mem_alloc(run->worker_count * sizeof *run->workers);
    for (uint32_t i = 0; i < run->worker_count; i++)
        if (init_worker(run, &run->workers[i], i, err) < 0)
            return -1;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        atomic_fetch_add(&run->workers_left, 1);
        if (thread_start(&run->workers[i].thread, "lade-worker", worker_main, &run->workers[i],
                         err) < 0) {
            atomic_fetch_sub(&run->workers_left, 1);
            /* Fewer threads than wished for are enough, if there is one. */
            if (i == 0)
                return -1;
            err_clear(err);
            break;
        }
    }
    return 0;
}

static int start_ledger(struct run *run, struct err *err)
{
    const struct ledger_options options = { .generation = &run->generation,
                                            .claim = &run->claim,
                                            .stop = run->stop };
    if (ledger_start(&run->ledger, &options, err) < 0)
        return -1;
    run->process = ledger_process(run->ledger);
    struct ledger_counts counts;
    ledger_counts(run->ledger, &counts);
    run->before = counts.sum;
    /* All was worked on before: whatever failed is asked for again. */
    const bool worked_on =
        run->generation.closed && counts.segments_sealed == run->generation.sealed;
    run->dispatch.most_tries = worked_on ? UINT32_MAX : BATCH_TRIES;
    if (ledger_damage_count(run->ledger) != 0 && run->remark[0] == '\0')
        snprintf(run->remark, sizeof run->remark,
                 "the journal of this job had a damaged end: what it no longer says is done again");
    return 0;
}

static void run_free(struct run *run)
{
    for (uint32_t i = 0; i < run->worker_count && run->workers != NULL; i++) {
        struct worker *worker = &run->workers[i];
        if (worker->run == NULL)
            break;
        mem_release(worker->work.entries);
        buf_done(&worker->work.names);
        buf_done(&worker->key);
        buf_done(&worker->text);
        source_dirs_done(&worker->dirs);
        stage_done(&worker->stage);
        digest_done(&worker->digest);
    }
    mem_release(run->workers);
    ledger_free(run->ledger);
    dispatch_done(run);
    if (run->pool != NULL) {
        pool_free(run->pool);
        permit_done(&run->permit);
        rate_done(&run->rate);
    }
    if (run->store != NULL)
        run->store->driver->close(run->store);
    object_set_done(&run->objects);
    rate_done(&run->request_rate);
    source_set_done(&run->sources);
    filter_free(run->filter);
    plan_progress_done(&run->progress);
    generation_done(&run->generation);
    lock_done(&run->end_lock);
    cond_done(&run->ended);
    notes_done(&run->notes);
    mem_release(run);
}

/* The plan grows meanwhile, and the lead has looked whether it is whole. */
static int open_beside(struct run *run, uint32_t number, struct err *err)
{
    if (generation_open(&run->generation, run->job, number, err) < 0)
        return -1;
    if (generation_sum(&run->generation, err) == 0)
        return 0;
    generation_done(&run->generation);
    return -1;
}

/* Lead the job, or work beside the process that does: with the generation that it works on. */
static int claim_or_join(struct run *run, struct err *err)
{
    if (!run->options.join)
        return claim_take(&run->claim, run->job->dir_fd, run->stop, err);
    if (claim_join(&run->claim, run->job->dir_fd, err) < 0)
        return -1;
    for (;;) {
        const int led = claim_lead(&run->claim, NULL, err);
        if (led != 0)
            return led < 0 ? -1 : 0;
        uint32_t newest = 0;
        uint32_t finished = 0;
        if (job_generations(run->job, &newest, &finished, err) < 0)
            return -1;
        if (newest != finished) {
            run->recorded = finished;
            return open_beside(run, newest, err);
        }
        if (stop_sleep(run->stop, FOLLOW_NS, err) < 0)
            return -1;
    }
}

static int start_all(struct run *run, struct err *err)
{
    run->claimed = true;
    if (claim_or_join(run, err) < 0)
        return -1;
    const bool leads = claim_leads(&run->claim);
    if (leads && (choose_generation(run, err) < 0 || check_list(run, err) < 0))
        return -1;
    if (open_ends(run, err) < 0)
        return -1;
    if (leads)
        check_record(run);
    run->pool = pool_new(run->options.memory_bytes);
    run->worker_count = worker_count(run);
    permit_init(&run->permit, run->worker_count);
    rate_init(&run->rate, (double)run->options.bwlimit_bytes_per_s, clock_monotonic_ns());
    run->flow = (struct flow){ .rate = run->options.bwlimit_bytes_per_s != 0 ? &run->rate : NULL,
                               .stop = run->stop,
                               .moved = &run->moved };
    run->read_flow = run->flow;
    run->read_flow.moved = NULL;
    return start_ledger(run, err) < 0 || (!run->options.plan_only && start_workers(run, err) < 0)
               ? -1
               : start_planner(run, err);
}

int run_start(struct run **ret_run, struct job *job, const struct run_options *options,
              struct err *err)
{
    struct run *run = mem_alloc(sizeof *run);
    run->job = job;
    run->options = *options;
    run->stop = options->stop;
    run->generation.dir_fd = -1;
    run->start_ns = clock_monotonic_ns();
    rate_init(&run->request_rate, (double)options->requests_per_s, clock_monotonic_ns());
    lock_init(&run->end_lock);
    cond_init(&run->ended);
    notes_init(&run->notes);
    plan_progress_init(&run->progress);
    dispatch_init(run);
    if (start_all(run, err) < 0) {
        /* What runs already is ended first; the planner, which is started last, does not run. */
        stop_raise(run->stop);
        for (uint32_t k = 0; run->workers != NULL && k < run->worker_count; k++)
            thread_join(&run->workers[k].thread);
        struct err ignored = { 0 };
        if (run->ledger != NULL)
            (void)!ledger_stop(run->ledger, &ignored);
        if (run->claimed)
            claim_release(&run->claim);
        run_free(run);
        return -1;
    }
    *ret_run = run;
    return 0;
}

/* ---- watching ---- */

static bool all_ended(struct run *run)
{
    return atomic_load(&run->workers_left) == 0 && atomic_load(&run->planned);
}

bool run_wait(struct run *run, int64_t span_ns)
{
    if (stop_raised(run->stop))
        stop_raise(&run->plan_stop);
    SCOPED_LOCK(&run->end_lock);
    if (!all_ended(run))
        cond_wait_for(&run->ended, &run->end_lock, span_ns);
    return all_ended(run);
}

static struct snapshot_sum sum_of(const struct result_sum *sum, enum result_status status)
{
    return (struct snapshot_sum){ sum->count[status], sum->bytes[status] };
}

void run_snapshot(struct run *run, struct snapshot *ret_snapshot)
{
    struct ledger_counts counts;
    ledger_counts(run->ledger, &counts);
    *ret_snapshot = (struct snapshot){ 0 };
    notes_show(&run->notes, ret_snapshot);

    lock_take(&run->progress.lock);
    const struct segment_sum planned = run->progress.sum;
    const bool final = run->progress.ended && run->progress.err.kind == ERR_NONE;
    const uint32_t sealed = run->progress.sealed;
    lock_give(&run->progress.lock);

    uint64_t planned_bytes = 0;
    for (int i = 0; i < PLAN_ACTION_COUNT; i++)
        planned_bytes += planned.bytes_by_action[i];
    ret_snapshot->work = run_is_get(run) ? SNAPSHOT_GET : SNAPSHOT_PUT;
    ret_snapshot->phase = final ? SNAPSHOT_RUNNING : SNAPSHOT_PLANNING;
    ret_snapshot->totals_final = final;
    ret_snapshot->planned = (struct snapshot_sum){ planned.entries, planned_bytes };
    ret_snapshot->new_count = counts.sum.count[RESULT_DONE];
    ret_snapshot->replaced_count = counts.sum.count[RESULT_REPLACED];
    ret_snapshot->done.count = ret_snapshot->new_count + ret_snapshot->replaced_count;
    ret_snapshot->done.bytes = counts.sum.bytes[RESULT_DONE] + counts.sum.bytes[RESULT_REPLACED];
    ret_snapshot->unchanged = sum_of(&counts.sum, RESULT_UNCHANGED);
    ret_snapshot->skipped = sum_of(&counts.sum, RESULT_SKIPPED);
    ret_snapshot->failed = sum_of(&counts.sum, RESULT_FAILED);
    ret_snapshot->moved_bytes = atomic_load(&run->moved);
    ret_snapshot->retries = atomic_load(&run->retries);
    ret_snapshot->packs = atomic_load(&run->packs);
    ret_snapshot->packing = run->job->spec.pack != JOB_PACK_OFF;
    if (run->sources.fallback_count != NULL)
        ret_snapshot->fallback_count = atomic_load(run->sources.fallback_count);
    ret_snapshot->active_count = atomic_load(&run->active_count);
    ret_snapshot->batches_done = counts.segments_sealed;
    ret_snapshot->batches_total = sealed;
    ret_snapshot->elapsed_ns = clock_monotonic_ns() - run->start_ns;
    const uint64_t settled_now = ret_snapshot->done.bytes - (run->before.bytes[RESULT_DONE] +
                                                             run->before.bytes[RESULT_REPLACED]);
    ret_snapshot->flight_bytes =
        ret_snapshot->moved_bytes > settled_now ? ret_snapshot->moved_bytes - settled_now : 0;
}

void run_plan_sum(struct run *run, struct segment_sum *ret_sum, uint64_t *ret_excluded)
{
    SCOPED_LOCK(&run->progress.lock);
    *ret_sum = run->progress.sum;
    *ret_excluded = run->progress.excluded;
}

struct notes *run_notes(struct run *run)
{
    return &run->notes;
}

const char *run_remark(const struct run *run)
{
    return run->remark;
}

/* ---- the end ---- */

static int end_threads(struct run *run, struct err *err)
{
    for (uint32_t i = 0; i < run->worker_count && run->workers != NULL; i++)
        thread_join(&run->workers[i].thread);
    if (run->planning)
        thread_join(&run->planner);
    struct err why = { 0 };
    const int written = ledger_stop(run->ledger, &why);
    /* The cause before its consequences. */
    if (run->progress.err.kind != ERR_NONE && run->progress.err.kind != ERR_STOPPED)
        *err = run->progress.err;
    else if (run->dispatch.err.kind != ERR_NONE)
        *err = run->dispatch.err;
    else if (written < 0)
        *err = why;
    return err->kind == ERR_NONE ? 0 : -1;
}

/* All entries have results: directories, then the mark, then what is not needed any more goes. */
static int finish_generation(struct run *run, uint64_t sealed_now, struct err *err)
{
    /* A finished one whose failures were tried again has directories that were written into. */
    if (run->generation.finished && sealed_now == 0)
        return 0;
    if (relink(run, err) < 0 || finish_directories(run, err) < 0)
        return -1;
    if (run->generation.finished)
        return 0;
    if (generation_finish(&run->generation, err) < 0)
        return -1;
    for (uint32_t number = run->generation.number; number-- > 1;) {
        struct err ignored = { 0 }; /* it takes room, no more */
        (void)!generation_delete(run->job, number, &ignored);
    }
    return 0;
}

static bool is_whole(struct run *run, const struct result_sum *sum)
{
    uint64_t settled = 0;
    for (int i = RESULT_OPEN + 1; i < RESULT_STATUS_COUNT; i++)
        settled += sum->count[i];
    return run->generation.closed && settled == run->progress.sum.entries;
}

static int judge(struct run *run, enum run_end *ret_end, struct err *err)
{
    struct ledger_counts counts;
    ledger_counts(run->ledger, &counts);
    if (run->options.plan_only) {
        *ret_end = RUN_DONE;
        return 0;
    }
    if (!is_whole(run, &counts.sum)) {
        *ret_end = stop_raised(run->stop) ? RUN_INTERRUPTED : RUN_LEFT;
        return 0;
    }
    const uint64_t noted_before = notes_count(&run->notes, RESULT_FAILED);
    if (claim_leads(&run->claim) && finish_generation(run, counts.segments_sealed_now, err) < 0) {
        if (err->kind != ERR_STOPPED)
            return -1;
        err_clear(err); /* the next run finishes it */
        *ret_end = RUN_INTERRUPTED;
        return 0;
    }
    const bool noted = notes_count(&run->notes, RESULT_FAILED) != noted_before;
    *ret_end = RUN_DONE;
    /* What was mended by another try is no failure. */
    if (counts.sum.count[RESULT_FAILED] != 0 || noted)
        *ret_end = notes_have_corrupt(&run->notes) ? RUN_DIFFERS : RUN_SOME_FAILED;
    return 0;
}

int run_end(struct run *run, enum run_end *ret_end, struct snapshot *ret_last, struct err *err)
{
    int result = end_threads(run, err);
    if (result == 0)
        result = judge(run, ret_end, err);
    run_snapshot(run, ret_last);
    claim_release(&run->claim);
    run_free(run);
    return result;
}

bool run_abandon(struct run *run, int64_t span_ns)
{
    return ledger_release(run->ledger, span_ns);
}
