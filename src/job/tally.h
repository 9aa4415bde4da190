/* job/tally.h: what a generation holds and what became of it, in one pass over its plan and its
 * results. Its memory does not depend on the number of entries: lists keep the first, the largest
 * or those asked for, and count the others. Owner: the caller; tally_done(). Threads: one. */
#pragma once

#include "base/digest.h"
#include "base/err.h"
#include "job/history.h"
#include "job/job.h"
#include "job/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_LIST 50u
#define TALLY_LARGEST 20u
#define TALLY_BATCHES 60u
#define TALLY_SIZES 12u /* classes of size */

struct tally_item {
    char *name;
    uint64_t size_bytes;
    enum result_status status;
    uint32_t retries;
    int64_t span_ns; /* slow ones */
    struct record record;
    char *why, *hint; /* failed and skipped ones; else NULL */
};
struct tally_list {
    struct tally_item items[TALLY_LIST];
    uint32_t count;
    uint64_t total; /* with those that are not in it */
};
struct tally_batch {
    uint32_t number;
    struct result_sum sum;
    uint64_t entries;
    bool done;
};
/* How the content of what is there is known. */
struct tally_proof {
    uint64_t crc64, sha256, md5; /* moved, with this digest of the bytes that were read */
    uint64_t without;            /* moved, without content: directories */
    uint64_t kept_known;         /* unchanged, and a digest is recorded */
    uint64_t kept_unknown;       /* unchanged by what the store tells: size and time */
    uint64_t listed;             /* in list_sha256 */
    /* SHA-256 of one line for each file and link with a digest, in the order of the plan: its CRC
     * in 16 hexadecimal digits, a blank, its size, a blank, its name, and a NUL. */
    char list_sha256[2 * DIGEST_SHA256_BYTES + 1];
};
struct tally {
    struct tally_list failed, skipped, largest, slow;
    uint64_t failed_by_kind[ERR_KIND_COUNT];
    uint64_t size_count[TALLY_SIZES], size_bytes[TALLY_SIZES]; /* of files and links */
    uint64_t kinds[ENTRY_GONE + 1];
    struct tally_batch batches[TALLY_BATCHES]; /* the first */
    uint32_t batch_count, batch_total;
    struct tally_proof proof;
};
/* Sizes below this are in class i or lower; UINT64_MAX for the last one. */
uint64_t tally_size_limit(uint32_t i);
/* `history` says which entries were slow. */
CHECKED int tally_read(struct tally *ret_tally, const struct job *job, uint32_t generation,
                       const struct history *history, struct err *err);
void tally_done(struct tally *tally);
