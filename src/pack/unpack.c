#include "base/ban.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/unpack_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPILL_BYTES ((size_t)4 << 20)
#define COMPARE_BYTES ((size_t)64 << 10)

/* ---- what the archive brought ---- */

static uint64_t hash_of(struct brought *brought, enum brought_kind kind, const char *rel,
                        size_t len)
{
    unsigned char digest[DIGEST_SHA256_BYTES];
    buf_clear(&brought->text);
    buf_add(&brought->text, brought->seed, sizeof brought->seed);
    buf_add_char(&brought->text, (char)kind);
    buf_add(&brought->text, rel, len);
    digest_sha256(brought->text.data, brought->text.len, digest);
    uint64_t hash = 0;
    memcpy(&hash, digest, sizeof hash);
    return hash != 0 ? hash : 1;
}

/* Where the hash is, or would be. */
static size_t slot_of(const struct brought *brought, uint64_t hash)
{
    size_t at = (size_t)hash & (brought->cap - 1);
    while (brought->slots[at] != 0 && brought->slots[at] != hash)
        at = (at + 1) & (brought->cap - 1);
    return at;
}

bool brought_has(struct brought *brought, enum brought_kind kind, const char *rel, size_t len)
{
    return brought->count != 0 &&
           brought->slots[slot_of(brought, hash_of(brought, kind, rel, len))] != 0;
}

static void grow(struct brought *brought)
{
    struct brought larger = *brought;
    larger.cap = brought->cap == 0 ? 1024 : 2 * brought->cap;
    larger.slots = mem_alloc(larger.cap * sizeof *larger.slots);
    for (size_t i = 0; i < brought->cap; i++)
        if (brought->slots[i] != 0)
            larger.slots[slot_of(&larger, brought->slots[i])] = brought->slots[i];
    mem_release(brought->slots);
    *brought = larger;
}

void brought_add(struct brought *brought, enum brought_kind kind, const char *rel)
{
    if (brought->count * 2 >= brought->cap)
        grow(brought);
    const uint64_t hash = hash_of(brought, kind, rel, strlen(rel));
    const size_t at = slot_of(brought, hash);
    brought->count += brought->slots[at] == 0;
    brought->slots[at] = hash;
}

static bool was_brought(struct unpack *unpack, const char *rel)
{
    return brought_has(&unpack->brought, BROUGHT_FILE, rel, strlen(rel));
}

/* ---- lifetime ---- */

static uint32_t host_hash(void)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    unsigned char digest[DIGEST_SHA256_BYTES];
    digest_sha256(host, strlen(host), digest);
    uint32_t hash = 0;
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

int unpack_new(struct unpack **ret_unpack, const struct unpack_options *options, struct err *err)
{
    if (strlen(options->tag) > UNPACK_TAG_MAX)
        return err_set(err, ERR_USAGE, "the tag '%s' is too long", options->tag);
    struct unpack *unpack = mem_alloc(sizeof *unpack);
    unpack->options = *options;
    memcpy(unpack->brought.seed, options->seed, sizeof options->seed);
    stage_init(&unpack->stage, options->root_fd);
    unpack->stage.file_mode = 0600;
    dir_cache_init(&unpack->targets, options->root_fd, false);
    spill_init(&unpack->links, NULL, SPILL_BYTES);
    snprintf(unpack->family, sizeof unpack->family, "%s-%08x-", options->tag, host_hash());
    unpack->options.tag = unpack->family;
    *ret_unpack = unpack;
    return 0;
}

static void forget_pending(struct unpack *unpack)
{
    for (size_t i = 0; i < unpack->pending_count; i++)
        mem_release(unpack->pending[i].rel);
    unpack->pending_count = 0;
    unpack->pending_bytes = 0;
}

void unpack_free(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    forget_pending(unpack);
    unpack_late_done(unpack);
    dir_cache_done(&unpack->targets);
    stage_done(&unpack->stage);
    buf_done(&unpack->dir);
    buf_done(&unpack->brought.text);
    mem_release(unpack->brought.slots);
    mem_release(unpack);
}

void unpack_tell(struct unpack *unpack, enum unpack_outcome outcome, const char *rel,
                 uint64_t size_bytes, const struct err *err)
{
    unpack->options.tell(unpack->options.to, outcome, rel, size_bytes, err);
}

void unpack_refuse(struct unpack *unpack, const char *rel, const struct err *err)
{
    unpack_tell(unpack, UNPACK_FAILED, rel, 0, err);
}

void unpack_next_tag(struct unpack *unpack, char ret_tag[TAG_TEXT])
{
    snprintf(ret_tag, TAG_TEXT, "%s%ld-%llx", unpack->family, (long)getpid(),
             (unsigned long long)unpack->serial++);
}

struct attr unpack_attr(const struct unpack *unpack, const struct attr *attr)
{
    struct attr own = *attr;
    if (!unpack->options.keep_setid)
        own.mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    return own;
}

/* ---- the way to a name ---- */

/* Is this the temporary name of a process of this host that is no more, working on the same? */
static bool is_left_over(const struct unpack *unpack, const char *name)
{
    const size_t before = sizeof ".lade-" - 1;
    const size_t len = strlen(unpack->family);
    if (!stage_is_temporary(name) || strncmp(name + before, unpack->family, len) != 0)
        return false;
    char *end = NULL;
    const long pid = strtol(name + before + len, &end, 10);
    return pid > 0 && *end == '-' && pid != (long)getpid() && kill((pid_t)pid, 0) < 0 &&
           errno == ESRCH;
}

/* Once for each directory: remove what a killed run left. Whatever does not work stays. */
static void sweep(struct unpack *unpack, const char *dir)
{
    if (brought_has(&unpack->brought, BROUGHT_SWEPT, dir, strlen(dir)))
        return;
    brought_add(&unpack->brought, BROUGHT_SWEPT, dir);
    const int fd =
        path_open(unpack->options.root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream == NULL) {
        scope_close_fd(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (is_left_over(unpack, entry->d_name))
            unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
}

static int check_dir(struct unpack *unpack, const char *dir, struct err *err)
{
    size_t depth = 1;
    for (const char *end = dir; *end != '\0'; depth++) {
        end = strchrnul(end + (end != dir ? 1 : 0), '/');
        if (brought_has(&unpack->brought, BROUGHT_LINK, dir, (size_t)(end - dir)))
            return err_set(err, ERR_SOURCE, "its way leads through '%.*s', a link in the archive",
                           (int)(end - dir), dir);
    }
    if (depth > UNPACK_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "it is more than %d directories deep", UNPACK_DEPTH_MAX);
    sweep(unpack, dir);
    return 0;
}

int unpack_check_way(struct unpack *unpack, const char *rel, struct err *err)
{
    const char *slash = strrchr(rel, '/');
    const size_t len = slash != NULL ? (size_t)(slash - rel) : 0;
    if (stage_is_temporary(slash != NULL ? slash + 1 : rel))
        return err_set(err, ERR_LIMIT, "its name is one of lade's temporary names");
    if (!unpack->dir_known || unpack->dir.len != len ||
        memcmp(buf_text(&unpack->dir), rel, len) != 0) {
        buf_clear(&unpack->dir);
        buf_add(&unpack->dir, rel, len);
        unpack->dir_known = true;
        err_clear(&unpack->dir_err);
        (void)!check_dir(unpack, buf_text(&unpack->dir), &unpack->dir_err);
    }
    if (unpack->dir_err.kind == ERR_NONE)
        return 0;
    *err = unpack->dir_err;
    return -1;
}

/* ---- files ---- */

void unpack_flush(struct unpack *unpack)
{
    if (unpack->pending_count == 0)
        return;
    struct stage_item *items = mem_alloc(BATCH_ITEMS * sizeof *items); /* much for a stack */
    for (size_t i = 0; i < unpack->pending_count; i++) {
        const struct pending *pending = &unpack->pending[i];
        items[i] = (struct stage_item){ .rel = pending->rel,
                                        .tag = pending->tag,
                                        .keep_existing = !pending->replaces };
    }
    stage_commit(&unpack->stage, items, unpack->pending_count);
    for (size_t i = 0; i < unpack->pending_count; i++) {
        const struct pending *pending = &unpack->pending[i];
        struct err ignored = { 0 };
        if (items[i].err.kind == ERR_NONE) {
            unpack_tell(unpack, pending->replaces ? UNPACK_REPLACED : UNPACK_NEW, pending->rel,
                        pending->size_bytes, NULL);
            continue;
        }
        (void)!stage_discard(&unpack->stage, pending->rel, pending->tag, &ignored);
        unpack_tell(unpack, UNPACK_FAILED, pending->rel, pending->size_bytes, &items[i].err);
    }
    mem_release(items);
    forget_pending(unpack);
}

static void add_pending(struct unpack *unpack, const char *rel, const char *tag,
                        uint64_t size_bytes, bool replaces)
{
    struct pending *pending = &unpack->pending[unpack->pending_count++];
    *pending =
        (struct pending){ .rel = mem_string(rel), .size_bytes = size_bytes, .replaces = replaces };
    snprintf(pending->tag, sizeof pending->tag, "%s", tag);
    unpack->pending_bytes += size_bytes;
    brought_add(&unpack->brought, BROUGHT_FILE, rel);
    if (unpack->pending_count == BATCH_ITEMS || unpack->pending_bytes >= BATCH_BYTES)
        unpack_flush(unpack);
}

/* What is at the name already. */
enum there {
    THERE_NOTHING,
    THERE_OURS,
    THERE_SAME,
    THERE_PERHAPS,
    THERE_OTHER,
    THERE_DIR,
    THERE_BAD
};

static enum there look(struct unpack *unpack, const struct archive_member *member, const char *rel,
                       struct err *err)
{
    int dir_fd = -1;
    const char *name = NULL;
    struct stat st;
    struct err why = { 0 };
    if (dir_cache_at(&unpack->targets, rel, false, &dir_fd, &name, &why) < 0) {
        if (why.kind == ERR_ABSENT && why.sys == ENOENT)
            return THERE_NOTHING;
        why.kind = why.kind == ERR_ABSENT ? ERR_CONFLICT : why.kind;
        *err = why;
        return THERE_BAD;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return THERE_NOTHING;
        err_sys(err, ERR_LOCAL, "look at '%s'", rel);
        return THERE_BAD;
    }
    if (S_ISDIR(st.st_mode))
        return THERE_DIR;
    if (was_brought(unpack, rel))
        return THERE_OURS;
    if (!S_ISREG(st.st_mode) || member->is_hard_link || member->attr.kind != ENTRY_FILE ||
        (uint64_t)st.st_size != member->size_bytes)
        return THERE_OTHER;
    return !unpack->options.checksum && (member->attr.have & ATTR_MTIME) != 0 &&
                   member->attr.mtime_ns == clock_from_timespec_ns(st.st_mtim)
               ? THERE_SAME
               : THERE_PERHAPS;
}

static int conflict(const char *what, struct err *err)
{
    err_set(err, ERR_CONFLICT, "%s is there already", what);
    return err_hint(err, "use --overwrite to replace it");
}

/* The data of the member into the file; what ends all is -1 with *ret_fatal. */
static int write_data(struct archive_in *in, int fd, uint64_t size_bytes, bool *ret_fatal,
                      struct err *err)
{
    struct archive_piece piece;
    uint64_t end = 0;
    int got;
    while ((got = archive_in_data(in, &piece, err)) == 1) {
        if (piece.len > size_bytes || piece.offset_bytes > size_bytes - piece.len ||
            piece.offset_bytes < end)
            return err_set(err, ERR_CORRUPT, "it has other bytes than its %llu",
                           (unsigned long long)size_bytes);
        end = piece.offset_bytes + piece.len;
        if (file_write_sparse(fd, piece.bytes, piece.len, piece.offset_bytes, err) < 0) {
            *ret_fatal = true;
            return -1;
        }
    }
    *ret_fatal = got < 0;
    if (got < 0)
        return -1;
    return file_set_size(fd, size_bytes, err);
}

/* 1: the same bytes, 0: others, or not to be read. */
static int same_bytes(int fd_a, int fd_b, uint64_t size_bytes)
{
    char *block = mem_alloc(2 * COMPARE_BYTES);
    struct err ignored = { 0 };
    bool same = true;
    for (uint64_t at = 0; same && at < size_bytes; at += COMPARE_BYTES) {
        const uint64_t left = size_bytes - at;
        const size_t len = (size_t)(left < COMPARE_BYTES ? left : COMPARE_BYTES);
        same = file_read_at(fd_a, at, block, len, &ignored) == 0 &&
               file_read_at(fd_b, at, block + COMPARE_BYTES, len, &ignored) == 0 &&
               memcmp(block, block + COMPARE_BYTES, len) == 0;
    }
    mem_release(block);
    return same;
}

static bool same_content(struct unpack *unpack, const char *rel, int fd, uint64_t size_bytes)
{
    SCOPED_FD const int there =
        path_open(unpack->options.root_fd, rel, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0, false);
    return there >= 0 && same_bytes(fd, there, size_bytes);
}

static void tell_unchanged(struct unpack *unpack, const char *rel, uint64_t size_bytes)
{
    brought_add(&unpack->brought, BROUGHT_FILE, rel);
    unpack_tell(unpack, UNPACK_UNCHANGED, rel, size_bytes, NULL);
}

/* The file is written and waits for its name, or goes. */
static int settle_file(struct unpack *unpack, const struct archive_member *member, const char *rel,
                       const char *tag, int fd, enum there there, struct err *err)
{
    if (there == THERE_PERHAPS && same_content(unpack, rel, fd, member->size_bytes)) {
        tell_unchanged(unpack, rel, member->size_bytes);
        return stage_discard(&unpack->stage, rel, tag, err);
    }
    if (there == THERE_PERHAPS && !unpack->options.overwrite)
        return conflict("a different file", err);
    const struct attr attr = unpack_attr(unpack, &member->attr);
    if (stage_set_attr(fd, &attr, err) < 0)
        return -1;
    add_pending(unpack, rel, tag, member->size_bytes, there != THERE_NOTHING);
    return 0;
}

/* 0: settled one way or the other, -1: err is about this member, or about all (*ret_fatal). */
static int bring_file(struct unpack *unpack, struct archive_in *in,
                      const struct archive_member *member, const char *rel, bool *ret_fatal,
                      struct err *err)
{
    /* Its first self must be there before the second one comes. */
    if (was_brought(unpack, rel))
        unpack_flush(unpack);
    const enum there there = look(unpack, member, rel, err);
    if (there == THERE_BAD)
        return -1;
    if (there == THERE_DIR)
        return err_set(err, ERR_CONFLICT, "a directory of this name is there already");
    if (there == THERE_SAME) {
        tell_unchanged(unpack, rel, member->size_bytes);
        return 0;
    }
    if (there == THERE_OTHER && !unpack->options.overwrite)
        return conflict("a different file", err);
    if (member->size_bytes > INT64_MAX)
        return err_set(err, ERR_CORRUPT, "its size makes no sense");
    char tag[TAG_TEXT];
    unpack_next_tag(unpack, tag);
    SCOPED_FD int fd = -1;
    if (stage_open(&unpack->stage, rel, tag, false, &fd, err) < 0)
        return -1;
    if (write_data(in, fd, member->size_bytes, ret_fatal, err) == 0 &&
        settle_file(unpack, member, rel, tag, fd, there, err) == 0)
        return 0;
    struct err ignored = { 0 };
    (void)!stage_discard(&unpack->stage, rel, tag, &ignored);
    return -1;
}

/* ---- the other kinds ---- */

static int bring_dir(struct unpack *unpack, const struct archive_member *member, const char *rel,
                     struct err *err)
{
    struct stat st;
    const bool was_there = brought_has(&unpack->brought, BROUGHT_DIR, rel, strlen(rel)) ||
                           look(unpack, member, rel, err) == THERE_DIR;
    if (err->kind != ERR_NONE || stage_make_dir(&unpack->stage, rel, err) < 0)
        return -1;
    SCOPED_FD const int fd =
        path_open(unpack->options.root_fd, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, false);
    /* Nobody else looks into a private directory while it is filled. */
    if (fd >= 0 && !was_there && fstat(fd, &st) == 0)
        (void)!fchmod(fd, (st.st_mode & member->attr.mode & 0777) | 0700);
    brought_add(&unpack->brought, BROUGHT_DIR, rel);
    if (unpack_keep_dir(unpack, member, rel, err) < 0)
        return -1;
    unpack_tell(unpack, was_there ? UNPACK_UNCHANGED : UNPACK_NEW, rel, 0, NULL);
    return 0;
}

static int skip_special(struct unpack *unpack, const char *rel)
{
    struct err why = { 0 };
    err_set(&why, ERR_SOURCE, "a device, FIFO or socket");
    unpack_tell(unpack, UNPACK_SKIPPED, rel, 0, &why);
    return 0;
}

int unpack_member(struct unpack *unpack, struct archive_in *in, const struct archive_member *member,
                  const char *rel, struct err *err)
{
    struct err why = { 0 };
    bool fatal = false;
    int result = unpack_check_way(unpack, rel, &why);
    if (result < 0)
        ;
    else if (member->attr.kind == ENTRY_FILE)
        result = bring_file(unpack, in, member, rel, &fatal, &why);
    else if (member->attr.kind == ENTRY_DIR)
        result = bring_dir(unpack, member, rel, &why);
    else if (member->attr.kind == ENTRY_LINK)
        result = unpack_keep_link(unpack, member, rel, &why);
    else
        result = skip_special(unpack, rel);
    if (result == 0)
        return 0;
    if (!fatal && !err_trait(why.kind)->ends_run) {
        unpack_tell(unpack, UNPACK_FAILED, rel, member->size_bytes, &why);
        return 0;
    }
    *err = why;
    return -1;
}

/* ---- hard links ---- */

/* Give the file `target` a second name, by way of a temporary one. */
static int link_file(struct unpack *unpack, const char *rel, const char *target, bool replaces,
                     struct err *err)
{
    int from_fd = -1;
    int to_fd = -1;
    const char *from = NULL;
    const char *name = NULL;
    struct stat st;
    /* Makes the directories; what it is for is known by name only. */
    SCOPED(buf) struct buf parent = { 0 };
    const char *slash = strrchr(rel, '/');
    if (slash != NULL)
        buf_add(&parent, rel, (size_t)(slash - rel));
    if (slash != NULL && stage_make_dir(&unpack->stage, buf_text(&parent), err) < 0)
        return -1;
    if (dir_cache_at(&unpack->targets, target, false, &from_fd, &from, err) < 0)
        return -1;
    /* stage_make_dir() holds another directory; this one is open until the next name. */
    if (dir_cache_at(&unpack->stage.dirs, rel, false, &to_fd, &name, err) < 0)
        return -1;
    if (fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_CONFLICT, "'%s', which it is a hard link to, is no file", target);
    char tag[TAG_TEXT];
    char temp[TAG_TEXT + 16];
    unpack_next_tag(unpack, tag);
    snprintf(temp, sizeof temp, ".lade-%s.tmp", tag);
    unlinkat(to_fd, temp, 0);
    if (linkat(from_fd, from, to_fd, temp, 0) < 0)
        return err_sys(err, ERR_LOCAL, "make the hard link to '%s'", target);
    struct stage_item item = { .rel = rel, .tag = tag, .keep_existing = !replaces };
    stage_commit(&unpack->stage, &item, 1);
    /* Two names of one file: rename() does nothing then, and leaves the first. */
    unlinkat(to_fd, temp, 0);
    if (item.err.kind == ERR_NONE)
        return 0;
    *err = item.err;
    return -1;
}

static bool same_file(struct unpack *unpack, const char *rel, const char *target)
{
    SCOPED_FD const int a = path_open(unpack->options.root_fd, rel, O_PATH | O_NOFOLLOW, 0, false);
    SCOPED_FD const int b =
        path_open(unpack->options.root_fd, target, O_PATH | O_NOFOLLOW, 0, false);
    struct stat st_a;
    struct stat st_b;
    return a >= 0 && b >= 0 && fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 &&
           st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

static int bring_hard_link(struct unpack *unpack, const struct archive_member *member,
                           const char *rel, const char *target, struct err *err)
{
    if (!was_brought(unpack, target))
        return err_set(err, ERR_SOURCE,
                       "it is a hard link to '%s', which is no file that this archive brought",
                       target);
    if (unpack_check_way(unpack, target, err) < 0)
        return -1;
    const enum there there = look(unpack, member, rel, err);
    if (there == THERE_BAD)
        return -1;
    if (there == THERE_DIR)
        return err_set(err, ERR_CONFLICT, "a directory of this name is there already");
    if (there != THERE_NOTHING && same_file(unpack, rel, target)) {
        tell_unchanged(unpack, rel, 0);
        return 0;
    }
    if (there == THERE_OTHER && !unpack->options.overwrite)
        return conflict("a different file", err);
    if (link_file(unpack, rel, target, there != THERE_NOTHING, err) < 0)
        return -1;
    brought_add(&unpack->brought, BROUGHT_FILE, rel);
    unpack_tell(unpack, there == THERE_NOTHING ? UNPACK_NEW : UNPACK_REPLACED, rel, 0, NULL);
    return 0;
}

int unpack_hard_link(struct unpack *unpack, const struct archive_member *member, const char *rel,
                     const char *target_rel, struct err *err)
{
    struct err why = { 0 };
    unpack_flush(unpack);
    if (unpack_check_way(unpack, rel, &why) == 0 &&
        bring_hard_link(unpack, member, rel, target_rel, &why) == 0)
        return 0;
    if (!err_trait(why.kind)->ends_run) {
        unpack_tell(unpack, UNPACK_FAILED, rel, 0, &why);
        return 0;
    }
    *err = why;
    return -1;
}

int unpack_finish(struct unpack *unpack, struct err *err)
{
    unpack_flush(unpack);
    if (unpack_make_links(unpack, err) < 0 || unpack_set_dirs(unpack, err) < 0)
        return -1;
    /* What was set last is made durable with all else. */
    if (syncfs(unpack->options.root_fd) < 0 && errno != EBADF)
        return err_sys(err, ERR_LOCAL, "make it durable");
    return 0;
}
