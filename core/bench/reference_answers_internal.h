// Shared by reference_answers.c (the cache, the reference backend) and those who answer for models of real size.
#ifndef QM_BENCH_REFERENCE_ANSWERS_INTERNAL_H
#define QM_BENCH_REFERENCE_ANSWERS_INTERNAL_H

#include "bench/reference_answers.h"
#include "bench/reference_host.h"

// By the host's pass.
QM_MUST_USE enum qm_status qm_reference_answers_by_host(const struct qm_reference_params *params,
                                                        const struct qm_answer_questions *questions,
                                                        struct qm_generated **out);

// By the first device of params->on_device.
QM_MUST_USE enum qm_status qm_reference_answers_by_device(const struct qm_reference_params *params,
                                                          const struct qm_answer_questions *questions,
                                                          struct qm_generated **out);

// Of the first and of the longest example with a text to give, and likewise of those with choices: the answer's tokens must be
// the likeliest, and the first choice's likelihood the same, by the host's pass over prompt and answer as one window, within
// QM_REFERENCE_DIFFERENCE_MAX a token. QM_WRONG_RESULT otherwise.
QM_MUST_USE enum qm_status qm_reference_answers_check(const struct qm_reference_params *params,
                                                      const struct qm_answer_questions *questions,
                                                      const struct qm_generated *generated);

#endif
