#include "pack/cache.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/home.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "indexes"
#define MAGIC "LADEKEP1"
#define MAGIC_LEN 8u
#define SUM_BYTES 8u
#define HEAD_MAX ((size_t)128 * 1024) /* a place may be a long path */
#define READ_BYTES ((size_t)256 * 1024)
#define FILES_MAX 1000000u
#define TEMP_PREFIX "."
#define TEMP_AGE_MAX_NS (INT64_C(24) * 3600 * 1000000000)
#define USED_STEP_NS (INT64_C(24) * 3600 * 1000000000)

/* ---- the directory ---- */

static int open_folder(struct err *err)
{
    char *home = home_cache();
    if (home == NULL)
        return err_set(err, ERR_LOCAL, "neither XDG_CACHE_HOME nor HOME names a directory");
    SCOPED(buf) struct buf path = { 0 };
    buf_printf(&path, "%s/" FOLDER, home);
    int fd = -1;
    if (path_make_all(home, err) == 0) {
        if (mkdir(path.data, 0700) < 0 && errno != EEXIST)
            err_sys(err, ERR_LOCAL, "make '%s'", path.data);
        else if ((fd = open(path.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
            err_sys(err, ERR_LOCAL, "open '%s'", path.data);
    }
    mem_release(home);
    return fd;
}

void cache_open(struct cache *cache)
{
    struct err ignored = { 0 }; /* the same as one that holds nothing */
    *cache = (struct cache){ .dir_fd = open_folder(&ignored) };
    struct stat st;
    /* Names of files are private, and what somebody else may write is not believed. */
    if (cache->dir_fd >= 0 && (fstat(cache->dir_fd, &st) < 0 || st.st_uid != geteuid() ||
                               ((st.st_mode & 077) != 0 && fchmod(cache->dir_fd, 0700) < 0)))
        cache_close(cache);
}

void cache_close(struct cache *cache)
{
    if (cache->dir_fd >= 0)
        close(cache->dir_fd);
    cache->dir_fd = -1;
}

/* ---- what a file is of ---- */

static bool can_keep(const struct cache *cache, const struct cache_key *key)
{
    return cache != NULL && cache->dir_fd >= 0 &&
           (key->etag[0] != '\0' || key->kind == CACHE_LISTING || key->kind == CACHE_SEEN);
}

static void write_head(const struct cache_key *key, struct buf *out)
{
    SCOPED(buf) struct buf of = { 0 };
    buf_add_char(&of, (char)key->kind);
    const char *const texts[] = { key->scheme, key->name, key->etag };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_add_varint(&of, strlen(texts[i]));
        buf_add_text(&of, texts[i]);
    }
    buf_add_varint(&of, key->size_bytes);
    buf_add(out, MAGIC, MAGIC_LEN);
    buf_add_u32(out, (uint32_t)of.len);
    buf_add(out, of.data, of.len);
}

static void name_of(const struct cache_key *key, const struct buf *head, char ret_name[24])
{
    snprintf(ret_name, 24, "%c-%016llx", (char)key->kind,
             (unsigned long long)crc64nvme(0, head->data, head->len));
}

/* ---- reading ---- */

static bool is_whole(int fd, uint64_t size, const struct buf *head)
{
    char *bytes = mem_alloc(READ_BYTES);
    uint64_t crc = 0;
    bool good = true;
    const uint64_t end = size - SUM_BYTES;
    struct err ignored = { 0 };
    for (uint64_t at = 0; good && at < end;) {
        const size_t len = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
        good = file_read_at(fd, at, bytes, len, &ignored) == 0;
        if (good && at == 0) /* the head fits in what is read first, or is not this one */
            good = len >= head->len && memcmp(bytes, head->data, head->len) == 0;
        crc = crc64nvme(crc, bytes, len);
        at += len;
    }
    unsigned char sum[SUM_BYTES];
    good = good && file_read_at(fd, end, sum, sizeof sum, &ignored) == 0;
    struct view view = view_of(sum, sizeof sum);
    mem_release(bytes);
    return good && view_u64(&view) == crc;
}

/* Once a day: it was used. */
static void mark_used(int fd, const struct stat *st)
{
    const int64_t now_ns = clock_now_ns();
    if (now_ns - clock_from_timespec_ns(st->st_mtim) > USED_STEP_NS)
        (void)futimens(fd, NULL);
}

bool cache_find(const struct cache *cache, const struct cache_key *key,
                struct cache_entry *ret_entry)
{
    SCOPED(buf) struct buf head = { 0 };
    if (!can_keep(cache, key))
        return false;
    struct cache_entry entry = { .cache = cache };
    write_head(key, &head);
    name_of(key, &head, entry.name);
    SCOPED_FD int fd = openat(cache->dir_fd, entry.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || head.len > HEAD_MAX || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_uid != geteuid() || (uint64_t)st.st_size < head.len + SUM_BYTES ||
        !is_whole(fd, (uint64_t)st.st_size, &head))
        return false;
    mark_used(fd, &st);
    entry.offset_bytes = head.len;
    entry.size_bytes = (uint64_t)st.st_size - head.len - SUM_BYTES;
    *ret_entry = entry;
    return true;
}

int cache_read(const struct cache_entry *entry, uint64_t offset, size_t len, struct buf *out,
               struct err *err)
{
    if (offset > entry->size_bytes || len > entry->size_bytes - offset)
        return err_set(err, ERR_CORRUPT, "beyond the end of '%s' in the cache", entry->name);
    SCOPED_FD int fd = openat(entry->cache->dir_fd, entry->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s' in the cache", entry->name);
    buf_reserve(out, len);
    if (file_read_at(fd, entry->offset_bytes + offset, out->data + out->len, len, err) < 0)
        return err_at(err, "'%s' in the cache", entry->name);
    out->len += len;
    out->data[out->len] = '\0';
    return 0;
}

/* ---- writing ---- */

void cache_begin(struct cache_writer *writer, struct cache *cache, const struct cache_key *key)
{
    static atomic_uint count;
    SCOPED(buf) struct buf head = { 0 };
    *writer = (struct cache_writer){ .cache = cache, .fd = -1 };
    if (!can_keep(cache, key))
        return;
    write_head(key, &head);
    if (head.len > HEAD_MAX)
        return;
    name_of(key, &head, writer->name);
    snprintf(writer->temp, sizeof writer->temp, TEMP_PREFIX "%ld-%u.tmp", (long)getpid(),
             atomic_fetch_add(&count, 1));
    (void)unlinkat(cache->dir_fd, writer->temp, 0); /* of another machine with this number */
    writer->fd = openat(cache->dir_fd, writer->temp,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    cache_add(writer, head.data, head.len);
}

void cache_add(struct cache_writer *writer, const void *bytes, size_t len)
{
    struct err ignored = { 0 };
    if (writer->fd < 0)
        return;
    writer->crc = crc64nvme(writer->crc, bytes, len);
    if (file_write_all(writer->fd, bytes, len, &ignored) < 0)
        cache_abandon(writer);
}

/* It is not synced: what a crash leaves behind has a wrong sum, and is read again. */
void cache_commit(struct cache_writer *writer)
{
    SCOPED(buf) struct buf sum = { 0 };
    struct err ignored = { 0 };
    if (writer->fd < 0)
        return;
    buf_add_u64(&sum, writer->crc);
    if (file_write_all(writer->fd, sum.data, sum.len, &ignored) < 0 ||
        renameat(writer->cache->dir_fd, writer->temp, writer->cache->dir_fd, writer->name) < 0) {
        cache_abandon(writer);
        return;
    }
    atomic_store(&writer->cache->written, true);
    close(writer->fd);
    writer->fd = -1;
}

void cache_abandon(struct cache_writer *writer)
{
    if (writer->fd < 0)
        return;
    close(writer->fd);
    writer->fd = -1;
    (void)unlinkat(writer->cache->dir_fd, writer->temp, 0);
}

void cache_keep(struct cache *cache, const struct cache_key *key, const void *bytes, size_t len)
{
    struct cache_writer writer;
    cache_begin(&writer, cache, key);
    cache_add(&writer, bytes, len);
    cache_commit(&writer);
}

/* ---- pruning ---- */

struct kept {
    char name[64];
    uint64_t size_bytes;
    int64_t used_ns;
};

static int compare_used(const void *left, const void *right)
{
    const struct kept *a = left;
    const struct kept *b = right;
    return (a->used_ns > b->used_ns) - (a->used_ns < b->used_ns);
}

/* All files of ours, oldest first. */
static struct kept *list_kept(const struct cache *cache, size_t *ret_count)
{
    struct kept *kept = NULL;
    size_t count = 0;
    size_t room = 0;
    const int fd = openat(cache->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0)
        close(fd);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        struct stat st;
        const size_t len = strlen(entry->d_name);
        if (len >= sizeof kept->name || count == FILES_MAX ||
            fstatat(cache->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (count == room) {
            room = room * 2 + 64;
            kept = mem_resize(kept, room * sizeof *kept);
        }
        kept[count] = (struct kept){ .size_bytes = (uint64_t)st.st_size,
                                     .used_ns = clock_from_timespec_ns(st.st_mtim) };
        memcpy(kept[count++].name, entry->d_name, len + 1);
    }
    if (dir != NULL)
        closedir(dir);
    if (count != 0)
        qsort(kept, count, sizeof *kept, compare_used);
    *ret_count = count;
    return kept;
}

void cache_prune(struct cache *cache, uint64_t bytes_max, int64_t now_ns)
{
    if (cache->dir_fd < 0 || !atomic_exchange(&cache->written, false))
        return;
    size_t count = 0;
    struct kept *kept = list_kept(cache, &count);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += kept[i].size_bytes;
    for (size_t i = 0; i < count; i++) {
        const int64_t age_ns = now_ns - kept[i].used_ns;
        const bool is_temp = kept[i].name[0] == TEMP_PREFIX[0];
        if (is_temp ? age_ns <= TEMP_AGE_MAX_NS : total <= bytes_max && age_ns <= CACHE_AGE_MAX_NS)
            continue;
        if (unlinkat(cache->dir_fd, kept[i].name, 0) == 0)
            total -= kept[i].size_bytes;
    }
    mem_release(kept);
}
