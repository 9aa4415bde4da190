#include "pack/query.h"

#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pattern.h"
#include "base/scope.h"
#include "base/units.h"

#include <assert.h>
#include <regex.h>
#include <string.h>

#define DAY_NS (INT64_C(24) * 3600 * NS_PER_S)

struct term {
    struct pattern *glob; /* NULL: a word */
    char *word;           /* in small letters */
    size_t len;
};
struct query {
    struct query_bounds bounds;
    struct term terms[QUERY_TERMS_MAX];
    size_t count;
    char *regex; /* NULL: none; then there are no terms */
};

/* ---- bounds ---- */

static int bad_size(const char *text, struct err *err)
{
    if (err->kind == ERR_NONE)
        err_set(err, ERR_USAGE, "'%s' is no range of sizes", text);
    return err_hint(err, "as +10M (more), -10K (less), 10K..1M (from, to)");
}

static int parse_range(struct query_bounds *bounds, const char *text, const char *dots,
                       struct err *err)
{
    SCOPED(buf) struct buf min = { 0 };
    buf_add(&min, text, (size_t)(dots - text));
    bounds->size_min = 0;
    bounds->size_max = UINT64_MAX;
    if (min.len != 0 && units_parse_bytes(&bounds->size_min, min.data, err) < 0)
        return -1;
    if (dots[2] != '\0' && units_parse_bytes(&bounds->size_max, dots + 2, err) < 0)
        return -1;
    return bounds->size_min <= bounds->size_max ? 0 : bad_size(text, err);
}

int query_parse_size(struct query_bounds *bounds, const char *text, struct err *err)
{
    const char *dots = strstr(text, "..");
    const bool more = text[0] == '+';
    const bool less = text[0] == '-';
    uint64_t size = 0;
    bounds->has_size = true;
    if (dots != NULL)
        return parse_range(bounds, text, dots, err) < 0 ? bad_size(text, err) : 0;
    if (units_parse_bytes(&size, text + (more || less), err) < 0)
        return bad_size(text, err);
    if ((less && size == 0) || (more && size == UINT64_MAX))
        return bad_size(text, err);
    bounds->size_min = less ? 0 : more ? size + 1 : size;
    bounds->size_max = less ? size - 1 : more ? UINT64_MAX : size;
    return 0;
}

int query_parse_newer(struct query_bounds *bounds, const char *text, int64_t now_ns,
                      struct err *err)
{
    uint64_t seconds = 0;
    struct err ignored = { 0 };
    bounds->has_newer = true;
    const bool bare = text[0] == '\0' || text[strspn(text, "0123456789")] == '\0';
    if (!bare && units_parse_span(&seconds, text, &ignored) == 0 &&
        seconds <= (uint64_t)(now_ns / NS_PER_S)) {
        bounds->newer_ns = now_ns - (int64_t)seconds * NS_PER_S;
        return 0;
    }
    SCOPED(buf) struct buf moment = { 0 };
    buf_add_text(&moment, text);
    if (moment.len == 10 && strchr(text, ':') == NULL) /* a day begins at midnight */
        buf_add_text(&moment, " 00:00");
    if (bare || text[0] == '+' ||
        clock_parse_moment(&bounds->newer_ns, buf_text(&moment), now_ns, err) < 0) {
        *err = (struct err){ 0 };
        err_set(err, ERR_USAGE, "'%s' is no moment", text);
        return err_hint(err, "as 7d, 12h, 2026-11-22 or '2026-11-22 07:30'");
    }
    if (strchr(text, '-') == NULL && bounds->newer_ns > now_ns)
        bounds->newer_ns -= DAY_NS; /* a time of day: the last one, not the next */
    return 0;
}

bool query_fits(const struct query *query, enum query_kind kind, bool has_size, uint64_t size_bytes,
                int64_t time_ns)
{
    const struct query_bounds *bounds = &query->bounds;
    if (bounds->kinds != 0 && (bounds->kinds >> kind & 1) == 0)
        return false;
    if (bounds->has_size && (kind == QUERY_DIR || !has_size || size_bytes < bounds->size_min ||
                             size_bytes > bounds->size_max))
        return false;
    return !bounds->has_newer || (time_ns != 0 && time_ns > bounds->newer_ns);
}

/* ---- the pattern ---- */

static inline char small_letter(char c)
{
    return (char)(c + ((unsigned char)(c - 'A') < 26 ? 'a' - 'A' : 0));
}

/* Written so that the compiler makes vectors of it: names are scanned at the speed of memory. */
__attribute__((optimize("O3"))) static void make_small(char *restrict to, const char *restrict from,
                                                       size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = small_letter(from[i]);
}

static int add_term(struct query *query, const struct buf *text, const struct buf *plain,
                    bool is_glob, struct err *err)
{
    if (query->count == QUERY_TERMS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u words in a pattern", QUERY_TERMS_MAX);
    struct term *term = &query->terms[query->count];
    if (is_glob) {
        if (pattern_new(&term->glob, text->data, text->len, err) < 0)
            return -1;
    } else {
        term->len = plain->len;
        term->word = mem_copy(plain->data, plain->len + 1);
        make_small(term->word, plain->data, plain->len);
    }
    query->count++;
    return 0;
}

static int split(struct query *query, const char *text, struct err *err)
{
    SCOPED(buf) struct buf term = { 0 };  /* as a pattern takes it */
    SCOPED(buf) struct buf plain = { 0 }; /* as a word is */
    bool is_glob = false;
    for (const char *c = text;; c++) {
        if (*c != '\0' && *c != ' ') {
            is_glob = is_glob || strchr("*?[{", *c) != NULL;
            buf_add_char(&term, *c);
            if (*c == '\\' && c[1] != '\0')
                buf_add_char(&term, *++c);
            buf_add_char(&plain, *c);
            continue;
        }
        if (term.len != 0 && add_term(query, &term, &plain, is_glob, err) < 0)
            return -1;
        buf_clear(&term);
        buf_clear(&plain);
        is_glob = false;
        if (*c == '\0')
            return 0;
    }
}

static int compile(regex_t *regex, const char *text, struct err *err)
{
    const int result = regcomp(regex, text, REG_EXTENDED | REG_NOSUB);
    if (result == 0)
        return 0;
    char why[128];
    regerror(result, regex, why, sizeof why);
    return err_set(err, ERR_USAGE, "regular expression '%.100s': %s", text, why);
}

int query_new(struct query **ret_query, const char *text, bool regex,
              const struct query_bounds *bounds, struct err *err)
{
    if (strlen(text) > QUERY_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "a pattern of more than %u bytes", QUERY_TEXT_MAX);
    struct query *query = mem_alloc(sizeof *query);
    query->bounds = *bounds;
    regex_t tried;
    if (!regex && split(query, text, err) < 0)
        goto fail;
    if (regex) {
        if (compile(&tried, text, err) < 0)
            goto fail;
        regfree(&tried);
        query->regex = mem_string(text);
    }
    *ret_query = query;
    return 0;
fail:
    query_free(query);
    return -1;
}

void query_free(struct query *query)
{
    if (query == NULL)
        return;
    for (size_t i = 0; i < query->count; i++) {
        pattern_free(query->terms[i].glob);
        mem_release(query->terms[i].word);
    }
    mem_release(query->regex);
    mem_release(query);
}

/* ---- needles ---- */

static bool is_in(const char *text, const struct query_needle *needle)
{
    SCOPED(buf) struct buf lower = { 0 };
    const size_t len = strlen(text);
    buf_add(&lower, text, len);
    if (needle->fold)
        make_small(lower.data, text, len);
    return memmem(buf_text(&lower), len, needle->text, needle->len) != NULL;
}

/* What of it is behind `above` in any case: unless all of it is in there, it ends in what follows,
 * and no '/' of it but a last one does begin before. */
static void cut_to_last(struct query_needle *needle)
{
    if (needle->len < 2)
        return;
    const char *slash = memrchr(needle->text, '/', needle->len - 1);
    if (slash == NULL)
        return;
    needle->len -= (size_t)(slash + 1 - needle->text);
    needle->text = slash + 1;
}

struct query_needle query_needle(const struct query *query, const char *above)
{
    struct query_needle best = { 0 };
    for (size_t i = 0; i < query->count; i++) {
        const struct term *term = &query->terms[i];
        struct query_needle needle = { .text = term->word, .len = term->len, .fold = true };
        if (term->glob == NULL && needle.text[0] == '/') { /* none is in front of a path */
            needle.text++;
            needle.len--;
        }
        if (term->glob != NULL) {
            needle.fold = false;
            needle.text = pattern_needle(term->glob, &needle.len);
        }
        if (needle.len == 0 || (above[0] != '\0' && is_in(above, &needle)))
            continue;
        if (above[0] != '\0')
            cut_to_last(&needle);
        if (needle.len > best.len)
            best = needle;
    }
    return best;
}

/* ---- matching ---- */

struct matcher {
    const struct query *query;
    regex_t regex;
    struct buf lower, block;
};

struct matcher *matcher_new(const struct query *query)
{
    struct matcher *matcher = mem_alloc(sizeof *matcher);
    matcher->query = query;
    struct err err = { 0 };
    /* Its own: threads that share one wait for each other in regexec(). */
    if (query->regex != NULL && compile(&matcher->regex, query->regex, &err) < 0)
        abort(); /* it was compiled before: only for a lack of memory */
    return matcher;
}

void matcher_free(struct matcher *matcher)
{
    if (matcher == NULL)
        return;
    if (matcher->query->regex != NULL)
        regfree(&matcher->regex);
    buf_done(&matcher->lower);
    buf_done(&matcher->block);
    mem_release(matcher);
}

static void fold(struct buf *to, const char *bytes, size_t len)
{
    buf_clear(to);
    buf_reserve(to, len + 1);
    make_small(to->data, bytes, len);
    to->len = len;
    to->data[len] = '\0';
}

/* A path is as if it began with '/', so that a word may begin with a component. */
static bool holds(const struct buf *path, const struct term *term)
{
    if (term->word[0] == '/' && path->len + 1 >= term->len &&
        memcmp(path->data, term->word + 1, term->len - 1) == 0)
        return true;
    return memmem(path->data, path->len, term->word, term->len) != NULL;
}

bool matcher_takes(struct matcher *matcher, const char *path, size_t len)
{
    const struct query *query = matcher->query;
    if (query->regex != NULL) {
        regmatch_t whole = { .rm_so = 0, .rm_eo = (regoff_t)len };
        return regexec(&matcher->regex, path, 1, &whole, REG_STARTEND) == 0;
    }
    bool folded = false;
    for (size_t i = 0; i < query->count; i++) {
        const struct term *term = &query->terms[i];
        if (term->glob == NULL && !folded) {
            fold(&matcher->lower, path, len);
            folded = true;
        }
        if (term->glob != NULL ? !pattern_matches(term->glob, path, len)
                               : !holds(&matcher->lower, term))
            return false;
    }
    return true;
}

size_t matcher_seek(struct matcher *matcher, const struct query_needle *needle, const char *bytes,
                    size_t from, size_t len)
{
    const char *in = bytes;
    if (needle->fold) {
        if (from == 0)
            fold(&matcher->block, bytes, len);
        assert(matcher->block.len == len);
        in = matcher->block.data;
    }
    const char *at = memmem(in + from, len - from, needle->text, needle->len);
    return at != NULL ? (size_t)(at - in) : SIZE_MAX;
}
