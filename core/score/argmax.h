// The token that logits choose.
#ifndef QM_SCORE_ARGMAX_H
#define QM_SCORE_ARGMAX_H

#include <stdbool.h>
#include <stdint.h>

// True with *out the lowest index of the largest of `vocabulary` logits; false with *out the first index of one that is not
// finite, of which the caller knows the place.
bool qm_logits_argmax(const float *logits, uint32_t vocabulary, uint32_t *out);

#endif
