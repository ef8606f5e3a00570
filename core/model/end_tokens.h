// The tokens at which a model's own configuration ends a generation.
#ifndef QM_MODEL_END_TOKENS_H
#define QM_MODEL_END_TOKENS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    QM_END_TOKENS_MAX = 16
};

struct qm_end_tokens {
    uint32_t ids[QM_END_TOKENS_MAX];
    uint32_t count;
};

// eos_token_id, a number or a list, of DIRECTORY/generation_config.json, and of config.json where the former is not there
// or does not say. None is no failure; ids that are not below `vocabulary` are passed over. QM_INVALID for what is no whole
// number, or more than QM_END_TOKENS_MAX.
QM_MUST_USE enum qm_status qm_end_tokens_load(const char *directory, uint32_t vocabulary, struct qm_end_tokens *out);

// Adds one, unless it is there; false without room.
bool qm_end_tokens_add(struct qm_end_tokens *tokens, uint32_t id);
bool qm_end_tokens_have(const struct qm_end_tokens *tokens, uint32_t id);

#endif
