#include "workload/example_tokens.h"

#include "workload/token_hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct coder {
    const struct qm_user_examples *examples;
    const struct qm_text_encoder *encoder;
    const struct qm_example_tokens_params *params;
    struct qm_examples_tokens *out;
};

static enum qm_status no_memory(const struct qm_user_example *example)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory for its tokens", example->file, example->line);
}

static enum qm_status encode(const struct coder *coder, const struct qm_user_example *example, const char *text,
                             size_t bytes, bool add_special, uint32_t **ids, size_t *count)
{
    uint32_t most = coder->params->vocabulary > 0 ? coder->params->vocabulary - 1 : QM_TOKEN_HASHED_MAX;
    *ids = NULL;
    *count = 0;
    enum qm_status status = coder->encoder->encode(coder->encoder->context, text, bytes, add_special, ids, count);
    if (status != QM_OK) {
        qm_error_prefix("%s:%zu: ", example->file, example->line);
        return status;
    }
    for (size_t i = 0; i < *count; i++)
        if ((*ids)[i] > most)
            return QM_FAIL(QM_INVALID,
                           "%s:%zu: a token is %" PRIu32 " and the model has %" PRIu32
                           " tokens; use the tokenizer of this model",
                           example->file, example->line, (*ids)[i], most + 1);
    return QM_OK;
}

// Without the blanks at its end.
static size_t bytes_without_blanks(const char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr(" \t\n\v\f\r", text[bytes - 1]))
        bytes--;
    return bytes;
}

static enum qm_status take(const struct coder *coder, const struct qm_user_example *example, uint32_t generated,
                           size_t count, const char *what)
{
    uint32_t context = coder->params->context;
    if (count > context || context - count < generated)
        return QM_FAIL(QM_INVALID,
                       "%s:%zu: %s has %zu tokens and up to %" PRIu32 " are generated; the context is %" PRIu32
                       " tokens, shorten it or lower max_tokens",
                       example->file, example->line, what, count, generated, context);
    coder->out->total += count;
    if (coder->out->total > QM_EXAMPLE_TOKENS_TOTAL_MAX)
        return QM_FAIL(QM_INVALID, "%s:%zu: more than %" PRIu64 " tokens up to here; use a part of the file",
                       example->file, example->line, QM_EXAMPLE_TOKENS_TOTAL_MAX);
    return QM_OK;
}

static enum qm_status encode_prompt(const struct coder *coder, const struct qm_user_example *example,
                                    struct qm_example_tokens *tokens)
{
    uint32_t *answer = NULL;
    size_t count = 0;
    QM_TRY(encode(coder, example, example->prompt, strlen(example->prompt), true, &tokens->prompt.tokens, &count));
    if (count == 0)
        return QM_FAIL(QM_INVALID, "%s:%zu: the prompt gives no token; expected one at least", example->file,
                       example->line);
    QM_TRY(take(coder, example, example->max_tokens, count, "the prompt"));
    tokens->prompt.count = tokens->prompt.first = (uint32_t)count;
    enum qm_status status =
        encode(coder, example, example->answers[0], strlen(example->answers[0]), false, &answer, &count);
    free(answer);
    tokens->answer_tokens = (uint32_t)(count < UINT32_MAX ? count : UINT32_MAX);
    return status;
}

static enum qm_status encode_choice(const struct coder *coder, const struct qm_user_example *example,
                                    const struct qm_user_choice *choice, size_t before,
                                    struct qm_example_sequence *sequence)
{
    size_t prompt = strlen(choice->prompt), bytes = strlen(choice->text), count = 0;
    char *text = malloc(prompt + bytes + 1);
    if (!text)
        return no_memory(example);
    memcpy(text, choice->prompt, prompt);
    memcpy(text + prompt, choice->text, bytes + 1);
    enum qm_status status = encode(coder, example, text, prompt + bytes, true, &sequence->tokens, &count);
    free(text);
    QM_TRY(status);
    QM_TRY(take(coder, example, 0, count, "a prompt with its choice"));
    if (before == 0 || before >= count)
        return QM_FAIL(QM_INVALID,
                       "%s:%zu: the prompt alone has %zu tokens and with a choice %zu; expected one at least of "
                       "the prompt, and more with the choice",
                       example->file, example->line, before, count);
    sequence->count = (uint32_t)count;
    sequence->first = (uint32_t)before;
    return QM_OK;
}

static enum qm_status encode_choices(const struct coder *coder, const struct qm_user_example *example,
                                     struct qm_example_tokens *tokens)
{
    const char *known = NULL;
    size_t before = 0;
    tokens->choices = calloc(example->choice_count, sizeof(*tokens->choices));
    if (!tokens->choices)
        return no_memory(example);
    tokens->choice_count = example->choice_count;
    for (uint32_t i = 0; i < example->choice_count; i++) {
        const struct qm_user_choice *choice = &example->choices[i];
        if (i == 0 || choice->prompt != known) {
            uint32_t *ids = NULL;
            enum qm_status status =
                encode(coder, example, choice->prompt, bytes_without_blanks(choice->prompt), true, &ids, &before);
            free(ids);
            QM_TRY(status);
            known = choice->prompt;
        }
        QM_TRY(encode_choice(coder, example, choice, before, &tokens->choices[i]));
    }
    const struct qm_example_sequence *right = &tokens->choices[example->right_choice];
    tokens->answer_tokens = right->count - right->first;
    return QM_OK;
}

static void hash_sequence(struct qm_hash *hash, const struct qm_example_sequence *sequence)
{
    for (uint32_t p = 0; p < sequence->count; p++)
        qm_token_hash_add(hash, sequence->tokens[p], p + 1 >= sequence->first && p + 1 < sequence->count);
}

enum qm_status qm_example_tokens_create(const struct qm_user_examples *examples, const struct qm_text_encoder *encoder,
                                        const struct qm_example_tokens_params *params, struct qm_examples_tokens **out)
{
    enum qm_status status = QM_OK;
    struct qm_hash hash;
    *out = NULL;
    struct qm_examples_tokens *tokens = calloc(1, sizeof(*tokens));
    if (tokens)
        tokens->examples = calloc(examples->count + (size_t)1, sizeof(*tokens->examples));
    if (!tokens || !tokens->examples)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its tokens", examples->file));
    const struct coder coder = {examples, encoder, params, tokens};
    qm_hash_begin(&hash);
    for (uint32_t e = 0; e < examples->count; e++) {
        const struct qm_user_example *example = &examples->examples[e];
        struct qm_example_tokens *own = &tokens->examples[e];
        tokens->count = e + 1; // what a failure leaves half done is freed with the rest
        QM_GUARD(example->choice_count > 0 ? encode_choices(&coder, example, own)
                                           : encode_prompt(&coder, example, own));
        hash_sequence(&hash, &own->prompt);
        for (uint32_t i = 0; i < own->choice_count; i++)
            hash_sequence(&hash, &own->choices[i]);
    }
    qm_hash_end(&hash, tokens->sha256);
    *out = tokens;
    tokens = NULL;
done:
    qm_example_tokens_destroy(&tokens);
    return status;
}

void qm_example_tokens_destroy(struct qm_examples_tokens **tokens)
{
    if (!*tokens)
        return;
    for (uint32_t e = 0; e < (*tokens)->count; e++) {
        struct qm_example_tokens *own = &(*tokens)->examples[e];
        free(own->prompt.tokens);
        for (uint32_t i = 0; i < own->choice_count; i++)
            free(own->choices[i].tokens);
        free(own->choices);
    }
    free((*tokens)->examples);
    free(*tokens);
    *tokens = NULL;
}
