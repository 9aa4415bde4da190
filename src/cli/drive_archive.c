#include "cli/drive_archive.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/ask.h"
#include "cli/caught.h"
#include "job/extract.h"
#include "job/packed.h"
#include "store/location.h"
#include "ui/event.h"
#include "ui/term.h"

#include <signal.h>
#include <unistd.h>

#define STEP_NS (100 * NS_PER_MS)
#define STOP_NS (1500 * NS_PER_MS) /* SIGINT ends within two seconds, whatever hangs */

static struct stop stop;

/* ---- what is asked for ---- */

int drive_archive_find(struct archived_place *ret_place, const struct settings *settings,
                       char **operands, size_t count, struct err *err)
{
    const struct store_options opening = { .stall_s = (uint32_t)settings->stall_s,
                                           .access = settings->access };
    const size_t locations = settings->to != NULL || count == 0 ? count : count - 1;
    for (size_t i = 0; i < locations; i++) {
        *ret_place = (struct archived_place){ 0 };
        /* What is in a pack of ours is fetched by a job, like objects. */
        const int packed = packed_is(operands[i], &opening, err);
        if (packed < 0)
            return -1;
        if (packed == 1)
            continue;
        if (archived_find(ret_place, operands[i], &opening, err) < 0)
            return -1;
        if (ret_place->archive == NULL)
            continue;
        if (locations == 1)
            return 1;
        archived_place_done(ret_place);
        err_set(err, ERR_USAGE, "'%s' is in an archive, and not the only location", operands[i]);
        return err_hint(err, "unpack each by a get of its own");
    }
    return 0;
}

static int check_settings(const struct settings *settings, struct err *err)
{
    const char *name = settings->dry_run            ? "dry-run"
                       : settings->detach           ? "detach"
                       : settings->glob             ? "glob"
                       : settings->job != NULL      ? "job"
                       : settings->max_batches != 0 ? "max-batches"
                                                    : NULL;
    if (name == NULL && settings->xattrs)
        return err_set(err, ERR_USAGE,
                       "--xattrs does not go with an archive: only those of packs are set");
    if (name == NULL)
        return 0;
    err_set(err, ERR_USAGE, "--%s does not go with an archive: to unpack one is no job", name);
    return settings->dry_run ? err_hint(err, "'lade ls -R' lists what is in it") : -1;
}

/* The directory, and with --to the name in it. */
static int find_target(const struct settings *settings, const char *operand, char **ret_dest,
                       char **ret_name, struct err *err)
{
    if (settings->to == NULL) {
        SCOPED(location) struct location location = { 0 };
        if (location_parse(&location, operand, err) < 0)
            return -1;
        if (!location_is_local(&location))
            return err_set(err, ERR_USAGE, "'%s' is not on this machine", operand);
        *ret_dest = mem_string(location.path);
        return 0;
    }
    char *target = path_absolute(settings->to);
    char *slash = strrchr(target, '/');
    *ret_name = path_base(target);
    slash[slash == target ? 1 : 0] = '\0';
    *ret_dest = target;
    if ((*ret_name)[0] == '\0' || settings->to[strlen(settings->to) - 1] == '/')
        return err_set(err, ERR_USAGE, "--to '%s' names no file", settings->to);
    return 0;
}

/* ---- showing ---- */

struct show {
    const struct settings *settings;
    struct extract *extract;
    struct term term;
    struct snapshot_meter meter;
    int64_t next_event_ns;
    struct buf line;
};

static void put_event(struct show *show)
{
    fwrite(buf_text(&show->line), 1, show->line.len, stdout);
    fflush(stdout);
    buf_clear(&show->line);
}

static void show_notes(struct show *show)
{
    for (struct note *note; (note = notes_take(extract_notes(show->extract))) != NULL;) {
        buf_clear(&show->line);
        if (show->settings->json) {
            event_item(&show->line, clock_now_ns(), note->status, note->name, strlen(note->name),
                       &note->err);
            put_event(show);
        } else if (note->status != RESULT_SKIPPED || !show->settings->quiet) {
            note_text(note, &show->line);
            term_log(&show->term, show->line.data);
        }
        note_free(note);
    }
}

static void show_step(struct show *show)
{
    struct snapshot snap;
    const int64_t now_ns = clock_monotonic_ns();
    show_notes(show);
    extract_snapshot(show->extract, &snap);
    snapshot_measure(&snap, &show->meter, now_ns);
    if (!show->settings->json) {
        term_draw(&show->term, &snap, now_ns);
    } else if (now_ns >= show->next_event_ns) {
        show->next_event_ns = now_ns + NS_PER_S;
        buf_clear(&show->line);
        event_progress(&show->line, clock_now_ns(), &snap);
        put_event(show);
    }
}

/* NOTES_MAX failures were named; how many more there are is in the summary. */
static void show_end(struct show *show, struct snapshot *last, int status)
{
    last->phase = SNAPSHOT_ENDED;
    snapshot_measure(last, &show->meter, clock_monotonic_ns());
    buf_clear(&show->line);
    term_erase(&show->term);
    if (show->settings->json) {
        event_summary(&show->line, clock_now_ns(), last, status);
        put_event(show);
    } else if (!show->settings->quiet) {
        term_summary(&show->term, last);
    }
}

static void watch(struct show *show)
{
    int64_t asked_ns = 0;
    while (!extract_wait(show->extract, STEP_NS)) {
        show_step(show);
        if (caught_signal() == 0)
            continue;
        const int64_t now_ns = clock_monotonic_ns();
        if (asked_ns == 0) {
            asked_ns = now_ns;
            stop_raise(&stop);
        } else if (now_ns - asked_ns > STOP_NS) {
            break;
        }
    }
    show_notes(show);
    if (caught_signal() == 0)
        return;
    term_erase(&show->term);
    term_log(&show->term, "interrupted: run the same command to go on");
    term_done(&show->term);
    _exit(128 + caught_signal());
}

static int extract_all(const struct settings *settings, const struct extract_options *options,
                       struct err *err)
{
    struct show show = { .settings = settings };
    caught_start(true);
    if (extract_start(&show.extract, options, err) < 0)
        return -1;
    const bool silent = settings->quiet || settings->json || settings->progress == SETTING_OFF;
    term_init(&show.term, STDERR_FILENO, silent ? TERM_NONE : TERM_AUTO, 0);
    watch(&show);
    enum run_end end = RUN_DONE;
    struct snapshot last;
    const int result = extract_end(show.extract, &end, &last, err);
    const int status = result < 0               ? err_trait(err->kind)->exit_status
                       : end == RUN_DIFFERS     ? EXIT_DIFFERS
                       : end == RUN_SOME_FAILED ? EXIT_SOME_FAILED
                                                : EXIT_DONE;
    show_end(&show, &last, status);
    term_done(&show.term);
    buf_done(&show.line);
    return result < 0 ? -1 : status;
}

int drive_archive(const struct settings *settings, struct archived_place *place, char **operands,
                  size_t count, struct err *err)
{
    char *archive = NULL;
    char *dest = NULL;
    char *name = NULL;
    struct filter *filter = NULL;
    int status = -1;
    if (settings->to == NULL && count < 2)
        err_set(err, ERR_USAGE, "the directory to get '%s' into is missing", operands[0]);
    else if (check_settings(settings, err) == 0 &&
             find_target(settings, operands[count - 1], &dest, &name, err) == 0 &&
             ask_absolute(&archive, place->archive, err) == 0 &&
             ask_filter(&filter, settings, err) == 0) {
        const struct extract_options options = {
            .archive = archive,
            .inside = place->inside,
            .dest = dest,
            .one_name = name,
            .keep_name = settings->keep_name,
            .overwrite = settings->overwrite,
            .checksum = settings->checksum,
            .keep_setid = settings->keep_setid,
            .filter = filter,
            .limits = ask_limits(settings),
            .access = settings->access,
            .stall_s = (uint32_t)settings->stall_s,
            .bwlimit_bytes_per_s = settings->bwlimit_bytes_per_s,
            .requests_per_s = settings->requests_per_s,
            .stop = &stop,
        };
        status = extract_all(settings, &options, err);
    }
    filter_free(filter);
    mem_release(archive);
    mem_release(dest);
    mem_release(name);
    archived_place_done(place);
    return status;
}
