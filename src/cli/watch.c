#include "cli/watch.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/scope.h"
#include "cli/detach.h"
#include "job/crew.h"
#include "job/sample.h"
#include "ui/term.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE_NS NS_PER_S /* between two samples, and ... */
#define SAMPLE_COST 10     /* ... this many times as long as one takes */
#define LOOK_NS (100 * NS_PER_MS)
#define LOG_CHUNK 65536
#define LOG_LINE_BYTES_MAX 8192

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* What the log of a run in the background says from now on. */
struct tail {
    int fd; /* -1: there is no log yet */
    off_t at;
    struct buf line; /* begun, its end has not come yet */
};

struct watch {
    const struct job *job;
    const struct watch_options *options;
    struct term term;
    struct snapshot_meter meter;
    struct snapshot last;
    struct tail tail;
    int64_t next_ns;
    struct claim_owner elsewhere; /* as it was seen last */
    int64_t beat_ns;              /* when its heartbeat was seen to move */
};

static void tail_open(struct tail *tail, const struct job *job, bool from_start)
{
    struct stat st;
    if (tail->fd < 0)
        tail->fd = openat(job->dir_fd, DETACH_LOG, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (tail->fd >= 0 && !from_start && fstat(tail->fd, &st) == 0)
        tail->at = st.st_size;
}

/* "2026-11-21 09:30:05 failed: NAME: why": without the time. */
static void show_line(struct watch *watch, const char *line)
{
    const char *text = strlen(line) > 20 ? line + 20 : "";
    if (strncmp(text, "failed: ", 8) == 0 || strncmp(text, "lade: ", 6) == 0)
        term_log(&watch->term, text);
}

static void take_bytes(struct watch *watch, const char *bytes, size_t len)
{
    struct buf *line = &watch->tail.line;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            show_line(watch, buf_text(line));
            buf_clear(line);
        } else if (line->len < LOG_LINE_BYTES_MAX) {
            buf_add_char(line, bytes[i]);
        }
    }
}

static void show_log(struct watch *watch)
{
    char bytes[4096];
    ssize_t got;
    if (!watch->options->failures)
        return;
    if (watch->tail.fd < 0)
        tail_open(&watch->tail, watch->job, true);
    while (watch->tail.fd >= 0 &&
           (got = pread(watch->tail.fd, bytes, sizeof bytes, watch->tail.at)) > 0) {
        take_bytes(watch, bytes, (size_t)got);
        watch->tail.at += got;
    }
}

/* A plan that is just being replaced cannot be read for a moment: the next look can. */
static void show_sample(struct watch *watch)
{
    const int64_t now_ns = clock_monotonic_ns();
    struct snapshot snap;
    struct err ignored = { 0 };
    if (now_ns < watch->next_ns)
        return;
    if (sample_take(&snap, NULL, watch->job, &ignored) == 0) {
        snapshot_measure(&snap, &watch->meter, clock_monotonic_ns());
        watch->last = snap;
        term_draw(&watch->term, &snap, clock_monotonic_ns());
    }
    const int64_t cost_ns = clock_monotonic_ns() - now_ns;
    watch->next_ns =
        now_ns + (cost_ns * SAMPLE_COST > SAMPLE_NS ? cost_ns * SAMPLE_COST : SAMPLE_NS);
}

/* The last sample may be older than the end. */
static int show_end(struct watch *watch, struct err *err)
{
    show_log(watch);
    if (sample_take(&watch->last, NULL, watch->job, err) < 0)
        return -1;
    watch->last.phase = SNAPSHOT_ENDED;
    snapshot_measure(&watch->last, &watch->meter, clock_monotonic_ns());
    term_erase(&watch->term);
    if (watch->options->failures && watch->term.progress != TERM_NONE)
        term_summary(&watch->term, &watch->last);
    return 0;
}

/* On another host only the heartbeat tells. */
static bool beats(struct watch *watch, const struct claim_owner *owner)
{
    const int64_t now_ns = clock_monotonic_ns();
    if (owner->number != watch->elsewhere.number || owner->beats != watch->elsewhere.beats)
        watch->beat_ns = now_ns;
    watch->elsewhere = *owner;
    return owner->number != 0 && now_ns - watch->beat_ns < CLAIM_EXPIRY_NS;
}

/* 1 while somebody works on it. */
static int is_worked_on(struct watch *watch, struct err *err)
{
    struct crew crew;
    if (crew_read(&crew, watch->job, err) < 0)
        return -1;
    const bool worked = crew.count != 0;
    const bool elsewhere = beats(watch, &crew.elsewhere);
    crew_done(&crew);
    return worked || elsewhere;
}

static int follow(struct watch *watch, enum watch_end *ret_end, struct err *err)
{
    const struct timespec span = clock_to_timespec(LOOK_NS);
    int worked;
    *ret_end = WATCH_IDLE;
    while ((worked = is_worked_on(watch, err)) == 1) {
        *ret_end = interrupted ? WATCH_INTERRUPTED : WATCH_ENDED;
        if (interrupted) {
            term_erase(&watch->term);
            return 0;
        }
        show_log(watch);
        show_sample(watch);
        nanosleep(&span, NULL);
    }
    return worked < 0 ? -1 : *ret_end == WATCH_ENDED ? show_end(watch, err) : 0;
}

int watch_job(enum watch_end *ret_end, const struct settings *settings, const struct job *job,
              const struct watch_options *options, struct err *err)
{
    struct watch watch = { .job = job, .options = options, .tail = { .fd = -1 } };
    const bool silent = settings->quiet || settings->progress == SETTING_OFF;
    const struct sigaction action = { .sa_handler = on_signal };
    struct sigaction old;
    term_init(&watch.term, STDERR_FILENO, silent ? TERM_NONE : TERM_AUTO, 0);
    tail_open(&watch.tail, job, false);
    sigaction(SIGINT, &action, &old);
    const int result = follow(&watch, ret_end, err);
    sigaction(SIGINT, &old, NULL);
    term_done(&watch.term);
    if (watch.tail.fd >= 0)
        close(watch.tail.fd);
    buf_done(&watch.tail.line);
    return result;
}
