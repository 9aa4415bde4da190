/* job/crew.h: the processes that work on a job now, by the files in its claims/. Owner: the caller;
 * crew_done(). Threads: one. */
#pragma once

#include "base/err.h"
#include "job/claim.h"
#include "job/job.h"

#include <stddef.h>

#define CREW_MAX 1024u

struct crew {
    struct claim_owner *here; /* living processes of this host; one that released its claim is
                               * about to end */
    size_t count;
    struct claim_owner elsewhere; /* who had the job last, on another host, and did not say that it
                                   * ended; number 0: nobody */
};
CHECKED int crew_read(struct crew *ret_crew, const struct job *job, struct err *err);
void crew_done(struct crew *crew);
