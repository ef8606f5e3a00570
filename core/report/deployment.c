#include "report/deployment.h"

#include "record/node.h"
#include "record/result.h"
#include "report/accuracy.h"
#include "report/table.h"

static const struct qm_node *deployment_of(const struct qm_node *scheme)
{
    const struct qm_node *deployment = qm_result_row_is_ok(scheme) ? qm_node_child(scheme, "deployment") : NULL;
    return qm_node_is_mapping(deployment) ? deployment : NULL;
}

static void add_number(struct qm_table *table, const struct qm_node *node)
{
    char number[QM_SHOW_NUMBER_BYTES];
    qm_show_number(node, number);
    qm_table_cell(table, "%s", node ? number : "-");
}

// A share in percent, with its interval where there is one.
static void add_share(struct qm_table *table, const struct qm_node *estimate)
{
    double value = 0, low = 0, high = 0;
    if (!qm_node_double_at(estimate, "value", &value))
        add_number(table, qm_node_child(estimate, "value"));
    else if (qm_node_double_at(estimate, "low", &low) && qm_node_double_at(estimate, "high", &high))
        qm_table_cell(table, "%.1f %% [%.1f, %.1f]", value * 100, low * 100, high * 100);
    else
        qm_table_cell(table, "%.1f %%", value * 100);
}

static void add_interval(struct qm_table *table, const struct qm_node *holder)
{
    char text[QM_SHOW_INTERVAL_BYTES];
    qm_show_interval(holder, "value", text);
    qm_table_cell(table, "%s", holder ? text : "-");
}

static void add_percent(struct qm_table *table, const struct qm_node *node)
{
    double value = 0;
    if (qm_node_is_number(node) && qm_node_read_double(node, &value) == QM_OK)
        qm_table_cell(table, "%.2f %%", value * 100);
    else
        add_number(table, node);
}

// No rate without it: how far the logits of these weights, in passes like those that were timed, are from fp32's.
static void add_accuracy(struct qm_table *table, const struct qm_node *scheme)
{
    char share[QM_SHOW_INTERVAL_BYTES];
    qm_table_cell(table, "%s", qm_node_text_at(scheme, "name", "?"));
    qm_show_accuracy(scheme, false, share);
    qm_table_cell(table, "%s", share);
    add_percent(table, qm_node_get(scheme, "accuracy.top1_agreement.value"));
    qm_show_answers_share(scheme, "accuracy", share);
    if (share[0])
        qm_table_cell(table, "%s", share);
    else
        add_percent(table, qm_node_get(scheme, "accuracy.exact_match.value"));
}

static void add_row(struct qm_table *table, const struct qm_node *scheme, const struct qm_node *deployment)
{
    qm_table_row(table);
    add_accuracy(table, scheme);
    add_number(table, qm_node_child(deployment, "requests_per_s"));
    add_number(table, qm_node_child(deployment, "output_tokens_per_s"));
    add_interval(table, qm_node_get(deployment, "first_token_ms.p50"));
    add_interval(table, qm_node_get(deployment, "first_token_ms.p95"));
    add_number(table, qm_node_get(deployment, "first_token_ms.p99.value"));
    add_interval(table, qm_node_get(deployment, "token_ms.p50"));
    add_interval(table, qm_node_get(deployment, "token_ms.p95"));
    add_number(table, qm_node_get(deployment, "token_ms.p99.value"));
    add_share(table, qm_node_child(deployment, "within"));
    add_number(table, qm_node_child(deployment, "within_per_s"));
}

static void show_plan(const struct qm_node *result, const struct qm_node *deployment, FILE *file)
{
    fprintf(file, "\nserved: %s requests, %s + %s tokens, %s rounds; bounds: first token %s ms, then %s ms a token\n",
            qm_node_text_at(deployment, "requests", "?"), qm_node_text_at(deployment, "prompt_tokens", "?"),
            qm_node_text_at(deployment, "output_tokens", "?"), qm_node_text_at(deployment, "rounds", "?"),
            qm_node_text_at(result, "profile.deployment.bounds.first_token_ms", "?"),
            qm_node_text_at(result, "profile.deployment.bounds.token_ms", "?"));
    fprintf(file, "  %s\n", qm_node_text_at(deployment, "policy", "undisclosed"));
}

enum qm_status qm_show_deployment(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    static const struct {
        const char *title;
        bool is_number, is_kept;
    } columns[] = {{"served by", false, false},
                   {"KL mean", true, true},
                   {"top-1", true, true},
                   {"right", true, true},
                   {"requests/s", true, false},
                   {"tokens/s", true, false},
                   {"first token ms p50", false, false},
                   {"p95", false, false},
                   {"p99", true, false},
                   {"token ms p50", false, false},
                   {"p95", false, false},
                   {"p99", true, false},
                   {"within bounds", false, false},
                   {"of those/s", true, false}};
    const struct qm_node *schemes = qm_node_child(result, "schemes"), *first = NULL;
    for (size_t i = 0; i < qm_node_count(schemes) && !first; i++)
        first = deployment_of(qm_node_at(schemes, i));
    if (!first)
        return QM_OK;
    struct qm_table *table = qm_table_create();
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        qm_table_column(table, columns[i].title, columns[i].is_number);
        if (columns[i].is_kept)
            qm_table_keep(table);
    }
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i), *deployment = deployment_of(scheme);
        if (deployment)
            add_row(table, scheme, deployment);
    }
    show_plan(result, first, file);
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}
