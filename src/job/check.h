/* job/check.h: is what was put there, and is it the same? Compares names, sizes and content;
 * content by what the job recorded and the store tells, or by reading either side again. Changes
 * nothing. Owner: the caller. Threads: check_* by the main thread; the work is done by others. */
#pragma once

#include "base/err.h"
#include "base/thread.h"
#include "job/job.h"

#include <stdbool.h>
#include <stdint.h>

struct check_options {
    const struct job_spec *spec; /* put: source against store; get: store against directory */
    const struct job *job;       /* with a record; NULL: none */
    bool deep;                   /* read the local side again */
    bool download;               /* read the stored bytes too */
    uint32_t transfers;          /* readers; 0: the store's own number */
    uint32_t crawlers;
    uint32_t stall_s; /* of one request; 0: the default */
    uint64_t memory_bytes;
    uint64_t bwlimit_bytes_per_s;
    uint64_t requests_per_s;
    const struct stop *stop;
};

enum check_verdict {
    CHECK_SAME_READ,     /* content compared: bytes were read now, on one side at least */
    CHECK_SAME_RECORDED, /* size, time and etag are those that were recorded with its digest */
    CHECK_SAME_TIME,     /* size and time are equal, and nothing is recorded of the content */
    CHECK_SIZE_ETAG,     /* size is equal; the store's ETag is no digest of the content */
    CHECK_SIZE_PARTS,    /* size is equal; the ETag is of parts of a size that cannot be guessed */
    CHECK_DIRECTORY,     /* is there */
    CHECK_SKIPPED,       /* never moved (FIFOs and the like) */
    CHECK_MISSING,
    CHECK_DIFFERENT,
    CHECK_UNREADABLE, /* one side could not be read */
    CHECK_VERDICT_COUNT
};
struct check_finding { /* one that is not the same */
    enum check_verdict verdict;
    char *name; /* in the tree of the source; the finding's */
    char *why;
};
struct check_counts {
    uint64_t by_verdict[CHECK_VERDICT_COUNT];
    uint64_t bytes_read;
    uint64_t bytes; /* of what is the same */
};
struct check;
CHECKED int check_start(struct check **ret_check, const struct check_options *options,
                        struct err *err);
/* The next finding, waiting at most span_ns; NULL: none yet, or (check_ended) no more. */
struct check_finding *check_next(struct check *check, int64_t span_ns);
bool check_ended(struct check *check);
void check_counts(struct check *check, struct check_counts *ret_counts);
void check_finding_free(struct check_finding *finding);
/* The error that ended the check early, if one did; frees it. */
CHECKED int check_end(struct check *check, struct err *err);
