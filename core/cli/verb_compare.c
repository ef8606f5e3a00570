#include "cli/options.h"
#include "cli/verbs.h"
#include "record/compare.h"
#include "record/node.h"
#include "record/result.h"
#include "report/show.h"
#include "report/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 64

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
    generalize(a->path, left, sizeof(left));
    generalize(b->path, right, sizeof(right));
    return a->class == b->class && strcmp(left, right) == 0 && strcmp(a->a, b->a) == 0 && strcmp(a->b, b->b) == 0;
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

static enum qm_status print_differences(const struct qm_comparison *comparison, const struct qm_show_style *style)
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
        while (!same_but_scheme(difference, &comparison->differences[first]))
            first++;
        if (first < i || !is_listed(difference))
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
        fputc('\n', stdout);
    enum qm_status status = rows > 0 ? qm_table_write(table, stdout, 0, style->is_fancy) : QM_OK;
    qm_table_destroy(&table);
    return status;
}

// The components of the trade in which the two differ beyond what is compared, the fatal ones first.
static void print_components(const struct qm_comparison *comparison)
{
    bool is_first = true;
    bool is_said[QM_COMPONENT_COUNT] = {false};
    for (size_t i = 0; i < comparison->count; i++) {
        const struct qm_difference *difference = &comparison->differences[i];
        if (!difference->component || difference->class == QM_DIFFERENCE_SUBJECT)
            continue;
        bool *said = &is_said[difference->component - qm_components];
        if (!*said)
            printf("%s%s (%s)", is_first ? "components that differ: " : ", ", difference->component->title,
                   qm_difference_class_name(difference->class));
        is_first = false;
        *said = true;
    }
    fputs(is_first ? "" : "\n", stdout);
}

static const struct qm_node *find_scheme(const struct qm_node *result, const char *name)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "name", ""), name) == 0)
            return qm_node_at(schemes, i);
    return NULL;
}

static void add_numbers(struct qm_table *table, const struct qm_node *scheme)
{
    char text[QM_SHOW_NUMBER_BYTES];
    if (!scheme || strcmp(qm_node_text_at(scheme, "status", ""), "ok") != 0) {
        qm_table_cell(table, "%s", scheme ? qm_node_text_at(scheme, "status", "?") : "absent");
        qm_table_cell(table, "-");
        qm_table_cell(table, "-");
        return;
    }
    static const char *const phases[] = {"prefill", "decode"};
    const struct qm_node *kl = qm_node_get(scheme, "accuracy.kl_divergence.mean");
    qm_show_number(kl, text);
    qm_table_cell(table, "%s", kl ? text : "accuracy: not measured");
    for (size_t i = 0; i < 2; i++) {
        const struct qm_node *point = qm_show_point(scheme, phases[i]);
        qm_show_number(qm_node_child(point, "rate_tokens_per_s"), text);
        qm_table_cell(table, "%s", point ? text : "not measured");
    }
}

// Accuracy and speed side by side; only for results that may be compared.
static enum qm_status print_numbers(const struct qm_node *a, const struct qm_node *b, const struct qm_show_style *style)
{
    const struct qm_node *schemes = qm_node_child(a, "schemes");
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    static const char *const sides[] = {"A", "B"};
    for (size_t i = 0; i < 2; i++) {
        char title[32];
        snprintf(title, sizeof(title), "KL mean %s", sides[i]);
        qm_table_column(table, title, false);
        qm_table_keep(table);
        snprintf(title, sizeof(title), "prefill t/s %s", sides[i]);
        qm_table_column(table, title, true);
        snprintf(title, sizeof(title), "decode t/s %s", sides[i]);
        qm_table_column(table, title, true);
    }
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const char *name = qm_node_text_at(scheme, "name", "?");
        qm_table_row(table);
        qm_table_cell(table, "%s", name);
        add_numbers(table, scheme);
        add_numbers(table, find_scheme(b, name));
    }
    fputc('\n', stdout);
    enum qm_status status = qm_table_write(table, stdout, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

struct input {
    const char *file;
    struct qm_node *result;
    bool is_intact; // its hash is that of its content
};

static void print_input(const char *side, const struct input *input)
{
    printf("%s: %s (%s, %s)%s\n", side, input->file, qm_node_text_at(input->result, "device.name", "?"),
           qm_node_text_at(input->result, "device.api", "?"),
           input->is_intact ? "" : ", CHANGED: its hash is not that of its content");
}

static enum qm_status print_pair(const struct input *a, const struct input *b, const struct qm_comparison *comparison,
                                 const struct qm_show_style *style)
{
    print_input("A", a);
    print_input("B", b);
    printf("%s\n", qm_comparison_verdict_name(comparison->verdict));
    print_components(comparison);
    QM_TRY(print_differences(comparison, style));
    return comparison->verdict == QM_NOT_COMPARABLE ? QM_OK : print_numbers(a->result, b->result, style);
}

static void add_pair(struct qm_node *list, const struct input *a, const struct input *b,
                     const struct qm_comparison *comparison)
{
    struct qm_node *pair = qm_node_append_mapping(list);
    qm_node_set_text(pair, "a", a->file);
    qm_node_set_bool(pair, "a_intact", a->is_intact);
    qm_node_set_text(pair, "b", b->file);
    qm_node_set_bool(pair, "b_intact", b->is_intact);
    qm_node_set_text(pair, "verdict", qm_comparison_verdict_name(comparison->verdict));
    struct qm_node *rows = qm_node_add_sequence(pair, "differences");
    for (size_t k = 0; k < comparison->count; k++) {
        const struct qm_difference *difference = &comparison->differences[k];
        struct qm_node *row = qm_node_append_mapping(rows);
        qm_node_set_text(row, "field", difference->path);
        qm_node_set_text(row, "class", qm_difference_class_name(difference->class));
        qm_node_set_text(row, "component", difference->component ? difference->component->name : "none");
        qm_node_set_text(row, "a", difference->a);
        qm_node_set_text(row, "b", difference->b);
        qm_node_set_text(row, "why", difference->why);
    }
}

int qm_verb_compare(int argc, char **argv)
{
    bool as_json = false;
    bool done = false;
    bool is_any_not = false;
    bool is_first = true;
    struct qm_show_style style = qm_show_style_of(1);
    const struct qm_option options[] = {
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print the verdicts as JSON"},
    };
    const struct qm_command command = {.verb = "compare",
                                       .operands = "A B...",
                                       .operands_min = 2,
                                       .operands_max = FILES_MAX,
                                       .meaning =
                                           "Say of each pair of results whether they are comparable, and why not.",
                                       .details = "Exit code: 0 if all pairs are comparable, with notes or without; 13 "
                                                  "if one is not.",
                                       .options = options,
                                       .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    struct input inputs[FILES_MAX] = {{0}};
    struct qm_node *root = NULL;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        inputs[i].file = files[i];
        QM_GUARD(qm_result_load(files[i], &inputs[i].result, &inputs[i].is_intact));
    }
    struct qm_node *pairs = NULL;
    if (as_json) {
        root = qm_node_new_mapping();
        pairs = qm_node_add_sequence(root, "pairs");
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            struct qm_comparison comparison;
            QM_GUARD(qm_compare(inputs[i].result, inputs[j].result, &comparison));
            is_any_not = is_any_not || comparison.verdict == QM_NOT_COMPARABLE;
            if (!is_first && !as_json)
                fputc('\n', stdout);
            is_first = false;
            if (as_json)
                add_pair(pairs, &inputs[i], &inputs[j], &comparison);
            else
                status = print_pair(&inputs[i], &inputs[j], &comparison, &style);
            qm_comparison_free(&comparison);
            if (status != QM_OK)
                goto done;
        }
    }
    if (as_json && qm_verb_print_json(&root) != QM_EXIT_OK)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the output; compare fewer files at a time");
done:
    qm_node_destroy(&root);
    for (size_t i = 0; i < count; i++)
        qm_node_destroy(&inputs[i].result);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return is_any_not ? QM_EXIT_NOT_COMPARABLE : QM_EXIT_OK;
}
