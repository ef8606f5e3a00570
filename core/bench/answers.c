#include "bench/answers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/model_tokenizer.h"
#include "sys/process.h"

enum qm_status qm_answer_ends(const char *model, const struct qm_tokenizer *tokenizer, uint32_t vocabulary,
                              struct qm_end_tokens *out)
{
    uint32_t id = 0;
    QM_TRY(qm_model_end_tokens(model, vocabulary, out));
    if (qm_tokenizer_end_id(tokenizer, &id) && id < vocabulary && !qm_end_tokens_add(out, id))
        return QM_FAIL(QM_INVALID, "%s: %d end tokens besides the tokenizer's; leave one out", model,
                       QM_END_TOKENS_MAX);
    return QM_OK;
}

uint32_t qm_answer_longest(const struct qm_examples_tokens *tokens)
{
    uint32_t longest = 1;
    for (uint32_t e = 0; e < tokens->count; ++e) {
        const struct qm_example_tokens *example = &tokens->examples[e];
        longest = example->prompt.count > longest ? example->prompt.count : longest;
        for (uint32_t c = 0; c < example->choice_count; ++c) // the last token is predicted and not read
            longest = example->choices[c].count > longest + 1 ? example->choices[c].count - 1 : longest;
    }
    return longest;
}

size_t qm_answer_sequences(const struct qm_examples_tokens *tokens)
{
    size_t count = 0;
    for (uint32_t e = 0; e < tokens->count; ++e)
        count += tokens->examples[e].choice_count > 0 ? tokens->examples[e].choice_count : 1;
    return count;
}

uint32_t qm_answer_positions(const struct qm_answer_questions *questions)
{
    uint32_t most = qm_answer_longest(questions->tokens);
    for (uint32_t e = 0; e < questions->tokens->count; ++e) {
        const struct qm_user_example *example = &questions->examples->examples[e];
        // The last token that is generated is read by nothing.
        uint32_t end = questions->tokens->examples[e].prompt.count + example->max_tokens - 1;
        most = example->choice_count == 0 && end > most ? end : most;
    }
    return most;
}

enum qm_status qm_generated_create(uint32_t count, struct qm_generated **out)
{
    struct qm_generated *generated = *out = calloc(1, sizeof(*generated));
    if (generated)
        generated->answers = calloc((size_t)count + 1, sizeof(*generated->answers));
    if (!generated || !generated->answers) {
        qm_generated_destroy(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %" PRIu32 " answers", count);
    }
    generated->count = count;
    return QM_OK;
}

void qm_generated_destroy(struct qm_generated **generated)
{
    struct qm_generated *g = *generated;
    if (!g)
        return;
    for (uint32_t e = 0; g->answers && e < g->count; ++e) {
        free(g->answers[e].ids);
        free(g->answers[e].log_probabilities);
    }
    free(g->answers);
    free(g);
    *generated = NULL;
}

// ---- Texts ----------------------------------------------------------------------------------------------------------

// The text of `count` ids up to its first stop string; without an end token at their end.
static enum qm_status text_of_ids(const struct qm_answer_questions *questions, const struct qm_user_example *example,
                                  const uint32_t *ids, uint32_t count, char **text, size_t *bytes, bool *is_stopped)
{
    if (count > 0 && qm_end_tokens_have(&questions->ends, ids[count - 1]))
        --count;
    QM_TRY(qm_tokenizer_decode(questions->tokenizer, ids, count, true, text, bytes));
    *bytes = qm_stop_find(*text, *bytes, example->stops, example->stop_count, is_stopped);
    (*text)[*bytes] = '\0';
    return QM_OK;
}

static enum qm_status has_stop(const struct qm_answer_questions *questions, const struct qm_user_example *example,
                               const uint32_t *ids, uint32_t count, bool *out)
{
    char *text = NULL;
    size_t bytes = 0;
    QM_TRY(text_of_ids(questions, example, ids, count, &text, &bytes, out));
    free(text);
    return QM_OK;
}

static uint32_t largest(const double *values, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; ++i)
        best = values[i] > values[best] ? i : best;
    return best;
}

enum qm_status qm_answer_text(const struct qm_answer_questions *questions, uint32_t index,
                              const struct qm_generated_answer *answer, char **text, size_t *bytes)
{
    const struct qm_user_example *example = &questions->examples->examples[index];
    bool is_stopped = false;
    if (example->choice_count == 0)
        return text_of_ids(questions, example, answer->ids, answer->count, text, bytes, &is_stopped);
    *text = strdup(example->choices[largest(answer->log_probabilities, example->choice_count)].text);
    if (!*text)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an answer");
    *bytes = strlen(*text);
    return QM_OK;
}

// ---- Generating -----------------------------------------------------------------------------------------------------

// One sequence to be run: a prompt, or an example with one of its choices.
struct item {
    uint32_t example, choice, count;
    bool is_choice;
};

// By length, generation first; then as they stand in the file.
static int rising(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->is_choice != y->is_choice)
        return x->is_choice ? 1 : -1;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    if (x->example != y->example)
        return x->example < y->example ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

static struct item *list_items(const struct qm_examples_tokens *tokens, size_t *count)
{
    *count = qm_answer_sequences(tokens);
    struct item *items = calloc(*count + 1, sizeof(*items));
    size_t at = 0;
    for (uint32_t e = 0; items && e < tokens->count; ++e) {
        const struct qm_example_tokens *example = &tokens->examples[e];
        if (example->choice_count == 0)
            items[at++] = (struct item){.example = e, .count = example->prompt.count};
        for (uint32_t c = 0; c < example->choice_count; ++c)
            items[at++] =
                (struct item){.example = e, .choice = c, .count = example->choices[c].count, .is_choice = true};
    }
    if (items)
        qsort(items, *count, sizeof(*items), rising);
    return items;
}

struct asking {
    const struct qm_answer_questions *questions;
    const struct qm_answer_source *source;
    struct qm_generated *generated;
    uint32_t *input, *output, *first; // of a group
    bool *is_done;
    double *sums;
};

static const struct qm_user_example *example_of(const struct asking *asking, const struct item *item)
{
    return &asking->questions->examples->examples[item->example];
}

// Takes new ids one by one until the answer ends, so that how many were asked for at once makes no difference.
static enum qm_status take_ids(const struct asking *asking, const struct item *item, const uint32_t *ids,
                               uint32_t count, bool *is_done)
{
    const struct qm_user_example *example = example_of(asking, item);
    struct qm_generated_answer *answer = &asking->generated->answers[item->example];
    uint32_t before = answer->count;
    bool is_stopped = false;
    for (uint32_t i = 0; i < count && !*is_done; ++i) {
        if (ids[i] >= asking->questions->vocabulary)
            return QM_FAIL(QM_FAILED, "token %" PRIu32 " was generated, and the model has %" PRIu32, ids[i],
                           asking->questions->vocabulary);
        answer->ids[answer->count++] = ids[i];
        *is_done = answer->count == example->max_tokens || qm_end_tokens_have(&asking->questions->ends, ids[i]);
    }
    if (example->stop_count == 0)
        return QM_OK;
    QM_TRY(has_stop(asking->questions, example, answer->ids, answer->count, &is_stopped));
    for (uint32_t end = before + 1; is_stopped && end <= answer->count; ++end) {
        bool is_here = false;
        QM_TRY(has_stop(asking->questions, example, answer->ids, end, &is_here));
        if (!is_here)
            continue;
        answer->count = end;
        *is_done = true;
        break;
    }
    return QM_OK;
}

static enum qm_status generate_group(struct asking *asking, const struct item *items, uint32_t batch)
{
    struct qm_generate_request request = {.batch = batch, .count = items[0].count, .tokens = asking->input};
    for (uint32_t b = 0; b < batch; ++b) {
        const struct qm_example_sequence *prompt = &asking->questions->tokens->examples[items[b].example].prompt;
        struct qm_generated_answer *answer = &asking->generated->answers[items[b].example];
        memcpy(asking->input + (size_t)b * request.count, prompt->tokens, request.count * sizeof(uint32_t));
        answer->ids = calloc(example_of(asking, &items[b])->max_tokens, sizeof(uint32_t));
        if (!answer->ids)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an answer");
        asking->is_done[b] = false;
    }
    for (;;) {
        uint32_t left = 0;
        for (uint32_t b = 0; b < batch; ++b) {
            uint32_t of_this = asking->is_done[b] ? 0
                                                  : example_of(asking, &items[b])->max_tokens -
                                                        asking->generated->answers[items[b].example].count;
            left = of_this > left ? of_this : left;
        }
        if (left == 0)
            break;
        if (qm_interrupted())
            return QM_FAIL(QM_INTERRUPTED, "interrupted");
        uint32_t steps = left < QM_ANSWER_CHUNK_TOKENS ? left : QM_ANSWER_CHUNK_TOKENS;
        QM_TRY(asking->source->generate(asking->source->context, &request, steps, asking->output));
        request.position += request.count + steps - 1;
        request.count = 1;
        for (uint32_t b = 0; b < batch; ++b) {
            asking->input[b] = asking->output[(size_t)b * steps + steps - 1];
            if (!asking->is_done[b])
                QM_TRY(take_ids(asking, &items[b], asking->output + (size_t)b * steps, steps, &asking->is_done[b]));
        }
    }
    for (uint32_t b = 0; b < batch; ++b) { // most are much shorter than they might have been
        struct qm_generated_answer *answer = &asking->generated->answers[items[b].example];
        uint32_t *shorter = realloc(answer->ids, answer->count * sizeof(*answer->ids));
        answer->ids = shorter ? shorter : answer->ids;
    }
    return QM_OK;
}

static enum qm_status weigh_group(struct asking *asking, const struct item *items, uint32_t batch)
{
    const struct qm_generate_request request = {.batch = batch, .count = items[0].count, .tokens = asking->input};
    for (uint32_t b = 0; b < batch; ++b) {
        const struct qm_example_tokens *example = &asking->questions->tokens->examples[items[b].example];
        const struct qm_example_sequence *choice = &example->choices[items[b].choice];
        memcpy(asking->input + (size_t)b * request.count, choice->tokens, request.count * sizeof(uint32_t));
        asking->first[b] = choice->first;
    }
    if (qm_interrupted())
        return QM_FAIL(QM_INTERRUPTED, "interrupted");
    QM_TRY(asking->source->weigh(asking->source->context, &request, asking->first, asking->sums));
    for (uint32_t b = 0; b < batch; ++b) {
        struct qm_generated_answer *answer = &asking->generated->answers[items[b].example];
        if (!answer->log_probabilities)
            answer->log_probabilities = calloc(example_of(asking, &items[b])->choice_count, sizeof(double));
        if (!answer->log_probabilities)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an answer");
        answer->log_probabilities[items[b].choice] = asking->sums[b];
    }
    return QM_OK;
}

static enum qm_status generate_all(struct asking *asking, const struct item *items, size_t count)
{
    const struct qm_answer_source *source = asking->source;
    for (size_t at = 0; at < count;) {
        uint32_t batch = 1, rows = items[at].count - items[at].is_choice;
        while (at + batch < count && batch < source->sequences && (uint64_t)rows * (batch + 1) <= source->rows &&
               items[at + batch].is_choice == items[at].is_choice && items[at + batch].count == items[at].count)
            ++batch;
        QM_TRY(items[at].is_choice ? weigh_group(asking, items + at, batch)
                                   : generate_group(asking, items + at, batch));
        at += batch;
        if (source->tell)
            source->tell(source->context, (uint32_t)at, (uint32_t)count);
    }
    return QM_OK;
}

enum qm_status qm_answers_generate(const struct qm_answer_questions *questions, const struct qm_answer_source *source,
                                   struct qm_generated **out)
{
    *out = NULL;
    enum qm_status status = QM_OK;
    size_t count = 0, batch = source->sequences > 0 ? source->sequences : 1;
    struct item *items = list_items(questions->tokens, &count);
    struct asking asking = {.questions = questions, .source = source};
    asking.input = calloc((size_t)source->rows + 2 * batch, sizeof(uint32_t)); // with what is predicted only
    asking.output = calloc(batch * QM_ANSWER_CHUNK_TOKENS, sizeof(uint32_t));
    asking.first = calloc(batch, sizeof(uint32_t));
    asking.is_done = calloc(batch, sizeof(bool));
    asking.sums = calloc(batch, sizeof(double));
    if (!items || !asking.input || !asking.output || !asking.first || !asking.is_done || !asking.sums)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory to ask for %zu answers", count));
    if (source->rows < qm_answer_longest(questions->tokens))
        QM_GUARD(QM_FAIL(QM_INVALID, "passes of %" PRIu32 " tokens are too short for a prompt", source->rows));
    QM_GUARD(qm_generated_create(questions->tokens->count, &asking.generated));
    QM_GUARD(generate_all(&asking, items, count));
    *out = asking.generated;
    asking.generated = NULL;
done:
    qm_generated_destroy(&asking.generated);
    free(asking.input);
    free(asking.output);
    free(asking.first);
    free(asking.is_done);
    free(asking.sums);
    free(items);
    return status;
}

// ---- Judging --------------------------------------------------------------------------------------------------------

static enum qm_status answer_run_create(uint32_t count, struct qm_answer_run **out)
{
    struct qm_answer_run *run = *out = calloc(1, sizeof(*run));
    size_t room = (size_t)count + 1;
    if (run) {
        run->count = count;
        run->judgement = calloc(room, sizeof(*run->judgement));
        run->is_choice = calloc(room, sizeof(*run->is_choice));
        run->right_by_norm = calloc(room, sizeof(*run->right_by_norm));
        run->is_same = calloc(room, sizeof(*run->is_same));
        run->generated = calloc(room, sizeof(*run->generated));
        run->picked = calloc(room, sizeof(*run->picked));
        run->text_hash = calloc(room, sizeof(*run->text_hash));
    }
    if (run && run->judgement && run->is_choice && run->right_by_norm && run->is_same && run->generated &&
        run->picked && run->text_hash)
        return QM_OK;
    qm_answer_run_destroy(out);
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %" PRIu32 " answers", count);
}

void qm_answer_run_destroy(struct qm_answer_run **run)
{
    struct qm_answer_run *r = *run;
    if (!r)
        return;
    free(r->judgement);
    free(r->is_choice);
    free(r->right_by_norm);
    free(r->is_same);
    free(r->generated);
    free(r->picked);
    free(r->text_hash);
    free(r);
    *run = NULL;
}

static uint64_t hash_text(const char *text, size_t bytes)
{
    char digits[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(text, bytes, digits);
    digits[16] = '\0';
    return strtoull(digits, NULL, 16);
}

static enum qm_status judge_choices(const struct qm_answer_questions *questions, uint32_t e,
                                    const double *log_probabilities, struct qm_answer_run *run)
{
    const struct qm_user_example *example = &questions->examples->examples[e];
    struct qm_choice_score scores[QM_EXAMPLE_CHOICES_MAX];
    uint32_t picked = 0;
    run->is_choice[e] = 1;
    for (uint32_t c = 0; c < example->choice_count; ++c) {
        const struct qm_example_sequence *sequence = &questions->tokens->examples[e].choices[c];
        scores[c].log_probability = log_probabilities[c];
        scores[c].tokens = sequence->count - sequence->first;
        qm_choice_lengths(example->choices[c].text, &scores[c].characters, &scores[c].bytes);
    }
    for (int norm = 0; norm < QM_CHOICE_NORMS; ++norm) {
        QM_TRY(qm_choice_pick(scores, example->choice_count, (enum qm_choice_norm)norm, &picked));
        if (picked == example->right_choice)
            run->right_by_norm[e] |= (uint8_t)(1u << norm);
        if (norm == QM_CHOICE_SUM)
            run->picked[e] = picked;
    }
    run->judgement[e] = run->picked[e] == example->right_choice ? QM_ANSWER_RIGHT : QM_ANSWER_WRONG;
    return QM_OK;
}

static enum qm_status judge_text(const struct qm_answer_questions *questions, uint32_t e,
                                 const struct qm_generated_answer *answer, struct qm_answer_run *run)
{
    const struct qm_user_example *example = &questions->examples->examples[e];
    enum qm_judgement judgement = QM_ANSWER_WRONG;
    char *text = NULL;
    size_t bytes = 0;
    QM_TRY(qm_answer_text(questions, e, answer, &text, &bytes));
    enum qm_status status = qm_answer_judge(&example->rule, (const char *const *)example->answers,
                                            example->answer_count, text, bytes, &judgement);
    run->judgement[e] = (uint8_t)judgement;
    run->generated[e] = answer->count;
    run->text_hash[e] = hash_text(text, bytes);
    free(text);
    return status;
}

enum qm_status qm_answers_judge(const struct qm_answer_questions *questions, const struct qm_generated *generated,
                                struct qm_answer_run **out)
{
    *out = NULL;
    if (generated->count != questions->examples->count || questions->tokens->count != generated->count)
        return QM_FAIL(QM_INVALID, "%" PRIu32 " answers to %" PRIu32 " examples", generated->count,
                       questions->examples->count);
    struct qm_answer_run *run = NULL;
    QM_TRY(answer_run_create(generated->count, &run));
    for (uint32_t e = 0; e < generated->count; ++e) {
        const struct qm_generated_answer *answer = &generated->answers[e];
        enum qm_status status = questions->examples->examples[e].choice_count > 0
                                    ? judge_choices(questions, e, answer->log_probabilities, run)
                                    : judge_text(questions, e, answer, run);
        if (status != QM_OK) {
            qm_answer_run_destroy(&run);
            return status;
        }
    }
    *out = run;
    return QM_OK;
}

enum qm_status qm_answers_compare(struct qm_answer_run *run, const struct qm_answer_run *reference)
{
    if (run->count != reference->count)
        return QM_FAIL(QM_INVALID, "%" PRIu32 " answers beside %" PRIu32 " of the reference", run->count,
                       reference->count);
    for (uint32_t e = 0; e < run->count; ++e)
        run->is_same[e] =
            run->is_choice[e] ? run->picked[e] == reference->picked[e] : run->text_hash[e] == reference->text_hash[e];
    return QM_OK;
}
