#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/fault/fault_internal.h"

#include <errno.h>
#include <fnmatch.h>

static const char *const call_names[CALL_COUNT] = {
    [CALL_ANY] = "*",         [CALL_HEAD] = "head",     [CALL_LIST] = "list",
    [CALL_GET] = "get",       [CALL_PUT] = "put",       [CALL_BEGIN] = "begin",
    [CALL_PART] = "part",     [CALL_COMMIT] = "commit", [CALL_ABORT] = "abort",
    [CALL_CLEAN] = "clean",   [CALL_COPY] = "copy",     [CALL_SET_ATTR] = "set_attr",
    [CALL_REMOVE] = "remove", [CALL_PROBE] = "probe",   [CALL_COMMIT_BATCH] = "commit_batch",
};

static int parse_number(const char *text, uint64_t *ret_value)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return -1;
    *ret_value = value;
    return 0;
}

static int parse_span(const char *text, int64_t *ret_ns)
{
    char *end = NULL;
    const long value = strtol(text, &end, 10);
    if (end == text || value < 0 || value > 1000000)
        return -1;
    if (strcmp(end, "ms") == 0)
        *ret_ns = value * NS_PER_MS;
    else if (strcmp(end, "s") == 0)
        *ret_ns = value * NS_PER_S;
    else
        return -1;
    return 0;
}

static int parse_kind(const char *name, enum err_kind *ret_kind)
{
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        if (strcmp(err_trait((enum err_kind)kind)->name, name) == 0) {
            *ret_kind = (enum err_kind)kind;
            return 0;
        }
    }
    return -1;
}

static int parse_call(const char *name, enum fault_call *ret_call)
{
    for (int call = 0; call < CALL_COUNT; call++) {
        if (strcmp(call_names[call], name) == 0) {
            *ret_call = (enum fault_call)call;
            return 0;
        }
    }
    return -1;
}

/* A word without '='. */
static int parse_flag(struct fault_action *action, const char *word)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = { { "hang", &action->hang },
                  { "lose", &action->lose },
                  { "etag", &action->etag },
                  { "size", &action->size } };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(flags[i].name, word) == 0) {
            *flags[i].flag = true;
            return 0;
        }
    }
    return -1;
}

static int parse_setting(struct fault_rule *rule, const char *name, const char *value)
{
    struct fault_action *action = &rule->action;
    uint64_t number = 0;
    int64_t span_ns = 0;
    if (strcmp(name, "key") == 0) {
        mem_release(rule->key_glob);
        rule->key_glob = mem_string(value);
        return 0;
    }
    if (strcmp(name, "fail") == 0)
        return parse_kind(value, &action->fail);
    if (strcmp(name, "delay") == 0)
        return parse_span(value, &action->delay_ns);
    if (strcmp(name, "retry_after") == 0) {
        const int result = parse_span(value, &span_ns);
        action->retry_after_ms = (uint32_t)(span_ns / NS_PER_MS);
        return result;
    }
    if (parse_number(value, &number) < 0)
        return -1;
    if (strcmp(name, "number") == 0)
        rule->number = (uint32_t)number;
    else if (strcmp(name, "nth") == 0)
        rule->nth = number;
    else if (strcmp(name, "times") == 0)
        rule->times = number;
    else if (strcmp(name, "flip") == 0)
        action->flip_at = number;
    else
        return -1;
    action->flip |= strcmp(name, "flip") == 0;
    return 0;
}

/* 1: a rule, 0: an empty line, -1: neither. */
static int parse_line(char *line, struct fault_rule *rule)
{
    line[strcspn(line, "#\n")] = '\0';
    char *rest = NULL;
    const char *call = strtok_r(line, " \t\r", &rest);
    if (call == NULL)
        return 0;
    if (parse_call(call, &rule->call) < 0)
        return -1;
    for (char *word = NULL; (word = strtok_r(NULL, " \t\r", &rest)) != NULL;) {
        char *equals = strchr(word, '=');
        if (equals != NULL)
            *equals = '\0';
        if ((equals != NULL ? parse_setting(rule, word, equals + 1)
                            : parse_flag(&rule->action, word)) < 0)
            return -1;
    }
    return 1;
}

static int read_lines(struct fault_rules *rules, FILE *file, const char *path, struct err *err)
{
    char *line = NULL;
    size_t cap = 0;
    int number = 0;
    int result = 0;
    while (result >= 0 && getline(&line, &cap, file) >= 0) {
        number++;
        struct fault_rule rule = { 0 };
        result = parse_line(line, &rule);
        if (result <= 0) {
            mem_release(rule.key_glob);
            continue;
        }
        rules->at = mem_resize(rules->at, (rules->count + 1) * sizeof *rules->at);
        rules->at[rules->count++] = rule;
    }
    free(line);
    return result < 0 ? err_set(err, ERR_CONFIG, "'%s': line %d is no rule", path, number) : 0;
}

int fault_rules_read(struct fault_rules *rules, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_sys(err, ERR_CONFIG, "open the rules '%s'", path);
    *rules = (struct fault_rules){ 0 };
    lock_init(&rules->lock);
    const int result = read_lines(rules, file, path, err);
    fclose(file);
    if (result < 0)
        fault_rules_done(rules);
    return result;
}

void fault_rules_done(struct fault_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        mem_release(rules->at[i].key_glob);
    mem_free(rules->at);
    rules->count = 0;
    lock_done(&rules->lock);
}

static bool fits(const struct fault_rule *rule, enum fault_call call, const char *key,
                 uint32_t number)
{
    return (rule->call == CALL_ANY || rule->call == call) &&
           (rule->number == 0 || rule->number == number) &&
           (rule->key_glob == NULL || fnmatch(rule->key_glob, key, 0) == 0);
}

static void add_action(struct fault_action *all, const struct fault_action *one)
{
    all->delay_ns += one->delay_ns;
    if (one->fail != ERR_NONE) {
        all->fail = one->fail;
        all->retry_after_ms = one->retry_after_ms;
    }
    all->hang |= one->hang;
    all->lose |= one->lose;
    all->etag |= one->etag;
    all->size |= one->size;
    if (one->flip) {
        all->flip = true;
        all->flip_at = one->flip_at;
    }
}

struct fault_action fault_judge(struct fault_rules *rules, enum fault_call call, const char *key,
                                uint32_t number)
{
    struct fault_action all = { 0 };
    SCOPED_LOCK(&rules->lock);
    for (size_t i = 0; i < rules->count; i++) {
        struct fault_rule *rule = &rules->at[i];
        if (!fits(rule, call, key, number) || ++rule->seen_count < rule->nth)
            continue;
        const uint64_t most = rule->times != 0 ? rule->times : rule->nth != 0 ? 1 : UINT64_MAX;
        if (rule->used_count < most) {
            rule->used_count++;
            add_action(&all, &rule->action);
        }
    }
    return all;
}
