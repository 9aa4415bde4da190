#include "store/s3/s3_ini.h"

#include "base/ban.h"

struct span {
    const char *at;
    size_t len;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    return (struct span){ at, (size_t)(end - at) };
}

static bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.len && memcmp(span.at, text, span.len) == 0;
}

/* Blanks in a row are one, and quotes do not count: [profile  "my one"]. */
static bool is_section(struct span name, const char *section)
{
    bool blank = false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.at[i];
        if (is_blank(c)) {
            blank = true;
            continue;
        }
        if (c == '"')
            continue;
        if (blank && *section++ != ' ')
            return false;
        blank = false;
        if (*section++ != c)
            return false;
    }
    return *section == '\0';
}

/* A walk over the lines of a file. */
struct walk {
    const char *next;
    bool inside; /* the section */
    bool entered;
    bool nested;        /* the line is indented, below `parent` */
    struct span parent; /* the last name that was not indented */
    struct span name, value;
};

static void take_section(struct walk *walk, struct span line, const char *section)
{
    const char *end = memchr(line.at, ']', line.len);
    walk->parent = (struct span){ 0 };
    walk->inside = end != NULL && is_section(trimmed(line.at + 1, end), section);
    walk->entered |= walk->inside;
}

/* The next "name = value" of the section. */
static bool walk_next(struct walk *walk, const char *section)
{
    while (*walk->next != '\0') {
        const char *start = walk->next;
        const char *end = strchrnul(start, '\n');
        walk->next = *end == '\n' ? end + 1 : end;
        const struct span line = trimmed(start, end);
        if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
            continue;
        if (line.at[0] == '[') {
            take_section(walk, line, section);
            continue;
        }
        const char *equals = memchr(line.at, '=', line.len);
        if (!walk->inside || equals == NULL)
            continue;
        walk->nested = is_blank(start[0]) && walk->parent.len != 0;
        walk->name = trimmed(line.at, equals);
        walk->value = trimmed(equals + 1, line.at + line.len);
        if (!walk->nested)
            walk->parent = walk->name;
        return true;
    }
    return false;
}

bool s3_ini_find(const char *text, const char *section, const char *parent, const char *name,
                 struct buf *ret_value)
{
    struct walk walk = { .next = text };
    bool found = false;
    while (walk_next(&walk, section)) {
        const bool here =
            parent != NULL ? walk.nested && span_is(walk.parent, parent) : !walk.nested;
        if (!here || !span_is(walk.name, name))
            continue;
        buf_clear(ret_value);
        buf_add(ret_value, walk.value.at, walk.value.len);
        found = true;
    }
    return found;
}

bool s3_ini_has(const char *text, const char *section)
{
    struct walk walk = { .next = text };
    while (walk_next(&walk, section)) {
    }
    return walk.entered;
}
