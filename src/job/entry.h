/* job/entry.h: one line of a plan, and what became of it. Every entry ends as done, unchanged,
 * skipped or failed; none is dropped in silence. */
#pragma once

#include "base/attr.h"
#include "base/digest.h"
#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* What the plan decided; the numbers are written in segments. */
enum plan_action {
    PLAN_NEW = 1,       /* nothing there: move it */
    PLAN_REPLACE = 2,   /* something else there: move it */
    PLAN_COMPARE = 3,   /* looks the same: read it, move it only if the content differs */
    PLAN_UNCHANGED = 4, /* is there already */
    PLAN_SKIP = 5,      /* not moved, for a reason that is no failure */
    PLAN_FAIL = 6,      /* cannot or must not be moved */
    PLAN_ACTION_COUNT
};
/* Why an entry is skipped or failed in the plan; the numbers are written in segments. */
enum plan_reason {
    REASON_NONE = 0,
    REASON_FIFO = 1,
    REASON_SOCKET = 2,
    REASON_DEVICE = 3,
    REASON_LINK_SKIPPED = 4,  /* --links skip */
    REASON_UNREADABLE = 5,    /* sys says why */
    REASON_NAME = 6,          /* the store cannot hold this name */
    REASON_COLLISION = 7,     /* another entry gives the same key */
    REASON_CONFLICT = 8,      /* changed at the destination by someone else */
    REASON_IMMUTABLE = 9,     /* exists and --immutable */
    REASON_EXISTS = 10,       /* get: a different file is there and no --overwrite */
    REASON_TOO_LARGE = 11,    /* beyond the store's object size */
    REASON_OTHER_DEVICE = 12, /* --one-file-system */
    REASON_LOOP = 13,         /* a link to a directory above, with --links follow */
    REASON_DANGLING = 14,     /* a link to nothing, with --links follow */
    REASON_EXCLUDED = 15,     /* by a filter rule; only told, never in a plan */
    REASON_COUNT
};
const char *plan_reason_text(enum plan_reason reason);

/* What is known of an object that a generation put or found: the record. */
struct record {
    bool known;
    bool racy; /* the source was modified within 2 s of being read: compare by content next time */
    uint64_t crc64;
    struct digest_value digests; /* others, when asked for; kinds without CRC64NVME */
    char etag[STORE_ETAG_MAX];
};

struct plan_entry {
    const char
        *name; /* put: path below the source; get: key below the location. '/' ends directories */
    uint32_t name_len;
    uint32_t ordinal; /* in its segment */
    enum entry_kind kind;
    enum plan_action action;
    enum plan_reason reason;
    int sys;       /* REASON_UNREADABLE: errno */
    bool empty;    /* a directory without entries */
    uint32_t mode; /* permission bits */
    uint32_t uid, gid;
    uint64_t size_bytes;
    int64_t mtime_ns;
    uint32_t bucket;           /* see struct object */
    char etag[STORE_ETAG_MAX]; /* get: of the object that was listed */
    struct record record;      /* carried from the last generation */
    /* Put: the key of the pack that it goes into, NULL: an object of its own. Valid as long as the
     * name. */
    const char *pack;
    /* Put: the key of the pack that it is in, and may stay in; NULL: it is in none. */
    const char *kept;
    const char *kept_etag; /* of that pack */
};

enum result_status { /* the numbers are written in journals */
                     RESULT_OPEN = 0,
                     RESULT_DONE = 1, /* where nothing was */
                     RESULT_UNCHANGED = 2,
                     RESULT_SKIPPED = 3,
                     RESULT_FAILED = 4,
                     RESULT_REPLACED = 5, /* done, where something else was */
                     RESULT_STATUS_COUNT
};

struct result {
    uint32_t ordinal;
    enum result_status status;
    uint32_t retries;
    uint64_t size_bytes; /* as moved */
    int64_t mtime_ns;    /* of the source as moved */
    int64_t span_ns;     /* how long it took; not written with it, see JOURNAL_SLOW */
    struct record record;
    struct err *err; /* RESULT_FAILED, RESULT_SKIPPED: why; else NULL. On the heap, the result's */
};

/* The key of what a put makes of an entry, for all calls of the store. ret_key is filled over. */
CHECKED int plan_entry_key(struct store *store, const struct plan_entry *entry, struct buf *ret_key,
                           struct err *err);
/* The result that the plan itself gives to an entry, RESULT_OPEN when a worker must see to it. */
enum result_status plan_entry_settled(const struct plan_entry *entry);
/* Why the plan skipped or failed it, as an error. */
void plan_entry_explain(const struct plan_entry *entry, struct err *ret_err);
