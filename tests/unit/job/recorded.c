#include "recorded.h"

#include "base/mem.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void recorded_job(struct job *job, const char *path, const char *source, const char *dest)
{
    struct err err = { 0 };
    char *from = mem_string(source);
    char *to = mem_string(dest);
    const struct job_spec spec = { .direction = JOB_PUT,
                                   .sources = &from,
                                   .source_count = 1,
                                   .dest = to,
                                   .filter = "",
                                   .batch_min_bytes = JOB_BATCH_MIN_BYTES,
                                   .batch_max_bytes = JOB_BATCH_MAX_BYTES,
                                   .batch_objects = JOB_BATCH_OBJECTS };
    assert_int_equal(job_create(job, path, &spec, &err), 0);
    mem_release(from);
    mem_release(to);
}

static struct plan_entry entry_of(const struct recorded *recorded)
{
    return (struct plan_entry){ .name = recorded->name,
                                .name_len = (uint32_t)strlen(recorded->name),
                                .kind = recorded->kind,
                                .action = recorded->action,
                                .size_bytes = recorded->size_bytes,
                                .mtime_ns = recorded->mtime_ns,
                                .mode = recorded->mode,
                                .pack = recorded->pack,
                                .kept = recorded->kept,
                                .kept_etag = recorded->kept_etag };
}

static void seal_results(int dir_fd, uint32_t number, const struct recorded *entries,
                         uint32_t count)
{
    SCOPED(buf) struct buf bytes = { 0 };
    struct result_sum sum = { 0 };
    struct err err = { 0 };
    uint32_t written = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].status == RESULT_OPEN)
            continue;
        struct result result = { .ordinal = i,
                                 .status = entries[i].status,
                                 .size_bytes = entries[i].size_bytes,
                                 .mtime_ns = entries[i].mtime_ns,
                                 .record = { .known = true, .racy = entries[i].racy } };
        if (entries[i].etag != NULL)
            snprintf(result.record.etag, sizeof result.record.etag, "%s", entries[i].etag);
        result_encode(&bytes, &result);
        result_sum_add(&sum, result.status, result.size_bytes, 0);
        written++;
    }
    assert_int_equal(result_file_seal(dir_fd, number, &bytes, written, &sum,
                                      &(struct result_rest){ .tries = 1 }, &err),
                     0);
}

void recorded_segment(const struct generation *generation, uint32_t number,
                      const struct recorded *entries, uint32_t count, bool results)
{
    SCOPED(segment_writer) struct segment_writer writer;
    struct err err = { 0 };
    segment_writer_init(&writer, generation->dir_fd);
    assert_int_equal(segment_begin(&writer, number, &err), 0);
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_entry entry = entry_of(&entries[i]);
        assert_int_equal(segment_add(&writer, &entry, &err), 0);
    }
    const char *last = count != 0 ? entries[count - 1].name : "";
    assert_int_equal(segment_seal(&writer, last, strlen(last), &err), 0);
    if (results)
        seal_results(generation->dir_fd, number, entries, count);
}

void recorded_generation(const struct job *job, uint32_t number, const struct recorded *entries,
                         uint32_t count)
{
    struct generation generation;
    struct err err = { 0 };
    assert_int_equal(generation_create(&generation, job, number, &err), 0);
    recorded_segment(&generation, 1, entries, count, true);
    assert_int_equal(generation_refresh(&generation, &err), 0);
    assert_int_equal(generation_close_plan(&generation, &err), 0);
    assert_int_equal(generation_finish(&generation, &err), 0);
    generation_done(&generation);
}
