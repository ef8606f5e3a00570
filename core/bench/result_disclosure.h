// The parts of a scheme's disclosure that follow from its artifact alone: precision, tensors, calibration.
#ifndef QM_BENCH_RESULT_DISCLOSURE_H
#define QM_BENCH_RESULT_DISCLOSURE_H

#include "quant/artifact.h"
#include "record/node.h"

struct qm_disclosed_sets {
    const struct qm_calibration_set *calibration; // NULL: nothing was calibrated
    uint32_t overlap;                             // examples that are scored and stand in it
    uint32_t examples;                            // that are scored
    const struct qm_node
        *quantization; // what the model's files say of theirs (result_quantization.h), for scheme `file`; or NULL
};

// Adds `precision` and `tensors` to a disclosure. The artifact may be NULL, where it could not be made: then `tensors` has
// no list. An outline (artifact.h) gives all but what was seen of errors and scales. Of the sets `quantization` counts.
void qm_disclosure_add_precision(struct qm_node *disclosure, const struct qm_scheme *scheme,
                                 const struct qm_artifact *artifact, const struct qm_disclosed_sets *sets);
// Adds `calibration_set` and `calibration_method`; the artifact likewise.
void qm_disclosure_add_calibration(struct qm_node *disclosure, const struct qm_scheme *scheme,
                                   const struct qm_artifact *artifact, const struct qm_disclosed_sets *sets);

#endif
