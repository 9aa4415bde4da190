#include "job/archived.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/objects.h"

/* ---- places ---- */

void archived_place_done(struct archived_place *place)
{
    mem_free(place->archive);
    mem_free(place->inside);
}

/* 1: an object has this name, 0: none has, -1. */
static int is_object(const char *location, const struct store_options *options, struct err *err)
{
    if (location[0] == '\0' || location[strlen(location) - 1] == '/')
        return 0;
    struct store *store = NULL;
    char *name = NULL;
    struct err why = { 0 };
    if (store_open_parent(&store, location, options, &name, &why) < 0) {
        if (why.kind == ERR_ABSENT || why.kind == ERR_USAGE)
            return 0;
        *err = why;
        return -1;
    }
    SCOPED(object) struct object object = { 0 };
    int found = store_head_patiently(store, name, options->stop, &object, &why) == 0;
    if (found == 1 && object.attr.kind == ENTRY_DIR)
        found = 0;
    store->driver->close(store);
    mem_release(name);
    if (found == 1 || why.kind == ERR_NONE || why.kind == ERR_ABSENT || why.kind == ERR_LIMIT)
        return found;
    *err = why;
    return err_at(err, "'%s'", location);
}

/* The last "!/" of the first `len` bytes, SIZE_MAX: none. */
static size_t last_mark(const char *location, size_t len)
{
    while (len >= 2) {
        len--;
        if (location[len] == '/' && location[len - 1] == '!')
            return len - 1;
    }
    return SIZE_MAX;
}

/* No archive: then it must be a prefix or a directory, whose name has "!/" in it. */
static int check_prefix(const char *location, const struct store_options *options, struct err *err)
{
    struct store *store = NULL;
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    if (store_open_location(&store, location, options, err) < 0)
        return err->kind == ERR_ABSENT ? err_hint(err, "there is no archive of this name either")
                                       : -1;
    int got = store->driver->list_open(&list, store, "", "", true, err);
    if (got == 0) {
        got = store->driver->list_next(list, &object, err);
        store->driver->list_close(list);
    }
    const bool is_dir = store->limits.is_tree;
    store->driver->close(store);
    if (got == 0 && !is_dir)
        return err_set(err, ERR_ABSENT, "there is neither an archive nor an object '%s'", location);
    return got < 0 ? -1 : 0;
}

int archived_find(struct archived_place *ret_place, const char *location,
                  const struct store_options *options, struct err *err)
{
    *ret_place = (struct archived_place){ 0 };
    size_t at = last_mark(location, strlen(location));
    if (at == SIZE_MAX)
        return 0;
    int found = is_object(location, options, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    for (; at != SIZE_MAX && at != 0; at = last_mark(location, at)) {
        char *archive = mem_string(location);
        archive[at] = '\0';
        found = is_object(archive, options, err);
        if (found == 1) {
            ret_place->archive = archive;
            ret_place->inside = mem_string(location + at + 2);
            return 0;
        }
        mem_release(archive);
        if (found < 0)
            return -1;
    }
    return check_prefix(location, options, err);
}

/* ---- reading ---- */

static int read_source(void *from, uint64_t offset_bytes, void *bytes, size_t len, size_t *ret_len,
                       struct err *err)
{
    struct archived *archived = from;
    if (reader_read(archived->reader, offset_bytes, bytes, len, ret_len, err) < 0)
        return -1;
    archived->wanted_bytes = offset_bytes + *ret_len;
    /* What was looked at before is not digested twice. */
    const uint64_t had = archived->digested_bytes;
    if (offset_bytes > had || offset_bytes + *ret_len <= had)
        return 0;
    const size_t skip = (size_t)(had - offset_bytes);
    digest_add(&archived->digest, (const char *)bytes + skip, *ret_len - skip);
    if (archived->has_etag)
        etag_add(&archived->etag, (const char *)bytes + skip, *ret_len - skip);
    archived->digested_bytes = offset_bytes + *ret_len;
    return 0;
}

static int open_digests(struct archived *archived, struct err *err)
{
    const struct object *object = reader_object(archived->reader);
    if (digest_init(&archived->digest, DIGEST_CRC64NVME, err) < 0)
        return -1;
    if ((object->attr.have & ATTR_CRC64) != 0 || object->md5_part_bytes == 0)
        return 0;
    const int usable =
        etag_open(&archived->etag, object->etag, object->size_bytes, object->md5_part_bytes, err);
    archived->has_etag = usable == 1;
    return usable < 0 ? -1 : 0;
}

int archived_open(struct archived *archived, const char *location,
                  const struct store_options *opening, const struct flow *flow,
                  const struct archive_limits *limits, const char *inside, struct err *err)
{
    *archived = (struct archived){ 0 };
    char *name = NULL;
    const struct reader_options options = { .flow = flow, .stop = opening->stop };
    int result = store_open_parent(&archived->store, location, opening, &name, err);
    if (result < 0)
        archived->store = NULL;
    if (result == 0)
        result = reader_open(&archived->reader, archived->store, name, &options, err);
    if (result == 0)
        result = open_digests(archived, err);
    mem_release(name);
    if (result == 0) {
        archived->source = (struct archive_source){
            .from = archived,
            .size_bytes = reader_object(archived->reader)->size_bytes,
            .read = read_source,
        };
        result = archive_in_open(&archived->in, &archived->source, limits, inside, err);
    }
    if (result == 0)
        return 0;
    archived_done(archived);
    return err_at(err, "'%s'", location);
}

void archived_done(struct archived *archived)
{
    archive_in_close(archived->in);
    reader_close(archived->reader);
    if (archived->store != NULL)
        archived->store->driver->close(archived->store);
    digest_done(&archived->digest);
    if (archived->has_etag)
        etag_done(&archived->etag);
    *archived = (struct archived){ 0 };
}

/* ---- proof ---- */

static int compare(struct archived *archived, struct err *err)
{
    const struct object *object = reader_object(archived->reader);
    if ((object->attr.have & ATTR_CRC64) != 0 && object->attr.crc64 != archived->digest.crc64)
        return err_set(err, ERR_CORRUPT,
                       "the archive is not what was stored: CRC64NVME %016llx, recorded %016llx",
                       (unsigned long long)archived->digest.crc64,
                       (unsigned long long)object->attr.crc64);
    if (archived->has_etag && !etag_fits(&archived->etag))
        return err_set(err, ERR_CORRUPT, "the archive is not what was stored: its MD5 is not %s",
                       object->etag);
    return 0;
}

int archived_verify(struct archived *archived, struct err *err)
{
    const struct object *object = reader_object(archived->reader);
    const bool recorded = (object->attr.have & ATTR_CRC64) != 0 || archived->has_etag;
    if (!recorded || archived->digested_bytes != archived->wanted_bytes)
        return 0;
    char block[16384];
    while (archived->digested_bytes < object->size_bytes) {
        size_t len = 0;
        if (read_source(archived, archived->digested_bytes, block, sizeof block, &len, err) < 0)
            return -1;
        if (len == 0)
            return err_set(err, ERR_CORRUPT, "the archive ends early");
    }
    return compare(archived, err);
}
