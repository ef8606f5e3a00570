#include "bench/sensitivity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "score/tokens.h"

#define SEED UINT64_C(0x736861)
#define SHAKE 0x1p-20f

// A copy of the tensors' list in which the gains are others. Codes of linear weights are the artifact's own.
struct shaken {
    struct qm_artifact artifact;
    float *values;
};

static size_t count_gains(const struct qm_artifact *artifact)
{
    size_t count = 0;
    for (size_t i = 0; i < artifact->tensor_count; ++i)
        count += qm_role_is_norm(artifact->tensors[i].role) ? artifact->tensors[i].columns : 0;
    return count;
}

static enum qm_status shake(const struct qm_artifact *artifact, struct shaken *out)
{
    struct qm_random random;
    float *at = out->values = malloc((count_gains(artifact) + 1) * sizeof(*at));
    out->artifact = *artifact;
    snprintf(out->artifact.id, sizeof(out->artifact.id), "shaken %.48s", artifact->id); // a key of the cache alone
    out->artifact.tensors = malloc((artifact->tensor_count + 1) * sizeof(*artifact->tensors));
    if (!at || !out->artifact.tensors)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gains of %zu weights", artifact->tensor_count);
    memcpy(out->artifact.tensors, artifact->tensors, artifact->tensor_count * sizeof(*artifact->tensors));
    qm_random_seed(&random, SEED, 0);
    for (size_t i = 0; i < artifact->tensor_count; ++i) {
        struct qm_artifact_tensor *tensor = &out->artifact.tensors[i];
        if (!qm_role_is_norm(tensor->role))
            continue;
        memcpy(at, tensor->encoded.codes, tensor->columns * sizeof(*at));
        tensor->encoded.codes = at;
        for (uint32_t c = 0; c < tensor->columns; ++c, ++at)
            *at *= qm_random_below(&random, 2) ? 1 + SHAKE : 1 - SHAKE;
    }
    return QM_OK;
}

enum qm_status qm_sensitivity_measure(const struct qm_reference_params *params, const struct qm_artifact *artifact,
                                      const struct qm_scheme *scheme, const struct qm_evaluation *evaluation,
                                      uint32_t windows, const float *logits, double **kl)
{
    const size_t rows = (size_t)windows * evaluation->set.window_tokens;
    const uint32_t vocabulary = artifact->config.vocabulary;
    struct shaken shaken = {0};
    float *moved = NULL;
    enum qm_status status = QM_OK;
    *kl = NULL;
    QM_GUARD(shake(artifact, &shaken));
    QM_GUARD(qm_reference_logits(params, &shaken.artifact, scheme, evaluation, windows, &moved));
    *kl = malloc((rows + 1) * sizeof(**kl));
    if (!*kl)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu rows of logits compared", rows));
    for (size_t row = 0; row < rows; ++row) {
        const struct qm_token_place place = {0, (uint32_t)(row / evaluation->set.window_tokens),
                                             (uint32_t)(row % evaluation->set.window_tokens)};
        QM_GUARD(qm_token_kl(logits + row * vocabulary, moved + row * vocabulary, vocabulary, "the reference backend",
                             "the same with shaken gains", &place, &(*kl)[row]));
    }
done:
    free(moved);
    free(shaken.values);
    free(shaken.artifact.tensors);
    if (status != QM_OK) {
        free(*kl);
        *kl = NULL;
    }
    return status;
}
