/* job/survey.h: what a generation holds and what became of it, in one pass over its plan and its
 * results. Its memory does not depend on the number of entries: lists keep the first, the largest
 * or those asked for, and count the others. Owner: the caller; survey_done(). Threads: one. */
#pragma once

#include "base/digest.h"
#include "base/err.h"
#include "job/history.h"
#include "job/job.h"
#include "job/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SURVEY_LIST 50u
#define SURVEY_LARGEST 20u
#define SURVEY_BATCHES 60u
#define SURVEY_SIZES 12u /* classes of size */

struct survey_item {
    char *name;
    uint64_t size_bytes;
    enum result_status status;
    uint32_t retries;
    int64_t span_ns; /* slow ones */
    struct record record;
    char *why, *hint; /* failed and skipped ones; else NULL */
};
struct survey_list {
    struct survey_item items[SURVEY_LIST];
    uint32_t count;
    uint64_t total; /* with those that are not in it */
};
struct survey_batch {
    uint32_t number;
    struct result_sum sum;
    uint64_t entries;
    bool done;
};
/* How the content of what is there is known. */
struct survey_proof {
    uint64_t crc64, sha256, md5; /* moved, with this digest of the bytes that were read */
    uint64_t without;            /* moved, without content: directories */
    uint64_t kept_known;         /* unchanged, and a digest is recorded */
    uint64_t kept_unknown;       /* unchanged by what the store tells: size and time */
    uint64_t listed;             /* in list_sha256 */
    /* SHA-256 of one line for each file and link with a digest, in the order of the plan: its CRC
     * in 16 hexadecimal digits, a blank, its size, a blank, its name, and a NUL. */
    char list_sha256[2 * DIGEST_SHA256_BYTES + 1];
};
struct survey {
    struct survey_list failed, skipped, largest, slow;
    uint64_t failed_by_kind[ERR_KIND_COUNT];
    uint64_t size_count[SURVEY_SIZES], size_bytes[SURVEY_SIZES]; /* of files and links */
    uint64_t kinds[ENTRY_UNREADABLE + 1];
    struct survey_batch batches[SURVEY_BATCHES]; /* the first */
    uint32_t batch_count, batch_total;
    struct survey_proof proof;
};
/* Sizes below this are in class i or lower; UINT64_MAX for the last one. */
uint64_t survey_size_limit(uint32_t i);
/* `history` says which entries were slow. */
CHECKED int survey_read(struct survey *ret_survey, const struct job *job, uint32_t generation,
                        const struct history *history, struct err *err);
void survey_done(struct survey *survey);
