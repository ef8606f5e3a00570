// Claims for people: the deployment-grade statement of a claim, and what an audit finds in one.
#ifndef QM_REPORT_STATEMENT_H
#define QM_REPORT_STATEMENT_H

#include "base/status.h"
#include "report/facts.h"

#include <stdbool.h>
#include <stdio.h>

struct qm_node;
struct qm_audit;

enum qm_statement_format {
    QM_STATEMENT_TEXT,
    QM_STATEMENT_MARKDOWN,
};

// One paragraph: what, where, the gain with its interval, what it cost, acceptance, how long it was measured, verdict.
// The accuracy stands in it, or the words `accuracy: not measured`; what is missing is `undisclosed`.
void qm_statement_paragraph(struct qm_text *out, const struct qm_node *claim, const struct qm_audit *audit);

// The title, the paragraph and the table of the trade: a row per component with all that is told and, by name, what is
// not.
QM_MUST_USE enum qm_status qm_statement_write(const struct qm_node *claim, const struct qm_audit *audit,
                                              enum qm_statement_format format, bool is_fancy, FILE *file);

// What an audit found: verdict with reasons, and for each component what is told, what is missing and what follows.
// `name` is the file's.
QM_MUST_USE enum qm_status qm_audit_write(const char *name, const struct qm_node *claim, const struct qm_audit *audit,
                                          bool is_fancy, FILE *file);

// One row of a claim beside a claim of our own: "KL divergence, mean", what each says, and what that means.
struct qm_beside {
    char what[96];
    char claimed[160];
    char ours[160];
    const char *means; // "" where nothing follows
};

#define QM_BESIDE_MAX 64

// Sets `ours` (made from a result by qm_claim_from_result) beside `claim`; returns the number of rows. `*note` says
// whether the two are about the same device and model.
size_t qm_claims_beside(const struct qm_node *claim, const struct qm_node *ours, struct qm_beside rows[QM_BESIDE_MAX],
                        const char **note);
QM_MUST_USE enum qm_status qm_beside_write(const struct qm_beside *rows, size_t count, const char *note, bool is_fancy,
                                           FILE *file);

#endif
