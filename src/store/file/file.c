#include "store/file/file.h"

#include "base/ban.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static const struct store_limits file_limits = {
    .max_object_bytes = INT64_MAX,
    .max_put_bytes = INT64_MAX,
    .min_part_bytes = 1,
    .part_bytes = 64 * MIB,
    .max_part_bytes = INT64_MAX,
    .max_parts = 1000000,
    .max_key_bytes = FILE_KEY_MAX,
    .max_component_bytes = FILE_NAME_MAX,
    .max_meta_bytes = 2048, /* extended attributes of ext4 share one block of 4 KiB */
    .max_delete_count = 1000,
    .transfers = 8,
    .parts_at_once = 2, /* one writes while the other syncs: an inode has one writer at a time */
    .is_tree = true,
    .lists_attr = true,
    .is_staged = true,
    .keeps_data = true,
};

/* ---- lifetime ---- */

static int file_open(struct store **ret_store, const char *path,
                     const struct store_options *options, struct err *err)
{
    const bool create = options != NULL && options->create;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool missing = fd < 0 && errno == ENOENT;
    if (missing && create) {
        if (path_make_all(path, err) < 0)
            return -1;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return err_sys(err, ERR_CONFIG, "open directory '%s'", path);

    struct file_store *store = mem_alloc(sizeof *store);
    store->base = (struct store){ .driver = &file_driver, .limits = file_limits };
    store->root_fd = fd;
    store->writable = create;
    store->stop = options != NULL ? options->stop : NULL;
    lock_init(&store->lock);
    /* The root itself is durable with the first commit. */
    atomic_store(&store->shared.made_count, missing ? 1 : 0);
    *ret_store = &store->base;
    return 0;
}

static void free_hand(struct file_hand *hand)
{
    stage_done(&hand->stage);
    mem_release(hand->buffer);
    mem_release(hand);
}

static void file_close(struct store *base)
{
    if (base == NULL)
        return;
    struct file_store *store = file_store_of(base);
    while (store->hands != NULL) {
        struct file_hand *next = store->hands->next;
        free_hand(store->hands);
        store->hands = next;
    }
    lock_done(&store->lock);
    close(store->root_fd);
    mem_release(store);
}

struct file_hold file_hold(struct store *base)
{
    struct file_store *store = file_store_of(base);
    lock_take(&store->lock);
    struct file_hand *hand = store->hands;
    if (hand != NULL)
        store->hands = hand->next;
    lock_give(&store->lock);
    if (hand == NULL) {
        hand = mem_alloc(sizeof *hand);
        stage_init(&hand->stage, store->root_fd);
        hand->stage.shared = &store->shared;
    }
    return (struct file_hold){ .store = store, .hand = hand };
}

void file_hold_done(struct file_hold *hold)
{
    if (hold->hand == NULL)
        return;
    lock_take(&hold->store->lock);
    hold->hand->next = hold->store->hands;
    hold->store->hands = hold->hand;
    lock_give(&hold->store->lock);
    hold->hand = NULL;
}

unsigned char *file_hand_buffer(struct file_hand *hand)
{
    if (hand->buffer == NULL)
        hand->buffer = mem_alloc(FILE_BUFFER_BYTES);
    return hand->buffer;
}

/* ---- names ---- */

static int file_map_key(struct store *store, const char *rel, struct buf *ret_key, struct err *err)
{
    (void)store;
    if (file_key_check(rel, err) < 0)
        return -1;
    buf_clear(ret_key);
    buf_add_text(ret_key, rel);
    return 0;
}

static int file_unmap_key(struct store *store, const char *key, struct buf *ret_rel,
                          struct err *err)
{
    (void)store;
    if (!path_rel_ok(key))
        return err_set(err, ERR_LIMIT, "'%s' is not a path below the root", key);
    buf_clear(ret_rel);
    buf_add_text(ret_rel, key);
    return 0;
}

/* ---- reading ---- */

static int file_head(struct store *base, const char *key, struct object *ret_object,
                     struct err *err)
{
    SCOPED_FD int fd = -1;
    struct stat st;
    if (file_open_object(file_store_of(base), key, &fd, &st, err) < 0)
        return -1;
    file_fill_object(fd, &st, key, ret_object);
    return 0;
}

static int check_etag(const struct stat *st, const char *key, const char *if_match, struct err *err)
{
    char etag[STORE_ETAG_MAX];
    file_etag_of(st, etag);
    if (if_match == NULL || if_match[0] == '\0' || strcmp(etag, if_match) == 0)
        return 0;
    return err_set(err, ERR_CHANGED, "'%s' is another one now", key);
}

static int send_range(struct file_store *store, struct file_hand *hand, int fd, uint64_t at,
                      uint64_t left, struct sink *sink, struct err *err)
{
    unsigned char *buffer = file_hand_buffer(hand);
    while (left != 0) {
        if (stop_check(store->stop, err) < 0)
            return -1;
        const size_t want = left < FILE_BUFFER_BYTES ? (size_t)left : FILE_BUFFER_BYTES;
        const ssize_t got = pread(fd, buffer, want, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_SOURCE, "read at %llu", (unsigned long long)at);
        if (got == 0)
            return err_set(err, ERR_CHANGED, "ended early: it shrank while it was read");
        if (sink_write(sink, buffer, (size_t)got, err) < 0)
            return -1;
        at += (uint64_t)got;
        left -= (uint64_t)got;
    }
    return 0;
}

static int file_get(struct store *base, const char *key, uint64_t offset_bytes,
                    uint64_t length_bytes, const char *if_match, struct sink *sink,
                    struct object *ret_object, struct err *err)
{
    SCOPED_FD int fd = -1;
    struct stat st;
    if (file_open_object(file_store_of(base), key, &fd, &st, err) < 0)
        return -1;
    if (ret_object != NULL)
        file_fill_object(fd, &st, key, ret_object);
    if (file_key_is_dir(key))
        return 0;
    if (check_etag(&st, key, if_match, err) < 0)
        return -1;
    const uint64_t size = (uint64_t)st.st_size;
    const uint64_t behind = offset_bytes < size ? size - offset_bytes : 0;
    const uint64_t length = length_bytes < behind ? length_bytes : behind;
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    if (send_range(hold.store, hold.hand, fd, offset_bytes, length, sink, err) < 0)
        return -1;
    /* Somebody may have written into the file meanwhile. */
    char etag[STORE_ETAG_MAX];
    file_etag_of(&st, etag);
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_SOURCE, "stat '%s'", key);
    return check_etag(&st, key, etag, err);
}

/* ---- writing ---- */

/* ERR_CONFLICT when something is there. Again at the commit: this one only spares the work. */
static int check_absent(struct file_hand *hand, const char *key, struct err *err)
{
    int dir_fd = -1;
    const char *name = NULL;
    struct err why = { 0 };
    if (dir_cache_at(&hand->stage.dirs, key, false, &dir_fd, &name, &why) < 0 ||
        faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return err_set(err, ERR_CONFLICT, "'%s' is there already", key);
}

/* Start the temporary file of put->key. */
static int open_staged(struct file_hand *hand, const struct store_put *put, int *ret_fd,
                       struct err *err)
{
    if (file_key_check(put->key, err) < 0 ||
        (put->if_absent && check_absent(hand, put->key, err) < 0))
        return -1;
    const bool mode_follows = put->attr != NULL && (put->attr->have & ATTR_MODE) != 0;
    hand->stage.file_mode = mode_follows ? 0600 : 0666;
    return stage_open(&hand->stage, put->key, put->tag, false, ret_fd, err);
}

/* After a failure. What cannot be removed now is removed by clean(). */
static int drop_staged(struct file_hand *hand, const struct store_put *put)
{
    struct err ignored = { 0 };
    const int result = stage_discard(&hand->stage, put->key, put->tag, &ignored);
    (void)result;
    return -1;
}

/* A directory is there at once, so that what belongs in it can come; its exact mode is set later.
 */
static int put_dir(struct file_store *store, struct file_hand *hand, const struct store_put *put,
                   struct store_result *ret_result, struct err *err)
{
    if (file_key_check(put->key, err) < 0 || stage_make_dir(&hand->stage, put->key, err) < 0)
        return -1;
    SCOPED_FD int fd = -1;
    struct stat st;
    if (file_open_object(store, put->key, &fd, &st, err) < 0)
        return -1;
    struct attr attr = put->attr != NULL ? *put->attr : (struct attr){ 0 };
    attr.mode |= S_IRWXU;
    struct store_put open_put = *put;
    open_put.attr = &attr;
    if (file_record(fd, &open_put, NULL, &st, err) < 0)
        return -1;
    *ret_result = (struct store_result){ 0 };
    return 0;
}

static int fill_staged(int fd, const struct store_put *put, struct body *body, struct stat *st,
                       struct err *err)
{
    if (file_write_body(fd, 0, true, body, err) < 0)
        return -1;
    /* Zeros at the end were left out, too. */
    if (file_set_size(fd, body->size_bytes, err) < 0)
        return -1;
    struct digest_value value = { 0 };
    if (body->digest != NULL)
        digest_value(body->digest, &value);
    return file_record(fd, put, body->digest != NULL ? &value.crc64 : NULL, st, err);
}

static int file_put(struct store *base, const struct store_put *put, struct body *body,
                    struct store_result *ret_result, struct err *err)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    if (file_key_is_dir(put->key))
        return put_dir(hold.store, hold.hand, put, ret_result, err);
    SCOPED_FD int fd = -1;
    struct stat st;
    if (open_staged(hold.hand, put, &fd, err) < 0)
        return -1;
    if (fill_staged(fd, put, body, &st, err) < 0)
        return drop_staged(hold.hand, put);
    file_etag_of(&st, ret_result->etag);
    return 0;
}

/* ---- parts ---- */

static int file_begin(struct store *base, const struct store_put *put, uint64_t size_bytes,
                      char ret_token[STORE_TOKEN_MAX], struct err *err)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    SCOPED_FD int fd = -1;
    if (open_staged(hold.hand, put, &fd, err) < 0)
        return -1;
    if (size_bytes != STORE_GROWS && file_set_size(fd, size_bytes, err) < 0)
        return drop_staged(hold.hand, put);
    snprintf(ret_token, STORE_TOKEN_MAX, "%s", put->tag);
    return 0;
}

static int write_part(int fd, uint64_t offset_bytes, struct body *body, struct err *err)
{
    /* An earlier try may have left other bytes, so zeros are left out only in a hole. */
    const bool fresh = file_make_hole(fd, offset_bytes, body->size_bytes);
    if (file_write_body(fd, offset_bytes, fresh, body, err) < 0)
        return -1;
    return fdatasync(fd) < 0 ? err_sys(err, ERR_LOCAL, "sync") : 0;
}

static int file_part(struct store *base, const struct store_put *put, const char *token,
                     uint32_t number, uint64_t offset_bytes, struct body *body,
                     struct store_part *ret_part, struct err *err)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    SCOPED_FD int fd = -1;
    if (stage_open(&hold.hand->stage, put->key, token, true, &fd, err) < 0 ||
        write_part(fd, offset_bytes, body, err) < 0)
        return err_at(err, "part %u", number);
    struct digest_value value = { 0 };
    if (body->digest != NULL)
        digest_value(body->digest, &value);
    *ret_part = (struct store_part){ .number = number,
                                     .size_bytes = body->size_bytes,
                                     .crc64 = value.crc64 };
    return 0;
}

/* Do the parts make the whole? ret_crc64: of the whole, from theirs. */
static int join_parts(const struct store_part *parts, size_t count, uint64_t size_bytes,
                      uint64_t *ret_crc64, struct err *err)
{
    uint64_t total_bytes = 0;
    uint64_t crc64 = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].number != i + 1)
            return err_set(err, ERR_CORRUPT, "part %zu is missing", i + 1);
        crc64 = crc64nvme_combine(crc64, parts[i].crc64, parts[i].size_bytes);
        total_bytes += parts[i].size_bytes;
    }
    if (total_bytes != size_bytes)
        return err_set(err, ERR_CORRUPT, "the parts have %llu bytes, the object %llu",
                       (unsigned long long)total_bytes, (unsigned long long)size_bytes);
    *ret_crc64 = crc64;
    return 0;
}

static int file_commit(struct store *base, const struct store_put *put, const char *token,
                       const struct store_part *parts, size_t count,
                       struct store_result *ret_result, struct err *err)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    SCOPED_FD int fd = -1;
    if (stage_open(&hold.hand->stage, put->key, token, true, &fd, err) < 0)
        return -1;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat");
    uint64_t crc64 = 0;
    if (join_parts(parts, count, (uint64_t)st.st_size, &crc64, err) < 0)
        return -1;
    const bool told = put->attr != NULL && (put->attr->have & ATTR_CRC64) != 0;
    if (file_record(fd, put, told ? &put->attr->crc64 : &crc64, &st, err) < 0)
        return -1;
    file_etag_of(&st, ret_result->etag);
    return 0;
}

/* abort() and clean(): the token is the tag. */
static int file_discard(struct store *base, const char *key, const char *tag, struct err *err)
{
    struct err refused = { 0 };
    if (file_key_is_dir(key) || file_key_check(key, &refused) < 0)
        return 0;
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    return stage_discard(&hold.hand->stage, key, tag, err);
}

static void file_commit_batch(struct store *base, struct store_staged *items, size_t count)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    struct stage_item *staged = mem_alloc(count * sizeof *staged);
    for (size_t i = 0; i < count; i++)
        staged[i] = (struct stage_item){ .rel = items[i].key,
                                         .tag = items[i].tag,
                                         .keep_existing = items[i].if_absent,
                                         .err = items[i].err };
    stage_commit(&hold.hand->stage, staged, count);
    for (size_t i = 0; i < count; i++)
        items[i].err = staged[i].err;
    mem_release(staged);
}

/* ---- the rest ---- */

static int file_set_attr(struct store *base, const char *key, const struct attr *attr,
                         struct err *err)
{
    SCOPED_FD int fd = -1;
    struct stat st;
    if (file_open_object(file_store_of(base), key, &fd, &st, err) < 0)
        return -1;
    const struct store_put put = { .key = key, .attr = attr };
    const bool has_crc = (attr->have & ATTR_CRC64) != 0;
    return file_record(fd, &put, has_crc ? &attr->crc64 : NULL, &st, err);
}

static int copy_staged(struct file_hold *hold, int from_fd, const struct stat *from_st, int to_fd,
                       const struct store_put *put, struct store_result *ret_result,
                       struct err *err)
{
    if (file_copy_data(from_fd, to_fd, (uint64_t)from_st->st_size, hold->hand, hold->store->stop,
                       err) < 0)
        return -1;
    struct stat st;
    char etag[STORE_ETAG_MAX];
    file_etag_of(from_st, etag);
    if (fstat(from_fd, &st) < 0)
        return err_sys(err, ERR_LOCAL, "stat");
    if (check_etag(&st, "the source", etag, err) < 0)
        return -1;
    const bool has_crc = (put->attr->have & ATTR_CRC64) != 0;
    if (file_record(to_fd, put, has_crc ? &put->attr->crc64 : NULL, &st, err) < 0)
        return -1;
    file_etag_of(&st, ret_result->etag);
    return 0;
}

static int file_copy(struct store *base, const char *from_key, const struct store_put *put,
                     struct store_result *ret_result, struct err *err)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    SCOPED_FD int from_fd = -1;
    SCOPED_FD int to_fd = -1;
    struct stat st;
    if (file_open_object(hold.store, from_key, &from_fd, &st, err) < 0)
        return -1;
    SCOPED(object) struct object from = { 0 };
    file_fill_object(from_fd, &st, from_key, &from);
    /* What the caller does not say is as it was; the CRC is that of the same bytes. */
    struct store_put carried = *put;
    struct attr attr = put->attr != NULL ? *put->attr : from.attr;
    if ((attr.have & ATTR_CRC64) == 0 && (from.attr.have & ATTR_CRC64) != 0) {
        attr.have |= ATTR_CRC64;
        attr.crc64 = from.attr.crc64;
    }
    carried.attr = &attr;
    if (file_key_is_dir(from_key) != file_key_is_dir(put->key))
        return err_set(err, ERR_USAGE, "a copy of '%s' cannot be '%s'", from_key, put->key);
    if (file_key_is_dir(put->key))
        return put_dir(hold.store, hold.hand, &carried, ret_result, err);
    if (open_staged(hold.hand, &carried, &to_fd, err) < 0)
        return -1;
    if (copy_staged(&hold, from_fd, &st, to_fd, &carried, ret_result, err) < 0)
        return drop_staged(hold.hand, put);
    return 0;
}

/* 0 or an errno. Only what is an object may go: a link of the user's is none. */
static int unlink_object(int dir_fd, const char *name, bool is_dir)
{
    if (is_dir)
        return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? errno : 0;
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return ENOENT;
    return unlinkat(dir_fd, name, 0) < 0 ? errno : 0;
}

static void remove_one(struct file_hand *hand, const char *key, struct err *err)
{
    struct err refused = { 0 };
    if (file_key_check(key, &refused) < 0) /* no object has such a key */
        return;
    const bool is_dir = file_key_is_dir(key);
    SCOPED(buf) struct buf rel = { 0 };
    buf_add(&rel, key, strlen(key) - is_dir);
    for (int tries = 0; tries < 2; tries++) {
        int dir_fd = -1;
        const char *name = NULL;
        if (dir_cache_at(&hand->stage.dirs, rel.data, false, &dir_fd, &name, err) < 0) {
            if (err->kind == ERR_ABSENT)
                err_clear(err);
            return;
        }
        errno = unlink_object(dir_fd, name, is_dir);
        if (errno == 0)
            return;
        if (errno != ENOENT && errno != ENOTDIR) {
            const bool full = errno == ENOTEMPTY || errno == EEXIST;
            err_sys(err, full ? ERR_CONFLICT : ERR_LOCAL, "remove '%s'", key);
            return;
        }
        /* The directory may have been removed and made anew since it was opened. */
        dir_cache_forget(&hand->stage.dirs);
    }
}

static int file_remove(struct store *base, const char *const *keys, size_t count, struct err *errs,
                       struct err *err)
{
    SCOPED(file_hold) struct file_hold hold = file_hold(base);
    for (size_t i = 0; i < count; i++) {
        if (stop_check(hold.store->stop, err) < 0)
            return -1;
        err_clear(&errs[i]);
        remove_one(hold.hand, keys[i], &errs[i]);
    }
    return 0;
}

static int file_probe(struct store *base, struct err *err)
{
    const struct file_store *store = file_store_of(base);
    const int want = R_OK | X_OK | (store->writable ? W_OK : 0);
    struct stat st;
    if (faccessat(store->root_fd, ".", want, AT_EACCESS) < 0 || fstat(store->root_fd, &st) < 0)
        return err_sys(err, ERR_CONFIG, "use the directory");
    if (st.st_nlink == 0)
        return err_set(err, ERR_ABSENT, "the directory was removed");
    return 0;
}

const struct store_driver file_driver = {
    .scheme = "file",
    .help = "file:/DIR  a directory of this machine",
    .open = file_open,
    .close = file_close,
    .map_key = file_map_key,
    .unmap_key = file_unmap_key,
    .head = file_head,
    .list_open = file_list_open,
    .list_next = file_list_next,
    .list_close = file_list_close,
    .get = file_get,
    .put = file_put,
    .begin = file_begin,
    .part = file_part,
    .commit = file_commit,
    .abort = file_discard,
    .commit_batch = file_commit_batch,
    .clean = file_discard,
    .set_attr = file_set_attr,
    .copy = file_copy,
    .remove = file_remove,
    .probe = file_probe,
    .diagnose = file_diagnose,
};
