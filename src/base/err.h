/* base/err.h: one caller-owned error value, filled once where the cause is known and given context
 * on the way up. Owner:   the caller of a function that can fail; a plain value, copied whole into
 * results and journals. Threads: belongs to whoever owns the memory. A function that can fail
 * returns 0 or -1 and takes `struct err *err` (never NULL) last. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CHECKED __attribute__((warn_unused_result))
/* nonnull: gcc 12 with the undefined sanitizer takes the format for NULL otherwise. */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args), nonnull(fmt)))

/* What went wrong, as far as the program must decide something by it. docs/formats.md: the numbers
 * are written in journals, so they are never reused. */
enum err_kind {
    ERR_NONE = 0,
    ERR_USAGE = 1,    /* the command line asks for something that is not possible */
    ERR_CONFIG = 2,   /* a configuration file, a job directory or an endpoint is unusable */
    ERR_AUTH = 3,     /* credentials are missing, refused or expired */
    ERR_DENIED = 4,   /* this thing may not be read or written by us */
    ERR_ABSENT = 5,   /* it is not there */
    ERR_SOURCE = 6,   /* the source cannot be read */
    ERR_CHANGED = 7,  /* it did not hold still while it was moved */
    ERR_CONFLICT = 8, /* the target holds something that must not be replaced */
    ERR_NET = 9,      /* connection trouble, an answer that did not come */
    ERR_BUSY = 10,    /* the store asks for less */
    ERR_SERVER = 11,  /* the store failed */
    ERR_CORRUPT = 12, /* bytes are not what they were recorded to be, perhaps on the way only */
    ERR_LIMIT = 13,   /* beyond a limit of the store or of lade */
    ERR_LOCAL = 14,   /* the local system failed: disk full, no descriptors */
    ERR_STOPPED = 15, /* asked to stop */
    ERR_DAMAGED = 16, /* read twice, and wrong in the same way: it is stored like that */
    ERR_KIND_COUNT
};

struct err {
    enum err_kind kind;
    int sys;                 /* errno of the cause, or 0 */
    int http;                /* HTTP status of the cause, or 0 */
    uint32_t retry_after_ms; /* what the store asked for, or 0 */
    char text[336];          /* lower case, no full stop, names in '' */
    char hint[128];          /* the user's next step, or "" */
};

/* Facts about a kind; the exit statuses are those of the man page. */
struct err_trait {
    const char *name;
    bool retry;      /* trying again by itself can help */
    bool ends_run;   /* no other item can succeed either */
    int exit_status; /* of a run that this error ends */
};

enum exit_status {
    EXIT_DONE = 0,
    EXIT_SOME_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_SETUP = 3, /* configuration, credentials or endpoint */
    EXIT_DIFFERS = 4,
    EXIT_LEFT = 5, /* stopped early on request; can be continued */
    EXIT_INTERRUPTED = 130,
    EXIT_TERMINATED = 143,
};

const struct err_trait *err_trait(enum err_kind kind);

/* Report a cause. Setting an error that is set already is a bug (first cause wins). Both return -1.
 */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same with the text of the present errno added; EACCES, EPERM, ENOENT, ENOSPC and the like
 * choose a kind that fits better than `kind`. */
int err_sys(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put "what was being worked on: " in front. Returns -1. */
int err_at(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The user's next step; kept if one is set already. Returns -1. */
int err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_clear(struct err *err);
