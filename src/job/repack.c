#include "job/repack.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/objects.h"
#include "job/packer.h"
#include "job/repack_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SHARE 64u /* as put: a pack has this share of all, within its limits */
#define MAKERS_DEFAULT 4u
#define MAKERS_MAX 64u

/* ---- telling ---- */

void repack_tell(struct repack *repack, const struct repack_event *event)
{
    if (repack->options->tell != NULL)
        repack->options->tell(repack->options->to, event);
}

static bool is_listed(const struct repack *repack, const char *key)
{
    for (size_t i = 0; i < repack->damaged_count; i++)
        if (strcmp(repack->damaged[i], key) == 0)
            return true;
    return false;
}

void repack_note_damage(struct repack *repack, uint32_t pack, const char *name,
                        const struct err *err)
{
    const char *key = repack->catalog.packs[pack]->key;
    SCOPED_LOCK(&repack->lock);
    atomic_store(&repack->looking, true);
    repack->counts->damaged++;
    repack_tell(repack, &(struct repack_event){
                            .news = REPACK_DAMAGED, .pack = key, .name = name, .err = err });
    if (is_listed(repack, key))
        return;
    repack->damaged =
        mem_resize(repack->damaged, (repack->damaged_count + 1) * sizeof *repack->damaged);
    repack->damaged[repack->damaged_count++] = mem_string(key);
}

/* ---- what is live ---- */

int repack_is_object(const struct repack *repack, const char *name, struct err *err)
{
    struct store *store = repack->store;
    SCOPED(buf) struct buf key = { 0 };
    SCOPED(object) struct object object = { 0 };
    struct err why = { 0 };
    if (store->driver->map_key(store, name, &key, &why) < 0 ||
        !catalog_has_other(&repack->catalog, key.data))
        return 0;
    /* What the catalog knows of it is a number, which two names can share. */
    if (store_head_patiently(store, key.data, repack->stop, &object, &why) == 0)
        return 1;
    if (why.kind == ERR_ABSENT)
        return 0;
    *err = why;
    return err_at(err, "'%s'", name);
}

/* Would somebody else get the word, if this one were left out? */
static bool hides(const struct repack *repack, const struct merge_name *name)
{
    for (size_t i = 0; i < name->other_count; i++)
        if (!repack->sources[name->others[i]].rewrite)
            return true;
    return false;
}

int repack_wants(const struct repack *repack, const struct merge_name *name, struct err *err)
{
    if (!repack->sources[name->pack].rewrite)
        return 0;
    if (hides(repack, name))
        return 1;
    if (name->member.kind == PACK_GONE)
        return 0;
    /* A directory of the store's own says nothing of what the pack knows of it. */
    if (name->member.kind == PACK_DIR)
        return 1;
    const int is_object = repack_is_object(repack, name->text, err);
    return is_object < 0 ? -1 : is_object == 0;
}

static int count_live(struct repack *repack, struct err *err)
{
    struct merge_name name;
    struct merge *merge = merge_new(&repack->set, "");
    int got;
    while ((got = merge_next(merge, &name, err)) == 1) {
        struct repack_source *source = &repack->sources[name.pack];
        bool live = name.other_count != 0 || name.member.kind == PACK_DIR;
        if (!live && name.member.kind != PACK_GONE) {
            const int is_object = repack_is_object(repack, name.text, err);
            if ((got = is_object) < 0)
                break;
            live = is_object == 0;
        }
        source->live_members += live;
        if (live && name.member.kind == PACK_FILE)
            source->live_bytes += name.member.size_bytes;
        if ((got = stop_check(repack->stop, err)) < 0)
            break;
    }
    merge_free(merge);
    return got;
}

/* ---- which packs ---- */

static const struct pack_info *info_of(const struct repack *repack, size_t pack)
{
    return pack_info(repack->catalog.packs[pack]->pack);
}

static uint64_t pack_bytes(const struct repack *repack)
{
    if (repack->options->pack_bytes != 0)
        return repack->options->pack_bytes;
    uint64_t share = 0;
    for (size_t i = 0; i < repack->catalog.count; i++)
        share += repack->sources[i].live_bytes / SHARE;
    if (share < PACK_LEAST_BYTES)
        return PACK_LEAST_BYTES;
    return share > PACK_MOST_BYTES ? PACK_MOST_BYTES : share;
}

static bool is_stale(const struct repack *repack, size_t pack)
{
    const struct pack_info *info = info_of(repack, pack);
    const struct repack_source *source = &repack->sources[pack];
    const uint64_t all = info->content_bytes != 0 ? info->content_bytes : info->member_count;
    const uint64_t live = info->content_bytes != 0 ? source->live_bytes : source->live_members;
    if (all == 0 || source->live_members == 0)
        return true;
    return (double)live * 100.0 < (double)all * repack->options->min_live_percent;
}

static bool is_small(const struct repack *repack, size_t pack, uint64_t enough)
{
    const struct pack_info *info = info_of(repack, pack);
    return info->content_bytes < enough / 2 && info->member_count < PACK_ENTRIES_MAX / 2;
}

static bool may_be_rewritten(const struct repack *repack, size_t pack)
{
    return !repack->set.packs[pack].beyond && !is_listed(repack, repack->catalog.packs[pack]->key);
}

static uint32_t family_of(struct repack *repack, size_t pack)
{
    const struct pack_info *info = info_of(repack, pack);
    for (size_t i = 0; i < repack->family_count; i++)
        if (strcmp(repack->families[i].job_id, info->job_id) == 0)
            return (uint32_t)i;
    repack->families =
        mem_resize(repack->families, (repack->family_count + 1) * sizeof *repack->families);
    repack->families[repack->family_count] = (struct repack_family){ .job_id = info->job_id };
    return (uint32_t)repack->family_count++;
}

/* Small ones count once there are two, or one beside what is left of a stale one. */
static void choose_in(struct repack *repack, uint32_t family, uint64_t enough)
{
    size_t stale = 0;
    size_t small = 0;
    for (size_t i = 0; i < repack->catalog.count; i++) {
        struct repack_source *source = &repack->sources[i];
        if (source->family != family || !may_be_rewritten(repack, i))
            continue;
        source->rewrite = is_stale(repack, i);
        stale += source->rewrite && source->live_members != 0;
        small += !source->rewrite && is_small(repack, i, enough);
    }
    if (small == 0 || small + stale < 2)
        return;
    for (size_t i = 0; i < repack->catalog.count; i++)
        if (repack->sources[i].family == family && may_be_rewritten(repack, i) &&
            is_small(repack, i, enough))
            repack->sources[i].rewrite = true;
}

/* How new the new packs are: see "Repacking" in docs/architecture.md. */
static void set_age(struct repack *repack, uint32_t number)
{
    struct repack_family *family = &repack->families[number];
    for (size_t i = 0; i < repack->catalog.count; i++) {
        const struct pack_info *info = info_of(repack, i);
        if (repack->sources[i].family != number || !repack->sources[i].rewrite)
            continue;
        if (info->generation > family->generation)
            family->generation = info->generation;
        if (info->created_ns > family->created_ns)
            family->created_ns = info->created_ns;
    }
    for (size_t i = 0; i < repack->catalog.count; i++) {
        const struct pack_info *info = info_of(repack, i);
        if (repack->sources[i].family == number && info->generation == family->generation &&
            info->merged > family->merged)
            family->merged = info->merged;
    }
    family->merged++;
}

static void tell_choice(struct repack *repack)
{
    for (size_t i = 0; i < repack->catalog.count; i++) {
        const struct catalog_pack *pack = repack->catalog.packs[i];
        if (!repack->sources[i].rewrite)
            continue;
        repack->counts->rewritten++;
        repack_tell(repack,
                    &(struct repack_event){ .news = REPACK_REWRITE,
                                            .pack = pack->key,
                                            .bytes = pack->size_bytes,
                                            .live_bytes = repack->sources[i].live_bytes,
                                            .content_bytes = info_of(repack, i)->content_bytes,
                                            .members = repack->sources[i].live_members });
    }
}

static void choose(struct repack *repack, uint64_t enough)
{
    for (size_t i = 0; i < repack->catalog.count; i++)
        repack->sources[i].family = family_of(repack, i);
    for (uint32_t i = 0; i < repack->family_count; i++) {
        choose_in(repack, i, enough);
        set_age(repack, i);
    }
    repack->counts->rewritten = 0;
    tell_choice(repack);
}

/* ---- new packs ---- */

static bool same_directory(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/');
    const char *end_b = strrchr(b, '/');
    const size_t len_a = end_a != NULL ? (size_t)(end_a - a) + 1 : 0;
    const size_t len_b = end_b != NULL ? (size_t)(end_b - b) + 1 : 0;
    return len_a == len_b && memcmp(a, b, len_a) == 0;
}

static bool goes_on(const struct repack_output *output, const struct merge_name *name,
                    uint64_t enough)
{
    if (output->members >= PACK_ENTRIES_MAX ||
        output->content_bytes + name->member.size_bytes > enough)
        return false;
    return output->content_bytes < enough / 2 || same_directory(output->last, name->text);
}

static void add_output(struct repack *repack, uint32_t family, const char *first)
{
    if ((repack->output_count & (repack->output_count - 1)) == 0)
        repack->outputs =
            mem_resize(repack->outputs, (2 * repack->output_count + 1) * sizeof *repack->outputs);
    struct repack_output *output = &repack->outputs[repack->output_count++];
    SCOPED(buf) struct buf key = { 0 };
    const char *job = repack->families[family].job_id;
    buf_printf(&key, REPACK_NAME "%.8s-%s-%zu%s", job[0] != '\0' ? job : "00000000", repack->nonce,
               repack->output_count, repack->options->no_compress ? PACK_TAR_SUFFIX : PACK_SUFFIX);
    *output = (struct repack_output){ .family = family,
                                      .key = buf_take(&key),
                                      .first = mem_string(first) };
    repack->families[family].output = (uint32_t)repack->output_count;
}

static void plan_name(struct repack *repack, const struct merge_name *name, uint64_t enough)
{
    struct repack_family *family = &repack->families[repack->sources[name->pack].family];
    if (family->output == 0 || !goes_on(&repack->outputs[family->output - 1], name, enough))
        add_output(repack, repack->sources[name->pack].family, name->text);
    struct repack_output *output = &repack->outputs[family->output - 1];
    mem_release(output->last);
    output->last = mem_string(name->text);
    output->members++;
    output->content_bytes += name->member.kind == PACK_FILE ? name->member.size_bytes : 0;
}

static int plan(struct repack *repack, uint64_t enough, struct err *err)
{
    struct merge_name name;
    struct merge *merge = merge_new(&repack->set, "");
    int got;
    while ((got = merge_next(merge, &name, err)) == 1) {
        const int wanted = repack_wants(repack, &name, err);
        if (wanted < 0 || stop_check(repack->stop, err) < 0) {
            got = -1;
            break;
        }
        if (wanted == 1)
            plan_name(repack, &name, enough);
    }
    merge_free(merge);
    return got;
}

static void tell_stored(struct repack *repack, const struct repack_output *output)
{
    repack_tell(repack, &(struct repack_event){ .news = REPACK_STORE,
                                                .pack = output->key,
                                                .bytes = output->bytes,
                                                .live_bytes = output->content_bytes,
                                                .members = output->members });
}

static void *maker_main(void *arg)
{
    struct repack *repack = arg;
    unsigned i;
    while ((i = atomic_fetch_add(&repack->next, 1)) < repack->output_count) {
        struct err err = { 0 };
        struct repack_output *output = &repack->outputs[i];
        const int made = repack_make(repack, output, &err);
        SCOPED_LOCK(&repack->lock);
        if (made < 0 && repack->err.kind == ERR_NONE)
            repack->err = err;
        if (repack->err.kind != ERR_NONE) {
            atomic_store(&repack->next, (unsigned)repack->output_count);
            return NULL;
        }
        if (!atomic_load(&repack->looking))
            tell_stored(repack, output);
    }
    return NULL;
}

static int make_all(struct repack *repack, struct err *err)
{
    struct thread threads[MAKERS_MAX] = { 0 };
    uint32_t count = repack->options->transfers != 0 ? repack->options->transfers : MAKERS_DEFAULT;
    if (count > MAKERS_MAX)
        count = MAKERS_MAX;
    for (size_t i = 1; i < count && i < repack->output_count; i++) {
        struct err ignored = { 0 }; /* fewer will do */
        if (thread_start(&threads[i], "lade-repack", maker_main, repack, &ignored) < 0)
            break;
    }
    (void)maker_main(repack);
    for (size_t i = 0; i < count; i++)
        thread_join(&threads[i]);
    if (repack->err.kind == ERR_NONE)
        return 0;
    *err = repack->err;
    return -1;
}

/* ---- the end ---- */

static bool looks_as_pack(const char *key, size_t len)
{
    static const char *const ends[] = { PACK_SUFFIX, PACK_TAR_SUFFIX };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t end = strlen(ends[i]);
        if (len > end && strcmp(key + len - end, ends[i]) == 0)
            return true;
    }
    return false;
}

static int compare_key(const void *key, const void *pack)
{
    const struct catalog_pack *const *b = pack;
    return strcmp(key, (*b)->key);
}

static bool is_known(const struct repack *repack, const char *key)
{
    for (size_t i = 0; i < repack->output_count; i++)
        if (strcmp(repack->outputs[i].key, key) == 0)
            return true;
    return repack->catalog.count != 0 &&
           bsearch(key, repack->catalog.packs, repack->catalog.count, sizeof(struct catalog_pack *),
                   compare_key) != NULL;
}

/* A pack that came meanwhile must be newer than all that was merged: else it could lose its word.
 */
static int check_newcomer(struct repack *repack, const char *key, struct err *err)
{
    struct catalog catalog = { 0 };
    const struct catalog_options options = { .only = key, .stop = repack->stop };
    struct err why = { 0 };
    if (catalog_open(&catalog, repack->store, &options, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        *err = why;
        return err_at(err, "pack '%s'", key);
    }
    bool late = catalog.count != 0 && catalog.packs[0]->pack == NULL;
    for (size_t i = 0; catalog.count != 0 && !late && i < repack->catalog.count; i++)
        late = repack->sources[i].rewrite &&
               catalog_compare_age(catalog.packs[0], repack->catalog.packs[i]) < 0;
    catalog_done(&catalog);
    if (!late)
        return 0;
    err_set(err, ERR_CONFLICT, "the pack '%s' came meanwhile, and is not newer", key);
    return err_hint(err, "nothing was changed: run it again when no other put is at work there");
}

static int check_newcomers(struct repack *repack, struct err *err)
{
    const struct store_driver *driver = repack->store->driver;
    struct store_list *list = NULL;
    SCOPED(object) struct object object = { 0 };
    if (driver->list_open(&list, repack->store, "", "", false, err) < 0)
        return -1;
    int got;
    while ((got = driver->list_next(list, &object, err)) == 1)
        if (looks_as_pack(buf_text(&object.key), object.key.len) &&
            !is_known(repack, object.key.data) &&
            check_newcomer(repack, object.key.data, err) < 0) {
            got = -1;
            break;
        }
    driver->list_close(list);
    return got;
}

static int remove_key(struct repack *repack, const char *key, struct err *err)
{
    struct err each = { 0 };
    for (uint32_t tries = 1;; tries++) {
        if (repack->store->driver->remove(repack->store, &key, 1, &each, err) == 0) {
            *err = each;
            if (each.kind == ERR_NONE)
                return 0;
        }
        each = (struct err){ 0 };
        if (store_wait_patiently(tries, repack->stop, err) < 0)
            return err_at(err, "remove '%s'", key);
    }
}

/* Unless somebody put another one in its place. */
static int remove_pack(struct repack *repack, size_t number, struct err *err)
{
    const struct catalog_pack *pack = repack->catalog.packs[number];
    SCOPED(object) struct object object = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    struct err why = { 0 };
    if (store_head_patiently(repack->store, pack->key, repack->stop, &object, &why) < 0) {
        if (why.kind == ERR_ABSENT)
            return 0;
        *err = why;
        return err_at(err, "remove '%s'", pack->key);
    }
    if (strcmp(object.etag, pack->etag) != 0 || object.size_bytes != pack->size_bytes)
        return 0;
    buf_printf(&index, "%s" PACK_INDEX_SUFFIX, pack->key);
    /* What holds a newline cannot be noted; a kill between would leave its index. */
    if (pack->has_sidecar && strchr(pack->key, '\n') == NULL &&
        repack_trace_drop(&repack->trace, pack->key, err) < 0)
        return -1;
    if (remove_key(repack, pack->key, err) < 0 ||
        (pack->has_sidecar && remove_key(repack, index.data, err) < 0))
        return -1;
    repack->counts->removed++;
    repack->counts->packs_after--;
    repack->counts->bytes_after -= pack->size_bytes;
    repack_tell(repack, &(struct repack_event){
                            .news = REPACK_REMOVE, .pack = pack->key, .bytes = pack->size_bytes });
    return 0;
}

/* Oldest first: what hides something goes after it. */
static int remove_old(struct repack *repack, struct err *err)
{
    for (uint32_t age = 0; age < repack->catalog.count; age++)
        for (size_t i = 0; i < repack->catalog.count; i++) {
            if (repack->set.packs[i].age != age)
                continue;
            if (repack->sources[i].rewrite && remove_pack(repack, i, err) < 0)
                return -1;
            break;
        }
    return 0;
}

static int store_and_remove(struct repack *repack, struct err *err)
{
    if (make_all(repack, err) < 0)
        return -1;
    if (atomic_load(&repack->looking))
        return 0;
    if (check_newcomers(repack, err) < 0 || repack_trace_done(&repack->trace, err) < 0)
        return -1;
    for (size_t i = 0; i < repack->output_count; i++) {
        repack->counts->stored++;
        repack->counts->packs_after++;
        repack->counts->bytes_after += repack->outputs[i].bytes;
    }
    return remove_old(repack, err);
}

/* ---- rounds ---- */

static void round_done(struct repack *repack)
{
    for (size_t i = 0; i < repack->output_count; i++) {
        mem_release(repack->outputs[i].key);
        mem_release(repack->outputs[i].first);
        mem_release(repack->outputs[i].last);
    }
    mem_free(repack->outputs);
    mem_free(repack->sources);
    mem_free(repack->families);
    repack->output_count = repack->family_count = 0;
    merge_set_done(&repack->set);
    catalog_done(&repack->catalog);
}

/* What a pack that cannot be read knows would be hidden, or shown again, by chance. */
static int check_readable(struct repack *repack, struct err *err)
{
    for (size_t i = 0; i < repack->catalog.count; i++) {
        const struct catalog_pack *pack = repack->catalog.packs[i];
        if (pack->pack == NULL) {
            *err = pack->err;
            return err_at(err, "pack '%s'", pack->key);
        }
        if (pack->skipped[0] != '\0') {
            err_set(err, ERR_USAGE, "the pack '%s' is of a tree that begins above this place",
                    pack->key);
            return err_hint(err, "repack the place that it was put to");
        }
    }
    return 0;
}

static void count_packs(struct repack *repack)
{
    struct repack_counts *counts = repack->counts;
    counts->packs_before = repack->catalog.count;
    counts->bytes_before = 0;
    for (size_t i = 0; i < repack->catalog.count; i++)
        counts->bytes_before += repack->catalog.packs[i]->size_bytes;
    counts->packs_after = counts->packs_before;
    counts->bytes_after = counts->bytes_before;
}

static int look(struct repack *repack, struct err *err)
{
    const struct catalog_options options = { .stop = repack->stop };
    if (catalog_open(&repack->catalog, repack->store, &options, err) < 0)
        return -1;
    if (check_readable(repack, err) < 0 || merge_set_open(&repack->set, &repack->catalog, err) < 0)
        return -1;
    repack->sources = mem_alloc((repack->catalog.count + 1) * sizeof *repack->sources);
    count_packs(repack);
    return count_live(repack, err);
}

static void tell_dry(struct repack *repack)
{
    for (size_t i = 0; i < repack->output_count; i++)
        tell_stored(repack, &repack->outputs[i]);
    for (size_t i = 0; i < repack->catalog.count; i++)
        if (repack->sources[i].rewrite)
            repack_tell(repack,
                        &(struct repack_event){ .news = REPACK_REMOVE,
                                                .pack = repack->catalog.packs[i]->key,
                                                .bytes = repack->catalog.packs[i]->size_bytes });
}

/* 1: something was damaged, and it is to be looked at again without that. */
static int do_round(struct repack *repack, struct err *err)
{
    unsigned char random[4];
    atomic_store(&repack->next, 0);
    atomic_store(&repack->looking, false);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(err, ERR_LOCAL, "random bytes");
    digest_hex(random, sizeof random, repack->nonce);
    if (look(repack, err) < 0)
        return -1;
    const uint64_t enough = pack_bytes(repack);
    choose(repack, enough);
    if (repack->counts->rewritten == 0)
        return 0;
    if (plan(repack, enough, err) < 0)
        return -1;
    if (repack->options->dry_run) {
        tell_dry(repack);
        return 0;
    }
    if (store_and_remove(repack, err) < 0)
        return -1;
    return atomic_load(&repack->looking);
}

static int run_rounds(struct repack *repack, struct err *err)
{
    int again;
    do {
        again = do_round(repack, err);
        /* New packs that are not to stay: the old ones are all there. */
        if (again != 0 && repack->trace.fd >= 0)
            repack_trace_undo(&repack->trace, repack->store);
        round_done(repack);
    } while (again == 1);
    return again;
}

int repack_run(const struct repack_options *options, struct repack_counts *ret_counts,
               struct err *err)
{
    struct repack repack = { .options = options,
                             .stop = options->store->stop,
                             .trace = { .fd = -1 },
                             .counts = ret_counts };
    *ret_counts = (struct repack_counts){ 0 };
    struct store *store = NULL;
    if (store_open_location(&store, options->location, options->store, err) < 0)
        return -1;
    repack.store = store;
    rate_init(&repack.rate, (double)options->bwlimit_bytes_per_s, clock_monotonic_ns());
    repack.flow = (struct flow){ .rate = &repack.rate, .stop = repack.stop };
    lock_init(&repack.lock);
    int result = 0;
    if (store->driver->locate != NULL)
        result = err_set(err, ERR_USAGE, "packs lie in one bucket, not in several");
    if (result == 0 && !options->dry_run)
        result = repack_trace_open(&repack.trace, options->location, store, err);
    if (result == 0)
        result = run_rounds(&repack, err);
    repack_trace_close(&repack.trace);
    for (size_t i = 0; i < repack.damaged_count; i++)
        mem_release(repack.damaged[i]);
    mem_release(repack.damaged);
    lock_done(&repack.lock);
    rate_done(&repack.rate);
    store->driver->close(store);
    return result < 0 ? err_at(err, "'%s'", options->location) : 0;
}
