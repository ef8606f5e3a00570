// libFuzzer target: any bytes are read as a samples file, for the profile and width of one small run. What is accepted has
// the counts that the profile gives, and every summary can be made of it or is refused with a line.
//
//   tools/fuzz.sh 60 samples
#include "bench/result_answers.h"
#include "bench/result_deployment.h"
#include "bench/result_derive.h"
#include "bench/result_speed.h"
#include "bench/samples.h"
#include "bench/samples_tensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const char profile_text[] =
    "{schema: 1, name: seed, schemes: [f16, w8a8], baseline: f16,\n"
    " evaluation: {set: built-in, seed: 7, windows: 2, window_tokens: 32, scored_tokens: 1, sets: 2},\n"
    " calibration: {set: built-in, seed: 8, windows: 2, window_tokens: 32},\n"
    " prefill: [{batch: 1, prompt: 32}], decode: [{batch: 1, depth: 24, steps: 2}],\n"
    " timing: {protocol: paired, warmup: 1, repeats: 3, precision: 1, seconds: 0, order_seed: 5},\n"
    " sustained: {phase: decode, seconds: 0.1, cool_down_s: 0, temperature_most_c: none},\n"
    " latency: {p99_ms: 1000}, caches: {last_level_bytes: host},\n"
    " gate: {false_alarm: 0.01, minimum_effect: 0.02, tolerance: 0.1, seconds: 0},\n"
    " policy: {dispatches_per_submission: 0, submission_ms: 200, allow_smaller_batch: false}, tier: best, tiles: "
    "fixed, widen: 2,\n"
    " bootstrap: {seed: 31926937667174404, resamples: 99, confidence: 0.95},\n"
    " acceptance: {at_most: {kl_divergence_mean: 0.05}, at_least: {exact_match_ratio: 0.5}},\n"
    " deployment: {requests: 3, concurrency: 2, seed: 1, prompt_tokens: {fixed: 5}, output_tokens: {fixed: 2}, rounds: "
    "2,\n"
    "   bounds: {first_token_ms: 1, token_ms: 1},\n"
    "   sha256: 41fa201dc13ca671d755457fa29e19a214bb2fef4b7dc67e6c2429473da20d93}}\n";

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_one_line(void)
{
    require(qm_error_text()[0] != '\0' && !strchr(qm_error_text(), '\n'));
}

static void check(const struct qm_raw *raw)
{
    const struct qm_evaluation *evaluation = raw->evaluation;
    require(!raw->requests || raw->requests->count == 3);
    require(evaluation->sequence_count >= 1 && evaluation->sequence_count <= evaluation->scored_count);
    for (size_t s = 0; s < raw->scheme_count; ++s) {
        const struct qm_raw_scheme *scheme = &raw->schemes[s];
        require(!scheme->scores || scheme->scores->count == evaluation->scored_count);
        for (size_t i = 0; i < scheme->point_count; ++i)
            require(scheme->points[i].count <= QM_SAMPLES_BLOCKS_MAX);
        struct qm_node *list = qm_node_new_sequence(), *row = qm_node_append_mapping(list);
        struct qm_derived derived;
        char *text = NULL;
        if (qm_derive_scheme(raw, s, &derived) != QM_OK) {
            require_one_line();
        } else {
            qm_derive_add_accuracy(row, raw, s, &derived);
            qm_result_add_answers(row, raw, s);
            qm_speed_add_scheme(row, raw, s);
            qm_result_add_deployment(row, raw, s, &derived.check);
            qm_speed_add_timing(row, raw);
            require(qm_node_ok(list) && qm_node_write_yaml(row, &text) == QM_OK);
        }
        free(text);
        qm_derived_free(&derived);
        qm_node_destroy(&list);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct qm_profile profile;
    static bool is_read;
    if (!is_read) {
        struct qm_node *node = NULL;
        require(qm_node_parse(profile_text, strlen(profile_text), "p", &qm_node_profile_limits, &node) == QM_OK);
        require(qm_profile_read(node, &profile) == QM_OK);
        qm_node_destroy(&node);
        is_read = true;
    }
    const struct qm_samples_params params = {.profile = &profile, .widen = 2, .is_ok = {true, count % 2 == 0}};
    struct qm_samples samples;
    void *copy = malloc(count + 1);
    require(copy != NULL);
    memcpy(copy, bytes, count);
    enum qm_status status = qm_samples_parse(&copy, count, "f", &params, &samples);
    require(copy == NULL);
    if (status == QM_OK)
        check(&samples.raw);
    else
        require_one_line();
    qm_samples_free(&samples);
    return 0;
}
