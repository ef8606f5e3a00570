// A deployment's requests and times in a samples file, which is a stranger's: for samples_read.c.
#ifndef QM_BENCH_SAMPLES_DEPLOYMENT_H
#define QM_BENCH_SAMPLES_DEPLOYMENT_H

#include "bench/raw.h"
#include "model/safetensors.h"

// The requests' lengths; none where the profile has no deployment, or nothing was served. QM_INVALID where they are not those
// of the profile: by their hash, and where they were drawn, by drawing them again. The caller frees `own` in any case.
QM_MUST_USE enum qm_status qm_samples_read_requests(const struct qm_tensors *file, const struct qm_profile *profile,
                                                    struct qm_requests *own);
// What a scheme made of them; rounds of 0 where there is nothing. Its arrays are the caller's in any case.
QM_MUST_USE enum qm_status qm_samples_read_deployment(const struct qm_tensors *file, const char *scheme,
                                                      const struct qm_profile *profile,
                                                      const struct qm_requests *requests,
                                                      struct qm_deployment_run *own);

#endif
