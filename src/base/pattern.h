/* base/pattern.h: one pattern of a filter, in rclone's syntax, compiled to a small automaton that
 * is walked with a set of states: the time is length of path times length of pattern, whatever the
 * pattern.
 *
 * `*` any characters but '/', two stars any characters, `?` one character but '/', `[a-z]` a class
 * (`[^a-z]`, `[[:alpha:]]`), `{a,b}` alternatives (they may nest), `{{regex}}` a regular
 * expression, `\` takes the next character as it is (but a letter as in a regular expression, since
 * rclone does). A '/' in front means the root of the tree; without it the pattern matches from any
 * '/' on, always up to the end of the path.
 *
 * A regular expression is a subset of Go's (RE2): literals, '.', classes, \d \w \s \D \W \S, \t \n
 * \r \xHH, groups (also "(?:" and "(?i)"), '|', '*', '+', '?', "{n,m}", '^' and '$'. What is not
 * supported is refused. "(?i)" folds ASCII letters only.
 *
 * A character is one of UTF-8, or a byte that is not part of one. '.' and two stars match newlines
 * too, since names may hold them.
 * Threads: a compiled pattern does not change. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PATTERN_TEXT_MAX 4096
#define PATTERN_STATES_MAX 4096 /* of the automaton; counted repeats multiply */
#define PATTERN_NEST_MAX 50
#define PATTERN_REPEAT_MAX 1000

struct pattern;
/* ERR_USAGE when the text is no pattern, ERR_LIMIT when it is too large. */
CHECKED int pattern_new(struct pattern **ret_pattern, const char *text, size_t len,
                        struct err *err);
void pattern_free(struct pattern *pattern);
bool pattern_matches(const struct pattern *pattern, const char *path, size_t len);
/* A text that is in whatever matches, "" = none is known: to look for first. The pattern's. */
const char *pattern_needle(const struct pattern *pattern, size_t *ret_len);

/* What the pattern can do with paths that begin with `dir` ("a/b/"). */
enum pattern_below { PATTERN_BELOW_NONE, PATTERN_BELOW_SOME, PATTERN_BELOW_ALL };
enum pattern_below pattern_below(const struct pattern *pattern, const char *dir, size_t len);
