#include "report/statement.h"
#include "record/audit.h"
#include "record/components.h"
#include "record/node.h"
#include "report/export.h"
#include "report/show.h"
#include "report/table.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS 100 // of paragraphs and of what stands in a table

// ---- The paragraph --------------------------------------------------------------------------------------------------

static const char *word_at(const struct qm_node *node, const char *path)
{
    const char *text = qm_node_text_at(node, path, NULL);
    return text && *text ? text : "undisclosed";
}

static const char *format_of(const struct qm_node *claim, const char *tensor)
{
    const struct qm_node *precision = qm_node_child(claim, "precision");
    const struct qm_node *value = qm_node_child(precision, tensor);
    const char *text = qm_node_text(value);
    return text && *text ? text : word_at(value, "format");
}

static void say_number(struct qm_text *out, const struct qm_node *node)
{
    char number[QM_SHOW_NUMBER_BYTES];
    if (qm_node_is_number(node))
        qm_show_number(node, number);
    qm_text_append(out, "%s", qm_node_is_number(node) ? number : "undisclosed");
}

// The first gain of each phase; the others stand in the table.
static void say_gains(struct qm_text *out, const struct qm_node *claim)
{
    const struct qm_node *gains = qm_node_get(claim, "throughput_gain.gains");
    const struct qm_node *baseline = qm_node_get(claim, "throughput_gain.baseline");
    const char *over = qm_node_text(baseline) ? qm_node_text(baseline) : word_at(baseline, "scheme");
    size_t said = 0;
    for (size_t i = 0; i < qm_node_count(gains); i++) {
        const struct qm_node *gain = qm_node_at(gains, i);
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && strcmp(word_at(qm_node_at(gains, k), "phase"), word_at(gain, "phase")) != 0;
        if (!is_first)
            continue;
        if (said == 0)
            qm_text_append(out, "Its throughput gain over %s, on the same device, API, model and protocol, is ", over);
        qm_text_append(out, "%s", said ? " and " : "");
        qm_fact_estimate(out, gain, "ratio");
        qm_text_append(out, " (");
        size_t start = out->used;
        qm_fact_point(out, gain);
        qm_text_append(out, "%s)", out->used > start ? "" : "of an undisclosed case");
        said++;
    }
    if (said == 0)
        qm_text_append(out, "Its throughput gain over %s is not measured", over);
}

static const struct qm_node *find_metric(const struct qm_node *claim, const char *name)
{
    const struct qm_node *metrics = qm_node_get(claim, "accuracy.metrics");
    for (size_t i = 0; i < qm_node_count(metrics); i++)
        if (strcmp(qm_node_text_at(qm_node_at(metrics, i), "metric", ""), name) == 0)
            return qm_node_at(metrics, i);
    return NULL;
}

static void say_accuracy(struct qm_text *out, const struct qm_node *claim)
{
    static const struct {
        const char *metric;
        const char *words;
    } shown[] = {
        {"kl_divergence_mean", "mean KL divergence (nats per token)"},
        {"kl_divergence_p99", "99th percentile"},
        {"kl_divergence_max", "largest"},
        {"perplexity_ratio", "perplexity ratio"},
        {"top1_agreement", "top-1 agreement"},
        {"exact_match_ratio", "exact match ratio"},
    };
    double confidence = 0;
    const char *word = qm_fact_accuracy_word(claim);
    if (word) {
        qm_text_append(out, "; accuracy: %s. ", word);
        return;
    }
    qm_text_append(out, ". What it costs, against %s: ", word_at(claim, "accuracy.reference"));
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const struct qm_node *metric = find_metric(claim, shown[i].metric);
        qm_text_append(out, "%s%s ", i ? ", " : "", shown[i].words);
        // The tail of a sample has no interval, and none is expected.
        if (strstr(shown[i].metric, "_p99") || strstr(shown[i].metric, "_max"))
            say_number(out, qm_node_child(metric, "value"));
        else
            qm_fact_estimate(out, metric, "value");
    }
    qm_text_append(out, "; over ");
    say_number(out, qm_node_get(claim, "accuracy.tokens"));
    qm_text_append(out, " tokens of %s", word_at(claim, "accuracy.evaluation_set.name"));
    if (qm_node_double_at(claim, "accuracy.confidence", &confidence))
        qm_text_append(out, ", %g %% intervals. ", confidence * 100);
    else
        qm_text_append(out, ", intervals of undisclosed confidence. ");
}

// Whether the rate held, and what part of the burst is left; the rates themselves stand in the table.
static void say_steady(struct qm_text *out, const struct qm_node *claim, const char *steady)
{
    double rate = 0, burst = 0, deviation = 0;
    if (!steady)
        qm_text_append(out, "whether the rate was steady is undisclosed");
    else if (strcmp(steady, "too short") == 0)
        qm_text_append(out, "too short to show a steady rate");
    else if (strcmp(steady, "undecidable") == 0)
        qm_text_append(out, "whether the rate was steady cannot be told");
    else
        qm_text_append(out, "the rate was %s",
                       strcmp(steady, "no") == 0 || strcmp(steady, "false") == 0 ? "not steady" : "steady");
    if (steady && strcmp(steady, "undecidable") == 0 &&
        qm_node_double_at(claim, "sustained.windows.deviation", &deviation))
        qm_text_append(out, " from windows that scatter by %.2g %%", 100 * deviation);
    if (qm_node_double_at(claim, "sustained.rate", &rate) && qm_node_double_at(claim, "sustained.burst_rate", &burst) &&
        burst > 0)
        qm_text_append(out, ", at %.3g times its burst", rate / burst);
}

static void say_sustained(struct qm_text *out, const struct qm_node *claim)
{
    const char *steady = qm_node_text_at(claim, "sustained.steady", NULL);
    double seconds = 0;
    if (!qm_node_double_at(claim, "sustained.window_s", &seconds)) {
        qm_text_append(out, "Sustained: %s. ",
                       qm_node_text_at(claim, "sustained", NULL) ? word_at(claim, "sustained") : "undisclosed");
        return;
    }
    qm_text_append(out, "Measured for %.3g s at a time: ", seconds);
    say_steady(out, claim, steady);
    const char *throttling = qm_node_text_at(claim, "sustained.throttling", NULL);
    if (!qm_component_is_silent(throttling))
        qm_text_append(out, "; throttling: %s", throttling);
    qm_text_append(out, ". ");
}

void qm_statement_paragraph(struct qm_text *out, const struct qm_node *claim, const struct qm_audit *audit)
{
    qm_text_append(out, "%s has %s weights, %s activations and a KV cache of %s. This is said of %s (",
                   word_at(claim, "subject.scheme"), format_of(claim, "weights"), format_of(claim, "activations"),
                   format_of(claim, "kv_cache"), word_at(claim, "subject.model"));
    say_number(out, qm_node_get(claim, "subject.parameters"));
    qm_text_append(out, " weights, widen: %s", word_at(claim, "subject.widen"));
    if (qm_node_get(claim, "subject.weights_on_device")) {
        qm_text_append(out, ": ");
        say_number(out, qm_node_get(claim, "subject.weights_on_device"));
        qm_text_append(out, " on the device, ");
        say_number(out, qm_node_get(claim, "subject.operations_per_token"));
        qm_text_append(out, " operations a token");
    }
    qm_text_append(out, ") on %s through %s, driver %s. ", word_at(claim, "subject.device"),
                   word_at(claim, "subject.api"), word_at(claim, "subject.driver"));
    say_gains(out, claim);
    say_accuracy(out, claim);
    qm_text_append(out, "By the bounds stated below, acceptance: %s. ", word_at(claim, "acceptance.verdict"));
    say_sustained(out, claim);
    const struct qm_node *remarks = qm_node_child(claim, "remarks");
    for (size_t i = 0; i < qm_node_count(remarks); i++)
        qm_text_append(out, "%s. ", qm_node_text(qm_node_at(remarks, i)));
    qm_text_append(out, "As a statement this is %s", qm_claim_verdict_name(audit->verdict));
    for (size_t i = 0; i < audit->reason_count; i++)
        qm_text_append(out, "%s%s", i ? "; " : ": ", audit->reasons[i]);
    qm_text_append(out, "%s%s.", audit->limit[0] ? ", " : "", audit->limit);
}

// ---- The table of the trade -----------------------------------------------------------------------------------------

// The lines of one component: what is told, then by name what is not.
static void say_component(struct qm_text *out, const struct qm_node *claim, const struct qm_audit_row *row)
{
    static const char *const words[] = {"undisclosed", "not shown", "contradiction"};
    qm_fact_component(out, claim, row->component);
    if (row->level == QM_UNDISCLOSED)
        return; // its one word has said so
    for (int kind = QM_GAP_MISSING; kind <= QM_GAP_CONTRADICTION; kind++) {
        bool is_first = true;
        for (size_t i = 0; i < row->gap_count; i++) {
            if ((int)row->gaps[i].kind != kind)
                continue;
            qm_text_append(out, "%s%s%s", is_first ? words[kind] : "", is_first ? ": " : ", ", row->gaps[i].title);
            is_first = false;
        }
        qm_text_append(out, "%s", is_first ? "" : "\n");
    }
}

// Adds each line as a row of its own; further ones have nothing in the columns before.
static void add_lines(struct qm_table *table, const char *first, const char *second, const char *lines)
{
    struct qm_text wrapped = {0};
    bool is_first = true;
    qm_text_wrap(&wrapped, lines, COLUMNS, 2);
    for (const char *line = qm_text_bytes(&wrapped); *line; is_first = false) {
        size_t length = strcspn(line, "\n");
        qm_table_row(table);
        qm_table_cell(table, "%s", is_first ? first : "");
        qm_table_cell(table, "%s", is_first ? second : "");
        qm_table_span(table, "%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    qm_text_free(&wrapped);
}

static enum qm_status no_memory(void)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a statement; close other programs and try again");
}

static enum qm_status write_markdown(const struct qm_node *claim, const struct qm_audit *audit, FILE *file)
{
    struct qm_text text = {0};
    qm_statement_paragraph(&text, claim, audit);
    fputs("### ", file);
    qm_export_markdown(word_at(claim, "title"), file);
    fputs("\n\n", file);
    qm_export_markdown(qm_text_bytes(&text), file);
    fputs("\n\n| component | disclosure | what is stated |\n|---|---|---|\n", file);
    bool failed = text.failed;
    qm_text_free(&text);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        say_component(&text, claim, &audit->rows[i]);
        fprintf(file, "| %s | %s | ", audit->rows[i].component->title, qm_disclosure_level_name(audit->rows[i].level));
        qm_export_markdown(qm_text_bytes(&text), file);
        fputs(" |\n", file);
        failed = failed || text.failed;
        qm_text_free(&text);
    }
    fprintf(file, "\nSource: %s, %s, %s; model %s, artifact %s.\n", word_at(claim, "claimant"), word_at(claim, "date"),
            word_at(claim, "source"), word_at(claim, "subject.model_sha256"), word_at(claim, "subject.artifact"));
    return failed ? no_memory() : QM_OK;
}

static enum qm_status write_text(const struct qm_node *claim, const struct qm_audit *audit, bool is_fancy, FILE *file)
{
    struct qm_text text = {0};
    struct qm_text wrapped = {0};
    qm_statement_paragraph(&text, claim, audit);
    qm_text_wrap(&wrapped, qm_text_bytes(&text), COLUMNS, 0);
    fprintf(file, "%s\n\n%s\n\n", word_at(claim, "title"), qm_text_bytes(&wrapped));
    bool failed = text.failed || wrapped.failed;
    qm_text_free(&text);
    qm_text_free(&wrapped);
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "component", false);
    qm_table_column(table, "disclosure", false);
    qm_table_column(table, "what is stated", false);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        const struct qm_audit_row *row = &audit->rows[i];
        say_component(&text, claim, row);
        add_lines(table, row->component->title, qm_disclosure_level_name(row->level), qm_text_bytes(&text));
        failed = failed || text.failed;
        qm_text_free(&text);
    }
    enum qm_status status = qm_table_write(table, file, 0, is_fancy);
    qm_table_destroy(&table);
    fprintf(file, "\nsource: %s, %s, %s\nmodel: %s\nartifact: %s\n", word_at(claim, "claimant"), word_at(claim, "date"),
            word_at(claim, "source"), word_at(claim, "subject.model_sha256"), word_at(claim, "subject.artifact"));
    return status == QM_OK && failed ? no_memory() : status;
}

enum qm_status qm_statement_write(const struct qm_node *claim, const struct qm_audit *audit,
                                  enum qm_statement_format format, bool is_fancy, FILE *file)
{
    return format == QM_STATEMENT_MARKDOWN ? write_markdown(claim, audit, file)
                                           : write_text(claim, audit, is_fancy, file);
}

// ---- The audit ------------------------------------------------------------------------------------------------------

static void say_findings(struct qm_text *out, const struct qm_node *claim, const struct qm_audit_row *row)
{
    if (row->level == QM_UNDISCLOSED) {
        qm_text_append(out, "so: %s\n", row->component->follows);
        return;
    }
    qm_fact_component(out, claim, row->component);
    for (size_t i = 0; i < row->gap_count; i++)
        qm_text_append(out, "%s: %s; so: %s\n",
                       row->gaps[i].kind == QM_GAP_CONTRADICTION ? "CONTRADICTION"
                                                                 : qm_gap_kind_name(row->gaps[i].kind),
                       row->gaps[i].title, row->gaps[i].follows);
}

enum qm_status qm_audit_write(const char *name, const struct qm_node *claim, const struct qm_audit *audit,
                              bool is_fancy, FILE *file)
{
    size_t counts[3] = {0};
    bool failed = false;
    struct qm_text text = {0};
    fprintf(file, "%s: %s\n", name, word_at(claim, "title"));
    if (!audit->is_of_files)
        fprintf(file, "  claimed by %s, of %s on %s; source: %s\n", word_at(claim, "claimant"),
                word_at(claim, "subject.model"), word_at(claim, "subject.device"), word_at(claim, "source"));
    const char *quote = qm_node_text_at(claim, "quote", NULL);
    const char *word = qm_fact_accuracy_word(claim);
    if (quote)
        fprintf(file, "  \"%s\"%s%s%s\n", quote, word ? " (accuracy: " : "", word ? word : "", word ? ")" : "");
    const struct qm_node *remarks = qm_node_child(claim, "remarks");
    for (size_t i = 0; i < qm_node_count(remarks); i++)
        fprintf(file, "  %s\n", qm_node_text(qm_node_at(remarks, i)));
    fputc('\n', file);
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "component", false);
    qm_table_column(table, "disclosure", false);
    qm_table_column(table, "what is told, what is missing, and what follows", false);
    for (size_t i = 0; i <= QM_COMPONENT_COUNT; i++) {
        const struct qm_audit_row *row = i > 0 ? &audit->rows[i - 1] : &audit->files;
        if (i == 0 && !audit->is_of_files)
            continue;
        counts[row->level] += i > 0;
        say_findings(&text, claim, row);
        add_lines(table, row->component->title, qm_disclosure_level_name(row->level), qm_text_bytes(&text));
        failed = failed || text.failed;
        qm_text_free(&text);
    }
    enum qm_status status = qm_table_write(table, file, 0, is_fancy);
    qm_table_destroy(&table);
    fprintf(file, "\nof %d components %zu disclosed, %zu partly, %zu undisclosed\n", (int)QM_COMPONENT_COUNT,
            counts[QM_DISCLOSED], counts[QM_PARTLY], counts[QM_UNDISCLOSED]);
    fprintf(file, "verdict: %s%s%s\n", qm_claim_verdict_name(audit->verdict), audit->limit[0] ? ", " : "",
            audit->limit);
    for (size_t i = 0; i < audit->reason_count; i++)
        fprintf(file, "  %s\n", audit->reasons[i]);
    bool is_first = true;
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        if (audit->rows[i].is_enough)
            continue;
        fprintf(file, "%s%s", is_first ? "  in the way of deployment-grade: " : ", ", audit->rows[i].component->title);
        is_first = false;
    }
    fputs(is_first ? "" : "\n", file);
    const char *accepted = qm_node_text_at(claim, "acceptance.verdict", NULL);
    if (!qm_component_is_silent(accepted) && strcmp(accepted, "pass") != 0)
        fprintf(file, "  by its own bounds the claim does not pass: %s\n", accepted);
    return status == QM_OK && failed ? no_memory() : status;
}
