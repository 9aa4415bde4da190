/* The members of a chunk of a pack: read whole and found still before a byte of them is in it. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/packing_internal.h"
#include "job/xattrs.h"

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

static void set_xattrs(struct pack_member *member, const struct buf *xattrs)
{
    member->xattrs = xattrs->data;
    member->xattrs_len = (uint32_t)xattrs->len;
}

/* Appended to out. */
static int read_range(int fd, uint64_t offset, uint64_t len, struct buf *out, struct err *err)
{
    const size_t start = out->len;
    buf_reserve(out, (size_t)len);
    while (out->len - start < len) {
        const size_t have = out->len - start;
        const ssize_t got =
            pread(fd, out->data + out->len, (size_t)len - have, (off_t)(offset + have));
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

/* ---- holes ---- */

#define EXTENTS_MAX 65536u /* a file of more is written without holes */

static void add_extent(struct buf *extents, uint64_t from, uint64_t to)
{
    const struct pack_extent extent = { .offset_bytes = from, .len_bytes = to - from };
    buf_add(extents, &extent, sizeof extent);
}

/* Where its data is: 1, or 0: it has no holes, or the file system does not say. What is found must
 * hold for the size that the file was opened with. */
static int find_extents(const struct source_file *file, struct buf *extents)
{
    buf_clear(extents);
    if (file->disk_bytes >= file->size_bytes)
        return 0;
    uint64_t at = 0;
    while (at < file->size_bytes) {
        const off_t data = lseek(file->fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        const off_t hole = data < 0 ? -1 : lseek(file->fd, data, SEEK_HOLE);
        if (data < (off_t)at || hole <= data ||
            extents->len >= EXTENTS_MAX * sizeof(struct pack_extent))
            return 0;
        if ((uint64_t)data >= file->size_bytes)
            break;
        at = (uint64_t)hole < file->size_bytes ? (uint64_t)hole : file->size_bytes;
        add_extent(extents, (uint64_t)data, at);
    }
    const struct pack_extent *all = (const struct pack_extent *)(const void *)extents->data;
    return extents->len == 0 || all[0].len_bytes != file->size_bytes;
}

static void set_extents(struct pack_member *member, const struct buf *extents)
{
    member->sparse = true;
    member->extents = (const struct pack_extent *)(const void *)extents->data;
    member->extent_count = extents->len / sizeof(struct pack_extent);
}

/* The CRC of what it is of, followed by so many zeros. */
static uint64_t crc_zeros(uint64_t crc, uint64_t count)
{
    return ~crc64nvme_combine(~crc, 0, count);
}

/* Data of a sparse file in [from, to) of its content, appended to out; *ret_before: how much data
 * is before it. The CRC is of all of the range. */
static int read_data(int fd, const struct pack_member *member, uint64_t from, uint64_t to,
                     struct buf *out, uint64_t *ret_before, uint64_t *ret_crc64, struct err *err)
{
    uint64_t at = from;
    *ret_before = *ret_crc64 = 0;
    for (size_t i = 0; i < member->extent_count; i++) {
        const struct pack_extent *extent = &member->extents[i];
        const uint64_t end = extent->offset_bytes + extent->len_bytes;
        if (extent->offset_bytes < from)
            *ret_before += (end < from ? end : from) - extent->offset_bytes;
        const uint64_t first = extent->offset_bytes > from ? extent->offset_bytes : from;
        const uint64_t last = end < to ? end : to;
        if (first >= last)
            continue;
        const size_t start = out->len;
        *ret_crc64 = crc_zeros(*ret_crc64, first - at);
        if (read_range(fd, first, last - first, out, err) < 0)
            return -1;
        *ret_crc64 = crc64nvme(*ret_crc64, out->data + start, (size_t)(last - first));
        at = last;
    }
    *ret_crc64 = crc_zeros(*ret_crc64, to - at);
    return 0;
}

/* ---- files ---- */

/* Another name of a file that is in the pack before. */
static bool is_link(struct worker *worker, struct chunk *chunk, struct packing *packing,
                    const struct plan_entry *entry, const struct source_file *file,
                    struct pack_member *member)
{
    if (file->nlink < 2)
        return false;
    SCOPED_LOCK(&worker->run->dispatch.lock);
    const struct packing_link *link = packing_links_find(&packing->links, file, entry->ordinal);
    if (link == NULL)
        return false;
    buf_clear(&chunk->target);
    buf_add_text(&chunk->target, link->path);
    member->kind = PACK_HARDLINK;
    member->crc64 = link->crc64;
    member->target = chunk->target.data;
    member->target_len = (uint32_t)chunk->target.len;
    return true;
}

static int read_content(struct chunk *chunk, const struct source_file *file,
                        struct pack_member *member, struct err *err)
{
    uint64_t before = 0;
    buf_clear(&chunk->content);
    if (find_extents(file, &chunk->extents) == 1) {
        set_extents(member, &chunk->extents);
        return read_data(file->fd, member, 0, file->size_bytes, &chunk->content, &before,
                         &member->crc64, err);
    }
    if (read_range(file->fd, 0, file->size_bytes, &chunk->content, err) < 0)
        return -1;
    member->crc64 = crc64nvme(0, buf_text(&chunk->content), chunk->content.len);
    return 0;
}

/* A file, whole and found still. */
static int read_file_once(struct worker *worker, struct chunk *chunk, struct packing *packing,
                          const struct plan_entry *entry, struct pack_member *member,
                          struct source_file *ret_file, struct err *err)
{
    struct source_file file;
    if (source_open(&file, &worker->dirs, entry->name, err) < 0)
        return -1;
    int result = 0;
    *member = member_of(entry);
    set_file(member, &file);
    xattrs_read(&worker->run->job->spec, file.fd, &chunk->xattrs, &chunk->why);
    set_xattrs(member, &chunk->xattrs);
    if (file.size_bytes > 2 * CHUNK_CONTENT_BYTES)
        result = err_set(err, ERR_CHANGED, "grew to %llu bytes since the plan was made",
                         (unsigned long long)file.size_bytes);
    if (result == 0 && !is_link(worker, chunk, packing, entry, &file, member))
        result = read_content(chunk, &file, member, err);
    if (result == 0)
        result = source_check(&file, &worker->dirs, entry->name, err);
    source_close(&file);
    *ret_file = file;
    return result;
}

static int read_file(struct worker *worker, struct chunk *chunk, struct packing *packing,
                     const struct plan_entry *entry, struct pack_member *member,
                     struct source_file *ret_file, struct err *err)
{
    uint32_t changed = 0;
    for (uint32_t tries = 1;
         read_file_once(worker, chunk, packing, entry, member, ret_file, err) < 0; tries++)
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
    err_clear(&chunk->why);
    struct source_file file = { 0 };
    if (entry->kind == ENTRY_FILE &&
        read_file(worker, chunk, work->packing, entry, &member, &file, &err) < 0) {
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
    if (entry->kind == ENTRY_DIR) {
        xattrs_read_dir(&worker->run->job->spec, &worker->run->sources, entry->name, &chunk->xattrs,
                        &chunk->why);
        set_xattrs(&member, &chunk->xattrs);
    }
    if (is_same(entry, &member)) {
        keep(worker, work, entry, &member);
        return;
    }
    pack_chunk_add(chunk->bytes, &member, buf_text(&chunk->content), chunk->content.len);
    xattrs_tell(&worker->run->notes, entry->name, &chunk->why);
    chunk->member_count++;
    add_result(chunk, entry, &member, status_of(entry));
    if (member.kind == PACK_FILE && file.nlink > 1) {
        SCOPED_LOCK(&worker->run->dispatch.lock);
        packing_links_add(&work->packing->links, &file, entry->ordinal, entry->name, member.crc64);
    }
}

/* A piece of a sparse file: the data in it, which may be none. What ends the data ends the file. */
static int read_sparse_piece(struct chunk *chunk, const struct work *work, int fd,
                             const struct pack_member *member, struct err *err)
{
    uint64_t before = 0;
    if (read_data(fd, member, work->piece_offset, work->piece_offset + work->piece_bytes,
                  &chunk->content, &before, &chunk->piece_crc64, err) < 0)
        return -1;
    chunk->data_offset = before;
    chunk->has_data =
        chunk->content.len != 0 || (member->extent_count == 0 && work->piece_offset == 0);
    return 0;
}

static int read_piece(struct chunk *chunk, const struct work *work, int fd,
                      const struct pack_member *member, struct err *err)
{
    buf_clear(&chunk->content);
    if (member->sparse)
        return read_sparse_piece(chunk, work, fd, member, err);
    if (read_range(fd, work->piece_offset, work->piece_bytes, &chunk->content, err) < 0)
        return -1;
    chunk->piece_crc64 = crc64nvme(0, chunk->content.data, chunk->content.len);
    chunk->data_offset = work->piece_offset;
    chunk->has_data = true;
    return 0;
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
    set_file(&member, &file);
    xattrs_read(&worker->run->job->spec, file.fd, &chunk->xattrs, &chunk->why);
    set_xattrs(&member, &chunk->xattrs);
    chunk->identity = (struct identity){ .ordinal = entry->ordinal,
                                         .ino = file.ino,
                                         .size_bytes = file.size_bytes,
                                         .mtime_ns = file.mtime_ns,
                                         .ctime_ns = file.ctime_ns };
    if (find_extents(&file, &chunk->extents) == 1) {
        set_extents(&member, &chunk->extents);
        /* Never 0, which says that there are no holes. */
        chunk->identity.map_crc64 = crc64nvme(1, buf_text(&chunk->extents), chunk->extents.len) | 1;
    }
    int result = file.size_bytes == entry->size_bytes
                     ? 0
                     : err_set(err, ERR_CHANGED, "changed since the plan was made");
    if (result == 0)
        result = read_piece(chunk, work, file.fd, &member, err);
    if (result == 0)
        result = source_check(&file, &worker->dirs, entry->name, err);
    if (result == 0) {
        buf_clear(&chunk->name);
        buf_add_text(&chunk->name, entry->name);
        chunk->piece_end = work->piece_offset + work->piece_bytes;
        if (chunk->has_data) {
            pack_chunk_piece(chunk->bytes, &member, chunk->data_offset, buf_text(&chunk->content),
                             chunk->content.len);
            chunk->member_count++;
        }
        add_result(chunk, entry, &member, status_of(entry));
        if (work->piece_offset == 0)
            xattrs_tell(&worker->run->notes, entry->name, &chunk->why);
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
