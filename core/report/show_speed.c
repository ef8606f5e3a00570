#include "report/show_speed.h"

#include <stdlib.h>
#include <string.h>

#include "record/node.h"
#include "record/result.h"
#include "report/show_roofline.h"
#include "report/table.h"

static const char *name_of(const struct qm_node *scheme)
{
    return qm_node_text_at(scheme, "name", "?");
}

static void add_number(struct qm_table *table, const struct qm_node *node)
{
    char number[QM_SHOW_NUMBER_BYTES];
    qm_show_number(node, number);
    qm_table_cell(table, "%s", node ? number : "-");
}

static void add_interval(struct qm_table *table, const struct qm_node *holder, const char *key)
{
    char text[QM_SHOW_INTERVAL_BYTES];
    qm_show_interval(holder, key, text);
    qm_table_cell(table, "%s", text);
}

// The scheme and what it costs, which stand in every part of a table of speeds.
static void begin_columns(struct qm_table *table)
{
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "KL mean", false); // no speed without it
    qm_table_keep(table);
}

static void begin_row(struct qm_table *table, const struct qm_node *scheme)
{
    char text[QM_SHOW_INTERVAL_BYTES];
    qm_show_accuracy(scheme, false, text);
    qm_table_row(table);
    qm_table_cell(table, "%s", name_of(scheme));
    qm_table_cell(table, "%s", text);
}

static enum qm_status finish(struct qm_table *table, const struct qm_show_style *style, FILE *file)
{
    fputs("\n", file);
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

// ---- Points -------------------------------------------------------------------------------------------------------

static void add_point(struct qm_table *table, const struct qm_node *scheme, const struct qm_node *point,
                      const char *const latencies[3])
{
    const struct qm_node *latency = qm_node_child(point, "latency_ms");
    begin_row(table, scheme);
    qm_table_cell(table, "%s", qm_node_text_at(point, "phase", "?"));
    const char *asked = qm_node_text_at(point, "batch_asked", NULL);
    qm_table_cell(table, "%s%s%s%s", qm_node_text_at(point, "batch", "?"), asked ? " (of " : "", asked ? asked : "",
                  asked ? ")" : "");
    qm_table_cell(table, "%s", qm_node_text_at(point, "prompt", qm_node_text_at(point, "depth", "?")));
    add_interval(table, point, "rate_tokens_per_s");
    add_number(table, qm_node_child(point, "wall_rate_tokens_per_s"));
    add_number(table, qm_node_child(point, "rate_per_user_tokens_per_s"));
    for (size_t k = 0; k < 3; k++)
        add_number(table, qm_node_is_mapping(latency) ? qm_node_child(latency, latencies[k]) : latency);
    add_number(table, qm_node_get(point, "time_to_first_token_ms.p50"));
    qm_table_cell(table, "%s", qm_node_text_at(point, "tier", "?"));
    qm_table_cell(table, "%s", qm_node_text_at(point, "timer", "?"));
    qm_table_cell(table, "%s", qm_node_text_at(point, "passes", "?"));
    qm_table_cell(table, "%s", qm_node_text_at(point, "stopped", "-"));
    qm_table_span(table, "%s", qm_node_text_at(point, "oddities", "-"));
}

enum qm_status qm_show_points(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    static const char *const latencies[] = {"p50", "p95", "p99"};
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    char title[16];
    struct qm_table *table = qm_table_create();
    begin_columns(table);
    qm_table_column(table, "phase", false);
    qm_table_column(table, "batch", true);
    qm_table_column(table, "prompt or depth", true);
    qm_table_column(table, "t/s [interval]", false);
    qm_table_column(table, "wall t/s", true);
    qm_table_column(table, "t/s per user", true);
    for (size_t i = 0; i < 3; i++) {
        snprintf(title, sizeof(title), "%s ms", latencies[i]);
        qm_table_column(table, title, true);
    }
    qm_table_column(table, "first token ms", true);
    qm_table_column(table, "tier", false);
    qm_table_column(table, "timer", false);
    qm_table_column(table, "passes", true);
    qm_table_column(table, "stopped by", false);
    qm_table_column(table, "oddities", false);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const struct qm_node *points = qm_node_child(scheme, "throughput");
        for (size_t j = 0; qm_result_row_is_ok(scheme) && j < qm_node_count(points); j++)
            add_point(table, scheme, qm_node_at(points, j), latencies);
    }
    return finish(table, style, file);
}

// ---- Sustained ----------------------------------------------------------------------------------------------------

static const struct qm_node *sustained_of(const struct qm_node *scheme)
{
    const struct qm_node *sustained = qm_result_row_is_ok(scheme) ? qm_node_child(scheme, "sustained") : NULL;
    return qm_node_is_mapping(sustained) ? sustained : NULL;
}

static bool is_steady(const struct qm_node *sustained, const char *word)
{
    return strcmp(qm_node_text_at(sustained, "steady", ""), word) == 0;
}

void qm_show_sustained_cell(const struct qm_node *scheme, char text[QM_SHOW_SUSTAINED_BYTES])
{
    const struct qm_node *sustained = qm_node_child(scheme, "sustained");
    const char *steady = qm_node_text_at(sustained, "steady", "not measured");
    char number[QM_SHOW_NUMBER_BYTES];
    double deviation = 0;
    if (!qm_node_is_mapping(sustained))
        steady = "not measured";
    bool is_told = strcmp(steady, "yes") == 0 || strcmp(steady, "no") == 0;
    const struct qm_node *ratio = qm_node_get(sustained, "ratio_to_burst.value");
    if (is_told) {
        qm_show_number(ratio, number);
        snprintf(text, QM_SHOW_SUSTAINED_BYTES, "%s%s%s", qm_node_is_number(ratio) ? number : "",
                 qm_node_is_number(ratio) ? "x burst, " : "", strcmp(steady, "yes") == 0 ? "steady" : "not steady");
    } else if (strcmp(steady, "undecidable") == 0 && qm_node_double_at(sustained, "windows.deviation", &deviation)) {
        snprintf(text, QM_SHOW_SUSTAINED_BYTES, "undecidable (sd %.2g %%)", 100 * deviation);
    } else {
        snprintf(text, QM_SHOW_SUSTAINED_BYTES, "%.40s", steady);
    }
}

// "41 to 83": what a sensor told, from its lowest to its highest reading.
static void add_reading(struct qm_table *table, const struct qm_node *telemetry, const char *key)
{
    const struct qm_node *reading = qm_node_child(telemetry, key);
    char low[QM_SHOW_NUMBER_BYTES], high[QM_SHOW_NUMBER_BYTES];
    qm_show_number(qm_node_child(reading, "lowest"), low);
    qm_show_number(qm_node_child(reading, "highest"), high);
    if (qm_node_is_mapping(reading))
        qm_table_cell(table, "%s to %s", low, high);
    else
        add_number(table, reading);
}

static void add_run(struct qm_table *table, const struct qm_node *scheme, const struct qm_node *sustained)
{
    static const char *const percentiles[] = {"p5", "p50", "p95"};
    char text[QM_SHOW_SUSTAINED_BYTES];
    const char *phase = qm_node_text_at(sustained, "phase", "?");
    const char *key = strcmp(phase, "prefill") == 0 ? "prompt" : "depth";
    const struct qm_node *windows = qm_node_child(sustained, "windows"),
                         *telemetry = qm_node_child(sustained, "telemetry");
    begin_row(table, scheme);
    qm_table_cell(table, "%s, batch %s, %s %s", phase, qm_node_text_at(sustained, "batch", "?"), key,
                  qm_node_text_at(sustained, key, "?"));
    add_number(table, qm_node_child(sustained, "window_s"));
    add_interval(table, qm_node_child(sustained, "burst"), "rate");
    add_interval(table, sustained, "rate");
    add_interval(table, qm_node_child(sustained, "ratio_to_burst"), "value");
    qm_show_sustained_cell(scheme, text);
    const char *verdict = strstr(text, "x burst, "); // the ratio stands beside it
    qm_table_cell(table, "%s", verdict ? verdict + strlen("x burst, ") : text);
    for (size_t i = 0; i < 3; i++)
        add_number(table, qm_node_child(windows, percentiles[i]));
    add_reading(table, telemetry, "clock_mhz");
    add_reading(table, telemetry, "power_w");
    add_reading(table, telemetry, "temperature_c");
    add_number(table, qm_node_child(telemetry, "tokens_per_joule"));
}

enum qm_status qm_show_sustained(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    static const char *const titles[] = {"case",
                                         "s",
                                         "burst t/s [interval]",
                                         "last third t/s [interval]",
                                         "over burst",
                                         "verdict",
                                         "p5 t/s",
                                         "p50 t/s",
                                         "p95 t/s",
                                         "clock MHz",
                                         "power W",
                                         "temperature C",
                                         "tokens per joule"};
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    size_t runs = 0;
    struct qm_table *table = qm_table_create();
    begin_columns(table);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_table_column(table, titles[i], false);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *sustained = sustained_of(qm_node_at(schemes, i));
        if (!sustained)
            continue;
        add_run(table, qm_node_at(schemes, i), sustained);
        runs++;
    }
    if (runs == 0) {
        qm_table_destroy(&table);
        fputs("\nsustained: not measured\n", file);
        return QM_OK;
    }
    enum qm_status status = finish(table, style, file);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *sustained = sustained_of(qm_node_at(schemes, i));
        if (!sustained)
            continue;
        const char *remark = qm_node_text_at(sustained, "remark", NULL);
        fprintf(file, "%s: throttling: %s%s%s\n", name_of(qm_node_at(schemes, i)),
                qm_node_text_at(sustained, "throttling", "undisclosed"), remark ? "; " : "", remark ? remark : "");
    }
    return status;
}

// ---- Warnings -----------------------------------------------------------------------------------------------------

// The schemes whose sustained run ended with that word: "f16, w8a8". Returns how many.
static size_t list_steady(const struct qm_node *schemes, const char *word, char *text, size_t capacity)
{
    size_t count = 0;
    text[0] = '\0';
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        size_t used = strlen(text);
        const struct qm_node *sustained = sustained_of(qm_node_at(schemes, i));
        if (!sustained || !is_steady(sustained, word))
            continue;
        snprintf(text + used, capacity - used, "%s%.40s", used ? ", " : "", name_of(qm_node_at(schemes, i)));
        count++;
    }
    return count;
}

static void caution_sustained(const struct qm_node *schemes, struct qm_text *out)
{
    char names[256];
    size_t throttled = 0;
    if (list_steady(schemes, "too short", names, sizeof(names)) > 0)
        qm_text_append(out, "the sustained run is too short to show that the rate holds: %s\n", names);
    if (list_steady(schemes, "no", names, sizeof(names)) > 0)
        qm_text_append(out, "the rate did not hold: %s; the speeds of the table are of shorter passes\n", names);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *sustained = sustained_of(qm_node_at(schemes, i));
        const char *throttling = qm_node_text_at(sustained, "throttling", "none seen");
        if (!sustained || strcmp(throttling, "none seen") == 0)
            continue;
        if (throttled++ < QM_SHOW_CAUTIONS_MAX)
            qm_text_append(out, "throttling of %s: %s\n", name_of(qm_node_at(schemes, i)), throttling);
    }
    if (throttled > QM_SHOW_CAUTIONS_MAX)
        qm_text_append(out, "throttling of %zu schemes more; --sustained lists them\n",
                       throttled - QM_SHOW_CAUTIONS_MAX);
}

// Times with outliers or two modes; slow drifts and neighbours that are alike stand in the list of points.
static bool is_odd(const struct qm_node *point)
{
    const char *oddities = qm_node_text_at(point, "oddities", "none");
    return strstr(oddities, "outlier") || strstr(oddities, "two modes");
}

static void caution_odd(const struct qm_node *schemes, struct qm_text *out)
{
    const struct qm_node *first = NULL, *of = NULL;
    size_t odd = 0, all = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *points = qm_node_child(qm_node_at(schemes, i), "throughput");
        for (size_t k = 0; qm_result_row_is_ok(qm_node_at(schemes, i)) && k < qm_node_count(points); k++, all++) {
            if (!is_odd(qm_node_at(points, k)))
                continue;
            of = first ? of : qm_node_at(schemes, i);
            first = first ? first : qm_node_at(points, k);
            odd++;
        }
    }
    if (!first)
        return;
    const char *key = qm_node_child(first, "prompt") ? "prompt" : "depth";
    qm_text_append(out, "odd times at %zu of %zu points, such as %s %s, batch %s, %s %s: %s; --points lists all\n", odd,
                   all, name_of(of), qm_node_text_at(first, "phase", "?"), qm_node_text_at(first, "batch", "?"), key,
                   qm_node_text_at(first, key, "?"), qm_node_text_at(first, "oddities", "?"));
}

void qm_speed_cautions(struct qm_text *out, const struct qm_node *result)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    const struct qm_node *warnings = qm_node_get(result, "conditions.warnings");
    if (strcmp(qm_node_text_at(result, "model.cache_resident", ""), "yes") == 0)
        qm_text_append(out, "the weights fit a cache of the device: its memory's bandwidth is not in the speed\n");
    qm_weak_baseline_caution(out, result);
    caution_sustained(schemes, out);
    caution_odd(schemes, out);
    for (size_t i = 0; i < qm_node_count(warnings) && i < QM_SHOW_CAUTIONS_MAX; i++)
        qm_text_append(out, "%s\n",
                       qm_node_text_at(qm_node_at(warnings, i), "text",
                                       qm_node_text_at(qm_node_at(warnings, i), "code", "undisclosed")));
}

void qm_show_warnings(const struct qm_node *result, FILE *file)
{
    struct qm_text cautions = {0};
    qm_speed_cautions(&cautions, result);
    for (const char *line = qm_text_bytes(&cautions); *line;) {
        size_t length = strcspn(line, "\n");
        fprintf(file, "  WARNING: %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    qm_text_free(&cautions);
}

// ---- Notes --------------------------------------------------------------------------------------------------------

static void note_clock(const struct qm_node *timing, const char *key, const char *title, FILE *file)
{
    const struct qm_node *clock = qm_node_child(timing, key);
    const char *verdict = qm_node_text_at(clock, "verdict", "good");
    const char *reason = qm_node_text_at(clock, "reason", NULL);
    if (qm_node_is_mapping(clock) && strcmp(verdict, "good") != 0)
        fprintf(file, "  %s: %s%s%s%s\n", title, verdict, reason ? "; " : "", reason ? reason : "",
                strcmp(verdict, "void") == 0 ? "; rates are by the host's clock" : "");
}

static void note_bounded(const struct qm_node *scheme, FILE *file)
{
    const struct qm_node *bounded = qm_node_child(scheme, "latency_bounded");
    char bound[QM_SHOW_NUMBER_BYTES], kl[QM_SHOW_INTERVAL_BYTES], rate[QM_SHOW_INTERVAL_BYTES];
    const struct qm_node *mean = qm_node_get(scheme, "accuracy.kl_divergence.mean");
    if (!qm_result_row_is_ok(scheme) || !qm_node_is_mapping(bounded))
        return;
    qm_show_number(qm_node_child(bounded, "p99_ms_at_most"), bound);
    if (!qm_node_child(bounded, "rate_tokens_per_s")) {
        fprintf(file, "  latency-bounded %s: not even one sequence has 99 of 100 steps within %s ms\n", name_of(scheme),
                bound);
        return;
    }
    qm_show_interval(bounded, "rate_tokens_per_s", rate);
    qm_show_accuracy(scheme, false, kl);
    fprintf(file, "  latency-bounded %s: batch %s at depth %s has 99 of 100 steps within %s ms: %s t/s; %s%s\n",
            name_of(scheme), qm_node_text_at(bounded, "batch", "?"), qm_node_text_at(bounded, "depth", "?"), bound,
            rate, qm_node_is_number(mean) ? "KL mean " : "", kl);
}

void qm_show_speed_notes(const struct qm_node *result, FILE *file)
{
    const struct qm_node *timing = qm_node_child(result, "timing"), *noise = qm_node_child(timing, "noise_floor");
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    double detectable = 0, deviation = 0;
    if (qm_node_double_at(noise, "detectable", &detectable) && qm_node_double_at(noise, "deviation", &deviation))
        fprintf(
            file,
            "  noise floor: this machine shows no difference below %.2g %% (the baseline against itself, %s blocks, "
            "sd %.2g %%)\n",
            100 * detectable, qm_node_text_at(noise, "blocks", "?"), 100 * deviation);
    else if (timing)
        fprintf(file, "  noise floor: %s\n", qm_node_text(noise) ? qm_node_text(noise) : "undisclosed");
    note_clock(timing, "device_clock", "the device's clock", file);
    note_clock(timing, "device_timer", "the device's timer", file);
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        note_bounded(qm_node_at(schemes, i), file);
}
