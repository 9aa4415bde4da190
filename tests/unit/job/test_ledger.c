#include "job/ledger.h"

#include "../scratch.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "recorded.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct scratch scratch;
static struct job job;
static struct generation generation;

static const struct recorded planned[] = {
    { "a", ENTRY_FILE, PLAN_NEW, RESULT_OPEN, 10, 0, 0644, NULL, false },
    { "b", ENTRY_FILE, PLAN_UNCHANGED, RESULT_OPEN, 20, 0, 0644, NULL, false },
    { "c", ENTRY_FILE, PLAN_REPLACE, RESULT_OPEN, 30, 0, 0644, NULL, false },
    { "d", ENTRY_SPECIAL, PLAN_SKIP, RESULT_OPEN, 0, 0, 0644, NULL, false },
    { "e", ENTRY_FILE, PLAN_COMPARE, RESULT_OPEN, 50, 0, 0644, NULL, false },
};
#define PLANNED 5u
#define NEEDED 3u /* a, c, e */

static int start(void **state)
{
    (void)state;
    struct err err = { 0 };
    scratch_open(&scratch);
    recorded_job(&job, scratch_path(&scratch, "job"), "/src", "/dest");
    assert_int_equal(generation_create(&generation, &job, 1, &err), 0);
    recorded_segment(&generation, 1, planned, PLANNED, false);
    recorded_segment(&generation, 2, planned, PLANNED, false);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    generation_done(&generation);
    job_close(&job);
    scratch_close(&scratch);
    return 0;
}

/* One process that works on the job. */
struct process {
    struct claim claim;
    struct stop stop;
    struct ledger *ledger;
};

static void process_start(struct process *process)
{
    struct err err = { 0 };
    *process = (struct process){ 0 };
    assert_int_equal(claim_take(&process->claim, job.dir_fd, NULL, &err), 0);
    const struct ledger_options options = { .generation = &generation,
                                            .claim = &process->claim,
                                            .stop = &process->stop };
    assert_int_equal(ledger_start(&process->ledger, &options, &err), 0);
}

static void process_end(struct process *process)
{
    struct err err = { 0 };
    assert_int_equal(ledger_stop(process->ledger, &err), 0);
    ledger_free(process->ledger);
    claim_release(&process->claim);
    assert_false(stop_raised(&process->stop));
}

/* Which entries of the segment need a worker, as text: "a", "ace". */
static void expect_taken(struct process *process, uint32_t number, bool retry, const char *names)
{
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    uint8_t *open = NULL;
    uint64_t count = 99;
    assert_int_equal(segment_open(&segment, generation.dir_fd, number, &err), 0);
    assert_int_equal(ledger_take_segment(process->ledger, &segment, retry, &open, &count, &err), 1);
    char got[PLANNED + 1] = "";
    for (uint32_t i = 0; i < PLANNED; i++)
        if (open[i] != 0)
            got[strlen(got)] = planned[i].name[0];
    mem_release(open);
    assert_string_equal(got, names);
    assert_int_equal(count, strlen(names));
    /* The segment is at its beginning again. */
    struct plan_entry entry;
    assert_int_equal(segment_next(&segment, &entry, &err), 1);
    assert_int_equal(entry.ordinal, 0);
}

static void expect_open(struct process *process, uint32_t number, const char *names)
{
    expect_taken(process, number, false, names);
}

static void expect_refused(struct process *process, uint32_t number, bool retry)
{
    SCOPED(segment) struct segment segment;
    struct err err = { 0 };
    uint8_t *open = NULL;
    uint64_t count = 99;
    assert_int_equal(segment_open(&segment, generation.dir_fd, number, &err), 0);
    assert_int_equal(ledger_take_segment(process->ledger, &segment, retry, &open, &count, &err), 0);
}

static void report(struct process *process, uint32_t number, const char *names,
                   enum result_status status)
{
    const uint32_t count = (uint32_t)strlen(names);
    struct ledger_batch *batch = ledger_batch_new(number, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t ordinal = (uint32_t)(names[i] - 'a');
        batch->results[i] = (struct result){ .ordinal = ordinal,
                                             .status = status,
                                             .size_bytes = planned[ordinal].size_bytes,
                                             .record = { .known = true, .etag = "etag" } };
        if (status == RESULT_FAILED) {
            batch->results[i].err = mem_alloc(sizeof(struct err));
            err_set(batch->results[i].err, ERR_NET, "no answer");
        }
    }
    ledger_report(process->ledger, batch);
}

static uint64_t counted(struct process *process, enum result_status status)
{
    struct ledger_counts counts;
    ledger_counts(process->ledger, &counts);
    return counts.sum.count[status];
}

static void settle(struct process *process)
{
    assert_true(ledger_flush(process->ledger, 60 * NS_PER_S));
}

static bool has_sealed(uint32_t number)
{
    char name[64];
    snprintf(name, sizeof name, "job/g000001/%06u.res", number);
    return faccessat(scratch.fd, name, F_OK, 0) == 0;
}

static void test_plan_settles_what_needs_no_worker(void **state)
{
    (void)state;
    struct process process;
    process_start(&process);
    expect_open(&process, 1, "ace");
    assert_int_equal(counted(&process, RESULT_UNCHANGED), 1);
    assert_int_equal(counted(&process, RESULT_SKIPPED), 1);
    process_end(&process);
}

static void test_results_of_an_unsealed_segment_survive_a_restart(void **state)
{
    (void)state;
    struct process process;
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "ae", RESULT_DONE);
    process_end(&process);
    assert_false(has_sealed(1));
    for (int i = 0; i < 2; i++) { /* reading does not use it up */
        process_start(&process);
        assert_int_equal(counted(&process, RESULT_DONE), 2);
        expect_open(&process, 1, "c");
        expect_open(&process, 2, "ace");
        assert_int_equal(ledger_damage_count(process.ledger), 0);
        process_end(&process);
    }
}

static void test_segment_is_sealed_with_its_last_result(void **state)
{
    (void)state;
    struct process process;
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "c", RESULT_REPLACED);
    report(&process, 1, "a", RESULT_DONE);
    settle(&process);
    assert_false(has_sealed(1) || ledger_segment_sealed(process.ledger, 1));
    report(&process, 1, "e", RESULT_UNCHANGED);
    settle(&process);
    assert_true(has_sealed(1) && ledger_segment_sealed(process.ledger, 1));
    process_end(&process);

    struct ledger_counts counts;
    struct result result;
    struct err err = { 0 };
    process_start(&process);
    assert_true(ledger_segment_sealed(process.ledger, 1));
    ledger_counts(process.ledger, &counts);
    assert_int_equal(counts.segments_sealed, 1);
    assert_int_equal(counts.segments_sealed_now, 0);
    assert_int_equal(counts.sum.count[RESULT_DONE], 1);
    assert_int_equal(counts.sum.count[RESULT_UNCHANGED], 2);
    assert_int_equal(counts.sum.bytes[RESULT_UNCHANGED], 70);
    assert_int_equal(counts.sum.count[RESULT_SKIPPED], 1);
    process_end(&process);
    /* In order of the entries, whatever the order of the workers; what the plan settles is not in
     * it. */
    SCOPED(result_file) struct result_file file;
    assert_int_equal(result_file_open(&file, generation.dir_fd, 1, true, &err), 0);
    assert_int_equal(file.count, NEEDED);
    for (uint32_t i = 0; i < NEEDED; i++) {
        assert_int_equal(result_file_next(&file, &result, &err), 1);
        assert_int_equal(result.ordinal, 2 * i);
        assert_string_equal(result.record.etag, "etag");
        result_done(&result);
    }
}

static void test_segment_without_work_is_sealed_when_it_is_opened(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    recorded_segment(&generation, 3, &planned[1], 1, false);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    process_start(&process);
    SCOPED(segment) struct segment segment;
    uint8_t *open = NULL;
    uint64_t count = 99;
    assert_int_equal(segment_open(&segment, generation.dir_fd, 3, &err), 0);
    assert_int_equal(ledger_take_segment(process.ledger, &segment, false, &open, &count, &err), 1);
    mem_release(open);
    assert_int_equal(count, 0);
    settle(&process);
    assert_true(ledger_segment_sealed(process.ledger, 3));
    process_end(&process);
}

static void test_killed_process_leaves_what_was_flushed(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        struct process process;
        process_start(&process);
        expect_open(&process, 1, "ace");
        report(&process, 1, "ac", RESULT_DONE);
        settle(&process);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    struct process process;
    process_start(&process);
    expect_open(&process, 1, "e");
    report(&process, 1, "e", RESULT_DONE);
    settle(&process);
    assert_true(has_sealed(1));
    assert_int_equal(counted(&process, RESULT_DONE), 3);
    process_end(&process);
}

static void seal_first(enum result_status last)
{
    struct process process;
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "ac", RESULT_DONE);
    report(&process, 1, "e", last);
    process_end(&process);
    assert_true(has_sealed(1));
}

static void test_damaged_sealed_results_are_dropped_for_the_journals(void **state)
{
    (void)state;
    struct process process;
    seal_first(RESULT_DONE);
    scratch_text(&scratch, "job/g000001/000001.res", "damaged");
    process_start(&process);
    assert_int_equal(ledger_damage_count(process.ledger), 1);
    assert_false(ledger_segment_sealed(process.ledger, 1));
    assert_int_equal(counted(&process, RESULT_DONE), 3);
    expect_open(&process, 1, "");
    settle(&process);
    assert_true(ledger_segment_sealed(process.ledger, 1));
    process_end(&process);
    process_start(&process);
    assert_int_equal(ledger_damage_count(process.ledger), 0);
    assert_int_equal(counted(&process, RESULT_DONE), 3);
    process_end(&process);
}

static void test_torn_journal_loses_its_end_only(void **state)
{
    (void)state;
    struct process process;
    SCOPED(buf) struct buf bytes = { 0 };
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "a", RESULT_DONE);
    settle(&process);
    report(&process, 1, "c", RESULT_DONE);
    process_end(&process);
    scratch_read(&scratch, "job/g000001/journal-000001.log", &bytes);
    scratch_write(&scratch, "job/g000001/journal-000001.log", bytes.data, bytes.len - 1);
    process_start(&process);
    assert_int_equal(ledger_damage_count(process.ledger), 1);
    expect_open(&process, 1, "ce");
    process_end(&process);
}

static void test_failures_are_tried_again_when_they_are_asked_for(void **state)
{
    (void)state;
    struct process process;
    seal_first(RESULT_FAILED);
    process_start(&process);
    assert_true(ledger_segment_sealed(process.ledger, 1));
    assert_int_equal(counted(&process, RESULT_FAILED), 1);
    expect_refused(&process, 1, false);
    assert_int_equal(ledger_sealed_tries(process.ledger, 1), 1);
    assert_int_equal(ledger_next_retry(process.ledger, 0, 2), 1);
    assert_int_equal(ledger_next_retry(process.ledger, 0, 1), 0);
    assert_int_equal(ledger_next_retry(process.ledger, 1, 2), 0);
    expect_taken(&process, 1, true, "e");
    assert_false(ledger_segment_sealed(process.ledger, 1));
    assert_int_equal(counted(&process, RESULT_FAILED), 0);
    assert_int_equal(counted(&process, RESULT_DONE), 2);
    report(&process, 1, "e", RESULT_FAILED);
    settle(&process);
    assert_int_equal(counted(&process, RESULT_FAILED), 1);
    assert_int_equal(ledger_next_retry(process.ledger, 0, 2), 0);
    assert_int_equal(ledger_next_retry(process.ledger, 0, 3), 1);
    expect_taken(&process, 1, true, "e");
    report(&process, 1, "e", RESULT_DONE);
    settle(&process);
    assert_true(ledger_segment_sealed(process.ledger, 1));
    assert_int_equal(counted(&process, RESULT_DONE), 3);
    assert_int_equal(counted(&process, RESULT_FAILED), 0);
    assert_int_equal(ledger_next_retry(process.ledger, 0, UINT32_MAX), 0);
    process_end(&process);
    process_start(&process);
    assert_int_equal(counted(&process, RESULT_DONE), 3);
    assert_int_equal(counted(&process, RESULT_FAILED), 0);
    process_end(&process);
}

/* Two processes at once: the second has joined, and its claims are of another file. */
static void process_join(struct process *process)
{
    struct err err = { 0 };
    *process = (struct process){ 0 };
    assert_int_equal(claim_join(&process->claim, job.dir_fd, &err), 0);
    const struct ledger_options options = { .generation = &generation,
                                            .claim = &process->claim,
                                            .stop = &process->stop };
    assert_int_equal(ledger_start(&process->ledger, &options, &err), 0);
}

static void test_two_processes_share_the_segments(void **state)
{
    (void)state;
    struct process first;
    struct process second;
    process_start(&first);
    process_join(&second);
    assert_int_not_equal(ledger_process(first.ledger), ledger_process(second.ledger));
    expect_open(&first, 1, "ace");
    expect_refused(&second, 1, false);
    expect_open(&second, 2, "ace");
    report(&first, 1, "ac", RESULT_DONE);
    report(&first, 1, "e", RESULT_FAILED);
    settle(&first);
    /* Sealed by the other one: counted once, and never done again. */
    assert_false(ledger_segment_sealed(second.ledger, 1));
    assert_true(ledger_adopt(second.ledger, 1));
    assert_int_equal(counted(&second, RESULT_DONE), 2);
    expect_refused(&second, 1, false);
    /* What failed there may be possible here. */
    assert_int_equal(ledger_next_retry(second.ledger, 0, 3), 1);
    expect_taken(&second, 1, true, "e");
    expect_refused(&first, 1, true);
    report(&second, 1, "e", RESULT_DONE);
    settle(&second);
    /* The first still has the old results; it finds the new ones when it asks. */
    assert_int_equal(counted(&first, RESULT_FAILED), 1);
    expect_refused(&first, 1, true);
    assert_int_equal(counted(&first, RESULT_FAILED), 0);
    assert_int_equal(counted(&first, RESULT_DONE), 3);
    process_end(&second);
    process_end(&first);
}

static void test_segment_of_a_process_that_left_is_continued(void **state)
{
    (void)state;
    struct process first;
    struct process second;
    process_start(&first);
    process_join(&second);
    expect_open(&first, 1, "ace");
    report(&first, 1, "a", RESULT_DONE);
    settle(&first);
    expect_refused(&second, 1, false);
    process_end(&first);
    /* It began after the second had read the journals. */
    expect_open(&second, 1, "ce");
    assert_int_equal(counted(&second, RESULT_DONE), 1);
    report(&second, 1, "ce", RESULT_DONE);
    settle(&second);
    assert_true(has_sealed(1));
    process_end(&second);
}

static void test_process_that_lost_a_segment_stops(void **state)
{
    (void)state;
    struct process first;
    struct err err = { 0 };
    process_start(&first);
    expect_open(&first, 1, "ace");
    scratch_text(&scratch, "job/g000001/000001.g2", "somebody");
    for (int i = 0; i < 300 && !stop_raised(&first.stop); i++)
        (void)!stop_sleep(NULL, 10 * NS_PER_MS, &err);
    assert_true(stop_raised(&first.stop));
    assert_int_equal(ledger_stop(first.ledger, &err), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.text, "batch 1"));
    ledger_free(first.ledger);
    claim_release(&first.claim);
}

static void test_retried_success_before_a_kill_is_not_lost(void **state)
{
    (void)state;
    struct process process;
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "a", RESULT_DONE);
    report(&process, 1, "ce", RESULT_FAILED);
    process_end(&process);
    process_start(&process);
    expect_taken(&process, 1, true, "ce");
    report(&process, 1, "e", RESULT_DONE);
    process_end(&process); /* before c was retried */
    process_start(&process);
    expect_taken(&process, 1, true, "c");
    assert_int_equal(counted(&process, RESULT_DONE), 2);
    process_end(&process);
}

static void test_intents_of_earlier_processes_are_found(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    uint32_t found[4] = { 0 };
    for (uint32_t i = 1; i <= 2; i++) {
        process_start(&process);
        expect_open(&process, 1, "ace");
        assert_int_equal(ledger_intent(process.ledger, 1, 0, i, &err), 0);
        /* Its own are no leftovers. */
        assert_int_equal(ledger_leftovers(process.ledger, 1, 0, found, 4), i - 1);
        process_end(&process);
    }
    process_start(&process);
    assert_int_equal(ledger_leftovers(process.ledger, 1, 1, found, 4), 2);
    assert_int_equal(found[0] + found[1], 3);
    assert_int_equal(ledger_leftovers(process.ledger, 1, 2, found, 4), 1);
    assert_int_equal(found[0], 2);
    assert_int_equal(ledger_leftovers(process.ledger, 1, 3, found, 4), 0);
    assert_int_equal(ledger_leftovers(process.ledger, 2, 1, found, 4), 0);
    assert_int_equal(ledger_leftovers(process.ledger, 1, 1, found, 1), 1);
    process_end(&process);
}

static void test_large_objects_under_way_are_found_with_their_parts(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    const struct journal_upload upload = {
        .segment = 1, .ordinal = 2, .part_bytes = 7, .size_bytes = 30, .token = "token"
    };
    const struct journal_upload other = { .segment = 2, .ordinal = 4, .token = "other" };
    process_start(&process);
    expect_open(&process, 1, "ace");
    assert_int_equal(ledger_begin(process.ledger, &upload, &err), 0);
    assert_int_equal(ledger_begin(process.ledger, &other, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct store_part part = { .number = 3 - i, .size_bytes = 7, .etag = "p" };
        ledger_part(process.ledger, 1, 2, &part);
    }
    ledger_drop(process.ledger, 2, 4);
    process_end(&process);

    struct ledger_upload found;
    process_start(&process);
    assert_true(ledger_find_upload(process.ledger, 1, 2, &found));
    assert_string_equal(found.upload.token, "token");
    assert_int_equal(found.upload.size_bytes, 30);
    assert_int_equal(found.process, 1);
    assert_int_equal(found.part_count, 3);
    assert_int_equal(found.parts[0].number, 3);
    ledger_upload_done(&found);
    assert_false(ledger_find_upload(process.ledger, 1, 4, &found));
    assert_false(ledger_find_upload(process.ledger, 2, 4, &found));
    /* Begun again: the old parts are of no use. */
    assert_int_equal(ledger_begin(process.ledger, &upload, &err), 0);
    process_end(&process);
    process_start(&process);
    assert_true(ledger_find_upload(process.ledger, 1, 2, &found));
    assert_int_equal(found.process, 2);
    assert_int_equal(found.part_count, 0);
    ledger_upload_done(&found);
    process_end(&process);
}

/* ---- packs ---- */

static void encode(struct buf *out, uint32_t ordinal, enum result_status status)
{
    struct result result = { .ordinal = ordinal,
                             .status = status,
                             .size_bytes = planned[ordinal].size_bytes,
                             .record = { .known = true } };
    struct err err = { 0 };
    if (status == RESULT_FAILED) {
        err_set(&err, ERR_NET, "no answer");
        result.err = &err;
    }
    result_encode(out, &result);
}

static void test_encoded_results_are_kept_all_or_none(void **state)
{
    (void)state;
    struct process process;
    SCOPED(buf) struct buf encoded = { 0 };
    SCOPED(buf) struct buf bytes = { 0 };
    process_start(&process);
    expect_open(&process, 1, "ace");
    encode(&encoded, 0, RESULT_DONE);
    encode(&encoded, 2, RESULT_REPLACED);
    encode(&encoded, 0, RESULT_DONE); /* a later one of an entry counts */
    ledger_report_encoded(process.ledger, 1, 3, &encoded);
    assert_int_equal(encoded.len, 0); /* it is the ledger's */
    settle(&process);
    assert_int_equal(counted(&process, RESULT_DONE), 1);
    assert_int_equal(counted(&process, RESULT_REPLACED), 1);
    process_end(&process);
    scratch_read(&scratch, "job/g000001/journal-000001.log", &bytes);
    process_start(&process);
    expect_open(&process, 1, "e");
    process_end(&process);
    /* Cut anywhere in that record: none of them. */
    struct journal_reader reader;
    struct journal_record record;
    struct err err = { 0 };
    uint64_t start_bytes = 0;
    uint64_t end_bytes = 0;
    assert_int_equal(journal_read_open(&reader, generation.dir_fd, 1, &err), 0);
    while (end_bytes == 0 && journal_read_next(&reader, &record, &err) == 1) {
        if (record.kind == JOURNAL_RESULTS)
            end_bytes = reader.valid_bytes;
        else
            start_bytes = reader.valid_bytes;
    }
    journal_read_done(&reader);
    assert_true(start_bytes < end_bytes && end_bytes <= bytes.len);
    for (uint64_t len = start_bytes + 1; len < end_bytes; len += 7) {
        scratch_write(&scratch, "job/g000001/journal-000001.log", bytes.data, (size_t)len);
        struct ledger *ledger = NULL;
        struct ledger_counts counts;
        assert_int_equal(ledger_read(&ledger, &generation, &err), 0);
        ledger_counts(ledger, &counts);
        assert_int_equal(counts.sum.count[RESULT_DONE] + counts.sum.count[RESULT_REPLACED], 0);
        ledger_free(ledger);
    }
}

static void test_segment_is_sealed_with_encoded_results(void **state)
{
    (void)state;
    struct process process;
    SCOPED(buf) struct buf encoded = { 0 };
    process_start(&process);
    expect_open(&process, 1, "ace");
    for (uint32_t i = 0; i <= 4; i += 2)
        encode(&encoded, i, RESULT_DONE);
    ledger_report_encoded(process.ledger, 1, 3, &encoded);
    settle(&process);
    assert_true(has_sealed(1));
    process_end(&process);
}

static void test_parts_of_packs_are_found_with_their_notes(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    const struct journal_upload upload = { .segment = 1, .ordinal = 0, .token = "token" };
    process_start(&process);
    expect_open(&process, 1, "ace");
    assert_int_equal(ledger_begin(process.ledger, &upload, &err), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        const struct store_part part = { .number = i, .size_bytes = 7, .etag = "p" };
        struct buf note = { 0 };
        buf_printf(&note, "note %u", i);
        if (i == 3)
            ledger_part(process.ledger, 1, 0, &part); /* one that has none */
        else
            ledger_pack_part(process.ledger, 1, 0, &part, &note);
        assert_int_equal(note.len, i == 3 ? 6 : 0);
        buf_done(&note);
    }
    process_end(&process);

    struct ledger_upload found;
    process_start(&process);
    assert_true(ledger_find_upload(process.ledger, 1, 0, &found));
    assert_int_equal(found.part_count, 3);
    assert_string_equal(buf_text(&found.notes[0]), "note 1");
    assert_string_equal(buf_text(&found.notes[1]), "note 2");
    assert_int_equal(found.notes[2].len, 0);
    ledger_upload_done(&found);
    ledger_upload_done(&found);
    ledger_drop(process.ledger, 1, 0);
    process_end(&process);
    process_start(&process);
    assert_false(ledger_find_upload(process.ledger, 1, 0, &found));
    process_end(&process);
}

/* Entries a and c are for one pack, e is for another. */
static const struct recorded in_packs[] = {
    { "a", ENTRY_FILE, PLAN_NEW, RESULT_OPEN, 10, 0, 0644, NULL, false, "p1", NULL, NULL },
    { "b", ENTRY_FILE, PLAN_UNCHANGED, RESULT_OPEN, 20, 0, 0644, NULL, false, NULL, NULL, NULL },
    { "c", ENTRY_FILE, PLAN_REPLACE, RESULT_OPEN, 30, 0, 0644, NULL, false, "p1", NULL, NULL },
    { "d", ENTRY_SPECIAL, PLAN_SKIP, RESULT_OPEN, 0, 0, 0644, NULL, false, NULL, NULL, NULL },
    { "e", ENTRY_FILE, PLAN_COMPARE, RESULT_OPEN, 50, 0, 0644, NULL, false, "p2", NULL, NULL },
};

static void test_failures_of_stored_packs_stay_and_others_are_tried_again(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    recorded_segment(&generation, 3, in_packs, PLANNED, false);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    process_start(&process);
    expect_open(&process, 3, "ace");
    report(&process, 3, "c", RESULT_FAILED); /* could not be read; the pack is stored without it */
    report(&process, 3, "a", RESULT_DONE);
    report(&process, 3, "e", RESULT_FAILED); /* its pack was not stored */
    settle(&process);
    assert_int_equal(ledger_next_retry(process.ledger, 2, 3), 3);
    expect_taken(&process, 3, true, "e");
    assert_int_equal(counted(&process, RESULT_FAILED), 1);
    report(&process, 3, "e", RESULT_DONE);
    settle(&process);
    assert_true(ledger_segment_sealed(process.ledger, 3));
    assert_int_equal(counted(&process, RESULT_FAILED), 1);
    assert_int_equal(counted(&process, RESULT_DONE), 2);
    process_end(&process);
}

static void test_failures_before_a_kill_are_open_unless_their_pack_is_stored(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    recorded_segment(&generation, 3, in_packs, PLANNED, false);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    process_start(&process);
    expect_open(&process, 3, "ace");
    report(&process, 3, "c", RESULT_FAILED);
    process_end(&process);
    process_start(&process);
    expect_open(&process, 3, "ace"); /* p1 is not stored: c may come into it */
    report(&process, 3, "c", RESULT_FAILED);
    report(&process, 3, "a", RESULT_DONE);
    process_end(&process);
    process_start(&process);
    expect_open(&process, 3, "e");
    process_end(&process);
}

struct reporter {
    struct thread thread;
    struct process *process;
    uint32_t first, count;
};
#define REPORTERS 4u
#define EACH 5000u

static void *report_all(void *arg)
{
    const struct reporter *reporter = arg;
    for (uint32_t i = 0; i < reporter->count; i++) {
        struct ledger_batch *batch = ledger_batch_new(3, 1);
        batch->results[0] = (struct result){ .ordinal = reporter->first + i,
                                             .status = RESULT_DONE,
                                             .size_bytes = 1 };
        ledger_report(reporter->process->ledger, batch);
    }
    return NULL;
}

static void test_many_batches_from_many_threads_are_all_kept(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    struct recorded *entries = mem_alloc((REPORTERS * EACH + 1) * sizeof *entries);
    for (uint32_t i = 0; i <= REPORTERS * EACH; i++)
        entries[i] = planned[0];
    recorded_segment(&generation, 3, entries, REPORTERS * EACH + 1, false);
    mem_release(entries);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    process_start(&process);
    uint8_t *open = NULL;
    uint64_t count = 0;
    {
        SCOPED(segment) struct segment segment;
        assert_int_equal(segment_open(&segment, generation.dir_fd, 3, &err), 0);
        assert_int_equal(ledger_take_segment(process.ledger, &segment, false, &open, &count, &err),
                         1);
        mem_release(open);
    }
    struct reporter reporters[REPORTERS] = { 0 };
    for (uint32_t i = 0; i < REPORTERS; i++) {
        reporters[i] = (struct reporter){ .process = &process, .first = i * EACH, .count = EACH };
        assert_int_equal(
            thread_start(&reporters[i].thread, "report", report_all, &reporters[i], &err), 0);
    }
    while (counted(&process, RESULT_DONE) < REPORTERS * EACH / 2) /* read meanwhile */
        ;
    for (uint32_t i = 0; i < REPORTERS; i++)
        thread_join(&reporters[i].thread);
    process_end(&process);
    process_start(&process);
    assert_int_equal(counted(&process, RESULT_DONE), REPORTERS * EACH);
    assert_int_equal(ledger_damage_count(process.ledger), 0);
    process_end(&process);
}

static void test_claim_taken_over_stops_the_process(void **state)
{
    (void)state;
    struct process process;
    struct err err = { 0 };
    process_start(&process);
    assert_true(ledger_is_ours(process.ledger));
    scratch_text(&scratch, "job/claims/run.g9", "somebody else");
    while (!stop_raised(&process.stop)) { /* it looks once a second, whatever it is given then */
        ledger_report(process.ledger, ledger_batch_new(1, 0));
        usleep(1000);
    }
    assert_false(ledger_is_ours(process.ledger));
    assert_int_equal(ledger_intent(process.ledger, 1, 0, 1, &err), -1);
    err_clear(&err);
    assert_int_equal(ledger_stop(process.ledger, &err), -1);
    assert_non_null(strstr(err.text, "took this job over"));
    ledger_free(process.ledger);
    claim_release(&process.claim);
}

static void test_released_ledger_writes_no_more(void **state)
{
    (void)state;
    struct process process;
    struct claim_owner owner;
    struct err err = { 0 };
    SCOPED(buf) struct buf before = { 0 };
    SCOPED(buf) struct buf after = { 0 };
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "a", RESULT_DONE);
    assert_true(ledger_release(process.ledger, 60 * NS_PER_S));
    assert_int_equal(claim_read(&owner, job.dir_fd, &err), 0);
    assert_true(owner.released);
    scratch_read(&scratch, "job/g000001/journal-000001.log", &before);
    report(&process, 1, "c", RESULT_DONE);
    assert_int_equal(ledger_intent(process.ledger, 1, 0, 1, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    process_end(&process);
    scratch_read(&scratch, "job/g000001/journal-000001.log", &after);
    assert_int_equal(before.len, after.len);
    process_start(&process);
    expect_open(&process, 1, "ce");
    process_end(&process);
}

static void test_ledger_can_be_read_without_writing(void **state)
{
    (void)state;
    struct process process;
    struct ledger *ledger = NULL;
    struct ledger_counts counts;
    struct err err = { 0 };
    process_start(&process);
    expect_open(&process, 1, "ace");
    report(&process, 1, "a", RESULT_DONE);
    settle(&process);
    assert_int_equal(ledger_read(&ledger, &generation, &err), 0);
    ledger_counts(ledger, &counts);
    assert_int_equal(counts.sum.count[RESULT_DONE], 1);
    struct view view = ledger_unsealed(ledger, 1);
    struct result result;
    assert_int_equal(result_decode(&view, &result), 0);
    assert_int_equal(result.ordinal, 0);
    assert_int_equal(view_left(&view), 0);
    view = ledger_unsealed(ledger, 2);
    assert_int_equal(view_left(&view), 0);
    ledger_free(ledger);
    process_end(&process);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_plan_settles_what_needs_no_worker),
        CASE(test_results_of_an_unsealed_segment_survive_a_restart),
        CASE(test_segment_is_sealed_with_its_last_result),
        CASE(test_segment_without_work_is_sealed_when_it_is_opened),
        CASE(test_killed_process_leaves_what_was_flushed),
        CASE(test_damaged_sealed_results_are_dropped_for_the_journals),
        CASE(test_torn_journal_loses_its_end_only),
        CASE(test_failures_are_tried_again_when_they_are_asked_for),
        CASE(test_two_processes_share_the_segments),
        CASE(test_segment_of_a_process_that_left_is_continued),
        CASE(test_process_that_lost_a_segment_stops),
        CASE(test_retried_success_before_a_kill_is_not_lost),
        CASE(test_intents_of_earlier_processes_are_found),
        CASE(test_large_objects_under_way_are_found_with_their_parts),
        CASE(test_encoded_results_are_kept_all_or_none),
        CASE(test_segment_is_sealed_with_encoded_results),
        CASE(test_parts_of_packs_are_found_with_their_notes),
        CASE(test_failures_of_stored_packs_stay_and_others_are_tried_again),
        CASE(test_failures_before_a_kill_are_open_unless_their_pack_is_stored),
        CASE(test_many_batches_from_many_threads_are_all_kept),
        CASE(test_claim_taken_over_stops_the_process),
        CASE(test_released_ledger_writes_no_more),
        CASE(test_ledger_can_be_read_without_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
