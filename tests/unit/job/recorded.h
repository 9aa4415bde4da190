/* tests/unit/job/recorded.h: jobs and finished generations as a run would leave them. What goes
 * wrong fails the test. */
#pragma once

#include "job/job.h"
#include "job/result.h"

/* One entry of a segment, and what became of it: RESULT_OPEN: no result is sealed. */
struct recorded {
    const char *name;
    enum entry_kind kind;
    enum plan_action action;
    enum result_status status;
    uint64_t size_bytes;
    int64_t mtime_ns;
    uint32_t mode;
    const char *etag; /* of the record; NULL: "" */
    bool racy;
    const char *pack; /* that it went into; NULL: none */
    const char *kept, *kept_etag;
};
/* A job in `path` that puts `source` to `dest`. */
void recorded_job(struct job *job, const char *path, const char *source, const char *dest);
/* Seal segment `number` of the entries; their results too with `results`. */
void recorded_segment(const struct generation *generation, uint32_t number,
                      const struct recorded *entries, uint32_t count, bool results);
/* A new, finished generation of one segment. */
void recorded_generation(const struct job *job, uint32_t number, const struct recorded *entries,
                         uint32_t count);
