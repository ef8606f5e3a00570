// Auditing a claim: what of each component of the trade is told, what follows from what is not, and what the claim is
// worth. docs/CLAIM_FORMAT.md has the rules in words.
//
// An audit asks what is disclosed and whether it contradicts itself. It does not ask whether it is true.
#ifndef QM_RECORD_AUDIT_H
#define QM_RECORD_AUDIT_H

#include "record/components.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_node;

enum qm_disclosure_level {
    QM_UNDISCLOSED = 0, // nothing of it is told
    QM_PARTLY,          // some keys are missing, or something contradicts
    QM_DISCLOSED,
};

enum qm_claim_verdict {
    QM_CLAIM_NOT_CHECKABLE = 0, // nobody can tell what was measured: device, model, precision or speed is missing
    QM_CLAIM_UPPER_BOUND,       // the speed may be reached; what it cost or whether it holds is open
    QM_CLAIM_DEPLOYMENT_GRADE,
};

enum qm_gap_kind {
    QM_GAP_MISSING = 0,   // not told
    QM_GAP_SHORT,         // told, and less than what is asked for
    QM_GAP_CONTRADICTION, // told, and contradicts itself or another component
};

struct qm_gap {
    enum qm_gap_kind kind;
    const char *title;   // "hash of the set"
    const char *follows; // what follows from it
    bool is_minor;       // it takes the component to `partly`, and nothing from a deployment-grade claim
};

#define QM_AUDIT_GAPS_MAX (QM_COMPONENT_KEYS_MAX + 8)

struct qm_audit_row {
    const struct qm_component *component;
    enum qm_disclosure_level level;
    bool is_enough; // for a deployment-grade claim
    size_t gap_count;
    struct qm_gap gaps[QM_AUDIT_GAPS_MAX];
};

#define QM_AUDIT_REASONS_MAX 8

struct qm_audit {
    enum qm_claim_verdict verdict;
    const char *reasons[QM_AUDIT_REASONS_MAX]; // why it is no more than that, one text each
    size_t reason_count;
    char limit[160]; // what even a deployment-grade claim does not say; "" for none
    struct qm_audit_row rows[QM_COMPONENT_COUNT];
    bool is_of_files;          // the claim is what a model's files say of themselves; only then there is the next
    struct qm_audit_row files; // of qm_component_file. It takes nothing from the verdict
};

// `claim` must have passed qm_claim_check. Texts live as long as the program.
void qm_audit_claim(const struct qm_node *claim, struct qm_audit *out);

// "undisclosed", "partly", "disclosed"; "not checkable", "upper bound only", "deployment-grade"; "missing", "falls short
// of", "contradiction".
const char *qm_disclosure_level_name(enum qm_disclosure_level level);
const char *qm_claim_verdict_name(enum qm_claim_verdict verdict);
const char *qm_gap_kind_name(enum qm_gap_kind kind);

// As a tree: verdict, reasons, limit, and for each component its level and gaps; the caller destroys it.
struct qm_node *qm_audit_tree(const struct qm_audit *audit);

#endif
