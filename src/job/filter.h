/* job/filter.h: which entries take part: rclone's filter rules, in rclone's order.
 *
 * The first rule that matches decides; what no rule matches is included. Rules are applied in the
 * order of rclone's options, whatever the order on the command line: --include, --include-from,
 * --exclude, --exclude-from, --filter, --filter-from; within one option as given. Where --include
 * is used, all else is excluded at the end. base/pattern.h has the syntax of patterns.
 *
 * A directory that a directory rule excludes is not entered, so no rule reaches what is below it.
 * A pattern that ends in '/' is a directory rule; excluding "dir/" is excluding all below. With
 * two stars in it a pattern is a rule for files and for directories. An include also includes the
 * directories that lead to it, as far as they can be told from its text.
 *
 * Other than rclone: an empty pattern is refused.
 *
 * Owner:   the caller; filter_free().
 * Threads: one until filter_seal(), then any number: a sealed filter does not change.
 * Errors:  ERR_USAGE names the rule and where it came from, ERR_LIMIT, ERR_CONFIG for files. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define FILTER_RULES_MAX 100000
#define FILTER_FILE_MAX ((size_t)16 * 1024 * 1024)

/* The option that a rule or a file of rules comes from. */
enum filter_option {
    FILTER_INCLUDE, /* --include, --include-from: patterns */
    FILTER_EXCLUDE, /* --exclude, --exclude-from: patterns */
    FILTER_RULE, /* --filter, --filter-from: "+ PATTERN", "- PATTERN", "!" forgets all before it */
};

struct filter;
struct filter *filter_new(void);
void filter_free(struct filter *filter);
/* One rule; `where` ("--exclude", "rules.txt:12") is for the error's text. */
CHECKED int filter_add(struct filter *filter, enum filter_option option, const char *text,
                       const char *where, struct err *err);
/* The lines of a file, "-" for standard input; blanks around a rule, empty lines and lines that
 * begin with '#' or ';' do not count. */
CHECKED int filter_add_file(struct filter *filter, enum filter_option option, const char *path,
                            struct err *err);
/* Put the rules in order; after all adds, before all questions. */
void filter_seal(struct filter *filter);

/* No rules: everything is included. */
bool filter_empty(const struct filter *filter);
/* The rules in order, one "+ PATTERN" or "- PATTERN" a line, with the implied one: equal texts are
 * equal filters, and as lines of FILTER_RULE they make the filter again. */
void filter_text(const struct filter *filter, struct buf *out);

/* The filter that wrote this text, sealed; the caller's. */
CHECKED int filter_from_text(struct filter **ret_filter, const char *text, struct err *err);

/* Is the file (or link, or what is not a directory) `rel`, "a/b", included, given that its
 * directory was entered? *ret_rule (may be NULL): the rule that decided, NULL when none did; the
 * filter's. */
bool filter_file(const struct filter *filter, const char *rel, size_t len, const char **ret_rule);

enum filter_reach {
    FILTER_DIR_NONE = 0, /* do not enter */
    FILTER_DIR_MAYBE,    /* enter and ask for each entry */
    FILTER_DIR_ALL,      /* all that is below, at any depth, is included: need not be asked */
};
/* The directory `rel` ("a/b" or "a/b/", "" is the root, which is always entered), given that the
 * one that holds it was entered. */
enum filter_reach filter_dir(const struct filter *filter, const char *rel, size_t len,
                             const char **ret_rule);
/* For flat listings: would a crawl that enters directories as filter_dir() says find `rel` ("a/b",
 * or the directory "a/b/") and include it? */
bool filter_path(const struct filter *filter, const char *rel, size_t len, const char **ret_rule);
