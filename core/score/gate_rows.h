// `qmark gate`: what became worse from a baseline (side A) to something new (side B), row by row, and one verdict.
//
// A row is one thing that is judged: the speed of a scheme at a point, its accuracy, its kernels' errors, its memory, the
// time that kernels take to compile, its status. Speed is judged by score/gate.h; this file judges the rest, finds the
// rows that two sets of results have in common, applies the list of known failures and concludes. docs/GATE.md has the
// rules in words.
#ifndef QM_SCORE_GATE_ROWS_H
#define QM_SCORE_GATE_ROWS_H

#include "base/status.h"
#include "score/gate.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_node;

enum qm_gate_kind {
    QM_GATE_STATUS, // a scheme that ran and no longer does, or is wrong
    QM_GATE_SPEED,
    QM_GATE_ACCURACY,
    QM_GATE_KERNELS,
    QM_GATE_MEMORY,
    QM_GATE_COMPILE,
};

// "status", "speed", "accuracy", "kernels", "memory", "compile".
const char *qm_gate_kind_name(enum qm_gate_kind kind);

struct qm_gate_finding {
    char device[160];
    char row[128]; // "w8a8 decode batch 8 depth 64"; "w8a8" for what is not of one point
    enum qm_gate_kind kind;
    enum qm_gate_verdict verdict;
    char text[320];           // the verdict in words, with the numbers
    struct qm_gate_row speed; // of QM_GATE_SPEED and QM_GATE_COMPILE
    double kl_a, kl_b;        // mean KL divergence of the scheme on both sides; below 0 where not measured
    bool was_measured_again;  // --rerun
    bool is_known;            // a known failure: it does not count, for the reason below
    char known_reason[200];
};

struct qm_gate_report {
    struct qm_gate_finding *findings; // owned
    size_t count, capacity;
    // Filled by qm_gate_conclude.
    enum qm_gate_verdict verdict;
    char summary[400];
    char (*unexpected)[320]; // owned: known failures that passed
    size_t unexpected_count;
};

void qm_gate_report_free(struct qm_gate_report *report);

// Appends a row of which everything but what is given is 0; NULL without memory.
struct qm_gate_finding *qm_gate_report_add(struct qm_gate_report *report, const char *device, enum qm_gate_kind kind,
                                           enum qm_gate_verdict verdict, const char *row);

// Results of one device: `count` runs each, all checked (qm_result_check). Adds every row of status, accuracy, kernels and
// memory, and with `with_speed` those of speed and compile time, from run to run. Sides that cannot be compared give one
// row NOT COMPARABLE. Of accuracy, kernels and memory the newest run of each side (its last) is judged.
struct qm_gate_results {
    const struct qm_node *const *runs;
    size_t count;
};
QM_MUST_USE enum qm_status qm_gate_add_results(struct qm_gate_report *report, const struct qm_gate_results *a,
                                               const struct qm_gate_results *b, const struct qm_gate_params *params,
                                               bool with_speed);
// How many rows of speed that would be: the `rows` of qm_gate_params, so that one level holds for all.
size_t qm_gate_count_rows(const struct qm_gate_results *a, const struct qm_gate_results *b);

// A reviewed file of known failures: a list of {row, device (optional: part of its name), kind, reason}. Rows that it
// names do not count; those that pass are told. QM_INVALID with the place.
QM_MUST_USE enum qm_status qm_gate_apply_known(struct qm_gate_report *report, const char *path);

// WRONG before REGRESSED before NOT COMPARABLE before INCONCLUSIVE before PASS, over the rows that count. No row that
// was compared at all: NOT COMPARABLE.
void qm_gate_conclude(struct qm_gate_report *report);
// 0, 10, 4, 12 or 13.
int qm_gate_exit_code(enum qm_gate_verdict verdict);

#endif
