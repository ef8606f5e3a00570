// What of a result tells of a deployment's requests: from raw arrays alone, for a run and for `qmark verify`.
#ifndef QM_BENCH_RESULT_DEPLOYMENT_H
#define QM_BENCH_RESULT_DEPLOYMENT_H

#include "bench/raw.h"
#include "bench/result_derive.h"
#include "record/node.h"
#include "workload/serving.h"

// The schedule of a profile's deployment.
struct qm_serving_params qm_serving_of(const struct qm_profile *profile, const struct qm_requests *requests);

// Served requests beside the same alone. Both must be as near to each other as each is to the reference backend: the bounds
// are those of `check`. Below 100 tokens there is no body, and the mean's bound stands for it.
QM_MUST_USE enum qm_status qm_deployment_check(const struct qm_deployment_run *run,
                                               const struct qm_agreement_verdict *check,
                                               struct qm_agreement_verdict *out);

// Adds `deployment` to a row that is ok; nothing where it served nothing.
void qm_result_add_deployment(struct qm_node *row, const struct qm_raw *raw, size_t scheme,
                              const struct qm_agreement_verdict *check);

#endif
