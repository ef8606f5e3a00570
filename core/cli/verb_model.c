#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/forecast.h"
#include "bench/model_plan.h"
#include "bench/prepare.h"
#include "bench/prepare_deployment.h"
#include "bench/result_quantization.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "model/gguf.h"
#include "model/model_tokenizer.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "record/node.h"
#include "report/table.h"
#include "sys/file.h"
#include "sys/host.h"
#include "text/tokenizer.h"

struct tokenizer_facts {
    const char *kind; // NULL: there is none that can be used, and `reason` says why
    char reason[512], remark[160];
    char source[QM_PATH_BYTES]; // the name of its file
    size_t size, holes;
};

// All that is told, found before any of it is printed.
struct facts {
    char directory[QM_PATH_BYTES];
    struct qm_profile profile;
    struct qm_requests requests; // of its deployment
    struct qm_model *model;      // headers only
    char dtypes[96];
    struct tokenizer_facts tokenizer;
    struct qm_model_plan plan;
    struct qm_device_list devices;
    uint64_t rooms[QM_DEVICE_LIST_MAX];
    struct qm_forecast preparation, runs[QM_DEVICE_LIST_MAX];
};

// ---- Finding --------------------------------------------------------------------------------------------------------

// Of a GGUF file its own types, in the order of the tensors' names.
static void list_gguf_types(const struct qm_gguf *gguf, char *text, size_t capacity)
{
    size_t used = 0;
    for (size_t i = 0; i < gguf->tensor_count; ++i) {
        bool is_first = true;
        for (size_t before = 0; before < i && is_first; ++before)
            is_first = gguf->tensors[before].type != gguf->tensors[i].type;
        if (is_first && used < capacity)
            used +=
                (size_t)snprintf(text + used, capacity - used, "%s%s", used ? ", " : "", gguf->tensors[i].type->name);
    }
}

static void list_dtypes(const struct qm_weights *file, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    if (file->gguf) {
        list_gguf_types(file->gguf, text, capacity);
        return;
    }
    for (int dtype = 0; dtype < QM_DTYPE_COUNT; ++dtype) {
        bool is_used = false;
        for (size_t i = 0; i < file->count; ++i)
            is_used = is_used || file->entries[i].tensor->dtype == (enum qm_dtype)dtype;
        if (is_used && used < capacity)
            used += (size_t)snprintf(text + used, capacity - used, "%s%s", used ? ", " : "",
                                     qm_dtype_name((enum qm_dtype)dtype));
    }
}

static enum qm_status find_tokenizer(const struct facts *facts, struct tokenizer_facts *out)
{
    char path[QM_PATH_BYTES];
    struct qm_tokenizer *tokenizer = NULL;
    bool found = false;
    QM_TRY(qm_model_tokenizer_find(facts->directory, path, &found));
    if (!found) {
        snprintf(out->reason, sizeof(out->reason), "no tokenizer.json or tokenizer.model, so it takes token ids alone");
        return QM_OK;
    }
    if (qm_model_tokenizer_load(path, &tokenizer) != QM_OK) {
        const char *text = qm_error_text(), *name = strstr(text, qm_path_name(path));
        snprintf(out->reason, sizeof(out->reason), "%s", name ? name : text); // which directory is said already
        return QM_OK;
    }
    out->kind = qm_tokenizer_kind(tokenizer);
    snprintf(out->source, sizeof(out->source), "%s", qm_path_name(path));
    out->size = qm_tokenizer_size(tokenizer);
    out->holes = qm_tokenizer_holes(tokenizer);
    snprintf(out->remark, sizeof(out->remark), "%s", qm_tokenizer_remark(tokenizer));
    qm_tokenizer_destroy(&tokenizer);
    return QM_OK;
}

static enum qm_status find_facts(const char *name, const char *profile, const char *schemes, const char *devices,
                                 const char *deployment, struct facts *facts)
{
    char cache[QM_PATH_BYTES];
    if (qm_cache_directory(cache) != QM_OK)
        *cache = '\0'; // no home: no earlier run is known
    QM_TRY(qm_preparation_directory(name, facts->directory));
    QM_TRY(qm_profile_load(profile, &facts->profile));
    QM_TRY(qm_preparation_choose_schemes(name, schemes, &facts->profile));
    const struct qm_model_load_params params = {.multiple = qm_preparation_padding(&facts->profile),
                                                .only_headers = true};
    enum qm_status status = qm_model_load_with(facts->directory, &params, &facts->model);
    if (status != QM_OK)
        return status == QM_UNSUPPORTED ? QM_INVALID : status; // a model that cannot be run is bad input
    const struct qm_model_config *config = &facts->model->config;
    QM_TRY(qm_preparation_bind_schemes(&facts->profile, facts->model, facts->directory));
    for (size_t s = 0; s < facts->profile.scheme_count; ++s)
        QM_TRY(qm_artifact_check_patterns(&facts->profile.schemes[s], config));
    list_dtypes(facts->model->file, facts->dtypes, sizeof(facts->dtypes));
    QM_TRY(find_tokenizer(facts, &facts->tokenizer));
    if (deployment || facts->profile.has_deployment)
        QM_TRY(qm_profile_requests(&facts->profile, deployment, config, &facts->requests));
    qm_model_plan_make(&facts->profile, facts->requests.count > 0 ? &facts->requests : NULL, config, &facts->plan);
    QM_TRY(qm_device_list_make(NULL, devices, &facts->devices));
    if (devices && facts->devices.count == 0 && facts->devices.found > 0)
        return QM_FAIL(QM_INVALID, "--device %s names no device of this machine; there are %s", devices,
                       facts->devices.known);
    for (size_t i = 0; i < facts->devices.count; ++i) {
        facts->rooms[i] = qm_model_plan_room(&facts->devices.entries[i]);
        qm_forecast_run(cache, &facts->devices.entries[i], &facts->profile, config, &facts->runs[i]);
    }
    qm_forecast_preparation(cache, &facts->profile, config, &facts->preparation);
    return QM_OK;
}

// ---- Words ----------------------------------------------------------------------------------------------------------

enum {
    WORD_BYTES = 48
};

static const char *bytes_text(double bytes, char text[WORD_BYTES])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; ++unit)
        bytes /= 1024;
    snprintf(text, WORD_BYTES, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
    return text;
}

static const char *seconds_text(double seconds, char text[WORD_BYTES])
{
    if (seconds < 100)
        snprintf(text, WORD_BYTES, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(text, WORD_BYTES, "%.0f min", seconds / 60);
    else
        snprintf(text, WORD_BYTES, "%.1f h", seconds / 3600);
    return text;
}

// "1,234,567"
static const char *count_text(uint64_t count, char text[WORD_BYTES])
{
    char digits[WORD_BYTES];
    size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count), used = 0;
    for (size_t i = 0; i < length && used + 2 < WORD_BYTES; ++i) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

static const char *rope_name(const struct qm_model_config *config)
{
    return config->rope_scaling == QM_ROPE_LINEAR   ? "linear"
           : config->rope_scaling == QM_ROPE_LLAMA3 ? "llama3"
           : config->rope_scaling == QM_ROPE_LONG   ? "longrope, of a short context"
                                                    : "none";
}

static const char *fit_name(enum qm_plan_fit fit)
{
    static const char *const names[] = {[QM_PLAN_UNKNOWN] = "unknown",
                                        [QM_PLAN_FITS] = "yes",
                                        [QM_PLAN_MEMORY] = "no: memory",
                                        [QM_PLAN_BINDING] = "no: binding"};
    return names[fit];
}

// ---- As a tree ------------------------------------------------------------------------------------------------------

static void set_forecast(struct qm_node *node, const struct qm_forecast *forecast)
{
    if (forecast->is_known)
        qm_node_set_double(node, "seconds", (double)(uint64_t)(forecast->seconds + 0.5));
    else
        qm_node_set_text(node, "seconds", "unknown");
    qm_node_set_text(node, "based_on", forecast->based_on);
}

static void add_model(struct qm_node *root, const struct facts *facts)
{
    const struct qm_model *model = facts->model;
    const struct qm_model_config *c = &model->config;
    char padding[QM_PADDING_TEXT_BYTES];
    struct qm_node *node = qm_node_add_mapping(root, "model");
    qm_model_config_padding_text(c, padding);
    qm_node_set_text(node, "architecture", qm_architecture_info(c->architecture)->name);
    qm_node_set_u64(node, "layers", c->layers);
    qm_node_set_u64(node, "hidden_size", c->own.hidden);
    qm_node_set_u64(node, "intermediate_size", c->own.intermediate);
    qm_node_set_u64(node, "heads", c->heads);
    qm_node_set_u64(node, "kv_heads", c->kv_heads);
    qm_node_set_u64(node, "head_dim", c->own.head_dim);
    qm_node_set_u64(node, "vocabulary", c->vocabulary);
    qm_node_set_u64(node, "context", c->context);
    qm_node_set_u64(node, "window", c->window); // 0: none
    qm_node_set_u64(node, "window_from_layer", c->window_from);
    qm_node_set_u64(node, "full_every", c->window_every); // 0: as window_from_layer says
    qm_node_set_text(node, "rope_scaling", rope_name(c));
    qm_node_set_bool(node, "tied_head", c->tied_head);
    qm_node_set_text(node, "padding", padding[0] ? padding : "none");
    qm_node_set_u64(node, "parameters", model->parameters);
    qm_node_set_u64(node, "weights_on_device", qm_model_config_weights(c));
    qm_node_set_u64(node, "file_bytes", model->file_bytes);
    qm_node_set_u64(node, "files", model->file_count);
    qm_node_set_text(node, "dtypes", facts->dtypes);
    qm_result_add_quantization(node, model);
    node = qm_node_add_mapping(root, "tokenizer");
    qm_node_set_text(node, "kind", facts->tokenizer.kind ? facts->tokenizer.kind : "none");
    if (!facts->tokenizer.kind) {
        qm_node_set_text(node, "reason", facts->tokenizer.reason);
        return;
    }
    qm_node_set_text(node, "source", facts->tokenizer.source);
    qm_node_set_u64(node, "size", facts->tokenizer.size);
    qm_node_set_u64(node, "holes", facts->tokenizer.holes);
    qm_node_set_text(node, "remark", facts->tokenizer.remark);
}

static void add_schemes(struct qm_node *root, const struct facts *facts)
{
    struct qm_node *list = qm_node_add_sequence(root, "schemes");
    for (size_t s = 0; s < facts->profile.scheme_count; ++s) {
        const struct qm_model_plan_scheme *scheme = &facts->plan.schemes[s];
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "scheme", facts->profile.schemes[s].name);
        qm_node_set_text(row, "status", qm_status_name(scheme->status));
        if (scheme->status != QM_OK) {
            qm_node_set_text(row, "reason", scheme->reason);
            continue;
        }
        qm_node_set_double(row, "bits_per_weight", scheme->bits_per_weight);
        qm_node_set_u64(row, "weight_bytes", scheme->need.weight_bytes);
        qm_node_set_double(row, "kv_bytes_per_token", scheme->token_bytes);
        qm_node_set_u64(row, "cache_bytes", scheme->need.cache_bytes);
        qm_node_set_u64(row, "scratch_bytes", scheme->need.scratch_bytes);
        qm_node_set_u64(row, "run_bytes", scheme->run_bytes);
        qm_node_set_u64(row, "binding_bytes", scheme->need.binding_bytes);
        qm_node_set_text(row, "binding_of", scheme->need.binding_of);
    }
}

static struct qm_node *node_of(const struct facts *facts)
{
    struct qm_node *root = qm_node_new_mapping();
    add_model(root, facts);
    struct qm_node *run = qm_node_add_mapping(root, "run");
    qm_node_set_text(run, "profile", facts->profile.name);
    qm_node_set_u64(run, "window_tokens", facts->plan.window_tokens);
    qm_node_set_u64(run, "sequences", facts->plan.sequences);
    qm_node_set_u64(run, "all_schemes_bytes", facts->plan.all_bytes);
    if (facts->requests.count > 0) {
        qm_node_set_u64(run, "context", facts->plan.context);
        qm_node_set_u64(run, "requests", facts->requests.count);
    }
    set_forecast(qm_node_add_mapping(run, "preparing"), &facts->preparation);
    add_schemes(root, facts);
    struct qm_node *list = qm_node_add_sequence(root, "devices");
    for (size_t i = 0; i < facts->devices.count; ++i) {
        const struct qm_device_entry *device = &facts->devices.entries[i];
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "id", device->id);
        qm_node_set_text(row, "name", device->name);
        if (facts->rooms[i] > 0)
            qm_node_set_u64(row, "room_bytes", facts->rooms[i]);
        else
            qm_node_set_text(row, "room_bytes", "unknown");
        qm_node_set_u64(row, "max_binding_bytes", device->max_binding_bytes);
        struct qm_node *fits = qm_node_add_mapping(row, "fits");
        for (size_t s = 0; s < facts->profile.scheme_count; ++s) {
            const struct qm_model_plan_scheme *scheme = &facts->plan.schemes[s];
            enum qm_plan_fit fit = qm_model_plan_fit(scheme, device, facts->rooms[i]);
            struct qm_node *cell = qm_node_add_mapping(fits, facts->profile.schemes[s].name);
            qm_node_set_text(cell, "fits", scheme->status == QM_OK ? fit_name(fit) : "no: scheme");
            if (scheme->status == QM_OK && fit == QM_PLAN_FITS)
                qm_node_set_u64(cell, "tokens", qm_model_plan_tokens(scheme, facts->rooms[i]));
        }
        set_forecast(qm_node_add_mapping(row, "run"), &facts->runs[i]);
    }
    return root;
}

// ---- As text --------------------------------------------------------------------------------------------------------

static void print_model(const char *name, const struct facts *facts)
{
    const struct qm_model *model = facts->model;
    const struct qm_model_config *c = &model->config;
    const struct tokenizer_facts *tokenizer = &facts->tokenizer;
    char padding[QM_PADDING_TEXT_BYTES], words[2][WORD_BYTES];
    const bool is_usual = strcmp(tokenizer->source, "tokenizer.json") == 0;
    qm_model_config_padding_text(c, padding);
    printf("%s: %s\n", name, qm_architecture_info(c->architecture)->name);
    printf("  layers       %" PRIu32 "\n", c->layers);
    printf("  sizes        hidden %" PRIu32 ", intermediate %" PRIu32 ", vocabulary %" PRIu32 "\n", c->own.hidden,
           c->own.intermediate, c->vocabulary);
    printf("  heads        %" PRIu32 " of %" PRIu32 " values, %" PRIu32 " for keys and values\n", c->heads,
           c->own.head_dim, c->kv_heads);
    printf("  padding      %s\n", padding[0] ? padding : "none");
    printf("  context      %" PRIu32 " tokens; rope scaling: %s\n", c->context, rope_name(c));
    if (c->window > 0 && c->window_every > 0)
        printf("  window       attention sees %" PRIu32 " tokens, and all of them in one layer of %" PRIu32 "\n",
               c->window, c->window_every);
    else if (c->window > 0)
        printf("  window       attention sees %" PRIu32 " tokens, in layers from %" PRIu32 " on\n", c->window,
               c->window_from);
    else
        printf("  window       none: attention sees all tokens\n");
    printf("  head         %s\n", c->tied_head ? "tied to the embedding" : "its own");
    printf("  parameters   %s\n", count_text(model->parameters, words[0]));
    printf("  files        %zu, %s of %s\n", model->file_count, bytes_text((double)model->file_bytes, words[0]),
           facts->dtypes);
    if (model->quantization.method != QM_QUANTIZATION_NONE) {
        char how[QM_QUANTIZATION_LINE_BYTES];
        qm_quantization_words(&model->quantization, how);
        printf("  quantized    %s\n", how);
        printf("               %s weights in so many bits; scheme file runs them as they are\n",
               count_text(model->quantized_values, words[0]));
    }
    if (tokenizer->kind)
        printf("  tokenizer    %s%s%s, %s ids, %s of them holes%s%s\n", tokenizer->kind, is_usual ? "" : " of ",
               is_usual ? "" : tokenizer->source, count_text(tokenizer->size, words[0]),
               count_text(tokenizer->holes, words[1]), tokenizer->remark[0] ? "; " : "", tokenizer->remark);
    else
        printf("  tokenizer    none: %s\n", tokenizer->reason);
    if (tokenizer->kind && tokenizer->size > c->vocabulary)
        printf("               more ids than the vocabulary's rows: texts with the ids beyond are refused\n");
}

static void add_fit(struct qm_table *table, const struct qm_model_plan_scheme *scheme,
                    const struct qm_device_entry *device, uint64_t room)
{
    char words[WORD_BYTES];
    switch (qm_model_plan_fit(scheme, device, room)) {
    case QM_PLAN_FITS:
        qm_table_cell(table, "yes, %s tokens", count_text(qm_model_plan_tokens(scheme, room), words));
        break;
    case QM_PLAN_MEMORY:
        qm_table_cell(table, "no, lacks %s", bytes_text((double)(scheme->run_bytes - room), words));
        break;
    case QM_PLAN_BINDING:
        qm_table_cell(table, "no, binding");
        break;
    default:
        qm_table_cell(table, "unknown");
    }
}

static enum qm_status print_schemes(const struct facts *facts)
{
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "bits a weight", true);
    qm_table_column(table, "weights", true);
    qm_table_column(table, "cache a token", true);
    qm_table_column(table, "in the run", true);
    for (size_t i = 0; i < facts->devices.count; ++i)
        qm_table_column(table, facts->devices.entries[i].id, false);
    for (size_t s = 0; s < facts->profile.scheme_count; ++s) {
        const struct qm_model_plan_scheme *scheme = &facts->plan.schemes[s];
        char words[WORD_BYTES];
        qm_table_row(table);
        qm_table_cell(table, "%s", facts->profile.schemes[s].name);
        if (scheme->status != QM_OK) {
            qm_table_span(table, "%s", scheme->reason);
            continue;
        }
        qm_table_cell(table, "%.3g", scheme->bits_per_weight);
        qm_table_cell(table, "%s", bytes_text((double)scheme->need.weight_bytes, words));
        qm_table_cell(table, "%s", bytes_text(scheme->token_bytes, words));
        qm_table_cell(table, "%s", bytes_text((double)scheme->run_bytes, words));
        for (size_t i = 0; i < facts->devices.count; ++i)
            add_fit(table, scheme, &facts->devices.entries[i], facts->rooms[i]);
    }
    enum qm_status status = qm_table_write(table, stdout, qm_terminal_columns(1, 0), qm_is_terminal(1));
    qm_table_destroy(&table);
    return status;
}

static void print_forecast(const char *what, const struct qm_forecast *forecast)
{
    char words[WORD_BYTES];
    if (forecast->is_known)
        printf("  %s: roughly %s, scaled from %s\n", what, seconds_text(forecast->seconds, words), forecast->based_on);
    else
        printf("  %s: unknown, %s\n", what, forecast->based_on);
}

static void print_device(const struct facts *facts, size_t i)
{
    const struct qm_device_entry *device = &facts->devices.entries[i];
    uint64_t room = facts->rooms[i], largest = 0;
    const char *of = "";
    char words[2][WORD_BYTES], what[64];
    printf("%s %s\n", device->id, device->name);
    if (room == 0)
        printf("  memory: unknown, the driver does not say\n");
    else
        printf("  memory: %s; all schemes side by side take %s: %s\n", bytes_text((double)room, words[0]),
               bytes_text((double)facts->plan.all_bytes, words[1]),
               facts->plan.all_bytes <= room ? "fits" : "does not fit, those that come last fail; name fewer");
    for (size_t s = 0; s < facts->profile.scheme_count; ++s) {
        const struct qm_model_plan_scheme *scheme = &facts->plan.schemes[s];
        if (scheme->status == QM_OK && qm_model_plan_fit(scheme, device, room) == QM_PLAN_BINDING &&
            scheme->need.binding_bytes > largest) {
            largest = scheme->need.binding_bytes;
            of = scheme->need.binding_of;
        }
    }
    if (largest > 0)
        printf("  binding: one holds %s; %s takes up to %s\n", bytes_text((double)device->max_binding_bytes, words[0]),
               of, bytes_text((double)largest, words[1]));
    snprintf(what, sizeof(what), "a run of %.40s", facts->profile.name);
    print_forecast(what, &facts->runs[i]);
}

static enum qm_status print_facts(const char *name, const struct facts *facts)
{
    print_model(name, facts);
    printf("\nschemes of %s: %" PRIu32 " sequences of %" PRIu32 " tokens on the device, passes of up to %" PRIu32
           " tokens\n",
           facts->profile.name, facts->plan.sequences, facts->plan.context, facts->plan.rows);
    if (facts->requests.count > 0)
        printf("served: %" PRIu32 " requests of %" PRIu64 " + %" PRIu64 " tokens, %" PRIu32 " at a time\n",
               facts->requests.count, facts->requests.prompt_tokens, facts->requests.output_tokens,
               facts->profile.deployment.concurrency);
    QM_TRY(print_schemes(facts));
    printf("\n");
    print_forecast("preparing it, once", &facts->preparation);
    for (size_t i = 0; i < facts->devices.count; ++i)
        print_device(facts, i);
    if (facts->devices.count == 0)
        printf("no device was found through Vulkan or OpenCL; 'qmark devices --check' says why\n");
    return QM_OK;
}

// ---- The verb -------------------------------------------------------------------------------------------------------

int qm_verb_model(int argc, char **argv)
{
    const char *profile = "quick", *schemes = NULL, *devices = NULL, *deployment = NULL;
    bool as_json = false, done = false;
    const struct qm_option options[] = {
        {"scheme", QM_OPTION_TEXT, &schemes, "LIST", "only these schemes, and the baseline, with commas between"},
        {"profile", QM_OPTION_TEXT, &profile, "NAME|FILE", "the run that is asked about; quick if not given"},
        {"device", QM_OPTION_TEXT, &devices, "LIST",
         "only these: ids (vulkan:0), APIs or drivers, with commas between"},
        {"deployment", QM_OPTION_TEXT, &deployment, "FILE", "requests that the run serves as well"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print it as JSON"},
    };
    const struct qm_command command = {
        .verb = "model",
        .operands = "NAME|DIR|FILE",
        .operands_min = 1,
        .operands_max = 1,
        .meaning = "Say what a model is, what each scheme needs on each device here, and how long a run takes.",
        .details =
            "Only headers are read: nothing of the weights, and no device is opened. Times are scaled from what\n"
            "earlier runs on this machine took. Exit: 0 fine, 2 the model cannot be run.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    struct facts *facts = calloc(1, sizeof(*facts));
    if (!facts)
        return qm_verb_fail(QM_FAIL(QM_OUT_OF_MEMORY, "no memory to look at a model"));
    int code = QM_EXIT_OK;
    status = find_facts(operands[0], profile, schemes, devices, deployment, facts);
    if (status == QM_OK && as_json) {
        struct qm_node *root = node_of(facts);
        code = qm_verb_print_json(&root);
    } else if (status == QM_OK) {
        status = print_facts(operands[0], facts);
    }
    qm_requests_free(&facts->requests);
    qm_model_destroy(&facts->model);
    free(facts);
    return status != QM_OK ? qm_verb_fail(status) : code;
}
