#include "bench/verify.h"
#include "bench/verify_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result_build.h"
#include "bench/result_speed.h"
#include "bench/result_widen.h"
#include "kernel/kernels.h"
#include "model/outliers.h"
#include "record/result.h"
#include "sys/parallel.h"

#define BUILT_IN_MODEL "models/qmark-3m"

// ---- The built-in model ---------------------------------------------------------------------------------------------

enum qm_status qm_verifier_open(struct qm_verifier **out)
{
    *out = NULL;
    enum qm_status status = QM_OK;
    struct qm_verifier *verifier = calloc(1, sizeof(*verifier));
    if (!verifier)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
    if (qm_data_path(BUILT_IN_MODEL, verifier->directory) == QM_OK) {
        QM_GUARD(qm_model_load(verifier->directory, 32, &verifier->model));
        QM_GUARD(qm_model_inject_outliers(verifier->model, &verifier->outliers));
    }
    *out = verifier;
    verifier = NULL;
done:
    qm_verifier_close(&verifier);
    return status;
}

void qm_verifier_close(struct qm_verifier **verifier)
{
    if (!*verifier)
        return;
    qm_model_destroy(&(*verifier)->model);
    qm_model_destroy(&(*verifier)->outliers);
    free(*verifier);
    *verifier = NULL;
}

// The model that the result should be of, if it says that it is a built-in one.
static void find_model(struct qm_verify_state *state)
{
    const struct qm_verifier *verifier = state->verifier;
    const char *name = qm_node_text_at(state->result, "model.name", "");
    bool is_outliers = state->profile->model == QM_PROFILE_MODEL_OUTLIERS;
    if (strcmp(name, qm_path_name(BUILT_IN_MODEL)) == 0 || is_outliers)
        state->model = is_outliers ? verifier->outliers : verifier->model;
    bool is_part = qm_node_get(state->result, "model.layers_run") != NULL;
    if (is_part)
        state->model = NULL;
    if (state->model)
        return;
    const char *why = is_part           ? "of a part of a model only the run knows it"
                      : verifier->model ? "it is not the built-in model"
                                        : "the built-in model is not installed";
    qm_verify_skip(state, "model.sha256", why);
    qm_verify_skip(state, "model.variant", why);
    qm_verify_skip(state, "model.parameters", why);
    qm_verify_skip(state, "model.architecture", why);
    qm_verify_skip(state, "model.padding", why);
    qm_verify_skip(state, "model.weights_on_device", why);
    qm_verify_skip(state, "model.operations_per_token", why);
    qm_verify_skip(state, "schemes[].disclosure.tensors.formats", why);
}

// ---- Sets -----------------------------------------------------------------------------------------------------------

// What a user brought is not there; of it stands in the profile what the scores say of themselves.
static enum qm_status generate_users(struct qm_verify_state *state)
{
    const struct qm_profile *profile = state->profile;
    const char *why = "the texts are the user's own";
    struct qm_profile_set evaluation = profile->evaluation;
    evaluation.scored_tokens = 0;
    qm_verify_skip(state, "schemes[].disclosure.calibration_set", why);
    if (!qm_profile_set_is_users(&evaluation))
        return qm_evaluation_create(QM_SPLIT_EVALUATION, &evaluation, state->verifier->directory, &state->evaluation);
    qm_verify_skip(state, "schemes[].disclosure.evaluation_set.sequences", why);
    return QM_OK;
}

static enum qm_status generate_sets(struct qm_verify_state *state)
{
    const struct qm_profile *profile = state->profile;
    if (qm_profile_set_is_users(&profile->evaluation) || qm_profile_set_is_users(&profile->calibration))
        return generate_users(state);
    if (profile->evaluation.windows > QM_VERIFY_WINDOWS_MAX || profile->calibration.windows > QM_VERIFY_WINDOWS_MAX) {
        qm_verify_skip(state, "schemes[].disclosure.calibration_set", "so large a set is not generated again");
        qm_verify_skip(state, "schemes[].disclosure.evaluation_set", "so large a set is not generated again");
        return QM_OK;
    }
    struct qm_profile_set evaluation = profile->evaluation;
    evaluation.scored_tokens = 0; // asked of the counts below
    enum qm_split split =
        profile->calibration.kind == QM_SET_OF_EVALUATION ? QM_SPLIT_EVALUATION : QM_SPLIT_CALIBRATION;
    QM_TRY(qm_evaluation_create(QM_SPLIT_EVALUATION, &evaluation, state->verifier->directory, &state->evaluation));
    QM_TRY(qm_evaluation_create(split, &profile->calibration, state->verifier->directory, &state->calibration));
    return qm_evaluation_overlap(state->evaluation, state->calibration, &state->overlap);
}

// ---- Summaries ------------------------------------------------------------------------------------------------------

struct summaries {
    const struct qm_raw *raw;
    struct summary {
        struct qm_derived derived;
        enum qm_status status;
        char text[QM_VERIFY_TEXT_BYTES]; // why not
    } of[QM_PROFILE_SCHEMES_MAX];
};

static void derive_range(void *context, size_t begin, size_t end)
{
    struct summaries *summaries = context;
    for (size_t s = begin; s < end; ++s) {
        struct summary *summary = &summaries->of[s];
        summary->status = qm_derive_scheme(summaries->raw, s, &summary->derived);
        if (summary->status != QM_OK)
            snprintf(summary->text, sizeof(summary->text), "%.150s", qm_error_text());
    }
}

// ---- What should stand there ----------------------------------------------------------------------------------------

static void expect_model(const struct qm_verify_state *state, struct qm_node *root, uint32_t widen)
{
    struct qm_node *model = qm_node_add_mapping(root, "model");
    struct qm_model_config none = {0};
    qm_result_add_size(model, state->model ? &state->model->config : &none, widen, "");
    if (!state->model)
        return;
    if (state->model->variant)
        qm_node_set_text(model, "variant", state->model->variant);
    qm_node_set_text(model, "sha256", state->model->sha256);
    qm_node_set_u64(model, "parameters", state->model->parameters);
}

static void expect_samples(const struct qm_verify_state *state, struct qm_node *root, const char *sha256)
{
    char name[QM_SAMPLES_NAME_BYTES];
    if (!qm_node_is_mapping(qm_node_child(state->result, "samples"))) {
        qm_node_set_text(root, "samples", qm_node_text_at(state->result, "samples", "absent"));
        return;
    }
    struct qm_node *samples = qm_node_add_mapping(root, "samples");
    qm_samples_file_name(state->result, name);
    qm_node_set_text(samples, "file", name);
    qm_node_set_text(samples, "sha256", sha256);
}

// The kernels that the result lists, as this build has them.
static void expect_kernels(struct qm_node *row, const struct qm_node *is, const struct qm_raw *raw)
{
    const struct qm_node *kernels = qm_node_child(is, "kernels");
    struct qm_node *list = kernels ? qm_node_add_sequence(row, "kernels") : NULL;
    for (size_t i = 0; i < qm_node_count(kernels); i++) {
        const struct qm_node *stored = qm_node_at(kernels, i);
        const char *name = qm_node_text_at(stored, "name", "");
        const struct qm_kernel_variant *variant = qm_kernel_find(name, raw->tile);
        struct qm_node *kernel = qm_node_append_mapping(list);
        char hash[QM_HASH_TEXT_BYTES] = "no such kernel";
        if (variant)
            qm_kernel_hash(variant, hash);
        qm_node_set_text(kernel, "hash", hash);
        qm_node_set_text(kernel, "tier", variant ? qm_kernel_tier(variant) : "base");
        qm_node_set_text(kernel, "tile", variant ? strrchr(variant->name, '-') + 1 : "none");
    }
}

// The row of one scheme. `derived` is all zero without samples.
static enum qm_status expect_scheme(struct qm_verify_state *state, struct qm_node *root, const struct qm_raw *raw,
                                    const struct qm_derived *derived, size_t s)
{
    const struct qm_node *is = qm_node_at(qm_node_child(state->result, "schemes"), s);
    const struct qm_scheme *scheme = &state->profile->schemes[s];
    const struct qm_model *model = state->model ? state->model : state->verifier->model;
    struct qm_artifact *outline = NULL;
    struct qm_calibration_set set = {0};
    bool has_artifact = qm_node_is_mapping(qm_node_child(is, "artifact"));
    enum qm_status status = QM_OK;
    struct qm_result_scheme parts = {
        .raw = raw,
        .index = s,
        .derived = derived,
        .device = qm_node_child(state->result, "device"),
        .sets = {.overlap = state->overlap, .quantization = qm_node_get(state->result, "model.quantization")},
        .status = qm_node_text_at(is, "status", ""),
        .reason = qm_node_text_at(is, "reason", "")};
    if (raw->evaluation)
        parts.sets.examples = raw->evaluation->sequence_count;
    // Of scheme `file` only the model itself tells the formats.
    if (has_artifact && model && !(scheme->is_own && !(scheme->own && scheme->own->of)))
        QM_GUARD(qm_artifact_outline(scheme, &model->config, &outline));
    parts.artifact = outline;
    if (state->calibration && has_artifact && qm_scheme_is_calibrated(scheme)) {
        snprintf(set.name, sizeof(set.name), "%s", state->calibration->name);
        snprintf(set.sha256, sizeof(set.sha256), "%s", state->calibration->sha256);
        set.windows = state->calibration->set.windows;
        set.tokens = set.windows * state->calibration->set.window_tokens;
        parts.sets.calibration = &set;
    }
    struct qm_node *row = qm_result_add_scheme(qm_node_child(root, "schemes"), &parts);
    if (has_artifact && !outline) // without a model nothing is known of it
        qm_node_set_node(row, "artifact", qm_node_copy(qm_node_child(is, "artifact")));
    expect_kernels(row, is, raw);
done:
    qm_artifact_destroy(&outline);
    return status;
}

// The rows of all schemes. One whose summary cannot be made is a difference, and is compared no further.
static enum qm_status expect_schemes(struct qm_verify_state *state, const struct qm_raw *raw, struct qm_node *root)
{
    const struct qm_node *schemes = qm_node_child(state->result, "schemes");
    size_t count = state->profile->scheme_count;
    struct summaries *summaries = calloc(1, sizeof(*summaries));
    enum qm_status status = QM_OK;
    if (!summaries)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
    summaries->raw = raw;
    if (state->samples)
        qm_parallel_for(count, derive_range, summaries);
    qm_node_add_sequence(root, "schemes");
    for (size_t s = 0; s < count && s < qm_node_count(schemes) && status == QM_OK; ++s) {
        struct summary *summary = &summaries->of[s];
        enum qm_status made = summary->status;
        if (made == QM_OK) {
            made = expect_scheme(state, root, raw, &summary->derived, s);
            if (made != QM_OK)
                snprintf(summary->text, sizeof(summary->text), "%.150s", qm_error_text());
        }
        if (made == QM_OUT_OF_MEMORY)
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
        if (made == QM_OK)
            continue;
        char path[QM_VERIFY_TEXT_BYTES];
        snprintf(path, sizeof(path), "schemes[%.100s]", state->profile->schemes[s].name);
        qm_verify_differs(state, path, "samples that give no summary", "", summary->text);
        qm_node_append_node(qm_node_child(root, "schemes"), qm_node_copy(qm_node_at(schemes, s)));
    }
    for (size_t s = 0; s < count; ++s)
        qm_derived_free(&summaries->of[s].derived);
    free(summaries);
    return status;
}

static enum qm_status expect_all(struct qm_verify_state *state, const struct qm_raw *raw, const char *samples_sha256,
                                 struct qm_node **out)
{
    char hash[QM_HASH_TEXT_BYTES];
    struct qm_node *root = *out = qm_node_new_mapping();
    const char *source = qm_node_text_at(state->result, "qmark.source", "");
    qm_node_set_u64(root, "schema", QM_RESULT_SCHEMA);
    struct qm_node *run = qm_node_add_mapping(root, "run");
    qm_node_set_text(run, "class", qm_result_class(state->profile, source));
    qm_node_set_text(run, "profile_hash", state->profile->hash);
    const char *timer = qm_node_text_at(state->result, "device.self_test.timer", NULL);
    struct qm_node *device = qm_node_add_mapping(root, "device");
    if (timer || !qm_node_is_mapping(qm_node_get(state->result, "device.self_test")))
        qm_node_set_text(device, "timer", timer ? timer : "undisclosed");
    if (state->samples)
        qm_speed_add_timing(root, raw);
    expect_model(state, root, raw->widen);
    qm_node_set_node(root, "profile", qm_profile_expand(state->profile));
    expect_samples(state, root, samples_sha256);
    QM_TRY(expect_schemes(state, raw, root));
    QM_TRY(qm_node_hash(state->result, "hash", hash));
    qm_node_set_text(root, "hash", hash);
    if (!qm_node_ok(root))
        return QM_FAIL(QM_INVALID, "its samples give numbers that no double holds (or there is no memory)");
    return QM_OK;
}

// ---- One result -----------------------------------------------------------------------------------------------------

// Whether something in it was made of samples.
static bool needs_samples(const struct qm_node *result)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *row = qm_node_at(schemes, i);
        if (qm_node_is_mapping(qm_node_child(row, "accuracy")) ||
            qm_node_is_mapping(qm_node_get(row, "widening.before_timing")) ||
            qm_node_count(qm_node_child(row, "throughput")) > 0)
            return true;
    }
    return qm_node_is_mapping(qm_node_child(result, "samples"));
}

static uint32_t find_widen(const struct qm_verify_state *state)
{
    uint64_t widen = 0;
    if (!state->profile->is_fit)
        return state->profile->widen;
    if (!qm_node_u64_at(state->result, "model.widen", &widen) || widen == 0 || widen > QM_PROFILE_WIDEN_MAX ||
        (widen & (widen - 1)) != 0)
        return 1; // which then differs
    return (uint32_t)widen;
}

static bool is_ok(const struct qm_verify_state *state, size_t scheme)
{
    const struct qm_node *row = qm_node_at(qm_node_child(state->result, "schemes"), scheme);
    return strcmp(qm_node_text_at(row, "status", ""), "ok") == 0;
}

// What the fp32 reference left out is with the run alone: the verdict over the bounds is checked with what it disclosed.
static struct qm_left_out disclosed_left_out(const struct qm_verify_state *state, size_t scheme)
{
    const struct qm_node *row = qm_node_at(qm_node_child(state->result, "schemes"), scheme);
    struct qm_left_out out = {0};
    if (!qm_node_double_at(row, "disclosure.reference.kl_left_out", &out.mean) ||
        !qm_node_double_at(row, "disclosure.reference.kl_left_out_largest", &out.largest))
        return (struct qm_left_out){0};
    return out;
}

static void read_samples(struct qm_verify_state *state, void **bytes, size_t count, uint32_t widen,
                         struct qm_samples *samples)
{
    struct qm_samples_params params = {
        .profile = state->profile, .widen = widen, .is_part = qm_node_get(state->result, "model.layers_run") != NULL};
    for (size_t s = 0; s < state->profile->scheme_count; ++s)
        params.is_ok[s] = is_ok(state, s);
    if (qm_samples_parse(bytes, count, qm_node_text_at(state->result, "samples.file", "samples"), &params, samples) ==
        QM_OK) {
        for (size_t s = 0; s < state->profile->scheme_count; ++s)
            samples->raw.schemes[s].left_out = disclosed_left_out(state, s);
        state->samples = samples;
        state->out->has_samples = true;
    } else {
        qm_verify_differs(state, "samples", "a file that cannot be read", "", qm_error_text());
    }
}

static bool lacks_reference(const struct qm_verify_state *state)
{
    return strcmp(qm_node_text_at(state->result, "model.reference", ""), "none") == 0;
}

// Of a user's quantized file nothing is there but the hash of its formats: what scheme `file` stands for in it.
static void bind_schemes(struct qm_verify_state *state)
{
    for (size_t s = 0; s < state->profile->scheme_count; ++s) {
        const struct qm_node *row = qm_node_at(qm_node_child(state->result, "schemes"), s);
        const char *hash = qm_node_text_at(row, "formats_sha256", "");
        if (!state->profile->schemes[s].is_own || !*hash)
            continue;
        snprintf(state->own[s].sha256, sizeof(state->own[s].sha256), "%s", hash);
        const char *activations = qm_node_text_at(row, "formats_activations", "");
        char path[64];
        snprintf(path, sizeof(path), "schemes[%zu].formats_activations", s);
        if (!qm_own_activations_find(activations, &state->own[s]))
            qm_verify_differs(state, path, activations, "", "no kernel has such activations");
        qm_scheme_bind(&state->profile->schemes[s], &state->own[s]);
    }
}

static enum qm_status verify(struct qm_verify_state *state, void **bytes, size_t count)
{
    enum qm_status status = QM_OK;
    const struct qm_node *result = state->result;
    struct qm_samples samples = {0};
    struct qm_raw *plain = NULL; // where there are no samples
    struct qm_evaluation none = {0};
    struct qm_node *expected = NULL;
    char sha256[QM_HASH_TEXT_BYTES] = "";
    uint64_t resamples = 0;
    if (qm_profile_read(qm_node_child(result, "profile"), state->profile) != QM_OK) {
        char text[QM_VERIFY_TEXT_BYTES];
        snprintf(text, sizeof(text), "%.150s", qm_error_text());
        qm_verify_differs(state, "profile", "no profile", "", text);
        return QM_OK;
    }
    resamples = state->profile->bootstrap.resamples;
    if (resamples > QM_VERIFY_RESAMPLES_MAX)
        return QM_FAIL(QM_INVALID, "%" PRIu64 " resamples are more than the %d that are drawn again", resamples,
                       QM_VERIFY_RESAMPLES_MAX);
    state->same_build = strcmp(qm_node_text_at(result, "qmark.source", "undisclosed"), qm_result_source()) == 0 &&
                        strcmp(qm_result_source(), "undisclosed") != 0 &&
                        strcmp(qm_node_text_at(result, "qmark.version", ""), QM_VERSION) == 0;
    if (!state->same_build)
        qm_verify_skip(state, "schemes[].kernels", "another build of qmark measured: kernels are not compared");
    uint32_t widen = find_widen(state);
    find_model(state);
    QM_GUARD(generate_sets(state));
    if (*bytes) {
        qm_hash_bytes(*bytes, count, sha256);
        read_samples(state, bytes, count, widen, &samples);
    }
    bind_schemes(state);
    samples.raw.lacks_reference = lacks_reference(state);
    const struct qm_raw *raw = &samples.raw;
    if (!state->samples) {
        plain = calloc(1, sizeof(*plain));
        if (!plain) {
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
            goto done;
        }
        none.set = state->profile->evaluation;
        *plain = (struct qm_raw){
            .profile = state->profile, .lacks_reference = lacks_reference(state), .widen = widen, .tile = ""};
        plain->evaluation = state->evaluation ? state->evaluation : &none;
        plain->scheme_count = state->profile->scheme_count;
        for (size_t s = 0; s < plain->scheme_count; ++s) {
            plain->schemes[s].scheme = &state->profile->schemes[s];
            plain->schemes[s].is_ok = is_ok(state, s);
        }
        raw = plain;
    }
    QM_GUARD(expect_all(state, raw, sha256, &expected));
    qm_verify_compare(state, expected);
    qm_verify_relations(state);
done:
    qm_node_destroy(&expected);
    qm_samples_free(&samples);
    free(plain);
    return status;
}

enum qm_status qm_verify(const struct qm_verifier *verifier, const struct qm_node *result, void **samples,
                         size_t sample_bytes, struct qm_verification *out)
{
    void *none = NULL;
    memset(out, 0, sizeof(*out));
    struct qm_verify_state state = {.verifier = verifier, .result = result, .out = out};
    out->needs_samples = needs_samples(result);
    state.profile = calloc(1, sizeof(*state.profile));
    enum qm_status status = state.profile ? verify(&state, samples ? samples : &none, sample_bytes)
                                          : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
    if (status == QM_OK && state.no_memory)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
    if (samples) {
        free(*samples); // unless they were taken
        *samples = NULL;
    }
    qm_evaluation_destroy(&state.evaluation);
    qm_evaluation_destroy(&state.calibration);
    free(state.profile);
    if (status != QM_OK)
        qm_verification_free(out);
    return status;
}

enum qm_status qm_verify_file(const struct qm_verifier *verifier, const char *path, struct qm_verification *out)
{
    struct qm_node *result = NULL;
    void *bytes = NULL;
    size_t count = 0;
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_result_load(path, &result, NULL));
    enum qm_status status = qm_samples_read_beside(path, result, &bytes, &count);
    if (status == QM_OK)
        status = qm_verify(verifier, result, &bytes, count, out);
    free(bytes);
    qm_node_destroy(&result);
    return status;
}

void qm_verification_free(struct qm_verification *verification)
{
    free(verification->differences);
    free(verification->unchecked);
    memset(verification, 0, sizeof(*verification));
}

bool qm_verification_passes(const struct qm_verification *verification, bool allows_absent)
{
    return verification->difference_count == 0 &&
           (verification->has_samples || !verification->needs_samples || allows_absent);
}
