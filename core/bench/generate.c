#include "bench/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "sys/heartbeat.h"

enum {
    PREFILL,
    DECODE,
    SHAPES
};

struct qm_generator {
    struct qm_generator_params params;
    uint32_t vocabulary, context;
    struct {
        struct qm_pass *pass;
        struct qm_pass_params shape;
        struct qm_run_policy policy;
        bool has_policy;
    } kept[SHAPES];
    float *logits; // of one row
};

enum qm_status qm_generator_create(const struct qm_generator_params *params, struct qm_generator **out)
{
    const struct qm_model_config *config = qm_engine_config(params->engine);
    struct qm_generator *generator = *out = calloc(1, sizeof(*generator));
    if (!generator)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to generate");
    generator->params = *params;
    generator->vocabulary = config->vocabulary;
    generator->context = config->context;
    generator->logits = malloc((size_t)config->vocabulary * sizeof(float));
    if (!generator->logits) {
        qm_generator_destroy(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to generate");
    }
    return QM_OK;
}

void qm_generator_destroy(struct qm_generator **generator)
{
    struct qm_generator *g = *generator;
    if (!g)
        return;
    for (int i = 0; i < SHAPES; ++i)
        qm_pass_destroy(&g->kept[i].pass);
    free(g->logits);
    free(g);
    *generator = NULL;
}

// ---- Passes ---------------------------------------------------------------------------------------------------------

static enum qm_status find_pass(struct qm_generator *g, uint32_t batch, uint32_t tokens, int *kind)
{
    const struct qm_pass_params shape = {.batch = batch, .tokens = tokens};
    *kind = tokens == 1 ? DECODE : PREFILL;
    if (g->kept[*kind].pass && memcmp(&g->kept[*kind].shape, &shape, sizeof(shape)) == 0)
        return QM_OK;
    qm_pass_destroy(&g->kept[*kind].pass);
    g->kept[*kind].shape = shape;
    g->kept[*kind].has_policy = false;
    return qm_pass_create(g->params.network, &shape, &g->kept[*kind].pass);
}

// A prompt is run once and not worth a measurement: it goes in pieces as small as those that measurements begin with.
static enum qm_status find_policy(struct qm_generator *g, int kind, const struct qm_pass_start *start)
{
    struct qm_run_policy *policy = &g->kept[kind].policy;
    if (g->kept[kind].has_policy)
        return QM_OK;
    uint32_t most = g->params.most_dispatches;
    *policy = (struct qm_run_policy){.dispatches_per_submission = most, .repeats_per_submission = 1};
    if (g->params.limit_ns > 0 && kind == DECODE)
        QM_TRY(qm_pass_fit_policy(g->kept[kind].pass, start, g->params.limit_ns, most, policy));
    else if (g->params.limit_ns > 0)
        policy->dispatches_per_submission = most > 0 && most < 4 ? most : 4;
    g->kept[kind].has_policy = true;
    return QM_OK;
}

// Runs one pass over `tokens` tokens of each sequence, which are in the table.
static enum qm_status run(struct qm_generator *g, uint32_t batch, uint32_t tokens, uint32_t position,
                          struct qm_pass **pass)
{
    const struct qm_pass_start start = {position, 0};
    struct qm_timing timing = {0};
    int kind = PREFILL;
    QM_TRY(find_pass(g, batch, tokens, &kind));
    QM_TRY(find_policy(g, kind, &start));
    *pass = g->kept[kind].pass;
    return qm_pass_run(*pass, &start, 1, &g->kept[kind].policy, &timing);
}

static enum qm_status write_tokens(struct qm_generator *g, const struct qm_generate_request *request)
{
    for (uint32_t b = 0; b < request->batch; ++b)
        QM_TRY(qm_engine_write_sequence(g->params.engine, b, request->position,
                                        request->tokens + (size_t)b * request->count, request->count));
    return QM_OK;
}

static enum qm_status check(const struct qm_generator *g, const struct qm_generate_request *request, uint64_t end)
{
    if (request->batch == 0 || request->count == 0 || end > g->context)
        return QM_FAIL(QM_INVALID, "%u sequences of %u tokens at position %u do not fit the context of %u",
                       request->batch, request->count, request->position, g->context);
    for (size_t i = 0; i < (size_t)request->batch * request->count; ++i)
        if (request->tokens[i] >= g->vocabulary)
            return QM_FAIL(QM_INVALID, "token %u is not below the vocabulary's %u", request->tokens[i], g->vocabulary);
    return QM_OK;
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------

static enum qm_status read_row(struct qm_generator *g, struct qm_pass *pass, uint32_t row, uint32_t sequence,
                               uint32_t position)
{
    QM_TRY(qm_pass_read_rows(pass, row, 1, g->logits));
    for (uint32_t v = 0; v < g->vocabulary; ++v)
        if (!isfinite(g->logits[v]))
            return QM_FAIL(QM_WRONG_RESULT,
                           "logit %u of sequence %u at position %u is %g while answers are generated; logits are "
                           "finite",
                           v, sequence, position, (double)g->logits[v]);
    return QM_OK;
}

// The token that the row's logits choose, and by how much.
static uint32_t choose(const float *logits, uint32_t vocabulary, float *margin)
{
    uint32_t best = 0;
    float next = -INFINITY;
    for (uint32_t v = 1; v < vocabulary; ++v) {
        if (logits[v] > logits[best]) {
            next = logits[best];
            best = v;
        } else if (logits[v] > next) {
            next = logits[v];
        }
    }
    *margin = logits[best] - next;
    return best;
}

// The token behind the last row of each sequence, into ids[b * stride].
static enum qm_status take_tokens(struct qm_generator *g, struct qm_pass *pass, const struct qm_generate_request *step,
                                  uint32_t stride, uint32_t *ids, float *margins)
{
    size_t rows = (size_t)step->batch * step->count;
    uint32_t *argmaxes = malloc(rows * sizeof(*argmaxes));
    if (!argmaxes)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu tokens", rows);
    enum qm_status status = QM_OK;
    QM_GUARD(qm_pass_read_outputs(pass, NULL, argmaxes));
    for (uint32_t b = 0; b < step->batch; ++b) {
        uint32_t row = b * step->count + step->count - 1, position = step->position + step->count - 1;
        float margin = 0;
        QM_GUARD(read_row(g, pass, row, b, position));
        uint32_t chosen = choose(g->logits, g->vocabulary, &margin);
        if (argmaxes[row] != chosen) {
            status = QM_FAIL(QM_WRONG_RESULT,
                             "argmax gave token %u for sequence %u at position %u, and its logits are largest at %u",
                             argmaxes[row], b, position, chosen);
            goto done;
        }
        ids[(size_t)b * stride] = chosen;
        if (margins)
            margins[(size_t)b * stride] = margin;
    }
done:
    free(argmaxes);
    return status;
}

enum qm_status qm_generate(struct qm_generator *g, const struct qm_generate_request *request, uint32_t steps,
                           uint32_t *ids, float *margins)
{
    uint64_t end = request->position + (uint64_t)request->count + steps - (steps > 0);
    QM_TRY(check(g, request, end));
    uint32_t *last = malloc((size_t)request->batch * sizeof(*last));
    if (!last)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u tokens", request->batch);
    enum qm_status status = QM_OK;
    struct qm_generate_request step = *request;
    for (uint32_t i = 0; i < steps; ++i) {
        struct qm_pass *pass = NULL;
        qm_heartbeat_note("generation, batch %u, %s %u", step.batch, step.count > 1 ? "prompt" : "from position",
                          step.count > 1 ? step.count : step.position);
        QM_GUARD(write_tokens(g, &step));
        QM_GUARD(run(g, step.batch, step.count, step.position, &pass));
        QM_GUARD(take_tokens(g, pass, &step, steps, ids + i, margins ? margins + i : NULL));
        for (uint32_t b = 0; b < step.batch; ++b)
            last[b] = ids[(size_t)b * steps + i];
        step = (struct qm_generate_request){
            .batch = step.batch, .count = 1, .position = step.position + step.count, .tokens = last};
    }
done:
    free(last);
    return status;
}

// ---- Likelihoods ----------------------------------------------------------------------------------------------------

// As core/score/tokens.h has it: double, in rising order.
static double log_probability(const float *logits, uint32_t vocabulary, uint32_t target)
{
    float largest = logits[0];
    double sum = 0;
    for (uint32_t v = 1; v < vocabulary; ++v)
        largest = logits[v] > largest ? logits[v] : largest;
    for (uint32_t v = 0; v < vocabulary; ++v)
        sum += qm_exp((double)logits[v] - (double)largest);
    return (double)logits[target] - (double)largest - qm_log(sum);
}

enum qm_status qm_generate_weigh(struct qm_generator *g, const struct qm_generate_request *request,
                                 const uint32_t *first, double *log_probabilities)
{
    uint32_t tokens = request->count - 1; // the last is only predicted
    if (request->count < 2 || request->position != 0)
        return QM_FAIL(QM_INVALID, "%u tokens at position %u have no likelihood; expected two or more at 0",
                       request->count, request->position);
    QM_TRY(check(g, request, tokens));
    for (uint32_t b = 0; b < request->batch; ++b)
        if (first[b] < 1 || first[b] >= request->count)
            return QM_FAIL(QM_INVALID, "a choice begins at token %u of %u; expected 1 to %u", first[b], request->count,
                           request->count - 1);
    size_t rows = (size_t)request->batch * tokens;
    float *device = malloc(rows * sizeof(*device));
    if (!device)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu log-probabilities", rows);
    enum qm_status status = QM_OK;
    struct qm_pass *pass = NULL;
    qm_heartbeat_note("likelihood, batch %u, prompt %u", request->batch, tokens);
    QM_GUARD(write_tokens(g, request));
    QM_GUARD(run(g, request->batch, tokens, 0, &pass));
    QM_GUARD(qm_pass_read_outputs(pass, device, NULL));
    for (uint32_t b = 0; b < request->batch; ++b) {
        log_probabilities[b] = 0;
        for (uint32_t p = first[b] - 1; p < tokens; ++p) {
            uint32_t row = b * tokens + p, target = request->tokens[(size_t)b * request->count + p + 1];
            QM_GUARD(read_row(g, pass, row, b, p));
            double own = log_probability(g->logits, g->vocabulary, target), difference = (double)device[row] - own;
            if (!(fabs(difference) <= 1e-3 - 1e-5 * own)) {
                status = QM_FAIL(QM_WRONG_RESULT,
                                 "log_softmax gave %g for the next token of sequence %u at position %u, and its logits "
                                 "give %g",
                                 (double)device[row], b, p, own);
                goto done;
            }
            log_probabilities[b] += own;
        }
    }
done:
    free(device);
    return status;
}
