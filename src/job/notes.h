/* job/notes.h: what happened to single items and is worth a line: failed, skipped, done with a
 * loss. Bounded: beyond NOTES_MAX of a kind they are only counted. Threads: any; the display takes
 * them. */
#pragma once

#include "base/err.h"
#include "base/thread.h"
#include "job/result.h"
#include "job/snapshot.h"

#include <stdint.h>

#define NOTES_MAX 200u
#define NOTE_WARNING RESULT_DONE /* it is there, but not with all that it had */

struct note {
    struct note *next;
    enum result_status status; /* RESULT_FAILED, RESULT_SKIPPED or NOTE_WARNING */
    char *name;
    struct err err;
};
struct notes {
    struct lock lock;
    struct note *first, *last;           /* guarded by lock */
    uint64_t count[RESULT_STATUS_COUNT]; /* guarded by lock; ever */
    uint64_t conflicts;                  /* guarded by lock; of the failures */
    uint64_t corrupt;                    /* guarded by lock; of the failures */
    struct snapshot failures;            /* guarded by lock; only its failure texts */
};
void notes_init(struct notes *notes);
void notes_done(struct notes *notes);
void notes_add(struct notes *notes, enum result_status status, const char *name,
               const struct err *err);
/* The oldest one, or NULL; the caller's: note_free(). */
struct note *notes_take(struct notes *notes);
void note_free(struct note *note);
/* "failed: NAME: why (hint)"; "skipped: …", "warning: …" */
void note_text(const struct note *note, struct buf *out);
uint64_t notes_count(struct notes *notes, enum result_status status);
/* Was something read that is not what was stored? */
bool notes_have_corrupt(struct notes *notes);
/* Copy the newest failure texts, how many were conflicts, and how many warnings there were, into
 * the snapshot. */
void notes_show(struct notes *notes, struct snapshot *snapshot);
