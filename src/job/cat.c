#include "job/cat.h"

#include "base/ban.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "job/archived.h"
#include "job/objects.h"
#include "job/packed.h"

#define BLOCK_BYTES ((size_t)128 << 10)

static int refuse(const char *what, const char *location, struct err *err)
{
    err_set(err, ERR_USAGE, "'%s' is %s, it has no content", location, what);
    return err_hint(err, "lade get brings all of it");
}

/* ---- objects ---- */

struct stream {
    const struct cat_options *options;
    struct reader *reader;
    struct digest digest;
    struct etag etag;
    bool has_etag;
    bool has_given; /* something, to fd */
};

static void stream_done(struct stream *stream)
{
    reader_close(stream->reader);
    digest_done(&stream->digest);
    if (stream->has_etag)
        etag_done(&stream->etag);
}

/* All of the object through the digests, and to fd unless that is -1. */
static int pass(struct stream *stream, int fd, struct err *err)
{
    char *block = mem_alloc(BLOCK_BYTES);
    const uint64_t size = reader_object(stream->reader)->size_bytes;
    int result = 0;
    digest_reset(&stream->digest);
    for (uint64_t at = 0; result == 0 && at < size;) {
        size_t len = 0;
        result = reader_read(stream->reader, at, block, BLOCK_BYTES, &len, err);
        if (result == 0 && fd >= 0) {
            stream->has_given = true;
            result = file_write_all(fd, block, len, err);
        }
        if (result < 0)
            break;
        digest_add(&stream->digest, block, len);
        if (stream->has_etag && fd >= 0)
            etag_add(&stream->etag, block, len);
        at += len;
    }
    mem_release(block);
    return result;
}

static int differs(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "what was given is not what was stored: %s", what);
}

static int prove(struct stream *stream, struct err *err)
{
    const struct object *object = reader_object(stream->reader);
    const uint64_t crc64 = stream->digest.crc64;
    if ((object->attr.have & ATTR_CRC64) != 0)
        return object->attr.crc64 == crc64 ? 0
                                           : differs("its CRC64NVME is not the recorded one", err);
    if (!stream->has_etag || etag_fits(&stream->etag))
        return 0;
    if (object->md5_part_bytes != 0)
        return differs("its MD5 is not the recorded one", err);
    if (stream->etag.part_count != 0)
        return 0; /* its parts may have had any size */
    if (pass(stream, -1, err) < 0)
        return -1;
    return stream->digest.crc64 == crc64 ? 0 : differs("read twice, it is not the same", err);
}

static int cat_object(struct stream *stream, struct store *store, const char *key,
                      const char *location, struct err *err)
{
    const struct cat_options *options = stream->options;
    const struct reader_options reading = { .flow = options->flow, .stop = options->opening.stop };
    if (reader_open(&stream->reader, store, key, &reading, err) < 0)
        return -1;
    const struct object *object = reader_object(stream->reader);
    if (object->attr.kind == ENTRY_DIR)
        return refuse("a directory", location, err);
    if (digest_init(&stream->digest, DIGEST_CRC64NVME, err) < 0)
        return -1;
    const bool known = (object->attr.have & ATTR_CRC64) != 0;
    /* Many sizes of parts are not guessed: that takes more time than it proves. */
    const bool in_parts = strchr(object->etag, '-') != NULL;
    if (!known && store->limits.has_md5 && (object->md5_part_bytes != 0 || !in_parts)) {
        const int usable =
            etag_open(&stream->etag, object->etag, object->size_bytes, object->md5_part_bytes, err);
        if (usable < 0)
            return -1;
        stream->has_etag = usable == 1;
    }
    return pass(stream, options->fd, err) < 0 ? -1 : prove(stream, err);
}

/* *ret_given (may be NULL): something came of it. */
static int cat_whole(struct store *store, const char *key, const char *location,
                     const struct cat_options *options, bool *ret_given, struct err *err)
{
    SCOPED(stream) struct stream stream = { .options = options };
    const int result = cat_object(&stream, store, key, location, err);
    if (ret_given != NULL)
        *ret_given = stream.has_given;
    return result;
}

/* ---- members ---- */

static int write_zeros(int fd, uint64_t count, struct err *err)
{
    static const char zeros[4096];
    for (; count != 0;) {
        const size_t len = count < sizeof zeros ? (size_t)count : sizeof zeros;
        if (file_write_all(fd, zeros, len, err) < 0)
            return -1;
        count -= len;
    }
    return 0;
}

static int write_member(struct archive_in *in, const struct archive_member *member, int fd,
                        struct err *err)
{
    struct archive_piece piece;
    uint64_t at = 0;
    int got;
    while ((got = archive_in_data(in, &piece, err)) == 1) {
        if (piece.offset_bytes < at || piece.len > member->size_bytes ||
            piece.offset_bytes > member->size_bytes - piece.len)
            return err_set(err, ERR_CORRUPT, "the member has other bytes than its %llu",
                           (unsigned long long)member->size_bytes);
        if (write_zeros(fd, piece.offset_bytes - at, err) < 0 ||
            file_write_all(fd, piece.bytes, piece.len, err) < 0)
            return -1;
        at = piece.offset_bytes + piece.len;
    }
    return got < 0 ? -1 : write_zeros(fd, member->size_bytes - at, err);
}

static bool is_asked_for(const struct archive_member *member, const char *inside)
{
    SCOPED(buf) struct buf rel = { 0 };
    struct err ignored = { 0 };
    const char *rest = NULL;
    /* A member with an unsafe name can be read all the same, by that name. */
    if (archive_path_rel(&member->path, &rel, &ignored) < 0)
        return strcmp(buf_text(&member->path), inside) == 0;
    return archive_is_inside(buf_text(&rel), inside, &rest) && rest[0] == '\0';
}

static int give_member(struct archive_in *in, const struct archive_member *member,
                       const char *location, int fd, struct err *err)
{
    if (member->attr.kind == ENTRY_DIR)
        return refuse("a directory", location, err);
    if (member->is_hard_link || member->attr.kind != ENTRY_FILE) {
        if (member->target.len == 0)
            return refuse("a device, FIFO or socket", location, err);
        return err_set(err, ERR_USAGE, "'%s' is a %slink to '%s'", location,
                       member->is_hard_link ? "hard " : "", buf_text(&member->target));
    }
    return write_member(in, member, fd, err);
}

static int cat_found(struct archived *archived, const char *inside, const char *location,
                     const struct cat_options *options, struct err *err)
{
    struct archive_member member = { 0 };
    bool found = false;
    int got;
    while ((got = archive_in_next(archived->in, &member, err)) == 1) {
        if (found || !is_asked_for(&member, inside))
            continue;
        found = true;
        if (give_member(archived->in, &member, location, options->fd, err) < 0)
            got = -1;
        if (got < 0 || archived->in->is_random_access)
            break;
    }
    archive_member_done(&member);
    if (got == 0)
        got = archived_verify(archived, err);
    if (got >= 0 && !found)
        return err_set(err, ERR_ABSENT, "the archive has no member '%s'", inside);
    return got < 0 ? -1 : 0;
}

static int cat_member(const struct archived_place *place, const char *location,
                      const struct cat_options *options, struct err *err)
{
    if (place->inside[0] == '\0')
        return refuse("a whole archive", location, err);
    struct archived archived;
    if (archived_open(&archived, place->archive, &options->opening, options->flow, options->limits,
                      place->inside, err) < 0)
        return -1;
    const int result = cat_found(&archived, place->inside, location, options, err);
    archived_done(&archived);
    return result;
}

/* A member by what is in the cache: 1, 0: the store must be asked what is there, -1. */
static int cat_recalled(const char *location, const struct cat_options *options, struct err *err)
{
    struct store *store = NULL;
    char *key = NULL;
    struct err why = { 0 };
    bool given = false;
    if (!packed_recall(&store, &key, location, &options->opening))
        return 0;
    const int result = cat_whole(store, key, location, options, &given, &why);
    store->driver->close(store);
    mem_release(key);
    if (result == 0)
        return 1;
    /* As a rule the pack is another one by now, which the store says, or its bytes. */
    if (!given)
        return 0;
    *err = why;
    return -1;
}

/* A member of one of our packs: 1, 0: it is no such place, -1. */
static int cat_packed(const char *location, const struct cat_options *options, struct err *err)
{
    struct store *store = NULL;
    char *key = NULL;
    const int recalled = cat_recalled(location, options, err);
    if (recalled != 0)
        return recalled;
    const int packed = packed_open(&store, &key, location, false, &options->opening, err);
    if (packed != 1)
        return packed;
    const int result = key == NULL ? refuse("a directory", location, err)
                                   : cat_whole(store, key, location, options, NULL, err);
    store->driver->close(store);
    mem_release(key);
    return result < 0 ? -1 : 1;
}

int cat_location(const char *location, const struct cat_options *options, struct err *err)
{
    const int packed = cat_packed(location, options, err);
    if (packed != 0)
        return packed == 1 ? 0 : -1;
    SCOPED(archived_place) struct archived_place place = { 0 };
    if (archived_find(&place, location, &options->opening, err) < 0)
        return -1;
    int result = -1;
    if (place.archive != NULL) {
        result = cat_member(&place, location, options, err);
    } else if (location[0] != '\0' && location[strlen(location) - 1] == '/') {
        return refuse("a prefix", location, err);
    } else {
        struct store *store = NULL;
        char *name = NULL;
        if (store_open_parent(&store, location, &options->opening, &name, err) == 0) {
            result = cat_whole(store, name, location, options, NULL, err);
            store->driver->close(store);
            mem_release(name);
        }
    }
    if (result < 0 && err->kind != ERR_USAGE)
        return err_at(err, "'%s'", location);
    return result;
}
