#include "cli/command.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/thread.h"
#include "base/units.h"
#include "cli/ask.h"
#include "cli/caught.h"
#include "cli/rows.h"
#include "job/repack.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define STEP_NS (100 * NS_PER_MS)
#define STOP_NS (1500 * NS_PER_MS) /* SIGINT ends within two seconds, whatever hangs */

static struct stop stop;

/* ---- telling ---- */

static const char *const event_names[] = {
    [REPACK_REWRITE] = "rewrite",
    [REPACK_STORE] = "store",
    [REPACK_REMOVE] = "remove",
    [REPACK_DAMAGED] = "damaged",
};

static void tell_json(const struct settings *settings, const struct repack_event *event)
{
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_text(&json, "event", event_names[event->news]);
    json_bytes(&json, "pack", event->pack, strlen(event->pack));
    if (settings->dry_run)
        json_bool(&json, "dry_run", true);
    if (event->name != NULL)
        json_bytes(&json, "name", event->name, strlen(event->name));
    if (event->news == REPACK_DAMAGED)
        json_text(&json, "reason", event->err->text);
    else
        json_u64(&json, "size", event->bytes);
    if (event->news == REPACK_REWRITE)
        json_u64(&json, "content", event->content_bytes);
    if (event->news == REPACK_REWRITE || event->news == REPACK_STORE) {
        json_u64(&json, "live", event->live_bytes);
        json_u64(&json, "members", event->members);
    }
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, stdout);
}

static void tell_damage(const struct repack_event *event)
{
    SCOPED(buf) struct buf line = { 0 };
    path_show(&line, event->pack);
    if (event->name != NULL) {
        buf_add_text(&line, ": ");
        path_show(&line, event->name);
    }
    fprintf(stderr, "damaged: %s: %s\n", line.data, event->err->text);
}

static void tell(void *to, const struct repack_event *event)
{
    const struct settings *settings = to;
    if (settings->json) {
        tell_json(settings, event);
        return;
    }
    if (event->news == REPACK_DAMAGED) {
        tell_damage(event);
        return;
    }
    if (settings->quiet)
        return;
    SCOPED(buf) struct buf line = { 0 };
    char live[UNITS_TEXT_MAX];
    char all[UNITS_TEXT_MAX];
    char count[UNITS_TEXT_MAX];
    buf_printf(&line, "%s%s: ", settings->dry_run ? "(dryrun) " : "", event_names[event->news]);
    path_show(&line, event->pack);
    units_bytes(event->live_bytes, live);
    if (event->news == REPACK_REWRITE)
        buf_printf(&line, ": %s of %s are live", live, units_bytes(event->content_bytes, all));
    else if (event->news == REPACK_STORE)
        buf_printf(&line, ": %s members, %s", units_count(event->members, count), live);
    printf("%s\n", line.data);
    fflush(stdout);
}

static void show_json(const struct repack_counts *counts, int status)
{
    SCOPED(buf) struct buf line = { 0 };
    struct json json = json_into(&line);
    json_object(&json, NULL);
    json_text(&json, "event", "summary");
    json_u64(&json, "packs_before", counts->packs_before);
    json_u64(&json, "packs_after", counts->packs_after);
    json_u64(&json, "bytes_before", counts->bytes_before);
    json_u64(&json, "bytes_after", counts->bytes_after);
    json_u64(&json, "rewritten", counts->rewritten);
    json_u64(&json, "stored", counts->stored);
    json_u64(&json, "removed", counts->removed);
    json_u64(&json, "damaged", counts->damaged);
    json_i64(&json, "exit_status", status);
    json_object_end(&json);
    json_line_end(&json);
    fwrite(line.data, 1, line.len, stdout);
}

static const char *packs(uint64_t count)
{
    return count == 1 ? "pack" : "packs";
}

static void show_counts(const struct settings *settings, const struct repack_counts *counts)
{
    char before[UNITS_TEXT_MAX];
    char after[UNITS_TEXT_MAX];
    char bytes_before[UNITS_TEXT_MAX];
    char bytes_after[UNITS_TEXT_MAX];
    char freed[UNITS_TEXT_MAX];
    units_count(counts->packs_before, before);
    units_bytes(counts->bytes_before, bytes_before);
    if (counts->rewritten == 0 || settings->dry_run) {
        fprintf(stderr, "%s %s, %s: %s %s\n", before, packs(counts->packs_before), bytes_before,
                units_count(counts->rewritten, after),
                counts->rewritten == 0 ? "to rewrite" : "would be rewritten");
        return;
    }
    const bool grew = counts->bytes_after > counts->bytes_before;
    fprintf(stderr, "%s %s, %s, were %s, %s: %s %s\n", units_count(counts->packs_after, after),
            packs(counts->packs_after), units_bytes(counts->bytes_after, bytes_after), before,
            bytes_before,
            units_bytes(grew ? counts->bytes_after - counts->bytes_before
                             : counts->bytes_before - counts->bytes_after,
                        freed),
            grew ? "more" : "freed");
    if (counts->damaged != 0)
        fprintf(stderr, "%s damaged; their packs are left as they are\n",
                units_count(counts->damaged, after));
}

/* ---- running ---- */

/* What the thread that does it has, while main looks for signals. */
struct work {
    struct repack_options options;
    struct repack_counts counts;
    struct err err;
    int result;
    atomic_bool ended;
};

static void *work_main(void *arg)
{
    struct work *work = arg;
    work->result = repack_run(&work->options, &work->counts, &work->err);
    atomic_store(&work->ended, true);
    return NULL;
}

static int do_work(struct work *work, struct err *err)
{
    struct thread thread = { 0 };
    int64_t leave_ns = INT64_MAX;
    if (thread_start(&thread, "lade-repack", work_main, work, err) < 0)
        return -1;
    while (!atomic_load(&work->ended)) {
        struct err ignored = { 0 };
        (void)!stop_sleep(NULL, STEP_NS, &ignored);
        if (caught_signal() != 0 && !stop_raised(&stop)) {
            stop_raise(&stop);
            leave_ns = clock_monotonic_ns() + STOP_NS;
        }
        if (clock_monotonic_ns() > leave_ns)
            _exit(128 + caught_signal());
    }
    thread_join(&thread);
    *err = work->err;
    return work->result;
}

static int parse_percent(const char *text, uint32_t *ret_percent, struct err *err)
{
    SCOPED(buf) struct buf number = { 0 };
    uint64_t percent = 0;
    buf_add_text(&number, text);
    if (number.len > 1 && number.data[number.len - 1] == '%')
        buf_cut(&number, number.len - 1);
    if (units_parse_count(&percent, buf_text(&number), 0, 100, err) < 0)
        return err_at(err, "--min-live");
    *ret_percent = (uint32_t)percent;
    return 0;
}

static int repack(const struct settings *settings, const char *location, struct err *err)
{
    const struct store_options store = { .stop = &stop,
                                         .stall_s = (uint32_t)settings->stall_s,
                                         .access = settings->access };
    struct work work = { 0 };
    work.options = (struct repack_options){
        .location = location,
        .store = &store,
        .pack_bytes = settings->pack_bytes,
        .level = (uint32_t)settings->compress_level,
        .no_compress = settings->compress == SETTING_OFF,
        .transfers = (uint32_t)settings->transfers,
        .bwlimit_bytes_per_s = settings->bwlimit_bytes_per_s,
        .dry_run = settings->dry_run,
        .tell = tell,
        .to = (void *)(uintptr_t)settings,
    };
    if (parse_percent(settings->min_live, &work.options.min_live_percent, err) < 0)
        return -1;
    if (do_work(&work, err) < 0)
        return caught_signal() != 0 ? 128 + caught_signal() : -1;
    const int status = work.counts.damaged != 0 ? EXIT_DIFFERS : EXIT_DONE;
    fflush(stdout);
    if (settings->json)
        show_json(&work.counts, status);
    else if (!settings->quiet)
        show_counts(settings, &work.counts);
    return status;
}

static int run(const struct settings *settings, char **operands, size_t operand_count,
               struct err *err)
{
    char *location = NULL;
    (void)operand_count;
    if (ask_absolute(&location, operands[0], err) < 0)
        return -1;
    caught_start(true);
    const int status = repack(settings, location, err);
    mem_release(location);
    return status;
}

const struct command cmd_repack = {
    .name = "repack",
    .synopsis = { "LOC" },
    .summary = "merge packs that are small or mostly stale",
    .operand_min = 1,
    .operand_max = 1,
    .tables = { rows_dry_run, rows_repack, rows_access, rows_network, rows_stored, rows_json,
                rows_common },
    .examples = {
        { "See which packs would become new ones", "lade repack --dry-run s3://run7/raw" },
        { "Merge what many small puts left, into packs of 1 GiB",
          "lade repack --pack-size 1G s3://run7/raw" },
        { "Free the room of what was replaced or removed since",
          "lade repack --min-live 80% file:/store/run7" },
    },
    .prose = "repack.md",
    .run = run,
};
