/* job/claim.h: who works on a job, without a daemon and without file locks. A claim is a hard link
 * `claims/run.gN`, won if and only if the linked file then has two links; claims are never deleted,
 * the highest N owns. The owner's file holds its pid, host and a heartbeat counter. A claim is
 * stale when its process is gone (same host), or when the counter has not moved for CLAIM_EXPIRY_NS
 * on the observer's own clock; time stamps are never compared. Owner: the caller. Threads:
 * claim_beat() and claim_check() by one thread. */
#pragma once

#include "base/err.h"
#include "base/thread.h"

#include <stdbool.h>
#include <stdint.h>

#define CLAIM_BEAT_NS (INT64_C(3) * 1000 * 1000 * 1000)
#define CLAIM_EXPIRY_NS (INT64_C(30) * 1000 * 1000 * 1000)

struct claim {
    int dir_fd; /* claims/ */
    int fd;     /* our file */
    uint32_t number;
    uint64_t beats;
};
struct claim_owner {
    uint32_t number; /* 0: nobody ever */
    bool released;   /* it ended by itself */
    long pid;
    uint64_t start_ticks; /* of the process, so that a reused pid is not taken for it */
    uint64_t beats;
    char boot[40], host[64];
};
/* Take the job. ERR_CONFIG names the process that has it and is alive. On another host that can
 * only be seen by waiting: up to CLAIM_EXPIRY_NS. */
CHECKED int claim_take(struct claim *claim, int job_fd, const struct stop *stop, struct err *err);
/* Move the counter. */
CHECKED int claim_beat(struct claim *claim, struct err *err);
/* ERR_STOPPED with a text when somebody took over. */
CHECKED int claim_check(const struct claim *claim, struct err *err);
void claim_release(struct claim *claim);
/* Who has it now. */
CHECKED int claim_read(struct claim_owner *ret_owner, int job_fd, struct err *err);
/* Is the owner a living process of this host? False also when it is on another host. */
bool claim_owner_lives_here(const struct claim_owner *owner);
bool claim_owner_is_local(const struct claim_owner *owner);
