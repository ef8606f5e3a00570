// The comparison of the host's reference with the reference backend, on the first tokens of the set.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "bench/reference_work.h"

#define CHECK_KIND "qmcheck1"

struct check {
    char logits[QM_HASH_TEXT_BYTES]; // the hash of the host's logits that were compared
    uint32_t tokens;
    double difference;
};

double qm_reference_difference(const float *a, const float *b, uint32_t vocabulary)
{
    double top_a = (double)a[0], top_b = (double)b[0], sum_a = 0, sum_b = 0, largest = 0;
    for (uint32_t v = 0; v < vocabulary; ++v) {
        top_a = (double)a[v] > top_a ? (double)a[v] : top_a;
        top_b = (double)b[v] > top_b ? (double)b[v] : top_b;
    }
    for (uint32_t v = 0; v < vocabulary; ++v) {
        sum_a += qm_exp((double)a[v] - top_a);
        sum_b += qm_exp((double)b[v] - top_b);
    }
    double shift = (top_b + qm_log(sum_b)) - (top_a + qm_log(sum_a));
    for (uint32_t v = 0; v < vocabulary; ++v) {
        double difference = (double)a[v] - (double)b[v] + shift;
        difference = difference < 0 ? -difference : difference;
        largest = difference > largest || difference != difference ? difference : largest;
    }
    return largest;
}

// The reference backend over the first tokens of the first window: causal, so that they do not see what follows.
static enum qm_status compare(const struct qm_reference_params *own, const struct qm_evaluation *evaluation,
                              const float *const *host, uint32_t tokens, double *difference)
{
    const uint32_t vocabulary = own->model->config.vocabulary;
    struct qm_evaluation sample = *evaluation;
    struct qm_reference_params params = *own;
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    enum qm_status status = QM_OK;
    float *logits = malloc((size_t)tokens * vocabulary * sizeof(*logits));
    if (!logits)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the logits of %u tokens", tokens);
    if (params.progress)
        params.progress(params.progress_context, "fp32 reference, a sample by the reference backend", 1);
    params.progress = NULL;
    params.time = NULL;
    sample.set.windows = 1;
    sample.set.window_tokens = tokens;
    QM_GUARD(qm_scheme_parse("f32", &f32));
    QM_GUARD(qm_reference_build(&params, &f32, evaluation, NULL, &artifact)); // f32 is not calibrated
    QM_GUARD(qm_reference_compute_logits(&params, artifact, &f32, &sample, 1, logits));
    *difference = 0;
    for (uint32_t t = 0; t < tokens; ++t) {
        double of_row = qm_reference_difference(host[t], logits + (size_t)t * vocabulary, vocabulary);
        *difference = of_row > *difference || of_row != of_row ? of_row : *difference;
    }
done:
    qm_artifact_destroy(&artifact);
    free(logits);
    return status;
}

// Of the reference backend over the model: the artifact where it is in memory, its copy as buffers, and the largest weight
// decoded to double.
static uint64_t check_bytes(const struct qm_model *model)
{
    const struct qm_model_config *config = &model->config;
    return (model->values ? 8 : 4) * qm_model_config_weights(config) +
           8 * (uint64_t)config->vocabulary * config->hidden;
}

// A run takes no more than the model's files and 1 GB; some of that is the process's own.
static uint64_t check_bytes_max(const struct qm_model *model, const struct qm_reference_host_options *options)
{
    uint64_t most = model->file_bytes + QM_REFERENCE_CHECK_BYTES;
    return model->file && !model->values && most < options->check_bytes_max ? most : options->check_bytes_max;
}

enum qm_status qm_reference_host_check(const struct qm_reference_params *params, const struct qm_evaluation *evaluation,
                                       const struct qm_reference_host_options *options, const char *directory,
                                       const char key[QM_HASH_TEXT_BYTES], struct qm_reference_rows *rows)
{
    const uint32_t window_tokens = evaluation->set.window_tokens;
    const uint32_t tokens = window_tokens < QM_REFERENCE_CHECKED_TOKENS ? window_tokens : QM_REFERENCE_CHECKED_TOKENS;
    const uint64_t needed = check_bytes(params->model), most = check_bytes_max(params->model, options);
    char path[QM_PATH_BYTES];
    struct qm_reference_bytes bytes = {0};
    struct qm_reference_file file;
    struct qm_hash hash;
    struct check kept, now;
    enum qm_status status = QM_OK;
    memset(&now, 0, sizeof(now));
    qm_hash_begin(&hash);
    for (uint32_t t = 0; t < tokens; ++t)
        qm_hash_add(&hash, rows->dense[t], params->model->config.vocabulary * sizeof(float));
    qm_hash_end(&hash, now.logits);
    now.tokens = tokens;
    QM_TRY(qm_path_join(path, directory, "check"));
    bool is_kept = qm_reference_file_open(path, CHECK_KIND, key, 4096, &file) &&
                   qm_reference_file_copy(&file, &kept, sizeof(kept)) &&
                   memcmp(kept.logits, now.logits, sizeof(now.logits)) == 0 && kept.tokens == tokens;
    qm_reference_file_close(&file);
    if (is_kept) {
        now.difference = kept.difference;
    } else if (!params->model->values && !params->model->file) {
        snprintf(rows->unchecked, sizeof(rows->unchecked), "the model is not in memory");
    } else if (needed > most) {
        snprintf(rows->unchecked, sizeof(rows->unchecked),
                 "the reference backend would take %.1f GB of memory, and %.1f GB may be taken", (double)needed * 1e-9,
                 (double)most * 1e-9);
    } else {
        QM_GUARD(compare(params, evaluation, rows->dense, tokens, &now.difference));
    }
    if (rows->unchecked[0] != '\0')
        return QM_OK;
    rows->checked_tokens = tokens;
    rows->difference = now.difference;
    if (!(now.difference <= QM_REFERENCE_DIFFERENCE_MAX))
        return QM_FAIL(QM_WRONG_RESULT,
                       "the fp32 reference (%s) and the reference backend differ by %.3g nats in a log-probability of "
                       "the first %u tokens; at most %g is rounding. Set QM_BLAS=none to try without the library, or "
                       "QM_REFERENCE=backend",
                       rows->engine, now.difference, tokens, QM_REFERENCE_DIFFERENCE_MAX);
    if (is_kept)
        return QM_OK;
    QM_GUARD(qm_reference_bytes_begin(&bytes, CHECK_KIND, key));
    QM_GUARD(qm_reference_bytes_add(&bytes, &now, sizeof(now)));
    QM_GUARD(qm_reference_bytes_write(&bytes, path));
done:
    qm_reference_bytes_free(&bytes);
    return status;
}
