/* ui/report.h: what a job did, as one HTML page that needs nothing else: no scripts, no fonts, no
 * network. Its size does not grow with the number of entries. Pure; nothing to release. */
#pragma once

#include "base/buf.h"
#include "job/history.h"
#include "job/job.h"
#include "job/outcome.h"
#include "job/status.h"
#include "job/tally.h"

#include <stdint.h>

struct report {
    const struct job *job;
    const struct status *status;
    const struct history *history;
    const struct tally *tally;
    const struct outcome *outcome; /* NULL: not known */
    int64_t now_ns;
};
void report_page(const struct report *report, struct buf *out);
