#include "cli/drive.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/caught.h"
#include "cli/detach.h"
#include "cli/display.h"
#include "cli/foresee.h"
#include "job/filter.h"
#include "job/outcome.h"
#include "job/places.h"
#include "job/plan.h"
#include "job/run.h"
#include "job/status.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define STEP_NS (100 * NS_PER_MS)
#define FLUSH_NS (1500 * NS_PER_MS) /* SIGINT ends within two seconds, whatever hangs */

static struct stop stop;
static struct detach background = DETACH_NONE; /* of this process, however often it runs a job */
static int64_t until_ns; /* of this process, however often it runs a job; 0: never */

static void catch_signals(void)
{
    caught_start(false);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* ---- the job directory ---- */

static bool same_ends(const struct job_spec *a, const struct job_spec *b)
{
    if (a->direction != b->direction || a->source_count != b->source_count ||
        strcmp(a->dest, b->dest) != 0 || (a->base == NULL) != (b->base == NULL) ||
        (a->base != NULL && strcmp(a->base, b->base) != 0))
        return false;
    for (size_t i = 0; i < a->source_count; i++)
        if (strcmp(a->sources[i], b->sources[i]) != 0)
            return false;
    return true;
}

int drive_open(struct job *job, const struct settings *settings, const struct job_spec *spec,
               struct err *err)
{
    char *path = settings->job != NULL ? path_absolute(settings->job) : job_default_path(spec);
    struct err why = { 0 };
    int result = job_open(job, path, &why);
    if (result < 0 && why.kind == ERR_ABSENT) {
        err_clear(&why);
        result = job_create(job, path, spec, &why);
        if (result < 0 && why.kind == ERR_CONFLICT) {
            err_clear(&why);
            result = job_open(job, path, &why);
        }
    }
    if (result < 0) {
        *err = why;
    } else if (!same_ends(&job->spec, spec)) {
        err_set(err, ERR_USAGE, "the job '%s' moves something else: '%s' to '%s'", path,
                job->spec.sources[0], job->spec.dest);
        err_hint(err, "give this one its own --job");
        job_close(job);
        result = -1;
    }
    mem_release(path);
    return result;
}

/* ---- running ---- */

static int exit_of(enum run_end end)
{
    switch (end) {
    case RUN_DONE:
        return EXIT_DONE;
    case RUN_SOME_FAILED:
        return EXIT_SOME_FAILED;
    case RUN_DIFFERS:
        return EXIT_DIFFERS;
    case RUN_LEFT:
        return EXIT_LEFT;
    case RUN_INTERRUPTED:
        break;
    }
    return EXIT_INTERRUPTED;
}

/* What main watches. */
struct drive {
    struct run *run;
    struct display *display;
    const struct job *job;
    int64_t started_ns;
};

/* For those who watch the job from elsewhere. It is no failure of the run when nobody can be told.
 */
static void leave_word(const struct drive *drive, int exit_status, const char *text)
{
    struct outcome outcome;
    struct err ignored = { 0 };
    outcome_of(&outcome, drive->started_ns, exit_status, text);
    (void)!outcome_write(&outcome, drive->job, &ignored);
}

static const char *word_of(enum run_end end)
{
    switch (end) {
    case RUN_DONE:
        return "all is there";
    case RUN_SOME_FAILED:
        return "some entries failed";
    case RUN_DIFFERS:
        return "something read back was not what was recorded";
    case RUN_LEFT:
        return "batches are left";
    case RUN_INTERRUPTED:
        break;
    }
    return "interrupted";
}

static void interrupted(const struct drive *drive) __attribute__((noreturn));

/* Nothing is joined: a thread may hang in the kernel. The journal says what is done. */
static void interrupted(const struct drive *drive)
{
    const int status = caught_signal() == SIGINT ? EXIT_INTERRUPTED : EXIT_TERMINATED;
    stop_raise(&stop);
    const bool flushed = run_abandon(drive->run, FLUSH_NS);
    display_interrupted(drive->display, flushed);
    /* What did not take the journal would not take this either. */
    if (flushed)
        leave_word(drive, status, word_of(RUN_INTERRUPTED));
    _exit(status);
}

static int watch(const struct drive *drive, struct err *err)
{
    struct display *display = drive->display;
    caught_look(true);
    while (!run_wait(drive->run, STEP_NS)) {
        display_step(display, drive->run);
        if (caught_signal() != 0)
            interrupted(drive);
    }
    caught_look(false);
    if (caught_signal() != 0)
        interrupted(drive);
    struct snapshot last;
    display_step(display, drive->run);
    enum run_end end = RUN_DONE;
    if (run_end(drive->run, &end, &last, err) < 0) {
        display_failed(display);
        leave_word(drive, err_trait(err->kind)->exit_status, err->text);
        return -1;
    }
    display_summary(display, &last, end, exit_of(end));
    leave_word(drive, exit_of(end), word_of(end));
    return exit_of(end);
}

/* What was planned, and how to go on. */
static int show_plan(const struct settings *settings, const struct job *job, struct err *err)
{
    struct status status;
    if (status_read(&status, job, err) < 0)
        return -1;
    display_plan_totals(settings, &status.planned, 0);
    if (foresee(settings, job, err) < 0)
        return -1;
    if (!settings->json && !settings->quiet)
        printf("run it: lade run %s\n", job->path);
    return 0;
}

bool drive_is_late(void)
{
    return until_ns != 0 && clock_now_ns() >= until_ns;
}

static struct run_options options_of(const struct settings *settings, const struct job_spec *spec,
                                     enum drive_what what)
{
    return (struct run_options){
        .transfers = (uint32_t)settings->transfers,
        .crawlers = (uint32_t)settings->crawlers,
        .retries = (uint32_t)settings->retries,
        .stall_s = (uint32_t)settings->stall_s,
        .memory_bytes = settings->memory_bytes,
        .bwlimit_bytes_per_s = settings->bwlimit_bytes_per_s,
        .requests_per_s = settings->requests_per_s,
        .max_batches = settings->max_batches,
        .until_ns = until_ns,
        .join = what == DRIVE_REST,
        .again = what != DRIVE_REST,
        .plan_only = what == DRIVE_PLAN,
        .spec = spec,
        .stop = &stop,
    };
}

/* For `lade find`: where data lies. */
static void note_places(const struct job_spec *spec)
{
    const bool put = spec->direction == JOB_PUT;
    const size_t count = put ? 1 : spec->source_count;
    for (size_t i = 0; i < count; i++) {
        struct place place;
        const char *location = put ? spec->dest : spec->sources[i];
        if (spec->bucket_objects != 0)
            place_of_numbered(&place, location, &spec->access);
        else
            place_of(&place, location, &spec->access);
        places_note(&place, false);
        place_done(&place);
    }
}

static int drive_here(const struct settings *settings, struct job *job, const struct job_spec *spec,
                      enum drive_what what, struct err *err)
{
    catch_signals();
    const struct run_options options = options_of(settings, spec, what);
    struct drive drive = { .job = job, .started_ns = clock_now_ns() };
    if (run_start(&drive.run, job, &options, err) < 0) {
        detach_failed(&background, err);
        return -1;
    }
    detach_begun(&background);
    note_places(&job->spec);
    drive.display = display_start(settings, job, run_remark(drive.run), what == DRIVE_PLAN,
                                  background.is_child);
    int status = watch(&drive, err);
    if (status < 0 && err->kind == ERR_LOCAL)
        err_hint(err, "when that is mended, run the same command to go on");
    if (status < 0 && background.is_child) {
        /* With its time; main says nothing of it then. */
        display_error(drive.display, err);
        status = err_trait(err->kind)->exit_status;
    }
    display_free(drive.display);
    return status;
}

int drive_job(const struct settings *settings, struct job *job, const struct job_spec *spec,
              enum drive_what what, struct err *err)
{
    if (settings->until != NULL && until_ns == 0 &&
        clock_parse_moment(&until_ns, settings->until, clock_now_ns(), err) < 0)
        return err_at(err, "--until");
    if (settings->detach && !background.is_child) {
        if (detach_start(&background, job, err) < 0)
            return -1;
        if (!background.is_child) {
            display_detached(settings, job, background.pid);
            return EXIT_DONE;
        }
    }
    const int status = drive_here(settings, job, spec, what, err);
    if (status == EXIT_DONE && what == DRIVE_PLAN && show_plan(settings, job, err) < 0)
        return -1;
    return status;
}

static int drive_spec(const struct settings *settings, const struct job_spec *spec,
                      enum drive_what what, struct err *err)
{
    struct job job;
    if (settings->detach && spec->files_from != NULL && strcmp(spec->files_from, "-") == 0)
        return err_set(err, ERR_USAGE,
                       "--detach has no standard input that --files-from - could read");
    if (drive_open(&job, settings, spec, err) < 0)
        return -1;
    const int status = drive_job(settings, &job, spec, what, err);
    job_close(&job);
    return status;
}

/* ---- the dry run ---- */

struct dry_run {
    const struct job_spec *spec;
    uint32_t stall_s;
    struct source_set sources;
    struct object_set objects;
    struct store *store;
    struct filter *filter;
};

static int open_dry_put(struct dry_run *dry, struct err *err)
{
    const struct source_options options = { .keep_name = dry->spec->keep_name,
                                            .follow = dry->spec->links == LINKS_FOLLOW,
                                            .one_name = dry->spec->one_name,
                                            .base = dry->spec->base,
                                            .fallback = dry->spec->fallback_root };
    if (source_set_open(&dry->sources, dry->spec->sources, dry->spec->source_count, &options, err) <
        0)
        return -1;
    /* A destination that is not there yet is empty; a dry run does not make it. */
    struct err why = { 0 };
    const struct store_options opening = { .stop = &stop,
                                           .stall_s = dry->stall_s,
                                           .make_bucket = dry->spec->make_bucket,
                                           .bucket_objects = dry->spec->bucket_objects,
                                           .dry = true,
                                           .access = dry->spec->access };
    if (store_open_location(&dry->store, dry->spec->dest, &opening, &why) == 0) {
        if (!dry->spec->make_bucket || dry->store->driver->probe(dry->store, &why) == 0)
            return 0;
        dry->store->driver->close(dry->store);
        dry->store = NULL;
        /* The bucket would be made. */
        if (why.kind == ERR_CONFIG && why.http == 404)
            why.kind = ERR_ABSENT;
    }
    if (why.kind == ERR_ABSENT)
        return store_open_location(&dry->store, "null:", &opening, err);
    *err = why;
    return -1;
}

static int open_dry_get(struct dry_run *dry, struct err *err)
{
    const struct object_set_options options = { .keep_name = dry->spec->keep_name,
                                                .one_name = dry->spec->one_name,
                                                .stop = &stop,
                                                .stall_s = dry->stall_s,
                                                .bucket_objects = dry->spec->bucket_objects,
                                                .access = dry->spec->access,
                                                .keep_packs = dry->spec->keep_packs };
    if (object_set_open(&dry->objects, dry->spec->sources, dry->spec->source_count, &options, err) <
        0)
        return -1;
    char *target[] = { dry->spec->dest };
    const struct source_options source = { 0 };
    struct err why = { 0 };
    if (source_set_open(&dry->sources, target, 1, &source, &why) == 0 || why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return -1;
}

static int drive_dry_run(const struct settings *settings, const struct job_spec *spec,
                         struct err *err)
{
    struct dry_run dry = { .spec = spec, .stall_s = (uint32_t)settings->stall_s };
    struct plan_progress progress;
    plan_progress_init(&progress);
    int result = ask_filter(&dry.filter, settings, err);
    if (result == 0)
        result = spec->direction == JOB_GET ? open_dry_get(&dry, err) : open_dry_put(&dry, err);
    if (result == 0) {
        const struct plan_options options = { .spec = spec,
                                              .sources =
                                                  dry.sources.count != 0 ? &dry.sources : NULL,
                                              .objects = &dry.objects,
                                              .store = dry.store,
                                              .filter = dry.filter,
                                              .crawlers = (uint32_t)settings->crawlers,
                                              .verbose = settings->verbose != 0,
                                              .stop = &stop };
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
        result =
            plan_print(&options, settings->quiet ? NULL : stdout, settings->json, &progress, err);
    }
    if (result == 0)
        display_plan_totals(settings, &progress.sum, progress.excluded);
    if (dry.store != NULL)
        dry.store->driver->close(dry.store);
    object_set_done(&dry.objects);
    source_set_done(&dry.sources);
    filter_free(dry.filter);
    const bool fails = progress.sum.by_action[PLAN_FAIL] != 0;
    plan_progress_done(&progress);
    return result < 0 ? -1 : fails ? EXIT_SOME_FAILED : EXIT_DONE;
}

int drive_asked(const struct settings *settings, struct job_spec *spec, enum drive_what what,
                struct err *err)
{
    const int status = settings->dry_run ? drive_dry_run(settings, spec, err)
                                         : drive_spec(settings, spec, what, err);
    job_spec_done(spec);
    return status;
}
