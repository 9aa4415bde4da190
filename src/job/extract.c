#include "job/extract.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "job/archived.h"
#include "pack/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

struct extract {
    struct extract_options options;
    struct archived archived;
    struct unpack *unpack;
    int root_fd;
    struct rate bandwidth, requests;
    struct flow flow;
    struct notes notes;
    int64_t begun_ns;
    uint64_t found_count; /* members that were asked for; extractor only */
    struct thread thread;
    struct err err; /* set before ended */
    atomic_uint_fast64_t moved_bytes, read_bytes;
    atomic_uint_fast64_t counts[UNPACK_OUTCOME_COUNT], bytes[UNPACK_OUTCOME_COUNT];
    struct lock lock;
    struct cond over;
    bool ended; /* guarded by lock */
};

/* ---- the thread ---- */

static void note(void *to, enum unpack_outcome outcome, const char *rel, uint64_t size_bytes,
                 const struct err *err)
{
    struct extract *extract = to;
    atomic_fetch_add(&extract->counts[outcome], 1);
    atomic_fetch_add(&extract->bytes[outcome], size_bytes);
    if (err != NULL)
        notes_add(&extract->notes, outcome == UNPACK_SKIPPED ? RESULT_SKIPPED : RESULT_FAILED, rel,
                  err);
}

/* Where below the directory does the member go? false: it was not asked for. */
static bool place_member(struct extract *extract, const char *rel, bool is_dir, struct buf *ret_rel)
{
    const struct extract_options *options = &extract->options;
    const char *rest = NULL;
    buf_clear(ret_rel);
    if (!archive_is_inside(rel, options->inside, &rest))
        return false;
    char *base = path_base(options->inside);
    if (options->inside[0] != '\0' && rest[0] == '\0' && !is_dir)
        buf_add_text(ret_rel, options->one_name != NULL ? options->one_name : base);
    else if (options->keep_name && base[0] != '\0')
        buf_printf(ret_rel, "%s%s%s", base, rest[0] != '\0' ? "/" : "", rest);
    else
        buf_add_text(ret_rel, rest);
    mem_release(base);
    return true;
}

static bool is_filtered(const struct extract *extract, const struct buf *rel, bool is_dir)
{
    SCOPED(buf) struct buf name = { 0 };
    buf_add(&name, buf_text(rel), rel->len);
    if (is_dir)
        buf_add_char(&name, '/');
    return extract->options.filter != NULL &&
           !filter_path(extract->options.filter, buf_text(&name), name.len, NULL);
}

static int bring(struct extract *extract, const struct archive_member *member, struct err *err)
{
    SCOPED(buf) struct buf clean = { 0 };
    SCOPED(buf) struct buf rel = { 0 };
    SCOPED(buf) struct buf other = { 0 };
    SCOPED(buf) struct buf target = { 0 };
    struct err why = { 0 };
    const bool is_dir = member->attr.kind == ENTRY_DIR;
    if (archive_path_rel(&member->path, &clean, &why) < 0) {
        /* It is nowhere, so it is only told to who wanted all. */
        if (extract->options.inside[0] == '\0')
            unpack_refuse(extract->unpack, buf_text(&member->path), &why);
        return 0;
    }
    if (!place_member(extract, buf_text(&clean), is_dir, &rel))
        return 0;
    extract->found_count++;
    if (rel.len == 0 || is_filtered(extract, &rel, is_dir))
        return 0;
    if (extract->options.one_name != NULL && strcmp(rel.data, extract->options.one_name) != 0)
        return err_set(err, ERR_USAGE, "--to names one file, but '%s' holds more than one member",
                       extract->options.inside);
    if (!member->is_hard_link)
        return unpack_member(extract->unpack, extract->archived.in, member, rel.data, err);
    if (archive_path_rel(&member->target, &other, &why) < 0) {
        err_at(&why, "it is a hard link to '%s'", buf_text(&member->target));
        unpack_refuse(extract->unpack, rel.data, &why);
        return 0;
    }
    /* Outside of what was asked for: then no file of that name was brought. */
    if (!place_member(extract, buf_text(&other), false, &target) || target.len == 0) {
        buf_clear(&target);
        buf_add(&target, buf_text(&other), other.len);
    }
    return unpack_hard_link(extract->unpack, member, rel.data, buf_text(&target), err);
}

static int bring_all(struct extract *extract, struct err *err)
{
    struct archive_member member = { 0 };
    int got;
    while ((got = archive_in_next(extract->archived.in, &member, err)) == 1) {
        atomic_store(&extract->read_bytes, extract->archived.wanted_bytes);
        if (stop_check(extract->options.stop, err) < 0 || bring(extract, &member, err) < 0) {
            got = -1;
            break;
        }
    }
    archive_member_done(&member);
    if (got == 0)
        got = archived_verify(&extract->archived, err);
    return got;
}

static int work(struct extract *extract, struct err *err)
{
    const int result = bring_all(extract, err);
    /* What came whole stays, whatever happened behind it. */
    struct err why = { 0 };
    if (unpack_finish(extract->unpack, &why) < 0 && result == 0) {
        *err = why;
        return -1;
    }
    if (result < 0)
        return err_at(err, "'%s'", extract->options.archive);
    if (extract->found_count == 0 && extract->options.inside[0] != '\0')
        return err_set(err, ERR_ABSENT, "'%s' has no member '%s'", extract->options.archive,
                       extract->options.inside);
    return 0;
}

static void *extract_main(void *arg)
{
    struct extract *extract = arg;
    (void)!work(extract, &extract->err); /* kept for extract_end() */
    SCOPED_LOCK(&extract->lock);
    extract->ended = true;
    cond_wake_all(&extract->over);
    return NULL;
}

/* ---- the caller's side ---- */

static void extract_free(struct extract *extract)
{
    thread_join(&extract->thread);
    unpack_free(extract->unpack);
    archived_done(&extract->archived);
    scope_close_fd(&extract->root_fd);
    notes_done(&extract->notes);
    cond_done(&extract->over);
    lock_done(&extract->lock);
    rate_done(&extract->bandwidth);
    rate_done(&extract->requests);
    mem_release(extract);
}

/* The same archive for the same directory has the same tag, so what a kill left is known. */
static void make_tag(const struct extract *extract, char ret_tag[UNPACK_TAG_MAX + 1])
{
    char hex[2 * DIGEST_SHA256_BYTES + 1];
    digest_sha256_hex(extract->options.archive, strlen(extract->options.archive), hex);
    memcpy(ret_tag, hex, UNPACK_TAG_MAX);
    ret_tag[UNPACK_TAG_MAX] = '\0';
}

static int open_all(struct extract *extract, struct err *err)
{
    const struct extract_options *options = &extract->options;
    const struct store_options opening = { .stop = options->stop,
                                           .stall_s = options->stall_s,
                                           .request_rate = options->requests_per_s != 0
                                                               ? &extract->requests
                                                               : NULL,
                                           .access = options->access };
    if (archived_open(&extract->archived, options->archive, &opening, &extract->flow,
                      &options->limits, options->inside, err) < 0 ||
        path_make_all(options->dest, err) < 0)
        return -1;
    extract->root_fd = open(options->dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (extract->root_fd < 0)
        return err_sys(err, ERR_LOCAL, "open '%s'", options->dest);
    char tag[UNPACK_TAG_MAX + 1];
    make_tag(extract, tag);
    struct unpack_options unpacking = { .root_fd = extract->root_fd,
                                        .tag = tag,
                                        .overwrite = options->overwrite,
                                        .checksum = options->checksum,
                                        .keep_setid = options->keep_setid,
                                        .tell = note,
                                        .to = extract };
    if (getrandom(unpacking.seed, sizeof unpacking.seed, 0) != (ssize_t)sizeof unpacking.seed)
        return err_sys(err, ERR_LOCAL, "get random numbers");
    if (unpack_new(&extract->unpack, &unpacking, err) < 0)
        return -1;
    return thread_start(&extract->thread, "extract", extract_main, extract, err);
}

int extract_start(struct extract **ret_extract, const struct extract_options *options,
                  struct err *err)
{
    struct extract *extract = mem_alloc(sizeof *extract);
    extract->options = *options;
    extract->root_fd = -1;
    extract->begun_ns = clock_monotonic_ns();
    lock_init(&extract->lock);
    cond_init(&extract->over);
    notes_init(&extract->notes);
    rate_init(&extract->bandwidth, (double)options->bwlimit_bytes_per_s, extract->begun_ns);
    rate_init(&extract->requests, (double)options->requests_per_s, extract->begun_ns);
    extract->flow =
        (struct flow){ .rate = options->bwlimit_bytes_per_s != 0 ? &extract->bandwidth : NULL,
                       .stop = options->stop,
                       .moved = &extract->moved_bytes };
    if (open_all(extract, err) < 0) {
        extract_free(extract);
        return -1;
    }
    *ret_extract = extract;
    return 0;
}

bool extract_wait(struct extract *extract, int64_t span_ns)
{
    SCOPED_LOCK(&extract->lock);
    if (!extract->ended)
        (void)cond_wait_for(&extract->over, &extract->lock, span_ns);
    return extract->ended;
}

static struct snapshot_sum sum_of(struct extract *extract, enum unpack_outcome outcome)
{
    return (struct snapshot_sum){ .count = atomic_load(&extract->counts[outcome]),
                                  .bytes = atomic_load(&extract->bytes[outcome]) };
}

/* What members there are is known at the end only; until then the way through the archive is what
 * can be shown. */
void extract_snapshot(struct extract *extract, struct snapshot *ret_snapshot)
{
    struct snapshot snap = { .work = SNAPSHOT_GET, .phase = SNAPSHOT_RUNNING };
    const struct snapshot_sum fresh = sum_of(extract, UNPACK_NEW);
    const struct snapshot_sum replaced = sum_of(extract, UNPACK_REPLACED);
    snap.done = (struct snapshot_sum){ fresh.count + replaced.count, fresh.bytes + replaced.bytes };
    snap.new_count = fresh.count;
    snap.replaced_count = replaced.count;
    snap.unchanged = sum_of(extract, UNPACK_UNCHANGED);
    snap.skipped = sum_of(extract, UNPACK_SKIPPED);
    snap.failed = sum_of(extract, UNPACK_FAILED);
    snap.moved_bytes = atomic_load(&extract->moved_bytes);
    snap.active_count = 1;
    snap.elapsed_ns = clock_monotonic_ns() - extract->begun_ns;
    notes_show(&extract->notes, &snap);
    const uint64_t settled = snapshot_settled(&snap).bytes;
    snap.planned = snapshot_settled(&snap);
    if (extract_wait(extract, 0)) {
        snap.totals_final = true;
        snap.active_count = 0;
    } else {
        /* As much is to come as the archive has left. */
        snap.planned.count++;
        snap.planned.bytes =
            settled + (extract->archived.source.size_bytes - atomic_load(&extract->read_bytes));
    }
    *ret_snapshot = snap;
}

struct notes *extract_notes(struct extract *extract)
{
    return &extract->notes;
}

int extract_end(struct extract *extract, enum run_end *ret_end, struct snapshot *ret_last,
                struct err *err)
{
    extract_snapshot(extract, ret_last);
    *ret_end = notes_have_corrupt(&extract->notes)                ? RUN_DIFFERS
               : notes_count(&extract->notes, RESULT_FAILED) != 0 ? RUN_SOME_FAILED
                                                                  : RUN_DONE;
    const struct err why = extract->err;
    extract_free(extract);
    if (why.kind == ERR_NONE)
        return 0;
    *err = why;
    return -1;
}
