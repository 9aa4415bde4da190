/* store/s3/s3_facts.h: what a server was seen to do with a bucket, and the file in the user's cache
 * that keeps it. The format: docs/formats.md. The cache is only ever a help: what cannot be read,
 * is damaged, too old or of another place is as if it were not there.
 * Owner: the caller; plain values. Threads: any; the file is replaced as a whole. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define S3_FACTS_AGE_MAX_NS (INT64_C(14) * 24 * 3600 * 1000000000)

enum s3_fact_kind {
    S3_FACT_LIST_V2,        /* ListObjectsV2 */
    S3_FACT_MULTIPART,      /* begin, part, abort */
    S3_FACT_IF_NONE_MATCH,  /* a put with it does not replace */
    S3_FACT_CRC64NVME,      /* with a put: a wrong one is refused, the right one is not */
    S3_FACT_CRC64NVME_PART, /* the same with parts, and their upload can be committed */
    S3_FACT_TRAILER,        /* the same with puts and parts, behind the body */
    S3_FACT_CRC32C,         /* with a put */
    S3_FACT_CONTENT_MD5,
    S3_FACT_SHA256, /* signed */
    S3_FACT_COUNT
};
enum s3_fact {
    S3_UNSEEN,  /* not looked at, or not to be told from other trouble */
    S3_YES,     /* it does so */
    S3_IGNORED, /* it takes the request as if nothing had been asked */
    S3_NO,      /* it refuses such requests */
    S3_FACT_VALUES
};

struct s3_facts {
    int64_t probed_ns;                 /* since 1970 */
    unsigned char seen[S3_FACT_COUNT]; /* enum s3_fact */
};
/* "crc64nvme-part", "ignored": as they are in the file. */
const char *s3_fact_name(enum s3_fact_kind kind);
const char *s3_fact_text(enum s3_fact value);

/* The file as text, and back: false for what is not exactly such a text of this place. */
void s3_facts_write(const struct s3_facts *facts, const char *endpoint, const char *bucket,
                    struct buf *ret_text);
bool s3_facts_read(struct s3_facts *ret_facts, const char *text, size_t len, const char *endpoint,
                   const char *bucket);

/* From the cache; false when it holds nothing that can be used at `now_ns`. */
bool s3_facts_load(struct s3_facts *ret_facts, const char *endpoint, const char *bucket,
                   int64_t now_ns);
/* ERR_LOCAL and the like when it cannot be written. */
CHECKED int s3_facts_save(const struct s3_facts *facts, const char *endpoint, const char *bucket,
                          struct err *err);
/* What is kept of the place turned out to be wrong. */
void s3_facts_forget(const char *endpoint, const char *bucket);
