// Sets of windows from files or directories that a user brings: texts, or examples (workload/text_set.h, examples.h).
//
// *Text.* Windows as text_set.h cuts them; a sequence, of which the bootstrap draws, is a window.
// *Examples.* One window each. Scored are the tokens of the answer (the first one, or the right choice) behind its prompt:
// perplexity and KL divergence of what should have been said. Prompt and answer are encoded as one text, with a blank
// between them where neither has one there. What is generated freely is another matter, and is not scored here.
// *Calibration.* All tokens of the file, cut into windows one behind the other; an incomplete last one is left out. Of
// examples, prompts with their answers.
//
// Timed passes repeat scored windows, so that a set must have at least as many and as long ones as the points of a profile.
// A row is filled up with its own tokens repeated, of which none is scored; rows beyond the set repeat its windows. Causal
// models give the same for what stands before. The hash is over the windows alone, without what fills them.
#ifndef QM_BENCH_EVALUATION_USER_H
#define QM_BENCH_EVALUATION_USER_H

#include "bench/evaluation.h"
#include "workload/example_tokens.h"
#include "workload/overlap.h"
#include "workload/text_set.h"

struct qm_user_set_params {
    const char *path;
    const struct qm_text_encoder *encoder;
    uint32_t vocabulary, context; // of the model
    bool has_begin;               // the tokenizer puts `begin` in front of a text
    uint32_t begin;
    uint32_t window_tokens;            // of a text's windows; no more than the context
    uint32_t tokens_least;             // of rows, for the points
    uint32_t windows_least;            // likewise
    uint32_t windows_most;             // of the file; 0: all
    uint32_t stride;                   // of a scored text, as in text_set.h
    bool is_compatible;                // with llama-perplexity
    struct qm_examples_params reading; // of examples
};

// What was read. Zeroed it is empty.
struct qm_user_set {
    struct qm_evaluation *evaluation;
    struct qm_text_set *text;                  // NULL of examples, and of calibration
    struct qm_user_examples *examples;         // NULL of a text
    struct qm_examples_tokens *example_tokens; // likewise, and of calibration
};

// By its name, or by what a directory holds (workload/source.h).
enum qm_set_kind qm_user_set_kind(const char *path);

// *out is empty on failure: QM_INVALID with "FILE:LINE: what is wrong; what would be right", QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_user_set_read(const struct qm_user_set_params *params, struct qm_user_set *out);
QM_MUST_USE enum qm_status qm_user_set_read_calibration(const struct qm_user_set_params *params,
                                                        struct qm_user_set *out);
void qm_user_set_free(struct qm_user_set *set);

// What of one set stands in the other, in runs of 13 tokens (overlap.h); either may be built in.
QM_MUST_USE enum qm_status qm_user_set_overlap(const struct qm_evaluation *evaluation,
                                               const struct qm_evaluation *calibration, struct qm_overlap *out);

#endif
