#include "job/notes.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

void notes_init(struct notes *notes)
{
    *notes = (struct notes){ 0 };
    lock_init(&notes->lock);
}

void notes_done(struct notes *notes)
{
    for (struct note *note; (note = notes_take(notes)) != NULL;)
        note_free(note);
    lock_done(&notes->lock);
}

void notes_add(struct notes *notes, enum result_status status, const char *name,
               const struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    if (status == RESULT_FAILED) {
        path_show(&text, name);
        buf_printf(&text, ": %s", err->text);
    }
    SCOPED_LOCK(&notes->lock);
    if (status == RESULT_FAILED)
        snapshot_add_failure(&notes->failures, buf_text(&text));
    notes->conflicts += status == RESULT_FAILED && err->kind == ERR_CONFLICT;
    notes->corrupt +=
        status == RESULT_FAILED && (err->kind == ERR_CORRUPT || err->kind == ERR_DAMAGED);
    if (++notes->count[status] > NOTES_MAX)
        return;
    struct note *note = mem_alloc(sizeof *note);
    note->status = status;
    note->name = mem_string(name);
    note->err = *err;
    if (notes->last != NULL)
        notes->last->next = note;
    else
        notes->first = note;
    notes->last = note;
}

struct note *notes_take(struct notes *notes)
{
    SCOPED_LOCK(&notes->lock);
    struct note *note = notes->first;
    if (note == NULL)
        return NULL;
    notes->first = note->next;
    if (notes->first == NULL)
        notes->last = NULL;
    return note;
}

void note_free(struct note *note)
{
    mem_release(note->name);
    mem_release(note);
}

void note_text(const struct note *note, struct buf *out)
{
    buf_add_text(out, note->status == RESULT_FAILED  ? "failed: "
                      : note->status == NOTE_WARNING ? "warning: "
                                                     : "skipped: ");
    path_show(out, note->name);
    buf_printf(out, ": %s", note->err.text);
    if (note->err.hint[0] != '\0')
        buf_printf(out, " (%s)", note->err.hint);
}

uint64_t notes_count(struct notes *notes, enum result_status status)
{
    SCOPED_LOCK(&notes->lock);
    return notes->count[status];
}

bool notes_have_corrupt(struct notes *notes)
{
    SCOPED_LOCK(&notes->lock);
    return notes->corrupt != 0;
}

void notes_show(struct notes *notes, struct snapshot *snapshot)
{
    SCOPED_LOCK(&notes->lock);
    snapshot->conflict.count = notes->conflicts;
    snapshot->warned_count = notes->count[NOTE_WARNING];
    snapshot->failures_count = notes->failures.failures_count;
    memcpy(snapshot->failures, notes->failures.failures, sizeof snapshot->failures);
}
