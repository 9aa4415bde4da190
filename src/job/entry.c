#include "job/entry.h"

#include "base/ban.h"
#include "base/scope.h"

#include <assert.h>

static const struct {
    enum err_kind kind;
    const char *text;
    const char *hint;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = { ERR_NONE, "", "" },
    [REASON_FIFO] = { ERR_SOURCE, "is a FIFO", "" },
    [REASON_SOCKET] = { ERR_SOURCE, "is a socket", "" },
    [REASON_DEVICE] = { ERR_SOURCE, "is a device", "" },
    [REASON_LINK_SKIPPED] = { ERR_SOURCE, "is a symbolic link (--links skip)", "" },
    [REASON_UNREADABLE] = { ERR_SOURCE, "cannot be read", "" },
    [REASON_NAME] = { ERR_LIMIT, "has a name that the destination cannot hold",
                      "rename it, or exclude it" },
    [REASON_COLLISION] = { ERR_CONFLICT, "gives the same key as another entry beside it",
                           "rename one of them, or use --links follow or skip" },
    [REASON_CONFLICT] = { ERR_CONFLICT,
                          "was changed at the destination by someone else since the "
                          "last run",
                          "look at it, then use --overwrite to replace it" },
    [REASON_IMMUTABLE] = { ERR_CONFLICT, "exists at the destination and --immutable was given",
                           "" },
    [REASON_EXISTS] = { ERR_CONFLICT, "a different file is there",
                        "use --overwrite to replace it" },
    [REASON_TOO_LARGE] = { ERR_LIMIT, "is larger than an object of the destination may be", "" },
    [REASON_OTHER_DEVICE] = { ERR_SOURCE, "is on another file system (--one-file-system)", "" },
    [REASON_LOOP] = { ERR_SOURCE, "is a link to a directory above it", "" },
    [REASON_EXCLUDED] = { ERR_SOURCE, "is excluded", "" },
    [REASON_DANGLING] = { ERR_ABSENT, "is a link to nothing", "use --links keep or skip" },
};

const char *plan_reason_text(enum plan_reason reason)
{
    assert((unsigned)reason < REASON_COUNT);
    return reasons[reason].text;
}

/* As the store has the name, without the number of a bucket. */
static int map_name(struct store *store, const struct plan_entry *entry, struct buf *ret_key,
                    struct err *err)
{
    buf_clear(ret_key);
    if (entry->kind != ENTRY_LINK)
        return store->driver->map_key(store, entry->name, ret_key, err);
    SCOPED(buf) struct buf name = { 0 };
    buf_add(&name, entry->name, entry->name_len);
    buf_add_text(&name, LINK_SUFFIX);
    return store->driver->map_key(store, name.data, ret_key, err);
}

int plan_entry_key(struct store *store, const struct plan_entry *entry, struct buf *ret_key,
                   struct err *err)
{
    SCOPED(buf) struct buf name = { 0 };
    if (entry->bucket <= 1)
        return map_name(store, entry, ret_key, err);
    if (map_name(store, entry, &name, err) < 0)
        return -1;
    store_bucket_key(entry->bucket, buf_text(&name), ret_key);
    return 0;
}

enum result_status plan_entry_settled(const struct plan_entry *entry)
{
    switch (entry->action) {
    case PLAN_UNCHANGED:
        return RESULT_UNCHANGED;
    case PLAN_SKIP:
        return RESULT_SKIPPED;
    case PLAN_FAIL:
        return RESULT_FAILED;
    default:
        return RESULT_OPEN;
    }
}

void plan_entry_explain(const struct plan_entry *entry, struct err *ret_err)
{
    *ret_err = (struct err){ 0 };
    if (entry->reason == REASON_NONE)
        return;
    char reason[256] = "";
    if (entry->sys != 0)
        snprintf(reason, sizeof reason, "%s", strerrordesc_np(entry->sys));
    if (entry->reason == REASON_COLLISION && entry->kind == ENTRY_LINK && entry->name != NULL)
        snprintf(reason, sizeof reason, "'%s%s'", entry->name, LINK_SUFFIX);
    err_set(ret_err, reasons[entry->reason].kind, "%s%s%s", reasons[entry->reason].text,
            reason[0] != '\0' ? ": " : "", reason);
    ret_err->sys = entry->sys;
    if (reasons[entry->reason].hint[0] != '\0')
        err_hint(ret_err, "%s", reasons[entry->reason].hint);
}
