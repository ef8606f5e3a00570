#include "workload/disclosure.h"

#include "record/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int rising(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct qm_length_summary qm_lengths_summarize(uint32_t *values, size_t count)
{
    if (count == 0)
        return (struct qm_length_summary){0};
    qsort(values, count, sizeof(*values), rising);
    return (struct qm_length_summary){values[0], values[(count - 1) / 2], values[count - 1]};
}

void qm_workload_disclose_text(const struct qm_text_set *set, struct qm_node *mapping)
{
    bool is_compat = set->params.compat == QM_TEXT_LLAMA_PERPLEXITY;
    uint32_t stride = set->params.stride > 0 ? set->params.stride
                      : is_compat            ? set->length
                                             : set->params.window_tokens / 2;
    qm_node_set_text(mapping, "sha256", set->sha256);
    qm_node_set_text(mapping, "text_sha256", set->text_sha256);
    if (set->is_directory)
        qm_node_set_u64(mapping, "documents", set->documents);
    qm_node_set_u64(mapping, "text_bytes", set->text_bytes);
    qm_node_set_u64(mapping, "text_tokens", set->token_count);
    qm_node_set_bool(mapping, "utf8", set->is_utf8);
    qm_node_set_u64(mapping, "windows", set->window_count);
    qm_node_set_u64(mapping, "window_tokens", set->length);
    qm_node_set_u64(mapping, "stride", stride);
    qm_node_set_u64(mapping, "scored_tokens", set->scored);
    qm_node_set_u64(mapping, "unused_tokens", set->tokens_unused);
    qm_node_set_bool(mapping, "begin_token", set->replaces_first);
    qm_node_set_text(mapping, "compat", is_compat ? "llama-perplexity" : "none");
}

static void set_lengths(struct qm_node *mapping, const char *key, uint32_t *values, size_t count)
{
    struct qm_length_summary lengths = qm_lengths_summarize(values, count);
    struct qm_node *node = qm_node_add_mapping(mapping, key);
    qm_node_set_u64(node, "least", lengths.least);
    qm_node_set_u64(node, "median", lengths.median);
    qm_node_set_u64(node, "most", lengths.most);
}

enum qm_status qm_workload_disclose_examples(const struct qm_user_examples *examples,
                                             const struct qm_examples_tokens *tokens, struct qm_node *mapping)
{
    static const char *const forms[] = {"json-lines", "lm-evaluation-harness", "csv"};
    qm_node_set_text(mapping, "sha256", examples->sha256);
    qm_node_set_text(mapping, "form", forms[examples->form]);
    if (examples->files > 1)
        qm_node_set_u64(mapping, "files", examples->files);
    if (examples->form == QM_EXAMPLES_CSV)
        qm_node_set_u64(mapping, "shots", examples->shots);
    qm_node_set_text(mapping, "file_sha256", examples->file_sha256);
    qm_node_set_u64(mapping, "file_bytes", examples->bytes);
    qm_node_set_u64(mapping, "examples", examples->count);
    struct qm_node *rules = qm_node_add_mapping(mapping, "rules");
    for (int i = 0; i < QM_MATCH_COUNT; i++)
        if (examples->matches[i] > 0)
            qm_node_set_u64(rules, qm_match_name((enum qm_match)i), examples->matches[i]);
    qm_node_set_u64(mapping, "repeated_lines", examples->repeated);
    qm_node_set_u64(mapping, "asking_to_sample", examples->sampling);
    if (!tokens)
        return QM_OK;
    uint32_t *lengths = malloc((tokens->count + (size_t)1) * sizeof(*lengths));
    if (!lengths)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the lengths of %" PRIu32 " examples", tokens->count);
    qm_node_set_text(mapping, "tokens_sha256", tokens->sha256);
    qm_node_set_u64(mapping, "tokens", tokens->total);
    for (uint32_t i = 0; i < tokens->count; i++) {
        const struct qm_example_tokens *own = &tokens->examples[i];
        lengths[i] = own->choice_count > 0 ? own->choices[0].first : own->prompt.count;
    }
    set_lengths(mapping, "prompt_tokens", lengths, tokens->count);
    for (uint32_t i = 0; i < tokens->count; i++)
        lengths[i] = tokens->examples[i].answer_tokens;
    set_lengths(mapping, "answer_tokens", lengths, tokens->count);
    free(lengths);
    return QM_OK;
}

void qm_workload_disclose_overlap(const struct qm_overlap *overlap, struct qm_node *mapping)
{
    qm_node_set_u64(mapping, "tokens", overlap->tokens);
    qm_node_set_u64(mapping, "items", overlap->items);
    qm_node_set_u64(mapping, "items_shorter", overlap->short_items);
    qm_node_set_u64(mapping, "overlapping", overlap->overlapping);
    qm_node_set_double(mapping, "share", overlap->share);
    qm_node_set_u64(mapping, "runs", overlap->runs);
    qm_node_set_u64(mapping, "shared_runs", overlap->shared_runs);
}

void qm_workload_disclose_changes(const struct qm_paired_summary *summary, struct qm_node *mapping)
{
    qm_node_set_u64(mapping, "examples", summary->examples);
    qm_node_set_u64(mapping, "flips", summary->flips);
    qm_node_set_u64(mapping, "right_to_wrong", summary->changes[QM_CHANGE_LOST]);
    qm_node_set_u64(mapping, "wrong_to_right", summary->changes[QM_CHANGE_GAINED]);
    qm_node_set_u64(mapping, "other_right", summary->changes[QM_CHANGE_OTHER_RIGHT]);
    qm_node_set_u64(mapping, "other_wrong", summary->changes[QM_CHANGE_OTHER_WRONG]);
    qm_node_set_u64(mapping, "unjudged", summary->unjudged);
    qm_node_set_u64(mapping, "unjudged_reference", summary->unjudged_reference);
    qm_node_set_double(mapping, "p_value", summary->p_value);
}

static size_t text_bytes(const struct qm_user_example *example)
{
    size_t bytes = strlen(example->id) + strlen(example->prompt);
    for (uint32_t i = 0; i < example->answer_count; i++)
        bytes += strlen(example->answers[i]);
    for (uint32_t i = 0; i < example->choice_count; i++) {
        bytes += strlen(example->choices[i].text);
        if (example->choices[i].prompt != example->prompt)
            bytes += strlen(example->choices[i].prompt);
    }
    return bytes;
}

static void embed(const struct qm_user_example *example, struct qm_node *mapping)
{
    qm_node_set_text(mapping, "id", example->id);
    qm_node_set_text(mapping, "prompt", example->prompt);
    if (example->choice_count == 0) {
        struct qm_node *answers = qm_node_add_sequence(mapping, "answers");
        for (uint32_t i = 0; i < example->answer_count; i++)
            qm_node_set_text(qm_node_append_mapping(answers), "text", example->answers[i]);
        return;
    }
    struct qm_node *choices = qm_node_add_sequence(mapping, "choices");
    for (uint32_t i = 0; i < example->choice_count; i++) {
        const struct qm_user_choice *choice = &example->choices[i];
        struct qm_node *node = qm_node_append_mapping(choices);
        qm_node_set_text(node, "text", choice->text);
        if (choice->prompt != example->prompt)
            qm_node_set_text(node, "prompt", choice->prompt);
    }
    qm_node_set_u64(mapping, "right_choice", example->right_choice);
}

enum qm_status qm_workload_embed_examples(const struct qm_user_examples *examples, size_t bytes_most, const char *key,
                                          struct qm_node *mapping)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < examples->count; i++) {
        bytes += text_bytes(&examples->examples[i]);
        if (bytes > bytes_most)
            return QM_FAIL(QM_INVALID,
                           "%s: the texts have more than %zu bytes, which is what a result takes; embed fewer "
                           "examples",
                           examples->file, bytes_most);
    }
    struct qm_node *list = qm_node_add_sequence(mapping, key);
    for (uint32_t i = 0; i < examples->count; i++)
        embed(&examples->examples[i], qm_node_append_mapping(list));
    return QM_OK;
}
