#include "record/suggest.h"

#include <string.h>

#define LENGTH_MAX 48

// Optimal string alignment distance; LENGTH_MAX for words that are too long to compare.
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LENGTH_MAX + 1];
    size_t length_a = strlen(a);
    size_t length_b = strlen(b);
    if (length_a > LENGTH_MAX || length_b > LENGTH_MAX)
        return LENGTH_MAX;
    for (size_t j = 0; j <= length_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *second = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && second[j - 2] + 1 < best)
                best = second[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[length_a % 3][length_b];
}

const char *qm_suggest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t allowed = strlen(word) < 4 ? 1 : strlen(word) < 8 ? 2 : 3;
    for (size_t i = 0; i < count; i++) {
        size_t now = distance(word, words[i]);
        if (now <= allowed) {
            nearest = words[i];
            allowed = now > 0 ? now - 1 : 0;
            if (now == 0)
                break;
        }
    }
    return nearest;
}
