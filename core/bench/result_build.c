#include "bench/result_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bench/result_details.h"
#include "bench/result_disclosure.h"
#include "bench/result_widen.h"
#include "kernel/kernels.h"
#include "model/safetensors.h"
#include "quant/layout.h"
#include "record/result.h"
#include "score/acceptance.h"
#include "sys/file.h"
#include "sys/host.h"

#ifndef QM_SOURCE_COMMIT
#define QM_SOURCE_COMMIT "undisclosed"
#endif
#ifndef QM_GLSLC_VERSION
#define QM_GLSLC_VERSION "undisclosed"
#endif

const char *qm_result_source(void)
{
    return QM_SOURCE_COMMIT;
}

static void set_number(struct qm_node *node, const char *key, bool has_number, double value, const char *word)
{
    if (has_number)
        qm_node_set_double(node, key, value);
    else
        qm_node_set_text(node, key, word);
}

// value, low and high of an estimate, as numbers or words.
static void set_estimate_as(struct qm_node *node, const char *value_key, const struct qm_estimate *estimate)
{
    bool has_value = estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL;
    bool has_interval = estimate->state == QM_ESTIMATE_INTERVAL;
    const char *word = estimate->state == QM_ESTIMATE_OUT_OF_RANGE ? "out of range" : "not measured";
    set_number(node, value_key, has_value, estimate->value, word);
    set_number(node, "low", has_interval, estimate->low, has_value ? "no interval" : word);
    set_number(node, "high", has_interval, estimate->high, has_value ? "no interval" : word);
}

static struct qm_node *add_estimate(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    struct qm_node *child = qm_node_add_mapping(node, key);
    set_estimate_as(child, "value", estimate);
    return child;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "undisclosed";
}

// ---- The run, host, device and model ------------------------------------------------------------------------------

static struct qm_node *node_of_json(const json_t *json)
{
    char *bytes = json ? json_dumps(json, JSON_COMPACT) : NULL;
    struct qm_node *node = NULL;
    if (bytes && qm_node_parse(bytes, strlen(bytes), "worker", &qm_node_result_limits, &node) != QM_OK)
        node = NULL;
    free(bytes);
    return node;
}

static void add_host(struct qm_node *root)
{
    struct qm_host host;
    qm_host_describe(&host);
    struct qm_node *node = qm_node_add_mapping(root, "host");
    qm_node_set_text(node, "system", host.system);
    qm_node_set_text(node, "kernel", host.kernel);
    qm_node_set_text(node, "machine", host.machine);
    qm_node_set_text(node, "processor", host.processor);
    qm_node_set_u64(node, "cores", host.cores);
    qm_node_set_u64(node, "memory_bytes", host.memory_bytes);
}

static void add_device(struct qm_node *root, const struct qm_device_run *run, unsigned ordinal)
{
    struct qm_node *device = node_of_json(run->info);
    if (ordinal > 1)
        qm_node_set_u64(device, "ordinal", ordinal);
    struct qm_node *selftest = node_of_json(run->selftest);
    const struct qm_node *capabilities = qm_node_get(selftest, "capabilities");
    if (capabilities)
        qm_node_set_node(device, "capabilities", qm_node_copy(capabilities));
    qm_node_set_text(device, "timer", qm_node_text_at(selftest, "timer", "undisclosed"));
    if (selftest) {
        qm_node_remove(selftest, "capabilities");
        qm_node_set_node(device, "self_test", selftest);
    } else {
        qm_node_set_text(device, "self_test", "not measured");
    }
    qm_node_set_node(root, "device", device);
}

static bool is_standard_class(const struct qm_prepared *prepared)
{
    // A released build has no commit behind its version; until there is one, everything is custom.
    return prepared->profile->is_stock && !prepared->profile->is_tuned && strcmp(QM_SOURCE_COMMIT, "released") == 0;
}

// ---- Disclosure ---------------------------------------------------------------------------------------------------

static void add_evaluation_set(struct qm_node *disclosure, const struct qm_evaluation *evaluation)
{
    struct qm_node *set = qm_node_add_mapping(disclosure, "evaluation_set");
    qm_node_set_text(set, "name", evaluation->name);
    qm_node_set_text(set, "sha256", evaluation->sha256);
    qm_node_set_u64(set, "sequences", evaluation->sequence_count);
    qm_node_set_u64(set, "tokens", evaluation->scored_count);
}

// Hashes over all variants that the scheme uses: names with bodies, which are the same for every tile (each kernel's own
// hash covers its tile too), and SPIR-V.
static void add_kernel_hashes(struct qm_node *chain, const struct qm_scheme_run *scheme, const char *tile,
                              bool is_vulkan)
{
    struct qm_hash bodies, modules;
    size_t index;
    json_t *name;
    qm_hash_begin(&bodies);
    qm_hash_begin(&modules);
    json_array_foreach(scheme->variants, index, name)
    {
        const struct qm_kernel_variant *variant = qm_kernel_find(json_string_value(name), tile);
        if (!variant)
            continue;
        qm_hash_add_text(&bodies, json_string_value(name));
        qm_hash_add_text(&bodies, variant->body);
        if (variant->spirv)
            qm_hash_add(&modules, variant->spirv, variant->spirv_bytes);
    }
    char text_of_hash[QM_HASH_TEXT_BYTES];
    qm_hash_end(&bodies, text_of_hash);
    qm_node_set_text(chain, "kernel_hash", scheme->variants ? text_of_hash : "undisclosed");
    qm_node_set_text(chain, "tiles", "fixed");
    qm_hash_end(&modules, text_of_hash);
    // An OpenCL driver's binary differs from run to run on some drivers, so it would only mislead.
    qm_node_set_text(chain, "binary_hash", is_vulkan && scheme->variants ? text_of_hash : "undisclosed");
}

static void add_tool_chain(struct qm_node *disclosure, const struct qm_prepared *prepared,
                           const struct qm_device_run *run, const struct qm_scheme_run *scheme)
{
    bool is_vulkan = strcmp(text(run->info, "api"), "vulkan") == 0;
    struct qm_node *chain = qm_node_add_mapping(disclosure, "tool_chain");
    add_kernel_hashes(chain, scheme, run->tile, is_vulkan);
    if (is_vulkan)
        qm_node_set_textf(chain, "compiler", "%s, then %s", QM_GLSLC_VERSION, text(run->info, "compiler"));
    else
        qm_node_set_text(chain, "compiler", text(run->info, "compiler"));
    qm_node_set_textf(chain, "build_options", "%s, tile %s", is_vulkan ? "-O --target-env=vulkan1.1" : "-cl-std=CL1.2",
                      run->tile);
    qm_node_set_text(chain, "driver", text(run->info, "driver_version"));
    qm_node_set_text(chain, "loader", text(run->info, "loader"));
    bool has_device_time = scheme->point_count > 0 && scheme->points[0].has_device_time;
    qm_node_set_text(chain, "timer",
                     scheme->point_count == 0 ? "none"
                     : has_device_time        ? "device timestamps; wall clock beside them"
                                              : "wall clock; the device has no timestamps of use");
    // What was fitted to the device's speed is no part of the policy: it differs from run to run.
    const struct qm_profile *profile = prepared->profile;
    qm_node_set_textf(chain, "policy",
                      "program recorded once, full barrier between dispatches, submissions of %u ms at most by "
                      "measurement and of %u dispatches at most (0: no limit)",
                      profile->submission_ms, profile->dispatches_per_submission);
    if (scheme->point_count > 0)
        qm_node_set_textf(chain, "submissions",
                          "%u dispatches a pass, %u a submission (0: all), up to %u passes a submission (prefill), %u "
                          "(decode)",
                          scheme->points[0].dispatches, scheme->points[0].dispatches_per_submission,
                          scheme->points[0].repeats_per_submission,
                          scheme->points[scheme->point_count - 1].repeats_per_submission);
}

// ---- Accuracy -----------------------------------------------------------------------------------------------------

static void add_tasks(struct qm_node *accuracy, const struct qm_evaluation *evaluation, const struct qm_summary *cells)
{
    struct qm_node *list = qm_node_add_sequence(accuracy, "tasks");
    for (uint32_t c = 0; c < cells->cell_count; ++c) {
        const struct qm_cell_summary *cell = &cells->cells[c];
        if (cell->examples == 0)
            continue;
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "task", qm_task_name(evaluation->cells[c].task));
        qm_node_set_text(row, "difficulty",
                         qm_task_difficulty_name(evaluation->cells[c].task, evaluation->cells[c].difficulty));
        qm_node_set_bool(row, "graded", evaluation->cells[c].is_graded);
        qm_node_set_u64(row, "examples", cell->examples);
        qm_node_set_double(row, "reference", cell->exact_match_reference.value);
        set_estimate_as(row, "value", &cell->exact_match);
    }
}

static void add_acceptance(struct qm_node *accuracy, const struct qm_profile *profile, const struct qm_summary *summary)
{
    struct qm_criterion_verdict verdicts[QM_PROFILE_CRITERIA_MAX];
    enum qm_verdict overall = QM_VERDICT_NOT_STATED;
    if (qm_acceptance_judge(profile->criteria, profile->criterion_count, summary, verdicts, &overall) != QM_OK)
        return;
    struct qm_node *acceptance = qm_node_add_mapping(accuracy, "acceptance");
    qm_node_set_text(acceptance, "verdict", qm_verdict_name(overall));
    struct qm_node *list = qm_node_add_sequence(acceptance, "criteria");
    for (size_t i = 0; i < profile->criterion_count; ++i) {
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "metric", qm_metric_name(profile->criteria[i].metric));
        qm_node_set_text(row, "side", profile->criteria[i].side == QM_BOUND_UPPER ? "at_most" : "at_least");
        qm_node_set_double(row, "bound", profile->criteria[i].bound);
        qm_node_set_text(row, "verdict", qm_verdict_name(verdicts[i].verdict));
        qm_node_set_text(row, "text", verdicts[i].text);
    }
}

static void set_value(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    set_number(node, key, estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL,
               estimate->value, estimate->state == QM_ESTIMATE_OUT_OF_RANGE ? "out of range" : "not measured");
}

static void add_decode_accuracy(struct qm_node *accuracy, const struct qm_summary *decode)
{
    if (!decode) {
        qm_node_set_text(accuracy, "decode", "not measured");
        return;
    }
    struct qm_node *node = qm_node_add_mapping(accuracy, "decode");
    qm_node_set_u64(node, "tokens", decode->tokens);
    set_estimate_as(node, "kl_divergence_mean", &decode->metrics[QM_METRIC_KL_MEAN]);
    set_value(node, "top1_agreement", &decode->metrics[QM_METRIC_TOP1_AGREEMENT]);
}

static void add_accuracy(struct qm_node *row, const struct qm_prepared *prepared, const struct qm_scheme_run *scheme)
{
    const struct qm_summary *summary = scheme->summary;
    if (!summary) {
        qm_node_set_text(row, "accuracy", "not measured");
        return;
    }
    const struct qm_estimate *m = summary->metrics;
    struct qm_node *accuracy = qm_node_add_mapping(row, "accuracy");
    qm_node_set_u64(accuracy, "tokens", summary->tokens);
    qm_node_set_u64(accuracy, "sequences", summary->sequences);
    struct qm_node *kl = qm_node_add_mapping(accuracy, "kl_divergence");
    set_estimate_as(kl, "mean", &m[QM_METRIC_KL_MEAN]);
    set_value(kl, "p99", &m[QM_METRIC_KL_P99]);
    set_value(kl, "max", &m[QM_METRIC_KL_MAX]);
    struct qm_node *perplexity = add_estimate(accuracy, "perplexity", &m[QM_METRIC_PERPLEXITY]);
    set_value(perplexity, "reference", &m[QM_METRIC_PERPLEXITY_REFERENCE]);
    add_estimate(perplexity, "ratio", &m[QM_METRIC_PERPLEXITY_RATIO]);
    add_estimate(accuracy, "top1_agreement", &m[QM_METRIC_TOP1_AGREEMENT]);
    add_estimate(accuracy, "rms_delta_p", &m[QM_METRIC_RMS_DELTA_P]);
    struct qm_node *exact = add_estimate(accuracy, "exact_match", &m[QM_METRIC_EXACT_MATCH]);
    uint64_t examples = 0;
    for (uint32_t c = 0; c < summary->cell_count; ++c)
        examples += summary->cells[c].examples;
    qm_node_set_u64(exact, "examples", examples);
    set_value(exact, "reference", &m[QM_METRIC_EXACT_MATCH_REFERENCE]);
    add_estimate(exact, "ratio", &m[QM_METRIC_EXACT_MATCH_RATIO]);
    qm_result_add_non_inferiority(exact, summary);
    qm_result_add_details(accuracy, prepared, scheme);
    add_tasks(accuracy, prepared->evaluation, scheme->cells);
    add_decode_accuracy(accuracy, scheme->decode_summary);
    struct qm_node *check = qm_node_add_mapping(accuracy, "backend_check");
    qm_node_set_double(check, "kl_divergence_mean", scheme->verdict.mean);
    qm_node_set_double(check, "bound", scheme->verdict.mean_bound);
    qm_node_set_double(check, "kl_divergence_body", scheme->verdict.body);
    qm_node_set_double(check, "body_bound", scheme->verdict.body_bound);
    qm_node_set_double(check, "kl_divergence_median", scheme->verdict.median);
    qm_node_set_double(check, "median_bound", scheme->verdict.median_bound);
    struct qm_node *bootstrap = qm_node_add_mapping(accuracy, "bootstrap");
    qm_node_set_text(bootstrap, "generator", QM_BOOTSTRAP_GENERATOR);
    qm_node_set_u64(bootstrap, "seed", summary->bootstrap.seed);
    qm_node_set_u64(bootstrap, "resamples", summary->bootstrap.resamples);
    qm_node_set_double(bootstrap, "confidence", summary->bootstrap.confidence_permille / 1000.0);
    add_acceptance(accuracy, prepared->profile, summary);
}

// ---- Throughput ---------------------------------------------------------------------------------------------------

static void add_place(struct qm_node *row, const struct qm_point_run *point)
{
    qm_node_set_text(row, "phase", point->is_decode ? "decode" : "prefill");
    qm_node_set_u64(row, "batch", point->batch);
    if (point->batch_asked != point->batch)
        qm_node_set_u64(row, "batch_asked", point->batch_asked);
    if (point->is_decode)
        qm_node_set_u64(row, "depth", point->depth);
    else
        qm_node_set_u64(row, "prompt", point->tokens);
}

static const double *times_of(const struct qm_point_run *point)
{
    return point->has_device_time ? point->device_ns : point->wall_ns;
}

static void set_milliseconds(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    set_number(node, key, estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL,
               estimate->value * 1e-6, "not measured");
}

// A pass is of the tier of the highest kernel in it.
static const char *tier_of(const struct qm_scheme_run *scheme, const char *tile)
{
    size_t index;
    json_t *name;
    json_array_foreach(scheme->variants, index, name)
    {
        const struct qm_kernel_variant *variant = qm_kernel_find(json_string_value(name), tile);
        if (variant && strcmp(qm_kernel_tier(variant), "base") != 0)
            return qm_kernel_tier(variant);
    }
    return "base";
}

static void add_point(struct qm_node *list, const struct qm_prepared *prepared, const char *tier, uint32_t widen,
                      const struct qm_point_run *point)
{
    const struct qm_bootstrap *bootstrap = &prepared->profile->bootstrap;
    size_t steps = point->is_decode ? point->steps : 1;
    double tokens = (double)point->batch * point->tokens * (double)steps;
    struct qm_estimate rate = {0}, wall = {0};
    struct qm_latency latency = {0};
    if (qm_rate(times_of(point), point->count, 1, tokens, bootstrap, &rate) != QM_OK ||
        qm_rate(point->wall_ns, point->count, 1, tokens, bootstrap, &wall) != QM_OK ||
        qm_latency_percentiles(point->step_ns, point->count * steps, steps, bootstrap, &latency) != QM_OK ||
        rate.state == QM_ESTIMATE_NOT_MEASURED)
        return;
    struct qm_node *row = qm_node_append_mapping(list);
    add_place(row, point);
    qm_node_set_text(row, "tier", tier);
    qm_node_set_u64(row, "widen", widen);
    qm_node_set_text(row, "protocol", "paired");
    qm_node_set_text(row, "timer", point->has_device_time ? "device" : "wall");
    qm_node_set_u64(row, "passes", point->count * steps);
    set_estimate_as(row, "rate_tokens_per_s", &rate);
    set_value(row, "wall_rate_tokens_per_s", &wall);
    struct qm_node *ms = qm_node_add_mapping(row, "latency_ms");
    set_milliseconds(ms, "p50", &latency.p50);
    set_milliseconds(ms, "p95", &latency.p95);
    set_milliseconds(ms, "p99", &latency.p99);
}

static void add_gain(struct qm_node *list, const struct qm_prepared *prepared, const struct qm_scheme_run *baseline,
                     const struct qm_point_run *point, size_t index)
{
    struct qm_node *row = qm_node_append_mapping(list);
    add_place(row, point);
    qm_node_set_text(row, "baseline", prepared->profile->schemes[prepared->profile->baseline].name);
    struct qm_estimate gain = {0};
    if (baseline->status == QM_OK && baseline->points[index].count == point->count)
        (void)!qm_ratio_paired(times_of(&baseline->points[index]), times_of(point), point->count, 1,
                               &prepared->profile->bootstrap, &gain);
    set_estimate_as(row, "ratio", &gain);
}

static void add_throughput(struct qm_node *row, const struct qm_prepared *prepared, const struct qm_device_run *run,
                           const struct qm_scheme_run *scheme)
{
    const struct qm_scheme_run *baseline = &run->schemes[prepared->profile->baseline];
    struct qm_node *throughput = qm_node_add_sequence(row, "throughput");
    for (size_t i = 0; i < scheme->point_count; ++i)
        add_point(throughput, prepared, tier_of(scheme, run->tile), run->widen, &scheme->points[i]);
    struct qm_node *gain = qm_node_add_sequence(row, "gain");
    for (size_t i = 0; i < scheme->point_count; ++i) {
        if (scheme->points[i].count > 0)
            add_gain(gain, prepared, baseline, &scheme->points[i], i);
    }
    qm_node_set_text(row, "sustained", "not measured");
}

// The kernels of the scheme at the model's shapes, and every report that is not fine.
static void add_kernels(struct qm_node *row, const struct qm_device_run *run, const struct qm_scheme_run *scheme)
{
    struct qm_node *list = qm_node_add_sequence(row, "kernels");
    size_t index;
    json_t *report;
    json_array_foreach(run->kernels, index, report)
    {
        bool is_ok = strcmp(text(report, "status"), "ok") == 0;
        bool is_timed = number(report, "samples") > 0;
        if (!qm_scheme_run_uses(scheme, text(report, "name")) || (is_ok && !is_timed))
            continue;
        struct qm_node *kernel = qm_node_append_mapping(list);
        qm_node_set_text(kernel, "name", text(report, "name"));
        qm_node_set_text(kernel, "shape", text(report, "shape"));
        qm_node_set_text(kernel, "hash", text(report, "hash"));
        const struct qm_kernel_variant *variant = qm_kernel_find(text(report, "name"), text(report, "tile"));
        qm_node_set_text(kernel, "tier", variant ? qm_kernel_tier(variant) : "base");
        qm_node_set_text(kernel, "tile", text(report, "tile"));
        qm_node_set_double(kernel, "checked_error", number(report, "error"));
        qm_node_set_double(kernel, "bound", number(report, "bound"));
        if (!is_ok) {
            qm_node_set_text(kernel, "status", text(report, "status"));
            qm_node_set_text(kernel, "reason", text(report, "reason"));
        } else if (number(report, "median_ns") > 0 && scheme->status == QM_OK) {
            double operations = number(report, "operations"), ns = number(report, "median_ns");
            double rate = (operations > 0 ? operations : number(report, "bytes")) / ns;
            qm_node_set_double(kernel, "time_us", ns * 1e-3);
            set_number(kernel, "rate", rate > 0, rate, "not measured");
            qm_node_set_text(kernel, "unit", operations > 0 ? "GOP/s" : "GB/s");
        }
    }
}

// All schemes lie on the device side by side so that they can take turns: what the others take is not this one's.
static uint64_t bytes_of_others(const struct qm_device_run *run, size_t scheme)
{
    uint64_t bytes = 0;
    for (size_t s = 0; s < run->scheme_count; ++s)
        bytes += s == scheme ? 0 : run->schemes[s].weight_bytes + run->schemes[s].cache_bytes;
    return bytes < run->peak_bytes ? bytes : 0;
}

static void add_scheme(struct qm_node *list, const struct qm_prepared *prepared, const struct qm_device_run *run,
                       size_t s)
{
    const struct qm_prepared_scheme *prepared_scheme = &prepared->schemes[s];
    const struct qm_scheme_run *scheme = &run->schemes[s];
    struct qm_node *row = qm_node_append_mapping(list);
    char identity[QM_HASH_TEXT_BYTES];
    qm_scheme_hash(&prepared_scheme->scheme, identity);
    qm_node_set_text(row, "name", prepared_scheme->scheme.name);
    qm_node_set_text(row, "identity", identity);
    qm_node_set_text(row, "status",
                     scheme->status == QM_OK             ? "ok"
                     : scheme->status == QM_WRONG_RESULT ? "wrong"
                     : scheme->status == QM_UNSUPPORTED  ? "unsupported"
                     : scheme->status == QM_INTERRUPTED  ? "skipped"
                                                         : "failed");
    if (scheme->status != QM_OK)
        qm_node_set_text(row, "reason", scheme->reason[0] ? scheme->reason : "undisclosed");
    if (prepared_scheme->artifact) {
        struct qm_node *artifact = qm_node_add_mapping(row, "artifact");
        qm_node_set_text(artifact, "id", prepared_scheme->artifact->id);
        qm_node_set_text(artifact, "layout", QM_LAYOUT_NAME);
    } else {
        qm_node_set_text(row, "artifact", "absent");
    }
    struct qm_node *disclosure = qm_node_add_mapping(row, "disclosure");
    qm_disclosure_add_precision(disclosure, prepared_scheme);
    qm_disclosure_add_calibration(disclosure, prepared, s);
    add_evaluation_set(disclosure, prepared->evaluation);
    add_tool_chain(disclosure, prepared, run, scheme);
    add_accuracy(row, prepared, scheme);
    qm_result_add_widening(row, prepared, run, s);
    if (scheme->status == QM_OK)
        add_throughput(row, prepared, run, scheme);
    struct qm_node *memory = qm_node_add_mapping(row, "memory");
    set_number(memory, "weights_bytes", scheme->weight_bytes > 0, (double)scheme->weight_bytes, "not measured");
    set_number(memory, "kv_cache_bytes", scheme->cache_bytes > 0, (double)scheme->cache_bytes, "not measured");
    set_number(memory, "total_bytes", run->peak_bytes > 0, (double)(run->peak_bytes - bytes_of_others(run, s)),
               "not measured");
    add_kernels(row, run, scheme);
}

struct qm_node *qm_result_build(const struct qm_prepared *prepared, const struct qm_device_run *run, unsigned ordinal)
{
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_u64(root, "schema", QM_RESULT_SCHEMA);
    struct qm_node *program = qm_node_add_mapping(root, "qmark");
    qm_node_set_text(program, "version", QM_VERSION);
    qm_node_set_text(program, "source", QM_SOURCE_COMMIT);
    qm_node_set_text(program, "compiler", __VERSION__);
    struct qm_node *this_run = qm_node_add_mapping(root, "run");
    qm_node_set_text(this_run, "started", run->started);
    qm_node_set_text(this_run, "finished", run->finished);
    qm_node_set_text(this_run, "class", is_standard_class(prepared) ? "standard" : "custom");
    qm_node_set_text(this_run, "profile_hash", prepared->profile->hash);
    if (run->retries > 0) {
        struct qm_node *retry = qm_node_append_mapping(qm_node_add_sequence(this_run, "retries"));
        qm_node_set_text(retry, "reason", run->retry_reason[0] ? run->retry_reason : "undisclosed");
    }
    add_host(root);
    add_device(root, run, ordinal);
    struct qm_node *model = qm_node_add_mapping(root, "model");
    qm_node_set_text(model, "name", qm_path_name(prepared->model_directory));
    if (prepared->model->variant)
        qm_node_set_text(model, "variant", prepared->model->variant);
    qm_node_set_text(model, "sha256", prepared->model->sha256);
    qm_node_set_u64(model, "parameters", prepared->model->parameters);
    qm_result_add_size(model, prepared, run);
    qm_node_set_text(model, "cache_resident", "undisclosed");
    qm_node_set_node(root, "profile", qm_profile_expand(prepared->profile));
    qm_node_set_text(root, "samples", "absent");
    struct qm_node *schemes = qm_node_add_sequence(root, "schemes");
    for (size_t s = 0; s < run->scheme_count; ++s)
        add_scheme(schemes, prepared, run, s);
    return root;
}

// ---- Samples ------------------------------------------------------------------------------------------------------

enum {
    SAMPLE_TENSORS_MAX = QM_PROFILE_SCHEMES_MAX * (3 * 13 + 2 + 2 * QM_PROFILE_POINTS_MAX * 3)
};

struct sample_list {
    struct qm_tensor *tensors;
    char (*names)[96];
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
// [windows * (window_tokens + 1)], and 1 where the next token is scored [windows * window_tokens]. Both are freed by the
// caller. And of each sequence: its cell if that is graded, else 2^32 - 1; its set; and 1 where its text is exact.
static enum qm_status add_evaluation(struct sample_list *list, const struct qm_evaluation *evaluation,
                                     uint32_t **tokens, uint8_t **scored)
{
    size_t windows = evaluation->set.windows, length = evaluation->set.window_tokens;
    *tokens = calloc(windows * (length + 1), sizeof(**tokens));
    *scored = calloc(windows * length, sizeof(**scored));
    if (!*tokens || !*scored)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for samples");
    for (size_t w = 0; w < windows; ++w) {
        for (size_t p = 0; p <= length; ++p)
            (*tokens)[w * (length + 1) + p] = evaluation->windows[w].tokens[p];
    }
    for (size_t i = 0; i < evaluation->scored_count; ++i)
        (*scored)[evaluation->scored[i].window * length + evaluation->scored[i].position] = 1;
    add_array(list, QM_DTYPE_U32, *tokens, windows * (length + 1), "evaluation.tokens");
    add_array(list, QM_DTYPE_U8, *scored, windows * length, "evaluation.scored");
    add_array(list, QM_DTYPE_U32, evaluation->graded_cell, evaluation->sequence_count, "evaluation.graded_cell");
    add_array(list, QM_DTYPE_U32, evaluation->set_of, evaluation->sequence_count, "evaluation.set");
    add_array(list, QM_DTYPE_U8, evaluation->is_answer, evaluation->sequence_count, "evaluation.is_answer");
    return QM_OK;
}

enum qm_status qm_samples_stage(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                struct qm_node *result, const char *directory, struct qm_staged_file *staged)
{
    staged->is_staged = false;
    enum qm_status status = QM_OK;
    struct sample_list list = {.tensors = calloc(SAMPLE_TENSORS_MAX, sizeof(struct qm_tensor)),
                               .names = calloc(SAMPLE_TENSORS_MAX, sizeof(*list.names))};
    void *bytes = NULL;
    uint32_t *tokens = NULL;
    uint8_t *scored = NULL;
    size_t count = 0;
    if (!list.tensors || !list.names) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for samples");
        goto done;
    }
    for (size_t s = 0; s < run->scheme_count; ++s) {
        const struct qm_scheme_run *scheme = &run->schemes[s];
        const char *name = prepared->schemes[s].scheme.name;
        if (!scheme->summary)
            continue;
        add_scores(&list, scheme->scores, name, "prefill");
        add_scores(&list, scheme->widening.all ? scheme->widening.scores : NULL, name, "widening");
        add_doubles(&list, scheme->widening.tiled_ns, scheme->widening.pairs, name, "widening.tiled_ns");
        add_doubles(&list, scheme->widening.random_ns, scheme->widening.pairs, name, "widening.random_ns");
        add_scores(&list, scheme->decode_summary ? scheme->decode_scores : NULL, name, "decode");
        for (size_t i = 0; i < scheme->point_count; ++i)
            add_times(&list, &scheme->points[i], name);
    }
    if (list.count == 0)
        goto done;
    QM_GUARD(add_evaluation(&list, prepared->evaluation, &tokens, &scored));
    char base[QM_RESULT_NAME_BYTES], name[QM_RESULT_NAME_BYTES + 32], path[QM_PATH_BYTES], hash[QM_HASH_TEXT_BYTES];
    qm_result_file_name(result, base);
    base[strlen(base) - strlen(".yaml")] = '\0';
    snprintf(name, sizeof(name), "%s.samples.safetensors", base);
    QM_GUARD(qm_path_join(path, directory, name));
    struct qm_tensor_text text_of_format = {"qmark_samples", "1"};
    QM_GUARD(qm_safetensors_encode(name, list.tensors, list.count, &text_of_format, 1, &bytes, &count));
    QM_GUARD(qm_file_stage(path, bytes, count, staged));
    qm_hash_bytes(bytes, count, hash);
    struct qm_node *samples = qm_node_add_mapping(result, "samples");
    qm_node_set_text(samples, "file", name);
    qm_node_set_text(samples, "sha256", hash);
done:
    free(bytes);
    free(tokens);
    free(scored);
    free(list.tensors);
    free(list.names);
    return status;
}
