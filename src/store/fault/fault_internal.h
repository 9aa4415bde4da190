/* store/fault/fault_internal.h: rules, and what they say of one call. */
#pragma once

#include "base/thread.h"
#include "store/fault/fault.h"

enum fault_call {
    CALL_ANY,
    CALL_HEAD,
    CALL_LIST,
    CALL_GET,
    CALL_PUT,
    CALL_BEGIN,
    CALL_PART,
    CALL_COMMIT,
    CALL_ABORT,
    CALL_COMMIT_BATCH,
    CALL_CLEAN,
    CALL_SET_ATTR,
    CALL_COPY,
    CALL_REMOVE,
    CALL_PROBE,
    CALL_COUNT
};

/* What is to happen. */
struct fault_action {
    int64_t delay_ns;
    enum err_kind fail; /* ERR_NONE: it does not */
    uint32_t retry_after_ms;
    bool hang, lose, flip, etag, size;
    uint64_t flip_at;
};

struct fault_rule {
    enum fault_call call;
    char *key_glob; /* NULL: any */
    uint32_t number;
    uint64_t nth, times; /* 0: not given */
    struct fault_action action;
    uint64_t seen_count, used_count; /* guarded by the rules' lock */
};

struct fault_rules {
    struct lock lock;
    struct fault_rule *at;
    size_t count;
};
CHECKED int fault_rules_read(struct fault_rules *rules, const char *path, struct err *err);
void fault_rules_done(struct fault_rules *rules);
/* Count the call, and say what is to happen. */
struct fault_action fault_judge(struct fault_rules *rules, enum fault_call call, const char *key,
                                uint32_t number);
