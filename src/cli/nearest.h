/* cli/nearest.h: which known word a mistyped one was meant to be. Owner: the caller. */
#pragma once

#include <stddef.h>

struct nearest {
    const char *word; /* what was typed */
    size_t word_len;
    const char *best; /* NULL = nothing is near */
    size_t distance;  /* of best */
};
struct nearest nearest_to(const char *word, size_t len);
/* Keep the candidate when it is nearer than what there was. It must outlive *nearest. */
void nearest_offer(struct nearest *nearest, const char *candidate);
