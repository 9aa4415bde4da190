/* Rules and a path: the first byte chooses the options, then lines, the last of which is the path.
 */
#include "base/ban.h"
#include "base/buf.h"
#include "base/scope.h"
#include "fuzz.h"
#include "job/filter.h"

#define RULES_MAX 16

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* The text of a filter makes the same filter again. */
static void check_text(const struct filter *filter, const char *path, size_t len)
{
    SCOPED(buf) struct buf text = { 0 };
    SCOPED(buf) struct buf again = { 0 };
    buf_reserve(&text, 1); /* so that an empty one has an address */
    filter_text(filter, &text);
    struct filter *copy = filter_new();
    const char *end = text.data + text.len;
    for (char *line = text.data; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        require(newline != NULL);
        struct err err = { 0 };
        *newline = '\0';
        require(filter_add(copy, FILTER_RULE, line, "text", &err) == 0);
        *newline = '\n';
        line = newline + 1;
    }
    filter_seal(copy);
    filter_text(copy, &again);
    require(text.len == again.len);
    require(text.len == 0 || memcmp(text.data, again.data, text.len) == 0);
    require(filter_path(filter, path, len, NULL) == filter_path(copy, path, len, NULL));
    filter_free(copy);
}

/* Below a directory of which all is included, all is included. */
static void check_reach(const struct filter *filter, const char *path, size_t len)
{
    bool all = false;
    for (size_t i = 1; i + 1 < len; i++) {
        if (path[i] != '/' || path[i - 1] == '/')
            continue;
        const enum filter_reach reach = filter_dir(filter, path, i, NULL);
        require(reach == filter_dir(filter, path, i + 1, NULL));
        require(!all || reach != FILTER_DIR_NONE);
        all = all || reach == FILTER_DIR_ALL;
    }
    require(!all || len == 0 || path[len - 1] == '/' || filter_file(filter, path, len, NULL));
}

static void check_rule(const struct filter *filter, const char *path, size_t len)
{
    const char *rule = "";
    const bool included = filter_file(filter, path, len, &rule);
    require(included == (rule == NULL || rule[0] == '+'));
}

static void ask(struct filter *filter, const char *path, size_t len)
{
    filter_seal(filter);
    check_rule(filter, path, len);
    check_reach(filter, path, len);
    check_text(filter, path, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096)
        return 0;
    const unsigned options = data[0];
    struct filter *filter = filter_new();
    const char *at = (const char *)data + 1;
    const char *end = (const char *)data + size;
    const char *newline;
    for (unsigned count = 0; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; count++) {
        SCOPED(buf) struct buf line = { 0 };
        struct err err = { 0 };
        buf_add(&line, at, (size_t)(newline - at));
        const enum filter_option option = options >> count % 4 * 2 & 3;
        const bool known = option <= FILTER_RULE;
        /* A rule that is refused leaves the filter as it was. */
        if (count < RULES_MAX &&
            filter_add(filter, known ? option : FILTER_RULE, line.data, "line", &err) < 0)
            require(err.kind == ERR_USAGE || err.kind == ERR_LIMIT);
        at = newline + 1;
    }
    ask(filter, at, (size_t)(end - at));
    filter_free(filter);
    return 0;
}
