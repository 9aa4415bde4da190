#include "job/packing_links.h"

#include "base/ban.h"
#include "base/mem.h"

#define CAP_FIRST 64u

/* The slot of the inode, or the free one where it would be. The table has a free one. */
static struct packing_link *slot_of(const struct packing_links *links, uint64_t dev, uint64_t ino)
{
    size_t at = (size_t)((ino ^ dev << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    for (;; at++) {
        struct packing_link *slot = &links->slots[at & (links->cap - 1)];
        if (slot->path == NULL || (slot->ino == ino && slot->dev == dev))
            return slot;
    }
}

const struct packing_link *packing_links_find(const struct packing_links *links,
                                              const struct source_file *file, uint32_t ordinal)
{
    if (links->count == 0)
        return NULL;
    const struct packing_link *link = slot_of(links, file->dev, file->ino);
    const bool is_same = link->path != NULL && link->size_bytes == file->size_bytes &&
                         link->mtime_ns == file->mtime_ns && link->ctime_ns == file->ctime_ns;
    return is_same && link->ordinal < ordinal ? link : NULL;
}

static void grow(struct packing_links *links)
{
    const struct packing_links old = *links;
    links->cap = old.cap == 0 ? CAP_FIRST : 2 * old.cap;
    links->slots = mem_alloc(links->cap * sizeof *links->slots);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].path != NULL)
            *slot_of(links, old.slots[i].dev, old.slots[i].ino) = old.slots[i];
    mem_release(old.slots);
}

void packing_links_add(struct packing_links *links, const struct source_file *file,
                       uint32_t ordinal, const char *path, uint64_t crc64)
{
    if (links->count >= LINKS_MAX)
        return;
    if (2 * (links->count + 1) > links->cap)
        grow(links);
    struct packing_link *slot = slot_of(links, file->dev, file->ino);
    const bool is_as_known =
        slot->path != NULL && slot->ctime_ns == file->ctime_ns && slot->mtime_ns == file->mtime_ns;
    /* The first in the order of the plan serves the most others. */
    if (is_as_known && slot->ordinal < ordinal)
        return;
    links->count += slot->path == NULL;
    mem_release(slot->path);
    *slot = (struct packing_link){ .dev = file->dev,
                                   .ino = file->ino,
                                   .size_bytes = file->size_bytes,
                                   .mtime_ns = file->mtime_ns,
                                   .ctime_ns = file->ctime_ns,
                                   .crc64 = crc64,
                                   .ordinal = ordinal,
                                   .path = mem_string(path) };
}

void packing_links_done(struct packing_links *links)
{
    for (size_t i = 0; i < links->cap; i++)
        mem_release(links->slots[i].path);
    mem_free(links->slots);
    links->cap = links->count = 0;
}
