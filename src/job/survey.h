/* job/survey.h: what people want to know of a tree before they move it: how much there is, of what
 * sizes, where most of it lies, and what will need care. Memory does not grow with the tree.
 * Owner: the caller; zero is empty, released by survey_done(). Threads: one at a time. */
#pragma once

#include "job/crawl.h"
#include "job/trail.h"

#include <stddef.h>
#include <stdint.h>

struct survey_sum {
    uint64_t count, bytes;
};

/* Files below these sizes, and behind them those of any size. The first one is for empty files. */
#define SURVEY_CLASSES 11u
extern const uint64_t survey_class_below[SURVEY_CLASSES]; /* the last is 0: no limit */

/* What will need care. Names of directories count as well as those of files. */
enum survey_care {
    CARE_NOT_UTF8,
    CARE_CONTROL,     /* control characters */
    CARE_BLANK,       /* begins or ends with a blank, or ends with a dot */
    CARE_ENCODED,     /* valid UTF-8, but written in another way on S3, as rclone does it */
    CARE_LINK_SUFFIX, /* a file that looks like a stored link */
    CARE_LONG,        /* the path has more than 1,024 bytes */
    CARE_LINK,
    CARE_DANGLING, /* with --links follow: leads to nothing */
    CARE_LOOP,     /* with --links follow: leads to a directory above */
    CARE_COLLISION,
    CARE_SPECIAL,
    CARE_UNTOLD, /* from a listing that only says that it is neither file nor directory */
    CARE_UNREADABLE,
    CARE_OTHER_DEVICE,
    CARE_MULTIPART, /* more than 5 GiB */
    CARE_TOO_LARGE, /* more than 5 TiB */
    CARE_HARD_LINK,
    CARE_EMPTY_DIR,
    CARE_COUNT
};
const char *survey_care_name(enum survey_care care); /* for programs: "not_utf8" */
const char *survey_care_text(enum survey_care care); /* for people */
bool survey_care_is_problem(enum survey_care care);  /* it cannot be stored as it is */

#define SURVEY_KEY_BYTES_MAX 1024u
#define SURVEY_EXAMPLES 3u
struct survey_found {
    struct survey_sum sum;
    char *examples[SURVEY_EXAMPLES]; /* names in the tree; NULL: no more */
};
#define SURVEY_LARGEST 10u
struct survey_directory {
    char *name;
    struct survey_sum sum; /* of the files below, at any depth */
};

struct survey {
    struct survey_sum files;
    uint64_t directories, links, others, unreadable; /* the directory itself is not counted */
    uint64_t disk_bytes;
    uint64_t depth_max, name_max; /* levels; bytes of the longest path */
    struct survey_sum classes[SURVEY_CLASSES];
    struct survey_found care[CARE_COUNT];
    struct survey_directory largest[SURVEY_LARGEST]; /* descending, once finished */
    size_t largest_count;
    struct survey_directory fullest; /* with the most entries of its own: sum.count */
    struct trail trail;
};
/* Entries come in the order of a walk. */
void survey_add(struct survey *survey, const struct crawl_item *item);
void survey_finish(struct survey *survey);
void survey_done(struct survey *survey);
