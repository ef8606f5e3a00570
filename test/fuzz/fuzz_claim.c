// Fuzz target: any bytes are read as a claim. What is accepted has a verdict, is printed whole in every format, and
// means the same when it is written and read again; taking a component away never makes it better.
//
// Built by the CMake preset `fuzz`: build-fuzz/fuzz_claim -max_len=16384 -dict=test/fuzz/claim.dict CORPUS profiles/claims
#include "record/audit.h"
#include "record/claim.h"
#include "report/statement.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void print_all(const struct qm_node *claim, const struct qm_audit *audit)
{
    struct qm_beside rows[QM_BESIDE_MAX];
    const char *note = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    require(file != NULL);
    require(qm_statement_write(claim, audit, QM_STATEMENT_TEXT, false, file) == QM_OK);
    require(qm_statement_write(claim, audit, QM_STATEMENT_MARKDOWN, false, file) == QM_OK);
    require(qm_audit_write("f", claim, audit, false, file) == QM_OK);
    size_t beside = qm_claims_beside(claim, claim, rows, &note);
    require(beside <= QM_BESIDE_MAX && qm_beside_write(rows, beside, note, false, file) == QM_OK);
    fclose(file);
    require(strstr(text, qm_claim_verdict_name(audit->verdict)) != NULL);
    for (const char *c = text; *c; c++) // nothing that drives a terminal
        require((unsigned char)*c >= 0x20 ? *c != 0x7f : *c == '\n');
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        require(strstr(text, qm_components[i].title) != NULL);
    free(text);
    // What was cut to fit is still UTF-8, or no tree could hold it.
    struct qm_node *tree = qm_audit_tree(audit);
    for (size_t i = 0; i < beside; i++) {
        qm_node_set_text(tree, "claimed", rows[i].claimed);
        qm_node_set_text(tree, "ours", rows[i].ours);
        qm_node_set_text(tree, "what", rows[i].what);
    }
    require(qm_node_ok(tree));
    qm_node_destroy(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_node *claim = NULL;
    struct qm_node *again = NULL;
    struct qm_audit audit;
    struct qm_audit second;
    char *text = NULL;
    // The table that a claim is read by ends, and each row says what it is.
    static bool table_is_read;
    for (size_t i = 0; !table_is_read && qm_claim_table_path(i); i++)
        require(qm_claim_table_meaning(i)[0] != '\0');
    table_is_read = true;
    if (qm_claim_parse(bytes, count, "f", &claim) != QM_OK) {
        require(claim == NULL && strncmp(qm_error_text(), "f:", 2) == 0 && !strchr(qm_error_text(), '\n'));
        return 0;
    }
    qm_audit_claim(claim, &audit);
    require(audit.verdict == QM_CLAIM_DEPLOYMENT_GRADE || audit.reason_count > 0);
    print_all(claim, &audit);

    require(qm_node_write_yaml(claim, &text) == QM_OK);
    if (qm_claim_parse(text, strlen(text), "again", &again) == QM_OK) { // aliases written out may be too many values
        qm_audit_claim(again, &second);
        require(second.verdict == audit.verdict);
        for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
            require(second.rows[i].level == audit.rows[i].level && second.rows[i].gap_count == audit.rows[i].gap_count);
    }
    qm_node_destroy(&again);
    free(text);

    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        if (!qm_node_child(claim, qm_components[i].name))
            continue;
        struct qm_node *less = qm_node_copy(claim);
        qm_node_remove(less, qm_components[i].name);
        qm_audit_claim(less, &second);
        require(second.verdict <= audit.verdict && second.rows[i].level == QM_UNDISCLOSED);
        require(second.verdict < QM_CLAIM_DEPLOYMENT_GRADE);
        qm_node_destroy(&less);
    }
    qm_node_destroy(&claim);
    return 0;
}
