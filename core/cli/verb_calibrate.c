#include <inttypes.h>
#include <stdio.h>

#include "bench/prepare.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/sweep.h"
#include "cli/verbs.h"
#include "record/node.h"
#include "report/table.h"
#include "sys/file.h"
#include "sys/process.h"

static void worst_of(const struct qm_artifact *artifact, double *steps, double *rms)
{
    double squares = 0, count = 0;
    *steps = 0;
    for (size_t i = 0; i < artifact->tensor_count; ++i) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        if (!qm_role_is_linear(tensor->role))
            continue;
        double values = (double)tensor->rows * tensor->columns;
        *steps = tensor->record.worst_steps > *steps ? tensor->record.worst_steps : *steps;
        squares += tensor->record.rms_error * tensor->record.rms_error * values;
        count += values;
    }
    *rms = count > 0 ? squares / count : 0; // mean square; printed as such
}

// The run over the calibration set that the schemes share is in none of their times.
static void print_collecting(const struct qm_preparation *preparation)
{
    double collecting_s = 0;
    for (size_t s = 0; s < preparation->prepared.scheme_count; ++s)
        collecting_s += preparation->prepared.schemes[s].time.collecting_s;
    if (collecting_s > 0)
        printf("\nbefore that, once for all of them: %.2f s of fp32 over %" PRIu32 " calibration windows of %" PRIu32
               " tokens\n",
               collecting_s, preparation->calibration->set.windows, preparation->calibration->set.window_tokens);
}

static int print_table(const struct qm_preparation *preparation)
{
    int code = QM_EXIT_OK;
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "bytes", true);
    qm_table_column(table, "weights", true);
    qm_table_column(table, "worst |error| / step", true);
    qm_table_column(table, "mean square error", true);
    qm_table_column(table, "clipped", true);
    qm_table_column(table, "time", true);
    qm_table_column(table, "artifact", false);
    for (size_t s = 0; s < preparation->prepared.scheme_count; ++s) {
        const struct qm_prepared_scheme *scheme = &preparation->prepared.schemes[s];
        qm_table_row(table);
        qm_table_cell(table, "%s", scheme->scheme.name);
        if (scheme->status != QM_OK) {
            qm_table_span(table, "%s", scheme->reason);
            code = qm_exit_of(scheme->status);
            continue;
        }
        double steps, mean_square;
        worst_of(scheme->artifact, &steps, &mean_square);
        qm_table_cell(table, "%" PRIu64, scheme->artifact->bytes);
        qm_table_cell(table, "%" PRIu64, scheme->artifact->weight_bytes);
        if (scheme->scheme.is_own)
            qm_table_cell(table, "own"); // codes of the model's file
        else if (steps > 0 || qm_weight_format_info(scheme->scheme.weights)->is_float)
            qm_table_cell(table, "%.6f", steps);
        else
            qm_table_cell(table, "none"); // ggml's blocks have steps that differ within a block
        qm_table_cell(table, "%.3g", mean_square);
        if (scheme->artifact->activations)
            qm_table_cell(table, "%.3g", scheme->artifact->activations->clipped_fraction);
        else
            qm_table_cell(table, "none");
        if (scheme->time.is_cached)
            qm_table_cell(table, "cached");
        else
            qm_table_cell(table, "%.2f s", scheme->time.building_s);
        qm_table_cell(table, "%s", scheme->artifact_path);
    }
    enum qm_status status = qm_table_write(table, stdout, 0, false);
    qm_table_destroy(&table);
    print_collecting(preparation);
    return status == QM_OK ? code : qm_verb_fail(status);
}

// The share of a tensor's weights that lie beyond the range of its codes.
static double clipped_of(const struct qm_artifact_tensor *tensor)
{
    return (double)tensor->record.clipped / ((double)tensor->rows * tensor->columns);
}

// What ended in every tensor of every scheme.
static int print_tensors(const struct qm_preparation *preparation)
{
    int code = QM_EXIT_OK;
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "tensor", false);
    qm_table_column(table, "format", false);
    qm_table_column(table, "scale min", true);
    qm_table_column(table, "scale max", true);
    qm_table_column(table, "clipped", true);
    qm_table_column(table, "bound", false);
    qm_table_column(table, "worst |error|", true);
    qm_table_column(table, "RMS error", true);
    qm_table_column(table, "bytes", true);
    for (size_t s = 0; s < preparation->prepared.scheme_count; ++s) {
        const struct qm_prepared_scheme *scheme = &preparation->prepared.schemes[s];
        if (scheme->status != QM_OK) {
            qm_table_row(table);
            qm_table_cell(table, "%s", scheme->scheme.name);
            qm_table_span(table, "%s", scheme->reason);
            code = qm_exit_of(scheme->status);
            continue;
        }
        for (size_t i = 0; i < scheme->artifact->tensor_count; ++i) {
            const struct qm_artifact_tensor *tensor = &scheme->artifact->tensors[i];
            qm_table_row(table);
            qm_table_cell(table, "%s", scheme->scheme.name);
            qm_table_cell(table, "%s", tensor->name);
            qm_table_cell(table, "%s", qm_weight_format_info(tensor->format)->title);
            qm_table_cell(table, "%.3g", tensor->record.scale_min);
            qm_table_cell(table, "%.3g", tensor->record.scale_max);
            qm_table_cell(table, "%.3g", clipped_of(tensor));
            qm_table_cell(table, "%s", qm_bound_name(tensor->bound));
            qm_table_cell(table, "%.3g", tensor->record.worst_error);
            qm_table_cell(table, "%.3g", tensor->record.rms_error);
            qm_table_cell(table, "%" PRIu64, tensor->record.bytes);
        }
    }
    enum qm_status status = qm_table_write(table, stdout, 0, false);
    qm_table_destroy(&table);
    return status == QM_OK ? code : qm_verb_fail(status);
}

static int print_json(const struct qm_preparation *preparation)
{
    struct qm_node *root = qm_node_new_sequence();
    for (size_t s = 0; s < preparation->prepared.scheme_count; ++s) {
        const struct qm_prepared_scheme *scheme = &preparation->prepared.schemes[s];
        struct qm_node *row = qm_node_append_mapping(root);
        qm_node_set_text(row, "scheme", scheme->scheme.name);
        qm_node_set_text(row, "status", scheme->status == QM_OK ? "ok" : "failed");
        if (scheme->status != QM_OK) {
            qm_node_set_text(row, "reason", scheme->reason);
            continue;
        }
        qm_node_set_text(row, "id", scheme->artifact->id);
        qm_node_set_text(row, "file", scheme->artifact_path);
        qm_node_set_u64(row, "bytes", scheme->artifact->bytes);
        if (scheme->time.is_cached) {
            qm_node_set_text(row, "time_s", "cached");
        } else {
            // Where schemes share the run over the calibration set, the first of them has it.
            qm_node_set_double(row, "time_s", scheme->time.building_s);
            qm_node_set_double(row, "collecting_s", scheme->time.collecting_s);
        }
        struct qm_node *tensors = qm_node_add_sequence(row, "tensors");
        for (size_t i = 0; i < scheme->artifact->tensor_count; ++i) {
            const struct qm_artifact_tensor *tensor = &scheme->artifact->tensors[i];
            struct qm_node *item = qm_node_append_mapping(tensors);
            qm_node_set_text(item, "name", tensor->name);
            qm_node_set_text(item, "format", qm_weight_format_info(tensor->format)->title);
            qm_node_set_double(item, "scale_min", tensor->record.scale_min);
            qm_node_set_double(item, "scale_max", tensor->record.scale_max);
            qm_node_set_double(item, "clipped_fraction", clipped_of(tensor));
            qm_node_set_text(item, "bound", qm_bound_name(tensor->bound));
            qm_node_set_double(item, "worst_steps", tensor->record.worst_steps);
            qm_node_set_double(item, "worst_error", tensor->record.worst_error);
            qm_node_set_double(item, "rms_error", tensor->record.rms_error);
            qm_node_set_u64(item, "bytes", tensor->record.bytes);
            if (tensor->activation_scale_count == 1)
                qm_node_set_double(item, "activation_scale", (double)tensor->activation_scales[0]);
        }
        if (!scheme->artifact->cache_scales)
            continue;
        struct qm_node *cache = qm_node_add_sequence(row, "cache_scales");
        for (uint32_t layer = 0; layer < scheme->artifact->config.layers; ++layer) {
            struct qm_node *item = qm_node_append_mapping(cache);
            qm_node_set_double(item, "k_scale", (double)scheme->artifact->cache_scales[layer][QM_CACHED_KEYS]);
            qm_node_set_double(item, "v_scale", (double)scheme->artifact->cache_scales[layer][QM_CACHED_VALUES]);
        }
    }
    return qm_verb_print_json(&root);
}

static enum qm_status check_options(bool sweeps, const char *sizes, bool by_tensor, const char *directory,
                                    const char *calibration_file)
{
    if (!sweeps && sizes)
        return QM_FAIL(QM_INVALID, "calibrate: --sizes %s is for --sweep; add it, or leave --sizes out", sizes);
    if (sweeps && calibration_file)
        return QM_FAIL(QM_INVALID, "calibrate: a sweep calibrates on the built-in set, in parts; leave --calib out");
    if (sweeps && by_tensor)
        return QM_FAIL(QM_INVALID, "calibrate: --tensors is not for --sweep; leave one of them out");
    if (sweeps && directory)
        return QM_FAIL(QM_INVALID, "calibrate: a sweep keeps no artifact; leave --out out, then make the one that you "
                                   "choose without --sweep");
    return QM_OK;
}

int qm_verb_calibrate(int argc, char **argv)
{
    const char *profile = "quick", *schemes = NULL, *model = NULL, *directory = NULL, *sizes = NULL,
               *calibration_file = NULL;
    bool as_json = false, by_tensor = false, sweeps = false, done = false;
    const struct qm_option options[] = {
        {"profile", QM_OPTION_TEXT, &profile, "NAME|FILE", "whose schemes and calibration set; quick if not given"},
        {"scheme", QM_OPTION_TEXT, &schemes, "LIST", "only these schemes, and the baseline, with commas between"},
        {"model", QM_OPTION_TEXT, &model, "NAME|DIR|FILE",
         "built-in, built-in-outliers, a directory or a GGUF file; the profile's if not given"},
        {"calib", QM_OPTION_TEXT, &calibration_file, "FILE", "calibrate on your own text or examples (.jsonl)"},
        {"out", QM_OPTION_TEXT, &directory, "DIR",
         "where artifacts are kept (in DIR/artifacts); the cache if not given"},
        {"tensors", QM_OPTION_FLAG, &by_tensor, NULL, "a row for every tensor: scales, clipping, bound, errors, bytes"},
        {"sweep", QM_OPTION_FLAG, &sweeps, NULL,
         "of one --scheme: rank its calibrators and calibration set sizes by KL divergence; keeps no artifact"},
        {"sizes", QM_OPTION_TEXT, &sizes, "LIST",
         "of a sweep: calibration windows, such as 4,16,64; 1/16, 1/4 and all of the profile's if not given"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print what ended in each tensor, or the sweep, as JSON"},
    };
    const struct qm_command command = {
        .verb = "calibrate",
        .operands = "",
        .meaning = "Make the quantized artifacts of a profile.",
        .details = "docs/ARTIFACT.md says how to decode one, docs/METHOD.md under 'Choosing a calibrator'\n"
                   "what the rows of --sweep are.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    char cache[QM_PATH_BYTES];
    struct qm_preparation *preparation = NULL;
    struct qm_progress_line line;
    struct qm_preparation_params params = {.profile = profile,
                                           .schemes = schemes,
                                           .model = model,
                                           .calibration_file = calibration_file,
                                           .cache_directory = directory ? directory : cache,
                                           .only_artifacts = !sweeps}; // which are scored
    int code = QM_EXIT_OK;
    QM_GUARD(check_options(sweeps, sizes, by_tensor, directory, calibration_file));
    QM_GUARD(qm_cache_open(cache));
    if (sweeps) {
        params.schemes = NULL; // not the baseline too
        return qm_calibrate_sweep(&params, schemes, sizes, as_json);
    }
    QM_GUARD(qm_preparation_read(&params, &preparation));
    qm_interrupt_watch();
    qm_progress_begin(&line, "calibrating", 0);
    status = qm_preparation_make(preparation, &params, qm_progress_show, &line);
    qm_progress_end(&line);
    if (status == QM_OK)
        code = as_json ? print_json(preparation) : by_tensor ? print_tensors(preparation) : print_table(preparation);
done:
    qm_preparation_destroy(&preparation);
    if (status != QM_OK)
        return qm_interrupted() ? QM_EXIT_INTERRUPTED : qm_verb_fail(status);
    return code;
}
