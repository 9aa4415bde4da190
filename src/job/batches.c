#include "job/batches.h"

#include "base/ban.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "job/result.h"
#include "job/segment.h"

enum state { COMPLETED, QUEUED, FAILED };

struct list {
    const struct job_spec *spec;
    FILE *out;
    bool any;
    struct buf line;
    struct buf path;   /* of the entry at hand */
    struct buf before; /* the name in front of the batch, "" = none */
    struct buf behind; /* the name behind it */
    struct buf told;   /* the directory told last: what lies in it is told */
};

static bool begins_with(const char *name, size_t len, const char *component)
{
    const size_t component_len = strlen(component);
    return len >= component_len && memcmp(name, component, component_len) == 0 &&
           (len == component_len || name[component_len] == '/');
}

/* Where an entry is: below the only source, or below the one that it begins with. */
static void path_of(struct list *list, const char *name, size_t len)
{
    const struct job_spec *spec = list->spec;
    buf_clear(&list->path);
    if (spec->one_name != NULL || (spec->source_count == 1 && !spec->keep_name)) {
        buf_add_text(&list->path, spec->sources[0]);
    } else {
        for (size_t i = 0; i < spec->source_count; i++) {
            const char *slash = strrchr(spec->sources[i], '/');
            if (begins_with(name, len, slash + 1)) {
                buf_add(&list->path, spec->sources[i], (size_t)(slash - spec->sources[i]));
                break;
            }
        }
    }
    if (spec->one_name == NULL && len != 0) {
        buf_add_char(&list->path, '/');
        buf_add(&list->path, name, len);
    }
    while (list->path.len > 1 && list->path.data[list->path.len - 1] == '/')
        buf_cut(&list->path, list->path.len - 1);
}

static void tell(struct list *list, const char *name, size_t len)
{
    path_of(list, name, len);
    buf_clear(&list->line);
    struct json json = json_into(&list->line);
    json_bytes(&json, NULL, list->path.data, list->path.len);
    fputs(list->any ? ", " : "", list->out);
    fwrite(list->line.data, 1, list->line.len, list->out);
    list->any = true;
}

static bool lies_in(const struct buf *name, const char *dir, size_t dir_len)
{
    return name->len != 0 && name->len >= dir_len && memcmp(name->data, dir, dir_len) == 0;
}

/* The topmost directory of the name that neither neighbour of the batch lies in: *ret_len with its
 * slash, 0 for all there is. False when there is none. */
static bool whole_directory(const struct list *list, const char *name, size_t len, size_t *ret_len)
{
    *ret_len = 0;
    if (list->before.len == 0 && list->behind.len == 0)
        return true;
    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' && !lies_in(&list->before, name, i + 1) &&
            !lies_in(&list->behind, name, i + 1)) {
            *ret_len = i + 1;
            return true;
        }
    return false;
}

static int list_batch(struct list *list, struct segment *segment, struct err *err)
{
    struct plan_entry entry;
    int got;
    bool all_told = false;
    buf_clear(&list->told);
    while ((got = segment_next(segment, &entry, err)) == 1) {
        if (all_told || (list->told.len != 0 && entry.name_len >= list->told.len &&
                         memcmp(entry.name, list->told.data, list->told.len) == 0))
            continue;
        size_t len = 0;
        buf_clear(&list->told);
        if (whole_directory(list, entry.name, entry.name_len, &len)) {
            tell(list, entry.name, len);
            all_told = len == 0;
            buf_add(&list->told, entry.name, len);
        } else if (entry.kind != ENTRY_DIR) {
            tell(list, entry.name, entry.name_len);
        }
    }
    return got;
}

static int read_last_key(int dir_fd, uint32_t number, struct buf *ret_key, struct err *err)
{
    SCOPED(segment) struct segment segment;
    if (segment_open(&segment, dir_fd, number, err) < 0)
        return -1;
    buf_add(ret_key, segment.last_key.data, segment.last_key.len);
    return 0;
}

static int read_first_name(int dir_fd, uint32_t number, struct buf *ret_name, struct err *err)
{
    SCOPED(segment) struct segment segment;
    struct plan_entry entry;
    if (segment_open(&segment, dir_fd, number, err) < 0 || segment_next(&segment, &entry, err) < 0)
        return -1;
    buf_add(ret_name, entry.name, entry.name_len);
    return 0;
}

static int read_state(const struct generation *generation, uint32_t number, enum state *ret_state,
                      struct err *err)
{
    struct result_file results;
    struct err why = { 0 };
    *ret_state = QUEUED;
    if (result_file_open(&results, generation->dir_fd, number, false, &why) == 0) {
        *ret_state = results.sum.count[RESULT_FAILED] != 0 ? FAILED : COMPLETED;
        result_file_done(&results);
        return 0;
    }
    /* What cannot be read is done again. */
    if (why.kind == ERR_ABSENT || why.kind == ERR_CORRUPT)
        return 0;
    *err = why;
    return -1;
}

static int list_state(struct list *list, const struct generation *generation, enum state state,
                      struct err *err)
{
    list->any = false;
    for (uint32_t number = 1; number <= generation->sealed; number++) {
        enum state found = QUEUED;
        if (read_state(generation, number, &found, err) < 0)
            return -1;
        if (found != state)
            continue;
        buf_clear(&list->before);
        buf_clear(&list->behind);
        if (number > 1 && read_last_key(generation->dir_fd, number - 1, &list->before, err) < 0)
            return -1;
        if (number < generation->sealed &&
            read_first_name(generation->dir_fd, number + 1, &list->behind, err) < 0)
            return -1;
        SCOPED(segment) struct segment segment;
        if (segment_open(&segment, generation->dir_fd, number, err) < 0 ||
            list_batch(list, &segment, err) < 0)
            return -1;
    }
    return 0;
}

static int list_all(struct list *list, const struct generation *generation, struct err *err)
{
    static const char *const names[] = { "completed", "queued", "failed" };
    for (int state = COMPLETED; state <= FAILED; state++) {
        fprintf(list->out, "%s\"%s\": [", state == COMPLETED ? "{" : ", ", names[state]);
        if (list_state(list, generation, (enum state)state, err) < 0)
            return -1;
        fputs("]", list->out);
    }
    fputs("}\n", list->out);
    return ferror(list->out) ? err_sys(err, ERR_LOCAL, "write the list of batches") : 0;
}

int batches_export(const struct job *job, uint32_t number, FILE *out, struct err *err)
{
    struct list list = { .spec = &job->spec, .out = out };
    struct generation generation;
    if (generation_open(&generation, job, number, err) < 0)
        return -1;
    const int result = list_all(&list, &generation, err);
    generation_done(&generation);
    buf_done(&list.line);
    buf_done(&list.path);
    buf_done(&list.before);
    buf_done(&list.behind);
    buf_done(&list.told);
    return result;
}
