#include "job/packer.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"

#include <string.h>

#define SHARE 64u /* a pack has this share of all, within its limits: work for many at once */

void packer_init(struct packer *packer, const struct job_spec *spec, const char *id,
                 uint32_t generation)
{
    *packer = (struct packer){ .spec = spec, .id = id, .generation = generation };
    /* The names of several sources begin with the source's. */
    const bool named = spec->base == NULL && (spec->source_count > 1 || spec->keep_name);
    packer->depth = spec->pack_level + named;
}

static void forget_others(struct packer *packer)
{
    for (size_t i = 0; i < packer->other_count; i++)
        buf_done(&packer->others[i]);
    packer->other_count = 0;
}

void packer_done(struct packer *packer)
{
    forget_others(packer);
    mem_free(packer->others);
    buf_done(&packer->name);
    buf_done(&packer->directory);
    buf_done(&packer->parent);
}

/* The bytes of the first `depth` components of a name, all directories; SIZE_MAX: it has fewer. */
static size_t directory_bytes(const char *name, uint32_t depth)
{
    size_t len = 0;
    for (uint32_t i = 0; i < depth; i++) {
        const char *slash = strchr(name + len, '/');
        if (slash == NULL)
            return SIZE_MAX;
        len = (size_t)(slash - name) + 1;
    }
    return len;
}

bool packer_wants(const struct packer *packer, const char *name, enum entry_kind kind,
                  uint64_t size_bytes)
{
    switch (packer->spec->pack) {
    case JOB_PACK_OFF:
        return false;
    case JOB_PACK_AUTO:
        return kind != ENTRY_FILE || size_bytes < packer->spec->pack_below_bytes;
    case JOB_PACK_LEVEL:
        return directory_bytes(name, packer->depth) != SIZE_MAX;
    }
    return false;
}

static uint64_t pack_bytes(const struct packer *packer, uint64_t total)
{
    if (packer->spec->pack_bytes != 0)
        return packer->spec->pack_bytes;
    const uint64_t share = total / SHARE;
    if (share < PACK_LEAST_BYTES)
        return PACK_LEAST_BYTES;
    return share > PACK_MOST_BYTES ? PACK_MOST_BYTES : share;
}

static bool same_directory(const struct packer *packer, const struct plan_entry *entry)
{
    const char *slash = strrchr(entry->name, '/');
    const size_t len = slash != NULL ? (size_t)(slash - entry->name) + 1 : 0;
    return len == packer->directory.len &&
           memcmp(entry->name, buf_text(&packer->directory), len) == 0;
}

/* Does the open pack go on with this entry, which is for a pack? */
static bool goes_on(const struct packer *packer, const struct plan_entry *entry, uint64_t total)
{
    if (!packer->is_open)
        return false;
    if (packer->spec->pack == JOB_PACK_LEVEL)
        return strncmp(entry->name, buf_text(&packer->directory), packer->directory.len) == 0;
    const uint64_t most = pack_bytes(packer, total);
    if (packer->bytes + entry->size_bytes > most || packer->entries >= PACK_ENTRIES_MAX)
        return false;
    return packer->bytes < most / 2 || same_directory(packer, entry);
}

bool packer_holds(const struct packer *packer, const struct plan_entry *entry,
                  const struct segment_sum *batch, uint64_t total)
{
    if (!packer->is_open)
        return false;
    if (packer->spec->pack == JOB_PACK_LEVEL)
        return goes_on(packer, entry, total);
    return batch->entries < PACK_ENTRIES_MAX &&
           batch->objects_bytes < packer->spec->batch_max_bytes &&
           packer->bytes < PACK_LEAST_BYTES && packer->bytes < pack_bytes(packer, total) &&
           packer->entries < PACK_ENTRIES_MAX;
}

static const char *suffix(const struct packer *packer)
{
    return packer->spec->no_compress ? ".tar" : ".tar.zst";
}

/* A file of the tree may have the name that a pack beside it would get. */
static void note_other(struct packer *packer, const struct plan_entry *entry)
{
    const size_t len = strlen(suffix(packer));
    if (packer->spec->pack != JOB_PACK_LEVEL || entry->name_len <= len ||
        strcmp(entry->name + entry->name_len - len, suffix(packer)) != 0)
        return;
    const char *slash = strrchr(entry->name, '/');
    const size_t parent = slash != NULL ? (size_t)(slash - entry->name) + 1 : 0;
    if (parent != packer->parent.len || memcmp(entry->name, buf_text(&packer->parent), parent) != 0)
        forget_others(packer);
    buf_clear(&packer->parent);
    buf_add(&packer->parent, entry->name, parent);
    packer->others = mem_resize(packer->others, (packer->other_count + 1) * sizeof *packer->others);
    packer->others[packer->other_count] = (struct buf){ 0 };
    buf_add(&packer->others[packer->other_count++], entry->name, entry->name_len);
}

static bool is_taken(const struct packer *packer)
{
    for (size_t i = 0; i < packer->other_count; i++)
        if (strcmp(packer->others[i].data, packer->name.data) == 0)
            return true;
    return false;
}

/* What a pack of everything is called: as the place that it is of. */
static void add_top(struct packer *packer)
{
    const struct job_spec *spec = packer->spec;
    const char *top = spec->base != NULL ? spec->base : spec->sources[0];
    size_t len = strlen(top);
    while (len > 1 && top[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && top[start - 1] != '/')
        start--;
    if (start == len)
        buf_add_text(&packer->name, "pack");
    buf_add(&packer->name, top + start, len - start);
}

static void name_level(struct packer *packer, const char *more)
{
    buf_clear(&packer->name);
    if (packer->directory.len == 0)
        add_top(packer);
    else
        buf_add(&packer->name, packer->directory.data, packer->directory.len - 1);
    buf_add_text(&packer->name, more);
    if (packer->generation > 1)
        buf_printf(&packer->name, ".g%u", packer->generation);
    buf_add_text(&packer->name, suffix(packer));
}

static void open_pack(struct packer *packer, const struct plan_entry *entry, uint32_t batch)
{
    packer->is_open = true;
    packer->bytes = 0;
    packer->entries = 0;
    packer->number++;
    buf_clear(&packer->name);
    if (packer->spec->pack == JOB_PACK_AUTO) {
        buf_printf(&packer->name, "pack-%.8s-%u-%u-%u%s", packer->id, packer->generation, batch,
                   packer->number, suffix(packer));
        return;
    }
    buf_clear(&packer->directory);
    buf_add(&packer->directory, entry->name, directory_bytes(entry->name, packer->depth));
    name_level(packer, "");
    if (is_taken(packer))
        name_level(packer, ".lade");
}

int packer_place(struct packer *packer, struct plan_entry *entry, bool packable, uint32_t batch,
                 uint64_t total, struct err *err)
{
    if (!packable || !packer_wants(packer, entry->name, entry->kind, entry->size_bytes) ||
        plan_entry_settled(entry) != RESULT_OPEN) {
        note_other(packer, entry);
        return 0;
    }
    if (!goes_on(packer, entry, total))
        open_pack(packer, entry, batch);
    packer->bytes += entry->size_bytes;
    if (++packer->entries >= SEGMENT_ENTRIES_MAX - 1) {
        err_set(err, ERR_LIMIT, "more than %u entries for the one pack '%s'",
                SEGMENT_ENTRIES_MAX - 2, packer->name.data);
        return err_hint(err, "give a higher number to --pack, or --pack=auto");
    }
    if (packer->spec->pack == JOB_PACK_AUTO) {
        const char *slash = strrchr(entry->name, '/');
        buf_clear(&packer->directory);
        if (slash != NULL)
            buf_add(&packer->directory, entry->name, (size_t)(slash - entry->name) + 1);
    }
    entry->pack = packer->name.data;
    return 0;
}

void packer_end_batch(struct packer *packer)
{
    packer->is_open = false;
    packer->number = 0;
}
