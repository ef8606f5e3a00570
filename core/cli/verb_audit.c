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

struct run {
    const char *against; // NULL: nothing
    const char *scheme;  // of it; NULL: the one that the claim names
    struct qm_node *result;
    bool is_intact;
    bool is_fancy;
    struct qm_node *list; // for JSON, else NULL
};

// The scheme of the result that the claim is set beside: the one asked for, the one that the claim names, or the only
// one beside the baseline.
static enum qm_status choose_scheme(const struct run *run, const struct qm_node *claim, const char **out)
{
    const struct qm_node *schemes = qm_node_child(run->result, "schemes");
    const char *baseline = qm_node_text_at(run->result, "profile.baseline", "");
    const char *claimed = qm_node_text_at(claim, "subject.scheme", "");
    const char *other = NULL;
    size_t others = 0;
    char names[256] = "";
    *out = run->scheme;
    for (size_t i = 0; i < qm_node_count(schemes) && !*out; i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        const char *name = qm_node_text_at(scheme, "name", "?");
        size_t used = strlen(names);
        if (strcmp(qm_node_text_at(scheme, "status", ""), "ok") != 0)
            continue;
        snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", name);
        if (strcmp(name, claimed) == 0)
            *out = name;
        others += strcmp(name, baseline) != 0;
        other = strcmp(name, baseline) != 0 ? name : other;
    }
    if (!*out && others == 1)
        *out = other;
    if (!*out)
        return QM_FAIL(QM_INVALID, "%s: which scheme to set beside the claim? choose with --scheme: %s", run->against,
                       names[0] ? names : "none is ok");
    return QM_OK;
}

static enum qm_status make_beside(const struct run *run, const struct qm_node *claim, struct qm_beside *rows,
                                  size_t *count, const char **note)
{
    const char *scheme = NULL;
    struct qm_node *ours = NULL;
    QM_TRY(choose_scheme(run, claim, &scheme));
    QM_TRY(qm_claim_from_result(run->result, scheme, &ours));
    *count = qm_claims_beside(claim, ours, rows, note);
    qm_node_destroy(&ours);
    return QM_OK;
}

static void add_json(const struct run *run, const char *file, const struct qm_audit *audit, const struct qm_node *claim,
                     const struct qm_beside *beside, size_t count, const char *note)
{
    struct qm_node *row = qm_node_append_mapping(run->list);
    qm_node_set_text(row, "file", file);
    qm_node_set_node(row, "audit", qm_audit_tree(audit));
    struct qm_node *copy = qm_node_copy(claim);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) // no speed goes out without a word on its accuracy
        if (!qm_node_child(claim, qm_components[i].name))
            qm_node_set_text(copy, qm_components[i].name, "undisclosed");
    qm_node_set_node(row, "claim", copy);
    if (!run->against)
        return;
    struct qm_node *against = qm_node_add_mapping(row, "against");
    qm_node_set_text(against, "file", run->against);
    qm_node_set_bool(against, "intact", run->is_intact);
    qm_node_set_text(against, "note", note);
    struct qm_node *rows = qm_node_add_sequence(against, "rows");
    for (size_t i = 0; i < count; i++) {
        struct qm_node *item = qm_node_append_mapping(rows);
        qm_node_set_text(item, "what", beside[i].what);
        qm_node_set_text(item, "claimed", beside[i].claimed);
        qm_node_set_text(item, "ours", beside[i].ours);
        qm_node_set_text(item, "means", *beside[i].means ? beside[i].means : "none");
    }
}

static enum qm_status audit_file(const struct run *run, const char *file, bool *is_grade)
{
    struct qm_node *claim = NULL;
    struct qm_audit audit;
    struct qm_beside *beside = NULL;
    size_t count = 0;
    const char *note = "";
    enum qm_status status =
        qm_model_disclosure_is_for(file) ? qm_model_disclosure(file, &claim) : qm_claim_load(file, &claim);
    if (status != QM_OK)
        return status;
    qm_audit_claim(claim, &audit);
    *is_grade = audit.verdict == QM_CLAIM_DEPLOYMENT_GRADE;
    if (run->against) {
        beside = calloc(QM_BESIDE_MAX, sizeof(*beside));
        if (!beside)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an audit; close other programs and try again"));
        QM_GUARD(make_beside(run, claim, beside, &count, &note));
    }
    if (run->list) {
        add_json(run, file, &audit, claim, beside, count, note);
        goto done;
    }
    QM_GUARD(qm_audit_write(file, claim, &audit, run->is_fancy, stdout));
    if (run->against) {
        printf("\nagainst %s (%s, %s)%s\n\n", run->against, qm_node_text_at(run->result, "device.name", "?"),
               qm_node_text_at(run->result, "device.api", "?"),
               run->is_intact ? "" : ", CHANGED: its hash is not that of its content");
        QM_GUARD(qm_beside_write(beside, count, note, run->is_fancy, stdout));
    }
done:
    free(beside);
    qm_node_destroy(&claim);
    return status;
}

int qm_verb_audit(int argc, char **argv)
{
    bool done = false;
    bool is_all_grade = true;
    const char *format = "text";
    struct run run = {.is_fancy = qm_show_style_of(1).is_fancy};
    const struct qm_option options[] = {
        {"against", QM_OPTION_TEXT, &run.against, "RESULT", "set the numbers of one of your results beside the claim"},
        {"scheme", QM_OPTION_TEXT, &run.scheme, "NAME", "its scheme; the one that the claim names if not given"},
        {"format", QM_OPTION_TEXT, &format, "text|json", "text if not given"},
    };
    const struct qm_command command = {
        .verb = "audit",
        .operands = "CLAIM|MODEL...",
        .operands_min = 1,
        .operands_max = 64,
        .meaning = "Say of a claim, or of a model's files, what they disclose, what follows from each gap, and what "
                   "that is worth.",
        .details = "docs/CLAIM_FORMAT.md says how to write down what somebody claims; profiles/claims/ has examples.\n"
                   "MODEL is a GGUF file, or a directory with config.json: what it says of its own quantization.\n"
                   "Exit code: 0 if all claims are deployment-grade, 1 if one is not.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    struct qm_node *root = NULL;
    char *text = NULL;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        QM_GUARD(QM_FAIL(QM_INVALID, "--format is '%.40s'; expected text or json", format));
    if (run.scheme && !run.against)
        QM_GUARD(QM_FAIL(QM_INVALID, "--scheme is of the result that --against names; add --against RESULT"));
    if (run.against)
        QM_GUARD(qm_result_load(run.against, &run.result, &run.is_intact));
    if (strcmp(format, "json") == 0) {
        root = qm_node_new_mapping();
        run.list = qm_node_add_sequence(root, "audits");
    }
    for (size_t i = 0; i < count; i++) {
        bool is_grade = false;
        if (i > 0 && !run.list)
            fputc('\n', stdout);
        QM_GUARD(audit_file(&run, files[i], &is_grade));
        is_all_grade = is_all_grade && is_grade;
    }
    if (run.list) {
        QM_GUARD(qm_node_write_json(root, &text));
        fputs(text, stdout);
    }
done:
    free(text);
    qm_node_destroy(&root);
    qm_node_destroy(&run.result);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return is_all_grade ? QM_EXIT_OK : QM_EXIT_NO;
}
