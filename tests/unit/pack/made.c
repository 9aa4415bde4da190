#include "made.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/xattr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NAME_MAX_BYTES 255

/* ---- members ---- */

/* A component: short or long, of few letters or of any bytes. */
static void add_component(struct buf *path, uint64_t *random)
{
    static const char *const ends[] = { "", "", ".jpg", ".TXT", ".tar.gz", ".rclonelink" };
    const size_t kind = random_below(random, 8);
    const size_t len =
        1 + (kind == 0 ? random_below(random, NAME_MAX_BYTES - 12) : random_below(random, 9));
    const size_t from = path->len;
    for (size_t i = 0; i < len; i++) {
        char c = (char)('a' + random_below(random, 4));
        if (kind < 3)
            c = (char)(1 + random_below(random, 255));
        buf_add_char(path, c == '/' ? '~' : c);
    }
    if (path->data[from] == '.')
        path->data[from] = ',';
    buf_add_text(path, ends[random_below(random, sizeof ends / sizeof *ends)]);
}

static void random_path(struct buf *path, uint64_t *random)
{
    const size_t depth = 1 + random_below(random, random_below(random, 20) == 0 ? 24 : 4);
    for (size_t i = 0; i < depth; i++) {
        if (i != 0)
            buf_add_char(path, '/');
        add_component(path, random);
    }
}

static int64_t random_time(uint64_t *random)
{
    const int64_t second = INT64_C(1000000000);
    switch (random_below(random, 8)) {
    case 0:
        return -(int64_t)random_below(random, 1000000000) * 1000 - 1;
    case 1:
        return -(int64_t)random_below(random, 100000) * second;
    case 2:
        return 0;
    case 3:
        return (INT64_C(8589934592) + (int64_t)random_below(random, 10000)) * second + 5;
    case 4:
        return (int64_t)random_below(random, 1600000000) * second;
    default:
        return (int64_t)random_below(random, 1600000000) * second +
               (int64_t)random_below(random, 1000000000);
    }
}

static size_t random_size(uint64_t *random, uint32_t frame_bytes)
{
    static const int around[] = { -513, -512, -511, -1, 0, 1, 511, 512, 513 };
    const size_t border = random_below(random, 12);
    if (border == 0)
        return frame_bytes + (size_t)around[random_below(random, 9)];
    if (border == 1)
        return frame_bytes * 5 / 4 + (size_t)around[random_below(random, 9)] - 1536;
    if (border == 2)
        return 3 * frame_bytes + random_below(random, 1000);
    if (border < 6)
        return 1024 + (size_t)around[random_below(random, 9)];
    return border == 6 ? 0 : random_below(random, 5000);
}

static void random_bytes(struct buf *bytes, size_t len, uint64_t *random)
{
    const bool raw = random_below(random, 3) == 0;
    buf_reserve(bytes, len);
    for (size_t i = 0; i < len; i++)
        bytes->data[i] = (char)(raw ? random_next(random) >> 32 : 'a' + random_below(random, 3));
    bytes->len = len;
    bytes->data[len] = '\0';
}

static void make_sparse(struct made_member *made, uint64_t *random)
{
    const size_t count = random_below(random, 5);
    uint64_t at = random_below(random, 2) * random_below(random, 5000);
    for (size_t i = 0; i < count; i++) {
        const struct pack_extent extent = { .offset_bytes = at,
                                            .len_bytes = 1 + random_below(random, 30000) };
        const size_t from = made->data.len;
        for (uint64_t j = 0; j < extent.len_bytes; j++)
            buf_add_char(&made->data, (char)random_next(random));
        buf_reserve(&made->content, (size_t)(at + extent.len_bytes - made->content.len));
        memset(made->content.data + made->content.len, 0, (size_t)at - made->content.len);
        made->content.len = (size_t)at;
        buf_add(&made->content, made->data.data + from, (size_t)extent.len_bytes);
        buf_add(&made->extents, &extent, sizeof extent);
        at += extent.len_bytes + 1 + random_below(random, 100000);
    }
    if (count == 0 || random_below(random, 2) == 0) {
        const size_t more = random_below(random, 100000);
        buf_reserve(&made->content, more);
        memset(made->content.data + made->content.len, 0, more + 1);
        made->content.len += more;
    }
    made->member.sparse = true;
}

/* What is derived: pointers, sizes, the key. */
static void settle(struct made_member *made)
{
    struct pack_member *member = &made->member;
    member->path = made->path.data;
    member->path_len = (uint32_t)made->path.len;
    if (member->kind == PACK_FILE) {
        member->size_bytes = made->content.len;
        member->crc64 = crc64nvme(0, buf_text(&made->content), made->content.len);
    }
    if (member->kind == PACK_LINK || member->kind == PACK_HARDLINK) {
        member->target = made->target.data;
        member->target_len = (uint32_t)made->target.len;
    }
    member->extents = (const struct pack_extent *)(const void *)made->extents.data;
    member->extent_count = made->extents.len / sizeof(struct pack_extent);
    buf_clear(&made->key);
    pack_member_key(member, &made->key);
}

static void random_member(struct made_member *made, uint64_t *random, uint32_t frame_bytes)
{
    static const enum pack_kind kinds[] = { PACK_FILE, PACK_FILE, PACK_FILE, PACK_FILE,
                                            PACK_DIR,  PACK_LINK, PACK_GONE, PACK_HARDLINK };
    struct pack_member *member = &made->member;
    *made = (struct made_member){ 0 };
    random_path(&made->path, random);
    member->kind = kinds[random_below(random, sizeof kinds / sizeof *kinds)];
    member->mode = (uint32_t)random_below(random, 010000);
    member->uid = (uint32_t)(random_below(random, 4) == 0 ? random_next(random) : 1000);
    member->gid = (uint32_t)(random_below(random, 4) == 0 ? random_next(random) : 1000);
    member->mtime_ns = random_time(random);
    member->racy = random_below(random, 5) == 0;
    if (member->kind == PACK_FILE && random_below(random, 6) == 0) {
        make_sparse(made, random);
    } else if (member->kind == PACK_FILE) {
        random_bytes(&made->data, random_size(random, frame_bytes), random);
        buf_add(&made->content, made->data.data, made->data.len);
    }
    if (member->kind == PACK_GONE)
        member->was = kinds[3 + random_below(random, 3)];
    if (member->kind == PACK_HARDLINK) {
        member->size_bytes = random_below(random, 100000);
        member->crc64 = random_next(random);
    }
    random_path(&made->target, random);
    settle(made);
}

static int by_key(const void *a, const void *b)
{
    const struct buf *x = &((const struct made_member *)a)->key;
    const struct buf *y = &((const struct made_member *)b)->key;
    const int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void member_done(struct made_member *made)
{
    buf_done(&made->path);
    buf_done(&made->target);
    buf_done(&made->extents);
    buf_done(&made->key);
    buf_done(&made->xattrs);
    buf_done(&made->data);
    buf_done(&made->content);
}

/* Runs of the same few, one now and then that nobody else has, none. */
static void random_xattrs(struct made *made, uint64_t random)
{
    static const char *const values[] = { "", "1", "several words", "a\nb=c%" };
    size_t run = 0;
    size_t which = 0;
    char many[3000];
    memset(many, 'x', sizeof many);
    for (size_t i = 0; i < made->count; i++, run = run == 0 ? 0 : run - 1) {
        struct made_member *member = &made->members[i];
        if (run == 0) {
            run = random_below(&random, 30);
            which = random_below(&random, 7);
        }
        if (which > 4 || !pack_member_can_have_xattrs(member->member.kind))
            continue;
        struct xattr xattr = { .name = "user.of=it", .name_len = 10, .value = values[which % 4] };
        xattr.value_len = strlen(xattr.value);
        if (which == 4) {
            xattr.value = many;
            xattr.value_len = random_below(&random, sizeof many);
        }
        xattr_add(&member->xattrs, &xattr);
        member->member.xattrs = member->xattrs.data;
        member->member.xattrs_len = (uint32_t)member->xattrs.len;
    }
}

void made_random(struct made *made, uint64_t seed, size_t count, uint32_t frame_bytes)
{
    uint64_t random = seed;
    made->members = mem_alloc((count + 1) * sizeof *made->members);
    for (size_t i = 0; i < count; i++)
        random_member(&made->members[i], &random, frame_bytes);
    qsort(made->members, count, sizeof *made->members, by_key);
    made->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (made->count != 0 && by_key(&made->members[i], &made->members[made->count - 1]) == 0)
            member_done(&made->members[i]);
        else
            made->members[made->count++] = made->members[i];
    }
    random_xattrs(made, random);
}

void made_add_file(struct made *made, const char *path, const void *bytes, size_t len)
{
    if ((made->count & (made->count - 1)) == 0) /* doubled at each power of two */
        made->members = mem_resize(made->members, (2 * made->count + 1) * sizeof *made->members);
    struct made_member *last = &made->members[made->count++];
    *last = (struct made_member){ .member = { .kind = PACK_FILE, .mode = 0644 } };
    buf_add_text(&last->path, path);
    buf_add(&last->data, bytes, len);
    buf_add(&last->content, bytes, len);
    settle(last);
    assert_true(made->count == 1 || by_key(last - 1, last) < 0);
}

void made_done(struct made *made)
{
    for (size_t i = 0; i < made->count; i++)
        member_done(&made->members[i]);
    mem_free(made->members);
    made->count = 0;
}

/* ---- packs ---- */

struct builder {
    const struct made_options *options;
    struct made_pack *pack;
    struct pack_info info;
    struct pack_chunk *chunk;
    struct pack_join *join;
    struct buf deltas;
    uint64_t random;
};

/* As after a kill: all that the join knew comes from the journal. */
static void replay(struct builder *builder)
{
    struct err err = { 0 };
    struct pack_join *again = pack_join_new(&builder->info, true);
    assert_int_equal(pack_join_replay(again, builder->deltas.data, builder->deltas.len, &err), 0);
    assert_int_equal(pack_join_bytes(again), pack_join_bytes(builder->join));
    assert_int_equal(pack_join_tar_bytes(again), pack_join_tar_bytes(builder->join));
    assert_int_equal(pack_join_members(again), pack_join_members(builder->join));
    pack_join_free(builder->join);
    builder->join = again;
}

static void end_chunk(struct builder *builder)
{
    struct err err = { 0 };
    struct buf *object = &builder->pack->object;
    pack_chunk_seal(builder->chunk);
    const struct buf *bytes = pack_chunk_bytes(builder->chunk);
    assert_true(pack_chunk_crc64(builder->chunk) == crc64nvme(0, buf_text(bytes), bytes->len));
    buf_add(object, buf_text(bytes), bytes->len);
    assert_int_equal(pack_join_add(builder->join, builder->chunk, &err), 0);
    assert_int_equal(pack_join_bytes(builder->join), object->len);
    pack_join_delta(builder->join, &builder->deltas);
    pack_chunk_reset(builder->chunk);
    if (++builder->pack->chunk_count == builder->options->replay_at)
        replay(builder);
}

static bool chunk_full(struct builder *builder)
{
    const size_t want = builder->options->chunk_bytes;
    return want != 0 &&
           pack_chunk_raw_bytes(builder->chunk) >= want / 2 + random_below(&builder->random, want);
}

static void add_pieces(struct builder *builder, const struct made_member *made)
{
    const size_t all = made->data.len;
    size_t at = 0;
    do {
        const size_t room = all - at;
        const size_t take = room < 2 ? room : 1 + random_below(&builder->random, room);
        pack_chunk_piece(builder->chunk, &made->member, at, buf_text(&made->data) + at, take);
        at += take;
        if (random_below(&builder->random, 3) == 0)
            end_chunk(builder);
    } while (at != all);
}

void made_pack(const struct made *made, const struct made_options *options, struct made_pack *pack)
{
    struct err err = { 0 };
    struct builder builder = { .options = options,
                               .pack = pack,
                               .info = { .name = "dir/p.tar.zst",
                                         .job_id = "0123456789abcdef",
                                         .maker = "9.9",
                                         .generation = 7,
                                         .created_ns = INT64_C(1500000000000000001),
                                         .level = (uint32_t)options->pack.level },
                               .random = options->cuts };
    *pack = (struct made_pack){ 0 };
    builder.chunk = pack_chunk_new(&options->pack);
    builder.join = pack_join_new(&builder.info, true);
    for (size_t i = 0; i < made->count; i++) {
        const struct made_member *member = &made->members[i];
        if (options->pieces && member->member.kind == PACK_FILE)
            add_pieces(&builder, member);
        else
            pack_chunk_add(builder.chunk, &member->member, buf_text(&member->data),
                           member->data.len);
        if (chunk_full(&builder))
            end_chunk(&builder);
    }
    end_chunk(&builder);
    pack->delta_bytes = builder.deltas.len;
    assert_int_equal(pack_join_tail(builder.join, &pack->object, &err), 0);
    if (options->pack.level == 0)
        assert_int_equal(pack_join_sidecar(builder.join, "etag-1", &pack->sidecar, &err), 0);
    pack_join_free(builder.join);
    pack_chunk_free(builder.chunk);
    buf_done(&builder.deltas);
}

void made_pack_done(struct made_pack *pack)
{
    buf_done(&pack->object);
    buf_done(&pack->sidecar);
}

static int read_object(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    struct made_pack *pack = from;
    (void)err;
    assert_true(offset <= pack->object.len && len <= pack->object.len - offset);
    buf_add(out, pack->object.data + offset, len);
    if (pack->spoilt != 0) {
        /* Another one each time. */
        out->data[out->len - 1 - pack->spoilt] ^= 1;
        pack->spoilt--;
    }
    pack->reads++;
    pack->read_bytes += len;
    return 0;
}

struct pack *made_open(struct made_pack *made)
{
    struct err err = { 0 };
    struct pack *pack = NULL;
    made->source =
        (struct pack_source){ .read = read_object, .from = made, .size_bytes = made->object.len };
    const int got = made->sidecar.len != 0 ? pack_open_index(&pack, made->sidecar.data,
                                                             made->sidecar.len, &made->source, &err)
                                           : pack_open(&pack, &made->source, &err);
    if (got != 0)
        print_error("%s\n", err.text);
    assert_int_equal(got, 0);
    return pack;
}

/* ---- is it all there ---- */

static void expect_member(const struct made_member *made, const struct pack_member *got)
{
    const struct pack_member *want = &made->member;
    assert_int_equal(got->path_len, want->path_len);
    assert_memory_equal(got->path, want->path, want->path_len);
    assert_int_equal(got->path[got->path_len], '\0');
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->was, want->was);
    assert_int_equal(got->racy, want->racy);
    assert_int_equal(got->sparse, want->sparse);
    assert_int_equal(got->mode, want->mode);
    assert_int_equal(got->uid, want->uid);
    assert_int_equal(got->gid, want->gid);
    assert_true(got->mtime_ns == want->mtime_ns);
    assert_true(got->size_bytes == want->size_bytes);
    assert_true(got->crc64 == want->crc64);
    assert_int_equal(got->target_len, want->target_len);
    if (want->target_len != 0)
        assert_memory_equal(got->target, want->target, want->target_len);
    assert_int_equal(got->xattrs_len, want->xattrs_len);
    if (want->xattrs_len != 0)
        assert_memory_equal(got->xattrs, want->xattrs, want->xattrs_len);
}

/* Takes content into a buf, holes as zeros. */
struct taken {
    struct buf bytes;
    uint64_t from; /* offset of its first byte */
};

static int take(void *ctx, const struct pack_member *member, uint64_t offset, const void *bytes,
                size_t len, struct err *err)
{
    struct taken *taken = ctx;
    (void)member;
    (void)err;
    const size_t at = (size_t)(offset - taken->from);
    assert_true(at >= taken->bytes.len && len != 0);
    const size_t hole = at - taken->bytes.len;
    buf_reserve(&taken->bytes, hole);
    memset(taken->bytes.data + taken->bytes.len, 0, hole);
    taken->bytes.len = at;
    buf_add(&taken->bytes, bytes, len);
    return 0;
}

static void expect_taken(const struct made_member *made, struct taken *taken, uint64_t from,
                         size_t len)
{
    assert_true(taken->bytes.len <= len);
    const size_t hole = len - taken->bytes.len;
    buf_reserve(&taken->bytes, hole);
    memset(taken->bytes.data + taken->bytes.len, 0, hole);
    if (len != 0)
        assert_memory_equal(taken->bytes.data, made->content.data + from, len);
    buf_clear(&taken->bytes);
}

static void expect_content(struct pack_cursor *cursor, const struct made_member *made,
                           const struct pack_member *member, uint64_t *random)
{
    struct err err = { 0 };
    struct taken taken = { 0 };
    const size_t all = made->content.len;
    assert_int_equal(pack_read(cursor, member, 0, UINT64_MAX, take, &taken, &err), 0);
    expect_taken(made, &taken, 0, all);
    for (int i = 0; i < 2 && all != 0; i++) {
        const size_t from = random_below(random, all);
        const size_t len = random_below(random, all - from + 1);
        taken.from = from;
        assert_int_equal(pack_read(cursor, member, from, len, take, &taken, &err), 0);
        expect_taken(made, &taken, from, len);
    }
    buf_done(&taken.bytes);
}

struct visited {
    const struct made *made;
    size_t first; /* the first member of the block */
    size_t count;
    struct taken taken;
    bool third; /* only every third */
};

static bool want(void *ctx, const struct pack_member *member)
{
    const struct visited *visited = ctx;
    return !visited->third || member->ordinal % 3 == 0;
}

static int visit_take(void *ctx, const struct pack_member *member, uint64_t offset,
                      const void *bytes, size_t len, struct err *err)
{
    struct visited *visited = ctx;
    return take(&visited->taken, member, offset, bytes, len, err);
}

static int visit_end(void *ctx, const struct pack_member *member, bool crc_ok, struct err *err)
{
    struct visited *visited = ctx;
    (void)err;
    assert_true(crc_ok);
    const struct made_member *made = &visited->made->members[visited->first + member->ordinal];
    expect_member(made, member);
    expect_taken(made, &visited->taken, 0, made->content.len);
    visited->count++;
    return 0;
}

static void expect_visit(const struct made *made, struct pack_cursor *cursor,
                         const struct pack *pack, bool third)
{
    struct err err = { 0 };
    struct visited visited = { .made = made, .third = third };
    const struct pack_visitor visitor = {
        .want = want, .take = visit_take, .end = visit_end, .ctx = &visited
    };
    size_t want_count = 0;
    for (uint32_t i = 0; i < pack_block_count(pack); i++) {
        const char *keys = NULL;
        size_t len = 0;
        uint32_t count = 0;
        assert_int_equal(pack_keys(cursor, i, &keys, &len, &count, &err), 0);
        for (uint32_t j = 0; j < count; j++) {
            assert_string_equal(keys, buf_text(&made->members[visited.first + j].key));
            keys += strlen(keys) + 1;
        }
        assert_int_equal(pack_visit(cursor, i, &visitor, &err), 0);
        visited.first += count;
        want_count += third ? (count + 2) / 3 : count;
    }
    assert_int_equal(visited.first, made->count);
    assert_int_equal(visited.count, want_count);
    buf_done(&visited.taken.bytes);
}

/* Those below a path, in order. */
static void expect_prefix(const struct made *made, struct pack_cursor *cursor, const char *prefix,
                          size_t len)
{
    struct err err = { 0 };
    struct pack_member member;
    assert_int_equal(pack_seek(cursor, prefix, len, &err), 0);
    for (size_t i = 0; i < made->count; i++) {
        const struct buf *key = &made->members[i].key;
        if (key->len < len || (len != 0 && memcmp(key->data, prefix, len) != 0))
            continue;
        assert_int_equal(pack_next(cursor, &member, &err), 1);
        expect_member(&made->members[i], &member);
    }
    assert_int_equal(pack_next(cursor, &member, &err), 0);
}

/* The same path may be a file, a link and a directory (two of them gone). */
static bool first_of_path(const struct made *made, size_t i)
{
    const struct buf *path = &made->members[i].path;
    for (size_t j = 0; j < made->count; j++) {
        const struct buf *other = &made->members[j].path;
        if (j != i && other->len == path->len && memcmp(other->data, path->data, path->len) == 0)
            return false;
    }
    return true;
}

void made_expect(const struct made *made, const struct pack *pack)
{
    struct err err = { 0 };
    struct pack_cursor *cursor = pack_cursor_new(pack);
    uint64_t random = made->count;
    uint64_t content = 0;
    for (size_t i = 0; i < made->count; i++) {
        const struct made_member *one = &made->members[i];
        struct pack_member member;
        content += one->member.kind == PACK_FILE ? one->member.size_bytes : 0;
        if (!first_of_path(made, i))
            continue;
        assert_int_equal(pack_find(cursor, one->path.data, one->path.len, &member, &err), 1);
        expect_member(one, &member);
        if (one->member.kind == PACK_FILE)
            expect_content(cursor, one, &member, &random);
    }
    const struct pack_info *info = pack_info(pack);
    assert_int_equal(info->member_count, made->count);
    assert_true(info->content_bytes == content);
    assert_string_equal(info->name, "dir/p.tar.zst");
    assert_string_equal(info->job_id, "0123456789abcdef");
    assert_string_equal(info->maker, "9.9");
    assert_int_equal(info->generation, 7);
    assert_true(info->created_ns == INT64_C(1500000000000000001));
    expect_prefix(made, cursor, "", 0);
    expect_prefix(made, cursor, "b", 1);
    expect_prefix(made, cursor, "zzzzzzzzzzzzzz", 14);
    expect_visit(made, cursor, pack, false);
    expect_visit(made, cursor, pack, true);
    struct pack_member member;
    assert_int_equal(pack_find(cursor, "not/there", 9, &member, &err), 0);
    assert_int_equal(pack_find(cursor, "", 0, &member, &err), 0);
    pack_cursor_free(cursor);
    if (pack_verify(pack, &err) < 0)
        print_error("%s\n", err.text);
    assert_int_equal(err.kind, ERR_NONE);
}
