/* job/job.h: a job directory: what is to be moved (job.ini), the generations of its plan, and who
 * works on it. docs/formats.md describes every file in it. Owner: the caller; job_close(). Threads:
 * one. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "job/crawl.h"
#include "job/segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum job_direction { JOB_PUT, JOB_GET };

#define JOB_BATCH_MIN_BYTES (UINT64_C(10) * 1000 * 1000 * 1000)
#define JOB_BATCH_MAX_BYTES (UINT64_C(1000) * 1000 * 1000 * 1000)
#define JOB_BATCH_OBJECTS 50000u

enum job_pack {
    JOB_PACK_OFF,
    JOB_PACK_AUTO,  /* small files, some directories in one pack */
    JOB_PACK_LEVEL, /* each directory so many levels below the sources is one pack */
};

/* All that a plan depends on; a run can only be continued with the same. */
struct job_spec {
    enum job_direction direction;
    char **sources; /* absolute paths, or locations */
    size_t source_count;
    char *base; /* put: sources keep their paths below this one as names; NULL: see source.h */
    char *fallback_root; /* put: what cannot be read is read there; NULL: none */
    char *dest;          /* the same */
    char *one_name;      /* a single file or object is to have this name; NULL: its own */
    char *filter;        /* filter_text(); "" = all */
    char *files_from;    /* absolute, "-" = standard input; NULL = none */
    char *list_crc;      /* CRC64NVME of what files_from holds, NULL: not a regular file */
    bool files_from_nul;
    bool from_listing; /* files_from is a listing, of lade crawl */
    bool keep_name, one_file_system, checksum, immutable, overwrite, glob;
    enum link_mode links;
    uint32_t digests; /* set of digest_kind, beside CRC64NVME */
    /* A batch ends with a directory once it has so many bytes, or entries; with any entry at the
     * other limit of bytes, or at twice the entries (and SEGMENT_ENTRIES_MAX). */
    uint64_t batch_min_bytes, batch_max_bytes;
    uint32_t batch_objects;
    bool keep_packs;    /* get: packs are files like others */
    bool xattrs;        /* extended attributes too: put (only with pack), get */
    enum job_pack pack; /* put; the rest of these is set only with it */
    uint32_t pack_level;
    uint64_t pack_below_bytes; /* JOB_PACK_AUTO: larger files are objects of their own */
    uint64_t pack_bytes;       /* JOB_PACK_AUTO: of a pack's content; 0: by the size of all */
    uint32_t compress_level;   /* of zstd */
    bool no_compress;          /* packs are plain tar */
    uint64_t bucket_objects;   /* at most so many in one bucket, then numbered ones; 0: no limit */
    bool make_bucket;          /* put: buckets that are missing are made */
    struct store_meta *meta;
    size_t meta_count;
    struct store_access access; /* the strings are the spec's */
};
void job_spec_done(struct job_spec *spec);
/* The CRC for list_crc, in hexadecimal; the caller frees. NULL when `path` is no regular file (a
 * pipe can be read only once) or cannot be read, which the crawl tells. */
char *job_list_crc(const char *path);
void job_spec_copy(struct job_spec *to, const struct job_spec *from);
/* The first option that differs, as text for people ("--exclude"), or NULL. Where else files may be
 * read (fallback_root) and whether buckets are made are none of them: job_spec_same_late(). */
const char *job_spec_difference(const struct job_spec *a, const struct job_spec *b);
bool job_spec_same_late(const struct job_spec *a, const struct job_spec *b);
/* As a file of "key=value" lines; values percent-encoded, so any name is text. */
void job_spec_write(const struct job_spec *spec, struct buf *out);
CHECKED int job_spec_parse(struct job_spec *ret_spec, const char *text, size_t len,
                           struct err *err);

struct job {
    char *path;
    int dir_fd;
    char id[17]; /* 16 hexadecimal digits, random; in the tags of temporary names */
    int64_t created_ns;
    struct job_spec spec;
};
/* The default directory of a job: named from source and destination, below jobs_home(). Caller
 * frees. */
char *job_default_path(const struct job_spec *spec);
/* $XDG_STATE_HOME/lade/jobs, or ~/.local/state/lade/jobs. Caller frees. */
char *jobs_home(void);
/* Open an existing job; ERR_ABSENT when the directory is missing or empty, ERR_CONFIG when it is no
 * job or damaged. A bare name is looked up in jobs_home(). */
CHECKED int job_open(struct job *job, const char *path, struct err *err);
/* Make a new job in `path` (made when missing, else empty). ERR_CONFLICT: somebody made one there
 * just now. */
CHECKED int job_create(struct job *job, const char *path, const struct job_spec *spec,
                       struct err *err);
/* Replace the spec (a new generation with other options). */
CHECKED int job_set_spec(struct job *job, const struct job_spec *spec, struct err *err);
void job_close(struct job *job);

/* One plan and what became of it. */
struct generation {
    uint32_t number;
    int dir_fd;
    uint32_t sealed;        /* segments 1 … sealed are there */
    bool closed;            /* the plan is whole: no more segments come */
    bool finished;          /* every entry has its result, and directories their attributes */
    struct segment_sum sum; /* of the sealed segments; filled by generation_sum() */
};
/* The newest generation; number 0 when there is none. The newest finished one before it in
 * *ret_finished (0: none). */
CHECKED int job_generations(const struct job *job, uint32_t *ret_newest, uint32_t *ret_finished,
                            struct err *err);
CHECKED int generation_create(struct generation *generation, const struct job *job, uint32_t number,
                              struct err *err);
CHECKED int generation_open(struct generation *generation, const struct job *job, uint32_t number,
                            struct err *err);
/* Look again which segments are there (another process plans). */
CHECKED int generation_refresh(struct generation *generation, struct err *err);
CHECKED int generation_sum(struct generation *generation, struct err *err);
/* Read the whole plan: ERR_CORRUPT when it is damaged, or when segments of an unfinished one are
 * missing that were sealed or worked on. Others would get their numbers, and so their results. */
CHECKED int generation_check(const struct generation *generation, struct err *err);
CHECKED int generation_close_plan(struct generation *generation, struct err *err);
CHECKED int generation_finish(struct generation *generation, struct err *err);
/* Delete generation `number` of the job and all its files. */
CHECKED int generation_delete(const struct job *job, uint32_t number, struct err *err);
/* Numbers of the journals in it, ascending; caller frees. */
CHECKED int generation_journals(const struct generation *generation, uint32_t **ret_numbers,
                                size_t *ret_count, struct err *err);
void generation_done(struct generation *generation);
