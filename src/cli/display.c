#include "cli/display.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/units.h"

#include <unistd.h>

struct display {
    const struct settings *settings;
    const struct job *job;
    bool plan_only;
};

struct display *display_start(const struct settings *settings, const struct job *job,
                              const char *remark, bool plan_only)
{
    struct display *display = mem_alloc(sizeof *display);
    display->settings = settings;
    display->job = job;
    display->plan_only = plan_only;
    if (remark[0] != '\0')
        fprintf(stderr, "note: %s\n", remark);
    return display;
}

void display_step(struct display *display, struct run *run)
{
    (void)display;
    for (struct note *note; (note = notes_take(run_notes(run))) != NULL;) {
        SCOPED(buf) struct buf text = { 0 };
        note_text(note, &text);
        fprintf(stderr, "%s\n", buf_text(&text));
        note_free(note);
    }
}

void display_summary(struct display *display, struct snapshot *last, enum run_end end)
{
    (void)display;
    fprintf(stderr, "end %d: done %llu unchanged %llu skipped %llu failed %llu bytes %llu\n", end,
            (unsigned long long)last->done.count, (unsigned long long)last->unchanged.count,
            (unsigned long long)last->skipped.count, (unsigned long long)last->failed.count,
            (unsigned long long)last->moved_bytes);
}

void display_interrupted(struct display *display, bool flushed)
{
    (void)display;
    fprintf(stderr, "interrupted%s: run the same command to go on\n", flushed ? "" : " in a hurry");
}

void display_failed(struct display *display)
{
    (void)display;
}

void display_free(struct display *display)
{
    mem_release(display);
}

void display_plan_totals(const struct settings *settings, const struct segment_sum *sum,
                         uint64_t excluded)
{
    (void)settings;
    printf("plan: %llu entries, %llu excluded\n", (unsigned long long)sum->entries,
           (unsigned long long)excluded);
}
