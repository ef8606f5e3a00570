// The answers of a model to a user's examples: asked for, and judged.
//
// Who generates is a struct qm_answer_source: a device through its worker (device_answers.c), the reference backend
// (reference_answers.c), or a test. What is asked for, when an answer ends, what its text is and whether it is right stands
// here once, for all of them.
//
// Examples are taken in groups of one prompt length, in rising order of the length and then as they stand in the file, as
// many side by side as the source takes. An answer ends with
//
//   a stop string   at the first token with which the text has one; it and what follows it is no part of the answer
//   an end token    (model/end_tokens.h, and the one that the tokenizer puts behind a text), which is none either
//   max_tokens      of the example
//
// and its text is what the tokenizer makes of its ids alone, special tokens left out. Of an example with choices nothing
// is generated: the likelihoods of its continuations are asked for.
#ifndef QM_BENCH_ANSWERS_H
#define QM_BENCH_ANSWERS_H

#include "bench/generate.h"
#include "model/end_tokens.h"
#include "text/tokenizer.h"
#include "workload/example_tokens.h"

enum {
    QM_ANSWER_CHUNK_TOKENS = 16, // generated before stop strings are looked for
};

// What is asked; nothing of it is owned.
struct qm_answer_questions {
    const struct qm_user_examples *examples;
    const struct qm_examples_tokens *tokens; // of the same examples
    struct qm_tokenizer *tokenizer;
    struct qm_end_tokens ends;
    uint32_t vocabulary;
};
// How many sequences are asked for: prompts, and examples with each of their choices.
size_t qm_answer_sequences(const struct qm_examples_tokens *tokens);
// The most tokens of a sequence that goes into a pass at once; 1 at least.
uint32_t qm_answer_longest(const struct qm_examples_tokens *tokens);
// The most positions that a pass reads up to: of prompts with what is generated behind them, and of choices.
uint32_t qm_answer_positions(const struct qm_answer_questions *questions);
// The end tokens: those of the model, a directory or a GGUF file (model/model_tokenizer.h), and the tokenizer's.
QM_MUST_USE enum qm_status qm_answer_ends(const char *model, const struct qm_tokenizer *tokenizer, uint32_t vocabulary,
                                          struct qm_end_tokens *out);

struct qm_answer_source {
    // As qm_generate and qm_generate_weigh; ids are below the vocabulary.
    enum qm_status (*generate)(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids);
    enum qm_status (*weigh)(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities);
    void (*tell)(void *context, uint32_t done, uint32_t count); // sequences; may be NULL
    void *context;
    uint32_t sequences; // side by side, at most
    uint32_t rows;      // tokens in one pass, at most; at least qm_answer_longest
};

// ---- What was generated ---------------------------------------------------------------------------------------------

struct qm_generated_answer {
    uint32_t *ids; // owned; the one with which it ended included
    uint32_t count;
    double *log_probabilities; // owned; of each choice
};
struct qm_generated {
    uint32_t count;
    struct qm_generated_answer *answers; // of the examples, in their order
};

// The source's failure, QM_INTERRUPTED, or QM_OUT_OF_MEMORY; *out is NULL then.
QM_MUST_USE enum qm_status qm_answers_generate(const struct qm_answer_questions *questions,
                                               const struct qm_answer_source *source, struct qm_generated **out);
QM_MUST_USE enum qm_status qm_generated_create(uint32_t count, struct qm_generated **out); // of empty answers
void qm_generated_destroy(struct qm_generated **generated);

// The text of an answer, ended by a zero that `*bytes` does not count; free() it. Of an example with choices the choice
// with the largest log-probability.
QM_MUST_USE enum qm_status qm_answer_text(const struct qm_answer_questions *questions, uint32_t example,
                                          const struct qm_generated_answer *answer, char **text, size_t *bytes);

// ---- What came of it ------------------------------------------------------------------------------------------------

// One value for each example: what a samples file holds of it. No text, and no token of one.
struct qm_answer_run {
    uint32_t count;
    uint8_t *judgement;     // enum qm_judgement; of choices by the sum of log-probabilities
    uint8_t *is_choice;     // 0 or 1
    uint8_t *right_by_norm; // of choices: bit n is set where enum qm_choice_norm n picks the right one; else 0
    uint8_t *is_same;       // as the reference's answer; all 0 before qm_answers_compare
    uint32_t *generated;    // tokens; 0 of choices
    uint32_t *picked;       // by the sum of log-probabilities; 0 where there are no choices
    uint64_t *text_hash;    // of the answer's text; stays with this process
};

// QM_WRONG_RESULT for a log-probability that is no number.
QM_MUST_USE enum qm_status qm_answers_judge(const struct qm_answer_questions *questions,
                                            const struct qm_generated *generated, struct qm_answer_run **out);
void qm_answer_run_destroy(struct qm_answer_run **run);

// Fills is_same: texts are the same to the byte, choices by the sum of log-probabilities. QM_INVALID for answers of
// other examples.
QM_MUST_USE enum qm_status qm_answers_compare(struct qm_answer_run *run, const struct qm_answer_run *reference);

#endif
