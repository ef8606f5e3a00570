#include "bench/result_build.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bench/ceilings_node.h"
#include "bench/result_answers.h"
#include "bench/result_conditions.h"
#include "bench/result_deployment.h"
#include "bench/result_derive.h"
#include "bench/result_disclosure.h"
#include "bench/result_files.h"
#include "bench/result_nodes.h"
#include "bench/result_quantization.h"
#include "bench/result_speed.h"
#include "bench/result_widen.h"
#include "bench/result_workload.h"
#include "bench/samples.h"
#include "kernel/configure.h"
#include "kernel/kernels.h"
#include "model/file_types.h"
#include "quant/layout.h"
#include "record/result.h"
#include "sys/host.h"

#ifndef QM_SOURCE_COMMIT
#define QM_SOURCE_COMMIT "undisclosed"
#endif
#ifndef QM_GLSLC_VERSION
#define QM_GLSLC_VERSION "undisclosed"
#endif

// ---- Raw arrays ---------------------------------------------------------------------------------------------------

static struct qm_raw_answers raw_of_answers(const struct qm_answer_run *run, bool is_reference)
{
    return (struct qm_raw_answers){.judgement = run->judgement,
                                   .right_by_norm = run->right_by_norm,
                                   .is_same = is_reference ? NULL : run->is_same,
                                   .generated = run->generated};
}

static void raw_of_scheme(const struct qm_prepared *prepared, const struct qm_device_run *run, size_t s,
                          struct qm_raw_scheme *out)
{
    const struct qm_scheme_run *scheme = &run->schemes[s];
    bool is_scored = scheme->summary != NULL; // else the scores are not of the whole set
    out->scheme = &prepared->schemes[s].scheme;
    out->is_ok = scheme->status == QM_OK;
    out->scores = is_scored ? scheme->scores : NULL;
    if (is_scored && scheme->scores->count > 0)
        out->left_out = (struct qm_left_out){.mean = scheme->kl_width / (double)scheme->scores->count,
                                             .largest = scheme->kl_width_largest};
    out->own_kl = scheme->scores ? scheme->scores->kl : NULL;
    out->decode_scores = scheme->decode_summary ? scheme->decode_scores : NULL;
    out->agreement = &scheme->agreement;
    out->points = scheme->points;
    out->point_count = scheme->point_count;
    out->sustained = &scheme->sustained;
    out->widening = run->widen > 1 ? &scheme->widening : NULL;
    if (scheme->answers)
        out->answers = raw_of_answers(scheme->answers, false);
    if (scheme->deployment.rounds > 0)
        out->deployment = &scheme->deployment;
    size_t index;
    json_t *name;
    json_array_foreach(scheme->variants, index, name)
    {
        if (out->variant_count < QM_RAW_VARIANTS_MAX)
            out->variants[out->variant_count++] = json_string_value(name);
    }
}

void qm_result_raw(const struct qm_prepared *prepared, const struct qm_device_run *run, struct qm_raw *out)
{
    memset(out, 0, sizeof(*out));
    out->profile = prepared->profile;
    out->evaluation = prepared->evaluation;
    out->lacks_reference = prepared->lacks_reference;
    out->widen = run->widen;
    out->tile = run->tile;
    out->tuned = run->tuned ? run->tuned : "";
    (void)!qm_kernel_tuned_set(out->tuned); // it was set before: for this device
    out->scheme_count = run->scheme_count;
    out->noise = run->noise;
    out->noise_count = run->noise_count;
    out->clock_host_ns = run->clock_host_ns;
    out->clock_device_ns = run->clock_device_ns;
    out->clock_count = run->clock_count;
    if (prepared->reference_answers) {
        out->answer_count = prepared->reference_answers->count;
        out->answer_is_choice = prepared->reference_answers->is_choice;
        out->reference_answers = raw_of_answers(prepared->reference_answers, true);
    }
    out->requests = prepared->requests;
    for (size_t s = 0; s < run->scheme_count; ++s)
        raw_of_scheme(prepared, run, s, &out->schemes[s]);
    if (qm_speed_judge_timer(out) != QM_OK) // without memory for it nothing is known of the timer
        out->timer = (struct qm_timer_check){0};
}

// What the run has computed already; it stays the run's.
static struct qm_derived derived_of(const struct qm_scheme_run *scheme)
{
    return (struct qm_derived){.summary = scheme->summary,
                               .cells = scheme->cells,
                               .decode = scheme->decode_summary,
                               .before = scheme->widening.before,
                               .all = scheme->widening.all,
                               .details = scheme->details,
                               .check = scheme->verdict,
                               .widening = {.mean_bound = scheme->widening.bound}};
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
    qm_result_set_number(node, "last_level_cache_bytes", host.last_level_cache_bytes > 0,
                         (double)host.last_level_cache_bytes, "undisclosed");
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

const char *qm_result_class(const struct qm_profile *profile, const char *source)
{
    // A released build has no commit behind its version; until there is one, everything is custom.
    return profile->is_stock && !profile->is_tuned && strcmp(source, "released") == 0 ? "standard" : "custom";
}

const char *qm_result_source(void)
{
    return QM_SOURCE_COMMIT;
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

// Which kernels are not as they come: "matmul-f16-f16-vector QM_ROWS=4; ...".
static void add_tiles(struct qm_node *chain, const struct qm_raw_scheme *scheme, const char *tile, bool is_asked)
{
    char text[8192];
    size_t length = 0;
    for (size_t i = 0; i < scheme->variant_count; ++i) {
        const struct qm_kernel_variant *variant = qm_kernel_find(scheme->variants[i], tile);
        const char *settings = variant ? qm_kernel_settings(variant) : "";
        if (*settings && length < sizeof(text)) {
            int name = (int)strcspn(variant->name, "+");
            int written = snprintf(text + length, sizeof(text) - length, "%s%.*s %s", length ? "; " : "", name,
                                   variant->name, settings);
            length += written > 0 ? (size_t)written : 0;
        }
    }
    qm_node_set_text(chain, "tiles", length ? "tuned" : "fixed");
    if (length || is_asked)
        qm_node_set_text(chain, "tuned", length ? text : "no kernel: none is known to be faster than fixed");
}

// Hashes over all variants that the scheme uses: names with bodies, which are the same for every tile (each kernel's own
// hash covers its tile too), and SPIR-V.
static void add_kernel_hashes(struct qm_node *chain, const struct qm_raw_scheme *scheme, const char *tile,
                              bool is_vulkan, bool is_asked)
{
    struct qm_hash bodies, modules;
    bool has_kernels = scheme->variant_count > 0;
    qm_hash_begin(&bodies);
    qm_hash_begin(&modules);
    for (size_t i = 0; i < scheme->variant_count; ++i) {
        const struct qm_kernel_variant *variant = qm_kernel_find(scheme->variants[i], tile);
        if (!variant)
            continue;
        qm_hash_add_text(&bodies, scheme->variants[i]);
        qm_hash_add_text(&bodies, variant->body);
        if (variant->spirv)
            qm_hash_add(&modules, variant->spirv, variant->spirv_bytes);
    }
    char text_of_hash[QM_HASH_TEXT_BYTES];
    qm_hash_end(&bodies, text_of_hash);
    qm_node_set_text(chain, "kernel_hash", has_kernels ? text_of_hash : "undisclosed");
    add_tiles(chain, scheme, tile, is_asked);
    qm_hash_end(&modules, text_of_hash);
    // An OpenCL driver's binary differs from run to run on some drivers, so it would only mislead.
    qm_node_set_text(chain, "binary_hash", is_vulkan && has_kernels ? text_of_hash : "undisclosed");
}

static void add_tool_chain(struct qm_node *disclosure, const struct qm_result_scheme *parts)
{
    const struct qm_raw_scheme *scheme = &parts->raw->schemes[parts->index];
    const struct qm_node *device = parts->device;
    const char *tile = parts->raw->tile, *compiler = qm_node_text_at(device, "compiler", "undisclosed");
    bool is_vulkan = strcmp(qm_node_text_at(device, "api", ""), "vulkan") == 0;
    struct qm_node *chain = qm_node_add_mapping(disclosure, "tool_chain");
    add_kernel_hashes(chain, scheme, tile, is_vulkan, parts->raw->profile->is_tuned);
    if (is_vulkan)
        qm_node_set_textf(chain, "compiler", "%s, then %s", QM_GLSLC_VERSION, compiler);
    else
        qm_node_set_text(chain, "compiler", compiler);
    qm_node_set_textf(chain, "build_options", "%s, tile %s", is_vulkan ? "-O --target-env=vulkan1.1" : "-cl-std=CL1.2",
                      tile);
    qm_node_set_text(chain, "driver", qm_node_text_at(device, "driver_version", "undisclosed"));
    qm_node_set_text(chain, "loader", qm_node_text_at(device, "loader", "undisclosed"));
    bool has_device_time = scheme->point_count > 0 && scheme->points[0].has_device_time;
    qm_node_set_text(chain, "timer",
                     scheme->point_count == 0 ? "none"
                     : has_device_time        ? "device timestamps; wall clock beside them"
                                              : "wall clock; the device has no timestamps of use");
    // What was fitted to the device's speed is no part of the policy: it differs from run to run.
    const struct qm_profile *profile = parts->raw->profile;
    qm_node_set_textf(chain, "policy",
                      "program recorded once, full barrier between dispatches, submissions of %u ms at most by "
                      "measurement and of %u dispatches at most (0: no limit)",
                      profile->submission_ms, profile->dispatches_per_submission);
    qm_node_set_text(chain, "fusions",
                     profile->is_unfused ? "none"
                                         : "conversion in norm and gate; rope in cache write; residual in product; "
                                           "q, k, v in one product and gate, up in one, where they are alike");
    if (scheme->point_count > 0)
        qm_node_set_textf(chain, "submissions",
                          "%u dispatches a pass, %u a submission (0: all), up to %u passes a submission (prefill), %u "
                          "(decode)",
                          scheme->points[0].dispatches, scheme->points[0].dispatches_per_submission,
                          scheme->points[0].repeats_per_submission,
                          scheme->points[scheme->point_count - 1].repeats_per_submission);
}

// From nothing to the first token, in a new process.
static void add_start(struct qm_node *root, const json_t *start)
{
    static const struct {
        const char *key, *from;
    } times[] = {{"open_ms", "open_ns"},
                 {"scratch_ms", "engine_ns"},
                 {"load_ms", "load_ns"},
                 {"upload_ms", "upload_ns"},
                 {"pass_ms", "pass_ns"}};
    if (!start)
        return;
    struct qm_node *node = qm_node_add_mapping(root, "start");
    double sum = 0, compiled = number(start, "compiled"), cached = number(start, "cached");
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); ++i) {
        qm_node_set_double(node, times[i].key, number(start, times[i].from) * 1e-6);
        sum += number(start, times[i].from) * 1e-6;
    }
    qm_node_set_double(node, "first_token_ms", sum);
    qm_node_set_double(node, "compile_ms", number(start, "compile_ns") * 1e-6);
    qm_node_set_u64(node, "compiled", (uint64_t)compiled);
    qm_node_set_u64(node, "cached", (uint64_t)cached);
    qm_node_set_text(node, "caches", cached <= 0 ? "cold" : cached < compiled ? "mixed" : "warm");
}

// How far the shape could go, and how far it went.
static void add_roofline(struct qm_node *kernel, const json_t *report, const struct qm_kernel_variant *variant,
                         const struct qm_ceilings *ceilings)
{
    const double operations = number(report, "operations"), bytes = number(report, "bytes");
    struct qm_roofline roofline;
    if (bytes > 0)
        qm_node_set_double(kernel, "intensity", operations / bytes);
    if (!variant || !qm_roofline_of(ceilings, variant, operations, bytes, number(report, "median_ns"), &roofline))
        return;
    qm_node_set_text(kernel, "ceiling", roofline.ceiling);
    qm_node_set_double(kernel, "share", roofline.share);
}

// The kernels of the scheme at the model's shapes, and every report that is not fine.
static void add_kernels(struct qm_node *row, const struct qm_node *ceilings_node, const struct qm_device_run *run,
                        const struct qm_scheme_run *scheme)
{
    struct qm_ceilings ceilings;
    qm_ceilings_of_node(ceilings_node, &ceilings);
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
            qm_result_set_number(kernel, "rate", rate > 0, rate, "not measured");
            qm_node_set_text(kernel, "unit", operations > 0 ? "GOP/s" : "GB/s");
            add_roofline(kernel, report, variant, &ceilings);
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

struct qm_node *qm_result_add_scheme(struct qm_node *list, const struct qm_result_scheme *parts)
{
    const struct qm_raw_scheme *scheme = &parts->raw->schemes[parts->index];
    struct qm_node *row = qm_node_append_mapping(list);
    char identity[QM_HASH_TEXT_BYTES];
    qm_scheme_hash(scheme->scheme, identity);
    qm_node_set_text(row, "name", scheme->scheme->name);
    qm_node_set_text(row, "identity", identity);
    if (scheme->scheme->own)
        qm_node_set_text(row, "formats_sha256", scheme->scheme->own->sha256);
    if (scheme->scheme->own && !scheme->scheme->is_own_floats) {
        char activations[QM_OWN_ACTIVATIONS_NAME_BYTES];
        qm_own_activations_name(scheme->scheme->own, activations);
        if (activations[0])
            qm_node_set_text(row, "formats_activations", activations);
    }
    qm_node_set_text(row, "status", parts->status);
    if (!scheme->is_ok)
        qm_node_set_text(row, "reason", parts->reason[0] ? parts->reason : "undisclosed");
    if (parts->artifact) {
        struct qm_node *artifact = qm_node_add_mapping(row, "artifact");
        qm_node_set_text(artifact, "id", parts->artifact->id);
        qm_node_set_text(artifact, "layout", QM_LAYOUT_NAME);
    } else {
        qm_node_set_text(row, "artifact", "absent");
    }
    struct qm_node *disclosure = qm_node_add_mapping(row, "disclosure");
    qm_disclosure_add_precision(disclosure, scheme->scheme, parts->artifact, &parts->sets);
    qm_disclosure_add_calibration(disclosure, scheme->scheme, parts->artifact, &parts->sets);
    add_evaluation_set(disclosure, parts->raw->evaluation);
    add_tool_chain(disclosure, parts);
    qm_derive_add_accuracy(row, parts->raw, parts->index, parts->derived);
    qm_result_add_answers(row, parts->raw, parts->index);
    qm_result_add_widening(row, parts->raw, parts->index, parts->derived);
    if (scheme->is_ok)
        qm_speed_add_scheme(row, parts->raw, parts->index);
    qm_result_add_deployment(row, parts->raw, parts->index, &parts->derived->check);
    return row;
}

// Where it was not the reference backend, which goes without saying.
static void add_reference(struct qm_node *row, const struct qm_reference_rows *reference,
                          const struct qm_raw_scheme *raw)
{
    if (!reference || reference->dense_windows == 0 || strcmp(reference->engine, "reference backend") == 0)
        return;
    struct qm_node *node = qm_node_add_mapping(qm_node_child(row, "disclosure"), "reference");
    bool is_all = reference->keep.most == 0, is_scored = raw->scores && raw->scores->count > 0;
    qm_node_set_text(node, "engine", reference->engine);
    qm_result_set_number(node, "top_k", !is_all, reference->keep.most, "none");
    qm_result_set_number(node, "mass", !is_all, reference->keep.mass, "none");
    qm_result_set_number(node, "kl_left_out", is_scored, raw->left_out.mean, "not measured");
    qm_result_set_number(node, "kl_left_out_largest", is_scored, raw->left_out.largest, "not measured");
    if (reference->device.name[0]) {
        qm_node_set_text(node, "device", reference->device.name);
        qm_node_set_text(node, "api", reference->device.api);
        qm_node_set_text(node, "driver", reference->device.driver);
        qm_node_set_text(node, "kernel_hash", reference->device.kernel_hash);
    }
    if (reference->checked_with[0])
        qm_node_set_text(node, "checked_with", reference->checked_with);
    qm_node_set_u64(node, "checked_tokens", reference->checked_tokens);
    qm_result_set_number(node, "difference", reference->checked_tokens > 0, reference->difference, "not measured");
    if (reference->unchecked[0])
        qm_node_set_text(node, "unchecked", reference->unchecked);
}

// The model that was scored against, where it is not this one in float32.
static void add_reference_model(struct qm_node *model, const struct qm_prepared *prepared)
{
    if (prepared->lacks_reference)
        qm_node_set_text(model, "reference", "none");
    if (!prepared->reference_model)
        return;
    struct qm_node *reference = qm_node_add_mapping(model, "reference");
    qm_node_set_text(reference, "name", qm_path_name(prepared->reference_path));
    qm_node_set_text(reference, "sha256", prepared->reference_model->sha256);
    qm_node_set_u64(reference, "parameters", prepared->reference_model->parameters);
}

// Of a model that somebody quantized: what its files hold.
static void add_file(struct qm_node *node, const struct qm_model *model)
{
    struct qm_file_type types[QM_FILE_TYPES_MAX];
    if (!model->own)
        return;
    struct qm_node *file = qm_node_add_mapping(node, "file"), *list = qm_node_add_sequence(file, "tensors");
    size_t count = qm_file_types(model->file, types);
    for (size_t i = 0; i < count; ++i) {
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "type", types[i].name);
        qm_node_set_u64(row, "tensors", types[i].tensors);
        qm_node_set_u64(row, "bytes", types[i].bytes);
    }
}

static void add_scheme(struct qm_node *root, const struct qm_prepared *prepared, const struct qm_device_run *run,
                       const struct qm_raw *raw, size_t s)
{
    const struct qm_derived derived = derived_of(&run->schemes[s]);
    const struct qm_scheme_run *scheme = &run->schemes[s];
    const struct qm_artifact *artifact = prepared->schemes[s].artifact;
    struct qm_result_scheme parts = {
        .raw = raw,
        .index = s,
        .derived = &derived,
        .artifact = artifact,
        .device = qm_node_child(root, "device"),
        .sets = {.overlap = prepared->overlap, .quantization = qm_node_get(root, "model.quantization")},
        .reason = scheme->reason};
    parts.sets.calibration = artifact && artifact->activations ? &artifact->activations->set : NULL;
    parts.sets.examples = prepared->evaluation->sequence_count;
    parts.status = scheme->status == QM_OK             ? "ok"
                   : scheme->status == QM_WRONG_RESULT ? "wrong"
                   : scheme->status == QM_UNSUPPORTED  ? "unsupported"
                   : scheme->status == QM_INTERRUPTED  ? "skipped"
                                                       : "failed";
    struct qm_node *row = qm_result_add_scheme(qm_node_child(root, "schemes"), &parts);
    if (scheme->repack_ns > 0)
        qm_node_set_double(qm_node_child(row, "artifact"), "repack_ms", (double)scheme->repack_ns * 1e-6);
    add_reference(row, prepared->reference, &raw->schemes[s]);
    struct qm_node *memory = qm_node_add_mapping(row, "memory");
    qm_result_set_number(memory, "weights_bytes", scheme->weight_bytes > 0, (double)scheme->weight_bytes,
                         "not measured");
    qm_result_set_number(memory, "kv_cache_bytes", scheme->cache_bytes > 0, (double)scheme->cache_bytes,
                         "not measured");
    qm_result_set_number(memory, "total_bytes", run->peak_bytes > 0,
                         (double)(run->peak_bytes - bytes_of_others(run, s)), "not measured");
    qm_node_set_text(memory, "cache",
                     qm_result_cache_state(scheme->weight_bytes, qm_result_cache_bytes(root, prepared->profile)));
    add_kernels(row, qm_node_child(root, "ceilings"), run, scheme);
}

struct qm_node *qm_result_build(const struct qm_prepared *prepared, const struct qm_device_run *run, unsigned ordinal)
{
    struct qm_raw *raw = malloc(sizeof(*raw));
    if (!raw)
        return NULL;
    qm_result_raw(prepared, run, raw);
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_u64(root, "schema", QM_RESULT_SCHEMA);
    struct qm_node *program = qm_node_add_mapping(root, "qmark");
    qm_node_set_text(program, "version", QM_VERSION);
    qm_node_set_text(program, "source", QM_SOURCE_COMMIT);
    qm_node_set_text(program, "compiler", __VERSION__);
    struct qm_node *this_run = qm_node_add_mapping(root, "run");
    qm_node_set_text(this_run, "started", run->started);
    qm_node_set_text(this_run, "finished", run->finished);
    qm_node_set_text(this_run, "class", qm_result_class(prepared->profile, QM_SOURCE_COMMIT));
    qm_node_set_text(this_run, "profile_hash", prepared->profile->hash);
    if (run->retries > 0) {
        struct qm_node *retry = qm_node_append_mapping(qm_node_add_sequence(this_run, "retries"));
        qm_node_set_text(retry, "reason", run->retry_reason[0] ? run->retry_reason : "undisclosed");
    }
    add_host(root);
    add_device(root, run, ordinal);
    qm_result_add_conditions(root, run);
    if (run->compiled > 0) {
        struct qm_node *compile = qm_node_add_mapping(root, "compile");
        qm_node_set_double(compile, "milliseconds", run->compile_ns * 1e-6);
        qm_node_set_u64(compile, "kernels", run->compiled);
    }
    if (run->ceilings)
        qm_node_set_node(root, "ceilings", node_of_json(run->ceilings));
    add_start(root, run->start);
    qm_speed_add_timing(root, raw);
    struct qm_node *model = qm_node_add_mapping(root, "model");
    qm_node_set_text(model, "name", qm_path_name(prepared->model_path));
    if (prepared->model->variant)
        qm_node_set_text(model, "variant", prepared->model->variant);
    if (qm_model_is_part(prepared->model))
        qm_node_set_textf(model, "layers_run", "%" PRIu32 " of %" PRIu32, prepared->model->config.layers,
                          prepared->model->layers_in_file);
    qm_node_set_text(model, "sha256", prepared->model->sha256);
    qm_node_set_u64(model, "parameters", prepared->model->parameters);
    add_reference_model(model, prepared);
    add_file(model, prepared->model);
    qm_result_add_size(model, &prepared->model->config, run->widen, run->fit_reason);
    qm_result_add_quantization(model, prepared->model);
    qm_result_add_files(model, prepared->model_path);
    uint64_t baseline_bytes = run->schemes[prepared->profile->baseline].weight_bytes;
    const char *state = qm_result_cache_state(baseline_bytes, qm_result_cache_bytes(root, prepared->profile));
    qm_node_set_text(model, "cache_resident",
                     strcmp(state, "cache-resident") == 0 ? "yes"
                     : strcmp(state, "undisclosed") == 0  ? "undisclosed"
                                                          : "no");
    qm_node_set_node(root, "profile", qm_profile_expand(prepared->profile));
    if (qm_result_add_workload(root, prepared) != QM_OK) {
        qm_node_destroy(&root);
        free(raw);
        return NULL;
    }
    qm_node_set_text(root, "samples", "absent");
    qm_node_add_sequence(root, "schemes");
    for (size_t s = 0; s < run->scheme_count; ++s)
        add_scheme(root, prepared, run, raw, s);
    free(raw);
    return root;
}

// Nothing was complete when it was interrupted: an older result is worth more.
static bool is_without_a_row(const struct qm_device_run *run)
{
    bool has_row = false;
    for (size_t s = 0; s < run->scheme_count; ++s)
        has_row |= run->schemes[s].status == QM_OK || run->schemes[s].status == QM_WRONG_RESULT;
    return run->was_interrupted && !has_row;
}

enum qm_status qm_result_write_run(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                   unsigned ordinal, const char *directory, struct qm_node **result,
                                   char path[QM_PATH_BYTES])
{
    struct qm_staged_file samples = {0}, staged = {0};
    struct qm_raw *raw = malloc(sizeof(*raw));
    enum qm_status status = QM_OK;
    *result = NULL;
    path[0] = '\0';
    if (!raw)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a result");
    qm_result_raw(prepared, run, raw);
    *result = qm_result_build(prepared, run, ordinal);
    QM_GUARD(qm_samples_stage(raw, *result, directory, &samples));
    QM_GUARD(qm_result_stage(*result, directory, &staged));
    if (is_without_a_row(run) && qm_file_exists(staged.path))
        goto done;
    if (samples.is_staged)
        QM_GUARD(qm_file_commit(&samples));
    QM_GUARD(qm_file_commit(&staged));
    memcpy(path, staged.path, QM_PATH_BYTES);
done:
    qm_file_drop(&samples);
    qm_file_drop(&staged);
    free(raw);
    return status;
}
