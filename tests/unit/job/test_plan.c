#include "job/plan.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "recorded.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct scratch scratch;
static struct job job;
static struct source_set sources;
static struct store *store;

static int start(void **state)
{
    (void)state;
    scratch_open(&scratch);
    scratch_dir(&scratch, "src");
    scratch_dir(&scratch, "dest");
    return 0;
}

static int end(void **state)
{
    (void)state;
    source_set_done(&sources);
    if (store != NULL)
        store->driver->close(store);
    store = NULL;
    job_close(&job);
    scratch_close(&scratch);
    return 0;
}

static void open_ends(void)
{
    struct err err = { 0 };
    char src[128];
    const struct source_options plain = { 0 };
    snprintf(src, sizeof src, "%s/src", scratch.path);
    recorded_job(&job, scratch_path(&scratch, "job"), src, scratch_path(&scratch, "dest"));
    assert_int_equal(source_set_open(&sources, (char *[]){ src }, 1, &plain, &err), 0);
    assert_int_equal(store_open_location(&store, scratch_path(&scratch, "dest"),
                                         &(struct store_options){ .create = true }, &err),
                     0);
}

static void run_plan(uint32_t number, uint32_t recorded, uint32_t crawlers, struct err *err)
{
    struct generation generation;
    struct plan_progress progress;
    uint32_t newest = 0;
    uint32_t finished = 0;
    struct err why = { 0 };
    assert_int_equal(job_generations(&job, &newest, &finished, &why), 0);
    if (newest < number)
        assert_int_equal(generation_create(&generation, &job, number, &why), 0);
    else
        assert_int_equal(generation_open(&generation, &job, number, &why), 0);
    plan_progress_init(&progress);
    const struct plan_options options = {
        .spec = &job.spec, .sources = &sources, .store = store, .crawlers = crawlers
    };
    const int result = plan_run(&options, &job, &generation, recorded, &progress, err);
    assert_int_equal(result < 0, err->kind != ERR_NONE);
    assert_true(progress.ended);
    assert_int_equal(progress.err.kind, err->kind);
    if (result == 0) {
        assert_true(generation.closed);
        assert_int_equal(progress.sealed, generation.sealed);
        assert_int_equal(generation_sum(&generation, &why), 0);
        assert_memory_equal(&progress.sum, &generation.sum, sizeof progress.sum);
    }
    plan_progress_done(&progress);
    generation_done(&generation);
}

static void plan(uint32_t number, uint32_t recorded, uint32_t crawlers)
{
    struct err err = { 0 };
    run_plan(number, recorded, crawlers, &err);
    assert_string_equal(err.text, "");
}

/* ---- the same tree gives the same plan ---- */

/* Enough for some segments, of files, links and directories. */
static void fill_tree(void)
{
    for (int d = 0; d < 70; d++) {
        for (int f = 0; f < 100; f++) {
            char name[64];
            snprintf(name, sizeof name, "src/d%d/%s%d", d * 9 % 70, f % 3 != 0 ? "f" : "file.", f);
            if (f % 50 == 7)
                scratch_link(&scratch, name, "nowhere");
            else
                scratch_text(&scratch, name, "text");
        }
    }
    scratch_fifo(&scratch, "src/fifo");
    scratch_dir(&scratch, "src/empty");
}

static void read_segment(uint32_t generation, uint32_t number, struct buf *ret_bytes)
{
    char name[64];
    snprintf(name, sizeof name, "job/g%06u/%06u.seg", generation, number);
    scratch_read(&scratch, name, ret_bytes);
}

static uint32_t sealed_count(uint32_t number)
{
    struct generation generation;
    struct err err = { 0 };
    assert_int_equal(generation_open(&generation, &job, number, &err), 0);
    const uint32_t sealed = generation.sealed;
    generation_done(&generation);
    return sealed;
}

static void expect_same_plan(uint32_t one, uint32_t two)
{
    const uint32_t sealed = sealed_count(one);
    assert_int_equal(sealed, sealed_count(two));
    for (uint32_t number = 1; number <= sealed; number++) {
        SCOPED(buf) struct buf a = { 0 };
        SCOPED(buf) struct buf b = { 0 };
        read_segment(one, number, &a);
        read_segment(two, number, &b);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
    }
}

static void test_same_tree_gives_the_same_segments_with_any_crawlers(void **state)
{
    (void)state;
    fill_tree();
    open_ends();
    for (uint32_t number = 1; number <= 9; number++)
        plan(number, 0, number - 1);
    assert_true(sealed_count(1) >= 3);
    for (uint32_t number = 2; number <= 9; number++)
        expect_same_plan(1, number);
}

static void test_interrupted_plan_goes_on_to_the_same_segments(void **state)
{
    (void)state;
    fill_tree();
    open_ends();
    plan(1, 0, 2);
    const uint32_t sealed = sealed_count(1);
    for (uint32_t keep = 0; keep <= sealed; keep++) {
        struct generation generation;
        struct err err = { 0 };
        const uint32_t number = 2 + keep;
        /* As a kill leaves it: some sealed segments, one begun, no end. */
        assert_int_equal(generation_create(&generation, &job, number, &err), 0);
        for (uint32_t i = 1; i <= keep; i++) {
            SCOPED(buf) struct buf bytes = { 0 };
            char name[64];
            read_segment(1, i, &bytes);
            snprintf(name, sizeof name, "job/g%06u/%06u.seg", number, i);
            scratch_write(&scratch, name, bytes.data, bytes.len);
        }
        char begun[64];
        snprintf(begun, sizeof begun, "job/g%06u/%06u.new", number, keep + 1);
        scratch_text(&scratch, begun, "LADEPLN1 and so on");
        generation_done(&generation);
        plan(number, 0, 1 + keep % 3);
        expect_same_plan(1, number);
    }
}

static void test_empty_tree_gives_a_closed_plan_without_segments(void **state)
{
    (void)state;
    open_ends();
    plan(1, 0, 1);
    assert_int_equal(sealed_count(1), 0);
}

/* ---- what is decided ---- */

static struct plan_entry find(uint32_t number, const char *name)
{
    struct generation generation;
    struct err err = { 0 };
    struct plan_entry found = { 0 };
    assert_int_equal(generation_open(&generation, &job, number, &err), 0);
    for (uint32_t i = 1; i <= generation.sealed; i++) {
        struct segment segment;
        struct plan_entry entry;
        assert_int_equal(segment_open(&segment, generation.dir_fd, i, &err), 0);
        while (segment_next(&segment, &entry, &err) == 1)
            if (strcmp(entry.name, name) == 0) {
                assert_int_equal(found.action, 0);
                found = entry;
                found.name = NULL; /* the segment's */
            }
        segment_done(&segment);
    }
    generation_done(&generation);
    if (found.action == 0)
        print_error("no entry '%s'\n", name);
    assert_true(found.action != 0);
    return found;
}

#define OLD_NS (1500 * NS_PER_S)
#define NEW_NS (1600 * NS_PER_S)

/* How the source, what is there, and what was recorded stand to each other. "Same" is a file of 4
 * bytes, mode 0644, mtime OLD_NS. */
enum there { THERE_NONE, THERE_SAME, THERE_SIZE, THERE_TIME, THERE_MODE };
enum past {
    PAST_NONE,  /* no record */
    PAST_THERE, /* what is there is as we left it, and the source is as it was then */
    PAST_RACY,  /* the same, but the source was young then */
    PAST_MOVED, /* what is there is as we left it, the source was another then */
    PAST_OTHER, /* somebody changed what is there */
};
enum { CHECKSUM = 1, IMMUTABLE = 2, OVERWRITE = 4 };

static const struct decision {
    enum there there;
    enum past past;
    unsigned options;
    enum plan_action action;
    enum plan_reason reason;
} decisions[] = {
    { THERE_NONE, PAST_NONE, 0, PLAN_NEW, REASON_NONE },
    { THERE_NONE, PAST_NONE, CHECKSUM | IMMUTABLE | OVERWRITE, PLAN_NEW, REASON_NONE },
    { THERE_NONE, PAST_OTHER, 0, PLAN_NEW, REASON_NONE }, /* removed there: sent again */
    { THERE_SAME, PAST_NONE, 0, PLAN_UNCHANGED, REASON_NONE },
    { THERE_SAME, PAST_NONE, IMMUTABLE, PLAN_UNCHANGED, REASON_NONE },
    { THERE_SAME, PAST_NONE, CHECKSUM, PLAN_COMPARE, REASON_NONE },
    { THERE_SIZE, PAST_NONE, 0, PLAN_REPLACE, REASON_NONE },
    { THERE_TIME, PAST_NONE, 0, PLAN_REPLACE, REASON_NONE },
    { THERE_MODE, PAST_NONE, 0, PLAN_REPLACE, REASON_NONE },
    { THERE_SIZE, PAST_NONE, CHECKSUM, PLAN_REPLACE, REASON_NONE },
    { THERE_TIME, PAST_NONE, CHECKSUM, PLAN_COMPARE, REASON_NONE },
    { THERE_SIZE, PAST_NONE, IMMUTABLE, PLAN_FAIL, REASON_IMMUTABLE },
    { THERE_TIME, PAST_NONE, IMMUTABLE, PLAN_FAIL, REASON_IMMUTABLE },
    { THERE_TIME, PAST_NONE, IMMUTABLE | CHECKSUM, PLAN_FAIL, REASON_IMMUTABLE },
    { THERE_TIME, PAST_NONE, IMMUTABLE | OVERWRITE, PLAN_FAIL, REASON_IMMUTABLE },
    { THERE_SIZE, PAST_NONE, OVERWRITE, PLAN_REPLACE, REASON_NONE },
    { THERE_SAME, PAST_THERE, 0, PLAN_UNCHANGED, REASON_NONE },
    { THERE_SAME, PAST_RACY, 0, PLAN_COMPARE, REASON_NONE },
    { THERE_SAME, PAST_THERE, CHECKSUM, PLAN_COMPARE, REASON_NONE },
    { THERE_SIZE, PAST_MOVED, 0, PLAN_REPLACE, REASON_NONE },
    { THERE_TIME, PAST_MOVED, 0, PLAN_REPLACE, REASON_NONE },
    { THERE_TIME, PAST_MOVED, CHECKSUM, PLAN_COMPARE, REASON_NONE },
    { THERE_SIZE, PAST_MOVED, IMMUTABLE, PLAN_FAIL, REASON_IMMUTABLE },
    { THERE_SIZE, PAST_OTHER, 0, PLAN_FAIL, REASON_CONFLICT },
    { THERE_TIME, PAST_OTHER, 0, PLAN_FAIL, REASON_CONFLICT },
    { THERE_TIME, PAST_OTHER, CHECKSUM, PLAN_FAIL, REASON_CONFLICT },
    { THERE_SIZE, PAST_OTHER, OVERWRITE, PLAN_REPLACE, REASON_NONE },
    { THERE_SIZE, PAST_OTHER, IMMUTABLE, PLAN_FAIL, REASON_IMMUTABLE },
};
#define DECISIONS (sizeof decisions / sizeof *decisions)

static void name_of(size_t i, char name[16])
{
    snprintf(name, 16, "f%02zu", i);
}

static void make_there(const struct decision *decision, const char *name)
{
    char path[32];
    snprintf(path, sizeof path, "src/%s", name);
    scratch_text(&scratch, path, "1234");
    assert_int_equal(fchmodat(scratch.fd, path, 0644, 0), 0);
    scratch_mtime(&scratch, path, OLD_NS);
    if (decision->there == THERE_NONE)
        return;
    snprintf(path, sizeof path, "dest/%s", name);
    scratch_text(&scratch, path, decision->there == THERE_SIZE ? "123456" : "1234");
    assert_int_equal(fchmodat(scratch.fd, path, decision->there == THERE_MODE ? 0600 : 0644, 0), 0);
    scratch_mtime(&scratch, path, decision->there == THERE_TIME ? NEW_NS : OLD_NS);
}

/* The record of what is there now, changed as the decision says. */
static struct recorded record_of(const struct decision *decision, const char *name,
                                 char etag[STORE_ETAG_MAX])
{
    struct recorded recorded = { .name = name,
                                 .kind = ENTRY_FILE,
                                 .action = PLAN_NEW,
                                 .status =
                                     decision->past == PAST_NONE ? RESULT_FAILED : RESULT_DONE,
                                 .size_bytes = 4,
                                 .mtime_ns = OLD_NS,
                                 .mode = 0644,
                                 .racy = decision->past == PAST_RACY };
    struct object object = { 0 };
    struct err err = { 0 };
    etag[0] = '\0';
    if (decision->there != THERE_NONE) {
        assert_int_equal(store->driver->head(store, name, &object, &err), 0);
        memcpy(etag, object.etag, STORE_ETAG_MAX);
        recorded.size_bytes = object.size_bytes;
    }
    object_done(&object);
    if (decision->past == PAST_MOVED)
        recorded.mtime_ns = NEW_NS;
    if (decision->past == PAST_OTHER)
        snprintf(etag, STORE_ETAG_MAX, "another");
    recorded.etag = etag;
    return recorded;
}

static void expect_decisions(unsigned options)
{
    static char names[DECISIONS][16];
    static char etags[DECISIONS][STORE_ETAG_MAX];
    struct recorded recorded[DECISIONS];
    for (size_t i = 0; i < DECISIONS; i++) {
        name_of(i, names[i]);
        make_there(&decisions[i], names[i]);
    }
    open_ends();
    for (size_t i = 0; i < DECISIONS; i++)
        recorded[i] = record_of(&decisions[i], names[i], etags[i]);
    job.spec.checksum = (options & CHECKSUM) != 0;
    job.spec.immutable = (options & IMMUTABLE) != 0;
    job.spec.overwrite = (options & OVERWRITE) != 0;
    recorded_generation(&job, 1, recorded, DECISIONS);
    plan(2, 1, 1);
    for (size_t i = 0; i < DECISIONS; i++) {
        if (decisions[i].options != options)
            continue;
        const struct plan_entry entry = find(2, names[i]);
        if (entry.action != decisions[i].action || entry.reason != decisions[i].reason)
            print_error("decision %zu\n", i);
        assert_int_equal(entry.action, decisions[i].action);
        assert_int_equal(entry.reason, decisions[i].reason);
        assert_int_equal(entry.record.known,
                         decisions[i].past == PAST_THERE || decisions[i].past == PAST_RACY);
    }
}

#define DECIDE(name, options)                                                                      \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        expect_decisions(options);                                                                 \
    }
DECIDE(test_decisions, 0)
DECIDE(test_decisions_with_checksum, CHECKSUM)
DECIDE(test_decisions_with_immutable, IMMUTABLE)
DECIDE(test_decisions_with_overwrite, OVERWRITE)
DECIDE(test_decisions_with_immutable_and_checksum, IMMUTABLE | CHECKSUM)
DECIDE(test_decisions_with_immutable_and_overwrite, IMMUTABLE | OVERWRITE)
DECIDE(test_decisions_with_all, CHECKSUM | IMMUTABLE | OVERWRITE)

static void test_what_cannot_be_moved_is_in_the_plan_with_its_reason(void **state)
{
    (void)state;
    scratch_fifo(&scratch, "src/fifo");
    scratch_text(&scratch, "src/.lade-x.tmp", "");
    scratch_link(&scratch, "src/link", "x");
    scratch_text(&scratch, "src/link.rclonelink", "");
    open_ends();
    plan(1, 0, 1);
    assert_int_equal(find(1, "fifo").action, PLAN_SKIP);
    assert_int_equal(find(1, "fifo").reason, REASON_FIFO);
    assert_int_equal(find(1, ".lade-x.tmp").action, PLAN_FAIL);
    assert_int_equal(find(1, ".lade-x.tmp").reason, REASON_NAME);
    assert_int_equal(find(1, "link").action, PLAN_FAIL);
    assert_int_equal(find(1, "link").reason, REASON_COLLISION);
    assert_int_equal(find(1, "link.rclonelink").action, PLAN_NEW);
    struct err why;
    const struct plan_entry entry = find(1, "link");
    plan_entry_explain(&entry, &why);
    assert_int_equal(why.kind, ERR_CONFLICT);
}

static void test_directories_are_new_unchanged_or_get_their_attributes(void **state)
{
    (void)state;
    scratch_dir(&scratch, "src/a");
    scratch_dir(&scratch, "src/b");
    scratch_dir(&scratch, "src/c");
    scratch_dir(&scratch, "dest/b");
    scratch_dir(&scratch, "dest/c");
    assert_int_equal(fchmodat(scratch.fd, "dest/c", 0700, 0), 0);
    for (int i = 0; i < 2; i++) {
        scratch_mtime(&scratch, i != 0 ? "src/b" : "dest/b", OLD_NS);
        scratch_mtime(&scratch, i != 0 ? "src/c" : "dest/c", OLD_NS);
    }
    open_ends();
    plan(1, 0, 1);
    assert_int_equal(find(1, "a/").action, PLAN_NEW);
    assert_int_equal(find(1, "b/").action, PLAN_UNCHANGED);
    assert_int_equal(find(1, "c/").action, PLAN_REPLACE);
}

static void test_stopped_plan_is_not_closed(void **state)
{
    (void)state;
    scratch_text(&scratch, "src/a", "");
    open_ends();
    struct generation generation;
    struct plan_progress progress;
    struct err err = { 0 };
    struct stop stop = { 0 };
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    /* A list instead of a walk, so that a stop leaves no threads behind. */
    scratch_text(&scratch, "list", "a\n");
    job.spec.files_from = mem_string(scratch_path(&scratch, "list"));
    plan_progress_init(&progress);
    stop_raise(&stop);
    const struct plan_options options = {
        .spec = &job.spec, .sources = &sources, .store = store, .crawlers = 1, .stop = &stop
    };
    assert_int_equal(plan_run(&options, &job, &generation, 0, &progress, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    assert_int_equal(progress.err.kind, ERR_STOPPED);
    assert_false(generation.closed);
    plan_progress_done(&progress);
    generation_done(&generation);
}

static void test_dry_run_prints_what_would_be_moved_and_keeps_nothing(void **state)
{
    (void)state;
    scratch_text(&scratch, "src/a\n", "");
    scratch_fifo(&scratch, "src/fifo");
    open_ends();
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct plan_progress progress;
    struct err err = { 0 };
    plan_progress_init(&progress);
    const struct plan_options options = {
        .spec = &job.spec, .sources = &sources, .store = store, .crawlers = 1
    };
    assert_int_equal(plan_print(&options, out, false, &progress, &err), 0);
    fclose(out);
    SCOPED(buf) struct buf want = { 0 };
    buf_printf(&want,
               "(dryrun) upload: %s/src/a\\x0a to %s/dest/a\\x0a\n"
               "(dryrun) skip: %s/src/fifo: is a FIFO\n",
               scratch.path, scratch.path, scratch.path);
    assert_string_equal(text, want.data);
    free(text);
    plan_progress_done(&progress);
    uint32_t newest = 9;
    uint32_t finished = 9;
    assert_int_equal(job_generations(&job, &newest, &finished, &err), 0);
    assert_int_equal(newest, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_same_tree_gives_the_same_segments_with_any_crawlers),
        CASE(test_interrupted_plan_goes_on_to_the_same_segments),
        CASE(test_empty_tree_gives_a_closed_plan_without_segments),
        CASE(test_decisions),
        CASE(test_decisions_with_checksum),
        CASE(test_decisions_with_immutable),
        CASE(test_decisions_with_overwrite),
        CASE(test_decisions_with_immutable_and_checksum),
        CASE(test_decisions_with_immutable_and_overwrite),
        CASE(test_decisions_with_all),
        CASE(test_what_cannot_be_moved_is_in_the_plan_with_its_reason),
        CASE(test_directories_are_new_unchanged_or_get_their_attributes),
        CASE(test_stopped_plan_is_not_closed),
        CASE(test_dry_run_prints_what_would_be_moved_and_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
