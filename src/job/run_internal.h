/* job/run_internal.h: what the parts of a run share: run.c (start, end), dispatch.c (who does what
 * next), worker.c (runs of small entries), large.c (objects in parts), finish.c (directories). */
#pragma once

#include "base/body.h"
#include "base/permit.h"
#include "base/pool.h"
#include "base/rate.h"
#include "base/stage.h"
#include "job/filter.h"
#include "job/ledger.h"
#include "job/notes.h"
#include "job/objects.h"
#include "job/plan.h"
#include "job/run.h"
#include "job/source.h"

#define RUN_ENTRIES_MAX 256u /* that are made durable together */
#define RUN_UNSTAGED_MAX 16u /* where each is durable by itself: nobody is last for long */
#define RUN_BYTES ((uint64_t)8 * 1024 * 1024)
/* Read, digested and sent while it is in the cache. Larger writes make ext4 ask for larger folios,
 * and memory that is full of cached files must then be compacted first: 1.0 s of CPU a GB, not 0.6.
 */
#define CHUNK_BYTES ((size_t)64 * 1024)
#define CHANGED_TRIES 3u /* a file that does not hold still is read this often */
#define BATCH_TRIES 3u   /* one with failures is worked on this often, the last times at the end */

/* A large object under way. Its parts are handed out like objects. */
struct large {
    struct large *alive_next, **alive_link; /* in dispatch.alive; guarded by the dispatch's lock */
    struct large *next; /* guarded by the dispatch lock, as are the counters below */
    uint32_t segment;
    struct plan_entry entry; /* name points to `name` */
    char *name;
    char *key;                      /* put: of the object; get: its path below the target */
    char *stored_key;               /* get: in its store */
    const struct object_root *root; /* get */
    char tag[STAGE_TAG_MAX];
    char token[STORE_TOKEN_MAX];
    struct source_file file; /* put */
    int fd;                  /* get: the temporary file */
    uint64_t size_bytes;
    uint64_t part_bytes;
    char etag[STORE_ETAG_MAX]; /* get: all ranges must be of this */
    bool by_md5;               /* get: the etag proves the parts; each part's is its MD5 */
    bool brought;              /* put: see put_brought() */
    bool has_xattrs;
    struct attr attr;
    struct buf xattrs;        /* get: of what is in a pack, if has_xattrs */
    struct store_part *parts; /* by number - 1; number 0: not there yet */
    uint32_t part_count, next_part, parts_left;
    uint32_t in_flight;
    uint32_t attempts;
    int64_t begun_ns; /* by this process */
    bool is_again;    /* see struct work */
    atomic_uint retries;
    bool resumed;   /* the temporary file has parts of an earlier process */
    struct err err; /* the first failure: no more parts are handed out */
};

/* A pack under way: packing.c. */
struct packing;

enum work_kind { WORK_ENTRIES, WORK_LARGE, WORK_PART, WORK_CHUNK, WORK_PACKED };
struct work {
    enum work_kind kind;
    uint32_t segment;
    struct plan_entry *entries; /* WORK_ENTRIES, WORK_LARGE (one), WORK_CHUNK */
    uint32_t count;
    struct buf names;        /* that the entries point into */
    bool is_again;           /* its failures were told by this run */
    struct large *large;     /* WORK_PART */
    uint32_t part;           /* index in large->parts */
    struct packing *packing; /* WORK_CHUNK; WORK_PACKED: all its chunks are there */
    uint32_t sequence;       /* WORK_CHUNK: its place in the pack */
    uint64_t piece_bytes; /* WORK_CHUNK: of the one file, which does not fit one; 0: whole ones */
    uint64_t piece_offset;
};

/* A batch that another process works on. */
struct foreign {
    uint32_t number;
    bool is_retry; /* of its failures */
};

struct dispatch {
    struct lock lock;
    struct cond changed;
    struct segment segment; /* guarded by lock, as all below: the segment being handed out */
    uint8_t *open;          /* of its entries: needs a worker */
    bool is_open;
    bool is_again;        /* see struct work */
    bool left;            /* stopped by max_batches or until_ns before the end */
    bool held;            /* `entry` was read and belongs to the next work */
    uint32_t entries_max; /* in one work */
    uint32_t number;      /* the last one opened or passed over, before any is tried again */
    uint32_t retried;     /* the same of those that are tried again in this round */
    uint32_t most_tries;  /* in this round: those that were tried less often */
    struct foreign *foreign;
    uint32_t foreign_count;
    int64_t foreign_ns; /* when they were looked at last */
    uint64_t batches;   /* opened by this run */
    struct plan_entry entry;
    struct buf entry_name;
    struct large *larges;
    struct large *alive;        /* all that were begun and are not freed */
    uint32_t large_count;       /* begun and not settled, listed or not; packs too */
    uint32_t chunk_count;       /* in use */
    struct packing *packing;    /* that the entries at hand go into */
    struct packing *packings;   /* all */
    struct chunk *spare_chunks; /* that were used and can be again */
    uint64_t piece_offset;      /* of the held entry, how much was handed out */
    struct err err;
};

struct worker {
    struct run *run;
    uint32_t number;
    struct thread thread;
    struct work work;
    struct source_dirs dirs; /* put */
    struct stage stage;      /* get */
    struct digest digest;
    struct buf key, text;
    bool brought;     /* put: the entry at hand is at its place already, see put_brought() */
    uint64_t random;  /* for jitter */
    int64_t asked_ns; /* since when the store has been asked for what it has not answered */
};

struct run {
    struct job *job;
    struct run_options options;
    struct stop *stop;
    struct claim claim;
    bool claimed;
    struct generation generation;
    uint32_t recorded; /* the generation before, 0: none */
    char remark[256];
    bool distrust; /* a plan or record was damaged */

    struct filter *filter;
    struct source_set sources;  /* put: what is moved; get: the target directory */
    struct object_set objects;  /* get */
    struct store *store;        /* put: the destination */
    struct stage_shared staged; /* get: of all workers' stages */
    uint64_t large_bytes;       /* from this size on an object goes in parts; UINT64_MAX: never */

    struct plan_progress progress;
    struct thread planner; /* of who does not lead: follows, and leads when that is needed */
    bool planning;
    atomic_bool planned; /* it has ended */
    struct stop plan_stop;
    struct ledger *ledger;
    uint32_t process; /* ledger_process() */
    struct pool *pool;
    struct permit permit;
    struct rate rate; /* of bytes */
    struct rate request_rate;
    struct flow flow;
    struct flow read_flow; /* of bytes that are only read, to compare */
    atomic_uint_fast64_t moved;
    atomic_uint_fast64_t retries;
    atomic_uint_fast64_t packs; /* stored */
    atomic_uint active_count;

    struct dispatch dispatch;
    struct worker *workers;
    uint32_t worker_count;
    atomic_uint workers_left;
    struct lock end_lock;
    struct cond ended;

    struct notes notes;

    int64_t start_ns;
    struct result_sum before; /* counts when this process began */
};

static inline bool run_is_get(const struct run *run)
{
    return run->job->spec.direction == JOB_GET;
}

/* dispatch.c */
void dispatch_init(struct run *run);
void dispatch_done(struct run *run);
/* 1 and the next work, 0 when there is none and none will come, -1. */
CHECKED int dispatch_next(struct run *run, struct work *work, struct err *err);
/* The last worker goes: after an error the planner need not go on. */
void dispatch_end(struct run *run);
void dispatch_add_large(struct run *run, struct large *large);
/* A part came back. True for the one caller that must now settle the object. */
bool dispatch_part_done(struct run *run, struct large *large, const struct err *failure);
void dispatch_large_settled(struct run *run);

/* worker.c */
void *worker_main(void *arg);
void worker_do_entries(struct worker *worker, struct work *work);
/* The store answered what was asked since the last answer; busy: it wants less. */
void worker_answered(struct worker *worker, bool busy);
/* Wait before the next try: exponential with jitter, or as long as the store asked. Gives the
 * permit back meanwhile. -1 when trying again is of no use, with err as it is, or the run stops,
 * with ERR_STOPPED; else err is cleared. */
CHECKED int worker_wait_to_retry(struct worker *worker, uint32_t tries, struct err *err);
void worker_tag(const struct worker *worker, uint32_t process, uint32_t segment, uint32_t ordinal,
                char tag[STAGE_TAG_MAX]);
/* The key under which an entry is stored (put). */
CHECKED int worker_key(struct worker *worker, const struct plan_entry *entry, struct buf *ret_key,
                       struct err *err);
/* Was an earlier process, now gone, about to move this entry? */
bool worker_was_begun(const struct worker *worker, uint32_t segment, uint32_t ordinal);
/* Remove what killed processes left of this entry; `name` is its key, or its path. */
void worker_clean_leftovers(struct worker *worker, uint32_t segment, uint32_t ordinal,
                            const char *name);
/* The same of an upload that was begun, and by which token was not written down. */
void worker_clean_begun(struct worker *worker, uint32_t segment, uint32_t ordinal, const char *key);
void worker_report_one(struct worker *worker, uint32_t segment, const struct result *result);
void worker_fill_record(struct worker *worker, struct record *record, bool racy, const char *etag);

/* put.c and get.c: one entry of a run; staged: it becomes visible with the commit of the whole run
 */
void put_entry(struct worker *worker, const struct plan_entry *entry, const char *key,
               const char *tag, struct result *result, bool *ret_staged);
void get_entry(struct worker *worker, const struct plan_entry *entry,
               const struct object_root *root, const char *key, const char *rel, const char *tag,
               struct result *result, bool *ret_staged);
/* PLAN_COMPARE: is what is at the destination what would be moved? 1, and the result says so (for a
 * large object, that is not moved then); 0: move it; -1 (get: ERR_CONFLICT, another file is here
 * and must not be replaced). */
CHECKED int put_compare(struct worker *worker, const struct plan_entry *entry, const char *key,
                        struct result *result, struct err *err);
CHECKED int get_compare(struct worker *worker, const struct plan_entry *entry,
                        const struct object_root *root, const char *key, const char *rel,
                        struct result *result, struct err *err);
/* By content: asked for, or the record that is there says that size and time do not tell. */
bool worker_compares_content(const struct worker *worker, const struct plan_entry *entry);
/* A process that is killed between bringing an entry to its place and journalling that, or whose
 * journal is lost, leaves something there that is no conflict. Is what is at `key`, or at `rel`,
 * this entry? By size, time and content. */
bool put_brought(struct worker *worker, const struct plan_entry *entry, const char *key);
bool get_brought(struct worker *worker, const char *rel, const struct result *result);

/* packing.c */
#define CHUNK_ENTRIES_MAX 2048u
#define CHUNK_CONTENT_BYTES (UINT64_C(8) << 20) /* incompressible, a chunk is a part of its own */
/* The pack of an entry that was just read; a new one is begun, or one that a killed process left is
 * taken up. NULL: the entry is in it already. With the dispatch's lock held, as the next. */
struct packing *packing_of_locked(struct run *run, const struct plan_entry *entry);
/* No more chunks come. True: all that were handed out are joined, so that a WORK_PACKED is due. */
bool packing_close_locked(struct packing *packing);
/* The next sequence number. */
uint32_t packing_hand_out_locked(struct packing *packing);
const char *packing_name(const struct packing *packing);
/* How much of the entry that a killed process was in is in the pack already. */
uint64_t packing_piece_done(const struct packing *packing, uint32_t ordinal);
/* Chunks that may wait for an earlier one. */
uint32_t packing_window(const struct run *run);
void packing_chunk(struct worker *worker, struct work *work);
void packing_end(struct worker *worker, struct work *work);
/* Those that a stopped run leaves, when no worker is left. */
void packing_free_all(struct run *run);

/* large.c */
/* Those that a stopped run leaves, when no worker is left. */
void large_free_all(struct run *run);
void large_begin(struct worker *worker, struct work *work);
void large_part(struct worker *worker, struct work *work);

/* finish.c: directories get their attributes when all that is in them is there */
CHECKED int finish_directories(struct run *run, struct err *err);
