// Generation and likelihoods by a worker (worker.h): what generate.h is on a network of one's own.
#ifndef QM_BENCH_CLIENT_ANSWERS_H
#define QM_BENCH_CLIENT_ANSWERS_H

#include "bench/client.h"
#include "bench/generate.h"

// Whom to ask, and which of its schemes.
struct qm_client_scheme {
    struct qm_client *client;
    double timeout_s;
    const char *scheme;
};

// tokens[lists][length] as a request has them.
json_t *qm_client_token_lists(const uint32_t *tokens, uint32_t lists, uint32_t length);

// As qm_generate and qm_generate_weigh; what the worker answers is looked at, but for ids beyond the vocabulary.
QM_MUST_USE enum qm_status qm_client_generate(const struct qm_client_scheme *asked,
                                              const struct qm_generate_request *request, uint32_t steps, uint32_t *ids);
QM_MUST_USE enum qm_status qm_client_weigh(const struct qm_client_scheme *asked,
                                           const struct qm_generate_request *request, const uint32_t *first,
                                           double *log_probabilities);

#endif
