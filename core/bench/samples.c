#include "bench/samples.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/samples_tensors.h"
#include "model/safetensors.h"
#include "record/result.h"
#include "sys/file.h"

enum {
    SAMPLE_TENSORS_MAX = QM_PROFILE_SCHEMES_MAX * (3 * 13 + 24 + 2 * QM_PROFILE_POINTS_MAX * 3) + 20,
    VARIANTS_BYTES = QM_RAW_VARIANTS_MAX * 64,
};

struct sample_list {
    struct qm_tensor *tensors;
    char (*names)[QM_TENSOR_NAME_BYTES_MAX + 1];
    size_t count;
};

static void add_array(struct sample_list *list, enum qm_dtype dtype, const void *data, size_t count, const char *format,
                      ...) QM_PRINTF(5, 6);

static void add_array(struct sample_list *list, enum qm_dtype dtype, const void *data, size_t count, const char *format,
                      ...)
{
    if (count == 0 || list->count == SAMPLE_TENSORS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    // The analyzer of clang 14 takes the list for one that was not begun.
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    vsnprintf(list->names[list->count], sizeof(list->names[0]), format, arguments);
    va_end(arguments);
    list->tensors[list->count] = (struct qm_tensor){.name = list->names[list->count],
                                                    .dtype = dtype,
                                                    .rank = 1,
                                                    .shape = {count},
                                                    .bytes = count * qm_dtype_bytes(dtype),
                                                    .data = data};
    ++list->count;
}

// Doubles as pairs of 32-bit words: the format's reader knows no F64. Low word first.
static void add_doubles(struct sample_list *list, const double *data, size_t count, const char *scheme,
                        const char *what)
{
    add_array(list, QM_DTYPE_U32, data, 2 * count, "%s.%s.f64", scheme, what);
}

static void add_scores(struct sample_list *list, const struct qm_token_scores *scores, const char *scheme,
                       const char *phase)
{
    if (!scores)
        return;
    char what[64];
    const struct {
        const char *name;
        const double *values;
    } arrays[] = {{"kl", scores->kl},
                  {"nll", scores->nll},
                  {"nll_reference", scores->nll_reference},
                  {"delta_p", scores->delta_p},
                  {"confidence", scores->confidence},
                  {"confidence_reference", scores->confidence_reference},
                  {"source_kl", scores->source_kl}, // these two last: only where a source is known
                  {"source_kl_reference", scores->source_kl_reference}};
    bool has_source = memchr(scores->has_source, 1, scores->count) != NULL;
    size_t last = sizeof(arrays) / sizeof(arrays[0]) - (has_source ? 0 : 2);
    for (size_t i = 0; i < last; ++i) {
        snprintf(what, sizeof(what), "%s.%s", phase, arrays[i].name);
        add_doubles(list, arrays[i].values, scores->count, scheme, what);
    }
    if (has_source)
        add_array(list, QM_DTYPE_U8, scores->has_source, scores->count, "%s.%s.has_source", scheme, phase);
    add_array(list, QM_DTYPE_U8, scores->same_top, scores->count, "%s.%s.same_top", scheme, phase);
    add_array(list, QM_DTYPE_U8, scores->hit, scores->count, "%s.%s.hit", scheme, phase);
    add_array(list, QM_DTYPE_U8, scores->hit_reference, scores->count, "%s.%s.hit_reference", scheme, phase);
    add_array(list, QM_DTYPE_U32, scores->sequence, scores->count, "%s.%s.sequence", scheme, phase);
}

static void add_times(struct sample_list *list, const struct qm_point_run *point, const char *scheme)
{
    char what[96];
    size_t steps = point->is_decode ? point->steps : 1;
    snprintf(what, sizeof(what), "%s.batch%u.%u", point->is_decode ? "decode" : "prefill", point->batch_asked,
             point->is_decode ? point->depth : point->tokens); // asked: no two are equal
    char name[128];
    if (point->batch != point->batch_asked)
        add_array(list, QM_DTYPE_U32, &point->batch, 1, "%s.%s.batch", scheme, what);
    if (point->has_device_time) {
        snprintf(name, sizeof(name), "%s.device_ns", what);
        add_doubles(list, point->device_ns, point->count, scheme, name);
    }
    snprintf(name, sizeof(name), "%s.wall_ns", what);
    add_doubles(list, point->wall_ns, point->count, scheme, name);
    snprintf(name, sizeof(name), "%s.step_ns", what);
    add_doubles(list, point->step_ns, point->count * steps, scheme, name);
}

// The evaluation set itself, so that a stranger can score an artifact without this program: tokens
// [windows * (window_tokens + 1)], unless they are a user's, and 1 where the next token is scored
// [windows * window_tokens]; the caller frees that. And of each sequence: its cell; the same if that is graded, else 2^32 - 1; its set; and 1 where its text is
// exact.
static enum qm_status add_evaluation(struct sample_list *list, const struct qm_evaluation *evaluation, uint8_t **scored)
{
    size_t windows = evaluation->set.windows, length = evaluation->set.window_tokens;
    *scored = calloc(windows * length, sizeof(**scored));
    if (!*scored)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for samples");
    for (size_t i = 0; i < evaluation->scored_count; ++i)
        (*scored)[evaluation->scored[i].window * length + evaluation->scored[i].position] = 1;
    if (!qm_profile_set_is_users(&evaluation->set))
        add_array(list, QM_DTYPE_U32, evaluation->tokens, windows * (length + 1), "evaluation.tokens");
    add_array(list, QM_DTYPE_U8, *scored, windows * length, "evaluation.scored");
    add_array(list, QM_DTYPE_U32, evaluation->cell, evaluation->sequence_count, "evaluation.cell");
    add_array(list, QM_DTYPE_U32, evaluation->graded_cell, evaluation->sequence_count, "evaluation.graded_cell");
    add_array(list, QM_DTYPE_U32, evaluation->set_of, evaluation->sequence_count, "evaluation.set");
    add_array(list, QM_DTYPE_U8, evaluation->is_answer, evaluation->sequence_count, "evaluation.is_answer");
    return QM_OK;
}

static void add_variants(struct sample_list *list, const struct qm_raw_scheme *scheme, char text[VARIANTS_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; i < scheme->variant_count && used < VARIANTS_BYTES; ++i)
        used += (size_t)snprintf(text + used, VARIANTS_BYTES - used, "%s%s", i ? "\n" : "", scheme->variants[i]);
    add_array(list, QM_DTYPE_U8, text, strlen(text), "%s.kernels", scheme->scheme->name);
}

static void add_widening(struct sample_list *list, const struct qm_raw_scheme *scheme,
                         uint32_t about[QM_SAMPLES_WIDENING_WORDS])
{
    const struct qm_widening_run *widening = scheme->widening;
    const char *name = scheme->scheme->name;
    if (!widening || !widening->before)
        return;
    // A scheme that ended early has scores of its first windows alone.
    struct qm_token_scores first = *widening->scores;
    if (!scheme->scores) {
        first.count = widening->before_tokens;
        add_doubles(list, scheme->own_kl, first.count, name, "widening.own_kl");
    }
    about[QM_SAMPLES_WIDENING_ROWS] = widening->rows;
    about[QM_SAMPLES_WIDENING_COLUMNS] = widening->columns;
    about[QM_SAMPLES_WIDENING_PRODUCTS] = widening->products;
    about[QM_SAMPLES_WIDENING_IS_DEVICE_TIME] = widening->has_device_time;
    about[QM_SAMPLES_WIDENING_BEFORE] = (uint32_t)widening->before_tokens;
    add_array(list, QM_DTYPE_U32, about, QM_SAMPLES_WIDENING_WORDS, "%s.widening.about", name);
    add_scores(list, &first, name, "widening");
    add_doubles(list, widening->tiled_ns, widening->pairs, name, "widening.tiled_ns");
    add_doubles(list, widening->random_ns, widening->pairs, name, "widening.random_ns");
}

static void add_sustained(struct sample_list *list, const struct qm_raw_scheme *scheme, uint32_t *point)
{
    const struct qm_sustained_run *run = scheme->sustained;
    const char *name = scheme->scheme->name;
    if (!run || run->count == 0 || !scheme->is_ok)
        return;
    *point = (uint32_t)run->point;
    add_array(list, QM_DTYPE_U32, point, 1, "%s.sustained.point", name);
    add_doubles(list, run->begin_ns, run->count, name, "sustained.begin_ns");
    add_doubles(list, run->wall_ns, run->count, name, "sustained.wall_ns");
    add_doubles(list, run->at_ns, run->window_count, name, "sustained.at_ns");
    add_doubles(list, run->probe_ns, run->window_count, name, "sustained.probe_ns");
    add_doubles(list, run->readings, run->window_count * QM_READING_COUNT, name, "sustained.readings");
}

static void add_answers(struct sample_list *list, const struct qm_raw *raw, const struct qm_raw_answers *answers,
                        const char *whose)
{
    size_t count = raw->answer_count;
    if (!answers->judgement)
        return;
    add_array(list, QM_DTYPE_U8, answers->judgement, count, "%s.judgement", whose);
    add_array(list, QM_DTYPE_U8, answers->right_by_norm, count, "%s.right_by_norm", whose);
    add_array(list, QM_DTYPE_U32, answers->generated, count, "%s.generated", whose);
    if (answers->is_same)
        add_array(list, QM_DTYPE_U8, answers->is_same, count, "%s.is_same", whose);
}

// Of a run whose checks held, so that a scheme that is not ok has none.
static void add_deployment(struct sample_list *list, const struct qm_raw *raw, const struct qm_raw_scheme *scheme,
                           uint32_t tokens[QM_SAMPLES_FOLD_WORDS])
{
    const struct qm_deployment_run *run = scheme->deployment;
    const char *name = scheme->scheme->name;
    if (!run || !raw->requests || !scheme->is_ok)
        return;
    tokens[0] = (uint32_t)run->tokens;
    tokens[1] = (uint32_t)(run->tokens >> 32);
    size_t count = run->rounds * raw->requests->count;
    add_array(list, QM_DTYPE_U32, tokens, QM_SAMPLES_FOLD_WORDS, "%s.deployment.tokens", name);
    add_doubles(list, &run->times->start_ns, count * QM_SAMPLES_TIMES_OF_REQUEST, name, "deployment.times");
    add_doubles(list, run->pass_ns, run->rounds, name, "deployment.pass_ns");
    add_doubles(list, run->check_kl, run->check_count, name, "deployment.check_kl");
}

static bool is_any(const double *values, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (values[i] > 0)
            return true;
    return false;
}

static void add_scheme(struct sample_list *list, const struct qm_raw_scheme *scheme,
                       uint32_t about[QM_SAMPLES_WIDENING_WORDS], uint32_t *point)
{
    const char *name = scheme->scheme->name;
    add_widening(list, scheme, about);
    if (!scheme->scores &&
        !(scheme->is_ok && scheme->agreement->count > 0)) // of a part of a model there are times alone
        return;
    add_scores(list, scheme->scores, name, "prefill");
    add_scores(list, scheme->decode_scores, name, "decode");
    add_doubles(list, scheme->agreement->device, scheme->agreement->count, name, "check.device_kl");
    add_doubles(list, scheme->agreement->own, scheme->agreement->count, name, "check.own_kl");
    if (is_any(scheme->agreement->shaken, scheme->agreement->count))
        add_doubles(list, scheme->agreement->shaken, scheme->agreement->count, name, "check.shaken_kl");
    for (size_t i = 0; i < scheme->point_count; ++i)
        add_times(list, &scheme->points[i], name);
    add_sustained(list, scheme, point);
}

enum qm_status qm_samples_stage(const struct qm_raw *raw, struct qm_node *result, const char *directory,
                                struct qm_staged_file *staged)
{
    staged->is_staged = false;
    enum qm_status status = QM_OK;
    struct sample_list list = {.tensors = calloc(SAMPLE_TENSORS_MAX, sizeof(struct qm_tensor)),
                               .names = calloc(SAMPLE_TENSORS_MAX, sizeof(*list.names))};
    char(*variants)[VARIANTS_BYTES] = calloc(QM_PROFILE_SCHEMES_MAX, sizeof(*variants));
    uint32_t(*widening)[QM_SAMPLES_WIDENING_WORDS] = calloc(QM_PROFILE_SCHEMES_MAX, sizeof(*widening));
    uint32_t points[QM_PROFILE_SCHEMES_MAX] = {0}; // of the sustained runs
    uint32_t served[QM_PROFILE_SCHEMES_MAX][QM_SAMPLES_FOLD_WORDS] = {0};
    void *bytes = NULL;
    uint8_t *scored = NULL;
    size_t count = 0;
    if (!list.tensors || !list.names || !variants || !widening) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for samples");
        goto done;
    }
    for (size_t s = 0; s < raw->scheme_count; ++s) {
        char whose[QM_SCHEME_NAME_BYTES + 16];
        snprintf(whose, sizeof(whose), "%s.answers", raw->schemes[s].scheme->name);
        add_scheme(&list, &raw->schemes[s], widening[s], &points[s]);
        if (raw->schemes[s].scores)
            add_answers(&list, raw, &raw->schemes[s].answers, whose);
        add_deployment(&list, raw, &raw->schemes[s], served[s]);
    }
    if (list.count == 0)
        goto done;
    for (size_t s = 0; s < raw->scheme_count; ++s)
        add_variants(&list, &raw->schemes[s], variants[s]);
    if (raw->requests)
        add_array(&list, QM_DTYPE_U32, raw->requests->requests, 2 * (size_t)raw->requests->count,
                  "deployment.requests");
    add_array(&list, QM_DTYPE_U8, raw->answer_is_choice, raw->answer_count, "answers.is_choice");
    add_answers(&list, raw, &raw->reference_answers, "answers.reference");
    QM_GUARD(add_evaluation(&list, raw->evaluation, &scored));
    add_doubles(&list, raw->noise, raw->noise_count, "timing", "noise");
    add_doubles(&list, raw->clock_host_ns, raw->clock_count, "timing", "clock_host_ns");
    add_doubles(&list, raw->clock_device_ns, raw->clock_count, "timing", "clock_device_ns");
    char name[QM_SAMPLES_NAME_BYTES], path[QM_PATH_BYTES], hash[QM_HASH_TEXT_BYTES];
    qm_samples_file_name(result, name);
    QM_GUARD(qm_path_join(path, directory, name));
    struct qm_tensor_text texts[] = {{"qmark_samples", QM_SAMPLES_VERSION}, {"tile", raw->tile}, {"tuned", raw->tuned}};
    size_t text_count = raw->tuned && *raw->tuned ? 3 : 2;
    QM_GUARD(qm_safetensors_encode(name, list.tensors, list.count, texts, text_count, &bytes, &count));
    QM_GUARD(qm_file_stage(path, bytes, count, staged));
    qm_hash_bytes(bytes, count, hash);
    struct qm_node *samples = qm_node_add_mapping(result, "samples");
    qm_node_set_text(samples, "file", name);
    qm_node_set_text(samples, "sha256", hash);
done:
    free(bytes);
    free(scored);
    free(list.tensors);
    free(list.names);
    free(variants);
    free(widening);
    return status;
}

void qm_samples_file_name(const struct qm_node *result, char name[QM_SAMPLES_NAME_BYTES])
{
    char base[QM_RESULT_NAME_BYTES];
    qm_result_file_name(result, base);
    base[strlen(base) - strlen(".yaml")] = '\0';
    snprintf(name, QM_SAMPLES_NAME_BYTES, "%s.samples.safetensors", base);
}
