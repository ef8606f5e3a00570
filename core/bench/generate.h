// Greedy generation on a network, and likelihoods of given continuations: on a device in its worker, and on the reference
// backend alike.
//
// Prompts of one length are prefilled side by side as they are, without padding. The argmax of the last logits of each is
// its first token; every further one comes from a decode pass over what was there before. Nothing of this is left to the
// device's word: logits that a token is chosen by are read back, must be finite, and their argmax on the host (the lowest
// index of the largest) must be the device's; a likelihood's log-probabilities must be those of the host from the same
// logits. QM_WRONG_RESULT otherwise.
//
// It writes to the engine's token table and to the network's cache, in sequences 0 and up.
#ifndef QM_BENCH_GENERATE_H
#define QM_BENCH_GENERATE_H

#include "model/engine.h"

struct qm_generator;

struct qm_generator_params {
    struct qm_network *network; // must outlive the generator, as must `engine`
    struct qm_engine *engine;
    uint64_t limit_ns;        // of a submission, found by measuring; 0: no limit
    uint32_t most_dispatches; // of a submission; 0: no limit
};

// Keeps the passes of the two shapes that it ran last, for groups of one length follow each other.
QM_MUST_USE enum qm_status qm_generator_create(const struct qm_generator_params *params, struct qm_generator **out);
void qm_generator_destroy(struct qm_generator **generator); // NULL is allowed; before its network

struct qm_generate_request {
    uint32_t batch, count;  // sequences, and tokens of each
    uint32_t position;      // of the first of them
    const uint32_t *tokens; // [batch][count]
};

// Gives `steps` tokens of each sequence behind the request's, ids[batch][steps]. What generation goes on with is its own
// last token: count 1, at the position behind all that were given before. The same request gives the same ids, to the
// bit. `margins` (may be NULL) receives by how much the logit of each lies above the next largest. QM_INVALID where it
// leaves the context: the last of the ids may lie one behind it.
QM_MUST_USE enum qm_status qm_generate(struct qm_generator *generator, const struct qm_generate_request *request,
                                       uint32_t steps, uint32_t *ids, float *margins);

// Sum of the log-probabilities, in nats, of tokens first[b] .. count - 1 of each sequence; `position` is 0, and first[b]
// from 1 to count - 1.
QM_MUST_USE enum qm_status qm_generate_weigh(struct qm_generator *generator, const struct qm_generate_request *request,
                                             const uint32_t *first, double *log_probabilities);

#endif
