#include "base/dirlist.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GETDENTS_BYTES ((size_t)32 * 1024)
#define DEFAULT_MEMORY_BYTES ((size_t)16 * 1024 * 1024)
#define RUN_BUFFER_BYTES ((size_t)128 * 1024) /* holds the largest record */

/* As the kernel gives it. */
struct kernel_dirent {
    uint64_t ino;
    int64_t offset;
    uint16_t record_bytes;
    uint8_t type;
    char name[];
};

/* One entry in memory and, byte for byte, in the temporary file. */
struct record {
    uint64_t size_bytes, disk_bytes, dev, ino;
    int64_t mtime_ns;
    uint32_t mode, uid, gid, nlink;
    int32_t sys;
    uint16_t name_len;
    uint8_t kind;
    uint8_t suffix; /* enum suffix */
    char name[];    /* with NUL */
};
/* SUFFIX_LATE is none, behind all that have another. */
enum suffix { SUFFIX_NONE, SUFFIX_SLASH, SUFFIX_LINK, SUFFIX_LATE, SUFFIX_COUNT };
static const char *const suffix_text[SUFFIX_COUNT] = { "", "/", LINK_SUFFIX, "" };

/* What is sorted: 8 bytes of the key behind the prefix that all names share, then the whole key. */
struct slot {
    uint64_t lead;
    struct record *record;
};

struct run { /* a sorted part of the temporary file */
    uint64_t at, end;
    unsigned char *bytes;
    size_t used, filled;
    struct record *head;
};

struct dirlist {
    struct dirlist_options options;
    struct arena arena;
    struct slot *slots;
    size_t slot_count, slot_cap, next;
    uint64_t total_count;
    int temp_fd;
    uint64_t temp_bytes;
    struct run *runs;
    size_t run_count;
    size_t *heap; /* runs by their heads, smallest first */
    size_t heap_count;
};

int dirlist_compare(const char *a, size_t a_len, const char *a_suffix, const char *b, size_t b_len,
                    const char *b_suffix)
{
    const size_t common = a_len < b_len ? a_len : b_len;
    const int order = memcmp(a, b, common);
    if (order != 0)
        return order;
    /* One name is the beginning of the other: go on in the suffixes. */
    const char *rest_a = a_len > common ? a + common : a_suffix;
    const char *rest_b = b_len > common ? b + common : b_suffix;
    const char *then_a = a_len > common ? a_suffix : "";
    const char *then_b = b_len > common ? b_suffix : "";
    for (;;) {
        if (*rest_a == '\0' && *then_a != '\0') {
            rest_a = then_a;
            then_a = "";
        }
        if (*rest_b == '\0' && *then_b != '\0') {
            rest_b = then_b;
            then_b = "";
        }
        const unsigned char byte_a = (unsigned char)*rest_a;
        const unsigned char byte_b = (unsigned char)*rest_b;
        if (byte_a != byte_b)
            return byte_a < byte_b ? -1 : 1;
        if (byte_a == '\0')
            return 0;
        rest_a++;
        rest_b++;
    }
}

static int compare_records(const struct record *a, const struct record *b)
{
    if ((a->suffix == SUFFIX_LATE) != (b->suffix == SUFFIX_LATE))
        return a->suffix == SUFFIX_LATE ? 1 : -1;
    const int order = dirlist_compare(a->name, a->name_len, suffix_text[a->suffix], b->name,
                                      b->name_len, suffix_text[b->suffix]);
    /* A link `a` and a file `a.rclonelink` have one key: always in the same order. */
    return order != 0 ? order : (int)a->suffix - (int)b->suffix;
}

static int compare_slots(const void *left, const void *right)
{
    const struct slot *a = left;
    const struct slot *b = right;
    if (a->lead != b->lead)
        return a->lead < b->lead ? -1 : 1;
    return compare_records(a->record, b->record);
}

static size_t shared_prefix(const struct slot *slots, size_t count)
{
    const struct record *first = slots[0].record;
    size_t shared = first->name_len;
    for (size_t i = 1; i < count && shared != 0; i++) {
        const struct record *other = slots[i].record;
        if (other->name_len < shared)
            shared = other->name_len;
        while (shared != 0 && memcmp(first->name, other->name, shared) != 0)
            shared--;
    }
    return shared;
}

static uint64_t lead_of(const struct record *record, size_t skip)
{
    unsigned char bytes[8] = { 0 };
    size_t n = record->name_len - skip;
    if (n > sizeof bytes)
        n = sizeof bytes;
    memcpy(bytes, record->name + skip, n);
    for (const char *s = suffix_text[record->suffix]; n < sizeof bytes && *s != '\0'; s++)
        bytes[n++] = (unsigned char)*s;
    uint64_t lead = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        lead = lead << 8 | bytes[i];
    /* The bit that is lost only leaves more to the comparison of whole names. */
    return lead >> 1 | (record->suffix == SUFFIX_LATE ? UINT64_C(1) << 63 : 0);
}

static void sort_slots(struct dirlist *list)
{
    if (list->slot_count < 2)
        return;
    const size_t skip = shared_prefix(list->slots, list->slot_count);
    for (size_t i = 0; i < list->slot_count; i++)
        list->slots[i].lead = lead_of(list->slots[i].record, skip);
    qsort(list->slots, list->slot_count, sizeof *list->slots, compare_slots);
}

static size_t record_bytes(const struct record *record)
{
    return (sizeof *record + record->name_len + 1 + 7) & ~(size_t)7;
}

static int open_temp(struct dirlist *list, struct err *err)
{
    list->temp_fd = file_open_temp(list->options.temp_dir, err);
    return list->temp_fd < 0 ? err_at(err, "sort a large directory") : 0;
}

static int write_temp(struct dirlist *list, const char *bytes, size_t len, struct err *err)
{
    while (len != 0) {
        const ssize_t wrote = pwrite(list->temp_fd, bytes, len, (off_t)list->temp_bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return err_sys(err, ERR_LOCAL, "write the temporary file that sorts a large directory");
        bytes += wrote;
        len -= (size_t)wrote;
        list->temp_bytes += (uint64_t)wrote;
    }
    return 0;
}

/* Move what is in memory to the temporary file, as one more sorted run. */
static int spill(struct dirlist *list, struct err *err)
{
    if (list->temp_fd < 0 && open_temp(list, err) < 0)
        return -1;
    sort_slots(list);
    const uint64_t start = list->temp_bytes;
    SCOPED(buf) struct buf out = { 0 };
    for (size_t i = 0; i < list->slot_count; i++) {
        buf_add(&out, list->slots[i].record, record_bytes(list->slots[i].record));
        if (out.len < RUN_BUFFER_BYTES && i + 1 < list->slot_count)
            continue;
        if (write_temp(list, out.data, out.len, err) < 0)
            return -1;
        buf_clear(&out);
    }
    list->runs = mem_resize(list->runs, (list->run_count + 1) * sizeof *list->runs);
    list->runs[list->run_count++] = (struct run){ .at = start, .end = list->temp_bytes };
    list->slot_count = 0;
    arena_done(&list->arena);
    return 0;
}

static enum entry_kind kind_of_mode(uint32_t mode)
{
    if (S_ISREG(mode))
        return ENTRY_FILE;
    if (S_ISDIR(mode))
        return ENTRY_DIR;
    return S_ISLNK(mode) ? ENTRY_LINK : ENTRY_SPECIAL;
}

static void fill_record(struct record *record, const struct stat *st, int sys)
{
    if (sys != 0) {
        record->kind = ENTRY_UNREADABLE;
        record->sys = sys;
        return;
    }
    record->kind = (uint8_t)kind_of_mode(st->st_mode);
    record->size_bytes = (uint64_t)st->st_size;
    record->disk_bytes = (uint64_t)st->st_blocks * 512;
    record->dev = st->st_dev;
    record->ino = st->st_ino;
    record->mtime_ns = clock_from_timespec_ns(st->st_mtim);
    record->mode = st->st_mode;
    record->uid = st->st_uid;
    record->gid = st->st_gid;
    record->nlink = (uint32_t)st->st_nlink;
}

static enum suffix suffix_of(const struct record *record, const struct dirlist_options *options)
{
    if (options->dirs_first)
        return record->kind == ENTRY_DIR ? SUFFIX_NONE : SUFFIX_LATE;
    if (record->kind == ENTRY_DIR)
        return SUFFIX_SLASH;
    return record->kind == ENTRY_LINK && options->suffix_links ? SUFFIX_LINK : SUFFIX_NONE;
}

/* 0, or ENOENT for an entry that vanished since its name was read. */
static int look_at(int dir_fd, const char *name, bool follow, struct stat *st)
{
    if (fstatat(dir_fd, name, st, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    const int sys = errno;
    /* A dangling or looping link is still a link. */
    if (follow && fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st->st_mode))
        return 0;
    return sys;
}

/* A record with its name in the arena, the rest zero; NULL and err. */
static struct record *new_record(struct dirlist *list, const char *name, size_t name_len,
                                 struct err *err)
{
    if (name_len > DIRLIST_NAME_MAX) {
        err_set(err, ERR_LIMIT, "a name of %zu bytes", name_len);
        return NULL;
    }
    struct record *record =
        arena_take(&list->arena, (sizeof *record + name_len + 1 + 7) & ~(size_t)7);
    memset(record, 0, sizeof *record);
    record->name_len = (uint16_t)name_len;
    memcpy(record->name, name, name_len);
    record->name[name_len] = '\0';
    return record;
}

static int keep_record(struct dirlist *list, struct record *record, struct err *err)
{
    record->suffix = (uint8_t)suffix_of(record, &list->options);
    if (list->slot_count == list->slot_cap) {
        list->slot_cap = list->slot_cap == 0 ? 64 : list->slot_cap * 2;
        list->slots = mem_resize(list->slots, list->slot_cap * sizeof *list->slots);
    }
    list->slots[list->slot_count++] = (struct slot){ .record = record };
    list->total_count++;
    return list->arena.total_bytes > list->options.memory_bytes ? spill(list, err) : 0;
}

static int add_record(struct dirlist *list, const char *name, const struct stat *st, int sys,
                      struct err *err)
{
    struct record *record = new_record(list, name, strlen(name), err);
    if (record == NULL)
        return -1;
    fill_record(record, st, sys);
    return keep_record(list, record, err);
}

int dirlist_add_entry(struct dirlist *list, const struct dirlist_entry *entry, struct err *err)
{
    struct record *record = new_record(list, entry->name, entry->name_len, err);
    if (record == NULL)
        return -1;
    record->size_bytes = entry->size_bytes;
    record->disk_bytes = entry->disk_bytes;
    record->dev = entry->dev;
    record->ino = entry->ino;
    record->mtime_ns = entry->mtime_ns;
    record->mode = entry->mode;
    record->uid = entry->uid;
    record->gid = entry->gid;
    record->nlink = entry->nlink;
    record->sys = entry->sys;
    record->kind = (uint8_t)entry->kind;
    return keep_record(list, record, err);
}

int dirlist_add(struct dirlist *list, int dir_fd, const char *path, const char *name,
                struct err *err)
{
    struct stat st;
    const int sys = look_at(dir_fd, path, list->options.follow_links, &st);
    return sys == ENOENT ? 1 : add_record(list, name, &st, sys, err);
}

int dirlist_add_unreadable(struct dirlist *list, const char *name, int sys, struct err *err)
{
    const struct stat none = { 0 };
    return add_record(list, name, &none, sys, err);
}

static int read_all(struct dirlist *list, int dir_fd, struct err *err)
{
    SCOPED(buf) struct buf room = { 0 };
    buf_reserve(&room, GETDENTS_BYTES);
    char *const bytes = room.data;
    for (;;) {
        const long got = syscall(SYS_getdents64, dir_fd, bytes, GETDENTS_BYTES);
        if (got < 0)
            return err_sys(err, ERR_SOURCE, "read the directory");
        if (got == 0)
            return 0;
        for (long at = 0; at < got;) {
            const struct kernel_dirent *entry = (const struct kernel_dirent *)(bytes + at);
            at += entry->record_bytes;
            const char *name = entry->name;
            if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
                continue;
            /* What vanished since its name was read (1) was never there. */
            if (dirlist_add(list, dir_fd, name, name, err) < 0)
                return -1;
        }
    }
}

/* ---- merging the runs ---- */

/* Make the next record of a run its head; NULL at its end. */
static int advance_run(struct dirlist *list, struct run *run, struct err *err)
{
    size_t left = run->filled - run->used;
    const bool whole = left >= sizeof *run->head &&
                       left >= record_bytes((struct record *)(run->bytes + run->used));
    if (!whole && run->at < run->end) {
        memmove(run->bytes, run->bytes + run->used, left);
        run->used = 0;
        size_t want = RUN_BUFFER_BYTES - left;
        if (want > run->end - run->at)
            want = (size_t)(run->end - run->at);
        const ssize_t got = pread(list->temp_fd, run->bytes + left, want, (off_t)run->at);
        if (got <= 0)
            return err_sys(err, ERR_LOCAL, "read the temporary file that sorts a large directory");
        run->at += (uint64_t)got;
        run->filled = left + (size_t)got;
        return advance_run(list, run, err);
    }
    run->head = whole ? (struct record *)(run->bytes + run->used) : NULL;
    if (whole)
        run->used += record_bytes(run->head);
    return 0;
}

static void sift_down(struct dirlist *list, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < list->heap_count; child++)
            if (compare_records(list->runs[list->heap[child]].head,
                                list->runs[list->heap[least]].head) < 0)
                least = child;
        if (least == at)
            return;
        const size_t swap = list->heap[at];
        list->heap[at] = list->heap[least];
        list->heap[least] = swap;
        at = least;
    }
}

static int start_merge(struct dirlist *list, struct err *err)
{
    list->heap = mem_alloc(list->run_count * sizeof *list->heap);
    for (size_t i = 0; i < list->run_count; i++) {
        list->runs[i].bytes = mem_alloc(RUN_BUFFER_BYTES);
        if (advance_run(list, &list->runs[i], err) < 0)
            return -1;
        list->heap[list->heap_count++] = i;
    }
    for (size_t i = list->heap_count; i-- > 0;)
        sift_down(list, i);
    return 0;
}

/* The head of the heap stays valid until the next call, which first moves it on. */
static int next_merged(struct dirlist *list, const struct record **ret_record, struct err *err)
{
    if (list->next++ != 0 && list->heap_count != 0) {
        struct run *last = &list->runs[list->heap[0]];
        if (advance_run(list, last, err) < 0)
            return -1;
        if (last->head == NULL)
            list->heap[0] = list->heap[--list->heap_count];
        sift_down(list, 0);
    }
    *ret_record = list->heap_count != 0 ? list->runs[list->heap[0]].head : NULL;
    return 0;
}

struct dirlist *dirlist_new(const struct dirlist_options *options)
{
    struct dirlist *list = mem_alloc(sizeof *list);
    list->temp_fd = -1;
    if (options != NULL)
        list->options = *options;
    if (list->options.memory_bytes == 0)
        list->options.memory_bytes = DEFAULT_MEMORY_BYTES;
    return list;
}

int dirlist_finish(struct dirlist *list, struct err *err)
{
    if (list->run_count == 0) {
        sort_slots(list);
        return 0;
    }
    if (list->slot_count != 0 && spill(list, err) < 0)
        return -1;
    mem_free(list->slots);
    list->slot_cap = 0;
    return start_merge(list, err);
}

int dirlist_read(struct dirlist **ret_list, int dir_fd, const struct dirlist_options *options,
                 struct err *err)
{
    struct dirlist *list = dirlist_new(options);
    if (read_all(list, dir_fd, err) < 0 || dirlist_finish(list, err) < 0) {
        dirlist_free(list);
        return -1;
    }
    *ret_list = list;
    return 0;
}

int dirlist_next(struct dirlist *list, struct dirlist_entry *ret_entry, struct err *err)
{
    const struct record *record = NULL;
    if (list->run_count != 0) {
        if (next_merged(list, &record, err) < 0)
            return -1;
    } else if (list->next < list->slot_count) {
        record = list->slots[list->next++].record;
    }
    if (record == NULL)
        return 0;
    *ret_entry = (struct dirlist_entry){
        .name = record->name,
        .name_len = record->name_len,
        .kind = record->kind,
        .sys = record->sys,
        .mode = record->mode,
        .uid = record->uid,
        .gid = record->gid,
        .nlink = record->nlink,
        .size_bytes = record->size_bytes,
        .disk_bytes = record->disk_bytes,
        .mtime_ns = record->mtime_ns,
        .dev = record->dev,
        .ino = record->ino,
    };
    return 1;
}

const char *dirlist_next_dir(const struct dirlist *list, size_t *cursor)
{
    while (list->run_count == 0 && *cursor < list->slot_count) {
        const struct record *record = list->slots[(*cursor)++].record;
        if (record->kind == ENTRY_DIR)
            return record->name;
    }
    return NULL;
}

uint64_t dirlist_count(const struct dirlist *list)
{
    return list->total_count;
}

size_t dirlist_memory(const struct dirlist *list)
{
    return sizeof *list + list->arena.total_bytes + list->slot_cap * sizeof *list->slots +
           list->run_count * (RUN_BUFFER_BYTES + sizeof *list->runs);
}

bool dirlist_spilled(const struct dirlist *list)
{
    return list->run_count != 0;
}

void dirlist_free(struct dirlist *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->run_count; i++)
        mem_release(list->runs[i].bytes);
    mem_release(list->runs);
    mem_release(list->heap);
    mem_release(list->slots);
    arena_done(&list->arena);
    if (list->temp_fd >= 0)
        close(list->temp_fd);
    mem_release(list);
}
