#include "score/argmax.h"

#include <math.h> // isfinite: no function of libm is called

bool qm_logits_argmax(const float *logits, uint32_t vocabulary, uint32_t *out)
{
    uint32_t best = 0;
    for (uint32_t v = 0; v < vocabulary; ++v) {
        if (!isfinite(logits[v])) {
            *out = v;
            return false;
        }
        if (logits[v] > logits[best])
            best = v;
    }
    *out = best;
    return true;
}
