#include "bench/prepare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/devices.h"
#include "bench/prepare_deployment.h"
#include "bench/prepare_reference.h"
#include "bench/prepare_sets.h"
#include "bench/reference_answers.h"
#include "bench/reference_host.h"
#include "bench/sensitivity.h"
#include "model/outliers.h"
#include "model/weights.h"
#include "sys/file.h"
#include "sys/process.h"

#define BUILT_IN_MODEL "models/qmark-3m"

// Windows whose logits are also computed by the reference backend for every artifact.
enum {
    VERIFY_WINDOWS = 1
};

static enum qm_status check_against_model(const struct qm_profile *profile, const struct qm_model *model)
{
    const struct qm_model_config *c = &model->config;
    struct qm_model_config widened;
    QM_TRY(qm_model_config_widen(c, profile->widen, &widened));
    for (size_t i = 0; i < profile->scheme_count; ++i)
        QM_TRY(qm_artifact_check_patterns(&profile->schemes[i], c));
    if (profile->evaluation.window_tokens > c->context)
        return QM_FAIL(QM_INVALID,
                       "%s: windows of %u tokens exceed the model's context of %u; make window_tokens smaller",
                       profile->path, profile->evaluation.window_tokens, c->context);
    for (size_t i = 0; i < profile->prefill_count; ++i) {
        if (profile->prefill[i].prompt > profile->evaluation.window_tokens ||
            profile->prefill[i].batch > profile->evaluation.windows)
            return QM_FAIL(QM_INVALID,
                           "%s: prefill of %u x %u tokens is more than the evaluation set's %u windows of %u",
                           profile->path, profile->prefill[i].batch, profile->prefill[i].prompt,
                           profile->evaluation.windows, profile->evaluation.window_tokens);
    }
    for (size_t i = 0; i < profile->decode_count; ++i) {
        if (profile->decode[i].depth + profile->decode[i].steps > profile->evaluation.window_tokens ||
            profile->decode[i].batch > profile->evaluation.windows)
            return QM_FAIL(QM_INVALID,
                           "%s: decode of %u sequences to depth %u is more than the evaluation set's %u windows of %u",
                           profile->path, profile->decode[i].batch, profile->decode[i].depth + profile->decode[i].steps,
                           profile->evaluation.windows, profile->evaluation.window_tokens);
    }
    return QM_OK;
}

uint32_t qm_preparation_padding(const struct qm_profile *profile)
{
    uint32_t multiple = 32;
    for (size_t i = 0; i < profile->scheme_count; ++i) {
        const struct qm_scheme *scheme = &profile->schemes[i];
        uint32_t of_scheme = qm_format_column_multiple(scheme->weights);
        for (size_t o = 0; o < scheme->override_count; ++o) {
            uint32_t of_override = qm_format_column_multiple(scheme->overrides[o].weights);
            of_scheme = of_override > of_scheme ? of_override : of_scheme;
        }
        of_scheme = scheme->activation_group > of_scheme ? scheme->activation_group : of_scheme;
        multiple = of_scheme > multiple ? of_scheme : multiple;
    }
    return multiple;
}

enum qm_status qm_preparation_directory(const char *name, char path[QM_PATH_BYTES])
{
    enum qm_profile_model built_in;
    if (qm_profile_model_find(name, &built_in))
        return qm_data_path(BUILT_IN_MODEL, path);
    snprintf(path, QM_PATH_BYTES, "%s", name);
    return QM_OK;
}

// Loads the model that the caller names, else the profile's. A named one becomes the profile's, so that the profile says
// which was run.
static enum qm_status load_model(const struct qm_preparation_params *params, struct qm_preparation *p)
{
    const char *name = params->model;
    enum qm_profile_model model = p->profile.model;
    bool is_directory = name && !qm_profile_model_find(name, &model);
    if (is_directory)
        model = QM_PROFILE_MODEL_BUILT_IN;
    if (model != p->profile.model) {
        p->profile.model = model;
        QM_TRY(qm_profile_update(&p->profile));
    }
    p->is_users_model = is_directory;
    QM_TRY(qm_preparation_directory(is_directory ? name : "built-in", p->model_path));
    snprintf(p->model_directory, sizeof(p->model_directory), "%s", p->model_path);
    if (qm_weights_is_gguf(p->model_path)) // what else there is of the model lies beside it
        qm_path_folder(p->model_path, p->model_directory);
    if (params->layers > 0 && (model == QM_PROFILE_MODEL_OUTLIERS || p->profile.is_fit || p->profile.widen > 1))
        return QM_FAIL(QM_INVALID, "--layers runs a part of a model as it is; leave out built-in-outliers and widen");
    if (params->layers > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "--layers %" PRIu64 " is more than any model has", params->layers);
    const struct qm_model_load_params load = {.multiple = qm_preparation_padding(&p->profile),
                                              .layers = (uint32_t)params->layers,
                                              .cache_directory = params->cache_directory,
                                              .whole_bytes = QM_MODEL_WHOLE_BYTES};
    enum qm_status status = qm_model_load_with(p->model_path, &load, &p->model);
    if (status != QM_OK)
        return status == QM_UNSUPPORTED ? QM_INVALID : status; // a model that cannot be run is bad input
    if (model != QM_PROFILE_MODEL_OUTLIERS)
        return QM_OK;
    struct qm_model *variant = NULL;
    QM_TRY(qm_model_inject_outliers(p->model, &variant));
    qm_model_destroy(&p->model);
    p->model = variant;
    return QM_OK;
}

enum qm_status qm_preparation_choose_schemes(const char *model, const char *schemes, struct qm_profile *profile)
{
    enum qm_profile_model built_in;
    struct qm_model *headers = NULL;
    if (schemes)
        return qm_profile_select_schemes(profile, schemes);
    if (!model || qm_profile_model_find(model, &built_in) || !profile->is_stock)
        return QM_OK;
    const struct qm_model_load_params load = {.multiple = 32, .only_headers = true};
    if (qm_model_load_with(model, &load, &headers) != QM_OK)
        return QM_OK; // what is wrong with it is said when it is loaded
    bool is_quantized = headers->own != NULL;
    qm_model_destroy(&headers);
    return is_quantized ? qm_profile_select_schemes(profile, QM_SCHEME_OWN_NAME) : QM_OK;
}

enum qm_status qm_preparation_bind_schemes(struct qm_profile *profile, const struct qm_model *model, const char *name)
{
    for (size_t i = 0; i < profile->scheme_count; ++i) {
        struct qm_scheme *scheme = &profile->schemes[i];
        if (scheme->is_own && !model->own)
            return QM_FAIL(
                QM_INVALID,
                "scheme '%s' runs the codes of a model that somebody quantized, and %s has floats; use schemes "
                "such as f16 or w8a16",
                scheme->name, name);
        qm_scheme_bind(scheme, model->own);
    }
    return QM_OK;
}

static enum qm_status set_widen(struct qm_preparation *p, uint64_t widen)
{
    if (widen > QM_PROFILE_WIDEN_MAX || (widen & (widen - 1)) != 0)
        return QM_FAIL(QM_INVALID, "--widen %" PRIu64 " is no power of two from 1 to %d", widen, QM_PROFILE_WIDEN_MAX);
    p->profile.widen = (uint32_t)widen;
    p->profile.is_fit = false;
    return qm_profile_update(&p->profile);
}

static enum qm_status set_fit(struct qm_preparation *p, uint64_t widen)
{
    if (widen)
        return QM_FAIL(QM_INVALID, "--fit chooses the width and --widen %" PRIu64 " sets it; give one of them", widen);
    if (p->profile.widen > 1)
        return QM_FAIL(QM_INVALID, "--fit chooses the width and %s sets it, 'widen' is %" PRIu32 "; leave out --fit",
                       p->profile.path, p->profile.widen);
    p->profile.is_fit = true;
    return qm_profile_update(&p->profile);
}

// Of a small model the reference backend's numbers are exact, and cheap.
static enum qm_status check_on_device(const struct qm_preparation *p)
{
    const struct qm_model *model = p->reference_model ? p->reference_model : p->model;
    if (qm_reference_is_on_host(model))
        return QM_OK;
    return QM_FAIL(QM_INVALID,
                   "--reference-on-device is for models of more than %" PRIu64
                   " parameters; the reference backend computes "
                   "fp32 of this one, with %" PRIu64 ", exactly: leave it out",
                   QM_REFERENCE_HOST_PARAMETERS, model->parameters);
}

enum qm_status qm_preparation_read(const struct qm_preparation_params *params, struct qm_preparation **out)
{
    *out = NULL;
    enum qm_status status = QM_OK;
    struct qm_preparation *p = calloc(1, sizeof(*p));
    if (!p)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to prepare a run");
    QM_GUARD(params->profile_node ? qm_profile_read(params->profile_node, &p->profile)
                                  : qm_profile_load(params->profile, &p->profile));
    // A result's profile says itself which schemes were run, and calibrating is quantizing anew.
    const char *chosen_for = params->only_artifacts || params->profile_node ? NULL : params->model;
    QM_GUARD(qm_preparation_choose_schemes(chosen_for, params->schemes, &p->profile));
    if (params->exact_match)
        QM_GUARD(qm_profile_set_exact_match(&p->profile, params->exact_match));
    if (params->has_evaluation_seed) {
        p->profile.evaluation.seed = params->evaluation_seed;
        QM_GUARD(qm_profile_update(&p->profile));
    }
    if (params->tier)
        QM_GUARD(qm_profile_set_tier(&p->profile, params->tier));
    if (params->tiles)
        QM_GUARD(qm_profile_set_tiles(&p->profile, params->tiles));
    if (params->fits)
        QM_GUARD(set_fit(p, params->widen));
    else if (params->widen)
        QM_GUARD(set_widen(p, params->widen));
    QM_GUARD(load_model(params, p));
    QM_GUARD(
        qm_preparation_bind_schemes(&p->profile, p->model, p->is_users_model ? p->model_path : "the built-in model"));
    QM_GUARD(qm_preparation_read_reference(params, p));
    if (params->on_device)
        QM_GUARD(check_on_device(p));
    QM_GUARD(qm_preparation_read_sets(p, params));
    QM_GUARD(check_against_model(&p->profile, p->model));
    QM_GUARD(qm_preparation_read_deployment(p, params));
    *out = p;
    p = NULL;
done:
    qm_preparation_destroy(&p);
    return status;
}

static enum qm_status make_scheme(struct qm_preparation *p, const struct qm_reference_params *reference,
                                  const struct qm_preparation_params *params, struct qm_prepared_scheme *scheme)
{
    QM_TRY(qm_reference_artifact(reference, &scheme->scheme, p->calibration, &scheme->artifact, scheme->artifact_path));
    if (params->only_artifacts)
        return QM_OK;
    QM_TRY(qm_reference_logits(reference, scheme->artifact, &scheme->scheme, p->evaluation, p->prepared.verify_windows,
                               &scheme->own_reference));
    return p->is_users_model
               ? qm_sensitivity_measure(reference, scheme->artifact, &scheme->scheme, p->evaluation,
                                        p->prepared.verify_windows, scheme->own_reference, &scheme->shaken_kl)
               : QM_OK;
}

// The fp32 model's answers to the user's examples.
static enum qm_status make_answers(struct qm_preparation *p, const struct qm_reference_params *reference)
{
    struct qm_prepared *prepared = &p->prepared;
    if (!prepared->examples || qm_model_is_part(p->model)) // a part says nothing of what the model would
        return QM_OK;
    p->questions = (struct qm_answer_questions){.examples = prepared->examples,
                                                .tokens = prepared->example_tokens,
                                                .tokenizer = prepared->tokenizer,
                                                .vocabulary = p->model->config.vocabulary};
    QM_TRY(qm_answer_ends(p->model_path, prepared->tokenizer, p->questions.vocabulary, &p->questions.ends));
    QM_TRY(qm_reference_answers(reference, &p->questions, &p->reference_generated, &p->reference_answers));
    prepared->questions = &p->questions;
    prepared->reference_generated = p->reference_generated;
    prepared->reference_answers = p->reference_answers;
    return QM_OK;
}

enum qm_status qm_preparation_make(struct qm_preparation *p, const struct qm_preparation_params *params,
                                   qm_progress progress, void *progress_context)
{
    struct qm_reference_params reference = {.model = p->model,
                                            .cache_directory = params->cache_directory,
                                            .progress = progress,
                                            .progress_context = progress_context,
                                            .collected = &p->collected};
    struct qm_reference_on_device on_device;
    if (params->on_device) {
        on_device = *params->on_device;
        on_device.limit_ns = (uint64_t)p->profile.submission_ms * 1000000;
        on_device.most_dispatches = p->profile.dispatches_per_submission;
        on_device.tier = qm_profile_tier_name(p->profile.tier);
        reference.on_device = &on_device;
    }
    struct qm_reference_params fp32 = reference; // the model that is scored against
    fp32.model = p->reference_model ? p->reference_model : p->model;
    p->prepared = (struct qm_prepared){.profile = &p->profile,
                                       .model = p->model,
                                       .model_path = p->model_path,
                                       .reference_model = p->reference_model,
                                       .reference_path = params->reference,
                                       .lacks_reference = qm_model_is_quantized(p->model) && !p->reference_model,
                                       .evaluation = p->evaluation,
                                       .calibration = p->calibration,
                                       .overlap = p->overlap,
                                       .tokenizer = p->tokenizer,
                                       .embeds_texts = params->embeds_texts,
                                       .verify_windows = VERIFY_WINDOWS};
    if (p->evaluation_file.evaluation) {
        p->prepared.evaluation_file = &p->evaluation_file;
        p->prepared.examples = p->evaluation_file.examples;
        p->prepared.example_tokens = p->evaluation_file.example_tokens;
    }
    if (p->calibration_file.evaluation)
        p->prepared.calibration_file = &p->calibration_file;
    if (p->requests.count > 0)
        p->prepared.requests = &p->requests;
    if (p->overlap_found.tokens > 0)
        p->prepared.overlap_found = &p->overlap_found;
    if (p->profile.evaluation.windows < VERIFY_WINDOWS)
        p->prepared.verify_windows = p->profile.evaluation.windows;
    // Of a part of a model nothing is scored: the float32 logits are there to judge by, where devices are verified. So are the
    // model's own where another is its reference.
    if (!params->only_artifacts) {
        struct qm_evaluation verified = *p->evaluation;
        verified.set.windows = p->prepared.verify_windows;
        verified.scored_count = 0;
        if (p->reference_model)
            QM_TRY(qm_reference_fp32_rows(&reference, &verified, p->prepared.verify_windows, &p->own_fp32));
        QM_TRY(qm_reference_fp32_rows(&fp32, qm_model_is_part(p->model) ? &verified : p->evaluation,
                                      p->prepared.verify_windows, &p->reference));
    }
    p->prepared.reference = p->reference;
    p->prepared.own_fp32 = p->own_fp32 ? p->own_fp32 : p->reference;
    if (params->on_device && p->reference) { // answers are of the device that the rows are of
        on_device.devices += p->reference->device_index;
        on_device.device_count = 1;
    }
    if (!params->only_artifacts)
        QM_TRY(make_answers(p, &fp32));
    for (size_t s = 0; s < p->profile.scheme_count; ++s)
        qm_reference_add_options(&p->profile.schemes[s], &reference.options);
    for (size_t s = 0; s < p->profile.scheme_count; ++s) {
        struct qm_prepared_scheme *scheme = &p->prepared.schemes[p->prepared.scheme_count++];
        scheme->scheme = p->profile.schemes[s];
        reference.time = &scheme->time;
        scheme->status = make_scheme(p, &reference, params, scheme);
        if (qm_interrupted())
            return QM_FAIL(QM_INTERRUPTED, "interrupted");
        if (scheme->status != QM_OK)
            snprintf(scheme->reason, sizeof(scheme->reason), "%s", qm_error_text());
    }
    return QM_OK;
}

void qm_preparation_destroy(struct qm_preparation **preparation)
{
    struct qm_preparation *p = *preparation;
    if (!p)
        return;
    for (size_t s = 0; s < p->prepared.scheme_count; ++s) {
        qm_artifact_destroy(&p->prepared.schemes[s].artifact);
        free(p->prepared.schemes[s].own_reference);
        free(p->prepared.schemes[s].shaken_kl);
    }
    qm_calibration_destroy(&p->collected);
    qm_generated_destroy(&p->reference_generated);
    qm_answer_run_destroy(&p->reference_answers);
    qm_reference_rows_destroy(&p->reference);
    qm_reference_rows_destroy(&p->own_fp32);
    qm_requests_free(&p->requests);
    qm_preparation_free_sets(p);
    qm_model_destroy(&p->model);
    qm_model_destroy(&p->reference_model);
    free(p);
    *preparation = NULL;
}
