#include "base/pattern.h"

#include "base/ban.h"
#include "base/pattern_internal.h"
#include "base/utf8.h"

#include <assert.h>

#define WORD_BITS 64
#define SEEN_WORDS (PATTERN_STATES_MAX / WORD_BITS)

/* The states that the automaton is in. Everything that is always done at once (split, jump, begin,
 * end) is gone through when a state is added, so `list` holds states that wait for a character. */
struct state_set {
    uint64_t seen[SEEN_WORDS];
    uint32_t count;
    bool matched;
    uint16_t list[PATTERN_STATES_MAX];
};

static void set_clear(struct state_set *set, const struct pattern *pattern)
{
    const size_t words = (pattern->state_count + WORD_BITS - 1) / WORD_BITS;
    memset(set->seen, 0, words * sizeof(set->seen[0]));
    set->count = 0;
    set->matched = false;
}

static bool set_has(const struct state_set *set, uint32_t state)
{
    return (set->seen[state / WORD_BITS] >> (state % WORD_BITS) & 1) != 0;
}

/* Each state is pushed at most once, which bounds the stack. */
struct todo {
    uint32_t count;
    uint16_t list[PATTERN_STATES_MAX];
};

static void push(struct state_set *set, struct todo *todo, uint32_t state)
{
    if (set_has(set, state))
        return;
    set->seen[state / WORD_BITS] |= UINT64_C(1) << (state % WORD_BITS);
    assert(todo->count < PATTERN_STATES_MAX);
    todo->list[todo->count++] = (uint16_t)state;
}

static void set_add(struct state_set *set, const struct pattern *pattern, uint32_t first,
                    bool at_begin, bool at_end)
{
    struct todo todo;
    todo.count = 0;
    push(set, &todo, first);
    while (todo.count != 0) {
        const uint16_t at = todo.list[--todo.count];
        const struct pattern_state *state = &pattern->states[at];
        switch (state->op) {
        case PATTERN_CHARS:
            set->list[set->count++] = at;
            break;
        case PATTERN_SPLIT:
            push(set, &todo, state->other);
            push(set, &todo, state->next);
            break;
        case PATTERN_JUMP:
            push(set, &todo, state->next);
            break;
        case PATTERN_BEGIN:
            if (at_begin)
                push(set, &todo, state->next);
            break;
        case PATTERN_END:
            if (at_end)
                push(set, &todo, state->next);
            break;
        case PATTERN_MATCH:
            set->matched = true;
            break;
        }
    }
}

static bool in_ranges(const struct pattern_state *state, uint32_t code)
{
    for (uint32_t i = 0; i < state->range_count; i++)
        if (code >= state->ranges[i].low && code <= state->ranges[i].high)
            return true;
    return false;
}

static bool is_letter(uint32_t code)
{
    return (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
}

static bool state_takes(const struct pattern_state *state, uint32_t code)
{
    bool in = in_ranges(state, code);
    if (!in && state->fold && is_letter(code))
        in = in_ranges(state, code ^ 0x20);
    return in != state->negate;
}

/* Go through `text` with the two sets in turn; returns the one with the states behind it.
 * at_end: the path ends there. */
static const struct state_set *walk(const struct pattern *pattern, const char *text, size_t len,
                                    bool at_end, struct state_set sets[2])
{
    struct state_set *now = &sets[0];
    struct state_set *then = &sets[1];
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + len;

    set_clear(now, pattern);
    set_add(now, pattern, 0, true, at_end && len == 0);
    while (at < end) {
        const uint32_t code = utf8_decode(&at, end);
        const bool last = at_end && at == end;
        set_clear(then, pattern);
        for (uint32_t i = 0; i < now->count; i++)
            if (state_takes(&pattern->states[now->list[i]], code))
                set_add(then, pattern, pattern->states[now->list[i]].next, false, last);
        if (code == '/' && !pattern->anchored)
            set_add(then, pattern, 0, false, last);
        if (then->count == 0 && !then->matched && pattern->anchored)
            return then;
        struct state_set *swap = now;
        now = then;
        then = swap;
    }
    return now;
}

bool pattern_matches(const struct pattern *pattern, const char *path, size_t len)
{
    if (len < pattern->suffix_len ||
        memcmp(path + len - pattern->suffix_len, pattern->suffix, pattern->suffix_len) != 0)
        return false;
    if (pattern->needle_len > 1 && memmem(path, len, pattern->needle, pattern->needle_len) == NULL)
        return false;
    const char *slash = pattern->one_name ? memrchr(path, '/', len) : NULL;
    const char *from = slash != NULL ? slash + 1 : path;
    struct state_set sets[2];
    return walk(pattern, from, len - (size_t)(from - path), true, sets)->matched;
}

enum pattern_below pattern_below(const struct pattern *pattern, const char *dir, size_t len)
{
    struct state_set sets[2];
    const struct state_set *set = walk(pattern, dir, len, false, sets);
    if (pattern->rest_state >= 0 && set_has(set, (uint32_t)pattern->rest_state))
        return PATTERN_BELOW_ALL;
    return set->count != 0 ? PATTERN_BELOW_SOME : PATTERN_BELOW_NONE;
}
