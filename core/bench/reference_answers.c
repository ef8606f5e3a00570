#include "bench/reference_answers.h"
#include "bench/reference_answers_internal.h"
#include "bench/reference_device.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernels.h"
#include "model/safetensors.h"
#include "quant/artifact.h"
#include "sys/file.h"

enum {
    SEQUENCES = 16, // side by side: rows are computed alike however many there are
    ROWS = 512
};

// ---- The cache ------------------------------------------------------------------------------------------------------

static enum qm_status answers_path(const struct qm_reference_params *params,
                                   const struct qm_answer_questions *questions, const char *who,
                                   char path[QM_PATH_BYTES])
{
    struct qm_hash hash;
    char directory[QM_PATH_BYTES], name[QM_HASH_TEXT_BYTES + 32], key[QM_HASH_TEXT_BYTES];
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, "answers");
    qm_hash_add_text(&hash, who);
    qm_hash_add_text(&hash, questions->examples->sha256);
    qm_hash_add_text(&hash, questions->tokens->sha256);
    qm_hash_add_text(&hash, qm_tokenizer_sha256(questions->tokenizer));
    qm_hash_add(&hash, questions->ends.ids, questions->ends.count * sizeof(uint32_t));
    qm_hash_add_text(&hash, QM_VERSION);
    qm_hash_end(&hash, key);
    snprintf(name, sizeof(name), "%s.safetensors", key);
    QM_TRY(qm_path_join(directory, params->cache_directory, "reference"));
    QM_TRY(qm_directory_make(directory));
    return qm_path_join(path, directory, name);
}

static uint64_t count_choices(const struct qm_answer_questions *questions)
{
    uint64_t count = 0;
    for (uint32_t e = 0; e < questions->examples->count; ++e)
        count += questions->examples->examples[e].choice_count;
    return count;
}

// Answers as flat arrays: ids of all examples and how many of each, log-probabilities of all choices as pairs of words.
static bool take_cached(const struct qm_answer_questions *questions, const struct qm_tensors *tensors,
                        struct qm_generated *out)
{
    const struct qm_tensor *counts = qm_tensors_find(tensors, "counts"), *ids = qm_tensors_find(tensors, "ids"),
                           *sums = qm_tensors_find(tensors, "log_probabilities.f64");
    uint64_t choices = count_choices(questions), at = 0, choice = 0, count = questions->examples->count;
    if (!counts || counts->dtype != QM_DTYPE_U32 || counts->bytes != count * 4 || (ids && ids->dtype != QM_DTYPE_U32) ||
        (choices > 0) != (sums != NULL) || (sums && (sums->dtype != QM_DTYPE_U32 || sums->bytes != choices * 8)))
        return false;
    for (uint32_t e = 0; e < count; ++e) {
        const struct qm_user_example *example = &questions->examples->examples[e];
        struct qm_generated_answer *answer = &out->answers[e];
        memcpy(&answer->count, (const char *)counts->data + 4 * (size_t)e, 4);
        if (answer->count > example->max_tokens || (answer->count > 0) != (example->choice_count == 0) ||
            answer->count > (ids ? ids->bytes / 4 : 0) - at)
            return false;
        answer->ids = calloc((size_t)answer->count + 1, sizeof(uint32_t));
        answer->log_probabilities = calloc((size_t)example->choice_count + 1, sizeof(double));
        if (!answer->ids || !answer->log_probabilities)
            return false;
        if (answer->count > 0 && ids)
            memcpy(answer->ids, (const char *)ids->data + 4 * at, 4 * (size_t)answer->count);
        if (example->choice_count > 0 && sums)
            memcpy(answer->log_probabilities, (const char *)sums->data + 8 * choice, 8 * (size_t)example->choice_count);
        for (uint32_t i = 0; i < answer->count; ++i)
            if (answer->ids[i] >= questions->vocabulary)
                return false;
        for (uint32_t c = 0; c < example->choice_count; ++c)
            if (!isfinite(answer->log_probabilities[c]))
                return false;
        at += answer->count;
        choice += example->choice_count;
    }
    return at == (ids ? ids->bytes / 4 : 0);
}

// A cached file that does not fit is computed anew, as with logits.
static enum qm_status load_cached(const char *path, const struct qm_answer_questions *questions,
                                  struct qm_generated **out)
{
    struct qm_tensors tensors = {0};
    *out = NULL;
    if (!qm_file_exists(path) || qm_tensors_load(path, &tensors) != QM_OK)
        return QM_OK;
    enum qm_status status = qm_generated_create(questions->examples->count, out);
    if (status == QM_OK && !take_cached(questions, &tensors, *out))
        qm_generated_destroy(out);
    qm_tensors_free(&tensors);
    return status;
}

static enum qm_status store(const char *path, const struct qm_answer_questions *questions,
                            const struct qm_generated *generated)
{
    uint64_t total = 0, choices = count_choices(questions), at = 0, choice = 0;
    for (uint32_t e = 0; e < generated->count; ++e)
        total += generated->answers[e].count;
    uint32_t *counts = calloc((size_t)generated->count + 1, sizeof(*counts));
    uint32_t *ids = calloc(total + 1, sizeof(*ids));
    double *sums = calloc(choices + 1, sizeof(*sums));
    enum qm_status status = QM_OK;
    if (!counts || !ids || !sums) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to keep %" PRIu64 " generated tokens", total);
        goto done;
    }
    for (uint32_t e = 0; e < generated->count; ++e) {
        const struct qm_generated_answer *answer = &generated->answers[e];
        uint32_t own = questions->examples->examples[e].choice_count;
        counts[e] = answer->count;
        if (answer->count > 0)
            memcpy(ids + at, answer->ids, answer->count * sizeof(*ids));
        if (own > 0)
            memcpy(sums + choice, answer->log_probabilities, own * sizeof(*sums));
        at += answer->count;
        choice += own;
    }
    const struct {
        const char *name;
        uint64_t words;
        const void *data;
    } parts[] = {
        {"counts", generated->count, counts}, {"ids", total, ids}, {"log_probabilities.f64", 2 * choices, sums}};
    struct qm_tensor tensors[3];
    size_t count = 0;
    for (size_t i = 0; i < 3; ++i)
        if (parts[i].words > 0)
            tensors[count++] = (struct qm_tensor){.name = parts[i].name,
                                                  .dtype = QM_DTYPE_U32,
                                                  .rank = 1,
                                                  .shape = {parts[i].words},
                                                  .bytes = parts[i].words * 4,
                                                  .data = parts[i].data};
    status = qm_safetensors_write(path, tensors, count, NULL, 0);
done:
    free(counts);
    free(ids);
    free(sums);
    return status;
}

// ---- The oracle -----------------------------------------------------------------------------------------------------

struct oracle {
    const struct qm_reference_params *params;
    struct qm_device *device;
    struct qm_engine *engine;
    struct qm_network *network;
    struct qm_generator *generator;
};

static void oracle_close(struct oracle *oracle)
{
    qm_generator_destroy(&oracle->generator);
    qm_network_destroy(&oracle->network);
    qm_engine_destroy(&oracle->engine);
    if (oracle->device)
        oracle->device->fns->destroy(&oracle->device);
}

static enum qm_status oracle_open(const struct qm_artifact *artifact, const struct qm_scheme *scheme, uint32_t rows,
                                  uint32_t positions, struct oracle *out)
{
    struct qm_device_info info;
    size_t count = 0;
    QM_TRY(qm_backend_reference.enumerate(&info, 1, &count));
    QM_TRY(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &out->device));
    QM_TRY(qm_engine_create(&(struct qm_engine_params){.device = out->device,
                                                       .tile = "narrow",
                                                       .config = artifact->config,
                                                       .context = positions,
                                                       .rows = rows,
                                                       .sequences = SEQUENCES,
                                                       .slots = 1},
                            &out->engine));
    QM_TRY(qm_network_create(out->engine, artifact, scheme, &out->network));
    return qm_generator_create(&(struct qm_generator_params){.network = out->network, .engine = out->engine},
                               &out->generator);
}

static enum qm_status generate(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids)
{
    return qm_generate(((struct oracle *)context)->generator, request, steps, ids, NULL);
}

static enum qm_status weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities)
{
    return qm_generate_weigh(((struct oracle *)context)->generator, request, first, log_probabilities);
}

static void tell(void *context, uint32_t done, uint32_t count)
{
    const struct qm_reference_params *params = ((struct oracle *)context)->params;
    if (params->progress)
        params->progress(params->progress_context, "reference answers", (double)done / count);
}

static enum qm_status generate_all(const struct qm_reference_params *params,
                                   const struct qm_answer_questions *questions, const struct qm_artifact *artifact,
                                   const struct qm_scheme *scheme, struct qm_generated **out)
{
    uint32_t longest = qm_answer_longest(questions->tokens);
    struct oracle oracle = {.params = params};
    const struct qm_answer_source source = {.generate = generate,
                                            .weigh = weigh,
                                            .tell = tell,
                                            .context = &oracle,
                                            .sequences = SEQUENCES,
                                            .rows = longest > ROWS ? longest : ROWS};
    enum qm_status status = oracle_open(artifact, scheme, source.rows, qm_answer_positions(questions), &oracle);
    if (status == QM_OK) {
        tell(&oracle, 0, 1);
        status = qm_answers_generate(questions, &source, out);
    }
    oracle_close(&oracle);
    return status;
}

// By the reference backend; `who` is the artifact of f32.
static enum qm_status answer_by_backend(const struct qm_reference_params *params,
                                        const struct qm_answer_questions *questions, char path[QM_PATH_BYTES],
                                        struct qm_generated **generated)
{
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    enum qm_status status = QM_OK;
    QM_TRY(qm_scheme_parse("f32", &f32));
    QM_GUARD(qm_reference_artifact(params, &f32, NULL, &artifact, path)); // f32 is not calibrated
    QM_GUARD(answers_path(params, questions, artifact->id, path));
    QM_GUARD(load_cached(path, questions, generated));
    if (!*generated) {
        QM_GUARD(generate_all(params, questions, artifact, &f32, generated));
        QM_GUARD(store(path, questions, *generated));
    }
done:
    qm_artifact_destroy(&artifact);
    return status;
}

// By the host or a device; `who` is the model, and which of the two or whose kernels.
static enum qm_status answer_at_real_size(const struct qm_reference_params *params,
                                          const struct qm_answer_questions *questions, char path[QM_PATH_BYTES],
                                          struct qm_generated **generated)
{
    char config[QM_MODEL_CONFIG_TEXT_BYTES], who[QM_HASH_TEXT_BYTES];
    char identity[QM_HASH_TEXT_BYTES] = "host";
    struct qm_reference_device_facts facts;
    struct qm_hash hash;
    if (params->on_device)
        QM_TRY(qm_reference_device_identify(params, params->on_device->devices, &facts, identity));
    qm_model_config_text(&params->model->config, config);
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, identity);
    qm_hash_add_text(&hash, params->model->sha256);
    qm_hash_add_text(&hash, params->model->variant ? params->model->variant : "");
    qm_hash_add_text(&hash, config);
    qm_hash_end(&hash, who);
    QM_TRY(answers_path(params, questions, who, path));
    QM_TRY(load_cached(path, questions, generated));
    if (*generated)
        return QM_OK;
    QM_TRY(params->on_device ? qm_reference_answers_by_device(params, questions, generated)
                             : qm_reference_answers_by_host(params, questions, generated));
    QM_TRY(qm_reference_answers_check(params, questions, *generated));
    return store(path, questions, *generated);
}

enum qm_status qm_reference_answers(const struct qm_reference_params *params,
                                    const struct qm_answer_questions *questions, struct qm_generated **generated,
                                    struct qm_answer_run **answers)
{
    char path[QM_PATH_BYTES];
    enum qm_status status = QM_OK;
    *generated = NULL;
    *answers = NULL;
    QM_GUARD(qm_reference_is_on_host(params->model) ? answer_at_real_size(params, questions, path, generated)
                                                    : answer_by_backend(params, questions, path, generated));
    QM_GUARD(qm_answers_judge(questions, *generated, answers));
done:
    if (status != QM_OK)
        qm_generated_destroy(generated);
    return status;
}
