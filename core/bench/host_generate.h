// Greedy generation and likelihoods by the host's pass (model/host_pass.h): what generate.h is on a network, for the fp32 answers
// of models of real size. Prompts go through the pass as windows, and keys and values stay in a cache, so that a further token
// costs a pass of one token for each sequence; weights are read once a pass for all sequences side by side.
#ifndef QM_BENCH_HOST_GENERATE_H
#define QM_BENCH_HOST_GENERATE_H

#include "bench/generate.h"
#include "model/host_pass.h"

struct qm_host_generator;

struct qm_host_generator_params {
    struct qm_host_weights *weights; // must stay, as what it points to
    const struct qm_blas *blas;      // NULL: own loops
    uint32_t sequences, positions;   // most of a request, with what is generated
};

QM_MUST_USE enum qm_status qm_host_generator_create(const struct qm_host_generator_params *params,
                                                    struct qm_host_generator **out);
void qm_host_generator_destroy(struct qm_host_generator **generator); // NULL is allowed

// As qm_generate and qm_generate_weigh. QM_WRONG_RESULT for a logit that is not finite; QM_INTERRUPTED between layers.
QM_MUST_USE enum qm_status qm_host_generate(struct qm_host_generator *generator,
                                            const struct qm_generate_request *request, uint32_t steps, uint32_t *ids);
QM_MUST_USE enum qm_status qm_host_generate_weigh(struct qm_host_generator *generator,
                                                  const struct qm_generate_request *request, const uint32_t *first,
                                                  double *log_probabilities);

// By how much the log-probability of tokens[p + 1] behind token p lies below the largest one, for p from `first` - 1 to
// count - 2, by one pass over the tokens without a cache: the largest of it, in nats. And the sum of those log-probabilities.
QM_MUST_USE enum qm_status qm_host_follow(struct qm_host_weights *weights, const struct qm_blas *blas,
                                          const uint32_t *tokens, uint32_t count, uint32_t first, double *below,
                                          double *sum);

#endif
