#include "cli/nearest.h"

#include "base/ban.h"

/* Longer words are not compared: no option or verb is as long. */
#define NEAREST_WORD_MAX 40

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t cost[NEAREST_WORD_MAX + 1][NEAREST_WORD_MAX + 1];
    for (size_t i = 0; i <= a_len; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= b_len; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        for (size_t j = 1; j <= b_len; j++) {
            const size_t other = a[i - 1] == b[j - 1] ? 0 : 1;
            size_t best = least(cost[i - 1][j], cost[i][j - 1]) + 1;
            best = least(best, cost[i - 1][j - 1] + other);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = least(best, cost[i - 2][j - 2] + 1);
            cost[i][j] = best;
        }
    }
    return cost[a_len][b_len];
}

struct nearest nearest_to(const char *word, size_t len)
{
    return (struct nearest){ .word = word, .word_len = len };
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
    const size_t len = strlen(candidate);
    if (nearest->word_len == 0 || nearest->word_len > NEAREST_WORD_MAX || len > NEAREST_WORD_MAX)
        return;
    size_t distance = edit_distance(nearest->word, nearest->word_len, candidate, len);
    /* An abbreviation is far by edits but plain in meaning. */
    if (nearest->word_len >= 3 && len > nearest->word_len &&
        memcmp(nearest->word, candidate, nearest->word_len) == 0)
        distance = 1;
    if (distance > (nearest->word_len < 5 ? 1 : 2) || distance >= nearest->word_len)
        return;
    if (nearest->best == NULL || distance < nearest->distance) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
