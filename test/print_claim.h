// What claims print, for tests of claims.
#ifndef QM_TEST_PRINT_CLAIM_H
#define QM_TEST_PRINT_CLAIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "record/audit.h"
#include "report/facts.h"
#include "report/statement.h"

static inline char *print(const struct qm_node *claim, int how)
{
    char *bytes = NULL;
    size_t size = 0;
    struct qm_audit audit;
    FILE *file = open_memstream(&bytes, &size);
    assert_non_null(file);
    qm_audit_claim(claim, &audit);
    assert_int_equal(
        how == 2 ? qm_audit_write("c.yaml", claim, &audit, false, file)
                 : qm_statement_write(claim, &audit, how == 0 ? QM_STATEMENT_TEXT : QM_STATEMENT_MARKDOWN, false, file),
        QM_OK);
    fclose(file);
    return bytes;
}

// Where accuracy is not told, no line has a speed without saying so.
static inline void assert_no_half_claim(const struct qm_node *claim, const char *printed)
{
    char *text = strdup(printed);
    char *rest = NULL;
    assert_non_null(text);
    bool has_accuracy = qm_fact_accuracy_word(claim) == NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && !has_accuracy; line = strtok_r(NULL, "\n", &rest))
        if ((strstr(line, "times the baseline") || strstr(line, "TOPS (") || strstr(line, "tokens/s")) &&
            !strstr(line, "accuracy: "))
            fail_msg("a speed without accuracy: %s", line);
    free(text);
}

#endif
