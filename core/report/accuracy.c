#include "report/accuracy.h"
#include "record/node.h"
#include "report/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// "VALUE [LOW, HIGH]", the value alone where there is no interval.
static void add_estimate(struct qm_table *table, const struct qm_node *row)
{
    char value[QM_SHOW_NUMBER_BYTES];
    char low[QM_SHOW_NUMBER_BYTES];
    char high[QM_SHOW_NUMBER_BYTES];
    qm_show_number(qm_node_child(row, "value"), value);
    qm_show_number(qm_node_child(row, "low"), low);
    qm_show_number(qm_node_child(row, "high"), high);
    if (qm_node_is_number(qm_node_child(row, "low")) && qm_node_is_number(qm_node_child(row, "high")))
        qm_table_cell(table, "%s [%s, %s]", value, low, high);
    else
        qm_table_cell(table, "%s", value);
}

static void add_number(struct qm_table *table, const struct qm_node *row, const char *key)
{
    char number[QM_SHOW_NUMBER_BYTES] = "";
    if (qm_node_child(row, key))
        qm_show_number(qm_node_child(row, key), number);
    qm_table_cell(table, "%s", number);
}

static void add_over(struct qm_table *table, const struct qm_node *row)
{
    static const char *const keys[] = {"tokens", "examples"};
    char number[QM_SHOW_NUMBER_BYTES];
    for (size_t i = 0; i < 2; i++)
        if (qm_node_child(row, keys[i])) {
            qm_show_number(qm_node_child(row, keys[i]), number);
            bool is_one = strcmp(number, "1") == 0;
            qm_table_cell(table, "%s %.*s", number, (int)(strlen(keys[i]) - is_one), keys[i]);
            return;
        }
}

// Written where it has a row, and destroyed.
static enum qm_status end_table(struct qm_table **table, size_t shown, const struct qm_show_style *style, FILE *file)
{
    enum qm_status status = QM_OK;
    if (shown) {
        fputs("\n", file);
        status = qm_table_write(*table, file, style->columns, style->is_fancy);
    }
    qm_table_destroy(table);
    return status;
}

enum qm_status qm_show_details(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct qm_table *table = qm_table_create();
    size_t shown = 0;
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "detail", false);
    qm_table_column(table, "value [interval]", false);
    qm_table_column(table, "fp32", true);
    qm_table_column(table, "noise", true);
    qm_table_column(table, "over", true);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const struct qm_node *details = qm_node_get(scheme, "accuracy.details");
        for (size_t j = 0; j < qm_node_count(details); j++, shown++) {
            const struct qm_node *row = qm_node_at(details, j);
            qm_table_row(table);
            qm_table_cell(table, "%s", qm_node_text_at(scheme, "name", "?"));
            qm_table_cell(table, "%s", qm_node_text_at(row, "metric", "?"));
            add_estimate(table, row);
            add_number(table, row, "reference");
            add_number(table, row, "noise");
            add_over(table, row);
        }
    }
    return end_table(&table, shown, style, file);
}

// ---- Answers to a user's examples -----------------------------------------------------------------------------------

// A share, or a difference of shares, in percent.
static void show_share(const struct qm_node *estimate, char text[QM_SHOW_INTERVAL_BYTES])
{
    double value = 0, low = 0, high = 0;
    char word[QM_SHOW_NUMBER_BYTES];
    if (!qm_node_double_at(estimate, "value", &value)) {
        qm_show_number(qm_node_child(estimate, "value"), word);
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "%s", word);
    } else if (qm_node_double_at(estimate, "low", &low) && qm_node_double_at(estimate, "high", &high)) {
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "%.2f %% [%.2f, %.2f]", value * 100, low * 100, high * 100);
    } else {
        snprintf(text, QM_SHOW_INTERVAL_BYTES, "%.2f %%", value * 100);
    }
}

void qm_show_answers_share(const struct qm_node *scheme, const char *key, char text[QM_SHOW_INTERVAL_BYTES])
{
    const struct qm_node *answers = qm_node_get(scheme, "accuracy.answers");
    text[0] = '\0';
    if (qm_node_is_mapping(answers))
        show_share(qm_node_child(answers, key), text);
}

// The choices by each norm, where there are some: "sum 61.5 %, per character 64.2 %".
static void add_choices(struct qm_table *table, const struct qm_node *answers)
{
    const struct qm_node *choices = qm_node_child(answers, "choices");
    char text[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < qm_node_count(choices) && used < sizeof(text); i++) {
        const struct qm_node *row = qm_node_at(choices, i);
        double value = 0;
        if (qm_node_double_at(row, "value", &value))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.20s %.2f %%", used ? ", " : "",
                                     qm_node_text_at(row, "norm", "?"), value * 100);
    }
    qm_table_cell(table, "%s", text);
}

enum qm_status qm_show_answers(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    static const char *const shares[] = {"accuracy", "reference", "difference"};
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct qm_table *table = qm_table_create();
    char text[QM_SHOW_INTERVAL_BYTES];
    bool has_choices = false;
    size_t shown = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        has_choices |= qm_node_count(qm_node_get(qm_node_at(schemes, i), "accuracy.answers.choices")) > 0;
    qm_table_column(table, "answers", false);
    qm_table_column(table, "right [interval]", false);
    qm_table_column(table, "fp32 [interval]", false);
    qm_table_column(table, "difference [interval]", false);
    qm_table_column(table, "right to wrong", true);
    qm_table_column(table, "wrong to right", true);
    qm_table_column(table, "unjudged", true);
    qm_table_column(table, "examples", true);
    if (has_choices)
        qm_table_column(table, "choices", false);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i), *answers = qm_node_get(scheme, "accuracy.answers");
        if (!qm_node_is_mapping(answers))
            continue;
        qm_table_row(table);
        qm_table_cell(table, "%s", qm_node_text_at(scheme, "name", "?"));
        for (size_t k = 0; k < sizeof(shares) / sizeof(shares[0]); k++) {
            qm_show_answers_share(scheme, shares[k], text);
            qm_table_cell(table, "%s", text);
        }
        qm_table_cell(table, "%s", qm_node_text_at(answers, "right_to_wrong", "?"));
        qm_table_cell(table, "%s", qm_node_text_at(answers, "wrong_to_right", "?"));
        qm_table_cell(table, "%s", qm_node_text_at(answers, "unjudged", "?"));
        qm_table_cell(table, "%s", qm_node_text_at(answers, "examples", "?"));
        if (has_choices)
            add_choices(table, answers);
        shown++;
    }
    return end_table(&table, shown, style, file);
}

// Schemes of one verdict against one threshold, and between which numbers of examples they would be decided.
struct verdicts {
    size_t pass, fail, inconclusive;
    uint64_t least, most;
};

static void count_verdict(const struct qm_node *row, struct verdicts *verdicts)
{
    const char *verdict = qm_node_text_at(row, "verdict", "");
    uint64_t needed = 0;
    verdicts->pass += strcmp(verdict, "pass") == 0;
    verdicts->fail += strcmp(verdict, "fail") == 0;
    if (strcmp(verdict, "inconclusive") != 0)
        return;
    verdicts->inconclusive++;
    if (!qm_node_u64_at(row, "examples_needed", &needed))
        return;
    if (verdicts->least == 0 || needed < verdicts->least)
        verdicts->least = needed;
    if (needed > verdicts->most)
        verdicts->most = needed;
}

static void show_threshold(const struct qm_node *result, const char *threshold, const char *examples, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct verdicts verdicts = {0};
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *rows = qm_node_get(qm_node_at(schemes, i), "accuracy.exact_match.non_inferiority");
        for (size_t j = 0; j < qm_node_count(rows); j++)
            if (strcmp(qm_node_text_at(qm_node_at(rows, j), "threshold", ""), threshold) == 0)
                count_verdict(qm_node_at(rows, j), &verdicts);
    }
    fprintf(file,
            "  exact match of at least %s of fp32's, from %s graded examples: %zu pass, %zu fail, %zu inconclusive",
            threshold, examples, verdicts.pass, verdicts.fail, verdicts.inconclusive);
    if (verdicts.least && verdicts.least < verdicts.most)
        fprintf(file, " (%" PRIu64 " to %" PRIu64 " examples would tell)", verdicts.least, verdicts.most);
    else if (verdicts.least)
        fprintf(file, " (%" PRIu64 " examples would tell)", verdicts.least);
    fputs("\n", file);
}

// The scheme whose sets differ most, measured by what the scatter within them explains.
static void show_sets(const struct qm_node *result, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    const struct qm_node *worst = NULL;
    double most = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *sets = qm_node_get(qm_node_at(schemes, i), "accuracy.sets");
        double spread = 0;
        double expected = 0;
        if (!qm_node_double_at(sets, "spread", &spread) || !qm_node_double_at(sets, "expected", &expected) ||
            !(expected > 0) || (worst && spread / expected <= most))
            continue;
        most = spread / expected;
        worst = qm_node_at(schemes, i);
    }
    if (worst)
        fprintf(
            file,
            "  %zu evaluation sets: their mean KL scatters by %.3g times what the scatter within them explains (%s, "
            "the most of all schemes)\n",
            qm_node_count(qm_node_get(worst, "accuracy.sets.seeds")), most, qm_node_text_at(worst, "name", "?"));
}

void qm_show_accuracy_notes(const struct qm_node *result, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *exact = qm_node_get(qm_node_at(schemes, i), "accuracy.exact_match");
        const struct qm_node *rows = qm_node_child(exact, "non_inferiority");
        for (size_t j = 0; j < qm_node_count(rows); j++)
            show_threshold(result, qm_node_text_at(qm_node_at(rows, j), "threshold", "?"),
                           qm_node_text_at(exact, "examples", "?"), file);
        if (qm_node_count(rows) > 0)
            break;
    }
    show_sets(result, file);
}
