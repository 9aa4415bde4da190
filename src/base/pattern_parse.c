#include "base/ban.h"
#include "base/mem.h"
#include "base/pattern_internal.h"
#include "base/utf8.h"

#include <assert.h>
#include <ctype.h>

struct parser {
    struct arena *arena;
    const unsigned char *at, *end;
    unsigned depth; /* of braces and groups */
    bool fold;
    struct err *err;
};

/* 0 and what comes next in the text, -1. */
typedef int (*parse_fn)(struct parser *parser, struct pattern_node **ret_node);

static struct pattern_node *node_new(struct parser *parser, enum node_kind kind)
{
    struct pattern_node *node = arena_take(parser->arena, sizeof(*node));
    *node = (struct pattern_node){ .kind = kind, .fold = parser->fold };
    return node;
}

static void node_add(struct pattern_node *parent, struct pattern_node *child)
{
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->sibling = child;
    parent->last = child;
}

/* Ranges grow in the arena by doubling: what is left behind is at most as much again. */
static void add_range(struct parser *parser, struct pattern_node *node, uint32_t low, uint32_t high)
{
    const uint32_t count = node->range_count;
    if ((count & (count - 1)) == 0) { /* a full power of two, or none */
        const size_t cap = count == 0 ? 1 : (size_t)count * 2;
        struct pattern_range *ranges = arena_take(parser->arena, cap * sizeof(ranges[0]));
        if (count != 0)
            memcpy(ranges, node->ranges, count * sizeof(ranges[0]));
        node->ranges = ranges;
    }
    node->ranges[count] = (struct pattern_range){ low, high };
    node->range_count = count + 1;
}

static struct pattern_node *char_node(struct parser *parser, uint32_t code)
{
    struct pattern_node *node = node_new(parser, NODE_CHARS);
    add_range(parser, node, code, code);
    return node;
}

static struct pattern_node *any_node(struct parser *parser, bool slash)
{
    struct pattern_node *node = node_new(parser, NODE_CHARS);
    node->negate = true;
    if (!slash)
        add_range(parser, node, '/', '/');
    return node;
}

static struct pattern_node *repeat_node(struct parser *parser, struct pattern_node *child,
                                        uint32_t least, uint32_t most)
{
    struct pattern_node *node = node_new(parser, NODE_REPEAT);
    node->least = least;
    node->most = most;
    node_add(node, child);
    return node;
}

static bool next_is(const struct parser *parser, char c)
{
    return parser->at < parser->end && *parser->at == (unsigned char)c;
}

static bool take(struct parser *parser, char c)
{
    if (!next_is(parser, c))
        return false;
    parser->at++;
    return true;
}

static int deeper(struct parser *parser)
{
    if (++parser->depth > PATTERN_NEST_MAX)
        return err_set(parser->err, ERR_LIMIT, "nested deeper than %d", PATTERN_NEST_MAX);
    return 0;
}

/* ---- escapes and classes: the same in both languages ---- */

/* Sets of ASCII, in ascending order; "[:name:]" and the escapes. */
struct named_set {
    const char *name;
    struct pattern_range ranges[6];
};
static const struct named_set named_sets[] = {
    { "d", { { '0', '9' } } },
    { "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } } },
    { "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
    { "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
    { "ascii", { { 0, 0x7f } } },
    { "blank", { { '\t', '\t' }, { ' ', ' ' } } },
    { "cntrl", { { 0, 0x1f }, { 0x7f, 0x7f } } },
    { "digit", { { '0', '9' } } },
    { "graph", { { '!', '~' } } },
    { "lower", { { 'a', 'z' } } },
    { "print", { { ' ', '~' } } },
    { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
    { "space", { { '\t', '\r' }, { ' ', ' ' } } },
    { "upper", { { 'A', 'Z' } } },
    { "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
};

static bool add_named(struct parser *parser, struct pattern_node *node, const char *name,
                      size_t len, bool complement)
{
    for (size_t i = 0; i < sizeof(named_sets) / sizeof(named_sets[0]); i++) {
        const struct named_set *set = &named_sets[i];
        if (strlen(set->name) != len || memcmp(set->name, name, len) != 0)
            continue;
        uint32_t low = 0;
        for (const struct pattern_range *range = set->ranges; range->high != 0; range++) {
            if (!complement)
                add_range(parser, node, range->low, range->high);
            else if (range->low > low)
                add_range(parser, node, low, range->low - 1);
            low = range->high + 1;
        }
        if (complement)
            add_range(parser, node, low, UTF8_CODE_MAX);
        return true;
    }
    return false;
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "\x": two digits. */
static int parse_hex(struct parser *parser, uint32_t *ret_code)
{
    if (parser->end - parser->at < 2 || hex_value(parser->at[0]) < 0 ||
        hex_value(parser->at[1]) < 0)
        return err_set(parser->err, ERR_USAGE, "'\\x' wants two hexadecimal digits");
    *ret_code = (uint32_t)(hex_value(parser->at[0]) * 16 + hex_value(parser->at[1]));
    parser->at += 2;
    return 0;
}

static bool simple_escape(uint32_t code, uint32_t *ret_code)
{
    static const char names[] = "abfnrtv"; /* \b is a word border, refused below */
    static const char codes[] = "\a\0\f\n\r\t\v";
    const char *at = code < 0x80 && code != 'b' && code != 0 ? strchr(names, (int)code) : NULL;
    if (at == NULL)
        return false;
    *ret_code = (unsigned char)codes[at - names];
    return true;
}

/* Behind '\': one character, *ret_code, or a set that was added to the node (*ret_set). */
static int parse_escape(struct parser *parser, struct pattern_node *node, uint32_t *ret_code,
                        bool *ret_set)
{
    if (parser->at == parser->end)
        return err_set(parser->err, ERR_USAGE, "ends in '\\'");
    const uint32_t code = utf8_decode(&parser->at, parser->end);
    const char lower = (char)(code | 0x20);
    *ret_set = false;
    if (code == 'x')
        return parse_hex(parser, ret_code);
    if (simple_escape(code, ret_code))
        return 0;
    if (code < 0x80 && strchr("dsw", lower) != NULL && isalpha((int)code)) {
        add_named(parser, node, &lower, 1, code != (unsigned char)lower);
        *ret_set = true;
        return 0;
    }
    if (code < 0x80 && isalnum((int)code))
        return err_set(parser->err, ERR_USAGE, "'\\%c' is not supported", (int)code);
    *ret_code = code;
    return 0;
}

static int parse_escape_node(struct parser *parser, struct pattern_node **ret_node)
{
    struct pattern_node *node = node_new(parser, NODE_CHARS);
    uint32_t code = 0;
    bool set = false;
    if (parse_escape(parser, node, &code, &set) < 0)
        return -1;
    if (!set)
        add_range(parser, node, code, code);
    *ret_node = node;
    return 0;
}

/* "[:alpha:]" inside a class; false when there is none here. */
static int parse_named(struct parser *parser, struct pattern_node *node, bool *ret_taken)
{
    *ret_taken = false;
    if (parser->end - parser->at < 2 || memcmp(parser->at, "[:", 2) != 0)
        return 0;
    const unsigned char *name = parser->at + 2;
    const unsigned char *close = memmem(name, (size_t)(parser->end - name), ":]", 2);
    if (close == NULL)
        return 0;
    const bool complement = *name == '^';
    name += complement;
    if (!add_named(parser, node, (const char *)name, (size_t)(close - name), complement))
        return err_set(parser->err, ERR_USAGE, "'[:%.*s:]' is not a class", (int)(close - name),
                       (const char *)name);
    parser->at = close + 2;
    *ret_taken = true;
    return 0;
}

/* One end of a range. */
static int parse_class_char(struct parser *parser, struct pattern_node *node, uint32_t *ret_code,
                            bool *ret_set)
{
    *ret_set = false;
    if (take(parser, '\\'))
        return parse_escape(parser, node, ret_code, ret_set);
    *ret_code = utf8_decode(&parser->at, parser->end);
    return 0;
}

static int parse_class_item(struct parser *parser, struct pattern_node *node)
{
    bool taken = false;
    if (parse_named(parser, node, &taken) < 0)
        return -1;
    if (taken)
        return 0;
    uint32_t low = 0;
    if (parse_class_char(parser, node, &low, &taken) < 0)
        return -1;
    if (taken)
        return 0;
    uint32_t high = low;
    if (parser->end - parser->at >= 2 && parser->at[0] == '-' && parser->at[1] != ']') {
        parser->at++;
        if (parse_class_char(parser, node, &high, &taken) < 0)
            return -1;
        if (taken || high < low)
            return err_set(parser->err, ERR_USAGE, "a range in '[]' ends before it begins");
    }
    add_range(parser, node, low, high);
    return 0;
}

/* Behind '['. */
static int parse_class(struct parser *parser, struct pattern_node **ret_node)
{
    struct pattern_node *node = node_new(parser, NODE_CHARS);
    node->negate = take(parser, '^');
    bool first = true; /* a ']' that comes first is one of the characters */
    while (first || !next_is(parser, ']')) {
        if (parser->at == parser->end)
            return err_set(parser->err, ERR_USAGE, "'[' without ']'");
        if (parse_class_item(parser, node) < 0)
            return -1;
        first = false;
    }
    parser->at++;
    *ret_node = node;
    return 0;
}

/* ---- regular expressions ---- */

static int parse_choice(struct parser *parser, struct pattern_node **ret_node);

/* "i", "s" or both and ')' or ':', behind "(?". */
static int parse_flags(struct parser *parser, bool *ret_whole)
{
    while (parser->at < parser->end) {
        if (take(parser, 'i'))
            parser->fold = true;
        else if (!take(parser, 's')) /* '.' matches newlines anyway */
            break;
    }
    *ret_whole = next_is(parser, ')');
    if (take(parser, ')') || take(parser, ':'))
        return 0;
    return err_set(parser->err, ERR_USAGE, "'(?' is supported as '(?:' and '(?i)' only");
}

/* Behind '('. */
static int parse_group(struct parser *parser, struct pattern_node **ret_node)
{
    const bool fold = parser->fold;
    bool whole = false;
    if (take(parser, '?') && parse_flags(parser, &whole) < 0)
        return -1;
    if (whole) { /* "(?i)": the flag stays to the end of the group around it */
        *ret_node = node_new(parser, NODE_EMPTY);
        return 0;
    }
    if (deeper(parser) < 0 || parse_choice(parser, ret_node) < 0)
        return -1;
    if (!take(parser, ')'))
        return err_set(parser->err, ERR_USAGE, "'(' without ')'");
    parser->depth--;
    parser->fold = fold;
    return 0;
}

static int parse_atom(struct parser *parser, struct pattern_node **ret_node)
{
    const uint32_t code = utf8_decode(&parser->at, parser->end);
    switch (code) {
    case '(':
        return parse_group(parser, ret_node);
    case '[':
        return parse_class(parser, ret_node);
    case '\\':
        return parse_escape_node(parser, ret_node);
    case '.':
        *ret_node = any_node(parser, true);
        return 0;
    case '^':
        *ret_node = node_new(parser, NODE_BEGIN);
        return 0;
    case '$':
        *ret_node = node_new(parser, NODE_END);
        return 0;
    case '*':
    case '+':
    case '?':
        return err_set(parser->err, ERR_USAGE, "nothing to repeat in front of '%c'", (int)code);
    default:
        *ret_node = char_node(parser, code);
        return 0;
    }
}

static bool parse_number(struct parser *parser, uint32_t *ret_number)
{
    const unsigned char *start = parser->at;
    uint32_t number = 0;
    while (parser->at < parser->end && isdigit(*parser->at)) {
        if (number <= PATTERN_REPEAT_MAX)
            number = number * 10 + (*parser->at - '0');
        parser->at++;
    }
    *ret_number = number;
    return parser->at != start;
}

/* "{2}", "{2,}" or "{2,4}"; anything else that begins with '{' is taken as text, as Go does. */
static bool parse_counts(struct parser *parser, uint32_t *ret_least, uint32_t *ret_most)
{
    const unsigned char *start = parser->at;
    bool ok = take(parser, '{') && parse_number(parser, ret_least);
    *ret_most = *ret_least;
    if (ok && take(parser, ',') && !parse_number(parser, ret_most))
        *ret_most = NODE_ENDLESS;
    ok = ok && take(parser, '}');
    if (!ok)
        parser->at = start;
    return ok;
}

static bool parse_repeat(struct parser *parser, uint32_t *ret_least, uint32_t *ret_most)
{
    *ret_least = next_is(parser, '+') ? 1 : 0;
    *ret_most = next_is(parser, '?') ? 1 : NODE_ENDLESS;
    if (take(parser, '*') || take(parser, '+') || take(parser, '?'))
        return true;
    return parse_counts(parser, ret_least, ret_most);
}

/* An atom and how often. */
static int parse_piece(struct parser *parser, struct pattern_node **ret_node)
{
    uint32_t least = 0;
    uint32_t most = 0;
    if (parse_atom(parser, ret_node) < 0)
        return -1;
    if (!parse_repeat(parser, &least, &most))
        return 0;
    if (least > PATTERN_REPEAT_MAX || (most != NODE_ENDLESS && most > PATTERN_REPEAT_MAX))
        return err_set(parser->err, ERR_LIMIT, "repeats more than %d times", PATTERN_REPEAT_MAX);
    if (most < least)
        return err_set(parser->err, ERR_USAGE, "a repeat ends before it begins");
    take(parser, '?'); /* lazy or not makes no difference to whether it matches */
    *ret_node = repeat_node(parser, *ret_node, least, most);
    if (parse_repeat(parser, &least, &most))
        return err_set(parser->err, ERR_USAGE, "a repeat of a repeat needs '()'");
    return 0;
}

static int parse_row(struct parser *parser, struct pattern_node **ret_node)
{
    struct pattern_node *row = node_new(parser, NODE_ROW);
    while (parser->at < parser->end && *parser->at != '|' && *parser->at != ')') {
        struct pattern_node *piece = NULL;
        if (parse_piece(parser, &piece) < 0)
            return -1;
        node_add(row, piece);
    }
    *ret_node = row->first != NULL ? row : node_new(parser, NODE_EMPTY);
    return 0;
}

/* Rows with `mark` between them. */
static int parse_rows(struct parser *parser, parse_fn parse, char mark,
                      struct pattern_node **ret_node)
{
    struct pattern_node *choice = node_new(parser, NODE_CHOICE);
    do {
        struct pattern_node *row = NULL;
        if (parse(parser, &row) < 0)
            return -1;
        node_add(choice, row);
    } while (take(parser, mark));
    *ret_node = choice;
    return 0;
}

static int parse_choice(struct parser *parser, struct pattern_node **ret_node)
{
    return parse_rows(parser, parse_row, '|', ret_node);
}

/* The text up to `end` as a regular expression; the parser moves to its end. */
static int parse_regex(struct parser *parser, const unsigned char *end,
                       struct pattern_node **ret_node)
{
    struct parser inner = *parser;
    inner.end = end;
    if (parse_choice(&inner, ret_node) < 0)
        return -1;
    if (inner.at != end)
        return err_set(parser->err, ERR_USAGE, "')' without '('");
    parser->at = end;
    return 0;
}

/* ---- globs ---- */

static int parse_glob_choice(struct parser *parser, struct pattern_node **ret_node);

/* Behind the first star. */
static int parse_stars(struct parser *parser, struct pattern_node **ret_node)
{
    const bool two = take(parser, '*');
    if (next_is(parser, '*'))
        return err_set(parser->err, ERR_USAGE, "more than two stars");
    *ret_node = repeat_node(parser, any_node(parser, two), 0, NODE_ENDLESS);
    return 0;
}

/* Behind "[". rclone finds the end of a class by counting brackets, escaped or not, and gives what
 * it found to the regular expression; so "[\[\]]" is one class and "[[a]]" a class and a ']'. */
static int parse_glob_class(struct parser *parser, struct pattern_node **ret_node)
{
    const unsigned char *end = parser->at;
    for (unsigned open = 1; open > 0; end++) {
        if (end == parser->end)
            return err_set(parser->err, ERR_USAGE, "'[' without ']'");
        open += *end == '[';
        open -= *end == ']';
    }
    parser->at--;
    return parse_regex(parser, end, ret_node);
}

/* Behind "{{"; of "}}}" the last two close. */
static int parse_glob_regex(struct parser *parser, struct pattern_node **ret_node)
{
    const unsigned char *close = memmem(parser->at, (size_t)(parser->end - parser->at), "}}", 2);
    if (close == NULL)
        return err_set(parser->err, ERR_USAGE, "'{{' without '}}'");
    while (parser->end - close > 2 && close[2] == '}')
        close++;
    if (parse_regex(parser, close, ret_node) < 0)
        return -1;
    parser->at = close + 2;
    return 0;
}

/* Behind '{'. */
static int parse_brace(struct parser *parser, struct pattern_node **ret_node)
{
    if (take(parser, '{'))
        return parse_glob_regex(parser, ret_node);
    if (deeper(parser) < 0 || parse_glob_choice(parser, ret_node) < 0)
        return -1;
    if (!take(parser, '}'))
        return err_set(parser->err, ERR_USAGE, "'{' without '}'");
    parser->depth--;
    return 0;
}

static int parse_glob_piece(struct parser *parser, struct pattern_node **ret_node)
{
    const uint32_t code = utf8_decode(&parser->at, parser->end);
    switch (code) {
    case '*':
        return parse_stars(parser, ret_node);
    case '?':
        *ret_node = any_node(parser, false);
        return 0;
    case '[':
        return parse_glob_class(parser, ret_node);
    case ']':
        return err_set(parser->err, ERR_USAGE, "']' without '['");
    case '{':
        return parse_brace(parser, ret_node);
    case '}':
        return err_set(parser->err, ERR_USAGE, "'}' without '{'");
    case '\\':
        return parse_escape_node(parser, ret_node);
    default:
        *ret_node = char_node(parser, code);
        return 0;
    }
}

/* Up to the end, and in braces up to ',' or '}'. */
static int parse_glob_row(struct parser *parser, struct pattern_node **ret_node)
{
    struct pattern_node *row = node_new(parser, NODE_ROW);
    while (parser->at < parser->end) {
        if (parser->depth > 0 && (*parser->at == ',' || *parser->at == '}'))
            break;
        struct pattern_node *piece = NULL;
        if (parse_glob_piece(parser, &piece) < 0)
            return -1;
        node_add(row, piece);
    }
    *ret_node = row->first != NULL ? row : node_new(parser, NODE_EMPTY);
    return 0;
}

static int parse_glob_choice(struct parser *parser, struct pattern_node **ret_node)
{
    return parse_rows(parser, parse_glob_row, ',', ret_node);
}

int pattern_parse(struct pattern_node **ret_tree, struct arena *arena, const char *text, size_t len,
                  struct err *err)
{
    struct parser parser = { .arena = arena,
                             .at = (const unsigned char *)text,
                             .end = (const unsigned char *)text + len,
                             .err = err };
    return parse_glob_row(&parser, ret_tree);
}
