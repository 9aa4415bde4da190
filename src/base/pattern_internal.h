/* base/pattern_internal.h: between the three parts of a pattern: pattern_parse.c makes a tree of
 * the text, pattern.c an automaton of the tree, pattern_match.c walks it. */
#pragma once

#include "base/mem.h"
#include "base/pattern.h"

#include <stdint.h>

/* Of characters, as utf8_decode() numbers them. */
struct pattern_range {
    uint32_t low, high;
};
enum pattern_op {
    PATTERN_CHARS, /* one character of the ranges, or of none when negated */
    PATTERN_BEGIN, /* only at the start of the path */
    PATTERN_END,   /* only at its end */
    PATTERN_SPLIT, /* go on at both */
    PATTERN_JUMP,
    PATTERN_MATCH,
};
struct pattern_state {
    enum pattern_op op;
    bool fold; /* ASCII letters of either case */
    bool negate;
    uint16_t next, other;
    uint32_t range_count;
    const struct pattern_range *ranges;
};
struct pattern {
    struct arena arena; /* of all below */
    bool anchored;      /* matches from the start of the path only */
    struct pattern_state *states;
    uint32_t state_count;
    int rest_state; /* the split of two stars at the end, or -1 */
    /* What is cheap to look at first. */
    bool one_name;      /* never matches a '/': the last component decides */
    const char *suffix; /* each match ends in it */
    size_t suffix_len;
    const char *needle; /* each match holds it */
    size_t needle_len;
};

enum node_kind {
    NODE_EMPTY,
    NODE_CHARS, /* one character of the ranges, or of none when negated */
    NODE_BEGIN,
    NODE_END,
    NODE_ROW,    /* the children one after the other */
    NODE_CHOICE, /* one of the children */
    NODE_REPEAT, /* the child, least to most times */
};
#define NODE_ENDLESS UINT32_MAX
struct pattern_node {
    enum node_kind kind;
    bool fold, negate;
    uint32_t range_count;
    struct pattern_range *ranges;
    uint32_t least, most;
    struct pattern_node *first, *last; /* children */
    struct pattern_node *sibling;
};
/* The tree of the text, in the arena; a '/' in front of it was taken off. */
CHECKED int pattern_parse(struct pattern_node **ret_tree, struct arena *arena, const char *text,
                          size_t len, struct err *err);
