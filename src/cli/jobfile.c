#include "cli/jobfile.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/command.h"
#include "cli/nearest.h"
#include "cli/opt_value.h"

#include <fcntl.h>
#include <ini.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define LINE_BYTES_MAX 8000 /* of a line; a path has up to 4096 */
#define KEYS_MAX 4096u

enum place { PLACE_ROOT, PLACE_TARGET, PLACE_RELEASE, PLACE_SUBDIR, PLACE_COMMON, PLACE_COUNT };
static const char *const place_names[PLACE_COUNT] = { "root", "target", "release", "subdir",
                                                      "common" };

/* What a line of the file said: its key is a row or a place. */
struct said {
    const struct opt *row; /* NULL: a place */
    enum place place;
    const char *value; /* the settings' */
    unsigned line;
};

struct reader {
    const char *path;  /* as given */
    struct buf folder; /* absolute: relative paths begin here */
    struct buf text;   /* of the file */
    size_t at;         /* of the next line */
    unsigned line;     /* the one given last, from 1 */
    const struct opt *const *tables;
    struct settings *settings;
    struct said *said;
    size_t said_count;
    struct err *err;
};

static int told(const struct reader *reader, unsigned line)
{
    reader->err->kind = ERR_CONFIG;
    return line != 0 ? err_at(reader->err, "%s:%u", reader->path, line)
                     : err_at(reader->err, "%s", reader->path);
}

/* ---- texts that live as long as the settings ---- */

/* Takes the text, which is from mem_*. */
static const char *keep(struct settings *settings, const char *text)
{
    struct setting_list *list = &settings->texts;
    list->items = mem_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = text;
    return text;
}

/* `text` as a path of `folder` if it is relative, and normalised. */
static const char *keep_path(struct settings *settings, const char *folder, const char *text)
{
    SCOPED(buf) struct buf path = { 0 };
    if (text[0] != '/')
        buf_printf(&path, "%s/", folder);
    buf_add_text(&path, text);
    return keep(settings, path_absolute(path.data));
}

/* ---- what a value means ---- */

static bool is_path(const struct opt *row)
{
    return row->type == OPT_PATH ||
           (row->type == OPT_RULE &&
            (row->rule == SETTING_RULE_INCLUDE_FROM || row->rule == SETTING_RULE_EXCLUDE_FROM ||
             row->rule == SETTING_RULE_FILTER_FROM));
}

/* A place on this machine is relative to the file; any other stays as it is. */
static const char *keep_target(struct reader *reader, const char *value)
{
    const char *mark = strpbrk(value, ":/");
    if (mark == NULL || *mark == '/')
        return keep_path(reader->settings, buf_text(&reader->folder), value);
    if (strncmp(value, "file:", 5) != 0 || value[5] == '/' || value[5] == '\0')
        return keep(reader->settings, mem_string(value));
    SCOPED(buf) struct buf text = { 0 };
    buf_printf(&text, "file:%s", keep_path(reader->settings, buf_text(&reader->folder), value + 5));
    return keep(reader->settings, mem_string(text.data));
}

static const char *keep_value(struct reader *reader, const struct opt *row, enum place place,
                              const char *value)
{
    const bool is_empty = value[0] == '\0';
    const bool is_stdin = row != NULL && strcmp(value, "-") == 0;
    if (row == NULL && place == PLACE_TARGET && !is_empty)
        return keep_target(reader, value);
    const bool is_own_path = row != NULL ? is_path(row) : place == PLACE_ROOT;
    if (is_own_path && !is_empty && !is_stdin)
        return keep_path(reader->settings, buf_text(&reader->folder), value);
    return keep(reader->settings, mem_string(value));
}

/* ---- keys ---- */

static int refuse_key(struct reader *reader, const char *name)
{
    struct nearest nearest = nearest_to(name, strlen(name));
    for (size_t i = 0; i < PLACE_COUNT; i++)
        nearest_offer(&nearest, place_names[i]);
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(reader->tables, i)) != NULL; i++)
        nearest_offer(&nearest, row->name);
    err_set(reader->err, ERR_CONFIG, "unknown key '%.100s'", name);
    if (strncmp(name, "--", 2) == 0)
        err_hint(reader->err, "keys are options without the dashes: '%.60s'", name + 2);
    else if (nearest.best != NULL)
        err_hint(reader->err, "did you mean '%s'?", nearest.best);
    else
        err_hint(reader->err, "keys are root, target, release, subdir, common, and the options of "
                              "'lade help put'");
    return told(reader, reader->line);
}

static int refuse_double(struct reader *reader, const char *name, unsigned line)
{
    err_set(reader->err, ERR_CONFIG, "the key '%.100s' was there in line %u already", name, line);
    err_hint(reader->err, "it takes one value: delete one of the lines");
    return told(reader, reader->line);
}

/* Only what adds to what was said before can be said again. */
static int check_double(struct reader *reader, const struct said *now, const char *name)
{
    const bool repeatable =
        now->row != NULL ? opt_repeatable(now->row) : now->place == PLACE_COMMON;
    for (size_t i = 0; !repeatable && i < reader->said_count; i++)
        if (reader->said[i].row == now->row && reader->said[i].place == now->place)
            return refuse_double(reader, name, reader->said[i].line);
    if (reader->said_count < KEYS_MAX)
        return 0;
    err_set(reader->err, ERR_CONFIG, "more than %u keys", KEYS_MAX);
    err_hint(reader->err, "put patterns in a file and name it with 'exclude-from'");
    return told(reader, reader->line);
}

static bool find_key(struct reader *reader, const char *name, struct said *ret_said)
{
    *ret_said = (struct said){ .place = PLACE_COUNT, .line = reader->line };
    for (enum place i = 0; i < PLACE_COUNT; i++)
        if (strcmp(name, place_names[i]) == 0) {
            ret_said->place = i;
            return true;
        }
    ret_said->row = opt_find(reader->tables, name);
    return ret_said->row != NULL && ret_said->row->offset != offsetof(struct settings, help) &&
           ret_said->row->offset != offsetof(struct settings, file) &&
           ret_said->row->offset != offsetof(struct settings, only);
}

static int take_key(struct reader *reader, const char *name, const char *value)
{
    struct said said;
    if (!find_key(reader, name, &said))
        return refuse_key(reader, name);
    if (check_double(reader, &said, name) < 0)
        return -1;
    said.value = keep_value(reader, said.row, said.place, value);
    if (said.row != NULL &&
        opt_value_set(reader->settings, said.row, said.value, reader->err) < 0) {
        err_at(reader->err, "key '%s'", name);
        err_hint(reader->err, "'lade help put' tells what --%s takes", said.row->name);
        return told(reader, reader->line);
    }
    reader->said[reader->said_count++] = said;
    return 0;
}

/* ---- lines, for inih ---- */

static char *next_line(char *line, int size, void *user)
{
    struct reader *reader = user;
    const char *from = buf_text(&reader->text) + reader->at;
    const size_t left = reader->text.len - reader->at;
    if (left == 0 || reader->err->kind != ERR_NONE)
        return NULL;
    const char *newline = memchr(from, '\n', left);
    const size_t len = newline != NULL ? (size_t)(newline - from) + 1 : left;
    reader->line++;
    /* inih would take the rest of a longer line for a line of its own. */
    if (len >= (size_t)size || len > LINE_BYTES_MAX) {
        err_set(reader->err, ERR_CONFIG, "the line has %zu bytes, and at most %d are read", len,
                LINE_BYTES_MAX);
        err_hint(reader->err, "write one value in a line");
        (void)!told(reader, reader->line);
        return NULL;
    }
    if (memchr(from, '\0', len) != NULL) {
        err_set(reader->err, ERR_CONFIG, "a NUL byte");
        err_hint(reader->err, "this is no text file");
        (void)!told(reader, reader->line);
        return NULL;
    }
    memcpy(line, from, len);
    line[len] = '\0';
    reader->at += len;
    return line;
}

/* 1 = go on. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    if (section[0] != '\0' && strcmp(section, "job") != 0) {
        err_set(reader->err, ERR_CONFIG, "the section [%.100s] is not known", section);
        err_hint(reader->err, "keys stand under no section, or under [job]");
        (void)!told(reader, reader->line);
        return 0;
    }
    return take_key(reader, name, value) == 0;
}

static int read_lines(struct reader *reader)
{
    ini_use_stack = false;
    ini_max_line = ini_initial_alloc = LINE_BYTES_MAX + 3;
    ini_allow_inline_comments = false; /* a pattern may well have " ;" */
    ini_allow_multiline = true;
    ini_stop_on_first_error = true;
    const int line = ini_parse_stream(next_line, reader, on_key, reader);
    if (reader->err->kind != ERR_NONE)
        return -1;
    if (line == 0)
        return 0;
    if (line < 0)
        return err_set(reader->err, ERR_LOCAL, "no memory to read '%s'", reader->path);
    err_set(reader->err, ERR_CONFIG, "the line is no 'key=value'");
    err_hint(reader->err, "comments begin with '#' or ';'");
    return told(reader, (unsigned)line);
}

/* ---- the places ---- */

static const struct said *find_place(const struct reader *reader, enum place place)
{
    for (size_t i = 0; i < reader->said_count; i++)
        if (reader->said[i].row == NULL && reader->said[i].place == place &&
            reader->said[i].value[0] != '\0')
            return &reader->said[i];
    return NULL;
}

static bool is_below(const char *outer, const char *inner)
{
    const size_t len = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    return strncmp(outer, inner, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}

/* A directory below `above`, relative to it or absolute; the settings'. NULL: elsewhere. */
static const char *below(struct settings *settings, const char *above, const char *text)
{
    const char *path = keep_path(settings, above, text);
    return is_below(above, path) ? path : NULL;
}

static int add_source(struct reader *reader, const char *above, const struct said *said,
                      const char **ret_path)
{
    struct settings *settings = reader->settings;
    const char *path = below(settings, above, said->value);
    if (path == NULL) {
        err_set(reader->err, ERR_CONFIG, "%s '%s' does not lie below '%s'",
                place_names[said->place], said->value, above);
        err_hint(reader->err, "name a directory below it, '/' in front only with the whole path");
        return told(reader, said->line);
    }
    *ret_path = path;
    return 0;
}

static void select_source(struct settings *settings, const char *path)
{
    struct setting_list *list = &settings->place.sources;
    list->items = mem_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = path;
}

static int missing(struct reader *reader, enum place place, const char *what)
{
    err_set(reader->err, ERR_CONFIG, "the key '%s' is missing", place_names[place]);
    err_hint(reader->err, "add a line '%s=%s", place_names[place], what);
    return told(reader, 0);
}

/* Which directories: of the release all or a part, and those that all releases share. */
static int select_sources(struct reader *reader)
{
    struct settings *settings = reader->settings;
    const struct said *root = find_place(reader, PLACE_ROOT);
    const struct said *target = find_place(reader, PLACE_TARGET);
    const struct said *release = find_place(reader, PLACE_RELEASE);
    const struct said *subdir = find_place(reader, PLACE_SUBDIR);
    if (root == NULL)
        return missing(reader, PLACE_ROOT, "DIR', the directory that is the root of the target");
    if (target == NULL)
        return missing(reader, PLACE_TARGET, "LOCATION', such as s3://bucket or file:/dir");
    settings->place.base = root->value;
    settings->place.target = target->value;
    const char *path = root->value;
    if (release != NULL && add_source(reader, path, release, &path) < 0)
        return -1;
    if (subdir != NULL && add_source(reader, path, subdir, &path) < 0)
        return -1;
    const bool only_common =
        release == NULL && subdir == NULL && find_place(reader, PLACE_COMMON) != NULL;
    if (!only_common)
        select_source(settings, path);
    for (size_t i = 0; i < reader->said_count; i++) {
        const struct said *said = &reader->said[i];
        if (said->row != NULL || said->place != PLACE_COMMON || said->value[0] == '\0')
            continue;
        if (add_source(reader, root->value, said, &path) < 0)
            return -1;
        select_source(settings, path);
    }
    return 0;
}

/* --only: a part of what the file selects, in a job of its own. */
static int select_only(struct settings *settings, const char *file_job, struct err *err)
{
    const char *path = below(settings, settings->place.base, settings->only);
    bool selected = false;
    for (size_t i = 0; path != NULL && i < settings->place.sources.count; i++)
        selected = selected || is_below(settings->place.sources.items[i], path);
    if (!selected) {
        err_set(err, ERR_USAGE, "--only '%s' is no part of what '%s' moves", settings->only,
                settings->file);
        return err_hint(err, "name a path below root, as it is at the target");
    }
    settings->place.sources.count = 0;
    select_source(settings, path);
    if (settings->job == file_job)
        settings->job = NULL;
    return 0;
}

/* ---- the whole ---- */

static int no_file(struct reader *reader)
{
    err_sys(reader->err, ERR_CONFIG, "job file '%s'", reader->path);
    reader->err->kind = ERR_CONFIG; /* also when it is absent */
    return err_hint(reader->err, "give the path of an INI file; lade-run(1) tells what is in it");
}

static int read_file(struct reader *reader, struct err *err)
{
    SCOPED_FD int fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return no_file(reader);
    buf_reserve(&reader->text, FILE_BYTES_MAX + 1);
    ssize_t got;
    while ((got = read(fd, reader->text.data + reader->text.len,
                       FILE_BYTES_MAX + 1 - reader->text.len)) > 0)
        reader->text.len += (size_t)got;
    if (got < 0)
        return no_file(reader);
    if (reader->text.len > FILE_BYTES_MAX)
        return err_set(err, ERR_CONFIG, "job file '%s': larger than 1 MiB", reader->path);
    char *absolute = path_absolute(reader->path);
    const char *slash = strrchr(absolute, '/');
    buf_add(&reader->folder, absolute, (size_t)(slash - absolute));
    mem_release(absolute);
    if (read_lines(reader) < 0)
        return -1;
    return select_sources(reader);
}

static const char *job_of_file(const struct reader *reader)
{
    for (size_t i = 0; i < reader->said_count; i++)
        if (reader->said[i].row != NULL &&
            reader->said[i].row->offset == offsetof(struct settings, job))
            return reader->said[i].value;
    return NULL;
}

/* The rows of both, each once. */
static void merge(const struct opt *const *a, const struct opt *const *b,
                  const struct opt *merged[2 * COMMAND_TABLES_MAX])
{
    size_t count = 0;
    while (a[count] != NULL) {
        merged[count] = a[count];
        count++;
    }
    for (; *b != NULL; b++) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || merged[i] == *b;
        if (!known)
            merged[count++] = *b;
    }
    merged[count] = NULL;
}

int jobfile_parse(struct settings *settings, const char *path, const struct opt *const *file_tables,
                  const struct opt *const *tables, char **args, size_t count,
                  char *const *environment, size_t *ret_operand_count, struct err *err)
{
    const struct opt *merged[2 * COMMAND_TABLES_MAX];
    merge(file_tables, tables, merged);
    if (opt_start(settings, merged, environment, err) < 0)
        return -1;
    struct reader reader = {
        .path = path, .tables = file_tables, .settings = settings, .err = err
    };
    reader.said = mem_alloc(KEYS_MAX * sizeof *reader.said);
    int result = read_file(&reader, err);
    const char *file_job = job_of_file(&reader);
    mem_release(reader.said);
    buf_done(&reader.text);
    buf_done(&reader.folder);
    if (result == 0)
        result = opt_take(settings, tables, args, count, ret_operand_count, err);
    if (result == 0)
        result = opt_check(settings, merged, err);
    if (result == 0 && settings->only != NULL)
        result = select_only(settings, file_job, err);
    return result;
}
