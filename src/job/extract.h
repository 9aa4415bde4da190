/* job/extract.h: members of an archive into a directory, by a thread of its own; the caller waits,
 * shows and stops, as with a run. It keeps no record: when it is begun again, what is there is
 * passed over.
 * Owner: the caller. Threads: extract_*() by the main thread. */
#pragma once

#include "job/filter.h"
#include "job/notes.h"
#include "job/run.h"
#include "job/snapshot.h"
#include "pack/archive_in.h"
#include "store/store.h"

struct extract_options {
    const char *archive;  /* location */
    const char *inside;   /* "" = all, "dir/" or "dir/file" */
    const char *dest;     /* directory, made when it is missing */
    const char *one_name; /* of the one member; NULL = its own */
    bool keep_name;
    bool overwrite;
    bool checksum; /* compare content also where size and time are equal */
    bool keep_setid;
    const struct filter *filter; /* NULL = all; outlives */
    struct archive_limits limits;
    struct store_access access;
    uint32_t stall_s;
    uint64_t bwlimit_bytes_per_s; /* 0: none */
    uint64_t requests_per_s;      /* the same */
    struct stop *stop;
};

struct extract;
/* Strings of the options outlive it. */
CHECKED int extract_start(struct extract **ret_extract, const struct extract_options *options,
                          struct err *err);
/* Wait at most span_ns for the end; true when it came. */
bool extract_wait(struct extract *extract, int64_t span_ns);
void extract_snapshot(struct extract *extract, struct snapshot *ret_snapshot);
struct notes *extract_notes(struct extract *extract);
/* After extract_wait(): how it ended, also when -1 says that the archive failed. Frees it. */
CHECKED int extract_end(struct extract *extract, enum run_end *ret_end, struct snapshot *ret_last,
                        struct err *err);
