/* base/mem.h: small allocations that abort when the system has no more: dying is the same event as
 * SIGKILL, and jobs are tested against SIGKILL everywhere.
 * Nothing that a file, a server or a user controls may size an allocation without a named *_MAX
 * first. */
#pragma once

#include <stddef.h>

/* Once, at the start of the program: give memory back to the system soon, so that what it takes
 * does not creep up with the number of files. */
void mem_setup(void);

void *mem_alloc(size_t bytes); /* zeroed */
void *mem_resize(void *old, size_t bytes);
void *mem_copy(const void *from, size_t bytes);
char *mem_string(const char *from);
/* Free `*holder` and forget it. */
#define mem_free(holder)                                                                           \
    do {                                                                                           \
        mem_release(holder);                                                                       \
        (holder) = NULL;                                                                           \
    } while (0)
void mem_release(const void *memory);

/* An arena: many small allocations freed at once. */
struct arena_block;
struct arena {
    struct arena_block *head;
    size_t total_bytes; /* held from the system */
};
void *arena_take(struct arena *arena, size_t bytes);       /* 8-byte aligned, not zeroed */
void *arena_take_bytes(struct arena *arena, size_t bytes); /* unaligned: for strings */
void arena_done(struct arena *arena);
