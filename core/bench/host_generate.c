#include "bench/host_generate.h"

#include <stdlib.h>

#include "base/numeric.h"
#include "score/argmax.h"
#include "sys/process.h"

enum {
    ROWS = 32 // whose logits are in memory at one time
};

struct qm_host_generator {
    struct qm_host_generator_params params;
    struct qm_host_cache cache;
};

enum qm_status qm_host_generator_create(const struct qm_host_generator_params *params, struct qm_host_generator **out)
{
    struct qm_host_generator *generator = *out = calloc(1, sizeof(*generator));
    if (!generator)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to generate");
    generator->params = *params;
    enum qm_status status =
        qm_host_cache_create(params->weights, params->sequences, params->positions, &generator->cache);
    if (status != QM_OK)
        qm_host_generator_destroy(out);
    return status;
}

void qm_host_generator_destroy(struct qm_host_generator **generator)
{
    if (!*generator)
        return;
    qm_host_cache_free(&(*generator)->cache);
    free(*generator);
    *generator = NULL;
}

static enum qm_status run_layers(struct qm_host_pass *pass, uint32_t layers)
{
    while (qm_host_pass_layers_done(pass) < layers) {
        if (qm_interrupted())
            return QM_FAIL(QM_INTERRUPTED, "interrupted");
        QM_TRY(qm_host_pass_layer(pass));
    }
    return QM_OK;
}

// The first of the largest; QM_WRONG_RESULT for one that is not finite.
static enum qm_status choose(const float *logits, uint32_t vocabulary, uint32_t sequence, uint32_t position,
                             uint32_t *best)
{
    if (!qm_logits_argmax(logits, vocabulary, best))
        return QM_FAIL(QM_WRONG_RESULT,
                       "logit %u of sequence %u at position %u is %g in the host's pass; logits are finite", *best,
                       sequence, position, (double)logits[*best]);
    return QM_OK;
}

static double log_sum(const float *logits, uint32_t vocabulary, uint32_t best)
{
    double sum = 0;
    for (uint32_t v = 0; v < vocabulary; ++v)
        sum += qm_exp((double)logits[v] - (double)logits[best]);
    return (double)logits[best] + qm_log(sum);
}

// One pass over a request's tokens, and the token behind each sequence into ids[b * stride].
static enum qm_status step(struct qm_host_generator *g, const struct qm_generate_request *request, uint32_t stride,
                           uint32_t *ids)
{
    struct qm_host_weights *weights = g->params.weights;
    const uint32_t vocabulary = weights->config.vocabulary;
    struct qm_host_pass *pass = NULL;
    float *logits = malloc((size_t)request->batch * vocabulary * sizeof(*logits));
    uint32_t *last = malloc((size_t)request->batch * sizeof(*last));
    enum qm_status status = QM_OK;
    if (!logits || !last)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the logits of %u tokens", request->batch));
    QM_GUARD(qm_host_pass_create(&(struct qm_host_pass_params){.weights = weights,
                                                               .blas = g->params.blas,
                                                               .tokens = request->tokens,
                                                               .windows = request->batch,
                                                               .window_tokens = request->count,
                                                               .cache = &g->cache,
                                                               .position = request->position},
                                 &pass));
    QM_GUARD(run_layers(pass, weights->config.layers));
    for (uint32_t b = 0; b < request->batch; ++b)
        last[b] = b * request->count + request->count - 1;
    QM_GUARD(qm_host_pass_logits(pass, last, request->batch, logits));
    for (uint32_t b = 0; b < request->batch; ++b)
        QM_GUARD(choose(logits + (size_t)b * vocabulary, vocabulary, b, request->position + request->count - 1,
                        &ids[(size_t)b * stride]));
done:
    qm_host_pass_destroy(&pass);
    free(logits);
    free(last);
    return status;
}

enum qm_status qm_host_generate(struct qm_host_generator *g, const struct qm_generate_request *request, uint32_t steps,
                                uint32_t *ids)
{
    struct qm_generate_request now = *request;
    if (request->batch == 0 || request->count == 0)
        return QM_FAIL(QM_INVALID, "%u sequences of %u tokens have nothing behind them", request->batch,
                       request->count);
    uint32_t *last = malloc((size_t)request->batch * sizeof(*last));
    if (!last)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u tokens", request->batch);
    enum qm_status status = QM_OK;
    for (uint32_t i = 0; i < steps; ++i) {
        QM_GUARD(step(g, &now, steps, ids + i));
        for (uint32_t b = 0; b < request->batch; ++b)
            last[b] = ids[(size_t)b * steps + i];
        now = (struct qm_generate_request){
            .batch = now.batch, .count = 1, .position = now.position + now.count, .tokens = last};
    }
done:
    free(last);
    return status;
}

// ---- Likelihoods ----------------------------------------------------------------------------------------------------

// A row of a pass, and the token behind it.
struct followed {
    uint32_t row, target, sequence, position;
};

// Adds the log-probability of each row's target to sums[sequence]; `*below` as in qm_host_follow. The head is read once for
// many rows.
static enum qm_status follow(struct qm_host_pass *pass, uint32_t vocabulary, const struct followed *rows, size_t count,
                             double *sums, double *below)
{
    uint32_t tokens[ROWS];
    enum qm_status status = QM_OK;
    float *logits = malloc((size_t)ROWS * vocabulary * sizeof(*logits));
    if (!logits)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the logits of %d tokens", ROWS);
    for (size_t first = 0; first < count; first += ROWS) {
        size_t some = count - first < ROWS ? count - first : ROWS;
        for (size_t i = 0; i < some; ++i)
            tokens[i] = rows[first + i].row;
        QM_GUARD(qm_host_pass_logits(pass, tokens, some, logits));
        for (size_t i = 0; i < some; ++i) {
            const struct followed *row = &rows[first + i];
            const float *own = logits + i * vocabulary;
            uint32_t best = 0;
            QM_GUARD(choose(own, vocabulary, row->sequence, row->position, &best));
            double behind = (double)own[best] - (double)own[row->target];
            *below = behind > *below ? behind : *below;
            sums[row->sequence] += (double)own[row->target] - log_sum(own, vocabulary, best);
        }
    }
done:
    free(logits);
    return status;
}

// The likelihoods of tokens first[b] .. count - 1 of each sequence, by a pass without a cache.
static enum qm_status weigh(struct qm_host_weights *weights, const struct qm_blas *blas,
                            const struct qm_generate_request *request, const uint32_t *first, double *sums,
                            double *below)
{
    const uint32_t tokens = request->count - 1; // the last is predicted
    struct qm_host_pass *pass = NULL;
    enum qm_status status = QM_OK;
    size_t count = 0;
    *below = 0;
    if (request->count < 2 || request->position != 0)
        return QM_FAIL(QM_INVALID, "%u tokens at position %u have no likelihood; expected two or more at 0",
                       request->count, request->position);
    uint32_t *read = malloc((size_t)request->batch * tokens * sizeof(*read));
    struct followed *rows = malloc((size_t)request->batch * tokens * sizeof(*rows));
    if (!read || !rows)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u tokens", request->batch * tokens));
    for (uint32_t b = 0; b < request->batch; ++b) {
        const uint32_t *own = request->tokens + (size_t)b * request->count;
        if (first[b] < 1 || first[b] >= request->count)
            QM_GUARD(QM_FAIL(QM_INVALID, "a choice begins at token %u of %u; expected 1 to %u", first[b],
                             request->count, request->count - 1));
        sums[b] = 0;
        for (uint32_t p = 0; p < tokens; ++p)
            read[(size_t)b * tokens + p] = own[p];
        for (uint32_t p = first[b] - 1; p < tokens; ++p)
            rows[count++] = (struct followed){b * tokens + p, own[p + 1], b, p};
    }
    QM_GUARD(qm_host_pass_create(
        &(struct qm_host_pass_params){
            .weights = weights, .blas = blas, .tokens = read, .windows = request->batch, .window_tokens = tokens},
        &pass));
    QM_GUARD(run_layers(pass, weights->config.layers));
    QM_GUARD(follow(pass, weights->config.vocabulary, rows, count, sums, below));
done:
    qm_host_pass_destroy(&pass);
    free(read);
    free(rows);
    return status;
}

enum qm_status qm_host_generate_weigh(struct qm_host_generator *g, const struct qm_generate_request *request,
                                      const uint32_t *first, double *log_probabilities)
{
    double below;
    return weigh(g->params.weights, g->params.blas, request, first, log_probabilities, &below);
}

enum qm_status qm_host_follow(struct qm_host_weights *weights, const struct qm_blas *blas, const uint32_t *tokens,
                              uint32_t count, uint32_t first, double *below, double *sum)
{
    const struct qm_generate_request request = {.batch = 1, .count = count, .tokens = tokens};
    return weigh(weights, blas, &request, &first, sum, below);
}
