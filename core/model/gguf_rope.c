#include "model/gguf_rope.h"

#include <inttypes.h>
#include <math.h> // pow, fabs: a check within a tolerance
#include <string.h>

#include "model/gguf_values.h"

#define PI 3.14159265358979323846
#define TOLERANCE 1e-5 // the file has floats, of frequencies that were floats

// The divisor of a frequency, by the formula of Llama 3.1 (model.h, QM_ROPE_LLAMA3).
static double divisor_of(const struct qm_gguf_rope *rope, double frequency)
{
    double wave = 2 * PI / frequency, turns = rope->context / wave;
    double kept = (turns - rope->low) / (rope->high - rope->low); // 1: a short wave, 0: a long one
    kept = kept < 0 ? 0 : kept > 1 ? 1 : kept;
    return 1 / ((1 - kept) / rope->factor + kept);
}

bool qm_gguf_rope_is_tensor(const char *name)
{
    return strcmp(name, QM_GGUF_ROPE_TENSOR) == 0 || strcmp(name, QM_GGUF_ROPE_SHORT) == 0 ||
           strcmp(name, QM_GGUF_ROPE_LONG) == 0;
}

enum qm_status qm_gguf_rope_read(const struct qm_gguf *gguf, const char *name, uint32_t width,
                                 float divisors[QM_ROPE_PAIRS_MAX], bool *has)
{
    const struct qm_gguf_tensor *tensor = qm_gguf_find_tensor(gguf, name);
    uint32_t pairs = width / 2;
    *has = tensor != NULL;
    if (!tensor)
        return QM_OK;
    if (tensor->type->type != QM_GGUF_F32 || tensor->rank != 1 || tensor->shape[0] != pairs || pairs == 0 ||
        pairs > QM_ROPE_PAIRS_MAX)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s' must be F32, a divisor for each of %" PRIu32
                       " pairs of a head; get the file again",
                       gguf->file, tensor->name, pairs);
    if (qm_gguf_decode(tensor, 0, pairs, divisors) < pairs)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': a divisor is not finite; get the file again", gguf->file,
                       tensor->name);
    return QM_OK;
}

enum qm_status qm_gguf_rope_find(const struct qm_gguf *gguf, uint32_t width, double theta, struct qm_gguf_rope *out)
{
    float divisors[QM_ROPE_PAIRS_MAX];
    uint32_t pairs = width / 2;
    bool has;
    *out = (struct qm_gguf_rope){0};
    QM_TRY(qm_gguf_rope_read(gguf, QM_GGUF_ROPE_TENSOR, width, divisors, &has));
    if (!has)
        return QM_OK;
    // The longest wave is divided by the factor itself, the rest follows.
    struct qm_gguf_rope rope = {.factor = (double)divisors[pairs - 1], .low = 1, .high = 4, .context = 8192};
    bool fits = rope.factor >= 1;
    for (uint32_t i = 0; fits && i < pairs; ++i) {
        double divisor = divisor_of(&rope, pow(theta, -2.0 * i / width));
        fits = fabs((double)divisors[i] - divisor) <= TOLERANCE * divisor;
    }
    if (!fits)
        return QM_FAIL(
            QM_UNSUPPORTED,
            "%s: tensor '%s' has not the frequencies of Llama 3.1 (long waves divided by one factor, of a context "
            "of 8192), which alone are run; use the model as safetensors",
            gguf->file, QM_GGUF_ROPE_TENSOR);
    *out = rope;
    return QM_OK;
}
