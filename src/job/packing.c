/* Entries become a pack. Workers make chunks of it in parallel: read whole files, find them still,
 * compress. Whoever brings the next chunk in order joins it, and when there is enough for a part,
 * uploads that; the others go on. Each part is journalled with what it holds, so that another
 * process goes on behind it. A pack that is smaller than a part is put as it is. All its members
 * get their results at once, when it is stored; what could not be read is not in it and fails by
 * itself. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/packing_internal.h"

const char *packing_name(const struct packing *packing)
{
    return packing->name;
}

static size_t chunk_slabs(const struct run *run)
{
    const size_t half = pool_slab_count(run->pool) / 2;
    return half < CHUNK_SLABS ? half : CHUNK_SLABS;
}

uint32_t packing_window(const struct run *run)
{
    return (uint32_t)(pool_slab_count(run->pool) / 2 / chunk_slabs(run));
}

/* ---- lifetime ---- */

static void chunk_free(struct chunk *chunk)
{
    pack_chunk_free(chunk->bytes);
    buf_done(&chunk->content);
    buf_done(&chunk->extents);
    buf_done(&chunk->target);
    buf_done(&chunk->xattrs);
    buf_done(&chunk->results);
    buf_done(&chunk->name);
    mem_release(chunk);
}

static struct chunk *chunk_take(struct run *run)
{
    struct dispatch *dispatch = &run->dispatch;
    lock_take(&dispatch->lock);
    struct chunk *chunk = dispatch->spare_chunks;
    if (chunk != NULL)
        dispatch->spare_chunks = chunk->next;
    const uint64_t objects_bytes = dispatch->segment.sum.objects_bytes;
    lock_give(&dispatch->lock);
    if (chunk == NULL) {
        const struct job_spec *spec = &run->job->spec;
        const struct pack_options options = { .level =
                                                  spec->no_compress ? 0 : (int)spec->compress_level,
                                              .frame_bytes = pack_frame_bytes(objects_bytes) };
        chunk = mem_alloc(sizeof *chunk);
        chunk->bytes = pack_chunk_new(&options);
    }
    chunk->next = NULL;
    chunk->result_count = chunk->member_count = 0;
    chunk->piece_end = 0;
    chunk->slab_count = 0;
    return chunk;
}

/* Its memory is free for another. */
static void chunk_give(struct run *run, struct chunk *chunk)
{
    pool_give(run->pool, chunk->slabs, chunk->slab_count);
    chunk->slab_count = 0;
    pack_chunk_reset(chunk->bytes);
    buf_clear(&chunk->results);
    SCOPED_LOCK(&run->dispatch.lock);
    chunk->next = run->dispatch.spare_chunks;
    run->dispatch.spare_chunks = chunk;
    run->dispatch.chunk_count--;
    cond_wake_all(&run->dispatch.changed);
}

static void packing_free(struct packing *packing)
{
    pack_join_free(packing->join);
    packing_links_done(&packing->links);
    buf_done(&packing->key);
    buf_done(&packing->bytes);
    buf_done(&packing->results);
    mem_release(packing->parts);
    mem_release(packing->name);
    mem_release(packing);
}

static void packing_remove(struct run *run, struct packing *packing)
{
    lock_take(&run->dispatch.lock);
    struct packing **link = &run->dispatch.packings;
    while (*link != packing)
        link = &(*link)->next;
    *link = packing->next;
    lock_give(&run->dispatch.lock);
    packing_free(packing);
    dispatch_large_settled(run);
}

void packing_free_all(struct run *run)
{
    struct dispatch *dispatch = &run->dispatch;
    while (dispatch->packings != NULL) {
        struct packing *packing = dispatch->packings;
        dispatch->packings = packing->next;
        while (packing->waiting != NULL) {
            struct chunk *chunk = packing->waiting;
            packing->waiting = chunk->next;
            pool_give(run->pool, chunk->slabs, chunk->slab_count);
            chunk_free(chunk);
        }
        packing_free(packing);
    }
    while (dispatch->spare_chunks != NULL) {
        struct chunk *chunk = dispatch->spare_chunks;
        dispatch->spare_chunks = chunk->next;
        chunk_free(chunk);
    }
}

static struct pack_join *join_new(const struct run *run, const struct packing *packing)
{
    const struct job_spec *spec = &run->job->spec;
    const struct pack_info info = { .name = packing->name,
                                    .job_id = run->job->id,
                                    .generation = run->generation.number,
                                    .created_ns = packing->created_ns,
                                    .level = spec->no_compress ? 0 : spec->compress_level };
    return pack_join_new(&info, true);
}

/* ---- what an earlier process did ---- */

static void write_note(struct packing *packing, struct buf *note)
{
    const struct pack_note known = { .through = packing->through,
                                     .piece_end = packing->piece_end,
                                     .piece_crc64 = packing->piece_crc64,
                                     .piece = packing->piece,
                                     .results =
                                         view_of(buf_text(&packing->results) + packing->noted,
                                                 packing->results.len - packing->noted) };
    pack_note_encode(&known, note);
    packing->noted = packing->results.len;
    pack_join_delta(packing->join, note);
}

static bool read_note(struct packing *packing, const struct buf *bytes)
{
    struct pack_note note;
    if (pack_note_decode(&note, bytes->data, bytes->len) < 0 || note.through < packing->through)
        return false;
    packing->through = note.through;
    packing->piece_end = note.piece_end;
    packing->piece_crc64 = note.piece_crc64;
    packing->piece = note.piece;
    packing->result_count += note.result_count;
    buf_add(&packing->results, note.results.at, view_left(&note.results));
    packing->noted = packing->results.len;
    struct err ignored = { 0 }; /* what does not fit is made again */
    return pack_join_replay(packing->join, note.delta.at, view_left(&note.delta), &ignored) == 0;
}

static const struct store_part *find_part(const struct ledger_upload *upload, uint32_t number,
                                          const struct buf **ret_note)
{
    for (size_t i = upload->part_count; i > 0; i--)
        if (upload->parts[i - 1].number == number && upload->notes != NULL &&
            upload->notes[i - 1].len != 0) {
            *ret_note = &upload->notes[i - 1];
            return &upload->parts[i - 1];
        }
    return NULL;
}

/* Parts count as far as none is missing: what is in the next one is known from those before. */
static bool take_parts(struct packing *packing, const struct ledger_upload *upload)
{
    const struct buf *note = NULL;
    const struct store_part *part = NULL;
    while ((part = find_part(upload, packing->part_number + 1, &note)) != NULL) {
        if (!read_note(packing, note))
            return false;
        packing->parts =
            mem_resize(packing->parts, (packing->part_count + 1) * sizeof *packing->parts);
        packing->parts[packing->part_count++] = *part;
        packing->part_number++;
        packing->offset_bytes += part->size_bytes;
    }
    return pack_join_bytes(packing->join) == packing->offset_bytes;
}

static void start_anew(struct run *run, struct packing *packing)
{
    pack_join_free(packing->join);
    packing->created_ns = clock_now_ns();
    packing->join = join_new(run, packing);
    packing->part_number = packing->part_count = 0;
    packing->offset_bytes = 0;
    packing->through = packing->result_count = 0;
    packing->piece_end = 0;
    packing->noted = 0;
    buf_clear(&packing->results);
    packing->begun = packing->resumed = false;
}

/* Go on with what a killed process began. What it holds is not said by the token alone, so an
 * upload that does not fit what its notes say is left for `lade uploads`. */
static void resume(struct run *run, struct packing *packing)
{
    struct ledger_upload upload;
    if (!ledger_find_upload(run->ledger, packing->segment, packing->first, &upload)) {
        start_anew(run, packing);
        return;
    }
    packing->created_ns = upload.upload.mtime_ns;
    packing->join = join_new(run, packing);
    packing->begun = packing->resumed = true;
    memcpy(packing->token, upload.upload.token, sizeof packing->token);
    snprintf(packing->tag, sizeof packing->tag, "%s-%x-%x-%x-%x", run->job->id,
             run->generation.number, upload.process, packing->segment, packing->first);
    if (!take_parts(packing, &upload)) {
        ledger_drop(run->ledger, packing->segment, packing->first);
        start_anew(run, packing);
    }
    ledger_upload_done(&upload);
}

/* ---- for the dispatcher ---- */

struct packing *packing_of_locked(struct run *run, const struct plan_entry *entry)
{
    struct dispatch *dispatch = &run->dispatch;
    struct packing *packing = dispatch->packing;
    if (packing == NULL || strcmp(packing->name, entry->pack) != 0) {
        packing = mem_alloc(sizeof *packing);
        packing->segment = dispatch->segment.number;
        packing->first = entry->ordinal;
        packing->name = mem_string(entry->pack);
        packing->is_again = dispatch->is_again;
        packing->begun_ns = clock_monotonic_ns();
        resume(run, packing);
        packing->there = packing->through;
        packing->next = dispatch->packings;
        dispatch->packings = packing;
        dispatch->large_count++;
        dispatch->packing = packing;
    }
    return entry->ordinal < packing->there ? NULL : packing;
}

uint64_t packing_piece_done(const struct packing *packing, uint32_t ordinal)
{
    return packing->handed_out == 0 && packing->piece.ordinal == ordinal ? packing->piece_end : 0;
}

uint32_t packing_hand_out_locked(struct packing *packing)
{
    return packing->handed_out++;
}

static bool is_over_locked(struct packing *packing)
{
    if (!packing->closed || packing->ending || packing->users != 0 ||
        packing->joined != packing->handed_out)
        return false;
    packing->ending = true;
    return true;
}

bool packing_close_locked(struct packing *packing)
{
    packing->closed = true;
    return is_over_locked(packing);
}

/* ---- joining ---- */

static void add_results(struct packing *packing, const struct chunk *chunk)
{
    buf_add(&packing->results, buf_text(&chunk->results), chunk->results.len);
    packing->result_count += chunk->result_count;
}

/* Pieces are read in any order and by several workers: only here is it known whether they are of
 * one and the same file. */
static int take_piece(struct packing *packing, const struct chunk *chunk, struct err *err)
{
    const uint64_t before = packing->piece_end;
    if (before != 0 && !identity_same(&packing->piece, &chunk->identity)) {
        add_results(packing, chunk);
        return err_set(err, ERR_CHANGED, "'%s' changed while it was packed",
                       buf_text(&chunk->name));
    }
    packing->piece = chunk->identity;
    packing->piece_crc64 = before == 0 ? chunk->piece_crc64
                                       : crc64nvme_combine(packing->piece_crc64, chunk->piece_crc64,
                                                           chunk->piece_end - before);
    packing->piece_end = chunk->piece_end;
    if (chunk->piece_end != chunk->identity.size_bytes)
        return 0;
    struct view view = view_of(chunk->results.data, chunk->results.len);
    struct result result = { 0 };
    if (result_decode(&view, &result) == 0) {
        result.record.crc64 = packing->piece_crc64;
        result_encode(&packing->results, &result);
        packing->result_count++;
        result_done(&result);
    }
    packing->piece_end = 0;
    return 0;
}

static int take_results(struct packing *packing, const struct chunk *chunk, struct err *err)
{
    packing->through = chunk->through;
    if (chunk->piece_end != 0)
        return take_piece(packing, chunk, err);
    add_results(packing, chunk);
    return 0;
}

/* 1: there is a part to upload, which may be the chunk itself. */
static int join_chunk(struct worker *worker, struct packing *packing, struct chunk *chunk,
                      struct part *part, struct err *err)
{
    if (take_results(packing, chunk, err) < 0)
        return -1;
    if (packing->err.kind != ERR_NONE)
        return 0;
    const struct buf *bytes = pack_chunk_bytes(chunk->bytes);
    if ((bytes->len != 0 || chunk->member_count != 0) &&
        pack_join_add(packing->join, chunk->bytes, err) < 0)
        return -1;
    const uint64_t enough = packing_part_bytes(&worker->run->store->limits, packing->part_number);
    packing->bytes_crc64 =
        crc64nvme_combine(packing->bytes_crc64, pack_chunk_crc64(chunk->bytes), bytes->len);
    if (packing->bytes.len == 0 && bytes->len >= enough)
        part->chunk = chunk;
    else
        buf_add(&packing->bytes, bytes->data, bytes->len);
    if (part->chunk == NULL && packing->bytes.len < enough)
        return 0;
    write_note(packing, &part->note);
    return packing_cut_part(worker, packing, part, err) < 0 ? -1 : 1;
}

void packing_fail_locked(struct packing *packing, const struct err *err)
{
    if (packing->err.kind == ERR_NONE)
        packing->err = *err;
}

static void upload_and_count(struct worker *worker, struct packing *packing, struct part *part)
{
    struct err err = { 0 };
    const int result = packing_upload_part(worker, packing, part, &err);
    packing_part_done(part);
    SCOPED_LOCK(&worker->run->dispatch.lock);
    if (result < 0)
        packing_fail_locked(packing, &err);
}

/* Join one chunk, with the lock held, which is given back meanwhile. */
static void join_next(struct worker *worker, struct packing *packing)
{
    struct run *run = worker->run;
    struct chunk *chunk = packing->waiting;
    struct part part = { 0 };
    struct err err = { 0 };
    packing->waiting = chunk->next;
    packing->joining = true;
    lock_give(&run->dispatch.lock);

    const int cut = join_chunk(worker, packing, chunk, &part, &err);
    lock_take(&run->dispatch.lock);
    packing->joining = false;
    packing->joined++;
    if (cut < 0)
        packing_fail_locked(packing, &err);
    lock_give(&run->dispatch.lock);

    if (cut == 1)
        upload_and_count(worker, packing, &part);
    else
        packing_part_done(&part);
    /* Its memory counts until the part is away, which is as large. */
    chunk_give(run, chunk);
    lock_take(&run->dispatch.lock);
}

static void end_pack(struct worker *worker, struct packing *packing);

/* Do what can be done now: join chunks that are there in order; end the pack. */
static void deliver(struct worker *worker, struct packing *packing, struct chunk *chunk)
{
    struct lock *lock = &worker->run->dispatch.lock;
    lock_take(lock);
    struct chunk **link = &packing->waiting;
    while (*link != NULL && (*link)->sequence < chunk->sequence)
        link = &(*link)->next;
    chunk->next = *link;
    *link = chunk;
    packing->users++;
    while (!packing->joining && packing->waiting != NULL &&
           packing->waiting->sequence == packing->joined)
        join_next(worker, packing);
    packing->users--;
    const bool over = is_over_locked(packing);
    lock_give(lock);
    if (over)
        end_pack(worker, packing);
}

void packing_chunk(struct worker *worker, struct work *work)
{
    struct run *run = worker->run;
    struct chunk *chunk = chunk_take(run);
    struct err err = { 0 };
    chunk->sequence = work->sequence;
    chunk->through = work->entries[work->count - 1].ordinal + 1;
    if (work->piece_bytes != 0 &&
        work->piece_offset + work->piece_bytes < work->entries[0].size_bytes)
        chunk->through--;
    const size_t slabs = chunk_slabs(run);
    if (pool_take(run->pool, chunk->slabs, slabs, run->stop, &err) == 0)
        chunk->slab_count = slabs;
    lock_take(&run->dispatch.lock);
    if (err.kind != ERR_NONE)
        packing_fail_locked(work->packing, &err);
    const bool lost = work->packing->err.kind != ERR_NONE;
    lock_give(&run->dispatch.lock);
    if (lost)
        packing_pass_over(chunk, work);
    else
        packing_make_chunk(worker, chunk, work);
    pack_chunk_seal(chunk->bytes);
    deliver(worker, work->packing, chunk);
}

/* ---- the end ---- */

/* All members get one end: stored, with the ETag at the first, or failed. */
static void report_members(struct worker *worker, struct packing *packing, const char *etag,
                           const struct err *err)
{
    struct run *run = worker->run;
    if (err == NULL) {
        struct view view = view_of(packing->results.data, packing->results.len);
        struct result first = { 0 };
        if (view_left(&view) != 0 && result_decode(&view, &first) == 0) {
            /* A later result of an entry is the one that counts. */
            snprintf(first.record.etag, sizeof first.record.etag, "%s", etag);
            first.retries = atomic_load(&packing->retries);
            result_encode(&packing->results, &first);
            packing->result_count++;
            result_done(&first);
        }
        ledger_report_encoded(run->ledger, packing->segment, packing->result_count,
                              &packing->results);
        return;
    }
    SCOPED(buf) struct buf failed = { 0 };
    struct view view = view_of(packing->results.data, packing->results.len);
    struct result result;
    while (view_left(&view) != 0 && result_decode(&view, &result) == 0) {
        result.status = RESULT_FAILED;
        result.record = (struct record){ 0 };
        result.err = mem_copy(err, sizeof *err);
        result_encode(&failed, &result);
        result_done(&result);
    }
    ledger_report_encoded(run->ledger, packing->segment, packing->result_count, &failed);
}

static void give_up(struct worker *worker, struct packing *packing, struct err *err)
{
    struct run *run = worker->run;
    if (err_trait(err->kind)->ends_run) {
        /* Its entries stay open, and its parts are there for the next time. */
        SCOPED_LOCK(&run->dispatch.lock);
        if (run->dispatch.err.kind == ERR_NONE && err->kind != ERR_STOPPED)
            run->dispatch.err = *err;
        return;
    }
    /* What an earlier process began is not there any more: the next try begins anew. */
    if (packing->resumed && err->kind == ERR_ABSENT)
        err->kind = ERR_CHANGED;
    /* What the network broke is tried again at the end, from its first missing part. What changed
     * is in a part already. */
    const bool is_kept = err_trait(err->kind)->retry && err->kind != ERR_CHANGED &&
                         ledger_tries_again(run->ledger, packing->segment, BATCH_TRIES);
    if (packing->begun && !is_kept) {
        packing_abandon(run, packing);
        ledger_drop(run->ledger, packing->segment, packing->first);
    }
    err_at(err, "pack '%s'", packing->name);
    if (!packing->is_again)
        notes_add(&run->notes, RESULT_FAILED, packing->name, err);
    report_members(worker, packing, "", err);
}

static void end_pack(struct worker *worker, struct packing *packing)
{
    struct run *run = worker->run;
    struct err err = packing->err;
    struct store_result stored = { 0 };
    if (err.kind == ERR_NONE && stop_check(run->stop, &err) == 0 && packing->result_count != 0 &&
        packing_store(worker, packing, &stored, &err) == 0) {
        atomic_fetch_add(&run->packs, 1);
        report_members(worker, packing, stored.etag, NULL);
    }
    if (err.kind != ERR_NONE)
        give_up(worker, packing, &err);
    packing_remove(run, packing);
}

void packing_end(struct worker *worker, struct work *work)
{
    end_pack(worker, work->packing);
}
