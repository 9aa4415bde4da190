#include "job/filter.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/pattern.h"
#include "base/scope.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

/* One include or exclude, or the '!' that forgets all before it. */
struct rule {
    struct rule *next; /* in order of adding */
    unsigned place;    /* rclone's order of options */
    bool clears;
    bool include;
    char *text;            /* "+ PATTERN" */
    struct pattern *files; /* NULL: no rule for files */
    struct pattern **dirs; /* matched with "a/b/" */
    size_t dir_count;
};
enum { PLACE_COUNT = 6 };

struct filter {
    struct rule *first, *last; /* as added */
    size_t given_count;
    bool implied; /* an include was asked for: exclude the rest */
    bool sealed;
    const struct rule **rules; /* set by filter_seal(): what counts, in order */
    size_t count;
};

struct filter *filter_new(void)
{
    return mem_alloc(sizeof(struct filter));
}

static void rule_free(struct rule *rule)
{
    for (size_t i = 0; i < rule->dir_count; i++)
        pattern_free(rule->dirs[i]);
    mem_release(rule->dirs);
    pattern_free(rule->files);
    mem_release(rule->text);
    mem_release(rule);
}

void filter_free(struct filter *filter)
{
    if (filter == NULL)
        return;
    for (struct rule *rule = filter->first; rule != NULL;) {
        struct rule *next = rule->next;
        rule_free(rule);
        rule = next;
    }
    mem_release(filter->rules);
    mem_release(filter);
}

/* ---- from a pattern to rules for files and directories ---- */

static int add_dir(struct rule *rule, const char *glob, size_t len, struct err *err)
{
    struct pattern *pattern = NULL;
    if (pattern_new(&pattern, glob, len, err) < 0)
        return -1;
    rule->dirs = mem_resize(rule->dirs, (rule->dir_count + 1) * sizeof(struct pattern *));
    rule->dirs[rule->dir_count++] = pattern;
    return 0;
}

/* True when the directories that lead to what the glob matches cannot be told from its text: '/' or
 * two stars within braces, braces within braces, a regular expression. */
static bool too_hard(const char *glob)
{
    bool in_brace = false;
    bool hard = false; /* in this brace */
    for (const char *at = glob; *at != '\0'; at++) {
        if (strncmp(at, "{{", 2) == 0 || strncmp(at, "}}", 2) == 0 || (in_brace && *at == '{'))
            return true;
        if (*at == '{') {
            in_brace = true;
            hard = false;
        } else if (in_brace && (*at == '/' || strncmp(at, "**", 2) == 0)) {
            hard = true;
        } else if (in_brace && *at == '}') {
            if (hard)
                return true;
            in_brace = false;
        }
    }
    return false;
}

static void squash_slashes(struct buf *text)
{
    size_t len = 0;
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] != '/' || i == 0 || text->data[i - 1] != '/')
            text->data[len++] = text->data[i];
    buf_cut(text, len);
}

/* Where the last '/' or two stars of the text begin, the later one; -1 when there is neither. */
static ptrdiff_t last_border(const struct buf *text, bool *ret_stars)
{
    for (size_t i = text->len; i-- > 0;) {
        *ret_stars = i + 1 < text->len && memcmp(text->data + i, "**", 2) == 0;
        if (*ret_stars || text->data[i] == '/')
            return (ptrdiff_t)i;
    }
    return -1;
}

/* The directories that lead to what the glob matches: of "/a/b*" + "/c" these are "/a/b*" + "/" and
 * "/a/"; of a glob without border all directories. */
static int add_leading_dirs(struct rule *rule, const char *glob, struct err *err)
{
    static const char all[] = "/**";
    if (too_hard(glob))
        return add_dir(rule, all, strlen(all), err);

    SCOPED(buf) struct buf text = { 0 };
    buf_add_text(&text, glob);
    squash_slashes(&text);
    bool found = false;
    for (;;) {
        bool stars;
        const ptrdiff_t border = last_border(&text, &stars);
        if (border < 0)
            break;
        found = true;
        /* "a**" + "/" goes on below as "a", a single "/" is the root, which is always entered. */
        buf_cut(&text, (size_t)border);
        const size_t len = text.len;
        buf_add_text(&text, stars ? "**/" : "/");
        if (text.len > 1 && add_dir(rule, text.data, text.len, err) < 0)
            return -1;
        buf_cut(&text, len);
    }
    return found ? 0 : add_dir(rule, all, strlen(all), err);
}

static int compile(struct rule *rule, const char *glob, struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    buf_add_text(&text, glob);
    bool for_dirs = text.len > 0 && text.data[text.len - 1] == '/';
    bool for_files = !for_dirs;
    if (for_dirs && !rule->include)
        buf_add_text(&text, "**");
    if (strstr(buf_text(&text), "**") != NULL)
        for_dirs = for_files = true;

    if (for_files && pattern_new(&rule->files, buf_text(&text), text.len, err) < 0)
        return -1;
    /* An exclude rules no directory out, unless it is of everything. */
    const bool leads = for_files && (rule->include || strcmp(buf_text(&text), "*") == 0);
    if (leads && add_leading_dirs(rule, buf_text(&text), err) < 0)
        return -1;
    return for_dirs ? add_dir(rule, buf_text(&text), text.len, err) : 0;
}

/* ---- adding ---- */

static int check_glob(const char *glob, struct err *err)
{
    if (glob[0] == '\0')
        return err_set(err, ERR_USAGE, "the pattern is empty");
    /* So that rules can be written as lines. */
    if (strchr(glob, '\n') != NULL)
        return err_set(err, ERR_USAGE, "a pattern cannot hold a newline; write '\\n' for one");
    return 0;
}

static void append(struct filter *filter, struct rule *rule)
{
    if (filter->last == NULL)
        filter->first = rule;
    else
        filter->last->next = rule;
    filter->last = rule;
    filter->given_count++;
}

static int add_glob(struct filter *filter, unsigned place, bool include, const char *glob,
                    struct err *err)
{
    if (check_glob(glob, err) < 0)
        return -1;
    struct rule *rule = mem_alloc(sizeof(*rule));
    rule->place = place;
    rule->include = include;
    if (compile(rule, glob, err) < 0) {
        rule_free(rule);
        return -1;
    }
    struct buf text = { 0 };
    buf_printf(&text, "%c %s", include ? '+' : '-', glob);
    rule->text = buf_take(&text);
    append(filter, rule);
    return 0;
}

static int add_rule(struct filter *filter, unsigned place, const char *text, struct err *err)
{
    if (strcmp(text, "!") == 0) {
        struct rule *rule = mem_alloc(sizeof(*rule));
        rule->place = place;
        rule->clears = true;
        append(filter, rule);
        return 0;
    }
    if ((text[0] == '+' || text[0] == '-') && text[1] == ' ')
        return add_glob(filter, place, text[0] == '+', text + 2, err);
    return err_set(err, ERR_USAGE, "'%s' is no rule: it is '+ PATTERN', '- PATTERN' or '!'", text);
}

static int add_text(struct filter *filter, enum filter_option option, bool from_file,
                    const char *text, struct err *err)
{
    const unsigned place = (unsigned)option * 2 + from_file;
    assert(!filter->sealed && place < PLACE_COUNT);
    if (filter->given_count >= FILTER_RULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d filter rules", FILTER_RULES_MAX);
    if (option == FILTER_RULE)
        return add_rule(filter, place, text, err);
    return add_glob(filter, place, option == FILTER_INCLUDE, text, err);
}

int filter_add(struct filter *filter, enum filter_option option, const char *text,
               const char *where, struct err *err)
{
    if (add_text(filter, option, false, text, err) < 0)
        return err_at(err, "%s", where);
    filter->implied |= option == FILTER_INCLUDE;
    return 0;
}

static int read_all(const char *path, struct buf *ret_bytes, struct err *err)
{
    const bool standard_input = strcmp(path, "-") == 0;
    SCOPED_FD int fd = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_CONFIG, "open");
    for (;;) {
        char chunk[16384];
        const ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_CONFIG, "read");
        if (got == 0)
            return 0;
        buf_add(ret_bytes, chunk, (size_t)got);
        if (ret_bytes->len > FILTER_FILE_MAX)
            return err_set(err, ERR_LIMIT, "longer than %zu bytes", FILTER_FILE_MAX);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without the blanks around it. */
static char *trim(char *line)
{
    while (is_blank(*line))
        line++;
    size_t len = strlen(line);
    while (len > 0 && is_blank(line[len - 1]))
        len--;
    line[len] = '\0';
    return line;
}

static int add_lines(struct filter *filter, enum filter_option option, char *text, struct err *err)
{
    unsigned number = 0;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        number++;
        const char *rule = trim(line);
        if (rule[0] == '\0' || rule[0] == '#' || rule[0] == ';')
            continue;
        if (add_text(filter, option, true, rule, err) < 0)
            return err_at(err, "line %u", number);
    }
    return 0;
}

int filter_add_file(struct filter *filter, enum filter_option option, const char *path,
                    struct err *err)
{
    SCOPED(buf) struct buf text = { 0 };
    if (read_all(path, &text, err) < 0)
        return err_at(err, "filter file '%s'", path);
    if (text.len != 0 && memchr(text.data, '\0', text.len) != NULL) {
        err_set(err, ERR_USAGE, "holds a NUL byte");
        return err_at(err, "filter file '%s'", path);
    }
    buf_add_char(&text, '\n');
    if (add_lines(filter, option, text.data, err) < 0)
        return err_at(err, "filter file '%s'", path);
    filter->implied |= option == FILTER_INCLUDE;
    return 0;
}

void filter_seal(struct filter *filter)
{
    assert(!filter->sealed);
    if (filter->implied) {
        struct err err = { 0 };
        const int added = add_glob(filter, PLACE_COUNT, false, "/**", &err);
        assert(added == 0); /* a good pattern */
        (void)added;
    }
    filter->rules = mem_alloc((filter->given_count + 1) * sizeof(const struct rule *));
    for (unsigned place = 0; place <= PLACE_COUNT; place++) {
        for (const struct rule *rule = filter->first; rule != NULL; rule = rule->next) {
            if (rule->place == place && rule->clears)
                filter->count = 0;
            else if (rule->place == place)
                filter->rules[filter->count++] = rule;
        }
    }
    filter->sealed = true;
}

/* ---- asking ---- */

bool filter_empty(const struct filter *filter)
{
    assert(filter->sealed);
    return filter->count == 0;
}

void filter_text(const struct filter *filter, struct buf *out)
{
    assert(filter->sealed);
    for (size_t i = 0; i < filter->count; i++) {
        buf_add_text(out, filter->rules[i]->text);
        buf_add_char(out, '\n');
    }
}

static bool decide(const struct rule *rule, const char **ret_rule)
{
    if (ret_rule != NULL)
        *ret_rule = rule != NULL ? rule->text : NULL;
    return rule == NULL || rule->include;
}

bool filter_file(const struct filter *filter, const char *rel, size_t len, const char **ret_rule)
{
    assert(filter->sealed);
    for (size_t i = 0; i < filter->count; i++) {
        const struct rule *rule = filter->rules[i];
        if (rule->files != NULL && pattern_matches(rule->files, rel, len))
            return decide(rule, ret_rule);
    }
    return decide(NULL, ret_rule);
}

static bool rule_takes_dir(const struct rule *rule, const char *dir, size_t len)
{
    for (size_t i = 0; i < rule->dir_count; i++)
        if (pattern_matches(rule->dirs[i], dir, len))
            return true;
    return false;
}

static const struct rule *dir_rule(const struct filter *filter, const char *dir, size_t len)
{
    for (size_t i = 0; i < filter->count; i++)
        if (rule_takes_dir(filter->rules[i], dir, len))
            return filter->rules[i];
    return NULL;
}

/* Of a directory that is entered. Excludes of directories are excludes of the files below them as
 * well, so the rules for files tell. */
static enum filter_reach reach_below(const struct filter *filter, const char *dir, size_t len)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct rule *rule = filter->rules[i];
        if (rule->files == NULL)
            continue;
        const enum pattern_below below = pattern_below(rule->files, dir, len);
        if (!rule->include && below != PATTERN_BELOW_NONE)
            return FILTER_DIR_MAYBE;
        if (rule->include && below == PATTERN_BELOW_ALL)
            return FILTER_DIR_ALL;
    }
    return FILTER_DIR_ALL;
}

enum filter_reach filter_dir(const struct filter *filter, const char *rel, size_t len,
                             const char **ret_rule)
{
    assert(filter->sealed);
    SCOPED(buf) struct buf slashed = { 0 };
    if (len > 0 && rel[len - 1] != '/') {
        buf_add(&slashed, rel, len);
        buf_add_char(&slashed, '/');
        rel = slashed.data;
        len = slashed.len;
    }
    const struct rule *rule = len > 0 ? dir_rule(filter, rel, len) : NULL;
    if (!decide(rule, ret_rule))
        return FILTER_DIR_NONE;
    return reach_below(filter, rel, len);
}

bool filter_path(const struct filter *filter, const char *rel, size_t len, const char **ret_rule)
{
    for (size_t i = 0; i < len; i++) {
        if (rel[i] != '/')
            continue;
        const enum filter_reach reach = filter_dir(filter, rel, i + 1, ret_rule);
        if (reach != FILTER_DIR_MAYBE)
            return reach == FILTER_DIR_ALL;
    }
    if (len > 0 && rel[len - 1] == '/')
        return true;
    return filter_file(filter, rel, len, ret_rule);
}

int filter_from_text(struct filter **ret_filter, const char *text, struct err *err)
{
    struct filter *filter = filter_new();
    char *copy = mem_string(text);
    int result = 0;
    for (char *line = copy; result == 0 && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        result = filter_add(filter, FILTER_RULE, line, "a recorded filter", err);
        line = end != NULL ? end + 1 : line + strlen(line);
    }
    mem_release(copy);
    if (result < 0) {
        filter_free(filter);
        return -1;
    }
    filter_seal(filter);
    *ret_filter = filter;
    return 0;
}
