#include "base/pattern.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/pattern_internal.h"

#include <string.h>

struct maker {
    struct pattern *pattern;
    uint32_t cap;
    struct err *err;
};

static int make(struct maker *maker, const struct pattern_node *node);

/* A new state that goes on at the one behind it. */
static int add_state(struct maker *maker, enum pattern_op op, uint16_t *ret_at)
{
    struct pattern *pattern = maker->pattern;
    const uint32_t at = pattern->state_count;
    if (at == PATTERN_STATES_MAX)
        return err_set(maker->err, ERR_LIMIT, "needs more than %d states", PATTERN_STATES_MAX);
    if (at == maker->cap) {
        maker->cap = maker->cap == 0 ? 16 : maker->cap * 2;
        pattern->states = mem_resize(pattern->states, maker->cap * sizeof(pattern->states[0]));
    }
    pattern->states[at] = (struct pattern_state){ .op = op, .next = (uint16_t)(at + 1) };
    pattern->state_count = at + 1;
    *ret_at = (uint16_t)at;
    return 0;
}

static int make_simple(struct maker *maker, enum pattern_op op)
{
    uint16_t at = 0;
    return add_state(maker, op, &at);
}

static int make_chars(struct maker *maker, const struct pattern_node *node)
{
    uint16_t at = 0;
    if (add_state(maker, PATTERN_CHARS, &at) < 0)
        return -1;
    struct pattern_state *state = &maker->pattern->states[at];
    state->fold = node->fold;
    state->negate = node->negate;
    state->ranges = node->ranges;
    state->range_count = node->range_count;
    return 0;
}

static int make_row(struct maker *maker, const struct pattern_node *node)
{
    for (const struct pattern_node *child = node->first; child != NULL; child = child->sibling)
        if (make(maker, child) < 0)
            return -1;
    return 0;
}

/* SPLIT child JUMP for each, all jumps to the end. Until that is known they are chained by `other`,
 * which a jump has no use for; state 0 cannot be one of them, so it ends the chain. */
static int make_choice(struct maker *maker, const struct pattern_node *node)
{
    uint16_t chain = 0;
    const struct pattern_node *child = node->first;
    for (; child->sibling != NULL; child = child->sibling) {
        uint16_t split = 0;
        uint16_t jump = 0;
        if (add_state(maker, PATTERN_SPLIT, &split) < 0 || make(maker, child) < 0 ||
            add_state(maker, PATTERN_JUMP, &jump) < 0)
            return -1;
        struct pattern_state *states = maker->pattern->states;
        states[split].other = (uint16_t)(jump + 1);
        states[jump].other = chain;
        chain = jump;
    }
    if (make(maker, child) < 0)
        return -1;
    while (chain != 0) {
        struct pattern_state *jump = &maker->pattern->states[chain];
        jump->next = (uint16_t)maker->pattern->state_count;
        chain = jump->other;
    }
    return 0;
}

static int make_endless(struct maker *maker, const struct pattern_node *child)
{
    uint16_t split = 0;
    uint16_t jump = 0;
    if (add_state(maker, PATTERN_SPLIT, &split) < 0 || make(maker, child) < 0 ||
        add_state(maker, PATTERN_JUMP, &jump) < 0)
        return -1;
    maker->pattern->states[jump].next = split;
    maker->pattern->states[split].other = (uint16_t)(jump + 1);
    return 0;
}

static int make_optional(struct maker *maker, const struct pattern_node *child)
{
    uint16_t split = 0;
    if (add_state(maker, PATTERN_SPLIT, &split) < 0 || make(maker, child) < 0)
        return -1;
    maker->pattern->states[split].other = (uint16_t)maker->pattern->state_count;
    return 0;
}

/* "x{2,4}" becomes "xxx?x?"; each skipped "x?" passes through those behind it, which costs nothing
 * more since a set of states holds each once. */
static int make_repeat(struct maker *maker, const struct pattern_node *node)
{
    if (node->most == 0)
        return make_simple(maker, PATTERN_JUMP);
    for (uint32_t i = 0; i < node->least; i++)
        if (make(maker, node->first) < 0)
            return -1;
    if (node->most == NODE_ENDLESS)
        return make_endless(maker, node->first);
    for (uint32_t i = node->least; i < node->most; i++)
        if (make_optional(maker, node->first) < 0)
            return -1;
    return 0;
}

/* Every node makes a state at least, so that nested repeats of nothing run into the limit too. */
static int make(struct maker *maker, const struct pattern_node *node)
{
    switch (node->kind) {
    case NODE_EMPTY:
        return make_simple(maker, PATTERN_JUMP);
    case NODE_CHARS:
        return make_chars(maker, node);
    case NODE_BEGIN:
        return make_simple(maker, PATTERN_BEGIN);
    case NODE_END:
        return make_simple(maker, PATTERN_END);
    case NODE_ROW:
        return make_row(maker, node);
    case NODE_CHOICE:
        return make_choice(maker, node);
    case NODE_REPEAT:
        break;
    }
    return make_repeat(maker, node);
}

/* Two stars as the last thing of the pattern: once they are reached, all that follows matches. */
static bool takes_all(const struct pattern_node *node)
{
    return node->kind == NODE_REPEAT && node->least == 0 && node->most == NODE_ENDLESS &&
           node->first->kind == NODE_CHARS && node->first->negate && node->first->range_count == 0;
}

static int make_whole(struct maker *maker, const struct pattern_node *tree)
{
    if (make(maker, tree) < 0)
        return -1;
    struct pattern *pattern = maker->pattern;
    /* The last three states are then: split, any character, jump. */
    if (tree->kind == NODE_ROW && tree->last != NULL && takes_all(tree->last))
        pattern->rest_state = (int)pattern->state_count - 3;
    return make_simple(maker, PATTERN_MATCH);
}

/* The literal end of the text. What is behind '\' can be "\d" or "\x20", so it is left out. */
static void find_suffix(struct pattern *pattern, const char *text, size_t len)
{
    size_t from = len;
    while (from > 0 && strchr("*?[]{}\\", text[from - 1]) == NULL)
        from--;
    if (from > 0 && text[from - 1] == '\\' && from < len)
        from += text[from] == 'x' ? 3 : 1;
    if (from > len)
        from = len;
    pattern->suffix_len = len - from;
    char *suffix = arena_take_bytes(&pattern->arena, pattern->suffix_len + 1);
    memcpy(suffix, text + from, pattern->suffix_len);
    pattern->suffix = suffix;
}

/* The longest text outside all brackets and braces that has no meaning but itself. */
static void find_needle(struct pattern *pattern, const char *text, size_t len)
{
    size_t run = 0;
    size_t best_end = 0;
    size_t i = 0;
    for (; i < len && strchr("[{\\", text[i]) == NULL; i++) {
        run = strchr("*?", text[i]) == NULL ? run + 1 : 0;
        if (run > pattern->needle_len) {
            pattern->needle_len = run;
            best_end = i + 1;
        }
    }
    /* Behind the first bracket only the suffix is looked at: that needs no parsing. */
    char *needle = arena_take_bytes(&pattern->arena, pattern->needle_len + 1);
    memcpy(needle, text + best_end - pattern->needle_len, pattern->needle_len);
    pattern->needle = needle;
    pattern->one_name = !pattern->anchored && i == len && memchr(text, '/', len) == NULL &&
                        memmem(text, len, "**", 2) == NULL;
}

static int compile(struct pattern *pattern, const char *text, size_t len, struct err *err)
{
    if (len > PATTERN_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "longer than %d bytes", PATTERN_TEXT_MAX);
    struct pattern_node *tree = NULL;
    pattern->rest_state = -1;
    pattern->anchored = len > 0 && text[0] == '/';
    if (pattern->anchored) {
        text++;
        len--;
    }
    if (pattern_parse(&tree, &pattern->arena, text, len, err) < 0)
        return -1;
    find_suffix(pattern, text, len);
    find_needle(pattern, text, len);
    struct maker maker = { .pattern = pattern, .err = err };
    return make_whole(&maker, tree);
}

int pattern_new(struct pattern **ret_pattern, const char *text, size_t len, struct err *err)
{
    struct pattern *pattern = mem_alloc(sizeof(*pattern));
    if (compile(pattern, text, len, err) < 0) {
        pattern_free(pattern);
        return err_at(err, "pattern '%.*s'", len > 100 ? 100 : (int)len, text);
    }
    *ret_pattern = pattern;
    return 0;
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    arena_done(&pattern->arena);
    mem_release(pattern->states);
    mem_release(pattern);
}

const char *pattern_needle(const struct pattern *pattern, size_t *ret_len)
{
    const bool suffix = pattern->suffix_len > pattern->needle_len;
    *ret_len = suffix ? pattern->suffix_len : pattern->needle_len;
    return suffix ? pattern->suffix : pattern->needle;
}
