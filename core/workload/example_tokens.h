// Examples as tokens: what the model is given, checked against its context before any device is opened.
//
// A prompt is encoded with what the tokenizer puts in front of a text. A choice is encoded together with its prompt, as
// one text, since words and blanks would be cut otherwise; its tokens are those behind as many as the prompt alone has,
// without the blanks at the prompt's end (`_encode_pair` in lm_eval/models/huggingface.py of lm-evaluation-harness v0.4.7).
#ifndef QM_WORKLOAD_EXAMPLE_TOKENS_H
#define QM_WORKLOAD_EXAMPLE_TOKENS_H

#include "workload/examples.h"
#include "workload/text_encoder.h"

#define QM_EXAMPLE_TOKENS_TOTAL_MAX ((uint64_t)1 << 28)

struct qm_example_sequence {
    uint32_t *tokens; // owned
    uint32_t count;
    uint32_t first; // tokens[first ..] are the choice, at least one; count where there is none
};

struct qm_example_tokens {
    struct qm_example_sequence prompt;   // to generate from; without tokens where there are choices
    struct qm_example_sequence *choices; // owned
    uint32_t choice_count;
    uint32_t answer_tokens; // of the first answer, or of the right choice
};

struct qm_examples_tokens {
    struct qm_example_tokens *examples; // owned; count of them, in order
    uint32_t count;
    uint64_t total;                  // tokens of all sequences
    char sha256[QM_HASH_TEXT_BYTES]; // token_hash.h: sequences in order, positions that predict a choice's token scored
};

struct qm_example_tokens_params {
    uint32_t context;    // the most tokens of a sequence, with what is generated
    uint32_t vocabulary; // tokens are below it; 0: not looked at
};

// *out is NULL on failure: QM_INVALID with "file:line: ", what the encoder fails with, QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_example_tokens_create(const struct qm_user_examples *examples,
                                                    const struct qm_text_encoder *encoder,
                                                    const struct qm_example_tokens_params *params,
                                                    struct qm_examples_tokens **out);
// NULL is allowed; sets *tokens to NULL.
void qm_example_tokens_destroy(struct qm_examples_tokens **tokens);

#endif
