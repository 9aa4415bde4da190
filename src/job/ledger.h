/* job/ledger.h: what became of each entry: takes results from the workers, journals them (group
 * commit every 1,000 results or 50 ms), seals the results of finished segments, and knows what is
 * done, by other processes too, and what a killed process left behind. One thread of its own
 * writes; it also moves the heartbeat of the claim. Threads: all calls but start and stop from any
 * thread. */
#pragma once

#include "base/err.h"
#include "base/thread.h"
#include "job/claim.h"
#include "job/job.h"
#include "job/journal.h"
#include "job/result.h"

#include <stdint.h>

struct ledger;

/* Results of entries of one segment; the ledger takes it over. */
struct ledger_batch {
    uint32_t segment;
    uint32_t count;
    struct result results[];
};
struct ledger_batch *ledger_batch_new(uint32_t segment, uint32_t count);

struct ledger_options {
    struct generation *generation;
    struct claim *claim; /* joined; batches are claimed by it */
    struct stop *stop;   /* raised when the journal cannot be written */
};
/* Read what is there, create our journal, start the thread. */
CHECKED int ledger_start(struct ledger **ret_ledger, const struct ledger_options *options,
                         struct err *err);
/* Only read what is there: for a status, while another process may write. No thread, no journal;
 * only ledger_counts(), ledger_segment_sealed(), ledger_unsealed() and ledger_free() may be called.
 */
CHECKED int ledger_read(struct ledger **ret_ledger, struct generation *generation, struct err *err);
/* The results so far of a segment that is not sealed, encoded; empty when there are none. */
struct view ledger_unsealed(struct ledger *ledger, uint32_t number);
/* The number of this process: of its journal, and in the tags of its temporary names. */
uint32_t ledger_process(const struct ledger *ledger);
/* How many journals had damage behind their valid prefix, or sealed results that had to be dropped.
 */
uint32_t ledger_damage_count(const struct ledger *ledger);

/* ---- for the dispatcher ---- */

/* Segments in work and not sealed yet: each holds its results in memory. */
uint32_t ledger_open_count(struct ledger *ledger);
/* Has every entry of the segment its result? */
bool ledger_segment_sealed(struct ledger *ledger, uint32_t number);
/* The same, looking at what another process may have sealed since. */
bool ledger_adopt(struct ledger *ledger, uint32_t number);
/* Claim a segment and take it into work: 1, and *ret_open[i] is 1 for each entry that still needs a
 * worker. The array has `entries` items and is the caller's (mem_release). Entries that the plan
 * settles get their results. 0: another process has it, or it is sealed. `retry`: also when it is
 * sealed with failures, which are open then. */
CHECKED int ledger_take_segment(struct ledger *ledger, struct segment *segment, bool retry,
                                uint8_t **ret_open, uint64_t *ret_open_count, struct err *err);
/* The first sealed segment behind `after` with failures that another try may mend, tried fewer than
 * `most_tries` times; 0: none. */
uint32_t ledger_next_retry(struct ledger *ledger, uint32_t after, uint32_t most_tries);
/* How often a sealed segment was worked on to its end; and was it sealed by this process? */
uint32_t ledger_sealed_tries(struct ledger *ledger, uint32_t number);
bool ledger_segment_ours(struct ledger *ledger, uint32_t number);
/* Will a failure in this segment, which is in work, be tried again at the end of the run? */
bool ledger_tries_again(struct ledger *ledger, uint32_t number, uint32_t most_tries);
/* Processes that were about to put this entry and did not finish: fills up to `cap` numbers. */
size_t ledger_leftovers(struct ledger *ledger, uint32_t number, uint32_t ordinal,
                        uint32_t *ret_processes, size_t cap);
/* The large object that an earlier process left half done; false: none. parts is the caller's. */
struct ledger_upload {
    struct journal_upload upload;
    uint32_t process;
    struct store_part *parts;
    struct buf *notes; /* of a pack, what each part holds; else empty */
    size_t part_count;
};
void ledger_upload_done(struct ledger_upload *upload);
bool ledger_find_upload(struct ledger *ledger, uint32_t number, uint32_t ordinal,
                        struct ledger_upload *ret_upload);

/* ---- for the workers ---- */

/* Hand over; returns at once unless the journal lags far behind. */
void ledger_report(struct ledger *ledger, struct ledger_batch *batch);
/* The same of `count` results that are encoded already (result_encode()); they become durable all
 * or none. Takes the bytes over. */
void ledger_report_encoded(struct ledger *ledger, uint32_t segment, uint32_t count,
                           struct buf *encoded);
/* Returns when written: a kill after it finds the intent. */
CHECKED int ledger_intent(struct ledger *ledger, uint32_t segment, uint32_t first, uint32_t last,
                          struct err *err);
/* Is the job still this process's? What failed while another one took it over is no result. */
bool ledger_is_ours(struct ledger *ledger);
/* Returns when durable. */
CHECKED int ledger_begin(struct ledger *ledger, const struct journal_upload *upload,
                         struct err *err);
void ledger_part(struct ledger *ledger, uint32_t segment, uint32_t ordinal,
                 const struct store_part *part);
/* The same of a part of a pack, with what it holds; the note is taken over. */
void ledger_pack_part(struct ledger *ledger, uint32_t segment, uint32_t ordinal,
                      const struct store_part *part, struct buf *note);
void ledger_drop(struct ledger *ledger, uint32_t segment, uint32_t ordinal);

/* ---- for the display ---- */

struct ledger_counts {
    struct result_sum sum;
    uint64_t segments_sealed;     /* in all */
    uint64_t segments_sealed_now; /* by this process */
};
void ledger_counts(struct ledger *ledger, struct ledger_counts *ret_counts);

/* Make all that was handed over durable; false when that takes longer than span_ns. */
bool ledger_flush(struct ledger *ledger, int64_t span_ns);
/* The same, then give the claim up, which the ledger's thread alone may do while it runs: from then
 * on nothing is written, and what is handed over is dropped. For a process that is about to end. */
bool ledger_release(struct ledger *ledger, int64_t span_ns);
/* End the thread when all is written; the first error of the thread. */
CHECKED int ledger_stop(struct ledger *ledger, struct err *err);
void ledger_free(struct ledger *ledger);
