#include "base/mem.h"

#include "base/ban.h"

#include <malloc.h>
#include <stdint.h>

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)

/* A block of an arena, and anything larger, is a mapping of its own: no hole in the heap is left
 * when it goes. Each heap of malloc keeps its own holes, so there are few. */
void mem_setup(void)
{
    mallopt(M_MMAP_THRESHOLD, (int)ARENA_BLOCK_BYTES);
    mallopt(M_ARENA_MAX, 4);
}

static void *or_die(void *memory)
{
    if (memory == NULL) {
        fputs("lade: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t bytes)
{
    return or_die(calloc(1, bytes != 0 ? bytes : 1));
}

void *mem_resize(void *old, size_t bytes)
{
    return or_die(realloc(old, bytes != 0 ? bytes : 1));
}

void *mem_copy(const void *from, size_t bytes)
{
    void *to = or_die(malloc(bytes != 0 ? bytes : 1));
    if (bytes != 0)
        memcpy(to, from, bytes);
    return to;
}

char *mem_string(const char *from)
{
    return mem_copy(from, strlen(from) + 1);
}

void mem_release(const void *memory)
{
    free((void *)(uintptr_t)memory);
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    unsigned char bytes[];
};

static void *arena_carve(struct arena *arena, size_t bytes, size_t align)
{
    struct arena_block *block = arena->head;
    if (block != NULL) {
        const size_t start = (block->used + align - 1) & ~(align - 1);
        if (start + bytes <= block->size) {
            block->used = start + bytes;
            return block->bytes + start;
        }
    }
    /* Small arenas stay small: the first block is 4 KiB. */
    size_t size = block == NULL ? 4096 - sizeof *block : ARENA_BLOCK_BYTES - sizeof *block;
    if (size < bytes)
        size = bytes;
    struct arena_block *fresh = or_die(malloc(sizeof *fresh + size));
    *fresh = (struct arena_block){ .next = arena->head, .used = bytes, .size = size };
    arena->head = fresh;
    arena->total_bytes += sizeof *fresh + size;
    return fresh->bytes;
}

void *arena_take(struct arena *arena, size_t bytes)
{
    return arena_carve(arena, bytes, 8);
}

void *arena_take_bytes(struct arena *arena, size_t bytes)
{
    return arena_carve(arena, bytes, 1);
}

void arena_done(struct arena *arena)
{
    for (struct arena_block *block = arena->head; block != NULL;) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena){ 0 };
}
