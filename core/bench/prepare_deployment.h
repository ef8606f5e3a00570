// The deployment's part of a preparation: its plan, from the profile or a file of its own, and its requests.
#ifndef QM_BENCH_PREPARE_DEPLOYMENT_H
#define QM_BENCH_PREPARE_DEPLOYMENT_H

#include "bench/prepare.h"

#define QM_DEPLOYMENT_TOKENS_OF_RUN_MAX (UINT64_C(1) << 26) // of all requests, prompts and outputs together

// Follows model and sets; nothing where nobody asks for one. The profile then says how many requests there are and which,
// by their hash. QM_INVALID for requests that do not fit the model's context, are too many, or are not those of a record.
QM_MUST_USE enum qm_status qm_preparation_read_deployment(struct qm_preparation *preparation,
                                                          const struct qm_preparation_params *params);

// The requests of a profile's deployment for a model, whose `deployment` is filled in with what is known of them; `file` is
// its own file, or NULL. The caller frees *out.
QM_MUST_USE enum qm_status qm_profile_requests(struct qm_profile *profile, const char *file,
                                               const struct qm_model_config *config, struct qm_requests *out);

#endif
