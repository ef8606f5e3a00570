// libFuzzer target: any bytes are read as a user's examples. What is accepted keeps its limits, means the same when it is
// read again, and is judged, encoded and compared with itself. What follows the first zero byte is a generated text.
//
//   tools/fuzz.sh 60 jsonl
#include "test/byte_encoder.h"
#include "workload/example_tokens.h"
#include "workload/overlap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_limits(const struct qm_user_example *example)
{
    require(example->line >= 1 && *example->prompt && example->id);
    require(example->max_tokens >= 1 && example->max_tokens <= QM_EXAMPLE_TOKENS_MAX);
    require(example->stop_count <= QM_EXAMPLE_STOPS_MAX && example->answer_count <= QM_EXAMPLE_ANSWERS_MAX);
    require((example->choice_count > 0) == (example->rule.match == QM_MATCH_CHOICE));
    require((example->choice_count > 0) == (example->answer_count == 0));
    require((example->rule.pattern != NULL) == (example->rule.match == QM_MATCH_REGEX));
    if (example->choice_count > 0) {
        require(example->choice_count >= QM_EXAMPLE_CHOICES_MIN && example->choice_count <= QM_EXAMPLE_CHOICES_MAX);
        require(example->right_choice < example->choice_count);
    }
    for (uint32_t i = 0; i < example->choice_count; i++)
        require(*example->choices[i].prompt && *example->choices[i].text);
}

static void judge(const struct qm_user_example *example, const char *text, size_t bytes)
{
    enum qm_judgement judgement;
    bool found;
    size_t end = qm_stop_find(text, bytes, example->stops, example->stop_count, &found);
    require(end <= bytes && (found || end == bytes));
    if (example->choice_count > 0)
        return;
    require(qm_answer_judge(&example->rule, example->answers, example->answer_count, text, end, &judgement) == QM_OK);
    if (example->rule.match == QM_MATCH_REGEX)
        return;
    // Its own answer is right by every rule that reads the text itself.
    const char *answer = example->answers[0];
    require(qm_answer_judge(&example->rule, example->answers, 1, answer, strlen(answer), &judgement) == QM_OK);
    require(judgement == QM_ANSWER_RIGHT);
}

// Each prompt stands in the set of prompts.
static void check_overlap(const struct qm_examples_tokens *tokens)
{
    struct qm_token_span spans[64];
    size_t count = 0;
    struct qm_overlap overlap;
    for (uint32_t i = 0; i < tokens->count && count < 64; i++)
        if (tokens->examples[i].choice_count == 0)
            spans[count++] =
                (struct qm_token_span){tokens->examples[i].prompt.tokens, tokens->examples[i].prompt.count};
    require(qm_overlap_find(spans, count, spans, count, QM_OVERLAP_TOKENS, NULL, &overlap) == QM_OK);
    require(overlap.items == count && overlap.overlapping == count && overlap.shared_runs == overlap.runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct byte_encoder plain = {.adds_begin = true};
    const struct qm_text_encoder encoder = {encode_bytes, &plain};
    const struct qm_example_tokens_params token_params = {.context = 1000};
    struct qm_examples_params params = QM_EXAMPLES_DEFAULT;
    struct qm_user_examples *examples = NULL, *again = NULL;
    struct qm_examples_tokens *tokens = NULL;
    const uint8_t *zero = memchr(bytes, 0, count);
    size_t length = zero ? (size_t)(zero - bytes) : count, rest = zero ? count - length - 1 : 0;
    params.match = (enum qm_match)(length % 3);
    if (qm_user_examples_parse(bytes, length, "e", &params, &examples) != QM_OK) {
        require(strncmp(qm_error_text(), "e:", 2) == 0 && !strchr(qm_error_text(), '\n'));
        return 0;
    }
    char *text = malloc(rest + 1);
    require(text != NULL);
    if (zero)
        memcpy(text, zero + 1, rest);
    for (uint32_t i = 0; i < examples->count; i++) {
        check_limits(&examples->examples[i]);
        if (i < 4) // a pattern may take a second
            judge(&examples->examples[i], text, rest);
    }
    free(text);
    require(qm_user_examples_parse(bytes, length, "e", &params, &again) == QM_OK);
    require(strcmp(again->sha256, examples->sha256) == 0 && again->count == examples->count);
    if (qm_example_tokens_create(examples, &encoder, &token_params, &tokens) == QM_OK)
        check_overlap(tokens);
    else
        require(strncmp(qm_error_text(), "e:", 2) == 0 && !strchr(qm_error_text(), '\n'));
    qm_example_tokens_destroy(&tokens);
    qm_user_examples_destroy(&examples);
    qm_user_examples_destroy(&again);
    return 0;
}
