#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "base/stage.h"
#include "job/job.h"
#include "job/repack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define HEAD "lade-repack 1\n"
#define TRACE_MAX ((size_t)64 * 1024 * 1024)

/* Beside the jobs: .../lade/repack/XXXXXXXXXXXXXXXX */
static char *trace_directory(void)
{
    char *home = jobs_home();
    struct buf path = { 0 };
    buf_add(&path, home, strlen(home) - strlen("jobs"));
    buf_add_text(&path, "repack");
    mem_release(home);
    return buf_take(&path);
}

static int open_file(const char *location, int *ret_fd, struct err *err)
{
    char *directory = trace_directory();
    SCOPED(buf) struct buf path = { 0 };
    buf_printf(&path, "%s/%016llx", directory,
               (unsigned long long)crc64nvme(0, location, strlen(location)));
    const int made = path_make_all(directory, err);
    mem_release(directory);
    if (made < 0)
        return -1;
    *ret_fd = open(path.data, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *ret_fd < 0 ? err_sys(err, ERR_LOCAL, "open '%s'", path.data) : 0;
}

static int append(struct repack_trace *trace, const struct buf *line, struct err *err)
{
    if (file_write_all(trace->fd, line->data, line->len, err) < 0)
        return err_at(err, "note what is under way");
    return fdatasync(trace->fd) < 0 ? err_sys(err, ERR_LOCAL, "note what is under way") : 0;
}

static int start(struct repack_trace *trace, struct err *err)
{
    SCOPED(buf) struct buf line = { 0 };
    if (ftruncate(trace->fd, 0) < 0)
        return err_sys(err, ERR_LOCAL, "note what is under way");
    buf_add_text(&line, HEAD);
    return append(trace, &line, err);
}

/* ---- cleaning ---- */

/* What one new pack may have left. Errors do not matter: it only takes room, and `lade uploads`
 * shows it. */
struct left {
    const char *tag, *key, *token;
    int64_t begun_ns;
};

static void remove_object(struct store *store, const char *key)
{
    struct err each = { 0 };
    struct err ignored = { 0 };
    (void)!store->driver->remove(store, &key, 1, &each, &ignored);
}

static void clean(struct store *store, const struct left *left)
{
    const struct store_driver *driver = store->driver;
    struct err ignored = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    if (left->token != NULL)
        (void)!driver->abort(store, left->key, left->token, &ignored);
    ignored = (struct err){ 0 };
    (void)!driver->clean(store, left->key, left->tag, &ignored);
    buf_printf(&index, "%s" PACK_INDEX_SUFFIX, left->key);
    ignored = (struct err){ 0 };
    (void)!driver->clean(store, index.data, left->tag, &ignored);
    if (left->token == NULL && driver->clean_begun != NULL)
        driver->clean_begun(store, left->key, left->begun_ns, clock_now_ns());
    remove_object(store, left->key);
    remove_object(store, index.data);
}

/* The index of a plain tar that is gone. */
static void clean_dropped(struct store *store, const char *key)
{
    SCOPED(object) struct object object = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    struct err why = { 0 };
    if (store_head_patiently(store, key, NULL, &object, &why) == 0 || why.kind != ERR_ABSENT)
        return;
    buf_printf(&index, "%s" PACK_INDEX_SUFFIX, key);
    remove_object(store, index.data);
}

static char *next_word(char **at)
{
    char *word = *at;
    char *space = strchr(word, ' ');
    if (space == NULL)
        return NULL;
    *space = '\0';
    *at = space + 1;
    return word;
}

static void find_token(char *line, const char *tag, const char **token)
{
    for (; *line != '\0'; line += strlen(line) + 1) {
        const size_t len = strlen(tag);
        if (strncmp(line, "token ", 6) == 0 && strncmp(line + 6, tag, len) == 0 &&
            line[6 + len] == ' ')
            *token = line + 6 + len + 1;
    }
}

static void clean_line(struct store *store, char *line, char *rest)
{
    if (strncmp(line, "drop ", 5) == 0) {
        clean_dropped(store, line + 5);
        return;
    }
    if (strncmp(line, "begin ", 6) != 0)
        return;
    char *at = line + 6;
    const char *tag = next_word(&at);
    const char *time = tag != NULL ? next_word(&at) : NULL;
    /* A line that was torn names nothing of anybody else. */
    if (time == NULL || strncmp(at, REPACK_NAME, strlen(REPACK_NAME)) != 0 ||
        strlen(tag) >= STAGE_TAG_MAX)
        return;
    struct left left = { .tag = tag, .key = at, .begun_ns = strtoll(time, NULL, 10) };
    find_token(rest, tag, &left.token);
    clean(store, &left);
}

/* Lines become strings, one behind the other, an empty one last; what has no end is left out. */
static void clean_all(struct repack_trace *trace, struct store *store)
{
    SCOPED(buf) struct buf text = { 0 };
    struct stat st;
    struct err ignored = { 0 };
    if (fstat(trace->fd, &st) < 0 || st.st_size <= 0 || (uint64_t)st.st_size > TRACE_MAX)
        return;
    buf_reserve(&text, (size_t)st.st_size + 1);
    if (file_read_at(trace->fd, 0, text.data, (size_t)st.st_size, &ignored) < 0)
        return;
    text.len = (size_t)st.st_size;
    while (text.len != 0 && text.data[text.len - 1] != '\n')
        text.len--;
    text.data[text.len] = '\0';
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\n')
            text.data[i] = '\0';
    for (char *line = text.data; *line != '\0';) {
        char *next = line + strlen(line) + 1;
        clean_line(store, line, next);
        line = next;
    }
}

/* ---- for the others ---- */

int repack_trace_open(struct repack_trace *trace, const char *location, struct store *store,
                      struct err *err)
{
    SCOPED_FD int fd = -1;
    if (open_file(location, &fd, err) < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return err_set(err, ERR_CONFLICT, "another repack is at work there");
    trace->fd = fd;
    clean_all(trace, store);
    if (start(trace, err) < 0)
        return -1;
    trace->fd = scope_take_fd(&fd);
    return 0;
}

void repack_trace_close(struct repack_trace *trace)
{
    if (trace->fd >= 0)
        close(trace->fd);
    trace->fd = -1;
}

int repack_trace_begin(struct repack_trace *trace, const char *tag, const char *key,
                       struct err *err)
{
    SCOPED(buf) struct buf line = { 0 };
    buf_printf(&line, "begin %s %lld %s\n", tag, (long long)clock_now_ns(), key);
    return append(trace, &line, err);
}

int repack_trace_token(struct repack_trace *trace, const char *tag, const char *token,
                       struct err *err)
{
    SCOPED(buf) struct buf line = { 0 };
    buf_printf(&line, "token %s %s\n", tag, token);
    return append(trace, &line, err);
}

int repack_trace_drop(struct repack_trace *trace, const char *key, struct err *err)
{
    SCOPED(buf) struct buf line = { 0 };
    buf_printf(&line, "drop %s\n", key);
    return append(trace, &line, err);
}

int repack_trace_done(struct repack_trace *trace, struct err *err)
{
    return start(trace, err);
}

void repack_trace_undo(struct repack_trace *trace, struct store *store)
{
    clean_all(trace, store);
}
