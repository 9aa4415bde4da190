/* The members of a chunk of a pack: read whole and found still before a byte of them is in it. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/packing_internal.h"

#include <errno.h>
#include <unistd.h>

/* Of a link its target is the content. */
static uint64_t content_bytes(const struct pack_member *member)
{
    return member->kind == PACK_LINK ? member->target_len : member->size_bytes;
}

static uint64_t content_crc64(const struct pack_member *member)
{
    return member->kind == PACK_LINK ? crc64nvme(0, member->target, member->target_len)
                                     : member->crc64;
}

static void add_result(struct chunk *chunk, const struct plan_entry *entry,
                       const struct pack_member *member, enum result_status status)
{
    const struct result result = {
        .ordinal = entry->ordinal,
        .status = status,
        .size_bytes = content_bytes(member),
        .mtime_ns = member->mtime_ns,
        .record = { .known = true, .racy = member->racy, .crc64 = content_crc64(member) }
    };
    result_encode(&chunk->results, &result);
    chunk->result_count++;
}

static enum result_status status_of(const struct plan_entry *entry)
{
    return entry->action == PLAN_NEW ? RESULT_DONE : RESULT_REPLACED;
}

static struct pack_member member_of(const struct plan_entry *entry)
{
    static const enum pack_kind kinds[] = { [ENTRY_FILE] = PACK_FILE,
                                            [ENTRY_DIR] = PACK_DIR,
                                            [ENTRY_LINK] = PACK_LINK,
                                            [ENTRY_GONE] = PACK_GONE };
    const bool is_dir = entry->name[entry->name_len - 1] == '/';
    return (struct pack_member){ .path = entry->name,
                                 .path_len = entry->name_len - is_dir,
                                 .kind = kinds[entry->kind],
                                 .was = is_dir ? PACK_DIR : PACK_FILE,
                                 .mode = entry->mode,
                                 .uid = entry->uid,
                                 .gid = entry->gid,
                                 .mtime_ns = entry->mtime_ns };
}

static void set_file(struct pack_member *member, const struct source_file *file)
{
    member->mode = file->mode;
    member->uid = file->uid;
    member->gid = file->gid;
    member->mtime_ns = file->mtime_ns;
    member->size_bytes = file->size_bytes;
    member->racy = source_racy(file);
}

static int read_range(int fd, uint64_t offset, uint64_t len, struct buf *out, struct err *err)
{
    buf_clear(out);
    buf_reserve(out, (size_t)len);
    while (out->len < len) {
        const ssize_t got =
            pread(fd, out->data + out->len, (size_t)len - out->len, (off_t)(offset + out->len));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_SOURCE, "read");
        if (got == 0)
            return err_set(err, ERR_CHANGED, "shrank while it was read");
        out->len += (size_t)got;
    }
    return 0;
}

/* A file, whole and found still. */
static int read_file_once(struct worker *worker, struct chunk *chunk,
                          const struct plan_entry *entry, struct pack_member *member,
                          struct err *err)
{
    struct source_file file;
    if (source_open(&file, &worker->dirs, entry->name, err) < 0)
        return -1;
    int result = 0;
    if (file.size_bytes > 2 * CHUNK_CONTENT_BYTES)
        result = err_set(err, ERR_CHANGED, "grew to %llu bytes since the plan was made",
                         (unsigned long long)file.size_bytes);
    if (result == 0)
        result = read_range(file.fd, 0, file.size_bytes, &chunk->content, err);
    if (result == 0)
        result = source_check(&file, &worker->dirs, entry->name, err);
    if (result == 0) {
        set_file(member, &file);
        member->crc64 = crc64nvme(0, buf_text(&chunk->content), chunk->content.len);
    }
    source_close(&file);
    return result;
}

static int read_file(struct worker *worker, struct chunk *chunk, const struct plan_entry *entry,
                     struct pack_member *member, struct err *err)
{
    uint32_t changed = 0;
    for (uint32_t tries = 1; read_file_once(worker, chunk, entry, member, err) < 0; tries++)
        if ((err->kind == ERR_CHANGED && ++changed == CHANGED_TRIES) ||
            worker_wait_to_retry(worker, tries, err) < 0)
            return -1;
    return 0;
}

/* Not in the pack, and told at once. */
static void settle_apart(struct worker *worker, const struct work *work,
                         const struct plan_entry *entry, struct result *result)
{
    struct run *run = worker->run;
    result->ordinal = entry->ordinal;
    if (result->err != NULL && err_trait(result->err->kind)->ends_run) {
        lock_take(&run->dispatch.lock);
        if (run->dispatch.err.kind == ERR_NONE && result->err->kind != ERR_STOPPED)
            run->dispatch.err = *result->err;
        /* It stays open, so the pack must not be stored without it. */
        packing_fail_locked(work->packing, result->err);
        lock_give(&run->dispatch.lock);
        result_done(result);
        return;
    }
    if (result->status == RESULT_FAILED && !work->is_again)
        notes_add(&run->notes, RESULT_FAILED, entry->name, result->err);
    worker_report_one(worker, work->segment, result);
}

static void fail_entry(struct worker *worker, const struct work *work,
                       const struct plan_entry *entry, const struct err *err)
{
    struct result result = { .status = RESULT_FAILED,
                             .size_bytes = entry->size_bytes,
                             .mtime_ns = entry->mtime_ns,
                             .err = mem_copy(err, sizeof *err) };
    settle_apart(worker, work, entry, &result);
}

static bool is_same(const struct plan_entry *entry, const struct pack_member *member)
{
    return entry->action == PLAN_COMPARE && entry->record.known &&
           entry->record.crc64 == content_crc64(member) &&
           entry->size_bytes == content_bytes(member);
}

static void keep(struct worker *worker, const struct work *work, const struct plan_entry *entry,
                 const struct pack_member *member)
{
    struct result result = { .status = RESULT_UNCHANGED,
                             .size_bytes = content_bytes(member),
                             .mtime_ns = member->mtime_ns,
                             .record = entry->record };
    result.record.racy = member->racy;
    settle_apart(worker, work, entry, &result);
}

static void add_entry(struct worker *worker, struct chunk *chunk, const struct work *work,
                      const struct plan_entry *entry)
{
    struct pack_member member = member_of(entry);
    struct err err = { 0 };
    buf_clear(&chunk->content);
    if (entry->kind == ENTRY_FILE && read_file(worker, chunk, entry, &member, &err) < 0) {
        fail_entry(worker, work, entry, &err);
        return;
    }
    if (entry->kind == ENTRY_LINK) {
        if (source_read_link(&worker->dirs, entry->name, &worker->text, &err) < 0) {
            fail_entry(worker, work, entry, &err);
            return;
        }
        member.target = buf_text(&worker->text);
        member.target_len = (uint32_t)worker->text.len;
    }
    if (is_same(entry, &member)) {
        keep(worker, work, entry, &member);
        return;
    }
    pack_chunk_add(chunk->bytes, &member, buf_text(&chunk->content), chunk->content.len);
    chunk->member_count++;
    add_result(chunk, entry, &member, status_of(entry));
}

/* Its header may be at the store already, so when the file moves the whole pack is spoilt. */
static int add_piece(struct worker *worker, struct chunk *chunk, const struct work *work,
                     struct err *err)
{
    const struct plan_entry *entry = &work->entries[0];
    struct pack_member member = member_of(entry);
    struct source_file file;
    if (source_open(&file, &worker->dirs, entry->name, err) < 0)
        return -1;
    chunk->identity = (struct identity){ .ordinal = entry->ordinal,
                                         .ino = file.ino,
                                         .size_bytes = file.size_bytes,
                                         .mtime_ns = file.mtime_ns,
                                         .ctime_ns = file.ctime_ns };
    int result = file.size_bytes == entry->size_bytes
                     ? 0
                     : err_set(err, ERR_CHANGED, "changed since the plan was made");
    if (result == 0)
        result = read_range(file.fd, work->piece_offset, work->piece_bytes, &chunk->content, err);
    if (result == 0)
        result = source_check(&file, &worker->dirs, entry->name, err);
    if (result == 0) {
        set_file(&member, &file);
        buf_clear(&chunk->name);
        buf_add_text(&chunk->name, entry->name);
        chunk->piece_end = work->piece_offset + work->piece_bytes;
        chunk->piece_crc64 = crc64nvme(0, chunk->content.data, chunk->content.len);
        pack_chunk_piece(chunk->bytes, &member, work->piece_offset, chunk->content.data,
                         chunk->content.len);
        chunk->member_count++;
        add_result(chunk, entry, &member, status_of(entry));
    }
    source_close(&file);
    return result;
}

void packing_make_chunk(struct worker *worker, struct chunk *chunk, const struct work *work)
{
    struct err err = { 0 };
    if (work->piece_bytes != 0) {
        if (add_piece(worker, chunk, work, &err) == 0)
            return;
        err_at(&err, "'%s'", work->entries[0].name);
        packing_pass_over(chunk, work); /* it fails with the pack, and has no other end */
        SCOPED_LOCK(&worker->run->dispatch.lock);
        packing_fail_locked(work->packing, &err);
        return;
    }
    for (uint32_t i = 0; i < work->count; i++) {
        if (stop_check(worker->run->stop, &err) < 0) {
            SCOPED_LOCK(&worker->run->dispatch.lock);
            packing_fail_locked(work->packing, &err);
            return;
        }
        add_entry(worker, chunk, work, &work->entries[i]);
    }
}

void packing_pass_over(struct chunk *chunk, const struct work *work)
{
    for (uint32_t i = 0; i < work->count; i++) {
        const struct pack_member member = member_of(&work->entries[i]);
        add_result(chunk, &work->entries[i], &member, status_of(&work->entries[i]));
    }
}
