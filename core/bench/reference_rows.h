// The fp32 reference as devices are scored against it: one row for each scored token, and the logits of the windows that are
// compared with the reference backend position by position. And what a result says of it.
#ifndef QM_BENCH_REFERENCE_ROWS_H
#define QM_BENCH_REFERENCE_ROWS_H

#include "bench/evaluation.h"
#include "score/reference_row.h"
#include "sys/blas.h"

enum {
    QM_REFERENCE_ENGINE_BYTES = QM_BLAS_NAME_BYTES + 16
};

struct qm_reference_rows {
    struct qm_reference_row *scored; // [scored_count], at the index of the evaluation's scored token
    size_t scored_count;
    const float **dense; // [dense_windows]: logits [window_tokens][vocabulary] of each of the first windows
    uint32_t dense_windows;
    // Disclosure.
    char engine[QM_REFERENCE_ENGINE_BYTES]; // "reference backend", "host, OpenBLAS 0.3.21 ...", "host, own loops"
    struct qm_reference_keep keep;          // most 0: all logits were kept
    uint32_t checked_tokens; // compared with the reference backend; 0 where it is that backend, or for `unchecked`
    double difference;       // the largest of a log-probability between the two, in nats
    char unchecked[160];     // why nothing was compared; "" else
    // What the rows point into, owned.
    void **parts;
    size_t part_count;
};

// Rows of logits [windows][window_tokens][vocabulary] by the reference backend; takes `logits`, even where it fails.
QM_MUST_USE enum qm_status qm_reference_rows_of_logits(const struct qm_evaluation *evaluation, uint32_t vocabulary,
                                                       float *logits, struct qm_reference_rows **out);
// With room for the rows of `evaluation`, all empty, for dense windows and for `part_count` parts.
QM_MUST_USE enum qm_status qm_reference_rows_create(const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                                    size_t part_count, struct qm_reference_rows **out);
void qm_reference_rows_destroy(struct qm_reference_rows **rows);

#endif
