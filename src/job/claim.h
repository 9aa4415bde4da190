/* job/claim.h: who works on a job, without a daemon and without file locks. Each process has one
 * file with its pid, host and a heartbeat counter; a claim is a hard link to it. The lead
 * `claims/run.gN` (the highest N) plans and finishes the job; a batch is claimed by
 * `gNNNNNN/SSSSSS.gN` in the generation. A link is won if and only if the name is then of our file.
 * Claims of the lead are never deleted, those of a batch only when its results are sealed. A claim
 * is stale when its process is gone (same host), or when its counter has not moved for
 * CLAIM_EXPIRY_NS on the observer's own clock; time stamps are never compared. Owner: the caller.
 * Threads: claim_beat() by one thread, claim_release() by the last; the others by any. */
#pragma once

#include "base/err.h"
#include "base/thread.h"

#include <stdbool.h>
#include <stdint.h>

#define CLAIM_BEAT_NS (INT64_C(3) * 1000 * 1000 * 1000)
#define CLAIM_EXPIRY_NS (INT64_C(30) * 1000 * 1000 * 1000)
#define CLAIM_SEEN_MAX 64u /* other processes whose counters are remembered */

struct claim_owner {
    uint32_t number; /* of the claim, 0: nobody ever */
    bool released;   /* it ended by itself */
    long pid;
    uint64_t start_ticks; /* of the process, so that a reused pid is not taken for it */
    uint64_t beats;
    char boot[64], host[64]; /* of the kernel and the pid namespace */
};
/* The counter of another process, and when it was seen to move. */
struct claim_seen {
    long pid;
    uint64_t start_ticks, beats;
    char boot[64];
    int64_t moved_ns;
};
struct claim {
    struct lock lock;
    int dir_fd;      /* claims/ */
    int fd;          /* our file */
    char name[64];   /* of it, unless it is the lead's; "" */
    uint64_t inode;  /* of it */
    uint32_t number; /* as the lead, 0: we are not; guarded by lock */
    uint64_t beats;
    struct claim_seen seen[CLAIM_SEEN_MAX]; /* guarded by lock */
    uint32_t seen_count;
};
/* Make our file. Then claim_lead() or claim_batch(). */
CHECKED int claim_join(struct claim *claim, int job_fd, struct err *err);
/* Become the lead: 1; 0 when a process that is not known to be gone has it, then *ret_owner (may be
 * NULL) says which. Does not wait. */
CHECKED int claim_lead(struct claim *claim, struct claim_owner *ret_owner, struct err *err);
/* Join and lead. ERR_CONFIG names the process that has the job and is alive. On another host that
 * can only be seen by waiting: up to CLAIM_EXPIRY_NS. */
CHECKED int claim_take(struct claim *claim, int job_fd, const struct stop *stop, struct err *err);
/* Move the counter. */
CHECKED int claim_beat(struct claim *claim, struct err *err);
/* Is the lead, if we had it, still ours? ERR_CONFIG with a text when somebody took over. */
CHECKED int claim_check(struct claim *claim, struct err *err);
/* Do we lead? */
bool claim_leads(struct claim *claim);
void claim_release(struct claim *claim);

/* A batch of the generation in dir_fd: 1 and *ret_number of the claim (1: nobody had it before), 0
 * when a process that is not known to be gone has it. */
CHECKED int claim_batch(struct claim *claim, int dir_fd, uint32_t batch, uint32_t *ret_number,
                        struct err *err);
/* Claim `number` of a batch was won by us: is it still the highest? */
bool claim_batch_holds(int dir_fd, uint32_t batch, uint32_t number);
/* Its results are sealed: no claim on it is needed any more. */
void claim_batch_done(int dir_fd, uint32_t batch);

/* Who leads now. */
CHECKED int claim_read(struct claim_owner *ret_owner, int job_fd, struct err *err);
/* What one file of the directory says, as the claim `number`; what is torn names nobody (pid 0). */
CHECKED int claim_read_file(struct claim_owner *ret_owner, int dir_fd, const char *name,
                            uint32_t number, struct err *err);
/* Is the owner a living process of this host? False also when it is on another host. */
bool claim_owner_lives_here(const struct claim_owner *owner);
bool claim_owner_is_local(const struct claim_owner *owner);
