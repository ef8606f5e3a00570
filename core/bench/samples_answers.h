// The answers to a user's examples in a samples file, which is a stranger's: for samples_read.c.
#ifndef QM_BENCH_SAMPLES_ANSWERS_H
#define QM_BENCH_SAMPLES_ANSWERS_H

#include "bench/raw.h"
#include "model/safetensors.h"

// Arrays of `count` values. All zero where there are none.
struct qm_samples_answers {
    uint32_t count;
    uint8_t *is_choice; // of the reference's alone
    uint8_t *judgement, *right_by_norm, *is_same;
    uint32_t *generated;
};

// The fp32 model's answers, and which examples have choices, into `raw`; nothing where the file has none. QM_INVALID for values
// that no run gives, or that contradict each other. qm_samples_answers_free follows in any case.
QM_MUST_USE enum qm_status qm_samples_read_reference_answers(const struct qm_tensors *file,
                                                             struct qm_samples_answers *own, struct qm_raw *raw);
// Those of a scheme, of the same examples as `reference`.
QM_MUST_USE enum qm_status qm_samples_read_answers(const struct qm_tensors *file, const char *scheme,
                                                   const struct qm_samples_answers *reference,
                                                   struct qm_samples_answers *own, struct qm_raw_answers *raw);
void qm_samples_answers_free(struct qm_samples_answers *answers);

#endif
