#include "base/log.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/thread.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

/* The sink is one of the two things in the program that are global (the other is in main): every
 * thread logs, and none should carry a pointer for it. */
static struct {
    _Atomic int level;
    _Atomic int fd;
    struct lock lock;
    bool hold;                 /* guarded by lock */
    char *lines[LOG_HELD_MAX]; /* guarded by lock, a ring */
    size_t first, count;       /* guarded by lock */
    size_t lost;               /* guarded by lock: did not fit */
} sink = { .level = LOG_WARN, .fd = STDERR_FILENO, .lock = { PTHREAD_MUTEX_INITIALIZER } };

static const char *const level_names[] = { "error", "warn", "info", "debug" };

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

int log_level_parse(enum log_level *ret_level, const char *name)
{
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (strcmp(name, level_names[level]) == 0) {
            *ret_level = (enum log_level)level;
            return 0;
        }
    }
    return -1;
}

void log_open(enum log_level level, int fd)
{
    atomic_store(&sink.level, (int)level);
    atomic_store(&sink.fd, fd);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

/* A line that cannot be written has nowhere else to go. */
static void write_line(const char *line)
{
    SCOPED(buf) struct buf bytes = { 0 };
    struct err err = { 0 };
    buf_add_text(&bytes, line);
    buf_add_char(&bytes, '\n');
    const int done = file_write_all(atomic_load(&sink.fd), bytes.data, bytes.len, &err);
    (void)done;
}

/* Takes the line when lines are held; the oldest stay, since they tell how it began. */
static bool hold_line(const char *line)
{
    SCOPED_LOCK(&sink.lock);
    if (!sink.hold)
        return false;
    if (sink.count == LOG_HELD_MAX)
        sink.lost++;
    else
        sink.lines[(sink.first + sink.count++) % LOG_HELD_MAX] = mem_string(line);
    return true;
}

static void compose(struct buf *line, enum log_level level, const char *module, const char *item,
                    const char *message)
{
    buf_printf(line, "%s %s: ", level_names[level], module);
    if (item != NULL) {
        utf8_show(line, item, strlen(item));
        buf_add_text(line, ": ");
    }
    utf8_show(line, message, strlen(message));
}

void log_line(enum log_level level, const char *module, const char *item, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    const int kept_errno = errno;
    char message[LOG_LINE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);

    SCOPED(buf) struct buf line = { 0 };
    compose(&line, level, module, item, message);
    if (!hold_line(line.data))
        write_line(line.data);
    errno = kept_errno;
}

char *log_take(void)
{
    SCOPED_LOCK(&sink.lock);
    if (sink.count != 0) {
        char *line = sink.lines[sink.first];
        sink.first = (sink.first + 1) % LOG_HELD_MAX;
        sink.count--;
        return line;
    }
    if (sink.lost == 0)
        return NULL;
    struct buf text = { 0 };
    buf_printf(&text, "warn log: %zu lines more than could be shown", sink.lost);
    sink.lost = 0;
    return buf_take(&text);
}

static void set_hold(bool hold)
{
    SCOPED_LOCK(&sink.lock);
    sink.hold = hold;
}

void log_hold(bool hold)
{
    set_hold(hold);
    if (hold)
        return;
    char *line;
    while ((line = log_take()) != NULL) {
        write_line(line);
        mem_release(line);
    }
}
