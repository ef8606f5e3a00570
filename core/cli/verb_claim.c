#include "cli/options.h"
#include "cli/verbs.h"
#include "model/disclosure.h"
#include "record/audit.h"
#include "record/claim.h"
#include "record/node.h"
#include "record/result.h"
#include "report/show.h"
#include "report/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum format {
    FORMAT_TEXT,
    FORMAT_MARKDOWN,
    FORMAT_JSON,
    FORMAT_YAML,
    FORMAT_COUNT,
};

struct run {
    enum format format;
    const char *scheme; // NULL: all that are ok, without the baseline
    bool is_fancy;
    bool is_any_less;     // a statement is not deployment-grade, or nothing can be claimed of a scheme
    size_t written;       // statements
    struct qm_node *list; // for JSON: statements, and what nothing is claimed of
    struct qm_node *refused;
    struct qm_node *claim; // for YAML: the one claim
};

static enum qm_status read_format(const char *name, enum format *out)
{
    static const char *const names[] = {"text", "markdown", "json", "yaml"};
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum format)i;
            return QM_OK;
        }
    }
    return QM_FAIL(QM_INVALID, "--format is '%.40s'; expected text, markdown, json or yaml", name);
}

static enum qm_status add_json(struct run *run, const char *file, const struct qm_audit *audit, struct qm_node *claim)
{
    struct qm_text statement = {0};
    qm_statement_paragraph(&statement, claim, audit);
    struct qm_node *row = qm_node_append_mapping(run->list);
    qm_node_set_text(row, "file", file);
    qm_node_set_text(row, "scheme", qm_node_text_at(claim, "subject.scheme", "undisclosed"));
    qm_node_set_text(row, "statement", qm_text_bytes(&statement));
    qm_node_set_node(row, "audit", qm_audit_tree(audit));
    qm_node_set_node(row, "claim", claim);
    qm_text_free(&statement);
    return QM_OK;
}

// Takes the claim over.
static enum qm_status write_claim(struct run *run, const char *file, struct qm_node *claim)
{
    struct qm_audit audit;
    qm_audit_claim(claim, &audit);
    run->is_any_less = run->is_any_less || audit.verdict != QM_CLAIM_DEPLOYMENT_GRADE;
    run->written++;
    if (run->format == FORMAT_JSON)
        return add_json(run, file, &audit, claim);
    if (run->format == FORMAT_YAML) {
        bool is_second = run->claim != NULL;
        qm_node_destroy(&run->claim);
        run->claim = claim;
        return is_second ? QM_FAIL(QM_INVALID,
                                   "%s: a CLAIM.yaml is about one scheme of one result, or one model; choose a "
                                   "scheme with --scheme, or give one operand",
                                   file)
                         : QM_OK;
    }
    if (run->written > 1)
        fputc('\n', stdout);
    enum qm_status status =
        qm_statement_write(claim, &audit, run->format == FORMAT_MARKDOWN ? QM_STATEMENT_MARKDOWN : QM_STATEMENT_TEXT,
                           run->is_fancy, stdout);
    qm_node_destroy(&claim);
    return status;
}

static enum qm_status write_scheme(struct run *run, const char *file, const struct qm_node *result, const char *scheme)
{
    struct qm_node *claim = NULL;
    QM_TRY(qm_claim_from_result(result, scheme, &claim));
    return write_claim(run, file, claim);
}

// What a model's files say, and `undisclosed` for whoever can fill in the rest.
static enum qm_status write_model(struct run *run, const char *file)
{
    struct qm_node *claim = NULL;
    if (run->scheme)
        return QM_FAIL(QM_INVALID, "%s: --scheme is of a result, and this is a model; leave it out", file);
    QM_TRY(qm_model_disclosure(file, &claim));
    if (run->format == FORMAT_YAML || run->format == FORMAT_JSON)
        qm_claim_fill(claim);
    return write_claim(run, file, claim);
}

// A scheme that is not ok has no speed and no claim, and that is said.
static void refuse(struct run *run, const char *file, const struct qm_node *scheme)
{
    const char *word = qm_result_status_word(scheme);
    const char *name = qm_node_text_at(scheme, "name", "?");
    const char *reason = qm_node_text_at(scheme, "reason", "undisclosed");
    run->is_any_less = true;
    if (run->format == FORMAT_JSON) {
        struct qm_node *row = qm_node_append_mapping(run->refused);
        qm_node_set_text(row, "file", file);
        qm_node_set_text(row, "scheme", name);
        qm_node_set_text(row, "status", qm_node_text_at(scheme, "status", "?"));
        qm_node_set_text(row, "reason", reason);
    } else if (run->format != FORMAT_YAML) {
        printf("%s%s: nothing is claimed of it: %s: %s\n", run->written > 0 ? "\n" : "", name, word, reason);
    }
}

static enum qm_status write_result(struct run *run, const char *file, const struct qm_node *result)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    const char *baseline = qm_node_text_at(result, "profile.baseline", "");
    size_t before = run->written;
    if (run->scheme)
        return write_scheme(run, file, result, run->scheme);
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const char *name = qm_node_text_at(scheme, "name", "?");
        if (strcmp(qm_node_text_at(scheme, "status", ""), "ok") == 0 && strcmp(name, baseline) != 0)
            QM_TRY(write_scheme(run, file, result, name));
    }
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "status", ""), "ok") != 0)
            refuse(run, file, qm_node_at(schemes, i));
    if (run->written == before)
        return QM_FAIL(QM_INVALID, "%s: nothing to claim: no scheme but the baseline (%s) is ok; 'qmark show' says why",
                       file, baseline);
    return QM_OK;
}

static enum qm_status write_file(struct run *run, const char *file)
{
    struct qm_node *result = NULL;
    bool is_intact = false;
    if (qm_model_disclosure_is_for(file))
        return write_model(run, file);
    enum qm_status status = qm_result_load(file, &result, &is_intact);
    if (status == QM_OK && !is_intact)
        status = QM_FAIL(QM_INVALID,
                         "%s: CHANGED: its hash is not that of its content; nothing is claimed of a result "
                         "that somebody edited, run it again",
                         file);
    if (status == QM_OK)
        status = write_result(run, file, result);
    qm_node_destroy(&result);
    return status;
}

static enum qm_status finish(struct run *run, struct qm_node **root)
{
    char *text = NULL;
    if (run->format == FORMAT_YAML)
        QM_TRY(qm_node_write_yaml(run->claim, &text));
    else if (run->format == FORMAT_JSON)
        QM_TRY(qm_node_write_json(*root, &text));
    if (text)
        fputs(text, stdout);
    free(text);
    return QM_OK;
}

int qm_verb_claim(int argc, char **argv)
{
    bool done = false;
    const char *format = "text";
    struct run run = {.is_fancy = qm_show_style_of(1).is_fancy};
    const struct qm_option options[] = {
        {"format", QM_OPTION_TEXT, &format, "text|markdown|json|yaml",
         "yaml is what 'qmark audit' reads; text if not given"},
        {"scheme", QM_OPTION_TEXT, &run.scheme, "NAME", "only this scheme; all but the baseline if not given"},
    };
    const struct qm_command command = {
        .verb = "claim",
        .operands = "RESULT|MODEL...",
        .operands_min = 1,
        .operands_max = 64,
        .meaning = "Write the statement that a result supports: the gain, what it cost, and how both came about.",
        .details = "Each number stands with its interval, and what is missing as 'undisclosed'. docs/CLAIM_FORMAT.md\n"
                   "says when a statement is deployment-grade. Exit code: 0 if all are, 1 if one is not.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    struct qm_node *root = NULL;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    QM_GUARD(read_format(format, &run.format));
    if (run.format == FORMAT_JSON) {
        root = qm_node_new_mapping();
        run.list = qm_node_add_sequence(root, "claims");
        run.refused = qm_node_add_sequence(root, "refused");
    }
    for (size_t i = 0; i < count; i++)
        QM_GUARD(write_file(&run, files[i]));
    QM_GUARD(finish(&run, &root));
done:
    qm_node_destroy(&root);
    qm_node_destroy(&run.claim);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return run.is_any_less ? QM_EXIT_NO : QM_EXIT_OK;
}
