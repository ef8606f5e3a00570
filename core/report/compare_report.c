#include "report/compare_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "record/compare_rates.h"
#include "record/node.h"
#include "report/accuracy.h"
#include "report/table.h"

enum {
    POINT_BYTES = 96,
    RATE_BYTES = 96,
    DEVICES_SHOWN = 12
};

// ---- Parts --------------------------------------------------------------------------------------------------------

static const struct qm_node *kl_of(const struct qm_node *scheme)
{
    return qm_node_get(scheme, "accuracy.kl_divergence.mean");
}

static void show_kl(struct qm_table *table, const struct qm_node *scheme)
{
    char text[QM_SHOW_NUMBER_BYTES];
    const struct qm_node *kl = kl_of(scheme);
    qm_show_number(kl, text);
    qm_table_cell(table, "%s", kl ? text : "accuracy: not measured");
}

static void show_rate(struct qm_table *table, const struct qm_rate *rate)
{
    char value[QM_SHOW_NUMBER_BYTES], low[QM_SHOW_NUMBER_BYTES], high[QM_SHOW_NUMBER_BYTES];
    qm_show_double(rate->value, value);
    if (!rate->has_interval) {
        qm_table_cell(table, "%s (no interval)", value);
        return;
    }
    qm_show_double(rate->low, low);
    qm_show_double(rate->high, high);
    qm_table_cell(table, "%s [%s, %s]", value, low, high);
}

static void name_point(const struct qm_rate_pair *rate, char text[POINT_BYTES])
{
    if (rate->is_deployment) {
        snprintf(text, POINT_BYTES, "served, %.12s requests", qm_node_text_at(rate->a, "requests", "?"));
        return;
    }
    const char *phase = qm_node_text_at(rate->a, "phase", "?"), *key = strcmp(phase, "decode") ? "prompt" : "depth";
    snprintf(text, POINT_BYTES, "%s%.16s, batch %.12s, %s %.12s", rate->is_sustained ? "sustained " : "", phase,
             qm_node_text_at(rate->a, "batch", "?"), key, qm_node_text_at(rate->a, key, "?"));
}

// Whether it is the first of its phase and scheme, which stand for all where not all are asked for.
static bool is_first_of_phase(const struct qm_comparison *comparison, size_t index)
{
    const struct qm_rate_pair *rate = &comparison->rates[index];
    for (size_t i = 0; i < index && !rate->is_sustained && !rate->is_deployment; i++) {
        const struct qm_rate_pair *before = &comparison->rates[i];
        if (before->scheme == rate->scheme && !before->is_sustained &&
            strcmp(qm_node_text_at(before->a, "phase", ""), qm_node_text_at(rate->a, "phase", "")) == 0)
            return false;
    }
    return true;
}

// ---- A pair as text -----------------------------------------------------------------------------------------------

// The path with the scheme's name as '*', so that one difference of all schemes takes one line.
static void generalize(const char *path, char *out, size_t capacity)
{
    static const char start[] = "schemes[";
    const char *end = strchr(path, ']');
    if (strncmp(path, start, sizeof(start) - 1) == 0 && end && end[1] == '.')
        snprintf(out, capacity, "schemes[*%s", end);
    else
        snprintf(out, capacity, "%s", path);
}

static bool same_but_scheme(const struct qm_difference *a, const struct qm_difference *b)
{
    char left[sizeof(a->path) + 8];
    char right[sizeof(a->path) + 8];
    if (a->class != b->class || strcmp(a->a, b->a) != 0 || strcmp(a->b, b->b) != 0)
        return false;
    generalize(a->path, left, sizeof(left));
    generalize(b->path, right, sizeof(right));
    return strcmp(left, right) == 0;
}

// Of what is compared only the device is listed; the numbers stand in the table.
static bool is_listed(const struct qm_difference *difference)
{
    static const char *const identity[] = {"device.name", "device.api", "device.driver", "device.driver_version"};
    if (difference->class != QM_DIFFERENCE_SUBJECT)
        return true;
    for (size_t i = 0; i < sizeof(identity) / sizeof(identity[0]); i++)
        if (strcmp(difference->path, identity[i]) == 0)
            return true;
    return false;
}

static enum qm_status show_differences(const struct qm_comparison *comparison, const struct qm_show_style *style,
                                       FILE *file)
{
    struct qm_table *table = qm_table_create();
    size_t rows = 0;
    qm_table_column(table, "", false);
    qm_table_column(table, "field", false);
    qm_table_column(table, "A", false);
    qm_table_column(table, "B", false);
    qm_table_column(table, "why it matters", false);
    for (size_t i = 0; i < comparison->count; i++) {
        const struct qm_difference *difference = &comparison->differences[i];
        size_t first = 0;
        size_t like_it = 0;
        if (!is_listed(difference))
            continue;
        while (!same_but_scheme(difference, &comparison->differences[first]))
            first++;
        if (first < i)
            continue;
        for (size_t j = i; j < comparison->count; j++)
            like_it += same_but_scheme(difference, &comparison->differences[j]);
        char path[sizeof(difference->path) + 8];
        snprintf(path, sizeof(path), "%s", difference->path);
        if (like_it > 1)
            generalize(difference->path, path, sizeof(path));
        qm_table_row(table);
        qm_table_cell(table, "%s", qm_difference_class_name(difference->class));
        qm_table_cell(table, "%s", path);
        qm_table_cell(table, "%.32s%s", difference->a, strlen(difference->a) > 32 ? "..." : "");
        qm_table_cell(table, "%.32s%s", difference->b, strlen(difference->b) > 32 ? "..." : "");
        qm_table_span(table, "%s", difference->why);
        rows++;
    }
    if (rows > 0)
        fputc('\n', file);
    enum qm_status status = rows > 0 ? qm_table_write(table, file, 0, style->is_fancy) : QM_OK;
    qm_table_destroy(&table);
    return status;
}

// The components of the trade in which the two differ beyond what is compared, the fatal ones first.
static void show_components(const struct qm_comparison *comparison, FILE *file)
{
    bool is_first = true;
    bool is_said[QM_COMPONENT_COUNT] = {false};
    for (size_t i = 0; i < comparison->count; i++) {
        const struct qm_difference *difference = &comparison->differences[i];
        if (!difference->component || difference->class == QM_DIFFERENCE_SUBJECT)
            continue;
        bool *said = &is_said[difference->component - qm_components];
        if (!*said)
            fprintf(file, "%s%s (%s)", is_first ? "components that differ: " : ", ", difference->component->title,
                    qm_difference_class_name(difference->class));
        is_first = false;
        *said = true;
    }
    fputs(is_first ? "" : "\n", file);
}

static const char *status_of(const struct qm_node *scheme)
{
    return scheme ? qm_node_text_at(scheme, "status", "?") : "absent";
}

static enum qm_status show_schemes(const struct qm_comparison *comparison, const struct qm_show_style *style,
                                   FILE *file)
{
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "A", false);
    qm_table_column(table, "B", false);
    qm_table_column(table, "verdict", false);
    qm_table_column(table, "why", false);
    for (size_t i = 0; i < comparison->scheme_count; i++) {
        const struct qm_scheme_comparison *scheme = &comparison->schemes[i];
        qm_table_row(table);
        qm_table_cell(table, "%s", scheme->name);
        qm_table_cell(table, "%s", status_of(scheme->a));
        qm_table_cell(table, "%s", status_of(scheme->b));
        qm_table_cell(table, "%s", qm_comparison_verdict_name(scheme->verdict));
        qm_table_span(table, "%s", scheme->why);
    }
    fputc('\n', file);
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

// Answers to the user's examples, where both have them.
static enum qm_status show_answers(const struct qm_comparison *comparison, const struct qm_show_style *style,
                                   FILE *file)
{
    struct qm_table *table = qm_table_create();
    char a[QM_SHOW_INTERVAL_BYTES], b[QM_SHOW_INTERVAL_BYTES], reference[QM_SHOW_INTERVAL_BYTES];
    size_t shown = 0;
    qm_table_column(table, "answers", false);
    qm_table_column(table, "right A [interval]", false);
    qm_table_column(table, "right B [interval]", false);
    qm_table_column(table, "fp32 [interval]", false);
    for (size_t i = 0; i < comparison->scheme_count; i++) {
        const struct qm_scheme_comparison *scheme = &comparison->schemes[i];
        qm_show_answers_share(scheme->a, "accuracy", a);
        qm_show_answers_share(scheme->b, "accuracy", b);
        qm_show_answers_share(scheme->a, "reference", reference);
        if (!a[0] || !b[0])
            continue;
        qm_table_row(table);
        qm_table_cell(table, "%s", scheme->name);
        qm_table_cell(table, "%s", a);
        qm_table_cell(table, "%s", b);
        qm_table_cell(table, "%s", reference);
        shown++;
    }
    if (shown)
        fputc('\n', file);
    enum qm_status status = shown ? qm_table_write(table, file, style->columns, style->is_fancy) : QM_OK;
    qm_table_destroy(&table);
    return status;
}

static enum qm_status show_rates(const struct qm_comparison *comparison, const struct qm_show_style *style, FILE *file)
{
    struct qm_table *table = qm_table_create();
    char point[POINT_BYTES];
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "KL mean A", false); // no speed without it, whichever part of the table it stands in
    qm_table_keep(table);
    qm_table_column(table, "KL mean B", false);
    qm_table_keep(table);
    qm_table_column(table, "case", false);
    qm_table_column(table, "timer", false);
    qm_table_column(table, "A t/s [interval]", false);
    qm_table_column(table, "B t/s [interval]", false);
    qm_table_column(table, "B / A [interval]", false);
    for (size_t i = 0; i < comparison->rate_count; i++) {
        const struct qm_rate_pair *rate = &comparison->rates[i];
        const struct qm_scheme_comparison *scheme = &comparison->schemes[rate->scheme];
        if (!style->with_points && !is_first_of_phase(comparison, i))
            continue;
        name_point(rate, point);
        qm_table_row(table);
        qm_table_cell(table, "%s", scheme->name);
        show_kl(table, scheme->a);
        show_kl(table, scheme->b);
        qm_table_cell(table, "%s", point);
        qm_table_cell(table, "%s", rate->timer);
        show_rate(table, &rate->rate_a);
        show_rate(table, &rate->rate_b);
        show_rate(table, &rate->ratio);
    }
    fputc('\n', file);
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    fprintf(file, "%s\n", qm_rate_pair_note);
    return status;
}

static void show_input(const char *side, const struct qm_result_entry *entry, FILE *file)
{
    char device[160];
    snprintf(device, sizeof(device), "%.100s, %.40s", qm_node_text_at(entry->result, "device.name", "?"),
             qm_node_text_at(entry->result, "device.api", "?"));
    qm_text_clean(device);
    fprintf(file, "%s: %s (%s)%s\n", side, entry->path, device,
            entry->is_intact ? "" : ", CHANGED: its hash is not that of its content");
}

enum qm_status qm_compare_show(const struct qm_result_entry *a, const struct qm_result_entry *b,
                               const struct qm_comparison *comparison, const struct qm_show_style *style, FILE *file)
{
    show_input("A", a, file);
    show_input("B", b, file);
    fprintf(file, "%s\n", qm_comparison_verdict_name(comparison->pair));
    show_components(comparison, file);
    QM_TRY(show_differences(comparison, style, file));
    if (comparison->pair == QM_NOT_COMPARABLE)
        return QM_OK;
    QM_TRY(show_schemes(comparison, style, file));
    QM_TRY(show_answers(comparison, style, file));
    return comparison->rate_count > 0 ? show_rates(comparison, style, file) : QM_OK;
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

static void add_rate(struct qm_node *row, const char *name, const char *unit, const struct qm_rate *rate)
{
    char key[64];
    snprintf(key, sizeof(key), "%s%s", name, unit);
    qm_node_set_double(row, key, rate->value);
    static const char *const ends[] = {"low", "high"};
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof(key), "%s_%s%s", name, ends[i], unit);
        if (rate->has_interval)
            qm_node_set_double(row, key, i == 0 ? rate->low : rate->high);
        else
            qm_node_set_text(row, key, "no interval");
    }
}

static void add_kl(struct qm_node *row, const char *key, const struct qm_node *scheme)
{
    const struct qm_node *kl = kl_of(scheme);
    if (qm_node_is_text(kl))
        qm_node_set_node(row, key, qm_node_copy(kl));
    else
        qm_node_set_text(row, key, "not measured");
}

static const char *kind_of(const struct qm_rate_pair *rate)
{
    return rate->is_deployment ? "deployment" : rate->is_sustained ? "sustained" : "throughput";
}

static void add_rates(struct qm_node *row, const struct qm_comparison *comparison, size_t scheme)
{
    static const char *const keys[] = {"batch", "prompt", "depth"}, *const names[] = {"batch", "prompt_tokens",
                                                                                      "depth_tokens"};
    struct qm_node *rates = qm_node_add_sequence(row, "rates");
    for (size_t i = 0; i < comparison->rate_count; i++) {
        const struct qm_rate_pair *rate = &comparison->rates[i];
        if (rate->scheme != scheme)
            continue;
        struct qm_node *item = qm_node_append_mapping(rates);
        qm_node_set_text(item, "kind", kind_of(rate));
        if (!rate->is_deployment)
            qm_node_set_text(item, "phase", qm_node_text_at(rate->a, "phase", "?"));
        for (size_t k = 0; k < 3; k++)
            if (qm_node_is_text(qm_node_child(rate->a, keys[k])))
                qm_node_set_node(item, names[k], qm_node_copy(qm_node_child(rate->a, keys[k])));
        qm_node_set_text(item, "timer", rate->timer);
        add_rate(item, "rate_a", "_tokens_per_s", &rate->rate_a);
        add_rate(item, "rate_b", "_tokens_per_s", &rate->rate_b);
        add_rate(item, "ratio_b_over_a", "", &rate->ratio);
    }
}

void qm_compare_add_json(struct qm_node *pairs, const struct qm_result_entry *a, const struct qm_result_entry *b,
                         const struct qm_comparison *comparison, bool with_subjects)
{
    struct qm_node *pair = qm_node_append_mapping(pairs);
    qm_node_set_text(pair, "a", a->path);
    qm_node_set_bool(pair, "a_intact", a->is_intact);
    qm_node_set_text(pair, "b", b->path);
    qm_node_set_bool(pair, "b_intact", b->is_intact);
    qm_node_set_text(pair, "verdict", qm_comparison_verdict_name(comparison->pair));
    struct qm_node *rows = qm_node_add_sequence(pair, "differences");
    for (size_t k = 0; k < comparison->count; k++) {
        const struct qm_difference *difference = &comparison->differences[k];
        if (!with_subjects && difference->class == QM_DIFFERENCE_SUBJECT)
            continue;
        struct qm_node *row = qm_node_append_mapping(rows);
        qm_node_set_text(row, "field", difference->path);
        qm_node_set_text(row, "class", qm_difference_class_name(difference->class));
        qm_node_set_text(row, "component", difference->component ? difference->component->name : "none");
        qm_node_set_text(row, "a", difference->a);
        qm_node_set_text(row, "b", difference->b);
        qm_node_set_text(row, "why", difference->why);
    }
    rows = qm_node_add_sequence(pair, "schemes");
    for (size_t s = 0; s < comparison->scheme_count; s++) {
        const struct qm_scheme_comparison *scheme = &comparison->schemes[s];
        struct qm_node *row = qm_node_append_mapping(rows);
        qm_node_set_text(row, "scheme", scheme->name);
        qm_node_set_text(row, "verdict", qm_comparison_verdict_name(scheme->verdict));
        qm_node_set_text(row, "why", scheme->why);
        qm_node_set_text(row, "a_status", status_of(scheme->a));
        qm_node_set_text(row, "b_status", status_of(scheme->b));
        add_kl(row, "kl_mean_a_nats_per_token", scheme->a);
        add_kl(row, "kl_mean_b_nats_per_token", scheme->b);
        add_rates(row, comparison, s);
    }
    qm_node_set_text(pair, "note", qm_rate_pair_note);
}

// ---- Rows ---------------------------------------------------------------------------------------------------------

const char *const qm_compare_columns[QM_COMPARE_COLUMNS] = {"a",
                                                            "b",
                                                            "device_a",
                                                            "device_b",
                                                            "pair_verdict",
                                                            "scheme",
                                                            "scheme_verdict",
                                                            "why",
                                                            "kind",
                                                            "phase",
                                                            "batch",
                                                            "prompt_tokens",
                                                            "depth_tokens",
                                                            "timer",
                                                            "kl_mean_a_nats_per_token",
                                                            "rate_a_tokens_per_s",
                                                            "rate_a_low_tokens_per_s",
                                                            "rate_a_high_tokens_per_s",
                                                            "kl_mean_b_nats_per_token",
                                                            "rate_b_tokens_per_s",
                                                            "rate_b_low_tokens_per_s",
                                                            "rate_b_high_tokens_per_s",
                                                            "ratio_b_over_a",
                                                            "ratio_b_over_a_low",
                                                            "ratio_b_over_a_high"};

// In Markdown an interval stands in its value's cell.
const char *const qm_compare_markdown_columns[QM_COMPARE_MARKDOWN_COLUMNS] = {"A",
                                                                              "B",
                                                                              "scheme",
                                                                              "verdict",
                                                                              "why",
                                                                              "KL mean A (nats per token)",
                                                                              "KL mean B (nats per token)",
                                                                              "point",
                                                                              "rate A (tokens/s)",
                                                                              "rate B (tokens/s)",
                                                                              "B over A"};

static void set_rate(struct qm_node *row, const char *name, const char *unit, const struct qm_rate *rate)
{
    const double values[] = {rate->value, rate->low, rate->high};
    static const char *const ends[] = {"", "_low", "_high"};
    for (size_t i = 0; i < (rate->has_interval ? 3u : 1u); i++) {
        char key[64];
        snprintf(key, sizeof(key), "%s%s%s", name, ends[i], unit);
        qm_node_set_double(row, key, values[i]);
    }
}

static void set_copy(struct qm_node *row, const char *key, const struct qm_node *node)
{
    if (qm_node_is_number(node))
        qm_node_set_node(row, key, qm_node_copy(node));
}

static struct qm_node *head_of(const struct qm_result_entry *a, const struct qm_result_entry *b,
                               const struct qm_comparison *comparison, const struct qm_scheme_comparison *scheme)
{
    struct qm_node *row = qm_node_new_mapping();
    qm_node_set_text(row, "a", a->path);
    qm_node_set_text(row, "b", b->path);
    qm_node_set_text(row, "device_a", qm_node_text_at(a->result, "device.name", ""));
    qm_node_set_text(row, "device_b", qm_node_text_at(b->result, "device.name", ""));
    qm_node_set_text(row, "pair_verdict", qm_comparison_verdict_name(comparison->pair));
    qm_node_set_text(row, "scheme", scheme->name);
    qm_node_set_text(row, "scheme_verdict", qm_comparison_verdict_name(scheme->verdict));
    qm_node_set_text(row, "why", scheme->why);
    add_kl(row, "kl_mean_a_nats_per_token", scheme->a); // no speed without it, or the words
    add_kl(row, "kl_mean_b_nats_per_token", scheme->b);
    return row;
}

static void set_ratio(struct qm_node *row, const struct qm_rate_pair *rate)
{
    qm_node_set_text(row, "kind", kind_of(rate));
    qm_node_set_text(row, "phase", qm_node_text_at(rate->a, "phase", ""));
    set_copy(row, "batch", qm_node_child(rate->a, "batch"));
    set_copy(row, "prompt_tokens", qm_node_child(rate->a, "prompt"));
    set_copy(row, "depth_tokens", qm_node_child(rate->a, "depth"));
    qm_node_set_text(row, "timer", rate->timer);
    set_rate(row, "rate_a", "_tokens_per_s", &rate->rate_a);
    set_rate(row, "rate_b", "_tokens_per_s", &rate->rate_b);
    set_rate(row, "ratio_b_over_a", "", &rate->ratio);
}

static void say_value(struct qm_node *to, const char *key, const struct qm_node *row, const char *name,
                      const char *unit)
{
    char keys[3][64], text[3][QM_SHOW_NUMBER_BYTES];
    static const char *const ends[] = {"", "_low", "_high"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%s%s%s", name, ends[i], unit);
        qm_show_number(qm_node_child(row, keys[i]), text[i]);
    }
    if (!qm_node_child(row, keys[0]))
        return;
    if (qm_node_child(row, keys[1]))
        qm_node_set_textf(to, key, "%s [%s, %s]", text[0], text[1], text[2]);
    else
        qm_node_set_text(to, key, text[0]);
}

// The same for people.
static struct qm_node *markdown_of(const struct qm_node *row)
{
    struct qm_node *to = qm_node_new_mapping();
    const char *key = qm_node_child(row, "prompt_tokens") ? "prompt" : "depth";
    const char *tokens = qm_node_text_at(row, "prompt_tokens", qm_node_text_at(row, "depth_tokens", NULL));
    qm_node_set_text(to, "A", qm_node_text_at(row, "a", ""));
    qm_node_set_text(to, "B", qm_node_text_at(row, "b", ""));
    qm_node_set_text(to, "scheme", qm_node_text_at(row, "scheme", ""));
    qm_node_set_text(to, "verdict", qm_node_text_at(row, "scheme_verdict", ""));
    qm_node_set_text(to, "why", qm_node_text_at(row, "why", ""));
    say_value(to, "KL mean A (nats per token)", row, "kl_mean_a_nats_per_token", "");
    say_value(to, "KL mean B (nats per token)", row, "kl_mean_b_nats_per_token", "");
    if (qm_node_child(row, "phase"))
        qm_node_set_textf(to, "point", "%s%s, batch %s%s%s%s%s",
                          strcmp(qm_node_text_at(row, "kind", ""), "sustained") == 0 ? "sustained " : "",
                          qm_node_text_at(row, "phase", ""), qm_node_text_at(row, "batch", "?"), tokens ? ", " : "",
                          tokens ? key : "", tokens ? " " : "", tokens ? tokens : "");
    say_value(to, "rate A (tokens/s)", row, "rate_a", "_tokens_per_s");
    say_value(to, "rate B (tokens/s)", row, "rate_b", "_tokens_per_s");
    say_value(to, "B over A", row, "ratio_b_over_a", "");
    return to;
}

enum qm_status qm_compare_export(const struct qm_export *export, const struct qm_result_entry *a,
                                 const struct qm_result_entry *b, const struct qm_comparison *comparison)
{
    for (size_t s = 0; s < comparison->scheme_count; s++) {
        const struct qm_scheme_comparison *scheme = &comparison->schemes[s];
        size_t written = 0;
        for (size_t i = 0; i < comparison->rate_count; i++) {
            if (comparison->rates[i].scheme != s)
                continue;
            struct qm_node *row = head_of(a, b, comparison, scheme);
            set_ratio(row, &comparison->rates[i]);
            QM_TRY(qm_export_row(export, row, markdown_of));
            written++;
        }
        if (written == 0)
            QM_TRY(qm_export_row(export, head_of(a, b, comparison, scheme), markdown_of));
    }
    return QM_OK;
}

// ---- One with many ------------------------------------------------------------------------------------------------

struct qm_table *qm_compare_many_begin(void)
{
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "B", false);
    qm_table_column(table, "device", false);
    qm_table_column(table, "verdict", false);
    qm_table_column(table, "schemes", true);
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "KL mean A", false);
    qm_table_keep(table);
    qm_table_column(table, "KL mean B", false);
    qm_table_keep(table);
    qm_table_column(table, "prefill B / A", false);
    qm_table_column(table, "decode B / A", false);
    qm_table_column(table, "why", false);
    return table;
}

static void show_first(struct qm_table *table, const struct qm_comparison *comparison, const char *phase)
{
    for (size_t i = 0; i < comparison->rate_count; i++) {
        const struct qm_rate_pair *rate = &comparison->rates[i];
        if (rate->scheme != comparison->rates[0].scheme || rate->is_sustained ||
            strcmp(qm_node_text_at(rate->a, "phase", ""), phase) != 0)
            continue;
        show_rate(table, &rate->ratio);
        return;
    }
    qm_table_cell(table, "-");
}

void qm_compare_many_row(struct qm_table *table, const struct qm_result_entry *b,
                         const struct qm_comparison *comparison)
{
    size_t comparable = 0;
    const struct qm_difference *first = comparison->count > 0 ? &comparison->differences[0] : NULL;
    for (size_t s = 0; s < comparison->scheme_count; s++)
        comparable += comparison->schemes[s].verdict != QM_NOT_COMPARABLE;
    qm_table_row(table);
    qm_table_cell(table, "%s%s", b->path, b->is_intact ? "" : " (CHANGED)");
    qm_table_cell(table, "%.40s, %s", qm_node_text_at(b->result, "device.name", "?"),
                  qm_node_text_at(b->result, "device.api", "?"));
    qm_table_cell(table, "%s", qm_comparison_verdict_name(comparison->pair));
    qm_table_cell(table, "%zu of %zu", comparable, comparison->scheme_count);
    if (comparison->rate_count > 0) {
        const struct qm_scheme_comparison *scheme = &comparison->schemes[comparison->rates[0].scheme];
        qm_table_cell(table, "%s", scheme->name);
        show_kl(table, scheme->a);
        show_kl(table, scheme->b);
        show_first(table, comparison, "prefill");
        show_first(table, comparison, "decode");
    } else {
        for (int i = 0; i < 5; i++)
            qm_table_cell(table, "-");
    }
    if (first && first->class != QM_DIFFERENCE_SUBJECT)
        qm_table_span(table, "%s: %s", first->path, first->why);
}

static size_t count_of(const struct qm_result_set *set, const size_t *groups, size_t group, const char *device)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += groups[i] == group && (!device || strcmp(set->entries[i].device, device) == 0);
    return count;
}

// The next entry of a group from `from` on whose device no earlier one of the group has; the count if there is none.
static size_t next_device(const struct qm_result_set *set, const size_t *groups, size_t group, size_t from)
{
    for (size_t i = from; i < set->count; i++) {
        bool is_new = groups[i] == group;
        for (size_t k = 0; is_new && k < i; k++)
            is_new = groups[k] != group || strcmp(set->entries[k].device, set->entries[i].device) != 0;
        if (is_new)
            return i;
    }
    return set->count;
}

void qm_compare_show_groups(const struct qm_result_set *set, const size_t *groups, size_t group_count, FILE *file)
{
    fprintf(file, "\ngroups in which each is comparable with each other: %zu\n", group_count);
    for (size_t g = 0; g < group_count; g++) {
        size_t shown = 0;
        fprintf(file, "  %zu: %zu result%s of", g + 1, count_of(set, groups, g, NULL),
                count_of(set, groups, g, NULL) == 1 ? "" : "s");
        for (size_t i = next_device(set, groups, g, 0); i < set->count; i = next_device(set, groups, g, i + 1)) {
            char device[160];
            if (++shown > DEVICES_SHOWN)
                continue;
            snprintf(device, sizeof(device), "%.100s, %.40s",
                     qm_node_text_at(set->entries[i].result, "device.name", "?"),
                     qm_node_text_at(set->entries[i].result, "device.api", "?"));
            qm_text_clean(device);
            fprintf(file, "%s %s (%zu)", shown > 1 ? ";" : "", device,
                    count_of(set, groups, g, set->entries[i].device));
        }
        if (shown > DEVICES_SHOWN)
            fprintf(file, "; %zu devices more", shown - DEVICES_SHOWN);
        fputc('\n', file);
    }
}

void qm_compare_groups_json(struct qm_node *list, const struct qm_result_set *set, const size_t *groups,
                            size_t group_count)
{
    for (size_t g = 0; g < group_count; g++) {
        struct qm_node *group = qm_node_append_mapping(list);
        struct qm_node *devices = qm_node_add_sequence(group, "devices");
        for (size_t i = next_device(set, groups, g, 0); i < set->count; i = next_device(set, groups, g, i + 1)) {
            struct qm_node *device = qm_node_append_mapping(devices);
            qm_node_set_text(device, "name", qm_node_text_at(set->entries[i].result, "device.name", "?"));
            qm_node_set_text(device, "api", qm_node_text_at(set->entries[i].result, "device.api", "?"));
            qm_node_set_u64(device, "results", count_of(set, groups, g, set->entries[i].device));
        }
        struct qm_node *files = qm_node_add_sequence(group, "files");
        for (size_t i = 0; i < set->count; i++)
            if (groups[i] == g)
                qm_node_append_text(files, set->entries[i].path);
    }
}
