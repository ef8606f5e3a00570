#include "report/show.h"
#include "record/node.h"
#include "record/result.h"
#include "report/accuracy.h"
#include "report/deployment.h"
#include "report/facts.h"
#include "report/model_facts.h"
#include "report/show_roofline.h"
#include "report/show_speed.h"
#include "report/table.h"
#include "sys/host.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct qm_show_style qm_show_style_of(int descriptor)
{
    bool is_terminal = qm_is_terminal(descriptor);
    return (struct qm_show_style){.columns = is_terminal ? qm_terminal_columns(descriptor, 80) : 0,
                                  .is_fancy = is_terminal && qm_locale_is_utf8()};
}

void qm_show_double(double value, char text[QM_SHOW_NUMBER_BYTES])
{
    double size = value < 0 ? -value : value;
    if (size >= 999.5 && size < 1e15) {
        char digits[32];
        int count = snprintf(digits, sizeof(digits), "%.0f", value);
        size_t used = 0;
        for (int i = 0; i < count; i++) {
            text[used++] = digits[i];
            if (digits[i] != '-' && i + 1 < count && (count - i - 1) % 3 == 0)
                text[used++] = ',';
        }
        text[used] = '\0';
        return;
    }
    // One digit more for what lies around 1, such as ratios.
    snprintf(text, QM_SHOW_NUMBER_BYTES, size >= 0.9995 && size < 10 ? "%.4g" : "%.3g", value);
}

void qm_show_number(const struct qm_node *node, char text[QM_SHOW_NUMBER_BYTES])
{
    double value = 0;
    if (qm_node_is_number(node) && qm_node_read_double(node, &value) == QM_OK) {
        qm_show_double(value, text);
        return;
    }
    const char *word = qm_node_text(node);
    snprintf(text, QM_SHOW_NUMBER_BYTES, "%.39s", word ? word : "absent");
}

void qm_show_interval(const struct qm_node *holder, const char *key, char text[QM_SHOW_INTERVAL_BYTES])
{
    char value[QM_SHOW_NUMBER_BYTES];
    char low[QM_SHOW_NUMBER_BYTES];
    char high[QM_SHOW_NUMBER_BYTES];
    const struct qm_node *low_node = qm_node_child(holder, "low");
    const struct qm_node *high_node = qm_node_child(holder, "high");
    qm_show_number(qm_node_is_mapping(holder) ? qm_node_child(holder, key) : holder, value);
    if (!qm_node_is_number(low_node) || !qm_node_is_number(high_node)) {
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "%s", value);
        return;
    }
    qm_show_number(low_node, low);
    qm_show_number(high_node, high);
    snprintf(text, QM_SHOW_INTERVAL_BYTES, "%s [%s, %s]", value, low, high);
}

// A fraction as percent; a word as it is.
static void show_percent(const struct qm_node *estimate, char text[QM_SHOW_NUMBER_BYTES])
{
    double value = 0;
    const struct qm_node *node = qm_node_is_mapping(estimate) ? qm_node_child(estimate, "value") : estimate;
    if (qm_node_is_number(node) && qm_node_read_double(node, &value) == QM_OK)
        snprintf(text, QM_SHOW_NUMBER_BYTES, "%.2f %%", value * 100);
    else
        qm_show_number(node, text);
}

static void show_bytes(const struct qm_node *node, char text[QM_SHOW_NUMBER_BYTES])
{
    uint64_t bytes = 0;
    if (qm_node_is_number(node) && qm_node_read_u64(node, &bytes) == QM_OK)
        snprintf(text, QM_SHOW_NUMBER_BYTES, "%.1f MiB", (double)bytes / 1048576.0);
    else
        qm_show_number(node, text);
}

const struct qm_node *qm_show_point(const struct qm_node *scheme, const char *phase)
{
    const struct qm_node *points = qm_node_child(scheme, "throughput");
    for (size_t i = 0; i < qm_node_count(points); i++)
        if (strcmp(qm_node_text_at(qm_node_at(points, i), "phase", ""), phase) == 0)
            return qm_node_at(points, i);
    return NULL;
}

const struct qm_node *qm_show_gain(const struct qm_node *scheme, const char *phase)
{
    const struct qm_node *gains = qm_node_child(scheme, "gain");
    for (size_t i = 0; i < qm_node_count(gains); i++)
        if (strcmp(qm_node_text_at(qm_node_at(gains, i), "phase", ""), phase) == 0)
            return qm_node_at(gains, i);
    return NULL;
}

static const char *format_of(const struct qm_node *scheme, const char *tensor)
{
    const struct qm_node *precision = qm_node_get(scheme, "disclosure.precision");
    const struct qm_node *format = qm_node_child(precision, tensor);
    const char *word = qm_node_text(format) ? qm_node_text(format) : qm_node_text(precision);
    return qm_node_text_at(format, "format", word ? word : "undisclosed");
}

void qm_show_accuracy(const struct qm_node *scheme, bool has_interval, char text[QM_SHOW_INTERVAL_BYTES])
{
    char number[QM_SHOW_NUMBER_BYTES];
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy");
    const struct qm_node *kl = qm_node_child(accuracy, "kl_divergence");
    if (!qm_node_is_mapping(accuracy)) {
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "accuracy: not measured");
    } else if (qm_node_child(accuracy, "reference") && !qm_node_is_number(qm_node_child(kl, "mean"))) {
        qm_show_number(qm_node_get(accuracy, "perplexity.value"), number);
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "perplexity %s, no reference", number);
    } else if (has_interval) {
        qm_show_interval(kl, "mean", text);
    } else {
        qm_show_number(qm_node_child(kl, "mean"), number);
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "%s", number);
    }
}

static void add_accuracy(struct qm_table *table, const struct qm_node *scheme)
{
    char text[QM_SHOW_INTERVAL_BYTES];
    char number[QM_SHOW_NUMBER_BYTES];
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy");
    if (!qm_node_is_mapping(accuracy)) {
        qm_table_cell(table, "accuracy: not measured");
        for (int i = 0; i < 4; i++)
            qm_table_cell(table, "-");
        return;
    }
    qm_show_accuracy(scheme, true, text);
    qm_table_cell(table, "%s", text);
    const struct qm_node *ratio = qm_node_get(accuracy, "perplexity.ratio");
    double value = 0;
    if (qm_node_double_at(ratio, "value", &value) && value < 100)
        snprintf(number, sizeof(number), "%.4f", value); // where it lies around 1
    else
        qm_show_number(qm_node_is_mapping(ratio) ? qm_node_child(ratio, "value") : ratio, number);
    qm_table_cell(table, "%s", number);
    show_percent(qm_node_child(accuracy, "top1_agreement"), number);
    qm_table_cell(table, "%s", number);
    show_percent(qm_node_child(accuracy, "exact_match"), number);
    qm_table_cell(table, "%s", number);
    qm_table_cell(table, "%s", qm_node_text_at(accuracy, "acceptance.verdict", "not stated"));
}

static void add_speed(struct qm_table *table, const struct qm_node *scheme, const char *baseline)
{
    static const char *const phases[] = {"prefill", "decode"};
    char text[QM_SHOW_INTERVAL_BYTES];
    char number[QM_SHOW_NUMBER_BYTES];
    for (size_t i = 0; i < 2; i++) {
        const struct qm_node *point = qm_show_point(scheme, phases[i]);
        if (point)
            qm_show_number(qm_node_child(point, "rate_tokens_per_s"), number);
        else
            snprintf(number, sizeof(number), "not measured");
        qm_table_cell(table, "%s", number);
    }
    qm_show_sustained_cell(scheme, text);
    qm_table_cell(table, "%s", text);
    for (size_t i = 0; i < 2; i++) {
        const struct qm_node *gain = qm_show_gain(scheme, phases[i]);
        if (gain)
            qm_show_interval(gain, "ratio", text);
        else
            snprintf(text, sizeof(text), "%s",
                     strcmp(qm_node_text_at(scheme, "name", ""), baseline) == 0 ? "baseline" : "not measured");
        qm_table_cell(table, "%s", text);
    }
    show_bytes(qm_node_get(scheme, "memory.total_bytes"), number);
    qm_table_cell(table, "%s", number);
}

static enum qm_status show_schemes(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    const char *baseline = qm_node_text_at(result, "profile.baseline", "");
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "weights", false);
    qm_table_column(table, "activations", false);
    qm_table_column(table, "KV cache", false);
    qm_table_column(table, "KL mean [interval]", false);
    qm_table_keep(table); // where the table is split, no part has a speed without it
    qm_table_column(table, "PPL ratio", true);
    qm_table_column(table, "top-1", true);
    qm_table_column(table, "exact", true);
    qm_table_column(table, "acceptance", false);
    qm_table_column(table, "prefill t/s", true);
    qm_table_column(table, "decode t/s", true);
    qm_table_column(table, "sustained", false);
    qm_table_column(table, "prefill gain", false);
    qm_table_column(table, "decode gain", false);
    qm_table_column(table, "memory", true);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        qm_table_row(table);
        qm_table_cell(table, "%s", qm_node_text_at(scheme, "name", "?"));
        if (!qm_result_row_is_ok(scheme)) {
            qm_table_span(table, "%s: %s", qm_result_status_word(scheme),
                          qm_node_text_at(scheme, "reason", "undisclosed"));
            continue;
        }
        qm_table_cell(table, "%s", format_of(scheme, "weights"));
        qm_table_cell(table, "%s", format_of(scheme, "activations"));
        qm_table_cell(table, "%s", format_of(scheme, "kv_cache"));
        add_accuracy(table, scheme);
        add_speed(table, scheme, baseline);
    }
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

// Of a widened model: what each scheme takes on the device, how far it is from the narrow one, and whether its weights'
// repetition makes it faster.
static enum qm_status show_widening(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    char text[QM_SHOW_INTERVAL_BYTES];
    char number[QM_SHOW_NUMBER_BYTES];
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "widened scheme", false);
    qm_table_column(table, "weights on device", true);
    qm_table_column(table, "KL to narrow [interval]", false);
    qm_table_column(table, "tokens", true);
    qm_table_column(table, "before timing", false);
    qm_table_column(table, "tokens", true);
    qm_table_column(table, "random codes / tiled [interval]", false);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const struct qm_node *widening = qm_node_child(scheme, "widening");
        if (!widening)
            continue;
        qm_table_row(table);
        qm_table_cell(table, "%s", qm_node_text_at(scheme, "name", "?"));
        show_bytes(qm_node_get(scheme, "memory.weights_bytes"), number);
        qm_table_cell(table, "%s", number);
        static const char *const parts[] = {"kl_to_narrow", "before_timing"};
        for (size_t k = 0; k < 2; k++) {
            const struct qm_node *part = qm_node_child(widening, parts[k]);
            qm_show_interval(part, "mean", text);
            qm_table_cell(table, "%s", text);
            qm_table_cell(table, "%s", qm_node_text_at(part, "tokens", "-"));
        }
        qm_show_interval(qm_node_child(widening, "random_codes"), "ratio", text);
        qm_table_cell(table, "%s", text);
    }
    fputs("\n", file);
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

static bool is_widened(const struct qm_node *result)
{
    return strcmp(qm_node_text_at(result, "model.widen", "1"), "1") != 0;
}

static enum qm_status show_tasks(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    char text[QM_SHOW_INTERVAL_BYTES];
    char number[QM_SHOW_NUMBER_BYTES];
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "task", false);
    qm_table_column(table, "difficulty", false);
    qm_table_column(table, "examples", true);
    qm_table_column(table, "graded", false);
    qm_table_column(table, "exact match [interval]", false);
    qm_table_column(table, "fp32", true);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const struct qm_node *tasks = qm_node_get(scheme, "accuracy.tasks");
        for (size_t j = 0; j < qm_node_count(tasks); j++) {
            const struct qm_node *task = qm_node_at(tasks, j);
            bool is_graded = false;
            qm_node_bool_at(task, "graded", &is_graded);
            qm_table_row(table);
            qm_table_cell(table, "%s", qm_node_text_at(scheme, "name", "?"));
            qm_table_cell(table, "%s", qm_node_text_at(task, "task", "?"));
            qm_table_cell(table, "%s", qm_node_text_at(task, "difficulty", "?"));
            qm_table_cell(table, "%s", qm_node_text_at(task, "examples", "?"));
            qm_table_cell(table, "%s", is_graded ? "yes" : "no");
            qm_show_interval(task, "value", text);
            qm_table_cell(table, "%s", text);
            qm_show_number(qm_node_child(task, "reference"), number);
            qm_table_cell(table, "%s", number);
        }
    }
    fputs("\n", file);
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

static const struct qm_node *first_ok(const struct qm_node *result)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (qm_result_row_is_ok(qm_node_at(schemes, i)))
            return qm_node_at(schemes, i);
    return NULL;
}

// The values of a path in all points of all schemes, each once: "base, dot".
static void list_values(const struct qm_node *result, const char *key, char text[QM_SHOW_INTERVAL_BYTES])
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    text[0] = '\0';
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *points = qm_node_child(qm_node_at(schemes, i), "throughput");
        for (size_t j = 0; j < qm_node_count(points); j++) {
            const char *value = qm_node_text_at(qm_node_at(points, j), key, "?");
            size_t used = strlen(text);
            if (!strstr(text, value))
                snprintf(text + used, QM_SHOW_INTERVAL_BYTES - used, "%s%s", used ? ", " : "", value);
        }
    }
}

static void show_set(const struct qm_node *set, const char *title, FILE *file)
{
    if (!qm_node_is_mapping(set)) {
        fprintf(file, "  %s: %s\n", title, set ? qm_node_text(set) : "undisclosed");
        return;
    }
    fprintf(file, "  %s: %s; %s sequences, %s tokens, sha256 %.12s\n", title,
            qm_node_text_at(set, "name", "undisclosed"), qm_node_text_at(set, "sequences", "undisclosed"),
            qm_node_text_at(set, "tokens", "undisclosed"), qm_node_text_at(set, "sha256", "undisclosed"));
}

// Of a model of real size; else the reference backend goes without saying.
static void show_reference(const struct qm_node *reference, FILE *file)
{
    double left_out = 0, difference = 0;
    if (!qm_node_is_mapping(reference))
        return;
    fprintf(file, "  fp32 reference: %s", qm_node_text_at(reference, "engine", "undisclosed"));
    if (qm_node_double_at(reference, "kl_left_out", &left_out) && left_out > 0)
        fprintf(file, "; the top %s tokens, for which KL means may be up to %.3g higher",
                qm_node_text_at(reference, "top_k", "undisclosed"), left_out);
    if (qm_node_double_at(reference, "difference", &difference))
        fprintf(file, "; %.2g nats at most from the %s in %s tokens\n", difference,
                qm_node_text_at(reference, "checked_with", "reference backend"),
                qm_node_text_at(reference, "checked_tokens", "undisclosed"));
    else
        fprintf(file, "; not compared: %s\n", qm_node_text_at(reference, "unchecked", "undisclosed"));
}

// The calibration of each scheme; schemes with the same one share a line.
static void show_calibrations(const struct qm_node *result, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    char lines[16][256];
    char names[16][256];
    size_t count = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const struct qm_node *set = qm_node_get(scheme, "disclosure.calibration_set");
        const struct qm_node *method = qm_node_get(scheme, "disclosure.calibration_method");
        char line[256];
        if (!qm_result_row_is_ok(scheme))
            continue;
        const char *set_name = qm_node_text(set) ? qm_node_text(set) : qm_node_text_at(set, "name", "undisclosed");
        const char *method_name =
            qm_node_text(method) ? qm_node_text(method) : qm_node_text_at(method, "name", "undisclosed");
        const char *parameters = qm_node_text_at(method, "parameters", "none");
        const char *overlap = qm_node_text_at(set, "overlap", "none");
        bool is_apart = strcmp(overlap, "none") == 0, has_parameters = strcmp(parameters, "none") != 0;
        snprintf(line, sizeof(line), "set %.70s%s%.50s, method %.40s%s%.60s", set_name,
                 is_apart ? "" : ", which holds ", is_apart ? "" : overlap, method_name, has_parameters ? ", " : "",
                 has_parameters ? parameters : "");
        size_t at = 0;
        while (at < count && strcmp(lines[at], line) != 0)
            at++;
        if (at == 16)
            continue;
        if (at == count) {
            memcpy(lines[count], line, sizeof(line));
            names[count++][0] = '\0';
        }
        size_t used = strlen(names[at]);
        snprintf(names[at] + used, sizeof(names[at]) - used, "%s%s", used ? ", " : "",
                 qm_node_text_at(scheme, "name", "?"));
    }
    for (size_t i = 0; i < count; i++)
        fprintf(file, "  calibration of %s: %s\n", names[i], lines[i]);
}

static void show_criteria(const struct qm_node *scheme, FILE *file)
{
    const struct qm_node *criteria = qm_node_get(scheme, "accuracy.acceptance.criteria");
    fprintf(file, "  acceptance:");
    for (size_t i = 0; i < qm_node_count(criteria); i++) {
        const struct qm_node *row = qm_node_at(criteria, i);
        char bound[QM_SHOW_NUMBER_BYTES];
        qm_show_number(qm_node_child(row, "bound"), bound);
        fprintf(file, "%s %s %s %s", i ? "," : "", qm_node_text_at(row, "metric", "?"),
                strcmp(qm_node_text_at(row, "side", ""), "at_least") == 0 ? ">=" : "<=", bound);
    }
    fprintf(file, "%s, judged by the interval\n", qm_node_count(criteria) ? "" : " not stated");
}

// "Q4_K 12, Q6_K 3, F32 7": what somebody quantized the model to.
static void show_file(const struct qm_node *model_file, FILE *file)
{
    const struct qm_node *types = qm_node_child(model_file, "tensors");
    fprintf(file, "  tensors of the model's file:");
    for (size_t i = 0; i < qm_node_count(types); i++)
        fprintf(file, "%s %s %s", i ? "," : "", qm_node_text_at(qm_node_at(types, i), "type", "?"),
                qm_node_text_at(qm_node_at(types, i), "tensors", "?"));
    fprintf(file, "; scheme file runs these codes, any other quantizes their values anew\n");
}

static void show_disclosure(const struct qm_node *result, FILE *file)
{
    struct qm_text told = {0}, lacking = {0};
    qm_fact_model_files(&told, &lacking, result);
    if (told.used > 0)
        fprintf(file, "  the model's files say: %s\n", qm_text_bytes(&told));
    if (lacking.used > 0)
        fprintf(file, "  they do not say: %s\n", qm_text_bytes(&lacking));
    qm_text_free(&told);
    qm_text_free(&lacking);
}

static void show_notes(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    char text[QM_SHOW_INTERVAL_BYTES];
    const struct qm_node *scheme = first_ok(result);
    const struct qm_node *prefill = qm_show_point(scheme, "prefill");
    const struct qm_node *decode = qm_show_point(scheme, "decode");
    double confidence = 0;
    fprintf(file, "\nnotes\n");
    if (style->is_changed && !style->has_cautions)
        fprintf(file, "  CHANGED: the file's hash is not that of its content; somebody edited it\n");
    if (strcmp(qm_node_text_at(result, "device.type", ""), "cpu") == 0 && !style->has_cautions)
        fprintf(file, "  stand-in: this device is software on the processor; its speed says nothing of a GPU\n");
    if (qm_node_get(result, "model.layers_run"))
        fprintf(file, "  kernel only: accuracy not measured: %s layers\n",
                qm_node_text_at(result, "model.layers_run", "?"));
    if (qm_node_get(result, "model.variant"))
        fprintf(file, "  variant of the model: %s\n", qm_node_text_at(result, "model.variant", "?"));
    if (qm_node_get(result, "model.file"))
        show_file(qm_node_get(result, "model.file"), file);
    if (strcmp(qm_node_text_at(result, "model.reference", ""), "none") == 0)
        fprintf(file,
                "  accuracy against fp32: no reference given; perplexity, and exact match of the right answers, alone. "
                "--reference names the model of floats that this one was made of\n");
    if (qm_node_is_mapping(qm_node_get(result, "model.reference")))
        fprintf(file, "  accuracy is against float32 of %s, %.12s\n",
                qm_node_text_at(result, "model.reference.name", "?"),
                qm_node_text_at(result, "model.reference.sha256", "?"));
    show_disclosure(result, file);
    if (qm_node_get(result, "model.padding"))
        fprintf(file, "  padded with zeros: %s\n", qm_node_text_at(result, "model.padding", "?"));
    if (qm_node_get(result, "model.fit"))
        fprintf(file, "  widen: as wide as it fits; %s\n", qm_node_text_at(result, "model.fit", "?"));
    if (qm_node_get(result, "run.retries"))
        fprintf(file, "  begun anew in a new process: %s\n", qm_node_text_at(result, "run.retries.0.reason", "?"));
    if (!scheme) {
        fprintf(file, "  nothing was measured: no scheme is ok\n");
        return;
    }
    if (!style->has_cautions)
        qm_show_warnings(result, file);
    fprintf(file, "  the table shows");
    if (prefill)
        fprintf(file, " prefill at batch %s, prompt %s%s", qm_node_text_at(prefill, "batch", "?"),
                qm_node_text_at(prefill, "prompt", "?"), decode ? " and" : "");
    if (decode)
        fprintf(file, " decode at batch %s, depth %s", qm_node_text_at(decode, "batch", "?"),
                qm_node_text_at(decode, "depth", "?"));
    if (decode && qm_node_get(decode, "batch_asked"))
        fprintf(file, " (the profile's batch of %s did not fit into memory)",
                qm_node_text_at(decode, "batch_asked", "?"));
    fprintf(file, "; --points lists all\n");
    fprintf(file, "  gain: rate over that of %s, from interleaved passes; intervals:",
            qm_node_text_at(result, "profile.baseline", "undisclosed"));
    if (qm_node_double_at(scheme, "accuracy.bootstrap.confidence", &confidence))
        fprintf(file, " %g %%\n", confidence * 100);
    else
        fprintf(file, " undisclosed\n");
    list_values(result, "tier", text);
    fprintf(file, "  tier: %s", text);
    list_values(result, "timer", text);
    fprintf(file, "; timer: %s; tiles: %s; protocol: ", text,
            qm_node_text_at(scheme, "disclosure.tool_chain.tiles", "undisclosed"));
    list_values(result, "protocol", text);
    fprintf(file, "%s; sustained: %s\n", text, qm_node_text_at(scheme, "sustained", "--sustained lists it"));
    fprintf(file, "  policy: %s\n", qm_node_text_at(scheme, "disclosure.tool_chain.policy", "undisclosed"));
    qm_show_speed_notes(result, file);
    qm_show_ceilings(result, file);
    show_criteria(scheme, file);
    qm_show_accuracy_notes(result, file);
    show_set(qm_node_get(scheme, "disclosure.evaluation_set"), "evaluation set", file);
    show_reference(qm_node_get(scheme, "disclosure.reference"), file);
    show_calibrations(result, file);
    fprintf(file, "  raw samples: %s\n",
            qm_node_text_at(result, "samples.file", qm_node_text_at(result, "samples", "absent")));
}

// What `show` writes, in lines of the terminal, or as it is in a pipe.
static enum qm_status write_wrapped(const struct qm_node *result, const struct qm_show_style *style,
                                    void (*show)(const struct qm_node *, const struct qm_show_style *, FILE *),
                                    FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = style->columns > 0 ? open_memstream(&text, &size) : NULL;
    if (style->columns > 0 && !memory)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a result; close other programs and try again");
    show(result, style, memory ? memory : file);
    if (memory) {
        fclose(memory);
        struct qm_text lines = {0};
        qm_text_wrap_lines(&lines, text, style->columns);
        fputs(qm_text_bytes(&lines), file);
        qm_text_free(&lines);
        free(text);
    }
    return QM_OK;
}

static void show_head(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    (void)style;
    char parameters[QM_SHOW_NUMBER_BYTES];
    char number[QM_SHOW_NUMBER_BYTES];
    qm_show_number(qm_node_get(result, "model.parameters"), parameters);
    fprintf(file, "%s, %s, driver %s %s\n", qm_node_text_at(result, "device.name", "?"),
            qm_node_text_at(result, "device.api", "?"), qm_node_text_at(result, "device.driver", "?"),
            qm_node_text_at(result, "device.driver_version", "?"));
    fprintf(file, "model %s, %s weights, widen: %s", qm_node_text_at(result, "model.name", "?"), parameters,
            qm_node_text_at(result, "model.widen", "?"));
    if (is_widened(result)) {
        qm_show_number(qm_node_get(result, "model.weights_on_device"), number);
        fprintf(file, " (%s weights on the device,", number);
        qm_show_number(qm_node_get(result, "model.operations_per_token"), number);
        fprintf(file, " %s operations a token)", number);
    }
    fprintf(file, "; profile %s (%s); qmark %s, %s\n\n", qm_node_text_at(result, "profile.name", "?"),
            qm_node_text_at(result, "run.class", "?"), qm_node_text_at(result, "qmark.version", "?"),
            qm_node_text_at(result, "run.started", "?"));
}

enum qm_status qm_show_rest(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    QM_TRY(qm_show_answers(result, style, file));
    QM_TRY(qm_show_deployment(result, style, file));
    if (is_widened(result))
        QM_TRY(show_widening(result, style, file));
    return write_wrapped(result, style, show_notes, file);
}

enum qm_status qm_show_result(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    QM_TRY(write_wrapped(result, style, show_head, file));
    QM_TRY(show_schemes(result, style, file));
    QM_TRY(qm_show_answers(result, style, file));
    QM_TRY(qm_show_deployment(result, style, file));
    if (is_widened(result))
        QM_TRY(show_widening(result, style, file));
    if (style->with_points)
        QM_TRY(qm_show_points(result, style, file));
    if (style->with_sustained)
        QM_TRY(qm_show_sustained(result, style, file));
    if (style->with_kernels)
        QM_TRY(qm_show_roofline(result, style, file));
    if (style->with_details)
        QM_TRY(qm_show_details(result, style, file));
    if (style->with_tasks)
        QM_TRY(show_tasks(result, style, file));
    return write_wrapped(result, style, show_notes, file);
}
