#include "job/history.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "job/journal.h"

#define UPLOADS_MAX 65536u /* large objects under way whose parts are told from their wholes */
#define BIN_NS NS_PER_S    /* at least: the journal's times are no finer */

struct upload {
    uint32_t segment, ordinal;
    uint64_t bytes; /* of its parts so far */
};
/* Bytes of an entry that took long, to be spread over the time that it took. */
struct slow {
    uint32_t segment, ordinal;
    int64_t span_ns;
    uint64_t bytes;
    bool settled; /* its result came; it waits for its time */
};
#define SLOW_MAX 1024u /* beyond them within a second, the others count where they end */

struct reading {
    struct history *history;
    struct history_run *run;
    struct upload *uploads;
    size_t upload_count;
    int64_t since_ns; /* what follows came after this */
    struct history_bin since;
    struct slow slow[SLOW_MAX];
    size_t slow_count;
};

typedef void (*take_fn)(struct reading *reading, const struct journal_record *record);

static int read_journal(struct reading *reading, const struct generation *generation, take_fn take,
                        struct err *err)
{
    struct journal_reader reader;
    if (journal_read_open(&reader, generation->dir_fd, reading->run->process, err) < 0)
        return -1;
    struct journal_record record;
    int got;
    while ((got = journal_read_next(&reader, &record, err)) == 1)
        take(reading, &record);
    journal_read_done(&reader);
    return got;
}

/* ---- when ---- */

static void take_times(struct reading *reading, const struct journal_record *record)
{
    struct history_run *run = reading->run;
    if (record->kind == JOURNAL_START) {
        run->start_ns = run->end_ns = record->time_ns;
        memcpy(run->host, record->host, sizeof run->host);
    }
    /* A clock that is set back does not make time run backwards. */
    if (record->kind == JOURNAL_TIME && record->time_ns > run->end_ns)
        run->end_ns = record->time_ns;
}

/* What came last has no time of its own, when it came within a second of the last time. */
static void add_tail(const struct generation *generation, struct history_run *run)
{
    int64_t first_ns = 0;
    int64_t last_ns = 0;
    if (journal_times(generation->dir_fd, run->process, &first_ns, &last_ns) &&
        last_ns > run->end_ns && last_ns < run->end_ns + JOURNAL_TIME_NS)
        run->end_ns = last_ns;
}

static int compare_starts(const void *left, const void *right)
{
    const struct history_run *a = left;
    const struct history_run *b = right;
    return a->start_ns < b->start_ns ? -1 : a->start_ns > b->start_ns;
}

/* The time worked is the union of the spans of all processes. */
static void measure(struct history *history)
{
    struct history_run *sorted = history->by_start;
    if (history->run_count == 0)
        return;
    qsort(sorted, history->run_count, sizeof *sorted, compare_starts);
    history->pauses_ns = mem_alloc(history->run_count * sizeof *history->pauses_ns);
    int64_t until_ns = sorted[0].start_ns;
    for (size_t i = 0; i < history->run_count; i++) {
        const int64_t from_ns = sorted[i].start_ns > until_ns ? sorted[i].start_ns : until_ns;
        if (sorted[i].start_ns > until_ns + NS_PER_S && history->worked_ns > 0)
            history->pauses_ns[history->pause_count++] = history->worked_ns;
        if (sorted[i].end_ns <= from_ns)
            continue;
        history->worked_ns += sorted[i].end_ns - from_ns;
        until_ns = sorted[i].end_ns;
    }
    int64_t count = history->worked_ns / BIN_NS;
    count = count < 1 ? 1 : count;
    history->bin_count = count < (int64_t)HISTORY_BINS ? (uint32_t)count : HISTORY_BINS;
    history->bin_ns = history->worked_ns / history->bin_count + 1;
}

/* Runs are few; each moment is looked for from the first one on. */
static int64_t worked_at(const struct history_run *sorted, size_t count, int64_t time_ns)
{
    int64_t worked_ns = 0;
    int64_t until_ns = count != 0 ? sorted[0].start_ns : 0;
    for (size_t i = 0; i < count && sorted[i].start_ns < time_ns; i++) {
        const int64_t from_ns = sorted[i].start_ns > until_ns ? sorted[i].start_ns : until_ns;
        const int64_t to_ns = sorted[i].end_ns < time_ns ? sorted[i].end_ns : time_ns;
        if (to_ns <= from_ns)
            continue;
        worked_ns += to_ns - from_ns;
        until_ns = to_ns;
    }
    return worked_ns;
}

int64_t history_worked_at(const struct history *history, int64_t time_ns)
{
    return worked_at(history->by_start, history->run_count, time_ns);
}

/* ---- what ---- */

/* Spread evenly over a span of the time worked. */
static void deposit(struct history *history, const struct history_bin *what, int64_t from_ns,
                    int64_t to_ns)
{
    const int64_t span_ns = to_ns - from_ns;
    uint32_t last = (uint32_t)(to_ns / history->bin_ns);
    last = last < history->bin_count ? last : history->bin_count - 1;
    uint32_t first = (uint32_t)(from_ns / history->bin_ns);
    first = first < last ? first : last;
    for (uint32_t i = first; i <= last; i++) {
        const int64_t bin_from_ns = i * history->bin_ns;
        const int64_t begin_ns = from_ns > bin_from_ns ? from_ns : bin_from_ns;
        const int64_t end_ns = i < last ? bin_from_ns + history->bin_ns : to_ns;
        const double share =
            span_ns > 0 && first != last ? (double)(end_ns - begin_ns) / (double)span_ns : 1;
        history->bins[i].moved_bytes += what->moved_bytes * share;
        history->bins[i].settled += what->settled * share;
    }
}

static void deposit_slow(struct reading *reading, int64_t time_ns)
{
    const struct history *history = reading->history;
    size_t kept = 0;
    for (size_t i = 0; i < reading->slow_count; i++) {
        const struct slow slow = reading->slow[i];
        if (!slow.settled) {
            reading->slow[kept++] = slow;
            continue;
        }
        const struct history_bin what = { .moved_bytes = (double)slow.bytes };
        const int64_t start_ns = reading->run->start_ns;
        const int64_t from_ns =
            time_ns - start_ns > slow.span_ns ? time_ns - slow.span_ns : start_ns;
        deposit(reading->history, &what, history_worked_at(history, from_ns),
                history_worked_at(history, time_ns));
    }
    reading->slow_count = kept;
}

static void deposit_since(struct reading *reading, int64_t time_ns)
{
    if (time_ns < reading->since_ns)
        time_ns = reading->since_ns;
    deposit_slow(reading, time_ns);
    if (reading->since.moved_bytes > 0 || reading->since.settled > 0)
        deposit(reading->history, &reading->since,
                history_worked_at(reading->history, reading->since_ns),
                history_worked_at(reading->history, time_ns));
    reading->since = (struct history_bin){ 0 };
    reading->since_ns = time_ns;
}

static struct upload *find_upload(struct reading *reading, uint32_t segment, uint32_t ordinal)
{
    for (size_t i = reading->upload_count; i > 0; i--)
        if (reading->uploads[i - 1].segment == segment &&
            reading->uploads[i - 1].ordinal == ordinal)
            return &reading->uploads[i - 1];
    return NULL;
}

/* How much of it was counted as parts. */
static uint64_t end_upload(struct reading *reading, uint32_t segment, uint32_t ordinal)
{
    struct upload *upload = find_upload(reading, segment, ordinal);
    if (upload == NULL)
        return 0;
    const uint64_t bytes = upload->bytes;
    *upload = reading->uploads[--reading->upload_count];
    return bytes;
}

static void add_moved(struct reading *reading, uint64_t bytes)
{
    reading->since.moved_bytes += (double)bytes;
    reading->run->moved_bytes += bytes;
}

static void take_part(struct reading *reading, const struct journal_record *record)
{
    struct upload *upload = find_upload(reading, record->segment, record->first);
    if (upload == NULL)
        return;
    upload->bytes += record->part.size_bytes;
    add_moved(reading, record->part.size_bytes);
}

static void take_begin(struct reading *reading, const struct journal_record *record)
{
    (void)end_upload(reading, record->segment, record->first);
    if (reading->upload_count == UPLOADS_MAX)
        return;
    reading->uploads =
        mem_resize(reading->uploads, (reading->upload_count + 1) * sizeof *reading->uploads);
    reading->uploads[reading->upload_count++] =
        (struct upload){ .segment = record->segment, .ordinal = record->first };
}

static struct slow *find_slow(struct reading *reading, uint32_t segment, uint32_t ordinal)
{
    for (size_t i = reading->slow_count; i > 0; i--)
        if (reading->slow[i - 1].segment == segment && reading->slow[i - 1].ordinal == ordinal)
            return &reading->slow[i - 1];
    return NULL;
}

/* Bytes that were not counted as parts. */
static void add_whole(struct reading *reading, uint32_t segment, uint32_t ordinal, uint64_t bytes)
{
    struct slow *slow = find_slow(reading, segment, ordinal);
    if (slow == NULL) {
        add_moved(reading, bytes);
        return;
    }
    slow->settled = true;
    slow->bytes = bytes;
    reading->run->moved_bytes += bytes;
}

static void take_results(struct reading *reading, const struct journal_record *record)
{
    struct view view = record->results;
    while (view_left(&view) != 0) {
        struct result result;
        if (result_decode(&view, &result) < 0)
            return;
        const uint64_t before = end_upload(reading, record->segment, result.ordinal);
        reading->run->settled++;
        reading->since.settled++;
        const bool moved = result.status == RESULT_DONE || result.status == RESULT_REPLACED;
        if (moved && result.size_bytes > before)
            add_whole(reading, record->segment, result.ordinal, result.size_bytes - before);
        result_done(&result);
    }
}

/* Longest first; beyond HISTORY_SLOW the quickest of them falls out. */
static void take_slow(struct reading *reading, const struct journal_record *record)
{
    struct history *history = reading->history;
    uint32_t at = history->slow_count;
    if (reading->slow_count < SLOW_MAX)
        reading->slow[reading->slow_count++] = (struct slow){ .segment = record->segment,
                                                              .ordinal = record->first,
                                                              .span_ns = record->span_ns };
    history->slow_total++;
    while (at > 0 && history->slow[at - 1].span_ns < record->span_ns)
        at--;
    if (at == HISTORY_SLOW)
        return;
    const uint32_t keep =
        history->slow_count < HISTORY_SLOW ? history->slow_count : HISTORY_SLOW - 1;
    memmove(&history->slow[at + 1], &history->slow[at], (keep - at) * sizeof *history->slow);
    history->slow[at] = (struct history_slow){ .segment = record->segment,
                                               .ordinal = record->first,
                                               .span_ns = record->span_ns };
    history->slow_count = keep + 1;
}

static void take_record(struct reading *reading, const struct journal_record *record)
{
    switch (record->kind) {
    case JOURNAL_TIME:
        deposit_since(reading, record->time_ns);
        break;
    case JOURNAL_RESULTS:
        take_results(reading, record);
        break;
    case JOURNAL_BEGIN:
        take_begin(reading, record);
        break;
    case JOURNAL_PART:
    case JOURNAL_PACK:
        take_part(reading, record);
        break;
    case JOURNAL_DROP:
        (void)end_upload(reading, record->segment, record->first);
        break;
    case JOURNAL_SLOW:
        take_slow(reading, record);
        break;
    case JOURNAL_START:
    case JOURNAL_INTENT:
        break;
    }
}

/* ---- both ---- */

static int read_all(struct reading *reading, const struct generation *generation, struct err *err)
{
    struct history *history = reading->history;
    for (size_t i = 0; i < history->run_count; i++) {
        reading->run = &history->runs[i];
        if (read_journal(reading, generation, take_times, err) < 0)
            return -1;
        add_tail(generation, reading->run);
    }
    history->by_start = mem_copy(history->runs, history->run_count * sizeof *history->runs);
    measure(history);
    for (size_t i = 0; i < history->run_count; i++) {
        reading->run = &history->runs[i];
        reading->since_ns = reading->run->start_ns;
        reading->slow_count = 0;
        if (read_journal(reading, generation, take_record, err) < 0)
            return -1;
        deposit_since(reading, reading->run->end_ns);
    }
    for (size_t i = 0; i < reading->upload_count; i++)
        history->open_bytes += reading->uploads[i].bytes;
    return 0;
}

int history_read(struct history *ret_history, const struct generation *generation, struct err *err)
{
    uint32_t *processes = NULL;
    size_t count = 0;
    *ret_history = (struct history){ 0 };
    if (generation_journals(generation, &processes, &count, err) < 0)
        return -1;
    ret_history->runs = mem_alloc(count * sizeof *ret_history->runs);
    ret_history->run_count = count;
    for (size_t i = 0; i < count; i++)
        ret_history->runs[i].process = processes[i];
    mem_release(processes);
    struct reading *reading = mem_alloc(sizeof *reading);
    reading->history = ret_history;
    const int result = read_all(reading, generation, err);
    mem_release(reading->uploads);
    mem_release(reading);
    if (result < 0)
        history_done(ret_history);
    return result;
}

void history_done(struct history *history)
{
    mem_release(history->runs);
    mem_release(history->by_start);
    mem_release(history->pauses_ns);
    *history = (struct history){ 0 };
}
