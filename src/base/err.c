#include "base/err.h"

#include "base/ban.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_trait traits[ERR_KIND_COUNT] = {
    [ERR_NONE] = { "none", false, false, EXIT_DONE },
    [ERR_USAGE] = { "usage", false, true, EXIT_USAGE },
    [ERR_CONFIG] = { "config", false, true, EXIT_SETUP },
    [ERR_AUTH] = { "auth", false, true, EXIT_SETUP },
    [ERR_DENIED] = { "denied", false, false, EXIT_SETUP },
    [ERR_ABSENT] = { "absent", false, false, EXIT_SOME_FAILED },
    [ERR_SOURCE] = { "source", false, false, EXIT_SOME_FAILED },
    [ERR_CHANGED] = { "changed", true, false, EXIT_SOME_FAILED },
    [ERR_CONFLICT] = { "conflict", false, false, EXIT_SOME_FAILED },
    [ERR_NET] = { "net", true, false, EXIT_SETUP },
    [ERR_BUSY] = { "busy", true, false, EXIT_SETUP },
    [ERR_SERVER] = { "server", true, false, EXIT_SETUP },
    [ERR_CORRUPT] = { "corrupt", true, false, EXIT_DIFFERS },
    [ERR_LIMIT] = { "limit", false, false, EXIT_SOME_FAILED },
    [ERR_LOCAL] = { "local", false, true, EXIT_SETUP },
    [ERR_STOPPED] = { "stopped", false, true, EXIT_INTERRUPTED },
    [ERR_DAMAGED] = { "damaged", false, false, EXIT_DIFFERS },
};

const struct err_trait *err_trait(enum err_kind kind)
{
    assert((unsigned)kind < ERR_KIND_COUNT);
    return &traits[kind];
}

PRINTF_LIKE(3, 0)
static void set_text(struct err *err, enum err_kind kind, const char *fmt, va_list args)
{
    assert(err->kind == ERR_NONE && kind != ERR_NONE);
    err->kind = kind;
    vsnprintf(err->text, sizeof err->text, fmt, args);
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_text(err, kind, fmt, args);
    va_end(args);
    return -1;
}

/* What an errno says more precisely than the caller can know. */
static enum err_kind kind_of_errno(int sys, enum err_kind otherwise)
{
    switch (sys) {
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case ENOENT:
        return ERR_ABSENT;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return ERR_LOCAL;
    case ENAMETOOLONG:
    case EFBIG:
        return ERR_LIMIT;
    default:
        return otherwise;
    }
}

int err_sys(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    const int sys = errno;
    va_list args;
    va_start(args, fmt);
    set_text(err, kind_of_errno(sys, kind), fmt, args);
    va_end(args);
    err->sys = sys;

    const size_t used = strlen(err->text);
    char reason[64];
    snprintf(err->text + used, sizeof err->text - used, ": %s",
             strerror_r(sys, reason, sizeof reason));
    return -1;
}

int err_at(struct err *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    const int wrote = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const size_t used = wrote < (int)sizeof text ? (size_t)wrote : sizeof text - 1;
    /* A long name must not push the cause out of the text: keep the end of it. */
    const size_t cause_bytes = strlen(err->text);
    size_t keep = used;
    if (keep + 2 + cause_bytes >= sizeof text)
        keep = cause_bytes + 3 < sizeof text ? sizeof text - cause_bytes - 3 : 0;
    text[keep] = '\0';
    char cause[sizeof err->text];
    memcpy(cause, err->text, sizeof cause);
    const size_t room = sizeof err->text - 1 - keep;
    memcpy(err->text, text, keep);
    snprintf(err->text + keep, room + 1, ": %.*s", (int)(room - 2), cause);
    return -1;
}

int err_hint(struct err *err, const char *fmt, ...)
{
    if (err->hint[0] != '\0')
        return -1;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, args);
    va_end(args);
    return -1;
}

void err_clear(struct err *err)
{
    *err = (struct err){ 0 };
}
