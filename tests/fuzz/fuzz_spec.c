/* The lines of a job file. */
#include "base/ban.h"
#include "base/scope.h"
#include "fuzz.h"
#include "job/job.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    struct job_spec spec = { 0 };
    struct err err = { 0 };
    if (job_spec_parse(&spec, (const char *)data, size, &err) < 0) {
        require(err.kind == ERR_CONFIG);
        return 0;
    }
    require(spec.source_count != 0 && spec.dest != NULL && spec.filter != NULL);
    SCOPED(buf) struct buf one = { 0 };
    SCOPED(buf) struct buf two = { 0 };
    struct job_spec copy = { 0 };
    job_spec_copy(&copy, &spec);
    require(job_spec_difference(&spec, &copy) == NULL);
    job_spec_write(&spec, &one);
    job_spec_write(&copy, &two);
    require(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    job_spec_done(&copy);
    job_spec_done(&spec);
    return 0;
}
