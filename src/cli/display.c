#include "cli/display.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/units.h"
#include "job/notes.h"
#include "ui/event.h"
#include "ui/term.h"

#include <unistd.h>

#define EVENT_NS NS_PER_S /* between two progress events */

struct display {
    const struct settings *settings;
    const struct job *job;
    bool plan_only;
    bool plan_told;
    struct term term;
    struct snapshot_meter meter;
    int64_t next_event_ns;
    struct buf line;
};

struct display *display_start(const struct settings *settings, const struct job *job,
                              const char *remark, bool plan_only, bool stamped)
{
    struct display *display = mem_alloc(sizeof *display);
    display->settings = settings;
    display->job = job;
    display->plan_only = plan_only;
    const bool silent = settings->quiet || settings->json || settings->progress == SETTING_OFF;
    term_init(&display->term, STDERR_FILENO, silent ? TERM_NONE : TERM_AUTO, 0);
    display->term.stamped = stamped;
    if (stamped && !settings->json) {
        char host[64] = "-";
        gethostname(host, sizeof host - 1);
        buf_printf(&display->line, "begun: process %ld on %s", (long)getpid(), host);
        term_log(&display->term, display->line.data);
        buf_clear(&display->line);
    }
    if (remark[0] != '\0') {
        buf_printf(&display->line, "note: %s", remark);
        term_log(&display->term, display->line.data);
    }
    return display;
}

static void put_event(struct display *display)
{
    fwrite(buf_text(&display->line), 1, display->line.len, stdout);
    fflush(stdout);
}

static void show_note(struct display *display, const struct note *note)
{
    buf_clear(&display->line);
    if (display->settings->json) {
        event_item(&display->line, clock_now_ns(), note->status, note->name, strlen(note->name),
                   &note->err);
        put_event(display);
        return;
    }
    /* Silence is for success: a failure, or a loss, is told in any case. */
    if (note->status == RESULT_SKIPPED && display->settings->quiet)
        return;
    note_text(note, &display->line);
    term_log(&display->term, display->line.data);
}

static void show_notes(struct display *display, struct run *run)
{
    for (struct note *note; (note = notes_take(run_notes(run))) != NULL;) {
        show_note(display, note);
        note_free(note);
    }
}

static void show_events(struct display *display, const struct snapshot *snap, int64_t now_ns)
{
    buf_clear(&display->line);
    if (snap->totals_final && !display->plan_told) {
        display->plan_told = true;
        event_plan(&display->line, clock_now_ns(), snap);
    }
    if (now_ns >= display->next_event_ns) {
        display->next_event_ns = now_ns + EVENT_NS;
        event_progress(&display->line, clock_now_ns(), snap);
    }
    if (display->line.len != 0)
        put_event(display);
}

static void add_part(struct buf *line, uint64_t count, const char *what)
{
    char number[UNITS_TEXT_MAX];
    if (count != 0)
        buf_printf(line, ", %s %s", units_count(count, number), what);
}

/* Once, when the plan is whole: what it holds. */
static void show_plan(struct display *display, struct run *run)
{
    struct segment_sum sum;
    uint64_t excluded = 0;
    char number[UNITS_TEXT_MAX];
    run_plan_sum(run, &sum, &excluded);
    buf_clear(&display->line);
    buf_printf(&display->line, "planned: %s %s", units_count(sum.entries, number),
               sum.entries == 1 ? "entry" : "entries");
    add_part(&display->line, sum.by_action[PLAN_NEW], "new");
    add_part(&display->line, sum.by_action[PLAN_REPLACE], "to be replaced");
    add_part(&display->line, sum.by_action[PLAN_COMPARE], "to be compared");
    add_part(&display->line, sum.by_action[PLAN_UNCHANGED], "unchanged");
    add_part(&display->line, sum.by_action[PLAN_SKIP], "skipped");
    add_part(&display->line, sum.by_action[PLAN_FAIL], "refused");
    add_part(&display->line, excluded, "excluded");
    buf_printf(&display->line, "; %s to look at or move", units_bytes(sum.objects_bytes, number));
    term_log(&display->term, display->line.data);
    display->plan_told = true;
}

void display_step(struct display *display, struct run *run)
{
    struct snapshot snap;
    const int64_t now_ns = clock_monotonic_ns();
    show_notes(display, run);
    run_snapshot(run, &snap);
    snapshot_measure(&snap, &display->meter, now_ns);
    if (display->settings->json) {
        show_events(display, &snap, now_ns);
        return;
    }
    if (snap.totals_final && !display->plan_told && !display->plan_only &&
        !display->settings->quiet)
        show_plan(display, run);
    term_draw(&display->term, &snap, now_ns);
}

/* Notes beyond NOTES_MAX were not shown, and those of an earlier process were shown by that. */
static void tell_where_all_are(struct display *display, const struct snapshot *last)
{
    if (last->failed.count == 0)
        return;
    buf_clear(&display->line);
    buf_printf(&display->line, "all failures: lade status %s", display->job->path);
    term_log(&display->term, display->line.data);
}

void display_summary(struct display *display, struct snapshot *last, enum run_end end,
                     int exit_status)
{
    last->phase = SNAPSHOT_ENDED;
    snapshot_measure(last, &display->meter, clock_monotonic_ns());
    if (display->settings->json) {
        buf_clear(&display->line);
        event_summary(&display->line, clock_now_ns(), last, exit_status);
        put_event(display);
        return;
    }
    term_erase(&display->term);
    if (display->settings->quiet || display->plan_only)
        return;
    term_summary(&display->term, last);
    tell_where_all_are(display, last);
    if (end == RUN_LEFT)
        term_log(&display->term, "batches are left: run the same command to go on");
}

void display_interrupted(struct display *display, bool flushed)
{
    term_erase(&display->term);
    term_log(&display->term, flushed ? "interrupted: run the same command to go on"
                                     : "interrupted, with the last moments not recorded: run the "
                                       "same command to go on");
}

void display_failed(struct display *display)
{
    term_erase(&display->term);
}

void display_error(struct display *display, const struct err *err)
{
    buf_clear(&display->line);
    if (display->settings->json) {
        event_error(&display->line, clock_now_ns(), err);
        put_event(display);
        return;
    }
    buf_printf(&display->line, "lade: %s", err->text);
    if (err->hint[0] != '\0')
        buf_printf(&display->line, " (%s)", err->hint);
    term_log(&display->term, display->line.data);
}

void display_free(struct display *display)
{
    term_done(&display->term);
    buf_done(&display->line);
    mem_release(display);
}

void display_detached(const struct settings *settings, const struct job *job, long pid)
{
    SCOPED(buf) struct buf line = { 0 };
    if (settings->json) {
        event_detached(&line, clock_now_ns(), job->path, pid);
    } else if (!settings->quiet) {
        SCOPED(buf) struct buf path = { 0 };
        path_show(&path, job->path);
        buf_printf(&line,
                   "job        %s\nprocess    %ld, in the background\n"
                   "watch it   lade attach %s\nstop it    lade stop %s\nlog        %s/log\n",
                   path.data, pid, path.data, path.data, path.data);
    }
    fputs(buf_text(&line), stdout);
}

/* ---- plans ---- */

static void print_part(const char *title, uint64_t count, uint64_t bytes)
{
    char counted[UNITS_TEXT_MAX];
    char sized[UNITS_TEXT_MAX];
    if (count != 0)
        printf("%-10s %14s entries  %12s\n", title, units_count(count, counted),
               bytes != 0 ? units_bytes(bytes, sized) : "");
}

void display_plan_totals(const struct settings *settings, const struct segment_sum *sum,
                         uint64_t excluded)
{
    if (settings->json) {
        struct snapshot snap = { .totals_final = true,
                                 .planned = { .count = sum->entries, .bytes = 0 } };
        for (int i = 0; i < PLAN_ACTION_COUNT; i++)
            snap.planned.bytes += sum->bytes_by_action[i];
        snap.new_count = sum->by_action[PLAN_NEW];
        snap.replaced_count = sum->by_action[PLAN_REPLACE];
        snap.unchanged = (struct snapshot_sum){ sum->by_action[PLAN_UNCHANGED],
                                                sum->bytes_by_action[PLAN_UNCHANGED] };
        snap.skipped = (struct snapshot_sum){ sum->by_action[PLAN_SKIP], 0 };
        snap.failed =
            (struct snapshot_sum){ sum->by_action[PLAN_FAIL], sum->bytes_by_action[PLAN_FAIL] };
        SCOPED(buf) struct buf line = { 0 };
        event_plan(&line, clock_now_ns(), &snap);
        fwrite(line.data, 1, line.len, stdout);
        return;
    }
    if (settings->quiet)
        return;
    static const struct {
        const char *title;
        enum plan_action action;
    } parts[] = { { "new", PLAN_NEW },
                  { "replaced", PLAN_REPLACE },
                  { "to compare", PLAN_COMPARE },
                  { "unchanged", PLAN_UNCHANGED },
                  { "skipped", PLAN_SKIP },
                  { "refused", PLAN_FAIL } };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        print_part(parts[i].title, sum->by_action[parts[i].action],
                   sum->bytes_by_action[parts[i].action]);
    uint64_t bytes = 0;
    for (int i = 0; i < PLAN_ACTION_COUNT; i++)
        bytes += sum->bytes_by_action[i];
    if (sum->entries == 0)
        printf("%-10s %14s entries\n", "total", "0");
    print_part("total", sum->entries, bytes);
    print_part("excluded", excluded, 0);
}
