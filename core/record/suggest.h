// "did you mean": the nearest of some words.
#ifndef QM_RECORD_SUGGEST_H
#define QM_RECORD_SUGGEST_H

#include <stddef.h>

// The word with the fewest changed, missing, added or swapped letters, or NULL if none is near enough to be meant.
const char *qm_suggest(const char *word, const char *const *words, size_t count);

#endif
