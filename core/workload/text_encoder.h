// What turns a text into tokens, as this folder sees it: a function and what it needs.
#ifndef QM_WORKLOAD_TEXT_ENCODER_H
#define QM_WORKLOAD_TEXT_ENCODER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_text_encoder {
    // The tokens of `bytes` bytes of text, which need be neither UTF-8 nor terminated. `add_special` asks for what the
    // model's tokenizer puts in front of a text by itself. The caller frees *ids, which may be NULL where *count is 0.
    enum qm_status (*encode)(void *context, const char *text, size_t bytes, bool add_special, uint32_t **ids,
                             size_t *count);
    void *context;
};

// Encodes one text, as it begins one, and puts its tokens behind the *count that are in *ids, which the caller frees; what there
// is one text of is taken over as it comes. Fails as the function does, then nothing is added.
QM_MUST_USE enum qm_status qm_text_encoder_append(const struct qm_text_encoder *encoder, const char *text, size_t bytes,
                                                  uint32_t **ids, size_t *count);

#endif
