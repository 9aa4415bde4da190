#include "job/tally.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/ledger.h"

#include <inttypes.h>

#define AT_NONE UINT32_MAX
#define LINE_PENDING_BYTES 65536

struct tally_state {
    struct tally *tally;
    const struct history *history;
    struct digest digest; /* of the list */
    struct buf lines;
    uint32_t *at; /* where the result of each entry of the segment is in `view` */
    struct view view;
    struct tally_batch *batch;
};

uint64_t tally_size_limit(uint32_t i)
{
    if (i == 0)
        return 1;
    return i + 1 < TALLY_SIZES ? UINT64_C(1024) << (3 * (i - 1)) : UINT64_MAX;
}

static uint32_t size_class(uint64_t size_bytes)
{
    uint32_t i = 0;
    while (i + 1 < TALLY_SIZES && size_bytes >= tally_size_limit(i))
        i++;
    return i;
}

/* ---- lists ---- */

static void item_done(struct tally_item *item)
{
    mem_release(item->name);
    mem_release(item->why);
    mem_release(item->hint);
}

static void item_fill(struct tally_item *item, const struct plan_entry *entry,
                      const struct result *result)
{
    *item = (struct tally_item){ .name = mem_string(entry->name),
                                 .size_bytes = result->size_bytes,
                                 .status = result->status,
                                 .retries = result->retries,
                                 .record = result->record };
    if (result->err != NULL) {
        item->why = mem_string(result->err->text);
        item->hint = mem_string(result->err->hint);
    }
}

static void add_first(struct tally_list *list, const struct plan_entry *entry,
                      const struct result *result)
{
    if (list->count < TALLY_LIST)
        item_fill(&list->items[list->count++], entry, result);
    list->total++;
}

/* Largest first; of equal ones the first. */
static void add_largest(struct tally_list *list, const struct plan_entry *entry,
                        const struct result *result)
{
    uint32_t at = list->count;
    list->total++;
    while (at > 0 && list->items[at - 1].size_bytes < result->size_bytes)
        at--;
    if (at == TALLY_LARGEST)
        return;
    if (list->count == TALLY_LARGEST)
        item_done(&list->items[--list->count]);
    memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof *list->items);
    item_fill(&list->items[at], entry, result);
    list->count++;
}

/* In the order of the history, which is by time. Two runs can have met the same slow entry. */
static void add_slow(struct tally_state *state, uint32_t segment, const struct plan_entry *entry,
                     const struct result *result)
{
    const struct history *history = state->history;
    struct tally_list *list = &state->tally->slow;
    for (uint32_t i = 0; i < history->slow_count; i++) {
        if (history->slow[i].segment != segment || history->slow[i].ordinal != entry->ordinal)
            continue;
        uint32_t at = list->count;
        while (at > 0 && list->items[at - 1].span_ns < history->slow[i].span_ns)
            at--;
        memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof *list->items);
        item_fill(&list->items[at], entry, result);
        list->items[at].span_ns = history->slow[i].span_ns;
        list->count++;
    }
}

/* ---- one entry ---- */

static bool is_there(enum result_status status)
{
    return status == RESULT_DONE || status == RESULT_REPLACED || status == RESULT_UNCHANGED;
}

static void add_line(struct tally_state *state, const struct plan_entry *entry,
                     const struct result *result)
{
    buf_printf(&state->lines, "%016" PRIx64 " %" PRIu64 " ", result->record.crc64,
               result->size_bytes);
    buf_add(&state->lines, entry->name, strlen(entry->name) + 1);
    state->tally->proof.listed++;
    if (state->lines.len < LINE_PENDING_BYTES)
        return;
    digest_add(&state->digest, state->lines.data, state->lines.len);
    buf_clear(&state->lines);
}

static void add_proof(struct tally_state *state, const struct plan_entry *entry,
                      const struct result *result)
{
    struct tally_proof *proof = &state->tally->proof;
    const bool content = entry->kind != ENTRY_DIR;
    if (result->status == RESULT_UNCHANGED) {
        proof->kept_known += result->record.known && content;
        proof->kept_unknown += !result->record.known && content;
        proof->without += !content;
    } else {
        proof->crc64 += result->record.known && content;
        proof->without += !result->record.known || !content;
        proof->sha256 += (result->record.digests.kinds & DIGEST_SHA256) != 0;
        proof->md5 += (result->record.digests.kinds & DIGEST_MD5) != 0;
    }
    if (content && result->record.known)
        add_line(state, entry, result);
}

static void add_entry(struct tally_state *state, uint32_t segment, const struct plan_entry *entry,
                      const struct result *result)
{
    struct tally *tally = state->tally;
    if ((unsigned)entry->kind < sizeof tally->kinds / sizeof *tally->kinds)
        tally->kinds[entry->kind]++;
    if (state->batch != NULL)
        result_sum_add(&state->batch->sum, result->status, result->size_bytes, result->retries);
    if (result->status == RESULT_FAILED) {
        tally->failed_by_kind[result->err != NULL ? result->err->kind : ERR_NONE]++;
        add_first(&tally->failed, entry, result);
    }
    if (result->status == RESULT_SKIPPED)
        add_first(&tally->skipped, entry, result);
    if (entry->kind != ENTRY_DIR && entry->kind != ENTRY_SPECIAL) {
        const uint32_t class = size_class(result->size_bytes);
        tally->size_count[class]++;
        tally->size_bytes[class] += result->size_bytes;
        if (is_there(result->status))
            add_largest(&tally->largest, entry, result);
    }
    if (is_there(result->status))
        add_proof(state, entry, result);
    add_slow(state, segment, entry, result);
}

/* What the plan says, where no worker had to see to it, or none has yet. */
static void result_by_plan(struct result *result, const struct plan_entry *entry, struct err *why)
{
    *result = (struct result){ .ordinal = entry->ordinal,
                               .status = plan_entry_settled(entry),
                               .size_bytes = entry->size_bytes,
                               .mtime_ns = entry->mtime_ns,
                               .record = entry->record };
    if (result->status == RESULT_SKIPPED || result->status == RESULT_FAILED) {
        plan_entry_explain(entry, why);
        result->err = why;
    }
}

static int take_entry(struct tally_state *state, uint32_t segment, const struct plan_entry *entry,
                      struct err *err)
{
    struct result result;
    struct err why = { 0 };
    if (plan_entry_settled(entry) != RESULT_OPEN || state->at[entry->ordinal] == AT_NONE) {
        result_by_plan(&result, entry, &why);
        add_entry(state, segment, entry, &result);
        return 0;
    }
    struct view view = state->view;
    view.at += state->at[entry->ordinal];
    if (result_decode(&view, &result) < 0)
        return err_set(err, ERR_CORRUPT, "results of batch %u cannot be read", segment);
    add_entry(state, segment, entry, &result);
    result_done(&result);
    return 0;
}

/* ---- segments ---- */

/* A later result of an entry counts more. */
static int index_results(struct tally_state *state, uint32_t number, uint32_t entries,
                         struct err *err)
{
    struct view view = state->view;
    state->at = mem_resize(state->at, ((size_t)entries + 1) * sizeof *state->at);
    for (uint32_t i = 0; i < entries; i++)
        state->at[i] = AT_NONE;
    while (view_left(&view) != 0) {
        const uint32_t at = (uint32_t)(view.at - state->view.at);
        uint32_t ordinal = 0;
        enum result_status status = RESULT_OPEN;
        if (result_skip(&view, &ordinal, &status) < 0)
            return err_set(err, ERR_CORRUPT, "results of batch %u cannot be read", number);
        if (ordinal < entries)
            state->at[ordinal] = at;
    }
    return 0;
}

static int read_entries(struct tally_state *state, struct segment *segment, struct err *err)
{
    struct plan_entry entry;
    int got = index_results(state, segment->number, (uint32_t)segment->sum.entries, err);
    if (got < 0)
        return -1;
    while ((got = segment_next(segment, &entry, err)) == 1)
        if (take_entry(state, segment->number, &entry, err) < 0)
            return -1;
    return got;
}

static int read_segment(struct tally_state *state, struct generation *generation,
                        struct ledger *ledger, uint32_t number, struct err *err)
{
    struct tally *tally = state->tally;
    struct segment segment;
    struct result_file file = { 0 };
    struct err why = { 0 };
    if (segment_open(&segment, generation->dir_fd, number, err) < 0)
        return -1;
    const bool sealed = result_file_open(&file, generation->dir_fd, number, true, &why) == 0;
    state->batch = NULL;
    tally->batch_total++;
    if (tally->batch_count < TALLY_BATCHES) {
        state->batch = &tally->batches[tally->batch_count++];
        *state->batch = (struct tally_batch){ .number = number,
                                              .entries = segment.sum.entries,
                                              .done = sealed };
    }
    state->view = sealed ? file.view : ledger_unsealed(ledger, number);
    const int result = read_entries(state, &segment, err);
    result_file_done(&file);
    segment_done(&segment);
    return result;
}

static void end_list(struct tally_state *state)
{
    struct digest_value value;
    struct tally_proof *proof = &state->tally->proof;
    digest_add(&state->digest, buf_text(&state->lines), state->lines.len);
    digest_value(&state->digest, &value);
    digest_hex(value.sha256, sizeof value.sha256, proof->list_sha256);
}

static int read_all(struct tally_state *state, struct generation *generation, struct err *err)
{
    struct ledger *ledger = NULL;
    if (digest_init(&state->digest, DIGEST_SHA256, err) < 0)
        return -1;
    int result = ledger_read(&ledger, generation, err);
    for (uint32_t i = 1; result == 0 && i <= generation->sealed; i++)
        result = read_segment(state, generation, ledger, i, err);
    ledger_free(ledger);
    if (result == 0)
        end_list(state);
    digest_done(&state->digest);
    return result;
}

int tally_read(struct tally *ret_tally, const struct job *job, uint32_t number,
               const struct history *history, struct err *err)
{
    struct generation generation;
    *ret_tally = (struct tally){ 0 };
    if (generation_open(&generation, job, number, err) < 0)
        return -1;
    struct tally_state state = { .tally = ret_tally, .history = history };
    const int result = read_all(&state, &generation, err);
    ret_tally->slow.total = history->slow_total;
    mem_release(state.at);
    buf_done(&state.lines);
    generation_done(&generation);
    if (result < 0)
        tally_done(ret_tally);
    return result;
}

static void list_done(struct tally_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        item_done(&list->items[i]);
    list->count = 0;
}

void tally_done(struct tally *tally)
{
    list_done(&tally->failed);
    list_done(&tally->skipped);
    list_done(&tally->largest);
    list_done(&tally->slow);
}
