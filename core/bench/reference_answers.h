// The fp32 model's answers to a user's examples, by the reference backend, or for a model of real size (reference_host.h) by the
// host's pass, of which a sample is compared: what a scheme's answers are laid beside.
#ifndef QM_BENCH_REFERENCE_ANSWERS_H
#define QM_BENCH_REFERENCE_ANSWERS_H

#include "bench/answers.h"
#include "bench/reference.h"

// Kept in the cache directory by content: model, tokens and rules of the examples, end tokens, tokenizer and version. What
// is found there is looked at before it is believed. QM_WRONG_RESULT where the sample differs, and nothing is kept. The caller
// destroys both.
QM_MUST_USE enum qm_status qm_reference_answers(const struct qm_reference_params *params,
                                                const struct qm_answer_questions *questions,
                                                struct qm_generated **generated, struct qm_answer_run **answers);

#endif
