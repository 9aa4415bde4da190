/* What a pack that is being made asks of the store: is its place free, an upload begun, its parts,
 * a small one as it is, the commit, the index beside a plain one. All is tried again as the run's
 * retries allow. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/packing_internal.h"

#define PART_STEPS 10u /* parts grow in steps: 10,000 must do for the largest object */
#define PUT_MEMBERS_MAX                                                                            \
    4096u /* a pack of more is begun as an upload, which tells what is in it                       \
           */
#define SIDECAR_SUFFIX ".index"

static struct attr pack_attr(const struct packing *packing)
{
    return (struct attr){ .kind = ENTRY_FILE,
                          .have = ATTR_MODE | ATTR_MTIME,
                          .mode = 0644,
                          .mtime_ns = packing->created_ns };
}

static struct store_put pack_put(const struct run *run, const struct packing *packing,
                                 const struct attr *attr)
{
    const struct job_spec *spec = &run->job->spec;
    return (struct store_put){ .key = packing->key.data,
                               .tag = packing->tag,
                               .attr = attr,
                               .meta = spec->meta,
                               .meta_count = spec->meta_count };
}

static int find_key(const struct run *run, struct packing *packing, struct err *err)
{
    if (packing->key.len != 0)
        return 0;
    return run->store->driver->map_key(run->store, packing->name, &packing->key, err);
}

/* Before anything of it is stored: is its place free, or may what is there be replaced? What an
 * earlier try of this generation left is. */
static int ask_place(struct worker *worker, struct packing *packing, struct err *err)
{
    struct run *run = worker->run;
    if (packing->asked)
        return 0;
    if (find_key(run, packing, err) < 0)
        return -1;
    const bool ours = packing->resumed || packing->is_again ||
                      worker_was_begun(worker, packing->segment, packing->first);
    if (!packing->resumed) {
        worker_tag(worker, run->process, packing->segment, packing->first, packing->tag);
        worker_clean_leftovers(worker, packing->segment, packing->first, packing->key.data);
        worker_clean_begun(worker, packing->segment, packing->first, packing->key.data);
    }
    if (!ours && !run->job->spec.overwrite) {
        struct object object = { 0 };
        struct err why = { 0 };
        const int found =
            store_head_patiently(run->store, packing->key.data, run->stop, &object, &why);
        object_done(&object);
        if (found == 0) {
            err_set(err, ERR_CONFLICT, "the pack exists at the destination");
            return err_hint(err, "look at it, then use --overwrite to replace it");
        }
        if (why.kind != ERR_ABSENT) {
            *err = why;
            return -1;
        }
    }
    packing->asked = true;
    return packing->resumed
               ? 0
               : ledger_intent(run->ledger, packing->segment, packing->first, packing->first, err);
}

static int begin_upload(struct worker *worker, struct packing *packing, struct err *err)
{
    struct run *run = worker->run;
    if (ask_place(worker, packing, err) < 0)
        return -1;
    if (packing->begun)
        return 0;
    const struct attr attr = pack_attr(packing);
    const struct store_put put = pack_put(run, packing, &attr);
    for (uint32_t tries = 1;
         run->store->driver->begin(run->store, &put, STORE_GROWS, packing->token, err) < 0;
         tries++) {
        atomic_fetch_add(&packing->retries, 1);
        if (worker_wait_to_retry(worker, tries, err) < 0)
            return -1;
    }
    packing->begun = true;
    struct journal_upload upload = { .segment = packing->segment,
                                     .ordinal = packing->first,
                                     .mtime_ns = packing->created_ns };
    memcpy(upload.token, packing->token, sizeof upload.token);
    return ledger_begin(run->ledger, &upload, err);
}

uint64_t packing_part_bytes(const struct store_limits *limits, uint32_t number)
{
    const uint32_t step = limits->max_parts / PART_STEPS;
    const uint32_t shift = step != 0 ? number / step : 0;
    const uint64_t least =
        limits->min_part_bytes > CHUNK_CONTENT_BYTES ? limits->min_part_bytes : CHUNK_CONTENT_BYTES;
    return least << (shift < PART_STEPS ? shift : PART_STEPS);
}

void packing_part_done(struct part *part)
{
    buf_done(&part->bytes);
    buf_done(&part->note);
}

int packing_upload_part(struct worker *worker, struct packing *packing, struct part *part,
                        struct err *err)
{
    struct run *run = worker->run;
    const struct buf *bytes =
        part->chunk != NULL ? pack_chunk_bytes(part->chunk->bytes) : &part->bytes;
    const struct attr attr = pack_attr(packing);
    const struct store_put put = pack_put(run, packing, &attr);
    struct store_part stored = { 0 };
    for (uint32_t tries = 1;; tries++) {
        struct body body = body_of_memory(bytes->data, bytes->len, NULL, &run->flow);
        if (run->store->driver->part(run->store, &put, packing->token, part->number,
                                     part->offset_bytes, &body, &stored, err) == 0) {
            stored.crc64 = part->crc64;
            break;
        }
        if (worker_wait_to_retry(worker, tries, err) < 0)
            return -1;
        atomic_fetch_add(&packing->retries, 1);
    }
    stored.number = part->number;
    stored.size_bytes = bytes->len;
    lock_take(&run->dispatch.lock);
    packing->parts = mem_resize(packing->parts, (packing->part_count + 1) * sizeof *packing->parts);
    packing->parts[packing->part_count++] = stored;
    lock_give(&run->dispatch.lock);
    /* The last one has no note: the end of a pack is made anew. */
    if (part->note.len != 0)
        ledger_pack_part(run->ledger, packing->segment, packing->first, &stored, &part->note);
    return 0;
}

/* All that is joined and in no part yet becomes one. */
int packing_cut_part(struct worker *worker, struct packing *packing, struct part *part,
                     struct err *err)
{
    if (begin_upload(worker, packing, err) < 0)
        return -1;
    const struct buf *bytes =
        part->chunk != NULL ? pack_chunk_bytes(part->chunk->bytes) : &packing->bytes;
    part->number = ++packing->part_number;
    part->offset_bytes = packing->offset_bytes;
    packing->offset_bytes += bytes->len;
    part->crc64 = packing->bytes_crc64;
    packing->bytes_crc64 = 0;
    if (part->chunk == NULL) {
        part->bytes = packing->bytes;
        packing->bytes = (struct buf){ 0 };
    }
    return 0;
}

static int put_whole(struct worker *worker, struct packing *packing, const char *key,
                     const struct buf *bytes, struct store_result *ret_stored, struct err *err)
{
    struct run *run = worker->run;
    const struct store_driver *driver = run->store->driver;
    const struct attr attr = pack_attr(packing);
    struct store_put put = pack_put(run, packing, &attr);
    put.key = key;
    for (uint32_t tries = 1;; tries++) {
        digest_reset(&worker->digest);
        struct body body = body_of_memory(bytes->data, bytes->len, &worker->digest, &run->flow);
        struct store_staged staged = { .key = key, .tag = packing->tag };
        if (driver->put(run->store, &put, &body, ret_stored, err) == 0) {
            driver->commit_batch(run->store, &staged, 1);
            *err = staged.err;
            if (err->kind == ERR_NONE)
                return 0;
        }
        atomic_fetch_add(&packing->retries, 1);
        if (worker_wait_to_retry(worker, tries, err) < 0)
            return -1;
    }
}

static int compare_parts(const void *left, const void *right)
{
    const struct store_part *a = left;
    const struct store_part *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* The upload is gone. Was it committed, by a process that was killed then, or by us, and the answer
 * was lost? */
static bool is_committed(struct worker *worker, struct packing *packing, uint64_t crc64,
                         struct store_result *ret_stored)
{
    struct run *run = worker->run;
    struct object object = { 0 };
    struct err ignored = { 0 }; /* whatever it is, the pack is made again */
    const bool same =
        store_head_patiently(run->store, packing->key.data, run->stop, &object, &ignored) == 0 &&
        object.size_bytes == packing->offset_bytes &&
        ((object.attr.have & ATTR_CRC64) == 0 || object.attr.crc64 == crc64);
    if (same)
        memcpy(ret_stored->etag, object.etag, sizeof ret_stored->etag);
    object_done(&object);
    return same;
}

static int commit(struct worker *worker, struct packing *packing, struct store_result *ret_stored,
                  struct err *err)
{
    struct run *run = worker->run;
    const struct store_driver *driver = run->store->driver;
    struct attr attr = pack_attr(packing);
    qsort(packing->parts, packing->part_count, sizeof *packing->parts, compare_parts);
    for (size_t i = 0; i < packing->part_count; i++)
        attr.crc64 =
            crc64nvme_combine(attr.crc64, packing->parts[i].crc64, packing->parts[i].size_bytes);
    attr.have |= ATTR_CRC64;
    const struct store_put put = pack_put(run, packing, &attr);
    for (uint32_t tries = 1;; tries++) {
        struct store_staged staged = { .key = packing->key.data, .tag = packing->tag };
        if (driver->commit(run->store, &put, packing->token, packing->parts, packing->part_count,
                           ret_stored, err) == 0) {
            driver->commit_batch(run->store, &staged, 1);
            *err = staged.err;
            if (err->kind == ERR_NONE)
                return 0;
        }
        if (err->kind == ERR_ABSENT && is_committed(worker, packing, attr.crc64, ret_stored)) {
            err_clear(err);
            return 0;
        }
        atomic_fetch_add(&packing->retries, 1);
        if (worker_wait_to_retry(worker, tries, err) < 0)
            return -1;
    }
}

static int put_sidecar(struct worker *worker, struct packing *packing, const char *etag,
                       struct err *err)
{
    SCOPED(buf) struct buf index = { 0 };
    SCOPED(buf) struct buf key = { 0 };
    struct store_result ignored = { 0 };
    buf_printf(&key, "%s" SIDECAR_SUFFIX, packing->key.data);
    if (pack_join_sidecar(packing->join, etag, &index, err) < 0)
        return -1;
    return put_whole(worker, packing, key.data, &index, &ignored, err);
}

int packing_store(struct worker *worker, struct packing *packing, struct store_result *stored,
                  struct err *err)
{
    const struct store_limits *limits = &worker->run->store->limits;
    if (ask_place(worker, packing, err) < 0 ||
        pack_join_tail(packing->join, &packing->bytes, err) < 0)
        return -1;
    int result = 0;
    if (!packing->begun && packing->bytes.len <= limits->max_put_bytes &&
        packing->result_count <= PUT_MEMBERS_MAX) {
        result = put_whole(worker, packing, packing->key.data, &packing->bytes, stored, err);
    } else {
        struct part part = { 0 };
        packing->bytes_crc64 = crc64nvme(0, packing->bytes.data, packing->bytes.len);
        result = packing_cut_part(worker, packing, &part, err);
        if (result == 0)
            result = packing_upload_part(worker, packing, &part, err);
        packing_part_done(&part);
        if (result == 0)
            result = commit(worker, packing, stored, err);
    }
    if (result == 0 && worker->run->job->spec.no_compress)
        result = put_sidecar(worker, packing, stored->etag, err);
    return result;
}

void packing_abandon(struct run *run, struct packing *packing)
{
    struct err ignored = { 0 }; /* `lade uploads` finds it */
    if (find_key(run, packing, &ignored) == 0)
        (void)!run->store->driver->abort(run->store, packing->key.data, packing->token, &ignored);
}
