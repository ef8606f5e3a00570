// What tests of answers share: the built-in model's tokenizer as an encoder, and examples from text.
#ifndef QM_TEST_ASKING_H
#define QM_TEST_ASKING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/answers.h"

#define BUILT_IN QM_SOURCE_DIR "/models/qmark-3m"

static inline enum qm_status encode_text(void *context, const char *text, size_t bytes, bool add_special,
                                         uint32_t **ids, size_t *count)
{
    struct qm_tokens tokens = {0};
    const struct qm_encode_options options = {.add_special_tokens = add_special};
    enum qm_status status = qm_tokenizer_encode(context, text, bytes, &options, &tokens);
    *ids = tokens.ids;
    *count = tokens.count;
    return status;
}

struct asked {
    struct qm_tokenizer *tokenizer;
    struct qm_user_examples *examples;
    struct qm_examples_tokens *tokens;
    struct qm_answer_questions questions;
};

// JSON lines as questions to the built-in model.
static inline void ask(const char *lines, struct asked *out)
{
    *out = (struct asked){0};
    if (qm_tokenizer_load(BUILT_IN "/tokenizer.json", &out->tokenizer) != QM_OK ||
        qm_user_examples_parse(lines, strlen(lines), "test.jsonl", &QM_EXAMPLES_DEFAULT, &out->examples) != QM_OK)
        fail_msg("%s", qm_error_text());
    const struct qm_text_encoder encoder = {.encode = encode_text, .context = out->tokenizer};
    const struct qm_example_tokens_params params = {.context = 512, .vocabulary = 512};
    if (qm_example_tokens_create(out->examples, &encoder, &params, &out->tokens) != QM_OK)
        fail_msg("%s", qm_error_text());
    out->questions = (struct qm_answer_questions){
        .examples = out->examples, .tokens = out->tokens, .tokenizer = out->tokenizer, .vocabulary = 512};
}

static inline void asked_free(struct asked *asked)
{
    qm_example_tokens_destroy(&asked->tokens);
    qm_user_examples_destroy(&asked->examples);
    qm_tokenizer_destroy(&asked->tokenizer);
}

#endif
