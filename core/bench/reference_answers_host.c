// The fp32 answers of models of real size: by the host's pass with a cache of keys and values, and the comparison of a sample
// of answers, whoever gave them, with the host's pass over prompt and answer as one window.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/host_generate.h"
#include "bench/reference_answers_internal.h"

enum {
    SEQUENCES_MOST = 64
};

struct host {
    const struct qm_reference_params *params;
    struct qm_host_weights weights;
    const struct qm_weights *files; // that are read; NULL: values in memory
    struct qm_host_generator *generator;
};

static enum qm_status host_open(const struct qm_reference_params *params, struct host *out)
{
    const struct qm_model *model = params->model;
    *out = (struct host){.params = params, .files = model->values ? NULL : model->file};
    return qm_host_weights_open(&model->config, out->files ? NULL : model, out->files, &out->weights);
}

static void host_close(struct host *host)
{
    qm_host_generator_destroy(&host->generator);
    qm_host_weights_close(&host->weights);
}

static enum qm_status generate(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids)
{
    return qm_host_generate(((struct host *)context)->generator, request, steps, ids);
}

static enum qm_status weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities)
{
    return qm_host_generate_weigh(((struct host *)context)->generator, request, first, log_probabilities);
}

static void tell(void *context, uint32_t done, uint32_t count)
{
    const struct qm_reference_params *params = ((struct host *)context)->params;
    if (params->progress)
        params->progress(params->progress_context, "reference answers by the host", (double)done / count);
}

// How many of what takes `each` bytes; one at least.
static uint64_t fit(uint64_t bytes, uint64_t each)
{
    return each > 0 && each < bytes ? bytes / each : 1;
}

enum qm_status qm_reference_answers_by_host(const struct qm_reference_params *params,
                                            const struct qm_answer_questions *questions, struct qm_generated **out)
{
    const uint32_t longest = qm_answer_longest(questions->tokens), positions = qm_answer_positions(questions);
    struct host host;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(host_open(params, &host));
    // Half of what a chunk of the reference takes for the cache, half for activations.
    uint64_t sequences = fit(QM_REFERENCE_HOST_BYTES / 2, qm_host_cache_window_bytes(&host.weights, positions));
    uint64_t rows = fit(QM_REFERENCE_HOST_BYTES / 2, qm_host_pass_token_bytes(&host.weights));
    sequences = sequences < SEQUENCES_MOST ? sequences : SEQUENCES_MOST;
    rows = rows < longest ? longest : rows < 1 << 16 ? rows : 1 << 16;
    const struct qm_answer_source source = {.generate = generate,
                                            .weigh = weigh,
                                            .tell = tell,
                                            .context = &host,
                                            .sequences = (uint32_t)sequences,
                                            .rows = (uint32_t)rows};
    QM_GUARD(qm_host_generator_create(
        &(struct qm_host_generator_params){
            .weights = &host.weights, .blas = qm_blas_find(), .sequences = (uint32_t)sequences, .positions = positions},
        &host.generator));
    tell(&host, 0, 1);
    QM_GUARD(qm_answers_generate(questions, &source, out));
    if (host.files) // nothing counts that came from files that changed
        QM_GUARD(qm_weights_check(host.files));
done:
    host_close(&host);
    if (status != QM_OK)
        qm_generated_destroy(out);
    return status;
}

// ---- The sample -----------------------------------------------------------------------------------------------------

// Each token must be the host's likeliest, or as likely but for rounding.
static enum qm_status check_text(struct host *host, const struct qm_example_sequence *prompt,
                                 const struct qm_generated_answer *answer, uint32_t example)
{
    const uint32_t count = prompt->count + answer->count;
    double below = 0, sum = 0;
    uint32_t *tokens = malloc(count * sizeof(*tokens));
    if (!tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %" PRIu32 " tokens", count);
    memcpy(tokens, prompt->tokens, prompt->count * sizeof(*tokens));
    memcpy(tokens + prompt->count, answer->ids, answer->count * sizeof(*tokens));
    enum qm_status status = qm_host_follow(&host->weights, qm_blas_find(), tokens, count, prompt->count, &below, &sum);
    free(tokens);
    QM_TRY(status);
    if (!(below <= QM_REFERENCE_DIFFERENCE_MAX))
        return QM_FAIL(QM_WRONG_RESULT,
                       "the fp32 answer to example %" PRIu32 " has a token that the host's pass over prompt and answer "
                       "finds %.3g nats below its likeliest; at most %g is rounding",
                       example + 1, below, QM_REFERENCE_DIFFERENCE_MAX);
    return QM_OK;
}

static enum qm_status check_choice(struct host *host, const struct qm_example_sequence *choice, double given,
                                   uint32_t example)
{
    double below = 0, sum = 0, most = QM_REFERENCE_DIFFERENCE_MAX * (choice->count - choice->first);
    QM_TRY(qm_host_follow(&host->weights, qm_blas_find(), choice->tokens, choice->count, choice->first, &below, &sum));
    if (!(fabs(given - sum) <= most))
        return QM_FAIL(QM_WRONG_RESULT,
                       "the fp32 log-probability of a choice of example %" PRIu32
                       " is %.6g, and %.6g by the host's pass "
                       "over it; at most %.3g is rounding",
                       example + 1, given, sum, most);
    return QM_OK;
}

// The first and the longest of those with choices, or of those without; false where there is none.
static bool find_sample(const struct qm_answer_questions *questions, bool has_choices, uint32_t sample[2])
{
    bool is_found = false;
    uint32_t longest = 0;
    for (uint32_t e = 0; e < questions->tokens->count; ++e) {
        const struct qm_example_tokens *tokens = &questions->tokens->examples[e];
        if ((tokens->choice_count > 0) != has_choices)
            continue;
        uint32_t count = has_choices ? tokens->choices[0].count : tokens->prompt.count;
        if (!is_found)
            sample[0] = sample[1] = e;
        if (!is_found || count > longest) {
            sample[1] = e;
            longest = count;
        }
        is_found = true;
    }
    return is_found;
}

enum qm_status qm_reference_answers_check(const struct qm_reference_params *params,
                                          const struct qm_answer_questions *questions,
                                          const struct qm_generated *generated)
{
    struct host host;
    enum qm_status status = QM_OK;
    QM_GUARD(host_open(params, &host));
    if (params->progress)
        params->progress(params->progress_context, "reference answers, a sample by the host", 1);
    for (int has_choices = 0; has_choices < 2; ++has_choices) {
        uint32_t sample[2];
        if (!find_sample(questions, has_choices != 0, sample))
            continue;
        for (int i = 0; i < (sample[0] == sample[1] ? 1 : 2); ++i) {
            const struct qm_example_tokens *tokens = &questions->tokens->examples[sample[i]];
            const struct qm_generated_answer *answer = &generated->answers[sample[i]];
            QM_GUARD(has_choices ? check_choice(&host, &tokens->choices[0], answer->log_probabilities[0], sample[i])
                                 : check_text(&host, &tokens->prompt, answer, sample[i]));
        }
    }
    if (host.files)
        QM_GUARD(qm_weights_check(host.files));
done:
    host_close(&host);
    return status;
}
