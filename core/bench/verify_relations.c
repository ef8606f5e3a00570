// What no key can be recomputed from, and what must hold all the same.
#include "bench/verify_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/ceilings_node.h"
#include "bench/result_deployment.h"
#include "bench/result_derive.h"
#include "kernel/kernels.h"
#include "quant/scheme.h"

static const struct qm_node *row_of(const struct qm_verify_state *state, size_t s)
{
    return qm_node_at(qm_node_child(state->result, "schemes"), s);
}

static void scheme_differs(struct qm_verify_state *state, size_t s, const char *key, const char *is, const char *should,
                           const char *why)
{
    char path[2 * QM_VERIFY_TEXT_BYTES];
    snprintf(path, sizeof(path), "schemes[%.150s].%.100s", state->profile->schemes[s].name, key);
    qm_verify_differs(state, path, is, should, why);
}

// ---- The run --------------------------------------------------------------------------------------------------------

// "2026-01-31T23:59:59Z": such texts sort as the times do.
static bool is_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

static void check_times(struct qm_verify_state *state)
{
    const char *started = qm_node_text_at(state->result, "run.started", "");
    const char *finished = qm_node_text_at(state->result, "run.finished", "");
    if (!is_time(started))
        qm_verify_differs(state, "run.started", started, "2026-01-31T23:59:59Z, say", "times of day are UTC");
    if (!is_time(finished))
        qm_verify_differs(state, "run.finished", finished, "2026-01-31T23:59:59Z, say", "times of day are UTC");
    if (is_time(started) && is_time(finished) && strcmp(started, finished) > 0)
        qm_verify_differs(state, "run.finished", finished, started, "a run ends after it has begun: not before this");
}

static void check_model(struct qm_verify_state *state)
{
    const char *fit = qm_node_text_at(state->result, "model.fit", NULL);
    if (state->profile->is_fit && !fit)
        qm_verify_differs(state, "model.fit", "absent", "the reason", "profile.widen is fit");
    if (!state->profile->is_fit && fit)
        qm_verify_differs(state, "model.fit", fit, "absent", "profile.widen is not fit");
}

// ---- Sets -----------------------------------------------------------------------------------------------------------

static bool same_words(const uint32_t *a, const uint32_t *b, size_t count)
{
    return memcmp(a, b, count * sizeof(*a)) == 0;
}

// Samples against the set generated again.
static void check_evaluation(struct qm_verify_state *state)
{
    const struct qm_evaluation *own = state->evaluation;
    if (!own || !state->samples)
        return;
    const struct qm_evaluation *is = state->samples->raw.evaluation;
    static const char why[] = "the profile's seed gives other ones";
    size_t count = own->sequence_count;
    if (strcmp(own->sha256, is->sha256) != 0)
        qm_verify_differs(state, "samples: evaluation.tokens, .scored", is->sha256, own->sha256, why);
    if (is->sequence_count != count) {
        qm_verify_differs(state, "samples: evaluation.set", "another number of examples", "", why);
        return;
    }
    if (!same_words(own->cell, is->cell, count))
        qm_verify_differs(state, "samples: evaluation.cell", "other cells", "", why);
    if (state->model && !same_words(own->graded_cell, is->graded_cell, count))
        qm_verify_differs(state, "samples: evaluation.graded_cell", "other cells", "",
                          "the built-in model's grading.json grades others");
    if (!same_words(own->set_of, is->set_of, count))
        qm_verify_differs(state, "samples: evaluation.set", "other sets", "", why);
    if (memcmp(own->is_answer, is->is_answer, count) != 0)
        qm_verify_differs(state, "samples: evaluation.is_answer", "others", "", why);
    if (own->scored_count != is->scored_count)
        return; // the hash has told
    for (size_t s = 0; s < state->samples->raw.scheme_count; ++s) {
        const struct qm_token_scores *scores = state->samples->raw.schemes[s].scores;
        for (size_t i = 0; scores && i < own->scored_count; ++i) {
            uint32_t sequence = own->scored[i].sequence;
            if (scores->sequence[i] == sequence && scores->has_source[i] == !own->is_answer[sequence])
                continue;
            scheme_differs(state, s, "samples: prefill.sequence, .has_source", "others", "",
                           "the set's tokens belong to other examples");
            break;
        }
    }
    if (own->scored_count < state->profile->evaluation.scored_tokens)
        qm_verify_differs(state, "profile.evaluation.scored_tokens", "more than are scored", "", why);
}

// ---- Schemes --------------------------------------------------------------------------------------------------------

static void check_artifacts(struct qm_verify_state *state)
{
    const struct qm_profile *profile = state->profile;
    for (size_t s = 0; s < profile->scheme_count; ++s) {
        const char *id = qm_node_text_at(row_of(state, s), "artifact.id", "");
        for (size_t other = 0; id[0] && other < s; ++other) {
            const char *other_id = qm_node_text_at(row_of(state, other), "artifact.id", "");
            if (!other_id[0] ||
                qm_scheme_same_artifact(&profile->schemes[s], &profile->schemes[other]) == (strcmp(id, other_id) == 0))
                continue;
            scheme_differs(state, s, "artifact.id", id, strcmp(id, other_id) == 0 ? "another" : other_id,
                           "schemes have one id if they have one artifact, and only then");
            break;
        }
    }
}

static void check_status(struct qm_verify_state *state, size_t s)
{
    const struct qm_profile *profile = state->profile;
    const char *status = qm_node_text_at(row_of(state, s), "status", "");
    if (strcmp(status, "ok") != 0)
        return;
    if (strcmp(qm_node_text_at(state->result, "device.self_test.status", ""), "wrong") == 0)
        scheme_differs(state, s, "status", status, "wrong", "the device failed its self-test");
    if (!state->samples)
        return;
    const struct qm_raw_scheme *scheme = &state->samples->raw.schemes[s];
    struct qm_derived derived = {0};
    bool is_part = qm_node_get(state->result, "model.layers_run") != NULL;
    if (is_part && scheme->scores)
        scheme_differs(state, s, "status", status, "failed", "a part of a model was scored");
    if (!scheme->scores && !is_part)
        scheme_differs(state, s, "status", status, "failed", "no scores are in the samples");
    for (size_t i = 0; i < scheme->point_count; ++i)
        if (scheme->points[i].count != 0 && scheme->points[i].count < profile->repeats)
            scheme_differs(state, s, "status", status, "failed", "a point has fewer passes than the profile's repeats");
    if ((scheme->scores || is_part) && scheme->agreement &&
        qm_derive_check(scheme->scheme, state->samples->raw.widen, scheme->agreement, &derived.check) == QM_OK) {
        if (!derived.check.agrees || scheme->agreement->count == 0)
            scheme_differs(state, s, "status", status, "wrong", "logits are beyond the bounds of backend_check");
    }
    const struct qm_widening_run *widening = scheme->widening;
    if (!scheme->scores || !widening)
        return;
    if (!widening->scores) {
        scheme_differs(state, s, "status", status, "failed", "no scores of the widening are in the samples");
        return;
    }
    double mean = 0;
    size_t count = widening->scores->count;
    for (size_t i = 0; i < count; ++i)
        mean += widening->scores->kl[i] / (double)count;
    if (qm_derive_widening(scheme->scheme, scheme->own_kl, widening->scores->kl, count, &derived.widening) == QM_OK &&
        count > 0 &&
        !(mean <= derived.widening.mean_bound * (1 + 1e-9) && derived.widening.median <= derived.widening.median_bound))
        scheme_differs(state, s, "status", status, "wrong", "the widened model is beyond the bounds of its widening");
}

// A user's examples are answered by every scheme that is ok, one and all.
static void check_answers(struct qm_verify_state *state, size_t s)
{
    const char *status = qm_node_text_at(row_of(state, s), "status", "");
    uint64_t examples = 0;
    if (strcmp(status, "ok") != 0 || !state->samples || state->profile->evaluation.kind != QM_SET_EXAMPLES)
        return;
    if (!state->samples->raw.schemes[s].answers.judgement)
        scheme_differs(state, s, "status", status, "failed", "no answers to the user's examples are in the samples");
    else if (!qm_node_u64_at(state->result, "workload.evaluation.examples", &examples) ||
             examples != state->samples->raw.answer_count)
        scheme_differs(state, s, "accuracy.answers.examples", "another number", "", "workload.evaluation.examples");
}

// A deployment's requests are served by every scheme that is ok.
static void check_deployment(struct qm_verify_state *state, size_t s)
{
    const char *status = qm_node_text_at(row_of(state, s), "status", "");
    if (strcmp(status, "ok") != 0 || !state->samples || !state->profile->has_deployment)
        return;
    const struct qm_deployment_run *run = state->samples->raw.schemes[s].deployment;
    struct qm_derived derived = {0};
    struct qm_agreement_verdict served;
    if (!run) {
        scheme_differs(state, s, "status", status, "failed", "no requests that were served are in the samples");
        return;
    }
    const struct qm_raw_scheme *scheme = &state->samples->raw.schemes[s];
    if (scheme->agreement &&
        qm_derive_check(scheme->scheme, state->samples->raw.widen, scheme->agreement, &derived.check) == QM_OK &&
        qm_deployment_check(run, &derived.check, &served) == QM_OK && !served.agrees)
        scheme_differs(state, s, "status", status, "wrong",
                       "served requests are beyond the bounds of deployment.check");
}

static void check_memory(struct qm_verify_state *state, size_t s)
{
    const struct qm_node *memory = qm_node_child(row_of(state, s), "memory");
    uint64_t weights = 0, cache = 0, total = 0;
    if (!qm_node_u64_at(memory, "total_bytes", &total))
        return;
    if (!qm_node_u64_at(memory, "weights_bytes", &weights))
        weights = 0;
    if (!qm_node_u64_at(memory, "kv_cache_bytes", &cache))
        cache = 0;
    if (weights <= total && cache <= total - weights)
        return;
    char is[32], should[64];
    snprintf(is, sizeof(is), "%" PRIu64, total);
    snprintf(should, sizeof(should), "%" PRIu64 " or more", weights + cache);
    scheme_differs(state, s, "memory.total_bytes", is, should, "it holds weights and cache");
}

static bool uses(const struct qm_raw_scheme *scheme, const char *name)
{
    for (size_t i = 0; i < scheme->variant_count; ++i)
        if (strcmp(scheme->variants[i], name) == 0)
            return true;
    return false;
}

// What limits a kernel, and its share of it, from the ceilings and the row's own numbers. Which arithmetic a kernel runs on
// is known of those that this build has, by their hashes.
static void check_roofline(struct qm_verify_state *state, size_t s, size_t i, const struct qm_node *kernel)
{
    const struct qm_kernel_variant *variant =
        qm_kernel_find(qm_node_text_at(kernel, "name", ""), qm_node_text_at(kernel, "tile", ""));
    double time_us = 0, rate = 0, intensity = 0, share = 0;
    char hash[QM_HASH_TEXT_BYTES] = "", key[64], is[QM_DOUBLE_TEXT_BYTES], should[QM_DOUBLE_TEXT_BYTES];
    struct qm_ceilings ceilings;
    struct qm_roofline roofline;
    if (variant)
        qm_kernel_hash(variant, hash);
    if (!variant || strcmp(hash, qm_node_text_at(kernel, "hash", "")) != 0 ||
        !qm_node_double_at(kernel, "time_us", &time_us) || !qm_node_double_at(kernel, "rate", &rate) ||
        !qm_node_double_at(kernel, "intensity", &intensity))
        return;
    const bool computes = strcmp(qm_node_text_at(kernel, "unit", ""), "GOP/s") == 0;
    const double work = rate * time_us * 1e3;
    qm_ceilings_of_node(qm_node_child(state->result, "ceilings"), &ceilings);
    qm_roofline_of(&ceilings, variant, computes ? work : 0,
                   !computes       ? work
                   : intensity > 0 ? work / intensity
                                   : 0,
                   time_us * 1e3, &roofline);
    const char *ceiling = qm_node_text_at(kernel, "ceiling", "none");
    const char *limit = roofline.ceiling ? roofline.ceiling : "none";
    snprintf(key, sizeof(key), "kernels[%zu].ceiling", i);
    if (strcmp(ceiling, limit) != 0)
        scheme_differs(state, s, key, ceiling, limit, "it follows from ceilings, rate, intensity and time_us");
    if (!qm_node_double_at(kernel, "share", &share))
        share = 0;
    if (share >= roofline.share * (1 - 1e-9) && share <= roofline.share * (1 + 1e-9))
        return;
    snprintf(key, sizeof(key), "kernels[%zu].share", i);
    qm_double_text(share, is);
    qm_double_text(roofline.share, should);
    scheme_differs(state, s, key, is, should, "it follows from ceilings, rate, intensity and time_us");
}

static void check_kernels(struct qm_verify_state *state, size_t s)
{
    const struct qm_node *list = qm_node_child(row_of(state, s), "kernels");
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        const struct qm_node *kernel = qm_node_at(list, i);
        const char *name = qm_node_text_at(kernel, "name", "");
        double error = 0, bound = 0;
        char key[64];
        snprintf(key, sizeof(key), "kernels[%zu].name", i);
        if (state->samples && !uses(&state->samples->raw.schemes[s], name))
            scheme_differs(state, s, key, name, "", "the samples name no such kernel of this scheme");
        snprintf(key, sizeof(key), "kernels[%zu].checked_error", i);
        if (!qm_node_child(kernel, "status") && qm_node_double_at(kernel, "checked_error", &error) &&
            qm_node_double_at(kernel, "bound", &bound) && !(error >= 0 && error <= bound))
            scheme_differs(state, s, key, qm_node_text_at(kernel, "checked_error", ""),
                           qm_node_text_at(kernel, "bound", ""), "an error is not below 0, nor above its bound");
        check_roofline(state, s, i, kernel);
    }
}

static void check_method(struct qm_verify_state *state, size_t s)
{
    const struct qm_scheme *scheme = &state->profile->schemes[s];
    const struct qm_node *method = qm_node_get(row_of(state, s), "disclosure.calibration_method");
    if (!qm_node_is_mapping(method) || scheme->is_own) // which says what the model's files do
        return;
    const char *is = qm_node_text_at(method, "parameters", "");
    const char *should = qm_calibrator_parameters(scheme->calibrator);
    should = should[0] ? should : "none";
    bool finds = scheme->calibrator == QM_CALIBRATOR_SMOOTHQUANT || scheme->calibrator == QM_CALIBRATOR_AWQ;
    size_t length = strlen(should);
    bool fits = strncmp(is, should, length) == 0 &&
                (is[length] == '\0' || (finds && strncmp(is + length, "; found: ", strlen("; found: ")) == 0));
    if (!fits)
        scheme_differs(state, s, "disclosure.calibration_method.parameters", is, should, "it follows from the scheme");
    double clipped = 0, worst = 0;
    if (qm_node_double_at(method, "clipped_fraction", &clipped) && !(clipped >= 0 && clipped <= 1))
        scheme_differs(state, s, "disclosure.calibration_method.clipped_fraction",
                       qm_node_text_at(method, "clipped_fraction", ""), "0 to 1", "it is a fraction");
    if (qm_node_double_at(method, "error_worst", &worst) && worst < 0)
        scheme_differs(state, s, "disclosure.calibration_method.error_worst",
                       qm_node_text_at(method, "error_worst", ""), "0 or more", "it is a magnitude");
}

void qm_verify_relations(struct qm_verify_state *state)
{
    const size_t count = qm_node_count(qm_node_child(state->result, "schemes"));
    check_times(state);
    check_model(state);
    check_evaluation(state);
    if (count != state->profile->scheme_count)
        return; // which is told already
    check_artifacts(state);
    for (size_t s = 0; s < count; ++s) {
        check_status(state, s);
        check_answers(state, s);
        check_deployment(state, s);
        check_memory(state, s);
        check_kernels(state, s);
        check_method(state, s);
    }
}
