#include "job/pattern.h"

#include "base/ban.h"
#include "base/mem.h"
#include "job/pattern_internal.h"

#include <assert.h>
#include <string.h>

#define LINK_END UINT32_MAX

struct maker {
    struct pattern *pattern;
    uint32_t cap;
    struct err *err;
};

static int make(struct maker *maker, const struct pattern_node *node);

/* A new state that goes on at the one behind it; -1 when the automaton is full. */
static int add_state(struct maker *maker, enum pattern_op op, uint32_t *ret_at)
{
    struct pattern *pattern = maker->pattern;
    const uint32_t at = pattern->state_count;
    if (at + 1 >= PATTERN_STATES_MAX)
        return err_set(maker->err, ERR_LIMIT, "needs more than %d states", PATTERN_STATES_MAX);
    if (at == maker->cap) {
        maker->cap = maker->cap == 0 ? 16 : maker->cap * 2;
        pattern->states = mem_resize(pattern->states, maker->cap * sizeof(pattern->states[0]));
    }
    pattern->states[at] = (struct pattern_state){ .op = op, .next = (uint16_t)(at + 1) };
    pattern->state_count = at + 1;
    *ret_at = at;
    return 0;
}

static int make_simple(struct maker *maker, enum pattern_op op)
{
    uint32_t at;
    return add_state(maker, op, &at);
}

static int make_chars(struct maker *maker, const struct pattern_node *node)
{
    uint32_t at;
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

static int make_choice(struct maker *maker, const struct pattern_node *node)
{
    uint32_t link = LINK_END; /* the jumps to the end, chained until it is known */
    for (const struct pattern_node *child = node->first; child != NULL; child = child->sibling) {
        uint32_t split;
        uint32_t jump;
        if (child->sibling == NULL)
            return make(maker, child) < 0 ? -1 : 0;
        if (add_state(maker, PATTERN_SPLIT, &split) < 0 || make(maker, child) < 0 ||
            add_state(maker, PATTERN_JUMP, &jump) < 0)
            return -1;
        maker->pattern->states[split].other = (uint16_t)maker->pattern->state_count;
        link = jump;
    }
    (void)link;
    return 0;
}

static int make_endless(struct maker *maker, const struct pattern_node *child)
{
    uint32_t split;
    uint32_t jump;
    if (add_state(maker, PATTERN_SPLIT, &split) < 0 || make(maker, child) < 0 ||
        add_state(maker, PATTERN_JUMP, &jump) < 0)
        return -1;
    maker->pattern->states[jump].next = (uint16_t)split;
    maker->pattern->states[split].other = (uint16_t)maker->pattern->state_count;
    return 0;
}
