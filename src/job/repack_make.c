/* One new pack: members in the order of their names, out of the old packs, each verified as it is
 * read; in parts to the store, then looked at. */
#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/packing_internal.h"
#include "job/repack_internal.h"

#include <string.h>

#define READERS_MAX 16u                           /* old packs that are held open for content */
#define WHOLE_BYTES_MAX (2 * CHUNK_CONTENT_BYTES) /* a file of more goes in pieces */

struct reader {
    uint32_t pack;
    uint64_t used;
    struct pack_cursor *cursor;
};

struct making {
    struct repack *repack;
    struct repack_output *output;
    struct pack_info info;
    struct reader readers[READERS_MAX];
    size_t reader_count;
    uint64_t clock;
    struct pack_chunk *chunk;
    struct pack_join *join;
    struct buf content, extents, path, target;
    /* A file in pieces. */
    const struct pack_member *piece_of;
    uint64_t piece_offset;
    /* The store. */
    char tag[STAGE_TAG_MAX];
    char token[STORE_TOKEN_MAX];
    bool begun, traced;
    struct buf bytes; /* of the next part */
    struct store_part *parts;
    size_t part_count;
    uint64_t offset_bytes, crc64;
};

static void making_done(struct making *making)
{
    for (size_t i = 0; i < making->reader_count; i++)
        pack_cursor_free(making->readers[i].cursor);
    pack_chunk_free(making->chunk);
    pack_join_free(making->join);
    buf_done(&making->content);
    buf_done(&making->extents);
    buf_done(&making->path);
    buf_done(&making->target);
    buf_done(&making->bytes);
    mem_release(making->parts);
}

static struct pack_cursor *cursor_of(struct making *making, uint32_t pack)
{
    struct reader *oldest = &making->readers[0];
    for (size_t i = 0; i < making->reader_count; i++) {
        struct reader *reader = &making->readers[i];
        if (reader->pack == pack) {
            reader->used = ++making->clock;
            return reader->cursor;
        }
        if (reader->used < oldest->used)
            oldest = reader;
    }
    if (making->reader_count < READERS_MAX)
        oldest = &making->readers[making->reader_count++];
    else
        pack_cursor_free(oldest->cursor);
    *oldest =
        (struct reader){ .pack = pack,
                         .used = ++making->clock,
                         .cursor = pack_cursor_new(making->repack->catalog.packs[pack]->pack) };
    return oldest->cursor;
}

/* ---- the store ---- */

static struct attr attr_of(const struct making *making)
{
    return (struct attr){ .kind = ENTRY_FILE,
                          .have = ATTR_MODE | ATTR_MTIME,
                          .mode = 0644,
                          .mtime_ns = making->info.created_ns };
}

static struct store_put put_of(const struct making *making, const char *key,
                               const struct attr *attr)
{
    return (struct store_put){ .key = key, .tag = making->tag, .attr = attr };
}

static int trace(struct making *making, struct err *err)
{
    struct repack *repack = making->repack;
    if (making->traced)
        return 0;
    making->traced = true;
    SCOPED_LOCK(&repack->lock);
    return repack_trace_begin(&repack->trace, making->tag, making->output->key, err);
}

static int begin(struct making *making, struct err *err)
{
    struct repack *repack = making->repack;
    if (making->begun)
        return 0;
    if (trace(making, err) < 0)
        return -1;
    const struct attr attr = attr_of(making);
    const struct store_put put = put_of(making, making->output->key, &attr);
    for (uint32_t tries = 1;
         repack->store->driver->begin(repack->store, &put, STORE_GROWS, making->token, err) < 0;
         tries++)
        if (store_wait_patiently(tries, repack->stop, err) < 0)
            return -1;
    making->begun = true;
    SCOPED_LOCK(&repack->lock);
    return repack_trace_token(&repack->trace, making->tag, making->token, err);
}

/* All that waits becomes a part. */
static int send_part(struct making *making, struct err *err)
{
    struct repack *repack = making->repack;
    if (begin(making, err) < 0)
        return -1;
    const struct attr attr = attr_of(making);
    const struct store_put put = put_of(making, making->output->key, &attr);
    struct store_part part = { 0 };
    const uint32_t number = (uint32_t)making->part_count + 1;
    for (uint32_t tries = 1;; tries++) {
        struct digest digest = { .kinds = DIGEST_CRC64NVME };
        struct body body =
            body_of_memory(making->bytes.data, making->bytes.len, &digest, &repack->flow);
        if (repack->store->driver->part(repack->store, &put, making->token, number,
                                        making->offset_bytes, &body, &part, err) == 0) {
            part.crc64 = digest.crc64;
            break;
        }
        if (store_wait_patiently(tries, repack->stop, err) < 0)
            return -1;
    }
    part.number = number;
    part.size_bytes = making->bytes.len;
    making->parts = mem_resize(making->parts, (making->part_count + 1) * sizeof *making->parts);
    making->parts[making->part_count++] = part;
    making->crc64 = crc64nvme_combine(making->crc64, part.crc64, part.size_bytes);
    making->offset_bytes += making->bytes.len;
    buf_clear(&making->bytes);
    return 0;
}

static int put_whole(struct making *making, const char *key, const struct buf *bytes,
                     struct store_result *ret_stored, struct err *err)
{
    struct repack *repack = making->repack;
    const struct attr attr = attr_of(making);
    struct store_put put = put_of(making, key, &attr);
    if (trace(making, err) < 0)
        return -1;
    for (uint32_t tries = 1;; tries++) {
        struct digest digest = { .kinds = DIGEST_CRC64NVME };
        struct body body = body_of_memory(bytes->data, bytes->len, &digest, &repack->flow);
        struct store_staged staged = { .key = key, .tag = making->tag };
        if (repack->store->driver->put(repack->store, &put, &body, ret_stored, err) == 0) {
            repack->store->driver->commit_batch(repack->store, &staged, 1);
            *err = staged.err;
            if (err->kind == ERR_NONE)
                return 0;
        }
        if (store_wait_patiently(tries, repack->stop, err) < 0)
            return -1;
    }
}

/* What is there is what was sent; *stored may lack the ETag, where the answer was lost. */
static int look_at(const struct repack *repack, const char *key, uint64_t size_bytes,
                   uint64_t crc64, struct store_result *stored, struct err *err)
{
    SCOPED(object) struct object object = { 0 };
    if (store_head_patiently(repack->store, key, repack->stop, &object, err) < 0)
        return -1;
    const bool same = object.size_bytes == size_bytes &&
                      (stored->etag[0] == '\0' || object.etag[0] == '\0' ||
                       strcmp(stored->etag, object.etag) == 0) &&
                      ((object.attr.have & ATTR_CRC64) == 0 || object.attr.crc64 == crc64);
    if (!same)
        return err_set(err, ERR_CORRUPT, "what is stored is not what was sent");
    memcpy(stored->etag, object.etag, sizeof stored->etag);
    return 0;
}

static int commit(struct making *making, struct store_result *ret_stored, struct err *err)
{
    struct repack *repack = making->repack;
    struct attr attr = attr_of(making);
    attr.have |= ATTR_CRC64;
    attr.crc64 = making->crc64;
    const struct store_put put = put_of(making, making->output->key, &attr);
    for (uint32_t tries = 1;; tries++) {
        struct store_staged staged = { .key = making->output->key, .tag = making->tag };
        if (repack->store->driver->commit(repack->store, &put, making->token, making->parts,
                                          making->part_count, ret_stored, err) == 0) {
            repack->store->driver->commit_batch(repack->store, &staged, 1);
            *err = staged.err;
            if (err->kind == ERR_NONE)
                return 0;
        }
        /* An answer that was lost: whether it is there is looked at next. */
        if (err->kind == ERR_ABSENT && tries > 1) {
            err_clear(err);
            return 0;
        }
        if (store_wait_patiently(tries, repack->stop, err) < 0)
            return -1;
    }
}

static int store_rest(struct making *making, struct store_result *stored, struct err *err)
{
    struct repack *repack = making->repack;
    if (pack_join_tail(making->join, &making->bytes, err) < 0)
        return -1;
    if (making->begun || making->bytes.len > repack->store->limits.max_put_bytes)
        return send_part(making, err) < 0 || commit(making, stored, err) < 0 ? -1 : 0;
    making->offset_bytes = making->bytes.len;
    making->crc64 = crc64nvme(0, making->bytes.data, making->bytes.len);
    return put_whole(making, making->output->key, &making->bytes, stored, err);
}

static int store_sidecar(struct making *making, struct store_result *tar, struct err *err)
{
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    struct store_result stored = { 0 };
    buf_printf(&key, "%s" PACK_INDEX_SUFFIX, making->output->key);
    if (pack_join_sidecar(making->join, tar->etag, &index, err) < 0 ||
        put_whole(making, key.data, &index, &stored, err) < 0)
        return -1;
    making->output->bytes += index.len;
    return look_at(making->repack, key.data, index.len, crc64nvme(0, index.data, index.len),
                   &stored, err);
}

static int store_pack(struct making *making, struct err *err)
{
    struct store_result stored = { 0 };
    if (store_rest(making, &stored, err) < 0 ||
        look_at(making->repack, making->output->key, making->offset_bytes, making->crc64, &stored,
                err) < 0)
        return -1;
    making->output->bytes = making->offset_bytes;
    return making->info.level == 0 ? store_sidecar(making, &stored, err) : 0;
}

/* ---- members ---- */

/* The chunk is full, or the last. While only looking nothing is kept. */
static int end_chunk(struct making *making, struct err *err)
{
    struct repack *repack = making->repack;
    pack_chunk_seal(making->chunk);
    const struct buf *bytes = pack_chunk_bytes(making->chunk);
    int result = 0;
    if (!atomic_load(&repack->looking)) {
        result = pack_join_add(making->join, making->chunk, err);
        buf_add(&making->bytes, buf_text(bytes), bytes->len);
        const uint64_t enough =
            packing_part_bytes(&repack->store->limits, (uint32_t)making->part_count);
        if (result == 0 && making->bytes.len >= enough)
            result = send_part(making, err);
    }
    pack_chunk_reset(making->chunk);
    return result == 0 ? stop_check(repack->stop, err) : -1;
}

static int end_full_chunk(struct making *making, struct err *err)
{
    return pack_chunk_size(making->chunk) >= CHUNK_CONTENT_BYTES ? end_chunk(making, err) : 0;
}

static void add_extent(struct buf *extents, uint64_t offset, uint64_t len)
{
    if (len == 0)
        return;
    struct pack_extent *last = (struct pack_extent *)(void *)extents->data;
    const size_t count = extents->len / sizeof *last;
    if (count != 0 && last[count - 1].offset_bytes + last[count - 1].len_bytes == offset) {
        last[count - 1].len_bytes += len;
        return;
    }
    const struct pack_extent extent = { .offset_bytes = offset, .len_bytes = len };
    buf_add(extents, &extent, sizeof extent);
}

static int take_whole(void *ctx, const struct pack_member *member, uint64_t offset_bytes,
                      const void *bytes, size_t len, struct err *err)
{
    struct making *making = ctx;
    (void)err;
    if (member->sparse)
        add_extent(&making->extents, offset_bytes, len);
    buf_add(&making->content, bytes, len);
    return 0;
}

static int add_piece(struct making *making, struct err *err)
{
    if (making->content.len == 0)
        return 0;
    pack_chunk_piece(making->chunk, making->piece_of, making->piece_offset, making->content.data,
                     making->content.len);
    making->piece_offset += making->content.len;
    buf_clear(&making->content);
    return end_full_chunk(making, err);
}

static int take_pieces(void *ctx, const struct pack_member *member, uint64_t offset_bytes,
                       const void *bytes, size_t len, struct err *err)
{
    struct making *making = ctx;
    (void)member;
    (void)offset_bytes;
    buf_add(&making->content, bytes, len);
    return making->content.len >= CHUNK_CONTENT_BYTES ? add_piece(making, err) : 0;
}

static void set_extents(struct making *making, struct pack_member *member)
{
    member->extents = (const struct pack_extent *)(const void *)making->extents.data;
    member->extent_count = making->extents.len / sizeof(struct pack_extent);
}

static int read_extents(struct making *making, struct pack_cursor *cursor,
                        const struct pack_member *from, struct err *err)
{
    const struct pack_extent *extents = NULL;
    size_t count = 0;
    if (pack_read_map(cursor, from, &extents, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        add_extent(&making->extents, extents[i].offset_bytes, extents[i].len_bytes);
    return 0;
}

/* `as` is the member as it is to be, its content that of `from`. 1: it is damaged, and nothing of
 * it was added, or (looking by then) it does not matter. */
static int add_file(struct making *making, uint32_t pack, const struct pack_member *from,
                    struct pack_member *as, struct err *err)
{
    struct pack_cursor *cursor = cursor_of(making, pack);
    const bool whole = from->stored_bytes <= WHOLE_BYTES_MAX;
    buf_clear(&making->content);
    buf_clear(&making->extents);
    int result = 0;
    if (whole) {
        result = pack_read(cursor, from, 0, UINT64_MAX, take_whole, making, err);
    } else {
        if (from->sparse && read_extents(making, cursor, from, err) < 0)
            return -1;
        set_extents(making, as);
        making->piece_of = as;
        making->piece_offset = 0;
        result = pack_read(cursor, from, 0, UINT64_MAX, take_pieces, making, err);
        if (result == 0)
            result = add_piece(making, err);
    }
    if (result < 0 || !whole)
        return result;
    set_extents(making, as);
    pack_chunk_add(making->chunk, as, buf_text(&making->content), making->content.len);
    return 0;
}

/* Is this file, of the same old pack, a member of the new one before? */
static int goes_along(struct making *making, uint32_t pack, const struct pack_member *file,
                      bool *ret_along, struct err *err)
{
    struct repack *repack = making->repack;
    SCOPED(buf) struct buf name = { 0 };
    struct merge_name found;
    *ret_along = false;
    if (!catalog_name(repack->catalog.packs[pack], file, &name) ||
        strcmp(name.data, making->output->first) < 0)
        return 0;
    struct merge *merge = merge_new(&repack->set, name.data);
    int got = merge_next(merge, &found, err);
    if (got == 1 && strcmp(found.text, name.data) == 0 && found.pack == pack)
        got = repack_wants(repack, &found, err);
    else if (got == 1)
        got = 0;
    merge_free(merge);
    if (got < 0)
        return -1;
    *ret_along = got == 1;
    return 0;
}

/* A hard link stays one where its file comes along; else it becomes that file. */
static int add_hard_link(struct making *making, const struct merge_name *name,
                         struct pack_member *member, struct err *err)
{
    struct pack_cursor *cursor = cursor_of(making, name->pack);
    struct pack_member file;
    bool along = false;
    SCOPED(buf) struct buf path = { 0 };
    buf_add(&path, member->target, member->target_len);
    const int got = pack_find(cursor, path.data, path.len, &file, err);
    if (got < 0)
        return -1;
    if (got == 0 || file.kind != PACK_FILE)
        return err_set(err, ERR_CORRUPT, "the pack lacks what it is a hard link of");
    if (goes_along(making, name->pack, &file, &along, err) < 0)
        return -1;
    if (along) {
        buf_clear(&making->target);
        if (!catalog_name(making->repack->catalog.packs[name->pack], &file, &making->target))
            along = false;
        member->target = making->target.data;
        member->target_len = (uint32_t)making->target.len;
    }
    if (along) {
        pack_chunk_add(making->chunk, member, NULL, 0);
        return 0;
    }
    member->kind = PACK_FILE;
    member->target = NULL;
    member->target_len = 0;
    member->sparse = file.sparse;
    return add_file(making, name->pack, &file, member, err);
}

static size_t suffix_bytes(enum pack_kind kind)
{
    return kind == PACK_DIR ? 1 : kind == PACK_LINK ? sizeof LINK_SUFFIX - 1 : 0;
}

static int add_member(struct making *making, const struct merge_name *name, struct err *err)
{
    const struct pack_member *from = &name->member;
    struct pack_member member = *from;
    buf_clear(&making->path);
    buf_add_text(&making->path, name->text);
    buf_cut(&making->path,
            making->path.len - suffix_bytes(from->kind == PACK_GONE ? from->was : from->kind));
    member.path = making->path.data;
    member.path_len = (uint32_t)making->path.len;
    if (from->kind == PACK_FILE)
        return add_file(making, name->pack, from, &member, err);
    if (from->kind == PACK_HARDLINK)
        return add_hard_link(making, name, &member, err);
    pack_chunk_add(making->chunk, &member, NULL, 0);
    return 0;
}

/* Its place in the tree can be longer than it was in its pack, but no longer than a pack takes. */
static int add_name(struct making *making, const struct merge_name *name, struct err *err)
{
    struct repack *repack = making->repack;
    if (strlen(name->text) > PACK_PATH_MAX)
        return err_set(err, ERR_LIMIT, "a name of more than %u bytes", PACK_PATH_MAX);
    if (add_member(making, name, err) == 0) {
        making->output->members++;
        return end_full_chunk(making, err);
    }
    if (err->kind != ERR_CORRUPT && err->kind != ERR_DAMAGED)
        return -1;
    repack_note_damage(repack, name->pack, name->text, err);
    err_clear(err);
    /* Nothing of it may be in the pack, and this pack is not to be: see repack.looking. */
    pack_chunk_free(making->chunk);
    const struct pack_options options = { .level = (int)making->info.level };
    making->chunk = pack_chunk_new(&options);
    return 0;
}

static int add_all(struct making *making, struct err *err)
{
    struct repack *repack = making->repack;
    struct merge_name name;
    struct merge *merge = merge_new(&repack->set, making->output->first);
    int got;
    while ((got = merge_next(merge, &name, err)) == 1 &&
           strcmp(name.text, making->output->last) <= 0) {
        if (repack->sources[name.pack].family != making->output->family)
            continue;
        const int wanted = repack_wants(repack, &name, err);
        if (wanted < 0 || (wanted == 1 && add_name(making, &name, err) < 0)) {
            got = -1;
            break;
        }
    }
    merge_free(merge);
    return got < 0 ? -1 : end_chunk(making, err);
}

static void give_up(struct making *making)
{
    struct store *store = making->repack->store;
    struct err ignored = { 0 }; /* the trace has it */
    if (making->begun)
        (void)!store->driver->abort(store, making->output->key, making->token, &ignored);
}

static int make(struct making *making, struct err *err)
{
    if (add_all(making, err) < 0)
        return -1;
    if (atomic_load(&making->repack->looking)) {
        give_up(making);
        return 0;
    }
    return store_pack(making, err);
}

int repack_make(struct repack *repack, struct repack_output *output, struct err *err)
{
    const struct repack_family *family = &repack->families[output->family];
    struct making making = { .repack = repack, .output = output };
    making.info =
        (struct pack_info){ .name = output->key,
                            .job_id = family->job_id,
                            .generation = family->generation,
                            .created_ns = family->created_ns,
                            .merged = family->merged,
                            .level = repack->options->no_compress ? 0 : repack->options->level };
    const struct pack_options options = { .level = (int)making.info.level,
                                          .frame_bytes = pack_frame_bytes(output->content_bytes) };
    making.chunk = pack_chunk_new(&options);
    making.join = pack_join_new(&making.info, false);
    snprintf(making.tag, sizeof making.tag, "%s-%zu", output->key,
             (size_t)(output - repack->outputs));
    output->members = 0;
    const int result = make(&making, err);
    if (result < 0)
        give_up(&making);
    making_done(&making);
    return result < 0 ? err_at(err, "pack '%s'", output->key) : 0;
}
